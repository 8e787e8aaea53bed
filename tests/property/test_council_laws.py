"""Laws of the council: no future, no matter how the ticks are cut, and a restart in mid-session goes on the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from council_cases import SPY, restless, rows_of, stream_of, tape_of
from sovereign.app.cli.common import settings_from
from sovereign.app.plan import recipe_of
from sovereign.core.event import DecisionMade, OrderFilled, SessionEnded, encode
from sovereign.core.instrument import find_instrument
from sovereign.core.port import Block
from sovereign.engine.recipe import Run
from sovereign.feeds.calendar import calendar_for
from sovereign.kernels.hmm import filter_forward
from sovereign.research.backtest import main_lane, new_engine
from sovereign.research.evidence import collect_audit
from sovereign.signals.market_regime import first_guess
from sovereign.store.episodes import SqlEpisodeBook
from sovereign.store.store import Store
from sovereign.strategies import load_strategy
from sovereign.strategies.council import CouncilConfig, CouncilStrategy

CONFIG = CouncilConfig.model_validate({"regime": {"hidden": {"min_fit_bars": 200, "fit_bars": 600, "refit_sessions": 2}}})
EAGER = ("strategies.council.position.min_confidence=0.2", "strategies.council.position.max_bars=9")


def same(one, other):
    for name in one.dtype.names:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@cache
def recipe():
    loaded = settings_from(None, [*EAGER, "risk.stale_data_s=600"], "council").settings
    return replace(recipe_of(loaded, "council"), strategy_config=CONFIG.model_copy(update={"position": position(loaded)}))


def position(loaded):
    return loaded.strategies.council.position


class CutFeed:
    """Sessions of given trades, cut after given rows."""

    is_simulated = True

    def __init__(self, days, cuts=lambda _: (), until=None):
        self._days, self._cuts, self._until = days, cuts, until

    def sessions(self):
        for session, _ in self._days:
            yield session

    def instruments(self, _session):
        return (SPY,)

    def blocks(self, session):
        trades = next(t for s, t in self._days if s is session)
        bounds = sorted({0, *(c for c in self._cuts(len(trades)) if 0 < c < len(trades)), len(trades)})
        for start, stop in pairwise(bounds):
            # A live stream promises no more than the time of the tick it has just seen.
            until = session.close_ns if stop == len(trades) else int(trades.ts[stop - 1])
            yield Block("SPY", trades.slice(start, stop), until)


@given(st.integers(1, 40), st.data())
@settings(max_examples=3)
def test_rows_when_ticks_are_cut_anywhere_then_are_the_same(seed, data):
    cuts = data.draw(st.lists(st.integers(1, 311), max_size=12))
    days = restless(seed, 8)
    same(rows_of(stream_of(CONFIG), days), rows_of(stream_of(CONFIG), days, lambda _: cuts))


def test_rows_when_ticks_come_one_by_one_then_are_the_same():
    days = restless(1, 8)
    whole = rows_of(stream_of(CONFIG), days)
    same(whole, rows_of(stream_of(CONFIG), days, range))
    assert not np.isnan(whole["p_markup"]).all()


@given(st.integers(1, 30), st.integers(5, 7), st.integers(1, 77))
@settings(max_examples=5)
def test_rows_when_later_bars_are_others_then_those_before_are_the_same(seed, day, bar):
    """Every field, the filtered probabilities included: nothing that follows a bar changes what was known at it."""
    days, others = restless(seed, 8), restless(seed + 500, 8)
    (session, trades), (_, rest) = days[day], others[day]
    cut = 4 * bar
    joined = type(trades).concat([trades.slice(0, cut), rest.slice(cut, len(rest))])
    other = (
        *days[:day],
        (session, joined),
        *((s, t) for (s, _), (_, t) in zip(days[day + 1 :], others[day + 1 :], strict=True)),
    )
    one, two = rows_of(stream_of(CONFIG), days), rows_of(stream_of(CONFIG), other)
    count = 78 * day + bar
    assert (one["close"][count:] != two["close"][count:]).any()
    same(one[:count], two[:count])


@given(st.integers(0, 1_000), st.integers(1, 119))
@settings(max_examples=25)
def test_filtered_probabilities_when_later_bars_are_appended_then_earlier_ones_are_unchanged(seed, cut):
    rng = np.random.default_rng(seed)
    start, transition, means, variances = first_guess(5)
    x = rng.normal(0, 2, (120, 4))
    x[rng.random(120) < 0.05, 1] = np.nan
    whole, part = np.zeros((120, 5)), np.zeros((cut, 5))
    filter_forward(x, start, transition, means, variances, whole)
    filter_forward(x[:cut], start, transition, means, variances, part)
    np.testing.assert_array_equal(whole[:cut], part)
    np.testing.assert_allclose(whole.sum(axis=1), 1.0)


def test_audit_when_ticks_are_cut_anywhere_then_bytes_are_the_same():
    days, rng = restless(7, 12), np.random.default_rng(3)
    whole = collect_audit(recipe(), CutFeed(days))
    assert whole == collect_audit(recipe(), CutFeed(days, lambda n: rng.integers(1, n, 60).tolist()))
    assert whole.count(b'"OrderFilled"') > 20
    few = restless(7, 5)
    assert collect_audit(recipe(), CutFeed(few)) == collect_audit(recipe(), CutFeed(few, range))


def run_session(day, before, book, stop=None):
    """Trade one session as a process does: signals warmed on the days before, a strategy that knows the book."""
    events = []
    strategy = load_strategy("council", recipe().strategy_config)
    strategy.use_book(book)

    def warmed(instrument):
        stream = strategy.signal_stream(instrument)
        for session, trades in before:
            stream.start_session(session)
            stream.advance(trades, session.close_ns)
        return stream

    lane = main_lane(recipe().execution)
    engine = new_engine(recipe(), lane, (events.append,), is_simulated_data=True, strategy=strategy)
    run = Run(CutFeed([day], lambda n: range(4, n, 4)), warmed, [engine])
    session, trades = day
    for block in run.blocks(session):
        if stop is not None and block.until_ns >= int(trades.ts[stop]):
            break  # the process dies here: nothing is closed, nothing is said
    return events


def test_session_when_broken_off_and_run_again_then_goes_on_the_same(tmp_path):
    """A second process knows what the first knew, though the first has written episodes of this very session."""
    days = restless(7, 14)
    books = []
    for name in ("a", "b"):
        store = Store(f"sqlite:///{tmp_path}/{name}.sqlite")
        books.append((store, SqlEpisodeBook(store.database, "paper")))
    (_, whole_book), (_, broken_book) = books
    recalled = decided = filled = 0
    for n in range(8, 14):
        for stop in (60, 150, 240):
            run_session(days[n], days[:n], broken_book, stop)
        broken = run_session(days[n], days[:n], broken_book)
        whole = run_session(days[n], days[:n], whole_book)
        assert b"".join(map(encode, broken)) == b"".join(map(encode, whole))
        decisions = [event.decision for event in whole if isinstance(event, DecisionMade)]
        decided += len(decisions)
        recalled += sum(1 for d in decisions if float(d.proposal.inputs.get("memory_cases", 0)) > 0)
        filled += sum(1 for event in whole if isinstance(event, OrderFilled))
        assert any(isinstance(event, SessionEnded) for event in whole)
        assert whole_book.closed_before("council", 2**62, 9_999) == broken_book.closed_before("council", 2**62, 9_999)
    assert min(recalled, decided, filled) > 5
    for store, _ in books:
        store.close()


def test_account_when_the_council_trades_both_ways_then_caps_hold_and_exits_are_on_their_side():
    events = []
    from sovereign.core.event import TradeClosed
    from sovereign.research.backtest import run_backtest

    run_backtest(recipe(), CutFeed(restless(7, 16)), lanes=(main_lane(recipe().execution),), sinks=(events.append,))
    trades = [event.trade for event in events if isinstance(event, TradeClosed)]
    sides = {trade.side.sign for trade in trades}
    assert sides == {1, -1}
    for trade in trades:
        notional = trade.quantity * Decimal(str(trade.entry_ticks)) * SPY.tick_value
        assert notional <= Decimal("0.1501") * 31_000
        move = trade.side.sign * (trade.exit_ticks - trade.entry_ticks)
        if trade.exit_role.value == "STOP":
            assert move < 0, trade
        if trade.exit_role.value == "TARGET":
            assert move > 0, trade


@pytest.mark.parametrize("seconds", [300, 3_600])
def test_rows_when_shares_trade_before_and_after_hours_then_are_those_of_the_regular_hours(seconds):
    """A live tape has early and late prints, recorded bars have none: the council knows and decides the same."""
    config = CONFIG.model_copy(update={"bar_seconds": seconds})
    days, rng = restless(3, 8), np.random.default_rng(9)
    longer = tuple((session, with_outside(session, trades, rng)) for session, trades in days)
    regular = rows_of(stream_of(config), days)
    assert len(regular) == 8 * (78 if seconds == 300 else 7)
    for cuts in (None, lambda n: range(1, n, 37)):
        rows = rows_of(stream_of(config), longer, cuts)
        for name in rows.dtype.names:
            if name != "seq":  # counts ticks, and there are more of them
                np.testing.assert_array_equal(rows[name], regular[name], err_msg=name)


def with_outside(session, trades, rng):
    """The same tape with prints for hours before the open and after the close, far from it in price."""
    minute = 60 * 10**9
    early = session.regular_open_ns - np.arange(150, 0, -1) * minute
    late = session.regular_close_ns + np.arange(120) * minute
    outside = [
        type(trades)(
            ts,
            (int(trades.price[0]) + rng.integers(-900, 900, len(ts))).astype(np.int32),
            rng.integers(1, 9_000, len(ts)).astype(np.int32),
            rng.choice(np.array([-1, 1], np.int8), len(ts)),
        )
        for ts in (early, late)
    ]
    return type(trades).concat([outside[0], trades, outside[1]])


def test_rows_when_a_session_has_more_bars_than_shares_have_then_any_cut_gives_the_same():
    """288 bars a session, as pairs of coins have: ranks reach five sessions of them, however the ticks come."""
    config = CONFIG.model_copy(update={"regime": CONFIG.regime.model_copy(update={"history_sessions": 5})})
    coin = find_instrument("BTCUSD")
    rng, price, days = np.random.default_rng(4), 40_000, []
    for session in calendar_for("CRYPTO").sessions(date(2025, 3, 3), date(2025, 3, 10)):
        trades = tape_of(session, price, rng, 288, 20.0)
        price = int(trades.price[-1])
        days.append((session, trades))
    whole, cut = (CouncilStrategy(config).signal_stream(coin) for _ in range(2))
    one = rows_of(whole, days)
    assert len(one) == 8 * 288
    same(one, rows_of(cut, days, lambda n: range(40, n, 40)))
