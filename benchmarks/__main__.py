"""`make bench`: measure against peers and print a table; `python -m benchmarks --help` for parts of it."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))


PARTS = ("memory", "kernels", "catalog", "latency", "live_memory")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke test: few ticks and sessions; figures mean little")
    parser.add_argument("--ticks", type=int, default=750_000, help="trades in the session in memory")
    parser.add_argument("--sessions", type=int, default=108, help="sessions of the catalog run")
    parser.add_argument("--repeat", type=int, default=5, help="rounds; figures are medians")
    parser.add_argument("--slices", type=int, default=2_000, help="slices, and so orders, of the live session")
    parser.add_argument("--live-ticks", type=int, default=20_000_000, help="trades of the live loop whose memory is watched")
    parser.add_argument("--only", choices=PARTS, action="append", help="parts to run (default: all)")
    parser.add_argument("--folder", type=Path, help="where to keep the catalog run's data (default: a temporary folder)")
    args = parser.parse_args()
    ticks, sessions, repeat = (60_000, 4, 1) if args.quick else (args.ticks, args.sessions, args.repeat)
    slices, live_ticks = (300, 1_000_000) if args.quick else (args.slices, args.live_ticks)
    parts = set(args.only or PARTS)
    # One core for everything that is compared; children inherit it. The live parts have two processes, or none to be compared.
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    os.environ.setdefault("POLARS_MAX_THREADS", "1")

    from benchmarks import catalog_run, in_memory, live_latency, live_memory, table
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
        os.sched_setaffinity(0, cores)
        if "latency" in parts:
            rows += live_latency.rows(slices)
        if "live_memory" in parts:
            rows += live_memory.rows(live_ticks)
    if args.quick:
        # A short session spreads the fixed cost of a decision over too few ticks to be held to anything.
        rows = [replace(row, is_met=None) for row in rows]
    table.show(rows)
    whole = not args.quick and parts == set(PARTS)
    print(f"\nwritten to {table.save(rows, 'latest.json' if whole else 'partial.json')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
