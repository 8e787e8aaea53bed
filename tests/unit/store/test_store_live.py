"""What live sessions keep: themselves, states, commands, heartbeats, notices, latches, and for how long."""

import subprocess
import sys
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from example_live import example_session
from sovereign.core.command import Command, CommandKind
from sovereign.core.errors import NotFoundError, UsageError
from sovereign.core.event import Notice, NoticeCode, Severity, TradingState
from sovereign.store import live_schema
from sovereign.store.live import DEMONSTRATION
from sovereign.store.session_state import HeldPosition, SessionState
from sovereign.store.store import Store

SESSION = example_session()
STATE = SessionState(
    account="A1",
    strategy="flow",
    session_id=SESSION.id,
    trade_date=date(2026, 1, 5),
    updated_ns=2**62,
    balance=Decimal("10169.50"),
    day_start_balance=Decimal("1E+4"),
    high_water_mark=Decimal("10500.0000000000000001"),
    trading_state=TradingState.HALTED,
    halts=({"cause": "daily_loss", "by": "door"},),
    positions=(HeldPosition(symbol="MESH6", tape="ESH6", quantity=-3, cost_ticks=-60_000),),
    door={"streak": 2, "tier": "one", "marks": [1.5, None]},
    execution_cursor=2**40,
)


@pytest.fixture
def live(store_url):
    with Store(store_url) as store:
        yield store.live


def notice(ts, code=NoticeCode.DATA_STALE, subject="ES", severity=Severity.WARNING):
    return Notice(ts=ts, code=code, severity=severity, subject=subject, text="no ticks", values={"age_s": 12})


def command(number, kind=CommandKind.HALT, **changes):
    return Command(command_id=f"c{number}", kind=kind, by="ann", reason="news", **changes)


# -- sessions ------------------------------------------------------------------------------------------------------------


def test_session_when_begun_and_ended_then_comes_back_as_it_was(live):
    begun = live.begin_session(SESSION)
    assert replace(begun, process=None) == SESSION
    live.end_session(SESSION.id, ended_ns=900, reason="bell")
    ended = live.session("flow-A1")
    assert (ended.status, ended.ended_ns, ended.reason) == ("ended", 900, "bell")


def test_session_when_begun_again_by_the_same_process_then_goes_on_with_its_first_start(live):
    live.begin_session(SESSION)
    live.end_session(SESSION.id, ended_ns=500, status="failed", reason="disk")
    again = live.begin_session(replace(SESSION, started_ns=700, code_hash="new"))
    assert (again.started_ns, again.status, again.code_hash, again.ended_ns) == (100, "running", "new", None)


def test_session_when_its_id_belongs_to_another_account_then_is_refused(live):
    live.begin_session(SESSION)
    with pytest.raises(UsageError, match="belongs to A1, flow, paper, 2026-01-05"):
        live.begin_session(replace(SESSION, account="B2"))


