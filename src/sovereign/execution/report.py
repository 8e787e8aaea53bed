"""Execution reports: what a venue tells us about an order. The only way an order or a position ever changes."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sovereign.core.order import Order, OrderEvent
from sovereign.core.position import Liquidity
from sovereign.core.record import maker, quick


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionReport:
    """One message from the venue about one order.

    `trade_id`, `quantity` and `price_ticks` describe a fill (`quantity` is this fill's, never cumulative). After an `UPDATE`
    `quantity`, `limit_ticks` and `stop_ticks` are the order's new terms. `child` is an order the venue itself created (a
    bracket's stop or target), sent with its `SUBMIT`. `fee` is what the venue charged for a fill; None when it does not say,
    and then our own fee model does.
    """

    cause: OrderEvent
    client_order_id: str
    ts: int
    trade_id: str = ""
    quantity: int = 0
    price_ticks: int = 0
    limit_ticks: int | None = None
    stop_ticks: int | None = None
    liquidity: Liquidity = Liquidity.TAKER
    slippage_ticks: int = 0
    is_ambiguous: bool = False
    reason: str = ""
    child: Order | None = None
    fee: Decimal | None = None


make_report = maker(ExecutionReport)
