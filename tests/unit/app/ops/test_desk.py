"""Sessions seen and asked through a real store, the session's side played by the test."""

import json
from datetime import date
from decimal import Decimal

import pytest

from sovereign.app.cli.main import run
from sovereign.app.ops.desk import StoreDesk, session_process
from sovereign.core.command import CommandKind
from sovereign.core.errors import NotRunningError, OperationTimeoutError
from sovereign.core.session import NS_PER_SECOND
from sovereign.store.live import LiveSession
from sovereign.store.session_state import HeldPosition, SessionState
from sovereign.store.store import Store


@pytest.fixture
def store(tmp_path):
    with Store(f"sqlite:///{tmp_path}/store.sqlite") as opened:
        yield opened


@pytest.fixture
def call(tmp_path, capsys):
    """Return a function that runs a command on the test's store and gives code, document and complaint."""

    def words(*line):
        code = run([*line, "--json", "--set", f"store.url=sqlite:///{tmp_path}/store.sqlite"])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else None, err

    return words


def begin(store, name="s1", account="paper", strategy="order_flow"):
    return store.live.begin_session(
        LiveSession(
            id=name,
            account=account,
            strategy=strategy,
            mode="paper",
            trade_date=date(2025, 11, 17),
            recording_path="r",
            started_ns=1,
            code_hash="c",
            config_hash="h",
        )
    )


def desk_with(store, session_id="s1", account="paper", strategy="order_flow", *, is_done=True, answer="done"):
    """Return a desk whose waiting lets a session answer, as the running process would."""
    now = [1_000 * NS_PER_SECOND]

    def sleep(seconds):
        now[0] += round(seconds * NS_PER_SECOND)
        if answer is not None:
            for command in store.live.commands.take(session_id, account, strategy, now[0]):
                store.live.commands.answer(command.command_id, is_done=is_done, text=f"{answer} {command.kind}", ts=now[0])

    return StoreDesk(store.live, now_ns=lambda: now[0], sleep=sleep)


def test_ask_when_a_session_runs_then_its_answer_comes_back(store):
    begin(store)
    (asked,) = desk_with(store).ask(CommandKind.FLATTEN, by="me", reason="lunch", timeout_s=5).asked
    assert (asked.is_done, asked.answer, asked.session_id) == (True, "done FLATTEN", "s1")
    (kept,) = store.live.commands.listed()
    assert (kept.command.by, kept.command.reason, kept.account) == ("me", "lunch", "paper")


def test_ask_when_the_session_hangs_then_timeout_and_what_to_do(store):
    begin(store)
    with pytest.raises(OperationTimeoutError, match="sovereign kill"):
        desk_with(store, answer=None).ask(CommandKind.FLATTEN, by="me", reason="", timeout_s=2)


def test_ask_when_nothing_runs_then_says_what_to_do(store):
    with pytest.raises(NotRunningError, match="sovereign run"):
        desk_with(store).ask(CommandKind.FLATTEN, by="me", reason="", timeout_s=2)


def test_ask_when_nothing_runs_then_an_order_is_not_left_behind_for_later(store):
    begin(store)
    store.live.end_session("s1", ended_ns=2)
    with pytest.raises(NotRunningError):
        desk_with(store).ask(CommandKind.TRADE, by="me", reason="", timeout_s=2)
    assert store.live.commands.listed() == []


@pytest.mark.parametrize("kind", [CommandKind.HALT, CommandKind.RESUME])
def test_latching_command_when_nothing_runs_then_waits_for_the_next_start(store, kind):
    begin(store)
    store.live.end_session("s1", ended_ns=2)
    (asked,) = desk_with(store).ask(kind, by="me", reason="", timeout_s=2).asked
    assert (asked.is_done, asked.answer) == (None, "kept for the next start")
    begin(store, "s2")
    taken = store.live.commands.take("s2", "paper", "order_flow", 10**18)
    assert [command.kind for command in taken] == [kind]


def test_halt_when_one_runs_and_one_does_not_then_both_are_told_and_only_one_is_waited_for(store):
    begin(store, "s0", "other", "council")
    store.live.end_session("s0", ended_ns=2)
    begin(store)
    asked = desk_with(store).ask(CommandKind.HALT, by="me", reason="", timeout_s=2).asked
    assert [(one.account, one.is_done) for one in asked] == [("paper", True), ("other", None)]


def test_order_when_it_was_not_taken_in_time_then_it_expires(store):
    begin(store)
    desk = desk_with(store, answer=None)
    with pytest.raises(OperationTimeoutError):
        desk.ask(CommandKind.TRADE, by="me", reason="", arguments={"symbol": "ES"}, timeout_s=2)
    assert store.live.commands.take("s1", "paper", "order_flow", 1_010 * NS_PER_SECOND) == []


def killed(store, *accounts):
    for number, account in enumerate(accounts):
        store.live.latch(account, by="them", reason="storm", ts=1 + number)


@pytest.mark.parametrize(
    ("account", "causes", "cleared", "standing"),
    [
        (None, "", (), ("*", "paper", "other")),
        ("paper", "", ("paper",), ("*",)),
        ("*", "", ("*",), ("paper", "other")),
        ("paper", "kill", ("paper",), ("*",)),
        ("paper", "drawdown", (), ("*", "paper")),
        (None, "kill", ("*", "paper", "other"), ()),
        (None, "drawdown, kill", ("*", "paper", "other"), ()),
    ],
)
def test_resume_when_accounts_are_killed_then_clears_what_was_named_and_says_what_still_holds(
    store, account, causes, cleared, standing
):
    begin(store)
    killed(store, "*", "paper", "other")
    words = {"causes": causes} if causes else None
    answers = desk_with(store).ask(
        CommandKind.RESUME, by="me", reason="looked at", arguments=words, account=account, timeout_s=2
    )
    assert (answers.cleared, answers.standing) == (cleared, standing)
    assert {latch.account for latch in store.live.latches()} == set(standing) | ({"other"} - set(cleared))
    assert {latch.cleared_by for latch in store.live.latches(is_open=False) if latch.cleared_ns} <= {"me"}


