"""Tables of live sessions: requests before they leave, state between sessions, commands, signs of life, and the audit chain.

Unlike a run's tables, these are written while trading and must hold what a crash may not take away.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, LargeBinary, String, Table, Text

from sovereign.store.schema import KEY, MONEY, NAME, metadata

EVERY_ACCOUNT = "*"
"""The account of a latch that holds for all."""


def _session_id(*, is_primary: bool = False) -> Column[str]:
    reference = ForeignKey("live_sessions.id", ondelete="CASCADE")
    return Column("session_id", String(120), reference, nullable=False, primary_key=is_primary)


live_sessions = Table(
    "live_sessions",
    metadata,
    Column("id", String(120), primary_key=True),
    Column("account", NAME, nullable=False),
    Column("strategy", NAME, nullable=False),
    Column("mode", String(16), nullable=False),
    Column("trade_date", String(10), nullable=False),
    Column("recording_path", Text, nullable=False),
    Column("run_id", String(120)),
    Column("code_hash", String(64), nullable=False),
    Column("config_hash", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("host", String(255), nullable=False),
    Column("process_token", String(120), nullable=False),
    Column("started_ns", BigInteger, nullable=False),
    Column("ended_ns", BigInteger),
    Column("reason", Text, nullable=False),
    Index("ix_live_sessions_account", "account", "trade_date"),
)
"""One row per session of paper or live trading; `pid`, `host` and `process_token` are those of the latest start."""

order_requests = Table(
    "order_requests",
    metadata,
    Column("key", KEY, primary_key=True, autoincrement=True),
    _session_id(),
    Column("ts", BigInteger, nullable=False),
    Column("request", String(8), nullable=False),
    Column("client_order_id", String(80), nullable=False),
    Column("payload", Text, nullable=False),
    Index("ix_order_requests_session", "session_id", "key"),
)
"""The write-ahead journal: a request is here before it may leave. `payload` is the order with its bracket."""

session_states = Table(
    "session_states",
    metadata,
    Column("account", NAME, primary_key=True),
    Column("strategy", NAME, primary_key=True),
    Column("session_id", String(120)),
    Column("trade_date", String(10), nullable=False),
    Column("updated_ns", BigInteger, nullable=False),
    Column("balance", MONEY, nullable=False),
    Column("day_start_balance", MONEY, nullable=False),
    Column("high_water_mark", MONEY, nullable=False),
    Column("trading_state", String(16), nullable=False),
    Column("halts", Text, nullable=False),
    Column("positions", Text, nullable=False),
    Column("door", Text, nullable=False),
    Column("execution_cursor", BigInteger, nullable=False),
)
"""What one session leaves to the next, by account and strategy."""

commands = Table(
    "commands",
    metadata,
    Column("key", KEY, primary_key=True, autoincrement=True),
    Column("command_id", String(80), nullable=False, unique=True),
    Column("account", NAME, nullable=False),
    Column("strategy", NAME),
    Column("kind", String(16), nullable=False),
    Column("asked_by", String(120), nullable=False),
    Column("reason", Text, nullable=False),
    Column("arguments", Text, nullable=False),
    Column("put_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger),
    Column("taken_ns", BigInteger),
    Column("taken_by", String(120)),
    Column("answered_ns", BigInteger),
    Column("is_done", Boolean),
    Column("answer", Text),
    Index("ix_commands_account", "account", "answered_ns"),
)
"""The queue of commands; `taken_by` is a session, `is_done` False a command that was refused or expired."""

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("process", String(120), primary_key=True),
    Column("pid", BigInteger, nullable=False),
    Column("host", String(255), nullable=False),
    Column("process_token", String(120), nullable=False),
    Column("ts", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
)
"""The latest sign of life of every process."""

notices = Table(
    "notices",
    metadata,
    Column("key", KEY, primary_key=True, autoincrement=True),
    Column("session_id", String(120)),
    Column("account", NAME),
    Column("ts", BigInteger, nullable=False),
    Column("code", String(40), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("subject", String(120), nullable=False),
    Column("text", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("resolved_by", KEY),
    Column("resolved_ns", BigInteger),
    Index("ix_notices_subject", "code", "subject", "resolved_by"),
)
"""Notices with the notice that ended the matter, if any."""

account_latches = Table(
    "account_latches",
    metadata,
    Column("key", KEY, primary_key=True, autoincrement=True),
    Column("account", NAME, nullable=False),
    Column("set_ns", BigInteger, nullable=False),
    Column("set_by", String(120), nullable=False),
    Column("reason", Text, nullable=False),
    Column("cleared_ns", BigInteger),
    Column("cleared_by", String(120)),
    Index("ix_account_latches_account", "account", "cleared_ns"),
)
"""Kills: an account with a row that nobody has cleared does not trade."""

account_owners = Table(
    "account_owners",
    metadata,
    Column("account", NAME, primary_key=True),
    Column("user_id", String(80), primary_key=True),
)
"""Who may read an account's rows where the database itself decides that (row-level security); written by hand."""

audit_events = Table(
    "audit_events",
    metadata,
    _session_id(is_primary=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("ts", BigInteger, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
"""The audit stream, chained: `hash` is SHA-256 of the hash before and `data`, the canonical bytes of the event."""

audit_heads = Table(
    "audit_heads",
    metadata,
    _session_id(is_primary=True),
    Column("events", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
"""How long each chain is and how it ends, so that a cut end is seen."""

episodes = Table(
    "episodes",
    metadata,
    Column("account", NAME, primary_key=True),
    Column("strategy", NAME, primary_key=True),
    Column("episode_id", String(160), primary_key=True),
    Column("symbol", NAME, nullable=False),
    Column("opened_ns", BigInteger, nullable=False),
    Column("closed_ns", BigInteger),
    Column("side", BigInteger, nullable=False),
    Column("regime", String(40), nullable=False),
    Column("outcome", Float),
    Column("state", Text, nullable=False),
    Index("ix_episodes_closed", "account", "strategy", "closed_ns"),
)
"""What a strategy saw when it entered and what came of it; `state` is the whole episode as JSON."""
