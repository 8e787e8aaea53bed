"""What a run leaves behind: one frozen value that the report, the ledger and the evidence card are made from.

`RunCollector` is a `Sink`: feed it the audit events of the main lane and take its `tables()`; lanes that are only compared
(fill bands, cost multiples) need their trades and final balance alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from heapq import merge
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.decision import Decision, KeptRefusals, Refused
from sovereign.core.event import (
    AccountSnapshot,
    DecisionMade,
    Event,
    OrderChanged,
    OrderFilled,
    RowsClosed,
    SessionEnded,
    SessionStarted,
    TierChanged,
    TradeClosed,
    TradingStateChanged,
)
from sovereign.core.position import Fill, Trade
from sovereign.core.record import quick
from sovereign.core.session import Session
from sovereign.research.card import EvidenceCard

if TYPE_CHECKING:
    from sovereign.research.ablation import VariantResult
    from sovereign.research.reliability import Reliability

BAND_LANES = ("optimistic", "realistic", "pessimistic")
"""Lane names of the fill bands; `realistic` is the main lane."""
COST_LANES = ("cost_x2", "cost_x3")
"""Lane names of the cost multiples, on the realistic fill model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneResult:
    """One lane of a run: its closed trades, the balance it ended with, and its equity at the end of each session."""

    trades: Sequence[Trade]
    final_balance: Decimal
    session_equity: Sequence[Decimal] = ()

    @property
    def gross(self) -> Decimal:
        """Profit and loss before fees."""
        return sum((trade.gross for trade in self.trades), Decimal(0))

    @property
    def fees(self) -> Decimal:
        """Fees of all trades."""
        return sum((trade.fees for trade in self.trades), Decimal(0))

    @property
    def net(self) -> Decimal:
        """Profit and loss after fees."""
        return self.gross - self.fees

    @property
    def wins(self) -> int:
        """Trades with a positive net result."""
        return sum(trade.net > 0 for trade in self.trades)

    def to_plain(self) -> dict[str, object]:
        """Return JSON-ready values."""
        return {
            "trades": len(self.trades),
            "wins": self.wins,
            "gross": str(self.gross),
            "fees": str(self.fees),
            "net": str(self.net),
            "final_balance": str(self.final_balance),
        }


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResult:
    """One trade date: balance and equity before and after, and the market data it consumed.

    Equity is the balance with what is held at its last price; None where nothing was held, and it is the balance.
    """

    session: Session
    start_balance: Decimal
    end_balance: Decimal
    ticks: int
    held_start_equity: Decimal | None = None
    held_end_equity: Decimal | None = None

    @property
    def start_equity(self) -> Decimal:
        """Equity before the session, at the last prices known then."""
        return self.start_balance if self.held_start_equity is None else self.held_start_equity

    @property
    def end_equity(self) -> Decimal:
        """Equity after the session."""
        return self.end_balance if self.held_end_equity is None else self.held_end_equity

    @property
    def trade_date(self) -> date:
        """The trade date."""
        return self.session.trade_date


class Decisions(Sequence[Decision]):
    """Decisions of a run in the order in which they were made; those that were kept by the session become records when read.

    Parameters
    ----------
    told : decisions that came one by one.
    kept : (first, stop, refusals): what was refused and kept in the session whose other decisions are
        `told[first:stop]`, in order.
    """

    def __init__(self, told: Sequence[Decision], kept: Sequence[tuple[int, int, KeptRefusals]]) -> None:
        self._told, self._kept = told, kept
        self._count = len(told) + sum(len(refusals) for _, _, refusals in kept)
        self._made: tuple[Decision, ...] | None = None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        return self._all()[place]

    def __iter__(self) -> Iterator[Decision]:
        return iter(self._all())

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (self._all(),)

    def _all(self) -> tuple[Decision, ...]:
        if self._made is None:
            found: list[Decision] = []
            at = 0
            for first, stop, refusals in self._kept:
                found += self._told[at:first]
                found += merge(self._told[first:stop], refusals, key=_number)
                at = stop
            self._made = (*found, *self._told[at:])
        return self._made


def _number(decision: Decision) -> int:
    # of the decision in its session, which ends its id
    return int(decision.decision_id.rpartition("-")[2])