def test_resume_when_a_kill_still_holds_a_session_then_the_session_is_not_told_to_forget_it(store):
    begin(store)
    killed(store, "*", "paper")
    desk_with(store).ask(CommandKind.RESUME, by="me", reason="", account="paper", timeout_s=2)
    desk_with(store).ask(CommandKind.RESUME, by="me", reason="", account="*", timeout_s=2)
    told = [stored.command.arguments for stored in store.live.commands.listed()]
    assert sorted(told, key=len) == [{}, {"kill": "true"}]
    assert store.live.latched("paper") is None


def test_resume_when_nothing_ever_traded_but_a_kill_holds_then_clears_it_by_name(store):
    killed(store, "*")
    answers = desk_with(store).ask(CommandKind.RESUME, by="me", reason="", account="*", timeout_s=2)
    assert (answers.asked, answers.cleared) == ((), ("*",))


def test_resume_command_when_it_names_no_kill_then_says_how_to(store, call):
    killed(store, "*")
    code, _, err = call("resume")
    assert code == 2
    assert "--account '*'" in err
    code, found, _ = call("resume", "--cause", "kill")
    assert (code, found["cleared"]) == (0, ["*"])


def test_status_when_a_session_runs_then_shown_with_heartbeat_guard_and_kills(store, call):
    begin(store)
    store.live.beat(session_process("s1"), 5, {"state": "ACTIVE", "feed_age_s": 0.5, "positions": {"ESZ5": 2}})
    store.live.beat("guard", 5, {})
    store.live.latch("paper", by="guard", reason="bell", ts=2)
    code, found, _ = call("status")
    assert code == 0
    (session,) = found["sessions"]
    assert (session["session"], session["status"], session["state"], session["positions"]) == (
        "s1",
        "running",
        "ACTIVE",
        {"ESZ5": 2},
    )
    assert [guard["guard"] for guard in found["guards"]] == ["guard"]
    assert [kill["by"] for kill in found["kills"]] == ["guard"]


def test_positions_when_running_and_idle_then_each_told_by_who_knows(store, call):
    begin(store)
    store.live.beat(session_process("s1"), 5, {"positions": {"ESZ5": 2, "NQZ5": 0}})
    for account, strategy in (("paper", "order_flow"), ("other", "council")):
        store.live.states.save(
            SessionState(
                account=account,
                strategy=strategy,
                trade_date=date(2025, 11, 14),
                updated_ns=3,
                balance=Decimal(1),
                day_start_balance=Decimal(1),
                high_water_mark=Decimal(1),
                positions=(HeldPosition(symbol="ESZ5", tape="ES", quantity=-2, cost_ticks=-52_801),),
            )
        )
    code, found, _ = call("positions")
    assert code == 0
    # 26,400.5 ticks of 0.25 are 6,600.125
    assert [(row["account"], row["quantity"], row["average_price"], row["source"]) for row in found] == [
        ("paper", 2, None, "running session"),
        ("other", -2, "6600.12", "kept state"),
    ]


def test_commands_when_nothing_runs_then_exit_8_in_one_line(store, call):
    for words in (["flatten"], ["halt"], ["reconcile"], ["trade", "ES", "BUY", "--dry-run"]):
        code, _, err = call(*words)
        assert code == 8, words
        assert json.loads(err)["error"]["type"] == "NotRunningError"


def test_halt_when_it_waits_for_the_next_start_then_kept_and_exit_8(store, call):
    begin(store)
    store.live.end_session("s1", ended_ns=2)
    code, found, err = call("halt", "--reason", "storm", "--by", "me")
    assert code == 8
    assert "holds at the next start" in json.loads(err)["error"]["message"]
    assert found["asked"][0]["is_done"] is None
    assert [command.command.kind for command in store.live.commands.listed(is_open=True)] == [CommandKind.HALT]


def test_command_when_nobody_answers_then_exit_5(store, call):
    begin(store)
    code, _, _ = call("flatten", "--timeout", "0.1")
    assert code == 5


def test_trade_when_side_is_wrong_or_several_sessions_run_then_usage(store, call):
    assert call("trade", "ES", "HOLD")[0] == 2
    begin(store)
    begin(store, "s2", "other", "council")
    code, _, err = call("trade", "ES", "BUY")
    assert code == 2
    assert "--account other --strategy council" in json.loads(err)["error"]["message"]


def test_trade_when_put_then_carries_what_was_asked(store, call):
    begin(store)
    assert call("trade", "ES", "sell", "--qty", "2", "--dry-run", "--flip", "--timeout", "0")[0] == 5
    (kept,) = store.live.commands.listed()
    assert kept.command.arguments == {"symbol": "ES", "side": "SELL", "qty": "2", "dry_run": "true", "flip": "true"}


def test_orders_and_trades_when_a_session_has_none_then_said(store, call):
    begin(store)
    assert call("orders")[:2] == (0, [])
    assert call("trades")[0] == 3


@pytest.mark.parametrize(
    ("word", "about"),
    [("resume", "'*' clears the kill of all"), ("halt", "One account; default: all."), ("trade", "a symbol of the session")],
)
def test_help_when_a_command_asks_sessions_then_it_has_the_options_of_all_such_commands(capsys, word, about):
    assert run([word, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert about in text
    for option in ("--account", "--strategy", "--by", "--reason", "--timeout", "--config", "--set", "--json"):
        assert f" {option} " in text, option
