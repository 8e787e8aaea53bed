"""The store: one object to write runs to and to ask them back from.

store = Store("sqlite:///sovereign.sqlite")
run_id = store.begin_run(record)
sink = store.sink(run_id, describe)        # a core.port.Sink
...                                        # the engine runs
sink.close()
store.finish_run(run_id, finished_ns=..., summary=...)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection, Table, func, select

from sovereign.core.decision import Check
from sovereign.core.errors import NotFoundError
from sovereign.core.instrument import Instrument, find_instrument
from sovereign.core.order import OrderRole, Side
from sovereign.core.position import Trade
from sovereign.store import schema
from sovereign.store.bulk import DecisionColumns, unpack, write_columns
from sovereign.store.configuration import StoreConfig
from sovereign.store.database import Database, in_order
from sovereign.store.journal import Describe, StoreSink, checks_from_json
from sovereign.store.outcome import BAR, Outcome, bracket_outcome
from sovereign.store.runs import (
    RunRecord,
    StoredRun,
    Trials,
    count_trials,
    find_run,
    insert_run,
    instrument_of,
    to_run,
)

if TYPE_CHECKING:
    from sovereign.store.live import LiveStore
    from sovereign.store.scouts import ScoutStore


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDecision:
    """A decision with everything that followed from it.

    `would_have_made` is the fate of one unit of a refused candidate, `would_have_net` its money after fees (both None for a
    taken one, or when no bracket or no bars are known).
    """

    run_id: str
    decision_id: str
    ts: int
    zone: str
    strategy: str
    symbol: str
    name: str
    side: str
    strength: float | None
    confidence: float | None
    verdict: str
    traded_symbol: str | None
    quantity: int | None
    reason: str | None
    failed_check: str | None
    inputs: Mapping[str, Any]
    checks: tuple[Check, ...]
    orders: tuple[Mapping[str, Any], ...]
    fills: tuple[Mapping[str, Any], ...]
    trade: Trade | None
    would_have_made: Outcome | None
    would_have_net: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A decision as either table holds it."""

    run_key: int
    decision_id: str
    ts: int
    symbol: str
    name: str
    side: str
    strength: float | None
    confidence: float | None
    verdict: str
    traded_symbol: str | None
    quantity: int | None
    stop_ticks: int | None
    target_ticks: int | None
    failed_check: str | None
    reason: str | None
    inputs: Mapping[str, Any]
    checks: tuple[Check, ...]


def _find_decision(connection: Connection, name: str, run_key: int | None) -> _Found | None:
    """Return a decision of a run, or of the newest run that has it."""
    door = schema.door_decisions
    # The list of runs lets the database use its (run, decision) index instead of reading every decision.
    keys = select(schema.runs.c.key)
    if run_key is not None:
        keys = keys.where(schema.runs.c.key == run_key)
    row = connection.execute(
        select(door).where(door.c.run_key.in_(keys), door.c.decision_id == name).order_by(door.c.run_key.desc()).limit(1)
    ).first()
    candidate = _find_candidate(connection, name, keys)
    if row is None or (candidate is not None and candidate.run_key > row.run_key):
        return candidate
    values = {field: getattr(row, field) for field in _Found.__slots__ if field not in ("inputs", "checks")}
    return _Found(**values, inputs=json.loads(row.inputs), checks=checks_from_json(row.checks))


def _find_candidate(connection: Connection, name: str, keys: Any) -> _Found | None:
    prefix = name.rstrip("0123456789")
    if prefix == name or len(name) - len(prefix) > 18:
        return None
    number = int(name[len(prefix) :])
    block = schema.candidate_blocks.c
    row = connection.execute(
        select(schema.candidate_blocks)
        .where(block.run_key.in_(keys), block.prefix == prefix)
        .order_by(block.run_key.desc())
        .limit(1)
    ).first()
    if row is None or name != f"{prefix}{number}" or number >= schema.BLOCK_ROWS:
        return None
    candidates, start = schema.candidates, row.key * schema.BLOCK_ROWS
    candidate = connection.execute(select(candidates).where(candidates.c.key == start + number)).first()
    if candidate is None:
        return None
    before = select(func.count()).select_from(candidates).where(candidates.c.key >= start, candidates.c.key < start + number)
    position = connection.execute(before).scalar_one()
    words = {
        word.code: word.word
        for word in connection.execute(select(schema.run_words).where(schema.run_words.c.run_key == row.run_key))
    }
    failed = words[candidate.failed_code]
    inputs, checks = unpack(row.detail, row.numbers, position, failed)
    return _Found(
        run_key=row.run_key,
        decision_id=name,
        ts=candidate.ts,
        symbol=row.symbol,
        name=words[candidate.name_code],
        side={1: "BUY", -1: "SELL"}.get(candidate.side, "NONE"),
        strength=candidate.strength,
        confidence=candidate.confidence,
        verdict="REFUSED",
        traded_symbol=None,
        quantity=None,
        stop_ticks=None,
        target_ticks=None,
        failed_check=failed,
        reason=checks[-1].note or None,
        inputs=inputs,
        checks=checks,
    )


