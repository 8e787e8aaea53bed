"""Effects of the settings that say where things are kept and what is taken in: catalog, import rules, downloads, reports."""

from __future__ import annotations

import json
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from key_effects import FIRST, effect
from sovereign.core.errors import SovereignError
from sovereign.core.session import NS_PER_DAY

ROWS = """ts,price,size,side
2025-11-17T15:00:00Z,6600.00,1,buy
2025-11-17T15:00:01Z,6600.05,1,sell
2025-11-17T15:00:02Z,6600.25,2,sell
"""


def _command(*words: str) -> dict[str, Any]:
    from sovereign.app.cli.main import run

    output, complaint = StringIO(), StringIO()
    with redirect_stdout(output), redirect_stderr(complaint):
        code = run([*words, "--json"])
    if not output.getvalue():
        raise AssertionError(f"{' '.join(words)} ended with {code}: {complaint.getvalue()}")
    found: dict[str, Any] = json.loads(output.getvalue())
    return found


@contextmanager
def _imported(text: str, *settings: str, symbol: str = "ESZ5") -> Iterator[tuple[Path, dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rows.csv").write_text(text, encoding="utf-8")
        options = [word for setting in (f"data.catalog={folder / 'catalog'}", *settings) for word in ("--set", setting)]
        yield folder, _command("data", "import", str(folder / "rows.csv"), "--symbol", symbol, *options)


def _set_aside(text: str, *settings: str, symbol: str = "ESZ5") -> int:
    with _imported(text, *settings, symbol=symbol) as (_, result):
        return int(result["quarantined"])


@effect("data.catalog")
def _() -> tuple[object, object]:
    def made(catalog: str) -> list[str]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "rows.csv").write_text(ROWS, encoding="utf-8")
            where = ("--set", f"data.catalog={folder / catalog}")
            _command("data", "import", str(folder / "rows.csv"), "--symbol", "ESZ5", *where)
            return sorted(path.name for path in folder.iterdir())

    return made("one"), made("other")


@effect("data.arrow_cache")
def _() -> tuple[object, object]:
    from sovereign.store.catalog import Catalog

    def cached(is_kept: bool) -> bool:
        with _imported(ROWS) as (folder, _):
            catalog = Catalog(folder / "catalog", arrow_cache=is_kept)
            catalog.write_trades("ESH6", FIRST, catalog.trades("ESZ5", FIRST))
            return any((folder / "catalog").rglob("ESH6/*.arrow"))

    return cached(False), cached(True)


@effect("data.rules.tick_tolerance_frac")
def _() -> tuple[object, object]:
    return _set_aside(ROWS), _set_aside(ROWS, "data.rules.tick_tolerance_frac=0.3")


@effect("data.rules.earliest_date")
def _() -> tuple[object, object]:
    return _set_aside(ROWS), _set_aside(
        ROWS.replace("2025-11-17T15:00:00Z", "2025-11-14T15:00:00Z"), "data.rules.earliest_date=2025-11-15"
    )


@effect("data.rules.latest_date")
def _() -> tuple[object, object]:
    late = ROWS.replace("2025-11-17T15:00:00Z", "2025-11-19T15:00:00Z")
    return _set_aside(late), _set_aside(late, "data.rules.latest_date=2025-11-19")


@effect("data.rules.negative_roots")
def _() -> tuple[object, object]:
    below = ROWS.replace("6600.00", "-6600.00")
    return _set_aside(below), _set_aside(below, 'data.rules.negative_roots=["ES"]')


def _limited(name: str, **limits: int) -> str:
    import polars as pl

    from sovereign.core.errors import UsageError
    from sovereign.feeds.calendar import calendar_for
    from sovereign.feeds.importing.importer import import_file
    from sovereign.feeds.importing.table import ImportConfiguration, ImportOptions

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        many = pl.DataFrame({"ts": ["2025-11-17T15:00:00Z"] * 40_000, "price": ["6600.00"] * 40_000, "size": ["1"] * 40_000})
        if file.suffix == ".csv":
            many.write_csv(file)
        else:
            many.write_parquet(file)
        options = ImportOptions(symbol="ESZ5", rules=ImportConfiguration(**limits))
        try:
            return str(len(import_file(file, options, calendar_for).parts[0].rows))
        except UsageError as error:
            return str(error)


@effect("data.rules.max_text_mb")
def _() -> tuple[object, object]:
    return _limited("many.csv", max_text_mb=4_096), _limited("many.csv", max_text_mb=1)


@effect("data.rules.max_rows")
def _() -> tuple[object, object]:
    return _limited("many.parquet", max_rows=40_000), _limited("many.parquet", max_rows=39_999)


@effect("data.rules.skip_suspicious")
def _() -> tuple[object, object]:
    lines = ROWS.replace("6600.05", "6600.00").splitlines()
    text = "\n".join([lines[0] + ",suspicious", lines[1] + ",1", *(line + ",0" for line in lines[2:])]) + "\n"
    return _set_aside(text, "data.rules.skip_suspicious=true"), _set_aside(text, "data.rules.skip_suspicious=false")


def _strays(*settings: str) -> Any:
    """SPY at 167.00 with one print 0.9% away and one at 167.40 (0.24%, 40 ticks), ten prints between and around them."""
    prices = ["167.00"] * 10 + ["168.50"] + ["167.00"] * 10 + ["167.40"] + ["167.00"] * 10
    rows = [f"2025-11-17T15:00:{second:02d}Z,{price},100" for second, price in enumerate(prices)]
    return _set_aside("\n".join(["ts,price,size", *rows]) + "\n", *settings, symbol="SPY")


@effect("data.rules.off_market_frac")
def _() -> tuple[object, object]:
    return _strays(), _strays("data.rules.off_market_frac=0.005")


@effect("data.rules.off_market_ticks")
def _() -> tuple[object, object]:
    return _strays(), _strays("data.rules.off_market_ticks=100")


@effect("data.rules.off_market_prints")
def _() -> tuple[object, object]:
    return _strays(), _strays("data.rules.off_market_prints=80")


def _rules(**changes: Any) -> Any:
    from sovereign.feeds.vendor import DownloadConfiguration

    return DownloadConfiguration(**changes)


def _pauses(**changes: Any) -> list[float]:
    from sovereign.feeds.vendor import BusyError, patiently

    def busy() -> None:
        raise BusyError("come back later")

    pauses: list[float] = []
    with pytest.raises(SovereignError):
        patiently(busy, "the test", _rules(**changes), pauses.append)
    return pauses


@effect("data.download.attempts")
def _() -> tuple[object, object]:
    return _pauses(attempts=2), _pauses(attempts=3)


@effect("data.download.backoff_s")
def _() -> tuple[object, object]:
    return _pauses(backoff_s=1.0), _pauses(backoff_s=2.0)


def _dataset(symbol: str, **changes: Any) -> str:
    from sovereign.core.instrument import find_instrument
    from sovereign.feeds.databento import query_for

    return query_for(find_instrument(symbol), "trades", 0, 1, None, _rules(**changes)).dataset


@effect("data.download.futures_dataset")
def _() -> tuple[object, object]:
    return _dataset("ESZ5"), _dataset("ESZ5", futures_dataset="OTHER.SET")


@effect("data.download.equity_dataset")
def _() -> tuple[object, object]:
    return _dataset("SPY"), _dataset("SPY", equity_dataset="OTHER.SET")


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for loopback, signed by itself, and its key; Databento's client speaks TLS alone."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@contextmanager
def _vendor(answer: bytes, certificate: tuple[Path, Path] | None = None) -> Iterator[tuple[str, list[str]]]:
    """A server on loopback that gives everyone the same answer; yields its address and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path.partition("?")[0])
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{'http' if certificate is None else 'https'}://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _were_asked(key: str, call: Any, certificate: tuple[Path, Path] | None = None) -> tuple[list[int], list[int]]:
    """Ask once at each of two addresses; return how often each server was asked, both times."""
    with _vendor(b"0.25", certificate) as (one, at_one), _vendor(b"0.25", certificate) as (other, at_other):
        counts = []
        for address in (one, other):
            at_one.clear()
            at_other.clear()
            call(_rules(**{key: address, "attempts": 1}))
            counts.append([len(at_one), len(at_other)])
    return counts[0], counts[1]


@contextmanager
def _trusted() -> Iterator[tuple[Path, Path]]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        files = _certificate(Path(folder))
        patch.setenv("REQUESTS_CA_BUNDLE", str(files[0]))
        patch.setenv("DATABENTO_API_KEY", "db-" + "x" * 29)
        yield files


def _cost(rules: Any) -> float:
    from sovereign.core.instrument import find_instrument
    from sovereign.feeds.databento import DatabentoHistory, query_for

    query = query_for(find_instrument("ESZ5"), "trades", 0, NS_PER_DAY, None, rules)
    return DatabentoHistory("db-" + "x" * 29, rules, lambda _: None).cost_usd(query)


@effect("data.download.databento_gateway")
def _() -> tuple[object, object]:
    pytest.importorskip("databento", reason="the extra databento is not installed")
    with _trusted() as certificate:
        return _were_asked("databento_gateway", _cost, certificate)


@effect("data.download.massive_base")
def _() -> tuple[object, object]:
    pytest.importorskip("massive", reason="the extra massive is not installed")
    from sovereign.feeds.massive import MassiveHistory

    def ask(rules: Any) -> None:
        with tempfile.TemporaryDirectory() as folder, pytest.raises((SovereignError, TypeError, AttributeError)):
            MassiveHistory("key", rules, lambda _: None).fetch("SPY", 60, 0, NS_PER_DAY, Path(folder) / "bars.csv")

    return _were_asked("massive_base", ask)


@effect("data.download.max_cost_usd")
def _() -> tuple[object, object]:
    pytest.importorskip("databento", reason="the extra databento is not installed")
    from sovereign.app.data_settings import DataSettings
    from sovereign.app.download import DownloadRequest, download_history
    from sovereign.feeds.calendar import calendar_for
    from sovereign.store.catalog import Catalog

    request = DownloadRequest(vendor="databento", symbol="ESZ5", start=FIRST, end=FIRST)

    def refusal(limit: float) -> str:
        with _trusted() as files, _vendor(b"0.25", files) as (address, _), tempfile.TemporaryDirectory() as folder:
            rules = _rules(max_cost_usd=limit, databento_gateway=address, attempts=1)
            with pytest.raises(SovereignError) as caught:
                download_history(Catalog(folder), request, DataSettings(download=rules), calendar_for, sleep=lambda _: None)
        return type(caught.value).__name__

    # Below the limit the download goes on, and this server's answer is not data.
    return refusal(0.1), refusal(1.0)


@effect("report.folder")
def _() -> tuple[object, object]:
    def made(name: str) -> list[str]:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            options = {
                "data.catalog": folder / "catalog",
                "store.url": f"sqlite:///{folder}/store.sqlite",
                "report.folder": folder / name,
                "synthetic.ticks_per_session": 2_000,
                "evidence.null_sessions": 2,
                "evidence.null_ticks": 1_000,
                "evidence.future_cuts": 1,
                "evidence.future_ticks": 1_000,
            }
            words = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
            dates = ("--symbol", "ESZ5", "--from", f"{FIRST}", "--to", f"{FIRST}")
            _command("data", "synth", "--symbol", "ESZ5", "--from", f"{FIRST}", *words)
            _command("backtest", "order_flow", *dates, *words)
            return sorted(path.name for path in folder.iterdir() if path.is_dir())

    return made("one"), made("other")
