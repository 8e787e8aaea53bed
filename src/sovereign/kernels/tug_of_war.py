"""One pass over closed bars: what institutions do, what the crowd does, and when somebody must look.

Rows are of `ROW_FIELDS` after the head that every bar row has; prices are ticks, NaN is unknown and takes part in nothing.
What completed sessions say lies in `DAY`, made at a session's first bar; the bar adds what today has done so far. A row depends
on the bars up to its own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sovereign.kernels.compile import kernel
from sovereign.kernels.indicator import LINKED, RSI_STATE, step_rsi

RAW, RANK, PROBABILITY = 0, 1, 2
_NEAR = 6
"""Steps in which a rank is looked for near the last one."""
REGIME_UNKNOWN, REGIME_CHOP, REGIME_TREND, REGIME_CRISIS = 0, 1, 2, 3

ROW_FIELDS: list[tuple[str, Any]] = [
    ("momentum_z", np.float64),
    ("alpha_z", np.float64),
    ("residual_volatility", np.float64),
    ("breakout", np.float64),
    ("range_high", np.int32),
    ("range_low", np.int32),
    ("rsi", np.float64),
    ("pump", np.float64),
    ("volume_ratio", np.float64),
    ("news_tone", np.float64),
    ("post_tone", np.float64),
    ("ofi_z", np.float64),
    ("is_absorption", np.int8),
    ("conviction", np.float64),
    ("direction", np.int8),
    ("raw_confidence", np.float64),
    ("rank", np.float64),
    ("probability", np.float64),
    ("streak", np.int32),
    ("crowd", np.int8),
    ("crowd_known", np.bool_),
    ("crowd_share", np.float64),
    ("regime", np.int8),
    ("can_enter", np.bool_),
    ("is_halted", np.bool_),
    ("p_crisis", np.float64),
    ("market_volatility", np.float64),
    ("market_momentum", np.float64),
    ("cycle", np.bool_),
]
"""What a row says beside its bar.

