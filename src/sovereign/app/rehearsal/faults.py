"""The chaos campaign: short sessions against a venue that misbehaves by a seeded schedule, each judged when it is over.

A schedule is everything that a seed decides: market, pace, who keeps the brackets, strategy, faults, and what a person asks on
the way. Venue and session live in one process here, on sockets of their own; what dies is tried by the kill campaign.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from sovereign.app.rehearsal.books import (
    Violation,
    check_chain,
    check_fills,
    check_journal,
    check_money,
    check_orders,
    kept_sessions,
    run_again,
)
from sovereign.app.rehearsal.protection import first_sizes, longest_bare_ns
from sovereign.app.rehearsal.settings import DRILL, add_drill, drill_settings
from sovereign.app.rehearsal.warm_up import keep_days
from sovereign.core.command import Command, CommandKind
from sovereign.core.event import NoticeCode
from sovereign.core.order import OrderStatus
from sovereign.execution.venue.configuration import Pace, TapeSpec
from sovereign.execution.venue.fault import Fault, FaultKind, seeded_faults
from sovereign.execution.venue.tape import Tape

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.app.rehearsal.books import Ours
    from sovereign.app.task import Task, Traded
    from sovereign.core.columns import Trades
    from sovereign.core.session import Session
    from sovereign.execution.venue.server import VenueServer

ACCOUNT = "rehearsal"
_DAY = date(2025, 11, 17)
_SPEED = 30.0
_ACTIVE_S, _QUIET_S = 50.0, 60.0
_ORDER_FLOW_SHARE = 0.05
_ORDER_FLOW_WARM_S, _ORDER_FLOW_S, _ORDER_FLOW_LATENCY_MS = 1_200.0, 2_400.0, 2_000.0
_TAPES = 8
_TOKENS = {"trade": "rehearsal-trade", "guard": "rehearsal-guard"}
_ADMIN = "rehearsal-admin"
_RESTARTS = 4
_SILENCES = (FaultKind.MUTE, FaultKind.RESTART, FaultKind.DELAY, FaultKind.RATE_LIMIT)
_POLL_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What a seed decides.

    Parameters
    ----------
    speed : market seconds a second where the pace is fast. slice_ms : of the tape; None as the pace has it.
    deadline_s : longest time until the session has ended, s.
    unprotected_s : longest time that the venue may hold a position without protection, s of market time: the alarm's limit
        (`execution.unprotected_alarm_s`), and the actions after it, each of which may be lost once.
    warm : recordings of the sessions before, see `warm_up`; signals begin with them.
    """

    seed: int
    strategy: str
    tape: TapeSpec
    pace: Pace
    holds_brackets: bool
    faults: tuple[Fault, ...]
    commands: tuple[tuple[float, CommandKind], ...]
    latency_ms: float = 250.0
    speed: float = _SPEED
    slice_ms: float | None = None
    deadline_s: float = 60.0
    unprotected_s: float = 30.0
    warm: tuple[Path, ...] = ()

    def task(self, url: str) -> Task:
        """Return what the trading process is to do."""
        from sovereign.app.task import PAPER, Task

        return Task(strategy=self.strategy, mode=PAPER, account=ACCOUNT, url=url, token=_TOKENS["trade"], is_once=True)


@dataclass(slots=True)
class Outcome:
    """What became of a schedule.

    `bare_s` is the longest time that the venue held a position with too few stops (market s), `stalled_s` for how long the
    machine did not let the rehearsal run (s), `net` what the trades made, in account currency.
    """

    seed: int
    violations: list[Violation] = field(default_factory=list)
    seconds: float = 0.0
    orders: int = 0
    fills: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    notices: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    bare_s: float = 0.0
    stalled_s: float = 0.0
    trades: int = 0
    net: float = 0.0
    rejected: int = 0


