"""The answers of the API as models: names, units and examples for the OpenAPI description.

Answers are checked against these in the tests; at run time they are sent as they are, since checking every bar would cost more
than making it. Times named `ts` or `..._ns` are UTC nanoseconds as text, `..._ms` UTC milliseconds as numbers, money is text.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

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
    slippage_ticks: Spread
    shortfall_ticks: Spread
    shortfall_bps: Spread
    shortfall_money: Spread
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
    arrival_ticks: int | None
    average_ticks: float | None
    slippage_ticks: float | None
    shortfall_ticks: float | None
    shortfall_bps: float | None
    shortfall_money: float | None
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


class RunRow(Answer):
    """A run of the ledger."""

    run: str
    kind: str
    status: str
    strategy: str
    symbols: list[str]
    start: str | None
    end: str | None
    zone: str
    is_simulated: bool
    fill_model: str
    started_ns: Ns
    finished_ns: Ns | None
    trades: int | None
    net: Money | float | None
    verdict: str | None
    has_report: bool


class RunDetail(RunRow):
    """A run with figures, evidence card and settings."""

    parent: str | None
    seed: str | None
    starting_balance: Money
    hashes: dict[str, str]
    trials: dict[str, int]
    summary: dict[str, Any] = Field(description="Figures with formula and unit, evidence card, fill bands, breakdowns.")
    config: dict[str, Any] = Field(description="The settings, secrets masked.")


class Difference(Answer):
    """One name with its value in both runs."""

    name: str
    first: Any
    second: Any
    change: float | None


class Comparison(Answer):
    """How two runs differ."""

    first: str
    second: str
    facts: list[Difference]
    config: list[Difference]
    metrics: list[Difference]
    trades: dict[str, Any]


class SessionRow(Answer):
    """A session of paper or live trading."""

    session: str
    run: str | None
    account: str
    strategy: str
    mode: str
    status: str
    trade_date: str
    started_ns: Ns
    ended_ns: Ns | None
    reason: str
    state: str | None
    heartbeat_s: float | None
    feed_age_s: float | None
    memory_mb: float | None
    pid: int | None
    positions: dict[str, int]


class GuardRow(Answer):
    """A guard's sign of life."""

    guard: str
    heartbeat_s: float
    is_gone: bool
    pid: int


class CommandRow(Answer):
    """A command and what became of it."""

    command_id: str
    kind: str
    by: str
    reason: str
    arguments: dict[str, str]
    account: str
    strategy: str | None
    put_ns: Ns
    answered_ns: Ns | None
    taken_by: str | None
    is_done: bool | None
    answer: str | None


class ScheduleRow(Answer):
    """When something happens by itself."""

    what: str
    ts: Ns
    source: str


class Operations(Answer):
    """Processes, feeds, kills, commands, notices and schedule."""

    now_ns: Ns
    sessions: list[SessionRow]
    guards: list[GuardRow]
    latches: list[LatchRow]
    commands: list[CommandRow]
    notices: list[NoticeRow]
    reconciliation: list[NoticeRow]
    schedule: list[ScheduleRow]
    store: str
    clients: int


class EventRow(Answer):
    """One event of the audit stream; `text` is its canonical JSON, `digest` its link in the chain."""

    seq: int
    ts: Ns
    kind: str
    text: str
    digest: str


class Rows(Answer):
    """Base of answers with rows."""

    run: str | None
    at: Ns | None


class PositionRows(Rows):
    """Open positions."""

    rows: list[Position]


class TradeRows(Rows):
    """Closed trades, newest first."""

    rows: list[Trade]


class OrderRows(Rows):
    """Orders, newest first."""

    rows: list[Order]


class FillRows(Rows):
    """Fills, newest first."""

    rows: list[Fill]


class DecisionRows(Rows):
    """Decisions, newest first."""

    rows: list[DecisionRow]


class EventRows(Rows):
    """Audit events, in order."""

    rows: list[EventRow]


class RunRows(Answer):
    """Runs, newest first."""

    rows: list[RunRow]


class RegimeRows(Rows):
    """Regimes by symbol."""

    rows: list[Regime]


class MemoryRow(Answer):
    """What a strategy's memory said about one decision."""

    run: str
    decision_id: str
    ts: Ns
    symbol: str
    cases: float | None
    weight: float | None
    probability: float | None
    adjustment: float | None


class MemoryRows(Rows):
    """Recalls, newest first; empty for strategies without memory."""

    rows: list[MemoryRow]


class Portfolio(Rows):
    """Money and figures of a run."""

    money: AccountMoney
    today: Statistics
    positions: list[Position]
    room: list[RoomLeft]


class Asked(Answer):
    """What became of a command at one session."""

    command_id: str
    account: str
    strategy: str | None
    session_id: str | None
    is_done: bool | None = Field(description="None: it waits for the next start.")
    answer: str


class Answers(Answer):
    """What every session answered."""

    kind: str
    asked: list[Asked]
    cleared: list[str] = Field(description="Accounts whose kill was cleared (`*`: that of all).")
    standing: list[str] = Field(description="Accounts whose kill still holds, as nobody named it (`*`: that of all).")


class Killed(Answer):
    """What a kill did."""

    is_flat: bool
    is_latched: bool
    accounts: list[dict[str, Any]]
    latch_error: str
    alert_error: str = Field(description="What people could not be told of the kill; empty when all was, or nobody is to be.")


class Started(Answer):
    """A session that was started: its process and where its output goes."""

    pid: int
    command: list[str]
    log: str


class SettingRow(Answer):
    """A setting with its source; secrets masked."""

    key: str
    value: Any
    source: str
    description: str
    pending: Any = Field(None, description="What sessions started from here will have instead.")


class SettingRows(Answer):
    """Settings."""

    rows: list[SettingRow]


class Token(Answer):
    """A token for writes (and, off loopback, for reads)."""

    token: str
    expires_s: int = Field(description="UTC second since 1970 from which it is void.", examples=[1763391600])
    name: str


class Instance(Answer):
    """What this is."""

    name: Literal["sovereign"]
    version: str
    instance: str
    needs_token_to_read: bool
    stale_s: float
    poll_ms: float
    strategies: list[str]
    confirmations: dict[str, str] = Field(description="The word each command wants typed; empty: none.")
