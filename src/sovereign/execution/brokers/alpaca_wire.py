"""Alpaca's words and ours: orders as they are sent, orders and executions as they come back, and what an order is called.

A bracket whose entry cannot rest at Alpaca (IOC, FOK, market) follows the fill as an OCO pair. So that it comes even when the
process dies in between, the entry's client order id carries the distances: `ID~s200~t400` is order `ID` with a stop 200 and a
target 400 ticks from its average fill. Legs that Alpaca itself makes have ids of Alpaca's choice; here they are `ID-S`, `ID-T`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from sovereign.core.errors import BrokerError, SovereignError
from sovereign.core.instrument import Instrument, find_instrument
from sovereign.core.order import Bracket, Order, OrderRole, OrderStatus, OrderType, Side, TimeInForce
from sovereign.core.session import from_ns
from sovereign.execution.broker import VenueExecution, VenueOrder, VenuePosition
from sovereign.feeds.alpaca.history import time_ns
from sovereign.feeds.alpaca.symbols import equity_of

_SUFFIX = re.compile(r"~s(?P<stop>\d+)(?:~t(?P<target>\d+))?(?:~r(?P<trail>\d+))?$")
_TYPES = {
    "market": OrderType.MARKET,
    "limit": OrderType.LIMIT,
    "stop": OrderType.STOP,
    "stop_limit": OrderType.STOP_LIMIT,
    "trailing_stop": OrderType.TRAILING_STOP,
}
_CLOSED = {
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "replaced": OrderStatus.CANCELED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}
_LIVES = {TimeInForce.DAY: "day", TimeInForce.GTC: "gtc", TimeInForce.IOC: "ioc", TimeInForce.FOK: "fok"}
_FOLLOWED = (TimeInForce.IOC, TimeInForce.FOK)
_MOST_MONEY = Decimal(10) ** 15  # beyond it no cent can be told in a float
STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP)


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Read an answer of Alpaca's inside the block.

    Raises
    ------
    BrokerError : it was not what Alpaca documents; nothing is known then.
    """
    try:
        yield
    except BrokerError:
        raise
    except (SovereignError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as cause:
        raise BrokerError(
            f"Alpaca's {what} was not understood ({type(cause).__name__}: {cause}); nothing is known, ask again, and look at "
            f"Alpaca's own page if it stays so"
        ) from cause


def follows_fill(order_type: OrderType, life: TimeInForce) -> bool:
    """Say whether an entry's bracket is placed after its fill, because Alpaca holds none with such an order."""
    return order_type is OrderType.MARKET or life in _FOLLOWED


def sent_id(client_order_id: str, bracket: Bracket | None) -> str:
    """Return the client order id under which an order goes to Alpaca."""
    if bracket is None:
        return client_order_id
    parts = {"s": bracket.stop_ticks, "t": bracket.target_ticks, "r": bracket.trail_ticks}
    return client_order_id + "".join(f"~{letter}{ticks}" for letter, ticks in parts.items() if ticks is not None)


def own_id(sent: str) -> tuple[str, Bracket | None]:
    """Return our id and the bracket that is to follow, of an id as Alpaca has it."""
    found = _SUFFIX.search(sent)
    if found is None:
        return sent, None
    numbers = {name: int(value) for name, value in found.groupdict().items() if value is not None}
    bracket = Bracket(stop_ticks=numbers["stop"], target_ticks=numbers.get("target"), trail_ticks=numbers.get("trail"))
    return sent[: found.start()], bracket


def need_same(answer: Mapping[str, Any], order: Order) -> None:
    """Refuse an answer that is about another order than the one that was sent.

    Raises
    ------
    BrokerError : it is.
    """
    name = str(answer["client_order_id"])
    if own_id(name)[0] != order.client_order_id:
        raise BrokerError(f"Alpaca answered with the order '{name}'; nothing is known, ask again")


def ticks_of(instrument: Instrument, price: str | float | None) -> int | None:
    """Return a price in ticks, to the nearest, a half to the even one; fills between two ticks occur."""
    if price is None:
        return None
    return int((Decimal(str(price)) / instrument.tick_size).to_integral_value(ROUND_HALF_EVEN))


def whole(quantity: str | float | None) -> int:
    """Return a number of shares; a fraction of one is left out, as the platform trades whole shares."""
    return int(Decimal(str(quantity or 0)))


def status_of(body: Mapping[str, Any]) -> OrderStatus:
    """Return the status of an order as Alpaca describes it; every state in which it may still fill is a working one."""
    closed = _CLOSED.get(str(body["status"]))
    if closed is not None:
        return closed
    return OrderStatus.PARTIALLY_FILLED if whole(body.get("filled_qty")) else OrderStatus.ACCEPTED


def fault_of(order: Order) -> str:
    """Return why Alpaca could not hold an order; empty when it can."""
    if order.time_in_force not in _LIVES:
        return f"time_in_force was {order.time_in_force}; Alpaca takes {', '.join(_LIVES)}"
    bracket = order.bracket
    if bracket is not None and bracket.trail_ticks is not None and bracket.target_ticks is not None:
        return "the bracket had a trailing stop and a target; Alpaca holds one or the other"
    if len(sent_id(order.client_order_id, bracket)) > 128:
        return (
            f"client_order_id had {len(order.client_order_id)} characters; Alpaca takes 128, the bracket's distances included"
        )
    return ""


def request_of(order: Order) -> Any:
    """Return an order as the client sends it; a bracket goes along where Alpaca can hold it from the start."""
    from alpaca.trading.requests import StopLossRequest, TakeProfitRequest

    instrument, bracket = order.instrument, order.bracket
    is_held = bracket is not None and not follows_fill(order.order_type, order.time_in_force) and bracket.trail_ticks is None
    terms = _terms(order, sent_id(order.client_order_id, None if is_held else bracket))
    if bracket is not None and is_held:
        base = order.limit_ticks if order.limit_ticks is not None else order.stop_ticks or order.arrival_ticks or 0
        sign = order.side.sign
        terms["stop_loss"] = StopLossRequest(stop_price=_price(instrument, base - sign * bracket.stop_ticks))
        terms["order_class"] = "oto"
        if bracket.target_ticks is not None:
            terms["take_profit"] = TakeProfitRequest(limit_price=_price(instrument, base + sign * bracket.target_ticks))
            terms["order_class"] = "bracket"
    return _kind(order.order_type)(**terms)


def _terms(order: Order, client_order_id: str) -> dict[str, Any]:
    prices = {
        "limit_price": order.limit_ticks if order.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT) else None,
        "stop_price": order.stop_ticks if order.order_type in (OrderType.STOP, OrderType.STOP_LIMIT) else None,
        "trail_price": order.trail_ticks if order.order_type is OrderType.TRAILING_STOP else None,
    }
    return {
        "symbol": order.instrument.symbol,
        "qty": order.quantity,
        "side": order.side.value.lower(),
        "time_in_force": _LIVES[order.time_in_force],
        "client_order_id": client_order_id,
        **{name: _price(order.instrument, ticks) for name, ticks in prices.items() if ticks is not None},
    }


