"""Support and resistance by counting: how often each price range has been crossed.

Prices lie in buckets `[k*g, (k+1)*g)` of `g` ticks. A leg from `a` to `b` that leaves its bucket takes one from every bucket it
travels, `floor(min/g) .. ceil(max/g) - 1`, at most once each. A bucket never crossed has score 0 and is the strongest; every
crossing weakens it (pftq's counting method; requirement: lossless; definitions 3.2). A bar is walked low first when it rises or
stands (o-l-h-c), else high first (o-h-l-c), after the leg from the close before it.

Two searches. Over the whole span (`best_below`, `best_above`) the best bucket is, once the history is long, always one that was
never crossed: the margin beyond the lowest or the highest price. What a bar can meet on its way are the buckets that are
crossed less often than those around them (`is_support`, `is_resistance`); of those it touches, the best is again the one
with the highest score, then the nearest (`touched_below`, `touched_above`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sovereign.kernels.compile import kernel

LEVELS = np.dtype(
    [
        ("granularity", np.int64),
        ("base", np.int64),
        ("low", np.int64),
        ("high", np.int64),
        ("last", np.int64),
        ("bars", np.int64),
    ],
    align=True,
)
"""State of one instrument's counts: `base` is the bucket of `scores[0]`; `low`, `high` the extreme prices seen (ticks); `last`
the close before; `bars` how many have been counted (0: `last`, `low` and `high` mean nothing yet)."""

NEED_ROOM = 1
"""What `count_bar` returns when `scores` does not reach over the bar's prices; nothing has been counted then."""


