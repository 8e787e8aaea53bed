"""A feed in this process: a tape that is delivered from the event loop, in the pieces and with the pauses that a test wants."""

import asyncio
from itertools import pairwise

from sovereign.core.port import Block


class FollowingClock:
    """The time up to which the tape was delivered."""

    def __init__(self):
        self.ts = 0

    def now_ns(self):
        return self.ts


class TapeLiveFeed:
    """Delivers tapes of one session.

    Parameters
    ----------
    tapes : trades by symbol. cuts : (symbol order, ticks) -> rows after which a block ends.
    pause : called before each block; returns seconds to wait, or None to go on at once.
    ends : whether the last blocks promise the session's close.
    """

    is_simulated = True

    def __init__(self, session, instruments, tapes, cuts, pause=lambda: None, ends=True):
        self.clock = FollowingClock()
        self.on_block = self.on_connection = None
        self.reconnects = []
        self.worked = []
        self.resumed = []
        self._session, self._instruments, self._tapes = session, instruments, tapes
        self._cuts, self._pause, self._ends = cuts, pause, ends
        self._starts = {}
        self._ready = asyncio.Event()

    async def start(self):
        self.on_connection(True, "started")
        await self._ready.wait()
        blocks = []
        for order, (symbol, trades) in enumerate(self._tapes.items()):
            first, count = self._starts[symbol], len(trades)
            bounds = sorted({first, *(c for c in self._cuts(order, count) if first < c < count), count})
            for start, stop in pairwise(bounds):
                is_last = stop == count and self._ends
                until = self._session.close_ns if is_last else int(trades.ts[stop - 1])
                blocks.append((until, order, Block(symbol, trades.slice(start, stop), until)))
            if first == count and self._ends:
                until = self._session.close_ns
                blocks.append((until, order, Block(symbol, trades.slice(count, count), until)))
        for until, _, block in sorted(blocks, key=lambda item: item[:2]):
            seconds = self._pause()
            if seconds is not None:
                await asyncio.sleep(seconds)
            self.on_block(block)
            self.clock.ts = max(self.clock.ts, until)

    async def close(self):
        self._ready.set()

    async def reconnect(self, reason):
        self.reconnects.append(reason)

    async def session(self):
        return self._session

    def instruments(self, _session):
        return self._instruments

    async def resume_from(self, _session, symbol, until_ns, ticks):
        self.resumed.append((symbol, until_ns, ticks))
        self._starts[symbol] = ticks
        if len(self._starts) == len(self._tapes):
            self._ready.set()

    def worked_through(self, until_ns):
        self.worked.append(until_ns)
