"""What the store knows of one run at one moment: money, positions, orders, decisions, trades.

Everything takes the moment `at` (UTC ns; None is now) and answers with what had been written by then: the present, a finished
run and time travel are one code path.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from sqlalchemy import func, select

from sovereign.core.errors import NotFoundError
from sovereign.core.instrument import Instrument, find_instrument
from sovereign.core.order import OrderStatus
from sovereign.core.position import Trade
from sovereign.store import schema
from sovereign.store.runs import StoredRun
from sovereign.store.store import Store

_CLOSED = frozenset(status.value for status in OrderStatus if status.is_closed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """The account at `ts` (UTC ns): `drawdown` is how far equity is below its high-water mark, at least 0."""

    ts: int
    balance: Decimal
    equity: Decimal
    day_pnl: Decimal
    high_water_mark: Decimal

    @property
    def drawdown(self) -> Decimal:
        """How far equity is below its mark."""
        return max(Decimal(0), self.high_water_mark - self.equity)


@dataclass(slots=True)
class Held:
    """A position as fills have made it; `cost` is quantity (signed) times average entry price in ticks."""

    symbol: str
    quantity: int = 0
    cost: float = 0.0
    opened_ns: int = 0
    fees: Decimal = field(default_factory=lambda: Decimal(0))

    @property
    def average(self) -> float:
        """Average entry price, ticks."""
        return self.cost / self.quantity if self.quantity else float("nan")

    def fill(self, signed: int, ticks: int, fee: Decimal, ts: int) -> None:
        """Take one fill; `signed` is positive for a purchase."""
        before, after = self.quantity, self.quantity + signed
        if before == 0 or before * after <= 0:
            self.opened_ns, self.fees = ts, Decimal(0)
        if before * signed >= 0:
            self.cost += signed * ticks
        elif before * after > 0:
            self.cost *= after / before
        else:
            self.cost = float(after * ticks)
        self.fees += fee
        self.quantity = after


class Book:
    """One run at one moment.

    Parameters
    ----------
    carried : positions from before the run: (symbol, quantity, cost in ticks).
    """

    def __init__(
        self, store: Store, run: StoredRun, at: int | None = None, carried: Sequence[tuple[str, int, int]] = ()
    ) -> None:
        self.store, self.run, self.at = store, run, at
        self._carried = carried

    def _rows(self, table: Any, time: str, *, newest: int | None = None, since: int | None = None) -> list[dict[str, Any]]:
        column = table.c[time]
        query = select(table).where(table.c.run_key == self.run.key)
        if self.at is not None:
            query = query.where(column <= self.at)
        if since is not None:
            query = query.where(column >= since)
        query = query.order_by(column.desc() if newest is not None else column)
        if newest is not None:
            query = query.limit(newest)
        with self.store.database.reading() as connection:
            rows = [dict(row._mapping) for row in connection.execute(query)]
        for row in rows:
            row.pop("run_key", None)
        return rows[::-1] if newest is not None else rows

    @cached_property
    def instruments(self) -> dict[str, Instrument]:
        """The instruments of the run by symbol."""
        known = self.run.record.instruments or self.store.run(self.run.id).record.instruments
        return {instrument.symbol: instrument for instrument in known}

    def instrument(self, symbol: str) -> Instrument | None:
        """Return an instrument of the run, or the usual one of that name."""
        found = self.instruments.get(symbol)
        if found is not None:
            return found
        try:
            return find_instrument(symbol)
        except NotFoundError:
            return None

    # Money

    def money(self) -> Money:
        """Return the account as it was last told."""
        rows = self._rows(schema.account_snapshots, "ts", newest=1)
        record = self.run.record
        if not rows:
            start = self._start_balance() or record.starting_balance
            return Money(ts=record.started_ns, balance=start, equity=start, day_pnl=Decimal(0), high_water_mark=start)
        row = rows[0]
        names = ("balance", "equity", "day_pnl", "high_water_mark")
        return Money(ts=row["ts"], **{name: Decimal(row[name]) for name in names})

    def live_money(self, told: Money, floating: Sequence[Decimal | None]) -> Money:
        """Return the account with the floating profit of its open positions; as it was told last where a price is unknown.

        Sessions tell of their account when something happens to it; between two tellings prices go on.
        """
        if not floating or any(one is None for one in floating):
            return told
        fills = self._rows(schema.fills, "ts", newest=1)
        snapshots = self._rows(schema.account_snapshots, "ts", newest=1)
        is_newer = bool(fills) and (not snapshots or fills[0]["ts"] >= snapshots[0]["ts"])
        balance = Decimal(fills[0]["balance"]) if is_newer else told.balance
        equity = balance + sum((one for one in floating if one is not None), Decimal(0))
        return Money(
            ts=told.ts,
            balance=balance,
            equity=equity,
            day_pnl=equity - (told.equity - told.day_pnl),
            high_water_mark=max(told.high_water_mark, equity),
        )

    def _start_balance(self) -> Decimal | None:
        rows = self._rows(schema.sessions, "open_ns", newest=1)
        return Decimal(rows[0]["start_balance"]) if rows else None

    def sessions(self) -> list[dict[str, Any]]:
        """Return the sessions that had begun."""
        return self._rows(schema.sessions, "open_ns")

    def equity(self, most: int = 2_000) -> list[tuple[int, Decimal, Decimal, Decimal]]:
        """Return (UTC ns, equity, high-water mark, balance), thinned evenly to `most` points; the last one is kept."""
        rows = self._rows(schema.account_snapshots, "ts")
        if rows:
            rows = [*self._begun(rows[0]["ts"]), *rows]
        step = max(1, -(-len(rows) // most))
        kept = rows[::step] + (rows[-1:] if rows and (len(rows) - 1) % step else [])
        return [(row["ts"], Decimal(row["equity"]), Decimal(row["high_water_mark"]), Decimal(row["balance"])) for row in kept]

    def _begun(self, before_ns: int) -> list[dict[str, Any]]:
        """Return what the account began with, as a snapshot."""
        sessions = self._rows(schema.sessions, "open_ns")
        if not sessions or sessions[0]["open_ns"] >= before_ns:
            return []
        start = sessions[0]["start_balance"]
        return [{"ts": sessions[0]["open_ns"], "equity": start, "high_water_mark": start, "balance": start}]

    # What is held

    def fills(self, since: int | None = None) -> list[dict[str, Any]]:
        """Return the fills in time order."""
        return self._rows(schema.fills, "ts", since=since)

    def held(self) -> list[Held]:
        """Return the open positions."""
        found: dict[str, Held] = {}
        for symbol, quantity, cost in self._carried:
            found[symbol] = Held(symbol, quantity, float(cost))
        for fill in self.fills():
            held = found.setdefault(fill["symbol"], Held(fill["symbol"]))
            signed = fill["quantity"] if fill["side"] == "BUY" else -fill["quantity"]
            held.fill(signed, fill["price_ticks"], Decimal(fill["fee"]), fill["ts"])
        return [held for held in found.values() if held.quantity]

    # Orders

    def orders(
        self, *, working: bool | None = None, newest: int | None = None, since: int | None = None
    ) -> list[dict[str, Any]]:
        """Return orders as they stood, in time order of their last change; `working` only those that may still fill."""
        rows = [self._as_of(row) for row in self._order_rows(newest, since)]
        return [row for row in rows if working is None or (row["status"] not in _CLOSED) == working]

    def _order_rows(self, newest: int | None, since: int | None) -> list[dict[str, Any]]:
        table = schema.orders
        begun = func.coalesce(table.c.submitted_ns, table.c.updated_ns)
        query = select(table).where(table.c.run_key == self.run.key)
        if self.at is not None:
            query = query.where(begun <= self.at)
        if since is not None:
            query = query.where(table.c.updated_ns >= since)
        query = query.order_by(table.c.updated_ns.desc(), table.c.client_order_id.desc()).limit(newest)
        with self.store.database.reading() as connection:
            rows = [dict(row._mapping) for row in connection.execute(query)]
        for row in rows:
            row.pop("run_key", None)
        return rows[::-1]

    def _as_of(self, row: dict[str, Any]) -> dict[str, Any]:
        # The table holds the last state alone; before that moment an order was at most accepted.
        if self.at is None or row["updated_ns"] <= self.at:
            return row
        is_accepted = row["accepted_ns"] is not None and row["accepted_ns"] <= self.at
        filled = self._filled(row["client_order_id"])
        status = "PARTIALLY_FILLED" if filled else "ACCEPTED" if is_accepted else "SUBMITTED"
        unknown = dict.fromkeys(("average_ticks", "expected_ticks"))
        return {**row, **unknown, "filled_qty": filled, "slippage_ticks": 0, "status": status, "reason": ""}

    def _filled(self, client_order_id: str) -> int:
        table = schema.fills
        with self.store.database.reading() as connection:
            return int(
                connection.execute(
                    select(func.coalesce(func.sum(table.c.quantity), 0)).where(
                        table.c.run_key == self.run.key,
                        table.c.client_order_id == client_order_id,
                        table.c.ts <= (self.at or 0),
                    )
                ).scalar_one()
            )

    # Trades

    def trades(self) -> list[Trade]:
        """Return the closed round trips in order of exit."""
        return [trade for trade in self.store.trades(self.run.id) if self.at is None or trade.exit_ns <= self.at]

    def trades_since(self, exit_ns: int) -> list[Trade]:
        """Return the round trips that closed at or after a moment."""
        table = schema.trades
        query = select(table.c.trade_id).where(table.c.run_key == self.run.key, table.c.exit_ns >= exit_ns).limit(1)
        with self.store.database.reading() as connection:
            is_new = connection.execute(query).first() is not None
        return [trade for trade in self.trades() if trade.exit_ns >= exit_ns] if is_new else []

    # Decisions

    def decisions(
        self,
        *,
        limit: int,
        offset: int = 0,
        since: int | None = None,
        verdict: str | None = None,
        check: str | None = None,
        symbol: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return decisions, newest first."""
        view = schema.decisions
        query = select(*(column for column in view.c if column.name != "run_key")).where(view.c.run_key == self.run.key)
        for name, value in (("verdict", verdict), ("failed_check", check), ("symbol", symbol)):
            if value is not None:
                query = query.where(view.c[name] == value)
        if self.at is not None:
            query = query.where(view.c.ts <= self.at)
        if since is not None:
            query = query.where(view.c.ts >= since)
        query = query.order_by(view.c.ts.desc(), view.c.decision_id.desc()).limit(limit).offset(offset)
        with self.store.database.reading() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]

    def refused_by(self) -> list[tuple[str, int]]:
        """Return how many candidates each check refused, most first."""
        view = schema.decisions
        count = func.count()
        query = (
            select(view.c.failed_check, count)
            .where(view.c.run_key == self.run.key, view.c.verdict == "REFUSED")
            .group_by(view.c.failed_check)
            .order_by(count.desc())
        )
        if self.at is not None:
            query = query.where(view.c.ts <= self.at)
        with self.store.database.reading() as connection:
            return [(row[0] or "unknown", int(row[1])) for row in connection.execute(query)]

    def latest_inputs(self) -> Mapping[str, Any]:
        """Return what the newest decision of the risk door looked at."""
        rows = self._rows(schema.door_decisions, "ts", newest=1)
        return json.loads(rows[0]["inputs"]) if rows else {}

    # States

    def states(self) -> list[dict[str, Any]]:
        """Return changes of the trading state in time order."""
        return self._rows(schema.state_changes, "ts")

    def tier(self) -> str | None:
        """Return the account's tier, or None where tiers do not rule."""
        rows = self._rows(schema.tier_changes, "ts", newest=1)
        return rows[0]["current"] if rows else None
