"""Halts latch, say what is in force, and are cleared by name."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from risk_cases import FRIDAY, TAPE, TEN, THURSDAY, check, door, entry, judge, position, proposal, trade, view

from sovereign.core.decision import Approved, Refused
from sovereign.core.errors import UsageError
from sovereign.core.event import TradingState, TradingStateChanged
from sovereign.core.order import OrderIntent, Side
from sovereign.core.session import NEVER, NS_PER_MINUTE
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor
from sovereign.risk.halt import Clearance

D = Decimal
HALTED, REDUCING, ACTIVE = TradingState.HALTED, TradingState.REDUCING, TradingState.ACTIVE


def told(events: Any) -> list[tuple[str, TradingState]]:
    return [(event.cause, event.state) for event in events if isinstance(event, TradingStateChanged)]


def refusal(opened: OneDoor, **changes: Any) -> str:
    outcome = opened.judge(proposal(), view(**changes))[1]
    return outcome.check if isinstance(outcome, Refused) else "approved"


def test_halt_when_a_person_orders_it_then_it_is_said_with_the_name_and_nothing_opens() -> None:
    opened = door()
    assert opened.halt("operator", " ann ", "news", TEN) == [
        TradingStateChanged(ts=TEN, state=HALTED, cause="operator", reason="news", by="ann")
    ]
    assert opened.halt("operator", "ben", "again", TEN) == []
    assert refusal(opened) == "trading_state"


@pytest.mark.parametrize("state", ["halt", "reduce"])
def test_halt_when_something_is_held_then_it_may_still_be_closed(state: str) -> None:
    opened = door()
    getattr(opened, state)("operator", "ann", "", TEN)
    held = view(positions={"MESZ5": position(quantity=2)}, state=opened.halts[0].state)
    closing = OrderIntent(symbol=TAPE, side=Side.SELL, quantity=1, reduce_only=True)
    assert opened.judge(proposal(closing), held)[1] == Approved(1, was_resized=False, symbol="MESZ5")
    assert isinstance(opened.judge(proposal(), held)[1], Refused)


@pytest.mark.parametrize(
    ("cause", "by", "match"),
    [("", "ann", "cause was empty"), ("operator", " ", "by was empty"), ("drawdown", "ann", "only the door itself")],
)
def test_halt_when_it_names_nobody_or_a_cause_of_the_door_then_refused(cause: str, by: str, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        door().halt(cause, by, "", TEN)


def test_halt_when_one_is_graver_than_the_other_then_the_last_word_is_the_graver() -> None:
    opened = door()
    assert told(opened.halt("operator", "ann", "", TEN)) == [("operator", HALTED)]
    # REDUCING comes on top and softens nothing
    assert told(opened.reduce("desk", "ben", "", TEN)) == [("desk", HALTED)]
    events = opened.resume("ann", "all clear", TEN, causes=["operator"])
    assert told(events) == [("resumed", REDUCING)]
    assert events[0].reason == "operator cleared by ann: all clear; still in force: desk"
    assert told(opened.halt("desk", "ben", "worse", TEN)) == [("desk", HALTED)]


def test_resume_when_named_then_who_and_when_is_kept_for_the_day() -> None:
    opened = door()
    opened.halt("operator", "ann", "lunch", TEN)
    opened.resume("ben", "back", TEN + 5)
    assert opened.clearances == (Clearance("operator", "ben", "back", TEN + 5),)
    assert refusal(opened) == "approved"
    opened.start_session(FRIDAY, D(2500))
    assert opened.clearances == ()


def test_resume_when_nothing_or_nobody_is_there_then_refused() -> None:
    opened = door()
    with pytest.raises(UsageError, match="nothing to resume"):
        opened.resume("ann", "", TEN)
    opened.halt("operator", "ann", "", TEN)
    with pytest.raises(UsageError, match="by was empty"):
        opened.resume("", "", TEN)
    with pytest.raises(UsageError, match=r"in force is operator \(did you mean 'operator'\?\)"):
        opened.resume("ann", "", TEN, causes=["operater"])
    assert [halt.cause for halt in opened.halts] == ["operator"]


def test_resume_when_it_is_a_kill_then_only_by_its_name() -> None:
    opened = door()
    assert told(opened.inspect(view(is_killed=True))) == [("kill", HALTED)]
    with pytest.raises(UsageError, match="cleared only when it is named"):
        opened.resume("ann", "", TEN)
    opened.halt("operator", "ann", "", TEN)
    assert told(opened.resume("ann", "", TEN)) == [("resumed", HALTED)]
    # the switch has been put back, yet the kill stays until it is named
    assert refusal(opened) == "trading_state"
    assert told(opened.inspect(view())) == []
    assert told(opened.resume("ann", "checked", TEN, causes=["kill"], view=view())) == [("resumed", ACTIVE)]
    assert refusal(opened) == "approved"


@pytest.mark.parametrize("is_killed", [True, None])
def test_resume_when_the_kill_switch_is_still_thrown_then_killed_again_at_once(is_killed: Any) -> None:
    opened = door()
    opened.inspect(view(is_killed=is_killed))
    events = opened.resume("ann", "", TEN, causes=["kill"], view=view(is_killed=is_killed))
    assert told(events) == [("resumed", ACTIVE), ("kill", HALTED)]


def test_resume_when_the_margin_is_still_high_then_reduced_again_at_once() -> None:
    opened, high = door(), view(margin_per_unit={"MESZ5": D(80)})
    opened.inspect(high)
    assert told(opened.resume("ann", "", TEN, view=high)) == [("resumed", ACTIVE), ("margin", REDUCING)]
    assert told(opened.resume("ann", "", TEN, view=view())) == [("resumed", ACTIVE)]


def test_resume_when_no_view_is_given_then_the_door_asks_to_be_inspected() -> None:
    opened, high = door(), view(margin_per_unit={"MESZ5": D(80)})
    opened.inspect(high)
    assert opened.due_ns == NEVER
    opened.resume("ann", "", TEN + 7)
    assert opened.due_ns == TEN + 7
    assert told(opened.inspect(high)) == [("margin", REDUCING)]
    assert opened.due_ns == NEVER


def test_resume_when_a_drawdown_is_cleared_without_a_view_then_the_next_look_takes_the_mark() -> None:
    opened = door(balance=D(2000))
    deep = view(balance=D(2000), high_water_mark=D(2667))
    opened.inspect(deep)
    opened.resume("ann", "", TEN)
    assert refusal(opened, balance=D(2000), high_water_mark=D(2667)) == "drawdown"
    assert opened.inspect(deep) == []
    assert opened.room(deep) == D(100)  # the day's loss; the drawdown limit is at 1,500 now


def test_resume_when_only_limits_of_the_day_are_in_force_then_refused() -> None:
    opened = door()
    opened.inspect(view(equity=D(2400)))
    with pytest.raises(UsageError, match="ends with the trade date"):
        opened.resume("ann", "", TEN)


def test_start_session_when_halts_of_all_kinds_are_in_force_then_only_those_of_a_person_stay() -> None:
    opened = door()
    opened.inspect(view(margin_per_unit={"MESZ5": D(80)}, equity=D(2400), is_killed=True))
    opened.reduce("desk", "ann", "", TEN)
    assert [halt.cause for halt in opened.halts] == ["margin", "kill", "daily_loss_limit", "desk"]
    assert told(opened.start_session(FRIDAY, D(2400))) == [("desk", REDUCING), ("kill", HALTED)]


def test_restore_when_halts_and_clearances_are_kept_then_the_restart_says_them_again() -> None:
    before = door()
    before.halt("operator", "ann", "lunch", TEN)
    before.resume("ann", "back", TEN)
    before.halt("kill", "ben", "enough", TEN)
    after = OneDoor(RiskConfig())
    after.restore(json.loads(json.dumps(before.state())))
    assert after.state() == before.state()
    assert after.clearances == before.clearances
    assert after.start_session(THURSDAY, D(2500)) == [
        TradingStateChanged(ts=THURSDAY.open_ns, state=HALTED, cause="kill", reason="enough", by="ben")
    ]


def test_judge_when_the_platform_is_unwell_then_refused_with_the_reasons() -> None:
    checks, outcome = judge(unhealthy={"connection": "lost since 15:00", "backlog": "9 s"})
    assert isinstance(outcome, Refused)
    assert outcome.reason == "health: connection: lost since 15:00; backlog: 9 s"
    assert check(checks, "health").value == 2.0
    assert judge(unhealthy=None)[1].check == "health"  # type: ignore[union-attr]


# Room for one stop. 2,650 of a mark of 3,520 leaves 10 above the drawdown limit of 2,640; one MES with 16 ticks loses 23.74.


def small(**changes: Any) -> Any:
    return view(**({"balance": D(2650), "high_water_mark": D(3520)} | changes))


def test_judge_when_the_drawdown_leaves_no_room_for_a_stop_then_halted_and_said() -> None:
    opened = door(balance=D(2650))
    assert opened.inspect(small()) == []
    assert opened.judge(proposal(), small())[1].check == "loss_at_stop"  # type: ignore[union-attr]
    assert opened.due_ns == TEN
    assert opened.inspect(small()) == [
        TradingStateChanged(
            ts=TEN,
            state=HALTED,
            cause="drawdown_room",
            reason="one MESZ5 would lose 23.74 at its stop; equity of 2,650.00 is 10.00 above the drawdown limit of 2,640.00, "
            "and no new day gives that back",
        )
    ]
    assert opened.due_ns == NEVER
    assert told(opened.start_session(FRIDAY, D(2650))) == [("drawdown_room", HALTED)]
    opened.resume("ann", "go on from here", TEN, view=small())
    assert isinstance(opened.judge(proposal(), small(session=FRIDAY, ts=FRIDAY.regular_open_ns))[1], Approved)


def test_judge_when_only_the_day_has_no_room_then_no_halt() -> None:
    opened = door(balance=D(2600))
    poor = view(balance=D(2510), day_start_balance=D(2600))
    assert opened.judge(proposal(), poor)[1].check == "loss_at_stop"  # type: ignore[union-attr]
    assert (opened.halts, opened.due_ns) == ((), NEVER)


def test_judge_when_the_stop_is_wider_than_the_balance_bears_then_no_halt() -> None:
    opened = door(balance=D(2650))
    wide = entry(bracket=entry().bracket.__class__(stop_ticks=400, target_ticks=600))  # type: ignore[union-attr]
    assert isinstance(opened.judge(proposal(wide), small())[1], Refused)
    assert opened.halts == ()


@pytest.mark.parametrize("is_brief", [False, True])
def test_judge_when_another_check_refuses_first_then_no_halt_in_either_door(is_brief: bool) -> None:
    opened = OneDoor(RiskConfig(), is_brief=is_brief)
    opened.start_session(THURSDAY, D(2650))
    opened.judge(proposal(), small(ts=THURSDAY.regular_open_ns - NS_PER_MINUTE))
    assert opened.halts == ()
    opened.judge(proposal(), small())
    assert [halt.cause for halt in opened.halts] == ["drawdown_room"]


def test_on_trade_when_the_result_is_unknown_then_halted() -> None:
    opened = door()
    assert told(opened.on_trade(trade("NaN"), view())) == [("unknown_equity", HALTED)]
    assert (opened.realized, opened.streaks.losses) == (D(0), 1)
