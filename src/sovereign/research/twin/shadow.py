"""The twin of a recorded session: the plays, what they differ by, and the verdict."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import median_low
from typing import Any

from sovereign.core.event import NoticeCode
from sovereign.core.instrument import find_instrument
from sovereign.core.session import from_ns
from sovereign.engine.inputs import (
    CommandReceived,
    ConnectionChanged,
    CorrectionMade,
    HealthChanged,
    Input,
    MarginsChanged,
    NoticeRaised,
    Slice,
    TimePromised,
)
from sovereign.engine.recovery import RECOVERY
from sovereign.execution.fill_model import PerUnitFees
from sovereign.research.twin.attribution import (
    Cause,
    Difference,
    Figures,
    Share,
    Stage,
    attribute,
    figures_of,
)
from sovereign.research.twin.books import Books, ItemKind, read_books
from sovereign.research.twin.observed import Observed, observe
from sovereign.research.twin.playback import (
    BROKER_SIDE,
    BY_VENUE,
    Played,
    Recorded,
    backtest,
    exact,
    last_ticks,
    with_broker,
    without_charges,
    without_corrections,
    without_people,
    without_waiting,
)

_MS = 1_000_000
_SHOWN = 5  # examples behind a cause; the recording has all


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayCheck:
    """What came of playing the recording exactly: `difference` says where it left the stored audit stream, empty if nowhere.

    `is_cut` says that the stored stream ends early, as that of a session does which runs or was killed.
    """

    replayed: int
    stored: int
    difference: str = ""
    is_cut: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether every stored event came again, byte for byte."""
        return not self.difference


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinResult:
    """A session beside its twin.

    Parameters
    ----------
    lives : processes that traded the session one after the other. is_closed : it came to its close; else both end where the
        recording does. live, twin : figures of both.
    """

    session_id: str
    strategy: str
    account: str
    mode: str
    trade_date: str
    zone: str
    is_simulated_data: bool
    lives: int
    is_closed: bool
    inputs: int
    ticks: int
    live: Figures
    twin: Figures
    shares: tuple[Share, ...]
    differences: tuple[Difference, ...]
    replay: ReplayCheck

    @property
    def net(self) -> Decimal:
        """Profit and loss of the session less that of the twin; the shares add up to it exactly."""
        return self.live.net - self.twin.net

    @property
    def is_identical(self) -> bool:
        """Whether session and twin did the same, in every compared value."""
        return not self.differences

    @property
    def is_explained(self) -> bool:
        """Whether every difference has a cause."""
        return all(share.is_empty for share in self.shares if share.cause is Cause.UNEXPLAINED) and (
            self.replay.is_exact or any(share.evidence for share in self.shares if share.cause is Cause.SIGNAL)
        )

    @property
    def verdict(self) -> str:
        """`identical`, `explained` or `unexplained`."""
        if not self.is_explained:
            return "unexplained"
        return "identical" if self.is_identical else "explained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Who the session was, for the result; `signal` are the reasons why its signals may not come again."""

    session_id: str
    strategy: str = ""
    account: str = ""
    mode: str = ""
    signal: tuple[str, ...] = ()
    is_over: bool = True


@dataclass(slots=True)
class _Plays:
    stages: list[Stage] = field(default_factory=list)

    def add(self, cause: Cause, books: Books) -> None:
        self.stages.append(Stage(cause=cause, books=books))


