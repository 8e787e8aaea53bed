"""A store written before revisions were kept is lifted to today's tables with everything that is in it."""

import multiprocessing
import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import MetaData, inspect, select

from example_run import describe, example_events, example_record
from sovereign.core.errors import ConfigurationError
from sovereign.core.event import TradingState, TradingStateChanged
from sovereign.store import migrate, schema
from sovereign.store.configuration import StoreConfig
from sovereign.store.database import Database, make_engine
from sovereign.store.store import Store

DUMP = Path(__file__).resolve().parents[1] / "fakes" / "store_version_1.sql"
"""A store of the example run as the program wrote it before revisions were kept (an SQLite dump)."""


def write_version_1(url, tmp_path):
    """Put the dumped store where `url` says, table by table."""
    source = sqlite3.connect(tmp_path / "version_1.sqlite")
    source.executescript(DUMP.read_text(encoding="utf-8"))
    source.close()
    if url.startswith("sqlite"):
        (tmp_path / "version_1.sqlite").rename(url.removeprefix("sqlite:///"))
        return
    engine = make_engine(StoreConfig(url=url))
    old = make_engine(StoreConfig(url=f"sqlite:///{tmp_path}/version_1.sqlite"))
    with engine.begin() as target, old.connect() as rows:
        migrate.upgrade(target, "test", 1)
        # What the program of that time left: the same tables, and no word of revisions.
        target.exec_driver_sql("DROP TABLE alembic_version")
        target.exec_driver_sql("DELETE FROM meta")
        tables = MetaData()
        tables.reflect(target)
        for table in tables.sorted_tables:
            if found := rows.execute(select(table)).mappings().all():
                target.execute(table.insert(), [dict(row) for row in found])
            if "key" in table.c and table.name not in ("meta", "strategy_tests", "candidates"):
                target.exec_driver_sql(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', 'key'), (SELECT max(key) FROM {table.name}))"
                )
    engine.dispose()
    old.dispose()


def test_store_when_it_is_of_version_1_then_everything_in_it_is_kept(empty_store_url, tmp_path):
    write_version_1(empty_store_url, tmp_path)
    with Store(empty_store_url) as store:
        run = store.run("last")
        assert (run.id, run.status, run.verdict, run.daily_sharpe) == ("flow-20240401T120000-abc123", "finished", "weak", 0.1)
        assert run.record.account is None
        assert [trade.net for trade in store.trades(run.id)] == [Decimal(text) for text in NETS]
        assert len(store.table(run.id, "decisions")) == 13
        assert [store.decision(name, run.id).verdict for name in ("flow-20240311-ES-00000", "flow-20240311-ES-C0")] == WORDS
        assert store.kept_test("k") == {"a": 1}
        (halt,) = store.table(run.id, "state_changes")
        assert (halt["cause"], halt["reason"], halt["by"]) == ("daily_loss", "limit reached", None)
        # It is written on, side by side with what was there.
        name = store.begin_run(example_record())
        sink = store.sink(name, describe)
        for event in example_events():
            sink(event)
        sink.close()
        assert store.table(name, "trades") == store.table(run.id, "trades")


WORDS = ["APPROVED", "REFUSED"]
NETS = ("295.50", "-217.00", "-204.50", "295.50")


def test_first_revision_when_run_then_makes_the_tables_of_version_1(tmp_path):
    def statements(connection):
        query = "SELECT type, name, sql FROM sqlite_master WHERE name <> 'alembic_version' AND sql IS NOT NULL ORDER BY 1, 2"
        # Quotes and blanks are the dump's own.
        return [(kind, name, "".join(sql.replace('"', "").split())) for kind, name, sql in connection.execute(query)]

    old = sqlite3.connect(":memory:")
    old.executescript(DUMP.read_text(encoding="utf-8"))
    engine = make_engine(StoreConfig(url=f"sqlite:///{tmp_path}/new.sqlite"))
    with engine.begin() as connection:
        migrate.upgrade(connection, "test", 1)
    engine.dispose()
    new = sqlite3.connect(tmp_path / "new.sqlite")
    assert statements(new) == statements(old)
    new.close()
    old.close()


def by_revisions(config):
    """Make the tables the long way, one revision after the other, as an old store is lifted."""
    engine = make_engine(config)
    for version in range(1, schema.SCHEMA_VERSION + 1):
        with engine.begin() as connection:
            migrate.upgrade(connection, "test", version)
    engine.dispose()


