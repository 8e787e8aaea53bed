"""The pages of a session show the rows that it decided on: warmed up as it was, with what its scouts had seen."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from council_effects import QUICK as CALM
from dashboard_stage import Stage
from example_run import example_record
from example_scouts import SNAPSHOT
from sovereign.app.dashboard.market import Markets
from sovereign.app.dashboard.model_tug import Tug
from sovereign.app.dashboard.replica import regime_of
from sovereign.app.dashboard.tug import mode_of
from sovereign.app.dashboard.view import View
from sovereign.app.plan import kept_settings, recipe_of, with_section
from sovereign.app.warm_up import EarlierData, earlier_bars
from sovereign.core.errors import UsageError
from sovereign.core.instrument import find_instrument
from sovereign.engine.inputs import Input, Slice, to_frame
from sovereign.signals.tug_of_war import row_type
from sovereign.store.live import LiveSession
from sovereign.store.recording import Recording
from sovereign.store.runs import StoredRun
from sovereign.strategies.council import CouncilConfig
from sovereign.strategies.tug_of_war import TugOfWarConfig, TugOfWarStrategy
from tug_cases import SYMBOLS, config_of, market
from tug_sessions import Live, inputs_of, keep_bars, recipe, record

DAYS, RECORDED, WIDTH = 48, 2, 900
SECTIONS: dict[str, Any] = {
    "tug_of_war": config_of(without=["earnings"]),
    "council": CouncilConfig.model_validate({"bar_seconds": WIDTH, "regime": CALM}),
}
WARMED = {"tug_of_war": ("momentum_z", "rank", "p_crisis"), "council": ("volatility_percentile", "p_markup")}
"""What is known at the first bar of a session only to signals that have seen weeks."""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A store, and a catalog that has bars of all days but the last few."""
    made = Stage(tmp_path, f"data.catalog={tmp_path / 'catalog'}")
    keep_bars(tmp_path / "catalog", market(1, DAYS)[: -RECORDED - 1], WIDTH)
    yield made
    made.close()


