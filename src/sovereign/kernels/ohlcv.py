"""Time bars from ticks: open, high, low, close, volume, and how much of it buyers and sellers began.

A bar `[open_ns, known_at)` is written when it is certain: a tick at or after its end arrives, or the end is promised. An
interval without a tick has no bar. Prices are ticks, times UTC ns; nothing depends on how the ticks were cut into blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sovereign.kernels.compile import kernel

BAR = np.dtype(
    [
        ("known_at", np.int64),
        ("seq", np.int64),
        ("open_ns", np.int64),
        ("open", np.int32),
        ("high", np.int32),
        ("low", np.int32),
        ("close", np.int32),
        ("volume", np.int64),
        ("buy_volume", np.int64),
        ("sell_volume", np.int64),
        ("trades", np.int32),
    ],
    align=True,
)
"""One closed bar; `seq` counts the session's ticks before `known_at`."""

BAR_STATE = np.dtype(
    [
        ("seq", np.int64),
        ("end_ns", np.int64),
        ("cut_ns", np.int64),
        ("close_ns", np.int64),
        ("anchor_ns", np.int64),
        ("length_ns", np.int64),
        ("bar", BAR),
    ],
    align=True,
)
"""The open bar (`bar`, which ends at `end_ns`; none while `bar.trades` is 0) and the session's grid."""


@kernel
def write_times(ends: Any, width_ns: int, begin_ns: int, out: Any) -> None:
    """Write when the four prints of each bar are (see `feeds.bars.path_of`).

    Parameters
    ----------
    ends : of the bars. width_ns : their width; a bar begins no earlier than `begin_ns`.
    """
    for n in range(len(ends)):
        begin = max(ends[n] - width_ns, begin_ns)
        width = ends[n] - begin
        at = 4 * n
        out[at] = begin + width // 4
        out[at + 1] = out[at + 2] = begin + width // 2
        out[at + 3] = ends[n] - 1


@kernel
def write_prints(opens: Any, high: Any, low: Any, close: Any, volume: Any, out_price: Any, out_size: Any) -> int:
    """Write the four prints of each bar (see `feeds.bars.path_of`); return the largest size, which may be none that fits."""
    largest = 0
    for n in range(len(opens)):
        at = 4 * n
        is_rising = close[n] >= opens[n]
        out_price[at] = opens[n]
        out_price[at + 1] = low[n] if is_rising else high[n]
        out_price[at + 2] = high[n] if is_rising else low[n]
        out_price[at + 3] = close[n]
        share = volume[n] // 4
        out_size[at] = out_size[at + 1] = out_size[at + 2] = share
        out_size[at + 3] = volume[n] - 3 * share
        largest = max(largest, volume[n] - 3 * share)
    return largest


@kernel
def place_bars(bars: Any, rows: Any, wake: bool) -> None:
    """Write bars (`BAR`) to rows that begin with the fields every bar row has (`signals.bars.ROW_HEAD`).

    Parameters
    ----------
    wake : whether each row wakes.
    """
    for n in range(len(bars)):
        bar = bars[n]
        row = rows[n]
        row["known_at"] = bar["known_at"]
        row["seq"] = bar["seq"]
        row["open_ns"] = bar["open_ns"]
        row["open"] = bar["open"]
        row["high"] = bar["high"]
        row["low"] = bar["low"]
        row["close"] = bar["close"]
        row["volume"] = bar["volume"]
        row["wake"] = wake


@kernel
def _open_bar(s: Any, ts: int, price: int) -> None:
    bar = s["bar"]
    start = s["anchor_ns"] + ((ts - s["anchor_ns"]) // s["length_ns"]) * s["length_ns"]
    end = start + s["length_ns"]
    for edge in (s["cut_ns"], s["close_ns"]):
        if start < edge < end:
            if ts < edge:
                end = edge
            else:
                start = edge
    s["end_ns"] = end
    bar["open_ns"] = start
    bar["known_at"] = end
    bar["open"] = price
    bar["high"] = price
    bar["low"] = price
    bar["volume"] = 0
    bar["buy_volume"] = 0
    bar["sell_volume"] = 0


@kernel
def take_bars(ends: Any, opens: Any, high: Any, low: Any, close: Any, volume: Any, until_ns: int, state: Any, out: Any) -> bool:
    """Write recorded bars of the session's width to `out`, as `build_bars` would make them of their prints.

    Returns
    -------
    False, with nothing taken, where some do not lie on the session's grid, reach over an edge of it, or are not certain yet.

    Parameters
    ----------
    ends : of the bars, `high` and so on with them. until_ns, state : as in `build_bars`; no bar is open. out : as many `BAR`.
    """
    s = state[0]
    length_ns, anchor_ns, seq = s["length_ns"], s["anchor_ns"], s["seq"]
    cut_ns, close_ns = s["cut_ns"], s["close_ns"]
    count = len(ends)
    if count == 0 or ends[count - 1] > until_ns or (ends[0] - anchor_ns) % length_ns != 0:
        return False
    last = ends[0] - length_ns
    for n in range(count):
        end = ends[n]
        start = end - length_ns
        is_next = start == last or (start > last and (start - anchor_ns) % length_ns == 0)
        if not is_next or start < cut_ns < end or start < close_ns < end:
            return False
        last = end
        seq += 4
        row = out[n]
        row["known_at"] = end
        row["seq"] = seq
        row["open_ns"] = start
        row["open"] = opens[n]
        row["high"] = max(opens[n], close[n], high[n], low[n])
        row["low"] = min(opens[n], close[n], high[n], low[n])
        row["close"] = close[n]
        row["volume"] = volume[n]
        row["buy_volume"] = 0
        row["sell_volume"] = 0
        row["trades"] = 4
    s["seq"] = seq
    return True


@kernel
def build_bars(ts: Any, price: Any, size: Any, side: Any, until_ns: int, state: Any, out: Any) -> int:
    """Take ticks, write the bars that became certain to `out`, and return their number.

    Parameters
    ----------
    ts, price, size, side : the next ticks, none before the last `until_ns`.
    until_ns : no later tick will be earlier.
    state : one `BAR_STATE`.
    out : `BAR` records, as many as there are ticks and one more.
    """
    s = state[0]
    bar = s["bar"]
    written = 0
    for i in range(len(ts)):
        if bar["trades"] > 0 and ts[i] >= s["end_ns"]:
            bar["seq"] = s["seq"]
            out[written] = bar
            written += 1
            bar["trades"] = 0
        px = price[i]
        if bar["trades"] == 0:
            _open_bar(s, ts[i], px)
        bar["high"] = max(bar["high"], px)
        bar["low"] = min(bar["low"], px)
        bar["close"] = px
        bar["volume"] += size[i]
        if side[i] > 0:
            bar["buy_volume"] += size[i]
        elif side[i] < 0:
            bar["sell_volume"] += size[i]
        bar["trades"] += 1
        s["seq"] += 1
    if bar["trades"] > 0 and until_ns >= s["end_ns"]:
        bar["seq"] = s["seq"]
        out[written] = bar
        written += 1
        bar["trades"] = 0
    return written
