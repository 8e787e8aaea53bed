"""Money that came or went while nobody traded: deposits, withdrawals, interest, dividends, fees of the night.

It is what the venue's cash differs by from our books, once they hold every execution that the venue knows and agree with it on
positions. It is no profit and no loss of anybody's trading: the day begins with it.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from sovereign.core.errors import NotFoundError
from sovereign.core.instrument import find_instrument
from sovereign.core.order import OrderRole
from sovereign.core.position import Fill
from sovereign.execution.account import Account
from sovereign.execution.broker import BrokerSnapshot

_CENT = Decimal("0.01")


def money_moved(books: Account, snapshot: BrokerSnapshot, since_cursor: int, tolerance: Decimal) -> Decimal:
    """Return what came (positive) or went (negative) without a trade, in account currency; 0 when it is not known.

    It is known when positions agree. Average prices may differ: no cash changes hands while a position is held.

    Parameters
    ----------
    books : our side; read, not changed. since_cursor : the venue's last execution that they hold.
    tolerance : differences up to this are none.
    """
    scratch = books.copy()
    for execution in snapshot.executions:
        if execution.cursor <= since_cursor:
            continue
        held = scratch.positions.get(execution.symbol)
        try:
            instrument = find_instrument(execution.symbol) if held is None else held.instrument
        except NotFoundError:
            return Decimal(0)
        fill = Fill(
            trade_id=execution.trade_id,
            client_order_id=execution.client_order_id,
            instrument=instrument,
            side=execution.side,
            quantity=execution.quantity,
            price_ticks=execution.price_ticks,
            ts=execution.ts,
            fee=execution.fee,
            liquidity=execution.liquidity,
            role=OrderRole.ENTRY,
        )
        scratch.apply(fill, execution.symbol if held is None else held.tape, None, {})
    ours = {symbol: position.quantity for symbol, position in scratch.positions.items()}
    theirs = {position.symbol: position.quantity for position in snapshot.positions if position.quantity}
    difference = snapshot.cash - scratch.balance
    return difference if ours == theirs and abs(difference) > tolerance else Decimal(0)


def moved_mark(mark: Decimal, balance: Decimal, moved: Decimal) -> Decimal:
    """Return a high-water mark after money came or went: as far above the balance as before, in proportion.

    So a deposit is no profit and a withdrawal no drawdown, whose limit is a fraction of the mark. Without a balance above 0 on
    both sides there is no proportion, and the mark begins anew.
    """
    after = balance + moved
    if balance <= 0 or after <= 0:
        return after
    return (mark * after / balance).quantize(_CENT, ROUND_HALF_UP)
