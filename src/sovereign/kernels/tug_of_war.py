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
_FEW = 50  # values that are sooner looked for one by one


@kernel
def _vote(value: float, full: float) -> float:
    # -1..1 of a score that counts in full from `full` on
    vote = value / full
    vote = vote if vote < 1.0 else 1.0
    return vote if vote > -1.0 else -1.0


@kernel
def _convictions(
    s: Any, penalty: float, momentum: Any, alpha: Any, breakout: Any, news_tone: Any, out: Any, direction: Any, raw: Any
) -> None:
    # Weighted mean of what is known; what is not known neither agrees nor dilutes. Its sign, and what it is worth by itself.
    momentum_weight, momentum_full = s["momentum_weight"], s["momentum_full"]
    alpha_weight, alpha_full = s["alpha_weight"], s["alpha_full"]
    breakout_weight, news_weight, needed = s["breakout_weight"], s["news_weight"], s["min_conviction"]
    least, most = s["min_confidence"], s["max_confidence"]
    for i in range(len(out)):
        total = 0.0
        weight = 0.0
        if not math.isnan(momentum[i]):
            total += momentum_weight * _vote(momentum[i], momentum_full)
            weight += momentum_weight
        if not math.isnan(alpha[i]):
            total += alpha_weight * _vote(alpha[i], alpha_full)
            weight += alpha_weight
        if not math.isnan(breakout[i]):
            total += breakout_weight * breakout[i]
            weight += breakout_weight
        if not math.isnan(news_tone[i]):
            total += news_weight * news_tone[i]
            weight += news_weight
        out[i] = total / weight if weight > 0.0 else math.nan
    for i in range(len(out)):
        strength = abs(out[i])
        sign = 1 if out[i] > 0.0 else -1
        direction[i] = sign if strength >= needed else 0
        worth = min(most, max(least, 0.5 + 0.5 * strength - penalty))
        raw[i] = math.nan if math.isnan(strength) else worth


@kernel
def _points(value: float, greed_from: float, fear_to: float, points: float) -> float:
    # Points of greed (positive) or fear of one sign; nothing of what is unknown
    return points if value >= greed_from else -points if value <= fear_to else 0.0


@kernel
def _crowds(
    s: Any, rsi: Any, pump: Any, volume_ratio: Any, post_tone: Any, ofi_z: Any, crowd: Any, share: Any, is_known: Any
) -> None:
    # What the crowd is thought to do, the share of its points on that side, and whether anything is known of it.
    greed_rsi, fear_rsi, rsi_points = s["greed_rsi"], s["fear_rsi"], s["rsi_points"]
    fade_rsi, fade_ofi = s["fade_rsi"], s["fade_ofi"]
    pump_frac, pump_points, spike, volume_points = s["pump_frac"], s["pump_points"], s["volume_spike"], s["volume_points"]
    min_tone, post_points = s["min_tone"], s["post_points"]
    for i in range(len(share)):
        days = _points(rsi[i], greed_rsi, fear_rsi, rsi_points)
        days = 0.0 if (rsi[i] >= fade_rsi) & (ofi_z[i] < fade_ofi) else days
        minutes = _points(pump[i], pump_frac, -math.inf, pump_points)
        volume = _points(volume_ratio[i], spike, -math.inf, volume_points)
        posts = _points(post_tone[i], min_tone, -min_tone, post_points)
        balance = days + minutes + volume + posts
        both = abs(days) + abs(minutes) + abs(volume) + abs(posts)
        share[i] = (both + abs(balance)) / (2.0 * both) if both > 0.0 else 0.0
        crowd[i] = 1 if balance > 0.0 else -1 if balance < 0.0 else 0
        is_known[i] = not (
            math.isnan(rsi[i]) and math.isnan(pump[i]) and math.isnan(volume_ratio[i]) and math.isnan(post_tone[i])
        )


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
def _market_of_today(
    known: Any, first_known: Any, first_change: Any, second_known: Any, second_change: Any, first: Any, second: Any
) -> None:
    # What the last known bar of each benchmark says at each bar, NaN where one of them says nothing yet
    one = np.searchsorted(first_known, known[0], side="right")
    two = np.searchsorted(second_known, known[0], side="right")
    for i in range(len(known)):
        ts = known[i]
        while one < len(first_known) and first_known[one] <= ts:
            one += 1
        while two < len(second_known) and second_known[two] <= ts:
            two += 1
        first[i] = first_change[one - 1] if one > 0 and two > 0 else math.nan
        second[i] = second_change[two - 1] if one > 0 and two > 0 else math.nan


