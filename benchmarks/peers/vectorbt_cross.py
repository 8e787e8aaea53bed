"""A crossing of two averages in vectorbt, all symbols at once. Usage: vectorbt_cross.py BARS.npz FAST SLOW.

Prints one JSON line: seconds of processor time from arrays in memory to the returns (second of two runs; the first compiles),
bars, digest of the bars, trades.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import warnings
from importlib.metadata import version

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
import vectorbt as vbt  # noqa: E402

FAST, SLOW = int(sys.argv[2]), int(sys.argv[3])


def run(given: dict[str, np.ndarray]) -> int:
    index = pd.to_datetime(given["ts"], unit="ns")
    close, opens = (pd.DataFrame(given[name].T, index=index) for name in ("close", "open"))
    fast, slow = vbt.MA.run(close, FAST), vbt.MA.run(close, SLOW)
    up, down = fast.ma_crossed_above(slow).vbt.signals.fshift(), fast.ma_crossed_below(slow).vbt.signals.fshift()
    up.columns = down.columns = close.columns
    portfolio = vbt.Portfolio.from_signals(close, entries=up, short_entries=down, price=opens, init_cash=1_000_000, freq="1min")
    portfolio.total_return()
    return int(portfolio.trades.count().sum())


def main() -> None:
    read = np.load(sys.argv[1])
    given = {name: read[name] for name in read.files}
    digest = hashlib.sha256()
    for n in range(given["close"].shape[0]):
        for name in ("open", "high", "low", "close", "volume"):
            digest.update(np.rint(given[name][n] * (1 if name == "volume" else 100)).astype(np.int64).tobytes())
    seconds = 0.0
    for _ in range(2):
        began = time.process_time()
        trades = run(given)
        seconds = time.process_time() - began
    bars = int(given["close"].size)
    print(
        json.dumps(
            {"seconds": seconds, "bars": bars, "digest": digest.hexdigest(), "trades": trades, "version": version("vectorbt")}
        )
    )


if __name__ == "__main__":
    main()
