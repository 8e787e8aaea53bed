"""Counted levels and volume ranks written down plainly: slow, with dictionaries and lists, sharing no code with the kernels."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from sovereign.core.columns import Trades
from sovereign.core.session import NS_PER_SECOND


@dataclass
class Levels:
    """Counts by bucket, as the definition words them."""

    g: int
    counts: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    low: float = math.inf
    high: float = -math.inf
    last: int | None = None

    def leg(self, a, b):
        if a // self.g == b // self.g:
            return
        for k in range(math.floor(min(a, b) / self.g), math.ceil(max(a, b) / self.g)):
            self.counts[k] -= 1

    def bar(self, o, h, l, c):  # noqa: E741
        path = [o, l, h, c] if c >= o else [o, h, l, c]
        if self.last is not None:
            path.insert(0, self.last)
        for a, b in pairwise(path):
            self.leg(a, b)
        self.low, self.high, self.last = min(self.low, l), max(self.high, h), c

    def span(self):
        return range(int(self.low) // self.g - 1, int(self.high) // self.g + 2)

    def score(self, k):
        return self.counts.get(k, 0)

    def strength(self, k):
        scores = [self.score(j) for j in self.span()]
        mine = self.score(k)
        return (sum(s < mine for s in scores) + 0.5 * sum(s == mine for s in scores)) / len(scores)

    def supports(self):
        span = self.span()
        return [
            k for k in span[:-1] if self.score(k) > self.score(k + 1) and (k == span[0] or self.score(k) >= self.score(k - 1))
        ]

    def resistances(self):
        span = self.span()
        return [
            k for k in span[1:] if self.score(k) > self.score(k - 1) and (k == span[-1] or self.score(k) >= self.score(k + 1))
        ]

    def touched_support(self, low, reach=0.5):
        """Best support below the last close that a bar down to `low` touches, or None."""
        g = self.g
        met = [k for k in self.supports() if (k + 1) * g <= self.last // g * g and low <= (k + 1) * g + reach * g]
        return max(met, key=lambda k: (self.score(k), k), default=None)

    def touched_resistance(self, high, reach=0.5):
        """Best resistance above the last close that a bar up to `high` touches, or None."""
        g = self.g
        met = [k for k in self.resistances() if k > self.last // g and high >= k * g - reach * g]
        return max(met, key=lambda k: (self.score(k), -k), default=None)


def path(session, closes, volumes, wick=0, seconds=300):
    """Ticks of bars of `seconds` from the day session's open: each opens at the close before, and reaches `wick` beyond."""
    ts, price, size = [], [], []
    before = closes[0]
    for n, (close, volume) in enumerate(zip(closes, volumes, strict=True)):
        start = session.regular_open_ns + n * seconds * NS_PER_SECOND
        low, high = min(before, close) - wick, max(before, close) + wick
        turn = (low, high) if close >= before else (high, low)
        ts += [start, start + 1, start + 2, start + 3]
        price += [before, *turn, close]
        size += [volume // 4, volume // 4, volume // 4, volume - 3 * (volume // 4)]
        before = close
    return Trades(np.array(ts, np.int64), np.array(price, np.int32), np.array(size, np.int32), np.zeros(len(ts), np.int8))


def random_sessions(sessions, seed=0, bars=78, start=20_000, step=12.0):
    """Ticks of a random walk in bars, session by session; volumes are lognormal."""
    rng = np.random.default_rng(seed)
    price = start
    for session in sessions:
        moves = np.round(rng.normal(0, step, bars)).astype(int)
        closes = np.maximum(1_000, price + np.cumsum(moves))
        volumes = rng.lognormal(9, 0.6, bars).astype(int) + 4
        price = int(closes[-1])
        yield session, path(session, closes.tolist(), volumes.tolist(), wick=int(step / 3))
