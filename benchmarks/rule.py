"""The simple rule that both engines can trade, and the check that they make the same bars, fills and money of one tape.

Rule: at the close of a 300 s bar with a delta of at least `delta_lots` either way, flat: one contract at the market in the
direction of the delta, with a bracket. Both sides fill at traded prices, without spread, latency, queue or fees.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from benchmarks.fill_oracle import matching_model
from benchmarks.tape import TRADE_DATE, MemoryFeed, es
from sovereign.core.columns import Trades
from sovereign.core.decision import Approved, Check, Proposal, Refused, RefusedColumns
from sovereign.core.event import Event, OrderFilled, TradeClosed
from sovereign.core.instrument import Instrument
from sovereign.core.order import Bracket, OrderEvent, OrderIntent, Side
from sovereign.core.port import AccountView, Moment
from sovereign.core.position import Trade
from sovereign.core.session import NEVER, Session
from sovereign.engine.engine import Engine
from sovereign.engine.recipe import Run
from sovereign.execution.account import Account
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.execution.fill_model import PerUnitFees
from sovereign.kernels.row import Pattern
from sovereign.signals.order_flow import OrderFlowStream

RULE: dict[str, Any] = {
    "bar_ns": 300_000_000_000,
    "tick_size": 0.25,
    "tick_value": 12.5,
    "imbalance_ratio": 3.0,
    "imbalance_lots": 20,
    "delta_lots": 200,
    "stop_ticks": 16,
    "target_ticks": 24,
}
"""Also written to the file that the peers' programs read; the imbalance figures are the defaults of our patterns for ES."""

_BAR = ("known_at", "open", "high", "low", "close", "volume", "bid_volume", "ask_volume", "delta", "poc")
_FREE = 2**30


class DeltaRule:
    """The rule as a strategy of ours."""

    name = "delta_rule"
    gate_names: Sequence[str] = ("PASSED",)
    is_stateless = True

    def signal_stream(self, instrument: Instrument) -> OrderFlowStream:
        return EveryBar(instrument)

    def start_session(self, session: Session, instrument: Instrument) -> None:
        pass

    def decide(self, moment: Moment) -> Sequence[Proposal]:
        delta = int(moment.row["delta"])
        if moment.position_quantity or abs(delta) < RULE["delta_lots"]:
            return ()
        side = Side.BUY if delta > 0 else Side.SELL
        bracket = Bracket(stop_ticks=RULE["stop_ticks"], target_ticks=RULE["target_ticks"])
        intent = OrderIntent(symbol=moment.symbol, side=side, quantity=1, bracket=bracket)
        proposal = Proposal(
            name="delta", symbol=moment.symbol, side=side, strength=1.0, confidence=1.0, inputs={}, checks=(), intent=intent
        )
        return (proposal,)

    def refused(self, rows: NDArray[Any], candidates: NDArray[Any]) -> RefusedColumns | None:
        return None

    def usual_bracket(self, instrument: Instrument) -> Bracket | None:
        return None


class EveryBar(OrderFlowStream):
    """The order-flow stream, waking the strategy at every bar."""

    @property
    def rows(self) -> NDArray[Any]:
        rows = super().rows
        rows["wake"] = True
        return rows


class OpenDoor:
    """A risk door that lets one contract through whatever happens, as the peer's engine with its risk checks off does."""

    due_ns = NEVER

    def traded_symbol(self, tape: str) -> str:
        return tape

    def start_session(self, session: Session, balance: Decimal) -> Sequence[Event]:
        return ()

    def flatten_ns(self, session: Session) -> int:
        return NEVER

    def judge(self, proposal: Proposal, view: AccountView) -> tuple[tuple[Check, ...], Approved | Refused]:
        return (), Approved(1, False, proposal.symbol)

    def guard(self, tape: str, view: AccountView, parts: int = 1) -> tuple[int, int]:
        return -_FREE, _FREE

    def inspect(self, view: AccountView) -> Sequence[Event]:
        return ()

    def on_trade(self, trade: Trade, view: AccountView) -> Sequence[Event]:
        return ()

    def on_answer(self, cause: OrderEvent, ts: int) -> Sequence[Event]:
        return ()

    def halt(self, cause: str, by: str, reason: str, ts: int) -> Sequence[Event]:
        return ()

    def reduce(self, cause: str, by: str, reason: str, ts: int) -> Sequence[Event]:
        return ()

    def resume(
        self, by: str, reason: str, ts: int, *, causes: Collection[str] = (), view: AccountView | None = None
    ) -> Sequence[Event]:
        return ()

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        pass


