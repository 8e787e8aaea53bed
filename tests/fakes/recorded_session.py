"""A live session in this process, input by input: the venue's own book on one side, the engine on the other, nothing timed.

What is to go wrong is planted: how the venue charges, delays, rejects and fills, when the tape falls silent, what people ask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np

from fakes.venue_bench import MS, tape_of
from sovereign.core.command import Command, CommandKind
from sovereign.core.event import NoticeCode, Severity, encode
from sovereign.core.instrument import find_instrument
from sovereign.core.order import OrderType
from sovereign.engine.conductor import Conductor, opened
from sovereign.engine.engine import Engine
from sovereign.engine.inputs import (
    CommandReceived,
    CorrectionMade,
    HealthChanged,
    Input,
    MarginsChanged,
    Opening,
    ReportReceived,
    SessionClosed,
    Slice,
    TimePromised,
)
from sovereign.execution.account import Account
from sovereign.execution.broker import BrokerCapabilities
from sovereign.execution.brokers.remote import CancelRequest, RemoteBroker, ReplaceRequest, SubmitRequest
from sovereign.execution.fill_model import ExecutionConfig, PerUnitFees
from sovereign.execution.protection import ProtectionWatch
from sovereign.execution.reconcile import ReconcilePolicy, reconcile
from sovereign.execution.venue.book import Book
from sovereign.execution.venue.configuration import TapeSpec
from sovereign.execution.venue.market import flattening
from sovereign.execution.venue.terms import OrderTerms
from sovereign.research.backtest import Recipe, charged_instrument
from sovereign.research.twin.playback import Recorded
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor
from sovereign.strategies import load_strategy
from sovereign.strategies.order_flow.configuration import OrderFlowConfig

S = 1_000 * MS
SPEC = TapeSpec(
    start=date(2025, 11, 17),
    seed=11,
    offset_s=1_800,
    seconds=2_400,
    synthetic={"ticks_per_session": 400_000},
)
LATENCY_MS = 1_000.0
STRATEGY = OrderFlowConfig.model_validate(
    {
        "footprint": {"kind": "tick", "bar_trades": 100},
        "pattern": {"absorption_warmup_bars": 5, "minimums": {"ES": {"imbalance": 5, "absorption": 20, "exhaustion": 10}}},
        "regime": {"min_score": 1.0},
        "router": {"min_confidence": 0.0, "min_strength": 0.0},
        "bracket": {"profiles": {"ES": {"stop_ticks": 4, "target_ticks": 6}}},
    }
)
RISK = {
    "excluded_windows": (),
    "can_inputs_be_unknown": True,
    "tiers": {"enabled": False},
    "min_reward_to_cost": 0,
    "max_quantity": 2,
    "daily_loss_limit": -100_000,
}
BALANCE = Decimal(100_000)
POLICY = ReconcilePolicy(
    adopts_unknown_orders=True,
    in_flight_grace_ns=10 * S,
    average_tolerance_frac=0.0001,
    cash_tolerance=Decimal("0.01"),
)


def recipe(**execution: Any) -> Recipe:
    return Recipe(
        strategy="order_flow",
        strategy_config=STRATEGY,
        risk=RiskConfig.model_validate(RISK),
        execution=ExecutionConfig.model_validate({"latency_ms": LATENCY_MS, **execution}),
        starting_balance=BALANCE,
    )


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What is to differ from the backtest; nothing does by default. Orders count from 0, times are seconds from the open."""

    fees: Mapping[str, Decimal] = field(default_factory=dict)
    slow: Mapping[int, float] = field(default_factory=dict)  # by order: further ms until the venue has it
    all_slow_ms: float = 0.0
    rejects: frozenset[int] = frozenset()
    losses: frozenset[int] = frozenset()  # never arrive; the venue says so when asked to cancel them
    pieces: Mapping[int, int] = field(default_factory=dict)
    late_reports: tuple[tuple[float, float], ...] = ()  # what happens between is told at the end
    dead_from: float | None = None  # both lines; at the bell that of the venue brings what it has to say, the tape nothing
    silences: tuple[tuple[float, float], ...] = ()  # ticks between come at the end; time goes on
    commands: tuple[tuple[float, Command], ...] = ()
    flattened_at: float | None = None  # by an administrator, at the venue itself; the books are compared five seconds later


