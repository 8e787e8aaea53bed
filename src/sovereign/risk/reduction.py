"""The reduce-only policy: what closes risk is always let through, and nothing else is.

A reduce-only order is approved in every trading state, killed and halted included, whatever the clock, the data, the margin
or the order rate say: leaving a position must never be harder than entering it. It is refused when it would not reduce.
"""

from __future__ import annotations

from sovereign.core.decision import Approved, Check, Refused, make_check
from sovereign.core.order import OrderIntent
from sovereign.core.port import AccountView
from sovereign.core.position import Position
from sovereign.risk.limit import held
from sovereign.risk.number import NAN, is_known


def _position(intent: OrderIntent, view: AccountView) -> tuple[str, Position] | None:
    # the symbol names the traded instrument or the tape; on a tape with two siblings only the one it reduces can be meant
    positions = held(view.positions or {})
    if intent.symbol in positions:
        return intent.symbol, positions[intent.symbol]
    on_tape = [(symbol, position) for symbol, position in positions.items() if position.tape == intent.symbol]
    reducible = [item for item in on_tape if item[1].quantity * intent.side.sign < 0]
    return next(iter(reducible or on_tape), None)


def judge_reduction(intent: OrderIntent, view: AccountView) -> tuple[tuple[Check, ...], Approved | Refused]:
    """Approve what reduces an open position; without a quantity, all of it.

    The checks are `reduce_position` (something is held), `reduce_side` (the order is against it) and `reduce_quantity`
    (it is no larger than what is held).
    """
    found = _position(intent, view)
    symbol = intent.symbol if found is None else found[0]
    open_quantity = 0 if found is None else found[1].quantity
    quantity = abs(open_quantity) if intent.quantity is None else intent.quantity
    is_against = open_quantity * intent.side.sign < 0
    is_whole = is_known(quantity) and quantity == int(quantity) and 1 <= quantity <= abs(open_quantity)
    checks = (
        make_check(
            "reduce_position",
            float(open_quantity != 0),
            1.0,
            "positions",
            passed=open_quantity != 0,
            note=f"{open_quantity} {symbol} was held",
        ),
        make_check(
            "reduce_side",
            float(intent.side.sign),
            float(-1 if open_quantity > 0 else 1 if open_quantity < 0 else 0),
            "side",
            passed=is_against,
            note=f"{intent.side} against {open_quantity} {symbol}",
        ),
        make_check(
            "reduce_quantity",
            float(quantity) if is_known(quantity) else NAN,
            float(abs(open_quantity)),
            "units",
            passed=is_whole,
            note=f"{quantity} of {abs(open_quantity)} {symbol}",
        ),
    )
    failed = next((check for check in checks if not check.passed), None)
    if failed is not None:
        return checks, refuse(failed)
    return checks, Approved(quantity, was_resized=False, symbol=symbol)


def refuse(check: Check) -> Refused:
    """Return the refusal that a failed check means."""
    return Refused(check.name, check.limit, check.value, check.unit, f"{check.name}: {check.note}")
