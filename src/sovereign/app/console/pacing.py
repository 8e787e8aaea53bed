"""Market time against the clock on the wall: any feed, handed out no faster than a chosen speed.

Only here does a run sleep. The paced feed cuts the same ticks into other blocks, which changes no result (slice law).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from sovereign.core.columns import Trades
from sovereign.core.errors import UsageError
from sovereign.core.instrument import Instrument
from sovereign.core.port import Block, Feed
from sovereign.core.session import NS_PER_SECOND, Session

MAX_SPEED = 0.0
"""The speed that never waits."""

OnWait = Callable[[int], None]


class Pacer:
    """Keeps market time at `speed` seconds a second. A run that falls behind goes on from where it is instead of rushing.

    Parameters
    ----------
    speed : market seconds a second; 0 never waits.
    on_wait : told the market time (UTC ns) while nothing else happens, about every `step_s`.
    slack_s : how far behind it may be before the lost time is given up.
    """

    def __init__(
        self,
        speed: float,
        on_wait: OnWait | None = None,
        *,
        step_s: float = 0.05,
        slack_s: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not 0 <= speed < float("inf"):
            raise UsageError(f"speed was {speed}; allowed is 0 (as fast as possible) or a number above it, 1 being real time")
        self.speed = speed
        self.on_wait = on_wait
        self._step_s = step_s
        self._slack_s = slack_s
        self._clock = clock
        self._sleep = sleep
        self._market_ns = 0
        self._wall_s = 0.0

    def start(self, market_ns: int) -> None:
        """Say that it is `market_ns` now."""
        self._market_ns = market_ns
        self._wall_s = self._clock()

    def wait(self, market_ns: int) -> None:
        """Return when it is `market_ns`."""
        if self.speed == MAX_SPEED:
            return
        due = self._wall_s + (market_ns - self._market_ns) / NS_PER_SECOND / self.speed
        left = due - self._clock()
        if left < -self._slack_s:
            self.start(market_ns)
            return
        while left > 0:
            self._sleep(min(left, self._step_s))
            left = due - self._clock()
            if self.on_wait is not None and left > 0:
                self.on_wait(market_ns - int(left * self.speed * NS_PER_SECOND))


class PacedFeed:
    """A feed whose sessions are cut by time and handed out when their time has come.

    A block comes when the market time of its end is reached, as it would live. Everything before `from_ns` comes at once; what
    comes after the last trade is not waited for. Quiet stretches last as long as they do, with empty blocks.

    Parameters
    ----------
    feed : where the ticks come from.
    pacer : keeps the time.
    block_ns : length of a block, nanoseconds.
    from_ns : of a session, when pacing begins (UTC ns); None paces from its first trade.
    speed_of : of a session's span between first and last trade (ns), the speed; None keeps the pacer's.
    """

    def __init__(
        self,
        feed: Feed,
        pacer: Pacer,
        block_ns: int,
        *,
        from_ns: Callable[[Session], int] | None = None,
        speed_of: Callable[[int], float] | None = None,
    ) -> None:
        if block_ns < 1:
            raise UsageError(f"block_ns was {block_ns}; it must be at least 1 nanosecond")
        self.feed = feed
        self.is_simulated = feed.is_simulated
        self.pacer = pacer
        self.spans: dict[str, tuple[int, int]] = {}
        self._block_ns = block_ns
        self._from_ns = from_ns
        self._speed_of = speed_of

    def sessions(self) -> Iterator[Session]:
        """Yield the sessions of the feed."""
        return self.feed.sessions()

    def instruments(self, session: Session) -> Sequence[Instrument]:
        """Return what trades in a session."""
        return self.feed.instruments(session)

    def blocks(self, session: Session) -> Iterator[Block]:
        """Yield the session's blocks, each at its time; `spans` then has, by symbol, the times of the first and last trade."""
        wholes = list(self._whole(session))
        traded = [whole for whole in wholes if len(whole.trades)]
        yield from (whole for whole in wholes if not len(whole.trades))
        if traded:
            yield from self._cut(session, traded)

    def _whole(self, session: Session) -> Iterator[Block]:
        parts = list(self.feed.blocks(session))
        for symbol in dict.fromkeys(block.symbol for block in parts):
            mine = [block for block in parts if block.symbol == symbol]
            trades = mine[0].trades if len(mine) == 1 else Trades.concat([block.trades for block in mine])
            yield Block(symbol, trades, mine[-1].until_ns)

    def _cut(self, session: Session, wholes: Sequence[Block]) -> Iterator[Block]:
        # Several tapes pass side by side: of each a block up to the same moment.
        first = min(int(whole.trades.ts[0]) for whole in wholes)
        last = max(int(whole.trades.ts[-1]) for whole in wholes)
        self.spans.update((whole.symbol, (first, last)) for whole in wholes)
        if self._speed_of is not None:
            self.pacer.speed = self._speed_of(last - first)
        begin = first if self._from_ns is None else max(first, self._from_ns(session))
        # Blocks end on whole multiples, so that the clock on the screen shows round times.
        until = (begin // self._block_ns + 1) * self._block_ns
        starts = [0] * len(wholes)
        is_started = False
        while until <= last:
            if is_started:
                self.pacer.wait(until)
            for n, whole in enumerate(wholes):
                stop = int(np.searchsorted(whole.trades.ts, until, side="left"))
                yield Block(whole.symbol, whole.trades.slice(starts[n], stop), until)
                starts[n] = stop
            if not is_started:
                # The first block may compile, and brings everything before `from_ns`: time starts after it.
                self.pacer.start(until)
                is_started = True
            until += self._block_ns
        if is_started:
            self.pacer.wait(last)
        for n, whole in enumerate(wholes):
            yield Block(whole.symbol, whole.trades.slice(starts[n], len(whole.trades)), whole.until_ns)
