"""Sizes worked by hand (definitions 5.4); see test_check for the cost of a unit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from risk_cases import TAPE, THURSDAY, check, door, entry, judge, position, proposal, trade, view

from sovereign.core.decision import Approved, Refused
from sovereign.core.order import Bracket, OrderIntent
from sovereign.risk.configuration import RiskConfig

D = Decimal


def approved(result: tuple[Any, Approved | Refused]) -> Approved:
    assert isinstance(result[1], Approved), result[1]
    return result[1]


@pytest.mark.parametrize(
    ("steps", "multiplier", "wins", "losses", "expected", "is_resized"),
    [
        (0, 1.0, 0, 0, 1, False),
        (1, 1.0, 0, 0, 2, False),  # confirmation or trend
        (2, 1.0, 0, 0, 3, False),
        (2, 1.0, 3, 0, 3, True),  # 1 + 2 + 1 = 4, the tier allows 3
        (0, 1.0, 2, 0, 1, False),  # two wins are no streak
        (0, 1.0, 3, 0, 2, False),
        (1, 1.0, 0, 2, 1, False),
        (1, 1.0, 0, 1, 2, False),
        (0, 1.0, 0, 5, 1, False),  # never below one
        (2, 0.75, 0, 0, 2, False),  # floor(3 x 0.75) = 2
        (2, 0.5, 0, 0, 1, False),
        (0, 0.5, 0, 0, 1, False),
        (2, 0.75, 3, 0, 3, False),  # floor(4 x 0.75) = 3
    ],
)
def test_size_when_in_a_tier_then_steps_and_streaks_count(
    steps: int, multiplier: float, wins: int, losses: int, expected: int, is_resized: bool
) -> None:
    opened = door()
    for _ in range(wins):
        opened.on_trade(trade("1"), view())
    for _ in range(losses):
        opened.on_trade(trade("-1"), view())
    intent = entry(size_steps=steps, size_multiplier=multiplier)
    assert approved(opened.judge(proposal(intent), view())) == Approved(expected, was_resized=is_resized, symbol="MESZ5")


def test_size_when_the_room_holds_two_then_three_are_resized_to_two() -> None:
    # 50 of room hold 2 x 23.74 = 47.48
    result = judge(intent=entry(size_steps=2), equity=D(2450))
    assert approved(result) == Approved(2, was_resized=True, symbol="MESZ5")
    assert check(result[0], "loss_at_stop").value == pytest.approx(47.48)
    assert check(result[0], "loss_at_stop").limit == 50


def test_size_when_margin_holds_one_then_resized_to_one() -> None:
    # 2,500 x 0.03 = 75 holds one of 40
    result = judge({"max_margin_balance_frac": "0.03"}, entry(size_steps=2))
    assert approved(result) == Approved(1, was_resized=True, symbol="MESZ5")


def test_size_when_a_quantity_is_asked_then_it_is_taken_within_the_caps() -> None:
    assert approved(judge(intent=entry(quantity=2))).quantity == 2
    assert approved(judge(intent=entry(quantity=5))) == Approved(3, was_resized=True, symbol="MESZ5")
    assert approved(judge({"max_quantity": 1}, entry(quantity=2))).quantity == 1


def spy(**changes: Any) -> OrderIntent:
    return entry(**({"symbol": "SPY", "bracket": Bracket(stop_ticks=100, target_ticks=200)} | changes))


def shares(balance: str = "10000", **changes: Any) -> dict[str, Any]:
    # SPY at 660.00
    return {"balance": D(balance), "last_ticks": {"SPY": 66_000}, **changes}


def test_size_when_shares_then_the_loss_at_the_stop_counts() -> None:
    # 1.00 of stop + 2 x 0.0035 + 2 x 0.01 = 1.027 a share; 1% of 10,000 is 100; floor(100 / 1.027) = 97,
    # but 10,000 buy floor(10,000 / 660) = 15
    assert approved(judge(intent=spy(), **shares())) == Approved(15, was_resized=True, symbol="SPY")
    # with ten times the value allowed, margin binds: floor(10,000 / 165) = 60; at 66 a share nothing does
    wide = {"max_notional_frac": 10, "max_margin_balance_frac": 1}
    assert approved(judge(wide, spy(), **shares())) == Approved(60, was_resized=True, symbol="SPY")
    cheap = {"margin_per_unit": {"SPY": D("66.00")}}
    assert approved(judge(wide, spy(), **shares(**cheap))) == Approved(97, was_resized=False, symbol="SPY")


def test_size_when_shares_and_a_multiplier_then_the_floor_of_the_product() -> None:
    wide = {"max_notional_frac": 10, "max_margin_balance_frac": 1}
    cheap = {"margin_per_unit": {"SPY": D("66.00")}}
    assert approved(judge(wide, spy(size_multiplier=0.75), **shares(**cheap))).quantity == 72  # floor(72.75)


def test_size_when_shares_are_held_then_only_the_rest_of_the_value_is_free() -> None:
    opened = door(RiskConfig(max_positions=2), balance=D(10_000))
    last = {"SPY": 66_000, "QQQ": 60_000}
    margins = {"SPY": D(165), "QQQ": D(150)}
    first = opened.judge(proposal(spy(symbol="QQQ")), view(balance=D(10_000), last_ticks=last, margin_per_unit=margins))
    assert approved(first).quantity == 16  # floor(10,000 / 600)
    held = {"QQQ": position("QQQ", 10, 60_000, "QQQ")}
    # 10 x 600 are held, 4,000 are free: 6 of 660
    second = opened.judge(proposal(spy()), view(balance=D(10_000), last_ticks=last, margin_per_unit=margins, positions=held))
    assert approved(second).quantity == 6


def test_size_when_shares_are_too_dear_then_refused() -> None:
    outcome = judge(intent=spy(), **shares("600"))[1]
    assert isinstance(outcome, Refused)
    assert (outcome.check, outcome.value, outcome.limit) == ("size", 0.0, 1.0)


def test_size_when_tiers_are_off_then_futures_are_sized_at_their_stop() -> None:
    # 1% of 100,000 is 1,000; 1,000 / 229.50 = 4.36
    result = judge({"tiers": {"enabled": False}, "daily_loss_limit": -1000}, balance=D(100_000))
    assert approved(result) == Approved(4, was_resized=False, symbol="ESZ5")


def test_size_when_the_stop_trails_wider_then_the_wider_distance_counts() -> None:
    # 40 x 1.25 + 3.74 = 53.74 a unit: 100 of room hold one
    bracket = Bracket(stop_ticks=16, target_ticks=24, trail_ticks=40)
    assert approved(judge(intent=entry(bracket=bracket, size_steps=2))).quantity == 1


def test_size_when_no_session_has_begun_then_the_tier_is_unknown_and_refuses() -> None:
    opened = door(balance=None)
    outcome = opened.judge(proposal(), view())[1]
    assert isinstance(outcome, Refused)
    assert outcome.check == "daily_loss"


def test_judge_when_another_order_may_lose_the_room_then_the_rest_is_what_counts() -> None:
    opened = door(RiskConfig(max_positions=3, max_working_entries=3, tiers={"enabled": False}), balance=D(10_000))
    # the day may lose 300; one CL loses 10 x 10 + 4.80 + 20 = 124.80; risk_frac holds none, so a quantity is asked for
    both = {"CLZ5": 6000, TAPE: 26_400}
    margins = {"CLZ5": D(1000), "ESZ5": D(300)}
    account = view(balance=D(10_000), last_ticks=both, margin_per_unit=margins)
    crude = entry(symbol="CLZ5", quantity=1, bracket=Bracket(stop_ticks=10, target_ticks=50))
    assert approved(opened.judge(proposal(crude), account)).quantity == 1
    assert opened.room(view(balance=D(10_000), last_ticks=both, working_entries=1)) == D("175.20")
    # open, and 40 in profit: at the stop it gives back 40 and loses 124.80 more, of 340 between equity and the limit
    account = view(
        balance=D(10_000),
        equity=D(10_040),
        last_ticks={"CLZ5": 6004, TAPE: 26_400},
        positions={"CLZ5": position("CLZ5", 1, 6000, "CLZ5")},
    )
    assert opened.room(account) == D("175.20")


def test_judge_when_a_position_has_no_known_stop_then_nothing_is_added() -> None:
    opened = door(RiskConfig(max_positions=3), balance=D(10_000))
    account = view(balance=D(10_000), positions={"CLZ5": position("CLZ5", 1, 6000, "CLZ5")}, last_ticks={TAPE: 1, "CLZ5": 6000})
    outcome = opened.judge(proposal(), account)[1]
    assert isinstance(outcome, Refused)
    assert outcome.check == "loss_at_stop"


def test_start_session_when_an_approved_order_never_filled_then_its_risk_is_forgotten() -> None:
    opened = door()
    approved(opened.judge(proposal(), view()))
    assert opened.room(view(working_entries=1)) == D("76.26")
    opened.inspect(view())
    assert opened.room(view()) == D(100)
    opened.start_session(THURSDAY, D(2400))  # the same trade date: nothing begins again
    assert opened.room(view()) == D(100)
