"""How a run stands at a moment: money, positions, limits, signs of life, alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from sovereign.app.dashboard.book import Book, Held, Money
from sovereign.app.dashboard.plain import plain
from sovereign.app.dashboard.replica import Replica, regime_of
from sovereign.app.dashboard.room import rooms
from sovereign.app.dashboard.scope import DAY_ROWS, Scope
from sovereign.app.dashboard.statistic import trade_statistics
from sovereign.app.dashboard.tape import Quote
from sovereign.app.ops.desk import session_process
from sovereign.core.event import Severity
from sovereign.core.instrument import Instrument
from sovereign.core.session import NS_PER_MINUTE, NS_PER_SECOND
from sovereign.store import live_schema

if TYPE_CHECKING:
    from sovereign.store.live import Heartbeat
    from sovereign.store.runs import StoredRun


class Standing(Scope):
    """Answers about how a run stands."""

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
        working = book.orders(working=True, newest=DAY_ROWS)
        positions = self._positions(book, market, at, working)
        money = book.live_money(money, [one["open_pnl"] for one in positions])
        is_live = session is not None and session.status == "running" and at is None
        return plain(
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
        return plain(self._positions(book, market, at, book.orders(working=True, newest=DAY_ROWS)))

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
        if found and market is not None and "can_enter" in (market.tapes[found[0]["symbol"]].rows(at).dtype.names or ()):
            return [{**max(found, key=lambda one: int(one["ts"])), "symbol": "market"}]  # the same of all shares
        if not found:
            inputs = book.latest_inputs()
            name = inputs.get("regime")
            if isinstance(name, str):
                confidence = inputs.get("regime_confidence")
                is_tradable = name not in ("CRISIS", "UNKNOWN")
                found.append(
                    {
                        "symbol": book.run.record.symbols[0] if book.run.record.symbols else "",
                        "ts": None,
                        "name": name,
                        "confidence": confidence if isinstance(confidence, float) else None,
                        "is_tradable": is_tradable,
                        "why_not": "" if is_tradable else name.lower(),
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


def notice_to_plain(one: Any) -> dict[str, Any]:
    """Return a stored notice."""
    notice = one.notice
    return plain(
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
