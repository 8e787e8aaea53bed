"""`make bench`: measure against peers and print a table; `python -m benchmarks --help` for parts of it."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke test: few ticks and sessions; figures mean little")
    parser.add_argument("--ticks", type=int, default=750_000, help="trades in the session in memory")
    parser.add_argument("--sessions", type=int, default=108, help="sessions of the catalog run")
    parser.add_argument("--repeat", type=int, default=5, help="rounds; figures are medians")
    parser.add_argument("--only", choices=("memory", "kernels", "catalog"), action="append", help="parts to run (default: all)")
    parser.add_argument("--folder", type=Path, help="where to keep the catalog run's data (default: a temporary folder)")
    args = parser.parse_args()
    ticks, sessions, repeat = (60_000, 4, 1) if args.quick else (args.ticks, args.sessions, args.repeat)
    parts = set(args.only or ("memory", "kernels", "catalog"))
    # One core for everything that is compared; children inherit it.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.environ.setdefault("POLARS_MAX_THREADS", "1")

    from benchmarks import catalog_run, in_memory, table
    from benchmarks.tape import make_tape

    rows: list[table.Row] = []
    with tempfile.TemporaryDirectory(prefix="sovereign-bench-") as scratch:
        folder = args.folder or Path(scratch)
        if parts & {"memory", "kernels"}:
            trades = make_tape(ticks)
            if "memory" in parts:
                rows += in_memory.against_peers(trades, Path(scratch) / "tape", repeat)
            if "kernels" in parts:
                rows += in_memory.where_time_goes(trades, repeat)
        if "catalog" in parts:
            rows += catalog_run.measure(folder, ticks, sessions, is_kept=args.folder is not None)
    if args.quick:
        # A short session spreads the fixed cost of a decision over too few ticks to be held to anything.
        rows = [replace(row, is_met=None) for row in rows]
    table.show(rows)
    whole = not args.quick and parts == {"memory", "kernels", "catalog"}
    print(f"\nwritten to {table.save(rows, 'latest.json' if whole else 'partial.json')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
