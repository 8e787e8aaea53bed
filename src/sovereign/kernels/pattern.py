"""Order-flow patterns of one closed bar: each finder looks at the levels of the bar and returns its strongest instance.

Levels are plain int64 arrays `bid`, `ask`, `volume` (sellers, buyers, total), lowest price first, one entry a tick, `levels`
of them in use. A finder that looks at one side of the market takes `up`: True reads buyers and the high of the bar, False
sellers and its low, as the mirror image. It returns `(level, strength, value)`; level -1 means nothing was found and the other
two are then NaN. `strength` is in 0..1, `value` the raw measure. Nothing here looks beyond the bar's close.

Sources: definitions of the order-flow requirement, section 5.2; diagonal comparison and zero handling as in emojitrading.com's
imbalance settings; unfinished auction as in footprintchart.com and deepcharts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sovereign.kernels.compile import kernel
from sovereign.kernels.order_flow_setting import MAX_HISTORY
from sovereign.kernels.row import Pattern

MAX_CANDIDATES = len(Pattern)
"""Most candidates that one bar can leave: one of each pattern."""

_BUY_IMBALANCE = int(Pattern.BUY_IMBALANCE)
_SELL_IMBALANCE = int(Pattern.SELL_IMBALANCE)
_STACKED_BUY_IMBALANCE = int(Pattern.STACKED_BUY_IMBALANCE)
_STACKED_SELL_IMBALANCE = int(Pattern.STACKED_SELL_IMBALANCE)
_BUYING_EXHAUSTION = int(Pattern.BUYING_EXHAUSTION)
_SELLING_EXHAUSTION = int(Pattern.SELLING_EXHAUSTION)
_BUYING_ABSORPTION = int(Pattern.BUYING_ABSORPTION)
_SELLING_ABSORPTION = int(Pattern.SELLING_ABSORPTION)
_DELTA_DIVERGENCE = int(Pattern.DELTA_DIVERGENCE)
_UNFINISHED_AUCTION = int(Pattern.UNFINISHED_AUCTION)

PATTERN_CONFIG = np.dtype(
    [
        ("imbalance_ratio", np.float64),
        ("imbalance_min_volume", np.int64),
        ("imbalance_full_ratio", np.float64),
        ("zero_opposite_as_one", np.bool_),
        ("stacked_levels", np.int64),
        ("stacked_full_levels", np.int64),
        ("exhaustion_levels", np.int64),
        ("exhaustion_extreme_frac", np.float64),
        ("exhaustion_min_volume", np.int64),
        ("absorption_levels", np.int64),
        ("absorption_min_volume", np.int64),
        ("absorption_aggressor_frac", np.float64),
        ("absorption_delta_frac", np.float64),
        ("absorption_close_frac", np.float64),
        ("absorption_progress_ticks", np.int64),
        ("absorption_rank_frac", np.float64),
        ("absorption_history_bars", np.int64),
        ("absorption_warmup_bars", np.int64),
        ("divergence_swing_bars", np.int64),
        ("divergence_max_bars", np.int64),
        ("divergence_strength", np.float64),
    ],
    align=True,
)
"""Thresholds as the kernels read them; see `kernels.order_flow_setting.PatternConfig` for units and sources."""

PATTERN_STATE = np.dtype(
    [
        ("zone_bars", np.int64),
        ("zone_next", np.int64),
        ("zones", np.int64, (MAX_HISTORY, 2)),
        ("swing_high_row", np.int64),
        ("swing_high", np.int64),
        ("swing_high_delta", np.int64),
        ("swing_low_row", np.int64),
        ("swing_low", np.int64),
        ("swing_low_delta", np.int64),
    ],
    align=True,
)
"""What patterns remember: zone volumes of the last bars (kept over sessions) and the session's last swings (row -1: none)."""


