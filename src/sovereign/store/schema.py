"""Tables of the SQL store. Plain SQL only, so that the same tables live in SQLite and in Postgres.

Those of live sessions are in `live_schema`.

Money and quantities of money are exact decimal text, times UTC nanoseconds, prices integer ticks, digests and JSON text.
`run_key` is a small integer that stands for the run inside the database; users and files know the run by `runs.id`.

Decisions live in two tables. Those made one by one at the risk door are rows of `door_decisions`, checks included. Candidates
that a strategy's own gates refused (tens of thousands a month) are rows of `candidates`, a few integers each: words are codes
of `run_words`, and the numbers behind the checks lie in `candidate_blocks`, one row a session and symbol. The view `decisions`
shows both alike; `Store.decision` reads both with every check.
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

SCHEMA_VERSION = 6
"""The newest revision in `store/migrations`, as a number; a change of a table needs a revision of its own there."""

metadata = MetaData()

KEY = BigInteger().with_variant(Integer, "sqlite")
MONEY = String(40)
NAME = String(64)


def _run_key(*, is_primary: bool = False) -> Column[int]:
    return Column("run_key", KEY, ForeignKey("runs.key", ondelete="CASCADE"), nullable=False, primary_key=is_primary)


meta = Table("meta", metadata, Column("key", String(40), primary_key=True), Column("value", Text, nullable=False))

strategy_tests = Table(
    "strategy_tests",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("made_ns", BigInteger, nullable=False),
    Column("content", Text, nullable=False),
)
"""Results of the null and look-ahead tests by what they depend on; a test that would only repeat itself is not made again."""

runs = Table(
    "runs",
    metadata,
    Column("key", KEY, primary_key=True, autoincrement=True),
    Column("id", String(120), nullable=False, unique=True),
    Column("kind", NAME, nullable=False),
    Column("parent_id", String(120)),
    Column("strategy", NAME, nullable=False),
    Column("symbols", Text, nullable=False),
    Column("start_date", String(10)),
    Column("end_date", String(10)),
    Column("zone", NAME, nullable=False),
    Column("config", Text, nullable=False),
    Column("config_hash", String(64), nullable=False),
    Column("code_hash", String(64), nullable=False),
    Column("data_hash", String(64), nullable=False),
    Column("seed", BigInteger),
    Column("fill_model", NAME, nullable=False),
    Column("is_simulated", Boolean, nullable=False),
    Column("starting_balance", MONEY, nullable=False),
    Column("stop_ticks", Integer),
    Column("target_ticks", Integer),
    Column("status", NAME, nullable=False),
    Column("started_ns", BigInteger, nullable=False),
    Column("finished_ns", BigInteger),
    Column("summary", Text),
    Column("daily_sharpe", Float),
    Column("verdict", NAME),
    Column("report_path", Text),
    Column("account", NAME),
    Column("pid", BigInteger),
    Column("host", String(255)),
    Column("process_token", String(120)),
    Index("ix_runs_trial", "strategy", "data_hash"),
)
"""One row per run; `stop_ticks` and `target_ticks` are the bracket assumed for candidates that never got one of their own.

