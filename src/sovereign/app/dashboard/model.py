"""The answers of the API as models: names, units and examples for the OpenAPI description.

Answers are checked against these in the tests; at run time they are sent as they are, since checking every bar would cost more
than making it. Times named `ts` or `..._ns` are UTC nanoseconds as text, `..._ms` UTC milliseconds as numbers, money is text.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Ns = Annotated[str, Field(pattern=r"^-?\d+$", description="UTC nanoseconds since 1970.", examples=["1763391600000000000"])]
Money = Annotated[str, Field(description="Money in the account currency, exact.", examples=["-131.25"])]
State = Literal["ACTIVE", "REDUCING", "HALTED"]


class Answer(BaseModel):
    """Base: what is not named here is not sent."""

    model_config = ConfigDict(extra="forbid")


class Problem(Answer):
    """Why a request was not carried out."""

    error: str = Field(description="A word for programs.", examples=["not_found"])
    message: str = Field(description="What was given, what is allowed, what to do.", examples=["run was 'x', which is unknown"])


class Tick(Answer):
    """How prices in ticks become prices and money."""

    tick_size: float | None = Field(description="Price of one tick, price units.", examples=[0.25])
    tick_value: float | None = Field(description="Money of one tick of one unit, in `currency`.", examples=[12.5])
    precision: int = Field(description="Decimals of a price.", examples=[2])
    currency: str = Field(examples=["USD"])


class AccountMoney(Answer):
    """The account at `ts`."""

    ts: Ns
    balance: Money
    equity: Money
    day_pnl: Money
    open_pnl: Money
    high_water_mark: Money
    drawdown: Money
    drawdown_frac: float | None = Field(description="Drawdown as a fraction of the mark.", examples=[0.031])


class RoomLeft(Answer):
    """Room under one limit of the risk door."""

    name: str = Field(examples=["daily loss"])
    used: float = Field(examples=[131.25])
    limit: float = Field(examples=[300.0])
    left: float = Field(examples=[168.75])
    used_frac: float = Field(ge=0, le=1, examples=[0.4375])
    unit: str = Field(examples=["USD"])
    source: str = Field(description="The setting behind it.", examples=["risk.daily_loss_limit"])
    is_goal: bool = Field(description="A target rather than a loss.")


class Position(Tick):
    """An open position with live profit and its protection; prices in ticks."""

    symbol: str = Field(examples=["MES"])
    quantity: int = Field(description="Signed units.", examples=[2])
    side: Literal["LONG", "SHORT"]
    average_ticks: float | None = Field(examples=[26432.5])
    last_ticks: int | None
    last_ts: Ns | None
    stop_ticks: int | None
    target_ticks: int | None
    is_protected: bool = Field(description="Whether a stop works at the venue.")
    open_pnl: Money | None = Field(description="Floating profit before fees.")
    pnl_at_stop: Money | None = Field(description="Profit before fees if the stop fills at its price.")
    fees: Money
    opened_ns: Ns | int


class Order(Tick):
    """An order in its state at the moment asked for."""

    client_order_id: str
    venue_order_id: str | None
    exchange_order_id: str | None
    parent_id: str | None
    decision_id: str | None
    symbol: str
    side: Literal["BUY", "SELL"]
    order_type: str
    role: str
    quantity: int
    filled_qty: int
    limit_ticks: int | None
    stop_ticks: int | None
    arrival_ticks: int | None
    expected_ticks: float | None
    average_ticks: float | None
    slippage_ticks: int = Field(description="Slippage summed over units, ticks; positive costs.")
    status: str
    submitted_ns: Ns | None
    accepted_ns: Ns | None
    updated_ns: Ns
    reason: str


class Fill(Tick):
    """One execution."""

    trade_id: str
    client_order_id: str
    ts: Ns
    symbol: str
    side: Literal["BUY", "SELL"]
    quantity: int
    price_ticks: int
    slippage_ticks: int
    fee: Money
    liquidity: str
    role: str
    is_ambiguous: bool
    position_quantity: int
    balance: Money


class Review(Answer):
    """What a person has written about a trade."""

    note: str = Field(max_length=2000, examples=["late: took the third push"])
    tags: list[str] = Field(examples=[["late", "A-setup"]])
    by: str
    ts: Ns | None


class Trade(Tick):
    """A closed round trip; prices in ticks, excursions in ticks a unit."""

    run: str
    trade_id: str
    symbol: str
    side: Literal["BUY", "SELL"]
    quantity: int
    entry_ns: Ns
    exit_ns: Ns
    entry_ticks: float
    exit_ticks: float
    gross: Money
    fees: Money
    net: Money
    mae_ticks: float
    mfe_ticks: float
    slippage_ticks: int
    exit_role: str
    decision_id: str | None
    labels: dict[str, str]
    is_ambiguous: bool
    review: Review | None = None


class Statistics(Answer):
    """Figures over closed trades."""

    trades: int
    wins: int
    losses: int
    win_rate: float | None = Field(description="Winners / trades.", examples=[0.4])
    gross: Money
    fees: Money
    net: Money
    average_win: Money | None
    average_loss: Money | None
    profit_factor: float | None = Field(description="Sum of wins / |sum of losses|.")
    expectancy: Money | None
    best: Money | None
    worst: Money | None
    slippage_ticks: float | None = Field(description="Mean slippage of a unit's round trip, ticks.")
    ambiguous: int = Field(description="Trades that another fill model would decide differently.")


class RefusedBy(Answer):
    """How many candidates one check refused."""

    check: str = Field(examples=["confidence"])
    count: int


class RunStatistics(Statistics):
    """Figures over the closed trades of a run, and who refused what."""

    run: str
    refused_by: list[RefusedBy]


class Regime(Answer):
    """The kind of market, as last judged."""

    symbol: str
    ts: Ns | None
    name: str = Field(examples=["TRENDING_UP"])
    confidence: float | None
    is_tradable: bool
    why_not: str
    source: str


class Quote(Tick):
    """The last price of a tape."""

    symbol: str
    ticks: int
    ts: Ns
    age_s: float = Field(description="Age against the session's clock, s.")


class Sign(Answer):
    """The latest sign of life of the session's process."""

    ts: Ns
    age_s: float
    is_stale: bool
    is_gone: bool
    pid: int
    feed_age_s: float | None
    memory_mb: float | None
    market_ns: Ns | None