class RefusedCounts(Mapping[str, int]):
    """Refused candidates of a run by the check that refused them, counted when somebody asks.

    Parameters
    ----------
    gated : of the candidates that a strategy's own gates refused. decisions : all of the run.
    """

    def __init__(self, gated: Mapping[str, int], decisions: Sequence[Decision]) -> None:
        self._gated, self._decisions = dict(gated), decisions
        self._counts: Mapping[str, int] | None = None

    def __getitem__(self, check: str) -> int:
        return self._all()[check]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self._all()),)

    def _all(self) -> Mapping[str, int]:
        if self._counts is None:
            counts = Counter(self._gated)
            counts.update(d.outcome.check for d in self._decisions if isinstance(d.outcome, Refused))
            self._counts = dict(counts)
        return self._counts


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTables:
    """The events of a run, sorted into tables. Candidates refused by a strategy's own gates are only counted here."""

    sessions: tuple[SessionResult, ...] = ()
    trades: tuple[Trade, ...] = ()
    fills: tuple[Fill, ...] = ()
    orders: tuple[OrderChanged, ...] = ()
    decisions: Sequence[Decision] = ()
    snapshots: tuple[AccountSnapshot, ...] = ()
    tier_changes: tuple[TierChanged, ...] = ()
    state_changes: tuple[TradingStateChanged, ...] = ()
    refused: Mapping[str, int] = field(default_factory=dict)
    candidates: int = 0
    bars: int = 0
    order_times: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def ticks(self) -> int:
        """Market data consumed."""
        return sum(session.ticks for session in self.sessions)


