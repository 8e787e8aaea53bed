"""The slice law: one block, random blocks and single ticks give the same audit, byte for byte."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest

from sovereign.core.columns import Trades
from sovereign.core.errors import DataError
from sovereign.core.instrument import find_instrument
from sovereign.core.port import Block
from sovereign.core.session import NS_PER_SECOND
from sovereign.engine.merge import TapeMerger
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


class TapesFeed:
    """Sessions of several tapes, handed over in blocks cut at given times, each tape in its own rhythm."""

    is_simulated = True

    def __init__(self, session, tapes, cuts):
        self._session, self._tapes, self._cuts = session, tapes, cuts

    def sessions(self):
        yield self._session

    def instruments(self, _session):
        return tuple(find_instrument(symbol) for symbol in self._tapes)

    def blocks(self, session) -> Iterator[Block]:
        blocks = []
        for order, (symbol, trades) in enumerate(self._tapes.items()):
            bounds = sorted({0, *(c for c in self._cuts(order, len(trades)) if 0 < c < len(trades)), len(trades)})
            for start, stop in pairwise(bounds):
                until = session.close_ns if stop == len(trades) else int(trades.ts[stop - 1])
                blocks.append((until, order, Block(symbol, trades.slice(start, stop), until)))
        # As they would arrive: by the time they promise.
        yield from (block for _, _, block in sorted(blocks, key=lambda item: item[:2]))


@pytest.mark.parametrize("symbols", [("ES", "NQ"), ("NQ", "ES", "CL")])
def test_audit_when_several_tapes_are_cut_anywhere_then_bytes_are_the_same(symbols):
    session = calendar_for("CME_EQUITY").session(date(2025, 3, 4))
    tapes = {}
    for seed, symbol in enumerate(symbols, 21):
        market = SyntheticMarket(SyntheticConfig(ticks_per_session=30_000), seed)
        tapes[symbol] = market.session_trades(find_instrument(symbol), session)
    # Ticks of two tapes at the same nanosecond: the order of the instruments decides, never that of the blocks.
    tapes[symbols[1]].ts.flags.writeable = True
    tapes[symbols[1]].ts[5_000:9_000:100] = tapes[symbols[0]].ts[5_000:9_000:100]
    tapes[symbols[1]].ts.sort()
    plan = recipe(
        {"router": {"min_confidence": 0.0, "min_strength": 0.0}},
        max_positions=3,
        max_working_entries=3,
        tiers={"enabled": False},
        daily_loss_limit=-100_000,
        max_quantity=1,
    )
    plan = replace(plan, starting_balance=Decimal(100_000))
    rng = np.random.default_rng(3)
    whole = collect_audit(plan, TapesFeed(session, tapes, lambda *_: ()))
    ragged = collect_audit(plan, TapesFeed(session, tapes, lambda _, n: rng.integers(1, n, 300).tolist()))
    single = collect_audit(plan, TapesFeed(session, tapes, lambda order, n: range(n) if order == 0 else range(0, n, 7)))
    assert whole == ragged == single
    filled = {json.loads(line)["fill"]["instrument"] for line in whole.splitlines() if b'"OrderFilled"' in line}
    assert len(filled) > 1


def test_blocks_when_one_tape_lags_then_nothing_of_the_others_is_walked_beyond_its_promise():
    merger = TapeMerger(("A", "B"), 0)
    ticks = Trades(np.array([1, 5, 9], np.int64), *(np.ones(3, np.int32),) * 2, np.ones(3, np.int8))
    assert merger.add(Block("A", ticks, 10)) == []
    assert merger.held_ticks == 3
    first = merger.add(Block("B", Trades.empty(), 5))
    assert [(b.symbol, b.trades.ts.tolist(), b.until_ns) for b in first] == [("A", [1], 5), ("B", [], 5)]
    second = merger.promise(9)
    assert [(b.symbol, b.trades.ts.tolist(), b.until_ns) for b in second] == [("A", [5], 9), ("B", [], 9)]
    assert [b.trades.ts.tolist() for b in merger.rest()] == [[9]]
    assert merger.held_ticks == 0
    with pytest.raises(DataError, match="block was of C"):
        merger.add(Block("C", ticks, 10))
