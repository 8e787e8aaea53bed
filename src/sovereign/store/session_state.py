"""What a session leaves to the next one: balances, marks, positions, halts, and how far executions have been seen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from sovereign.core.event import TradingState
from sovereign.store import live_schema
from sovereign.store.database import Database, money

USUAL_BROKER = "venue"
"""The broker of an account of which nothing else is said: the simulated venue."""
_AT = "@"


def placed(account: str, broker: str, mode: str) -> str:
    """Return the name under which what sessions leave to each other is kept: an account's own, and where it is.

    At the simulated venue that is the name alone; elsewhere broker and mode are added, so that accounts of one name on paper,
    live, and at another broker share nothing.
    """
    return account if broker == USUAL_BROKER else f"{account}{_AT}{broker}-{mode}"


def account_of(place: str) -> str:
    """Return the account's own name of a name that `placed` made."""
    name, at, where = place.rpartition(_AT)
    return name if at and where.endswith(("-paper", "-live")) else place


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPosition:
    """An open position at the end of a session; `cost_ticks` is quantity (signed) times average entry price in ticks."""

    symbol: str
    tape: str
    quantity: int
    cost_ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """The state of one strategy on one account, as of `updated_ns`.

    Parameters
    ----------
    account : with where it is, see `placed`.
    door : JSON-ready state of the risk door (tier, streaks, whatever it asks to be kept).
    halts : what halted trading, oldest first, as JSON-ready values; empty while ACTIVE.
    execution_cursor : the venue's number of the last execution that is in these figures.
    """

    account: str
    strategy: str
    trade_date: date
    updated_ns: int
    balance: Decimal
    day_start_balance: Decimal
    high_water_mark: Decimal
    session_id: str | None = None
    trading_state: TradingState = TradingState.ACTIVE
    halts: Sequence[Mapping[str, Any]] = ()
    positions: Sequence[HeldPosition] = ()
    door: Mapping[str, Any] = field(default_factory=dict)
    execution_cursor: int = 0


class SqlSessionStates:
    """States by account and strategy. A save replaces the state before, whole, in one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self, account: str, strategy: str) -> SessionState | None:
        """Return the state that was saved last, or None."""
        table = live_schema.session_states
        with self._database.reading() as connection:
            row = connection.execute(select(table).where(table.c.account == account, table.c.strategy == strategy)).first()
        return None if row is None else _to_state(row)

    def save(self, state: SessionState) -> None:
        """Keep a state in place of the one before."""
        table = live_schema.session_states
        with self._database.writing() as connection:
            connection.execute(table.delete().where(table.c.account == state.account, table.c.strategy == state.strategy))
            connection.execute(table.insert().values(**_to_row(state)))

    def all(self, account: str | None = None) -> list[SessionState]:
        """Return every state, or those of the accounts of one name, wherever they are."""
        table = live_schema.session_states
        query = select(table).order_by(table.c.account, table.c.strategy)
        with self._database.reading() as connection:
            found = [_to_state(row) for row in connection.execute(query)]
        return [state for state in found if account is None or account_of(state.account) == account]


def _to_row(state: SessionState) -> dict[str, Any]:
    return {
        "account": state.account,
        "strategy": state.strategy,
        "session_id": state.session_id,
        "trade_date": state.trade_date.isoformat(),
        "updated_ns": state.updated_ns,
        "balance": money(state.balance),
        "day_start_balance": money(state.day_start_balance),
        "high_water_mark": money(state.high_water_mark),
        "trading_state": state.trading_state.value,
        "halts": json.dumps([dict(halt) for halt in state.halts]),
        "positions": json.dumps([[held.symbol, held.tape, held.quantity, held.cost_ticks] for held in state.positions]),
        "door": json.dumps(dict(state.door)),
        "execution_cursor": state.execution_cursor,
    }


def _to_state(row: Any) -> SessionState:
    return SessionState(
        account=row.account,
        strategy=row.strategy,
        session_id=row.session_id,
        trade_date=date.fromisoformat(row.trade_date),
        updated_ns=row.updated_ns,
        balance=Decimal(row.balance),
        day_start_balance=Decimal(row.day_start_balance),
        high_water_mark=Decimal(row.high_water_mark),
        trading_state=TradingState(row.trading_state),
        halts=tuple(json.loads(row.halts)),
        positions=tuple(
            HeldPosition(symbol=symbol, tape=tape, quantity=quantity, cost_ticks=cost)
            for symbol, tape, quantity, cost in json.loads(row.positions)
        ),
        door=json.loads(row.door),
        execution_cursor=row.execution_cursor,
    )
