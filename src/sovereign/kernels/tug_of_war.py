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
from sovereign.kernels.indicator import LINKED, RSI_STATE

RAW, RANK, PROBABILITY = 0, 1, 2
SHELVES = 512
"""Ranks are looked for on the shelf that a conviction's strength lies on; see `kernels.tug_day.move_shelves`."""
REGIME_UNKNOWN, REGIME_CHOP, REGIME_TREND, REGIME_CRISIS = 0, 1, 2, 3

ROW_FIELDS: list[tuple[str, Any]] = [
    ("momentum_z", np.float64),
    ("alpha_z", np.float64),
    ("residual_volatility", np.float64),
    ("breakout", np.float64),
    ("rsi", np.float64),
    ("pump", np.float64),
    ("volume_ratio", np.float64),
    ("news_tone", np.float64),
    ("post_tone", np.float64),
    ("ofi_z", np.float64),
    ("conviction", np.float64),
    ("raw_confidence", np.float64),
    ("rank", np.float64),
    ("probability", np.float64),
    ("crowd_share", np.float64),
    ("p_crisis", np.float64),
    ("market_volatility", np.float64),
    ("market_momentum", np.float64),
    ("range_high", np.int32),
    ("range_low", np.int32),
    ("streak", np.int32),
    ("is_absorption", np.int8),
    ("direction", np.int8),
    ("crowd", np.int8),
    ("crowd_known", np.bool_),
    ("regime", np.int8),
    ("can_enter", np.bool_),
    ("is_halted", np.bool_),
    ("cycle", np.bool_),
]
"""What a row says beside its bar, the widest fields first.

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
        ("begins_ns", np.int64),
        ("opens_ns", np.int64),
        ("closes_ns", np.int64),
        ("earlier_begins_ns", np.int64),
        ("earlier_closes_ns", np.int64),
        ("stale_ns", np.int64),
        ("slot_ns", np.int64),
        ("slots", np.int64),
        # of completed sessions
        ("momentum_base", np.float64),
        ("momentum_sum", np.float64),
        ("momentum_mean", np.float64),
        ("momentum_deviation", np.float64),
        ("last_close", np.float64),
        ("alpha", np.float64),
        ("beta_first", np.float64),
        ("beta_second", np.float64),
        ("alpha_sum", np.float64),
        ("alpha_deviation", np.float64),
        ("residual_volatility", np.float64),
        ("rsi_state", np.float64, (RSI_STATE,)),
        # today so far
        ("range_high", np.int64),
        ("range_low", np.int64),
        ("volume", np.int64),
        ("last_ns", np.int64),
        ("slot", np.int64),
        ("lagging", np.int64),
        ("seen_close", np.float64),
        ("told", np.int64),
        ("woken", np.int64),
        # carried over sessions
        ("direction", np.int64),
        ("streak", np.int64),
        ("crowd", np.int64),
        ("is_halted", np.bool_),
        ("ranked", np.int64),
        ("next_ranked", np.int64),
        ("volume_days", np.int64),
        ("total_slots", np.int64),
        ("residuals", np.int64),
        ("logs", np.int64),
        ("order", np.float64),
        ("since_fit", np.int64),
    ],
    align=True,
)
"""State of one symbol: the session, what earlier sessions say, today so far, and how full what is remembered is.

