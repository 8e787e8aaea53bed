"""One moment of a run as plain values: what the console draws, taken from a run without touching it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sovereign.app.console.ladder import Bar, FootprintSource, last_bars
from sovereign.app.console.state import ConsoleState
from sovereign.core.decision import Decision
from sovereign.core.instrument import Instrument
from sovereign.core.order import OrderRole
from sovereign.core.position import Trade
from sovereign.kernels.row import NoTrade, Regime

if TYPE_CHECKING:
    from sovereign.research.backtest import Passage

MOST_BARS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What stays the same over a run. `label` says where the ticks come from: `SIMULATED data` or `recorded data`."""

    strategy: str
    label: str
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """The session's figures at the last closed bar; prices and ATR in ticks (float), unknown is None."""

    vwap: float | None = None
    value_area_low: float | None = None
    value_area_high: float | None = None
    poc: float | None = None
    cumulative_delta: int | None = None
    regime: str | None = None
    why_not: str = ""
    confidence: float | None = None
    adx: float | None = None
    atr: float | None = None
    bars: int = 0
    candidates: int = 0
    passed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """An open position with its protective prices (ticks) and floating profit before fees."""

    symbol: str
    quantity: int
    entry_ticks: float
    stop_ticks: int | None
    target_ticks: int | None
    pnl: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Everything that is drawn."""

    head: Head
    instrument: Instrument
    zone: str
    now_ns: int
    speed: float
    done_frac: float
    session: str
    last_ticks: int | None
    bars: tuple[Bar, ...]
    market: Market
    holdings: tuple[Holding, ...]
    balance: Decimal
    day_pnl: Decimal
    room: Decimal | None
    tier: str | None
    state: str
    state_reason: str
    decided: int
    closed: int
    decisions: tuple[Decision, ...]
    trades: tuple[Trade, ...]
    notices: tuple[tuple[int, str], ...]


def take(head: Head, state: ConsoleState, passage: Passage, now_ns: int, speed: float, done_frac: float) -> Picture:
    """Look at a run just after a block."""
    from sovereign.risk.door import OneDoor

    session, engine, symbol = passage.session, passage.engine, passage.block.symbol
    instrument = passage.run.instruments[symbol]
    stream = passage.run.streams[symbol]
    view, door = engine.view(), engine.door
    one = door if isinstance(door, OneDoor) else None
    return Picture(
        head=head,
        instrument=instrument,
        zone=session.zone,
        now_ns=now_ns,
        speed=speed,
        done_frac=min(1.0, max(0.0, done_frac)),
        session=session.trade_date.isoformat(),
        last_ticks=view.last_ticks.get(symbol),
        bars=last_bars(stream, MOST_BARS) if isinstance(stream, FootprintSource) else (),
        market=_market(stream.rows, stream.candidates, has_regime=isinstance(stream, FootprintSource)),
        holdings=tuple(_holding(state, position, view.last_ticks) for position in view.positions.values()),
        balance=view.balance,
        day_pnl=view.equity - view.day_start_balance,
        room=one.room(view) if one is not None else None,
        tier=one.tier.name if one is not None and one.tier is not None else None,
        state=state.trading_state.value,
        state_reason=state.state_reason,
        decided=state.decided,
        closed=state.closed,
        decisions=tuple(state.decisions),
        trades=tuple(state.trades),
        notices=tuple(state.notices),
    )


def _holding(state: ConsoleState, position: Any, last_ticks: Any) -> Holding:
    symbol = position.instrument.symbol
    stop, target = state.resting(symbol, OrderRole.STOP), state.resting(symbol, OrderRole.TARGET)
    last = last_ticks.get(position.tape)
    return Holding(
        symbol=symbol,
        quantity=position.quantity,
        entry_ticks=position.average_ticks,
        stop_ticks=stop.stop_ticks if stop is not None else None,
        target_ticks=target.limit_ticks if target is not None else None,
        pnl=None if last is None else position.unrealized(last),
    )


def _market(rows: Any, candidates: Any, *, has_regime: bool) -> Market:
    # Other streams may have a field of that name, and other regimes in it.
    names = rows.dtype.names or ()
    passed = int((candidates["gate"] == 0).sum()) if "gate" in (candidates.dtype.names or ()) else len(candidates)
    if not len(rows):
        return Market()
    row = rows[-1]

    def figure(name: str) -> float | None:
        value = float(row[name]) if name in names else float("nan")
        return value if value == value else None  # noqa: PLR0124 - NaN is not equal to itself

    regime = Regime(int(row["regime"])) if has_regime and "regime" in names else None
    why = NoTrade(int(row["no_trade"])).name.lower().replace("_", " ") if has_regime and row["no_trade"] else ""
    return Market(
        vwap=figure("session_vwap"),
        value_area_low=figure("session_value_area_low"),
        value_area_high=figure("session_value_area_high"),
        poc=figure("session_poc"),
        cumulative_delta=int(row["cumulative_delta"]) if "cumulative_delta" in names else None,
        regime=None if regime is None else regime.name.lower().replace("_", " "),
        why_not=why,
        confidence=figure("regime_confidence"),
        adx=figure("adx"),
        atr=figure("atr"),
        bars=len(rows),
        candidates=len(candidates),
        passed=passed,
    )
