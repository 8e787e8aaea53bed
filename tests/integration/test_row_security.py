"""Row-level security on PostgreSQL with the roles of Supabase: who reads what, in both forms of the token."""

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal

import psycopg
import pytest
from sqlalchemy import inspect

from example_live import example_order, example_session
from example_run import describe, example_events, example_record
from example_scouts import ORDER, READING, RESULT, SIGNAL, SNAPSHOT
from sovereign.core.command import Command, CommandKind
from sovereign.core.episode import Episode
from sovereign.core.event import Notice, NoticeCode, Severity
from sovereign.store import schema
from sovereign.store.configuration import StoreConfig
from sovereign.store.episodes import SqlEpisodeBook
from sovereign.store.row_security import row_security_script
from sovereign.store.session_state import SessionState
from sovereign.store.status import store_status
from sovereign.store.store import Store

ANN, BOB = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
ROLES = """
DO $$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'anon') THEN
    CREATE ROLE anon NOLOGIN; CREATE ROLE authenticated NOLOGIN; CREATE ROLE service_role NOLOGIN BYPASSRLS;
  END IF;
END $$;
GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
GRANT ALL ON ALL TABLES IN SCHEMA public TO anon, authenticated, service_role;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO anon, authenticated, service_role;
"""
"""What a Supabase project has before anybody cares: everything is open."""


def fill_scouts(store, account):
    """Leave a row in every table of the tug of war."""
    store.scouts.add_snapshots([SNAPSHOT])
    store.scouts.add_reading(READING)
    store.scouts.add("tug_signals", account, [SIGNAL])
    store.scouts.add("tug_results", account, [RESULT])
    store.scouts.add("tug_trades", account, [ORDER])
    store.scouts.add("regime_states", account, [{"ts": 1, "state": "chop"}])


def fill(store, account):
    """Leave a row of this account in every table that belongs to accounts."""
    name = store.begin_run(replace(example_record(id=f"run-{account}"), account=account))
    sink = store.sink(name, describe)
    for event in example_events():
        sink(event)
    sink.close()
    live, session = store.live, f"s-{account}"
    live.begin_session(example_session(session, account=account))
    notice = Notice(ts=1, code=NoticeCode.DIGEST, severity=Severity.INFO, subject="x", text="t")
    audit = live.audit(session)
    audit(notice)
    with live.journal(session, audit) as journal:
        journal.record(example_order(), "NEW", 1)
    money = Decimal(1)
    live.states.save(
        SessionState(
            account=account,
            strategy="flow",
            trade_date=date(2026, 1, 5),
            updated_ns=1,
            balance=money,
            day_start_balance=money,
            high_water_mark=money,
        )
    )
    live.commands.put(Command(command_id=f"c-{account}", kind=CommandKind.HALT, by="ann"), account, ts=1)
    live.add_notice(notice, account=account)
    episode = Episode(
        episode_id=f"e-{account}",
        strategy="council",
        symbol="SPY",
        opened_ns=1,
        side=1,
        regime="CALM",
        features=(0.5,),
        views=(("hedge", None, 0.0),),
        confidence=0.6,
        size_frac=0.1,
    )
    SqlEpisodeBook(store.database, account).keep(episode, 10)
    fill_scouts(store, account)
    live.latch(account, by="ann", reason="", ts=1)
    live.beat(f"session:{account}", 1, {})


@pytest.fixture(scope="module")
def place(postgres):
    """A filled database with the script run twice on it; returns its libpq connection text."""
    url = postgres.database()
    with Store(url) as store:
        fill(store, "A1")
        fill(store, "B2")
        store.begin_run(example_record())
        store.live.latch("*", by="guard", reason="", ts=1)
        store.keep_test("k", 1, {})
        with store.database.writing() as connection:
            for account, user in (("A1", ANN), ("B2", BOB)):
                connection.exec_driver_sql(f"INSERT INTO account_owners VALUES ('{account}', '{user}')")
        with store.database.writing() as connection:
            connection.exec_driver_sql(ROLES)
    config = StoreConfig(url=url)
    assert set(store_status(config).open_tables) == set(schema.metadata.tables)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        for _ in range(2):
            connection.execute(row_security_script())
    assert store_status(config).open_tables == ()
    return url