`begins_ns` is the session's begin, `opens_ns` and `closes_ns` are its regular hours, `earlier_*` is of the session before.
`stale_ns` : age in trading time from which a reading of the market says nothing. `lagging` : bars known when the pump began.
`logs` : completed sessions with a close. `order` : of the differencing, NaN unknown; `since_fit` its age.
"""

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
        ("is_daily", np.bool_),
        ("has_regime", np.bool_),
        ("range_ns", np.int64),
        ("cycle_ns", np.int64),
        ("pump_ns", np.int64),
        ("rsi_days", np.int64),
        ("has_momentum", np.bool_),
        ("momentum_width", np.int64),
        ("momentum_days", np.int64),
        ("momentum_least", np.int64),
        ("fit_days", np.int64),
        ("refit_sessions", np.int64),
        ("order_step", np.float64),
        ("max_p", np.float64),
        ("test_lags", np.int64),
        ("has_alpha", np.bool_),
        ("window_days", np.int64),
        ("alpha_days", np.int64),
        ("alpha_least", np.int64),
        ("volatility_days", np.int64),
        ("year", np.float64),
        ("min_volume_days", np.int64),
        ("min_ranked", np.int64),
    ],
    align=True,
)
"""The settings of a symbol; see `signals.tug_of_war` for their meaning. `measure`: what confidence is."""

EVIDENCE = np.dtype(
    [("news_tone", np.float64), ("post_tone", np.float64), ("ofi_z", np.float64), ("is_absorption", np.int8)], align=True
)
"""What scouts knew at a bar; fields as in `ROW_FIELDS`."""

_NEVER = 2**63 - 1


@kernel
def _vote(value: float, full: float) -> float:
    # -1..1 of a score that counts in full from `full` on
    vote = value / full
    vote = vote if vote < 1.0 else 1.0
    return vote if vote > -1.0 else -1.0


@kernel
def _conviction(s: Any, momentum_z: float, alpha_z: float, breakout: float, news_tone: float) -> float:
    # Weighted mean of what is known; what is not known neither agrees nor dilutes.
    total = 0.0
    weight = 0.0
    if not math.isnan(momentum_z):
        total += s["momentum_weight"] * _vote(momentum_z, s["momentum_full"])
        weight += s["momentum_weight"]
    if not math.isnan(alpha_z):
        total += s["alpha_weight"] * _vote(alpha_z, s["alpha_full"])
        weight += s["alpha_weight"]
    if not math.isnan(breakout):
        total += s["breakout_weight"] * breakout
        weight += s["breakout_weight"]
    if not math.isnan(news_tone):
        total += s["news_weight"] * news_tone
        weight += s["news_weight"]
    return total / weight if weight > 0.0 else math.nan


@kernel
def _points(value: float, greed_from: float, fear_to: float, points: float) -> float:
    # Points of greed (positive) or fear of one sign; nothing of what is unknown
    return points if value >= greed_from else -points if value <= fear_to else 0.0


@kernel
def _crowd(s: Any, rsi: float, pump: float, volume_ratio: float, post_tone: float, ofi_z: float) -> tuple[int, float]:
    # What the crowd is thought to do, and the share of its points on that side.
    is_fade = rsi >= s["fade_rsi"] and ofi_z < s["fade_ofi"]
    days = 0.0 if is_fade else _points(rsi, s["greed_rsi"], s["fear_rsi"], s["rsi_points"])
    minutes = _points(pump, s["pump_frac"], -math.inf, s["pump_points"])
    volume = _points(volume_ratio, s["volume_spike"], -math.inf, s["volume_points"])
    posts = _points(post_tone, s["min_tone"], -s["min_tone"], s["post_points"])
    balance = days + minutes + volume + posts
    both = abs(days) + abs(minutes) + abs(volume) + abs(posts)
    share = (both + abs(balance)) / (2.0 * both) if both > 0.0 else 0.0
    return 1 if balance > 0.0 else -1 if balance < 0.0 else 0, share


@kernel
def _momentum_of_today(d: Any, days: float, closes: Any, out: Any) -> None:
    # The mean of the latest values of the differenced series with each close as today's, in deviations of the series
    out[:] = math.nan
    spread, total, base, mean = d["momentum_deviation"], d["momentum_sum"], d["momentum_base"], d["momentum_mean"]
    if not spread > 0.0:
        return
    for i in range(len(closes)):
        out[i] = math.log(closes[i])
    for i in range(len(closes)):
        out[i] = ((total + out[i] + base) / days - mean) / spread


@kernel
def _alpha_of_today(
    d: Any, days: float, bars: Any, closes: Any, first_known: Any, first: Any, second_known: Any, second: Any, out: Any
) -> None:
    # The mean of the latest residuals with that of each close as today's, in standard errors
    out[:] = math.nan
    if not d["alpha_deviation"] > 0.0 or not len(first_known) or not len(second_known) or not len(bars):
        return
    alpha, beta_first, beta_second, last_close = d["alpha"], d["beta_first"], d["beta_second"], d["last_close"]
    one = np.searchsorted(first_known, bars[0]["known_at"], side="right") - 1
    two = np.searchsorted(second_known, bars[0]["known_at"], side="right") - 1
    for i in range(len(closes)):
        ts = bars[i]["known_at"]
        while one + 1 < len(first_known) and first_known[one + 1] <= ts:
            one += 1
        while two + 1 < len(second_known) and second_known[two + 1] <= ts:
            two += 1
        if one >= 0 and two >= 0:
            out[i] = math.log(closes[i] / last_close) - alpha - beta_first * first[one] - beta_second * second[two]
    error, total = d["alpha_deviation"] / math.sqrt(days), d["alpha_sum"]
    for i in range(len(closes)):
        out[i] = (total + out[i]) / days / error


@kernel
def _rsi_of_today(d: Any, period: int, closes: Any, out: Any) -> None:
    # `indicator.step_rsi` of the days before with each close as today's; their own state stays as it is.
    out[:] = math.nan
    state = d["rsi_state"]
    last, known, gains, losses = state[1], state[2], state[3], state[4]
    if state[0] != LINKED or known + 1.0 < period:
        return
    earlier = period - 1.0 if known >= period else 1.0
    for i in range(len(closes)):
        change = closes[i] - last
        gain = (gains * earlier + (change if change > 0.0 else 0.0)) / period
        loss = (losses * earlier + (-change if change < 0.0 else 0.0)) / period
        both = gain + loss
        out[i] = 100.0 * gain / both if both > 0.0 else 0.0


@kernel
def _stale_from(d: Any, known_at: int) -> int:
    # The time from which a reading is too old, counted in trading time of this session and the one before.
    if known_at > d["begins_ns"]:
        return int(known_at + d["stale_ns"])
    if known_at > d["earlier_begins_ns"]:
        night = max(d["earlier_closes_ns"] - known_at, 0)
        if night < d["stale_ns"]:
            return int(d["opens_ns"] + d["stale_ns"] - night)
    return 0


@kernel
def place_in(ranked: Any, shelves: Any, value: float) -> int:
    """Return `np.searchsorted(ranked, value)` of values of 0..1 that lie on shelves; see `kernels.tug_day.move_shelves`."""
    shelf = min(SHELVES - 1, int(value * SHELVES))
    low, high = shelves[shelf], shelves[shelf + 1]
    while low < high:
        middle = (low + high) // 2
        if ranked[middle] < value:
            low = middle + 1
        else:
            high = middle
    return int(low)


@kernel
def read_bars(  # noqa: C901, PLR0912, PLR0915 - one pass over the bars: what is known of a bar stays at hand
    bars: Any,
    rows: Any,
    begin: int,
    day: Any,
    setting: Any,
    readings: Any,
    first_known: Any,
    first_change: Any,
    second_known: Any,
    second_change: Any,
    evidence: Any,
    volumes: Any,
    ranked: Any,
    shelves: Any,
    levels: Any,
    told: Any,
    waking: Any,
) -> None:
    """Fill the session's rows from `begin` on, every field of them, one for each of the next bars.

    Parameters
    ----------
    bars : `kernels.ohlcv.BAR`. rows : of the session, those before `begin` filled. day, setting : one `DAY`, one `SETTING`.
    readings : of the market (`signals.tug_market.REGIME_READING`), in order of time.
    first_known, first_change, second_known, second_change : when bars of the two benchmarks became known in this session, and
        the log return since the last close at each; none when that is unknown.
    evidence : `EVIDENCE` at each bar, or none.
    volumes : (2 and more, slots) mean volume up to each slot of the day, NaN unknown; and today's so far, which is filled.
    ranked, shelves : earlier absolute convictions, sorted, as many as `day` says; see `tug_day.move_shelves`.
    levels : probability by band of absolute conviction, none when empty.
    told : (2, rows) today's convictions at which a decision was due, and the price at each (ticks); `day` counts them.
    waking : (rows,) places of the session's rows that wake; `day` counts them.
    """
    d = day[0]
    s = setting[0]
    opens_ns, closes_ns, slot_ns, slots = d["opens_ns"], d["closes_ns"], d["slot_ns"], d["slots"]
    range_ends_ns, pump_ns, cycle_ns, is_daily = opens_ns + s["range_ns"], s["pump_ns"], s["cycle_ns"], s["is_daily"]
    next_cycle_ns = (d["last_ns"] // cycle_ns + 1) * cycle_ns
    volume, slot, lagging, woken = d["volume"], d["slot"], d["lagging"], d["woken"]
    usual, today = volumes[0], volumes[1]
    residual_volatility = d["residual_volatility"]
    penalty = 0.0
    if not math.isnan(residual_volatility):
        penalty = min(s["penalty_share"] * residual_volatility, s["max_penalty"])
    count_ranked, count_levels = d["ranked"] if d["ranked"] >= s["min_ranked"] else 0, len(levels)
    last_direction, streak, last_crowd, was_halted = d["direction"], d["streak"], d["crowd"], d["is_halted"]
    # Series of completed sessions with today as their latest value
    series = np.empty((4, len(bars)))
    closes, momentum, alpha, indexes = series[0], series[1], series[2], series[3]
    for i in range(len(bars)):
        closes[i] = bars[i]["close"]
    _momentum_of_today(d, float(s["momentum_days"]), closes, momentum)
    _alpha_of_today(d, float(s["alpha_days"]), bars, closes, first_known, first_change, second_known, second_change, alpha)
    _rsi_of_today(d, s["rsi_days"], closes, indexes)
    # Of the market, what the latest reading says, until the next is known.
    next_reading_ns = -_NEVER if s["has_regime"] else _NEVER
    stale_ns = _NEVER
    read_state, read_halted, is_open = REGIME_TREND, False, True
    p_crisis = market_volatility = market_momentum = math.nan
    news_tone = post_tone = ofi_z = math.nan
    is_absorption = -1
    for i in range(len(bars)):
        bar = bars[i]
        n = begin + i
        row = rows[n]
        ts, ticks, volume_of_bar = bar["known_at"], bar["close"], bar["volume"]
        row["known_at"] = ts
        row["seq"] = bar["seq"]
        row["open_ns"] = bar["open_ns"]
        row["open"] = bar["open"]
        row["high"] = bar["high"]
        row["low"] = bar["low"]
        row["close"] = ticks
        row["volume"] = volume_of_bar
        row["first_candidate"] = 0
        row["candidates"] = 0

        # What others know
        if ts >= next_reading_ns:
            at = np.searchsorted(readings["known_at"], ts, side="right")
            next_reading_ns = readings[at]["known_at"] if at < len(readings) else _NEVER
            stale_ns = 0
            read_state, is_open = REGIME_UNKNOWN, False
            if at > 0:
                reading = readings[at - 1]
                read_halted = reading["is_halted"]
                p_crisis, market_volatility = reading["p_crisis"], reading["volatility"]
                market_momentum = reading["momentum"]
                if reading["is_known"]:
                    stale_ns = _stale_from(d, reading["known_at"])
                    read_state = reading["state"]
                    is_open = not read_halted and read_state != REGIME_CRISIS
        row["regime"] = read_state if ts < stale_ns else REGIME_UNKNOWN
        row["is_halted"] = read_halted
        row["can_enter"] = is_open and ts < stale_ns
        row["p_crisis"] = p_crisis
        row["market_volatility"] = market_volatility
        row["market_momentum"] = market_momentum
        if len(evidence):
            seen = evidence[i]
            news_tone, post_tone, ofi_z, is_absorption = (
                seen["news_tone"],
                seen["post_tone"],
                seen["ofi_z"],
                seen["is_absorption"],
            )
        row["news_tone"] = news_tone
        row["post_tone"] = post_tone
        row["ofi_z"] = ofi_z
        row["is_absorption"] = is_absorption

        # What the session itself shows: breakout, volume so far, the last minutes
        is_inside = opens_ns < ts <= closes_ns
        breakout = pump = volume_ratio = math.nan
        range_high = range_low = 0
        if is_inside:
            d["seen_close"] = closes[i]
            while slot < slots - 1 and ts - opens_ns - 1 >= (slot + 1) * slot_ns:
                slot += 1
            volume += volume_of_bar
            today[slot] = volume
            if usual[slot] > 0.0:
                volume_ratio = volume / usual[slot]
            if not is_daily:
                # By the clock: bars that end within the first minutes make the range, later ones are seen against it.
                if ts <= range_ends_ns:
                    d["range_high"] = max(d["range_high"], bar["high"])
                    d["range_low"] = min(d["range_low"], bar["low"])
                elif d["range_high"] > d["range_low"]:
                    range_high, range_low = d["range_high"], d["range_low"]
                    width = float(range_high - range_low)
                    above = max(0.0, float(ticks - range_high))
                    below = max(0.0, float(range_low - ticks))
                    breakout = min(1.0, above / width) - min(1.0, below / width)
                while lagging < n and rows[lagging]["known_at"] <= ts - pump_ns:
                    lagging += 1
                if lagging > 0 and rows[lagging - 1]["known_at"] > opens_ns:
                    pump = ticks / float(rows[lagging - 1]["close"]) - 1.0
        row["breakout"] = breakout
        row["range_high"] = range_high
        row["range_low"] = range_low
        row["volume_ratio"] = volume_ratio
        row["pump"] = pump

        momentum_z, alpha_z, rsi = momentum[i], alpha[i], indexes[i]
        row["momentum_z"] = momentum_z
        row["alpha_z"] = alpha_z
        row["rsi"] = rsi
        row["residual_volatility"] = residual_volatility

        # The conviction, and how much it is worth by itself, by rank, and by what came of earlier ones
        conviction = _conviction(s, momentum_z, alpha_z, breakout, news_tone)
        strength = abs(conviction)
        direction = 0
        if strength >= s["min_conviction"]:
            direction = 1 if conviction > 0.0 else -1
        streak = streak + 1 if direction == last_direction else 1
        last_direction = direction
        raw = rank = probability = math.nan
        if not math.isnan(conviction):
            raw = min(s["max_confidence"], max(s["min_confidence"], 0.5 + 0.5 * strength - penalty))
            if count_ranked > 0:
                rank = place_in(ranked, shelves, strength) / count_ranked
            if count_levels > 0:
                probability = levels[min(count_levels - 1, int(strength * count_levels))]
        row["conviction"] = conviction
        row["direction"] = direction
        row["streak"] = streak
        row["raw_confidence"] = raw
        row["rank"] = rank
        row["probability"] = probability

        crowd, share = _crowd(s, rsi, pump, volume_ratio, post_tone, ofi_z)
        row["crowd"] = crowd
        row["crowd_share"] = share
        row["crowd_known"] = not (math.isnan(rsi) and math.isnan(pump) and math.isnan(volume_ratio) and math.isnan(post_tone))

        is_due = ts >= next_cycle_ns
        if is_due:
            next_cycle_ns = (ts // cycle_ns + 1) * cycle_ns
        cycle = is_inside and (is_daily or is_due)
        row["cycle"] = cycle
        if cycle and not math.isnan(conviction):
            told[0, d["told"]] = conviction
            told[1, d["told"]] = ticks
            d["told"] += 1
        # Somebody must look at a candidate, or at something that may end a position.
        confidence = raw if s["measure"] == RAW else rank if s["measure"] == RANK else probability
        wakes = (
            (direction != 0 and (streak == s["flip_bars"] or (cycle and confidence >= s["wake_from"])))
            or (crowd != 0 and (cycle or crowd != last_crowd))
            or (read_halted and (cycle or not was_halted))
        )
        row["wake"] = wakes
        if wakes:
            waking[woken] = n
            woken += 1
        last_crowd, was_halted = crowd, read_halted
        d["last_ns"] = max(d["last_ns"], ts)
    d["volume"], d["slot"], d["lagging"], d["woken"] = volume, slot, lagging, woken
    d["direction"], d["streak"], d["crowd"], d["is_halted"] = last_direction, streak, last_crowd, was_halted


@kernel
def read_shares(
    turns: Any,
    bars: Any,
    rows: Any,
    day: Any,
    setting: Any,
    readings: Any,
    first_known: Any,
    first_change: Any,
    second_known: Any,
    second_change: Any,
    evidence: Any,
    volumes: Any,
    ranked: Any,
    shelves: Any,
    levels: Any,
    told: Any,
    waking: Any,
) -> None:
    """Do `read_bars` for several shares of one strategy, which see the same of the market.

    Parameters
    ----------
    turns : (m, 3) the place of a share, how many rows it has, and how many bars come next.
    bars, rows, day, volumes, ranked, shelves, told, waking : of all shares, by place; see `read_bars` for one of each. Of
        `ranked`, (shares, 2, n), the first is read.
    evidence : by turn, (m, n), n at least the most bars; (m, 0) where nobody has any.
    """
    for i in range(len(turns)):
        k, count = turns[i, 0], turns[i, 2]
        read_bars(
            bars[k][:count],
            rows[k],
            turns[i, 1],
            day[k : k + 1],
            setting,
            readings,
            first_known,
            first_change,
            second_known,
            second_change,
            evidence[i][:count],
            volumes[k],
            ranked[k][0],
            shelves[k],
            levels,
            told[k],
            waking[k],
        )
