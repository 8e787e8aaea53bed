"""What the account may never do: enter late, hold through a crisis, crowd a sector; and every refusal can be asked why."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np

from sovereign.app.configuration import load_settings
from sovereign.app.plan import recipe_of
from sovereign.core.columns import Trades
from sovereign.core.decision import Verdict
from sovereign.core.event import DecisionMade, OrderFilled, TradeClosed
from sovereign.core.instrument import find_instrument
from sovereign.core.order import OrderRole
from sovereign.core.session import NS_PER_MINUTE
from sovereign.research.backtest import main_lane, run_backtest
from sovereign.research.portfolio import GivenSessions
from sovereign.strategies.tug_of_war import TugOfWarStrategy
from tug_cases import config_of, market, run_session, streams_of

SHARES = ("SPY", "QQQ", "NVDA", "CRWD", "PLTR", "MSTR", "JPM", "LLY")
EAGER = config_of(
    conflict={"min_opposed": 0.1, "min_alone": 0.1},
    entry={"order": "market"},
    without=["earnings", "chop_rule", "flip_exit", "crowded_exit"],
    market={"crisis": {"volatility": 5.0}},
)
CRISIS = {"crisis": {"probability": 0.05, "volatility": 0.01, "percentile": 0.6, "readings": 1}}


@cache
def events_of(config=EAGER, overrides=(), days=50, symbols=SHARES):
    loaded = load_settings(environment={}, strategy="tug_of_war", overrides=overrides).settings
    recipe = recipe_of(loaded, "tug_of_war")
    recipe = replace(recipe, strategy_config=config, risk=recipe.risk.no_fresher_than(2_000))
    given = market(1, days, symbols=symbols)
    events = []
    feed = GivenSessions([session for session, _ in given], [tapes for _, tapes in given])
    run_backtest(recipe, feed, lanes=(main_lane(recipe.execution),), sinks=(events.append,))
    return tuple(events)


def sessions_by_date():
    return {session.trade_date: session for session, _ in market(1, 50, symbols=SHARES)}


def entries(events):
    return [e for e in events if isinstance(e, OrderFilled) and e.fill.role is OrderRole.ENTRY]


def minute_of_day(ts):
    session = next(s for s in sessions_by_date().values() if s.open_ns <= ts < s.close_ns)
    return (ts - session.regular_open_ns) / NS_PER_MINUTE


def test_day_when_it_ends_then_nothing_opens_after_a_quarter_to_four_and_everything_is_closed_by_then():
    events = events_of()
    times = [minute_of_day(e.ts) for e in entries(events)]
    assert len(times) > 20
    assert min(times) >= 30
    assert max(times) < 375 + 15  # decided before 15:45, filled at the next tick of a quarter-hour market
    closed = [e.trade for e in events if isinstance(e, TradeClosed)]
    assert any(trade.exit_role is OrderRole.FLATTEN for trade in closed)
    assert all(minute_of_day(trade.exit_ns) <= 390 for trade in closed)
    late = [
        e.decision
        for e in events
        if isinstance(e, DecisionMade) and e.decision.proposal.intent and minute_of_day(e.decision.ts) >= 375
    ]
    refused = [d for d in late if not d.proposal.intent.reduce_only]
    assert refused
    assert {d.outcome.check for d in refused} == {"trading_hours"}


def test_account_when_many_signals_come_at_once_then_sector_and_position_caps_hold():
    events = events_of()
    open_now: dict[str, int] = Counter()
    groups = load_settings(environment={}, strategy="tug_of_war").settings.risk.sectors
    fullest = most = 0
    for event in events:
        if isinstance(event, OrderFilled):
            symbol = event.fill.instrument.symbol
            open_now[symbol] += event.fill.side.sign * event.fill.quantity
            held = [name for name, quantity in open_now.items() if quantity]
            most = max(most, len(held))
            for group in ("tech_growth", "crypto_proxy"):
                fullest = max(fullest, sum(1 for name in held if group in groups[name]))
    assert fullest == 2
    assert 3 <= most <= 4
    reasons = Counter(
        e.decision.outcome.check for e in events if isinstance(e, DecisionMade) and hasattr(e.decision.outcome, "check")
    )
    assert reasons["sector"] > 0


def test_shorts_when_off_then_every_one_of_them_is_refused_by_the_door():
    events = events_of()
    assert all(e.fill.side.sign > 0 for e in entries(events))
    shorts = [
        e.decision
        for e in events
        if isinstance(e, DecisionMade)
        and e.decision.proposal.intent
        and e.decision.proposal.intent.side.sign < 0
        and not e.decision.proposal.intent.reduce_only
    ]
    assert shorts
    assert all(d.verdict is Verdict.REFUSED for d in shorts)


def test_size_when_a_position_has_been_held_then_its_value_was_at_most_five_percent_of_equity():
    for trade in (e.trade for e in events_of() if isinstance(e, TradeClosed)):
        value = trade.quantity * trade.entry_ticks * float(trade.instrument.tick_value)
        assert 0.0 < value <= 0.0505 * 101_000


def halted_days(config, days, skip=()):
    """The latch at each session's last bar."""
    strategy = TugOfWarStrategy(config)
    streams = streams_of(strategy, ("SPY", "QQQ", "NVDA"))
    found = []
    for number, (session, tapes) in enumerate(days):
        seen = {
            symbol: trades for symbol, trades in tapes.items() if symbol in streams and not (symbol == "SPY" and number in skip)
        }
        rows = run_session(streams, (session, seen))
        found.append((bool(rows["NVDA"]["is_halted"][-1]), bool(rows["NVDA"]["can_enter"].any()), streams["SPY"].service))
    return found


