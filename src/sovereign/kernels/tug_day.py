"""What completed sessions say of the next one, for the tug of war: one call a symbol and session, no matter how many bars.

Arrays in, numbers out; NaN is unknown. Sums are pairwise as NumPy's are, so a figure is the same wherever it is worked out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.kernels.compile import kernel
from sovereign.kernels.fractional import fractional_weights, least_order, least_squares, weighted_sums
from sovereign.kernels.indicator import step_rsi
from sovereign.kernels.tug_of_war import REGIME_CHOP, REGIME_CRISIS, REGIME_TREND, REGIME_UNKNOWN, SHELVES

Float64 = NDArray[np.float64]

_BLOCK = 128
_LANES = 8
_FEW = 64  # values that are sorted sooner by putting each in its place
USUAL, TODAY, TOTAL, DAYS = 0, 1, 2, 3
"""Rows of a symbol's volumes by time of day: the usual ones, today's, the sum of those remembered, and from here on these."""


@kernel
def _block_sum(values: Float64, first: int, count: int) -> float:
    # At most a block: eight sums side by side, then the rest.
    if count < _LANES:
        total = 0.0
        for i in range(first, first + count):
            total += values[i]
        return total
    a, b, c, d = values[first], values[first + 1], values[first + 2], values[first + 3]
    e, f, g, h = values[first + 4], values[first + 5], values[first + 6], values[first + 7]
    whole = count - count % _LANES
    for i in range(first + _LANES, first + whole, _LANES):
        a += values[i]
        b += values[i + 1]
        c += values[i + 2]
        d += values[i + 3]
        e += values[i + 4]
        f += values[i + 5]
        g += values[i + 6]
        h += values[i + 7]
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for i in range(first + whole, first + count):
        total += values[i]
    return float(total)


@kernel
def pairwise_sum(values: Float64) -> float:
    """Return the sum, bit for bit that of `values.sum()`: halves (at multiples of eight) are added until a block is left."""
    if len(values) <= _BLOCK:
        return _block_sum(values, 0, len(values))
    middle = len(values) // 2
    middle -= middle % _LANES
    if len(values) - middle <= _BLOCK:
        return _block_sum(values, 0, middle) + _block_sum(values, middle, len(values) - middle)
    # What a recursion would do, with a stack of its own: (first, count), and sums that wait for their other half.
    first = np.zeros(64, np.int64)
    count = np.zeros(64, np.int64)
    stage = np.zeros(64, np.int64)
    left = np.zeros(64)
    depth = 0
    count[0] = len(values)
    result = 0.0
    while depth >= 0:
        if count[depth] <= _BLOCK:
            result = _block_sum(values, first[depth], count[depth])
            depth -= 1
        else:
            half = count[depth] // 2
            half -= half % _LANES
            if stage[depth] == 0:
                stage[depth] = 1
                first[depth + 1], count[depth + 1], stage[depth + 1] = first[depth], half, 0
                depth += 1
            elif stage[depth] == 1:
                left[depth] = result
                stage[depth] = 2
                first[depth + 1], count[depth + 1], stage[depth + 1] = first[depth] + half, count[depth] - half, 0
                depth += 1
            else:
                result = left[depth] + result
                depth -= 1
    return result


@kernel
def deviation(values: Float64) -> float:
    """Return the standard deviation, bit for bit that of `values.std()`; NaN of nothing."""
    if len(values) == 0:
        return math.nan
    return _deviation_from(values, pairwise_sum(values) / len(values))


@kernel
def _deviation_from(values: Float64, mean: float) -> float:
    squares = np.empty(len(values))
    for i in range(len(values)):
        gap = values[i] - mean
        squares[i] = gap * gap
    return math.sqrt(pairwise_sum(squares) / len(values))


@kernel
def momentum_of_day(logs: Float64, weights: Float64, latest: int) -> tuple[float, float, float, float]:
    """Return (base, sum, mean, deviation) of the fractionally differenced series that a day's momentum is held against.

    Parameters
    ----------
    logs : log closes of the days before. weights : of the differencing, newest first. latest : days of the sum.

    `base` is what the days before add to the day's own value; `sum` that of the last `latest` values of the series.
    """
    series = weighted_sums(logs, weights)
    base = 0.0
    for k in range(1, len(weights)):
        base += weights[k] * logs[len(logs) - k]
    mean = pairwise_sum(series) / len(series)
    return base, pairwise_sum(series[len(series) - latest :]), mean, _deviation_from(series, mean)


@kernel
def market_line(changes: Float64, least: int, out: Float64) -> int:
    """Regress a share's changes on two benchmarks', write (constant, first, second, deviation) to `out`; return the days.

    Parameters
    ----------
    changes : (n, 3) log changes of the share and both benchmarks; rows with NaN in the second column are left out.
    least : days without which nothing is fitted (`out` is NaN then, as where benchmarks move alike).
    """
    count = 0
    for i in range(len(changes)):
        if not math.isnan(changes[i, 1]):
            count += 1
    out[:] = math.nan
    if count < least:
        return count
    y = np.empty(count)
    x = np.empty((count, 3))
    at = 0
    for i in range(len(changes)):
        if not math.isnan(changes[i, 1]):
            y[at] = changes[i, 0]
            x[at, 0] = 0.01
            x[at, 1] = changes[i, 1]
            x[at, 2] = changes[i, 2]
            at += 1
    beta = np.zeros(3)
    inverse = np.zeros((3, 3))
    left = least_squares(x, y, beta, inverse)
    if math.isnan(left):
        return count
    out[0] = 0.01 * beta[0]
    out[1] = beta[1]
    out[2] = beta[2]
    out[3] = math.sqrt(left / (count - 3))
    return count


@kernel
def count_outcomes(convictions: Float64, closes: Any, last: float, counts: Any) -> None:
    """Add wrong and right convictions by band of strength to `counts` (bands, 2); without a move or direction it is neither."""
    bands = len(counts)
    for i in range(len(convictions)):
        conviction, close = convictions[i], closes[i]
        if close != last and conviction != 0.0:
            band = min(bands - 1, int(abs(conviction) * bands))
            counts[band, 1 if (last > close) == (conviction > 0.0) else 0] += 1


@kernel
def _sort(values: Float64) -> None:
    if len(values) > _FEW:
        values.sort()
        return
    for i in range(1, len(values)):
        value = values[i]
        at = i
        while at > 0 and values[at - 1] > value:
            values[at] = values[at - 1]
            at -= 1
        values[at] = value


@kernel
def slide_sorted(ranked: Float64, gone: Float64, come: Float64, out: Float64) -> int:
    """Write sorted values with some of them gone and some others come to `out`, return how many; sorts those as well."""
    _sort(gone)
    _sort(come)
    g = c = n = i = 0
    while True:
        next_gone = gone[g] if g < len(gone) else math.inf
        next_come = come[c] if c < len(come) else math.inf
        # Up to the next that goes or comes all stay: eight at a time as long as the last of them shows it, then one by one.
        until = min(next_gone, next_come)
        while i + _LANES <= len(ranked) and ranked[np.uint64(i + _LANES - 1)] < until:
            for k in range(_LANES):
                out[np.uint64(n + k)] = ranked[np.uint64(i + k)]
            n += _LANES
            i += _LANES
        while i < len(ranked) and ranked[np.uint64(i)] < until:
            out[np.uint64(n)] = ranked[np.uint64(i)]
            n += 1
            i += 1
        if next_gone == until and g < len(gone):
            g += 1
            i += 1
        elif c < len(come):
            out[n] = next_come
            n += 1
            c += 1
        else:
            return n


@kernel
def move_shelves(shelves: Any, gone: Float64, come: Float64) -> None:
    """Keep where in sorted values of 0..1 each of as many equal shelves begins when some are gone and some others come.

    Parameters
    ----------
    shelves : (shelves + 1,), the last one's end is last; zeros of nothing.
    """
    step = np.zeros(SHELVES + 1, np.int64)
    for value in gone:
        step[min(SHELVES - 1, int(value * SHELVES)) + 1] -= 1
    for value in come:
        step[min(SHELVES - 1, int(value * SHELVES)) + 1] += 1
    moved = 0
    for shelf in range(SHELVES + 1):
        moved += step[shelf]
        shelves[shelf] += moved


@kernel
def _remember_convictions(d: Any, come: Float64, latest: Float64, ranked: Float64, shelves: Any) -> None:
    size, held, at = len(latest), d["ranked"], d["next_ranked"]
    come = come[max(0, len(come) - size) :]
    gone = np.empty(max(0, held + len(come) - size))
    for i in range(len(gone)):
        gone[i] = latest[(at - held + i) % size]
    for value in come:
        latest[at] = value
        at = (at + 1) % size
    sorted_now, work = ranked[0], ranked[1]
    count = slide_sorted(sorted_now[:held], gone, come, work)
    for i in range(count):
        sorted_now[i] = work[i]
    d["ranked"], d["next_ranked"] = count, at
    move_shelves(shelves, gone, come)


@kernel
def _remember_volumes(d: Any, volumes: Float64, lengths: Any) -> None:
    # Volumes are whole numbers, so that what is added and taken away again leaves no trace.
    slots = d["slots"]
    at = d["volume_days"] % len(lengths)
    today, total, kept = volumes[TODAY], volumes[TOTAL], volumes[DAYS + at]
    is_even = d["total_slots"] == slots
    is_full = lengths[at] > 0
    top = 0.0
    for slot in range(slots):
        top = max(top, today[slot])
        if is_even:
            total[slot] += top - (kept[slot] if is_full else 0.0)
        kept[slot] = top
    lengths[at] = slots
    d["volume_days"] += 1
    if is_even:
        return
    d["total_slots"] = 0
    for length in lengths:
        if length > 0 and length != slots:
            return
    d["total_slots"] = slots
    total[:slots] = 0.0
    for day in range(len(lengths)):
        if lengths[day] > 0:
            total[:slots] += volumes[DAYS + day, :slots]


@kernel
def close_day(
    day: Any,
    setting: Any,
    told: Float64,
    latest: Float64,
    ranked: Float64,
    shelves: Any,
    volumes: Float64,
    lengths: Any,
    counts: Any,
) -> float:
    """Take a completed session with a close into what is remembered; return its last conviction, NaN without one.

    Parameters
    ----------
    day, setting : one `kernels.tug_of_war.DAY`, one `SETTING`. told : its convictions, see `kernels.tug_of_war.read_bars`.
    latest, ranked : earlier absolute convictions, a ring of the latest, and sorted with as much room again, (2, n).
    shelves : see `move_shelves`. volumes, lengths : by time of day, see `USUAL`, and how many slots each day kept has.
    counts : (bands, 2), to which outcomes within the session are added; see `count_outcomes`.
    """
    d = day[0]
    last = d["seen_close"]
    convictions = told[0, : d["told"]]
    count_outcomes(convictions, told[1], last, counts)
    _remember_convictions(d, np.abs(convictions), latest, ranked, shelves)
    _remember_volumes(d, volumes, lengths)
    step_rsi(d["rsi_state"], last, setting[0]["rsi_days"])
    d["last_close"] = last
    d["seen_close"] = math.nan
    return float(convictions[-1]) if len(convictions) else math.nan


@kernel
def close_days(
    places: Any,
    day: Any,
    setting: Any,
    told: Any,
    latest: Any,
    ranked: Any,
    shelves: Any,
    volumes: Any,
    lengths: Any,
    logs: Float64,
    changes: Float64,
    first: float,
    second: float,
    counts: Any,
    out: Float64,
) -> None:
    """Do `close_day` for several shares whose completed session, and the one with a close before it, are the same.

    Parameters
    ----------
    places : (m,) the shares. out : (m,) their last convictions are written to it.
    day, told, latest, ranked, shelves, volumes, lengths : of all shares, by place; see `close_day` for one of each.
    logs, changes : (shares, n) log closes, to which the session's is added, and (shares, n, 3) log changes of share and
        benchmarks between two of them; no change is known where `first` (with `second`, of the benchmarks) is NaN.
    """
    for i in range(len(places)):
        k = places[i]
        d = day[k]
        last, at = d["seen_close"], d["logs"]
        out[i] = close_day(day[k : k + 1], setting, told[k], latest[k], ranked[k], shelves[k], volumes[k], lengths[k], counts)
        # A price of 0 or below, which contracts may have, has no log.
        logs[k, at] = math.log(last) if last > 0.0 else math.nan
        d["logs"] = at + 1
        if at > 0:
            changes[k, at - 1, 0] = math.nan if math.isnan(first) else logs[k, at] - logs[k, at - 1]
            changes[k, at - 1, 1] = first
            changes[k, at - 1, 2] = second


@kernel
def _usual_volumes(d: Any, least: int, volumes: Float64, lengths: Any) -> None:
    slots = d["slots"]
    usual = volumes[USUAL]
    usual[:slots] = math.nan
    known = 0
    for length in lengths:
        if length >= slots:
            known += 1
    if known < least:
        return
    if d["total_slots"] == slots:
        for slot in range(slots):
            usual[slot] = volumes[TOTAL, slot] / known
        return
    usual[:slots] = 0.0
    for day in range(len(lengths)):
        if lengths[day] >= slots:
            usual[:slots] += volumes[DAYS + day, :slots]
    usual[:slots] /= known


@kernel
def _begin_momentum(d: Any, s: Any, logs: Float64, order: float) -> None:
    d["momentum_deviation"] = math.nan
    if not math.isnan(order):
        weights = fractional_weights(order, s["momentum_width"])
        base, total, mean, spread = momentum_of_day(logs, weights, s["momentum_days"] - 1)
        d["momentum_base"] = base
        d["momentum_sum"] = total
        d["momentum_mean"] = mean
        d["momentum_deviation"] = spread


@kernel
def _begin_alpha(d: Any, s: Any, changes: Float64, residuals: Float64, line: Float64) -> None:
    d["alpha_deviation"] = math.nan
    d["residual_volatility"] = math.nan
    count, last = d["residuals"], len(changes) - 1
    residual = math.nan
    if last >= 0:
        # What the line of the day before left of the last day's change.
        residual = changes[last, 0] - (line[0] + line[1] * changes[last, 1] + line[2] * changes[last, 2])
    if not math.isnan(residual):
        if count == len(residuals):
            for i in range(1, count):
                residuals[i - 1] = residuals[i]
            count -= 1
        residuals[count] = residual
        count += 1
        d["residuals"] = count
    market_line(changes, s["alpha_least"], line)
    if math.isnan(line[3]):
        return
    width, needed = s["volatility_days"], s["alpha_days"] - 1
    if count >= width:
        d["residual_volatility"] = deviation(residuals[count - width : count]) * s["year"]
    if count < needed:
        return
    d["alpha"] = line[0]
    d["beta_first"] = line[1]
    d["beta_second"] = line[2]
    total = 0.0
    for i in range(count - needed, count):
        total += residuals[i]
    d["alpha_sum"] = total
    d["alpha_deviation"] = line[3]


@kernel
def begin_day(
    day: Any,
    setting: Any,
    times: tuple[int, int, int, int, int, int, int, int],
    logs: Float64,
    order: float,
    changes: Float64,
    residuals: Float64,
    line: Float64,
    volumes: Float64,
    lengths: Any,
) -> None:
    """Begin a session: nothing is seen of it yet, and what completed sessions say is worked out.

    Parameters
    ----------
    day, setting : one `kernels.tug_of_war.DAY`, one `SETTING`.
    times : the first fields of `day`, in their order.
    logs, order : log closes, and the order of their differencing, NaN while there is no momentum; see `momentum_of_day`.
    changes, line : see `market_line`; `line` is that of the day before, and is filled.
    residuals : the latest that lines left of a day's change.
    volumes, lengths : see `close_day`; the usual volume is filled, today's begins.
    """
    d, s = day[0], setting[0]
    begins_ns, opens_ns, closes_ns, earlier_begins_ns, earlier_closes_ns, stale_ns, slot_ns, slots = times
    d["begins_ns"], d["opens_ns"], d["closes_ns"] = begins_ns, opens_ns, closes_ns
    d["earlier_begins_ns"], d["earlier_closes_ns"] = earlier_begins_ns, earlier_closes_ns
    d["stale_ns"], d["slot_ns"], d["slots"] = stale_ns, slot_ns, slots
    d["range_high"] = -(2**31)
    d["range_low"] = 2**31 - 1
    d["volume"] = 0
    d["slot"] = 0
    d["lagging"] = 0
    d["told"] = 0
    d["woken"] = 0
    d["last_ns"] = d["opens_ns"]
    d["seen_close"] = math.nan
    _usual_volumes(d, s["min_volume_days"], volumes, lengths)
    volumes[TODAY, : d["slots"]] = 0.0
    _begin_momentum(d, s, logs, order)
    _begin_alpha(d, s, changes, residuals, line)


@kernel
def begin_days(
    places: Any,
    day: Any,
    setting: Any,
    times: tuple[int, int, int, int, int, int, int, int],
    logs: Float64,
    changes: Float64,
    residuals: Float64,
    line: Float64,
    volumes: Any,
    lengths: Any,
) -> None:
    """Do `begin_day` for several shares; the order of the differencing is searched anew where that is due.

    Parameters
    ----------
    places : (m,) the shares. times : see `begin_day`.
    day, logs, changes, residuals, line, volumes, lengths : of all shares, by place; see `close_days` and `begin_day`.
    """
    s = setting[0]
    for i in range(len(places)):
        k = places[i]
        d, own, pairs = day[k], logs[k], changes[k]
        count = d["logs"]
        known = own[max(0, count - s["fit_days"]) : count]
        order = math.nan
        if s["has_momentum"] and count >= s["momentum_least"]:
            d["since_fit"] += 1
            if d["since_fit"] > s["refit_sessions"] or math.isnan(d["order"]):
                d["since_fit"] = 1
                d["order"] = least_order(known, s["momentum_width"], s["order_step"], s["max_p"], s["test_lags"])
            order = d["order"]
        paired = max(0, count - 1) if s["has_alpha"] else 0
        begin_day(
            day[k : k + 1],
            setting,
            times,
            known,
            order,
            pairs[max(0, paired - s["window_days"]) : paired],
            residuals[k],
            line[k],
            volumes[k],
            lengths[k],
        )


@kernel
def read_market(bars: Any, regimes: Any, release: int, latch: Any, out: Any) -> None:
    """Write what each bar's regime means for entries to `out` (`signals.tug_market.REGIME_READING`).

    Parameters
    ----------
    bars, regimes : `kernels.ohlcv.BAR` and `kernels.market_row.REGIME`, one a bar.
    release : readings in a row without crisis that end a halt.
    latch : (2,) whether the market is halted, and readings without crisis since the last one with it; carried over calls.
    """
    for n in range(len(bars)):
        regime, reading = regimes[n], out[n]
        is_known = regime["trend"] != -2 and not math.isnan(regime["p_wildest"])
        is_crisis = regime["is_crisis"] != 0
        # A halt ends by readings that say so; silence, a refit or a new model that knows nothing yet says nothing.
        if is_crisis:
            latch[0] = 1
            latch[1] = 0
        elif is_known:
            latch[1] += 1
            if latch[1] >= release:
                latch[0] = 0
        state = REGIME_CRISIS if is_crisis else REGIME_TREND if regime["trend"] != 0 else REGIME_CHOP
        reading["known_at"] = bars[n]["known_at"]
        reading["state"] = state if is_known else REGIME_UNKNOWN
        reading["is_known"] = is_known
        reading["is_halted"] = latch[0] != 0
        reading["p_crisis"] = regime["p_wildest"]
        reading["volatility"] = regime["volatility"]
        reading["momentum"] = regime["momentum"]
