"""Breakers, each with its limit reached and just not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from risk_cases import FRIDAY, TAPE, TEN, THURSDAY, check, door, position, proposal, trade, view

from sovereign.core.decision import Approved, Refused
from sovereign.core.event import Notice, NoticeCode, Severity, TradingState, TradingStateChanged
from sovereign.core.order import OrderEvent
from sovereign.core.session import NEVER, NS_PER_MINUTE, NS_PER_SECOND
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor

D = Decimal
HALTED, REDUCING, ACTIVE = TradingState.HALTED, TradingState.REDUCING, TradingState.ACTIVE


def told(events: Any) -> list[tuple[str, TradingState]]:
    return [(event.cause, event.state) for event in events if isinstance(event, TradingStateChanged)]


def breaking(**breakers: Any) -> OneDoor:
    return door(RiskConfig.model_validate({"breakers": breakers}))


# A streak of losses


def test_loss_streak_when_it_is_long_enough_then_entries_stop_until_the_next_session() -> None:
    opened = breaking(max_losses_in_a_row=3)
    results = [told(opened.on_trade(trade(net), view())) for net in ("-1", "-1", "5", "-1", "0", "-1", "-1")]
    assert results == [[]] * 6 + [[("loss_streak", REDUCING)]]
    assert opened.halts[0].reason == "3 trades in a row were lost; no entry until the next session"
    assert opened.judge(proposal(), view())[1].check == "trading_state"  # type: ignore[union-attr]
    opened.start_session(FRIDAY, D(2500))
    friday = view(session=FRIDAY, ts=FRIDAY.regular_open_ns)
    assert told(opened.on_trade(trade("-1"), friday)) == []
    assert isinstance(opened.judge(proposal(), friday)[1], Approved)


def test_loss_streak_when_the_pause_is_over_then_trading_goes_on_and_a_whole_streak_is_needed_again() -> None:
    opened = breaking(max_losses_in_a_row=2, loss_pause_minutes=30)
    for net in ("-1", "-1"):
        opened.on_trade(trade(net), view())
    end = TEN + 30 * NS_PER_MINUTE
    assert opened.due_ns == end
    assert opened.inspect(view(ts=end - 1)) == []
    assert opened.inspect(view(ts=end)) == [
        TradingStateChanged(ts=end, state=ACTIVE, cause="ended", reason="loss_streak has lasted its time")
    ]
    assert told(opened.on_trade(trade("-1"), view(ts=end))) == []
    assert told(opened.on_trade(trade("-1"), view(ts=end))) == [("loss_streak", REDUCING)]


# The number of trades


def test_trade_count_when_the_session_has_had_its_number_then_no_more() -> None:
    opened = breaking(max_trades_per_session=2)
    checks, outcome = opened.judge(proposal(), view())
    assert isinstance(outcome, Approved)
    assert check(checks, "trade_count").limit == 2.0
    assert told(opened.on_trade(trade("1"), view())) == []
    refused = opened.judge(proposal(), view(working_entries=1))[0]
    assert not check(refused, "trade_count").passed
    assert told(opened.on_trade(trade("1"), view())) == [("trade_count", REDUCING)]


# Runaway orders


def test_order_rate_when_more_is_proposed_than_a_minute_allows_then_halted_until_a_person_resumes() -> None:
    opened = breaking(max_proposals_per_minute=3)
    for second in range(3):
        assert opened.judge(proposal(), view(ts=TEN + second))[1].__class__ in (Approved, Refused)
    assert opened.halts == ()
    outcome = opened.judge(proposal(), view(ts=TEN + NS_PER_MINUTE - 1))[1]
    assert isinstance(outcome, Refused)
    assert outcome.check == "trading_state"
    assert opened.due_ns == TEN + NS_PER_MINUTE - 1
    at_once = view(ts=TEN + NS_PER_MINUTE - 1)
    assert told(opened.inspect(at_once)) == [("order_rate", HALTED)]
    assert opened.start_session(FRIDAY, D(2500))[-1].state is HALTED  # type: ignore[attr-defined]
    # within the same minute it still holds; after it, it does not
    assert told(opened.resume("ann", "", TEN, view=at_once)) == [("resumed", ACTIVE), ("order_rate", HALTED)]
    assert told(opened.resume("ann", "", TEN, view=view(ts=TEN + 2 * NS_PER_MINUTE))) == [("resumed", ACTIVE)]


def test_order_rate_when_the_proposals_are_a_minute_apart_then_nothing() -> None:
    opened = breaking(max_proposals_per_minute=1)
    for minute in range(5):
        opened.judge(proposal(), view(ts=TEN + minute * NS_PER_MINUTE))
    assert opened.halts == ()


def test_order_rate_when_the_time_is_unknown_then_it_counts_all_the_same() -> None:
    opened = breaking(max_proposals_per_minute=3)
    for _ in range(4):
        assert isinstance(opened.judge(proposal(), replace(view(), ts=float("nan")))[1], Refused)  # type: ignore[arg-type]
    assert [halt.cause for halt in opened.halts] == ["order_rate"]


# Rejects


def test_rejects_when_the_venue_refuses_one_after_the_other_then_halted() -> None:
    opened = breaking(max_rejects_in_a_row=2)
    answers = [OrderEvent.REJECT, OrderEvent.ACCEPT, OrderEvent.REJECT, OrderEvent.CANCEL, OrderEvent.REJECT]
    assert [told(opened.on_answer(answer, TEN)) for answer in answers] == [[], [], [], [], [("rejects", HALTED)]]
    assert opened.halts[0].reason == "the venue rejected 2 orders in a row, allowed are fewer than 2"
    assert told(opened.resume("ann", "", TEN, view=view())) == [("resumed", ACTIVE)]


# Silent data while something is open


HELD: dict[str, Any] = {"positions": {"MESZ5": position()}, "equity": D(2500)}


def later(seconds: float, **changes: Any) -> Any:
    data = changes.pop("data_ns", TEN)
    return view(ts=TEN + int(seconds * NS_PER_SECOND), data_ns=data, **(HELD | changes))


def test_stale_data_when_a_position_is_open_then_one_alarm_and_one_all_clear() -> None:
    opened = breaking(stale_position_s=100)
    assert opened.inspect(later(100)) == []
    (alarm,) = opened.inspect(later(101))
    assert isinstance(alarm, Notice)
    assert (alarm.code, alarm.severity) == (NoticeCode.DATA_STALE, Severity.ALARM)
    assert alarm.text == "no market data for 101 s, allowed are 100 s, while 1 MESZ5 was open"
    assert opened.inspect(later(102)) == []
    # it is over below half the limit, not just below the limit
    assert opened.inspect(later(120, data_ns=TEN + 60 * NS_PER_SECOND)) == []
    (over,) = opened.inspect(later(121, data_ns=TEN + 71 * NS_PER_SECOND))
    assert isinstance(over, Notice)
    assert (over.code, over.resolves, over.subject) == (NoticeCode.DATA_RESTORED, NoticeCode.DATA_STALE, alarm.subject)


@given(
    data_ns=st.integers(TEN, TEN + NS_PER_SECOND), silence_ns=st.integers(0, 200 * NS_PER_SECOND), limit_s=st.integers(1, 150)
)
@example(data_ns=TEN + 127, silence_ns=100 * NS_PER_SECOND, limit_s=100)
def test_stale_data_when_looked_at_in_any_nanosecond_then_the_next_look_is_later(
    data_ns: int, silence_ns: int, limit_s: int
) -> None:
    # a look that is due at once is repeated for ever, and the decision thread never comes back
    opened = breaking(stale_position_s=limit_s)
    seen = replace(later(0), ts=data_ns + silence_ns, data_ns=data_ns)
    opened.inspect(seen)
    assert opened.due_ns > seen.ts
    if silence_ns <= limit_s * NS_PER_SECOND:
        assert opened.due_ns == data_ns + limit_s * NS_PER_SECOND + 1


def test_stale_data_when_set_to_flatten_then_halted_and_a_resume_in_silence_trips_again() -> None:
    opened = breaking(stale_position_s=100, stale_position_action="flatten")
    assert told(opened.inspect(later(101))) == [("stale_data", HALTED)]
    assert told(opened.resume("ann", "", TEN, view=later(102))) == [("resumed", ACTIVE), ("stale_data", HALTED)]
    assert opened.start_session(FRIDAY, D(2500)) == []


@pytest.mark.parametrize("data_ns", [float("nan"), float("inf")])
def test_stale_data_when_the_time_of_the_data_is_unknown_then_it_trips(data_ns: Any) -> None:
    opened = breaking(stale_position_action="flatten")
    assert ("stale_data", HALTED) in told(opened.inspect(later(0, data_ns=data_ns)))


def test_stale_data_when_nothing_came_since_the_open_then_counted_from_the_open() -> None:
    opened = breaking(stale_position_s=100, stale_position_action="flatten")
    assert told(opened.inspect(view(ts=THURSDAY.open_ns + 100 * NS_PER_SECOND, **HELD | {"data_ns": None}))) == []
    assert told(opened.inspect(view(ts=THURSDAY.open_ns + 101 * NS_PER_SECOND, **HELD | {"data_ns": None}))) == [
        ("stale_data", HALTED)
    ]


def test_stale_data_when_the_venue_pauses_then_the_silence_counts_from_its_end() -> None:
    paused = replace(THURSDAY, breaks=((TEN + NS_PER_SECOND, TEN + 3600 * NS_PER_SECOND),))
    opened = breaking(stale_position_s=100, stale_position_action="flatten")
    assert [told(opened.inspect(later(s, session=paused))) for s in (1800, 3600, 3700)] == [[], [], []]
    assert told(opened.inspect(later(3701, session=paused))) == [("stale_data", HALTED)]


def test_stale_data_when_only_the_tape_of_the_position_is_silent_then_it_trips_as_well() -> None:
    opened = breaking(stale_position_s=100, stale_position_action="flatten")
    silent = {"unhealthy": {f"data:{TAPE}": "mute"}}
    for second in (0, 100):
        assert told(opened.inspect(later(second, data_ns=TEN + second * NS_PER_SECOND, **silent))) == []
    assert told(opened.inspect(later(101, data_ns=TEN + 101 * NS_PER_SECOND, **silent))) == [("stale_data", HALTED)]


def test_stale_data_when_flat_or_switched_off_then_nothing() -> None:
    assert breaking().inspect(later(9_999, positions={})) == []
    assert breaking(stale_position_s="none").inspect(later(9_999)) == []


def test_start_session_when_a_look_was_due_before_it_then_it_is_due_at_the_open() -> None:
    opened = breaking(stale_position_s=100)
    opened.inspect(later(1))
    assert opened.due_ns == TEN + 100 * NS_PER_SECOND + 1
    opened.start_session(FRIDAY, D(2500))
    assert opened.due_ns == FRIDAY.open_ns


# Clocks


def ahead(seconds: float) -> Any:
    return view(data_ns=TEN + int(seconds * NS_PER_SECOND))


def test_clock_skew_when_data_comes_from_the_future_then_reduced_until_clearly_over() -> None:
    opened = breaking()
    assert told(opened.inspect(ahead(1))) == []
    assert opened.due_ns == NEVER
    assert told(opened.inspect(ahead(1.001))) == [("clock_skew", REDUCING)]
    assert opened.due_ns == TEN + NS_PER_SECOND
    assert [told(opened.inspect(ahead(s))) for s in (0.9, 1.1, 0.501)] == [[], [], []]
    assert told(opened.inspect(ahead(0.5))) == [("ended", ACTIVE)]
    assert told(opened.inspect(ahead(0.9))) == []


def test_clock_skew_when_a_judgement_meets_it_then_the_door_asks_to_be_inspected() -> None:
    opened = breaking()
    assert opened.judge(proposal(), ahead(2))[1].check == "clock_skew"  # type: ignore[union-attr]
    assert opened.due_ns == TEN


@pytest.mark.parametrize("name", ["ts", "data_ns"])
def test_clock_skew_when_a_time_is_unknown_then_it_trips(name: str) -> None:
    opened = breaking()
    opened.inspect(view())
    events = opened.inspect(replace(view(), **{name: float("nan")}))  # type: ignore[arg-type]
    assert told(events) == [("clock_skew", REDUCING)]
    assert events[0].ts == TEN


def test_breakers_when_restored_then_they_count_on() -> None:
    before = breaking(max_losses_in_a_row=2, max_rejects_in_a_row=2, max_proposals_per_minute=2)
    before.on_trade(trade("-1"), view())
    before.on_answer(OrderEvent.REJECT, TEN)
    before.judge(proposal(), view())
    before.judge(proposal(), view())
    after = OneDoor(before.config)
    after.restore(before.state())
    for opened in (before, after):
        assert told(opened.on_trade(trade("-1"), view())) == [("loss_streak", REDUCING)]
        assert told(opened.on_answer(OrderEvent.REJECT, TEN)) == [("rejects", HALTED)]
        opened.resume("ann", "", TEN)
        opened.judge(proposal(), view())
        assert told(opened.inspect(view())) == [("order_rate", HALTED)]
    assert after.state() == before.state()
