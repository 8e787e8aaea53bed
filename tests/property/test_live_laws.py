"""A live session is its recorded input: however it came, and wherever it was cut off, it says what the backtest says."""

import itertools
import random
import time
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from fakes.live_feed import TapeLiveFeed
from sovereign.core.event import Notice, NoticeCode, encode
from sovereign.core.instrument import find_instrument
from sovereign.core.port import Block
from sovereign.engine.conductor import Conductor, opened
from sovereign.engine.inbox import Inbox
from sovereign.engine.inputs import Opening, SessionClosed, Slice, TimePromised, read_inputs, to_frame
from sovereign.engine.lines import Lines
from sovereign.engine.live import LiveSession
from sovereign.engine.live_configuration import LiveConfig
from sovereign.engine.recovery import ReplayJournal, start
from sovereign.execution.fill_model import ExecutionConfig
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import SyntheticConfig, SyntheticMarket
from sovereign.research.backtest import Recipe, main_lane, new_engine
from sovereign.research.evidence import collect_audit
from sovereign.risk.configuration import RiskConfig
from sovereign.store.recording import Recording, read_recording
from sovereign.strategies import load_strategy
from sovereign.strategies.order_flow.configuration import OrderFlowConfig

SESSION = calendar_for("CME_EQUITY").session(date(2025, 3, 4))
BALANCE = Decimal(100_000)
PLAN = Recipe(
    strategy="order_flow",
    strategy_config=OrderFlowConfig.model_validate({"router": {"min_confidence": 0.0, "min_strength": 0.0}}),
    risk=RiskConfig(
        excluded_windows=(),
        can_inputs_be_unknown=True,
        max_positions=2,
        max_working_entries=2,
        max_quantity=1,
        tiers={"enabled": False},
        daily_loss_limit=-100_000,
    ),
    execution=ExecutionConfig(),
    starting_balance=BALANCE,
)
OPENING = Opening(balance=BALANCE, high_water_mark=BALANCE)


def tapes_of(symbols, ticks, seed=31):
    tapes = {}
    for n, symbol in enumerate(symbols, seed):
        market = SyntheticMarket(SyntheticConfig(ticks_per_session=ticks), n)
        tapes[symbol] = market.session_trades(find_instrument(symbol), SESSION)
    return tapes


def conductor_of(events):
    engine = new_engine(PLAN, main_lane(PLAN.execution), (events.append,), is_simulated_data=True)
    return Conductor(engine, load_strategy("order_flow", PLAN.strategy_config).signal_stream, object())


def audit_of(events):
    # Notices of lines and people are the live session's own; what the engine itself says is the backtest's too.
    return b"".join(encode(e) for e in events if not isinstance(e, Notice) or e.code is NoticeCode.AUTO_FLATTEN)


class Whole:
    """The same tapes as a backtest reads them: each whole, one after the other."""

    is_simulated = True

    def __init__(self, tapes):
        self._tapes = tapes

    def sessions(self):
        yield SESSION

    def instruments(self, _session):
        return tuple(map(find_instrument, self._tapes))

    def blocks(self, session):
        for symbol, trades in self._tapes.items():
            yield Block(symbol, trades, session.close_ns)


def go_live(tmp_path, tapes, cuts, pause=lambda: None, path="a.rec", **settings):
    events = []
    config = LiveConfig.model_validate(settings)
    feed = TapeLiveFeed(SESSION, tuple(map(find_instrument, tapes)), tapes, cuts, pause)
    lines = Lines(Inbox(config.inbox_ticks), feed, None, answer_s=10)
    conductor = conductor_of(events)
    found = start(tmp_path / path, {}, conductor, ReplayJournal(None), now_ns=0, is_remote=False)
    lines.start()
    try:
        live = LiveSession(
            config=config,
            conductor=conductor,
            recording=found.recording,
            lines=lines,
            outbox=None,
            monotonic=time.monotonic,
        )
        ending = live.run(SESSION, tuple(map(find_instrument, tapes)), OPENING)
    finally:
        lines.stop(5)
        found.recording.close()
    return ending, events, lines, feed


