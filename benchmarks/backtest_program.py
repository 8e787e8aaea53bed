"""One backtest from the catalog to the finished report, timed inside a process that has already run a session.

`python -m benchmarks.backtest_program CATALOG OUT FIRST LAST` prints one JSON line: seconds, peak memory. Imports and the
loading of compiled kernels are not in the time, as imports are not in the reading peer's; `catalog_run` measures the whole
command besides.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
import time
from pathlib import Path

from sovereign.app.cli.main import run


def backtest(catalog: str, out: str, first: str, last: str) -> None:
    store = f"store.url=sqlite:///{Path(out).parent / 'bench.db'}"
    words = ["backtest", "order_flow", "--symbol", "ES", "--from", first, "--to", last, "--out", out]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = run([*words, "--json", "--no-evidence", "--set", f"data.catalog={catalog}", "--set", store])
    if code:
        raise SystemExit(f"backtest ended with {code}: {said.getvalue()[-400:]}")


def main() -> None:
    catalog, out, first, last = sys.argv[1:5]
    backtest(catalog, out, first, first)
    warm = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    backtest(catalog, out, first, last)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "peak_mb": peak / 1024, "warm_mb": warm / 1024}))


if __name__ == "__main__":
    main()
