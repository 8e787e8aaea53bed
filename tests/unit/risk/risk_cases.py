"""A quiet Thursday morning in November 2025, with an account that may trade: the case each test spoils in one place."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from example_trades import closed_trade
from risk_day import LAST, TAPE, TEN, THURSDAY, utc
from sovereign.core.decision import Approved, Check, Proposal, Refused
from sovereign.core.event import TradingState
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, OrderIntent, Side
from sovereign.core.port import AccountView
from sovereign.core.position import Position, Trade
from sovereign.core.session import NS_PER_SECOND, Session
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor

FRIDAY = replace(
    THURSDAY,
    trade_date=date(2025, 11, 21),
    open_ns=utc("2025-11-20 23:00"),
    close_ns=utc("2025-11-21 22:00"),
    regular_open_ns=utc("2025-11-21 14:30"),
    regular_close_ns=utc("2025-11-21 21:00"),
)
HALF_DAY = replace(
    THURSDAY,
    trade_date=date(2025, 11, 28),
    open_ns=utc("2025-11-27 23:00"),
    close_ns=utc("2025-11-28 18:15"),
    regular_open_ns=utc("2025-11-28 14:30"),
    regular_close_ns=utc("2025-11-28 18:00"),
    is_early_close=True,
)


def view(**changes: Any) -> AccountView:
    """An account of 2,500 that has not traded today."""
    ts = changes.pop("ts", TEN)
    balance = changes.pop("balance", Decimal(2500))
    fields: dict[str, Any] = {
        "ts": ts,
        "session": THURSDAY,
        "state": TradingState.ACTIVE,
        "is_killed": False,
        "balance": balance,
        "day_start_balance": balance,
        "equity": balance,
        "high_water_mark": balance,
        "positions": {},
        "working_entries": 0,
        "last_ticks": {TAPE: LAST},
        "data_ns": ts - NS_PER_SECOND if ts is not None else None,
        "margin_per_unit": {
            "MESZ5": Decimal(40),
            "ESZ5": Decimal(300),
            "MNQZ5": Decimal(50),
            "CLZ5": Decimal(1000),
            "SPY": Decimal("165.00"),
        },
        "orders_last_minute": 0,
    }
    return AccountView(**(fields | changes))


def entry(**changes: Any) -> OrderIntent:
    """Buy at the market with a stop of 16 and a target of 24 ticks (definitions 5.1)."""
    return OrderIntent(**({"symbol": TAPE, "side": Side.BUY, "bracket": Bracket(stop_ticks=16, target_ticks=24)} | changes))


def proposal(intent: OrderIntent | None = None, **changes: Any) -> Proposal:
    intent = entry() if intent is None else intent
    fields: dict[str, Any] = {
        "name": "BUYING_ABSORPTION",
        "symbol": intent.symbol,
        "side": intent.side,
        "strength": 0.8,
        "confidence": 0.7,
        "inputs": {"delta": 120, "regime": "TRENDING_UP", "atr": 9.5},
        "checks": (),
        "intent": intent,
    }
    return Proposal(**(fields | changes))


def position(symbol: str = "MESZ5", quantity: int = 1, entry_ticks: int = LAST, tape: str = TAPE) -> Position:
    return Position(instrument=find_instrument(symbol), tape=tape, quantity=quantity, cost_ticks=quantity * entry_ticks)


def trade(net: str, symbol: str = "MESZ5") -> Trade:
    return closed_trade(
        find_instrument(symbol), TEN, TEN + NS_PER_SECOND, net, trade_id="t1", entry_ticks=float(LAST), exit_ticks=float(LAST)
    )


def door(config: RiskConfig | None = None, *, balance: Decimal | None = Decimal(2500), session: Session = THURSDAY) -> OneDoor:
    opened = OneDoor(config if config is not None else RiskConfig())
    if balance is not None:
        opened.start_session(session, balance)
    return opened


def check(checks: tuple[Check, ...], name: str) -> Check:
    return next(item for item in checks if item.name == name)


def judge(
    config: dict[str, Any] | None = None,
    intent: OrderIntent | None = None,
    *,
    day_start: Decimal | None = None,
    **changes: Any,
) -> tuple[tuple[Check, ...], Approved | Refused]:
    """Judge one entry on a fresh door, its day begun with `day_start` (the view's balance unless said otherwise)."""
    account = view(**changes)
    opened = OneDoor(RiskConfig.model_validate(config or {}))
    opened.start_session(THURSDAY, day_start if day_start is not None else account.balance)
    return opened.judge(proposal(intent), account)
