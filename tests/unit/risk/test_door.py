"""Halts, guards and the memory of the door, with levels worked by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from risk_cases import FRIDAY, LAST, TAPE, TEN, THURSDAY, door, entry, position, proposal, trade, view

from sovereign.core.decision import Approved, Refused
from sovereign.core.errors import ConfigurationError, UsageError
from sovereign.core.event import Event, TradingState, TradingStateChanged
from sovereign.core.port import RiskDoor
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor

D = Decimal
OPEN = (-(2**31), 2**31 - 1)


def causes(events: Any) -> list[tuple[str, TradingState]]:
    return [(event.cause, event.state) for event in events if isinstance(event, TradingStateChanged)]


def test_door_when_typed_then_it_is_the_port() -> None:
    port: RiskDoor = OneDoor(RiskConfig())
    assert port.flatten_ns(THURSDAY) < THURSDAY.close_ns


def test_inspect_when_the_loss_limit_is_reached_then_halted_and_said_once() -> None:
    opened = door()
    assert opened.inspect(view(equity=D("2400.01"))) == []
    assert opened.inspect(view(equity=D(2400))) == [
        TradingStateChanged(
            ts=TEN,
            state=TradingState.HALTED,
            cause="daily_loss_limit",
            reason="the day's profit and loss of -100.00 reached the limit of -100.00",
        )
    ]
    assert opened.inspect(view(equity=D(2300))) == []


def test_inspect_when_the_target_is_reached_then_halted() -> None:
    opened = door()
    rich = view(equity=D(3000), high_water_mark=D(3000), day_start_balance=D(2500))
    assert causes(opened.inspect(rich)) == [("daily_profit_target", TradingState.HALTED)]


def test_inspect_when_floating_profit_is_given_back_then_the_halt_stays() -> None:
    opened = door()
    opened.inspect(view(equity=D(3000)))
    assert [halt.cause for halt in opened.halts] == ["daily_profit_target"]
    assert opened.inspect(view(equity=D(2600))) == []
    assert isinstance(opened.judge(proposal(), view())[1], Refused)


def test_start_session_when_the_day_was_halted_then_trading_resumes() -> None:
    opened = door()
    opened.inspect(view(equity=D(2400)))
    assert opened.start_session(FRIDAY, D(2400)) == []
    assert opened.halts == ()
    friday = view(session=FRIDAY, balance=D(2400), ts=FRIDAY.regular_open_ns)
    assert isinstance(opened.judge(proposal(), friday)[1], Approved)


def test_inspect_when_the_drawdown_is_reached_then_it_outlives_the_day_until_cleared() -> None:
    opened = door(balance=D(2000))
    # a quarter of 2,667 is gone at 2,000.25
    deep = view(balance=D(2000), high_water_mark=D(2667))
    assert causes(opened.inspect(deep)) == [("drawdown", TradingState.HALTED)]
    assert causes(opened.start_session(FRIDAY, D(2000))) == [("drawdown", TradingState.HALTED)]
    with pytest.raises(UsageError, match="in force is drawdown"):
        opened.resume("ann", "", TEN, causes=["nonsense"], view=deep)
    assert causes(opened.resume("ann", "more money", TEN, view=deep)) == [("resumed", TradingState.ACTIVE)]
    # measured from 2,000 from now on: 1,500 is the next halt
    assert opened.inspect(deep) == []
    opened.start_session(THURSDAY, D(1550))
    later = view(balance=D(1550), equity=D("1500.01"), high_water_mark=D(2667))
    assert opened.inspect(later) == []
    assert causes(opened.inspect(view(balance=D(1550), equity=D(1500), high_water_mark=D(2667)))) == [
        ("drawdown", TradingState.HALTED)
    ]


def test_resume_when_the_halt_is_of_the_day_then_refused() -> None:
    opened = door()
    opened.inspect(view(equity=D(2400)))
    with pytest.raises(UsageError, match="ends with the trade date"):
        opened.resume("ann", "", TEN, causes=["daily_loss_limit"])


def test_inspect_when_margin_is_high_then_said_once_and_no_trading_that_day() -> None:
    opened = door()
    high = view(margin_per_unit={"MESZ5": D(80)})
    assert opened.inspect(high) == [
        TradingStateChanged(
            ts=TEN,
            state=TradingState.REDUCING,
            cause="margin",
            reason="high-margin day, no trading: the margin of MESZ5 was 80.00, traded up to 40.00",
        )
    ]
    assert opened.inspect(high) == []
    normal = opened.judge(proposal(), view())[1]
    assert isinstance(normal, Refused)
    assert normal.check == "trading_state"
    assert opened.start_session(FRIDAY, D(2500)) == []
    assert isinstance(opened.judge(proposal(), view(session=FRIDAY, ts=FRIDAY.regular_open_ns))[1], Approved)


def test_inspect_when_halted_and_margin_is_high_then_the_graver_word_is_the_last() -> None:
    worst = view(margin_per_unit={"MESZ5": D(80)}, equity=D(2400))
    both = [("margin", TradingState.REDUCING), ("daily_loss_limit", TradingState.HALTED)]
    assert causes(door().inspect(worst)) == both
    halted = door()
    halted.inspect(view(equity=D(2400)))
    assert halted.inspect(worst) == []  # REDUCING would only soften what is said already


def test_inspect_when_the_margin_of_the_untraded_size_is_high_then_nothing() -> None:
    assert door().inspect(view(margin_per_unit={"MESZ5": D(40), "ESZ5": D(900)})) == []


def test_inspect_when_flat_and_equity_unknown_then_silent_but_with_a_position_halted() -> None:
    opened = door()
    assert opened.inspect(view(equity=None)) == []
    held = {"MESZ5": position()}
    assert causes(opened.inspect(view(equity=None, positions=held))) == [("unknown_equity", TradingState.HALTED)]


# Guards. Day start 2,500; tier 1: loss at 2,400, target at 3,000. MES is worth 1.25 a tick.


def test_guard_when_flat_then_out_of_reach() -> None:
    assert door().guard(TAPE, view()) == OPEN
    assert door().guard("SPY", view(positions={"MESZ5": position()})) == OPEN


def test_guard_when_long_then_loss_below_and_target_above() -> None:
    # 3 MES: 3.75 a tick; 100 / 3.75 = 26.67 ticks down, 500 / 3.75 = 133.33 up
    account = view(positions={"MESZ5": position(quantity=3)})
    assert door().guard(TAPE, account) == (LAST - 26, LAST + 133)


def test_guard_when_short_then_loss_above_and_target_below() -> None:
    account = view(positions={"MESZ5": position(quantity=-3)})
    assert door().guard(TAPE, account) == (LAST - 133, LAST + 26)


def test_guard_when_a_tick_hits_the_limit_exactly_then_the_tick_before_is_the_last_safe() -> None:
    # 2 MES: 2.50 a tick; 40 ticks are exactly 100
    assert door().guard(TAPE, view(positions={"MESZ5": position(quantity=2)})) == (LAST - 39, LAST + 199)


def test_guard_when_the_day_has_lost_already_then_the_rest_counts() -> None:
    # 60 realized, 8 ticks of 2.50 floating: 20 more are left, the 8th tick below the last price trips
    account = view(
        balance=D(2440),
        equity=D(2420),
        day_start_balance=D(2500),
        high_water_mark=D(2500),
        positions={"MESZ5": position(quantity=2)},
        last_ticks={TAPE: LAST - 8},
    )
    assert door().guard(TAPE, account)[0] == LAST - 15


def test_guard_when_another_position_floats_then_it_stands_still() -> None:
    # CL is down 5 ticks of 10: 50 of the 100 are gone; 1 MES loses the other 50 at the 40th tick
    account = view(
        equity=D(2450),
        positions={"MESZ5": position(), "CLZ5": position("CLZ5", 1, 6000, "CLZ5")},
        last_ticks={TAPE: LAST, "CLZ5": 5995},
    )
    assert door().guard(TAPE, account)[0] == LAST - 39


def test_guard_when_the_drawdown_is_nearer_then_it_decides() -> None:
    # 75% of 3,250 is 2,437.50: 62.50 below equity, 50 ticks of one MES
    account = view(high_water_mark=D(3250), positions={"MESZ5": position()})
    assert door().guard(TAPE, account)[0] == LAST - 49


def test_guard_when_there_is_no_target_then_only_losses_bound() -> None:
    opened = door(RiskConfig(daily_profit_target=None))
    assert opened.guard(TAPE, view(positions={"MESZ5": position(quantity=2)})) == (LAST - 39, 2**31 - 1)


def test_guard_when_the_tape_has_no_price_then_the_balance_serves() -> None:
    account = view(positions={"MESZ5": position(quantity=2)}, last_ticks={})
    assert door().guard(TAPE, account) == (LAST - 39, LAST + 199)


def test_guard_when_money_is_unknown_then_every_price_trips_until_halted() -> None:
    opened = door()
    account = view(equity=None, positions={"MESZ5": position()})
    assert opened.guard(TAPE, account) == (2**31 - 1, -(2**31))
    opened.inspect(account)
    assert opened.guard(TAPE, account) == OPEN


def test_guard_when_hedged_by_its_sibling_then_no_price_moves_equity() -> None:
    # one ES long, ten MES short: nothing on this tape changes equity
    hedge = {"ESZ5": position("ESZ5", 1), "MESZ5": position("MESZ5", -10)}
    assert door().guard(TAPE, view(positions=hedge)) == OPEN


# Memory


def worn() -> OneDoor:
    opened = door(balance=D(2600))
    opened.on_trade(trade("-5"), view())
    opened.on_trade(trade("-5"), view())
    assert isinstance(opened.judge(proposal(), view(balance=D(2590)))[1], Approved)
    opened.inspect(view(equity=D(2400), working_entries=1))
    return opened


def test_restore_when_a_process_restarts_then_the_day_goes_on() -> None:
    before = worn()
    saved = json.loads(json.dumps(before.state()))
    after = OneDoor(RiskConfig())
    after.restore(saved)
    # the day-start balance stays 2,600, and the halt is said again
    assert causes(after.start_session(THURSDAY, D(2400))) == [("daily_loss_limit", TradingState.HALTED)]
    assert after.state() == before.state()
    assert (after.streaks.losses, after.realized) == (2, D(-10))
    assert [halt.cause for halt in after.halts] == ["daily_loss_limit"]
    assert after.room(view(working_entries=1)) == before.room(view(working_entries=1)) == D("-23.74")
    outcome = after.judge(proposal(), view())[1]
    assert isinstance(outcome, Refused)
    assert outcome.check == "trading_state"


@pytest.mark.parametrize(
    "damage", [{"version": 9}, {"halts": [{}]}, {"realized": "x"}, {"committed": None}, {"win_streak": None}]
)
def test_restore_when_the_state_is_damaged_then_refused_and_nothing_changes(damage: dict[str, Any]) -> None:
    opened = worn()
    state = opened.state()
    with pytest.raises(UsageError, match="risk state"):
        opened.restore(state | damage)
    assert opened.state() == state


def test_on_trade_when_scratched_then_streaks_stay() -> None:
    opened = door()
    for net in ("5", "5", "0", "5"):
        opened.on_trade(trade(net), view())
    assert (opened.streaks.wins, opened.streaks.losses, opened.realized) == (3, 0, D(15))


def test_judge_when_a_rule_pack_adds_a_check_then_it_is_asked_in_its_place() -> None:
    from sovereign.core.decision import Check
    from sovereign.risk.case import Case
    from sovereign.risk.check import ENTRY_CHECKS

    def check_weekday(case: Case) -> Check:
        day = case.view.session.trade_date.isoweekday()
        return Check("weekday", float(day), 3.0, "day", passed=day <= 3, note=f"day {day} of the week")

    opened = OneDoor(RiskConfig(), checks=(check_weekday, *ENTRY_CHECKS))
    opened.start_session(THURSDAY, D(2500))
    checks, outcome = opened.judge(proposal(), view())
    assert checks[0].name == "weekday"
    assert outcome == Refused("weekday", 3.0, 4.0, "day", "weekday: day 4 of the week")


def test_door_when_the_news_file_is_missing_then_it_does_not_open(tmp_path: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"risk\.news_file"):
        OneDoor(RiskConfig(news_file=str(tmp_path / "absent.txt")))


def test_judge_when_run_twice_on_equal_doors_then_the_same_records() -> None:
    first, second = door().judge(proposal(entry()), view()), door().judge(proposal(entry()), view())
    assert repr(first) == repr(second)


def test_events_when_listed_then_each_is_an_event() -> None:
    assert all(isinstance(event, Event) for event in door().inspect(view(equity=D(1000))))


def test_judge_when_brief_then_an_account_too_small_for_one_unit_is_asked_again_once_it_has_changed() -> None:
    brief = OneDoor(RiskConfig(), is_brief=True)
    brief.start_session(THURSDAY, D(2500))
    # a loss of 100 ends the day, and one MES loses more than 10 at its stop
    poor = view(equity=D(2410))
    for _ in range(2):
        outcome = brief.judge(proposal(), poor)[1]
        assert isinstance(outcome, Refused)
        assert outcome.check == "loss_at_stop"
    assert isinstance(brief.judge(proposal(), view())[1], Approved)