def first_halt(found):
    return next(n for n, (is_halted, _, _) in enumerate(found) if is_halted)


LATCH = config_of(market={**CRISIS, "release_readings": 10_000, "hidden": {"refit_sessions": 1}})


def test_halt_when_the_model_is_refitted_then_stays_until_enough_calm_readings():
    days = market(1, 40, symbols=SHARES)
    found = halted_days(LATCH, days)
    start = first_halt(found)
    assert start < 35  # fitted anew every second session from here on
    assert all(is_halted and not can_enter for is_halted, can_enter, _ in found[start + 1 :])
    quick = halted_days(config_of(market={**CRISIS, "release_readings": 3}), days)
    assert any(not is_halted for is_halted, _, _ in quick[start + 1 :])


def test_halt_when_the_process_is_started_again_then_is_still_there():
    days = market(1, 40, symbols=SHARES)
    start = first_halt(halted_days(LATCH, days))
    again = halted_days(LATCH, days[: start + 2])  # another process, warmed on the same sessions
    assert again[-1][:2] == (True, False)


def test_halt_when_the_benchmark_falls_silent_then_stays_and_nothing_may_be_opened():
    days = market(1, 40, symbols=SHARES)
    start = first_halt(halted_days(LATCH, days))
    silent = range(start + 1, 40)
    found = halted_days(LATCH, days, skip=silent)
    assert all(is_halted and not can_enter for is_halted, can_enter, _ in found[start + 1 :])


def test_benchmark_when_it_falls_silent_without_a_crisis_then_entries_end_with_the_reading():
    days = market(1, 40, symbols=SHARES)
    calm = config_of(market={"crisis": {"volatility": 5.0}})
    assert halted_days(calm, days)[38][1]
    found = halted_days(calm, days, skip=range(36, 40))
    assert [can_enter for _, can_enter, _ in found[37:]] == [False] * 3


def test_positions_when_a_crisis_begins_then_are_closed_and_the_refusals_that_follow_say_why():
    config = config_of(
        conflict={"min_opposed": 0.1, "min_alone": 0.1},
        entry={"order": "market"},
        without=["earnings", "chop_rule", "flip_exit", "crowded_exit"],
        market={**CRISIS, "release_readings": 3},
    )
    decisions = [e.decision for e in events_of(config) if isinstance(e, DecisionMade)]
    closed = [d for d in decisions if d.proposal.name == "crisis halt"]
    refused = [d for d in decisions if hasattr(d.outcome, "check") and d.outcome.check == "halt"]
    assert closed
    assert all(d.verdict is not Verdict.REFUSED for d in closed)
    assert refused
    assert all(not check.passed for d in refused for check in d.checks if check.name == "halt")


def test_opening_range_when_a_share_skips_minutes_then_is_of_the_first_half_hour_by_the_clock():
    """Thirty bars are not thirty minutes: a thin share prints a few times, and its range ends at 10:00 all the same."""
    session, tapes = market(1, 1)[0]
    opens, minute = session.regular_open_ns, NS_PER_MINUTE
    at = np.array([1, 5, 29, 31, 45]) * minute + opens
    prices = np.array([10_000, 10_050, 9_990, 10_060, 10_110], np.int32)
    thin = Trades(at, prices, np.full(5, 100, np.int32), np.zeros(5, np.int8))
    strategy = TugOfWarStrategy(config_of(bar_seconds=60))
    streams = streams_of(strategy, ("SPY", "QQQ", "NVDA"))
    rows = run_session(streams, (session, {**{s: tapes[s] for s in ("SPY", "QQQ")}, "NVDA": thin}))["NVDA"]
    assert np.isnan(rows["breakout"][:3]).all()
    np.testing.assert_allclose(rows["breakout"][3:], [10 / 60, 1.0])
    assert find_instrument("NVDA").symbol == streams["NVDA"].instrument.symbol


def test_regime_when_shares_trade_outside_the_regular_session_then_is_that_of_the_regular_session_alone():
    days, quiet = market(1, 46), TugOfWarStrategy(config_of())
    loud = TugOfWarStrategy(config_of())
    for strategy, has_more in ((quiet, False), (loud, True)):
        streams = streams_of(strategy, ("SPY", "QQQ", "NVDA"))
        for session, tapes in days:
            given = {symbol: tapes[symbol] for symbol in streams}
            if has_more:
                given["SPY"] = _with_thin_trading(given["SPY"], session)
            run_session(streams, (session, given))
    one, other = quiet.board.regimes.values, loud.board.regimes.values
    assert len(one) == 46 * 13
    for name in one.dtype.names:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def _with_thin_trading(trades, session):
    # Two wild prints before the open and two after the close.
    early = np.array([session.open_ns + 30 * NS_PER_MINUTE, session.regular_open_ns - 45 * NS_PER_MINUTE])
    late = np.array([session.regular_close_ns + 20 * NS_PER_MINUTE, session.close_ns - 30 * NS_PER_MINUTE])

    def prints(ts, factor):
        price = (np.array([factor, 2.0 - factor]) * float(trades.price[0])).astype(np.int32)
        return Trades(ts.astype(np.int64), price, np.full(2, 9_000, np.int32), np.ones(2, np.int8))

    return Trades.concat([prints(early, 0.9), trades, prints(late, 1.1)])