class Part(Answer):
    """Whether a part of the session can be relied upon."""

    subject: str = Field(examples=["data:ES"])
    is_well: bool
    reason: str
    ts: Ns


class NoticeRow(Answer):
    """Something about the operation that a person may have to know."""

    key: int
    ts: Ns
    code: str = Field(examples=["DATA_STALE"])
    severity: Literal["INFO", "WARNING", "ALARM", "CRITICAL"]
    subject: str
    text: str
    session_id: str | None
    account: str | None
    resolved_ns: Ns | None


class StateChange(Answer):
    """A change of the trading state."""

    key: int
    ts: Ns
    state: State
    cause: str
    reason: str


class LatchRow(Answer):
    """A kill that holds."""

    account: str
    set_ns: Ns
    by: str
    reason: str


class Overview(Answer):
    """How a run stands at a moment."""

    run: str
    kind: str
    strategy: str
    symbols: list[str]
    account: str | None
    zone: str = Field(examples=["America/New_York"])
    trade_date: str | None
    is_simulated: bool
    is_live: bool = Field(description="Whether the session runs and the present is shown.")
    is_catching_up: bool = Field(description="Whether the recording is still being read; prices may be old.")
    status: str
    reason: str
    currency: str
    state: State
    halts: list[StateChange]
    latch: LatchRow | None
    clock_ns: Ns | int
    money: AccountMoney
    room: list[RoomLeft]
    positions: list[Position]
    working: list[Order]
    regimes: list[Regime]
    quotes: list[Quote]
    today: Statistics
    heartbeat: Sign | None
    health: list[Part]
    alerts: list[NoticeRow]
    tier: str | None