class Store:
    """The SQL store of runs, decisions, orders, fills, trades and account snapshots.

    Safe to open from several processes at once; each opens its own. Created on first use.

    Raises
    ------
    ConfigurationError : the URL cannot be used, or the database belongs to a newer version.
    """

    def __init__(self, url: str | StoreConfig) -> None:
        self._database = Database(url if isinstance(url, StoreConfig) else StoreConfig(url=url))
        self._live: LiveStore | None = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def database(self) -> Database:
        """The open database."""
        return self._database

    @property
    def live(self) -> LiveStore:
        """The live side: sessions, order journal, states, commands, heartbeats, notices, latches, audit chain."""
        from sovereign.store.live import LiveStore

        if self._live is None:
            self._live = LiveStore(self._database)
        return self._live

    @property
    def scouts(self) -> ScoutStore:
        """What scouts saw, and the record of the tug of war."""
        from sovereign.store.scouts import ScoutStore

        return ScoutStore(self._database)

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    # -- writing ---------------------------------------------------------------------------------------------------------

    def begin_run(self, record: RunRecord) -> str:
        """Write a run that begins and return its name, `record.id` or with a number when that was taken."""
        return insert_run(self._database, record)[1]

    def finish_run(
        self,
        run_id: str,
        *,
        finished_ns: int,
        summary: Mapping[str, Any],
        daily_sharpe: float | None = None,
        verdict: str | None = None,
        report_path: str | None = None,
        status: str = "finished",
    ) -> None:
        """Write what came out of a run; `daily_sharpe` (not annualized) makes it count in deflated Sharpe ratios."""
        runs = schema.runs
        with self._database.writing() as connection:
            changed = connection.execute(
                runs.update()
                .where(runs.c.id == run_id)
                .values(
                    status=status,
                    finished_ns=finished_ns,
                    summary=json.dumps(summary, default=str),
                    daily_sharpe=daily_sharpe,
                    verdict=verdict,
                    report_path=report_path,
                )
            )
            if changed.rowcount != 1:
                raise NotFoundError(f"run was '{run_id}', which was never begun; call begin_run first")

    def add_to_summary(self, run_id: str, name: str, content: Mapping[str, Any]) -> None:
        """Keep something that was found out about a run afterwards, under `name` in its summary.

        Raises
        ------
        NotFoundError : no run has that name.
        """
        runs = schema.runs
        with self._database.writing() as connection:
            row = find_run(connection, run_id)
            summary = {**(json.loads(row.summary) if row.summary else {}), name: dict(content)}
            connection.execute(runs.update().where(runs.c.key == row.key).values(summary=json.dumps(summary, default=str)))

    def sink(self, run_id: str, describe: Describe | None = None, *, sessions_a_write: int = 1) -> StoreSink:
        """Return a reader of the audit stream that keeps it under `run_id`; see `StoreSink`."""
        return StoreSink(self._database, self._key(run_id), describe, sessions_a_write=sessions_a_write)

    def add_decisions(self, run_id: str, columns: DecisionColumns) -> int:
        """Write refused candidates by column, in one transaction; returns how many."""
        key = self._key(run_id)
        with self._database.writing() as connection:
            return write_columns(self._database, connection, key, columns)

    def delete_run(self, run_id: str) -> None:
        """Remove a run and everything that belongs to it."""
        with self._database.writing() as connection:
            run_key = find_run(connection, run_id).key
            blocks = schema.candidate_blocks
            for (key,) in connection.execute(select(blocks.c.key).where(blocks.c.run_key == run_key)).all():
                first, last = key * schema.BLOCK_ROWS, (key + 1) * schema.BLOCK_ROWS
                candidates = schema.candidates
                connection.execute(candidates.delete().where(candidates.c.key >= first, candidates.c.key < last))
            connection.execute(schema.runs.delete().where(schema.runs.c.key == run_key))

    def keep_test(self, key: str, made_ns: int, content: Mapping[str, Any]) -> None:
        """Keep the result of a strategy's test under the digest of everything it depends on."""
        table = schema.strategy_tests
        with self._database.writing() as connection:
            connection.execute(table.delete().where(table.c.key == key))
            connection.execute(table.insert().values(key=key, made_ns=made_ns, content=json.dumps(content)))

    def kept_test(self, key: str) -> dict[str, Any] | None:
        """Return what was kept under `key`, or None."""
        table = schema.strategy_tests
        with self._database.reading() as connection:
            row = connection.execute(select(table.c.content).where(table.c.key == key)).first()
        return None if row is None else json.loads(row.content)

    # -- the ledger ------------------------------------------------------------------------------------------------------

    def runs(self, *, limit: int | None = None, strategy: str | None = None, kind: str | None = None) -> list[StoredRun]:
        """Return runs, newest first."""
        table = schema.runs
        query = select(table).order_by(table.c.key.desc())
        if strategy is not None:
            query = query.where(table.c.strategy == strategy)
        if kind is not None:
            query = query.where(table.c.kind == kind)
        if limit is not None:
            query = query.limit(limit)
        with self._database.reading() as connection:
            return [to_run(row) for row in connection.execute(query)]

    def run(self, name: str) -> StoredRun:
        """Return a run by its name, a prefix that only it has, or `last`."""
        with self._database.reading() as connection:
            row = find_run(connection, name)
            return to_run(row, tuple(self._instruments(connection, row.key).values()))

    def trials(self, strategy: str, data_hash: str) -> Trials:
        """Count the trials of a strategy on one set of data."""
        with self._database.reading() as connection:
            return count_trials(connection, strategy, data_hash)

    # -- what a run left behind ------------------------------------------------------------------------------------------

    def trades(self, run_id: str) -> tuple[Trade, ...]:
        """Return a run's closed trades in order of exit."""
        table = schema.trades
        with self._database.reading() as connection:
            key = find_run(connection, run_id).key
            instruments = self._instruments(connection, key)
            order = in_order(connection, (table.c.exit_ns, table.c.trade_id))
            rows = connection.execute(select(table).where(table.c.run_key == key).order_by(*order))
            return tuple(_to_trade(row, instruments) for row in rows)

    def table(self, run_id: str, name: str, *, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the rows of one table for a run as plain values (`sessions`, `orders`, `fills`, `decisions`, ...)."""
        found = schema.decisions if name == "decisions" else schema.metadata.tables.get(name)
        if found is None or "run_key" not in found.c:
            names = {table.name for table in schema.metadata.sorted_tables if "run_key" in table.c}
            allowed = ", ".join(sorted({"decisions", *names}))
            raise NotFoundError(f"table was '{name}'; allowed are {allowed}")
        with self._database.reading() as connection:
            return _plain_rows(connection, found, find_run(connection, run_id).key, limit=limit)

    def decisions(
        self, run_id: str, *, verdict: str | None = None, failed_check: str | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Return a run's decisions in time order: those of the risk door, and the candidates refused before it."""
        view = schema.decisions
        wanted = {"verdict": verdict, "failed_check": failed_check}
        with self._database.reading() as connection:
            query = (
                select(*(column for column in view.c if column.name != "run_key"))
                .where(view.c.run_key == find_run(connection, run_id).key)
                .where(*(view.c[name] == value for name, value in wanted.items() if value is not None))
                .order_by(*in_order(connection, (view.c.ts, view.c.decision_id)))
                .limit(limit)
            )
            return [dict(row._mapping) for row in connection.execute(query)]

    def decision(self, name: str, run: str | None = None) -> StoredDecision:
        """Return a decision by its id, in `run` or else in the newest run that has it; `RUN:ID` names both.

        Raises
        ------
        NotFoundError : no such decision.
        """
        with self._database.reading() as connection:
            row = None
            if run is None:
                row = _find_decision(connection, name, None)
                if row is None and ":" in name:
                    run, name = name.split(":", 1)
            if row is None and run is not None:
                row = _find_decision(connection, name, find_run(connection, run).key)
            if row is None:
                where = f"run '{run}'" if run else "any run"
                raise NotFoundError(
                    f"decision was '{name}', which is not in {where}; 'sovereign runs decisions RUN' lists those of a run"
                )
            return self._explain(connection, row)

    def _explain(self, connection: Connection, row: _Found) -> StoredDecision:
        record = to_run(connection.execute(select(schema.runs).where(schema.runs.c.key == row.run_key)).one())
        orders = self._orders_of(connection, row)
        instruments = self._instruments(connection, row.run_key)
        trades = schema.trades
        trade = connection.execute(
            select(trades).where(trades.c.run_key == row.run_key, trades.c.decision_id == row.decision_id)
        ).first()
        fills = [
            fill
            for order in orders
            for fill in _plain_rows(connection, schema.fills, row.run_key, client_order_id=order["client_order_id"])
        ]
        outcome = self._outcome(connection, row, record.record) if row.verdict == "REFUSED" else None
        instrument = instruments.get(row.symbol) or find_instrument(row.symbol)
        net = instrument.value(outcome.ticks) - 2 * instrument.fee_per_side if outcome else None
        return StoredDecision(
            run_id=record.id,
            decision_id=row.decision_id,
            ts=row.ts,
            zone=record.record.zone,
            strategy=record.record.strategy,
            symbol=row.symbol,
            name=row.name,
            side=row.side,
            strength=row.strength,
            confidence=row.confidence,
            verdict=row.verdict,
            traded_symbol=row.traded_symbol,
            quantity=row.quantity,
            reason=row.reason,
            failed_check=row.failed_check,
            inputs=row.inputs,
            checks=row.checks,
            orders=tuple(orders),
            fills=tuple(sorted(fills, key=lambda fill: (fill["ts"], fill["trade_id"]))),
            trade=_to_trade(trade, instruments) if trade else None,
            would_have_made=outcome,
            would_have_net=net,
        )

    def _orders_of(self, connection: Connection, row: Any) -> list[dict[str, Any]]:
        """Return the orders of a decision and the children that protect them."""
        own = _plain_rows(connection, schema.orders, row.run_key, decision_id=row.decision_id)
        known = {order["client_order_id"] for order in own}
        children = [
            child
            for parent in sorted(known)
            for child in _plain_rows(connection, schema.orders, row.run_key, parent_id=parent)
            if child["client_order_id"] not in known
        ]
        return sorted(
            [*own, *children], key=lambda order: (order["submitted_ns"] or order["updated_ns"], order["client_order_id"])
        )

    def _outcome(self, connection: Connection, row: Any, record: RunRecord) -> Outcome | None:
        stop = row.stop_ticks if row.stop_ticks is not None else record.stop_ticks
        target = row.target_ticks if row.stop_ticks is not None else record.target_ticks
        if stop is None or row.side not in (Side.BUY.value, Side.SELL.value):
            return None
        sessions, bars = schema.sessions, schema.bars
        day = connection.execute(
            select(sessions.c.trade_date).where(
                sessions.c.run_key == row.run_key, sessions.c.open_ns <= row.ts, row.ts <= sessions.c.close_ns
            )
        ).scalar()
        data = connection.execute(
            select(bars.c.data).where(bars.c.run_key == row.run_key, bars.c.trade_date == day, bars.c.symbol == row.symbol)
        ).scalar()
        if data is None:
            return None
        return bracket_outcome(np.frombuffer(data, BAR), row.ts, Side(row.side).sign, stop, target)

    def _key(self, run_id: str) -> int:
        with self._database.reading() as connection:
            return int(find_run(connection, run_id).key)

    @staticmethod
    def _instruments(connection: Connection, run_key: int) -> dict[str, Instrument]:
        table = schema.run_instruments
        rows = connection.execute(select(table).where(table.c.run_key == run_key))
        return {row.symbol: instrument_of(row.detail) for row in rows}


def _plain_rows(
    connection: Connection, table: Table, run_key: int, limit: int | None = None, **equal: Any
) -> list[dict[str, Any]]:
    query = select(table).where(table.c.run_key == run_key, *(table.c[name] == value for name, value in equal.items()))
    key = table.primary_key.columns or (table.c.ts, table.c.decision_id)  # the view of decisions has no key
    rows: Sequence[Any] = connection.execute(query.order_by(*in_order(connection, key)).limit(limit)).all()
    hidden = {"run_key", "key", "numbers", "data"}
    return [{name: value for name, value in row._mapping.items() if name not in hidden} for row in rows]


def _to_trade(row: Any, instruments: Mapping[str, Instrument]) -> Trade:
    instrument = instruments.get(row.symbol)
    return Trade(
        trade_id=row.trade_id,
        instrument=instrument or find_instrument(row.symbol),
        side=Side(row.side),
        quantity=row.quantity,
        entry_ns=row.entry_ns,
        exit_ns=row.exit_ns,
        entry_ticks=row.entry_ticks,
        exit_ticks=row.exit_ticks,
        gross=Decimal(row.gross),
        fees=Decimal(row.fees),
        mae_ticks=row.mae_ticks,
        mfe_ticks=row.mfe_ticks,
        slippage_ticks=row.slippage_ticks,
        exit_role=OrderRole(row.exit_role),
        decision_id=row.decision_id,
        labels=json.loads(row.labels),
        is_ambiguous=bool(row.is_ambiguous),
    )