@kernel
def _alpha_of_today(d: Any, days: float, closes: Any, first: Any, second: Any, out: Any) -> None:
    # The mean of the latest residuals with that of each close as today's, in standard errors
    out[:] = math.nan
    if not d["alpha_deviation"] > 0.0:
        return
    alpha, beta_first, beta_second, last_close = d["alpha"], d["beta_first"], d["beta_second"], d["last_close"]
    for i in range(len(closes)):
        out[i] = closes[i] / last_close
    for i in range(len(closes)):
        out[i] = math.log(out[i])
    error, total = d["alpha_deviation"] / math.sqrt(days), d["alpha_sum"]
    for i in range(len(closes)):
        out[i] = (total + (out[i] - alpha - beta_first * first[i] - beta_second * second[i])) / days / error


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
def _volume_of_today(d: Any, known: Any, bars: Any, volumes: Any, out: Any) -> None:
    # Volume so far at bars in regular hours over the mean at this time of day
    usual, today = volumes[0], volumes[1]
    volume, slot, slot_ns, slots, opens_ns = d["volume"], d["slot"], d["slot_ns"], d["slots"], d["opens_ns"]
    for i in range(len(bars)):
        while slot < slots - 1 and known[i] - opens_ns - 1 >= (slot + 1) * slot_ns:
            slot += 1
        volume += bars[i]["volume"]
        today[slot] = volume
        if usual[slot] > 0.0:
            out[i] = volume / usual[slot]
    d["volume"], d["slot"] = volume, slot


@kernel
def _breakout_of_today(d: Any, range_ns: int, bars: Any, closes: Any, out: Any) -> int:
    # By the clock: bars that end within the first minutes make the range, later ones are seen against it. Returned is how many
    # bars are not.
    after, range_ends_ns = 0, d["opens_ns"] + range_ns
    while after < len(bars) and bars[after]["known_at"] <= range_ends_ns:
        d["range_high"] = max(d["range_high"], bars[after]["high"])
        d["range_low"] = min(d["range_low"], bars[after]["low"])
        after += 1
    if not d["range_high"] > d["range_low"]:
        return len(bars)
    high, low = float(d["range_high"]), float(d["range_low"])
    width = high - low
    closes, out = closes[after:], out[after:]
    for i in range(len(closes)):
        above = max(0.0, closes[i] - high)
        below = max(0.0, low - closes[i])
        out[i] = min(1.0, above / width) - min(1.0, below / width)
    return after


