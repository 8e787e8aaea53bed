"""What a session has done, as comparable items: decisions, orders, fills, trades, and what is left of the money.

Books are read from audit events in their plain form, so that the stored stream of a session and the events of a run in this
process are read alike. An item is known by what led to it (moment, symbol, signal, side), never by a number that an extra
decision would shift; what is compared is what a person would compare.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal, localcontext
from enum import StrEnum
from typing import Any

from sovereign.core.instrument import find_instrument
from sovereign.core.order import Side
from sovereign.engine.inputs import Opening

EXACT = Context(prec=60)
"""Money is added with so many digits that no sum of it is rounded."""

Value = str | int | bool | None
Plain = Mapping[str, Any]
_CLOSED = ("DENIED", "REJECTED", "FILLED", "CANCELED", "EXPIRED")


class ItemKind(StrEnum):
    """What an item is; `OPEN` is the money that no closed trade holds: open positions, and corrections of cash."""

    DECISION = "decision"
    ORDER = "order"
    FILL = "fill"
    TRADE = "trade"
    OPEN = "open"


Key = tuple[ItemKind, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that a session did.

    Parameters
    ----------
    ts : when it was decided (UTC ns). name : what it is, for people.
    values : what is compared. net : its part of profit and loss. fee : what a fill cost.
    """

    kind: ItemKind
    ts: int
    name: str
    values: Mapping[str, Value]
    net: Decimal = Decimal(0)
    fee: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """A session's items by key, and what it made: the sum of the items' `net`, with open positions at the last price."""

    items: Mapping[Key, Item]

    @property
    def net(self) -> Decimal:
        """Profit and loss after fees."""
        return total(item.net for item in self.items.values())

    @property
    def fees(self) -> Decimal:
        """Fees of all fills."""
        return total(item.fee for item in self.items.values())

    def count(self, kind: ItemKind) -> int:
        """Return how many items of a kind there are."""
        return sum(1 for found, _ in self.items if found is kind)


def _last(last_ticks: Mapping[str, int], tape: str) -> int | None:
    # An adopted position does not say on which tape it is valued; with one tape there is no question.
    return next(iter(last_ticks.values())) if len(last_ticks) == 1 else last_ticks.get(tape)


def total(parts: Iterable[Decimal]) -> Decimal:
    """Return an exact sum of money."""
    with localcontext(EXACT):
        return sum(parts, Decimal(0))


@dataclass(slots=True)
class _Order:
    key: str
    ts: int
    name: str
    symbol: str
    tape: str
    fills: int = 0
    sent_ns: int | None = None
    active_ns: int | None = None
    closed_ns: int | None = None
    last: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Holding:
    """Money of one symbol: `flow` is what fills paid and took (ticks times units), `quantity` what they left."""

    tape: str
    quantity: int = 0
    flow: int = 0

    def value(self, last_ticks: int | None) -> int:
        return self.flow if not self.quantity or last_ticks is None else self.flow + self.quantity * last_ticks


def read_books(events: Iterable[Plain], opening: Opening, last_ticks: Mapping[str, int]) -> Books:
    """Read a session's books from its audit events.

    Parameters
    ----------
    events : as `core.event.to_plain` gives them, or as the audit chain keeps them.
    opening : what the session began with. last_ticks : price at which open positions are valued, by tape.
    """
    reader = _Reader(opening)
    for event in events:
        reader.take(event)
    return reader.books(last_ticks)