`pid`, `host` and `process_token` say which process runs it, so that a run whose process was killed does not look alive."""

run_instruments = Table(
    "run_instruments",
    metadata,
    _run_key(is_primary=True),
    Column("symbol", NAME, primary_key=True),
    Column("detail", Text, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    _run_key(is_primary=True),
    Column("trade_date", String(10), primary_key=True),
    Column("calendar", NAME, nullable=False),
    Column("zone", NAME, nullable=False),
    Column("symbols", Text, nullable=False),
    Column("open_ns", BigInteger, nullable=False),
    Column("close_ns", BigInteger, nullable=False),
    Column("start_balance", MONEY, nullable=False),
    Column("end_balance", MONEY),
    Column("ticks", BigInteger),
    Column("is_simulated", Boolean, nullable=False),
)

bars = Table(
    "bars",
    metadata,
    _run_key(is_primary=True),
    Column("trade_date", String(10), primary_key=True),
    Column("symbol", NAME, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
"""Bars of one session as one array of `outcome.BAR`, from which the fate of a refused candidate is worked out when asked."""

run_words = Table(
    "run_words",
    metadata,
    _run_key(is_primary=True),
    Column("code", Integer, primary_key=True, autoincrement=False),
    Column("word", NAME, nullable=False),
)
"""Words that candidates use, by code."""

BLOCK_ROWS = 1_048_576
"""Candidate `i` of a session is row `block.key * BLOCK_ROWS + i`, so that no index but the key is needed."""

candidate_blocks = Table(
    "candidate_blocks",
    metadata,
    Column("key", KEY, primary_key=True, autoincrement=True),
    _run_key(),
    Column("symbol", NAME, nullable=False),
    Column("prefix", String(80), nullable=False),
    Column("count", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Column("numbers", LargeBinary, nullable=False),
    Index("ux_candidate_blocks_prefix", "run_key", "prefix", unique=True),
)
"""Refused candidates of one session and symbol; `prefix` and the candidate's number in the session make its decision id.

`detail` says what the float64 numbers of each row in `numbers` are: first the inputs, then value and limit of each check."""

candidates = Table(
    "candidates",
    metadata,
    Column("key", KEY, primary_key=True, autoincrement=False),
    Column("ts", BigInteger, nullable=False),
    Column("name_code", Integer, nullable=False),
    Column("side", Integer, nullable=False),
    Column("failed_code", Integer, nullable=False),
    Column("strength", Float),
    Column("confidence", Float),
)

door_decisions = Table(
    "door_decisions",
    metadata,
    _run_key(is_primary=True),
    Column("decision_id", String(80), primary_key=True),
    Column("ts", BigInteger, nullable=False),
    Column("symbol", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    Column("side", String(4), nullable=False),
    Column("strength", Float),
    Column("confidence", Float),
    Column("verdict", String(8), nullable=False),
    Column("traded_symbol", NAME),
    Column("quantity", BigInteger),
    Column("stop_ticks", Integer),
    Column("target_ticks", Integer),
    Column("failed_check", NAME),
    Column("failed_value", Float),
    Column("failed_limit", Float),
    Column("failed_unit", String(24)),
    Column("reason", Text),
    Column("inputs", Text, nullable=False),
    Column("checks", Text, nullable=False),
)

DECISIONS_VIEW = f"""
CREATE VIEW decisions AS
SELECT run_key, decision_id, ts, symbol, name, side, strength, confidence, verdict, failed_check FROM door_decisions
UNION ALL
SELECT block.run_key, block.prefix || CAST(candidate.key - block.key * {BLOCK_ROWS} AS VARCHAR(20)), candidate.ts,
       block.symbol, name.word, CASE candidate.side WHEN 1 THEN 'BUY' WHEN -1 THEN 'SELL' ELSE 'NONE' END,
       candidate.strength, candidate.confidence, 'REFUSED', failed.word
FROM candidate_blocks AS block
JOIN candidates AS candidate ON candidate.key >= block.key * {BLOCK_ROWS} AND candidate.key < (block.key + 1) * {BLOCK_ROWS}
JOIN run_words AS name ON name.run_key = block.run_key AND name.code = candidate.name_code
JOIN run_words AS failed ON failed.run_key = block.run_key AND failed.code = candidate.failed_code
"""  # noqa: S608 - made of constants of this module
"""Every decision of every run, alike."""

decisions = Table(
    "decisions",
    MetaData(),
    Column("run_key", KEY),
    Column("decision_id", String(80)),
    Column("ts", BigInteger),
    Column("symbol", NAME),
    Column("name", NAME),
    Column("side", String(4)),
    Column("strength", Float),
    Column("confidence", Float),
    Column("verdict", String(8)),
    Column("failed_check", NAME),
)
"""The view's columns, for reading."""

