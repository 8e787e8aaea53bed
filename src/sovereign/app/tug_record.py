"""The record of the tug of war while it trades: signals of both camps, verdicts, orders and regimes, in tables of the store.

The audit stream says what was decided and what became of the orders; the rows of the signals say what both camps saw at every
round, candidates or not. Rows are picked up by the decision thread (a slice is copied, nothing is written there); everything
else happens in the store's writer. What a recovery tells again takes the place of what was there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.event import DecisionMade, Event, OrderChanged, OrderFilled, TradeClosed
from sovereign.core.order import OrderRole, OrderStatus
from sovereign.core.session import Session
from sovereign.execution.shortfall import arrival_of, opportunity_bps, shortfall_bps
from sovereign.kernels.tug_of_war import REGIME_CHOP, REGIME_CRISIS, REGIME_TREND, REGIME_UNKNOWN
from sovereign.signals.tug_market import NewsView
from sovereign.strategies.tug_of_war.row import ROW_INPUTS

if TYPE_CHECKING:
    from sovereign.core.decision import Decision
    from sovereign.core.port import SignalStream
    from sovereign.store.scouts import ScoutStore
    from sovereign.strategies.combiner import AgentView
    from sovereign.strategies.tug_of_war import TugOfWarStrategy

REGIME_WORDS = {REGIME_UNKNOWN: "unknown", REGIME_CHOP: "chop", REGIME_TREND: "trend", REGIME_CRISIS: "crisis"}
VERDICT_WORDS = {
    "strong conflict": "strong_execute",
    "weak conflict": "weak_execute",
    "crowded skip": "crowded_skip",
    "no signal": "no_signal",
}
_DIRECTIONS = {1: "buy", 0: "neutral", -1: "sell", None: "neutral"}
_STATUS = {
    OrderStatus.PARTIALLY_FILLED: "partially_filled",
    OrderStatus.FILLED: "filled",
    OrderStatus.CANCELED: "canceled",
    OrderStatus.EXPIRED: "expired",
    OrderStatus.REJECTED: "rejected",
    OrderStatus.DENIED: "rejected",
}
_BPS = 10_000.0


@dataclass(slots=True)
class _Kept:
    """An order as its row has it, and what the row is worked out from."""

    row: dict[str, Any]
    decision_id: str | None
    role: OrderRole
    sign: int
    arrival: float
    value: float = 0.0  # of the fills: quantity times price
    fees: float = 0.0
    closed_ns: int | None = None
    tick: float = field(default=0.0)


class TugRecorder:
    """Keeps the strategy's own tables of one session.

    Parameters
    ----------
    scouts, account : where the tables are, and whose rows these are. strategy : the one that trades.
    later : hands work to the store's writer; called by the decision thread.
    """

    def __init__(
        self,
        scouts: ScoutStore,
        account: str,
        strategy: TugOfWarStrategy,
        session: Session,
        later: Callable[[Callable[[], object]], object],
    ) -> None:
        self._scouts = scouts
        self._account = account
        self._strategy = strategy
        self._session = session
        self._later = later
        self._streams: dict[str, SignalStream] = {}
        self._taken: dict[str, int] = {}
        self._regimes = 0
        self._decided: dict[str, list[tuple[int, str]]] = {}
        self._mids: dict[str, float] = {}  # middle of the quote by decision, in ticks, where one was known
        self._results: dict[str, int] = {}  # key of the verdict by decision
        self._orders: dict[str, _Kept] = {}
        self._unfilled: dict[str, list[_Kept]] = {}

    # In the decision thread

    def follow(self, symbol: str, stream: SignalStream) -> SignalStream:
        """Take note of a share's signals; a benchmark's have no rounds."""
        if symbol not in self._strategy.config.benchmarks:
            self._streams[symbol] = stream
            self._taken[symbol] = 0
        return stream

    def look(self) -> None:
        """Pick up the bars and readings that are new, and hand them on."""
        for symbol, stream in self._streams.items():
            rows, taken = stream.rows, self._taken[symbol]
            if len(rows) > taken:
                self._taken[symbol] = len(rows)
                self._hand_on(symbol, rows[taken:].copy())
        readings = self._strategy.board.regimes.values
        if len(readings) > self._regimes:
            first = max(self._regimes, int(np.searchsorted(readings["known_at"], self._session.open_ns, side="right")) - 1, 0)
            self._regimes = len(readings)
            fresh = readings[first:].copy()
            self._later(lambda: self._keep_regimes(fresh))

    def _hand_on(self, symbol: str, rows: NDArray[Any]) -> None:
        news = [self._news(symbol, int(ts)) for ts in rows["known_at"]]
        self._later(lambda: self._keep_rows(symbol, rows, news))

    def _news(self, symbol: str, ts: int) -> NewsView | None:
        evidence = self._strategy.board.evidence
        view = None if evidence is None else evidence.news(symbol, ts)
        limit = self._strategy.config.institution.news_age_minutes
        return None if view is None or (ts - view.ts) / 60e9 > limit else view

    # In the writer's thread: the audit stream

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, DecisionMade):
            self._on_decision(event.decision)
        elif isinstance(event, OrderChanged):
            self._on_order(event)
        elif isinstance(event, OrderFilled):
            self._on_fill(event)
        elif isinstance(event, TradeClosed):
            self._on_trade(event)

    def _on_decision(self, decision: Decision) -> None:
        seen = decision.proposal.inputs
        if "close" in seen:  # the strategy's own; a flattening or a person looks at nothing
            self._decided.setdefault(decision.proposal.symbol, []).append((decision.ts, decision.decision_id))
            if (mid := seen.get("mid_ticks")) is not None:
                self._mids[decision.decision_id] = float(mid)

    def _arrival(self, event: OrderChanged) -> float:
        """Return the price that an order is measured against, in ticks."""
        found = arrival_of(event.role, event.arrival_ticks, self._mids.get(event.decision_id or ""))
        return math.nan if found is None else found.ticks

    def _on_order(self, event: OrderChanged) -> None:
        kept = self._orders.get(event.client_order_id)
        if kept is None:
            tick = float(event.instrument.tick_size)
            kept = self._orders[event.client_order_id] = _Kept(
                row={
                    "ts": event.ts,
                    "client_order_id": event.client_order_id,
                    "symbol": event.instrument.symbol,
                    "side": event.side.value,
                    "status": "pending",
                    "fill_qty": 0,
                },
                decision_id=event.decision_id,
                role=event.role,
                sign=event.side.sign,
                arrival=self._arrival(event) * tick,
                tick=tick,
            )
        price = event.limit_ticks if event.limit_ticks is not None else event.stop_ticks
        kept.row |= {
            "qty": event.quantity,
            "order_type": event.order_type.value,
            "order_type_detail": _detail(event, kept.arrival / kept.tick),
            "limit_price": None if price is None else str(event.instrument.to_price(price)),
            "broker_order_id": event.venue_order_id,
            "status": _STATUS.get(event.status, "pending"),
        }
        if event.status.is_closed and kept.closed_ns is None:
            kept.closed_ns = event.ts
            if kept.role is OrderRole.ENTRY and event.filled_qty < event.quantity and not math.isnan(kept.arrival):
                self._unfilled.setdefault(event.instrument.symbol, []).append(kept)
        self._put(kept)

    def _on_fill(self, event: OrderFilled) -> None:
        fill = event.fill
        kept = self._orders.get(fill.client_order_id)
        if kept is None:  # a fill of somebody else's order; it has no row
            return
        kept.value += fill.quantity * fill.price_ticks * kept.tick
        kept.fees += float(fill.fee)
        filled = int(kept.row["fill_qty"]) + fill.quantity
        average = kept.value / filled
        kept.row |= {"fill_qty": filled, "fill_price": average}
        kept.row["status"] = "filled" if filled >= int(kept.row["qty"]) else "partially_filled"
        if kept.arrival > 0:
            cost = shortfall_bps(kept.sign, average, kept.arrival, kept.fees / filled)
            kept.row["implementation_shortfall_bps"] = cost
        self._put(kept)

    def _on_trade(self, event: TradeClosed) -> None:
        """Write what a round trip made to the order that opened it; where that is not known, to the one that closed it."""
        trade = event.trade
        mine = [
            kept for kept in self._orders.values() if kept.row["symbol"] == trade.instrument.symbol and kept.row["fill_qty"]
        ]
        opened = [kept for kept in mine if kept.decision_id == trade.decision_id and kept.role is OrderRole.ENTRY]
        for kept in (opened or mine)[-1:]:
            kept.row["pnl"] = str(trade.net)
            self._put(kept)

    def _put(self, kept: _Kept) -> None:
        kept.row["tug_result_key"] = self._results.get(kept.decision_id or "")
        self._scouts.add("tug_trades", self._account, [kept.row])

    # In the writer's thread: rows and readings

    def _keep_rows(self, symbol: str, rows: NDArray[Any], news: list[NewsView | None]) -> None:
        signals: list[dict[str, Any]] = []
        for row, view in zip(rows, news, strict=True):
            self._price_unfilled(symbol, row)
            if not row["cycle"]:
                continue
            institution, crowd, combined = self._strategy.read(row)
            ts = int(row["known_at"])
            signals.append(_signal(symbol, row, institution, view, "sovereign", "conviction"))
            signals.append(_signal(symbol, row, crowd, view, "madman", "crowd"))
            result = {
                "ts": ts,
                "symbol": symbol,
                "sovereign_direction": _DIRECTIONS[institution.vote],
                "madman_direction": _DIRECTIONS[crowd.vote],
                "conflict": bool(institution.vote and crowd.vote and institution.vote == -crowd.vote),
                "verdict": VERDICT_WORDS[combined.verdict],
                "sovereign_confidence": institution.confidence,
                "madman_confidence": crowd.confidence,
                "tug_score": abs(institution.confidence - crowd.confidence),
                "decision_id": self._decision_of(symbol, ts),
            }
            (key,) = self._scouts.add("tug_results", self._account, [result])
            if result["decision_id"] is not None:
                self._link(str(result["decision_id"]), key)
        self._scouts.add("tug_signals", self._account, signals)

    def _decision_of(self, symbol: str, ts: int) -> str | None:
        """Return the first decision on a symbol at or after a round and before the next one."""
        width = self._strategy.config.entry.cycle_minutes * 60 * 10**9
        found = [name for when, name in self._decided.get(symbol, ()) if ts <= when < ts + width]
        return found[0] if found else None

    def _link(self, decision_id: str, key: int) -> None:
        self._results[decision_id] = key
        for kept in self._orders.values():
            if kept.decision_id == decision_id:
                self._put(kept)

    def _price_unfilled(self, symbol: str, row: Any) -> None:
        """Work out what was missed by entries that were not filled whole: the move up to the close of the bar that follows."""
        for kept in list(self._unfilled.get(symbol, ())):
            if kept.closed_ns is None or int(row["known_at"]) <= kept.closed_ns:
                continue
            self._unfilled[symbol].remove(kept)
            missed = 1.0 - int(kept.row["fill_qty"]) / int(kept.row["qty"])
            kept.row["opportunity_bps"] = opportunity_bps(kept.sign, float(row["close"]) * kept.tick, kept.arrival, missed)
            self._put(kept)

    def _keep_regimes(self, readings: NDArray[Any]) -> None:
        rows = []
        for one in readings:
            crisis, state = float(one["p_crisis"]), int(one["state"])
            rows.append(
                {
                    "ts": int(one["known_at"]),
                    "state": REGIME_WORDS[state],
                    "confidence": crisis if state == REGIME_CRISIS else 1.0 - crisis,
                    "spy_volatility": float(one["volatility"]),
                    "spy_momentum": float(one["momentum"]),
                }
            )
        self._scouts.add("regime_states", self._account, rows)


def _signal(symbol: str, row: Any, view: AgentView, news: NewsView | None, bot: str, kind: str) -> dict[str, Any]:
    raw: Mapping[str, Any] = {name: value for name in ROW_INPUTS if not math.isnan(value := row[name].item())}
    own = float(row["raw_confidence"]) if bot == "sovereign" else view.confidence
    return {
        "ts": int(row["known_at"]),
        "symbol": symbol,
        "bot": bot,
        "direction": _DIRECTIONS[view.vote],
        "confidence": view.confidence,
        "raw_confidence": math.nan if view.vote is None else own,
        "signal_type": kind,
        "regime_state": REGIME_WORDS[int(row["regime"])],
        "ofi_z_score": float(row["ofi_z"]),
        "afd_momentum": float(row["momentum_z"]),
        "bayesian_score": math.nan if news is None else news.probability,
        "raw_data": {"vote": view.word, "reason": view.reason, "is_absorption": int(row["is_absorption"]), **raw},
    }


def _detail(event: OrderChanged, arrival_ticks: float) -> str:
    """Return what an order is for, and how far beyond the price at its decision it may trade."""
    words = event.role.value.lower()
    if event.role is not OrderRole.ENTRY or event.limit_ticks is None or not arrival_ticks > 0:
        return words
    distance = event.side.sign * (event.limit_ticks - arrival_ticks) / arrival_ticks * _BPS
    return f"{words} limit, {distance:+.1f} bp"


class Both:
    """A run's sink and the strategy's own record, as one: what the store's writer hands every event to."""

    def __init__(self, run: Any, recorder: TugRecorder) -> None:
        self._run, self._recorder = run, recorder

    def __call__(self, event: Event) -> None:
        """Take one event."""
        self._run(event)
        self._recorder(event)

    def flush(self) -> None:
        """Write what waits."""
        self._run.flush()