def plain_outcome(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as JSON-ready values."""
    counts = {name: dict(getattr(outcome, name)) for name in ("faults", "notices", "refusals")}
    return {**asdict(outcome), **counts}


def schedule_of(seed: int, *, with_order_flow: bool = True) -> Schedule:
    """Return the schedule of a seed; the same seed gives the same one (but for the strategy, without order flow)."""
    random = Random(seed)  # noqa: S311 - a schedule to repeat, not a secret
    # Order flow looks on for twenty minutes before it trades, which only a market in lockstep makes short.
    is_order_flow = random.random() < _ORDER_FLOW_SHARE and with_order_flow
    is_lockstep = random.random() < 0.6 or is_order_flow
    begin_s = _ORDER_FLOW_WARM_S if is_order_flow else 0.0
    active_s = _ORDER_FLOW_S - _ORDER_FLOW_WARM_S - _QUIET_S if is_order_flow else _ACTIVE_S
    faults = seeded_faults(random.randrange(2**31), active_s * 1e3, random.randint(2, 12), wall_ms=150.0)
    return Schedule(
        seed=seed,
        strategy="order_flow" if is_order_flow else DRILL,
        tape=TapeSpec(
            start=_DAY,
            seed=random.randrange(_TAPES),
            offset_s=1_800,
            seconds=begin_s + active_s + _QUIET_S,
            synthetic={"ticks_per_session": 400_000},
        ),
        pace=Pace.LOCKSTEP if is_lockstep else Pace.FAST,
        holds_brackets=random.random() < 0.7,
        faults=tuple(fault.model_copy(update={"at_ms": fault.at_ms + begin_s * 1e3}) for fault in faults),
        commands=tuple(
            (begin_s + random.uniform(5, active_s), random.choice((CommandKind.FLATTEN, CommandKind.RECONCILE)))
            for _ in range(random.randint(0, 2))
        ),
        latency_ms=_ORDER_FLOW_LATENCY_MS if is_order_flow else 250.0,
    )


@cache
def _tape(text: str) -> Tape:
    from sovereign.app.configuration import Settings
    from sovereign.app.venue import tape_opener

    return tape_opener(Settings())(TapeSpec.model_validate_json(text))


def tape_of(spec: TapeSpec) -> Tape:
    """Return a tape, made once a process."""
    tape = _tape(spec.model_dump_json())
    for session in tape.sessions:
        tape.columns(session)
    return tape


def settings_of(schedule: Schedule, folder: Path) -> Settings:
    """Return the settings of a schedule's session."""
    return drill_settings(folder, execution={"latency_ms": schedule.latency_ms})


def play(schedule: Schedule, folder: Path, settings: Settings | None = None) -> Outcome:
    """Run a schedule to its end and judge it; what is left in `folder` is for whoever wants to look.

    Parameters
    ----------
    folder : empty or new.
    """
    add_drill()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    begun = time.monotonic()
    outcome = Outcome(schedule.seed, faults=Counter(fault.kind.value for fault in schedule.faults))
    settings = settings or settings_of(schedule, folder)
    if schedule.warm:
        keep_days(settings, schedule.task(""), schedule.warm)
    with _Quiet():
        asyncio.run(_play(schedule, settings, folder, outcome))
    outcome.seconds = time.monotonic() - begun
    return outcome


class _Quiet:
    """Keeps the log from telling what goes wrong, which is meant to; schedules that run side by side share it."""

    _lock = threading.Lock()
    _count = 0
    _level = logging.NOTSET

    def __enter__(self) -> None:
        logger = logging.getLogger("sovereign")
        with _Quiet._lock:
            if not _Quiet._count:
                _Quiet._level = logger.level
                logger.setLevel(logging.CRITICAL)
            _Quiet._count += 1

    def __exit__(self, *_: object) -> None:
        with _Quiet._lock:
            _Quiet._count -= 1
            if not _Quiet._count:
                logging.getLogger("sovereign").setLevel(_Quiet._level)


class _PatientTape(Tape):
    """A tape that a market cannot read on until the session is there: a market that does not wait would be over before it."""

    def __init__(self, tape: Tape, begun: threading.Event, seconds: float) -> None:
        self.__dict__.update(tape.__dict__)  # the columns that were made are shared
        self._begun = begun
        self._seconds = seconds
        self._own_thread = threading.get_ident()

    def is_loaded(self, session: Session) -> bool:
        """Say whether the session is there; the server then waits in a thread of its own."""
        return self._begun.is_set() and super().is_loaded(session)

    def columns(self, session: Session) -> dict[str, Trades]:
        """Return the ticks, to anybody but the server's clock at once."""
        if threading.get_ident() != self._own_thread:
            self._begun.wait(self._seconds)
        return super().columns(session)


async def _play(schedule: Schedule, settings: Settings, folder: Path, outcome: Outcome) -> None:
    from sovereign.app.venue import market_defaults, market_spec
    from sovereign.execution.venue.exchange import Exchange
    from sovereign.execution.venue.server import VenueServer

    begun = threading.Event()
    exchange = Exchange(lambda spec: _PatientTape(tape_of(spec), begun, schedule.deadline_s), _ADMIN, folder / "books")
    asked = {"pace": schedule.pace, "speed": schedule.speed, "holds_brackets": schedule.holds_brackets}
    if schedule.slice_ms is not None:
        asked["slice_ms"] = schedule.slice_ms
    spec = market_spec(settings, "main", schedule.tape, **asked)
    exchange.open_market(spec.model_copy(update={"faults": schedule.faults}))
    exchange.open_account("main", ACCOUNT, Decimal(settings.account.starting_balance), _TOKENS)
    server = VenueServer(exchange, market_defaults(settings), heartbeat_s=settings.venue.heartbeat_s)
    port = await server.start(0)
    try:
        done = await _trade(schedule, settings, server, f"ws://127.0.0.1:{port}", outcome, begun)
        if done is not None:
            await asyncio.to_thread(_judge, schedule, settings, server, folder, outcome)
    finally:
        begun.set()
        await server.close()


async def _trade(
    schedule: Schedule, settings: Settings, server: VenueServer, url: str, outcome: Outcome, begun: threading.Event
) -> Traded | None:
    """Trade the session, starting anew what ended badly, as a supervisor would; None when it did not come to its end."""
    from sovereign.app.ops.redaction import redactor_for
    from sovereign.app.session import TradingProcess

    task = schedule.task(url)
    redact, deadline = redactor_for(settings), time.monotonic() + schedule.deadline_s
    asking = asyncio.create_task(_ask(schedule, settings, server))
    try:
        while True:
            process = TradingProcess(settings, task, redact, _nobody)
            found: list[Any] = []
            thread = threading.Thread(target=_run, args=(process, found), name=f"seed {schedule.seed}", daemon=True)
            thread.start()
            while thread.is_alive() and time.monotonic() < deadline:
                slept = time.monotonic()
                await asyncio.sleep(_POLL_S)
                late = time.monotonic() - slept - _POLL_S
                outcome.stalled_s += late if late > _POLL_S else 0.0
                if not begun.is_set() and any(settings.session.folder.glob("*.rec")):
                    begun.set()
            if thread.is_alive():
                market = server.exchange.markets["main"]
                session = market.session
                at = "over" if session is None else f"{(market.until_ns - session.open_ns) / 1e9:.1f} s into it"
                text = f"the session had not ended after {schedule.deadline_s:.0f} s; its market was {at}"
                outcome.violations.append(Violation(kind="deadlock", text=text))
                process.stop("the deadline of the rehearsal")
                await asyncio.to_thread(thread.join, 10.0)
                return None
            result = found[0]
            if isinstance(result, list) and result and result[0].is_closed:
                last: Traded = result[0]
                return last
            reason = result[0].reason if isinstance(result, list) and result else repr(result)
            outcome.violations.append(Violation(kind="stopped", text=f"the session ended before its time: {reason}"))
            outcome.restarts += 1
            if outcome.restarts > _RESTARTS:
                return None
    finally:
        asking.cancel()


def _run(process: Any, found: list[Any]) -> None:
    try:
        found.append(process.run())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
        found.append(error)


def _nobody(_: str) -> None:
    """Nobody is at the terminal."""


async def _ask(schedule: Schedule, settings: Settings, server: VenueServer) -> None:
    """Put a person's commands when the market has come so far."""
    from sovereign.store.store import Store

    market = server.exchange.markets["main"]
    opened = market.until_ns
    for number, (at_s, kind) in enumerate(sorted(schedule.commands)):
        while server.exchange.markets["main"].until_ns - opened < at_s * 1e9:
            await asyncio.sleep(0.005)
        command = Command(command_id=f"person-{number}", kind=kind, by="rehearsal", reason="rehearsal", arguments={})

        def put(command: Command = command) -> None:
            with Store(settings.store) as store:
                store.live.commands.put(command, ACCOUNT, ts=time.time_ns())

        await asyncio.to_thread(put)


def _judge(schedule: Schedule, settings: Settings, server: VenueServer, folder: Path, outcome: Outcome) -> None:
    """Hold both sides against each other."""
    market = server.exchange.markets["main"]
    book = market.books[ACCOUNT]
    venue = book.snapshot(0, market.until_ns, is_all=True).snapshot()
    kept = kept_sessions(folder / "trading.sqlite")
    session_id = schedule.task("").session_id(market.tape.sessions[0].trade_date)
    one = kept[session_id]
    recording = settings.session.folder / f"{session_id}.rec"
    ours = run_again(settings, schedule.strategy, session_id, recording, schedule.warm, holds_brackets=schedule.holds_brackets)
    found = outcome.violations
    found += check_journal(kept, venue)
    found += check_fills(ours.fills, venue, is_over=True)
    found += check_money(ours.conductor, venue)
    found += check_orders(ours.statuses, venue)
    found += check_chain(ours, one, session_id)
    found += check_state(ours, round(schedule.latency_ms * 1e6))
    sizes = first_sizes(folder / "books" / "main.jsonl")
    bare = longest_bare_ns(book.messages, venue, market.tape.sessions[0].close_ns, sizes) / 1e9
    limit = schedule.unprotected_s + _out_of_hand_s(schedule, settings, outcome.stalled_s, book.longest_turned_away_ns / 1e9)
    if bare > limit:
        text = f"a position was without a stop at the venue for {bare:.1f} s, allowed were {limit:.1f} s"
        found.append(Violation(kind="unprotected", text=text))
    outcome.bare_s = bare
    outcome.orders, outcome.fills = len(venue.orders), len(venue.executions)
    outcome.notices = Counter(code.value for code, count in ours.codes().items() for _ in range(count))
    outcome.refusals = ours.refusals
    outcome.trades, outcome.net = len(ours.trades), float(sum(trade.net for trade in ours.trades))
    outcome.rejected = sum(status is OrderStatus.REJECTED for status in ours.statuses.values())


def _out_of_hand_s(schedule: Schedule, settings: Settings, stalled_s: float, turned_away_s: float) -> float:
    """Return for how long (market s) nothing could be done: the line was dead or not known to be, or the machine stood still.

    In lockstep the market waits meanwhile, but not while a venue turns orders away: that lasts by the clock on the wall, in
    which a market in lockstep comes far (`turned_away_s`).
    """
    if schedule.pace is Pace.LOCKSTEP:
        return turned_away_s
    client = settings.venue.client
    noticing = client.silence_s + client.request_s + settings.live.in_flight_s
    faults = sum(fault.wall_ms for fault in schedule.faults if fault.kind in _SILENCES) / 1e3
    return schedule.speed * (noticing + faults + stalled_s)


def check_state(ours: Ours, latency_ns: int) -> Iterator[Violation]:
    """Nothing is left in flight but what the close overtook, and nothing that has passed still makes entries impossible."""
    engine, session = ours.conductor.engine, ours.conductor.session
    arrived = None if session is None else session.close_ns - latency_ns
    for entry in engine.executor.in_flight(engine.now_ns):
        if arrived is not None and entry.since_ns > arrived:
            continue
        text = f"{entry.request} of {entry.order.client_order_id} was never answered"
        yield Violation(kind="in flight", text=text)
    for subject, reason in engine.unhealthy.items():
        if subject in ("backlog", "session"):
            continue  # the last blocks of a tape were behind; a session that was settled late opens nothing
        yield Violation(kind="not well again", text=f"{subject}: {reason}")
    if ours.codes()[NoticeCode.REPLAY_DIFFERS]:
        yield Violation(kind="not deterministic", text="a restart found that its replay differed")
