"""Downloads through the vendors' own clients from local servers, with faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import zstandard

from fakes import dbn_files
from fakes.vendor_server import DatabentoServer, MassiveServer
from sovereign.app.cli.main import run
from sovereign.app.data_settings import DataSettings
from sovereign.app.download import DownloadOutcome, DownloadRequest, download_history
from sovereign.core.errors import ConfigurationError, NotFoundError, OperationTimeoutError, UsageError
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.vendor import DownloadConfiguration
from sovereign.store.catalog import Catalog

KEY = "db-SECRETSECRETSECRETSECRETSECR"
DAY = date(2024, 3, 5)
NOON = 1_709_661_600 * 10**9
MINUTES = [
    {"t": NOON // 10**6 + 60_000 * k, "o": 500.0 + k, "h": 501.0 + k, "l": 499.0, "c": 500.5, "v": 100.4, "n": 3, "vw": 500.2}
    for k in range(5)
]


@pytest.fixture
def sleeps() -> list[float]:
    return []


class TestDatabento:
    @pytest.fixture(autouse=True)
    def client(self) -> None:
        pytest.importorskip("databento", reason="the extra 'databento' is not installed")

    @pytest.fixture
    def server(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabentoServer]:
        records = b"".join(dbn_files.trade(17077, NOON + k, 5100.25 + k % 3 / 4, 1 + k % 5, "BA"[k % 2]) for k in range(500))
        body = zstandard.ZstdCompressor().compress(dbn_files.header("trades", {"ESH4": 17077}, DAY) + records)
        folder = tmp_path / "certificates"
        folder.mkdir()
        with DatabentoServer(KEY, folder, body) as running:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(running.authority))
            monkeypatch.setenv("DATABENTO_API_KEY", KEY)
            yield running

    def download(self, server: DatabentoServer, path: Path, sleeps: list[float], **options: Any) -> DownloadOutcome:
        named = {"vendor": "databento", "symbol": "ESH4", "start": DAY, "end": DAY, "schema": "trades"}
        is_estimate = options.pop("is_estimate", False)
        settings = DataSettings(download=DownloadConfiguration(databento_gateway=server.address))
        request = DownloadRequest(**{**named, **options})
        return download_history(Catalog(path), request, settings, calendar_for, sleep=sleeps.append, is_estimate=is_estimate)

    def test_download_when_all_is_well_then_cost_query_and_rows(
        self, server: DatabentoServer, catalog_path: Path, sleeps: list[float]
    ) -> None:
        outcome = self.download(server, catalog_path, sleeps)
        assert outcome.cost_usd == 0.37
        assert outcome.report is not None
        assert (outcome.report.status, outcome.report.rows) == ("imported", 500)
        rows = Catalog(catalog_path).trades("ESH4", DAY)
        assert rows.price[:4].tolist() == [20_401, 20_402, 20_403, 20_401]
        assert rows.side[:2].tolist() == [1, -1]
        (cost_path, _), (path, query) = server.requests
        assert (cost_path, path) == ("/v0/metadata.get_cost", "/v0/timeseries.get_range")
        # The trade date begins on the evening before: 18:00 New York is 23:00 UTC.
        assert int(query["start"]) == NOON - 19 * 3600 * 10**9
        assert int(query["end"]) == NOON + 4 * 3600 * 10**9
        assert {k: query[k] for k in ("dataset", "symbols", "schema", "stype_in")} == {
            "dataset": "GLBX.MDP3",
            "symbols": "ESH4",
            "schema": "trades",
            "stype_in": "raw_symbol",
        }

    def test_download_when_repeated_then_read_from_disk_and_free(
        self, server: DatabentoServer, catalog_path: Path, sleeps: list[float]
    ) -> None:
        self.download(server, catalog_path, sleeps)
        count = len(server.requests)
        outcome = self.download(server, catalog_path, sleeps)
        assert len(server.requests) == count
        assert outcome.cost_usd == 0.0
        assert outcome.report is not None
        assert outcome.report.status == "already there"

    def test_download_when_too_dear_then_refused_before_it_starts(
        self, server: DatabentoServer, catalog_path: Path, sleeps: list[float]
    ) -> None:
        with pytest.raises(UsageError, match=r"cost was 0\.37 USD.*allowed is 0\.10"):
            self.download(server, catalog_path, sleeps, max_cost_usd=0.10)
        assert [path for path, _ in server.requests] == ["/v0/metadata.get_cost"]

    def test_estimate_when_asked_then_nothing_is_fetched(
        self, server: DatabentoServer, catalog_path: Path, sleeps: list[float]
    ) -> None:
        outcome = self.download(server, catalog_path, sleeps, is_estimate=True)
        assert (outcome.cost_usd, outcome.report) == (0.37, None)
        assert Catalog(catalog_path).entries() == []

    @pytest.mark.parametrize(
        ("faults", "waits"),
        [([429], [1.0]), ([503, 503], [1.0, 2.0]), (["", "cut body", 500], [1.0, 2.0])],
        ids=["rate limit", "unavailable", "broken body"],
    )
    def test_download_when_the_server_is_unwell_then_retried_until_whole(
        self, server: DatabentoServer, catalog_path: Path, sleeps: list[float], faults: list[int | str], waits: list[float]
    ) -> None:
        server.faults.extend(faults)
        outcome = self.download(server, catalog_path, sleeps)
        assert outcome.report is not None
        assert outcome.report.rows == 500
        assert sleeps == waits

    def test_download_when_the_body_never_comes_whole_then_given_up_and_nothing_kept(
        self, server: DatabentoServer, catalog_path: Path, sleeps: list[float]
    ) -> None:
        server.body = server.body[: len(server.body) // 2]  # announced and sent whole, but half a stream
        with pytest.raises(OperationTimeoutError, match="failed 4 times"):
            self.download(server, catalog_path, sleeps)
        assert sleeps == [1.0, 2.0, 4.0]
        assert not list((catalog_path / "downloads").iterdir())
        assert Catalog(catalog_path).entries() == []

    def test_download_when_the_key_is_refused_then_said_without_the_key(
        self, server: DatabentoServer, catalog_path: Path, sleeps: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.key = "another"
        with pytest.raises(ConfigurationError, match="refused the key") as caught:
            self.download(server, catalog_path, sleeps)
        assert KEY not in str(caught.value)
        assert sleeps == []

    def test_download_when_the_server_repeats_the_key_then_masked(
        self, server: DatabentoServer, catalog_path: Path, sleeps: list[float]
    ) -> None:
        server.faults.append(422)
        with pytest.raises(UsageError, match=r"for \*\*\*") as caught:
            self.download(server, catalog_path, sleeps)
        assert KEY not in str(caught.value)

    def test_command_when_run_then_cost_and_rows_are_printed_and_never_the_key(
        self, server: DatabentoServer, catalog_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["data", "download", "databento", "--symbol", "ESH4", "--from", "2024-03-05", "--to", "2024-03-05"]
        words += ["--catalog", str(catalog_path), "--set", f"data.download.databento_gateway={server.address}"]
        assert run(words) == 0
        printed = "".join(capsys.readouterr())
        assert "cost: 0.37 USD" in printed
        assert "500 rows" in printed
        assert KEY not in printed


class TestMassive:
    @pytest.fixture(autouse=True)
    def client(self) -> None:
        pytest.importorskip("massive", reason="the extra 'massive' is not installed")

    @pytest.fixture
    def server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[MassiveServer]:
        monkeypatch.setenv("POLYGON_API_KEY", KEY)
        with MassiveServer(KEY, MINUTES) as running:
            yield running

    def download(self, server: MassiveServer, path: Path, sleeps: list[float], **options: Any) -> DownloadOutcome:
        named = {"vendor": "massive", "symbol": "SPY", "start": DAY, "end": DAY}
        settings = DataSettings(download=DownloadConfiguration(massive_base=server.address))
        return download_history(
            Catalog(path), DownloadRequest(**{**named, **options}), settings, calendar_for, sleep=sleeps.append
        )

    def test_download_when_paged_then_bars_stamped_with_their_close(
        self, server: MassiveServer, catalog_path: Path, sleeps: list[float]
    ) -> None:
        outcome = self.download(server, catalog_path, sleeps)
        assert outcome.report is not None
        assert outcome.report.rows == 5
        catalog = Catalog(catalog_path)
        bars = catalog.bars("SPY", DAY, 60)
        assert bars.ts.tolist() == [NOON + 60 * 10**9 * (k + 1) for k in range(5)]
        assert bars.high.tolist() == [50_100 + 100 * k for k in range(5)]
        assert bars.volume.tolist() == [100] * 5
        (entry,) = catalog.entries()
        assert "bars, never ticks" in entry.provenance.note
        assert len(server.requests) == 3
        path, query = server.requests[0]
        # The extended session of New York: 04:00 to 20:00, 09:00 UTC to 01:00 UTC on the next day, the last ms not included.
        assert (
            path
            == f"/v2/aggs/ticker/SPY/range/1/minute/{(NOON // 10**9 - 9 * 3600) * 1000}/{(NOON // 10**9 + 7 * 3600) * 1000 - 1}"
        )
        assert query["adjusted"] == "false"

    def test_download_when_asked_for_ticks_then_refused(
        self, server: MassiveServer, catalog_path: Path, sleeps: list[float]
    ) -> None:
        with pytest.raises(UsageError, match="bars of US equities"):
            self.download(server, catalog_path, sleeps, schema="trades")
        with pytest.raises(NotFoundError, match="not in the catalog"):
            Catalog(catalog_path).trades("SPY", DAY)

    @pytest.mark.parametrize(
        "faults", [[503, 429], ["", "cut body"], ["", "cut json"]], ids=["busy", "broken body", "half a document"]
    )
    def test_download_when_the_server_is_unwell_then_retried_until_whole(
        self, server: MassiveServer, catalog_path: Path, sleeps: list[float], faults: list[int | str]
    ) -> None:
        server.faults.extend(faults)
        outcome = self.download(server, catalog_path, sleeps)
        assert outcome.report is not None
        assert outcome.report.rows == 5
        assert sleeps == [1.0, 2.0][: len([f for f in faults if f])]

    def test_download_when_it_never_works_then_given_up(
        self, server: MassiveServer, catalog_path: Path, sleeps: list[float]
    ) -> None:
        server.faults.extend([503] * 4)
        with pytest.raises(OperationTimeoutError, match="failed 4 times"):
            self.download(server, catalog_path, sleeps)
        assert Catalog(catalog_path).entries() == []

    def test_download_when_the_key_is_refused_then_said_without_the_key(
        self, server: MassiveServer, catalog_path: Path, sleeps: list[float]
    ) -> None:
        server.faults.append(401)
        with pytest.raises(ConfigurationError, match="refused the key") as caught:
            self.download(server, catalog_path, sleeps)
        assert KEY not in str(caught.value)

    def test_download_when_there_are_no_bars_then_said(
        self, server: MassiveServer, catalog_path: Path, sleeps: list[float]
    ) -> None:
        server.bars = []
        with pytest.raises(UsageError, match="no bars of SPY"):
            self.download(server, catalog_path, sleeps)

    def test_command_when_run_as_json_then_the_report(
        self, server: MassiveServer, catalog_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["data", "download", "massive", "--symbol", "SPY", "--from", "2024-03-05", "--to", "2024-03-05", "--json"]
        words += ["--catalog", str(catalog_path), "--set", f"data.download.massive_base={server.address}"]
        assert run(words) == 0
        result = json.loads(capsys.readouterr().out)
        assert (result["rows"], result["cost_usd"]) == (5, None)
        assert result["files"][0]["partitions"][0]["kind"] == "bars-60"


def test_command_when_no_key_is_set_then_configuration_error(
    catalog_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABENTO_API_KEY", "DATABENTO_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    words = ["data", "download", "databento", "--symbol", "ESH4", "--from", "2024-03-05", "--to", "2024-03-05"]
    assert run([*words, "--catalog", str(catalog_path)]) == 4
    assert "DATABENTO_API_KEY" in capsys.readouterr().err
    monkeypatch.setenv("DATABENTO_API_KEY_FILE", str(catalog_path / "none"))
    assert run([*words, "--catalog", str(catalog_path)]) == 4
    assert "could not be read" in capsys.readouterr().err