class RecordedSession:
    """Runs at once; `recorded` and `lines` (the audit stream) are what is left."""

    def __init__(self, plan: Recipe, planted: Planted | None = None, spec: TapeSpec = SPEC, slice_ms: float = 500.0) -> None:
        self.plan, self.planted = plan, planted or Planted()
        tape = tape_of(spec)
        self.session = tape.sessions[0]
        self.instruments = tuple(tape.instruments(self.session))
        self.symbol = self.instruments[0].symbol
        self.trades = tape.columns(self.session)[self.symbol]
        execution = plan.execution
        self.book = Book(
            "paper",
            BALANCE,
            execution.model_of(execution.fill_model),
            PerUnitFees({**execution.fees, **self.planted.fees}),
            execution.margins,
            holds_brackets=True,
        )
        self.book.start_session({self.symbol: (find_instrument(self.symbol), self.symbol)})
        self.inputs: list[Input] = []
        self.lines: list[bytes] = []
        self.orders = 0
        self._now = self.session.open_ns
        self._told = 0
        self._slice_ns = round(slice_ms * MS)
        strategy = load_strategy(plan.strategy, plan.strategy_config)
        capabilities = BrokerCapabilities(holds_brackets=True, can_replace=True, order_types=frozenset(OrderType))
        broker = RemoteBroker(self._send, capabilities)
        engine = Engine(
            strategy=strategy,
            door=OneDoor(plan.risk, find=partial(charged_instrument, execution)),
            broker=broker,
            account=Account(plan.starting_balance),
            fees=PerUnitFees(dict(execution.fees), 1),
            sinks=(lambda event: self.lines.append(encode(event)),),
            is_simulated_data=True,
            new_watch=lambda executor: ProtectionWatch(executor, execution.unprotected_alarm_ns, execution.unprotected_action),
        )
        self.conductor = Conductor(engine, strategy.signal_stream, broker)
        self._run()

    @property
    def engine(self) -> Engine:
        return self.conductor.engine

    @property
    def recorded(self) -> Recorded:
        return Recorded(recipe=self.plan, inputs=tuple(self.inputs), is_simulated_data=True)

    @property
    def stored(self) -> list[str]:
        return [line.decode().rstrip("\n") for line in self.lines]

    def _apply(self, item: Input) -> None:
        self.inputs.append(deepcopy(item) if isinstance(item, ReportReceived) else item)  # an order lives on when applied
        self.conductor.apply(item)

    def _send(self, request: Any) -> None:
        planted = self.planted
        latency = round((self.plan.execution.latency_ms + planted.all_slow_ms) * MS)
        if isinstance(request, SubmitRequest):
            number, self.orders = self.orders, self.orders + 1
            effective = request.ts + latency + round(planted.slow.get(number, 0.0) * MS)
            if number in planted.losses:
                self.book.cancel(request.order.client_order_id, self._now, self._now)
                return
            refusal = "refused by the test" if number in planted.rejects else ""
            terms = OrderTerms.of(request.order)
            self.book.new(terms, effective, self._now, refusal, planted.pieces.get(number, 1))
        elif isinstance(request, CancelRequest):
            self.book.cancel(request.client_order_id, request.ts + latency, self._now)
        elif isinstance(request, ReplaceRequest):
            self.book.replace(
                request.client_order_id,
                request.ts + latency,
                self._now,
                request.quantity,
                request.limit_ticks,
                request.stop_ticks,
            )

    def _tell(self, since_ns: int = 0) -> None:
        for message in self.book.messages[self._told :]:
            self._told += 1
            report = message.report()
            self._apply(ReportReceived(ts=max(report.ts, since_ns), report=report, tape=message.tape, row=message.row))

    def _is_in(self, spans: Sequence[tuple[float, float]], ts: int) -> bool:
        passed = (ts - self.session.open_ns) / S
        return any(begin <= passed < end for begin, end in spans)

    def _run(self) -> None:
        session, planted = self.session, self.planted
        self._apply(opened(session, self.instruments, Opening(balance=BALANCE, high_water_mark=BALANCE)))
        self._apply(MarginsChanged(ts=session.open_ns, margins=self.book.margins({})))
        waiting: list[Slice] = []
        commands = sorted(planted.commands, key=lambda one: one[0])
        subject, was_silent = f"data:{self.symbol}", False
        while self._now < session.close_ns:
            begin, until = self._now, min(self._now + self._slice_ns, session.close_ns)
            self.book.walk({self.symbol: self.trades}, begin, until)
            self._now = until
            while commands and session.open_ns + commands[0][0] * S <= begin:
                self._apply(CommandReceived(ts=begin, command=commands.pop(0)[1]))
            rows = slice(*np.searchsorted(self.trades.ts, [begin, until]).tolist())
            block = Slice(ts=until, symbol=self.symbol, trades=self.trades.slice(rows.start, rows.stop), until_ns=until)
            if planted.dead_from is not None and (begin - session.open_ns) / S >= planted.dead_from:
                continue
            if planted.flattened_at is not None:
                self._flatten_there((begin - session.open_ns) / S - planted.flattened_at, self._slice_ns / S)
            if self._is_in(planted.silences, begin):
                if not was_silent:
                    self._health(subject, begin, is_well=False)
                was_silent = True
                waiting.append(block)
                self._apply(TimePromised(ts=until))
                continue
            if was_silent:
                was_silent = False
                self._tell()
                for late in waiting:
                    self._apply(late)
                waiting.clear()
                self._health(subject, begin, is_well=True)
            if not self._is_in(planted.late_reports, begin):
                self._tell()
            self._apply(block)
        self.book.end_session((self.symbol,), session.close_ns)
        self._tell(0 if planted.dead_from is None else session.close_ns)
        self._apply(SessionClosed(ts=session.close_ns))

    def _flatten_there(self, since_s: float, slice_s: float) -> None:
        if 0 <= since_s < slice_s:
            for name in self.book.working():
                self.book.cancel(name, self._now, self._now)
            for position in self.book.snapshot(0, self._now).positions:
                self.book.new(flattening("paper", position, 0, 0), self._now, self._now)
        elif 5 <= since_s < 5 + slice_s:
            ours = self.engine.executor.books(self._now, self._now)
            theirs = self.book.snapshot(0, self._now).snapshot()
            found = reconcile(ours, theirs, POLICY, self.conductor.tape_of())
            assert found.corrections
            for correction in found.corrections:
                self._apply(CorrectionMade(ts=self._now, correction=correction))

    def _health(self, subject: str, ts: int, *, is_well: bool) -> None:
        code = NoticeCode.DATA_RESTORED if is_well else NoticeCode.DATA_STALE
        severity = Severity.INFO if is_well else Severity.ALARM
        self._apply(HealthChanged(ts=ts, subject=subject, is_well=is_well, reason="silence", code=code, severity=severity))


def command(kind: CommandKind, name: str, by: str = "ann", **arguments: str) -> Command:
    return Command(command_id=name, kind=kind, by=by, reason="because", arguments=arguments)