@kernel
def count_leg(scores: Any, base: int, granularity: int, start: int, stop: int) -> None:
    """Take one from every bucket that a move from `start` to `stop` (ticks) travels; none when it stays in its bucket."""
    if start // granularity == stop // granularity:
        return
    low = min(start, stop)
    high = max(start, stop)
    for bucket in range(low // granularity - base, (high - 1) // granularity - base + 1):
        scores[bucket] -= 1


@kernel
def has_room(state: Any, scores: Any, high: int, low: int) -> bool:
    """Say whether the buckets of a bar's prices, of the leg to it, and one more each way fit `scores`."""
    s = state[0]
    g = s["granularity"]
    bottom = low
    top = high
    if s["bars"] > 0:
        bottom = min(low, s["last"])
        top = max(high, s["last"])
    return bool(bottom // g - 1 >= s["base"] and top // g + 1 < s["base"] + len(scores))


@kernel
def count_bar(state: Any, scores: Any, opens: int, high: int, low: int, close: int) -> int:
    """Count one bar; 0, or `NEED_ROOM` when the buckets of its prices (and one more each way) do not fit `scores`."""
    s = state[0]
    g = s["granularity"]
    if not has_room(state, scores, high, low):
        return NEED_ROOM
    base = s["base"]
    if s["bars"] > 0:
        count_leg(scores, base, g, s["last"], opens)
        s["low"] = min(s["low"], low)
        s["high"] = max(s["high"], high)
    else:
        s["low"] = low
        s["high"] = high
    near = low if close >= opens else high
    far = high if close >= opens else low
    count_leg(scores, base, g, opens, near)
    count_leg(scores, base, g, near, far)
    count_leg(scores, base, g, far, close)
    s["last"] = close
    s["bars"] += 1
    return 0


@kernel
def span(state: Any) -> tuple[int, int]:
    """Return the first and last bucket in which levels are looked for: one beyond each extreme that was seen."""
    s = state[0]
    return s["low"] // s["granularity"] - 1, s["high"] // s["granularity"] + 1


@kernel
def strength(state: Any, scores: Any, bucket: int) -> float:
    """Return the share of the buckets in the span that are crossed more often than this one, ties counted half: 0..1.

    NaN when nothing has been counted or the bucket lies outside the span.
    """
    s = state[0]
    if s["bars"] == 0:
        return np.nan
    first, last = span(state)
    if bucket < first or bucket > last:
        return np.nan
    # Sums as narrow as the scores, so that eight buckets are compared at once.
    inside = scores[first - s["base"] : last - s["base"] + 1]
    score = np.int32(scores[bucket - s["base"]])
    weaker = np.int32(0)
    no_stronger = np.int32(0)
    for k in range(len(inside)):
        weaker = np.int32(weaker + np.int32(inside[k] < score))
        no_stronger = np.int32(no_stronger + np.int32(inside[k] <= score))
    return 0.5 * (weaker + no_stronger) / len(inside)


@kernel
def best_below(state: Any, scores: Any, price: int) -> int:
    """Return the bucket with the highest score whose top is at or below `price`, the nearest of equals, or first - 1."""
    s = state[0]
    first, last = span(state)
    best = first - 1
    for bucket in range(min(last, price // s["granularity"] - 1), first - 1, -1):
        if best < first or scores[bucket - s["base"]] > scores[best - s["base"]]:
            best = bucket
    return best


@kernel
def best_above(state: Any, scores: Any, price: int) -> int:
    """Return the bucket with the highest score whose bottom is above `price`, the nearest of equals, or last + 1."""
    s = state[0]
    first, last = span(state)
    best = last + 1
    for bucket in range(max(first, price // s["granularity"] + 1), last + 1):
        if best > last or scores[bucket - s["base"]] > scores[best - s["base"]]:
            best = bucket
    return best


@kernel
def count_bars(state: Any, scores: Any, opens: Any, highs: Any, lows: Any, closes: Any, start: int) -> int:
    """Count bars from `start` on; the index of the first that does not fit `scores`, or the number of bars."""
    for i in range(start, len(opens)):
        if count_bar(state, scores, opens[i], highs[i], lows[i], closes[i]) == NEED_ROOM:
            return i
    return len(opens)


@kernel
def _supports(scores: Any, base: int, first: int, last: int, bucket: int) -> bool:
    if bucket < first or bucket >= last:
        return False
    at = bucket - base
    return bool(scores[at] > scores[at + 1] and (bucket == first or scores[at] >= scores[at - 1]))


@kernel
def _resists(scores: Any, base: int, first: int, last: int, bucket: int) -> bool:
    if bucket <= first or bucket > last:
        return False
    at = bucket - base
    return bool(scores[at] > scores[at - 1] and (bucket == last or scores[at] >= scores[at + 1]))


@kernel
def is_support(state: Any, scores: Any, bucket: int) -> bool:
    """Say whether a falling price meets a support here: crossed less than the bucket above, no more than the one below."""
    first, last = span(state)
    return _supports(scores, state[0]["base"], first, last, bucket)


@kernel
def is_resistance(state: Any, scores: Any, bucket: int) -> bool:
    """Say whether a rising price meets a resistance here: crossed less than the bucket below, no more than the one above."""
    first, last = span(state)
    return _resists(scores, state[0]["base"], first, last, bucket)


@kernel
def touched_below(state: Any, scores: Any, price: int, low: int, reach: float) -> int:
    """Return the best support that a bar from `price` down to `low` touches: score first, then the nearest; or first - 1.

    Touched is a bucket whose top is at or below `price` and at or above `low - reach * g`.
    """
    g = state[0]["granularity"]
    base = state[0]["base"]
    first, last = span(state)
    best = first - 1
    bucket = min(last, price // g - 1)
    while bucket >= first and low <= (bucket + 1) * g + reach * g:
        if _supports(scores, base, first, last, bucket) and (best < first or scores[bucket - base] > scores[best - base]):
            best = bucket
        bucket -= 1
    return best


@kernel
def touched_above(state: Any, scores: Any, price: int, high: int, reach: float) -> int:
    """Return the best resistance that a bar from `price` up to `high` touches, as `touched_below` does; or last + 1.

    Touched is a bucket whose bottom is above `price` and at or below `high + reach * g`.
    """
    g = state[0]["granularity"]
    base = state[0]["base"]
    first, last = span(state)
    best = last + 1
    bucket = max(first, price // g + 1)
    while bucket <= last and high >= bucket * g - reach * g:
        if _resists(scores, base, first, last, bucket) and (best > last or scores[bucket - base] > scores[best - base]):
            best = bucket
        bucket += 1
    return best


@kernel
def opposite_above(state: Any, scores: Any, price: int, score: int) -> int:
    """Return the nearest resistance above `price` that has at least this score, or last + 1."""
    base = state[0]["base"]
    first, last = span(state)
    for bucket in range(max(first, price // state[0]["granularity"] + 1), last + 1):
        if scores[bucket - base] >= score and _resists(scores, base, first, last, bucket):
            return bucket
    return last + 1


@kernel
def opposite_below(state: Any, scores: Any, price: int, score: int) -> int:
    """Return the nearest support whose top is below `price` that has at least this score, or first - 1."""
    base = state[0]["base"]
    first, last = span(state)
    for bucket in range(min(last, (price - 1) // state[0]["granularity"] - 1), first - 1, -1):
        if scores[bucket - base] >= score and _supports(scores, base, first, last, bucket):
            return bucket
    return first - 1