def _price(instrument: Instrument, ticks: int) -> float:
    return float(instrument.to_price(ticks))


def _kind(order_type: OrderType) -> Any:
    from alpaca.trading import requests

    return {
        OrderType.MARKET: requests.MarketOrderRequest,
        OrderType.LIMIT: requests.LimitOrderRequest,
        OrderType.STOP: requests.StopOrderRequest,
        OrderType.STOP_LIMIT: requests.StopLimitOrderRequest,
        OrderType.TRAILING_STOP: requests.TrailingStopOrderRequest,
    }[order_type]


def exit_request(stop: Order, target: Order | None) -> Any:
    """Return what protects a fill: an OCO pair, or a stop alone when there is no target."""
    from alpaca.trading.requests import LimitOrderRequest, StopLossRequest, TakeProfitRequest

    if target is None:
        return _kind(stop.order_type)(**_terms(stop, stop.client_order_id))
    return LimitOrderRequest(
        **{
            **_terms(target, target.client_order_id),
            "order_class": "oco",
            "take_profit": TakeProfitRequest(limit_price=_price(target.instrument, target.limit_ticks or 0)),
            "stop_loss": StopLossRequest(stop_price=_price(stop.instrument, stop.stop_ticks or 0)),
        }
    )


@dataclass(slots=True, eq=False)
class Known:
    """An order that Alpaca has told us of, or that we have sent; `follows` is the bracket that is to follow its fill."""

    client_order_id: str
    symbol: str
    side: Side
    venue_id: str = ""
    status: OrderStatus = OrderStatus.SUBMITTED
    filled_qty: int = 0
    quantity: int = 0
    average: Decimal = Decimal(0)
    order_type: OrderType = OrderType.MARKET
    limit_ticks: int | None = None
    stop_ticks: int | None = None
    parent_id: str | None = None
    follows: Bracket | None = None
    has_legs: bool = False
    placed: int = 0  # shares of its fill for which stop and target were sent
    groups: int = 0
    order: Order | None = None
    reason: str = ""
    legs: list[str] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether it may still fill."""
        return not self.status.is_closed

    @property
    def is_exit(self) -> bool:
        """Whether it is a stop or target of ours."""
        return self.parent_id is not None

    def seen(self) -> VenueOrder:
        """Return it as the port describes an order."""
        return VenueOrder(
            client_order_id=self.client_order_id,
            venue_order_id=self.venue_id,
            symbol=self.symbol,
            side=self.side,
            order_type=self.order_type,
            quantity=self.quantity,
            filled_qty=self.filled_qty,
            status=self.status,
            limit_ticks=self.limit_ticks,
            stop_ticks=self.stop_ticks,
            parent_id=self.parent_id,
            reason=self.reason,
        )


_EXIT = re.compile(r"^(?P<entry>.+)-(?P<leg>[ST])(?P<number>\d*)$")


def exit_name(entry: str, role: OrderRole, number: int) -> str:
    """Return the id of the stop or target of an entry's `number`-th group, from 1."""
    return f"{entry}-{role[0]}{'' if number == 1 else number}"


