"""The I/O thread: an asyncio loop that owns the sockets, the feed's and the broker's, and nothing else.

What comes goes into an inbox; what the decision thread wants to leave is handed over in order. An error that nobody expected
is put into the inbox as well: nothing is swallowed here.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from threading import Thread
from typing import Any

from sovereign.core.errors import BrokerError, OperationTimeoutError
from sovereign.core.instrument import Instrument
from sovereign.core.port import Block, LiveFeed
from sovereign.core.session import Session
from sovereign.engine.inbox import Answered, Connected, Failed, Inbox, Reported
from sovereign.execution.broker import BrokerLink, BrokerSnapshot, VenueOrder
from sovereign.execution.brokers.remote import BrokerRequest, CancelRequest, ReplaceRequest, SubmitRequest
from sovereign.execution.report import ExecutionReport

FEED, BROKER = "feed", "broker"


class Lines:
    """A feed, and a broker link where the broker is not in this process; both may be one object.

    Parameters
    ----------
    answer_s : how long any answer is waited for.
    switch_s : how long one thread of this process may hold the interpreter while another waits for it; set at the start, for
        all of them.
    """

    def __init__(
        self, inbox: Inbox, feed: LiveFeed, link: BrokerLink | None, *, answer_s: float, switch_s: float | None = None
    ) -> None:
        self.feed = feed
        self.link = link
        self.inbox = inbox
        self._answer_s = answer_s
        self._switch_s = switch_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._requests: asyncio.Queue[BrokerRequest | int] = asyncio.Queue()
        self._sent = 0
        self._handed = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_stopping = False
        self._takes_time = link is not None and "sent_ns" in inspect.signature(link.cancel).parameters

    @property
    def is_one(self) -> bool:
        """Whether feed and broker are one venue on one line."""
        return id(self.link) == id(self.feed)

    def start(self) -> None:
        """Start the thread and both lines."""
        if self._switch_s is not None:
            sys.setswitchinterval(self._switch_s)
        self._wire()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._main, name="sovereign-io", daemon=True)
        self._thread.start()
        self.call(self._start_lines())

    def stop(self, within_s: float) -> None:
        """Let what is waiting leave, close both lines and end the thread."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        self.inbox.close()
        if thread.is_alive():
            future = asyncio.run_coroutine_threadsafe(self._stop_lines(within_s), loop)
            try:
                future.result(within_s + self._answer_s)
            except TimeoutError:
                self.inbox.put(Failed(OperationTimeoutError(f"the lines were not closed within {within_s} s")))
            loop.call_soon_threadsafe(loop.stop)
            thread.join(within_s)
        self._loop = None
        self._thread = None

    def call(self, question: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine of feed or link in the I/O thread and wait for its answer.

        Raises
        ------
        OperationTimeoutError : there was none in time.
        """
        future: Future[Any] = asyncio.run_coroutine_threadsafe(question, self._need())
        try:
            return future.result(self._answer_s)
        except TimeoutError as cause:
            future.cancel()
            raise OperationTimeoutError(f"no answer came within {self._answer_s} s; the outcome is unknown") from cause

    def session(self) -> tuple[Session, Sequence[Instrument]] | None:
        """Return the present or next session and what trades in it, however long that takes; None when there is none."""
        session = asyncio.run_coroutine_threadsafe(self.feed.session(), self._need()).result()
        return None if session is None else (session, self.feed.instruments(session))

    def resume_from(self, session: Session, symbol: str, until_ns: int, ticks: int) -> None:
        """Ask the feed for what follows the first `ticks` ticks."""
        self.call(self.feed.resume_from(session, symbol, until_ns, ticks))

    def deliver(self, request: BrokerRequest) -> None:
        """Hand over a request; they leave in the order in which they come."""
        self._sent += 1
        self._need().call_soon_threadsafe(self._requests.put_nowait, request)

    def worked_through(self, until_ns: int) -> None:
        """Tell the feed that everything decided before `until_ns` was handed over."""
        self._need().call_soon_threadsafe(self._requests.put_nowait, until_ns)

    def reconnect(self, reason: str) -> None:
        """Make the feed's line anew."""
        self._spawn(self.feed.reconnect(reason))

    def ask_order(self, client_order_id: str, take: Callable[[VenueOrder | BaseException | None], None]) -> None:
        """Ask what the broker knows of an order; `take` is called in the decision thread."""
        if self.link is not None:
            self._ask(self.link.order_state(client_order_id), take)

    def ask_snapshot(self, since_cursor: int, take: Callable[[BrokerSnapshot | BaseException], None]) -> None:
        """Ask for the account; `take` is called in the decision thread."""
        if self.link is not None:
            self._ask(self.link.snapshot(since_cursor), take)

    def ask_margins(self, take: Callable[[Any], None]) -> None:
        """Ask for the margins per unit; `take` is called in the decision thread."""
        if self.link is not None:
            self._ask(self.link.margins(), take)

    # In the I/O thread

    def _wire(self) -> None:
        self.feed.on_block = self._on_block
        self.feed.on_connection = self._on_feed if not self.is_one else self._on_both
        link = self.link
        if link is not None:
            link.on_report = self._on_report
            if hasattr(link, "on_report_at"):
                link.on_report_at = self._on_report_at
            if not self.is_one:
                link.on_connection = self._on_broker

    def _on_block(self, block: Block) -> None:
        self.inbox.put_block(block)

    def _on_report(self, report: ExecutionReport) -> None:
        self.inbox.put(Reported(report))

    def _on_report_at(self, report: ExecutionReport, tape: str, row: int, number: int) -> None:
        self.inbox.put(Reported(report, tape, row, number))

    def _on_feed(self, is_connected: bool, reason: str) -> None:
        self.inbox.put(Connected(FEED, is_connected, reason))

    def _on_broker(self, is_connected: bool, reason: str) -> None:
        self.inbox.put(Connected(BROKER, is_connected, reason))

    def _on_both(self, is_connected: bool, reason: str) -> None:
        self._on_feed(is_connected, reason)
        self._on_broker(is_connected, reason)

    def _main(self) -> None:
        loop = self._need()
        asyncio.set_event_loop(loop)
        loop.set_exception_handler(self._on_loop_error)
        try:
            loop.run_forever()
        except BaseException as error:
            self.inbox.put(Failed(error))
            raise
        finally:
            loop.close()

    def _on_loop_error(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception") or BrokerError(str(context.get("message", "the I/O loop failed")))
        self.inbox.put(Failed(error))

    async def _start_lines(self) -> None:
        self._watch(self._hand_over())
        self._watch(self.feed.start())
        if self.link is not None and not self.is_one:
            self._watch(self.link.start())

    async def _stop_lines(self, within_s: float) -> None:
        self._is_stopping = True
        try:
            async with asyncio.timeout(within_s):
                while self._handed < self._sent:
                    await asyncio.sleep(0.005)
        except TimeoutError:
            self.inbox.put(Failed(OperationTimeoutError(f"{self._sent - self._handed} requests did not leave in {within_s} s")))
        await self.feed.close()
        if self.link is not None and not self.is_one:
            await self.link.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _hand_over(self) -> None:
        while True:
            request = await self._requests.get()
            if isinstance(request, int):
                self.feed.worked_through(request)
                continue
            await self._send(request)
            self._handed += 1

    async def _send(self, request: BrokerRequest) -> None:
        link = self.link
        if link is None:
            return
        timed: dict[str, Any] = {"sent_ns": request.ts} if self._takes_time else {}
        if isinstance(request, SubmitRequest):
            await link.submit(request.order)
        elif isinstance(request, CancelRequest):
            await link.cancel(request.client_order_id, **timed)
        elif isinstance(request, ReplaceRequest):
            await link.replace(
                request.client_order_id,
                quantity=request.quantity,
                limit_ticks=request.limit_ticks,
                stop_ticks=request.stop_ticks,
                **timed,
            )

    def _ask(self, question: Coroutine[Any, Any, Any], take: Callable[[Any], None]) -> None:
        async def answer() -> None:
            try:
                async with asyncio.timeout(self._answer_s):
                    value = await question
            except TimeoutError:
                value = OperationTimeoutError(f"no answer came within {self._answer_s} s; the outcome is unknown")
            except BrokerError as error:
                value = error
            self.inbox.put(Answered(take, value))

        self._spawn(answer())

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        self._need().call_soon_threadsafe(self._watch, work)

    def _watch(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self._need().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self._is_stopping:
            self.inbox.put(Failed(error))

    def _need(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("the lines were used before they were started")
        return self._loop