orders = Table(
    "orders",
    metadata,
    _run_key(is_primary=True),
    Column("client_order_id", String(80), primary_key=True),
    Column("venue_order_id", String(80)),
    Column("exchange_order_id", String(80)),
    Column("parent_id", String(80)),
    Column("decision_id", String(80)),
    Column("symbol", NAME, nullable=False),
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
"""One row per order in its latest state. `expected_ticks` is the quantity-weighted price it was expected to fill at, and
`slippage_ticks` what it lost against that, summed over its units."""

fills = Table(
    "fills",
    metadata,
    _run_key(is_primary=True),
    Column("trade_id", String(80), primary_key=True),
    Column("client_order_id", String(80), nullable=False),
    Column("ts", BigInteger, nullable=False),
    Column("symbol", NAME, nullable=False),
    Column("side", String(4), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("price_ticks", BigInteger, nullable=False),
    Column("slippage_ticks", BigInteger, nullable=False),
    Column("fee", MONEY, nullable=False),
    Column("liquidity", String(8), nullable=False),
    Column("role", String(16), nullable=False),
    Column("is_ambiguous", Boolean, nullable=False),
    Column("position_quantity", BigInteger, nullable=False),
    Column("balance", MONEY, nullable=False),
    Index("ix_fills_order", "run_key", "client_order_id"),
)

trades = Table(
    "trades",
    metadata,
    _run_key(is_primary=True),
    Column("trade_id", String(80), primary_key=True),
    Column("decision_id", String(80)),
    Column("symbol", NAME, nullable=False),
    Column("side", String(4), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("entry_ns", BigInteger, nullable=False),
    Column("exit_ns", BigInteger, nullable=False),
    Column("entry_ticks", Float, nullable=False),
    Column("exit_ticks", Float, nullable=False),
    Column("gross", MONEY, nullable=False),
    Column("fees", MONEY, nullable=False),
    Column("net", MONEY, nullable=False),
    Column("mae_ticks", Float, nullable=False),
    Column("mfe_ticks", Float, nullable=False),
    Column("slippage_ticks", BigInteger, nullable=False),
    Column("exit_role", String(16), nullable=False),
    Column("pattern", NAME),
    Column("regime", NAME),
    Column("tier", NAME),
    Column("labels", Text, nullable=False),
    Column("is_ambiguous", Boolean, nullable=False),
    Index("ix_trades_decision", "run_key", "decision_id"),
)

account_snapshots = Table(
    "account_snapshots",
    metadata,
    Column("key", KEY, primary_key=True, autoincrement=True),
    _run_key(),
    Column("ts", BigInteger, nullable=False),
    Column("balance", MONEY, nullable=False),
    Column("equity", MONEY, nullable=False),
    Column("day_pnl", MONEY, nullable=False),
    Column("high_water_mark", MONEY, nullable=False),
    Index("ix_account_snapshots_run", "run_key", "ts"),
)

tier_changes = Table(
    "tier_changes",
    metadata,
    Column("key", KEY, primary_key=True, autoincrement=True),
    _run_key(),
    Column("ts", BigInteger, nullable=False),
    Column("previous", NAME, nullable=False),
    Column("current", NAME, nullable=False),
    Column("balance", MONEY, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_tier_changes_run", "run_key", "ts"),
)

state_changes = Table(
    "state_changes",
    metadata,
    Column("key", KEY, primary_key=True, autoincrement=True),
    _run_key(),
    Column("ts", BigInteger, nullable=False),
    Column("state", NAME, nullable=False),
    Column("cause", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", String(120)),
    Index("ix_state_changes_run", "run_key", "ts"),
)
"""Halts and their ends; `by` is the person who halted or cleared, NULL for what the risk door did by itself."""
