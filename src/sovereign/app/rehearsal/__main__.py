"""python -m sovereign.app.rehearsal: the kill and the fault campaign; one line of JSON each, progress on stderr."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main(words: Sequence[str] | None = None) -> int:
    """Run the campaigns that were asked for; 0 when no promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m sovereign.app.rehearsal", description=__doc__)
    parser.add_argument("--kills", type=int, default=0, help="how often a trading process is killed")
    parser.add_argument("--faults", type=int, default=0, help="number of fault schedules")
    parser.add_argument("--seed", type=int, default=1, help="of the kills, and the first of the schedules")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 2, help="processors to keep busy")
    parser.add_argument(
        "--folder", type=Path, default=Path("data/rehearsal"), help="what the processes leave; kept where it broke"
    )
    parser.add_argument("--drill-only", action="store_true", help="without order flow, which has to be compiled first")
    asked = parser.parse_args(words)

    from sovereign.app.rehearsal.campaign import fault_campaign, kill_campaign

    def say(line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    reports = []
    folder: Path = asked.folder.resolve()
    if asked.kills:
        reports.append(
            kill_campaign(folder / "kills", asked.kills, asked.seed, asked.workers, say, with_order_flow=not asked.drill_only)
        )
        sys.stdout.write(reports[-1].line() + "\n")
        sys.stdout.flush()
    if asked.faults:
        seeds = range(asked.seed, asked.seed + asked.faults)
        # A session waits more than it works: two to a processor.
        reports.append(fault_campaign(folder / "faults", seeds, 2 * asked.workers, say, with_order_flow=not asked.drill_only))
        sys.stdout.write(reports[-1].line() + "\n")
    return 1 if any(report.violations for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
