"""A person's orders. They are proposals like any other: the same door, the same checks, the same record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sovereign.core.decision import Approved, Check, Proposal, Refused
from sovereign.core.errors import UsageError
from sovereign.core.order import Bracket, OrderIntent, OrderRole, OrderType, Side, TimeInForce
from sovereign.core.port import AccountView
from sovereign.core.position import Position
from sovereign.risk.door import OneDoor
from sovereign.risk.limit import held
from sovereign.risk.number import is_known

NAME = "PERSON"
"""Name of a person's proposals, where a strategy's carry that of the pattern."""


def person_proposal(
    symbol: str,
    side: Side,
    quantity: int | None = None,
    *,
    by: str,
    reason: str,
    bracket: Bracket | None = None,
    order_type: OrderType = OrderType.MARKET,
    limit_ticks: int | None = None,
    stop_ticks: int | None = None,
    time_in_force: TimeInForce = TimeInForce.DAY,
    expire_ns: int | None = None,
    reduce_only: bool = False,
) -> Proposal:
    """Build the proposal of a person's order.

    Parameters
    ----------
    symbol : the tape; as for a strategy, the tier may trade another size of the same product on it.
    quantity : units; None lets the door size the order at its stop (or close all that is held, when `reduce_only`).
    by, reason : who wants it and why; both are kept with the decision and the trade.
    bracket : protective stop and target; the door refuses an entry whose loss at the stop nobody knows.

    Raises
    ------
    UsageError : nobody's name is given, the quantity is below 1, or the price terms do not fit the order type.
    """
    if not by.strip():
        raise UsageError("by was empty; an order of a person names that person")
    if quantity is not None and quantity < 1:
        raise UsageError(f"quantity was {quantity}; ask for 1 or more, or for none to have the order sized at its stop")
    intent = OrderIntent(
        symbol=symbol,
        side=side,
        order_type=order_type,
        quantity=quantity,
        limit_ticks=limit_ticks,
        stop_ticks=stop_ticks,
        time_in_force=time_in_force,
        expire_ns=expire_ns,
        bracket=None if reduce_only else bracket,
        role=OrderRole.EXIT if reduce_only else OrderRole.ENTRY,
        reduce_only=reduce_only,
        reason=reason,
    )
    return Proposal(
        name=NAME,
        symbol=symbol,
        side=side,
        strength=1.0,
        confidence=1.0,
        inputs={"by": by.strip(), "reason": reason},
        checks=(),
        intent=intent,
    )


def flip_proposals(entry: Proposal, positions: Mapping[str, Position]) -> tuple[Proposal, ...]:
    """Return what turns a position: the closing of everything that is held against `entry` on its tape, then `entry`.

    Each closing is whole and at the market. They are sent in this order; the entry is judged when the closings have filled,
    for until then the door sees the old position.

    Raises
    ------
    UsageError : `entry` is not an entry.
    """
    intent = entry.intent
    if intent is None or intent.reduce_only:
        raise UsageError("flip was asked for an order that only reduces; give the entry, and the closing is added")
    by = str(entry.inputs.get("by", "")) or entry.name
    against = [
        position
        for symbol, position in held(positions).items()
        if intent.symbol in (symbol, position.tape) and position.quantity * entry.side.sign < 0
    ]
    closings = tuple(
        person_proposal(
            position.instrument.symbol,
            entry.side,
            abs(position.quantity),
            by=by,
            reason=f"flip: {intent.reason}",
            reduce_only=True,
        )
        for position in against
    )
    return (*closings, entry)


def rehearse(
    door: OneDoor, proposals: Sequence[Proposal], view: AccountView
) -> tuple[tuple[tuple[Check, ...], Approved | Refused], ...]:
    """Judge proposals one after the other without sending anything (a dry run); the door stays as it is.

    An approved reduction counts as filled at the last price, before costs, when the next proposal is judged.
    """
    twin, verdicts = door.twin(), []
    for proposal in proposals:
        verdict = twin.judge(proposal, view)
        verdicts.append(verdict)
        outcome = verdict[1]
        if isinstance(outcome, Approved) and proposal.intent is not None and proposal.intent.reduce_only:
            view = _after(view, outcome, proposal.side)
    return tuple(verdicts)


def _after(view: AccountView, closing: Approved, side: Side) -> AccountView:
    position = view.positions[closing.symbol]
    left = position.quantity + side.sign * closing.quantity
    last = view.last_ticks.get(position.tape)
    balance = view.balance
    # what stays keeps the average entry; what goes is booked
    cost = position.cost_ticks * left // position.quantity
    if is_known(last) and is_known(balance):
        gone = (last * (position.quantity - left)) - (position.cost_ticks - cost)
        balance += position.instrument.tick_value * gone
    positions = {symbol: other for symbol, other in view.positions.items() if symbol != closing.symbol}
    if left:
        positions[closing.symbol] = replace(position, quantity=left, cost_ticks=cost)
    return replace(view, positions=positions, balance=balance)
