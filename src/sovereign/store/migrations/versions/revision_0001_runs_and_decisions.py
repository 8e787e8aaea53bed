"""Runs, sessions, decisions, orders, fills and trades: the tables as they were before revisions were kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_DECISIONS = """
CREATE VIEW decisions AS
SELECT run_key, decision_id, ts, symbol, name, side, strength, confidence, verdict, failed_check FROM door_decisions
UNION ALL
SELECT block.run_key, block.prefix || CAST(candidate.key - block.key * 1048576 AS VARCHAR(20)), candidate.ts,
       block.symbol, name.word, CASE candidate.side WHEN 1 THEN 'BUY' WHEN -1 THEN 'SELL' ELSE 'NONE' END,
       candidate.strength, candidate.confidence, 'REFUSED', failed.word
FROM candidate_blocks AS block
JOIN candidates AS candidate ON candidate.key >= block.key * 1048576 AND candidate.key < (block.key + 1) * 1048576
JOIN run_words AS name ON name.run_key = block.run_key AND name.code = candidate.name_code
JOIN run_words AS failed ON failed.run_key = block.run_key AND failed.code = candidate.failed_code
"""


def upgrade() -> None:
    """Create the tables and the view of all decisions."""
    op.create_table(
        "candidates",
        sa.Column("key", _KEY, autoincrement=False, nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("name_code", sa.Integer(), nullable=False),
        sa.Column("side", sa.Integer(), nullable=False),
        sa.Column("failed_code", sa.Integer(), nullable=False),
        sa.Column("strength", sa.Float(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "runs",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("parent_id", sa.String(length=120), nullable=True),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("symbols", sa.Text(), nullable=False),
        sa.Column("start_date", sa.String(length=10), nullable=True),
        sa.Column("end_date", sa.String(length=10), nullable=True),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("config_hash", sa.String(length=64), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("data_hash", sa.String(length=64), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.Column("fill_model", sa.String(length=64), nullable=False),
        sa.Column("is_simulated", sa.Boolean(), nullable=False),
        sa.Column("starting_balance", sa.String(length=40), nullable=False),
        sa.Column("stop_ticks", sa.Integer(), nullable=True),
        sa.Column("target_ticks", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=64), nullable=False),
        sa.Column("started_ns", sa.BigInteger(), nullable=False),
        sa.Column("finished_ns", sa.BigInteger(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("daily_sharpe", sa.Float(), nullable=True),
        sa.Column("verdict", sa.String(length=64), nullable=True),
        sa.Column("report_path", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("ix_runs_trial", "runs", ["strategy", "data_hash"], unique=False)
    op.create_table(
        "strategy_tests",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("made_ns", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "account_snapshots",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("run_key", _KEY, nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("balance", sa.String(length=40), nullable=False),
        sa.Column("equity", sa.String(length=40), nullable=False),
        sa.Column("day_pnl", sa.String(length=40), nullable=False),
        sa.Column("high_water_mark", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["run_key"], ["runs.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_account_snapshots_run", "account_snapshots", ["run_key", "ts"], unique=False)
    op.create_table(
        "bars",
        sa.Column("run_key", _KEY, nullable=False),
        sa.Column("trade_date", sa.String(length=10), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_key"], ["runs.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_key", "trade_date", "symbol"),
    )
    op.create_table(
        "candidate_blocks",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("run_key", _KEY, nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("prefix", sa.String(length=80), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("numbers", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_key"], ["runs.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ux_candidate_blocks_prefix", "candidate_blocks", ["run_key", "prefix"], unique=True)
    op.create_table(
        "door_decisions",
        sa.Column("run_key", _KEY, nullable=False),
        sa.Column("decision_id", sa.String(length=80), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("side", sa.String(length=4), nullable=False),
        sa.Column("strength", sa.Float(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("verdict", sa.String(length=8), nullable=False),
        sa.Column("traded_symbol", sa.String(length=64), nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=True),
        sa.Column("stop_ticks", sa.Integer(), nullable=True),
        sa.Column("target_ticks", sa.Integer(), nullable=True),
        sa.Column("failed_check", sa.String(length=64), nullable=True),
        sa.Column("failed_value", sa.Float(), nullable=True),
        sa.Column("failed_limit", sa.Float(), nullable=True),
        sa.Column("failed_unit", sa.String(length=24), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("inputs", sa.Text(), nullable=False),
        sa.Column("checks", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_key"], ["runs.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_key", "decision_id"),
    )
    op.create_table(
        "fills",
        sa.Column("run_key", _KEY, nullable=False),
        sa.Column("trade_id", sa.String(length=80), nullable=False),
        sa.Column("client_order_id", sa.String(length=80), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("side", sa.String(length=4), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("price_ticks", sa.BigInteger(), nullable=False),
        sa.Column("slippage_ticks", sa.BigInteger(), nullable=False),
        sa.Column("fee", sa.String(length=40), nullable=False),
        sa.Column("liquidity", sa.String(length=8), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("is_ambiguous", sa.Boolean(), nullable=False),
        sa.Column("position_quantity", sa.BigInteger(), nullable=False),
        sa.Column("balance", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["run_key"], ["runs.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_key", "trade_id"),
    )
    op.create_index("ix_fills_order", "fills", ["run_key", "client_order_id"], unique=False)
    op.create_table(
        "orders",
        sa.Column("run_key", _KEY, nullable=False),
        sa.Column("client_order_id", sa.String(length=80), nullable=False),
        sa.Column("venue_order_id", sa.String(length=80), nullable=True),
        sa.Column("exchange_order_id", sa.String(length=80), nullable=True),
        sa.Column("parent_id", sa.String(length=80), nullable=True),
        sa.Column("decision_id", sa.String(length=80), nullable=True),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("side", sa.String(length=4), nullable=False),
        sa.Column("order_type", sa.String(length=16), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("filled_qty", sa.BigInteger(), nullable=False),
        sa.Column("limit_ticks", sa.BigInteger(), nullable=True),
        sa.Column("stop_ticks", sa.BigInteger(), nullable=True),
        sa.Column("arrival_ticks", sa.BigInteger(), nullable=True),
        sa.Column("expected_ticks", sa.Float(), nullable=True),
        sa.Column("average_ticks", sa.Float(), nullable=True),
        sa.Column("slippage_ticks", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("submitted_ns", sa.BigInteger(), nullable=True),
        sa.Column("accepted_ns", sa.BigInteger(), nullable=True),
        sa.Column("updated_ns", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_key"], ["runs.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_key", "client_order_id"),
    )
    op.create_index("ix_orders_decision", "orders", ["run_key", "decision_id"], unique=False)
    op.create_table(
        "run_instruments",
        sa.Column("run_key", _KEY, nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_key"], ["runs.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_key", "symbol"),
    )
    op.create_table(
        "run_words",
        sa.Column("run_key", _KEY, nullable=False),
        sa.Column("code", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("word", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["run_key"], ["runs.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_key", "code"),
    )
    op.create_table(
        "sessions",
        sa.Column("run_key", _KEY, nullable=False),
        sa.Column("trade_date", sa.String(length=10), nullable=False),
        sa.Column("calendar", sa.String(length=64), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("symbols", sa.Text(), nullable=False),
        sa.Column("open_ns", sa.BigInteger(), nullable=False),
        sa.Column("close_ns", sa.BigInteger(), nullable=False),
        sa.Column("start_balance", sa.String(length=40), nullable=False),
        sa.Column("end_balance", sa.String(length=40), nullable=True),
        sa.Column("ticks", sa.BigInteger(), nullable=True),
        sa.Column("is_simulated", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["run_key"], ["runs.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_key", "trade_date"),
    )
    op.create_table(
        "state_changes",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("run_key", _KEY, nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_key"], ["runs.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_state_changes_run", "state_changes", ["run_key", "ts"], unique=False)
    op.create_table(
        "tier_changes",
        sa.Column("key", _KEY, autoincrement=True, nullable=False),
        sa.Column("run_key", _KEY, nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("current", sa.String(length=64), nullable=False),
        sa.Column("balance", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_key"], ["runs.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_tier_changes_run", "tier_changes", ["run_key", "ts"], unique=False)
    op.create_table(
        "trades",
        sa.Column("run_key", _KEY, nullable=False),
        sa.Column("trade_id", sa.String(length=80), nullable=False),
        sa.Column("decision_id", sa.String(length=80), nullable=True),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("side", sa.String(length=4), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("entry_ns", sa.BigInteger(), nullable=False),
        sa.Column("exit_ns", sa.BigInteger(), nullable=False),
        sa.Column("entry_ticks", sa.Float(), nullable=False),
        sa.Column("exit_ticks", sa.Float(), nullable=False),
        sa.Column("gross", sa.String(length=40), nullable=False),
        sa.Column("fees", sa.String(length=40), nullable=False),
        sa.Column("net", sa.String(length=40), nullable=False),
        sa.Column("mae_ticks", sa.Float(), nullable=False),
        sa.Column("mfe_ticks", sa.Float(), nullable=False),
        sa.Column("slippage_ticks", sa.BigInteger(), nullable=False),
        sa.Column("exit_role", sa.String(length=16), nullable=False),
        sa.Column("pattern", sa.String(length=64), nullable=True),
        sa.Column("regime", sa.String(length=64), nullable=True),
        sa.Column("tier", sa.String(length=64), nullable=True),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("is_ambiguous", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["run_key"], ["runs.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_key", "trade_id"),
    )
    op.create_index("ix_trades_decision", "trades", ["run_key", "decision_id"], unique=False)
    op.execute(_DECISIONS)
