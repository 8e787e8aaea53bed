"""The same random orders on the same ticks through NautilusTrader: the same fills, and every difference named.

The peer comes with the dev extra, or lives in an environment of its own (`make bench`, SOVEREIGN_PEERS); else these tests skip.
What each name means is in docs/reference/oracle.md.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sovereign.core.columns import Trades

ROOT = Path(__file__).resolve().parents[2]
ORDERS = 500
# Where the peer's reading of one tick differs under the same assumptions; see docs/reference/oracle.md.
BENIGN = {"equal", "shadowed", "expiry_tick", "orphaned"}


@pytest.fixture(scope="module")
def oracle() -> Any:
    sys.path.insert(0, str(ROOT))
    try:
        yield importlib.import_module("benchmarks.fill_oracle")
    finally:
        sys.path.remove(str(ROOT))


@pytest.fixture(scope="module")
def peer(oracle: Any) -> Path:
    python: Path | None = importlib.import_module("benchmarks.environment").find("nautilus")
    if python is None and find_spec("nautilus_trader") is not None:
        python = Path(sys.executable)  # the dev extra brings it along
    if python is None:
        pytest.skip("NautilusTrader is not installed; the dev extra brings it, and `make bench` makes an environment for it")
    return python


@pytest.fixture(scope="module")
def es_ticks() -> Trades:
    """ES, one hour of 2023-12-25, with the best quote before each trade by exchange sequence."""
    shared = Path(os.environ.get("SOVEREIGN_SHARED_DATA") or ROOT.parent / "shared" / "data")
    folder = shared / "es_mbo_cme_20231225"
    if not folder.exists():
        pytest.skip(f"real ES ticks are not in {shared}")
    import polars as pl

    quotes = pl.read_parquet(folder / "ESH4_bbo.parquet").select("sequence", "bid_px", "ask_px")
    rows = pl.read_parquet(folder / "ESH4_trades.parquet").join_asof(quotes, on="sequence", allow_exact_matches=False)

    def ticks(column: str) -> Any:
        return np.round(rows[column].to_numpy() * 4).astype(np.int32)

    letters = rows["side"].to_numpy()
    side = np.select([letters == "B", letters == "A"], [1, -1], 0).astype(np.int8)
    ts = rows["ts_event"].to_numpy().astype(np.int64)
    return Trades(ts, ticks("price"), rows["size"].to_numpy(), side, ticks("bid_px"), ticks("ask_px"))


@pytest.fixture(scope="module")
def walk_ticks() -> Trades:
    """A seeded walk of 20,000 trades with a one-tick spread, some sharing a time and some jumping several ticks."""
    rng = np.random.default_rng(20_231_225)
    rows = 20_000
    ts = 1_763_562_600_000_000_000 + np.sort(rng.integers(0, 23_400_000, rows)) * 1_000_000
    steps = rng.choice([-4, -1, 0, 1, 4], rows, p=[0.005, 0.06, 0.87, 0.06, 0.005])
    bid = (22_000 + np.cumsum(steps)).astype(np.int32)
    side = rng.choice(np.array([-1, 1], np.int8), rows)
    size = np.minimum(rng.geometric(0.4, rows), 200).astype(np.int32)
    return Trades(ts, bid + (side > 0).astype(np.int32), size, side, bid, bid + 1)


@pytest.fixture(params=["es_ticks", "walk_ticks"])
def ticks(request: pytest.FixtureRequest) -> Trades:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def compare(oracle: Any, peer: Path, ticks: Trades, folder: Path, *, is_stock: bool = False, **terms: Any) -> Any:
    crosses_spread = terms.pop("crosses_spread", False)
    script = importlib.import_module("benchmarks.peers.order_script").random_script(
        ticks.ts, ticks.price, ORDERS, seed=500, **terms
    )
    script["crosses_spread"] = crosses_spread
    theirs = oracle.run_peer(peer, script, ticks, folder, is_stock=is_stock)
    return oracle.Comparison(script, ticks, oracle.run_ours(script, ticks), theirs)


def test_fills_when_assumptions_match_then_equal_but_for_named_readings_of_a_tick(
    oracle: Any, peer: Path, ticks: Trades, tmp_path: Path
) -> None:
    comparison = compare(oracle, peer, ticks, tmp_path)
    assert comparison.unexplained() == []
    assert set(comparison.counts) <= BENIGN
    assert comparison.counts["equal"] >= 0.97 * len(comparison.names)
    assert len(comparison.names) > 0.7 * ORDERS


def test_fills_when_takers_cross_the_quote_then_all_equal(oracle: Any, peer: Path, ticks: Trades, tmp_path: Path) -> None:
    comparison = compare(oracle, peer, ticks, tmp_path, kinds=("MARKET", "LIMIT"), times_in_force=("IOC",), crosses_spread=True)
    assert set(comparison.counts) == {"equal"}
    assert comparison.counts["equal"] > 0.4 * ORDERS


def test_fills_when_the_peer_keeps_its_own_model_then_every_difference_has_a_name(
    oracle: Any, peer: Path, ticks: Trades, tmp_path: Path
) -> None:
    comparison = compare(oracle, peer, ticks, tmp_path, is_stock=True)
    assert comparison.unexplained() == []
    assert comparison.counts["gap"] > 0
    assert comparison.counts["depth"] > 0


def test_explain_when_a_fill_moves_one_tick_without_a_rule_then_unexplained(oracle: Any, walk_ticks: Trades) -> None:
    script = importlib.import_module("benchmarks.peers.order_script").random_script(walk_ticks.ts, walk_ticks.price, 50, seed=3)
    ours = oracle.run_ours(script, walk_ticks)
    name = next(name for name in ours if "-" not in name and script["orders"][int(name[1:5])]["type"] == "MARKET")
    moved = {**ours, name: [(ts, quantity, price + 7) for ts, quantity, price in ours[name]]}
    comparison = oracle.Comparison(script, walk_ticks, ours, moved)
    assert comparison.names[name] == "unexplained"
    assert sum(comparison.counts.values()) - comparison.counts["equal"] == 1
