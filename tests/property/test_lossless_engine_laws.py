"""Laws of the lossless strategy as the engine runs it: any cut, any restart, no future and nothing from nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from sovereign.app.configuration import Settings
from sovereign.app.configuration.loading import merge
from sovereign.app.plan import recipe_of
from sovereign.core.event import encode
from sovereign.core.instrument import find_instrument
from sovereign.core.port import Block
from sovereign.engine.conductor import Conductor, opened
from sovereign.engine.inputs import Opening, SessionClosed, Slice, to_frame
from sovereign.engine.recovery import ReplayJournal, start
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import PortfolioMarket, PortfolioMarketConfig
from sovereign.kernels.lossless_setting import VolumeConfig
from sovereign.research.backtest import main_lane, new_engine, run_backtest
from sovereign.research.evidence import collect_audit
from sovereign.research.portfolio import future_test_of, portfolio_null_test
from sovereign.store.recording import Recording
from sovereign.strategies import assumed_settings, load_strategy
from sovereign.strategies.lossless import LosslessConfig

SYMBOLS = ("SPY", "NVDA", "JPM")
CALENDAR = calendar_for("XNYS")
MARKET = PortfolioMarketConfig(step_seconds=60)
SESSIONS = 24
# Less is asked of a volume than usual, so that a few sessions hold enough trades to compare.
LIVELY = LosslessConfig(volume=VolumeConfig(capitulation_rank=0.8, elevated_rank=0.6))


@cache
def recipe(config=LIVELY):
    settings, _ = merge(Settings, file=None, environment={}, assumed=assumed_settings("lossless"), assumed_by="default")
    found = recipe_of(settings, "lossless")
    return replace(found, strategy_config=config, risk=found.risk.no_fresher_than(MARKET.step_seconds))


@cache
def market():
    feed = PortfolioMarket(SYMBOLS, CALENDAR, date(2025, 1, 6), SESSIONS, 11, MARKET)
    return [(session, {block.symbol: block.trades for block in feed.blocks(session)}) for session in feed.sessions()]


class CutMarket:
    """The market in blocks cut after given rows, each symbol in its own rhythm, in the order in which they would arrive."""

    is_simulated = True

    def __init__(self, cuts):
        self._cuts = cuts

    def sessions(self):
        return (session for session, _ in market())

    def instruments(self, _session):
        return tuple(map(find_instrument, SYMBOLS))

    def blocks(self, session) -> Iterator[Block]:
        blocks = []
        tapes = next(tapes for one, tapes in market() if one is session)
        for order, (symbol, trades) in enumerate(tapes.items()):
            bounds = sorted({0, *(c for c in self._cuts(order, len(trades)) if 0 < c < len(trades)), len(trades)})
            for first, stop in pairwise(bounds):
                until = session.close_ns if stop == len(trades) else int(trades.ts[stop - 1])
                blocks.append((until, order, Block(symbol, trades.slice(first, stop), until)))
        yield from (block for _, _, block in sorted(blocks, key=lambda item: item[:2]))


def test_audit_when_several_symbols_are_cut_anywhere_then_bytes_are_the_same():
    rng = np.random.default_rng(2)
    whole = collect_audit(recipe(), CutMarket(lambda *_: ()))
    ragged = collect_audit(recipe(), CutMarket(lambda _, n: rng.integers(1, n, 20).tolist()))
    single = collect_audit(recipe(), CutMarket(lambda order, n: range(n) if order == 1 else range(0, n, 17)))
    assert whole == ragged == single
    filled = {json.loads(line)["fill"]["instrument"] for line in whole.splitlines() if b'"OrderFilled"' in line}
    assert len(filled) > 1


def test_audit_when_the_future_of_all_symbols_is_replaced_then_the_past_is_the_same():
    result = future_test_of(recipe(), [session for session, _ in market()], [tapes for _, tapes in market()], cuts=4, seed=5)
    assert result.passed, result.difference
    assert result.decisions > 20


def test_strategy_when_prices_have_no_drift_then_earns_nothing():
    plan = recipe(LosslessConfig())
    symbols = ("ZAA", "ZAB", "ZAC", "ZAD", "ZAE", "ZAF")
    settings = Settings()
    result = portfolio_null_test(plan, CALENDAR, symbols, settings.evidence, MARKET, sessions=160, seed=4)
    assert result.trades > 100
    assert result.passed, f"{result.mean:+.1f} ticks a trade, t {result.t:+.2f}"


def conductor_of(events):
    plan = recipe()
    strategy = load_strategy("lossless", plan.strategy_config)

    def new_stream(instrument):
        stream = strategy.signal_stream(instrument)
        for session, tapes in market()[:-1]:
            stream.start_session(session)
            stream.advance(tapes[instrument.symbol], session.close_ns)
        return stream

    engine = new_engine(plan, main_lane(plan.execution), (events.append,), is_simulated_data=True)
    return Conductor(engine, new_stream, object())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The last session as it was recorded, slice by slice, and everything that was said."""
    session, tapes = market()[-1]
    plan, events = recipe(), []
    opening = Opening(balance=plan.starting_balance, high_water_mark=plan.starting_balance)
    items = [opened(session, tuple(map(find_instrument, SYMBOLS)), opening)]
    rng = np.random.default_rng(6)
    slices = []
    for order, (symbol, trades) in enumerate(tapes.items()):
        for first, stop in pairwise([0, *sorted(set(rng.integers(1, len(trades), 60).tolist())), len(trades)]):
            until = int(trades.ts[stop - 1])
            slices.append((until, order, Slice(ts=until, symbol=symbol, trades=trades.slice(first, stop), until_ns=until)))
    items += [item for *_, item in sorted(slices, key=lambda one: one[:2])]
    items.append(SessionClosed(ts=session.close_ns))
    path = tmp_path_factory.mktemp("recorded") / "a.rec"
    conductor = conductor_of(events)
    with Recording(path, {"code": "1"}, 0) as recording:
        for item in items:
            recording.append(to_frame(item))
            conductor.apply(item)
    return path.read_bytes(), items, list(map(encode, events))


