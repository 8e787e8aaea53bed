"""What the pages show, put together from book, market, signs of life and notices; JSON-ready, at any moment of any run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from sovereign.app.dashboard.cost import costs
from sovereign.app.dashboard.market import stored_bars, strategy_of
from sovereign.app.dashboard.plain import plain
from sovereign.app.dashboard.replica import closed_bars, open_bar
from sovereign.app.dashboard.standing import Standing
from sovereign.app.dashboard.statistic import execution_summary, trade_statistics
from sovereign.core.errors import NotFoundError
from sovereign.store import live_schema, schema

if TYPE_CHECKING:
    from sovereign.store.runs import StoredRun


class View(Standing):
    """Answers about runs and sessions. Safe to use from several threads; see `Scope`."""

    # Tables

    def orders(self, run: StoredRun, at: int | None, limit: int) -> list[dict[str, Any]]:
        """Return orders, newest first."""
        book = self.book(run, at, None)
        return plain([self.priced(book, row) for row in reversed(book.orders(newest=limit))])

    def fills(self, run: StoredRun, at: int | None, limit: int) -> list[dict[str, Any]]:
        """Return fills, newest first."""
        book = self.book(run, at, None)
        return plain([self.priced(book, row) for row in reversed(book.fills()[-limit:])])

    def trades(self, run: StoredRun, at: int | None, limit: int) -> list[dict[str, Any]]:
        """Return closed trades, newest first."""
        trades = self.book(run, at, None).trades()[-limit:]
        return [self.trade(run, trade) for trade in reversed(trades)]

    def trade(self, run: StoredRun, trade: Any) -> dict[str, Any]:
        """Return one trade."""
        from sovereign.research.ledger import trade_to_plain

        return plain({"run": run.id, **trade_to_plain(trade), **self._tick(trade.instrument)})

    def decisions(
        self,
        run: StoredRun,
        at: int | None,
        *,
        limit: int,
        offset: int = 0,
        verdict: str | None = None,
        check: str | None = None,
        symbol: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return decisions, newest first; of a session that runs, candidates refused before the door are in it too."""
        book = self.book(run, at, None)
        fits = {"verdict": verdict, "failed_check": check, "symbol": symbol}
        pending = self._pending(run, at)
        own = [row for row in pending if all(value is None or row[name] == value for name, value in fits.items())]
        stored = book.decisions(limit=limit + offset, verdict=verdict, check=check, symbol=symbol)
        known = {row["decision_id"] for row in stored}
        merged = sorted(
            [*stored, *(row for row in own if row["decision_id"] not in known)],
            key=lambda row: (row["ts"], row["decision_id"]),
            reverse=True,
        )
        return plain([{"run": run.id, **row} for row in merged[offset : offset + limit]])

    def _pending(self, run: StoredRun, at: int | None) -> list[dict[str, Any]]:
        """Return the candidates that a session's own gates have refused so far; the store gets them when it ends."""
        session = self.session(run)
        if session is None or session.status != "running":
            return []
        market = self.market(run, is_quick=True)
        own = self.settings_of(run)
        if market is None or own is None or market.session is None:
            return []
        from sovereign.app.dashboard.pending import pending_rows

        with market.lock:
            return pending_rows(run.record.strategy, own, market, at)

    def decision(self, run: StoredRun, decision_id: str, at: int | None) -> dict[str, Any]:
        """Return a decision with everything that followed from it until the moment.

        Raises
        ------
        NotFoundError : no such decision, or not yet.
        """
        try:
            found = self.store.decision(decision_id, run.id)
        except NotFoundError:
            pending = self._pending_detail(run, decision_id, at)
            if pending is None:
                raise
            return pending
        if at is not None and found.ts > at:
            raise NotFoundError(f"decision was '{decision_id}', which had not been made at that moment")
        fields = {name: getattr(found, name) for name in found.__slots__}
        trade, outcome = found.trade, found.would_have_made
        if at is not None:
            fields["orders"] = [row for row in found.orders if (row["submitted_ns"] or row["updated_ns"]) <= at]
            fields["fills"] = [row for row in found.fills if row["ts"] <= at]
            trade = None if trade is None or trade.exit_ns > at else trade
            outcome = None if outcome is None or outcome.exit_ns > at else outcome
        fields["trade"] = None if trade is None else self.trade(run, trade)
        fields["would_have_made"] = outcome
        fields["would_have_net"] = None if outcome is None else found.would_have_net
        fields["checks"] = [check._asdict() for check in found.checks]
        return plain({**fields, **self._tick(self.book(run, at, None).instrument(found.symbol))})

    def _pending_detail(self, run: StoredRun, decision_id: str, at: int | None) -> dict[str, Any] | None:
        row = next((one for one in self._pending(run, at) if one["decision_id"] == decision_id), None)
        if row is None:
            return None
        market, own = self.market(run, is_quick=True), self.settings_of(run)
        if market is None or own is None:
            return None
        from sovereign.app.dashboard.pending import pending_detail

        with market.lock:
            detail = pending_detail(run.record.strategy, own, market, row)
        empty: dict[str, Any] = {
            "traded_symbol": None,
            "quantity": None,
            "orders": [],
            "fills": [],
            "trade": None,
            "would_have_made": None,
            "would_have_net": None,
        }
        return plain(
            {
                "run_id": run.id,
                "zone": run.record.zone,
                "strategy": run.record.strategy,
                **row,
                **detail,
                **empty,
                **self._tick(self.book(run, at, None).instrument(row["symbol"])),
            }
        )

    def equity(self, run: StoredRun, at: int | None) -> dict[str, Any]:
        """Return the account's curve: milliseconds, equity, high-water mark and balance as columns."""
        market = self._recorded(run, at)
        book = self.book(run, at, market)
        points = book.equity()
        if market is not None and market.session is not None:
            # A session that has done nothing yet has a curve too, from its opening until now.
            money, now = book.money(), market.now_ns if at is None else at
            if not points:
                points = [(market.session.open_ns, money.equity, money.high_water_mark, money.balance)]
            if now > points[-1][0]:
                points.append((now, money.equity, money.high_water_mark, money.balance))
        return {
            "run": run.id,
            "zone": run.record.zone,
            "ms": [ts / 1e6 for ts, *_ in points],
            "equity": [float(equity) for _, equity, _, _ in points],
            "high_water_mark": [float(mark) for _, _, mark, _ in points],
            "balance": [float(balance) for *_, balance in points],
        }

    def statistics(self, run: StoredRun, at: int | None) -> dict[str, Any]:
        """Return figures over the closed trades, and who refused what."""
        book = self.book(run, at, None)
        return plain(
            {
                "run": run.id,
                **trade_statistics(book.trades()),
                "refused_by": [{"check": name, "count": count} for name, count in book.refused_by()],
            }
        )

    def execution(self, run: StoredRun, at: int | None, limit: int) -> dict[str, Any]:
        """Return what execution cost, order by order and over all."""
        book = self.book(run, at, None)
        found = costs(book, book.orders(newest=limit), lambda: self._recorded(run, at))
        rows = [{**row, **self._tick(book.instrument(row["symbol"]))} for row in found]
        return plain({"run": run.id, "summary": execution_summary(rows), "orders": rows[::-1]})

    def recalls(self, run: StoredRun, at: int | None, limit: int) -> list[dict[str, Any]]:
        """Return what a strategy's memory said about its newest decisions; empty for a strategy without one."""
        table = schema.door_decisions
        query = (
            select(table.c.decision_id, table.c.ts, table.c.symbol, table.c.inputs)
            .where(table.c.run_key == run.key, table.c.inputs.contains('"memory_cases"'))
            .order_by(table.c.ts.desc())
            .limit(limit)
        )
        if at is not None:
            query = query.where(table.c.ts <= at)
        with self.store.database.reading() as connection:
            rows = connection.execute(query).all()
        names = ("cases", "weight", "probability", "adjustment")
        found = []
        for row in rows:
            inputs = json.loads(row.inputs)
            recall = {name: inputs.get(f"memory_{name}") for name in names}
            found.append(plain({"run": run.id, "decision_id": row.decision_id, "ts": row.ts, "symbol": row.symbol, **recall}))
        return found

    def last_event(self, session_id: str) -> int:
        """Return how many events the audit stream of a session has."""
        table = live_schema.audit_heads
        with self.store.database.reading() as connection:
            return int(
                connection.execute(select(table.c.events).where(table.c.session_id == session_id)).scalar_one_or_none() or 0
            )

    # The tug of war

    def tug(self, run: StoredRun, at: int | None) -> dict[str, Any]:
        """Return what both camps say of every share, the market, and the verdicts; empty where there are no such bars."""
        from sovereign.app.dashboard.tug import tug_standing
        from sovereign.strategies.tug_of_war import TugOfWarStrategy

        found: dict[str, Any] = {"market": None, "verdicts": None, "shares": []}
        source = "no bars of both camps are kept of this run"
        strategy = strategy_of(self.settings_of(run), run.record.strategy)
        if isinstance(strategy, TugOfWarStrategy):
            market = self._recorded(run, at) if self._is_recorded(run) else self.market(run)
            if market is not None and market.is_behind:
                source = "the recording is still being read"
            elif market is not None and market.tapes:
                with market.lock:
                    found = tug_standing(market, strategy, at)
                source = _source("last closed bar", market.note)
        return plain({"run": run.id, "at": _told(at), "zone": run.record.zone, "source": source, **found})

    def table(self, run: StoredRun, table: str, at: int | None, *, limit: int, symbol: str | None) -> dict[str, Any]:
        """Return the newest rows of one of the strategy's tables, of the run's account; tables of scouts have none.

        Raises
        ------
        UsageError : a symbol for a table that has none.
        """
        symbols = () if symbol is None else (symbol,)
        rows = self.store.scouts.latest(table, account=run.record.account or "", symbols=symbols, until_ns=at, limit=limit)
        names = self.store.scouts.columns(table)
        return plain({"run": run.id, "at": _told(at), "table": table, "columns": names, "rows": rows})

    # Bars

    def bars(
        self, run: StoredRun, symbol: str | None, at: int | None, *, day: date | None, before: int | None, count: int
    ) -> dict[str, Any]:
        """Return footprint bars: the last `count` of those known at the moment, or those before index `before`.

        Raises
        ------
        NotFoundError : the run has no such symbol.
        """
        market = self.market(run, day)
        if market is None or not market.tapes:
            name = symbol or (run.record.symbols[0] if run.record.symbols else "")
            bars = stored_bars(self.store, run, name, day, at)
            end = len(bars) if before is None else min(before, len(bars))
            book = self.book(run, at, None)
            return {
                "run": run.id,
                "symbol": name,
                "symbols": list(run.record.symbols),
                "zone": run.record.zone,
                "source": "bars of the store; no ticks are kept of this run",
                "total": len(bars),
                "bars": bars[max(0, end - count) : end],
                "open": None,
                **self._tick(book.instrument(name) if name else None),
            }
        name = symbol or next(iter(market.tapes))
        tape = market.tapes.get(name)
        if tape is None:
            raise NotFoundError(f"symbol was '{name}'; this run has {', '.join(market.tapes)}")
        with market.lock:
            total = len(tape.rows(at))
            end = total if before is None else min(before, total)
            is_last = before is None or before >= total
            return {
                "run": run.id,
                "symbol": name,
                "symbols": list(market.tapes),
                "zone": run.record.zone,
                "source": _source("recording of the session" if self._is_recorded(run) else "ticks made again", market.note),
                "total": total,
                "bars": closed_bars(tape, end - count, end, total),
                "open": open_bar(tape, at, total) if is_last and not (market.is_over and at is None) else None,
                **self._tick(tape.instrument),
            }

    # Time travel

    def timeline(self, run: StoredRun, day: date | None) -> dict[str, Any]:
        """Return when a run's session begins and ends, and every moment worth stepping to, in time order."""
        market = self.market(run, day)
        book = self.book(run, None, None)
        sessions = book.sessions()
        wanted = None if day is None else day.isoformat()
        chosen = next((row for row in sessions if row["trade_date"] == wanted), sessions[-1] if sessions else None)
        begin, end = (chosen["open_ns"], chosen["close_ns"]) if chosen else (run.record.started_ns, run.record.started_ns)
        if market is not None and market.session is not None:
            begin, end = market.session.open_ns, market.session.close_ns
            edges = [tape.ticks[0] for tape in market.tapes.values() if len(tape.ticks[0])]
            if edges:
                begin = min(int(ts[0]) for ts in edges)
                end = (
                    min(end, max(int(ts[-1]) for ts in edges))
                    if not market.is_over
                    else min(end, max(int(t[-1]) for t in edges))
                )
        moments = [
            {"ts": row["ts"], "kind": "decision", "text": f"{row['verdict'].lower()} {row['name']} {row['side']}"}
            for row in self._door_rows(run, begin, end)
        ]
        moments += [
            {"ts": row["ts"], "kind": "fill", "text": f"{row['side']} {row['quantity']} {row['symbol']} ({row['role']})"}
            for row in book.fills()
            if begin <= row["ts"] <= end
        ]
        moments += [
            {"ts": row["ts"], "kind": "state", "text": f"{row['state']}: {row['reason']}"}
            for row in book.states()
            if begin <= row["ts"] <= end
        ]
        moments.sort(key=lambda one: one["ts"])
        return plain(
            {
                "run": run.id,
                "zone": run.record.zone,
                "days": [row["trade_date"] for row in sessions],
                "day": chosen["trade_date"] if chosen else None,
                "begin_ns": begin,
                "end_ns": end,
                "moments": moments,
            }
        )

    def _door_rows(self, run: StoredRun, begin: int, end: int) -> list[dict[str, Any]]:
        table = schema.door_decisions
        columns = (table.c.ts, table.c.verdict, table.c.name, table.c.side)
        query = select(*columns).where(table.c.run_key == run.key, table.c.ts >= begin, table.c.ts <= end).order_by(table.c.ts)
        with self.store.database.reading() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]

    # Runs

    def brief(self, run: StoredRun) -> dict[str, Any]:
        """Return a line about a run."""
        record = run.record
        metrics = run.summary.get("metrics", {})

        def figure(name: str) -> Any:
            found = metrics.get(name)
            return found.get("value") if isinstance(found, Mapping) else run.summary.get(name)

        return plain(
            {
                "run": run.id,
                "kind": record.kind,
                "status": run.status,
                "strategy": record.strategy,
                "symbols": record.symbols,
                "start": record.start,
                "end": record.end,
                "zone": record.zone,
                "is_simulated": record.is_simulated,
                "fill_model": record.fill_model,
                "started_ns": record.started_ns,
                "finished_ns": run.finished_ns,
                "trades": figure("trades"),
                "net": figure("net"),
                "verdict": run.verdict,
                "has_report": run.report_path is not None,
            }
        )

    def run_detail(self, run: StoredRun) -> dict[str, Any]:
        """Return a run with its figures, evidence card and settings."""
        record = run.record
        trials = self.store.trials(record.strategy, record.data_hash)
        return plain(
            {
                **self.brief(run),
                "parent": record.parent_id,
                "seed": None if record.seed is None else str(record.seed),
                "starting_balance": record.starting_balance,
                "hashes": {"config": record.config_hash, "code": record.code_hash, "data": record.data_hash},
                "trials": {"runs": trials.runs, "distinct": trials.distinct},
                "summary": json.loads(json.dumps(run.summary, default=str)),
                "config": record.config,
            }
        )


def _source(words: str, note: str) -> str:
    return f"{words}; {note}" if note else words


def _told(at: int | None) -> str | None:
    return None if at is None else str(at)
