"""Both campaigns as they are run from the command line: some processes at once, and one line of JSON when it is over."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sovereign.app.rehearsal.forge import Forge
from sovereign.app.rehearsal.kills import Campaign, Result, Round

Say = Callable[[str], object]
_STRATEGIES = ("drill", "order_flow")
_POLL_S = 0.5
_SCHEDULE_S = 90.0
"""Longest time that one schedule may take before its process counts as hung, s."""


@dataclass(slots=True)
class Report:
    """What a campaign found: `figures` for the JSON line, and every broken promise with the seed that shows it."""

    figures: dict[str, Any]
    violations: list[dict[str, Any]] = field(default_factory=list)

    def line(self) -> str:
        """Return the campaign as one line of JSON."""
        return json.dumps({**self.figures, "violations": len(self.violations), "broken": self.violations[:50]})


# Kills


def kill_campaign(
    folder: Path, kills: int, seed: int, workers: int, say: Say, *, with_order_flow: bool = True, sessions: int = 2
) -> Report:
    """Kill trading processes `kills` times; see `rehearsal.kills`.

    Parameters
    ----------
    workers : campaigns at once, each with a forge, a venue and a trading process of its own.
    """
    strategies = _STRATEGIES if with_order_flow else _STRATEGIES[:1]
    begun = time.monotonic()
    shares = [kills // workers + (number < kills % workers) for number in range(workers)]
    results: list[Result] = []
    faults: list[BaseException] = []

    def work(number: int, share: int) -> None:
        def progress(result: Result, plan: Round) -> None:
            say(
                f"worker {number}: {result.kills} of {share} kills, {result.rounds} rounds, {result.starts} starts, "
                f"{len(result.violations)} violations, {result.seconds:.0f} s ({plan.strategy}, {plan.pace})"
            )
            for where, violation in result.violations:
                if where == plan.number:
                    say(f"worker {number}: round {where}: {violation.kind}: {violation.text}")

        place = folder / f"worker-{number}"
        try:
            with Forge(place / "forge.log", strategies) as forge:
                kind: dict[str, Any] = {"with_order_flow": with_order_flow, "sessions": sessions}
                campaign = Campaign(forge, place, share, seed * 1_000 + number, progress, **kind)
                results.append(campaign.result)
                campaign.run()
        except BaseException as fault:  # noqa: BLE001 - handed to the caller, who waits for every worker
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(n, share), daemon=True) for n, share in enumerate(shares) if share]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return _kill_report(results, seed, workers, time.monotonic() - begun)


def _kill_report(results: Sequence[Result], seed: int, workers: int, seconds: float) -> Report:
    points: Counter[str] = Counter()
    for result in results:
        points += result.points
    total = {
        name: sum(getattr(result, name) for result in results)
        for name in ("kills", "rounds", "sessions", "starts", "orders", "fills")
    }
    figures = {
        "campaign": "kills",
        **total,
        "equal_to_unkilled": sum(result.equal for result in results),
        "equal_up_to_a_swallowed_request": sum(result.swallowed for result in results),
        "points": dict(sorted(points.items())),
        "seed": seed,
        "workers": workers,
        "seconds": round(seconds, 1),
    }
    broken = [
        {"seed": seed * 1_000 + worker, "round": number, **asdict(violation)}
        for worker, result in enumerate(results)
        for number, violation in result.violations
    ]
    return Report(figures, broken)


# Faults


def fault_campaign(folder: Path, seeds: Sequence[int], workers: int, say: Say, *, with_order_flow: bool = True) -> Report:
    """Play a fault schedule a seed; see `rehearsal.faults`.

    Parameters
    ----------
    workers : processes at once, each playing its share one after the other.
    """
    begun = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    outcomes: list[dict[str, Any]] = []
    broken: list[dict[str, Any]] = []
    with Forge(folder / "forge.log", _STRATEGIES if with_order_flow else _STRATEGIES[:1]) as forge:
        shares = [
            _Share(forge, folder / f"worker-{number}", list(seeds[number::workers]), with_order_flow=with_order_flow)
            for number in range(workers)
        ]
        said = time.monotonic()
        while any(share.is_busy for share in shares):
            time.sleep(_POLL_S)
            for share in shares:
                broken += share.look()
            outcomes = [outcome for share in shares for outcome in share.outcomes]
            if time.monotonic() - said > 5.0:
                said = time.monotonic()
                bad = sum(bool(outcome["violations"]) for outcome in outcomes) + len(broken)
                say(f"{len(outcomes)} of {len(seeds)} schedules, {bad} with violations, {said - begun:.0f} s")
    outcomes = [outcome for share in shares for outcome in share.outcomes]
    broken += [{"seed": one["seed"], **found} for one in outcomes for found in one["violations"]]
    return Report(_fault_figures(outcomes, seeds, workers, time.monotonic() - begun), broken)


def _fault_figures(outcomes: Sequence[dict[str, Any]], seeds: Sequence[int], workers: int, seconds: float) -> dict[str, Any]:
    faults: Counter[str] = Counter()
    for outcome in outcomes:
        faults.update(outcome["faults"])
    return {
        "campaign": "faults",
        "schedules": len(outcomes),
        "seeds": [min(seeds), max(seeds)],
        "faults": dict(sorted(faults.items())),
        "orders": sum(outcome["orders"] for outcome in outcomes),
        "fills": sum(outcome["fills"] for outcome in outcomes),
        "traded": sum(outcome["fills"] > 0 for outcome in outcomes),
        "restarts": sum(outcome["restarts"] for outcome in outcomes),
        "longest_unprotected_s": round(max((outcome["bare_s"] for outcome in outcomes), default=0.0), 3),
        "unprotected_over_5_s": sum(outcome["bare_s"] > 5.0 for outcome in outcomes),
        "workers": workers,
        "seconds": round(seconds, 1),
    }


class _Share:
    """One process and the seeds that it plays; one that hangs or dies is replaced, and its seed is broken."""

    def __init__(self, forge: Forge, folder: Path, seeds: list[int], *, with_order_flow: bool) -> None:
        self.outcomes: list[dict[str, Any]] = []
        self._forge = forge
        self._folder = folder
        self._left = seeds
        self._with_order_flow = with_order_flow
        self._pid: int | None = None
        self._read = 0
        self._moved = time.monotonic()
        folder.mkdir(parents=True)
        self._begin()

    @property
    def is_busy(self) -> bool:
        """Whether seeds are left to play."""
        return self._pid is not None

    def _begin(self) -> None:
        self._pid = None
        if self._left:
            arguments = {"folder": str(self._folder), "seeds": self._left, "with_order_flow": self._with_order_flow}
            self._pid = self._forge.start("schedules", self._folder / "log", **arguments)
            self._moved = time.monotonic()

    def look(self) -> list[dict[str, Any]]:
        """Take what was played since the last look; return what broke besides."""
        if self._pid is None:
            return []
        status = self._forge.wait(self._pid, 0.0)
        self._take()
        if status is None and time.monotonic() - self._moved < _SCHEDULE_S:
            return []
        if status == 0 and not self._left:
            self._pid = None
            return []
        if status is None:
            self._forge.kill(self._pid)
            self._forge.wait(self._pid, 10.0)
        seed = self._left.pop(0)
        kind, text = ("hang", f"not over after {_SCHEDULE_S:.0f} s") if status is None else ("crash", f"ended with {status}")
        self._begin()
        return [{"seed": seed, "kind": kind, "text": f"{text}; see '{self._folder / 'log'}'"}]

    def _take(self) -> None:
        file = self._folder / "outcomes.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.is_file() else []
        for line in lines[self._read :]:
            if not line.endswith("\n"):
                break
            self._read += 1
            outcome = json.loads(line)
            self.outcomes.append(outcome)
            self._left.remove(outcome["seed"])
            self._moved = time.monotonic()