def begin_elsewhere(url, ending, account="A1", mode="paper"):
    """Begin the session in a process of its own that lives until `ending` says otherwise."""
    script = (
        "import sys; from datetime import date; from sovereign.store.store import Store; "
        "from sovereign.store.live import LiveSession; store = Store(sys.argv[1]); "
        f"store.live.begin_session(LiveSession(id='flow-A1-20260105', account='{account}', strategy='flow', mode='{mode}', "
        "trade_date=date(2026, 1, 5), recording_path='r', started_ns=100, code_hash='c', config_hash='d')); "
        f"store.live.commands.take('flow-A1-20260105', '{account}', 'flow', 5); "
        "store.live.beat('session:x', 7, {'positions': 1}); print('begun', flush=True); " + ending
    )
    return subprocess.Popen([sys.executable, "-c", script, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_session_when_another_living_process_runs_it_then_is_refused(live, store_url):
    with begin_elsewhere(store_url, "sys.stdin.read()") as other:
        assert other.stdout.readline() == b"begun\n"
        with pytest.raises(UsageError, match=f"process {other.pid} is running"):
            live.begin_session(SESSION)
        assert live.session("last").status == "running"
        with pytest.raises(UsageError, match=f"process {other.pid} trades already"):
            live.begin_session(replace(SESSION, id="council-A1-20260105", strategy="council"))
        assert live.begin_session(replace(SESSION, id="flow-B2-20260105", account="B2")).status == "running"
        other.stdin.close()


def test_demonstrations_when_another_process_runs_one_of_another_strategy_then_both_run(live, store_url):
    given = replace(SESSION, account="demo", mode=DEMONSTRATION)
    with begin_elsewhere(store_url, "sys.stdin.read()", account="demo", mode=DEMONSTRATION) as other:
        assert other.stdout.readline() == b"begun\n"
        assert live.begin_session(replace(given, id="council-demo", strategy="council")).status == "running"
        with pytest.raises(UsageError, match=f"process {other.pid} trades already"):
            live.begin_session(replace(given, id="council-paper", strategy="council", mode="paper"))
        other.stdin.close()


def test_session_when_its_process_was_killed_then_is_dead_and_can_be_taken_up(live, store_url):
    live.commands.put(command(1), "A1", ts=1)
    with begin_elsewhere(store_url, "sys.stdin.read()") as other:
        assert other.stdout.readline() == b"begun\n"
        other.kill()
    assert live.session("last").status == "dead"
    assert live.sessions(status="running") == []
    assert [beat.is_gone for beat in live.heartbeats()] == [True]
    # What the dead one had taken and not answered is open to another session, or to itself after a restart.
    assert [c.command_id for c in live.commands.unanswered(SESSION.id)] == ["c1"]
    assert [c.command_id for c in live.commands.unanswered(SESSION.id, 10**18)] == ["c1"]  # it never expires
    assert [c.command_id for c in live.commands.take("next", "A1", "flow", 9)] == ["c1"]
    assert live.begin_session(SESSION).status == "running"


def test_session_when_ended_as_running_or_never_begun_then_is_refused(live):
    with pytest.raises(UsageError, match="status was 'running'"):
        live.end_session(SESSION.id, ended_ns=1, status="running")
    with pytest.raises(NotFoundError, match="never begun"):
        live.end_session(SESSION.id, ended_ns=1)


@pytest.mark.parametrize(("name", "says"), [("last", "there has been none"), ("x", "not in the store")])
def test_session_when_unknown_then_error_helps(live, name, says):
    with pytest.raises(NotFoundError, match=says):
        live.session(name)


def test_sessions_when_filtered_then_newest_first(live):
    for number in range(3):
        live.begin_session(replace(SESSION, id=f"s{number}", account=f"A{number % 2}", started_ns=number))
    live.end_session("s2", ended_ns=9)
    assert [session.id for session in live.sessions()] == ["s2", "s1", "s0"]
    assert [session.id for session in live.sessions(account="A0", limit=1)] == ["s2"]
    assert [session.id for session in live.sessions(status="running")] == ["s1", "s0"]
    assert live.sessions(trade_date=date(2020, 1, 1)) == []
    with pytest.raises(UsageError, match="3 sessions begin with"):
        live.session("s")


def test_targets_when_asked_then_are_all_accounts_with_a_session_or_a_state(live):
    live.begin_session(SESSION)
    live.states.save(replace(STATE, account="B2"))
    assert live.targets() == [("A1", "flow"), ("B2", "flow")]


# -- states --------------------------------------------------------------------------------------------------------------


def test_state_when_saved_then_is_loaded_exactly(live):
    assert live.states.load("A1", "flow") is None
    live.states.save(STATE)
    assert live.states.load("A1", "flow") == STATE
    assert live.states.load("A1", "other") is None


def test_state_when_saved_again_then_replaces_the_one_before(live):
    live.states.save(STATE)
    live.states.save(replace(STATE, positions=(), trading_state=TradingState.ACTIVE, execution_cursor=2**41))
    live.states.save(replace(STATE, account="B2"))
    assert live.states.load("A1", "flow").execution_cursor == 2**41
    assert [state.account for state in live.states.all()] == ["A1", "B2"]
    assert [state.account for state in live.states.all("B2")] == ["B2"]


# -- commands ------------------------------------------------------------------------------------------------------------


def test_command_when_put_while_no_session_runs_then_waits_for_the_next(live):
    given = command(1, arguments={"symbol": "ES"})
    assert live.commands.put(given, "A1", ts=10)
    assert live.commands.take("s1", "B2", "flow", 20) == []
    assert live.commands.take("s1", "A1", "flow", 20) == [given]
    assert live.commands.take("s1", "A1", "flow", 21) == []
    assert live.commands.take("s2", "A1", "other", 22) == [given], "s1 is no session that runs"


def test_command_when_its_taker_runs_then_nobody_else_gets_it(live):
    live.begin_session(SESSION)
    live.commands.put(command(1), "A1", ts=10)
    assert len(live.commands.take(SESSION.id, "A1", "flow", 20)) == 1
    assert live.commands.take("s2", "A1", "flow", 22) == []
    live.end_session(SESSION.id, ended_ns=30)
    assert len(live.commands.take("s2", "A1", "flow", 31)) == 1


def test_command_when_put_twice_then_is_one(live):
    assert live.commands.put(command(1), "A1", ts=10)
    assert not live.commands.put(command(1), "A1", ts=11)
    with pytest.raises(UsageError, match="asks for HALT of account 'A1' already"):
        live.commands.put(command(1, CommandKind.RESUME), "A1", ts=12)
    assert len(live.commands.listed()) == 1


def test_commands_when_taken_then_come_in_the_order_they_were_put_in(live):
    for number, kind in enumerate((CommandKind.HALT, CommandKind.RESUME, CommandKind.FLATTEN)):
        live.commands.put(command(number, kind), "A1", ts=10 - number)
    assert [c.command_id for c in live.commands.take("s", "A1", "flow", 20)] == ["c0", "c1", "c2"]


def test_command_when_answered_then_first_answer_stands(live):
    live.commands.put(command(1), "A1", ts=10)
    assert live.commands.get("c1").is_done is None
    live.commands.take("s", "A1", "flow", 20)
    live.commands.answer("c1", is_done=True, text="halted", ts=30)
    live.commands.answer("c1", is_done=False, text="too late", ts=40)
    found = live.commands.get("c1")
    assert (found.is_done, found.answer, found.answered_ns, found.taken_by, found.taken_ns) == (True, "halted", 30, "s", 20)
    assert live.commands.unanswered("s") == []
    assert live.commands.listed(is_open=True) == []


def test_command_when_it_expired_after_it_was_taken_then_a_restart_does_not_carry_it_out(live):
    live.commands.put(command(1, CommandKind.TRADE), "A1", ts=10, expires_ns=50)
    live.commands.take("s", "A1", "flow", 20)
    assert [c.command_id for c in live.commands.unanswered("s", 49)] == ["c1"]
    assert live.commands.unanswered("s", 50) == []


def test_command_when_expired_then_is_answered_so_and_not_taken(live):
    live.commands.put(command(1, CommandKind.TRADE), "A1", ts=10, expires_ns=50)
    assert live.commands.take("s", "A1", "flow", 50) == []
    found = live.commands.get("c1")
    assert (found.is_done, found.answered_ns) == (False, 50)
    assert "expired" in found.answer


def test_command_when_meant_for_one_strategy_then_others_do_not_get_it(live):
    live.commands.put(command(1), "A1", ts=10, strategy="flow")
    assert live.commands.take("s", "A1", "trend", 20) == []
    assert len(live.commands.take("s", "A1", "flow", 20)) == 1


def test_command_when_unknown_then_is_not_found(live):
    for ask in (lambda: live.commands.get("x"), lambda: live.commands.answer("x", is_done=True, text="", ts=1)):
        with pytest.raises(NotFoundError, match="nobody has put"):
            ask()


# -- heartbeats, notices, latches ----------------------------------------------------------------------------------------


def test_heartbeat_when_beaten_again_then_is_one_row_with_the_latest(live):
    live.beat("guard", 1, {"armed": False})
    live.beat("guard", 2, {"armed": True})
    live.beat("alerts", 1, {})
    beats = live.heartbeats()
    assert [(beat.process, beat.ts, dict(beat.state), beat.is_gone) for beat in beats] == [
        ("alerts", 1, {}, False),
        ("guard", 2, {"armed": True}, False),
    ]


def test_notice_when_resolved_then_the_trouble_names_what_ended_it(live):
    first = live.add_notice(notice(1), account="A1")
    other = live.add_notice(notice(2, subject="NQ"), account="A1")
    elsewhere = live.add_notice(notice(3), account="B2")
    ended = live.add_notice(notice(4, NoticeCode.DATA_RESTORED, severity=Severity.INFO), account="A1")
    found = {stored.key: stored for stored in live.notices()}
    assert (found[first].resolved_by, found[first].resolved_ns) == (ended, 4)
    assert [found[key].resolved_by for key in (other, elsewhere, ended)] == [None, None, None]
    assert found[first].notice == notice(1)


def test_notices_when_asked_then_by_least_severity_key_and_account(live):
    keys = [live.add_notice(notice(n, severity=s), account=f"A{n % 2}") for n, s in enumerate(Severity)]
    assert [stored.key for stored in live.notices(severity=Severity.ALARM)] == keys[2:]
    assert [stored.key for stored in live.notices(since_key=keys[0], account="A1")] == [keys[1], keys[3]]
    assert [stored.key for stored in live.notices(limit=2)] == keys[2:]


def test_latch_when_set_then_holds_until_somebody_clears_it_by_name(live):
    assert live.latched("A1") is None
    live.latch("A1", by="ann", reason="sick feeling", ts=1)
    assert live.latch("A1", by="bob", reason="again", ts=2).set_by == "ann"
    assert live.latched("A1").reason == "sick feeling"
    assert live.latched("B2") is None
    with pytest.raises(UsageError, match="give the name"):
        live.clear_latch("A1", by=" ", ts=3)
    assert live.clear_latch("A1", by="ann", ts=3)
    assert not live.clear_latch("A1", by="ann", ts=4)
    assert live.latched("A1") is None
    assert [(latch.cleared_by, latch.cleared_ns) for latch in live.latches(is_open=False)] == [("ann", 3)]
    assert live.latches() == []


def test_latch_when_set_for_every_account_then_holds_each(live):
    live.latch(live_schema.EVERY_ACCOUNT, by="guard", reason="bell", ts=1)
    assert live.latched("anyone").set_by == "guard"


# -- retention -----------------------------------------------------------------------------------------------------------


def test_prune_when_asked_then_removes_what_is_over_and_keeps_what_still_matters(live):
    for number, ended in enumerate((50, 150, None)):
        live.begin_session(replace(SESSION, id=f"s{number}"))
        audit = live.audit(f"s{number}")
        audit(notice(1))
        audit.close()
        if ended:
            live.end_session(f"s{number}", ended_ns=ended)
    live.states.save(replace(STATE, updated_ns=1))
    live.latch("A1", by="ann", reason="", ts=1)
    live.commands.put(command(1), "A1", ts=1)
    live.commands.put(command(2), "A1", ts=1)
    live.commands.answer("c2", is_done=True, text="", ts=2)
    live.beat("guard", 1, {})
    live.add_notice(notice(1))
    live.add_notice(notice(2, severity=Severity.INFO))
    removed = live.prune(100).rows
    assert {name: count for name, count in removed.items() if count} == {
        "live_sessions": 1,
        "audit_events": 1,
        "audit_heads": 1,
        "commands": 1,
        "heartbeats": 1,
        "notices": 1,
    }
    assert [session.id for session in live.sessions()] == ["s2", "s1"]
    assert live.latched("A1") is not None
    assert live.states.load("A1", "flow") is not None
