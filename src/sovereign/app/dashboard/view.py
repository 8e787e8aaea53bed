"""What the pages show, put together from book, market, signs of life and notices; JSON-ready, at any moment of any run."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from sovereign.app.dashboard.book import Book, Held, Money
from sovereign.app.dashboard.market import Markets, settings_of, stored_bars
from sovereign.app.dashboard.plain import plain
from sovereign.app.dashboard.replica import Quote, Replica, closed_bars, open_bar, regime_of
from sovereign.app.dashboard.room import rooms
from sovereign.app.dashboard.statistic import execution_row, execution_summary, trade_statistics
from sovereign.app.ops.desk import session_process
from sovereign.core.errors import NotFoundError
from sovereign.core.event import Severity
from sovereign.core.instrument import Instrument
from sovereign.core.session import NS_PER_MINUTE, NS_PER_SECOND, from_ns
from sovereign.store import live_schema, schema

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.store.live import Heartbeat, LiveSession
    from sovereign.store.runs import StoredRun
    from sovereign.store.store import Store

_DAY_ROWS = 400
_RECORDED = ("paper", "live")
_LOOK_S = 0.25  # a page is shown what there is rather than kept waiting for a long recording


class View:
    """Answers about runs and sessions. Safe to use from several threads.

    Parameters
    ----------
    settings : of the dashboard itself.
    now_ns : the system clock.
    """

    def __init__(self, store: Store, settings: Settings, now_ns: Any = time.time_ns) -> None:
        self.store = store
        self.settings = settings
        self.markets = Markets(store, settings)
        self._now_ns = now_ns
        self._own: dict[str, Settings | None] = {}

    # Which run

    def run(self, name: str | None) -> StoredRun:
        """Return a run by name; by default the newest session that runs, else the newest run.

        Raises
        ------
        NotFoundError : there is none.
        """
        if name is None:
            running = self.store.live.sessions(status="running", limit=1)
            name = running[0].run_id if running and running[0].run_id else "last"
        return self.store.run(name)

    def session(self, run: StoredRun) -> LiveSession | None:
        """Return the session that a run is of, or None."""
        if run.record.kind not in (*_RECORDED, "demo"):
            return None
        try:
            return self.store.live.session(run.id)
        except NotFoundError:
            return None

    def settings_of(self, run: StoredRun) -> Settings | None:
        """Return the settings a run was made with; None when this version cannot read them."""
        if run.id not in self._own:
            self._own[run.id] = settings_of(run)
        return self._own[run.id]

    def market(self, run: StoredRun, day: date | None = None, *, is_quick: bool = False) -> Replica | None:
        """Return the market of a run; `is_quick` only where it is a recording, as far as it has been read."""
        if not is_quick:
            return self.markets.of(run, day)
        return self.markets.of(run, day, budget_s=_LOOK_S) if self._is_recorded(run) else None

    def _is_recorded(self, run: StoredRun) -> bool:
        return run.record.kind in _RECORDED or self.session(run) is not None  # a demonstration may have been watched, or not

    def _recorded(self, run: StoredRun, at: int | None) -> Replica | None:
        """Return the market of a recorded run; the past is shown whole or not at all, so a moment waits for all of it."""
        if not self._is_recorded(run):
            return None
        return self.market(run, is_quick=True) if at is None else self.market(run)

    def book(self, run: StoredRun, at: int | None, market: Replica | None) -> Book:
        """Return the book of a run at a moment."""
        opening = None if market is None else market.opening
        carried = [] if opening is None else [(one.symbol, one.quantity, one.cost_ticks) for one in opening.positions]
        return Book(self.store, run, at, carried)

    # Overview

    def overview(self, run: StoredRun, at: int | None = None) -> dict[str, Any]:
        """Return everything that says in five seconds how it stands."""
        market = self._recorded(run, at)
        book = self.book(run, at, market)
        record, session = run.record, self.session(run)
        beat = None if session is None else self._beat(session.id)
        money, trades = book.money(), book.trades()
        today = [
            trade for trade in trades if market is None or market.session is None or trade.exit_ns >= market.session.open_ns
        ]
        state, halts = self._state(book, beat, at, is_running=session is not None and session.status == "running")
        working = book.orders(working=True, newest=_DAY_ROWS)
        positions = self._positions(book, market, at, working)
        money = book.live_money(money, [one["open_pnl"] for one in positions])
        is_live = session is not None and session.status == "running" and at is None
        found: dict[str, Any] = plain(
            {
                "run": run.id,
                "kind": record.kind,
                "strategy": record.strategy,
                "symbols": list(record.symbols),
                "account": record.account,
                "zone": record.zone,
                "trade_date": record.end,
                "is_simulated": record.is_simulated,
                "is_live": is_live,
                "is_catching_up": market is not None and market.is_behind,
                # How it ended is not known at an earlier moment.
                "status": "past" if at is not None else session.status if session is not None else run.status,
                "reason": "" if session is None or at is not None else session.reason,
                "currency": self._currency(book),
                "state": state,
                "halts": halts,
                "latch": self._latch(record.account) if at is None else None,
                "clock_ns": at if at is not None else (market.now_ns if market is not None else money.ts),
                "money": self._money(money),
                "room": self._room(run, book, money, today, positions, working, at),
                "positions": positions,
                "working": [self.priced(book, row) for row in working],
                "regimes": self._regimes(book, market, at),
                "quotes": self._quotes(market, at),
                "today": trade_statistics(today),
                "heartbeat": self._heartbeat(beat) if is_live else None,
                "health": self._health(market, at),
                "alerts": self.alerts(run, at),
                "tier": book.tier(),
            }
        )
        return found

    def _beat(self, session_id: str) -> Heartbeat | None:
        table = live_schema.heartbeats
        with self.store.database.reading() as connection:
            known = connection.execute(select(table.c.process).where(table.c.process == session_process(session_id))).first()
        if known is None:
            return None
        return next((one for one in self.store.live.heartbeats() if one.process == session_process(session_id)), None)

    def _heartbeat(self, beat: Heartbeat | None) -> dict[str, Any] | None:
        if beat is None:
            return None
        age = (self._now_ns() - beat.ts) / NS_PER_SECOND
        state = dict(beat.state)
        return {
            "ts": beat.ts,
            "age_s": round(age, 2),
            "is_stale": age > self.settings.dashboard.stale_s,
            "is_gone": beat.is_gone,
            "pid": beat.identity.pid,
            "feed_age_s": state.get("feed_age_s"),
            "memory_mb": state.get("memory_mb"),
            "market_ns": state.get("market_ns"),
        }

    @staticmethod
    def _state(book: Book, beat: Heartbeat | None, at: int | None, *, is_running: bool) -> tuple[str, list[dict[str, Any]]]:
        states = book.states()
        said = states[-1] if states else None
        state = said["state"] if said else "ACTIVE"
        told = None if beat is None or at is not None or not is_running else beat.state.get("state")
        # The change of state is written at once, the beat every few seconds: the later of the two holds.
        if beat is not None and told and (said is None or beat.state.get("market_ns", 0) >= said["ts"]):
            state = str(told)
        halts: list[dict[str, Any]] = []
        for change in states:
            if change["state"] == "ACTIVE":
                halts.clear()
            else:
                halts.append(change)
        return state, halts

    def _latch(self, account: str | None) -> dict[str, Any] | None:
        latch = self.store.live.latched(account or "*")
        if latch is None:
            return None
        return {"account": latch.account, "set_ns": latch.set_ns, "by": latch.set_by, "reason": latch.reason}

    @staticmethod
    def _currency(book: Book) -> str:
        return next((instrument.currency for instrument in book.instruments.values()), "USD")

    @staticmethod
    def _money(money: Money) -> dict[str, Any]:
        frac = float(money.drawdown / money.high_water_mark) if money.high_water_mark > 0 else None
        return {
            "ts": money.ts,
            "balance": money.balance,
            "equity": money.equity,
            "day_pnl": money.day_pnl,
            "open_pnl": money.equity - money.balance,
            "high_water_mark": money.high_water_mark,
            "drawdown": money.drawdown,
            "drawdown_frac": frac,
        }

    def _room(
        self,
        run: StoredRun,
        book: Book,
        money: Money,
        today: Sequence[Any],
        positions: Sequence[Any],
        working: Sequence[Mapping[str, Any]],
        at: int | None,
    ) -> list[dict[str, Any]]:
        own = self.settings_of(run)
        if own is None:
            return []
        now = money.ts if at is None else at
        recent = [row for row in book.orders(newest=60) if (row["submitted_ns"] or 0) > now - NS_PER_MINUTE]
        entries = sum(row["role"] == "ENTRY" for row in working)
        found = rooms(
            own.risk,
            day_start=money.equity - money.day_pnl,
            day_pnl=money.day_pnl,
            equity=money.equity,
            high_water_mark=money.high_water_mark,
            tier=book.tier(),
            positions=len(positions),
            entries=entries,
            trades=today,
            orders_last_minute=len(recent),
        )
        return [room.to_plain() for room in found]

    # Positions

    def positions(self, run: StoredRun, at: int | None) -> list[dict[str, Any]]:
        """Return the open positions of a run with live profit and their protection."""
        market = self._recorded(run, at)
        book = self.book(run, at, market)
        found: list[dict[str, Any]] = plain(self._positions(book, market, at, book.orders(working=True, newest=_DAY_ROWS)))
        return found

    def _positions(
        self, book: Book, market: Replica | None, at: int | None, working: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        return [self._position(book, held, market, at, working) for held in book.held()]

    def _position(
        self, book: Book, held: Held, market: Replica | None, at: int | None, working: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        instrument = book.instrument(held.symbol)
        quote = self._quote_of(held.symbol, instrument, market, at)
        protecting = {row["role"]: row for row in working if row["symbol"] == held.symbol and row["role"] != "ENTRY"}
        stop, target = protecting.get("STOP"), protecting.get("TARGET")
        pnl = None
        if quote is not None and instrument is not None:
            pnl = instrument.tick_value * Decimal(repr(quote.ticks * held.quantity - held.cost))
        stop_ticks = None if stop is None else stop["stop_ticks"]
        at_stop = None
        if stop_ticks is not None and instrument is not None:
            at_stop = instrument.tick_value * Decimal(repr(stop_ticks * held.quantity - held.cost))
        return {
            "symbol": held.symbol,
            "quantity": held.quantity,
            "side": "LONG" if held.quantity > 0 else "SHORT",
            "average_ticks": held.average,
            "last_ticks": None if quote is None else quote.ticks,
            "last_ts": None if quote is None else quote.ts,
            "stop_ticks": stop_ticks,
            "target_ticks": None if target is None else target["limit_ticks"],
            "is_protected": stop is not None,
            "open_pnl": pnl,
            "pnl_at_stop": at_stop,
            "fees": held.fees,
            "opened_ns": held.opened_ns,
            **self._tick(instrument),
        }

    @staticmethod
    def _tick(instrument: Instrument | None) -> dict[str, Any]:
        if instrument is None:
            return {"tick_size": None, "tick_value": None, "precision": 0, "currency": "USD"}
        return {
            "tick_size": float(instrument.tick_size),
            "tick_value": float(instrument.tick_value),
            "precision": instrument.price_precision,
            "currency": instrument.currency,
        }

    def _quote_of(self, symbol: str, instrument: Instrument | None, market: Replica | None, at: int | None) -> Quote | None:
        if market is None or market.is_behind:
            return None
        root = symbol if instrument is None else instrument.root
        for tape in market.tapes.values():
            # A micro contract is valued on the tape of the full one.
            if symbol == tape.instrument.symbol or root.endswith(tape.instrument.root):
                return tape.last(at)
        return None

    def _quotes(self, market: Replica | None, at: int | None) -> list[dict[str, Any]]:
        if market is None or market.is_behind:  # an old price would be worse than none
            return []
        now = at if at is not None else market.now_ns
        found = []
        for symbol, tape in market.tapes.items():
            quote = tape.last(at)
            if quote is not None:
                age = max(0.0, (now - quote.ts) / NS_PER_SECOND)
                found.append(
                    {"symbol": symbol, "ticks": quote.ticks, "ts": quote.ts, "age_s": age, **self._tick(tape.instrument)}
                )
        return found

    def _regimes(self, book: Book, market: Replica | None, at: int | None) -> list[dict[str, Any]]:
        found = []
        for symbol, tape in ({} if market is None or market.is_behind else market.tapes).items():
            rows = tape.rows(at)
            regime = regime_of(rows[-1]) if len(rows) else None
            if regime is not None:
                found.append({"symbol": symbol, "ts": int(rows["known_at"][-1]), **regime, "source": "last closed bar"})
        if not found:
            inputs = book.latest_inputs()
            name = inputs.get("regime")
            if isinstance(name, str):
                confidence = inputs.get("regime_confidence")
                found.append(
                    {
                        "symbol": book.run.record.symbols[0] if book.run.record.symbols else "",
                        "ts": None,
                        "name": name,
                        "confidence": confidence if isinstance(confidence, float) else None,
                        "is_tradable": True,
                        "why_not": "",
                        "source": "newest decision",
                    }
                )
        return found

    @staticmethod
    def _health(market: Replica | None, at: int | None) -> list[dict[str, Any]]:
        if market is None:
            return []
        return [
            {"subject": one.subject, "is_well": one.is_well, "reason": one.reason, "ts": one.ts}
            for one in market.parts(at).values()
        ]

    def alerts(self, run: StoredRun, at: int | None, limit: int = 20) -> list[dict[str, Any]]:
        """Return warnings and worse of a run that nobody has resolved, newest first."""
        session = self.session(run)
        if session is None:
            return []
        found = self.store.live.notices(severity=Severity.WARNING, session_id=session.id, limit=500)
        return [
            notice_to_plain(one)
            for one in reversed(found)
            if (at is None or one.notice.ts <= at) and (one.resolved_ns is None or (at is not None and one.resolved_ns > at))
        ][:limit]

    # Tables

    def priced(self, book: Book, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row with how its ticks become prices."""
        return {**row, **self._tick(book.instrument(row["symbol"]))}

    def orders(self, run: StoredRun, at: int | None, limit: int) -> list[dict[str, Any]]:
        """Return orders, newest first."""
        book = self.book(run, at, None)
        found: list[dict[str, Any]] = plain([self.priced(book, row) for row in reversed(book.orders(newest=limit))])
        return found

    def fills(self, run: StoredRun, at: int | None, limit: int) -> list[dict[str, Any]]:
        """Return fills, newest first."""
        book = self.book(run, at, None)
        found: list[dict[str, Any]] = plain([self.priced(book, row) for row in reversed(book.fills()[-limit:])])
        return found

    def trades(self, run: StoredRun, at: int | None, limit: int) -> list[dict[str, Any]]:
        """Return closed trades, newest first."""
        trades = self.book(run, at, None).trades()[-limit:]
        return [self.trade(run, trade) for trade in reversed(trades)]

    def trade(self, run: StoredRun, trade: Any) -> dict[str, Any]:
        """Return one trade."""
        from sovereign.research.ledger import trade_to_plain

        found: dict[str, Any] = plain({"run": run.id, **trade_to_plain(trade), **self._tick(trade.instrument)})
        return found

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
        found: list[dict[str, Any]] = plain([{"run": run.id, **row} for row in merged[offset : offset + limit]])
        return found

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
        answer: dict[str, Any] = plain({**fields, **self._tick(self.book(run, at, None).instrument(found.symbol))})
        return answer

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
        answer: dict[str, Any] = plain(
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
        return answer

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
        found: dict[str, Any] = plain(
            {
                "run": run.id,
                **trade_statistics(book.trades()),
                "refused_by": [{"check": name, "count": count} for name, count in book.refused_by()],
            }
        )
        return found

    def execution(self, run: StoredRun, at: int | None, limit: int) -> dict[str, Any]:
        """Return what execution cost, order by order and over all."""
        book = self.book(run, at, None)
        rows = [
            {**execution_row(row, book.instrument(row["symbol"])), **self._tick(book.instrument(row["symbol"]))}
            for row in book.orders(newest=limit)
        ]
        found: dict[str, Any] = plain({"run": run.id, "summary": execution_summary(rows), "orders": rows[::-1]})
        return found

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
                "source": "recording of the session" if self._is_recorded(run) else "ticks made again",
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
        found: dict[str, Any] = plain(
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
        return found

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

        line: dict[str, Any] = plain(
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
        return line

    def run_detail(self, run: StoredRun) -> dict[str, Any]:
        """Return a run with its figures, evidence card and settings."""
        record = run.record
        trials = self.store.trials(record.strategy, record.data_hash)
        found: dict[str, Any] = plain(
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
        return found


def notice_to_plain(one: Any) -> dict[str, Any]:
    """Return a stored notice."""
    notice = one.notice
    found: dict[str, Any] = plain(
        {
            "key": one.key,
            "ts": notice.ts,
            "code": notice.code,
            "severity": notice.severity,
            "subject": notice.subject,
            "text": notice.text,
            "session_id": one.session_id,
            "account": one.account,
            "resolved_ns": one.resolved_ns,
        }
    )
    return found


def clock(ts: int, zone: str) -> str:
    """Return a moment as people of a zone write it."""
    return f"{from_ns(ts, zone):%Y-%m-%d %H:%M:%S %Z}"
