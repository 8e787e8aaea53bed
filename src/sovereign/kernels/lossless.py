"""One pass over closed bars: each is judged by the levels and volumes known before it, and only then counted.

Rows are of `ROW_FIELDS` (after the head that every bar row has); prices are ticks, NaN is unknown. A bar outside the hours is
neither judged nor counted. Nothing looks ahead: a row depends on the bars up to its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sovereign.kernels.capitulation import count_volume, joint_conviction, volume_rank
from sovereign.kernels.compile import kernel
from sovereign.kernels.level import (
    best_above,
    best_below,
    count_bar,
    has_room,
    opposite_above,
    opposite_below,
    span,
    strength,
    touched_above,
    touched_below,
)

ROW_FIELDS: list[tuple[str, Any]] = [
    ("granularity", np.int32),
    ("volume_rank", np.float64),
    ("is_elevated", np.bool_),
    ("is_capitulation", np.bool_),
    ("at_support", np.bool_),
    ("is_bounce", np.bool_),
    ("support", np.int32),
    ("support_score", np.int32),
    ("support_strength", np.float64),
    ("at_resistance", np.bool_),
    ("is_rejection", np.bool_),
    ("resistance", np.int32),
    ("resistance_score", np.int32),
    ("resistance_strength", np.float64),
    ("setup", np.int8),
    ("is_held", np.bool_),
    ("stop", np.int32),
    ("has_target", np.bool_),
    ("target", np.int32),
    ("conviction", np.float64),
    ("exit_long", np.bool_),
    ("exit_short", np.bool_),
    ("gap_s", np.int32),
]
"""What a row says beside its bar.

