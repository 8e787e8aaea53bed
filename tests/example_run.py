"""A small run whose every figure can be worked out by hand: four sessions of ES, four trades, two refusals.

Monday  +24 ticks long               300.00 gross, 4.50 fees, 295.50 net -> 10,295.50
Tuesday -17 ticks short (1 slipped) -212.50 gross, 4.50 fees, -217.00 net
        -16 ticks long              -200.00 gross, 4.50 fees, -204.50 net ->  9,874.00
Wednesday: nothing
Thursday +24 ticks long, ambiguous   300.00 gross, 4.50 fees,  295.50 net -> 10,169.50
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from sovereign.core.decision import Approved, Check, Decision, Proposal, Refused, Verdict
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
    TradingState,
    TradingStateChanged,
)
from sovereign.core.instrument import FUTURES
from sovereign.core.order import Bracket, OrderEvent, OrderIntent, OrderRole, OrderStatus, OrderType, Side
from sovereign.core.position import Fill, Liquidity, Trade
from sovereign.core.session import NS_PER_MINUTE, Session, local_ns
from sovereign.research.result import LaneResult, RunCollector, RunResult
from sovereign.store.bulk import CheckColumn, DecisionColumns
from sovereign.store.outcome import BAR
from sovereign.store.runs import RunRecord

ES = FUTURES["ES"]
ZONE = "America/New_York"
MONDAY = date(2024, 3, 11)
START = Decimal("10000.00")
GATES = ("passed", "tradable", "strength")
CANDIDATE = np.dtype(
    [("gate", "i1"), ("side", "i1"), ("pattern", "i1"), ("known_at", "<i8"), ("strength", "<f8"), ("confidence", "<f8")]
)


@dataclass(frozen=True)
class Plan:
    """One trade: day counted from Monday, clock time of entry, direction, ticks made, and how it ended."""

    day: int
    clock: time
    side: Side
    ticks: int
    role: OrderRole
    slippage: int
    pattern: str
    regime: str
    is_ambiguous: bool = False


PLANS = (
    Plan(0, time(10, 0), Side.BUY, 24, OrderRole.TARGET, 0, "BUY_IMBALANCE", "TRENDING_UP"),
    Plan(1, time(10, 30), Side.SELL, -17, OrderRole.STOP, 1, "SELL_IMBALANCE", "RANGING"),
    Plan(1, time(14, 0), Side.BUY, -16, OrderRole.STOP, 0, "BUY_IMBALANCE", "RANGING"),
    Plan(3, time(10, 15), Side.BUY, 24, OrderRole.TARGET, 0, "BUY_IMBALANCE", "TRENDING_UP", is_ambiguous=True),
)


def session_of(day: date) -> Session:
    """Return the futures session of a trade date."""
    return Session(
        calendar="CME_EQUITY",
        trade_date=day,
        open_ns=local_ns(day - timedelta(days=1), time(18), ZONE),
        close_ns=local_ns(day, time(17), ZONE),
        regular_open_ns=local_ns(day, time(9, 30), ZONE),
        regular_close_ns=local_ns(day, time(16), ZONE),
        zone=ZONE,
    )


def order_changed(ts: int, plan: Plan, name: str, cause: OrderEvent, status: OrderStatus, **changes: Any) -> OrderChanged:
    """Return an event of an entry order; `changes` replaces its fields."""
    values: dict[str, Any] = {
        "client_order_id": name,
        "instrument": ES,
        "side": plan.side,
        "order_type": OrderType.MARKET,
        "role": OrderRole.ENTRY,
        "quantity": 1,
        "filled_qty": 0,
        "limit_ticks": None,
        "stop_ticks": None,
        "decision_id": None,
        "parent_id": None,
    }
    return OrderChanged(ts=ts, cause=cause, status=status, **{**values, **changes})


def _trade_events(plan: Plan, number: int, day: date, balance: Decimal) -> Iterator[Event]:
    ts, entry = local_ns(day, plan.clock, ZONE), 20_000
    decision_id, fee = f"flow-{day:%Y%m%d}-ES-{number:05d}", Decimal("2.25")
    checks = (Check("strength", 0.8, 0.6, "fraction", True), Check("daily_loss", 0.0, -800.0, "USD", True))
    proposal = Proposal(
        name=plan.pattern,
        symbol="ES",
        side=plan.side,
        strength=0.8,
        confidence=0.7,
        inputs={"pattern": plan.pattern, "price": entry, "value": 3.5},
        checks=checks[:1],
        intent=OrderIntent(symbol="ES", side=plan.side, bracket=Bracket(stop_ticks=16, target_ticks=24)),
    )
    yield DecisionMade(
        ts=ts,
        decision=Decision(
            decision_id=decision_id,
            ts=ts,
            strategy="flow",
            proposal=proposal,
            checks=checks,
            verdict=Verdict.APPROVED,
            outcome=Approved(1, False, "ES"),
        ),
    )
    name, exit_ts = f"{decision_id}-E", ts + 20 * NS_PER_MINUTE
    fields: dict[str, Any] = {"decision_id": decision_id, "arrival_ticks": entry}
    yield order_changed(ts, plan, name, OrderEvent.SUBMIT, OrderStatus.SUBMITTED, **fields)
    yield order_changed(ts + 1, plan, name, OrderEvent.ACCEPT, OrderStatus.ACCEPTED, venue_order_id="V1", **fields)
    yield order_changed(ts + 2, plan, name, OrderEvent.FILL, OrderStatus.FILLED, filled_qty=1, venue_order_id="V1", **fields)
    first = Fill(
        trade_id=f"F{number}a",
        client_order_id=name,
        instrument=ES,
        side=plan.side,
        quantity=1,
        price_ticks=entry,
        ts=ts + 2,
        fee=fee,
        liquidity=Liquidity.TAKER,
        role=OrderRole.ENTRY,
    )
    yield OrderFilled(ts=ts + 2, fill=first, position_quantity=plan.side.sign, balance=balance - fee)
    child = f"{decision_id}-X"
    asked = {"role": plan.role, "side": plan.side.opposite, "parent_id": name, "order_type": OrderType.STOP}
    yield order_changed(ts + 2, plan, child, OrderEvent.SUBMIT, OrderStatus.SUBMITTED, **asked)
    yield order_changed(exit_ts, plan, child, OrderEvent.FILL, OrderStatus.FILLED, filled_qty=1, **asked)
    exit_ticks = entry + plan.side.sign * plan.ticks
    gross = ES.value(plan.ticks)
    last = Fill(
        trade_id=f"F{number}b",
        client_order_id=child,
        instrument=ES,
        side=plan.side.opposite,
        quantity=1,
        price_ticks=exit_ticks,
        ts=exit_ts,
        fee=fee,
        liquidity=Liquidity.TAKER,
        role=plan.role,
        slippage_ticks=plan.slippage,
        is_ambiguous=plan.is_ambiguous,
    )
    after = balance + gross - 2 * fee
    yield OrderFilled(ts=exit_ts, fill=last, position_quantity=0, balance=after)
    yield TradeClosed(
        ts=exit_ts,
        trade=Trade(
            trade_id=f"T{number}",
            instrument=ES,
            side=plan.side,
            quantity=1,
            entry_ns=ts + 2,
            exit_ns=exit_ts,
            entry_ticks=float(entry),
            exit_ticks=float(exit_ticks),
            gross=gross,
            fees=2 * fee,
            mae_ticks=float(max(4, -plan.ticks)),
            mfe_ticks=float(max(6, plan.ticks)),
            slippage_ticks=plan.slippage,
            exit_role=plan.role,
            decision_id=decision_id,
            labels={"pattern": plan.pattern, "regime": plan.regime},
            is_ambiguous=plan.is_ambiguous,
        ),
    )
    yield AccountSnapshot(ts=exit_ts, balance=after, equity=after, day_pnl=gross - 2 * fee, high_water_mark=max(START, after))


def _refusal(day: date) -> DecisionMade:
    ts = local_ns(day, time(11), ZONE)
    check = Check("margin", 500.0, 400.0, "USD", False, "too high")
    proposal = Proposal(
        name="BUY_IMBALANCE",
        symbol="ES",
        side=Side.BUY,
        strength=0.9,
        confidence=float("nan"),
        inputs={},
        checks=(),
        intent=OrderIntent(symbol="ES", side=Side.BUY, bracket=Bracket(stop_ticks=16, target_ticks=24)),
    )
    decision = Decision(
        decision_id=f"flow-{day:%Y%m%d}-ES-00099",
        ts=ts,
        strategy="flow",
        proposal=proposal,
        checks=(check,),
        verdict=Verdict.REFUSED,
        outcome=Refused("margin", 400.0, 500.0, "USD", "margin is <higher> than allowed"),
    )
    return DecisionMade(ts=ts, decision=decision)


def bars_of(session: Session) -> Any:
    """Return one bar an hour of the day session; after 11:00 the market falls 20 ticks."""
    bars = np.zeros(6, BAR)
    bars["known_at"] = [local_ns(session.trade_date, time(hour), ZONE) for hour in range(10, 16)]
    bars["open"] = [20_000, 20_000, 20_000, 19_990, 19_980, 19_980]
    bars["high"] = bars["open"] + 5
    bars["low"] = bars["open"] - 5
    bars["close"] = [20_000, 20_000, 19_990, 19_980, 19_980, 19_985]
    return bars


def example_events() -> list[Event]:
    """Return the audit stream of the run."""
    events: list[Event] = []
    balance = START
    for offset in range(4):
        day = MONDAY + timedelta(days=offset)
        session = session_of(day)
        events.append(
            SessionStarted(ts=session.open_ns, session=session, symbols=("ES",), balance=balance, is_simulated_data=True)
        )
        for number, plan in enumerate(PLANS):
            if plan.day == offset:
                some = list(_trade_events(plan, number, day, balance))
                events += some
                balance = next(event.balance for event in reversed(some) if isinstance(event, AccountSnapshot))
        if offset == 2:
            events.append(_refusal(day))
            events.append(TierChanged(ts=session.close_ns, previous="one", current="two", balance=balance, reason="grown"))
            events.append(
                TradingStateChanged(ts=session.close_ns, state=TradingState.HALTED, cause="daily_loss", reason="limit reached")
            )
        candidates = np.zeros(3, CANDIDATE)
        candidates["gate"], candidates["side"], candidates["pattern"] = [1, 0, 2], [1, 1, -1], [0, 0, 1]
        candidates["known_at"] = local_ns(day, time(11), ZONE)
        candidates["strength"], candidates["confidence"] = [0.9, 0.9, 0.25], 0.5
        events.append(
            RowsClosed(ts=session.close_ns, symbol="ES", trade_date=day, rows=bars_of(session), candidates=candidates)
        )
        events.append(SessionEnded(ts=session.close_ns, trade_date=day, balance=balance, ticks=1_000))
    return events


def describe(event: RowsClosed) -> Iterator[DecisionColumns]:
    """Return the candidates that the gates refused."""
    index = np.flatnonzero(event.candidates["gate"])
    some = event.candidates[index]
    yield DecisionColumns(
        symbol=event.symbol,
        prefix=f"flow-{event.trade_date:%Y%m%d}-ES-C",
        index=index,
        ts=some["known_at"],
        name=some["pattern"],
        names=("BUY_IMBALANCE", "SELL_IMBALANCE"),
        side=some["side"],
        strength=some["strength"],
        confidence=some["confidence"],
        checks=(
            CheckColumn("tradable", some["gate"] == 1, 0.0, "code", "the bar is not to be traded"),
            CheckColumn("strength", some["strength"], 0.6, "fraction", "too weak"),
        ),
        failed=some["gate"] - 1,
        inputs={"price": np.full(len(some), 20_000)},
    )


def example_record(**changes: Any) -> RunRecord:
    """Return what the ledger knows of the run when it begins."""
    values: dict[str, Any] = {
        "id": "flow-20240401T120000-abc123",
        "kind": "backtest",
        "strategy": "flow",
        "symbols": ("ES",),
        "start": MONDAY,
        "end": MONDAY + timedelta(days=3),
        "zone": ZONE,
        "config": {"risk": {"daily_loss": -800}},
        "config_hash": "abc123",
        "code_hash": "c0de",
        "data_hash": "da7a",
        "seed": 7,
        "fill_model": "realistic",
        "is_simulated": True,
        "starting_balance": START,
        "started_ns": 1_711_972_800_000_000_000,
        "instruments": (ES,),
        "stop_ticks": 16,
        "target_ticks": 24,
    }
    return RunRecord(**{**values, **changes})


def example_run(**changes: Any) -> RunResult:
    """Return the finished run."""
    tables = RunCollector(GATES).extend(example_events()).tables()
    values: dict[str, Any] = {
        "run_id": "flow-20240401T120000-abc123",
        "strategy": "flow",
        "symbols": ("ES",),
        "start": MONDAY,
        "end": MONDAY + timedelta(days=3),
        "is_simulated": True,
        "settings": {"risk": {"daily_loss": -800}},
        "config_hash": "abc123",
        "code_hash": "c0de",
        "data_hash": "da7a",
        "seed": 7,
        "fill_model": "realistic",
        "starting_balance": START,
        "zone": ZONE,
        "tables": tables,
        "lanes": {"realistic": LaneResult(trades=tables.trades, final_balance=Decimal("10169.50"))},
    }
    return RunResult(**{**values, **changes})
