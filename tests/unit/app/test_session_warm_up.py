"""Recorded bars of the catalog warm a first session up, are named in its recording, and bring a halt with them."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import numpy as np
import pytest

from sovereign.app.configuration import Settings
from sovereign.app.session_run import benchmarks_first
from sovereign.app.warm_up import WarmUpTeller, bars_before, earlier_bars, hole_text, missing_sessions, named_bars
from sovereign.core.instrument import find_instrument
from sovereign.research.live import warmed_stream
from sovereign.store.recording import Recording
from sovereign.strategies.council.configuration import CouncilConfig
from sovereign.strategies.tug_of_war import TugOfWarStrategy
from sovereign.strategies.tug_of_war.configuration import TugOfWarConfig
from tug_cases import config_of, market, run_session, streams_of
from tug_sessions import keep_bars, record

SYMBOLS = ("SPY", "QQQ", "NVDA", "JPM")
CONFIG = config_of(
    market={
        "crisis": {"probability": 0.05, "volatility": 0.01, "percentile": 0.6, "readings": 1},
        "release_readings": 10_000,
    }
)
DAYS = 44
WIDTH = 900


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings whose catalog holds quarter hours of all days but the last."""
    folder = tmp_path_factory.mktemp("data") / "catalog"
    keep_bars(folder, market(1, DAYS)[:-1], WIDTH)
    return Settings.model_validate({"data": {"catalog": str(folder)}})


def streams_from(strategy, feed, recordings=()):
    return {symbol: warmed_stream(strategy, recordings, find_instrument(symbol), bars=feed) for symbol in SYMBOLS}


def test_session_when_it_is_the_first_then_signals_know_what_those_of_a_long_run_know(settings):
    last = market(1, DAYS)[-1]
    found = earlier_bars(settings, CONFIG, SYMBOLS, last[0].trade_date, 0)
    assert found is not None
    first = TugOfWarStrategy(CONFIG)
    begun = run_session(streams_from(first, found.feed), last)
    long = TugOfWarStrategy(CONFIG)
    streams = streams_of(long)
    for day in market(1, DAYS)[:-1]:
        run_session(streams, day)
    known = run_session(streams, last)
    for name in ("momentum_z", "alpha_z", "rsi", "volume_ratio", "regime", "is_halted", "p_crisis", "rank", "probability"):
        np.testing.assert_allclose(begun["NVDA"][name], known["NVDA"][name], rtol=1e-9, atol=1e-12, err_msg=name)
    assert not np.isnan(begun["NVDA"]["p_crisis"]).any()
    assert begun["NVDA"]["is_halted"].all()  # the crisis was before this process, and before any session was traded


def test_bars_when_sessions_were_recorded_as_well_then_go_before_them_and_count_with_them(settings, tmp_path):
    days = market(1, DAYS)
    paths = record(tmp_path, days[-4:-1])
    section = CONFIG.model_copy(update={"warm_up_sessions": 10})
    instruments = [find_instrument(symbol) for symbol in SYMBOLS]
    found = bars_before(settings, section, tmp_path / "new.rec", days[-1][0].trade_date, instruments, paths)
    assert found is not None
    sessions = list(found.feed.sessions())
    assert len(sessions) == 7
    assert sessions[-1] == days[-5][0]
    assert (found.name["first"], found.name["seconds"]) == (days[-11][0].trade_date.isoformat(), WIDTH)
    none = CONFIG.model_copy(update={"warm_up_sessions": 3})
    assert bars_before(settings, none, tmp_path / "new.rec", days[-1][0].trade_date, instruments, paths) is None


def test_bars_when_the_strategy_says_nothing_then_as_many_as_all_sessions_see(settings):
    """The council's section has no number of its own: what its backtests read before the first session, live reads too."""
    section = CouncilConfig.model_validate({"bar_seconds": CONFIG.bar_seconds})
    last = market(1, DAYS)[-1][0].trade_date
    wanted = settings.model_copy(update={"session": settings.session.model_copy(update={"warm_up_sessions": 4})})
    found = earlier_bars(wanted, section, SYMBOLS, last, 1)
    assert found is not None
    assert len(list(found.feed.sessions())) == 3
    none = settings.model_copy(update={"session": settings.session.model_copy(update={"warm_up_sessions": 0})})
    assert earlier_bars(none, section, SYMBOLS, last, 0) is None


def test_bars_when_a_session_goes_on_then_are_those_that_its_recording_names(settings, tmp_path):
    days = market(1, DAYS)
    instruments = [find_instrument(symbol) for symbol in SYMBOLS]
    begin = partial(bars_before, settings, CONFIG, tmp_path / "s.rec")
    first = begin(days[20][0].trade_date, instruments, [])
    assert first is not None
    Recording(tmp_path / "s.rec", {"trade_date": "x", "warm_up_bars": dict(first.name)}, 0).close()
    # Asked with another date, it is what the head says all the same.
    again = begin(days[-1][0].trade_date, instruments, [])
    assert again is not None
    assert again.name == first.name
    Recording(tmp_path / "bare.rec", {"trade_date": "x"}, 0).close()
    assert bars_before(settings, CONFIG, tmp_path / "bare.rec", days[-1][0].trade_date, instruments, []) is None


