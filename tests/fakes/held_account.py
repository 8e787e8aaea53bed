"""An account in memory with the shape of `app.ops.account.AccountAccess`, and switches for what venues do to people."""

from __future__ import annotations

from decimal import Decimal

from sovereign.core.errors import BrokerError
from sovereign.core.order import OrderStatus, OrderType, Side
from sovereign.execution.broker import BrokerSnapshot, VenueOrder, VenuePosition


class HeldAccount:
    """Holds positions and one stop order for each; `is_silent` answers nothing, `ignores` that many flattenings."""

    broker = "venue"

    def __init__(self, now_ns: int, positions: dict[str, int] | None = None, name: str = "paper") -> None:
        self.name = name
        self.now_ns = now_ns
        self.positions = dict(positions or {})
        self.orders = {f"stop-{symbol}": symbol for symbol in self.positions}
        self.is_silent = False
        self.ignores = 0
        self.refuses_cancels = False
        self.asked: list[str] = []
        self.is_closed = False

    def _answer(self, what: str) -> None:
        self.asked.append(what)
        if self.is_silent:
            raise BrokerError("the venue did not answer; nothing is known, ask again")

    def snapshot(self) -> BrokerSnapshot:
        self._answer("snapshot")
        return BrokerSnapshot(
            now_ns=self.now_ns,
            cursor=0,
            orders=tuple(
                VenueOrder(
                    client_order_id=order_id,
                    venue_order_id=order_id,
                    symbol=symbol,
                    side=Side.SELL,
                    order_type=OrderType.STOP,
                    quantity=1,
                    filled_qty=0,
                    status=OrderStatus.ACCEPTED,
                )
                for order_id, symbol in self.orders.items()
            ),
            executions=(),
            positions=tuple(
                VenuePosition(symbol=symbol, quantity=quantity, cost_ticks=0) for symbol, quantity in self.positions.items()
            ),
            cash=Decimal(0),
        )

    def cancel_all(self) -> None:
        self._answer("cancel_all")
        if self.refuses_cancels:
            raise BrokerError("the venue refused")
        self.orders.clear()

    def flatten(self) -> None:
        self._answer("flatten")
        if self.ignores:
            self.ignores -= 1
            return
        self.orders.clear()
        self.positions.clear()

    def wait_flat(self, seconds: float) -> bool:
        self._answer("wait_flat")
        return not self.positions and not self.orders

    def close(self) -> None:
        self.is_closed = True
