"""The tape of one symbol: order-flow imbalance, queue imbalance, and the absorption proxy, from best bids and offers.

Order-flow imbalance after Cont, Kukanov and Stoikov (2014, Journal of Financial Econometrics 12; arXiv:1011.6402): each change
of the best quote contributes

    e = 1[Pb >= Pb'] qb - 1[Pb <= Pb'] qb' - 1[Pa <= Pa'] qa + 1[Pa >= Pa'] qa'

(primes: the quote before), summed over buckets of some seconds. Queue imbalance is (qb - qa) / (qb + qa) of the quote that
stands at a bucket's end. Both are scored against their own last buckets. A bucket is `[start, end)`; its row is known at its
end, and depends on nothing at or after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sovereign.core.columns import Quotes
from sovereign.core.configuration import Configuration
from sovereign.core.session import NS_PER_SECOND
from sovereign.core.tape import TapeSnapshot

Float64 = NDArray[np.float64]

TAPE_ROW = np.dtype(
    [
        ("known_at", np.int64),
        ("quotes", np.int64),
        ("ofi", np.float64),
        ("ofi_z", np.float64),
        ("queue_imbalance", np.float64),
        ("queue_imbalance_z", np.float64),
        ("mid_ticks", np.float64),
        ("move_ticks", np.float64),
        ("bid_size", np.int64),
        ("ask_size", np.int64),
        ("is_absorption", np.bool_),
    ],
    align=True,
)
"""One bucket: `move_ticks` is the mid's move within it, `quotes` how many changes it saw. NaN where something is not known."""


class TapeConfig(Configuration):
    """How the tape is cut and scored."""

    bucket_s: int = Field(10, ge=1, description="Width of a bucket, in seconds. Source: Cont, Kukanov and Stoikov 2014.")
    window_buckets: int = Field(60, ge=2, description="Buckets a score looks back, its own included. Source: definitions 1.3.")
    min_buckets: int = Field(20, ge=2, description="Known buckets a score needs. Source: definitions 1.3.")
    stale_s: float = Field(
        60.0, gt=0, description="A quote older than this says nothing of the present, in seconds. Own choice: a minute."
    )
    absorption_z: float = Field(
        -1.5, le=0, description="Order-flow score below which selling is heavy. Source: definitions 1.3."
    )
    absorption_frac: float = Field(
        0.001, ge=0, description="How far the mid may have moved and still stand, as a fraction of it. Source: definitions 1.3."
    )
    absorption_s: int = Field(60, ge=1, description="The mid is compared with that of exactly so long ago, in seconds.")
    snapshot_s: int = Field(60, ge=1, description="A snapshot is stored this often, in seconds.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in ("absorption_s", "snapshot_s"):
            if getattr(self, name) % self.bucket_s:
                raise ValueError(f"{name} was {getattr(self, name)}; allowed are multiples of bucket_s, {self.bucket_s}")
        if self.min_buckets > self.window_buckets:
            raise ValueError(f"min_buckets was {self.min_buckets}; allowed is at most window_buckets, {self.window_buckets}")
        return self


def order_flow_increments(quotes: Quotes) -> Float64:
    """Return what each quote adds to the order-flow imbalance, in units; NaN for the first, and beside a missing side."""
    bid, ask = quotes.bid.astype(np.int64), quotes.ask.astype(np.int64)
    bid_size, ask_size = quotes.bid_size.astype(np.float64), quotes.ask_size.astype(np.float64)
    found = np.full(len(quotes), np.nan)
    if len(quotes) < 2:
        return found
    buying = (bid[1:] >= bid[:-1]) * bid_size[1:] - (bid[1:] <= bid[:-1]) * bid_size[:-1]
    selling = (ask[1:] <= ask[:-1]) * ask_size[1:] - (ask[1:] >= ask[:-1]) * ask_size[:-1]
    is_whole = (bid_size > 0) & (ask_size > 0)
    found[1:] = np.where(is_whole[1:] & is_whole[:-1], buying - selling, np.nan)
    return found


def queue_imbalance(bid_size: NDArray[Any], ask_size: NDArray[Any]) -> Float64:
    """Return (bid size - ask size) / (bid size + ask size) in [-1, 1]; NaN where a side is missing."""
    bids, asks = bid_size.astype(np.float64), ask_size.astype(np.float64)
    is_whole = (bids > 0) & (asks > 0)
    return np.where(is_whole, (bids - asks) / np.where(is_whole, bids + asks, 1.0), np.nan)


def rolling_score(values: Float64, window: int, least: int) -> Float64:
    """Return (value - mean) / standard deviation over the last `window` values, the present one included.

    NaN values are left out of both; NaN where the present one is NaN, fewer than `least` are known, or they do not differ.
    The deviation is the sample's (n - 1).
    """
    padded = np.concatenate([np.full(window - 1, np.nan), values])
    if not len(values):
        return np.empty(0)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)
    is_known = ~np.isnan(frames)
    count = is_known.sum(axis=1)
    total = np.where(is_known, frames, 0.0)
    mean = total.sum(axis=1) / np.maximum(count, 1)
    squares = np.where(is_known, (frames - mean[:, None]) ** 2, 0.0).sum(axis=1)
    deviation = np.sqrt(squares / np.maximum(count - 1, 1))
    is_scored = (count >= least) & (deviation > 0)
    return np.where(is_scored, (values - mean) / np.where(is_scored, deviation, 1.0), np.nan)