def test_bars_when_the_catalog_has_none_or_has_changed_then_said_by_their_absence_or_digest(settings, tmp_path):
    days = market(1, DAYS)
    empty = Settings.model_validate({"data": {"catalog": str(tmp_path / "none")}})
    assert earlier_bars(empty, CONFIG, SYMBOLS, days[-1][0].trade_date, 0) is None
    assert earlier_bars(settings, CONFIG, SYMBOLS, days[0][0].trade_date - timedelta(1), 0) is None
    narrow = CONFIG.model_copy(update={"bar_seconds": 600})  # no bars that fit into ten minutes
    assert earlier_bars(settings, narrow, SYMBOLS, days[-1][0].trade_date, 0) is None
    found = earlier_bars(settings, CONFIG, SYMBOLS, days[-1][0].trade_date, 0)
    assert found is not None
    named = named_bars(settings, SYMBOLS, {"warm_up_bars": dict(found.name)})
    assert named is not None
    assert named.name["digest"] == found.name["digest"]
    assert named_bars(empty, SYMBOLS, {"warm_up_bars": dict(found.name)}) is None


def test_instruments_when_the_venue_tells_benchmarks_last_then_they_come_first():
    told = [find_instrument(symbol) for symbol in ("NVDA", "QQQ", "JPM", "SPY")]
    assert [one.symbol for one in benchmarks_first(CONFIG, told)] == ["SPY", "QQQ", "NVDA", "JPM"]


def test_default_when_the_regime_is_read_on_daily_bars_then_as_many_sessions_are_looked_back_on_as_it_needs():
    """The hidden model needs 500 days with all that it sees; the first 70 have no history behind them to see it in."""
    section = TugOfWarConfig()
    assert section.warm_up_sessions >= TugOfWarStrategy(section).warm_up_sessions == 570


def test_teller_when_signals_begin_then_says_on_what_and_while_it_takes_long_how_far_they_are(settings, tmp_path):
    last = market(1, DAYS)[-1][0].trade_date
    bars = earlier_bars(settings, CONFIG.model_copy(update={"warm_up_sessions": 12}), SYMBOLS, last, 2)
    said: list[str] = []
    clock = iter([0.0, 4.0, 6.0, 7.0])
    teller = WarmUpTeller(said.append, bars, 2, len(SYMBOLS), 44, monotonic=lambda: next(clock))
    for symbol in SYMBOLS:
        teller.next(symbol)
    days = [day[0].trade_date for day in market(1, DAYS)]
    assert said == [
        f"  signals look back on 10 sessions of {WIDTH} s bars, {days[-11]} to {days[-2]} and 2 recorded sessions; "
        f"all of them are known after 44 sessions",
        "  2 of 4 symbols have; NVDA is next",
    ]


@pytest.mark.parametrize(
    ("recordings", "needed", "text"),
    [
        (0, 1, "  signals look back on nothing: no session came before this one; all of them are known after 1 session"),
        (1, 1, "  signals look back on 1 recorded session"),
    ],
)
def test_teller_when_there_are_no_bars_then_says_what_there_is(recordings, needed, text):
    said: list[str] = []
    WarmUpTeller(said.append, None, recordings, 1, needed).next("ES")
    assert said == [text]


def test_missing_when_the_catalog_ends_before_the_last_sessions_then_names_them(settings, tmp_path):
    """Bars end with the third trade date before; of the two between only one was traded, and that was recorded."""
    days = [day[0].trade_date for day in market(1, DAYS)]
    spy = find_instrument("SPY")
    bars = earlier_bars(settings, CONFIG, SYMBOLS, days[-4], 0)
    assert bars is not None
    assert missing_sessions(spy, bars, [], days[-4]) == ()
    assert missing_sessions(spy, bars, [], days[-1]) == (days[-4], days[-3], days[-2])
    recorded = record(tmp_path, market(1, DAYS)[-3:-2])
    assert missing_sessions(spy, bars, recorded, days[-1]) == (days[-2],)
    assert hole_text(days[-4:-2]).startswith(f"signals know nothing of the 2 sessions from {days[-4]} to {days[-3]}, and")
    assert hole_text(days[-2:-1]).startswith(f"signals know nothing of {days[-2]}, and")


def test_regime_when_sessions_are_missing_before_today_then_is_not_taken_for_that_of_yesterday():
    """Eleven sessions are not known. The last reading is stale at the open, and lets nothing in before there is a new one."""
    strategy = TugOfWarStrategy(config_of())
    streams = streams_of(strategy)
    days = market(1, 56)
    for day in days[:44]:
        run_session(streams, day)
    row = run_session(streams, days[55])["NVDA"][0]
    assert row["regime"] == 0
    assert not row["can_enter"]