`momentum_z` : mean of the last fractionally differenced log closes, in deviations of the series. `alpha_z` : mean of the last
returns that SPY and QQQ do not explain, in standard errors; `residual_volatility` theirs, a year. `breakout` : -1..1, distance
beyond the opening range over its width, signed, 0 inside. `pump` : change over the last minutes, fraction. `volume_ratio` :
today's volume so far over the mean at this time of day. `news_tone`, `post_tone` : -1..1. `ofi_z` : order-flow score.
`is_absorption` : 1, 0, or -1 unknown. `conviction` : -1..1, weighted mean of the institutions' signals. `direction` : its sign.
`raw_confidence` : 0.5..0.95. `rank` : share of this symbol's earlier convictions that were weaker. `probability` : of a move in
that direction, by what came of earlier convictions of all symbols. `streak` : bars in a row with that direction. `crowd` : +1
greed, -1 fear, 0 neither. `regime` : see the codes above. `is_halted` : the latch of a crisis. `cycle` : a decision is due.
"""

DAY = np.dtype(
    [
        ("opens_ns", np.int64),
        ("closes_ns", np.int64),
        ("range_ns", np.int64),
        ("cycle_ns", np.int64),
        ("pump_ns", np.int64),
        ("slot_ns", np.int64),
        ("is_daily", np.bool_),
        ("momentum_base", np.float64),
        ("momentum_sum", np.float64),
        ("momentum_mean", np.float64),
        ("momentum_deviation", np.float64),
        ("momentum_days", np.float64),
        ("last_close", np.float64),
        ("alpha", np.float64),
        ("beta_first", np.float64),
        ("beta_second", np.float64),
        ("alpha_sum", np.float64),
        ("alpha_deviation", np.float64),
        ("alpha_days", np.float64),
        ("residual_volatility", np.float64),
        ("rsi_period", np.int64),
        ("rsi_state", np.float64, (RSI_STATE,)),
        # today so far
        ("range_high", np.int64),
        ("range_low", np.int64),
        ("volume", np.int64),
        ("last_ns", np.int64),
        # carried over sessions
        ("direction", np.int64),
        ("streak", np.int64),
        ("crowd", np.int64),
        ("is_halted", np.bool_),
    ],
    align=True,
)
"""State of one symbol: the session, what earlier sessions say, and today so far."""

SETTING = np.dtype(
    [
        ("momentum_weight", np.float64),
        ("alpha_weight", np.float64),
        ("breakout_weight", np.float64),
        ("news_weight", np.float64),
        ("momentum_full", np.float64),
        ("alpha_full", np.float64),
        ("min_conviction", np.float64),
        ("min_tone", np.float64),
        ("penalty_share", np.float64),
        ("max_penalty", np.float64),
        ("min_confidence", np.float64),
        ("max_confidence", np.float64),
        ("greed_rsi", np.float64),
        ("fear_rsi", np.float64),
        ("fade_rsi", np.float64),
        ("fade_ofi", np.float64),
        ("pump_frac", np.float64),
        ("volume_spike", np.float64),
        ("rsi_points", np.float64),
        ("pump_points", np.float64),
        ("volume_points", np.float64),
        ("post_points", np.float64),
        ("flip_bars", np.int64),
        ("wake_from", np.float64),
        ("measure", np.int8),
    ],
    align=True,
)
"""The settings of `read_bars`; see `signals.tug_of_war` for their meaning. `measure`: what confidence is."""


@kernel
def _vote(value: float, full: float) -> float:
    # -1..1 of a score that counts in full from `full` on
    return max(-1.0, min(1.0, value / full))


@kernel
def _conviction(row: Any, s: Any) -> float:
    # Weighted mean of what is known; what is not known neither agrees nor dilutes.
    total = 0.0
    weight = 0.0
    if not math.isnan(row["momentum_z"]):
        total += s["momentum_weight"] * _vote(row["momentum_z"], s["momentum_full"])
        weight += s["momentum_weight"]
    if not math.isnan(row["alpha_z"]):
        total += s["alpha_weight"] * _vote(row["alpha_z"], s["alpha_full"])
        weight += s["alpha_weight"]
    if not math.isnan(row["breakout"]):
        total += s["breakout_weight"] * row["breakout"]
        weight += s["breakout_weight"]
    if not math.isnan(row["news_tone"]):
        total += s["news_weight"] * row["news_tone"]
        weight += s["news_weight"]
    return total / weight if weight > 0.0 else math.nan


@kernel
def _points(value: float, greed_from: float, fear_to: float, points: float) -> float:
    # Points of greed (positive) or fear of one sign; nothing of what is unknown
    return points if value >= greed_from else -points if value <= fear_to else 0.0


@kernel
def _crowd(row: Any, s: Any) -> None:
    is_fade = row["rsi"] >= s["fade_rsi"] and row["ofi_z"] < s["fade_ofi"]
    rsi = 0.0 if is_fade else _points(row["rsi"], s["greed_rsi"], s["fear_rsi"], s["rsi_points"])
    pump = _points(row["pump"], s["pump_frac"], -math.inf, s["pump_points"])
    volume = _points(row["volume_ratio"], s["volume_spike"], -math.inf, s["volume_points"])
    posts = _points(row["post_tone"], s["min_tone"], -s["min_tone"], s["post_points"])
    balance = rsi + pump + volume + posts
    both = abs(rsi) + abs(pump) + abs(volume) + abs(posts)
    row["crowd"] = 1 if balance > 0.0 else -1 if balance < 0.0 else 0
    row["crowd_known"] = not (
        math.isnan(row["rsi"]) and math.isnan(row["pump"]) and math.isnan(row["volume_ratio"]) and math.isnan(row["post_tone"])
    )
    row["crowd_share"] = (both + abs(balance)) / (2.0 * both) if both > 0.0 else 0.0


@kernel
def _known_by(rows: Any, n: int, before: Any, ts: int, known: int) -> int:
    # How many of the session's bars, first those `before` and then `rows` up to `n`, are known at `ts`; `known` of them are.
    count = len(before)
    while known < count and before[known]["known_at"] <= ts:
        known += 1
    while count <= known < count + n and rows[known - count]["known_at"] <= ts:
        known += 1
    return known


@kernel
def _earlier_close(rows: Any, before: Any, known: int, opens_ns: int) -> float:
    # Close of the last of the bars that are known, if it is of this session.
    if known == 0:
        return math.nan
    if known <= len(before):
        bar = before[known - 1]
        return float(bar["close"]) if bar["known_at"] > opens_ns else math.nan
    bar = rows[known - 1 - len(before)]
    return float(bar["close"]) if bar["known_at"] > opens_ns else math.nan


@kernel
def _place_in(ranked: Any, value: float, near: int) -> int:
    # `np.searchsorted(ranked, value)`, looked for near where the last one was.
    count = len(ranked)
    place = near
    for _ in range(_NEAR):
        if place < count and ranked[place] < value:
            place += 1
        elif place > 0 and not ranked[place - 1] < value:
            place -= 1
        else:
            return place
    return int(np.searchsorted(ranked, value))


@kernel
def _opening_range(row: Any, d: Any) -> None:
    # By the clock: bars that end within the first minutes make the range, later ones are seen against it.
    if row["known_at"] <= d["opens_ns"] + d["range_ns"]:
        d["range_high"] = max(d["range_high"], row["high"])
        d["range_low"] = min(d["range_low"], row["low"])
        return
    if d["range_high"] <= d["range_low"]:
        return
    width = float(d["range_high"] - d["range_low"])
    above = max(0.0, float(row["close"] - d["range_high"]))
    below = max(0.0, float(d["range_low"] - row["close"]))
    row["breakout"] = min(1.0, above / width) - min(1.0, below / width)
    row["range_high"] = d["range_high"]
    row["range_low"] = d["range_low"]


@kernel
def _today(rows: Any, n: int, before: Any, d: Any, usual: Any, volumes: Any, known: int, slot: int) -> int:
    # What the session itself shows: breakout, volume so far, the last minutes. Returns how many bars lie that far back.
    row = rows[n]
    ts = row["known_at"]
    d["volume"] += row["volume"]
    volumes[slot] = d["volume"]
    if usual[slot] > 0.0:
        row["volume_ratio"] = d["volume"] / usual[slot]
    if not d["is_daily"]:
        _opening_range(row, d)
        known = _known_by(rows, n, before, ts - d["pump_ns"], known)
        row["pump"] = row["close"] / _earlier_close(rows, before, known, d["opens_ns"]) - 1.0
    return known


@kernel
def _with_history(row: Any, d: Any, first: float, second: float, alpha_error: float) -> None:
    # Series of completed sessions with today as their latest value.
    close = float(row["close"])
    if d["momentum_deviation"] > 0.0:
        mean = (d["momentum_sum"] + math.log(close) + d["momentum_base"]) / d["momentum_days"]
        row["momentum_z"] = (mean - d["momentum_mean"]) / d["momentum_deviation"]
    if d["alpha_deviation"] > 0.0:
        residual = math.log(close / d["last_close"]) - d["alpha"] - d["beta_first"] * first - d["beta_second"] * second
        if not math.isnan(residual):
            row["alpha_z"] = (d["alpha_sum"] + residual) / d["alpha_days"] / alpha_error


@kernel
def _wilder(row: Any, known: Any, state: Any, period: int) -> None:
    # The index of the days before with today's close as the latest; their own state stays as it is.
    if known[0] == LINKED:
        for i in range(RSI_STATE):
            state[i] = known[i]
        row["rsi"] = step_rsi(state, float(row["close"]), period)


@kernel
def _judge(row: Any, d: Any, s: Any, ranked: Any, levels: Any, near: int) -> int:
    # The conviction, and how much it is worth by itself, by rank, and by what came of earlier ones.
    conviction = _conviction(row, s)
    row["conviction"] = conviction
    direction = 0
    if abs(conviction) >= s["min_conviction"]:
        direction = 1 if conviction > 0.0 else -1
    row["direction"] = direction
    d["streak"] = d["streak"] + 1 if direction == d["direction"] else 1
    d["direction"] = direction
    row["streak"] = d["streak"]
    if math.isnan(conviction):
        return near
    penalty = 0.0
    if not math.isnan(d["residual_volatility"]):
        penalty = min(s["penalty_share"] * d["residual_volatility"], s["max_penalty"])
    row["raw_confidence"] = min(s["max_confidence"], max(s["min_confidence"], 0.5 + 0.5 * abs(conviction) - penalty))
    if len(ranked) > 0:
        near = _place_in(ranked, abs(conviction), near)
        row["rank"] = near / len(ranked)
    if len(levels) > 0:
        row["probability"] = levels[min(len(levels) - 1, int(abs(conviction) * len(levels)))]
    return near


@kernel
def _must_look(row: Any, d: Any, s: Any) -> bool:
    # A candidate, or something that may end a position.
    confidence = row["rank"]
    if s["measure"] == RAW:
        confidence = row["raw_confidence"]
    elif s["measure"] == PROBABILITY:
        confidence = row["probability"]
    if row["direction"] != 0 and (row["streak"] == s["flip_bars"] or (row["cycle"] and confidence >= s["wake_from"])):
        return True
    if row["crowd"] != 0 and (row["cycle"] or row["crowd"] != d["crowd"]):
        return True
    return bool(row["is_halted"] and (row["cycle"] or not d["is_halted"]))


@kernel
def place_market(rows: Any, regime: Any, is_halted: Any, can_enter: Any, p_crisis: Any, volatility: Any, momentum: Any) -> None:
    """Write the market as it was known at each row, (n,); nothing is known of news and tape."""
    for n in range(len(rows)):
        row = rows[n]
        row["regime"] = regime[n]
        row["is_halted"] = is_halted[n]
        row["can_enter"] = can_enter[n]
        row["p_crisis"] = p_crisis[n]
        row["market_volatility"] = volatility[n]
        row["market_momentum"] = momentum[n]
        row["news_tone"] = row["post_tone"] = row["ofi_z"] = math.nan
        row["is_absorption"] = -1


@kernel
def read_bars(
    rows: Any, before: Any, day: Any, setting: Any, first: Any, second: Any, usual: Any, ranked: Any, levels: Any, volumes: Any
) -> None:
    """Fill the rows of the next bars, whose regime, news and tape fields are there already.

    Parameters
    ----------
    rows : of the bars. before : rows of the session that came earlier. day, setting : one `DAY`, one `SETTING`.
    first, second : log return since the last close of the two benchmarks at each bar, (n,), NaN unknown.
    usual : mean volume up to each slot of the day; NaN unknown. ranked : earlier absolute convictions, sorted.
    levels : probability by band of absolute conviction, none when empty. volumes : so far by slot, filled.
    """
    d = day[0]
    s = setting[0]
    rsi_state = np.empty(RSI_STATE)
    known = 0
    near = len(ranked) // 2
    slot = 0
    next_cycle_ns = (d["last_ns"] // d["cycle_ns"] + 1) * d["cycle_ns"]
    alpha_error = d["alpha_deviation"] / math.sqrt(d["alpha_days"])
    rsi_known = d["rsi_state"]
    for n in range(len(rows)):
        row = rows[n]
        ts = row["known_at"]
        row["momentum_z"] = row["alpha_z"] = row["breakout"] = row["rsi"] = row["pump"] = row["volume_ratio"] = math.nan
        row["raw_confidence"] = row["rank"] = row["probability"] = math.nan
        row["residual_volatility"] = d["residual_volatility"]
        is_inside = d["opens_ns"] < ts <= d["closes_ns"]
        if is_inside:
            while slot < len(usual) - 1 and ts - d["opens_ns"] - 1 >= (slot + 1) * d["slot_ns"]:
                slot += 1
            known = _today(rows, n, before, d, usual, volumes, known, slot)
        _with_history(row, d, first[n], second[n], alpha_error)
        _wilder(row, rsi_known, rsi_state, d["rsi_period"])
        near = _judge(row, d, s, ranked, levels, near)
        _crowd(row, s)
        row["cycle"] = is_inside and (d["is_daily"] or ts >= next_cycle_ns)
        if ts >= next_cycle_ns:
            next_cycle_ns = (ts // d["cycle_ns"] + 1) * d["cycle_ns"]
        row["wake"] = _must_look(row, d, s)
        d["crowd"] = row["crowd"]
        d["is_halted"] = row["is_halted"]
        d["last_ns"] = max(d["last_ns"], ts)
