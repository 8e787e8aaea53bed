"""What a live session may never do: forget a crisis, enter late or in crisis, crowd a sector; killed and gone on, or not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from sovereign.app.configuration import load_settings
from sovereign.core.decision import Refused, Verdict
from sovereign.core.event import DecisionMade, OrderFilled, encode
from sovereign.core.order import OrderRole
from sovereign.core.session import NS_PER_MINUTE
from sovereign.engine.inputs import TimePromised
from sovereign.strategies.tug_of_war import TugOfWarStrategy
from tug_cases import config_of, market, run_session, streams_of
from tug_sessions import Live, inputs_of, recipe, record

SHARES = ("SPY", "QQQ", "NVDA", "CRWD", "PLTR", "MSTR", "JPM", "LLY")
WITHOUT = ["earnings", "chop_rule", "flip_exit", "crowded_exit"]
EAGER = {"conflict": {"min_opposed": 0.1, "min_alone": 0.1}, "entry": {"order": "market"}, "without": WITHOUT}
CRISIS = {"probability": 0.05, "volatility": 0.01, "percentile": 0.6, "readings": 1}
HALTED = config_of(**EAGER, market={"crisis": CRISIS, "release_readings": 10_000, "hidden": {"refit_sessions": 1}})
BUSY = config_of(**{**EAGER, "without": [*WITHOUT, "regime"]})
ROOM = ("risk.max_positions=8", "risk.max_working_entries=8", "risk.can_short=true")
"""More signals, and room for more positions than the sector cap lets in: it is the one that holds."""
CALM = config_of(**EAGER, market={"crisis": {"volatility": 5.0}})


def days():
    return market(1, 40, symbols=SHARES)


def first_halt() -> int:
    """Return the first day at whose end the market is halted."""
    strategy = TugOfWarStrategy(HALTED)
    streams = streams_of(strategy, ("SPY", "QQQ", "NVDA"))
    for number, (session, tapes) in enumerate(days()):
        rows = run_session(streams, (session, {symbol: tapes[symbol] for symbol in streams}))
        if rows["NVDA"]["is_halted"][-1]:
            return number
    pytest.fail("no crisis in this market")


@pytest.fixture(scope="module")
def halted(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, list[Path]]:
    """Recordings up to the day on which a crisis began, and the number of the next day."""
    number = first_halt() + 1
    return number, record(tmp_path_factory.mktemp("recordings"), days()[:number])


def decisions(events):
    return [event.decision for event in events if isinstance(event, DecisionMade)]


def entered(events):
    return [event for event in events if isinstance(event, OrderFilled) and event.fill.role is OrderRole.ENTRY]


def test_crisis_when_the_next_session_begins_from_recordings_and_refits_then_still_halts(halted):
    number, paths = halted
    events = Live(recipe(HALTED), paths).play(inputs_of(days()[number]))
    made = decisions(events)
    assert made
    assert not entered(events)
    assert {type(decision.outcome) for decision in made} == {Refused}
    assert "halt" in {decision.outcome.check for decision in made}


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_crisis_when_the_session_is_cut_off_and_goes_on_then_halts_all_the_same_and_says_the_same(halted, share):
    number, paths = halted
    inputs = inputs_of(days()[number])
    whole = Live(recipe(HALTED), paths).play(inputs)
    cut = int(len(inputs) * share)
    first = Live(recipe(HALTED), paths)
    first.play(inputs[:cut])  # the process dies here; its recording has these inputs
    again = Live(recipe(HALTED), paths)
    again.play(inputs[:cut])
    assert b"".join(map(encode, again.events)) == b"".join(map(encode, first.events))
    again.play(inputs[cut:])
    assert b"".join(map(encode, again.events)) == b"".join(map(encode, whole))


def test_crisis_when_the_feed_of_the_benchmark_is_stale_then_halts_all_the_same(halted):
    number, paths = halted
    events = Live(recipe(HALTED), paths).play(inputs_of(days()[number], silent_after={"SPY": 60.0}))
    assert decisions(events)
    assert not entered(events)


def test_regime_when_the_feed_of_the_benchmark_falls_silent_then_entries_end_with_the_last_reading(tmp_path):
    paths = record(tmp_path, days()[:38])
    day = days()[38]
    events = Live(recipe(CALM), paths).play(inputs_of(day, silent_after={"SPY": 150.0}))
    minutes = [(event.ts - day[0].regular_open_ns) / NS_PER_MINUTE for event in entered(events)]
    assert minutes
    assert max(minutes) < 150 + 61 + 15  # two readings of half an hour, and the next tick
    late = [d for d in decisions(events) if (d.ts - day[0].regular_open_ns) / NS_PER_MINUTE > 230]
    refused = [d.outcome.check for d in late if isinstance(d.outcome, Refused)]
    assert "regime" in refused


def test_day_when_signals_come_at_once_then_the_sector_cap_holds_and_nothing_opens_after_a_quarter_to_four(tmp_path):
    groups = load_settings(environment={}, strategy="tug_of_war").settings.risk.sectors
    paths = record(tmp_path, days()[:37])
    seen: Counter[str] = Counter()
    late: set[str] = set()
    for day in days()[37:]:
        events = Live(recipe(BUSY, *ROOM), paths).play(inputs_of(day))
        held: Counter[str] = Counter()
        for event in events:
            if isinstance(event, OrderFilled):
                held[event.fill.instrument.symbol] += event.fill.side.sign * event.fill.quantity
                now = [symbol for symbol, quantity in held.items() if quantity]
                assert all(sum(group in groups[symbol] for symbol in now) <= 2 for group in ("tech_growth", "crypto_proxy"))
        assert not any(held.values())  # flat over night
        opens = day[0].regular_open_ns
        assert all(30 <= (event.ts - opens) / NS_PER_MINUTE < 375 + 15 for event in entered(events))
        for decision in decisions(events):
            if isinstance(decision.outcome, Refused):
                seen[decision.outcome.check] += 1
                intent = decision.proposal.intent
                if (decision.ts - opens) / NS_PER_MINUTE >= 375 and intent is not None and not intent.reduce_only:
                    late.add(decision.outcome.check)
    assert seen["sector"] > 0
    assert late == {"trading_hours"}


def test_entry_when_decided_after_the_flattening_then_is_refused_however_time_came_to_be_known(tmp_path):
    """A feed that falls silent before 15:45: time is promised, the day is flattened, and later signals open nothing."""
    day = days()[38]
    session = day[0]
    live = Live(recipe(CALM), record(tmp_path, days()[:38]))
    inputs = inputs_of(day)
    flat_ns = session.regular_close_ns - 15 * NS_PER_MINUTE
    live.play([item for item in inputs[:-1] if item.ts < flat_ns])
    live.play([TimePromised(ts=flat_ns + NS_PER_MINUTE)])
    assert not live.conductor.engine.positions or any(
        order.role is OrderRole.FLATTEN for order in live.conductor.engine.executor.working()
    )
    before = len(live.events)
    live.play([item for item in inputs if item.ts >= flat_ns])
    after = live.events[before:]
    assert not entered(after)
    assert not any(
        decision.verdict is not Verdict.REFUSED and not decision.proposal.intent.reduce_only for decision in decisions(after)
    )
    assert not live.conductor.engine.positions
