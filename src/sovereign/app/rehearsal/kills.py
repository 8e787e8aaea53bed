"""The kill campaign: a trading process in its own process is killed again and again, and started again, until its tape ends.

A round is one tape, traded from its beginning to its end by as many processes as it takes. Kills fall at random moments of
the wall clock and at named points between two steps of the code. After each, what is on the disk and what the venue knows must
agree so far; at the end they must agree wholly. In lockstep the market waits for the session, so that the result can be held
against that of a run which nobody killed.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from sovereign.app.rehearsal.books import (
    Kept,
    Ours,
    Violation,
    check_chain,
    check_fills,
    check_journal,
    check_money,
    check_orders,
    kept_sessions,
    run_again,
)
from sovereign.app.rehearsal.faults import check_state
from sovereign.app.rehearsal.forge import Forge
from sovereign.app.rehearsal.processes import ACCOUNT, POINTS, is_rare, settings_of
from sovereign.app.rehearsal.settings import DRILL, add_drill
from sovereign.app.rehearsal.venue_books import books_of, wait_listening
from sovereign.core.event import NoticeCode
from sovereign.core.order import OrderStatus

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.core.position import Fill
    from sovereign.execution.broker import BrokerSnapshot

_SIGKILL = -9
_BY_A_TICK = (OrderStatus.FILLED, OrderStatus.CANCELED)
_KILLS_A_ROUND = 12
"""Kills after which a round is left alone: where coming back takes longer than the time between two kills, it never ends."""
_END_S = 60.0
"""Longest time for a process that nobody kills to come to the end of its tape, s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A tape and how it is traded; `number` seeds the kills."""

    number: int
    strategy: str
    seed: int
    sessions: int
    seconds: float
    pace: str
    holds_brackets: bool
    latency_ms: float = 250.0

    @property
    def key(self) -> tuple[Any, ...]:
        """What the result of a run without kills depends on."""
        return (self.strategy, self.seed, self.sessions, self.seconds, self.holds_brackets)


@dataclass(slots=True)
class Result:
    """What became of the campaign."""

    kills: int = 0
    rounds: int = 0
    sessions: int = 0
    starts: int = 0
    orders: int = 0
    fills: int = 0
    points: Counter[str] = field(default_factory=Counter)
    equal: int = 0
    swallowed: int = 0
    seconds: float = 0.0
    slowest_start_s: float = 0.0
    violations: list[tuple[int, Violation]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Story:
    """What a whole round came to, to be held against another: fills and balance by session."""

    fills: tuple[tuple[Any, ...], ...]
    cash: str


Progress = Callable[[Result, Round], object]


def round_of(number: int, seed: int, *, with_order_flow: bool = True, sessions: int = 2) -> Round:
    """Return a round of a campaign; the same numbers give the same one."""
    random = Random(f"{seed}/{number}")  # noqa: S311 - a plan to repeat, not a secret
    if with_order_flow and number % 8 == 5:
        return Round(
            number=number,
            strategy="order_flow",
            seed=random.randrange(2),
            sessions=1,
            seconds=2_400.0,
            pace="lockstep",
            holds_brackets=True,
            latency_ms=2_000.0,
        )
    return Round(
        number=number,
        strategy=DRILL,
        seed=random.randrange(6),
        sessions=sessions,
        seconds=120.0,
        pace="lockstep" if random.random() < 0.8 else "fast",
        holds_brackets=number % 3 != 2,
    )


class Campaign:
    """Kills until `kills` are done.

    Parameters
    ----------
    folder : for everything the processes leave behind; a round without a violation is removed.
    with_order_flow : an eighth of the rounds trade order flow, whose kernels take a minute to compile on a new machine.
    sessions : of each round's tape, one after the other.
    """

    def __init__(
        self,
        forge: Forge,
        folder: Path,
        kills: int,
        seed: int,
        progress: Progress,
        *,
        with_order_flow: bool = True,
        sessions: int = 2,
    ) -> None:
        add_drill()
        self.result = Result()
        self._forge = forge
        self._folder = folder
        self._kills = kills
        self._seed = seed
        self._kind: dict[str, Any] = {"with_order_flow": with_order_flow, "sessions": sessions}
        self._progress = progress
        self._unkilled: dict[tuple[Any, ...], Story] = {}

    def run(self) -> Result:
        """Play rounds until enough kills are done."""
        begun, number, result = time.monotonic(), 0, self.result
        while result.kills < self._kills:
            plan = round_of(number, self._seed, **self._kind)
            self._play(plan)
            number += 1
            result.rounds = number
            result.seconds = time.monotonic() - begun
            self._progress(result, plan)
        return result

    def _play(self, plan: Round) -> None:
        before = len(self.result.violations)
        expected = None
        if plan.pace == "lockstep":
            expected = self._unkilled.get(plan.key) or self._unkilled.setdefault(plan.key, self._trade_unkilled(plan))
        folder = self._folder / f"round-{plan.number}"
        run = _Run(self._forge, folder, plan, self.result, self._kills, self._seed)
        try:
            run.play()
            run.judge(expected)
        finally:
            run.end()
        if len(self.result.violations) == before:
            shutil.rmtree(folder, ignore_errors=True)

    def _trade_unkilled(self, plan: Round) -> Story:
        folder = self._folder / f"unkilled-{plan.strategy}-{plan.seed}-{plan.holds_brackets}"
        run = _Run(self._forge, folder, plan, Result(), 0, self._seed)
        try:
            run.play()
            story = run.judge(None)
        finally:
            run.end()
        self.result.violations += run.result.violations
        return story


class _Run:
    """One round: its venue, its trading processes, and what is found out about them."""

    def __init__(self, forge: Forge, folder: Path, plan: Round, result: Result, kills: int, seed: int) -> None:
        self.result = result
        self._forge = forge
        self._folder = folder
        self._plan = plan
        self._kills = kills
        self._random = Random(f"kills {seed}/{plan.number}")  # noqa: S311 - a plan to repeat, not a secret
        self._settings: Settings = settings_of(str(folder), plan.latency_ms)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._common = {"folder": str(folder), "latency_ms": plan.latency_ms}
        tape = {
            "start": "2025-11-17",
            "seed": plan.seed,
            "sessions": plan.sessions,
            "offset_s": 1_800,
            "seconds": plan.seconds,
            "synthetic": {"ticks_per_session": 400_000},
        }
        market = {"pace": plan.pace, "speed": 20.0, "holds_brackets": plan.holds_brackets}
        self._venue = forge.start("venue", folder / "venue.log", tape=tape, market=market, **self._common)
        self._trader: int | None = None
        self._killed = 0
        self._swallowed_ns: int | None = None

    def _find(self, kind: str, text: str) -> None:
        self.result.violations.append((self._plan.number, Violation(kind=kind, text=text)))

    def end(self) -> None:
        """Leave no process behind."""
        for pid in (self._trader, self._venue):
            if pid is not None:
                self._forge.kill(pid)
                self._forge.wait(pid, 10.0)

    def play(self) -> None:
        """Start, kill and start again until the tape has ended."""
        wait_listening(self._settings.venue.state, 60.0)
        deadline = time.monotonic() + 10 * _END_S
        while True:
            status = self._incarnation()
            self._trader = None
            if status == 0:
                return
            if status == _SIGKILL:
                self.result.kills += 1
                self._killed += 1
                self._look()
            elif status is None:
                self._find("deadlock", f"a process that nobody killed had not ended after {_END_S:.0f} s")
                return
            else:
                self._find("crash", f"a trading process ended by itself with {status}; see '{self._folder}/trader.log'")
                return
            if time.monotonic() > deadline:
                self._find("deadlock", f"the tape had not ended after {10 * _END_S:.0f} s")
                return

    def _incarnation(self) -> int | None:
        """Run one trading process; return how it ended, None when it did not."""
        random, arguments = self._random, dict(self._common, strategy=self._plan.strategy)
        wants_kill = self.result.kills < self._kills and self._killed < _KILLS_A_ROUND
        by_point = wants_kill and random.random() < 0.5
        if by_point:
            point = random.choice(POINTS)
            count = 1 if is_rare(point) else random.randint(1, 60)
            arguments |= {"point": point, "count": count, "tear": random.randrange(10_000)}
        pid = self._trader = self._forge.start("trade", self._folder / "trader.log", **arguments)
        self.result.starts += 1
        if by_point:
            status = self._forge.wait(pid, _END_S)
            if status == _SIGKILL:
                self.result.points[str(arguments["point"])] += 1
            return status
        if not wants_kill:
            return self._forge.wait(pid, _END_S)
        # A third of the kills falls into the start: replay, connection, comparison.
        status = self._forge.wait(pid, random.uniform(0.0, 0.35) if random.random() < 0.33 else random.uniform(0.2, 1.5))
        if status is None:
            self._forge.kill(pid)
            status = self._forge.wait(pid, 10.0)
            if status == _SIGKILL:
                self.result.points["the clock"] += 1
        return status

    # What is found

    def _venue_books(self) -> BrokerSnapshot:
        return books_of(self._settings.venue.state, ACCOUNT)

    def _retold(self) -> Iterator[tuple[str, Ours]]:
        """Run again every session that has begun."""
        kept = kept_sessions(self._folder / "trading.sqlite")
        earlier: list[Path] = []
        for name in kept:
            path = self._settings.session.folder / f"{name}.rec"
            if not path.is_file() or not path.stat().st_size:
                continue
            warm = earlier[-self._settings.session.warm_up_sessions :]
            yield (
                name,
                run_again(self._settings, self._plan.strategy, name, path, warm, holds_brackets=self._plan.holds_brackets),
            )
            earlier.append(path)

    def _note(self, found: Iterator[Violation]) -> None:
        for violation in found:
            self.result.violations.append((self._plan.number, violation))

    def _look(self) -> None:
        """What must hold right after a kill: nothing at the venue that was not kept, no fill invented or doubled."""
        venue = self._venue_books()
        kept = kept_sessions(self._folder / "trading.sqlite")
        self._note(check_journal(kept, venue))
        told = dict(self._retold())
        self._note(check_fills([fill for ours in told.values() for fill in ours.fills], venue, is_over=False))
        if self._swallowed_ns is None:
            self._swallowed_ns = swallowed_ns(told, kept, venue)

    def judge(self, expected: Story | None) -> Story:
        """Hold everything against each other at the end of the tape; with `expected`, also the result."""
        venue = self._venue_books()
        kept = kept_sessions(self._folder / "trading.sqlite")
        self._note(check_journal(kept, venue))
        told = dict(self._retold())
        fills: list[Fill] = []
        statuses: dict[str, Any] = {}
        for name, ours in told.items():
            fills += ours.fills
            statuses |= ours.statuses
            self._note(check_chain(ours, kept[name], name))
            if kept[name].status != "ended":
                self._find("session open", f"{name} is '{kept[name].status}' though its tape has ended")
            if ours.codes()[NoticeCode.POSITION_ADOPTED]:
                self._find("position adopted", f"{name} took a position over from the venue instead of booking its fills")
        self._note(check_fills(fills, venue, is_over=True))
        self._note(check_orders(statuses, venue))
        if told:
            last = list(told.values())[-1]
            self._note(check_money(last.conductor, venue))
            self._note(check_state(last, round(self._plan.latency_ms * 1e6)))
        self.result.sessions += len(told)
        if len(told) != self._plan.sessions and self._plan.pace == "lockstep":
            self._find("session missing", f"{len(told)} of {self._plan.sessions} sessions were traded")
        self.result.orders += len(venue.orders)
        self.result.fills += len(venue.executions)
        story = Story(tuple(_plain(fill) for fill in fills), str(venue.cash))
        if expected is not None:
            self._compare(expected, story)
        return story

    def _compare(self, expected: Story, story: Story) -> None:
        """The result is that of a run without kills, up to the first request that a kill swallowed."""
        moment = self._swallowed_ns
        if moment is None:
            self.result.equal += 1
            if story != expected:
                self._find("other result", difference(expected, story))
            return
        self.result.swallowed += 1
        before = Story(tuple(one for one in story.fills if one[0] < moment), "")
        wanted = Story(tuple(one for one in expected.fills if one[0] < moment), "")
        if before != wanted:
            self._find("other result", "before the first swallowed request: " + difference(wanted, before))


def _plain(fill: Fill) -> tuple[Any, ...]:
    return (fill.ts, fill.client_order_id, fill.trade_id, str(fill.side), fill.quantity, fill.price_ticks, str(fill.fee))


def swallowed_ns(told: Mapping[str, Ours], kept: Mapping[str, Kept], venue: BrokerSnapshot) -> int | None:
    """Return the market time of a kill that swallowed something, so that the rest must differ from a run without kills.

    Swallowed is a request that was decided and never kept, or kept and never sent; what the venue said meanwhile is told again.
    What a slice brought about (a fill, a bracket, an expiry) is told with it, and until it was read the books differ: nothing
    is opened on that slice.
    """
    theirs = {order.client_order_id: order for order in venue.orders}
    filled = {(entry.client_order_id, entry.trade_id) for entry in venue.executions}
    booked = {(fill.client_order_id, fill.trade_id) for ours in told.values() for fill in ours.fills}
    for name, ours in told.items():
        sent = {order for request, order in kept[name].requests if request == "NEW"} if name in kept else set()
        executor = ours.conductor.engine.executor
        working = {order.client_order_id: order for order in executor.working()}
        is_swallowed = (
            any(order.parent_id is None and order_id not in sent for order_id, order in working.items())
            or any(order_id not in theirs for order_id in working)
            or ours.conductor.is_told_more
            or bool(filled - booked)
            or any(theirs[order_id].status in _BY_A_TICK for order_id in working if order_id in theirs)
            or any(one.client_order_id not in ours.statuses and not one.status.is_closed for one in theirs.values())
            or any(entry.request != "NEW" for entry in executor.in_flight(ours.conductor.engine.now_ns))
        )
        if is_swallowed and name == list(told)[-1]:
            return ours.conductor.engine.now_ns
    return None


def difference(expected: Story, found: Story) -> str:
    """Say where two stories part."""
    for number, (one, other) in enumerate(zip(expected.fills, found.fills, strict=False)):
        if one != other:
            return f"fill {number} was {other}, and {one} without kills"
    if len(expected.fills) != len(found.fills):
        return f"there were {len(found.fills)} fills, and {len(expected.fills)} without kills"
    return f"cash was {found.cash}, and {expected.cash} without kills"
