"""The simulated venue as market data and broker in one: `LiveFeed` and `BrokerLink` over one WebSocket.

Runs in the I/O thread. It logs in, subscribes from where its reader stands, puts what arrives into the venue's order
(`venue_sequence`), asks again for what is missing, and makes a connection anew, with jittered back-off, when it breaks or
falls silent. A request is sent once or not at all: what became of it, only the venue can say.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

from sovereign.core.columns import Quotes
from sovereign.core.errors import BrokerError, DataError
from sovereign.core.instrument import Instrument
from sovereign.core.order import Order, OrderEvent, OrderType
from sovereign.core.port import Block
from sovereign.core.session import Session
from sovereign.execution.broker import BrokerCapabilities, BrokerSnapshot, VenueOrder
from sovereign.execution.brokers.venue_sequence import Resequencer
from sovereign.execution.report import ExecutionReport
from sovereign.execution.venue.configuration import VenueClientConfig
from sovereign.execution.venue.protocol import (
    Answer,
    AskMargins,
    AskOrder,
    AskSession,
    AskSnapshot,
    CancelOrder,
    Code,
    Heartbeat,
    Login,
    NewOrder,
    Ping,
    PrivateSince,
    ReplaceOrder,
    Reply,
    Report,
    SessionEnd,
    SessionStart,
    Subscribe,
    SubscribeQuotes,
    Welcome,
    WorkedThrough,
    decode_answer,
    encode,
)
from sovereign.execution.venue.tape_slice import TapeSlice, decode_slice
from sovereign.execution.venue.terms import Message, OrderTerms

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

_REFUSALS = {"new": OrderEvent.REJECT, "cancel": OrderEvent.REFUSE_CANCEL, "replace": OrderEvent.REFUSE_UPDATE}


class VenueClock:
    """Market time as far as the reader has been told: it follows the tape, not the clock that the venue tells."""

    def __init__(self) -> None:
        self._now = 0

    def now_ns(self) -> int:
        """Return the time up to which the tape was delivered, UTC ns; never goes back."""
        return self._now

    def advance(self, ts: int) -> None:
        """Move on to `ts`, unless it is past."""
        self._now = max(self._now, ts)


def _nothing(*_: Any) -> None:
    """Take what nobody asked for."""


def back_off(config: VenueClientConfig, rng: Random) -> Iterator[float]:
    """Yield the waits before one attempt to connect after another, seconds: doubling to a limit, a share left to chance."""
    wait = min(config.backoff_first_s, config.backoff_most_s)
    while True:
        yield wait * (1 - config.backoff_jitter_frac * rng.random())
        wait = min(2 * wait, config.backoff_most_s)


class VenueClient:
    """One account at the venue: its tape, its orders, its reports.

    `start` returns at once and the connection is kept in the background until `close`. A session's data begin when
    `resume_from` is called (with 0 ticks for the whole of it). Every callback is called in the thread of the event loop.

    Parameters
    ----------
    url, token : where, and as whom.
    private_since : last private message known already; None: what happened before the first login is not told (a snapshot is).
    name : for people who look at the venue.

    Attributes
    ----------
    on_quotes : if set before a session's data begin, called with a symbol, its best bids and offers with sizes from the open of
        the day session on, and the time up to which they are whole; before that time the tape was told. Never called by a venue
        that quotes no sizes.
    on_report_at : if set, called instead of `on_report` with the report, the tape, the row of the session's tape that made it
        happen (the first is 1; 0 when none did), and the number of the private message (0: it is none of the venue's).
    """

    is_simulated = True

    def __init__(
        self, url: str, token: str, config: VenueClientConfig | None = None, *, private_since: int | None = None, name: str = ""
    ) -> None:
        self.clock = VenueClock()
        self.capabilities = BrokerCapabilities(holds_brackets=True, can_replace=True, order_types=frozenset(OrderType))
        self.on_block: Callable[[Block], None] = _nothing
        self.on_report: Callable[[ExecutionReport], None] = _nothing
        self.on_quotes: Callable[[str, Quotes, int], None] | None = None
        self.on_report_at: Callable[[ExecutionReport, str, int, int], None] | None = None
        self.on_connection: Callable[[bool, str], None] = _nothing
        self.is_connected = False
        self.clock_skew_ns = 0
        """What the clock that the venue tells is ahead of its tape, at its last sign of life."""
        self.welcome: Welcome | None = None
        self._url, self._token, self._name = url, token, name
        self._config = config or VenueClientConfig()
        self._random = Random(zlib.crc32(f"{url} {name}".encode()))  # noqa: S311 - spreads attempts to connect
        self._is_first_login = private_since is None
        self._sequence = Resequencer(private_since or 0)
        self._sessions: deque[SessionStart] = deque()
        self._session: Session | None = None
        self._instruments: tuple[Instrument, ...] = ()
        self._worked: WorkedThrough | None = None
        self._is_over = False
        self._heard: Heartbeat | None = None
        self._connection: ClientConnection | None = None
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self._requests = 0
        self._answers: dict[int, asyncio.Future[Reply]] = {}
        self._orders: dict[int, tuple[str, str]] = {}
        self._changed = asyncio.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False
        self._reason = ""

    # A connection and its life.

    async def start(self) -> None:
        """Begin to connect, and stay connected until `close`; returns at once, and calling it again changes nothing."""
        if self._task is None:
            self._loop = asyncio.get_running_loop()
            self._task = asyncio.create_task(self._run(), name="venue client")

    async def close(self) -> None:
        """Let what was handed over leave, and disconnect for good."""
        if self.is_connected:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._config.request_s):
                    await self._outbox.join()
        self._is_closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._tell()

    async def reconnect(self, reason: str) -> None:
        """Drop the connection and make it anew."""
        self._reason = reason
        if self._connection is not None:
            self._connection.transport.abort()

    async def wait_connected(self, seconds: float) -> None:
        """Wait for a login.

        Raises
        ------
        BrokerError : there was none within `seconds`.
        """
        await self._until(lambda: self.is_connected, seconds, "the venue did not let us in")

    async def _run(self) -> None:
        from websockets.asyncio.client import connect
        from websockets.exceptions import WebSocketException

        waits = back_off(self._config, self._random)
        while not self._is_closed:
            was_connected, self._reason = False, ""
            try:
                connection = await connect(
                    self._url,
                    compression=None,
                    proxy=None,
                    max_size=None,
                    max_queue=None,
                    open_timeout=self._config.connect_s,
                    ping_interval=None,
                    close_timeout=0.2,
                )
                try:
                    await self._stay(connection)
                finally:
                    was_connected = self.is_connected
                    self._connection = None
                    connection.transport.abort()
            except TimeoutError:
                reason = "the venue was silent for too long" if self.is_connected else "the venue did not answer"
            except (OSError, WebSocketException, BrokerError, DataError) as fault:
                reason = str(fault) or type(fault).__name__
            finally:
                self.is_connected = False
            self._down(self._reason or reason, was_connected)
            if was_connected:
                waits = back_off(self._config, self._random)
            await asyncio.sleep(next(waits))

    def _down(self, reason: str, was_connected: bool) -> None:
        # Requests that are not on the wire yet never leave: whether to ask again is decided elsewhere.
        self._outbox = asyncio.Queue()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(BrokerError(f"the connection to the venue ended ({reason}); nothing is known, ask again"))
        self._answers.clear()
        self._orders.clear()
        if was_connected:
            self.on_connection(False, reason)

    async def _stay(self, connection: ClientConnection) -> None:
        self._connection = connection
        await connection.send(encode(Login(token=self._token, client=self._name)))
        # Not `wait_for`: it may swallow the cancel of `close` when a frame comes in the same moment (Python 3.11).
        async with asyncio.timeout(self._config.first_message_s):
            first = decode_answer(await connection.recv())
        if not isinstance(first, Welcome):
            raise BrokerError(f"the venue answered a login with: {first.reason if isinstance(first, Reply) else first.type}")
        self._on_welcome(first)
        sender = asyncio.create_task(self._send_all(connection), name="venue client: sending")
        keeper = asyncio.create_task(self._keep_whole(), name="venue client: gaps")
        try:
            await self._tell()
            self.on_connection(True, "logged in")
            while True:
                async with asyncio.timeout(self._config.silence_s):
                    frame = await connection.recv()
                await self._take(frame)
        finally:
            for task in (sender, keeper):
                task.cancel()
            await asyncio.gather(sender, keeper, return_exceptions=True)

    async def _send_all(self, connection: ClientConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        outbox = self._outbox
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.send(encode(await outbox.get()))
                outbox.task_done()

    def _on_welcome(self, welcome: Welcome) -> None:
        self.welcome = welcome
        self.is_connected = True
        self.is_simulated = welcome.is_simulated
        self.capabilities = BrokerCapabilities(
            holds_brackets=welcome.holds_brackets, can_replace=welcome.can_replace, order_types=frozenset(OrderType)
        )
        self._heard = None
        if self._is_first_login:
            self._is_first_login = False
            self._sequence = Resequencer(welcome.private_seq)
        elif welcome.private_seq > self._sequence.seq:
            self._sequence.expect(welcome.private_seq)
            self._send(PrivateSince(seq=self._sequence.seq))
        self._on_session(SessionStart(session=welcome.session, instruments=welcome.instruments))
        self._subscribe()
        if self._worked is not None:
            self._send(self._worked)

    async def _keep_whole(self) -> None:
        """Ask again for what is known to exist and has not come."""
        seen: tuple[object, ...] = ()
        while True:
            await asyncio.sleep(self._config.gap_s)
            heard, sequence = self._heard, self._sequence
            stands = (sequence.seq, dict(sequence.ticks), dict(sequence.until_ns), self._session)
            if stands != seen:
                seen = stands
                continue
            if sequence.misses_private:
                self._send(PrivateSince(seq=sequence.seq))
            if heard is None:
                continue
            if self._session is not None and heard.session != self._session.trade_date and not self._sessions:
                self._send(AskSession())
            present = heard.until_ns if heard.session == sequence.session else 0
            if any(sequence.misses_tape(symbol, present) for symbol in sequence.ticks):
                self._subscribe()
            worked = self._worked
            if worked is not None and worked.session == heard.session and worked.until_ns >= heard.until_ns:
                self._send(worked)

    async def _take(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            self._sequence.add_slice(decode_slice(frame))
        else:
            self._on_message(decode_answer(frame))
        for told in self._sequence.take():
            if isinstance(told, Report):
                self._tell_report(told)
            else:
                self._tell_slice(told)
        await self._tell()

    def _on_message(self, message: Answer) -> None:
        match message:
            case Report():
                self._sequence.add_report(message)
            case Reply():
                self._on_reply(message)
            case Heartbeat():
                self._heard = message
                self.clock_skew_ns = message.now_ns - message.until_ns
                self._sequence.expect(message.private_seq)
            case SessionStart():
                self._sequence.expect(message.after)
                self._on_session(message)
            case SessionEnd():
                self._sequence.expect(message.after)
            case Welcome():
                raise BrokerError("the venue welcomed us twice; the connection is made anew")

    def _on_session(self, message: SessionStart) -> None:
        present = self._sessions[-1].session if self._sessions else self._session
        if message.session is None:
            self._is_over = True
        elif present is None or message.session.open_ns > present.open_ns:
            self._sessions.append(message)
            if self._session is None:
                self.clock.advance(message.session.open_ns)

    def _on_reply(self, reply: Reply) -> None:
        if reply.code is Code.NOT_LOGGED_IN:
            raise BrokerError("the venue has forgotten who we are; logging in again")
        order = self._orders.pop(reply.request_id, None)
        answer = self._answers.pop(reply.request_id, None)
        if answer is not None and not answer.done():
            answer.set_result(reply)
        if order is not None and reply.code in (Code.RATE_LIMITED, Code.BAD_MESSAGE, Code.NOT_ALLOWED):
            # Turned away at the gate: the venue keeps no record, so nothing of it is among the private messages.
            kind, client_order_id = order
            reason = f"{reply.code}: {reply.reason}"
            ts = self.clock.now_ns()
            refusal = ExecutionReport(cause=_REFUSALS[kind], client_order_id=client_order_id, ts=ts, reason=reason)
            self._report(refusal, "", 0, 0)

    def _tell_report(self, message: Report) -> None:
        self._report(message.report(), message.tape, message.row, message.seq)

    def _report(self, report: ExecutionReport, tape: str, row: int, number: int) -> None:
        if self.on_report_at is not None:
            self.on_report_at(report, tape, row, number)
        else:
            self.on_report(report)

    def _tell_slice(self, part: TapeSlice) -> None:
        self.on_block(Block(symbol=part.symbol, trades=part.trades, until_ns=part.until_ns))
        self.clock.advance(part.until_ns)
        if part.quotes is not None and self.on_quotes is not None:
            self.on_quotes(part.symbol, part.quotes, part.quotes_until_ns)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _until(self, is_so: Callable[[], bool], seconds: float, complaint: str) -> None:
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: is_so() or self._is_closed)
        except TimeoutError as cause:
            raise BrokerError(f"{complaint} within {seconds} s; nothing is known, ask again") from cause
        if not is_so():
            raise BrokerError(f"{complaint}; the client was closed")

    def _send(self, message: Message) -> None:
        if self.is_connected:
            self._outbox.put_nowait(message)

    # Market data.

    async def session(self) -> Session | None:
        """Return the present session, or the next one once the present one was delivered; None when the tape has ended."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._is_closed or not self._is_done() or bool(self._sessions) or self._is_over
            )
        if self._is_done() and self._sessions:
            start = self._sessions.popleft()
            self._session, self._instruments = start.session, start.instruments
        return None if self._is_done() else self._session

    def _has_next(self) -> bool:
        # What expired with the last session is told before the next one begins.
        return (bool(self._sessions) or self._is_over) and not self._sequence.misses_private

    def _is_done(self) -> bool:
        session = self._session
        if session is None:
            return True
        if self._sequence.session != session.trade_date:
            return False
        return all(until >= session.close_ns for until in self._sequence.until_ns.values())

    def instruments(self, session: Session) -> Sequence[Instrument]:
        """Return what trades in a session that `session` has returned."""
        if self._session is None or session.trade_date != self._session.trade_date:
            return ()
        return self._instruments

    async def resume_from(self, session: Session, symbol: str, until_ns: int, ticks: int) -> None:
        """Deliver what followed the first `ticks` ticks of a session (known up to `until_ns`) before anything newer."""
        self._sequence.start(session.trade_date, symbol, ticks, until_ns)
        if self.on_quotes is not None:  # from the open on, so that a scout that starts anew knows what one before it knew
            self._sequence.start_quotes(symbol, session.regular_open_ns)
        self.clock.advance(max(until_ns, session.open_ns))
        self._subscribe()

    def _subscribe(self) -> None:
        sequence = self._sequence
        if sequence.session is None:
            return
        for symbol, ticks in sequence.ticks.items():
            sequence.drop_held(symbol)
            self._send(
                Subscribe(session=sequence.session, symbol=symbol, ticks=ticks, until_ns=sequence.until_ns.get(symbol, 0))
            )
            if symbol in sequence.quoted_ns:
                self._send(SubscribeQuotes(session=sequence.session, symbol=symbol, from_ns=sequence.quoted_ns[symbol]))

    def worked_through(self, until_ns: int) -> None:
        """Take note that every order decided before `until_ns` was handed over; may be called from any thread."""
        if self._loop is not None and not self._is_closed:
            self._loop.call_soon_threadsafe(self._say_worked, until_ns)

    def _say_worked(self, until_ns: int) -> None:
        if self._session is not None:
            self._worked = WorkedThrough(session=self._session.trade_date, until_ns=until_ns)
            self._send(self._worked)

    # Orders.

    @property
    def private_seq(self) -> int:
        """Last private message that was told."""
        return self._sequence.seq

    def _order_request(self, kind: str, client_order_id: str, message: Callable[[int], Message]) -> None:
        if not self.is_connected:
            return
        self._requests += 1
        self._orders[self._requests] = (kind, client_order_id)
        self._send(message(self._requests))

    async def submit(self, order: Order) -> None:
        """Send an order once, if there is a connection; nothing is raised, and nothing is sent later."""
        terms = OrderTerms.of(order)
        self._order_request("new", order.client_order_id, lambda n: NewOrder(request_id=n, order=terms))

    async def cancel(self, client_order_id: str, *, sent_ns: int | None = None) -> None:
        """Ask for a cancel once; `sent_ns` is when it was decided, by default now (market time)."""
        ts = self.clock.now_ns() if sent_ns is None else sent_ns
        self._order_request(
            "cancel", client_order_id, lambda n: CancelOrder(request_id=n, client_order_id=client_order_id, sent_ns=ts)
        )

    async def replace(
        self,
        client_order_id: str,
        *,
        quantity: int,
        limit_ticks: int | None,
        stop_ticks: int | None,
        sent_ns: int | None = None,
    ) -> None:
        """Ask for new terms once; `sent_ns` is when it was decided, by default now (market time)."""
        ts = self.clock.now_ns() if sent_ns is None else sent_ns
        self._order_request(
            "replace",
            client_order_id,
            lambda n: ReplaceOrder(
                request_id=n,
                client_order_id=client_order_id,
                quantity=quantity,
                limit_ticks=limit_ticks,
                stop_ticks=stop_ticks,
                sent_ns=ts,
            ),
        )

    async def _ask(self, message: Callable[[int], Message]) -> Reply:
        if not self.is_connected:
            raise BrokerError("there was no connection to the venue; nothing is known, ask again when there is")
        self._requests += 1
        number = self._requests
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self._send(message(number))
        try:
            async with asyncio.timeout(self._config.request_s):
                return await answer
        except TimeoutError as cause:
            self._answers.pop(number, None)
            raise BrokerError(
                f"the venue did not answer within {self._config.request_s} s; nothing is known, ask again"
            ) from cause

    async def order_state(self, client_order_id: str) -> VenueOrder | None:
        """Return what the venue knows of an order; None when it says that it never got it."""
        reply = await self._ask(lambda n: AskOrder(request_id=n, client_order_id=client_order_id))
        if reply.code is Code.UNKNOWN_ORDER:
            return None
        if reply.order is None:
            raise BrokerError(f"the venue answered '{reply.code}' when asked for {client_order_id}: {reply.reason}")
        return reply.order.order()

    async def snapshot(self, since_cursor: int) -> BrokerSnapshot:
        """Return the account as the venue sees it, once every private message that it includes has been told."""
        reply = await self._ask(lambda n: AskSnapshot(request_id=n, since_cursor=since_cursor))
        body = reply.snapshot
        if body is None:
            raise BrokerError(f"the venue answered '{reply.code}' when asked for the account: {reply.reason}")
        self._sequence.expect(body.private_seq)
        await self._until(lambda: self._sequence.seq >= body.private_seq, self._config.request_s, "messages were missing")
        return body.snapshot()

    async def margins(self) -> Mapping[str, Decimal]:
        """Return the margin per unit by symbol, as charged now."""
        reply = await self._ask(lambda n: AskMargins(request_id=n))
        return reply.margins or {}

    async def ping(self) -> int:
        """Return the clock that the venue tells, UTC ns."""
        return (await self._ask(lambda n: Ping(request_id=n))).now_ns
