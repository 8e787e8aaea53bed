"""Tables of the SQL store. Plain SQL only, so that the same tables live in SQLite and in Postgres.

Money and quantities of money are exact decimal text, times UTC nanoseconds, prices integer ticks, digests and JSON text.
`run_key` is a small integer that stands for the run inside the database; users and files know the run by `runs.id`.

A candidate that a strategy's own gates refused (tens of thousands a month) is written by column: its inputs and checks are the
float64 numbers in `decisions.numbers`, and the row of `check_sets` it points to says what each number is.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

SCHEMA_VERSION = 1
"""Raised by one whenever a table changes; `MIGRATIONS` then holds the steps from the version before."""

MIGRATIONS: dict[int, tuple[str, ...]] = {}
"""Statements that lift a database from version `key` to `key + 1`."""

metadata = MetaData()

_Key = BigInteger().with_variant(Integer, "sqlite")
_Money = String(40)
_Name = String(64)


def _run_key(*, is_primary: bool = False) -> Column[int]:
    return Column("run_key", _Key, ForeignKey("runs.key", ondelete="CASCADE"), nullable=False, primary_key=is_primary)


meta = Table("meta", metadata, Column("key", String(40), primary_key=True), Column("value", Text, nullable=False))

runs = Table(
    "runs",
    metadata,
    Column("key", _Key, primary_key=True, autoincrement=True),
    Column("id", String(120), nullable=False, unique=True),
    Column("kind", _Name, nullable=False),
    Column("parent_id", String(120)),
    Column("strategy", _Name, nullable=False),
    Column("symbols", Text, nullable=False),
    Column("start_date", String(10)),
    Column("end_date", String(10)),
    Column("zone", _Name, nullable=False),
    Column("config", Text, nullable=False),
    Column("config_hash", String(64), nullable=False),
    Column("code_hash", String(64), nullable=False),
    Column("data_hash", String(64), nullable=False),
    Column("seed", BigInteger),
    Column("fill_model", _Name, nullable=False),
    Column("is_simulated", Boolean, nullable=False),
    Column("starting_balance", _Money, nullable=False),
    Column("stop_ticks", Integer),
    Column("target_ticks", Integer),
    Column("status", _Name, nullable=False),
    Column("started_ns", BigInteger, nullable=False),
    Column("finished_ns", BigInteger),
    Column("summary", Text),
    Column("daily_sharpe", Float),
    Column("verdict", _Name),
    Column("report_path", Text),
    Index("ix_runs_trial", "strategy", "data_hash"),
)
"""One row per run; `stop_ticks` and `target_ticks` are the bracket assumed for candidates that never got one of their own."""

run_instruments = Table(
    "run_instruments",
    metadata,
    _run_key(is_primary=True),
    Column("symbol", _Name, primary_key=True),
    Column("detail", Text, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    _run_key(is_primary=True),
    Column("trade_date", String(10), primary_key=True),
    Column("calendar", _Name, nullable=False),
    Column("zone", _Name, nullable=False),
    Column("symbols", Text, nullable=False),
    Column("open_ns", BigInteger, nullable=False),
    Column("close_ns", BigInteger, nullable=False),
    Column("start_balance", _Money, nullable=False),
    Column("end_balance", _Money),
    Column("ticks", BigInteger),
    Column("is_simulated", Boolean, nullable=False),
)

bars = Table(
    "bars",
    metadata,
    _run_key(is_primary=True),
    Column("trade_date", String(10), primary_key=True),
    Column("symbol", _Name, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
"""Bars of one session as one array of `outcome.BAR`, from which the fate of a refused candidate is worked out when asked."""

check_sets = Table(
    "check_sets",
    metadata,
    Column("key", _Key, primary_key=True, autoincrement=True),
    _run_key(),
    Column("detail", Text, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("key", _Key, primary_key=True, autoincrement=True),
    _run_key(),
    Column("decision_id", String(80), nullable=False),
    Column("ts", BigInteger, nullable=False),
    Column("symbol", _Name, nullable=False),
    Column("name", _Name, nullable=False),
    Column("side", String(4), nullable=False),
    Column("strength", Float),
    Column("confidence", Float),
    Column("verdict", String(8), nullable=False),
    Column("traded_symbol", _Name),
    Column("quantity", BigInteger),
    Column("stop_ticks", Integer),
    Column("target_ticks", Integer),
    Column("failed_check", _Name),
    Column("failed_value", Float),
    Column("failed_limit", Float),
    Column("failed_unit", String(24)),
    Column("reason", Text),
    Column("inputs", Text),
    Column("checks", Text),
    Column("check_set", _Key, ForeignKey("check_sets.key", ondelete="CASCADE")),
    Column("numbers", LargeBinary),
    Index("ux_decisions_id", "run_key", "decision_id", unique=True),
)

orders = Table(
    "orders",
    metadata,
    _run_key(is_primary=True),
    Column("client_order_id", String(80), primary_key=True),
    Column("venue_order_id", String(80)),
    Column("exchange_order_id", String(80)),
    Column("parent_id", String(80)),
    Column("decision_id", String(80)),
    Column("symbol", _Name, nullable=False),
    Column("side", String(4), nullable=False),
    Column("order_type", String(16), nullable=False),
    Column("role", String(16), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("filled_qty", BigInteger, nullable=False),
    Column("limit_ticks", BigInteger),
    Column("stop_ticks", BigInteger),
    Column("arrival_ticks", BigInteger),
    Column("expected_ticks", Float),
    Column("average_ticks", Float),
    Column("slippage_ticks", BigInteger, nullable=False),
    Column("status", String(20), nullable=False),
    Column("submitted_ns", BigInteger),
    Column("accepted_ns", BigInteger),
    Column("updated_ns", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_orders_decision", "run_key", "decision_id"),
)
"""One row per order in its latest state. `expected_ticks` is the quantity-weighted price it was expected to fill at."""

fills = Table(
    "fills",
    metadata,
    _run_key(is_primary=True),
    Column("trade_id", String(80), primary_key=True),
    Column("client_order_id", String(80), nullable=False),
    Column("ts", BigInteger, nullable=False),
    Column("symbol", _Name, nullable=False),
    Column("side", String(4), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("price_ticks", BigInteger, nullable=False),
    Column("slippage_ticks", BigInteger, nullable=False),
    Column("fee", _Money, nullable=False),
    Column("liquidity", String(8), nullable=False),
    Column("role", String(16), nullable=False),
    Column("is_ambiguous", Boolean, nullable=False),
    Column("position_quantity", BigInteger, nullable=False),
    Column("balance", _Money, nullable=False),
    Index("ix_fills_order", "run_key", "client_order_id"),
)

trades = Table(
    "trades",
    metadata,
    _run_key(is_primary=True),
    Column("trade_id", String(80), primary_key=True),
    Column("decision_id", String(80)),
    Column("symbol", _Name, nullable=False),
    Column("side", String(4), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("entry_ns", BigInteger, nullable=False),
    Column("exit_ns", BigInteger, nullable=False),
    Column("entry_ticks", Float, nullable=False),
    Column("exit_ticks", Float, nullable=False),
    Column("gross", _Money, nullable=False),
    Column("fees", _Money, nullable=False),
    Column("net", _Money, nullable=False),
    Column("mae_ticks", Float, nullable=False),
    Column("mfe_ticks", Float, nullable=False),
    Column("slippage_ticks", BigInteger, nullable=False),
    Column("exit_role", String(16), nullable=False),
    Column("pattern", _Name),
    Column("regime", _Name),
    Column("tier", _Name),
    Column("labels", Text, nullable=False),
    Column("is_ambiguous", Boolean, nullable=False),
    Index("ix_trades_decision", "run_key", "decision_id"),
)

account_snapshots = Table(
    "account_snapshots",
    metadata,
    Column("key", _Key, primary_key=True, autoincrement=True),
    _run_key(),
    Column("ts", BigInteger, nullable=False),
    Column("balance", _Money, nullable=False),
    Column("equity", _Money, nullable=False),
    Column("day_pnl", _Money, nullable=False),
    Column("high_water_mark", _Money, nullable=False),
    Index("ix_account_snapshots_run", "run_key", "ts"),
)

tier_changes = Table(
    "tier_changes",
    metadata,
    Column("key", _Key, primary_key=True, autoincrement=True),
    _run_key(),
    Column("ts", BigInteger, nullable=False),
    Column("previous", _Name, nullable=False),
    Column("current", _Name, nullable=False),
    Column("balance", _Money, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_tier_changes_run", "run_key", "ts"),
)

state_changes = Table(
    "state_changes",
    metadata,
    Column("key", _Key, primary_key=True, autoincrement=True),
    _run_key(),
    Column("ts", BigInteger, nullable=False),
    Column("state", _Name, nullable=False),
    Column("cause", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_state_changes_run", "run_key", "ts"),
)