@kernel
def imbalance_ratio(bid: Any, ask: Any, levels: int, k: int, up: bool, config: Any) -> float:
    """Return the ratio of the aggressors at level `k` to the diagonal opposite if that makes an imbalance, else NaN.

    A buy imbalance at p is `ask(p) / bid(p - 1 tick) >= imbalance_ratio` with `ask(p) >= imbalance_min_volume`; a sell
    imbalance is `bid(p) / ask(p + 1 tick)` likewise. A neighbor that did not trade counts as 0, and 0 as 1 (or, with
    `zero_opposite_as_one` off, never makes an imbalance).
    """
    if up:
        active = ask[k]
        opposite = bid[k - 1] if k > 0 else 0
    else:
        active = bid[k]
        opposite = ask[k + 1] if k < levels - 1 else 0
    if opposite == 0:
        opposite = 1 if config[0]["zero_opposite_as_one"] else 0
    if active <= 0 or opposite == 0 or active < config[0]["imbalance_min_volume"]:
        return np.nan
    ratio: float = active / opposite
    return ratio if ratio >= config[0]["imbalance_ratio"] else np.nan


@kernel
def find_imbalance(bid: Any, ask: Any, levels: int, up: bool, config: Any) -> tuple[int, float, float]:
    """Return the imbalance of the largest ratio; equal ones: the larger volume, then the level further along the direction.

    Strength is the ratio over `imbalance_full_ratio`, at most 1; value is the ratio.
    """
    best = -1
    best_ratio = np.nan
    best_volume = 0
    for n in range(levels):
        k = n if up else levels - 1 - n
        ratio = imbalance_ratio(bid, ask, levels, k, up, config)
        active = ask[k] if up else bid[k]
        if np.isnan(ratio) or ratio < best_ratio or (ratio == best_ratio and active < best_volume):
            continue
        best = k
        best_ratio = ratio
        best_volume = active
    if best < 0:
        return -1, np.nan, np.nan
    return best, min(1.0, best_ratio / config[0]["imbalance_full_ratio"]), best_ratio


@kernel
def find_stack(bid: Any, ask: Any, levels: int, up: bool, config: Any) -> tuple[int, float, float]:
    """Return the longest run of at least `stacked_levels` imbalances on consecutive ticks; equal ones: further along.

    The level is the top of a buy stack and the bottom of a sell stack. Strength is the length over `stacked_full_levels`, at
    most 1; value is the length in levels.
    """
    best = -1
    length = 0
    run = 0
    for n in range(levels):
        k = n if up else levels - 1 - n
        run = 0 if np.isnan(imbalance_ratio(bid, ask, levels, k, up, config)) else run + 1
        if run >= config[0]["stacked_levels"] and run >= length:
            best = k
            length = run
    if best < 0:
        return -1, np.nan, np.nan
    return best, min(1.0, length / config[0]["stacked_full_levels"]), float(length)


@kernel
def find_exhaustion(bid: Any, ask: Any, levels: int, up: bool, config: Any) -> tuple[int, float, float]:
    """Return the exhaustion at the extreme of the bar: aggressors who fade as price reaches it.

    The zone is the longest run of levels that ends at the extreme with strictly declining volume of the aggressors who push
    there (buyers at the high). It needs `exhaustion_levels` levels, `exhaustion_min_volume` of their volume in all, and at the
    extreme at most `exhaustion_extreme_frac` of the zone's largest level. Strength and value are the decline, 0..1.
    """
    extreme = levels - 1 if up else 0
    inward = -1 if up else 1
    last = ask[extreme] if up else bid[extreme]
    first = last
    zone = last
    length = 1
    k = extreme + inward
    while 0 <= k < levels:
        here = ask[k] if up else bid[k]
        if here <= first:
            break
        first = here
        zone += here
        length += 1
        k += inward
    if (
        length < config[0]["exhaustion_levels"]
        or zone < config[0]["exhaustion_min_volume"]
        or not last <= config[0]["exhaustion_extreme_frac"] * first
    ):
        return -1, np.nan, np.nan
    decline = 1.0 - last / first
    return extreme, decline, decline


@kernel
def absorption_zone(volume: Any, levels: int, up: bool, config: Any) -> tuple[int, int]:
    """Return the zone at an extreme as `(lowest level, volume)`: where the effort was; level -1 when the bar is too short.

    Of the windows of `absorption_levels` levels beyond which price made at most `absorption_progress_ticks` of progress, the
    one with the largest volume; a tie goes to the one nearest the extreme.
    """
    width = config[0]["absorption_levels"]
    if levels < width:
        return -1, 0
    best = -1
    best_volume = -1
    for progress in range(config[0]["absorption_progress_ticks"] + 1):
        low = levels - width - progress if up else progress
        if low < 0 or low + width > levels:
            break
        total = 0
        for k in range(low, low + width):
            total += volume[k]
        if total > best_volume:
            best = low
            best_volume = total
    return best, best_volume


