"""Live sessions: journal, state, commands, signs of life, notices, latches and the audit chain; runs know their process."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables of live sessions and let a run name its account and its process."""
    op.create_table(
        "account_latches",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("set_ns", sa.BigInteger(), nullable=False),
        sa.Column("set_by", sa.String(length=120), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("cleared_ns", sa.BigInteger(), nullable=True),
        sa.Column("cleared_by", sa.String(length=120), nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_account_latches_account", "account_latches", ["account", "cleared_ns"], unique=False)
    op.create_table(
        "account_owners",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("account", "user_id"),
    )
    op.create_table(
        "commands",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("command_id", sa.String(length=80), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("asked_by", sa.String(length=120), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("put_ns", sa.BigInteger(), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=True),
        sa.Column("taken_ns", sa.BigInteger(), nullable=True),
        sa.Column("taken_by", sa.String(length=120), nullable=True),
        sa.Column("answered_ns", sa.BigInteger(), nullable=True),
        sa.Column("is_done", sa.Boolean(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("command_id"),
    )
    op.create_index("ix_commands_account", "commands", ["account", "answered_ns"], unique=False)
    op.create_table(
        "heartbeats",
        sa.Column("process", sa.String(length=120), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("process_token", sa.String(length=120), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("process"),
    )
    op.create_table(
        "live_sessions",
        sa.Column("id", sa.String(length=120), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("trade_date", sa.String(length=10), nullable=False),
        sa.Column("recording_path", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=120), nullable=True),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("config_hash", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("process_token", sa.String(length=120), nullable=False),
        sa.Column("started_ns", sa.BigInteger(), nullable=False),
        sa.Column("ended_ns", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_live_sessions_account", "live_sessions", ["account", "trade_date"], unique=False)
    op.create_table(
        "notices",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("session_id", sa.String(length=120), nullable=True),
        sa.Column("account", sa.String(length=64), nullable=True),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=120), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("resolved_by", _KEY, nullable=True),
        sa.Column("resolved_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_notices_subject", "notices", ["code", "subject", "resolved_by"], unique=False)
    op.create_table(
        "session_states",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("session_id", sa.String(length=120), nullable=True),
        sa.Column("trade_date", sa.String(length=10), nullable=False),
        sa.Column("updated_ns", sa.BigInteger(), nullable=False),
        sa.Column("balance", sa.String(length=40), nullable=False),
        sa.Column("day_start_balance", sa.String(length=40), nullable=False),
        sa.Column("high_water_mark", sa.String(length=40), nullable=False),
        sa.Column("trading_state", sa.String(length=16), nullable=False),
        sa.Column("halts", sa.Text(), nullable=False),
        sa.Column("positions", sa.Text(), nullable=False),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("execution_cursor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "strategy"),
    )
    op.create_table(
        "audit_events",
        sa.Column("session_id", sa.String(length=120), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["live_sessions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("session_id", "seq"),
    )
    op.create_table(
        "audit_heads",
        sa.Column("session_id", sa.String(length=120), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["live_sessions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("session_id"),
    )
    op.create_table(
        "order_requests",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("session_id", sa.String(length=120), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("request", sa.String(length=8), nullable=False),
        sa.Column("client_order_id", sa.String(length=80), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["live_sessions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_order_requests_session", "order_requests", ["session_id", "key"], unique=False)
    op.add_column("runs", sa.Column("account", sa.String(length=64), nullable=True))
    op.add_column("runs", sa.Column("pid", sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("host", sa.String(length=255), nullable=True))
    op.add_column("runs", sa.Column("process_token", sa.String(length=120), nullable=True))
