"""A crossing of two averages in backtesting.py, symbol after symbol. Usage: backtesting_cross.py BARS.npz FAST SLOW.

Prints a JSON line for each symbol, when it has read one: seconds of processor time from arrays in memory to the symbol's
statistics, bars, trades. The last has the digest of all bars as the library holds them as well.
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
    digest = hashlib.sha256()
    for n in range(len(bars["open"])):
        sys.stdin.readline()
        began = time.process_time()
        columns = {name.capitalize(): bars[name][n] for name in ("open", "high", "low", "close")}
        frame = pd.DataFrame({**columns, "Volume": bars["volume"][n]}, index=pd.to_datetime(bars["ts"], unit="ns"))
        test = Backtest(frame, Cross, cash=1_000_000, commission=0.0, finalize_trades=True)
        result = test.run()
        seconds = time.process_time() - began
        for name in ("Open", "High", "Low", "Close", "Volume"):
            digest.update(np.rint(test._data[name].to_numpy() * (1 if name == "Volume" else 100)).astype(np.int64).tobytes())
        found = {"seconds": seconds, "bars": len(frame), "trades": int(result["# Trades"]), "version": version("backtesting")}
        if n == len(bars["open"]) - 1:
            found["digest"] = digest.hexdigest()
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
