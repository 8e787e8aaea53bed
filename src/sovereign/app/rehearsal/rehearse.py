"""A rehearsal of one strategy: a calm session, then one for every kind of fault, each held against the venue's books."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from sovereign.app.rehearsal.faults import Outcome, Schedule, play, tape_of
from sovereign.app.rehearsal.settings import user_settings
from sovereign.app.rehearsal.warm_up import record_days
from sovereign.execution.venue.configuration import Pace, TapeSpec
from sovereign.execution.venue.fault import FaultKind, seeded_faults

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings

CALM = "none"
_DAY = date(2025, 11, 17)
_SPEED = 120.0
_SLICE_MS = 1_000.0
_FAULTS = 6
_AT_ONCE = 4
_END_S = 60.0
_WARM_MOST = 20  # days before; a month of ticks takes long to make
_SILENCE_S, _STALE_S = 1.5, 5.0
"""A machine that plays four acts at once is silent for longer than a network is."""

DOES: Mapping[str, str] = {
    CALM: "nothing goes wrong",
    FaultKind.DROP: "the connection ends",
    FaultKind.RESET: "the connection is torn down",
    FaultKind.MUTE: "the line is silent, and looks alive",
    FaultKind.DELAY: "messages come late",
    FaultKind.DUPLICATE: "messages come twice",
    FaultKind.REORDER: "messages overtake each other",
    FaultKind.LOSE: "messages never come",
    FaultKind.PARTIAL_FILL: "orders fill in pieces",
    FaultKind.REJECT: "orders are rejected",
    FaultKind.CANCEL_AFTER_FILL: "orders fill just before their cancel",
    FaultKind.AMNESIA: "the venue forgets who is logged in",
    FaultKind.RESTART: "the venue is away, and comes back from its files",
    FaultKind.CLOCK_SKEW: "the venue's clock is off",
    FaultKind.RATE_LIMIT: "orders are turned away for being too many",
}
"""What each kind of fault does, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One session of a rehearsal: the kind of fault, and what became of it."""

    kind: str
    does: str
    armed: int
    orders: int
    fills: int
    trades: int
    net: float
    rejected: int
    lost_connections: int
    asked_for: int
    corrections: int
    unprotected_s: float
    restarts: int
    refusals: Mapping[str, int]
    violations: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether every promise was kept."""
        return not self.violations


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What a strategy's rehearsal found."""

    strategy: str
    symbol: str
    minutes: float
    seed: int
    acts: tuple[Act, ...]

    @property
    def is_whole(self) -> bool:
        """Whether the strategy came out of every act whole."""
        return all(act.is_whole for act in self.acts)

    @property
    def is_conclusive(self) -> bool:
        """Whether an order was sent that a fault could have met."""
        return any(act.orders for act in self.acts)

    @property
    def verdict(self) -> str:
        """What to make of it, in a sentence."""
        broken = [act.kind for act in self.acts if not act.is_whole]
        if broken:
            return f"not whole: a promise was broken by {', '.join(broken)}"
        if not self.is_conclusive:
            return f"inconclusive: the strategy sent no order ({self._why_none()}), so no fault met one; rehearse longer"
        return "whole: after every fault the books were the venue's, and no position was left without protection"

    def _why_none(self) -> str:
        refusals = self.acts[0].refusals
        if not refusals:
            return "it proposed none"
        check, count = next(iter(refusals.items()))
        return f"of {sum(refusals.values())} candidates check '{check}' refused {count}"


