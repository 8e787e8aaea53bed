"""The journal: the audit stream of one run, written to the store a session at a time, or some sessions at a time.

`StoreSink` is a reader of the stream. It only collects while the engine runs, and writes everything of a session in one
transaction when the session ends; a run that is cut off keeps its whole sessions and nothing of the broken one. A backtest
shares a transaction between several sessions: what a lost process loses of it, another run brings back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import isfinite
from typing import Any

from sqlalchemy import Connection, bindparam

from sovereign.core.decision import Approved, Check, Decision, KeptRefusals, Proposal, Refused
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
from sovereign.core.instrument import Instrument
from sovereign.core.order import OrderEvent
from sovereign.core.position import Fill, Trade
from sovereign.store import schema
from sovereign.store.bulk import DecisionColumns, known_words, write_columns
from sovereign.store.database import Database, money
from sovereign.store.outcome import pack_bars
from sovereign.store.runs import instrument_detail

Describe = Callable[[RowsClosed], Iterable[DecisionColumns]]
"""Turns a session's candidates into the decisions that the strategy's own gates refused, by column."""


@dataclass(slots=True)
class _OrderState:
    """What the events of one order have told so far."""

    event: OrderChanged
    submitted_ns: int | None = None
    accepted_ns: int | None = None
    filled_qty: int = 0
    ticks_sum: int = 0
    expected_sum: int = 0
    slippage_ticks: int = 0
    is_stored: bool = False

    def on_changed(self, event: OrderChanged) -> None:
        self.event = event
        if event.cause is OrderEvent.SUBMIT:
            self.submitted_ns = event.ts
        elif event.cause is OrderEvent.ACCEPT and self.accepted_ns is None:
            self.accepted_ns = event.ts

    def on_fill(self, fill: Fill) -> None:
        self.filled_qty += fill.quantity
        self.ticks_sum += fill.quantity * fill.price_ticks
        self.expected_sum += fill.quantity * (fill.price_ticks - fill.side.sign * fill.slippage_ticks)
        self.slippage_ticks += fill.quantity * fill.slippage_ticks

    def values(self, run_key: int) -> dict[str, Any]:
        event, filled = self.event, self.filled_qty
        return {
            "run_key": run_key,
            "client_order_id": event.client_order_id,
            "venue_order_id": event.venue_order_id,
            "exchange_order_id": None,
            "parent_id": event.parent_id,
            "decision_id": event.decision_id,
            "symbol": event.instrument.symbol,
            "side": event.side.value,
            "order_type": event.order_type.value,
            "role": event.role.value,
            "quantity": event.quantity,
            "filled_qty": event.filled_qty,
            "limit_ticks": event.limit_ticks,
            "stop_ticks": event.stop_ticks,
            "arrival_ticks": event.arrival_ticks,
            "expected_ticks": self.expected_sum / filled if filled else None,
            "average_ticks": self.ticks_sum / filled if filled else None,
            "slippage_ticks": self.slippage_ticks,
            "status": event.status.value,
            "submitted_ns": self.submitted_ns,
            "accepted_ns": self.accepted_ns,
            "updated_ns": event.ts,
            "reason": event.reason,
        }


@cache
def _quoted(word: str) -> str:
    return json.dumps(word)


@lru_cache(maxsize=1 << 14)
def _passed_json(name: str, value: float, limit: float, unit: str) -> str:
    return f'[{_quoted(name)}, {value!r}, {limit!r}, {_quoted(unit)}, true, ""]'


def _check_json(check: Check) -> str:
    # A check that passed says it all in numbers; its sentence is not made. A decision has some thirty of them.
    name, value, limit, unit, passed, _ = check
    value, limit = float(value), float(limit)
    if passed and isfinite(value) and isfinite(limit):
        return _passed_json(name, value, limit, unit)
    return json.dumps([name, value, limit, unit, passed, "" if passed else check.note])


def checks_to_json(checks: Sequence[Check], said: dict[int, tuple[Check, str]] | None = None) -> str:
    """Return checks as JSON text: `[name, value, limit, unit, passed, note]` each; NaN as JSON's extension `NaN`.

    The note is kept for checks that failed. `said` keeps what has been written between one call and the next: many checks are
    one record that several decisions share.
    """
    said = {} if said is None else said
    texts = []
    for check in checks:
        found = said.get(id(check))
        if found is None:
            found = said[id(check)] = (check, _check_json(check))  # holding the check keeps its id its own
        texts.append(found[1])
    return f"[{', '.join(texts)}]"


def checks_from_json(text: str) -> tuple[Check, ...]:
    """Return the checks that `checks_to_json` wrote."""
    return tuple(
        Check(name=name, value=value, limit=limit, unit=unit, passed=passed, note=note)
        for name, value, limit, unit, passed, note in json.loads(text)
    )


_encode = json.JSONEncoder(default=float).encode


def _inputs_json(inputs: Mapping[str, Any]) -> str:
    return _encode(inputs if type(inputs) is dict else dict(inputs))


def _known(value: float) -> float | None:
    return None if value != value else float(value)  # noqa: PLR0124 - NaN is not equal to itself


def _distances(proposal: Proposal) -> tuple[int | None, int | None]:
    # What a strategy refused by itself has no order; the bracket that it would have had may be among its inputs.
    if proposal.intent is not None:
        bracket = proposal.intent.bracket
        return (bracket.stop_ticks, bracket.target_ticks) if bracket else (None, None)
    stop, target = (proposal.inputs.get(name) for name in ("stop_ticks", "target_ticks"))
    return stop if isinstance(stop, int) else None, target if isinstance(target, int) else None


def decision_row(run_key: int, decision: Decision, said: dict[int, tuple[Check, str]] | None = None) -> tuple[Any, ...]:
    """Return the driver row of a decision made one by one; `said` as in `checks_to_json`."""
    proposal, outcome = decision.proposal, decision.outcome
    refused = outcome if isinstance(outcome, Refused) else None
    approved = outcome if isinstance(outcome, Approved) else None
    stop_ticks, target_ticks = _distances(proposal)
    return (
        run_key,
        decision.decision_id,
        decision.ts,
        proposal.symbol,
        proposal.name,
        proposal.side.value,
        _known(proposal.strength),
        _known(proposal.confidence),
        decision.verdict.value,
        approved.symbol if approved else None,
        approved.quantity if approved else None,
        stop_ticks,
        target_ticks,
        refused.check if refused else None,
        _known(refused.value) if refused else None,
        _known(refused.limit) if refused else None,
        refused.unit if refused else None,
        refused.reason if refused else None,
        _inputs_json(proposal.inputs),
        checks_to_json(_all_checks(decision), said),
    )


def _all_checks(decision: Decision) -> tuple[Check, ...]:
    own = decision.proposal.checks
    return decision.checks if decision.checks[: len(own)] == own else (*own, *decision.checks)


class StoreSink:
    """A `Sink` that keeps one run. Call `close` when the stream has ended.

    Parameters
    ----------
    database : the open store.
    run_key : the run, from `Store.begin_run`.
    describe : what turns candidates into refused decisions; None keeps only decisions that came one by one.
    sessions_a_write : how many sessions share a transaction; what is left is written by `close`.
    """

    def __init__(
        self, database: Database, run_key: int, describe: Describe | None = None, *, sessions_a_write: int = 1
    ) -> None:
        self._database = database
        self._run_key = run_key
        self._describe = describe
        self._sessions_a_write = sessions_a_write
        self._session: SessionStarted | None = None
        self._ended: list[tuple[SessionStarted, SessionEnded]] = []
        self._said: dict[int, tuple[Check, str]] = {}
        self._tier: str | None = None
        self._orders: dict[str, _OrderState] = {}
        self._touched: dict[str, None] = {}
        self._instruments: dict[str, Instrument] = {}
        self._known_instruments: set[str] = set()
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        self._closed_rows: list[RowsClosed] = []
        self._handlers: Mapping[type[Event], Callable[[Any], None]] = {
            SessionStarted: self._on_session_started,
            SessionEnded: self._on_session_ended,
            RowsClosed: self._closed_rows.append,
            DecisionMade: lambda event: self._add("door_decisions", decision_row(run_key, event.decision, self._said)),
            OrderChanged: self._on_order_changed,
            OrderFilled: self._on_order_filled,
            TradeClosed: lambda event: self._on_trade(event.trade),
            AccountSnapshot: self._on_snapshot,
            TierChanged: self._on_tier,
            TradingStateChanged: self._on_state,
        }

    def __call__(self, event: Event) -> None:
        """Take one event; writes only when it ends a session."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def on_refused(self, refused: KeptRefusals) -> None:
        """Take what the strategy refused by itself in the session."""
        for decision in refused:
            self._add("door_decisions", decision_row(self._run_key, decision, self._said))

    def _add(self, table: str, row: tuple[Any, ...]) -> None:
        self._rows.setdefault(table, []).append(row)

    def _on_session_started(self, event: SessionStarted) -> None:
        self._session = event

    def _on_session_ended(self, event: SessionEnded) -> None:
        if self._session is not None:
            self._ended.append((self._session, event))
            self._session = None
        if len(self._ended) >= self._sessions_a_write or not self._ended:
            self.flush()

    def _on_order_changed(self, event: OrderChanged) -> None:
        state = self._orders.get(event.client_order_id)
        if state is None:
            state = self._orders[event.client_order_id] = _OrderState(event)
        state.on_changed(event)
        self._touched[event.client_order_id] = None
        self._instruments[event.instrument.symbol] = event.instrument

    def _on_order_filled(self, event: OrderFilled) -> None:
        fill = event.fill
        state = self._orders.get(fill.client_order_id)
        if state is not None:
            state.on_fill(fill)
            self._touched[fill.client_order_id] = None
        self._instruments[fill.instrument.symbol] = fill.instrument
        self._add(
            "fills",
            (
                self._run_key,
                fill.trade_id,
                fill.client_order_id,
                fill.ts,
                fill.instrument.symbol,
                fill.side.value,
                fill.quantity,
                int(fill.price_ticks),
                int(fill.slippage_ticks),
                money(fill.fee),
                fill.liquidity.value,
                fill.role.value,
                fill.is_ambiguous,
                event.position_quantity,
                money(event.balance),
            ),
        )

    def _on_trade(self, trade: Trade) -> None:
        self._instruments[trade.instrument.symbol] = trade.instrument
        self._add(
            "trades",
            (
                self._run_key,
                trade.trade_id,
                trade.decision_id,
                trade.instrument.symbol,
                trade.side.value,
                trade.quantity,
                trade.entry_ns,
                trade.exit_ns,
                float(trade.entry_ticks),
                float(trade.exit_ticks),
                money(trade.gross),
                money(trade.fees),
                money(trade.net),
                float(trade.mae_ticks),
                float(trade.mfe_ticks),
                int(trade.slippage_ticks),
                trade.exit_role.value,
                trade.labels.get("pattern") or trade.labels.get("signal"),
                trade.labels.get("regime"),
                trade.labels.get("tier") or self._tier,
                json.dumps(trade.labels, sort_keys=True),
                trade.is_ambiguous,
            ),
        )

    def _on_snapshot(self, event: AccountSnapshot) -> None:
        amounts = (event.balance, event.equity, event.day_pnl, event.high_water_mark)
        self._add("account_snapshots", (self._run_key, event.ts, *map(money, amounts)))

    def _on_tier(self, event: TierChanged) -> None:
        self._tier = event.current
        row = (self._run_key, event.ts, event.previous, event.current, money(event.balance), event.reason)
        self._add("tier_changes", row)

    def _on_state(self, event: TradingStateChanged) -> None:
        row = (self._run_key, event.ts, event.state.value, event.cause, event.reason, event.by[:120] or None)
        self._add("state_changes", row)

    def flush(self) -> None:
        """Write what has been collected, in one transaction."""
        with self._database.writing() as connection:
            self._write_sessions(connection)
            self._write_instruments(connection)
            self._write_bars(connection)
            for name, rows in self._rows.items():
                table = schema.metadata.tables[name]
                columns = [column.name for column in table.columns if column.name != "key"]
                self._database.insert(connection, table, columns, rows)
            if self._describe is not None and self._closed_rows:
                words = known_words(connection, self._run_key)
                for event in self._closed_rows:
                    for part in self._describe(event):
                        write_columns(self._database, connection, self._run_key, part, words)
            self._write_orders(connection)
        # Only what has been committed is forgotten: a failed write is tried again with the next session.
        self._rows.clear()
        self._closed_rows.clear()
        self._ended.clear()
        self._said.clear()
        for name in self._touched:
            self._orders[name].is_stored = True
        # A closed order is kept for one more session: a fill may cross its cancel on the wire.
        self._orders = {
            name: state for name, state in self._orders.items() if name in self._touched or not state.event.status.is_closed
        }
        self._touched.clear()
        self._known_instruments.update(self._instruments)

    def _write_sessions(self, connection: Connection) -> None:
        rows = [self._session_row(started, ended) for started, ended in self._ended]
        if self._session is not None:
            rows.append(self._session_row(self._session, None))
        if not rows:
            return
        table = schema.sessions
        connection.execute(
            table.delete().where(table.c.run_key == self._run_key, table.c.trade_date == bindparam("day")),
            [{"day": row[1]} for row in rows],
        )
        self._database.insert(connection, table, [column.name for column in table.columns], rows)

    def _session_row(self, started: SessionStarted, ended: SessionEnded | None) -> tuple[Any, ...]:
        session = started.session
        return (
            self._run_key,
            session.trade_date.isoformat(),
            session.calendar,
            session.zone,
            json.dumps(started.symbols),
            session.open_ns,
            session.close_ns,
            money(started.balance),
            None if ended is None else money(ended.balance),
            None if ended is None else ended.ticks,
            started.is_simulated_data,
        )

    def _write_instruments(self, connection: Connection) -> None:
        table = schema.run_instruments
        for symbol in sorted(set(self._instruments) - self._known_instruments):
            # The instrument that traded wins over the one announced at the start: its fees may be the user's own.
            connection.execute(table.delete().where(table.c.run_key == self._run_key, table.c.symbol == symbol))
            row = (self._run_key, symbol, instrument_detail(self._instruments[symbol]))
            self._database.insert(connection, table, ("run_key", "symbol", "detail"), [row])

    def _write_bars(self, connection: Connection) -> None:
        rows = [
            (self._run_key, event.trade_date.isoformat(), event.symbol, len(event.rows), data)
            for event in self._closed_rows
            if (data := pack_bars(event.rows)) is not None
        ]
        self._database.insert(connection, schema.bars, ("run_key", "trade_date", "symbol", "count", "data"), rows)

    def _write_orders(self, connection: Connection) -> None:
        table = schema.orders
        stored = [name for name in self._touched if self._orders[name].is_stored]
        if stored:
            connection.execute(
                table.delete().where(table.c.run_key == self._run_key, table.c.client_order_id == bindparam("name")),
                [{"name": name} for name in stored],
            )
        columns = [column.name for column in table.columns]
        rows = [tuple(self._orders[name].values(self._run_key).values()) for name in self._touched]
        self._database.insert(connection, table, columns, rows)

    def close(self) -> None:
        """Write what is left; the database stays open."""
        if self._rows or self._touched or self._closed_rows or self._ended:
            self.flush()