class _Reader:
    def __init__(self, opening: Opening) -> None:
        self._items: dict[Key, Item] = {}
        self._seen: Counter[Key] = Counter()
        self._decisions: dict[str, tuple[str, int, str, str]] = {}  # by id: key, ts, name, tape
        self._orders: dict[str, _Order] = {}
        self._held = {
            p.symbol: _Holding(tape=p.tape, quantity=p.quantity, flow=-p.cost_ticks) for p in opening.positions if p.quantity
        }
        self._fees = Decimal(0)
        self._cash = Decimal(0)
        self._acts = {
            "DecisionMade": self._decision,
            "OrderChanged": self._order,
            "OrderFilled": self._fill,
            "TradeClosed": self._trade,
            "Notice": self._notice,
        }

    def take(self, event: Plain) -> None:
        act = self._acts.get(event["event"])
        if act is not None:
            act(event)

    def _add(self, kind: ItemKind, base: str, item: Item) -> str:
        """Keep an item under its key, with a number when there is one of that key."""
        self._seen[kind, base] += 1
        count = self._seen[kind, base]
        key = base if count == 1 else f"{base} ({count})"
        self._items[kind, key] = item
        return key

    def _decision(self, event: Plain) -> None:
        made = event["decision"]
        proposal, outcome = made["proposal"], made["outcome"]
        ts, tape = made["ts"], proposal["symbol"]
        name = f"{tape} {proposal['name']} {proposal['side']}"
        values: dict[str, Value] = {
            "verdict": made["verdict"],
            "quantity": outcome.get("quantity") if "check" not in outcome else None,
            "symbol": outcome.get("symbol") if "check" not in outcome else None,
            "refused by": outcome.get("check"),
        }
        item = Item(kind=ItemKind.DECISION, ts=ts, name=name, values=values)
        key = self._add(ItemKind.DECISION, f"{ts} {name}", item)
        self._decisions[made["decision_id"]] = (key, ts, name, tape)

    def _known(self, event: Plain) -> _Order:
        found = self._orders.get(event["client_order_id"])
        if found is not None:
            return found
        parent = self._orders.get(event["parent_id"] or "")
        symbol = event["instrument"]
        if parent is not None:
            base, ts, name, tape = parent.key, parent.ts, parent.name, parent.tape
        elif event["decision_id"] in self._decisions:
            base, ts, name, tape = self._decisions[event["decision_id"]]
        else:
            base = name = f"{symbol} {event['client_order_id']}"
            ts, tape = event["ts"], self._held[symbol].tape if symbol in self._held else symbol
        base, name = f"{base} {event['role']}", f"{name} {event['role']}"
        item = Item(kind=ItemKind.ORDER, ts=ts, name=name, values={})
        key = self._add(ItemKind.ORDER, base, item)
        order = _Order(key=key, ts=ts, name=name, symbol=symbol, tape=tape, sent_ns=event["ts"])
        self._orders[event["client_order_id"]] = order
        return order

    def _order(self, event: Plain) -> None:
        order = self._known(event)
        if event["cause"] == "ACCEPT" and order.active_ns is None:
            order.active_ns = event["ts"]
        if event["status"] in _CLOSED:
            order.closed_ns = event["ts"]
        order.last = dict(event)

    def _fill(self, event: Plain) -> None:
        fill = event["fill"]
        order = self._orders[fill["client_order_id"]]
        order.fills += 1
        fee = Decimal(fill["fee"])
        values: dict[str, Value] = {
            "side": fill["side"],
            "quantity": fill["quantity"],
            "price_ticks": fill["price_ticks"],
            "ts": fill["ts"],
            "fee": fill["fee"],
            "liquidity": fill["liquidity"],
        }
        item = Item(kind=ItemKind.FILL, ts=order.ts, name=f"{order.name} #{order.fills}", values=values, fee=fee)
        self._items[ItemKind.FILL, f"{order.key} #{order.fills}"] = item
        held = self._held.setdefault(order.symbol, _Holding(tape=order.tape))
        signed = Side(fill["side"]).sign * fill["quantity"]
        held.quantity += signed
        held.flow -= signed * fill["price_ticks"]
        self._fees = total((self._fees, fee))

    def _trade(self, event: Plain) -> None:
        trade = event["trade"]
        symbol = trade["instrument"]
        base, ts, name, _ = self._decisions.get(
            trade["decision_id"] or "", (f"{symbol} adopted", trade["entry_ns"], f"{symbol} adopted", symbol)
        )
        gross, fees = Decimal(trade["gross"]), Decimal(trade["fees"])
        names = ("side", "quantity", "entry_ns", "exit_ns", "entry_ticks", "exit_ticks", "gross", "fees", "exit_role")
        item = Item(
            kind=ItemKind.TRADE,
            ts=ts,
            name=name,
            values={"symbol": symbol, **{field: trade[field] for field in names}},
            net=total((gross, -fees)),
        )
        self._add(ItemKind.TRADE, base, item)

    def _notice(self, event: Plain) -> None:
        values = event["values"]
        if event["code"] == "POSITION_ADOPTED":
            symbol = event["subject"]
            held = self._held.setdefault(symbol, _Holding(tape=symbol))
            held.quantity = values["quantity"]
            held.flow -= values["cost_ticks"] - values["cost_ticks_before"]
        elif event["code"] == "MISMATCH" and "balance_before" in values:
            self._cash = total((self._cash, Decimal(values["balance"]), -Decimal(values["balance_before"])))

    def books(self, last_ticks: Mapping[str, int]) -> Books:
        for order in self._orders.values():
            self._items[ItemKind.ORDER, order.key] = self._order_item(order)
        closed = total(item.net for (kind, _), item in self._items.items() if kind is ItemKind.TRADE)
        with localcontext(EXACT):
            made = self._cash - self._fees
            for symbol, held in self._held.items():
                made += find_instrument(symbol).tick_value * held.value(_last(last_ticks, held.tape))
        values: dict[str, Value] = {symbol: held.quantity for symbol, held in self._held.items() if held.quantity}
        if self._cash:
            values["cash corrected"] = str(self._cash)
        left = total((made, -closed))
        if values or left:
            name = "open positions and corrections"
            self._items[ItemKind.OPEN, ""] = Item(kind=ItemKind.OPEN, ts=0, name=name, values=values, net=left)
        return Books(items=self._items)

    @staticmethod
    def _order_item(order: _Order) -> Item:
        last = order.last
        values: dict[str, Value] = {
            "side": last["side"],
            "type": last["order_type"],
            "symbol": order.symbol,
            "quantity": last["quantity"],
            "filled": last["filled_qty"],
            "limit_ticks": last["limit_ticks"],
            "stop_ticks": last["stop_ticks"],
            "status": last["status"],
            "sent_ns": order.sent_ns,
            "active_ns": order.active_ns,
            "closed_ns": order.closed_ns,
        }
        return Item(kind=ItemKind.ORDER, ts=order.ts, name=order.name, values=values)
