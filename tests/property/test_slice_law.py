"""The slice law: one block, random blocks and single ticks give the same audit, byte for byte."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest

from sovereign.core.instrument import find_instrument
from sovereign.core.port import Block
from sovereign.core.session import NS_PER_SECOND
from sovereign.execution.fill_model import ExecutionConfig
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import SyntheticConfig, SyntheticMarket
from sovereign.research.backtest import Recipe
from sovereign.research.evidence import collect_audit
from sovereign.risk.configuration import RiskConfig
from sovereign.strategies.order_flow.configuration import OrderFlowConfig


class CutFeed:
    """Sessions of given trades, cut after given rows."""

    is_simulated = True

    def __init__(self, instrument, days, cuts):
        self._instrument, self._days, self._cuts = instrument, days, cuts

    def sessions(self):
        for session, _ in self._days:
            yield session

    def instruments(self, _session):
        return (self._instrument,)

    def blocks(self, session) -> Iterator[Block]:
        trades = next(t for s, t in self._days if s is session)
        bounds = sorted({0, *(c for c in self._cuts(len(trades)) if 0 < c < len(trades)), len(trades)})
        for start, stop in pairwise(bounds):
            is_last = stop == len(trades)
            # A live stream promises no more than the time of the tick it has just seen.
            until = session.close_ns if is_last else int(trades.ts[stop - 1])
            yield Block(self._instrument.symbol, trades.slice(start, stop), until)


BARS = {
    "time": {},
    "tick": {"kind": "tick", "bar_trades": 400},
    "volume": {"kind": "volume", "bar_volume": 6_000},
    "range": {"kind": "range", "bar_range_ticks": 12},
}


def recipe(strategy=None, **risk):
    return Recipe(
        strategy="order_flow",
        strategy_config=OrderFlowConfig.model_validate(strategy or {}),
        risk=RiskConfig(excluded_windows=(), can_inputs_be_unknown=True, **risk),
        execution=ExecutionConfig(),
        starting_balance=Decimal(2_500),
    )


def synthetic_days(seed, ticks, count=2):
    instrument = find_instrument("ES")
    market = SyntheticMarket(SyntheticConfig(ticks_per_session=ticks), seed)
    sessions = calendar_for("CME_EQUITY").sessions(date(2025, 3, 3), date(2025, 3, 10))[:count]
    return instrument, [(s, market.session_trades(instrument, s)) for s in sessions]


@pytest.mark.parametrize("bars", ["time", "tick", "volume", "range"])
def test_audit_when_a_synthetic_stream_is_cut_anywhere_then_bytes_are_the_same(bars):
    instrument, days = synthetic_days(seed=11, ticks=60_000)
    rng = np.random.default_rng(5)
    plan = recipe({"footprint": BARS[bars], "router": {"min_confidence": 0.0, "min_strength": 0.0}})
    whole = collect_audit(plan, CutFeed(instrument, days, lambda _: ()))
    ragged = collect_audit(plan, CutFeed(instrument, days, lambda n: rng.integers(1, n, 200).tolist()))
    assert whole == ragged
    assert whole.count(b'"OrderFilled"') > 4


def test_audit_when_a_synthetic_stream_comes_tick_by_tick_then_bytes_are_the_same():
    instrument, days = synthetic_days(seed=12, ticks=30_000, count=1)
    plan = recipe({"router": {"min_confidence": 0.0, "min_strength": 0.0}})
    whole = collect_audit(plan, CutFeed(instrument, days, lambda _: ()))
    single = collect_audit(plan, CutFeed(instrument, days, range))
    assert whole == single
    assert b'"DecisionMade"' in whole


def test_audit_when_real_ticks_are_cut_anywhere_then_bytes_are_the_same(shared_data):
    import polars as pl

    from sovereign.core.columns import Trades

    frame = pl.read_parquet(shared_data / "es_mbo_cme_20231225" / "ESH4_trades.parquet")
    sides = {"B": 1, "A": -1, "N": 0}
    trades = Trades(
        frame["ts_event"].cast(pl.Int64).to_numpy().copy(),
        (frame["price"] * 4).round().cast(pl.Int32).to_numpy().copy(),
        frame["size"].cast(pl.Int32).to_numpy().copy(),
        frame["side"].replace_strict(sides, return_dtype=pl.Int8).to_numpy().copy(),
    )
    session = calendar_for("CME_EQUITY").session_of(int(trades.ts[0]))
    assert session is not None
    plan = recipe(
        {
            "footprint": {"bar_s": 30},
            "bracket": {"profiles": {"ES": {"stop_ticks": 2, "target_ticks": 3}}},
            "regime": {"hours": "all"},
            "router": {"min_confidence": 0.0, "min_strength": 0.0},
        },
        hours="all",
        stale_data_s=3_600,
        min_reward_to_cost=0,
    )
    rng = np.random.default_rng(1)
    days = [(session, trades)]
    instrument = find_instrument("ESH4")
    whole = collect_audit(plan, CutFeed(instrument, days, lambda _: ()))
    ragged = collect_audit(plan, CutFeed(instrument, days, lambda n: rng.integers(1, n, 100).tolist()))
    single = collect_audit(plan, CutFeed(instrument, days, range))
    assert whole == ragged == single
    assert whole.count(b'"OrderFilled"') >= 2
    assert session.close_ns - int(trades.ts[-1]) > NS_PER_SECOND