@pytest.fixture
def new_markets(stage: Stage) -> Iterator[Callable[[], Markets]]:
    """Markets as another process of the dashboard has them, each time anew."""
    made: list[Markets] = []

    def make() -> Markets:
        made.append(Markets(stage.store, stage.settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def lagging(inputs: list[Input]) -> list[Input]:
    """The same session with the first benchmark's tape always behind those of the others."""
    found: list[Input] = []
    behind: list[Input] = []
    for item in inputs:
        if isinstance(item, Slice) and item.symbol == "SPY":
            found += behind
            behind = [item]
            continue
        if item is inputs[-1]:
            found += behind
        found.append(item)
    times = accumulate((item.ts for item in found), max)
    return [replace(item, ts=ts) for item, ts in zip(found, times, strict=True)]


class Session:
    """A session on paper, as it left itself in the store; `rows` are those that it had."""

    def __init__(self, stage: Stage, strategy: str) -> None:
        days = market(1, DAYS)
        self.name = f"paper-{strategy}-{days[-1][0].trade_date:%Y%m%d}"
        self.settings = with_section(stage.settings, strategy, SECTIONS[strategy])
        warm = record(stage.folder, days[-RECORDED - 1 : -1], scouts=True)
        before = days[-RECORDED - 1][0].trade_date
        bars = earlier_bars(self.settings, SECTIONS[strategy], SYMBOLS, before, 0)
        assert bars is not None
        self.bars: EarlierData = bars
        self.inputs = lagging(inputs_of(days[-1], scouts=True))
        self.path = stage.folder / f"{self.name}.rec"
        header = {"strategy": strategy, "warm_up": [path.name for path in warm], "warm_up_bars": dict(bars.name)}
        stage.recording = self.recording = Recording(self.path, header, 0)
        self.streams: dict[str, Any] = {}
        made = replace(recipe_of(self.settings, strategy), risk=recipe(config_of()).risk)
        live = Live(made, warm, follow=self._follow, bars=bars.feed)
        self.playing = live.run(self.inputs)
        self._begin(stage, strategy)

    def _follow(self, symbol: str, stream: Any) -> Any:
        self.streams[symbol] = stream
        return stream

    def _begin(self, stage: Stage, strategy: str) -> None:
        day = market(1, DAYS)[-1][0]
        names = {"strategy": strategy, "account": "paper", "code_hash": "c0de", "config_hash": "c0nf"}
        stage.store.live.begin_session(
            LiveSession(
                **names,
                id=self.name,
                mode="paper",
                trade_date=day.trade_date,
                recording_path=str(self.path),
                started_ns=time.time_ns(),
                run_id=self.name,
            )
        )
        stage.store.begin_run(
            example_record(
                **names,
                id=self.name,
                kind="paper",
                symbols=SYMBOLS,
                instruments=tuple(find_instrument(symbol) for symbol in SYMBOLS),
                start=day.trade_date,
                end=day.trade_date,
                seed=None,
                config=kept_settings(self.settings),
            )
        )

    def go_on(self, count: int) -> None:
        """Trade and record some more inputs."""
        for _ in range(count):
            item = next(self.playing, None)
            if item is not None:
                self.recording.append(to_frame(item))

    def rows(self, symbol: str) -> np.ndarray:
        return self.streams[symbol].rows.copy()  # type: ignore[no-any-return]


def caught_up(view: View, run: StoredRun) -> StoredRun:
    """Return a run once its recording is read, however long that takes; a page waits a quarter of a second for it."""
    view.markets.of(run)
    return run


def same(session: Session, market: Any) -> int:
    """Hold all rows of a market against the session's own, and return how many there are."""
    for symbol in SYMBOLS:
        own, shown = session.rows(symbol), market.tapes[symbol].rows()
        assert market.tapes[symbol].fault == ""
        assert len(shown) == len(own), symbol
        for name in own.dtype.names:
            np.testing.assert_array_equal(shown[name], own[name], err_msg=f"{symbol} {name}")
    return len(session.rows("NVDA"))


@pytest.mark.parametrize("strategy", ["tug_of_war", "council"])
def test_rows_of_a_page_when_the_session_runs_and_when_it_is_over_then_are_those_it_decided_on(stage, new_markets, strategy):
    session = Session(stage, strategy)
    markets = new_markets()
    run = stage.store.run(session.name)
    session.go_on(len(session.inputs) // 2)
    shown = markets.of(run)
    assert shown is not None
    assert 5 < same(session, shown) < 20
    for name in WARMED[strategy]:
        assert not np.isnan(shown.tapes["NVDA"].rows()[name][0]), name
    session.go_on(len(session.inputs))
    assert same(session, markets.of(run)) == 26
    # Another dashboard, which comes when all is over.
    late = new_markets().of(run)
    assert same(session, late) == 26
    assert late is not None
    assert late.note == ""
    if strategy == "tug_of_war":
        rows = late.tapes["NVDA"].rows()
        assert not np.isnan(rows["ofi_z"]).all()
        assert not np.isnan(rows["news_tone"]).all()


def test_rows_of_a_page_when_a_look_may_take_no_time_then_come_with_the_next_ones(stage, new_markets):
    session = Session(stage, "tug_of_war")
    session.go_on(len(session.inputs))
    markets, run = new_markets(), stage.store.run(session.name)
    shown = markets.of(run, budget_s=0.0)
    deadline = time.monotonic() + 120
    while shown is not None and shown.is_behind:
        assert time.monotonic() < deadline, "the replica was behind for two minutes"
        shown = markets.of(run, budget_s=0.0)
    assert same(session, shown) == 26


def test_bars_of_a_page_when_what_warmed_the_session_up_is_another_now_then_it_is_said(stage):
    session = Session(stage, "tug_of_war")
    session.go_on(len(session.inputs))
    view = View(stage.store, stage.settings)
    run = stage.store.run(session.name)
    bars = view.bars(caught_up(view, run), "NVDA", None, day=None, before=None, count=3)
    assert (bars["source"], bars["total"]) == ("recording of the session", 26)
    shutil.rmtree(stage.folder / "catalog")
    other = View(stage.store, stage.settings)
    bars = other.bars(caught_up(other, run), "NVDA", None, day=None, before=None, count=3)
    assert bars["source"].startswith("recording of the session; what its signals began with is not what it was")
    assert bars["total"] == 26
    for one in (view, other):
        one.markets.close()


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"regime": 2, "can_enter": True, "p_crisis": 0.1}, ("TREND", 0.9, True, "")),
        ({"regime": 1, "can_enter": True, "p_crisis": 0.25}, ("CHOP", 0.75, True, "")),
        ({"regime": 3, "is_halted": True, "p_crisis": 0.8}, ("CRISIS", 0.8, False, "halted by a crisis")),
        ({"regime": 1, "is_halted": True, "p_crisis": 0.25}, ("CHOP", 0.75, False, "halted by a crisis")),
        ({"regime": 0, "p_crisis": np.nan}, ("UNKNOWN", None, False, "stale or unknown")),
        ({"regime": 0, "p_crisis": 0.25}, ("UNKNOWN", None, False, "stale or unknown")),
    ],
)
def test_regime_of_a_share_when_shown_then_is_the_markets_and_a_halt_is_never_said_to_let_entries_in(state, expected):
    row = np.zeros(1, row_type())
    for name, value in state.items():
        row[name] = value
    found = regime_of(row[0])
    assert found is not None
    assert tuple(found[name] for name in ("name", "confidence", "is_tradable", "why_not")) == pytest.approx(expected)


