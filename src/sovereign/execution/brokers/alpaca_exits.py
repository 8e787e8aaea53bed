"""Stops and targets at Alpaca: told once they work, sent after a fill where they could not go with the entry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import ROUND_FLOOR, Decimal
from functools import partial
from logging import getLogger
from typing import Any, Protocol

from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, Order, OrderEvent, OrderRole, OrderStatus, OrderType, TimeInForce
from sovereign.core.port import Clock
from sovereign.execution.brokers.alpaca_rest import AlpacaDesk
from sovereign.execution.brokers.alpaca_wire import Known, OrderNames, exit_name, exit_request
from sovereign.execution.report import ExecutionReport
from sovereign.feeds.alpaca.client import Refusal
from sovereign.feeds.alpaca.configuration import AlpacaBracketLife, AlpacaConfig

_LOGGER = getLogger("sovereign.alpaca")


class Teller(Protocol):
    """Who says what happened to an order."""

    def tell(self, report: ExecutionReport) -> None:
        """Pass a report on."""
        ...

    def say(self, cause: OrderEvent, client_order_id: str, reason: str = "", ts: int | None = None) -> None:
        """Report something that is no fill; `ts` by default now."""
        ...

    def refuse(self, order: Order, reason: str) -> None:
        """Report that an order was refused for good."""
        ...

    def expect(self, order: Order) -> Known:
        """Take an order that is about to be sent."""
        ...

    def learn(self, order: Order, answer: Mapping[str, Any]) -> Known | None:
        """Return an order as Alpaca took it; None when that cannot be made out."""
        ...

    def do(self, symbol: str, act: Callable[[], Awaitable[None]]) -> None:
        """Do something after everything else that was asked for on a symbol."""
        ...


class AlpacaExits:
    """Sees to it that what an entry with a bracket filled has its stop and target at Alpaca.

    Parameters
    ----------
    position : signed shares of a symbol, as the fills so far make them.
    """

    def __init__(
        self,
        teller: Teller,
        names: OrderNames,
        desk: AlpacaDesk,
        config: AlpacaConfig,
        clock: Clock,
        position: Callable[[str], int],
    ) -> None:
        self._teller, self._names, self._desk, self._config, self._clock = teller, names, desk, config, clock
        self._position = position

    def _alive(self, symbol: str) -> int:
        """Return the shares that working stops protect."""
        stops = [known for known in self._names.open_exits(symbol) if known.order_type is not OrderType.LIMIT]
        return sum(known.quantity - known.filled_qty for known in stops)

    def follow_symbol(self, symbol: str) -> None:
        """Look again at every entry of a symbol: what stood in the way of its stop may be gone."""
        for known in [known for known in self._names.by_id.values() if known.symbol == symbol and not known.is_exit]:
            self.follow(known)

    def restore(self, held: Mapping[str, int]) -> None:
        """Follow up fills whose stop and target were never sent because the process died in between."""
        for entry in [known for known in self._names.by_id.values() if known.follows is not None and known.filled_qty]:
            exits = self._names.exits_of(entry.client_order_id)
            stops = [known for known in exits if known.order_type is not OrderType.LIMIT]
            entry.groups = len(stops)
            entry.placed = sum(known.quantity for known in stops)
            alive = self._alive(entry.symbol)
            open_quantity = max(0, entry.side.sign * held.get(entry.symbol, 0))
            missing = min(entry.filled_qty - entry.placed, open_quantity - alive)
            entry.placed = entry.filled_qty - max(0, missing)
            self.follow(entry)

    def is_hidden(self, known: Known) -> bool:
        """Say whether it is the leg of a bracket that waits for its entry: nothing that works yet."""
        parent = self._names.by_id.get(known.parent_id or "")
        return parent is not None and parent.has_legs and parent.status is not OrderStatus.FILLED

    def follow(self, known: Known) -> None:
        """See to it that what an entry filled has its stop and target."""
        if known.has_legs:
            if known.status is OrderStatus.FILLED:
                for leg in known.legs:
                    self.announce(self._names.by_id[leg])
                return
            if known.is_open or not known.filled_qty or known.order is None:
                return
            known.follows = known.order.bracket  # closed before it was filled whole: Alpaca takes its legs away
        is_ready = not known.is_open or not _is_immediate(known)
        if known.follows is not None and known.filled_qty > known.placed and is_ready:
            self._teller.do(known.symbol, partial(self._protect, known))

    def announce(self, leg: Known) -> None:
        """Tell of an order that Alpaca made, once, before anything else is said of it."""
        if leg.order is not None:
            return
        leg.order = self._exit(leg, self._names.by_id.get(leg.parent_id or ""))
        self._tell_child(leg.order)
        self._teller.say(OrderEvent.ACCEPT, leg.client_order_id)

    def _tell_child(self, order: Order) -> None:
        self._teller.tell(
            ExecutionReport(
                cause=OrderEvent.SUBMIT, client_order_id=order.client_order_id, ts=self._clock.now_ns(), child=order
            )
        )

    def _exit(self, leg: Known, entry: Known | None) -> Order:
        now, of = self._clock.now_ns(), None if entry is None else entry.order
        is_stop = leg.order_type is not OrderType.LIMIT
        return Order(
            client_order_id=leg.client_order_id,
            instrument=find_instrument(leg.symbol),
            tape=leg.symbol,
            side=leg.side,
            order_type=leg.order_type,
            quantity=leg.quantity,
            submitted_ns=now,
            active_ns=now,
            role=OrderRole.STOP if is_stop else OrderRole.TARGET,
            limit_ticks=leg.limit_ticks,
            stop_ticks=leg.stop_ticks,
            time_in_force=TimeInForce.DAY if self._config.bracket_life is AlpacaBracketLife.DAY else TimeInForce.GTC,
            reduce_only=True,
            parent_id=leg.parent_id,
            decision_id=None if of is None else of.decision_id,
        )

    def _bare(self, entry: Known) -> int:
        """Return how many shares of a fill still need their stop."""
        held = max(0, entry.side.sign * self._position(entry.symbol))
        if not held:
            entry.placed = entry.filled_qty  # closed meanwhile: a stop would open a position
        unsold = held - self._names.closing(entry.symbol) - self._alive(entry.symbol)
        return min(entry.filled_qty - entry.placed, unsold)

    async def _protect(self, entry: Known) -> None:
        """Send stop and target for what was filled and has none; until it is known that they are there, or refused.

        If that is not known in time, they are in flight: the session asks for them and sees to a position without a stop, and
        the symbol's next order, which may close it, goes on.
        """
        quantity, bracket = self._bare(entry), entry.follows
        if quantity <= 0 or bracket is None:
            return
        entry.groups += 1
        entry.placed += quantity
        stop, target = self._pair(entry, bracket, quantity)
        orders = [order for order in (stop, target) if order is not None]
        for order in orders:
            self._teller.expect(order)
            self._tell_child(order)
        request, leader = exit_request(stop, target), stop if target is None else target
        answer = await self._desk.post_until_known(request, leader.client_order_id, self._config.protect_s)
        if answer is None:
            _LOGGER.error(
                "stop and target of %s (%d %s) could not be placed within %g s: whether they arrived is not known, and the "
                "position may have no stop",
                entry.client_order_id,
                quantity,
                entry.symbol,
                self._config.protect_s,
            )
            return
        if isinstance(answer, Refusal):
            for order in orders:
                self._teller.refuse(order, answer.text)
            return
        if self._teller.learn(leader, answer) is not None:
            for order in orders:
                self._teller.say(OrderEvent.ACCEPT, order.client_order_id)

    def _pair(self, entry: Known, bracket: Bracket, quantity: int) -> tuple[Order, Order | None]:
        instrument, sign = find_instrument(entry.symbol), entry.side.sign
        average = int((entry.average / instrument.tick_size + Decimal("0.5")).to_integral_value(ROUND_FLOOR))
        name = partial(exit_name, entry.client_order_id)
        legs = [
            Known(
                name(OrderRole.STOP, entry.groups),
                entry.symbol,
                entry.side.opposite,
                quantity=quantity,
                order_type=OrderType.STOP if bracket.trail_ticks is None else OrderType.TRAILING_STOP,
                stop_ticks=average - sign * bracket.stop_ticks,
                parent_id=entry.client_order_id,
            )
        ]
        if bracket.target_ticks is not None:
            target = average + sign * bracket.target_ticks
            legs.append(
                Known(
                    name(OrderRole.TARGET, entry.groups),
                    entry.symbol,
                    entry.side.opposite,
                    quantity=quantity,
                    order_type=OrderType.LIMIT,
                    limit_ticks=target,
                    parent_id=entry.client_order_id,
                )
            )
        made = [self._exit(leg, entry) for leg in legs]
        made[0].trail_ticks = bracket.trail_ticks
        return made[0], made[1] if len(made) > 1 else None


def _is_immediate(known: Known) -> bool:
    return known.order is None or known.order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