@kernel
def is_ranked(state: Any, config: Any, zone_volume: int) -> bool:
    """Say whether a zone is at or above the nearest-rank quantile `absorption_rank_frac` of the zones remembered.

    Both zones of each of the last `absorption_history_bars` bars count. False while fewer than `absorption_warmup_bars` bars
    are known.
    """
    bars = state[0]["zone_bars"]
    if bars < config[0]["absorption_warmup_bars"]:
        return False
    zones = state[0]["zones"]
    not_above = 0
    for k in range(bars):
        for end in range(2):
            if zones[k, end] <= zone_volume:
                not_above += 1
    needed: float = config[0]["absorption_rank_frac"] * (2 * bars)
    return not_above >= needed


@kernel
def remember_zones(state: Any, config: Any, high_zone: int, low_zone: int) -> None:
    """Keep the zone volumes of a bar; the oldest beyond `absorption_history_bars` is forgotten."""
    kept = config[0]["absorption_history_bars"]
    at = state[0]["zone_next"]
    zones = state[0]["zones"]
    zones[at, 0] = high_zone
    zones[at, 1] = low_zone
    state[0]["zone_next"] = (at + 1) % kept
    state[0]["zone_bars"] = min(state[0]["zone_bars"] + 1, kept)


@kernel
def find_absorption(
    bid: Any, ask: Any, levels: int, close: int, up: bool, zone: int, zone_volume: int, config: Any
) -> tuple[int, float, float]:
    """Return the absorption in the zone at an extreme: much aggression there, no progress, and the close turned away.

    `close` is the level of the last trade. At the high buyers need `absorption_aggressor_frac` of the zone's volume, delta
    over volume `absorption_delta_frac`, the zone `absorption_min_volume`, and the close must lie in the far
    `absorption_close_frac` of the bar's range. Strength is `min(1, turned * (aggressor volume / absorption_min_volume) / 2)`,
    turned being 0 for a close at the extreme and 1 at the other end; value is the zone's delta over its volume, signed.
    """
    if zone < 0 or levels < 2 or zone_volume <= 0 or zone_volume < config[0]["absorption_min_volume"]:
        return -1, np.nan, np.nan
    bought = 0
    sold = 0
    for k in range(zone, zone + config[0]["absorption_levels"]):
        bought += ask[k]
        sold += bid[k]
    active = bought if up else sold
    effort = (bought - sold) / zone_volume if up else (sold - bought) / zone_volume
    turned = (levels - 1 - close if up else close) / (levels - 1)
    if (
        active < config[0]["absorption_aggressor_frac"] * zone_volume
        or effort < config[0]["absorption_delta_frac"]
        or turned < 1.0 - config[0]["absorption_close_frac"]
    ):
        return -1, np.nan, np.nan
    strength = min(1.0, turned * (active / max(config[0]["absorption_min_volume"], 1)) / 2.0)
    return (levels - 1 if up else 0), strength, (effort if up else -effort)


@kernel
def _is_swing(rows: Any, at: int, reach: int, up: bool) -> bool:
    # Strictly beyond the bars before, not exceeded by the bars after: of equal neighbors the first one is the swing.
    here = rows[at]["high"] if up else rows[at]["low"]
    for k in range(1, reach + 1):
        before = rows[at - k]["high"] if up else rows[at - k]["low"]
        after = rows[at + k]["high"] if up else rows[at + k]["low"]
        if up and (before >= here or after > here):
            return False
        if not up and (before <= here or after < here):
            return False
    return True