def rehearse(
    given: Settings,
    strategy: str,
    folder: Path,
    *,
    symbol: str = "ES",
    minutes: float = 60.0,
    seed: int = 7,
    kinds: Sequence[str] = tuple(DOES),
    told: Callable[[Act], object] = lambda _: None,
) -> Rehearsal:
    """Play a strategy under its own settings through every kind of fault.

    Parameters
    ----------
    folder : for the venue's books, recordings and stores of the acts; those of an act that came out whole can be removed.
    minutes : of the synthetic day session from 10:00 on. seed : of the market and the faults.
    kinds : of faults, an act each; `none` is the calm one.
    told : called with each act when it is over.
    """
    tape = TapeSpec(symbol=symbol, start=_DAY, seed=seed, offset_s=1_800, seconds=minutes * 60)
    tape_of(tape)
    warm = record_days(symbol, seed, _DAY, min(given.session.warm_up_sessions, _WARM_MOST), folder / "before")
    span_ms = minutes * 60e3
    schedules = {
        kind: Schedule(
            seed=seed,
            strategy=strategy,
            tape=tape,
            pace=Pace.FAST,
            holds_brackets=given.venue.holds_brackets,
            faults=() if kind == CALM else seeded_faults(seed, 0.9 * span_ms, _FAULTS, 150.0, (FaultKind(kind),)),
            commands=(),
            latency_ms=given.execution.latency_ms,
            speed=_SPEED,
            slice_ms=_SLICE_MS,
            deadline_s=3 * minutes * 60 / _SPEED + _END_S,
            warm=warm,
            unprotected_s=6 * given.execution.unprotected_alarm_s + 60.0,
        )
        for kind in kinds
    }
    acts: dict[str, Act] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        waiting = {
            pool.submit(play, schedule, folder / kind, _settings(given, folder / kind)): kind
            for kind, schedule in schedules.items()
        }
        for done in as_completed(waiting):
            kind = waiting[done]
            acts[kind] = _act(kind, done.result())
            told(acts[kind])
    return Rehearsal(strategy=strategy, symbol=symbol, minutes=minutes, seed=seed, acts=tuple(acts[kind] for kind in kinds))


def _settings(given: Settings, folder: Path) -> Settings:
    # What is measured in market time passes so many times as fast.
    live = {"backlog_ms": round(given.live.backlog_ms * _SPEED), "stale_data_s": _STALE_S}
    session = {"warm_up_sessions": given.session.warm_up_sessions}
    return user_settings(given, folder, live=live, venue={"client": {"silence_s": _SILENCE_S}}, session=session)


def _act(kind: str, outcome: Outcome) -> Act:
    notices = outcome.notices
    return Act(
        kind=str(kind),
        does=DOES[kind],
        armed=sum(outcome.faults.values()),
        orders=outcome.orders,
        fills=outcome.fills,
        trades=outcome.trades,
        net=outcome.net,
        rejected=outcome.rejected,
        lost_connections=notices["CONNECTION_LOST"] // 2,  # one line is both feed and broker
        asked_for=notices["ORDER_IN_FLIGHT"],
        corrections=notices["MISMATCH"] + notices["ORDER_UNKNOWN"],
        unprotected_s=round(outcome.bare_s, 3),
        restarts=outcome.restarts,
        refusals=dict(outcome.refusals.most_common()),
        violations=tuple(f"{found.kind}: {found.text}" for found in outcome.violations),
    )


_HEADS = ("fault", "armed", "orders", "fills", "trades", "net", "refused", "lost lines", "asked", "put right", "bare s", "")


def _cells(act: Act) -> tuple[str, ...]:
    return (
        act.kind,
        str(act.armed),
        str(act.orders),
        str(act.fills),
        str(act.trades),
        f"{act.net:,.2f}",
        str(act.rejected),
        str(act.lost_connections),
        str(act.asked_for),
        str(act.corrections),
        f"{act.unprotected_s:.1f}",
        "whole" if act.is_whole else "NOT WHOLE",
    )


def as_text(found: Rehearsal) -> str:
    """Return a rehearsal as a table for the terminal."""
    rows = [_HEADS, *(_cells(act) for act in found.acts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = [
        "  ".join(
            cell.ljust(width) if n in (0, len(_HEADS) - 1) else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines += [f"  {act.kind}: {text}" for act in found.acts for text in act.violations]
    return "\n".join([*lines, "", f"{found.strategy}: {found.verdict}"])


def as_markdown(found: Rehearsal) -> str:
    """Return a rehearsal as a page to keep."""
    lines = [
        f"# Chaos rehearsal of {found.strategy}",
        "",
        f"{found.minutes:g} minutes of the synthetic market of {found.symbol} (simulated data), seed {found.seed}:",
        "once without faults, then once with each kind. After each session our books were compared with the venue's.",
        "",
        f"**{found.verdict.capitalize()}.**",
        "",
        f"| fault | what happens | {' | '.join(_HEADS[1:])} |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for act in found.acts:
        first, *rest = _cells(act)
        lines.append(f"| {first} | {act.does} | {' | '.join(rest)} |")
    broken = [f"- {act.kind}: {text}" for act in found.acts for text in act.violations]
    lines += ["", "## Broken promises", "", *(broken or ["None."]), ""]
    lines += [
        "*Asked*: requests that were not answered and asked for. *Put right*: differences that the comparison with the venue",
        "found and corrected. *Bare s*: longest time the venue held a position with too few stops, seconds of market time. Net",
        "differs from act to act, as a fault changes what is traded.",
        "",
    ]
    return "\n".join(lines)
