"""Planted capitulations on a driftless market: how many are found, and how often one is seen where none was planted."""

from __future__ import annotations

from copy import deepcopy
from datetime import date
from functools import cache

import numpy as np

from lossless_reference import Levels
from sovereign.core.columns import Trades
from sovereign.core.instrument import find_instrument
from sovereign.core.session import NS_PER_SECOND
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import PortfolioMarket
from sovereign.signals.lossless import LosslessStream

BAR_NS = 300 * NS_PER_SECOND
WARM_UP, SESSIONS = 20, 200
FACTOR = 8  # a planted bar trades this multiple of what it would have


def planted(trades, session, levels, rng):
    """Plant one capitulation at a random bar: to the nearest level then known, and back; return its bar and side, or None."""
    price, size = trades.price.copy(), trades.size.astype(np.int64)
    bar = ((trades.ts - session.regular_open_ns) // BAR_NS).astype(int)
    n = int(rng.integers(2, bar[-1]))
    for earlier in range(n):
        ticks = price[bar == earlier].tolist()
        levels.bar(ticks[0], max(ticks), min(ticks), ticks[-1])
    before, g = levels.last, levels.g
    if rng.integers(0, 2):
        k = max((k for k in levels.supports() if (k + 1) * g <= before - 3 and k < before // g), default=None)
        edge, sign = (0, 0) if k is None else ((k + 1) * g, 1)
    else:
        k = min((k for k in levels.resistances() if k * g >= before + 3 and k > before // g), default=None)
        edge, sign = (0, 0) if k is None else (k * g, -1)
    if k is None or abs(before - edge) > 3 * g:
        return trades, None
    at = np.flatnonzero(bar == n)
    half = len(at) // 2
    turn, close = edge - sign * (g // 4), edge + sign * 2
    price[at[:half]] = np.linspace(before, turn, half).astype(np.int32)
    price[at[half:]] = np.linspace(turn, close, len(at) - half).astype(np.int32)
    size[at] *= FACTOR
    return Trades(trades.ts, price, size.astype(np.int32), trades.side), (n, sign)


@cache
def outcome():
    """Return planted, found, bars without a plant, setups on those that held."""
    calendar = calendar_for("XNYS")
    feed = PortfolioMarket(["SPY"], calendar, date(2024, 1, 3), SESSIONS, seed=3)
    stream, rng = LosslessStream(find_instrument("SPY"), 300), np.random.default_rng(8)
    counts, known = np.zeros(4, int), Levels(0)
    for n, session in enumerate(feed.sessions()):
        (block,) = feed.blocks(session)
        trades, where = block.trades, None
        stream.start_session(session)
        if n >= WARM_UP:
            if known.g != stream.book.granularity:
                known = Levels(stream.book.granularity)
                for chunk in stream.book.history.chunks():
                    for bar in chunk.T.tolist():
                        known.bar(*bar)
            trades, where = planted(trades, session, deepcopy(known), rng)
        stream.advance(trades, session.close_ns)
        if n < WARM_UP:
            continue
        rows = stream.rows
        for bar in zip(*(rows[name].tolist() for name in ("open", "high", "low", "close")), strict=True):
            known.bar(*bar)
        held = np.where(rows["is_held"], rows["setup"], 0)
        bars = ((rows["open_ns"] - session.regular_open_ns) // BAR_NS).astype(int)
        others = np.ones(len(rows), bool)
        if where is not None:
            others = bars != where[0]
            counts[:2] += [1, int(held[~others][0] == where[1])]
        counts[2:] += [int(others.sum()), int((held[others] != 0).sum())]
    return tuple(counts.tolist())


def test_capitulations_when_planted_then_most_are_found():
    count, hits, _, _ = outcome()
    assert count > 80
    # Eight times the volume is 2.1 in logarithms: it ranks above 97.5% unless the bar would have been a very quiet one.
    assert hits / count > 0.9, f"{hits} of {count}"


def test_capitulations_when_none_was_planted_then_few_are_seen():
    _, _, bars, alarms = outcome()
    assert bars > 10_000
    # 2.5% of volumes rank that high by construction; a level has to be met against the bar, and to hold, besides.
    assert alarms / bars < 0.006, f"{alarms} of {bars}"