def as_role(place, role, user, form="claims"):
    """Return a connection that is inside a transaction of a role, with the token of a user."""
    connection = psycopg.connect(place.replace("+psycopg", ""))
    if user is not None and form == "claims":
        claims = json.dumps({"sub": user, "role": role})
        connection.execute("SELECT set_config('request.jwt.claims', %s, true)", [claims])
    elif user is not None:
        connection.execute("SELECT set_config('request.jwt.claim.sub', %s, true)", [user])
    connection.execute(f"SET LOCAL ROLE {role}")
    return connection


NAMES = sorted([*schema.metadata.tables, "alembic_version", "decisions"])
HIDDEN = {"meta", "strategy_tests", "heartbeats", "alembic_version", "ofi_snapshots", "news_readings"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("user", [None, ANN])
def test_anon_when_it_reads_then_gets_nothing(place, name, user):
    with as_role(place, "anon", user) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"SELECT * FROM {name}")


@pytest.mark.parametrize("form", ["claims", "claim.sub"])
def test_authenticated_when_it_reads_then_gets_the_rows_of_its_accounts_alone(place, form):
    found = {}
    for user, account, other in ((ANN, "A1", "B2"), (BOB, "B2", "A1")):
        with as_role(place, "authenticated", user, form) as connection:
            for name in sorted(set(NAMES) - HIDDEN):
                rows = connection.execute(f"SELECT * FROM {name}").fetchall()
                assert rows, name
                found.setdefault(name, []).append(len(rows))
                assert other not in {value for row in rows for value in row}, (name, account)
            assert connection.execute("SELECT account FROM live_sessions").fetchall() == [(account,)]
            assert connection.execute("SELECT id FROM runs").fetchall() == [(f"run-{account}",)]
            assert connection.execute("SELECT count(*) FROM decisions").fetchall() == [(13,)]
    assert all(first == second for first, second in found.values())


@pytest.mark.parametrize("user", [None, "33333333-3333-3333-3333-333333333333", ""])
def test_authenticated_when_it_owns_no_account_then_gets_no_row(place, user):
    with as_role(place, "authenticated", user) as connection:
        assert [name for name in sorted(set(NAMES) - HIDDEN) if connection.execute(f"SELECT * FROM {name}").fetchone()] == []


@pytest.mark.parametrize("name", sorted(HIDDEN))
def test_authenticated_when_it_reads_what_belongs_to_nobody_then_is_refused(place, name):
    with as_role(place, "authenticated", ANN) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"SELECT * FROM {name}")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO account_owners VALUES ('B2', '11111111-1111-1111-1111-111111111111')",
        "UPDATE commands SET kind = 'RESUME'",
        "DELETE FROM account_latches",
        "INSERT INTO commands (command_id, account, kind, asked_by, reason, arguments, put_ns) "
        "VALUES ('x', 'A1', 'TRADE', 'me', '', '{}', 1)",
        "TRUNCATE audit_events",
        "SELECT nextval('commands_key_seq')",
    ],
)
@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_other_roles_when_they_write_then_are_refused(place, role, statement):
    with as_role(place, role, ANN) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_service_role_when_it_reads_and_writes_then_may_do_all(place):
    with as_role(place, "service_role", None) as connection:
        for name in NAMES:
            assert connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] >= 1, name
        connection.execute(
            "INSERT INTO commands (command_id, account, kind, asked_by, reason, arguments, put_ns) "
            "VALUES ('x', 'A1', 'HALT', 'board', '', '{}', 1)"
        )
        connection.rollback()


def test_program_when_security_is_on_then_works_as_before(place):
    with Store(place) as store:
        assert {session.account for session in store.live.sessions()} == {"A1", "B2"}
        assert store.live.verify_audit("s-A1").is_whole
        assert len(store.table("run-A1", "decisions")) == 13


def test_script_when_read_then_names_every_table(postgres):
    url = postgres.database()
    with Store(url) as store, store.database.reading() as connection:
        tables = inspect(connection).get_table_names()
    script = row_security_script()
    assert [name for name in tables if f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY" not in script] == []
