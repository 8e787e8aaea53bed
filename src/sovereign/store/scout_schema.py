"""Tables of the tug of war and its scouts: signals of both agents, results, trades, regimes, the tape, the news.

A NaN is stored as NULL. JSON is text.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from sovereign.store.schema import KEY, MONEY, NAME, metadata


def _key() -> Column[int]:
    return Column("key", KEY, primary_key=True, autoincrement=True)


def _account() -> Column[str]:
    return Column("account", NAME, nullable=False)


tug_signals = Table(
    "tug_signals",
    metadata,
    _key(),
    _account(),
    Column("ts", BigInteger, nullable=False),
    Column("symbol", NAME, nullable=False),
    Column("bot", String(16), nullable=False),
    Column("direction", String(16), nullable=False),
    Column("confidence", Float, nullable=False),
    Column("raw_confidence", Float),
    Column("signal_type", NAME, nullable=False),
    Column("regime_state", String(16)),
    Column("ofi_z_score", Float),
    Column("afd_momentum", Float),
    Column("bayesian_score", Float),
    Column("raw_data", Text, nullable=False),
    Index("ix_tug_signals_symbol", "account", "symbol", "ts", "bot", unique=True),
)
"""One row per round and bot (`sovereign` or `madman`): `direction` buy, sell or neutral, `confidence` calibrated (0 to 1)."""

tug_results = Table(
    "tug_results",
    metadata,
    _key(),
    _account(),
    Column("ts", BigInteger, nullable=False),
    Column("symbol", NAME, nullable=False),
    Column("sovereign_direction", String(16), nullable=False),
    Column("madman_direction", String(16), nullable=False),
    Column("conflict", Boolean, nullable=False),
    Column("verdict", String(32), nullable=False),
    Column("sovereign_confidence", Float, nullable=False),
    Column("madman_confidence", Float, nullable=False),
    Column("tug_score", Float, nullable=False),
    Column("decision_id", String(120)),
    Index("ix_tug_results_symbol", "account", "symbol", "ts", unique=True),
)
"""One row per verdict and round, written once; `decision_id` is the decision at the risk door, where one followed."""

tug_trades = Table(
    "tug_trades",
    metadata,
    _key(),
    _account(),
    Column("ts", BigInteger, nullable=False),
    Column("tug_result_key", KEY, ForeignKey("tug_results.key", ondelete="CASCADE")),
    Column("client_order_id", String(160), nullable=False),
    Column("symbol", NAME, nullable=False),
    Column("side", String(8), nullable=False),
    Column("qty", Integer, nullable=False),
    Column("order_type", String(16), nullable=False),
    Column("order_type_detail", NAME, nullable=False),
    Column("limit_price", MONEY),
    Column("broker_order_id", String(120)),
    Column("status", String(16), nullable=False),
    Column("fill_price", Float),
    Column("fill_qty", Integer, nullable=False),
    Column("pnl", MONEY),
    Column("implementation_shortfall_bps", Float),
    Column("opportunity_bps", Float),
    UniqueConstraint("account", "client_order_id"),
    Index("ix_tug_trades_symbol", "account", "symbol", "ts"),
)
"""One row per order; `opportunity_bps` is the shortfall of the part that was not filled."""

regime_states = Table(
    "regime_states",
    metadata,
    _key(),
    _account(),
    Column("ts", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("confidence", Float),
    Column("spy_volatility", Float),
    Column("spy_momentum", Float),
    UniqueConstraint("account", "ts"),
)
"""One row per reading of the market's regime."""

ofi_snapshots = Table(
    "ofi_snapshots",
    metadata,
    _key(),
    Column("ts", BigInteger, nullable=False),
    Column("symbol", NAME, nullable=False),
    Column("ofi_raw", Float),
    Column("ofi_z_score", Float),
    Column("queue_imbalance", Float),
    Column("queue_imbalance_z", Float),
    Column("bid_size", Integer, nullable=False),
    Column("ask_size", Integer, nullable=False),
    Column("mid_price", Float),
    Column("iceberg_detected", Boolean, nullable=False),
    UniqueConstraint("symbol", "ts"),
)
"""One row per symbol and minute; `iceberg_detected` is the absorption proxy."""

news_readings = Table(
    "news_readings",
    metadata,
    _key(),
    Column("ts", BigInteger, nullable=False),
    Column("symbol", NAME, nullable=False),
    Column("bayesian_score", Float),
    Column("is_accepted", Boolean, nullable=False),
    Column("tone", Float),
    Column("filing_tone", Float),
    Column("headline_tone", Float),
    Column("post_tone", Float),
    Column("posts", Integer, nullable=False),
    Column("headlines", Integer, nullable=False),
    Column("filings", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    UniqueConstraint("symbol", "ts"),
)
"""One row per reading of the news; `evidence` holds terms, clusters with their posts, items, sources that were down."""