@pytest.mark.parametrize("seed", range(4))
def test_session_when_stopped_and_restarted_anywhere_then_goes_on_as_if_nothing_had_happened(tmp_path, recorded, seed):
    data, items, whole = recorded
    assert sum(b'"OrderFilled"' in line for line in whole) >= 2
    path = tmp_path / "a.rec"
    path.write_bytes(data[: random.Random(seed).randrange(len(data) // 10, len(data))])
    events = []
    conductor = conductor_of(events)
    found = start(path, {"code": "1"}, conductor, ReplayJournal(None), now_ns=0, is_remote=False)
    for item in items[found.replayed :]:
        found.recording.append(to_frame(item))
        conductor.apply(item)
    found.recording.close()
    assert list(map(encode, events)) == whole
    assert path.read_bytes() == data


def test_pairs_when_they_trade_through_the_weekend_then_entries_are_made_on_it():
    coins = PortfolioMarketConfig(step_seconds=60, start_ticks=400_000, session_volatility_ticks=9_600, session_volume=10**7)
    feed = PortfolioMarket(("ETHUSD",), calendar_for("CRYPTO"), date(2025, 1, 4), 30, 3, coins)
    free = recipe().execution.model_copy(update={"fees": {"ETHUSD": Decimal(0)}})
    outcome = run_backtest(replace(recipe(), execution=free), feed)
    opened_on = [datetime.fromtimestamp(trade.entry_ns / 1e9, UTC).weekday() for trade in outcome.lanes["realistic"].trades]
    assert outcome.sessions == 30
    assert {5, 6} & set(opened_on)
    # Coins are paid in full: never more than the account is worth, less than two fees and the slippage.
    assert all(trade.quantity * trade.entry_ticks * 1e-4 <= 100_000 * 1.1 for trade in outcome.lanes["realistic"].trades)