def shadow(recorded: Recorded, facts: Facts, stored: Sequence[str] | None = None) -> TwinResult:
    """Play a session and its twin, and give every difference its cause.

    Parameters
    ----------
    stored : the session's audit events as the store keeps them (canonical JSON); None when nothing was stored, and then the
        exact replay stands for the session.
    """
    opening, prices = recorded.opening, last_ticks(recorded.inputs)
    replayed = exact(recorded)

    def books_of(played: Played) -> Books:
        return read_books(played.events, opening, prices)

    check = _compare(replayed.events, stored, is_over=facts.is_over)
    replay_books = books_of(replayed)
    session_books = replay_books
    if stored is not None and not check.is_exact:
        session_books = read_books(map(json.loads, stored), opening, prices)
    observed = observe(recorded.inputs, (event for event in replayed.events if event["event"] == "OrderChanged"))
    until = replayed.conductor.until_ns or recorded.opened.session.close_ns
    first = Cause.SIGNAL if facts.signal else Cause.UNEXPLAINED
    plays = _Plays()
    plays.add(first, session_books)
    plays.add(Cause.FILL, replay_books)
    inputs = without_corrections(recorded.inputs)
    timed_books = books_of(with_broker(recorded, inputs, observed, is_timed=True, is_charged=True))
    plays.add(Cause.LATENCY, timed_books)
    inputs = without_waiting(inputs)
    plays.add(Cause.FEE, books_of(with_broker(recorded, inputs, observed, is_timed=False, is_charged=True)))
    inputs = without_charges(inputs)
    plays.add(Cause.PERSON, books_of(with_broker(recorded, inputs, observed, is_timed=False, is_charged=False)))
    inputs = without_people(inputs)
    plays.add(Cause.DATA, books_of(with_broker(recorded, inputs, observed, is_timed=False, is_charged=False)))
    twin = books_of(backtest(recorded, until))
    evidence = _evidence(recorded, facts, observed, replayed, is_exact=check.is_exact)
    evidence[Cause.FILL] += _on_pieces(replay_books, timed_books)
    shares, differences = attribute(plays.stages, twin, evidence)
    return TwinResult(
        session_id=facts.session_id,
        strategy=facts.strategy,
        account=facts.account,
        mode=facts.mode,
        trade_date=recorded.opened.session.trade_date.isoformat(),
        zone=recorded.opened.session.zone,
        is_simulated_data=recorded.is_simulated_data,
        lives=recorded.lives,
        is_closed=recorded.is_closed,
        inputs=len(recorded.inputs),
        ticks=sum(len(item.trades) for item in recorded.inputs if isinstance(item, Slice)),
        live=figures_of(session_books),
        twin=figures_of(twin),
        shares=shares,
        differences=differences,
        replay=check,
    )


def canonical(event: Mapping[str, Any]) -> str:
    """Return the canonical text of an event in plain form, as the audit chain keeps it."""
    return json.dumps(event, sort_keys=True, separators=(",", ":"))


def _compare(replayed: Sequence[Mapping[str, Any]], stored: Sequence[str] | None, *, is_over: bool) -> ReplayCheck:
    if stored is None:
        return ReplayCheck(replayed=len(replayed), stored=0, is_cut=True)
    difference = ""
    for number, (event, text) in enumerate(zip(replayed, stored, strict=False)):
        if canonical(event) != text:
            difference = f"event {number}: stored was {_brief(json.loads(text))}, replayed is {_brief(event)}"
            break
    else:
        if len(stored) > len(replayed):
            difference = (
                f"event {len(replayed)}: stored was {_brief(json.loads(stored[len(replayed)]))}, the replay ended before"
            )
        elif len(stored) < len(replayed) and is_over:
            difference = f"event {len(stored)}: nothing was stored, replayed is {_brief(replayed[len(stored)])}"
    return ReplayCheck(
        replayed=len(replayed), stored=len(stored), difference=difference, is_cut=not difference and len(stored) < len(replayed)
    )


def _brief(event: Mapping[str, Any]) -> str:
    return f"{event['event']} at {from_ns(event['ts']).isoformat()}"


# The facts behind each cause.


def _evidence(
    recorded: Recorded, facts: Facts, observed: Observed, replayed: Played, *, is_exact: bool
) -> dict[Cause, list[str]]:
    inputs = recorded.inputs
    return {
        Cause.SIGNAL: [] if is_exact else list(facts.signal),
        Cause.FILL: _on_fills(inputs, observed),
        Cause.LATENCY: _on_latency(recorded, observed),
        Cause.FEE: _on_charges(recorded, observed),
        Cause.PERSON: _on_people(without_corrections(inputs)),
        Cause.DATA: _on_data(inputs, replayed),
    }