class OrderNames:
    """Every order by our id and by Alpaca's; what Alpaca describes is learned here."""

    def __init__(self) -> None:
        self.by_id: dict[str, Known] = {}
        self._by_venue: dict[str, Known] = {}

    def of_venue(self, venue_id: str) -> Known | None:
        """Return the order of one of Alpaca's ids."""
        return self._by_venue.get(venue_id)

    def expect(self, known: Known) -> Known:
        """Take an order that is about to be sent."""
        return self.by_id.setdefault(known.client_order_id, known)

    def learn(self, body: Mapping[str, Any], parent: Known | None = None) -> Known:
        """Take over what Alpaca says of an order and of its legs; news never takes back a close or a fill."""
        filled, asked = whole(body.get("filled_qty")), body.get("qty")
        if filled < 0 or (asked is not None and filled > whole(asked)):
            raise BrokerError(f"Alpaca told of {filled} shares filled of an order for {asked}; nothing is known, ask again")
        known = self._by_venue.get(str(body["id"])) or self._meet(body, parent)
        known.venue_id = str(body["id"])
        self._by_venue[known.venue_id] = known
        instrument = equity_of(known.symbol)
        if filled >= known.filled_qty:
            known.filled_qty = filled
            if body.get("filled_avg_price") is not None:
                known.average = Decimal(str(body["filled_avg_price"]))
            if known.is_open:
                known.status = status_of(body)
        known.quantity = whole(body.get("qty")) or known.quantity
        known.order_type = _TYPES.get(str(body.get("type") or body.get("order_type")), known.order_type)
        known.limit_ticks = None if instrument is None else ticks_of(instrument, body.get("limit_price"))
        known.stop_ticks = None if instrument is None else ticks_of(instrument, body.get("stop_price"))
        for leg in body.get("legs") or ():
            known.has_legs = known.has_legs or body.get("order_class") in ("bracket", "oto")
            self.learn(leg, known)
        return known

    def _meet(self, body: Mapping[str, Any], parent: Known | None) -> Known:
        sent = str(body["client_order_id"])
        name, follows = own_id(sent)
        if parent is not None:
            # Alpaca made it: the leg of a bracket, or the stop beside our target.
            entry = parent.parent_id or parent.client_order_id
            number = int(found["number"] or 1) if (found := _EXIT.match(parent.client_order_id)) and parent.parent_id else 1
            is_stop = str(body.get("type")) in ("stop", "stop_limit", "trailing_stop")
            name = exit_name(entry, OrderRole.STOP if is_stop else OrderRole.TARGET, number)
        known = self.by_id.get(name)
        if known is None:
            known = Known(name, str(body["symbol"]), Side(str(body["side"]).upper()))
            self.by_id[name] = known
            known.follows = follows
            known.parent_id = self._entry_of(name, parent)
        if parent is not None and name not in parent.legs:
            parent.legs.append(name)
        return known

    def _entry_of(self, name: str, parent: Known | None) -> str | None:
        if parent is not None:
            return parent.parent_id or parent.client_order_id
        found = _EXIT.match(name)
        return found["entry"] if found is not None else None

    def exits_of(self, entry: str) -> list[Known]:
        """Return stops and targets of an entry."""
        return [known for known in self.by_id.values() if known.parent_id == entry]

    def closing(self, symbol: str) -> int:
        """Return the shares that working orders of ours, stops and targets apart, are about to close."""
        found = [known for known in self.by_id.values() if known.symbol == symbol and known.is_open and not known.is_exit]
        return sum(known.quantity - known.filled_qty for known in found if known.order is not None and known.order.reduce_only)

    def open_exits(self, symbol: str) -> list[Known]:
        """Return the stops and targets that hold shares of a symbol."""
        return [known for known in self.by_id.values() if known.symbol == symbol and known.is_exit and known.is_open]


