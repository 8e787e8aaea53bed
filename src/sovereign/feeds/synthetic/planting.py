"""Plant order-flow patterns at known places of a tape, to measure how many of them a detector finds.

A planted bar keeps its time and takes the place of the ticks that were there; what follows is shifted so that the price goes on
from the planted close. Its footprint is even (as many buyers as sellers on every level, ends finished) but for the one thing
that makes the pattern by its definition, with room to spare over the usual thresholds. Everything is said for the high of the
bar; patterns at the low are the mirror image. Large absorbed volume is also an imbalance; a planted bar may hold other
patterns besides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sovereign.core.columns import Trades
from sovereign.core.configuration import Configuration
from sovereign.core.errors import UsageError
from sovereign.core.session import NS_PER_SECOND, Session
from sovereign.kernels.row import Pattern

_Levels = NDArray[np.int64]

PLANT_SIDE: dict[Pattern, int] = {
    Pattern.BUY_IMBALANCE: 1,
    Pattern.SELL_IMBALANCE: -1,
    Pattern.STACKED_BUY_IMBALANCE: 1,
    Pattern.STACKED_SELL_IMBALANCE: -1,
    Pattern.BUYING_EXHAUSTION: -1,
    Pattern.SELLING_EXHAUSTION: 1,
    Pattern.BUYING_ABSORPTION: 1,
    Pattern.SELLING_ABSORPTION: -1,
    Pattern.DELTA_DIVERGENCE: -1,
    Pattern.UNFINISHED_AUCTION: 0,
}
"""Side a detector should report: +1 long, -1 short, 0 context only. Divergence is bearish, or bullish when planted at lows."""

# Patterns that live at the low of the bar, or on the sellers' diagonal: built as their mirror image.
_MIRRORED = {
    Pattern.SELL_IMBALANCE,
    Pattern.STACKED_SELL_IMBALANCE,
    Pattern.SELLING_EXHAUSTION,
    Pattern.BUYING_ABSORPTION,
}


class PlantingConfig(Configuration):
    """How planted bars are made. Defaults exceed the usual thresholds of the E-mini S&P 500."""

    bar_s: int = Field(default=300, ge=1, description="length of a bar, seconds, on the grid of the day session's open")
    levels: int = Field(default=20, ge=16, description="price levels of a planted bar")
    level_volume: int = Field(
        default=200,
        ge=20,
        description="units that each side trades on an ordinary level; above any minimum volume of a pattern",
    )
    trade_size: int = Field(default=3, ge=1, description="largest size of a planted trade, units")
    imbalance_ratio: float = Field(default=8.0, gt=1, description="aggressors over their diagonal opposite in an imbalance")
    stacked_levels: int = Field(default=4, ge=2, le=8, description="levels of a stacked imbalance")
    exhaustion_levels: int = Field(
        default=4, ge=2, le=8, description="levels over which aggressor volume declines to the extreme"
    )
    exhaustion_frac: float = Field(
        default=0.08, gt=0, lt=1, description="aggressor volume at the extreme, as a fraction of the zone's largest level"
    )
    absorption_levels: int = Field(default=3, ge=1, le=8, description="levels of an absorption zone")
    absorption_aggressor_frac: float = Field(default=0.85, gt=0.5, lt=1, description="aggressors' share of an absorption zone")
    absorption_factor: float = Field(
        default=1.3, gt=0, description="volume of an absorption zone over the largest of the bars before it (absorption_bars)"
    )
    absorption_bars: int = Field(default=50, ge=0, description="bars whose extremes an absorption zone must exceed")
    unfinished_volume: int = Field(
        default=10, ge=1, description="units that each side trades at the extreme of an unfinished auction"
    )
    swing_bars: int = Field(default=2, ge=1, description="bars on either side of a swing, for delta divergence")
    swing_ticks: int = Field(
        default=8, ge=2, description="ticks by which a swing exceeds its neighbors and the swing before it"
    )

    @model_validator(mode="after")
    def _swings_stand_out(self) -> Self:
        if self.swing_ticks <= self.swing_bars:
            raise ValueError(
                f"swing_ticks was {self.swing_ticks}; it must exceed swing_bars ({self.swing_bars}), as bars drift a tick each"
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """Where a pattern was planted and what should be found there.

    `bar` holds the pattern; it can be known at the close of `known_bar` (later than `bar` for a divergence, whose swing must be
    confirmed), at `known_at` UTC ns. `side` is the expected side, `price` the level in ticks: the imbalance, the outermost
    level of a stack, or the extreme.
    """

    pattern: Pattern
    side: int
    bar: int
    known_bar: int
    known_at: int
    price: int


@dataclass(frozen=True, slots=True)
class _Bar:
    # A footprint from the lowest level up, the levels of its first and last trade, and whether the high is visited last.
    bid: _Levels
    ask: _Levels
    first: int
    last: int
    is_high_last: bool
    marked: int

    def mirrored(self) -> _Bar:
        top = len(self.bid) - 1
        return _Bar(self.ask[::-1], self.bid[::-1], top - self.first, top - self.last, not self.is_high_last, top - self.marked)


def plant(
    trades: Trades,
    session: Session,
    pattern: Pattern,
    at_bar: int,
    rng: np.random.Generator,
    config: PlantingConfig | None = None,
    *,
    is_at_low: bool = False,
) -> tuple[Trades, Planted]:
    """Plant one pattern in bar `at_bar` (0 is the bar that begins at the day session's open) and return the new tape.

    Several patterns are planted in ascending order of bars, as each one shifts what comes after it (`plant_all` does that). A
    divergence rewrites the bars around `at_bar` that make its two swings; `is_at_low` makes it bullish, and puts an unfinished
    auction at the low.

    Raises
    ------
    UsageError : the bar, or one that a divergence needs, lies outside the day session, or the tape is empty.
    """
    config = config if config is not None else PlantingConfig()
    if len(trades) == 0:
        raise UsageError("the tape was empty; generate a session with trades before planting a pattern")
    before, after = footprint_of(pattern, config)
    length = config.bar_s * NS_PER_SECOND
    bars = (session.regular_close_ns - session.regular_open_ns) // length
    if at_bar - before < 0 or at_bar + after >= bars:
        raise UsageError(
            f"bar was {at_bar}; {pattern.name} needs {before} bars before and {after} after it within the {bars} of the session"
        )
    is_mirrored = pattern in _MIRRORED or is_at_low
    zone = _largest_zone(trades, session, at_bar, config) if pattern in _ABSORPTION else 0
    shapes = _shapes(pattern, zone, config)
    if is_mirrored:
        shapes = [shape.mirrored() for shape in shapes]
    start = session.regular_open_ns + (at_bar - before) * length
    planted, marked = _replace(trades, shapes, start, length, rng, config)
    side = -PLANT_SIDE[pattern] if is_at_low else PLANT_SIDE[pattern]
    known_bar = at_bar + after
    known_at = session.regular_open_ns + (known_bar + 1) * length
    return planted, Planted(
        pattern=pattern, side=side, bar=at_bar, known_bar=known_bar, known_at=known_at, price=marked[before]
    )


def plant_all(
    trades: Trades,
    session: Session,
    plan: Sequence[tuple[Pattern, int]],
    rng: np.random.Generator,
    config: PlantingConfig | None = None,
) -> tuple[Trades, list[Planted]]:
    """Plant `(pattern, bar)` pairs, in ascending order of bars; return the tape and what was planted.

    Raises
    ------
    UsageError : two plants need the same bar, or one does not fit into the session.
    """
    config = config if config is not None else PlantingConfig()
    taken: dict[int, Pattern] = {}
    done = []
    for pattern, at_bar in sorted(plan, key=lambda item: item[1]):
        before, after = footprint_of(pattern, config)
        for bar in range(at_bar - before, at_bar + after + 1):
            if bar in taken:
                raise UsageError(
                    f"{pattern.name} at bar {at_bar} needs bar {bar}, which {taken[bar].name} has; keep them apart"
                )
            taken[bar] = pattern
        trades, planted = plant(trades, session, pattern, at_bar, rng, config)
        done.append(planted)
    return trades, done


def footprint_of(pattern: Pattern, config: PlantingConfig | None = None) -> tuple[int, int]:
    """Return how many bars before and after its own a planted pattern rewrites."""
    if pattern is not Pattern.DELTA_DIVERGENCE:
        return 0, 0
    swing = (config if config is not None else PlantingConfig()).swing_bars
    return 2 * swing + 1, swing


_ABSORPTION = (Pattern.BUYING_ABSORPTION, Pattern.SELLING_ABSORPTION)


def _largest_zone(trades: Trades, session: Session, at_bar: int, config: PlantingConfig) -> int:
    # The most volume that `absorption_levels` neighboring levels had in the bars before: no zone of theirs can be larger.
    length = config.bar_s * NS_PER_SECOND
    edges = session.regular_open_ns + length * np.arange(max(0, at_bar - config.absorption_bars), at_bar + 1)
    rows = trades.ts.searchsorted(edges)
    largest = 0
    for a, b in pairwise(rows):
        if a < b:
            price = trades.price[a:b]
            volume = np.bincount(price - price.min(), weights=trades.size[a:b])
            window = np.convolve(volume, np.ones(config.absorption_levels), "full")
            largest = max(largest, int(window.max()))
    return largest


def _even(config: PlantingConfig) -> tuple[_Levels, _Levels]:
    # As many buyers as sellers everywhere; nobody sells at the high and nobody buys at the low: both ends are finished.
    bid = np.full(config.levels, config.level_volume, np.int64)
    ask = bid.copy()
    bid[-1] = 0
    ask[0] = 0
    return bid, ask


def _shapes(pattern: Pattern, zone: int, config: PlantingConfig) -> list[_Bar]:
    if pattern is Pattern.DELTA_DIVERGENCE:
        return _divergence(config)
    bid, ask = _even(config)
    middle, top, volume = config.levels // 2, config.levels - 1, config.level_volume
    last, marked = middle, top
    if pattern in (Pattern.BUY_IMBALANCE, Pattern.SELL_IMBALANCE):
        ask[middle] = 2 * volume
        bid[middle - 1] = max(1, int(2 * volume / config.imbalance_ratio))
        marked = middle
    elif pattern in (Pattern.STACKED_BUY_IMBALANCE, Pattern.STACKED_SELL_IMBALANCE):
        first = middle - config.stacked_levels // 2
        stack = np.arange(first, first + config.stacked_levels)
        ask[stack] = 2 * volume
        bid[stack - 1] = max(1, int(2 * volume / config.imbalance_ratio))
        marked = int(stack[-1])
    elif pattern in (Pattern.BUYING_EXHAUSTION, Pattern.SELLING_EXHAUSTION):
        n = config.exhaustion_levels
        ask[-n:] = np.round(2 * volume * config.exhaustion_frac ** (np.arange(n) / (n - 1)))
        bid[-n:-1] = ask[-n + 1 :]
    elif pattern in _ABSORPTION:
        n = config.absorption_levels
        each = -(-max(int(config.absorption_factor * zone), 2 * n * volume) // n)
        ask[-n:] = round(config.absorption_aggressor_frac * each)
        bid[-n:-1] = each - ask[-1]
        ask[-1] = each
        last = config.levels // 4
    else:
        # The level below sells little as well: many sellers there against few buyers at the high would be an imbalance.
        bid[-2:] = ask[-1] = config.unfinished_volume
    return [_Bar(bid, ask, middle, last, True, marked)]


def _divergence(config: PlantingConfig) -> list[_Bar]:
    # Bars of rising lows (so that no low is a swing) with a swing high, quiet bars, and a higher swing high; from the first
    # swing on sellers are in excess, so that cumulative delta is lower at the second.
    swing = config.swing_bars
    heights = {swing: config.levels + config.swing_ticks, 2 * swing + 1: config.levels + 2 * config.swing_ticks}
    bars = []
    for k in range(3 * swing + 2):
        height = heights.get(k, config.levels)
        bid, ask = _even(config.model_copy(update={"levels": height}))
        if k > swing:
            ask[1:-1] = ask[1:-1] * 2 // 3
        # Each bar closes one tick above its first trade, which is where the next one begins.
        bars.append(_Bar(bid, ask, config.levels // 2, config.levels // 2 + 1, True, height - 1))
    return bars


def _replace(
    trades: Trades, shapes: list[_Bar], start: int, length: int, rng: np.random.Generator, config: PlantingConfig
) -> tuple[Trades, list[int]]:
    begin = int(trades.ts.searchsorted(start))
    stop = int(trades.ts.searchsorted(start + length * len(shapes)))
    after = trades.slice(stop, len(trades))
    price = int(trades.price[max(begin - 1, 0)])
    old_price = int(trades.price[max(stop - 1, 0)])
    is_locked = trades.bid is not None and trades.ask is not None and bool((trades.bid == trades.ask).all())
    parts, marked = [trades.slice(0, begin)], []
    for k, bar in enumerate(shapes):
        low = price - bar.first
        ticks = _ticks(bar, low, start + k * length, length, rng, config, is_locked)
        parts.append(ticks if trades.bid is not None else Trades(ticks.ts, ticks.price, ticks.size, ticks.side))
        marked.append(low + bar.marked)
        price = low + bar.last
    shift = np.int32(price - old_price)
    bid = None if after.bid is None else after.bid + shift
    ask = None if after.ask is None else after.ask + shift
    parts.append(Trades(after.ts, after.price + shift, after.size, after.side, bid, ask))
    return Trades.concat(parts), marked


def _ticks(
    bar: _Bar, low: int, start: int, length: int, rng: np.random.Generator, config: PlantingConfig, is_locked: bool
) -> Trades:
    # Walk one level at a time: from the first level to one end, to the other end, and to the last level.
    top = len(bar.bid) - 1
    turns = [bar.first, 0, top, bar.last] if bar.is_high_last else [bar.first, top, 0, bar.last]
    legs = [np.arange(a, b, 1 if b > a else -1) for a, b in pairwise(turns)]
    visits = np.concatenate([*legs, np.array([bar.last])])
    # The how-manieth visit to its level each one is, and how many there are.
    order = np.argsort(visits, kind="stable")
    counts = np.bincount(visits, minlength=top + 1)
    nth = np.empty_like(visits)
    nth[order] = np.arange(len(visits)) - np.repeat(np.cumsum(counts) - counts, counts)
    times = counts[visits]
    units = np.concatenate([side[visits] // times + (nth < side[visits] % times) for side in (bar.bid, bar.ask)])
    sides = np.repeat(np.array([-1, 1], np.int8), len(visits))
    step = np.tile(np.arange(len(visits)), 2)
    # Split each side of a visit into trades of at most trade_size and mix both sides.
    pieces = -(-units // config.trade_size)
    owner = np.repeat(np.arange(len(units)), pieces)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    size = units[owner] // pieces[owner] + (within < units[owner] % pieces[owner])
    mixed = np.argsort(step[owner] + rng.random(len(owner)))
    price = (low + visits[step[owner][mixed]]).astype(np.int32)
    side = sides[owner][mixed]
    ts = start + np.sort((rng.random(len(price)) * length).astype(np.int64))
    bid = price if is_locked else price - (side > 0).astype(np.int32)
    ask = price if is_locked else price + (side < 0).astype(np.int32)
    return Trades(ts, price, size[mixed].astype(np.int32), side, bid, ask)
