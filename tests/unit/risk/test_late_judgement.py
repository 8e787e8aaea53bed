"""The patient door: what it is certain to refuse it refuses, and later for the reasons that it had then."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_cases import TEN, THURSDAY, door, entry, position, proposal, trade, view

from sovereign.core.decision import Refused
from sovereign.core.errors import UsageError
from sovereign.core.event import TradingState
from sovereign.core.order import Side
from sovereign.core.port import PatientDoor
from sovereign.core.session import NS_PER_MINUTE, NS_PER_SECOND
from sovereign.risk.configuration import BreakersConfig, RiskConfig, TiersConfig
from sovereign.risk.door import OneDoor

D = Decimal
UNTIERED = TiersConfig(enabled=False)
LONG_ONLY = RiskConfig(can_short=False, max_positions=1, tiers=UNTIERED)
SHORT = proposal(entry(side=Side.SELL))


def test_door_when_typed_then_it_is_patient() -> None:
    assert isinstance(OneDoor(RiskConfig()), PatientDoor)


@pytest.mark.parametrize(
    ("side", "changes", "is_sure"),
    [
        (Side.BUY, {}, False),
        (Side.SELL, {}, True),
        (Side.BUY, {"positions": {"MESZ5": position()}}, True),
        (Side.BUY, {"positions": {"MESZ5": position(quantity=0)}}, False),
        (Side.BUY, {"working_entries": 1}, True),
        (Side.BUY, {"ts": THURSDAY.regular_close_ns + 1}, True),
        (Side.BUY, {"ts": THURSDAY.regular_open_ns - 1}, True),
    ],
)
def test_will_refuse_when_hours_side_or_places_forbid_then_it_is_certain(side, changes, is_sure) -> None:
    assert door(LONG_ONLY).will_refuse(side, view(**changes)) is is_sure


@pytest.mark.parametrize(
    "changes",
    [
        {"is_killed": True},
        {"is_killed": None},
        {"state": TradingState.HALTED},
        {"unhealthy": {"connection": "lost"}},
        {"data_ns": None},
        {"data_ns": TEN + 1},
        {"positions": None},
        {"last_ticks": None},
        {"margin_per_unit": None},
        {"working_entries": None},
    ],
)
def test_will_refuse_when_a_refusal_could_say_more_about_the_account_then_it_must_be_judged_at_once(changes) -> None:
    assert door(LONG_ONLY).will_refuse(Side.SELL, view(**changes)) is False


def test_will_refuse_when_the_door_has_a_check_of_its_own_then_it_must_be_judged_at_once() -> None:
    config = LONG_ONLY.model_copy(update={"breakers": BreakersConfig(max_trades_per_session=3)})
    assert door(config).will_refuse(Side.SELL, view()) is False


def test_will_refuse_when_the_tier_says_what_is_traded_then_it_must_be_judged_at_once() -> None:
    tiered = LONG_ONLY.model_copy(update={"tiers": TiersConfig()})
    assert door(tiered).will_refuse(Side.SELL, view()) is False
    assert door(tiered).will_refuse(Side.SELL, view(last_ticks={"SPY": 50_000})) is True


TIMES = st.lists(st.integers(THURSDAY.open_ns, THURSDAY.close_ns), min_size=1, max_size=6)


@given(TIMES, st.booleans(), st.sampled_from([15, 90]))
def test_forbids_when_asked_of_many_then_says_of_each_what_will_refuse_does(times, can_short, minutes) -> None:
    opened = door(RiskConfig(can_short=can_short, last_entry_before_close_minutes=minutes, tiers=UNTIERED))
    for side in Side:
        sides = np.full(len(times), side.sign, np.int8)
        forbidden = opened.forbids(sides, np.array(times), THURSDAY)
        assert forbidden.tolist() == [opened.will_refuse(side, view(ts=ts)) for ts in times]


def test_count_proposed_when_they_may_be_too_many_then_none_counts() -> None:
    opened = door(LONG_ONLY.model_copy(update={"breakers": BreakersConfig(max_proposals_per_minute=3)}))
    assert opened.count_proposed([TEN, TEN + 1])
    assert not opened.count_proposed([TEN + 2, TEN + 3])
    assert opened.will_refuse(Side.SELL, view(ts=TEN + 4))
    assert not opened.halts
    assert opened.will_refuse(Side.SELL, view(ts=TEN + 5))
    assert [halt.cause for halt in opened.halts] == ["order_rate"]


def test_will_refuse_when_entries_are_proposed_without_end_then_the_strategy_is_halted() -> None:
    opened = door(LONG_ONLY.model_copy(update={"breakers": BreakersConfig(max_proposals_per_minute=2)}))
    assert [opened.will_refuse(Side.SELL, view()) for _ in range(3)] == [True, True, True]
    assert [halt.cause for halt in opened.halts] == ["order_rate"]
    assert opened.due_ns <= TEN
    assert opened.will_refuse(Side.SELL, view()) is False


def test_remember_when_the_account_has_changed_since_then_judges_by_what_was_known() -> None:
    opened, now = door(LONG_ONLY), door(LONG_ONLY)
    held = position()
    before = view(positions={"MESZ5": held}, equity=D("2480.50"))
    at_once = now.judge(SHORT, before)
    later = opened.remember(before)
    held.quantity, held.cost_ticks = 0, 0
    opened.on_trade(trade("-60"), view())
    opened.halt("desk", "ada", "lunch", TEN + NS_PER_SECOND)
    assert later(SHORT, before) == at_once
    assert at_once[1].check == "positions"


def test_remember_when_the_entry_would_be_approved_then_says_that_it_was_not_asked_for() -> None:
    rich = view(balance=D(250_000))
    later = door(LONG_ONLY, balance=D(250_000)).remember(rich)
    with pytest.raises(UsageError, match="was not refused as was promised"):
        later(proposal(), rich)
    with pytest.raises(UsageError, match="asked for no order"):
        later(replace(SHORT, intent=None), rich)


views = st.fixed_dictionaries(
    {},
    optional={
        "ts": st.integers(THURSDAY.open_ns, THURSDAY.close_ns) | st.sampled_from([THURSDAY.regular_close_ns, TEN]),
        "working_entries": st.integers(0, 3),
        "positions": st.sampled_from([{}, {"MESZ5": position()}, {"MNQZ5": position("MNQZ5", -1, 80_000, "NQZ5")}]),
        "equity": st.sampled_from([D(2500), D("2399.99"), D(2000), D(3000)]),
        "balance": st.sampled_from([D(2500), D(900)]),
        "last_ticks": st.sampled_from([{"ESZ5": 26_400}, {"ESZ5": 26_380, "NQZ5": 80_100}, {}]),
        "orders_last_minute": st.integers(0, 40),
        "state": st.sampled_from(list(TradingState)),
        "is_killed": st.sampled_from([False, True, None]),
        "unhealthy": st.sampled_from([{}, {"books": "differ"}]),
    },
)
configs = st.builds(
    RiskConfig,
    tiers=st.sampled_from([UNTIERED, TiersConfig()]),
    can_short=st.booleans(),
    max_positions=st.integers(1, 3),
    last_entry_before_close_minutes=st.sampled_from([15, 90]),
) | st.just(RiskConfig(flatten_before_close_minutes=None, can_enter_at_close=True, can_short=False, tiers=UNTIERED))


@given(configs, views, st.sampled_from([proposal(), SHORT]))
@settings(max_examples=300)
def test_will_refuse_when_the_account_is_any_then_it_is_refused_later_as_it_would_have_been_at_once(
    config, changes, asked
) -> None:
    patient, other = door(config), door(config)
    seen = view(**changes)
    if not patient.will_refuse(asked.side, seen):
        return
    later = patient.remember(seen)
    checks, outcome = other.judge(asked, seen)
    assert isinstance(outcome, Refused)
    assert later(asked, seen) == (checks, outcome)
    assert patient.state() == other.state()


def test_will_refuse_when_it_is_the_minute_after_then_proposals_before_do_not_count() -> None:
    opened = door(LONG_ONLY.model_copy(update={"breakers": BreakersConfig(max_proposals_per_minute=1)}))
    assert opened.will_refuse(Side.SELL, view())
    assert opened.will_refuse(Side.SELL, view(ts=TEN + NS_PER_MINUTE))
    assert not opened.halts
