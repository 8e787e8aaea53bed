"""Answers about the market and what was done in it: decisions, bars, execution, moments; see `model`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sovereign.app.dashboard.model import Answer, Money, Ns, Tick, Trade


class DecisionRow(Answer):
    """A candidate, taken or not."""

    run: str
    decision_id: str
    ts: Ns
    symbol: str
    name: str
    side: str
    strength: float | None
    confidence: float | None
    verdict: Literal["APPROVED", "RESIZED", "REFUSED"]
    failed_check: str | None


class CheckRow(Answer):
    """One rule looking at one candidate."""

    name: str
    value: float | None
    limit: float | None
    unit: str
    passed: bool
    note: str


class Outcome(Answer):
    """What one unit of a refused candidate would have made, worked out on the bars that followed."""

    entry_ticks: int
    exit_ticks: int
    exit_ns: Ns
    ticks: int
    exit_kind: str


class DecisionDetail(Tick):
    """A decision with what it saw and everything that followed."""

    run_id: str
    decision_id: str
    ts: Ns
    zone: str
    strategy: str
    symbol: str
    name: str
    side: str
    strength: float | None
    confidence: float | None
    verdict: Literal["APPROVED", "RESIZED", "REFUSED"]
    traded_symbol: str | None
    quantity: int | None
    reason: str | None
    failed_check: str | None
    inputs: dict[str, Any]
    checks: list[CheckRow]
    orders: list[dict[str, Any]]
    fills: list[dict[str, Any]]
    trade: Trade | None
    would_have_made: Outcome | None
    would_have_net: Money | None


class PatternMark(Answer):
    """A pattern on a bar."""

    name: str
    side: int
    ticks: int
    strength: float | None
    confidence: float | None
    gate: str


class BarRegime(Answer):
    """The regime a bar closed in."""

    name: str
    confidence: float | None
    is_tradable: bool
    why_not: str


class Bar(Answer):
    """A footprint bar; prices in ticks. `cells` are `[ticks, bid volume, ask volume, imbalance]`.

    Imbalance is +1 where buyers outweigh the diagonal opposite, -1 sellers, 2 both, 0 none.
    """

    index: int
    is_open: bool
    open_ms: float | None
    close_ms: float
    open: int | None
    high: int | None
    low: int | None
    close: int | None
    volume: int | None
    trades: int | None
    delta: int | None
    cumulative_delta: int | None
    poc: int | None
    value_area_low: int | None
    value_area_high: int | None
    vwap: float | None
    regime: BarRegime | None
    cells: list[list[int]]
    patterns: list[PatternMark]


class Bars(Tick):
    """Footprint bars of one symbol."""

    run: str
    symbol: str
    symbols: list[str]
    zone: str
    source: str
    total: int = Field(description="Closed bars known at the moment.")
    bars: list[Bar]
    open: Bar | None


class Curve(Answer):
    """The account's curve as columns."""

    run: str
    zone: str
    ms: list[float]
    equity: list[float]
    high_water_mark: list[float]
    balance: list[float]


class Spread(Answer):
    """A distribution."""

    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    worst: float | None
    sum: float | None


class ExecutionSummary(Answer):
    """What execution cost over all orders."""

    orders: int
    by_status: dict[str, int]
    by_reference: dict[str, int] = Field(description="Orders by what their shortfall is measured against.")
    slippage_ticks: Spread
    shortfall_ticks: Spread
    shortfall_bps: Spread
    shortfall_money: Spread
    opportunity_bps: Spread
    accept_ms: Spread
    fill_ms: Spread


class ExecutionRow(Tick):
    """What one order cost; positive is a cost."""

    client_order_id: str
    symbol: str
    side: str
    order_type: str
    role: str
    quantity: int
    status: str
    ts: Ns
    filled_qty: int
    arrival_ticks: int | None = Field(description="Last price when it was decided; of a stop or a target its own.")
    reference_ticks: float | None = Field(description="The price that shortfall is measured against.")
    reference: Literal["middle of the quote", "last price", "its own price"] | None
    average_ticks: float | None
    slippage_ticks: float | None
    shortfall_ticks: float | None = Field(description="Average against the reference, a unit, without fees.")
    shortfall_bps: float | None = Field(description="With fees, basis points of the reference.")
    shortfall_money: float | None = Field(description="With fees.")
    opportunity_bps: float | None = Field(
        description="What the unfilled part of an entry missed up to the close of the bar after its end, of the whole order."
    )
    accept_ms: float | None
    fill_ms: float | None


class Execution(Answer):
    """Execution of a run."""

    run: str
    summary: ExecutionSummary
    orders: list[ExecutionRow]


class Moment(Answer):
    """A moment worth stepping to."""

    ts: Ns
    kind: Literal["decision", "fill", "state"]
    text: str


class Timeline(Answer):
    """A session from its first tick to its last."""

    run: str
    zone: str
    days: list[str]
    day: str | None
    begin_ns: Ns
    end_ns: Ns
    moments: list[Moment]
