"""Rows of the benchmark: printed as a table, kept as `benchmarks/results/latest.json`."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured thing: `ours` and `peer` in `unit` (medians), `ratio` of the two as `wanted` and `note` say.

    A row without a peer, or whose peer could not be installed, has `peer` and `ratio` None; `note` says why.
    """

    name: str
    ours: float | None
    peer: float | None
    ratio: float | None
    unit: str
    version: str
    wanted: str = ""
    is_met: bool | None = None
    note: str = ""


def median(values: Sequence[float]) -> float:
    return float(statistics.median(values))


def speedup(name: str, ours: Sequence[float], peer: Sequence[float], version: str, least: float | None, note: str = "") -> Row:
    """Return a row whose ratio is peer over ours: how many times faster ours is."""
    a, b = median(ours), median(peer)
    ratio = b / a
    return Row(
        name=name,
        ours=a,
        peer=b,
        ratio=ratio,
        unit="ns/tick",
        version=version,
        wanted="" if least is None else f"peer/ours >= {least:g}",
        is_met=None if least is None else ratio >= least,
        note=note,
    )


def alone(name: str, ours: float, unit: str, most: float | None = None, note: str = "") -> Row:
    """Return a row of ours without a peer, with the most it may be."""
    return Row(
        name=name,
        ours=ours,
        peer=None,
        ratio=None,
        unit=unit,
        version="",
        wanted="" if most is None else f"<= {most:g}",
        is_met=None if most is None else ours <= most,
        note=note,
    )


def missing(name: str, why: str, version: str = "", ours: float | None = None, unit: str = "") -> Row:
    """Return a row for what could not be measured, or not on the peer's side."""
    return Row(name=name, ours=ours, peer=None, ratio=None, unit=unit, version=version, note=why)


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def show(rows: Sequence[Row]) -> None:
    head = ("", "ours", "peer", "ratio", "unit", "wanted", "", "against")
    lines = [head] + [
        (
            row.name,
            _number(row.ours),
            _number(row.peer),
            _number(row.ratio),
            row.unit,
            row.wanted,
            {None: "", True: "met", False: "MISSED"}[row.is_met],
            row.version,
        )
        for row in rows
    ]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    print()
    for line in lines:
        cells = [line[0].ljust(widths[0])] + [
            line[n].rjust(widths[n]) if n < 4 else line[n].ljust(widths[n]) for n in range(1, len(head))
        ]
        print("  ".join(cells).rstrip())
    for row in rows:
        if row.note:
            print(f"  {row.name}: {row.note}")


def save(rows: Sequence[Row], name: str) -> Path:
    """Write the rows, one object each, with the machine they were measured on."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / name
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
    file.write_text(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=2) + "\n")
    return file
