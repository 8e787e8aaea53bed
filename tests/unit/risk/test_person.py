"""A person's order passes the same door with the same checks."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from risk_cases import LAST, TAPE, door, position, proposal, view

from sovereign.core.decision import Approved, Refused
from sovereign.core.errors import UsageError
from sovereign.core.order import Bracket, OrderRole, OrderType, Side
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor
from sovereign.risk.person import flip_proposals, person_proposal, rehearse

D = Decimal
BRACKET = Bracket(stop_ticks=16, target_ticks=24)


def ask(side: Side = Side.BUY, quantity: int | None = None, **terms: Any) -> Any:
    return person_proposal(TAPE, side, quantity, **({"by": "ann", "reason": "hunch", "bracket": BRACKET} | terms))


def test_order_when_judged_then_the_checks_are_those_of_a_strategy() -> None:
    mine, theirs = door().judge(ask(), view()), door().judge(proposal(), view())
    assert [check.name for check in mine[0]] == [check.name for check in theirs[0]]
    # one MES in the first tier; asked for three, the room of 100 still holds four stops of 23.74
    assert mine[1] == Approved(1, was_resized=False, symbol="MESZ5")
    assert door().judge(ask(quantity=3), view())[1] == Approved(3, was_resized=False, symbol="MESZ5")
    assert ask().inputs == {"by": "ann", "reason": "hunch"}


@pytest.mark.parametrize("symbol", ["SPY"])
def test_order_when_no_quantity_is_given_outside_the_tiers_then_sized_at_the_stop(symbol: str) -> None:
    # 1% of 10,000 at a stop of 100 ticks, 2 of slippage and 2 x 0.0035 of fees: 100 / 1.027 = 97; shares bound it to 15
    account = view(balance=D(10_000), last_ticks={symbol: 66_000})
    order = person_proposal(symbol, Side.BUY, by="ann", reason="", bracket=Bracket(stop_ticks=100, target_ticks=200))
    assert door(balance=D(10_000)).judge(order, account)[1] == Approved(15, was_resized=True, symbol=symbol)


def test_order_when_it_has_no_stop_then_refused_by_the_door() -> None:
    outcome = door().judge(ask(bracket=None), view())[1]
    assert isinstance(outcome, Refused)
    assert outcome.check == "loss_at_stop"


@pytest.mark.parametrize(
    ("terms", "match"),
    [
        ({"by": " "}, "by was empty"),
        ({"quantity": 0}, "quantity was 0"),
        ({"order_type": OrderType.LIMIT}, "no limit_ticks"),
    ],
)
def test_order_when_it_is_worded_badly_then_refused_before_the_door(terms: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        ask(**terms)


def test_flip_when_something_is_held_against_it_then_closed_whole_and_then_entered() -> None:
    held = {"MESZ5": position(quantity=2), "CLZ5": position("CLZ5", 1, 6000, "CLZ5")}
    closing, opening = flip_proposals(ask(Side.SELL), held)
    assert closing.intent is not None
    assert (closing.symbol, closing.side, closing.intent.quantity) == ("MESZ5", Side.SELL, 2)
    assert (closing.intent.reduce_only, closing.intent.role, closing.intent.bracket) == (True, OrderRole.EXIT, None)
    assert opening == ask(Side.SELL)
    assert closing.inputs["by"] == "ann"


def test_flip_when_held_the_same_way_or_flat_then_only_the_entry() -> None:
    assert flip_proposals(ask(), {"MESZ5": position(quantity=2)}) == (ask(),)
    assert flip_proposals(ask(), {}) == (ask(),)
    with pytest.raises(UsageError, match="only reduces"):
        flip_proposals(ask(reduce_only=True), {})


def test_rehearse_when_flipping_then_both_are_judged_and_the_door_stays_as_it_was() -> None:
    opened = door(RiskConfig.model_validate({"breakers": {"max_trades_per_session": 3}}))
    account = view(positions={"MESZ5": position(quantity=1)}, last_ticks={TAPE: LAST})
    before = opened.state()
    (_, closed), (_, entered) = rehearse(opened, flip_proposals(ask(Side.SELL), account.positions), account)
    assert closed == Approved(1, was_resized=False, symbol="MESZ5")
    assert entered == Approved(1, was_resized=False, symbol="MESZ5")
    assert opened.state() == before
    # without the closing the same entry is refused
    assert isinstance(rehearse(opened, [ask(Side.SELL)], account)[0][1], Refused)


def test_rehearse_when_halted_then_the_closing_passes_and_the_entry_does_not() -> None:
    opened = door()
    opened.halt("operator", "ben", "", 1)
    account = view(positions={"MESZ5": position(quantity=1)})
    (_, closed), (_, entered) = rehearse(opened, flip_proposals(ask(Side.SELL), account.positions), account)
    assert isinstance(closed, Approved)
    assert isinstance(entered, Refused)
    assert entered.check == "trading_state"


def test_rehearse_when_only_a_part_is_closed_then_the_rest_is_still_held() -> None:
    opened = OneDoor(RiskConfig(max_positions=2, can_add_to_position=True))
    account = view(positions={"MESZ5": position(quantity=3)})
    part = person_proposal("MESZ5", Side.SELL, 2, by="ann", reason="", reduce_only=True)
    rest = person_proposal("MESZ5", Side.SELL, 2, by="ann", reason="", reduce_only=True)
    (_, first), (_, second) = rehearse(opened, [part, rest], account)
    assert isinstance(first, Approved)
    assert isinstance(second, Refused)
    assert second.check == "reduce_quantity"
