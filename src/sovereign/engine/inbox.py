"""What lies between the I/O thread and the decision thread: an inbox for what came, an outbox for what must leave.

Blocks of market data that wait are merged, which changes nothing (the slice law); a report that came between two blocks stays
between them. How far the decision thread is behind is measured in market time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition

from sovereign.core.columns import Trades
from sovereign.core.port import Block
from sovereign.execution.brokers.remote import BrokerRequest
from sovereign.execution.report import ExecutionReport


@dataclass(frozen=True, slots=True)
class Reported:
    """A report as it came, with the tick that made it happen and its number where the venue says so."""

    report: ExecutionReport
    tape: str = ""
    row: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class Connected:
    """The line to the `feed` or the `broker` changed."""

    subject: str
    is_connected: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer to a question of the decision thread: `take` is called there with the value, or the error in its place."""

    take: Callable[[object], None]
    value: object


@dataclass(frozen=True, slots=True)
class Failed:
    """Something in the I/O thread broke that nobody expected."""

    error: BaseException


@dataclass(slots=True)
class Waiting:
    """Blocks by tape that came one after the other, with nothing else in between."""

    blocks: dict[str, list[Block]] = field(default_factory=dict)
    oldest_ns: int = 0

    def merged(self) -> list[Block]:
        """Return one block a tape."""
        return [
            parts[0]
            if len(parts) == 1
            else Block(symbol, Trades.concat([p.trades for p in parts]), max(p.until_ns for p in parts))
            for symbol, parts in self.blocks.items()
        ]


Item = Waiting | Reported | Connected | Answered | Failed


class Inbox:
    """A queue for the decision thread.

    Parameters
    ----------
    most_ticks : when more wait, whoever brings more is made to wait as well.
    """

    def __init__(self, most_ticks: int) -> None:
        self._most_ticks = most_ticks
        self._items: deque[Item] = deque()
        self._changed = Condition()
        self._ticks = 0
        self._is_closed = False
        self.most_waited = 0
        """The most ticks that ever waited, for tests and metrics."""

    def put_block(self, block: Block) -> None:
        """Add market data; waits while too much is waiting already."""
        count = len(block.trades)
        with self._changed:
            while self._ticks and self._ticks + count > self._most_ticks and not self._is_closed:
                self._changed.wait()
            last = self._items[-1] if self._items else None
            if not isinstance(last, Waiting):
                last = Waiting(oldest_ns=block.until_ns)
                self._items.append(last)
            last.blocks.setdefault(block.symbol, []).append(block)
            self._ticks += count
            self.most_waited = max(self.most_waited, self._ticks)
            self._changed.notify_all()

    def put(self, item: Reported | Connected | Answered | Failed) -> None:
        """Add anything else; never waits."""
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def wake(self) -> None:
        """Make `take` return, so that the decision thread looks at the time."""
        with self._changed:
            self._changed.notify_all()

    def take(self, timeout_s: float) -> Item | None:
        """Return the oldest item, waiting for one for at most `timeout_s`."""
        with self._changed:
            if not self._items:
                self._changed.wait(timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            if isinstance(item, Waiting):
                self._ticks -= sum(len(block.trades) for parts in item.blocks.values() for block in parts)
                self._changed.notify_all()
            return item

    def oldest_ns(self) -> int | None:
        """Return the time of the oldest market data that waits; None when none does."""
        with self._changed:
            for item in self._items:
                if isinstance(item, Waiting):
                    return item.oldest_ns
        return None

    def close(self) -> None:
        """Let nobody wait here any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


class Outbox:
    """Where the engine's broker leaves its requests; shut while a recording is replayed, so that nothing is sent twice.

    Between `hold` and `release` requests wait, until they are durable.
    """

    def __init__(self) -> None:
        self.suppressed = 0
        self._deliver: Callable[[BrokerRequest], None] | None = None
        self._held: list[BrokerRequest] | None = None

    @property
    def is_open(self) -> bool:
        """Whether requests leave."""
        return self._deliver is not None

    def open(self, deliver: Callable[[BrokerRequest], None]) -> None:
        """Let requests leave through `deliver` from now on."""
        self._deliver = deliver

    def send(self, request: BrokerRequest) -> None:
        """Take a request: `RemoteBroker(outbox.send, ...)`."""
        if self._deliver is None:
            self.suppressed += 1
        elif self._held is not None:
            self._held.append(request)
        else:
            self._deliver(request)

    def hold(self) -> None:
        """Let requests wait for `release`; those that wait already are forgotten."""
        self._held = []

    def release(self) -> None:
        """Let what waits leave, in the order in which it came."""
        held, self._held = self._held, None
        for request in held or ():
            self.send(request)
