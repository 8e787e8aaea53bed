"""Counted levels: time a bar against a plain dictionary, after both gave the same counts; memory and time of a whole universe.

`python -m benchmarks.levels` prints a table. The bars are a simulated random walk; the limit is 200 ns a bar for an update.
Times are of the processor, so that a busy machine tells the same.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

DAY, YEARS, SYMBOLS, LIMIT_NS = 390, 5, 30, 200.0


def walk(bars: int, seed: int = 1):
    """Minute bars of a random walk in ticks: structured records as `kernels.ohlcv.BAR`."""
    import numpy as np

    from sovereign.kernels.ohlcv import BAR

    rng = np.random.default_rng(seed)
    out = np.zeros(bars, BAR)
    step = rng.normal(0, 18.0, bars)
    close = 50_000 + np.round(np.cumsum(step)).astype(np.int64)
    close += 2_000 - min(0, int(close.min()))
    opened = np.concatenate([close[:1], close[:-1]]) + rng.integers(-1, 2, bars)
    out["open"], out["close"] = opened, close
    out["high"] = np.maximum(opened, close) + rng.integers(0, 12, bars)
    out["low"] = np.minimum(opened, close) - rng.integers(0, 12, bars)
    out["volume"] = rng.lognormal(9, 0.7, bars)
    minute = 60 * 10**9
    day, at = np.divmod(np.arange(bars), DAY)
    out["open_ns"] = day * 86_400 * 10**9 + (570 + at) * minute
    out["known_at"] = out["open_ns"] + minute
    return out


def plain(bars, g: int) -> dict[int, int]:
    """The same counts with a dictionary."""
    counts: dict[int, int] = defaultdict(int)
    last = None
    for o, h, low, c in zip(*(bars[n].tolist() for n in ("open", "high", "low", "close")), strict=True):
        path = [o, low, h, c] if c >= o else [o, h, low, c]
        for a, b in zip(
            [*([] if last is None else [last]), *path[:-1]], [*(path[:1] if last is not None else []), *path[1:]], strict=True
        ):
            if a // g != b // g:
                for k in range(math.floor(min(a, b) / g), math.ceil(max(a, b) / g)):
                    counts[k] -= 1
        last = c
    return counts


def best(call, repeat: int) -> float:
    taken = []
    for _ in range(repeat):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return min(taken)


def universe(bars, years: int, symbols: int) -> tuple[float, float, int]:
    """Follow `symbols` streams session by session; seconds of the processor, megabytes more than before, rebuilds."""
    from datetime import date

    import numpy as np

    from sovereign.core.instrument import find_instrument
    from sovereign.feeds.calendar import calendar_for
    from sovereign.signals.lossless import LosslessStream

    sessions = calendar_for("XNYS").sessions(date(2020, 1, 2), date(2020 + years, 2, 15))[: years * 252]
    if len(sessions) < years * 252:
        raise ValueError(f"years was {years}; the calendar has {len(sessions)} sessions")
    days = []
    for n, session in enumerate(sessions):
        day = bars[n * DAY : (n + 1) * DAY].copy()
        day["open_ns"] = session.regular_open_ns + np.arange(DAY) * 60 * 10**9
        day["known_at"] = day["open_ns"] + 60 * 10**9
        day = day[day["known_at"] <= session.regular_close_ns]
        days.append((session, day))
    first = LosslessStream(find_instrument("SPY"), 60)
    rows = np.zeros(DAY, first.row_dtype)
    before, start = resident(), time.process_time()
    streams = [LosslessStream(find_instrument("SPY"), 60) for _ in range(symbols)]
    for session, day in days:
        for stream in streams:
            stream.start_session(session)
            out = rows[: len(day)]
            out[:] = 0
            for name in ("known_at", "open_ns", "open", "high", "low", "close", "volume"):
                out[name] = day[name]
            stream.fill(day, out)
    taken = time.process_time() - start
    return taken, resident() - before, sum(stream.book.rebuilds for stream in streams)


def resident() -> float:
    """Memory of this process, MB; NaN where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return math.nan
    return pages * 4_096 / 1e6


def main() -> int:
    import numpy as np

    from sovereign.core.instrument import find_instrument
    from sovereign.kernels.level import count_bars
    from sovereign.kernels.lossless import read_bars
    from sovereign.signals.levels import LevelBook
    from sovereign.signals.lossless import LosslessStream

    parser = argparse.ArgumentParser(prog="python -m benchmarks.levels", description=__doc__)
    parser.add_argument("--years", type=int, default=YEARS, help="years of minute bars of one symbol")
    parser.add_argument("--repeat", type=int, default=5, help="rounds; the fastest counts")
    args = parser.parse_args()
    count = args.years * 252 * DAY
    bars, g = walk(count), 70

    book = LevelBook()
    book.history.append(bars)
    book.set_granularity(g)
    expected, base = plain(bars, g), int(book.state["base"][0])
    counted = {base + n: int(score) for n, score in enumerate(book.scores) if score}
    if counted != {k: v for k, v in expected.items() if v}:
        print("counts differ from the dictionary's; nothing was timed")
        return 1
    columns = [np.ascontiguousarray(bars[name]) for name in ("open", "high", "low", "close")]

    def update() -> None:
        book.state["bars"] = 0
        count_bars(book.state, book.scores, *columns, 0)

    ours = best(update, args.repeat) / count * 1e9
    peer = best(lambda: plain(bars[: count // 10], g), 1) / (count // 10) * 1e9

    stream = LosslessStream(find_instrument("SPY"), 60)
    stream.book.set_granularity(g)
    rows = np.zeros(count, stream.row_dtype)
    for name in ("known_at", "open_ns", "open", "high", "low", "close", "volume"):
        rows[name] = bars[name]
    stream._reader["closes_ns"] = 2**62  # every bar is in the hours

    def judge() -> None:
        book = stream.book
        book.state["bars"] = 0
        at = 0
        while at < count:
            at = read_bars(bars, rows, at, stream._reader, book.state, book.scores, stream._trees, stream._totals)
            if at < count:
                book.make_room(int(bars["high"][at]), int(bars["low"][at]))

    judge()
    whole = best(judge, args.repeat) / count * 1e9
    stream.book.history.append(bars)
    rebuild = best(lambda: stream.book.set_granularity(g), args.repeat)
    at_level = float((rows["at_support"] | rows["at_resistance"]).mean())
    megabytes = stream.nbytes / 1e6

    seconds, grown, rebuilds = universe(bars, args.years, SYMBOLS)

    table = {
        "bars": f"{count:,} ({args.years} years of minutes), {len(stream.book.scores):,} buckets",
        "bars at a level": f"{at_level:.1%}",
        "counting a bar": f"{ours:,.0f} ns (limit {LIMIT_NS:.0f} ns)",
        "the same with a dictionary": f"{peer:,.0f} ns, ratio {peer / ours:,.0f}",
        "judging and counting a bar": f"{whole:,.0f} ns (limit {LIMIT_NS:.0f} ns)",
        "counting the history again": f"{rebuild * 1e3:,.1f} ms",
        "memory of a symbol": f"{megabytes:,.1f} MB",
        f"{SYMBOLS} symbols, day by day": f"{grown:,.0f} MB, {seconds:,.1f} s, {rebuilds:,} recounts",
    }
    for name, value in table.items():
        print(f"{name:<30}{value}")
    return 0 if max(ours, whole) <= LIMIT_NS else 1


if __name__ == "__main__":
    sys.exit(main())