class RunCollector:
    """Sorts audit events into tables. Memory grows with orders and trades, not with market data.

    Parameters
    ----------
    gate_names : names of the values of the candidates' `gate` field, in order; value 0 means that the candidate passed
        (its decision then arrives as `DecisionMade`). None when candidates carry no gate.
    """

    def __init__(self, gate_names: Sequence[str] | None = None) -> None:
        self._gate_names = gate_names
        self._started: SessionStarted | None = None
        self._held_start: Decimal | None = None
        self._held_end: Decimal | None = None
        self._sessions: list[SessionResult] = []
        self._trades: list[Trade] = []
        self._fills: list[Fill] = []
        self._orders: dict[str, OrderChanged] = {}
        self._order_begins: dict[str, int] = {}
        self._decisions: list[Decision] = []
        self._session_decisions = 0  # of them, when the session began
        self._kept: list[tuple[int, int, KeptRefusals]] = []
        self._snapshots: list[AccountSnapshot] = []
        self._tiers: list[TierChanged] = []
        self._states: list[TradingStateChanged] = []
        self._gated: Counter[str] = Counter()
        self._candidates = 0
        self._bars = 0
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            OrderChanged: self._order,
            OrderFilled: lambda event: self._fills.append(event.fill),
            TradeClosed: lambda event: self._trades.append(event.trade),
            DecisionMade: lambda event: self._decisions.append(event.decision),
            AccountSnapshot: self._snapshot,
            SessionStarted: self._start,
            SessionEnded: self._end,
            RowsClosed: self._rows,
            TierChanged: self._tiers.append,
            TradingStateChanged: self._states.append,
        }

    def hearer(self, kind: type[Event]) -> Callable[[Any], None] | None:
        """Return what takes the events of one type; None where they are left out."""
        return self._handlers.get(kind)

    def __call__(self, event: Event) -> None:
        """Take one event."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def extend(self, events: Iterable[Event]) -> RunCollector:
        """Take many events; returns itself."""
        for event in events:
            self(event)
        return self

    def on_refused(self, refused: KeptRefusals) -> None:
        """Take what was refused and kept in the session."""
        self._kept.append((self._session_decisions, len(self._decisions), refused))

    def _start(self, event: SessionStarted) -> None:
        self._started = event
        self._session_decisions = len(self._decisions)
        self._held_start = self._held_end

    def _snapshot(self, event: AccountSnapshot) -> None:
        self._snapshots.append(event)
        self._held_end = None if event.equity == event.balance else event.equity

    def _order(self, event: OrderChanged) -> None:
        self._order_begins.setdefault(event.client_order_id, event.ts)
        self._orders[event.client_order_id] = event

    def _rows(self, event: RowsClosed) -> None:
        self._bars += len(event.rows)
        self._count(event.candidates)

    def _end(self, event: SessionEnded) -> None:
        if self._started is None:
            return
        self._sessions.append(
            SessionResult(
                session=self._started.session,
                start_balance=self._started.balance,
                end_balance=event.balance,
                ticks=event.ticks,
                held_start_equity=self._held_start,
                held_end_equity=self._held_end,
            )
        )

    def _count(self, candidates: NDArray[Any]) -> None:
        self._candidates += len(candidates)
        names = self._gate_names
        if names is None or not len(candidates) or candidates.dtype.names is None or "gate" not in candidates.dtype.names:
            return
        for code, count in enumerate(np.bincount(candidates["gate"], minlength=len(names))):
            if code and count:
                self._gated[names[code]] += int(count)

    def tables(self) -> RunTables:
        """Return what has been collected so far."""
        told = tuple(self._decisions)
        decisions = Decisions(told, tuple(self._kept)) if self._kept else told
        return RunTables(
            sessions=tuple(self._sessions),
            trades=tuple(self._trades),
            fills=tuple(self._fills),
            orders=tuple(self._orders.values()),
            decisions=decisions,
            snapshots=tuple(self._snapshots),
            tier_changes=tuple(self._tiers),
            state_changes=tuple(self._states),
            refused=RefusedCounts(self._gated, decisions),
            candidates=self._candidates,
            bars=self._bars,
            order_times={name: (self._order_begins[name], event.ts) for name, event in self._orders.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """One finished run of a strategy.

    Parameters
    ----------
    run_id : the run's name in the ledger.
    start, end : first and last trade date asked for.
    is_simulated : whether the market data was synthetic; the report says so in a banner.
    settings : the full configuration as JSON-ready values.
    config_hash, code_hash, data_hash : digests of the configuration, the source code and the market data.
    fill_model : name of the main lane's fill model.
    starting_balance : balance before the first session.
    zone : IANA name of the exchange's time zone; hours and weekdays in the report are in it.
    tables : the main lane's events.
    lanes : further lanes by name (`BAND_LANES`, `COST_LANES`); the main lane is among them as `realistic`.
    evidence : the evidence card, or None before it was made.
    trials : distinct trials of this strategy on this data in the ledger, this one included (>= 1).
    trial_returns : daily returns of those trials by trade date, for the probability of overfitting.
    trial_sharpes : daily (not annualized) Sharpe ratios of those trials, for the deflated Sharpe ratio.
    assumptions : sentences that the report prints: fill model, latency, fees, data.
    wall_seconds : how long the run took, or None.
    reliability : how often the strategy was right for how sure it was, by measure; empty of one that forecasts nothing.
    ablation : the whole strategy, then one variant without each of its parts; empty where that was not asked for.
    """

    run_id: str
    strategy: str
    symbols: tuple[str, ...]
    start: date
    end: date
    is_simulated: bool
    settings: Mapping[str, Any]
    config_hash: str
    code_hash: str
    data_hash: str
    seed: int | None
    fill_model: str
    starting_balance: Decimal
    zone: str
    tables: RunTables
    lanes: Mapping[str, LaneResult] = field(default_factory=dict)
    evidence: EvidenceCard | None = None
    trials: int = 1
    trial_sharpes: tuple[float, ...] = ()
    trial_returns: tuple[Mapping[str, float], ...] = ()
    assumptions: tuple[str, ...] = ()
    wall_seconds: float | None = None
    reliability: tuple[Reliability, ...] = ()
    ablation: tuple[VariantResult, ...] = ()

    @property
    def trades(self) -> tuple[Trade, ...]:
        """Closed trades of the main lane, in order of exit."""
        return self.tables.trades

    @property
    def final_equity(self) -> Decimal:
        """Balance after the last session, with what was still held at its last price."""
        return self.tables.sessions[-1].end_equity if self.tables.sessions else self.starting_balance

    @property
    def final_balance(self) -> Decimal:
        """Balance after the last session."""
        return self.tables.sessions[-1].end_balance if self.tables.sessions else self.starting_balance

    def with_evidence(self, evidence: EvidenceCard) -> RunResult:
        """Return the run with its evidence card."""
        return replace(self, evidence=evidence)