`granularity` : width of a bucket (ticks), 0 while it is not known.
`volume_rank` : share of the volumes before, at this time of day, that were smaller; NaN while too few.
`support` : top of the support that the bar touched (`at_support`; `is_bounce`: it closed above), `resistance` : bottom of the
resistance (`is_rejection`: it closed below); meaningless where none was touched.
`setup` : +1 capitulation at a support in a falling bar, -1 at a resistance in a rising one, else 0; `is_held`: the level held.
`stop`, `target` : prices for the setup's position. `conviction` : 0..100 of the level touched (of the setup, if there is one).
`exit_long` : rejected at a resistance on elevated volume; `exit_short` : bounced off a support on elevated volume.
`gap_s` : time without a bar before this one, in the hours (s).
"""

READER = np.dtype(
    [
        ("seen", np.int64),
        ("last", np.int64),
        ("opens_ns", np.int64),
        ("closes_ns", np.int64),
        ("midnight_ns", np.int64),
        ("ended_ns", np.int64),
        ("day_bars", np.int64),
        ("day_high", np.int64),
        ("day_low", np.int64),
        ("slot_ns", np.int64),
        ("warm_up", np.int64),
        ("capitulation_rank", np.float64),
        ("elevated_rank", np.float64),
        ("touch_frac", np.float64),
        ("stop_frac", np.float64),
        ("searches_whole", np.bool_),
    ],
    align=True,
)
"""State (`seen` bars, `last` close, the session's hours, local midnight, end of the bar before, the day so far), settings."""


@kernel
def _find_levels(r: Any, reader: Any, levels: Any, scores: Any) -> None:
    # Which support and which resistance the bar met, seen from the close before it.
    s = reader[0]
    g = levels[0]["granularity"]
    base = levels[0]["base"]
    first, last = span(levels)
    reach = s["touch_frac"]
    if s["searches_whole"]:
        support = best_below(levels, scores, s["last"])
        if support >= first and r["low"] > (support + 1) * g + reach * g:
            support = first - 1
        resistance = best_above(levels, scores, s["last"])
        if resistance <= last and r["high"] < resistance * g - reach * g:
            resistance = last + 1
    else:
        support = touched_below(levels, scores, s["last"], r["low"], reach)
        resistance = touched_above(levels, scores, s["last"], r["high"], reach)
    if support >= first:
        r["at_support"] = True
        r["support"] = (support + 1) * g
        r["support_score"] = scores[support - base]
        r["support_strength"] = strength(levels, scores, support)
        r["is_bounce"] = r["close"] > r["support"]
    if resistance <= last:
        r["at_resistance"] = True
        r["resistance"] = resistance * g
        r["resistance_score"] = scores[resistance - base]
        r["resistance_strength"] = strength(levels, scores, resistance)
        r["is_rejection"] = r["close"] < r["resistance"]


@kernel
def _set_up(r: Any, reader: Any, levels: Any, scores: Any) -> None:
    # What the bar asks for: an entry against it where volume capitulated at a level, or an exit where a level held.
    s = reader[0]
    g = levels[0]["granularity"]
    first, last = span(levels)
    r["exit_long"] = r["is_elevated"] and r["at_resistance"] and r["is_rejection"]
    r["exit_short"] = r["is_elevated"] and r["at_support"] and r["is_bounce"]
    if r["at_support"]:
        r["conviction"] = joint_conviction(r["support_strength"], r["volume_rank"])
    if r["at_resistance"] and not (r["at_support"] and r["close"] < s["last"]):
        r["conviction"] = joint_conviction(r["resistance_strength"], r["volume_rank"])
    if not r["is_capitulation"]:
        return
    beyond = int(np.ceil((1.0 + s["stop_frac"]) * g))
    if r["close"] < s["last"] and r["at_support"]:
        r["setup"] = 1
        r["is_held"] = r["is_bounce"]
        r["stop"] = r["support"] - beyond
        target = opposite_above(levels, scores, r["close"], r["support_score"])
        if s["searches_whole"]:
            target = best_above(levels, scores, r["close"])
        r["has_target"] = target <= last
        r["target"] = target * g
    elif r["close"] > s["last"] and r["at_resistance"]:
        r["setup"] = -1
        r["is_held"] = r["is_rejection"]
        r["stop"] = r["resistance"] + beyond
        target = opposite_below(levels, scores, r["close"], r["resistance_score"])
        if s["searches_whole"]:
            target = best_below(levels, scores, r["close"] - 1)  # its top is below the close: a target lies ahead
        r["has_target"] = target >= first
        r["target"] = (target + 1) * g


@kernel
def read_bars(bars: Any, rows: Any, start: int, reader: Any, levels: Any, scores: Any, trees: Any, totals: Any) -> int:
    """Judge and count bars from `start` on.

    Parameters
    ----------
    bars, rows : records of equal number; `rows` has the head of the bar and zeros after it.
    reader : one `READER`. levels, scores : `kernels.level.LEVELS` and its counts; a granularity of 0 means no levels yet.
    trees, totals : one tree of `kernels.capitulation` and the number of its volumes for each slot of the day.

    Returns
    -------
    The index of the first bar that does not fit `scores` (grow them and go on there), or the number of bars.
    """
    s = reader[0]
    g = levels[0]["granularity"]
    for i in range(start, len(bars)):
        bar = bars[i]
        r = rows[i]
        r["volume_rank"] = np.nan
        r["support_strength"] = np.nan
        r["resistance_strength"] = np.nan
        r["conviction"] = np.nan
        if bar["known_at"] <= s["opens_ns"] or bar["open_ns"] >= s["closes_ns"]:
            r["wake"] = False
            continue
        if g > 0 and not has_room(levels, scores, bar["high"], bar["low"]):
            return i
        r["granularity"] = g
        r["gap_s"] = max(0, bar["open_ns"] - s["ended_ns"]) // 1_000_000_000
        s["ended_ns"] = bar["known_at"]
        slot = ((bar["open_ns"] - s["midnight_ns"]) // s["slot_ns"]) % len(totals)
        if totals[slot] >= s["warm_up"]:
            rank = volume_rank(trees[slot], bar["volume"])
            r["volume_rank"] = rank
            r["is_elevated"] = rank >= s["elevated_rank"]
            r["is_capitulation"] = rank >= s["capitulation_rank"]
        if g > 0 and levels[0]["bars"] > 0:
            _find_levels(r, reader, levels, scores)
            _set_up(r, reader, levels, scores)
        r["wake"] = r["setup"] != 0 or r["exit_long"] or r["exit_short"]
        count_volume(trees[slot], bar["volume"])
        totals[slot] += 1
        if g > 0:
            count_bar(levels, scores, bar["open"], bar["high"], bar["low"], bar["close"])
        s["seen"] += 1
        s["last"] = bar["close"]
        s["day_high"] = bar["high"] if s["day_bars"] == 0 else max(s["day_high"], bar["high"])
        s["day_low"] = bar["low"] if s["day_bars"] == 0 else min(s["day_low"], bar["low"])
        s["day_bars"] += 1
    return len(bars)