def test_overview_when_the_tug_of_war_runs_then_the_markets_regime_is_that_of_the_last_bar(stage):
    session = Session(stage, "tug_of_war")
    session.go_on(len(session.inputs))
    view = View(stage.store, stage.settings)
    try:
        (found,) = view.overview(caught_up(view, stage.store.run(session.name)))["regimes"]
    finally:
        view.markets.close()
    shares = [symbol for symbol in SYMBOLS if symbol not in ("SPY", "QQQ")]
    last = max((session.rows(symbol)[-1] for symbol in shares), key=lambda row: int(row["known_at"]))
    assert (found["symbol"], int(found["ts"]), found["source"]) == ("market", int(last["known_at"]), "last closed bar")
    assert found["is_tradable"] is bool(last["can_enter"])


def words(vote):
    return {1: "long", 0: "none", -1: "short", None: "abstain"}[vote]


def test_tug_when_the_session_runs_then_both_camps_of_every_share_at_its_last_bar_and_verdicts_of_every_round(stage):
    session = Session(stage, "tug_of_war")
    view = View(stage.store, stage.settings)
    strategy = TugOfWarStrategy(SECTIONS["tug_of_war"])
    shares = [symbol for symbol in SYMBOLS if symbol not in ("SPY", "QQQ")]
    try:
        run = stage.store.run(session.name)
        session.go_on(1)
        before = view.tug(caught_up(view, run), None)
        assert [(one["symbol"], one["ts"], one["crowd"]) for one in before["shares"]] == [(one, None, None) for one in shares]
        assert (before["market"], sum(before["verdicts"].values())) == (None, 0)
        session.go_on(len(session.inputs))
        whole = view.tug(caught_up(view, run), None)
        rows = {symbol: session.rows(symbol) for symbol in shares}
        middle = int(rows["NVDA"]["known_at"][len(rows["NVDA"]) // 2])
        then = view.tug(run, middle)
    finally:
        view.markets.close()
    for found, at in ((whole, None), (then, middle)):
        Tug.model_validate(found)
        counted = Counter()
        for one in found["shares"]:
            known = rows[one["symbol"]]
            known = known if at is None else known[known["known_at"] <= at]
            institutions, crowd, combined = strategy.read(known[-1])
            assert int(one["ts"]) == int(known["known_at"][-1])
            assert (one["institutions"]["vote"], one["crowd"]["vote"]) == (words(institutions.vote), words(crowd.vote))
            assert one["institutions"]["confidence"] == pytest.approx(institutions.confidence)
            assert one["verdict"] == combined.verdict
            assert one["inputs"]["rsi"] == pytest.approx(known[-1]["rsi"])
            counted.update(strategy.read(row)[2].verdict.replace(" ", "_") for row in known if row["cycle"])
        assert found["verdicts"] == {name: counted[name] for name in found["verdicts"]}
        assert sum(counted.values()) == sum(found["verdicts"].values()) > 0
        last = max((rows[one["symbol"]] for one in found["shares"]), key=lambda known: int(known["known_at"][-1]))
        last = last if at is None else last[last["known_at"] <= at]
        assert found["market"]["volatility"] == pytest.approx(last["market_volatility"][-1])
        assert found["market"]["momentum"] == pytest.approx(last["market_momentum"][-1])
        assert found["market"]["benchmark"] == "SPY"
    assert sum(then["verdicts"].values()) < sum(whole["verdicts"].values())


@pytest.mark.parametrize(
    ("state", "changes", "expected"),
    [
        ({"regime": 2, "can_enter": True}, {}, "stop 2%, target 4%"),
        ({"regime": 1, "can_enter": True}, {}, "stop 1%, target 2%, breakouts only"),
        ({"regime": 1, "can_enter": True}, {"without": ["chop_rule"]}, "stop 1%, target 2%"),
        ({"regime": 2, "can_enter": True}, {"position": {"trend_stop_frac": 0.015}}, "stop 1.5%, target 4%"),
        ({"regime": 3, "is_halted": True}, {}, "everything is closed, nothing opens"),
        ({"regime": 1, "is_halted": True}, {}, "everything is closed, nothing opens"),
        ({"regime": 0}, {}, "nothing opens"),
    ],
)
def test_mode_of_the_market_when_told_then_is_what_the_settings_do_in_it(state, changes, expected):
    row = np.zeros(1, row_type())
    for name, value in state.items():
        row[name] = value
    found = regime_of(row[0])
    assert found is not None
    assert mode_of(found, TugOfWarConfig.model_validate(changes)) == expected


def test_tables_when_read_then_those_of_the_account_newest_first_and_nothing_later_than_the_moment(stage):
    session = Session(stage, "tug_of_war")
    scouts = stage.store.scouts
    for account in ("paper", "another"):
        scouts.add("regime_states", account, [{"ts": ts, "state": "chop", "spy_volatility": 0.2} for ts in (10, 20, 30)])
    scouts.add_snapshots([replace(SNAPSHOT, ts=ts, symbol=symbol) for ts in (10, 20) for symbol in ("NVDA", "JPM")])
    view = View(stage.store, stage.settings)
    try:
        run = stage.store.run(session.name)
        regimes = view.table(run, "regime_states", None, limit=2, symbol=None)
        then = view.table(run, "regime_states", 20, limit=9, symbol=None)
        snapshots = view.table(run, "ofi_snapshots", None, limit=9, symbol="JPM")
        with pytest.raises(UsageError, match="regime_states has no symbol"):
            view.table(run, "regime_states", None, limit=9, symbol="JPM")
    finally:
        view.markets.close()
    assert [(row["account"], row["ts"], row["state"]) for row in regimes["rows"]] == [
        ("paper", "30", "chop"),
        ("paper", "20", "chop"),
    ]
    assert (then["at"], [row["ts"] for row in then["rows"]]) == ("20", ["20", "10"])
    assert [(row["symbol"], row["ts"]) for row in snapshots["rows"]] == [("JPM", "20"), ("JPM", "10")]
    assert snapshots["columns"] == list(snapshots["rows"][0])
