"""One connection as the venue sees it: who is logged in, what was sent, and the faults that its messages meet on the way."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from sovereign.execution.venue.fault import Channel, Fault, FaultKind
from sovereign.execution.venue.protocol import encode
from sovereign.execution.venue.terms import Message

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

_MESSAGE_FAULTS = (FaultKind.LOSE, FaultKind.DUPLICATE, FaultKind.REORDER, FaultKind.DELAY)


@dataclass(slots=True)
class _Armed:
    fault: Fault
    left: int


@dataclass(slots=True)
class Weather:
    """The faults that wait for an account's messages, and those that last for a while. Times are of the event loop."""

    armed: list[_Armed] = field(default_factory=list)
    muted_until: float = 0.0
    skew_ns: int = 0
    skewed_until: float = 0.0
    limit: float = 0.0
    limited_until: float = 0.0
    requests: deque[float] = field(default_factory=deque)

    def arm(self, fault: Fault, now: float) -> None:
        """Take a fault of the wire or the gate."""
        until = now + fault.wall_ms / 1e3
        if fault.kind in _MESSAGE_FAULTS:
            self.armed.append(_Armed(fault, fault.count))
        elif fault.kind is FaultKind.MUTE:
            self.muted_until = until
        elif fault.kind is FaultKind.CLOCK_SKEW:
            self.skew_ns, self.skewed_until = round(fault.skew_ms * 1e6), until
        elif fault.kind is FaultKind.RATE_LIMIT:
            self.limit, self.limited_until = float(fault.count), until

    def clear(self) -> None:
        """Let it be calm."""
        self.armed.clear()
        self.muted_until = self.skewed_until = self.limited_until = 0.0

    def meet(self, channel: Channel) -> Fault | None:
        """Return the next fault that a message on a channel meets, and use it up once."""
        for number, armed in enumerate(self.armed):
            if armed.fault.channel in (Channel.ALL, channel):
                armed.left -= 1
                if not armed.left:
                    del self.armed[number]
                return armed.fault
        return None

    def wait_ms(self, now: float, orders_per_s: float) -> float:
        """Count an order request; return for how long it must be turned away, 0 when it may pass."""
        limit = orders_per_s
        if now < self.limited_until:
            limit = min(limit, self.limit) if limit else self.limit
        while self.requests and self.requests[0] <= now - 1.0:
            self.requests.popleft()
        if limit and len(self.requests) >= limit:
            return max(1.0, (self.requests[0] + 1.0 - now) * 1e3)
        self.requests.append(now)
        return 0.0


class Line:
    """A connection. Frames are put into a queue and sent one by one; `weather` decides what becomes of them."""

    def __init__(self, socket_: ServerConnection) -> None:
        self.connection = socket_
        self.account = ""
        self.purpose = ""
        self.weather = Weather()
        self.seq = 0
        self.announced = -1
        self.session: date | None = None
        self.places: dict[str, tuple[int, int]] = {}  # by symbol: ticks and until_ns sent
        self.quoted: dict[str, int] = {}  # by symbol, where asked for: up to when quotes with sizes were sent
        self.worked: tuple[date, int] | None = None
        self.wake = asyncio.Event()
        self._queue: asyncio.Queue[tuple[str | bytes, float]] = asyncio.Queue()
        self._held: tuple[str | bytes, float] | None = None
        self._held_in: str | bytes | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def is_trading(self) -> bool:
        """Whether a venue in lockstep waits for it."""
        return bool(self.account) and self.session is not None

    @property
    def is_mute(self) -> bool:
        """Whether nothing gets through at present."""
        return self._loop.time() < self.weather.muted_until

    def log_in(self, account: str, purpose: str, weather: Weather) -> None:
        """Take note of who speaks; second processes (any purpose but `trade`) are spared the faults of the wire."""
        self.account, self.purpose = account, purpose
        self.weather = weather if purpose == "trade" else Weather()

    def forget(self) -> None:
        """Forget who is logged in, and what was subscribed."""
        self.account = ""
        self.session = None
        self.places = {}
        self.quoted = {}
        self.worked = None
        self.wake.set()

    def put(self, message: Message | bytes, channel: Channel) -> None:
        """Send a message, unless a fault is in the way."""
        if self.is_mute:
            return
        entry: tuple[str | bytes, float] = (message if isinstance(message, bytes) else encode(message), 0.0)
        fault = self.weather.meet(channel)
        kind = None if fault is None else fault.kind
        if kind is FaultKind.LOSE:
            return
        if kind is FaultKind.REORDER and self._held is None:
            self._held = entry
            return
        if fault is not None and kind is FaultKind.DELAY:
            entry = (entry[0], fault.wall_ms / 1e3)
        self._queue.put_nowait(entry)
        if kind is FaultKind.DUPLICATE:
            self._queue.put_nowait(entry)
        if self._held is not None:
            self._queue.put_nowait(self._held)
            self._held = None

    def release(self) -> None:
        """Send what waits for a message to overtake it: none came."""
        if self._held is not None:
            self._queue.put_nowait(self._held)
            self._held = None

    async def heard(self, frame: str | bytes) -> Sequence[str | bytes]:
        """Return what arrives of a frame: nothing, itself, twice itself, or itself behind the next one."""
        if self.is_mute:
            return ()
        fault = self.weather.meet(Channel.REQUESTS) if self.account else None
        kind = None if fault is None else fault.kind
        if kind is FaultKind.LOSE:
            return ()
        if kind is FaultKind.REORDER and self._held_in is None:
            self._held_in = frame
            return ()
        if fault is not None and kind is FaultKind.DELAY:
            await asyncio.sleep(fault.wall_ms / 1e3)
        frames = [frame, frame] if kind is FaultKind.DUPLICATE else [frame]
        if self._held_in is not None:
            frames.append(self._held_in)
            self._held_in = None
        return frames

    async def send_all(self) -> None:
        """Send what is put, in order, for as long as there is a connection."""
        from websockets.exceptions import ConnectionClosed

        while True:
            frame, delay_s = await self._queue.get()
            if delay_s:
                await asyncio.sleep(delay_s)
            try:
                await self.connection.send(frame)
            except ConnectionClosed:
                return

    @property
    def is_full(self) -> bool:
        """Whether frames wait because the reader is slow."""
        return self._queue.qsize() > 64

    def cut(self, *, is_reset: bool) -> None:
        """End the connection: with RST, or with FIN."""
        transport = self.connection.transport
        raw = transport.get_extra_info("socket")
        if is_reset and raw is not None:
            with suppress(OSError):  # closed already, by the other side or a cut just before
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
