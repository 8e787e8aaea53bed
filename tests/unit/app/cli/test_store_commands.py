"""`sovereign store` and `sovereign audit`."""

import json
import subprocess
import sys

import pytest

from example_live import example_session
from example_run import example_events, example_record
from sovereign.app.cli.main import run
from sovereign.store.schema import SCHEMA_VERSION
from sovereign.store.store import Store


@pytest.fixture
def command(store_url, tmp_path, monkeypatch, capsys):
    """Runs a command on a store of its own; returns exit code, JSON result and the line on stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOVEREIGN__STORE__URL", store_url)

    def call(*words, as_json=True):
        code = run([*words, *(["--json"] if as_json else [])])
        printed = capsys.readouterr()
        return code, json.loads(printed.out) if as_json and printed.out else printed.out, printed.err

    return call


@pytest.fixture
def audited(store_url):
    with Store(store_url) as store:
        for name in ("flow-1", "flow-2"):
            store.live.begin_session(example_session(name))
            sink = store.live.audit(name)
            for event in example_events():
                sink(event)
            sink.close()
        yield store


def test_status_when_store_is_not_there_then_says_so_and_makes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SOVEREIGN__STORE__URL", f"sqlite:///{tmp_path}/new.sqlite")
    assert run(["store", "status"]) == 0
    assert f"no tables yet; this program: schema {SCHEMA_VERSION}" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_status_when_tables_are_as_expected_then_is_up_to_date(command, audited):
    code, result, _ = command("store", "status")
    assert (code, result["version"], result["expected"], result["differences"]) == (0, SCHEMA_VERSION, SCHEMA_VERSION, [])
    assert "up to date" in command("store", "status", as_json=False)[1]


def test_status_when_a_column_is_missing_then_names_it_and_ends_with_1(command, audited):
    with audited.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE notices DROP COLUMN detail")
    code, text, _ = command("store", "status", as_json=False)
    assert code == 1
    assert "detail" in text


def test_status_when_a_newer_program_wrote_it_then_ends_with_1(command, audited):
    with audited.database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE meta SET value = '{SCHEMA_VERSION + 1}'")
    assert command("store", "status")[0] == 1


def test_upgrade_when_run_on_nothing_then_makes_the_tables_and_then_has_nothing_to_do(empty_store_url, monkeypatch, capsys):
    monkeypatch.setenv("SOVEREIGN__STORE__URL", empty_store_url)
    assert run(["store", "upgrade"]) == 0
    assert f"empty -> schema {SCHEMA_VERSION}" in capsys.readouterr().out
    assert run(["store", "upgrade"]) == 0
    assert f"schema {SCHEMA_VERSION}, nothing to do" in capsys.readouterr().out


def test_prune_when_run_then_tells_what_it_removed(command, audited):
    audited.live.end_session("flow-1", ended_ns=1)
    code, result, _ = command("store", "prune", "--before", "2026-01-01")
    assert (code, result["removed"]["live_sessions"]) == (0, 1)
    assert [session.id for session in audited.live.sessions()] == ["flow-2"]


def test_rls_script_when_printed_then_is_sql_alone(command):
    code, text, _ = command("store", "rls-script", as_json=False)
    assert code == 0
    assert text.startswith("-- Row-level security")
    assert text.endswith("COMMIT;\n")


def test_verify_when_chains_are_whole_then_prints_their_heads(command, audited):
    code, result, _ = command("audit", "verify")
    assert (code, result["broken"]) == (0, 0)
    heads = [audited.live.verify_audit(name).head for name in ("flow-1", "flow-2")]
    assert [session["head"] for session in result["sessions"]] == heads
    assert command("audit", "verify", "last", as_json=False)[1].startswith("flow-2: ")


def test_verify_when_an_event_was_changed_then_names_it_and_ends_with_1(command, audited):
    with audited.database.writing() as connection:
        connection.exec_driver_sql("UPDATE audit_events SET ts = ts + 1 WHERE session_id = 'flow-1' AND seq = 4")
    code, text, _ = command("audit", "verify", as_json=False)
    assert code == 1
    assert "flow-1: BROKEN: event 4 carries kind" in text
    assert "2 sessions: 1 broken" in text
    assert command("audit", "verify", "flow-2")[0] == 0


def test_show_when_asked_then_lists_events_in_order(command, audited):
    code, result, _ = command("audit", "show", "flow-1", "--since", "2", "--limit", "3")
    assert code == 0
    assert [event["seq"] for event in result["events"]] == [2, 3, 4]
    text = command("audit", "show", "flow-1", "--kind", "TradeClosed", as_json=False)[1]
    assert text.count("TradeClosed  ") == text.count("\n") == 4


def test_show_when_session_is_unknown_then_is_not_found(command, audited):
    assert command("audit", "show", "flow-3")[0] == 3


def test_runs_when_the_process_of_one_was_killed_then_it_is_listed_as_dead(command, store_url):
    script = (
        "import sys; from example_run import example_record; from sovereign.store.store import Store; "
        "Store(sys.argv[1]).begin_run(example_record()); print('begun', flush=True); sys.stdin.read()"
    )
    tests = __file__.rsplit("/unit/", 1)[0]
    with subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {tests!r}); {script}", store_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"begun\n"
        assert [row["status"] for row in command("runs", "list")[1]] == ["running"]
        other.kill()
    assert [row["status"] for row in command("runs", "list")[1]] == ["dead"]
    with Store(store_url) as store:
        store.begin_run(example_record())
        assert store.run("last").status == "running"


SECRET = "hunter2%40x"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://me:{SECRET}@127.0.0.1:1/sovereign",
        f"postgresql+psycopg://me@127.0.0.1:1/sovereign?password={SECRET}",
        f"postgresql+nothing://me:{SECRET}@127.0.0.1:1/sovereign",
        "postgresql+psycopg://me:hunter2@x@127.0.0.1:1/sovereign",
    ],
)
@pytest.mark.parametrize("words", [("store", "status"), ("store", "upgrade"), ("runs", "list"), ("config", "show")])
def test_command_when_the_database_does_not_answer_then_its_password_is_nowhere(url, words, monkeypatch, capsys):
    monkeypatch.setenv("SOVEREIGN__STORE__URL", url)
    monkeypatch.setenv("SOVEREIGN__STORE__BUSY_TIMEOUT_MS", "100")
    code = run([*words, "--traceback"])
    printed = capsys.readouterr()
    assert code == (0 if words[0] == "config" else 4)
    assert "hunter2" not in printed.out + printed.err


@pytest.fixture
def traded(store_url):
    results = [
        {
            "ts": 1_741_000_000_000_000_000 + at,
            "symbol": symbol,
            "sovereign_direction": "buy",
            "madman_direction": "sell",
            "conflict": True,
            "verdict": "strong_execute",
            "sovereign_confidence": 0.8125,
            "madman_confidence": 0.5,
            "tug_score": 0.3125,
            "decision_id": None,
        }
        for at in range(3)
        for symbol in ("NVDA", "JPM", "CAT")
    ]
    with Store(store_url) as store:
        store.scouts.add("tug_results", "paper", results)
        store.scouts.add("tug_results", "other", results[:1])


def test_show_when_asked_then_the_newest_rows_of_the_symbols_and_account(command, traded):
    code, rows, _ = command("store", "show", "tug_results", "--account", "paper", "--last", "3", "--symbols", "NVDA", "JPM")
    assert code == 0
    assert [(row["symbol"], row["ts"] % 10) for row in rows] == [("JPM", 2), ("NVDA", 2), ("JPM", 1)]
    assert (rows[0]["account"], rows[0]["verdict"], rows[0]["tug_score"]) == ("paper", "strong_execute", 0.3125)
    assert len(command("store", "show", "tug_results")[1]) == 10


def test_show_when_printed_as_text_then_a_line_a_row_with_its_time(command, traded):
    code, text, _ = command("store", "show", "tug_results", "--last", "2", as_json=False)
    assert code == 0
    head, *lines = text.splitlines()
    assert head.split()[:4] == ["account", "ts", "symbol", "sovereign_direction"]
    assert len(lines) == 2
    assert "2025-03-03 11:06:40" in lines[0]
    assert "0.3125" in lines[0]


@pytest.mark.parametrize("table", ["tug_signals", "tug_trades", "regime_states", "ofi_snapshots", "news_readings"])
def test_show_when_nothing_is_there_then_says_who_writes_it(command, table):
    assert command("store", "show", table) == (0, [], "")
    assert "sovereign scout" in command("store", "show", table, as_json=False)[1]


def test_show_when_there_is_no_such_table_or_no_symbol_in_it_then_refused(command):
    assert "did you mean 'tug_results'?" in command("store", "show", "tug_result")[2]
    assert "regime_states has no symbol" in command("store", "show", "regime_states", "--symbols", "NVDA")[2]
