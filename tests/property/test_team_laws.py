"""Shares that are read together have the rows they have one by one: in any company, any order, any slices, present or not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.core.port import Block
from sovereign.engine.walk import SessionWalk
from sovereign.signals.tug_market import NewsView, TapeView
from sovereign.strategies.tug_of_war import TugOfWarStrategy
from tug_cases import config_of, market, run_session, streams_of

BENCHMARKS = ("SPY", "QQQ")
SHARES = ("NVDA", "CRWD", "LLY", "TSM", "JPM", "NEE", "CAT", "SONY", "PLTR", "MSTR")
SYMBOLS = (*BENCHMARKS, *SHARES)
QUARTERS = config_of()
DAYS = config_of(
    bar_seconds=86_400,
    market={"bar_seconds": 86_400},
    institution={"alpha": {"window_days": 30}},
)


class Scouts:
    """Evidence that differs by symbol and time."""

    def tape(self, symbol, ts):
        """Nothing of every third."""
        return None if len(symbol) == 3 else TapeView(ts - 60 * 10**9, (ts // 10**9 % 7 - 3) / 2.0, ts % 2 == 0)

    def news(self, symbol, ts):
        """Something of all."""
        return NewsView(ts - 10**9, len(symbol) / 10.0, (ts // 10**9 % 5 - 2) / 4.0)


def days_of(sessions, bars, seed=3):
    """Sessions in which now and then a share does not trade, or a benchmark; the last of all trade."""
    rng = np.random.default_rng(seed)
    found = []
    for number, (session, tapes) in enumerate(market(seed, sessions, bars, SYMBOLS)):
        gone = set(rng.choice(SHARES, 2).tolist()) if number % 5 == 2 else set()
        gone |= {"QQQ"} if number % 17 == 11 else set()
        found.append((session, {symbol: trades for symbol, trades in tapes.items() if symbol not in gone}))
    return found


def begun(config):
    strategy = TugOfWarStrategy(config)
    strategy.use_evidence(Scouts())
    return streams_of(strategy, SYMBOLS)


def alone(config, days):
    """The rows of each session, with every share advanced by itself."""
    streams = begun(config)
    return [run_session(streams, day) for day in days]


def same(one, other):
    assert one.keys() == other.keys()
    for symbol, rows in one.items():
        assert len(rows) == len(other[symbol])
        for name in rows.dtype.names:
            np.testing.assert_array_equal(rows[name], other[symbol][name], err_msg=f"{symbol} {name}")


@pytest.mark.parametrize(("config", "sessions", "bars"), [(QUARTERS, 56, 26), (DAYS, 262, 2)], ids=["quarters", "days"])
def test_rows_when_a_walk_reads_shares_together_then_they_are_those_of_each_alone(config, sessions, bars):
    days = days_of(sessions, bars)
    wanted, streams, latest = alone(config, days), begun(config), {}
    for (session, tapes), rows in zip(days, wanted, strict=True):
        for symbol in tapes:
            streams[symbol].start_session(session)
        walk = SessionWalk(session, {symbol: streams[symbol] for symbol in tapes}, ())
        for symbol, trades in tapes.items():
            walk.add(Block(symbol, trades, session.close_ns))
        walk.close()
        same({symbol: streams[symbol].rows for symbol in tapes}, rows)
        latest |= rows
        for symbol in SHARES:  # one that rests has those of its last session
            if symbol in latest:
                same({symbol: streams[symbol].rows}, {symbol: latest[symbol]})
                assert streams[symbol].waking.tolist() == latest[symbol]["wake"].nonzero()[0].tolist()
    assert sum(rows[symbol]["wake"].sum() for rows in wanted for symbol in SHARES if symbol in rows) > 100
    assert np.isfinite(wanted[-1]["NVDA"]["alpha_z"]).all()
    assert np.isfinite(wanted[-1]["NVDA"]["probability"]).all()


SHORT = days_of(44, 8, seed=5)
SHORT_ALONE: list = []


@settings(max_examples=6, deadline=None)
@given(st.data())
def test_rows_when_some_shares_are_read_together_in_any_order_then_they_are_the_same(data):
    if not SHORT_ALONE:
        SHORT_ALONE.extend(alone(QUARTERS, SHORT))
    streams = begun(QUARTERS)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    for (session, tapes), wanted in zip(SHORT, SHORT_ALONE, strict=True):
        for symbol in tapes:
            streams[symbol].start_session(session)
        span = session.regular_close_ns - session.regular_open_ns
        inner = (session.regular_open_ns + rng.integers(0, span, rng.integers(0, 4))).tolist()
        for start, stop in pairwise([session.open_ns, *sorted(set(inner)), session.close_ns]):
            parts = {
                symbol: trades.slice(*np.searchsorted(trades.ts, [start, stop]).tolist()) for symbol, trades in tapes.items()
            }
            for symbol in BENCHMARKS:
                if symbol in tapes:
                    streams[symbol].advance(parts[symbol], stop)
            shares = [symbol for symbol in rng.permutation(SHARES).tolist() if symbol in tapes]
            cut = int(rng.integers(0, len(shares) + 1))
            for company in (shares[:cut], shares[cut:]):
                streams["NVDA"].team.advance([(streams[symbol], parts[symbol]) for symbol in company], stop)
        same({symbol: streams[symbol].rows for symbol in tapes}, wanted)


def test_rows_when_a_share_is_in_another_session_then_the_others_are_as_without_it():
    days = days_of(44, 8, seed=5)
    wanted, streams = alone(QUARTERS, days), begun(QUARTERS)
    held = []
    for number, ((session, tapes), rows) in enumerate(zip(days, wanted, strict=True)):
        for symbol in tapes:
            streams[symbol].start_session(session)
        held.append(streams["NVDA"].rows)  # nothing yet; but the array is held
        for symbol in (*BENCHMARKS, "NVDA"):
            if symbol in tapes:
                first = tapes[symbol].slice(0, 12)
                streams[symbol].advance(first, int(first.ts[-1]))
        if number == len(days) - 1:
            streams["CRWD"].start_session(days[0][0])  # a warm-up that was broken off
        for symbol, trades in tapes.items():
            if symbol in (*BENCHMARKS, "NVDA"):
                streams[symbol].advance(trades.slice(12, len(trades)), session.close_ns)
            elif symbol != "CRWD" or number < len(days) - 1:
                streams[symbol].advance(trades, session.close_ns)
        others = {symbol: found for symbol, found in rows.items() if symbol != "CRWD" or number < len(days) - 1}
        same({symbol: streams[symbol].rows for symbol in others}, others)
