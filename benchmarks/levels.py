"""Counted levels: time a bar against a plain dictionary, after both gave the same counts; memory and time of a whole universe.

`python -m benchmarks.levels` prints a table. The bars are a simulated random walk; the limit is 200 ns a bar for an update.
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
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return min(taken)


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

    table = {
        "bars": f"{count:,} ({args.years} years of minutes), {len(stream.book.scores):,} buckets",
        "bars at a level": f"{at_level:.1%}",
        "counting a bar": f"{ours:,.0f} ns (limit {LIMIT_NS:.0f} ns)",
        "the same with a dictionary": f"{peer:,.0f} ns, ratio {peer / ours:,.0f}",
        "judging and counting a bar": f"{whole:,.0f} ns (limit {LIMIT_NS:.0f} ns)",
        "counting the history again": f"{rebuild * 1e3:,.1f} ms",
        "memory of a symbol": f"{megabytes:,.1f} MB",
        f"{SYMBOLS} symbols": f"{SYMBOLS * megabytes:,.0f} MB, {SYMBOLS * whole * count / 1e9:,.1f} s of judging",
    }
    for name, value in table.items():
        print(f"{name:<30}{value}")
    return 0 if max(ours, whole) <= LIMIT_NS else 1


if __name__ == "__main__":
    sys.exit(main())
