"""Many sessions from the catalog to the finished report, against merely reading the columns.

Ours is everything that `sovereign backtest` does: reading, signals, five lanes (three fill models, doubled and tripled costs),
the run ledger, report and CSVs. The peer is a loop over the same files that reads the four columns and does nothing with
them. Both are timed inside a process that has its imports behind it, on one core; a further row times the whole command.
`first` runs have nothing of the catalog in the page cache (the Arrow copies are on disk, where the import left them);
`second` ones follow on them, three of each side in turn, and their medians count.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import peer, table
from benchmarks.tape import es
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import SyntheticConfig, SyntheticFeed, SyntheticMarket
from sovereign.store.catalog import Catalog

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = "benchmarks.backtest_program"
START = date(2025, 6, 2)
BYTES_A_TICK = 45
"""Parquet, Arrow copy and report, with room to spare."""


@dataclass(frozen=True, slots=True)
class Timing:
    seconds: float
    peak_mb: float


def fill(folder: Path, ticks: int, sessions: int) -> list[date]:
    """Write synthetic sessions into a catalog that may have some of them already; return the trade dates."""
    catalog = Catalog(folder)
    market = SyntheticMarket(SyntheticConfig(ticks_per_session=ticks), seed=1)
    feed = SyntheticFeed(market, es(), calendar_for(es().calendar), START, sessions)
    have = set(catalog.dates("ES"))
    days: list[date] = []
    for session in feed.sessions():
        days.append(session.trade_date)
        if session.trade_date in have:
            continue
        print(f"\rwriting session {len(days)} of {sessions} ...", end="", flush=True)
        for block in feed.blocks(session):
            catalog.write_trades("ES", session.trade_date, block.trades, source=market.label, is_simulated=True)
    print("\r", end="")
    return days


def forget(folder: Path) -> None:
    """Drop a folder's files from the page cache."""
    for file in folder.rglob("*"):
        if file.is_file():
            handle = os.open(file, os.O_RDONLY)
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def backtest(catalog: Path, out: Path, first: date, last: date) -> Timing:
    """Run a backtest in a process of its own; return the time of the run alone and the process's peak memory."""
    shutil.rmtree(out, ignore_errors=True)
    found = json.loads(_run([*(sys.executable, "-m", PROGRAM), str(catalog), str(out), str(first), str(last)]).splitlines()[-1])
    return Timing(found["seconds"], found["peak_mb"])


def whole_command(catalog: Path, out: Path, first: date, last: date) -> float:
    """Return the wall time of the same as a command, from the start of the interpreter to its end."""
    shutil.rmtree(out, ignore_errors=True)
    code = f"from {PROGRAM} import backtest; backtest({str(catalog)!r}, {str(out)!r}, '{first}', '{last}')"
    began = time.perf_counter()
    _run([sys.executable, "-c", code])
    return time.perf_counter() - began


def _run(command: list[str]) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"backtest failed: {(done.stderr or done.stdout)[-400:]}")
    return done.stdout


def measure(folder: Path, ticks: int, sessions: int, *, is_kept: bool) -> list[table.Row]:
    """Write the catalog and measure reading against running, first and second time, and memory by number of sessions."""
    name = f"{ticks * sessions / 1e6:.0f}M ticks, catalog to report"
    folder.mkdir(parents=True, exist_ok=True)
    need = int(BYTES_A_TICK * ticks * sessions)
    free = shutil.disk_usage(folder).free
    if free < need:
        return [table.missing(name, f"{folder} has {free / 1e9:.1f} GB free; {need / 1e9:.1f} GB are needed")]
    catalog = folder / "catalog"
    days = fill(catalog, ticks, sessions)
    out = folder / "out"
    rows: list[table.Row] = []
    backtest(catalog, out, days[0], days[0])  # compiles
    python = Path(sys.executable)
    for label, rounds in (("first", 1), ("second", 3)):
        reads: list[dict[str, Any]] = []
        runs: list[Timing] = []
        for number in range(rounds):
            print(f"{label} run, round {number + 1} of {rounds}: reading with polars, then the backtest ...", flush=True)
            if label == "first":
                forget(catalog)
            reads.append(peer.run(python, "polars_read.py", catalog))
            if label == "first":
                forget(catalog)
            runs.append(backtest(catalog, out, days[0], days[-1]))
        read, ours = median(r["seconds"] for r in reads), median(r.seconds for r in runs)
        ratio = ours / read
        rows.append(
            table.Row(
                name=f"{name}, {label} run",
                ours=ours,
                peer=read,
                ratio=ratio,
                unit="s",
                version=f"polars {reads[0]['version']} reading",
                wanted="ours/peer <= 1.6",
                is_met=ratio <= 1.6,
                note=f"{reads[0]['rows'] / ours / 1e6:.1f}M ticks/s, peak memory {max(r.peak_mb for r in runs):.0f} MB",
            )
        )
    print("second run: the whole command ...", flush=True)
    seconds = whole_command(catalog, out, days[0], days[-1])
    rows.append(table.alone(f"{name}, second run, the whole command", seconds, "s", note="with interpreter start and imports"))
    for part in sorted({max(sessions // 4, 1), max(sessions // 2, 1), sessions}):
        print(f"memory with {part} sessions ...", flush=True)
        timing = backtest(catalog, out, days[0], days[part - 1])
        rows.append(table.alone(f"peak memory, {part} sessions", timing.peak_mb, "MB", note=f"{timing.seconds:.2f} s"))
    if not is_kept:
        shutil.rmtree(folder, ignore_errors=True)
    return rows
