"""Answers about runs, sessions and commands, and rows of tables; see `model`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sovereign.app.dashboard.model import (
    AccountMoney,
    Answer,
    Fill,
    LatchRow,
    Money,
    NoticeRow,
    Ns,
    Order,
    Position,
    Regime,
    RoomLeft,
    Statistics,
    Trade,
)
from sovereign.app.dashboard.model_market import DecisionRow


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