@kernel
def find_divergence(state: Any, config: Any, rows: Any, i: int) -> tuple[int, int, float, float]:
    """Return `(side, price, strength, value)` of a divergence that the close of row `i` has confirmed; side 0: none, price 0.

    A swing needs `divergence_swing_bars` bars on either side and is therefore known that many bars later. A higher swing high
    with lower cumulative delta than at the swing high before is bearish (-1), a lower swing low with higher cumulative delta
    bullish (+1). Cumulative delta is the session's at the close of the swing's bar, swings are of this session and at most
    `divergence_max_bars` apart. If one bar confirms both, the larger difference counts; equal ones cancel. Value is the
    difference of cumulative delta, signed as the side.
    """
    reach = config[0]["divergence_swing_bars"]
    at = i - reach
    bearish = 0
    bullish = 0
    if at < reach:
        return 0, 0, np.nan, np.nan
    flow = rows[at]["cumulative_delta"]
    if _is_swing(rows, at, reach, True):
        previous = state[0]["swing_high_row"]
        if previous >= 0 and at - previous <= config[0]["divergence_max_bars"] and rows[at]["high"] > state[0]["swing_high"]:
            bearish = max(0, state[0]["swing_high_delta"] - flow)
        state[0]["swing_high_row"] = at
        state[0]["swing_high"] = rows[at]["high"]
        state[0]["swing_high_delta"] = flow
    if _is_swing(rows, at, reach, False):
        previous = state[0]["swing_low_row"]
        if previous >= 0 and at - previous <= config[0]["divergence_max_bars"] and rows[at]["low"] < state[0]["swing_low"]:
            bullish = max(0, flow - state[0]["swing_low_delta"])
        state[0]["swing_low_row"] = at
        state[0]["swing_low"] = rows[at]["low"]
        state[0]["swing_low_delta"] = flow
    if bearish > bullish:
        return -1, int(rows[at]["high"]), config[0]["divergence_strength"], -float(bearish)
    if bullish > bearish:
        return 1, int(rows[at]["low"]), config[0]["divergence_strength"], float(bullish)
    return 0, 0, np.nan, np.nan


@kernel
def find_unfinished(bid: Any, ask: Any, level: int) -> tuple[float, float]:
    """Return `(strength, value)` of an unfinished auction at the extreme `level`, NaN when it is finished.

    Unfinished means that both sides traded there; strength is twice the smaller side over both, value the smaller side.
    """
    smaller = min(bid[level], ask[level])
    if smaller <= 0:
        return np.nan, np.nan
    return 2.0 * smaller / (bid[level] + ask[level]), float(smaller)


@kernel
def _write(
    candidates: Any, at: int, rows: Any, i: int, pattern: int, side: int, price: int, strength: float, value: float
) -> int:
    candidates[at]["row"] = i
    candidates[at]["known_at"] = rows[i]["known_at"]
    candidates[at]["pattern"] = pattern
    candidates[at]["side"] = side
    candidates[at]["price"] = price
    candidates[at]["strength"] = strength
    candidates[at]["value"] = value
    candidates[at]["confidence"] = np.nan
    candidates[at]["size_multiplier"] = np.nan
    return at + 1


@kernel
def start_pattern_session(state: Any) -> None:
    """Forget the swings of the session before; the zones are kept, so that the ranking is warm at the open."""
    state[0]["swing_high_row"] = -1
    state[0]["swing_low_row"] = -1


@kernel
def _write_imbalances(bid: Any, ask: Any, levels: int, rows: Any, i: int, config: Any, candidates: Any, at: int) -> int:
    low = int(rows[i]["low"])
    for up in (True, False):
        level, strength, value = find_imbalance(bid, ask, levels, up, config)
        if level >= 0:
            pattern = _BUY_IMBALANCE if up else _SELL_IMBALANCE
            at = _write(candidates, at, rows, i, pattern, 1 if up else -1, low + level, strength, value)
    for up in (True, False):
        level, strength, value = find_stack(bid, ask, levels, up, config)
        if level >= 0:
            pattern = _STACKED_BUY_IMBALANCE if up else _STACKED_SELL_IMBALANCE
            at = _write(candidates, at, rows, i, pattern, 1 if up else -1, low + level, strength, value)
    return at