@kernel
def _pump_of_today(
    d: Any, pump_ns: int, rows: Any, begin: int, known: Any, first: int, stop: int, closes: Any, out: Any
) -> None:
    # The change since the close some minutes before, which an earlier row or one of these bars has
    opens_ns, lagging = d["opens_ns"], d["lagging"]
    for i in range(first, stop):
        until_ns = known[i] - pump_ns
        while lagging < begin and rows[lagging]["known_at"] <= until_ns:
            lagging += 1
        while begin <= lagging < begin + i and known[np.uint64(lagging - begin)] <= until_ns:
            lagging += 1
        if lagging > begin:
            before = np.uint64(lagging - begin - 1)
            if known[before] > opens_ns:
                out[i] = closes[i] / closes[before] - 1.0
        elif lagging > 0 and rows[lagging - 1]["known_at"] > opens_ns:
            out[i] = closes[i] / float(rows[lagging - 1]["close"]) - 1.0
    d["lagging"] = lagging


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
def place_all(ranked: Any, shelves: Any, values: Any, places: Any) -> None:
    """Write `np.searchsorted(ranked, values)` of values of 0..1 that lie on shelves to `places` (integers); 0 of NaN.

    Parameters
    ----------
    shelves : see `kernels.tug_day.move_shelves`.
    """
    if len(values) < _FEW:
        for i in range(len(values)):
            places[i] = place_in(ranked, shelves, values[i]) if values[i] >= 0.0 else 0
        return
    widest = 0
    for shelf in range(SHELVES):
        widest = max(widest, shelves[shelf + 1] - shelves[shelf])
    step = 1
    while 2 * step <= widest:
        step *= 2
    # Which way a search goes cannot be foretold: each of many values takes as many steps, and none has to look for the end.
    room = np.empty(len(ranked) + 2 * step)
    room[: len(ranked)] = ranked
    room[len(ranked) :] = math.inf
    for i in range(len(values)):
        shelf = int(values[i] * SHELVES if values[i] >= 0.0 else 0.0)
        places[i] = shelves[shelf if shelf < SHELVES else SHELVES - 1]
    while step > 0:
        for i in range(len(values)):
            further = places[i] + step
            places[i] = further if room[np.uint64(further - 1)] < values[i] else places[i]
        step //= 2


@kernel
def _rank(
    conviction: Any, ranked: Any, shelves: Any, levels: Any, strength: Any, places: Any, rank: Any, probability: Any
) -> None:
    # What a conviction is worth by rank, and by what came of earlier ones
    bands, count = len(levels), len(ranked)
    rank[:] = math.nan
    probability[:] = math.nan
    for i in range(len(conviction)):
        strength[i] = abs(conviction[i])
    if count > 0:
        place_all(ranked, shelves, strength, places)
        for i in range(len(conviction)):
            share = places[i] / count
            rank[i] = math.nan if math.isnan(strength[i]) else share
    if bands > 0:
        for i in range(len(conviction)):
            band = int(strength[i] * bands if strength[i] >= 0.0 else 0.0)
            level = levels[np.uint64(band if band < bands else bands - 1)]
            probability[i] = math.nan if math.isnan(strength[i]) else level


