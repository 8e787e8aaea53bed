"""A crossing of two averages in backtesting.py, symbol after symbol. Usage: backtesting_cross.py BARS.npz FAST SLOW.

Prints one JSON line: seconds of processor time from arrays in memory to the last symbol's statistics, bars, digest of the bars
as the library holds them, trades.
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
from backtesting import Backtest, Strategy  # noqa: E402
from backtesting.lib import crossover  # noqa: E402
from backtesting.test import SMA  # noqa: E402

FAST, SLOW = int(sys.argv[2]), int(sys.argv[3])


class Cross(Strategy):
    def init(self):
        self.fast = self.I(SMA, self.data.Close, FAST)
        self.slow = self.I(SMA, self.data.Close, SLOW)

    def next(self):
        if crossover(self.fast, self.slow):
            self.position.close()
            self.buy()
        elif crossover(self.slow, self.fast):
            self.position.close()
            self.sell()


def main() -> None:
    given = np.load(sys.argv[1])
    bars = {name: given[name] for name in given.files}
    seconds, trades, digest = 0.0, 0, hashlib.sha256()
    for n in range(len(bars["open"])):
        began = time.process_time()
        columns = {name.capitalize(): bars[name][n] for name in ("open", "high", "low", "close")}
        frame = pd.DataFrame({**columns, "Volume": bars["volume"][n]}, index=pd.to_datetime(bars["ts"], unit="ns"))
        test = Backtest(frame, Cross, cash=1_000_000, commission=0.0, finalize_trades=True)
        result = test.run()
        seconds += time.process_time() - began
        trades += int(result["# Trades"])
        for name in ("Open", "High", "Low", "Close", "Volume"):
            digest.update(np.rint(test._data[name].to_numpy() * (1 if name == "Volume" else 100)).astype(np.int64).tobytes())
    print(
        json.dumps(
            {
                "seconds": seconds,
                "bars": int(bars["close"].size),
                "digest": digest.hexdigest(),
                "trades": trades,
                "version": version("backtesting"),
            }
        )
    )


if __name__ == "__main__":
    main()