def run_rule(trades: Trades) -> dict[str, Any]:
    """Run the rule in our engine; return bars, fills and profit in the peers' form."""
    fills: list[list[int]] = []
    profit: list[Decimal] = []

    def keep(event: Event) -> None:
        if isinstance(event, OrderFilled):
            fill = event.fill
            fills.append([fill.ts, fill.side.sign, fill.quantity, fill.price_ticks])
        elif isinstance(event, TradeClosed):
            profit.append(event.trade.gross)

    strategy = DeltaRule()
    engine = Engine(
        strategy=strategy,
        door=OpenDoor(),
        broker=SimulatedBroker(matching_model(crosses_spread=False)),
        account=Account(Decimal(1_000_000_000)),
        fees=PerUnitFees({"ES": Decimal(0)}),
        sinks=(keep,),
        is_simulated_data=True,
    )
    run = Run(MemoryFeed((TRADE_DATE, trades)), strategy.signal_stream, [engine])
    for _ in run.sessions():
        pass
    stream = run.streams["ES"]
    return {"bars": bars_of(stream.rows, stream.candidates), "fills": fills, "profit": float(sum(profit))}


def bars_of(rows: NDArray[Any], candidates: NDArray[Any]) -> list[list[int]]:
    """Return bars in the peers' form: the fields of a bar, then whether it has a buy and a sell imbalance."""
    buys = set(candidates["row"][candidates["pattern"] == Pattern.BUY_IMBALANCE].tolist())
    sells = set(candidates["row"][candidates["pattern"] == Pattern.SELL_IMBALANCE].tolist())
    return [[*(int(row[name]) for name in _BAR), int(n in buys), int(n in sells)] for n, row in enumerate(rows)]


def differences(ours: dict[str, Any], file: Path) -> list[str]:
    """Say how a peer's output differs from ours; an empty list when it does not.

    The peer closes a bar when a later tick comes, so it lacks the session's last one.
    """
    theirs = json.loads(file.read_text())
    found: list[str] = []
    bars = [[*bar[:-2], int(bar[-2] > 0), int(bar[-1] > 0)] for bar in theirs["bars"]]
    if len(ours["bars"]) - len(bars) not in (0, 1):
        found.append(f"bars: ours {len(ours['bars'])}, theirs {len(bars)}")
    found += [f"bar {n}: ours {a}, theirs {b}" for n, (a, b) in enumerate(zip(ours["bars"], bars, strict=False)) if a != b]
    if "fills" in theirs:
        pairs = zip(ours["fills"], theirs["fills"], strict=False)
        if len(ours["fills"]) != len(theirs["fills"]):
            found.append(f"fills: ours {len(ours['fills'])}, theirs {len(theirs['fills'])}")
        found += [f"fill {n}: ours {a}, theirs {b}" for n, (a, b) in enumerate(pairs) if a != b]
        if abs(ours["profit"] - theirs["profit"]) > 0.005:
            found.append(f"profit: ours {ours['profit']}, theirs {theirs['profit']}")
    return found


def check_instrument() -> None:
    """Refuse to compare when the file for the peers and our instrument disagree."""
    if (float(es().tick_size), float(es().tick_value)) != (RULE["tick_size"], RULE["tick_value"]):
        raise ValueError("the rule's tick differs from the instrument's; correct RULE")
