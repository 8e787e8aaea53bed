"""Laws of the tug of war: no future, no matter how the ticks are cut, a restart goes on the same, nothing out of nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.app.configuration import load_settings
from sovereign.app.plan import recipe_of
from sovereign.core.event import DecisionMade, encode
from sovereign.core.instrument import find_instrument
from sovereign.engine.recipe import Run
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import PortfolioMarketConfig
from sovereign.research.backtest import main_lane, new_engine
from sovereign.research.evidence import collect_audit
from sovereign.research.portfolio import null_symbols, portfolio_future_test, portfolio_null_test
from sovereign.store.episodes import SqlEpisodeBook
from sovereign.store.store import Store
from sovereign.strategies import load_strategy
from sovereign.strategies.tug_of_war import TugOfWarStrategy
from tug_cases import SYMBOLS, CutFeed, config_of, market, rows_of, run_session, streams_of

EAGER = config_of(
    conflict={"min_opposed": 0.3, "min_alone": 0.3},
    entry={"order": "market"},
    position={"trend_stop_frac": 0.004, "trend_target_frac": 0.008},
    without=["earnings", "chop_rule"],
)


def same(one, other):
    for symbol in one:
        for name in one[symbol].dtype.names:
            np.testing.assert_array_equal(one[symbol][name], other[symbol][name], err_msg=f"{symbol} {name}")


@cache
def recipe(config=EAGER):
    overrides = ("risk.first_entry_after_open_minutes=0", "risk.can_short=true")
    plain = recipe_of(load_settings(environment={}, strategy="tug_of_war", overrides=overrides).settings, "tug_of_war")
    return replace(plain, strategy_config=config, risk=plain.risk.no_fresher_than(2_000))


@given(st.lists(st.integers(1, 999), max_size=30))
@settings(max_examples=5)
def test_rows_when_ticks_are_cut_anywhere_then_are_the_same(cuts):
    days = market(1, 48)
    same(rows_of(EAGER, days), rows_of(EAGER, days, lambda _: cuts))


@given(st.integers(2, 40), st.integers(44, 47), st.integers(1, 25))
@settings(max_examples=6)
def test_rows_when_later_ticks_are_others_then_those_before_are_the_same(seed, day, bar):
    days, others = market(1, 48), market(seed, 48)
    session, tapes = days[day]
    joined = {
        symbol: type(trades).concat([trades.slice(0, 4 * bar), others[day][1][symbol].slice(4 * bar, len(trades))])
        for symbol, trades in tapes.items()
    }
    one = rows_of(EAGER, days)
    two = rows_of(EAGER, (*days[:day], (session, joined), *others[day + 1 :]))
    count = 26 * day + bar
    assert (one["NVDA"]["close"][count:] != two["NVDA"]["close"][count:]).any()
    same({s: rows[:count] for s, rows in one.items()}, {s: rows[:count] for s, rows in two.items()})


def test_rows_when_streams_are_warmed_one_after_the_other_then_the_next_session_is_the_same():
    """A live process warms each symbol by itself; a backtest runs all of them side by side."""
    days = market(1, 50)
    together = streams_of(TugOfWarStrategy(EAGER))
    for day in days[:-1]:
        run_session(together, day)
    strategy = TugOfWarStrategy(EAGER)
    apart = {}
    for symbol in SYMBOLS:
        stream = apart[symbol] = strategy.signal_stream(find_instrument(symbol))
        for session, tapes in days[:-1]:
            stream.start_session(session)
            stream.advance(tapes[symbol], session.close_ns)
    same(run_session(together, days[-1]), run_session(apart, days[-1]))
    assert not np.isnan(apart["NVDA"].rows["probability"]).all()


def test_rows_when_a_strategy_begins_anew_then_nothing_is_counted_twice():
    days = market(1, 46)
    strategy = TugOfWarStrategy(EAGER)
    for _ in range(2):
        streams = streams_of(strategy)
        found = [run_session(streams, day) for day in days]
    same(found[-1], {symbol: rows[-26:] for symbol, rows in rows_of(EAGER, days).items()})


def test_audit_when_ticks_are_cut_anywhere_then_bytes_are_the_same():
    days, rng = market(1, 50), np.random.default_rng(3)
    whole = collect_audit(recipe(), CutFeed(days))
    assert whole == collect_audit(recipe(), CutFeed(days, lambda: rng.integers(1, 1_000, 12).tolist()))
    assert whole.count(b'"OrderFilled"') > 20


def run_live(day, before, book, stop=None):
    """Trade one session as a process does: signals warmed on the days before, a strategy that knows the book."""
    events = []
    strategy = load_strategy("tug_of_war", EAGER)
    strategy.use_book(book)

    def warmed(instrument):
        stream = strategy.signal_stream(instrument)
        for session, tapes in before:
            stream.start_session(session)
            stream.advance(tapes[instrument.symbol], session.close_ns)
        return stream

    engine = new_engine(recipe(), main_lane(recipe().execution), (events.append,), is_simulated_data=True, strategy=strategy)
    run = Run(CutFeed([day], lambda: range(50, 1_000, 50)), warmed, [engine])
    for block in run.blocks(day[0]):
        if stop is not None and block.until_ns >= int(day[1]["NVDA"].ts[stop]):
            break  # the process dies here: nothing is closed, nothing is said
    return events


def test_session_when_broken_off_and_run_again_then_goes_on_the_same(tmp_path):
    days = market(1, 50)
    stores = [Store(f"sqlite:///{tmp_path}/{name}.sqlite") for name in ("a", "b")]
    whole_book, broken_book = (SqlEpisodeBook(store.database, "paper") for store in stores)
    known = 0
    for n in range(46, 50):
        for stop in (30, 80):
            run_live(days[n], days[:n], broken_book, stop)
        broken, whole = (run_live(days[n], days[:n], book) for book in (broken_book, whole_book))
        assert b"".join(map(encode, broken)) == b"".join(map(encode, whole))
        decisions = [event.decision for event in whole if isinstance(event, DecisionMade)]
        known += sum(1 for d in decisions if int(d.proposal.inputs.get("kelly_trades", 0)) > 0)
        assert whole_book.closed_before("tug_of_war", 2**62, 9_999) == broken_book.closed_before("tug_of_war", 2**62, 9_999)
    assert known > 5
    for store in stores:
        store.close()


def test_null_market_of_ten_correlated_shares_when_traded_then_nothing_is_earned():
    base = load_settings(environment={}, strategy="tug_of_war").settings
    plain = recipe_of(base, "tug_of_war")
    symbols = null_symbols(plain, 10)
    assert symbols[:2] == ("SPY", "QQQ")
    assert len(symbols) == 12
    result = portfolio_null_test(
        plain, calendar_for("XNYS"), symbols, base.evidence, PortfolioMarketConfig(step_seconds=300), sessions=120, seed=1
    )
    assert result.trades >= 50
    assert result.passed, result


def test_future_when_replaced_after_random_moments_then_decisions_before_them_stay():
    base = load_settings(environment={}, strategy="tug_of_war").settings
    plain = recipe_of(base, "tug_of_war")
    wanted = base.evidence.model_copy(update={"future_sessions": 70, "future_cuts": 2})
    names = null_symbols(plain, 3)
    result = portfolio_future_test(plain, calendar_for("XNYS"), names, wanted, PortfolioMarketConfig(step_seconds=300))
    assert result.passed, result.difference
    assert result.decisions > 20


def test_confidence_when_ranked_then_about_a_quarter_of_convictions_is_above_three_quarters():
    rows = rows_of(config_of(), market(2, 56))
    rank = np.concatenate([rows[symbol]["rank"][rows[symbol]["cycle"]] for symbol in ("NVDA", "JPM")])
    rank = rank[~np.isnan(rank)]
    assert 0.1 < (rank >= 0.75).mean() < 0.45
