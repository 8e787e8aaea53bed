"""A stream of Alpaca's client under our own supervision.

The client connects, logs in, subscribes, decodes; whether the line lives is decided here: a deadline for each step, a watch
for silence, a connection made anew with growing pauses, and the subscription with it. A gap is filled by whoever listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from sovereign.core.errors import BrokerError
from sovereign.feeds.alpaca.client import AlpacaKeys, need_package
from sovereign.feeds.alpaca.configuration import AlpacaConfig

_CANCEL_AGAIN_S = 0.05


def back_off(config: AlpacaConfig, rng: Random) -> Iterator[float]:
    """Yield the waits between attempts, seconds: doubling to a limit, up to half of each left to chance."""
    wait = min(config.backoff_first_s, config.backoff_most_s)
    while True:
        yield wait * (1 - rng.random() / 2)
        wait = min(2 * wait, config.backoff_most_s)


class SupervisedStream:
    """Keeps one stream of the client alive from `start` to `close`.

    Parameters
    ----------
    new : makes the client's stream; its `_start_ws` connects and logs in, `_consume` reads until the line breaks.
    name : for reasons and tasks.
    needs_answer : whether the line counts as up only when `subscribed` was called (the service confirms subscriptions).
    on_up, on_down : called when the line is up, and with a reason when it was up and is not any more.
    """

    def __init__(
        self,
        new: Callable[[], Any],
        config: AlpacaConfig,
        keys: AlpacaKeys,
        name: str,
        on_up: Callable[[], None],
        on_down: Callable[[str], None],
        *,
        needs_answer: bool,
    ) -> None:
        self.is_up = False
        self.reason = "not connected yet"
        """Why the line is down, for people."""
        self._new, self._config, self._keys, self._name = new, config, keys, name
        self._on_up, self._on_down = on_up, on_down
        self._needs_answer = needs_answer
        self._random = Random(zlib.crc32(name.encode()))  # noqa: S311 - spreads attempts to connect
        self._task: asyncio.Task[None] | None = None
        self._dropped: asyncio.Future[str] | None = None
        self._answered: asyncio.Event | None = None

    def start(self) -> None:
        """Begin to connect in the running loop; calling it again changes nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=self._name)

    async def close(self) -> None:
        """Disconnect for good."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self.is_up = False

    def drop(self, reason: str) -> None:
        """Break the connection, so that it is made anew."""
        if self._dropped is not None and not self._dropped.done():
            self._dropped.set_result(reason)

    def subscribed(self) -> None:
        """Take note that the service has confirmed the subscription."""
        if self._answered is not None:
            self._answered.set()

    async def _run(self) -> None:
        waits = back_off(self._config, self._random)
        while True:
            reason = await self._stay()
            was_up, self.is_up = self.is_up, False
            self.reason = self._keys.hide(reason)
            if was_up:
                waits = back_off(self._config, self._random)
                self._on_down(self.reason)
            await asyncio.sleep(next(waits))

    async def _stay(self) -> str:
        """Connect and read until the line breaks; return why it did."""
        self._dropped = asyncio.get_running_loop().create_future()
        self._answered = asyncio.Event()
        stream = self._new()
        stream._loop = asyncio.get_running_loop()
        reading: asyncio.Task[Any] | None = None
        try:
            async with asyncio.timeout(self._config.first_message_s):
                await stream._start_ws()
                if hasattr(stream, "_send_subscribe_msg"):
                    await stream._send_subscribe_msg()
                reading = asyncio.create_task(stream._consume(), name=f"{self._name}: reading")
                if self._needs_answer:
                    await _first(reading, asyncio.create_task(self._answered.wait()))
            self.is_up, self.reason = True, ""
            self._on_up()
            await _first(reading, self._dropped)
            return str(self._dropped.result()) if self._dropped.done() else "the service ended the stream"
        except TimeoutError:
            return f"{self._name} did not answer within {self._config.first_message_s:g} s"
        except Exception as fault:  # noqa: BLE001 - whatever the client raises, the line is down and made anew
            return f"{self._name}: {fault or type(fault).__name__}"
        finally:
            with contextlib.suppress(AttributeError):  # no connection was made
                stream._ws.transport.abort()
            if reading is not None:
                await _end(reading)


async def _first(reading: asyncio.Task[Any], other: asyncio.Future[Any]) -> None:
    """Wait for either; what reading raises is raised, and `other` does not go on alone."""
    try:
        await asyncio.wait({reading, other}, return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            reading.result()
            if not other.done():
                raise BrokerError("the stream ended")
    finally:
        if not other.done() and isinstance(other, asyncio.Task):
            other.cancel()


async def _end(reading: asyncio.Task[Any]) -> None:
    """Cancel until it ends: Python 3.11's `wait_for`, in which the client reads, loses a cancellation that meets a message."""
    while not reading.done():
        reading.cancel()
        await asyncio.wait({reading}, timeout=_CANCEL_AGAIN_S)
    if not reading.cancelled():
        reading.exception()  # of no interest any more; but asyncio complains of one that nobody asked for


