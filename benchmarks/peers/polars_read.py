"""Merely reading the trades of a catalog with polars, session by session: the four columns that a run needs.

Runs in our own environment (polars is a dependency of ours). Prints one JSON line: seconds, rows, version.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import polars as pl


def main() -> None:
    files = sorted(Path(sys.argv[1]).rglob("*.parquet"))
    began = time.perf_counter_ns()
    rows = 0
    for file in files:
        rows += pl.read_parquet(file, columns=["ts", "price", "size", "side"]).height
    print(json.dumps({"seconds": (time.perf_counter_ns() - began) / 1e9, "rows": rows, "version": pl.__version__}))


if __name__ == "__main__":
    main()