@kernel
def _write_absorptions(
    bid: Any, ask: Any, volume: Any, levels: int, rows: Any, i: int, state: Any, config: Any, candidates: Any, at: int
) -> int:
    low = int(rows[i]["low"])
    close = int(rows[i]["close"]) - low
    low_volume = 0
    high_volume = 0
    for up in (False, True):
        zone, zone_volume = absorption_zone(volume, levels, up, config)
        if up:
            high_volume = zone_volume
        else:
            low_volume = zone_volume
        level, strength, value = find_absorption(bid, ask, levels, close, up, zone, zone_volume, config)
        if level >= 0 and is_ranked(state, config, zone_volume):
            pattern = _SELLING_ABSORPTION if up else _BUYING_ABSORPTION
            at = _write(candidates, at, rows, i, pattern, -1 if up else 1, low + level, strength, value)
    if levels >= config[0]["absorption_levels"]:
        remember_zones(state, config, high_volume, low_volume)
    return at


@kernel
def detect_patterns(
    bid: Any, ask: Any, volume: Any, levels: int, rows: Any, i: int, state: Any, config: Any, candidates: Any, first: int
) -> int:
    """Write the candidates of row `i` from `candidates[first]` on, in the order of `Pattern`, and return how many they are.

    Sets `unfinished_high` and `unfinished_low` of the row. `candidates` must have room for `MAX_CANDIDATES`.
    """
    low = int(rows[i]["low"])
    at = _write_imbalances(bid, ask, levels, rows, i, config, candidates, first)
    for up in (True, False):
        level, strength, value = find_exhaustion(bid, ask, levels, up, config)
        if level >= 0:
            pattern = _BUYING_EXHAUSTION if up else _SELLING_EXHAUSTION
            at = _write(candidates, at, rows, i, pattern, -1 if up else 1, low + level, strength, value)
    at = _write_absorptions(bid, ask, volume, levels, rows, i, state, config, candidates, at)
    side, price, strength, value = find_divergence(state, config, rows, i)
    if side != 0:
        at = _write(candidates, at, rows, i, _DELTA_DIVERGENCE, side, price, strength, value)
    return _mark_unfinished(bid, ask, levels, rows, i, candidates, at) - first


@kernel
def _mark_unfinished(bid: Any, ask: Any, levels: int, rows: Any, i: int, candidates: Any, at: int) -> int:
    top = levels - 1
    low_strength, low_value = find_unfinished(bid, ask, 0)
    high_strength, high_value = find_unfinished(bid, ask, top)
    rows[i]["unfinished_low"] = low_strength > 0.0
    rows[i]["unfinished_high"] = high_strength > 0.0
    if not (low_strength > 0.0 or high_strength > 0.0):
        return at
    # Of two open ends the more evenly traded one is reported; equal ones: the end nearer the close, then the high.
    use_high = high_strength > 0.0 and not low_strength > high_strength
    if low_strength == high_strength:
        use_high = 2 * (int(rows[i]["close"]) - int(rows[i]["low"])) >= top
    level = top if use_high else 0
    strength = high_strength if use_high else low_strength
    value = high_value if use_high else low_value
    price = int(rows[i]["low"]) + level
    return _write(candidates, at, rows, i, _UNFINISHED_AUCTION, 0, price, strength, value)


@kernel
def open_auctions(rows: Any, count: int, prices: Any, since: Any, is_high: Any) -> int:
    """Fill the unfinished auctions of `rows[:count]` that no later bar has revisited, oldest first; return how many.

    `prices`, `since` (row) and `is_high` are arrays of one length; when they are full the oldest is forgotten. An auction is
    completed by the first later bar whose range holds its price. Only rows before `count` are read.
    """
    room = len(prices)
    held = 0
    for i in range(count):
        kept = 0
        for k in range(held):
            if not rows[i]["low"] <= prices[k] <= rows[i]["high"]:
                prices[kept] = prices[k]
                since[kept] = since[k]
                is_high[kept] = is_high[k]
                kept += 1
        held = kept
        for end in range(2):
            marked = rows[i]["unfinished_high"] if end else rows[i]["unfinished_low"]
            if not marked or room == 0:
                continue
            if held == room:
                for k in range(1, room):
                    prices[k - 1] = prices[k]
                    since[k - 1] = since[k]
                    is_high[k - 1] = is_high[k]
                held -= 1
            prices[held] = rows[i]["high"] if end else rows[i]["low"]
            since[held] = i
            is_high[held] = end == 1
            held += 1
    return held