@pytest.mark.parametrize("is_long_way", [True, False])
def test_tables_when_made_at_once_or_by_revisions_then_are_those_the_program_expects(empty_store_url, is_long_way):
    config = StoreConfig(url=empty_store_url)
    if is_long_way:
        by_revisions(config)
    database = Database(config)
    with database.reading() as connection:
        assert migrate.differences(connection) == []
        assert inspect(connection).get_view_names() == ["decisions"]
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == f"{schema.SCHEMA_VERSION:04}"
        assert [row.value for row in connection.execute(select(schema.meta))] == [str(schema.SCHEMA_VERSION)]
    database.close()


def test_store_of_version_2_when_opened_then_live_session_and_halts_are_kept_and_names_are_added(empty_store_url):
    engine = make_engine(StoreConfig(url=empty_store_url))
    with engine.begin() as connection:
        migrate.upgrade(connection, "test", 2)
        connection.exec_driver_sql(
            "INSERT INTO live_sessions (id, account, strategy, mode, trade_date, recording_path, code_hash, config_hash,"
            " status, pid, host, process_token, started_ns, reason)"
            " VALUES ('old', 'paper', 's', 'paper', '2025-11-17', 'r', 'c', 'h', 'ended', 1, 'h', 't', 5, 'over')"
        )
        connection.exec_driver_sql(
            "INSERT INTO account_latches (account, set_ns, set_by, reason) VALUES ('paper', 7, 'ann', 'lunch')"
        )
    engine.dispose()
    with Store(empty_store_url) as store:
        assert store.live.session("old").started_ns == 5
        assert store.live.latched("paper").set_by == "ann"
        name = store.begin_run(example_record())
        sink = store.sink(name, describe)
        for ts, state, by in ((8, TradingState.HALTED, ""), (9, TradingState.ACTIVE, "ann")):
            sink(TradingStateChanged(ts=ts, state=state, cause="drawdown", reason="r", by=by))
        sink.close()
        assert [row["by"] for row in store.table(name, "state_changes")] == [None, "ann"]


def structure(url):
    """Everything a database says about its tables, in an order of its own."""
    engine = make_engine(StoreConfig(url=url))
    found = inspect(engine)
    told = {}
    for name in found.get_table_names():
        columns = [{**column, "type": str(column["type"])} for column in found.get_columns(name)]
        parts = (columns, found.get_indexes(name), found.get_unique_constraints(name), found.get_foreign_keys(name))
        told[name] = [sorted(map(repr, part)) for part in parts] + [found.get_pk_constraint(name)["constrained_columns"]]
    told["decisions"] = "".join(found.get_view_definition("decisions").split())
    engine.dispose()
    return told


def test_tables_when_made_at_once_then_equal_those_of_the_revisions(empty_store_url, postgres, tmp_path):
    Store(empty_store_url).close()
    other = f"sqlite:///{tmp_path}/other.sqlite" if empty_store_url.startswith("sqlite") else postgres.database()
    by_revisions(StoreConfig(url=other))
    assert structure(empty_store_url) == structure(other)


def test_differences_when_a_column_is_missing_then_are_told(empty_store_url):
    database = Database(StoreConfig(url=empty_store_url))
    with database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE runs DROP COLUMN account")
    with database.reading() as connection:
        assert "account" in str(migrate.differences(connection))
    database.close()


def test_newest_revision_when_named_then_is_the_schema_version_of_the_program():
    assert migrate.scripts().get_current_head() == migrate.revision_of(schema.SCHEMA_VERSION)
    assert [revision.revision for revision in migrate.scripts().walk_revisions()][-1] == migrate.FIRST_REVISION


def test_store_when_its_version_is_no_number_then_is_refused(store_url):
    with Store(store_url) as store, store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE meta SET value = 'new' WHERE key = 'schema_version'")
    with pytest.raises(ConfigurationError, match="schema version 'new', which is no number"):
        Store(store_url)


def open_store(url, barrier):
    barrier.wait()
    Store(url).close()


@pytest.mark.parametrize("is_old", [False, True])
def test_store_when_three_processes_open_it_first_at_once_then_all_find_it_ready(empty_store_url, tmp_path, is_old):
    if is_old:
        write_version_1(empty_store_url, tmp_path)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    workers = [context.Process(target=open_store, args=(empty_store_url, barrier)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * 3
    with Store(empty_store_url) as store:
        assert len(store.runs()) == int(is_old)


def test_store_when_it_is_up_to_date_then_opening_and_listing_take_no_lock(tmp_path):
    url = f"sqlite:///{tmp_path}/store.sqlite"
    with Store(url) as store:
        store.begin_run(example_record())
    writer = sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with Store(StoreConfig(url=url, busy_timeout_ms=0)) as store:
        assert len(store.runs()) == 1
    writer.execute("ROLLBACK")
    writer.close()