@kernel
def read_bars(  # noqa: C901, PLR0912, PLR0915 - one pass over the bars: what is known of a bar stays at hand
    bars: Any,
    rows: Any,
    begin: int,
    day: Any,
    setting: Any,
    readings: Any,
    known: Any,
    market: Any,
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
    bars : `kernels.ohlcv.BAR`, in order of time. rows : of the session, those before `begin` filled.
    day, setting : one `DAY`, one `SETTING`.
    readings : of the market (`signals.tug_market.REGIME_READING`), in order of time.
    known : when each of the next bars became known.
    market : (2, n) the log return of the two benchmarks since their last close at each, NaN unknown.
    evidence : `EVIDENCE` at each bar, or none.
    volumes : (2 and more, slots) mean volume up to each slot of the day, NaN unknown; and today's so far, which is filled.
    ranked, shelves : earlier absolute convictions, sorted, as many as `day` says; see `tug_day.move_shelves`.
    levels : probability by band of absolute conviction, none when empty.
    told : (2, rows) today's convictions at which a decision was due, and the price at each (ticks); `day` counts them.
    waking : (rows,) places of the session's rows that wake; `day` counts them.
    """
    d = day[0]
    s = setting[0]
    count = len(bars)
    cycle_ns, is_daily = s["cycle_ns"], s["is_daily"]
    next_cycle_ns = (d["last_ns"] // cycle_ns + 1) * cycle_ns
    residual_volatility = d["residual_volatility"]
    penalty = 0.0
    if not math.isnan(residual_volatility):
        penalty = min(s["penalty_share"] * residual_volatility, s["max_penalty"])
    count_ranked = d["ranked"] if d["ranked"] >= s["min_ranked"] else 0
    last_direction, streak, last_crowd, was_halted = d["direction"], d["streak"], d["crowd"], d["is_halted"]
    flip_bars, wake_from = s["flip_bars"], s["wake_from"]
    told_count, woken = d["told"], d["woken"]

    # Column by column what a bar says by itself, with completed sessions: such loops are worked out several bars at a time.
    series = np.empty((16, count))
    closes, momentum, alpha, rsi, breakout, pump = series[0], series[1], series[2], series[3], series[4], series[5]
    volume_ratio, conviction, raw, rank, probability = series[6], series[7], series[8], series[9], series[10]
    share, news_tone, post_tone, ofi_z, strength = series[11], series[12], series[13], series[14], series[15]
    signs, places = np.empty((4, count), np.int8), np.empty(count, np.int64)
    direction, crowd, crowd_known, is_absorption = signs[0], signs[1], signs[2], signs[3]
    for i in range(count):
        closes[i] = bars[i]["close"]
    if len(evidence):
        for i in range(count):
            seen = evidence[i]
            news_tone[i], post_tone[i], ofi_z[i] = seen["news_tone"], seen["post_tone"], seen["ofi_z"]
            is_absorption[i] = seen["is_absorption"]
    else:
        series[12:15] = math.nan
        is_absorption[:] = -1
    _momentum_of_today(d, float(s["momentum_days"]), closes, momentum)
    _alpha_of_today(d, float(s["alpha_days"]), closes, market[0], market[1], alpha)
    _rsi_of_today(d, s["rsi_days"], closes, rsi)
    series[4:7] = math.nan
    first, stop = 0, count
    while first < stop and known[first] <= d["opens_ns"]:
        first += 1
    while stop > first and known[stop - 1] > d["closes_ns"]:
        stop -= 1
    after = stop
    if first < stop:
        d["seen_close"] = closes[stop - 1]
        _volume_of_today(d, known[first:stop], bars[first:stop], volumes, volume_ratio[first:stop])
        if not is_daily:
            after = first + _breakout_of_today(d, s["range_ns"], bars[first:stop], closes[first:stop], breakout[first:stop])
            _pump_of_today(d, s["pump_ns"], rows, begin, known, first, stop, closes, pump)
    range_high, range_low = (d["range_high"], d["range_low"]) if after < stop else (0, 0)
    _convictions(s, penalty, momentum, alpha, breakout, news_tone, conviction, direction, raw)
    _rank(conviction, ranked[:count_ranked], shelves, levels, strength, places, rank, probability)
    _crowds(s, rsi, pump, volume_ratio, post_tone, ofi_z, crowd, share, crowd_known)
    confidence = raw if s["measure"] == RAW else rank if s["measure"] == RANK else probability

    # Of the market, what the latest reading says, until the next is known.
    next_reading_ns = -_NEVER if s["has_regime"] else _NEVER
    stale_ns = _NEVER
    read_state, read_halted, is_open = REGIME_TREND, False, True
    p_crisis = market_volatility = market_momentum = math.nan
    filled = rows[begin : begin + count]
    for i in range(count):
        bar, row = bars[i], filled[i]
        ts, told_now, side, mood = known[i], conviction[i], direction[i], crowd[i]

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
        is_fresh = ts < stale_ns

        # What hangs on the bars before
        streak = streak + 1 if side == last_direction else 1
        last_direction = side
        is_inside = first <= i < stop
        is_after = after <= i < stop
        is_due = ts >= next_cycle_ns
        if is_due:
            next_cycle_ns = (ts // cycle_ns + 1) * cycle_ns
        cycle = is_inside and (is_daily or is_due)
        if cycle and not math.isnan(told_now):
            told[0, told_count] = told_now
            told[1, told_count] = closes[i]
            told_count += 1
        # Somebody must look at a candidate, or at something that may end a position.
        wakes = (
            (side != 0 and (streak == flip_bars or (cycle and confidence[i] >= wake_from)))
            or (mood != 0 and (cycle or mood != last_crowd))
            or (read_halted and (cycle or not was_halted))
        )
        if wakes:
            waking[woken] = begin + i
            woken += 1
        last_crowd, was_halted = mood, read_halted

        # All that is read of the bar comes before all that is written: neighbors are then moved together.
        seq, open_ns, volume = bar["seq"], bar["open_ns"], bar["volume"]
        opening, high, low, ticks = bar["open"], bar["high"], bar["low"], bar["close"]
        row["known_at"] = ts
        row["seq"] = seq
        row["wake"] = wakes
        row["open_ns"] = open_ns
        row["open"] = opening
        row["high"] = high
        row["low"] = low
        row["close"] = ticks
        row["volume"] = volume
        row["first_candidate"] = 0
        row["candidates"] = 0
        row["momentum_z"] = momentum[i]
        row["alpha_z"] = alpha[i]
        row["residual_volatility"] = residual_volatility
        row["breakout"] = breakout[i]
        row["rsi"] = rsi[i]
        row["pump"] = pump[i]
        row["volume_ratio"] = volume_ratio[i]
        row["news_tone"] = news_tone[i]
        row["post_tone"] = post_tone[i]
        row["ofi_z"] = ofi_z[i]
        row["conviction"] = told_now
        row["raw_confidence"] = raw[i]
        row["rank"] = rank[i]
        row["probability"] = probability[i]
        row["crowd_share"] = share[i]
        row["p_crisis"] = p_crisis
        row["market_volatility"] = market_volatility
        row["market_momentum"] = market_momentum
        row["range_high"] = range_high if is_after else 0
        row["range_low"] = range_low if is_after else 0
        row["streak"] = streak
        row["is_absorption"] = is_absorption[i]
        row["direction"] = side
        row["crowd"] = mood
        row["crowd_known"] = crowd_known[i] != 0
        row["regime"] = read_state if is_fresh else REGIME_UNKNOWN
        row["can_enter"] = is_open and is_fresh
        row["is_halted"] = read_halted
        row["cycle"] = cycle
    d["told"], d["woken"] = told_count, woken
    d["direction"], d["streak"], d["crowd"], d["is_halted"] = last_direction, streak, last_crowd, was_halted
    if count:
        d["last_ns"] = max(d["last_ns"], known[count - 1])


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
    first_known, first_change, second_known, second_change : when bars of the two benchmarks became known in this session, and
        the log return since the last close at each; none when that is unknown.
    evidence : by turn, (m, n), n at least the most bars; (m, 0) where nobody has any.
    """
    longest = max(turns[:, 2]) if len(turns) else 0
    times, market, found = np.empty(longest, np.int64), np.empty((2, longest)), 0
    for i in range(len(turns)):
        k, count = turns[i, 0], turns[i, 2]
        own, known = bars[k][:count], times[:count]
        # Shares whose bars became known at the same times see the same of the market.
        same = 0
        while same < min(found, count) and known[same] == own[same]["known_at"]:
            same += 1
        if same < count:
            for n in range(same, count):
                known[n] = own[n]["known_at"]
            _market_of_today(
                known, first_known, first_change, second_known, second_change, market[0, :count], market[1, :count]
            )
            found = count
        read_bars(
            own,
            rows[k],
            turns[i, 1],
            day[k : k + 1],
            setting,
            readings,
            known,
            market[:, :count],
            evidence[i][:count],
            volumes[k],
            ranked[k][0],
            shelves[k],
            levels,
            told[k],
            waking[k],
        )
