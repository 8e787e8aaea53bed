"""The venue on the network: WebSocket connections on 127.0.0.1, the pace of its markets, and the faults of its wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from sovereign.core.errors import DataError, SovereignError
from sovereign.execution.venue.book import Book
from sovereign.execution.venue.configuration import Pace
from sovereign.execution.venue.exchange import ADMIN, Exchange
from sovereign.execution.venue.fault import Channel, Fault, FaultKind
from sovereign.execution.venue.hearing import note, send_news
from sovereign.execution.venue.market import Market, MarketSpec
from sovereign.execution.venue.protocol import (
    ADMIN_REQUESTS,
    AskBooks,
    AskMargins,
    AskOrder,
    AskSnapshot,
    CancelOrder,
    ClearFaults,
    CloseAccount,
    Code,
    FlattenAccount,
    GoOn,
    Heartbeat,
    Login,
    NewOrder,
    OpenAccount,
    Ping,
    ReplaceOrder,
    Reply,
    Request,
    SetFault,
    Welcome,
    decode_request,
)
from sovereign.execution.venue.wire import Line, Weather

if TYPE_CHECKING:
    from websockets.asyncio.server import Server, ServerConnection

_OF_THE_VENUE = (FaultKind.PARTIAL_FILL, FaultKind.REJECT, FaultKind.CANCEL_AFTER_FILL)
_CUTS = (FaultKind.DROP, FaultKind.RESET)
_FRAME_MOST = 1 << 20
_LONGEST_NAP_S = 0.5


class VenueServer:
    """Serves an exchange.

    Parameters
    ----------
    exchange : books and markets.
    defaults : what a market opened over the wire is made of, where the request does not say.
    heartbeat_s : seconds between signs of life.
    orders_per_s : order requests an account may send a second; 0 is any number.
    login_s : seconds in which a new connection must say who it is.
    """

    def __init__(
        self,
        exchange: Exchange,
        defaults: Callable[[OpenAccount], MarketSpec],
        *,
        heartbeat_s: float = 1.0,
        orders_per_s: float = 0.0,
        login_s: float = 5.0,
    ) -> None:
        self.exchange = exchange
        self._defaults = defaults
        self._heartbeat_s = heartbeat_s
        self._orders_per_s = orders_per_s
        self._login_s = login_s
        self._lines: set[Line] = set()
        self._weather: dict[str, Weather] = {}
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._stirred: dict[str, asyncio.Event] = {}
        self._granted: dict[str, int] = {}
        self._server: Server | None = None
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Ends with the error of a market that could not go on."""
        self._down_until = 0.0
        self._after: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> int:
        """Listen on 127.0.0.1, let the markets go on; return the port."""
        from websockets.asyncio.server import serve

        self._server = await serve(
            self._serve, "127.0.0.1", port, compression=None, ping_interval=None, max_size=_FRAME_MOST, close_timeout=0.2
        )
        for market in self.exchange.markets.values():
            self._run(market)
        return int(next(iter(self._server.sockets)).getsockname()[1])

    async def close(self) -> None:
        """End every connection and let go of the files."""
        tasks = [*self._runs.values(), *self._after]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
            for line in list(self._lines):
                line.cut(is_reset=False)
            await self._server.wait_closed()
        self.exchange.close()

    async def serve_until(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then close.

        Raises
        ------
        SovereignError : a market could not go on.
        """
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((stopped, self.failed), return_when=asyncio.FIRST_COMPLETED)
            if self.failed.done():
                self.failed.result()
        finally:
            stopped.cancel()
            await self.close()

    # Time.

    def _run(self, market: Market) -> None:
        name = market.spec.name
        if name in self._runs:
            self._runs[name].cancel()
        self._stirred[name] = asyncio.Event()
        run = self._runs[name] = asyncio.create_task(self._go(market), name=f"market {name}")
        run.add_done_callback(self._on_run_end)

    def _on_run_end(self, run: asyncio.Task[None]) -> None:
        if not run.cancelled() and (fault := run.exception()) is not None and not self.failed.done():
            self.failed.set_exception(fault)

    async def _go(self, market: Market) -> None:
        """Let a market's time pass at its pace until its tape ends."""
        loop = asyncio.get_running_loop()
        spec, name = market.spec, market.spec.name
        speed = 1.0 if spec.pace is Pace.REALTIME else spec.speed
        due = loop.time()
        while (session := market.session) is not None:
            if not market.tape.is_loaded(session):
                await asyncio.to_thread(market.tape.columns, session)
                due = loop.time()
            if spec.pace is Pace.LOCKSTEP:
                while not self._may_go_on(market):
                    self._stirred[name].clear()
                    await self._stirred[name].wait()
            elif speed:
                due = max(due + spec.slice_ns / 1e9 / speed, loop.time() - 1.0)
                await asyncio.sleep(max(0.0, due - loop.time()))
            else:
                await asyncio.sleep(0)
            if market.is_session_done:
                market.end_session()
            else:
                for fault in market.advance():
                    self.arm(fault, "", market)
            self._wake(market)

    def _may_go_on(self, market: Market) -> bool:
        if self._granted.get(market.spec.name, 0):
            self._granted[market.spec.name] -= 1
            return True
        session = market.session
        lines = [line for line in self._lines if line.account in market.books and line.is_trading]
        if session is None or not lines:
            return False
        at = (session.trade_date, market.until_ns)
        is_fresh = market.until_ns == session.open_ns
        return all(
            line.session == session.trade_date
            and (is_fresh or (line.worked is not None and line.worked[0] == at[0] and line.worked[1] >= at[1]))
            for line in lines
        )

    def _wake(self, market: Market) -> None:
        self._stirred[market.spec.name].set()
        for line in self._lines:
            if line.account in market.books:
                line.wake.set()

    # A connection.

    async def _serve(self, connection: ServerConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        loop = asyncio.get_running_loop()
        if loop.time() < self._down_until:
            connection.transport.abort()
            return
        line = Line(connection)
        self._lines.add(line)
        tasks = [asyncio.create_task(work) for work in (line.send_all(), self._stream(line), self._beat(line))]
        try:
            while True:
                async with asyncio.timeout(None if line.account else self._login_s):
                    frame = await connection.recv()
                for part in await line.heard(frame):
                    self._take(line, part)
        except (ConnectionClosed, TimeoutError):
            pass
        finally:
            self._lines.discard(line)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for stirred in self._stirred.values():
                stirred.set()

    async def _beat(self, line: Line) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            line.release()
            if line.account and line.account != ADMIN:
                market, book = self._place(line)
                session = market.session
                line.put(
                    Heartbeat(
                        now_ns=self._now(line, market),
                        session=None if session is None else session.trade_date,
                        until_ns=market.until_ns,
                        private_seq=book.seq,
                    ),
                    Channel.MARKET,
                )

    async def _stream(self, line: Line) -> None:
        """Send what is new to an account: first what happened to it, then the tape up to that moment."""
        while True:
            await line.wake.wait()
            line.wake.clear()
            while line.account and line.account != ADMIN:
                await self._make_quotes(line)
                if not self._send_news(line):
                    break
                await asyncio.sleep(0.005 if line.is_full else 0)

    async def _make_quotes(self, line: Line) -> None:
        """Make the quotes that a line has asked for, beside everything else."""
        if line.quoted:
            with suppress(SovereignError):  # the account was closed meanwhile
                tape = self._place(line)[0].tape
                session = tape.session_on(line.session)
                if session is not None:
                    await tape.load_quotes(session)

    def _send_news(self, line: Line) -> bool:
        """Send a bite of news; return whether there may be more."""
        if line.is_full:
            return True
        try:
            market, book = self._place(line)
        except SovereignError:  # the account was closed meanwhile
            line.forget()
            return False
        return send_news(line, market, book)

    def _place(self, line: Line) -> tuple[Market, Book]:
        market = self.exchange.market_of(line.account)
        return market, market.books[line.account]

    def _now(self, line: Line, market: Market) -> int:
        weather = self._weather.get(line.account)
        is_skewed = weather is not None and asyncio.get_running_loop().time() < weather.skewed_until
        return max(0, market.until_ns + (weather.skew_ns if weather is not None and is_skewed else 0))

    # Requests.

    def _take(self, line: Line, frame: str | bytes) -> None:
        try:
            message = decode_request(frame)
        except DataError as fault:
            line.put(Reply(request_id=0, code=Code.BAD_MESSAGE, reason=str(fault)), Channel.REPLIES)
            return
        if isinstance(message, Login):
            self._log_in(line, message)
            return
        number = getattr(message, "request_id", 0)
        if not line.account:
            line.put(Reply(request_id=number, code=Code.NOT_LOGGED_IN, reason="log in first"), Channel.REPLIES)
            return
        reply: Reply | None
        try:
            if isinstance(message, ADMIN_REQUESTS):
                reply = self._administer(line, message)
            elif line.account == ADMIN:
                reply = Reply(request_id=number, code=Code.NOT_ALLOWED, reason="the administrator has no account to trade on")
            else:
                reply = self._answer(line, message)
        except SovereignError as fault:
            code = Code.NOT_FOUND if fault.exit_code == 3 else Code.BAD_MESSAGE
            reply = Reply(request_id=number, code=code, reason=str(fault))
        if reply is not None:
            line.put(reply, Channel.REPLIES)

    def _log_in(self, line: Line, message: Login) -> None:
        opened = self.exchange.login(message.token)
        if opened is None:
            line.put(Reply(request_id=0, code=Code.BAD_TOKEN, reason="the token opens nothing here"), Channel.REPLIES)
            return
        account, purpose = opened
        line.forget()
        line.log_in(account, purpose, self._weather.setdefault(account, Weather()))
        if account == ADMIN:
            line.put(Welcome(account=account, is_admin=True), Channel.REPLIES)
            return
        market, book = self._place(line)
        line.seq, line.announced = book.seq, len(market.tape.sessions) if market.is_over else market.index
        line.put(
            Welcome(
                account=account,
                now_ns=self._now(line, market),
                private_seq=book.seq,
                session=market.session,
                instruments=market.instruments,
                until_ns=market.until_ns,
                is_simulated=market.tape.is_simulated,
                holds_brackets=book.holds_brackets,
                pace=market.spec.pace,
                slice_ns=market.spec.slice_ns,
                latency_ns=market.spec.latency_ns,
            ),
            Channel.REPLIES,
        )

    def _answer(self, line: Line, message: Request) -> Reply | None:
        market, book = self._place(line)
        now = self._now(line, market)
        match message:
            case NewOrder() | CancelOrder() | ReplaceOrder():
                return self._order(line, market, book, message)
            case AskOrder():
                order = book.order_state(message.client_order_id)
                code = Code.UNKNOWN_ORDER if order is None else Code.OK
                return Reply(request_id=message.request_id, code=code, now_ns=now, order=order)
            case AskSnapshot():
                return Reply(request_id=message.request_id, now_ns=now, snapshot=book.snapshot(message.since_cursor, now))
            case AskMargins():
                return Reply(request_id=message.request_id, now_ns=now, margins=book.margins(market.last_ticks()))
            case Ping():
                return Reply(request_id=message.request_id, now_ns=now)
            case GoOn():
                self._granted[market.spec.name] = 1
                self._stirred[market.spec.name].set()
                return Reply(request_id=message.request_id, now_ns=now)
            case _:
                note(line, message, market, book)
                self._stirred[market.spec.name].set()
                line.wake.set()
                return None

    def _order(self, line: Line, market: Market, book: Book, message: NewOrder | CancelOrder | ReplaceOrder) -> Reply:
        number = message.request_id
        if isinstance(message, NewOrder) and book.is_known(message.order.client_order_id):
            known = book.order_state(message.order.client_order_id)
            if known is not None and known.quantity:
                return Reply(request_id=number, code=Code.KNOWN, now_ns=market.until_ns, order=known)
        weather = self._weather.setdefault(line.account, Weather()) if line.purpose == "trade" else line.weather
        limit = self._orders_per_s if line.purpose == "trade" else 0.0
        wait_ms = weather.wait_ms(asyncio.get_running_loop().time(), limit)
        book.gate(market.until_ns, is_turned_away=bool(wait_ms))
        if wait_ms:
            reason = "too many order requests a second"
            return Reply(request_id=number, code=Code.RATE_LIMITED, reason=reason, retry_after_ms=wait_ms)
        refusal = ""
        if isinstance(message, NewOrder):
            client_order_id = message.order.client_order_id
            refusal = market.new(book, message)
        elif isinstance(message, CancelOrder):
            client_order_id = message.client_order_id
            market.cancel(book, message)
        else:
            client_order_id = message.client_order_id
            market.replace(book, message)
        self._wake(market)
        return Reply(
            request_id=number,
            code=Code.REJECTED if refusal else Code.OK,
            reason=refusal,
            now_ns=self._now(line, market),
            order=book.order_state(client_order_id),
        )

    # The administrator.

    def _administer(self, line: Line, message: Request) -> Reply:
        number: int = getattr(message, "request_id", 0)
        is_own = isinstance(message, FlattenAccount) and message.account == line.account
        if line.account != ADMIN and not is_own:
            return Reply(request_id=number, code=Code.NOT_ALLOWED, reason="log in with the venue's own token for this")
        match message:
            case SetFault():
                markets = [self.exchange.market_of(message.account)] if message.account else self.exchange.markets.values()
                for market in list(markets):
                    self.arm(message.fault, message.account, market)
            case ClearFaults():
                self._clear_faults(message.account)
            case FlattenAccount():
                market = self.exchange.market_of(message.account)
                market.flatten(market.books[message.account], keeps_positions=message.keeps_positions)
                self._wake(market)
            case OpenAccount():
                self._open(message)
            case CloseAccount():
                self._close_account(message.account)
            case AskBooks():
                market = self.exchange.market_of(message.account)
                body = market.books[message.account].snapshot(0, market.until_ns, is_all=True)
                return Reply(request_id=number, now_ns=market.until_ns, snapshot=body)
        return Reply(request_id=number)

    def _open(self, message: OpenAccount) -> None:
        name, exchange = message.account, self.exchange
        if message.is_reset and any(name in market.books for market in exchange.markets.values()):
            self._close_account(name)
        where = message.market
        if message.tape is not None:
            where = name
            market = exchange.open_market(self._defaults(message))
            self._run(market)
        exchange.open_account(where, name, message.balance, message.tokens)
        self._wake(exchange.markets[where])

    def _close_account(self, name: str) -> None:
        market = self.exchange.market_of(name)
        for line in [line for line in self._lines if line.account == name]:
            line.cut(is_reset=False)
        self.exchange.close_account(name)
        self._weather.pop(name, None)
        if market.spec.name not in self.exchange.markets:
            run = self._runs.pop(market.spec.name, None)
            if run is not None:
                run.cancel()

    # Faults.

    def arm(self, fault: Fault, account: str, market: Market) -> None:
        """Let a fault happen to an account of a market, or to all of them."""
        now = asyncio.get_running_loop().time()
        names = [account] if account else list(market.books)
        if fault.kind in _OF_THE_VENUE:
            market.arm(fault, account)
        elif fault.kind is FaultKind.RESTART:
            task = asyncio.create_task(self._restart(fault.wall_ms / 1e3))
            self._after.add(task)
            task.add_done_callback(self._after.discard)
        elif fault.kind in _CUTS or fault.kind is FaultKind.AMNESIA:
            for line in [line for line in self._lines if line.account in names and line.purpose == "trade"]:
                if fault.kind is FaultKind.AMNESIA:
                    line.forget()
                else:
                    line.cut(is_reset=fault.kind is FaultKind.RESET)
        else:
            for name in names:
                self._weather.setdefault(name, Weather()).arm(fault, now)

    def _clear_faults(self, account: str) -> None:
        for market in self.exchange.markets.values():
            market.clear_faults(account)
        for name, weather in self._weather.items():
            if account in ("", name):
                weather.clear()

    async def _restart(self, down_s: float) -> None:
        """Be away for a while, and come back with the books alone."""
        loop = asyncio.get_running_loop()
        self._down_until = loop.time() + down_s
        for run in self._runs.values():
            run.cancel()
        await asyncio.gather(*self._runs.values(), return_exceptions=True)
        self._runs.clear()
        for line in list(self._lines):
            line.forget()
            line.cut(is_reset=False)
        self.exchange.reload()
        await asyncio.sleep(max(0.0, self._down_until - loop.time()))
        for market in self.exchange.markets.values():
            self._run(market)
