"""Recorded bars of the catalog warm a first session up, are named in its recording, and bring a halt with them."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import numpy as np
import pytest

from sovereign.app.configuration import Settings
from sovereign.app.session_run import benchmarks_first
from sovereign.app.warm_up import bars_before, earlier_bars, named_bars
from sovereign.core.instrument import find_instrument
from sovereign.research.live import warmed_stream
from sovereign.store.recording import Recording
from sovereign.strategies.council.configuration import CouncilConfig
from sovereign.strategies.tug_of_war import TugOfWarStrategy
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
