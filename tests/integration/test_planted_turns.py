"""Planted springs and upthrusts on a driftless market: how many are found, how often decoys pass, what is seen unplanted."""

from __future__ import annotations

from datetime import date
from functools import cache

import numpy as np

from sovereign.core.columns import Trades
from sovereign.core.instrument import find_instrument
from sovereign.core.session import NS_PER_SECOND
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import PortfolioMarket
from sovereign.kernels.market_row import Swing
from sovereign.signals.council import CouncilStream, LiquidityConfig
from sovereign.signals.market_regime import MarketRegimeConfig
from sovereign.signals.wyckoff import WyckoffConfig

BAR_NS = 300 * NS_PER_SECOND
SESSIONS = 200
KINDS = ("quiet", "heavy", "deep", "late")
"""A quiet break is to be found; a heavy, a deep and a late one are decoys that must not be traded."""


class Past:
    """Bars as plain numbers, and the range and its trend worked out with numpy alone."""

    def __init__(self):
        self.high, self.low, self.close, self.volume, self.atr = [], [], [], [], []

    def add(self, prices, sizes):
        before = self.close[-1] if self.close else prices[0]
        reach = max(prices.max(), before) - min(prices.min(), before)
        self.atr.append(reach if len(self.atr) < 14 else (self.atr[-1] * 13 + reach) / 14)
        self.high.append(prices.max())
        self.low.append(prices.min())
        self.close.append(prices[-1])
        self.volume.append(sizes.sum())

    def place(self):
        """Return (side, level, ATR, mean volume) where a turn could be planted at the next bar; None where none could."""
        if len(self.close) < 160:
            return None
        atr = self.atr[-1]
        prior = (self.close[-50] - self.close[-100]) / (atr * np.sqrt(50.0))
        if abs(prior) < 0.6:
            return None
        side = 1 if prior < 0 else -1
        level = np.percentile(self.low[-50:], 10) if side == 1 else np.percentile(self.high[-50:], 90)
        recent = np.array(self.low[-6:] if side == 1 else self.high[-6:])
        # Price is inside, near enough to be pushed out, and has not been out for a while.
        if (side * (recent - level) <= 0.3 * atr).any() or side * (self.close[-1] - level) > 4 * atr:
            return None
        return side, level, atr, float(np.mean(self.volume[-50:]))


def planted_bars(kind, side, level, atr, volume, steps, rng):
    """Return the prices and sizes of the one to four bars of a break, and the number of bars until it is taken back."""
    delay = 4 if kind == "late" else int(rng.integers(0, 4))
    depth = rng.uniform(1.2, 1.8) if kind == "deep" else rng.uniform(0.15, 0.85)
    ratio = rng.uniform(1.7, 3.0) if kind == "heavy" else rng.uniform(0.3, 0.9)
    prices, sizes = [], []
    for n in range(delay + 1):
        # A late one comes back without another break on the way.
        extreme = level - side * (depth if n == 0 else -0.02 if kind == "late" and n == delay else 0.1) * atr
        close = level + side * (0.25 * atr if n == delay else -0.05 * atr)
        path = np.concatenate([np.linspace(level, extreme, steps // 2), np.linspace(extreme, close, steps - steps // 2)])
        bar = np.rint(path).astype(np.int32)
        bar[steps // 2 - 1] = round(extreme)
        bar[-1] = np.ceil(close) if side == (1 if n == delay else -1) else np.floor(close)
        prices.append(bar)
        sizes.append(np.full(steps, max(1, int(ratio * volume / steps)), np.int32))
    return np.concatenate(prices), np.concatenate(sizes), delay


@cache
def outcome():
    """Return by kind (planted, traded), then bars without a plant and turns seen on them."""
    calendar = calendar_for("XNYS")
    feed = PortfolioMarket(["SPY"], calendar, date(2024, 1, 3), SESSIONS, seed=3)
    stream = CouncilStream(find_instrument("SPY"), 300, MarketRegimeConfig(), WyckoffConfig(), LiquidityConfig())
    rng, past = np.random.default_rng(8), Past()
    found, bars, alarms, kinds = {kind: [0, 0] for kind in KINDS}, 0, 0, 0
    for session in feed.sessions():
        (block,) = feed.blocks(session)
        price, size = block.trades.price.copy(), block.trades.size.copy()
        number = ((block.trades.ts - session.regular_open_ns) // BAR_NS).astype(int)
        last, planted, free = int(number[-1]), None, int(rng.integers(0, 40))
        edges = np.searchsorted(number, np.arange(last + 2))
        for n in range(last + 1):
            at = slice(edges[n], edges[n + 1])
            where = past.place() if planted is None and free <= n <= last - 6 else None
            if where is not None:
                kind = KINDS[1 + kinds // 2 % 3] if kinds % 2 else "quiet"
                kinds += 1
                new_prices, new_sizes, delay = planted_bars(kind, *where, at.stop - at.start, rng)
                inside, after = slice(edges[n], edges[n + delay + 1]), slice(edges[n + delay + 1], None)
                shift = int(new_prices[-1]) - int(price[inside][-1])
                price[inside], size[inside] = new_prices, new_sizes
                price[after] += shift
                planted = (kind, where[0], n, delay)
            past.add(price[at].astype(float), size[at].astype(float))
        stream.start_session(session)
        stream.advance(Trades(block.trades.ts, price, size, block.trades.side), session.close_ns)
        rows = stream.rows
        seen = {side: np.isin(rows[name], (Swing.QUIET, Swing.TESTED)) for side, name in ((1, "spring"), (-1, "upthrust"))}
        others = np.ones(len(rows), bool)
        if planted is not None:
            kind, side, first, delay = planted
            window = slice(first, first + delay + 1)
            others[first : first + 26] = False  # while the break or its test may still be open
            found[kind][0] += 1
            found[kind][1] += int(seen[side][window].any())
        bars += int(others.sum())
        alarms += int((seen[1] & others).sum() + (seen[-1] & others).sum())
    return found, bars, alarms


def test_turns_when_quiet_breaks_are_planted_then_nearly_all_are_found():
    planted, hits = outcome()[0]["quiet"]
    assert planted > 60
    assert hits / planted >= 0.95, f"{hits} of {planted}"


def test_turns_when_decoys_are_planted_then_none_is_traded():
    found = outcome()[0]
    for kind in ("heavy", "deep", "late"):
        planted, traded = found[kind]
        assert planted > 10, kind
        assert traded == 0, f"{kind}: {traded} of {planted}"


def test_turns_when_none_is_planted_then_are_rare():
    _, bars, alarms = outcome()
    assert bars > 10_000
    # A driftless walk makes real ones too: ranges that are left on little volume and taken back; 1.2% of bars.
    assert alarms / bars < 0.015, f"{alarms} of {bars}"
