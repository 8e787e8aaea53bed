"""The order-flow stream in one compiled call: ticks in, closed bars with patterns, regime and gates out.

`advance` works bar by bar inside compiled code: the end of the bar first (by search), then the range of its prices, then one
addition per tick; everything else happens once a bar. Whatever it must remember lies in `memory`, one byte array laid out by
`MEMORY`, so that a call with a single live tick hands over few arguments. Arrays of bytes are viewed as `ROW`, `CANDIDATE` and
`LEVEL` records here. When an array is too small the call stops before the bar that needs it and says so; the caller enlarges
the array and calls again from `consumed`, and the result is the same as with a large array from the start.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sovereign.kernels.bar import BarKind, bar_interval, first_at_or_after, range_bar_end, tick_bar_end, volume_bar_end
from sovereign.kernels.compile import kernel
from sovereign.kernels.footprint import (
    ENTRIES,
    LEVEL,
    STRIDE,
    accumulate,
    clear_levels,
    price_range,
    read_levels,
    shift_window,
    window_base,
)
from sovereign.kernels.memory import (
    FOOTPRINT_CONFIG,
    FOOTPRINT_STATE,
    M0,
    M1,
    M2,
    M3,
    M4,
    M5,
    M6,
    Z0,
    Z1,
    Z2,
    Z3,
    Z4,
    Z5,
    Z6,
)
from sovereign.kernels.pattern import MAX_CANDIDATES, PATTERN_CONFIG, PATTERN_STATE, detect_patterns, start_pattern_session
from sovereign.kernels.profile import point_of_control, value_area
from sovereign.kernels.regime import REGIME_CONFIG, REGIME_STATE, update_regime
from sovereign.kernels.router import ROUTER_CONFIG, route
from sovereign.kernels.row import CANDIDATE, ROW

DONE = 0
NEED_ROWS = 1
NEED_LEVELS = 2
NEED_SESSION = 3
NEED_LOG = 4
OUT_OF_ORDER = 5
"""What `advance` returns: everything consumed, an array to enlarge (for `wanted` levels), or ticks out of order."""

LONG_AGO = -9_223_372_036_854_775_808

_TIME = BarKind.TIME.value
_TICK = BarKind.TICK.value
_VOLUME = BarKind.VOLUME.value


@kernel
def start_session(memory: Any, levels: Any, session: Any, session_close_ns: int, anchor_ns: int) -> None:
    """Begin a session: empty bar, profile and cumulative delta; what patterns keep over sessions stays."""
    s = memory[M0:Z0].view(FOOTPRINT_STATE)[0]
    s["consumed"] = 0
    s["seq"] = 0
    s["promised_ns"] = LONG_AGO
    s["session_close_ns"] = session_close_ns
    s["anchor_ns"] = anchor_ns
    s["rows"] = 0
    s["candidates"] = 0
    s["trades"] = 0
    s["is_due"] = 0
    s["volume"] = 0
    s["cumulative_delta"] = 0
    s["session_low"] = 0
    s["session_high"] = -1
    s["session_volume"] = 0
    s["session_value"] = 0
    s["log_end"] = 0
    levels[:] = 0
    session[:] = 0
    start_pattern_session(memory[M2:Z2].view(PATTERN_STATE))


@kernel
def _open_window(s: Any, levels: Any, low: int, high: int) -> bool:
    # Make the window hold low..high as well as what the open bar has; False when it is too narrow.
    width = len(levels) // ENTRIES
    if s["trades"] > 0:
        low = min(low, s["low"])
        high = max(high, s["high"])
    base = s["base"]
    if low >= base and high < base + width:
        return True
    if high - low >= width:
        s["wanted"] = high - low + 1
        return False
    new_base = window_base(low, high, width)
    if s["trades"] > 0:
        shift_window(levels, STRIDE, base, s["low"], s["high"], new_base)
    s["base"] = new_base
    return True


@kernel
def _open_session_window(s: Any, session: Any) -> bool:
    width = len(session)
    low = s["low"]
    high = s["high"]
    is_empty = s["session_high"] < s["session_low"]
    if not is_empty:
        low = min(low, s["session_low"])
        high = max(high, s["session_high"])
    base = s["session_base"]
    if low >= base and high < base + width:
        return True
    if high - low >= width:
        s["wanted"] = high - low + 1
        return False
    new_base = window_base(low, high, width)
    if not is_empty:
        shift_window(session, 1, base, s["session_low"], s["session_high"], new_base)
    s["session_base"] = new_base
    return True


@kernel
def _make_log_room(s: Any, kept_bars: int, rows: Any, log: Any) -> bool:
    # The log holds the levels of the last bars end to end; what is older is dropped when room is needed.
    levels = s["high"] - s["low"] + 1
    end = s["log_end"]
    if kept_bars == 0 or end + levels <= len(log):
        return True
    count = 0
    for row in range(max(s["rows"] - kept_bars + 1, 0), s["rows"]):
        count += int(rows[row]["high"]) - int(rows[row]["low"]) + 1
    if count + levels > len(log):
        s["wanted"] = count + levels
        return False
    for k in range(count):
        log[k] = log[end - count + k]
    s["log_end"] = count
    return True


@kernel
def _has_room(s: Any, session: Any, rows: Any, candidates: Any, log: Any, kept_bars: int) -> int:
    if s["rows"] >= len(rows) or s["candidates"] + MAX_CANDIDATES > len(candidates):
        return NEED_ROWS
    if not _open_session_window(s, session):
        return NEED_SESSION
    if not _make_log_room(s, kept_bars, rows, log):
        return NEED_LOG
    return DONE


@kernel
def _log_levels(s: Any, log: Any, low: int, levels: int, bid: Any, ask: Any, volume: Any) -> None:
    end = s["log_end"]
    for k in range(levels):
        level = log[end + k]
        level["price"] = low + k
        level["bid"] = bid[k]
        level["ask"] = ask[k]
        level["volume"] = volume[k]
    s["log_end"] = end + levels


@kernel
def _add_to_session(s: Any, session: Any, low: int, levels: int, volume: Any, total: int) -> None:
    at = low - s["session_base"]
    for k in range(levels):
        session[at + k] += volume[k]
        s["session_value"] += volume[k] * (low + k)
    is_first = s["session_high"] < s["session_low"]
    s["session_low"] = low if is_first else min(s["session_low"], low)
    s["session_high"] = s["high"] if is_first else max(s["session_high"], s["high"])
    s["session_volume"] += total
    s["cumulative_delta"] += s["delta"]


@kernel
def _write_profiles(s: Any, config: Any, volume: Any, levels: int, session: Any, row: Any) -> None:
    fraction = config["value_area_frac"]
    step = config["value_area_step"]
    low = s["low"]
    poc = point_of_control(volume, levels)
    area_low, area_high = value_area(volume, levels, poc, fraction, step)
    row["poc"] = low + poc
    row["value_area_low"] = low + area_low
    row["value_area_high"] = low + area_high
    low = s["session_low"]
    profile = session[low - s["session_base"] : s["session_high"] - s["session_base"] + 1]
    poc = point_of_control(profile, len(profile))
    area_low, area_high = value_area(profile, len(profile), poc, fraction, step)
    row["session_poc"] = low + poc
    row["session_value_area_low"] = low + area_low
    row["session_value_area_high"] = low + area_high
    row["session_vwap"] = s["session_value"] / s["session_volume"] if s["session_volume"] > 0 else np.nan


@kernel
def _write_row(s: Any, row: Any, total: int, sold: int, bought: int) -> None:
    row["known_at"] = s["due_ns"]
    row["seq"] = s["seq"]
    row["open_ns"] = s["open_ns"]
    row["open"] = s["open"]
    row["high"] = s["high"]
    row["low"] = s["low"]
    row["close"] = s["close"]
    row["trades"] = s["trades"]
    row["volume"] = total
    row["bid_volume"] = sold
    row["ask_volume"] = bought
    row["delta"] = s["delta"]
    row["min_delta"] = s["min_delta"]
    row["max_delta"] = s["max_delta"]
    row["cumulative_delta"] = s["cumulative_delta"]


@kernel
def _close_bar(memory: Any, levels: Any, session: Any, rows: Any, candidates: Any, log: Any) -> None:
    # One row out of the open bar, then regime, patterns and router on it; the window is left empty.
    s = memory[M0:Z0].view(FOOTPRINT_STATE)[0]
    config = memory[M1:Z1].view(FOOTPRINT_CONFIG)[0]
    width = len(levels) // ENTRIES
    bid = levels[STRIDE * width : (STRIDE + 1) * width]
    ask = levels[(STRIDE + 1) * width : (STRIDE + 2) * width]
    volume = levels[(STRIDE + 2) * width : (STRIDE + 3) * width]
    low = s["low"]
    count = s["high"] - low + 1
    read_levels(levels, s["base"], low, s["high"], bid, ask, volume)
    clear_levels(levels, s["base"], low, s["high"])
    sold = 0
    bought = 0
    total = 0
    for k in range(count):
        sold += bid[k]
        bought += ask[k]
        total += volume[k]
    _add_to_session(s, session, low, count, volume, total)
    i = s["rows"]
    row = rows[i]
    _write_row(s, row, total, sold, bought)
    _write_profiles(s, config, volume, count, session, row)
    if config["kept_bars"] > 0:
        _log_levels(s, log, low, count, bid, ask, volume)

    update_regime(memory[M4:Z4].view(REGIME_STATE), memory[M5:Z5].view(REGIME_CONFIG), rows, i)
    first = s["candidates"]
    found = detect_patterns(
        bid,
        ask,
        volume,
        count,
        rows,
        i,
        memory[M2:Z2].view(PATTERN_STATE),
        memory[M3:Z3].view(PATTERN_CONFIG),
        candidates,
        first,
    )
    row["first_candidate"] = first
    row["candidates"] = found
    row["wake"] = route(memory[M6:Z6].view(ROUTER_CONFIG), rows, i, candidates, first, found)
    s["candidates"] = first + found
    s["rows"] = i + 1
    s["trades"] = 0
    s["is_due"] = 0
    s["volume"] = 0
    s["delta"] = 0


@kernel
def _open_bar(s: Any, config: Any, moment: int) -> None:
    s["open_ns"] = moment
    if config["kind"] == _TIME:
        s["open_ns"], s["end_ns"] = bar_interval(moment, s["anchor_ns"], config["length"], s["session_close_ns"])


@kernel
def _bar_end(s: Any, config: Any, ts: Any, price: Any, size: Any, start: int, stop: int) -> tuple[int, bool]:
    # Where the open bar ends among the ticks start..stop; a session's close is an end for every kind of bar.
    kind = config["kind"]
    length = config["length"]
    if kind == _TIME:
        return first_at_or_after(ts, s["end_ns"], start, stop), False
    if s["open_ns"] < s["session_close_ns"]:
        stop = first_at_or_after(ts, s["session_close_ns"], start, stop)
    if kind == _TICK:
        return tick_bar_end(start, stop, s["trades"], length)
    if kind == _VOLUME:
        return volume_bar_end(size, start, stop, s["volume"], length)
    low = s["low"] if s["trades"] > 0 else 0
    high = s["high"] if s["trades"] > 0 else -1
    return range_bar_end(price, start, stop, low, high, length)


@kernel
def _add_ticks(s: Any, config: Any, price: Any, size: Any, side: Any, start: int, stop: int, levels: Any) -> bool:
    low, high = price_range(price, start, stop)
    if not _open_window(s, levels, low, high):
        return False
    if s["trades"] == 0:
        s["open"] = int(price[start])
        s["low"] = low
        s["high"] = high
        s["delta"] = 0
        # The extremes of delta are those reached after a trade, so the first trade sets both.
        s["min_delta"] = int(size[start]) * int(side[start])
        s["max_delta"] = s["min_delta"]
    else:
        s["low"] = min(s["low"], low)
        s["high"] = max(s["high"], high)
    delta, min_delta, max_delta = accumulate(
        price, size, side, start, stop, levels, s["base"], s["delta"], s["min_delta"], s["max_delta"]
    )
    s["delta"] = delta
    s["min_delta"] = min_delta
    s["max_delta"] = max_delta
    s["close"] = int(price[stop - 1])
    s["trades"] += stop - start
    s["seq"] += stop - start
    if config["kind"] == _VOLUME:
        for k in range(start, stop):
            s["volume"] += int(size[k])
    return True


@kernel
def _mark_due(s: Any, config: Any, moment: int) -> None:
    # The clock has reached `moment` and every tick before it is in: the open bar is due if it ends there or earlier.
    if s["trades"] == 0:
        return
    if config["kind"] == _TIME:
        if s["end_ns"] <= moment:
            s["is_due"] = 1
            s["due_ns"] = s["end_ns"]
    elif s["open_ns"] < s["session_close_ns"] <= moment:
        s["is_due"] = 1
        s["due_ns"] = s["session_close_ns"]


@kernel
def advance(
    ts: Any,
    price: Any,
    size: Any,
    side: Any,
    until_ns: int,
    start: int,
    memory: Any,
    levels: Any,
    session: Any,
    row_bytes: Any,
    candidate_bytes: Any,
    log_bytes: Any,
) -> int:
    """Consume the ticks from `start` on, close every bar that is complete before `until_ns`, and return a status.

    Parameters
    ----------
    ts, price, size, side : one block of `core.columns.Trades`; `start` is 0, or `consumed` after an array was enlarged.
    memory : uint8, `MEMORY_SIZE` bytes: the records of `MEMORY`.
    levels : int64, `ENTRIES` a level: the window of the open bar, then plain arrays for the closed one.
    session : int64, one entry a level: the session's volume profile.
    row_bytes, candidate_bytes, log_bytes : uint8 arrays that hold whole `ROW`, `CANDIDATE` and `LEVEL` records.

    Returns
    -------
    DONE, one of the NEED codes (enlarge, call again from `consumed`), or OUT_OF_ORDER (nothing was consumed).
    """
    s = memory[M0:Z0].view(FOOTPRINT_STATE)[0]
    config = memory[M1:Z1].view(FOOTPRINT_CONFIG)[0]
    rows = row_bytes.view(ROW)
    candidates = candidate_bytes.view(CANDIDATE)
    log = log_bytes.view(LEVEL)
    stop = len(ts)
    i = start
    if i == 0 and stop > 0 and ts[0] < s["promised_ns"]:
        return OUT_OF_ORDER
    status = DONE
    while True:
        if not s["is_due"]:
            _mark_due(s, config, ts[i] if i < stop else until_ns)
        if s["is_due"]:
            status = _has_room(s, session, rows, candidates, log, config["kept_bars"])
            if status != DONE:
                break
            _close_bar(memory, levels, session, rows, candidates, log)
            continue
        if i >= stop:
            break
        if s["trades"] == 0:
            _open_bar(s, config, ts[i])
        end, is_complete = _bar_end(s, config, ts, price, size, i, stop)
        if not _add_ticks(s, config, price, size, side, i, end, levels):
            status = NEED_LEVELS
            break
        i = end
        s["is_due"] = is_complete
        s["due_ns"] = ts[i - 1]
    s["consumed"] = i
    if status == DONE:
        s["promised_ns"] = max(s["promised_ns"], until_ns, ts[stop - 1] if stop > 0 else until_ns)
    return status