def socket_terms(config: AlpacaConfig) -> dict[str, Any]:
    """Return how the client's WebSockets are kept: pinged, so that a line that is dead is found out."""
    return {"ping_interval": config.stale_s / 3, "ping_timeout": config.stale_s, "max_queue": 1_024, "close_timeout": 0.5}


class MarketStream:
    """Trades and quotes of some symbols as they happen, in Alpaca's plain dictionaries (`t` a MessagePack timestamp).

    Parameters
    ----------
    on_trade, on_quote : called with each message, in the loop's thread. on_up, on_down : see `SupervisedStream`.
    is_open : asked whether silence means anything now; while it does not, the line is left alone.
    """

    def __init__(
        self,
        keys: AlpacaKeys,
        config: AlpacaConfig,
        symbols: Sequence[str],
        *,
        on_trade: Callable[[dict[str, Any]], None] | None = None,
        on_quote: Callable[[dict[str, Any]], None] | None = None,
        on_up: Callable[[], None],
        on_down: Callable[[str], None],
        is_open: Callable[[], bool],
    ) -> None:
        need_package()
        self._config, self._symbols, self._is_open = config, tuple(symbols), is_open
        self._handlers = (on_trade, on_quote)
        self.line = SupervisedStream(
            lambda: self._new(keys), config, keys, "Alpaca's data stream", self._up(on_up), on_down, needs_answer=True
        )
        self._heard = 0.0
        self._watching: asyncio.Task[None] | None = None

    @property
    def silent_s(self) -> float:
        """Seconds since the last trade or quote of any symbol; 0 while the market is closed."""
        return asyncio.get_running_loop().time() - self._heard if self._is_open() else 0.0

    def start(self) -> None:
        """Begin to connect in the running loop."""
        self.line.start()
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="Alpaca's data stream: silence")

    async def close(self) -> None:
        """Disconnect for good."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await self.line.close()

    def _up(self, tell: Callable[[], None]) -> Callable[[], None]:
        def up() -> None:
            self._heard = asyncio.get_running_loop().time()
            tell()

        return up

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._config.stale_s / 8)
            if not self._is_open():
                self._heard = asyncio.get_running_loop().time()
            elif self.line.is_up and self.silent_s > self._config.stale_s:
                self.line.drop(f"nothing was heard for {self.silent_s:.1f} s although the market is open")

    def _new(self, keys: AlpacaKeys) -> Any:
        from alpaca.data.enums import DataFeed
        from alpaca.data.live import StockDataStream

        line = self

        class Stream(StockDataStream):  # type: ignore[misc,unused-ignore]
            """The client's stream; refusals are raised instead of logged, confirmations are told."""

            async def _dispatch(self, message: Any) -> None:
                kind = message.get("T")
                if kind == "error":
                    raise BrokerError(f"refused ({message.get('code')}: {message.get('msg')})")
                if kind == "subscription":
                    line.line.subscribed()
                elif kind in ("t", "q"):
                    line._heard = asyncio.get_running_loop().time()
                await super()._dispatch(message)

        config = self._config
        stream = Stream(
            keys.key,
            keys.secret,
            raw_data=True,
            feed=DataFeed(config.feed.value),
            websocket_params=socket_terms(config),
            url_override=f"{config.stream_url}/v2/{config.feed.value}",
        )
        for subscribe, handle in zip((stream.subscribe_trades, stream.subscribe_quotes), self._handlers, strict=True):
            if handle is not None:
                subscribe(_coroutine(handle), *self._symbols)
        return stream


def _coroutine(handle: Callable[[dict[str, Any]], None]) -> Callable[[Any], Awaitable[None]]:
    async def take(message: Any) -> None:
        handle(message)

    return take


@asynccontextmanager
async def open_stream(stream: MarketStream) -> AsyncIterator[MarketStream]:
    """Start a stream, and close it at the end of the block."""
    stream.start()
    try:
        yield stream
    finally:
        await stream.close()