def execution_of(body: Mapping[str, Any], client_order_id: str) -> VenueExecution:
    """Return one of Alpaca's FILL activities as an execution; its cursor is its time, UTC ns.

    A fill is known by its order and how much of it was filled then: so says the activity, and so does the stream.
    """
    instrument = find_instrument(str(body["symbol"]))
    ts = time_ns(str(body["transaction_time"]))
    side = Side.BUY if str(body["side"]) == "buy" else Side.SELL
    quantity, price = fill_of(instrument, body["qty"], body["price"])
    return VenueExecution(
        cursor=ts,
        trade_id=trade_id(str(body["order_id"]), body["cum_qty"]),
        client_order_id=client_order_id,
        symbol=instrument.symbol,
        side=side,
        quantity=quantity,
        price_ticks=price,
        ts=ts,
        fee=remainder(instrument, side, quantity, price, body["price"]),
    )


def fill_of(instrument: Instrument, quantity: str | float, price: str | float) -> tuple[int, int]:
    """Return the whole shares and the price in ticks of a fill.

    Raises
    ------
    BrokerError : there is no fill of nothing, of less, or for nothing.
    """
    if not (Decimal(str(quantity)) > 0 and Decimal(str(price)) > 0):
        raise BrokerError(
            f"Alpaca told of a fill of {quantity} {instrument.symbol} at {price}; both are above 0, so nothing is known, "
            f"ask again"
        )
    return whole(quantity), ticks_of(instrument, price) or 0


def cash_of(account: Mapping[str, Any]) -> Decimal:
    """Return the cash of an account.

    Raises
    ------
    BrokerError : it is no amount of money; sizes and limits would follow from it.
    """
    cash = Decimal(str(account["cash"]))
    if not abs(cash) < _MOST_MONEY:
        raise BrokerError(f"Alpaca told of {cash} in cash, which is no amount; nothing is known, ask again")
    return cash


def trade_id(venue_id: str, filled: str | float) -> str:
    """Return what a fill is known by."""
    return f"{venue_id}:{whole(filled)}"


def remainder(instrument: Instrument, side: Side, quantity: int, price_ticks: int, price: str | float) -> Decimal:
    """Return what a fill between two ticks cost beyond the tick it is booked at: with it, cash agrees to the cent."""
    exact = Decimal(str(price)) - instrument.to_price(price_ticks)
    return exact * side.sign * quantity * instrument.tick_value / instrument.tick_size


def day_before(ts: int, days: int) -> str:
    """Return the time `days` before, as a query takes it."""
    return (from_ns(ts) - timedelta(days=days)).isoformat().replace("+00:00", "Z")


def position_of(body: Mapping[str, Any], *, is_counted_up: bool = False) -> VenuePosition:
    """Return a position as Alpaca describes it; short ones are negative.

    What is no equity here (an option, a coin) has no ticks: its cost is 0. With `is_counted_up`, a part of one share or coin
    counts as one, so that nothing that is held looks like nothing.
    """
    symbol = str(body["symbol"])
    instrument, exact = equity_of(symbol), Decimal(str(body["qty"]))
    if str(body.get("side")) == "short":
        exact = -abs(exact)
    quantity = whole(str(exact))
    if is_counted_up and exact and not quantity:
        quantity = 1 if exact > 0 else -1
    cost = Decimal(0) if instrument is None else Decimal(str(body["avg_entry_price"])) * quantity / instrument.tick_size
    return VenuePosition(symbol=symbol, quantity=quantity, cost_ticks=round(cost))