@pytest.mark.parametrize(("symbols", "seed"), [(("ES",), 1), (("ES", "NQ"), 2)])
def test_live_session_when_slices_and_threads_fall_at_random_then_says_what_the_backtest_says(tmp_path, symbols, seed):
    tapes = tapes_of(symbols, 25_000)
    rng, chance = np.random.default_rng(seed), random.Random(seed)
    pause = lambda: chance.choice([None, None, None, 0, 0.001, 0.003])  # noqa: E731 - seconds
    ending, events, lines, feed = go_live(
        tmp_path, tapes, lambda _, n: rng.integers(1, n, 400).tolist(), pause, backlog_ms=10**9, inbox_ticks=2_000
    )
    assert (ending.exit_code, ending.is_closed) == (0, True), ending.reason
    assert audit_of(events) == collect_audit(PLAN, Whole(tapes))
    assert b'"OrderFilled"' in audit_of(events)
    assert lines.inbox.most_waited <= 2_000 + max(map(len, tapes.values()))
    assert feed.worked == sorted(feed.worked)
    # And the recording alone tells it once more.
    again = []
    conductor = conductor_of(again)
    for item in read_inputs(read_recording(tmp_path / "a.rec")):
        conductor.apply(item)
    assert list(map(encode, again)) == list(map(encode, events))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A recorded session of some hundred inputs, and everything it said."""
    path = tmp_path_factory.mktemp("recorded") / "a.rec"
    (symbol, trades), *_ = tapes_of(("ES",), 40_000, seed=34).items()
    rng = np.random.default_rng(4)
    bounds = [0, *sorted(set(rng.integers(1, len(trades), 300).tolist())), len(trades)]
    events = []
    conductor = conductor_of(events)
    items = [opened(SESSION, (find_instrument(symbol),), OPENING)]
    for n, (first, stop) in enumerate(itertools.pairwise(bounds)):
        until = int(trades.ts[stop - 1])
        items.append(Slice(ts=until, symbol=symbol, trades=trades.slice(first, stop), until_ns=until))
        if n % 7 == 0:
            items.append(TimePromised(ts=until + 1_000))
    items.append(SessionClosed(ts=SESSION.close_ns))
    with Recording(path, {"code": "1"}, 0) as recording:
        for item in items:
            recording.append(to_frame(item))
            conductor.apply(item)
    assert b'"OrderFilled"' in audit_of(events)
    return path.read_bytes(), items, list(map(encode, events))


@pytest.mark.parametrize("seed", range(12))
def test_recovery_when_the_recording_was_cut_off_anywhere_then_goes_on_as_if_nothing_had_happened(tmp_path, recorded, seed):
    data, items, whole = recorded
    cut = random.Random(seed).randrange(30, len(data))
    path = tmp_path / "a.rec"
    path.write_bytes(data[:cut])
    events = []
    conductor = conductor_of(events)
    found = start(path, {"code": "1"}, conductor, ReplayJournal(None), now_ns=0, is_remote=False)
    for item in items[found.replayed :]:
        found.recording.append(to_frame(item))
        conductor.apply(item)
    found.recording.close()
    assert list(map(encode, events)) == whole
    assert found.recording.bytes == len(data)
    assert path.read_bytes() == data


def test_tick_when_its_time_was_promised_over_then_is_taken_at_the_promised_time_counted_and_reported():
    (symbol, trades), *_ = tapes_of(("ES",), 1_000).items()
    events = []
    conductor = conductor_of(events)
    conductor.apply(opened(SESSION, (find_instrument(symbol),), OPENING))
    promised = int(trades.ts[500])
    conductor.apply(TimePromised(ts=promised))
    conductor.apply(Slice(ts=promised, symbol=symbol, trades=trades, until_ns=int(trades.ts[-1])))
    late = int(np.searchsorted(trades.ts, promised))
    assert conductor.late_ticks == {"ES": late}
    assert conductor.ticks == {"ES": len(trades)}
    (notice,) = [event for event in events if isinstance(event, Notice) and event.code is not NoticeCode.AUTO_FLATTEN]
    assert (notice.code, notice.values["ticks"]) == (NoticeCode.DATA_LATE, late)
    conductor.apply(SessionClosed(ts=SESSION.close_ns))
    # The same as a tape on which those ticks had the promised time to begin with.
    moved = []
    second = conductor_of(moved)
    second.apply(opened(SESSION, (find_instrument(symbol),), OPENING))
    trades.ts.flags.writeable = True
    trades.ts[:late] = promised
    second.apply(Slice(ts=promised, symbol=symbol, trades=trades, until_ns=int(trades.ts[-1])))
    second.apply(SessionClosed(ts=SESSION.close_ns))
    assert audit_of(events) == audit_of(moved)
