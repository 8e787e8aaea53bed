"""The run ledger: names, prefixes, trials, schema versions."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from example_run import ES, example_record
from sovereign.core.errors import ConfigurationError, NotFoundError, UsageError
from sovereign.core.instrument import find_instrument
from sovereign.core.session import to_ns
from sovereign.store.configuration import StoreConfig
from sovereign.store.runs import digest, instrument_detail, instrument_of, make_run_id
from sovereign.store.schema import SCHEMA_VERSION
from sovereign.store.store import Store


@pytest.fixture
def store(store_url):
    with Store(store_url) as opened:
        yield opened


def test_run_when_begun_and_finished_then_comes_back_as_it_was(store):
    record = example_record()
    name = store.begin_run(record)
    store.finish_run(name, finished_ns=5, summary={"metrics": {}}, daily_sharpe=0.1, verdict="weak", report_path="r.html")
    run = store.run(name)
    assert run.record == record
    assert (run.status, run.finished_ns, run.daily_sharpe, run.verdict, run.report_path) == (
        "finished",
        5,
        0.1,
        "weak",
        "r.html",
    )


def test_summary_when_something_is_found_out_afterwards_then_is_kept_beside_the_rest(store):
    name = store.begin_run(example_record())
    store.finish_run(name, finished_ns=5, summary={"metrics": {}})
    store.add_to_summary(name, "twin", {"verdict": "explained"})
    store.add_to_summary(name, "twin", {"verdict": "identical"})
    assert store.run(name).summary == {"metrics": {}, "twin": {"verdict": "identical"}}
    assert store.run(name).status == "finished"
    with pytest.raises(NotFoundError, match="nowhere"):
        store.add_to_summary("nowhere", "twin", {})


def test_run_when_its_name_is_taken_then_gets_a_number(store):
    names = [store.begin_run(example_record()) for _ in range(3)]
    assert names == ["flow-20240401T120000-abc123", "flow-20240401T120000-abc123-2", "flow-20240401T120000-abc123-3"]


def test_run_when_asked_by_unique_prefix_or_last_then_is_found(store):
    store.begin_run(example_record(id="alpha-1"))
    store.begin_run(example_record(id="beta-1"))
    assert store.run("al").id == "alpha-1"
    assert store.run("last").id == "beta-1"


def test_run_when_prefix_fits_several_then_names_them(store):
    store.begin_run(example_record(id="alpha-1"))
    store.begin_run(example_record(id="alpha-2"))
    with pytest.raises(UsageError, match=r"2 runs begin with .*alpha-1, alpha-2"):
        store.run("alpha")


def test_run_when_prefix_holds_a_wildcard_then_is_taken_literally(store):
    store.begin_run(example_record(id="alpha-1"))
    with pytest.raises(NotFoundError):
        store.run("a%")


@pytest.mark.parametrize(("name", "says"), [("alpha-2", "did you mean 'alpha-1'"), ("last", "ledger is empty")])
def test_run_when_unknown_then_error_helps(store, name, says):
    if name != "last":
        store.begin_run(example_record(id="alpha-1"))
    with pytest.raises(NotFoundError, match=says):
        store.run(name)


def test_finish_when_run_was_never_begun_then_is_refused(store):
    with pytest.raises(NotFoundError, match="never begun"):
        store.finish_run("nothing", finished_ns=1, summary={})


def test_trials_when_same_run_repeats_then_is_one_distinct_trial(store):
    for changes in (
        {},
        {},
        {"config_hash": "other"},
        {"seed": 8},
        {"code_hash": "new"},
        {"data_hash": "else"},
        {"strategy": "x"},
    ):
        name = store.begin_run(example_record(**changes))
        store.finish_run(name, finished_ns=1, summary={}, daily_sharpe=0.1 if not changes else 0.2)
    trials = store.trials("flow", "da7a")
    assert (trials.runs, trials.distinct) == (5, 4)
    assert trials.sharpes == (0.1, 0.2, 0.2, 0.2)


def test_run_id_when_made_then_names_strategy_second_and_configuration():
    started = to_ns(datetime(2024, 4, 1, 12, 0, 5, tzinfo=UTC))
    assert make_run_id("flow", started, "abcdef0123") == "flow-20240401T120005-abcdef"


def test_digest_when_keys_change_order_then_stays():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


@pytest.mark.parametrize("symbol", ["ES", "MESH4", "SPY", "GC"])
def test_instrument_when_written_and_read_then_is_equal(symbol):
    instrument = replace(find_instrument(symbol), fee_per_side=Decimal("1.1100"))
    assert instrument_of(instrument_detail(instrument)) == instrument


def test_store_when_its_folder_is_not_there_then_is_made(tmp_path):
    Store(f"sqlite:///{tmp_path}/deep/folder/store.sqlite").close()
    assert (tmp_path / "deep" / "folder" / "store.sqlite").exists()


def test_store_when_opened_again_then_keeps_what_it_had(empty_store_url):
    with Store(empty_store_url) as first:
        first.begin_run(example_record())
    with Store(empty_store_url) as second:
        assert [run.id for run in second.runs()] == ["flow-20240401T120000-abc123"]
        assert second.run("last").record.instruments == (ES,)


def test_store_when_schema_is_newer_then_says_what_to_do(store_url):
    with Store(store_url) as store, store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE meta SET value = '999' WHERE key = 'schema_version'")
    with pytest.raises(ConfigurationError, match=f"schema 999; this program knows schema {SCHEMA_VERSION} at most; upgrade"):
        Store(store_url)


@pytest.mark.parametrize("url", ["nonsense", "nosuchdatabase://x/y"])
def test_store_when_url_is_unusable_then_shows_how_to_write_one(url):
    with pytest.raises(ConfigurationError, match=r"sqlite:///sovereign\.sqlite"):
        Store(url)


def test_store_when_file_is_not_a_database_then_is_a_configuration_error(tmp_path):
    path = tmp_path / "store.sqlite"
    path.write_text("this is no database, and longer than a header would be " * 20)
    with pytest.raises(ConfigurationError, match="could not be opened"):
        Store(f"sqlite:///{path}")


def test_store_when_opened_then_uses_write_ahead_log_and_asked_durability(tmp_path):
    config = StoreConfig(url=f"sqlite:///{tmp_path}/s.sqlite", synchronous="FULL", busy_timeout_ms=1234)
    with Store(config) as store, store._database.reading() as connection:
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in _PRAGMAS]
    assert found == ["wal", 1, 2, 1234]


_PRAGMAS = ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")


def test_trials_when_a_range_is_cut_a_day_shorter_then_earlier_trials_are_not_forgotten(store):
    whole = example_record(is_simulated=False)
    for number in range(20):
        store.begin_run(replace(whole, config_hash=f"c{number}"))
    store.begin_run(replace(whole, config_hash="c7", data_hash="shorter", end=whole.start + timedelta(days=2)))
    assert store.trials("flow", "shorter").distinct == 20


def test_trials_when_dates_symbols_or_strategy_are_others_then_are_not_counted(store):
    whole = example_record(is_simulated=False)
    later = whole.end + timedelta(days=1)
    store.begin_run(replace(whole, data_hash="wanted", config_hash="c0"))
    store.begin_run(replace(whole, config_hash="c1", start=later, end=later))
    store.begin_run(replace(whole, config_hash="c2", symbols=("NQ",)))
    store.begin_run(replace(whole, config_hash="c3", strategy="other"))
    store.begin_run(replace(whole, config_hash="c4", is_simulated=True))
    assert store.trials("flow", "wanted").distinct == 1


def test_connection_when_it_is_postgresql_then_waits_no_longer_than_asked(postgres):
    with Store(StoreConfig(url=postgres.database(), busy_timeout_ms=1234)) as store:
        with store.database.reading() as connection:
            assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "1234ms"
        engine = store.database.durable()
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        engine.dispose()


def test_driver_when_it_is_not_installed_then_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"driver psycopg is not installed; .*sovereign\[postgres\]"):
        Store("postgresql+psycopg://me@127.0.0.1:1/x")


def test_names_when_two_runs_begin_at_once_then_each_has_its_own(store_url):
    with Store(store_url) as one, Store(store_url) as other, ThreadPoolExecutor(2) as pool:
        names = list(pool.map(lambda number: (one, other)[number % 2].begin_run(example_record()), range(20)))
    assert len(set(names)) == 20


@pytest.mark.parametrize("start", ["postgresql://", "postgres://"])
def test_url_when_it_names_no_driver_then_the_one_of_the_extra_is_used(postgres, start):
    with Store(postgres.database().replace("postgresql+psycopg://", start)) as store:
        assert store.database.engine.dialect.driver == "psycopg"