def _some(texts: Sequence[str]) -> list[str]:
    more = len(texts) - _SHOWN
    return [*texts[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]


def _on_fills(inputs: Iterable[Input], observed: Observed) -> list[str]:
    lines = _some([f"rejected: {text}" for text in observed.rejected])
    corrections = [item.correction for item in inputs if isinstance(item, CorrectionMade)]
    lines += _some([f"corrected: {one.kind.value} {one.subject} ({one.reason})" for one in corrections])
    return lines


def _on_pieces(session: Books, modeled: Books) -> list[str]:
    def pieces(books: Books) -> Counter[str]:
        return Counter(key.rpartition(" #")[0] for kind, key in books.items if kind is ItemKind.FILL)

    ours, theirs = pieces(session), pieces(modeled)
    split = [order for order, count in ours.items() if theirs[order] and count != theirs[order]]
    return [f"orders that filled in another number of pieces: {len(split)}"] if split else []


def _on_latency(recorded: Recorded, observed: Observed) -> list[str]:
    lines = []
    modeled = recorded.recipe.execution.latency_ns
    for request, lags in observed.lags.items():
        if any(lag != modeled for lag in lags):
            usual = f"{min(lags) / _MS:g} to {max(lags) / _MS:g} ms (median {median_low(lags) / _MS:g})"
            lines.append(f"{request}: {len(lags)} took {usual}, modeled are {modeled / _MS:g}")
    late = [wait for wait in observed.waits if wait > 0]
    if late:
        lines.append(f"{len(late)} reports were known up to {max(late) / _MS:g} ms after they happened")
    if observed.lost:
        lines.append(f"orders that never arrived: {', '.join(_some(list(observed.lost)))}")
    outages = sum(isinstance(i, ConnectionChanged) and i.subject == "broker" and not i.is_connected for i in recorded.inputs)
    if outages:
        lines.append(f"the line to the broker was lost {outages} times")
    away = _away_ns(recorded.inputs)
    if away:
        lines.append(
            f"the venue was out of reach, or the books not compared with it yet, for {away / 1e9:.1f} s of market time"
        )
    if recorded.lives > 1:
        lines.append(f"{recorded.lives} processes traded it, one after the other")
    return lines


def _away_ns(inputs: Iterable[Input]) -> int:
    """Return how long entries were refused because of the venue, ns of market time."""
    since: dict[str, int] = {}
    away = last = 0
    for item in inputs:
        last = max(last, item.ts)
        if isinstance(item, ConnectionChanged) and item.subject == "broker":
            subject, is_well = "connection:broker", item.is_connected
        elif isinstance(item, HealthChanged) and item.subject in BROKER_SIDE:
            subject, is_well = item.subject, item.is_well
        else:
            continue
        was_away = min(since.values(), default=None)
        if is_well:
            since.pop(subject, None)
        else:
            since.setdefault(subject, item.ts)
        if was_away is not None and not since:
            away += item.ts - was_away
    return away + (last - min(since.values()) if since else 0)


def _on_charges(recorded: Recorded, observed: Observed) -> list[str]:
    lines = []
    model = PerUnitFees(dict(recorded.recipe.execution.fees), 1)
    for symbol, fees in observed.symbol_fees.items():
        if not symbol:
            continue
        own = model.fee(find_instrument(symbol), 1, 0)
        if fees != {own}:
            lines.append(
                f"{symbol}: charged {', '.join(f'{fee:f}' for fee in sorted(fees))} a side and unit, settings say {own}"
            )
    margins = [item.margins for item in recorded.inputs if isinstance(item, MarginsChanged)]
    for root, own_margin in recorded.recipe.execution.margins.items():
        charged = {found[symbol] for found in margins for symbol in found if find_instrument(symbol).root == root}
        if charged - {own_margin}:
            lines.append(f"{root}: margin charged {', '.join(str(m) for m in sorted(charged))}, settings say {own_margin}")
    return lines


def _on_people(inputs: Iterable[Input]) -> list[str]:
    lines = []
    for item in inputs:
        if isinstance(item, CommandReceived) and item.command.by != RECOVERY:
            command = item.command
            words = " ".join(f"{name}={value}" for name, value in command.arguments.items())
            reason = f" ({command.reason})" if command.reason and command.by != BY_VENUE else ""
            lines.append(
                f"{from_ns(item.ts).isoformat()} {command.kind.value} {words} by {command.by}{reason}".replace("  ", " ")
            )
    return _some(lines)


def _on_data(inputs: Iterable[Input], replayed: Played) -> list[str]:
    lines = [
        f"{symbol}: {count} ticks came after their time" for symbol, count in replayed.conductor.late_ticks.items() if count
    ]
    silent = sum(isinstance(item, TimePromised) for item in inputs)
    if silent:
        lines.append(f"time went on without ticks {silent} times")
    troubles: dict[str, list[str]] = {}
    for item in inputs:
        if isinstance(item, HealthChanged) and not item.is_well and item.subject.startswith(("backlog", "data:")):
            troubles.setdefault(item.subject, []).append(item.reason)
        elif isinstance(item, ConnectionChanged) and item.subject == "feed" and not item.is_connected:
            troubles.setdefault("the line to the feed was lost", []).append(item.reason)
        elif isinstance(item, NoticeRaised) and item.code is NoticeCode.FAILURE:
            troubles.setdefault("the session failed", []).append(item.text)
    for subject, reasons in troubles.items():
        times = f" {len(reasons)} times, first" if len(reasons) > 1 else ""
        lines.append(f"{subject}{times}: {reasons[0]}" if reasons[0] else f"{subject}{times.removesuffix(', first')}")
    return lines
