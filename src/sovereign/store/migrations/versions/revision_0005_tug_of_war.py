"""The tug of war and its scouts: signals, results, trades, regimes, snapshots of the tape, readings of the news."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "news_readings",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("bayesian_score", sa.Float(), nullable=True),
        sa.Column("is_accepted", sa.Boolean(), nullable=False),
        sa.Column("tone", sa.Float(), nullable=True),
        sa.Column("filing_tone", sa.Float(), nullable=True),
        sa.Column("headline_tone", sa.Float(), nullable=True),
        sa.Column("post_tone", sa.Float(), nullable=True),
        sa.Column("posts", sa.Integer(), nullable=False),
        sa.Column("headlines", sa.Integer(), nullable=False),
        sa.Column("filings", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("symbol", "ts"),
    )
    op.create_table(
        "ofi_snapshots",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("ofi_raw", sa.Float(), nullable=True),
        sa.Column("ofi_z_score", sa.Float(), nullable=True),
        sa.Column("queue_imbalance", sa.Float(), nullable=True),
        sa.Column("queue_imbalance_z", sa.Float(), nullable=True),
        sa.Column("bid_size", sa.Integer(), nullable=False),
        sa.Column("ask_size", sa.Integer(), nullable=False),
        sa.Column("mid_price", sa.Float(), nullable=True),
        sa.Column("iceberg_detected", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("symbol", "ts"),
    )
    op.create_table(
        "regime_states",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("spy_volatility", sa.Float(), nullable=True),
        sa.Column("spy_momentum", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("account", "ts"),
    )
    op.create_table(
        "tug_results",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("sovereign_direction", sa.String(length=16), nullable=False),
        sa.Column("madman_direction", sa.String(length=16), nullable=False),
        sa.Column("conflict", sa.Boolean(), nullable=False),
        sa.Column("verdict", sa.String(length=32), nullable=False),
        sa.Column("sovereign_confidence", sa.Float(), nullable=False),
        sa.Column("madman_confidence", sa.Float(), nullable=False),
        sa.Column("tug_score", sa.Float(), nullable=False),
        sa.Column("decision_id", sa.String(length=120), nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_tug_results_symbol", "tug_results", ["account", "symbol", "ts"], unique=False)
    op.create_table(
        "tug_signals",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("bot", sa.String(length=16), nullable=False),
        sa.Column("direction", sa.String(length=16), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("raw_confidence", sa.Float(), nullable=True),
        sa.Column("signal_type", sa.String(length=64), nullable=False),
        sa.Column("regime_state", sa.String(length=16), nullable=True),
        sa.Column("ofi_z_score", sa.Float(), nullable=True),
        sa.Column("afd_momentum", sa.Float(), nullable=True),
        sa.Column("bayesian_score", sa.Float(), nullable=True),
        sa.Column("raw_data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_tug_signals_symbol", "tug_signals", ["account", "symbol", "ts"], unique=False)
    op.create_table(
        "tug_trades",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("tug_result_key", _KEY, nullable=True),
        sa.Column("client_order_id", sa.String(length=160), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("side", sa.String(length=8), nullable=False),
        sa.Column("qty", sa.Integer(), nullable=False),
        sa.Column("order_type", sa.String(length=16), nullable=False),
        sa.Column("order_type_detail", sa.String(length=64), nullable=False),
        sa.Column("limit_price", sa.String(length=40), nullable=True),
        sa.Column("broker_order_id", sa.String(length=120), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("fill_price", sa.Float(), nullable=True),
        sa.Column("fill_qty", sa.Integer(), nullable=False),
        sa.Column("pnl", sa.String(length=40), nullable=True),
        sa.Column("implementation_shortfall_bps", sa.Float(), nullable=True),
        sa.Column("opportunity_bps", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["tug_result_key"], ["tug_results.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("account", "client_order_id"),
    )
    op.create_index("ix_tug_trades_symbol", "tug_trades", ["account", "symbol", "ts"], unique=False)
