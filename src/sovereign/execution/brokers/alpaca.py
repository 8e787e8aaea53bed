"""Alpaca as a broker: the `BrokerLink` over its REST service and its stream of trade updates, paper and live.

An order goes out once under its own id. Stop and target rest at Alpaca: as a bracket with an entry that can rest itself, else
as an OCO pair that follows the fill. What the stream did not tell, because the line was down, is read from Alpaca's list of
executions before the line counts as up again. A fill between two ticks is booked at the nearest one, the difference as a fee,
so that cash agrees.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from functools import partial
from logging import getLogger
from typing import Any

from sovereign.core.errors import BrokerError
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Order, OrderEvent, OrderRole, OrderStatus, OrderType
from sovereign.core.port import Clock
from sovereign.core.session import NS_PER_SECOND
from sovereign.execution.broker import BrokerCapabilities, BrokerSnapshot, VenueExecution, VenueOrder
from sovereign.execution.brokers.alpaca_books import AlpacaBooks, AlpacaMargins, BookedCosts
from sovereign.execution.brokers.alpaca_exits import AlpacaExits
from sovereign.execution.brokers.alpaca_rest import AlpacaDesk
from sovereign.execution.brokers.alpaca_wire import (
    Known,
    OrderNames,
    cash_of,
    day_before,
    execution_of,
    fault_of,
    fill_of,
    follows_fill,
    need_same,
    own_id,
    readable,
    remainder,
    request_of,
    sent_id,
    trade_id,
    whole,
)
from sovereign.execution.report import ExecutionReport
from sovereign.feeds.alpaca.client import AlpacaKeys, Refusal, fit
from sovereign.feeds.alpaca.configuration import AlpacaConfig
from sovereign.feeds.alpaca.history import time_ns
from sovereign.feeds.alpaca.stream import SupervisedStream, socket_terms
from sovereign.feeds.alpaca.symbols import need_equities

_LOGGER = getLogger("sovereign.alpaca")
_CLOSES = {
    OrderStatus.CANCELED: OrderEvent.CANCEL,
    OrderStatus.EXPIRED: OrderEvent.EXPIRE,
    OrderStatus.REJECTED: OrderEvent.REJECT,
}
_ACCEPTED = ("new", "accepted", "held")
_FILLS = ("fill", "partial_fill")
_TRIES = 3
_POLL_S = 0.05


def _nothing(*_: Any) -> None:
    """Take what nobody asked for."""


class AlpacaLink:
    """One account at Alpaca.

    Parameters
    ----------
    keys, config : whose, and how patiently. is_paper : which of the two services.
    clock : market time. symbols : what will be traded, for margins.
    last_price : of a symbol, where a feed knows it; margins of a symbol without one are not known.

    Orders, fills and positions in what is no US equity (options, coins) belong to somebody else: they are left alone.

    Raises
    ------
    ConfigurationError : one of the symbols is no US equity.
    """

    def __init__(
        self,
        keys: AlpacaKeys,
        config: AlpacaConfig,
        clock: Clock,
        *,
        is_paper: bool,
        symbols: tuple[str, ...] = (),
        last_price: Callable[[str], Decimal | None] = lambda _: None,
    ) -> None:
        need_equities(symbols)
        self.capabilities = BrokerCapabilities(holds_brackets=True, can_replace=False, order_types=frozenset(OrderType))
        self.on_report: Callable[[ExecutionReport], None] = _nothing
        self.on_connection: Callable[[bool, str], None] = _nothing
        self._config, self._clock = config, clock
        url = config.paper_url if is_paper else config.live_url
        self._desk = AlpacaDesk(keys, config, url, is_paper=is_paper)
        self._line = SupervisedStream(
            lambda: self._new_stream(keys, url),
            config,
            keys,
            "Alpaca's trade updates",
            self._on_up,
            self._on_down,
            needs_answer=True,
        )
        self._names = OrderNames()
        self._books = AlpacaBooks(self._desk, self._names, config, clock)
        self._costs = BookedCosts()
        self._margins = AlpacaMargins(self._desk, symbols, last_price)
        self._exits = AlpacaExits(self, self._names, self._desk, config, clock, self._costs.held)
        self._told: set[str] = set()  # fills, by trade id
        self._told_closed: set[str] = set()
        self._last_fill_ns = 0
        self._has_begun = False
        self._heard = 0
        self._updates: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._work: dict[str, asyncio.Queue[Callable[[], Awaitable[None]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_connected = False

    # The line

    async def start(self) -> None:
        """Begin to connect, and stay connected until `close`."""
        if not self._tasks:
            self._spawn(self._take_updates())
            self._line.start()

    async def close(self) -> None:
        """Let what was handed over leave, and disconnect for good."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.request_s):
                for work in self._work.values():
                    await work.join()
        tasks, self._tasks = set(self._tasks), set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._line.close()
        self._desk.close()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The loop's own handler tells the session; nothing is swallowed.
            task.get_loop().call_exception_handler({"message": "Alpaca's link failed", "exception": error})

    def _new_stream(self, keys: AlpacaKeys, url: str) -> Any:
        from alpaca.trading.stream import TradingStream

        link = self

        class Stream(TradingStream):  # type: ignore[misc,unused-ignore]
            """The client's stream; that it listens is told."""

            async def _dispatch(self, message: Any) -> None:
                if message.get("stream") == "listening":
                    link._line.subscribed()
                await super()._dispatch(message)

        async def take(message: dict[str, Any]) -> None:
            link._heard += 1
            link._updates.put_nowait(message["data"])

        address = f"ws{url.removeprefix('http')}/stream"
        stream = Stream(keys.key, keys.secret, raw_data=True, url_override=address, websocket_params=socket_terms(self._config))
        stream.subscribe_trade_updates(take)
        return stream

    def _on_up(self) -> None:
        self._spawn(self._connected())

    def _on_down(self, reason: str) -> None:
        if self.is_connected:
            self.is_connected = False
            self.on_connection(False, reason)

    async def _connected(self) -> None:
        """Learn what happened meanwhile; only then is the line said to be up."""
        try:
            with readable("account of what happened meanwhile"):
                if self._has_begun:
                    await self._catch_up()
                else:
                    await self._begin()
                    self._has_begun = True
        except BrokerError as fault:
            self._line.drop(str(fault))
            return
        if self._line.is_up and not self.is_connected:
            self.is_connected = True
            self.on_connection(True, "listening to trade updates")

    async def _begin(self) -> None:
        """Take over what the account is; what happened before is for a comparison to tell, not for reports."""
        now = self._clock.now_ns()
        await self._books.read_orders()
        fills = self._books.ours(await self._desk.fills(day_before(now, self._config.lookback_days)))
        positions = await self._books.positions()
        for body in fills:
            self._told.add(trade_id(str(body["order_id"]), body["cum_qty"]))
            stamp = time_ns(str(body["transaction_time"]))
            self._last_fill_ns = max(self._last_fill_ns, min(stamp, now))
        self._told_closed |= {name for name, known in self._names.by_id.items() if not known.is_open}
        for position in positions:
            self._costs.take(position)
        self._exits.restore({position.symbol: position.quantity for position in positions})

    async def _catch_up(self) -> None:
        """Report what the stream did not."""
        await self._books.read_orders()
        start = day_before(self._last_fill_ns or self._clock.now_ns(), 1)
        for body in self._books.ours(await self._desk.fills(start)):
            tid = trade_id(str(body["order_id"]), body["cum_qty"])
            if tid not in self._told:
                known = await self._books.known(str(body["order_id"]))
                execution = self._books.dated(execution_of(body, known.client_order_id))
                self._tell_fill(known, execution, is_last=whole(body.get("leaves_qty")) == 0)
        for known in list(self._names.by_id.values()):
            self._tell_closed(known)
            self._exits.follow(known)

    # What comes

    async def _take_updates(self) -> None:
        while True:
            data = await self._updates.get()
            try:
                with readable("trade update"):
                    await self._take(data)
            except BrokerError as fault:
                self._line.drop(str(fault))  # what was not understood is read anew when the line is back

    async def _take(self, data: Mapping[str, Any]) -> None:
        body, event = data["order"], str(data["event"])
        if not self._books.is_ours(str(body["symbol"])):
            return
        known = self._names.of_venue(str(body["id"]))
        if known is None and own_id(str(body["client_order_id"]))[0] not in self._names.by_id:
            await self._books.known(str(body["id"]))
        known = self._names.learn(body)
        name, ts = known.client_order_id, self._clock.now_ns()
        if event in _FILLS:
            self._on_fill(known, data)
        elif event in _ACCEPTED:
            if not self._exits.is_hidden(known):
                self.say(OrderEvent.ACCEPT, name)
        elif event == "order_cancel_rejected":
            self.say(OrderEvent.REFUSE_CANCEL, name, fit(str(body.get("reason") or "Alpaca refused the cancel")))
        self._tell_closed(known, ts)
        self._exits.follow_symbol(known.symbol)

    def _on_fill(self, known: Known, data: Mapping[str, Any]) -> None:
        body = data["order"]
        instrument = find_instrument(known.symbol)
        quantity, price = fill_of(instrument, data["qty"], data["price"])
        stamp = time_ns(str(data["timestamp"]))
        execution = VenueExecution(
            cursor=stamp,
            trade_id=trade_id(known.venue_id, body["filled_qty"]),
            client_order_id=known.client_order_id,
            symbol=known.symbol,
            side=known.side,
            quantity=quantity,
            price_ticks=price,
            ts=stamp,
            fee=remainder(instrument, known.side, quantity, price, data["price"]),
        )
        self._tell_fill(known, self._books.dated(execution), is_last=whole(body["filled_qty"]) >= whole(body["qty"]))

    def _tell_fill(self, known: Known, execution: VenueExecution, *, is_last: bool) -> None:
        if execution.trade_id in self._told:
            return
        if known.is_exit and known.order_type is not OrderType.MARKET:
            self._exits.announce(known)
        self._told.add(execution.trade_id)
        self._last_fill_ns = max(self._last_fill_ns, execution.ts)
        self._costs.book(execution)
        if is_last:
            self._told_closed.add(known.client_order_id)
        self.on_report(
            ExecutionReport(
                cause=OrderEvent.FILL if is_last else OrderEvent.PARTIAL_FILL,
                client_order_id=known.client_order_id,
                ts=execution.ts,
                trade_id=execution.trade_id,
                quantity=execution.quantity,
                price_ticks=execution.price_ticks,
                fee=execution.fee,
            )
        )

    def _tell_closed(self, known: Known, ts: int | None = None) -> None:
        cause = _CLOSES.get(known.status)
        if cause is None or known.client_order_id in self._told_closed or self._exits.is_hidden(known):
            return
        self._told_closed.add(known.client_order_id)
        self.say(cause, known.client_order_id, known.reason or f"{known.status} at Alpaca", ts)

    def tell(self, report: ExecutionReport) -> None:
        """Pass a report on."""
        self.on_report(report)

    def say(self, cause: OrderEvent, client_order_id: str, reason: str = "", ts: int | None = None) -> None:
        """Report something that is no fill; `ts` by default now."""
        ts = self._clock.now_ns() if ts is None else ts
        self.on_report(ExecutionReport(cause=cause, client_order_id=client_order_id, ts=ts, reason=reason))

    # What leaves

    def do(self, symbol: str, act: Callable[[], Awaitable[None]]) -> None:
        """Do something after everything else that was asked for on this symbol."""
        work = self._work.get(symbol)
        if work is None:
            work = self._work[symbol] = asyncio.Queue()
            self._spawn(self._worker(work))
        work.put_nowait(act)

    @staticmethod
    async def _worker(work: asyncio.Queue[Callable[[], Awaitable[None]]]) -> None:
        while True:
            act = await work.get()
            try:
                await act()
            finally:
                work.task_done()

    def expect(self, order: Order) -> Known:
        """Take an order that is about to be sent."""
        known = Known(
            order.client_order_id,
            order.instrument.symbol,
            order.side,
            quantity=order.quantity,
            order_type=order.order_type,
            limit_ticks=order.limit_ticks,
            stop_ticks=order.stop_ticks,
            parent_id=order.parent_id,
            order=order,
        )
        return self._names.expect(known)

    def refuse(self, order: Order, reason: str) -> None:
        """Report that an order was refused for good."""
        known = self._names.by_id[order.client_order_id]
        known.status, known.reason = OrderStatus.REJECTED, reason
        self._tell_closed(known)

    async def submit(self, order: Order) -> None:
        """Send an order once under its own id; what Alpaca cannot hold is rejected here, with the reason."""
        known = self.expect(order)
        fault = fault_of(order)
        if fault:
            self.refuse(order, fault)
            return
        trails = order.bracket is not None and order.bracket.trail_ticks is not None
        if follows_fill(order.order_type, order.time_in_force) or trails:
            known.follows = order.bracket
        self.do(order.instrument.symbol, partial(self._new, order, known, self._fresh_until(order)))

    def _fresh_until(self, order: Order) -> float | None:
        """Return the `time.monotonic()` until which an entry may be sent; None for what closes, which is never too late."""
        if order.reduce_only:
            return None
        age_s = max(0, self._clock.now_ns() - order.submitted_ns) / NS_PER_SECOND
        return time.monotonic() + self._config.entry_fresh_s - age_s

    async def _new(self, order: Order, known: Known, until: float | None) -> None:
        is_closing = order.reduce_only and order.role not in (OrderRole.STOP, OrderRole.TARGET)
        end = asyncio.get_running_loop().time() + self._config.release_s
        if is_closing:
            await self._release(order.instrument.symbol, end)
        name = sent_id(order.client_order_id, known.follows)
        objection = partial(self._nothing_to_close, order) if order.reduce_only else None
        while True:
            answer = await self._desk.post(request_of(order), name, until=until, objection=objection)
            is_held = isinstance(answer, Refusal) and "insufficient qty" in answer.text
            if not (is_closing and is_held and asyncio.get_running_loop().time() < end):
                break
            await asyncio.sleep(_POLL_S)  # the shares of a canceled bracket are not free yet
        if isinstance(answer, Refusal):
            self.refuse(order, answer.text)
        elif answer is not None and (learned := self.learn(order, answer)) is not None:
            if learned.is_open or learned.filled_qty:
                self.say(OrderEvent.ACCEPT, order.client_order_id)
            self._tell_closed(learned)
            self._exits.follow(learned)

    def learn(self, order: Order, answer: Mapping[str, Any]) -> Known | None:
        """Return an order as Alpaca took it; None when that cannot be made out: then it is in flight, and asked for."""
        try:
            with readable("answer to an order"):
                need_same(answer, order)
                return self._names.learn(answer)
        except BrokerError as fault:
            _LOGGER.warning("what became of order %s is not known: %s", order.client_order_id, fault)
            return None

    async def _nothing_to_close(self, order: Order) -> str:
        """Return why an order that may only close would open; empty when it closes, or when nobody knows.

        Somebody else, such as the kill switch, may have closed the position already. Alpaca is asked; if it does not say, our
        own books count while the line is up, and else it is sent, for leaving must not be harder than entering.
        """
        symbol = order.instrument.symbol
        held = await self._desk.position(symbol, self._config.release_s)
        if held is None and self.is_connected:
            held = self._costs.held(symbol)
        if held is None or held * order.side.sign < 0:
            return ""
        return f"nothing is open that it could close: the account holds {held:+d} {symbol}"

    async def _release(self, symbol: str, end: float) -> None:
        """Take away the stops and targets that hold shares which are to be sold; Alpaca sells no share twice."""
        for known in self._names.open_exits(symbol):
            if not known.venue_id:
                await self._look_up(known, end)
        for known in self._names.open_exits(symbol):
            if known.venue_id and known.is_open and known.status is not OrderStatus.PENDING_CANCEL:
                await self._desk.cancel(known.venue_id)
        while any(known.venue_id for known in self._names.open_exits(symbol)) and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(_POLL_S)
            if not self._line.is_up:
                with contextlib.suppress(BrokerError):
                    await self._books.read_orders()

    async def _look_up(self, known: Known, end: float) -> None:
        """Learn of an order whose answer was lost; until the loop's time `end`."""
        with contextlib.suppress(BrokerError, TimeoutError):
            async with asyncio.timeout_at(end):
                body = await self._desk.find(known.client_order_id)
            if body is not None:
                self._names.learn(body)

    async def cancel(self, client_order_id: str) -> None:
        """Ask for a cancel; one leg of a pair takes the other with it."""
        known = self._names.by_id.get(client_order_id)
        self.do("" if known is None else known.symbol, partial(self._cancel, client_order_id))

    async def _cancel(self, client_order_id: str) -> None:
        known = self._names.by_id.get(client_order_id)
        if known is None or not known.venue_id:
            with contextlib.suppress(BrokerError):
                await self.order_state(client_order_id)
            known = self._names.by_id.get(client_order_id)
        if known is None or not known.venue_id:
            return  # in flight: whoever waits asks what became of it
        refusal = await self._desk.cancel(known.venue_id)
        if refusal is not None:
            self.say(OrderEvent.REFUSE_CANCEL, client_order_id, refusal.text)

    async def replace(self, client_order_id: str, *, quantity: int, limit_ticks: int | None, stop_ticks: int | None) -> None:
        """Refuse: Alpaca makes a new order of it, so `capabilities` says that it cannot, and it is canceled and sent anew."""
        del quantity, limit_ticks, stop_ticks
        self.say(OrderEvent.REFUSE_UPDATE, client_order_id, "Alpaca changes no order in place; cancel it and send a new one")

    # Questions

    async def order_state(self, client_order_id: str) -> VenueOrder | None:
        """Return what Alpaca knows of an order; None when it says that it never got it."""
        known = self._names.by_id.get(client_order_id)
        with readable("answer about an order"):
            if known is not None and known.venue_id:
                body = await self._desk.order(known.venue_id)
            else:
                body = await self._desk.find(sent_id(client_order_id, None if known is None else known.follows))
            if body is not None:
                return self._names.learn(body).seen()
            await self._books.read_orders()  # a leg, or an entry of an earlier process whose bracket is in its id
        known = self._names.by_id.get(client_order_id)
        return known.seen() if known is not None and known.venue_id else None

    async def snapshot(self, since_cursor: int) -> BrokerSnapshot:
        """Return the account as Alpaca sees it; read again when something happened while it was read."""
        with readable("account"):
            return await self._snapshot(since_cursor)

    async def _snapshot(self, since_cursor: int) -> BrokerSnapshot:
        for _ in range(_TRIES):
            heard, now = self._heard, self._clock.now_ns()
            after = day_before(now, self._config.lookback_days)
            fills = await self._desk.fills(after)
            await self._books.read_orders()
            positions = await self._books.positions()
            account = await self._desk.query("/account")
            if heard == self._heard and len(await self._desk.fills(after)) == len(fills):
                break
        names = [(body, (await self._books.known(str(body["order_id"]))).client_order_id) for body in self._books.ours(fills)]
        found = [self._books.dated(execution_of(body, name)) for body, name in names]
        kept = tuple(self._costs.as_booked(position) for position in positions)
        cost = sum((find_instrument(p.symbol).value(p.cost_ticks) for p in kept), Decimal(0))
        return BrokerSnapshot(
            now_ns=now,
            cursor=max([since_cursor, *(execution.cursor for execution in found)]),
            orders=tuple(
                known.seen() for known in self._names.by_id.values() if known.venue_id and not self._exits.is_hidden(known)
            ),
            executions=tuple(execution for execution in found if execution.cursor > since_cursor),
            positions=kept,
            # Our balance moves by profit and loss alone; Alpaca's cash pays for what is held as well.
            cash=cash_of(account) + cost,
        )

    async def margins(self) -> Mapping[str, Decimal]:
        """Return the margin per share: the larger of Alpaca's maintenance rate and what the account's leverage leaves."""
        with readable("margins"):
            return await self._margins.read()