def tape_rows(quotes: Quotes, start_ns: int, until_ns: int, config: TapeConfig) -> NDArray[Any]:
    """Return the rows of all buckets that end at or before `until_ns`, the first beginning at `start_ns`."""
    scout = TapeScout(config)
    scout.start(start_ns)
    return scout.advance(quotes, until_ns)


class TapeScout:
    """Buckets of one symbol as they close. Feed it quotes in any pieces: the rows are the same."""

    def __init__(self, config: TapeConfig) -> None:
        self._config = config
        self._width = config.bucket_s * NS_PER_SECOND
        self._start = 0
        self._held = _no_quotes()
        self._rows = np.empty(0, TAPE_ROW)

    @property
    def rows(self) -> NDArray[Any]:
        """All rows since `start`."""
        return self._rows

    def start(self, start_ns: int) -> None:
        """Begin anew: nothing of before counts."""
        self._start = start_ns
        self._held = _no_quotes()
        self._rows = np.empty(0, TAPE_ROW)

    def interrupt(self) -> None:
        """Take note that quotes were missed: the standing one is not known any more, and no flow is inferred across the gap."""
        self._held = _no_quotes()

    def advance(self, quotes: Quotes, until_ns: int) -> NDArray[Any]:
        """Take the next quotes, close the buckets that end at or before `until_ns`, and return their rows.

        `until_ns` promises that no earlier quote will follow; quotes before `start` are not taken.
        """
        fresh = quotes.slice(int(np.searchsorted(quotes.ts, self._start)), len(quotes))
        held = _joined(self._held, fresh)
        done, total = len(self._rows), max(len(self._rows), (until_ns - self._start) // self._width)
        if total == done:
            self._held = held
            return self._rows[:0]
        edges = self._start + self._width * np.arange(done, total + 1, dtype=np.int64)
        rows = self._closed(held, edges)
        self._rows = np.concatenate([self._rows, rows])
        self._score(done)
        last = int(np.searchsorted(held.ts, edges[-1], side="left"))
        self._held = held.slice(max(0, last - 1), len(held))  # the quote that stands goes on counting
        return self._rows[done:]

    def _closed(self, held: Quotes, edges: NDArray[np.int64]) -> NDArray[Any]:
        rows = np.zeros(len(edges) - 1, TAPE_ROW)
        rows["known_at"] = edges[1:]
        first, last = np.searchsorted(held.ts, edges[:-1], side="left"), np.searchsorted(held.ts, edges[1:], side="left")
        rows["quotes"] = last - first
        steps = np.concatenate([[0.0], np.cumsum(np.nan_to_num(order_flow_increments(held)))])
        stands = last - 1
        place = np.maximum(stands, 0)
        is_known = stands >= 0
        if len(held):
            age = edges[1:] - held.ts[place]
            is_known &= age <= self._config.stale_s * NS_PER_SECOND
            is_known &= (held.bid_size[place] > 0) & (held.ask_size[place] > 0)
            rows["bid_size"] = np.where(is_known, held.bid_size[place], 0)
            rows["ask_size"] = np.where(is_known, held.ask_size[place], 0)
            mid = (held.bid[place].astype(np.float64) + held.ask[place]) / 2
            rows["mid_ticks"] = np.where(is_known, mid, np.nan)
        else:
            rows["mid_ticks"] = np.nan
        rows["ofi"] = np.where(is_known, steps[last] - steps[first], np.nan)
        rows["queue_imbalance"] = queue_imbalance(rows["bid_size"], rows["ask_size"])
        return rows

    def _score(self, done: int) -> None:
        config = self._config
        tail = max(0, done - config.window_buckets)
        recent, fresh = self._rows[tail:], slice(done - tail, None)
        for name in ("ofi", "queue_imbalance"):
            scores = rolling_score(recent[name], config.window_buckets, config.min_buckets)
            recent[f"{name}_z"][fresh] = scores[fresh]
        mids = self._rows["mid_ticks"]
        places = np.arange(done, len(mids))
        self._rows["move_ticks"][done:] = mids[done:] - _earlier(mids, places, 1)
        before = _earlier(mids, places, config.absorption_s // config.bucket_s)
        stands = np.abs(mids[done:] - before) <= config.absorption_frac * np.abs(before)
        self._rows["is_absorption"][done:] = stands & (self._rows["ofi_z"][done:] < config.absorption_z)


def _earlier(values: Float64, places: NDArray[Any], back: int) -> Float64:
    return np.where(places >= back, values[np.maximum(places - back, 0)], np.nan)


def _no_quotes() -> Quotes:
    return Quotes(np.empty(0, np.int64), *(np.empty(0, np.int32) for _ in range(4)))


def _joined(one: Quotes, other: Quotes) -> Quotes:
    if not len(one):
        return other
    names = ("ts", "bid", "ask", "bid_size", "ask_size")
    return Quotes(*(np.concatenate([getattr(one, name), getattr(other, name)]) for name in names))


def snapshots(symbol: str, rows: NDArray[Any], start_ns: int, tick: float, config: TapeConfig) -> list[TapeSnapshot]:
    """Return the rows that fall on a snapshot, as they are stored; `tick` is the price of one tick."""
    step = config.snapshot_s * NS_PER_SECOND
    return [
        TapeSnapshot(
            symbol=symbol,
            ts=int(row["known_at"]),
            ofi=float(row["ofi"]),
            ofi_z=float(row["ofi_z"]),
            queue_imbalance=float(row["queue_imbalance"]),
            queue_imbalance_z=float(row["queue_imbalance_z"]),
            mid=float(row["mid_ticks"]) * tick,
            bid_size=int(row["bid_size"]),
            ask_size=int(row["ask_size"]),
            is_absorption=bool(row["is_absorption"]),
        )
        for row in rows[(rows["known_at"] - start_ns) % step == 0]
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """How well the order flow of a bucket explains the mid's move within it, by least squares.

    `r_squared` is over all buckets, `r_squared_half_hours` the mean over half hours, as the paper reports it; `slope` in ticks
    a unit of flow, `t` its t-statistic. NaN with fewer than three buckets.
    """

    buckets: int
    slope: float
    t: float
    r_squared: float
    r_squared_half_hours: float
    half_hours: int


def explained_moves(rows: NDArray[Any]) -> Explained:
    """Regress the moves of the mid on the order flow of the same buckets."""
    known = rows[~np.isnan(rows["ofi"]) & ~np.isnan(rows["move_ticks"])]
    slope, t, r_squared = _regression(known["ofi"], known["move_ticks"])
    parts = known["known_at"] // (1_800 * NS_PER_SECOND)
    halves = [_regression(known["ofi"][parts == p], known["move_ticks"][parts == p])[2] for p in np.unique(parts)]
    halves = [value for value in halves if not np.isnan(value)]
    return Explained(
        buckets=len(known),
        slope=slope,
        t=t,
        r_squared=r_squared,
        r_squared_half_hours=float(np.mean(halves)) if halves else float("nan"),
        half_hours=len(halves),
    )


def _regression(x: Float64, y: Float64) -> tuple[float, float, float]:
    nothing = (float("nan"),) * 3
    if len(x) < 3:
        return nothing
    dx, dy = x - x.mean(), y - y.mean()
    sxx, syy, sxy = float(dx @ dx), float(dy @ dy), float(dx @ dy)
    if sxx == 0 or syy == 0:
        return nothing
    slope = sxy / sxx
    rest = max(0.0, syy - slope * sxy)
    error = np.sqrt(rest / (len(x) - 2) / sxx)
    return slope, float(slope / error) if error > 0 else float("inf"), sxy * sxy / (sxx * syy)
