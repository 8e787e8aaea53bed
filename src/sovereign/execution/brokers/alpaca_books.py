"""The books of an account at Alpaca: what it tells of orders, fills and positions, and the costs that our own books have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from logging import getLogger
from typing import Any

from sovereign.core.errors import BrokerError
from sovereign.core.port import Clock
from sovereign.core.session import NS_PER_SECOND, from_ns
from sovereign.execution.broker import VenueExecution, VenuePosition
from sovereign.execution.brokers.alpaca_rest import AlpacaDesk
from sovereign.execution.brokers.alpaca_wire import Known, OrderNames, day_before, position_of
from sovereign.feeds.alpaca.configuration import AlpacaConfig
from sovereign.feeds.alpaca.symbols import equity_of

_LOGGER = getLogger("sovereign.alpaca")


class AlpacaBooks:
    """Reads what Alpaca knows; what it learns of orders goes into `names`."""

    def __init__(self, desk: AlpacaDesk, names: OrderNames, config: AlpacaConfig, clock: Clock) -> None:
        self._desk, self._names, self._config, self._clock = desk, names, config, clock
        self._foreign: set[str] = set()  # symbols that are no equities, and that we have said so of

    async def read_orders(self) -> None:
        """Learn of all orders, as far back as the settings say."""
        for body in self.ours(await self._desk.orders(day_before(self._clock.now_ns(), self._config.lookback_days))):
            self._names.learn(body)

    async def positions(self) -> list[VenuePosition]:
        """Return what is held in equities."""
        return [position_of(body) for body in self.ours(await self._desk.query("/positions"))]

    async def known(self, venue_id: str) -> Known:
        """Return an order by Alpaca's own id, asking for it where it was never heard of.

        Raises
        ------
        BrokerError : Alpaca does not know it either.
        """
        known = self._names.of_venue(venue_id)
        if known is None:
            await self.read_orders()
            known = self._names.of_venue(venue_id)
        if known is None:
            body = await self._desk.order(venue_id)
            if body is None:
                raise BrokerError(f"Alpaca told of a fill of order {venue_id} and does not know the order; ask again")
            known = self._names.learn(body)
        return known

    def ours(self, bodies: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return what is in equities; of any other symbol it is said once that it is left alone."""
        return [body for body in bodies if self.is_ours(str(body["symbol"]))]

    def is_ours(self, symbol: str) -> bool:
        """Say whether a symbol is an equity."""
        if equity_of(symbol) is not None:
            return True
        if symbol not in self._foreign:
            self._foreign.add(symbol)
            _LOGGER.warning(
                "the account holds or trades '%s', which is no US equity known here: it is left alone, guard and kill see it",
                symbol,
            )
        return False

    def dated(self, execution: VenueExecution) -> VenueExecution:
        """Return an execution at a time that can be: what follows one of the future would never be asked for."""
        now = self._clock.now_ns()
        if execution.ts <= now + self._config.ahead_s * NS_PER_SECOND:
            return execution
        _LOGGER.warning("an execution of %s was dated %s; it counts as of now", execution.symbol, from_ns(execution.ts))
        return replace(execution, ts=now, cursor=now)


class BookedCosts:
    """Shares and their cost in ticks by symbol, as our own books will have them: those round each fill to its tick."""

    def __init__(self) -> None:
        self._costs: dict[str, tuple[int, int]] = {}

    def held(self, symbol: str) -> int:
        """Return the signed shares of a symbol, as the fills so far make them."""
        return self._costs.get(symbol, (0, 0))[0]

    def take(self, position: VenuePosition) -> None:
        """Take over a position as Alpaca has it."""
        self._costs[position.symbol] = (position.quantity, position.cost_ticks)

    def book(self, execution: VenueExecution) -> None:
        """Take a fill."""
        quantity, cost = self._costs.get(execution.symbol, (0, 0))
        signed = execution.side.sign * execution.quantity
        if quantity * signed < 0:
            closing = min(abs(quantity), execution.quantity)
            cost -= (2 * cost * closing + abs(quantity)) // (2 * abs(quantity))
            rest = execution.quantity - closing
            quantity += execution.side.sign * closing
            signed = execution.side.sign * rest
        self._costs[execution.symbol] = (quantity + signed, cost + signed * execution.price_ticks)

    def as_booked(self, position: VenuePosition) -> VenuePosition:
        """Return a position at our own cost, where that differs from Alpaca's by its rounding alone."""
        quantity, cost = self._costs.get(position.symbol, (0, 0))
        if quantity == position.quantity and abs(cost - position.cost_ticks) <= abs(quantity):
            return VenuePosition(symbol=position.symbol, quantity=quantity, cost_ticks=cost)
        return position


class AlpacaMargins:
    """What a share binds: the larger of Alpaca's maintenance rate, asked for once, and what the account's leverage leaves.

    Parameters
    ----------
    symbols : those that will be traded. last_price : of a symbol; one without a price has no margin.
    """

    def __init__(self, desk: AlpacaDesk, symbols: tuple[str, ...], last_price: Callable[[str], Decimal | None]) -> None:
        self._desk, self._symbols, self._last_price = desk, symbols, last_price
        self._rates: dict[str, Decimal] = {}

    async def read(self) -> Mapping[str, Decimal]:
        """Return the margin per share now."""
        account = await self._desk.query("/account")
        leverage = max(Decimal(1), Decimal(str(account.get("multiplier") or 1)))
        found: dict[str, Decimal] = {}
        for symbol in self._symbols:
            price = self._last_price(symbol)
            if symbol not in self._rates:
                asset = await self._desk.query(f"/assets/{symbol}", may_miss=True)
                rate = None if asset is None else asset.get("maintenance_margin_requirement")
                if rate is not None:
                    self._rates[symbol] = Decimal(str(rate)) / 100
            if price is not None and symbol in self._rates:
                found[symbol] = price * max(1 / leverage, self._rates[symbol])
        return found
