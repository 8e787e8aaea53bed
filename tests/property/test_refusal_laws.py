"""The law of refusals: kept by the session and read afterwards, they say what they would have said one by one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.app.configuration import load_settings
from sovereign.app.plan import recipe_of
from sovereign.core.columns import NO_QUOTE, Trades
from sovereign.core.decision import Verdict
from sovereign.core.event import DecisionMade, RowsClosed, SessionEnded, TradeClosed, encode
from sovereign.core.port import Block
from sovereign.core.session import NS_PER_DAY
from sovereign.engine.agenda import Agenda
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.research.backtest import all_lanes, main_lane, run_backtest
from sovereign.research.portfolio import GivenSessions
from sovereign.store.runs import RunRecord
from sovereign.store.store import Store
from sovereign.strategies.tug_of_war import TugOfWarStrategy
from tug_cases import ROW, config_of, market, moment_of, row

SHARES = ("SPY", "QQQ", "NVDA", "CRWD", "JPM", "PLTR")
EAGER = config_of(
    conflict={"min_opposed": 0.3, "min_alone": 0.4},
    position={"trend_stop_frac": 0.004, "trend_target_frac": 0.008},
    exits={"flip_bars": 2},
)


class Listener:
    """A reader who is told of everything at once."""

    def __init__(self):
        self.events = []

    def __call__(self, event):
        self.events.append(event)

    @property
    def decisions(self):
        return [event.decision for event in self.events if isinstance(event, DecisionMade)]


class PatientListener(Listener):
    """A reader who takes the strategy's own refusals by the session."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def on_refused(self, refused):
        self.kept.append((len(self.events), refused))


class CutSessions(GivenSessions):
    """The same sessions, handed over in pieces of the day."""

    def blocks(self, session):
        whole = {block.symbol: block.trades for block in super().blocks(session)}
        span = session.regular_close_ns - session.regular_open_ns
        inner = [session.regular_open_ns + span * cut // 1_000 for cut in range(13, 1_000, 57)]
        for start, stop in pairwise([session.open_ns, *inner, session.close_ns]):
            for symbol, trades in whole.items():
                first, last = np.searchsorted(trades.ts, [start, stop]).tolist()
                yield Block(symbol, trades.slice(first, last), stop)


def quoted(trades):
    """The same trades with a quote about each, of any width, and none before some."""
    rng = np.random.default_rng(len(trades) + int(trades.price[0]) if len(trades) else 0)
    bid = trades.price - rng.integers(0, 9, len(trades)).astype(np.int32)
    ask = trades.price + rng.integers(1, 9, len(trades)).astype(np.int32)
    bid[rng.random(len(trades)) < 0.2] = NO_QUOTE
    return replace(trades, bid=bid, ask=ask)


class QuotedSessions(GivenSessions):
    """Sessions whose trades have quotes."""

    def blocks(self, session):
        for block in super().blocks(session):
            yield Block(block.symbol, quoted(block.trades), block.until_ns)


class CutQuotedSessions(QuotedSessions):
    """The same in pieces of the day, with pieces between them that have no trades."""

    def blocks(self, session):
        whole = {block.symbol: block.trades for block in super().blocks(session)}
        span = session.regular_close_ns - session.regular_open_ns
        inner = [session.regular_open_ns + span * cut // 1_000 for cut in range(13, 1_000, 7)]
        for start, stop in pairwise([session.open_ns, *inner, session.close_ns]):
            for symbol, trades in whole.items():
                first, last = np.searchsorted(trades.ts, [start, stop]).tolist()
                # As lines do: a piece without trades has no columns of quotes either.
                yield Block(symbol, trades.slice(first, last) if last > first else Trades.empty(), stop)


def run(listener, config=EAGER, *, overrides=(), lanes=None, days=52, feed_type=GivenSessions):
    usual = ("risk.first_entry_after_open_minutes=0", *overrides)
    plain = recipe_of(load_settings(environment={}, strategy="tug_of_war", overrides=usual).settings, "tug_of_war")
    recipe = replace(plain, strategy_config=config, risk=plain.risk.no_fresher_than(2_000))
    given_days = market(3, days, symbols=SHARES)
    feed = feed_type([session for session, _ in given_days], [tapes for _, tapes in given_days])
    return run_backtest(recipe, feed, lanes=lanes or (main_lane(recipe.execution),), sinks=(listener,))


def told(decisions):
    return sorted(encode(DecisionMade(ts=decision.ts, decision=decision)) for decision in decisions)


def others(events):
    return [encode(event) for event in events if not isinstance(event, DecisionMade)]


VARIANTS = {
    "usual": (EAGER, ()),
    "shorts": (EAGER, ("risk.can_short=true",)),
    "no chop rule": (EAGER.model_copy(update={"without": ("earnings", "chop_rule", "flip_exit")}), ("risk.can_short=true",)),
    "earnings unknown": (EAGER.model_copy(update={"without": ()}), ()),
    "crowded account": (EAGER, ("risk.can_short=true", "risk.max_positions=1", "risk.last_entry_before_close_minutes=120")),
    "near limit": (EAGER, ("risk.can_short=true", "risk.max_daily_loss_frac=0.0005", "risk.max_risk_frac=0.0005")),
}


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_refusals_when_kept_by_the_session_then_are_those_told_one_by_one(variant):
    config, overrides = VARIANTS[variant]
    one, other = Listener(), PatientListener()
    at_once, kept = run(one, config, overrides=overrides), run(other, config, overrides=overrides)
    refused = [decision for _, part in other.kept for decision in part]
    assert told(one.decisions) == told([*other.decisions, *refused])
    assert others(one.events) == others(other.events)
    assert [d.decision_id for d in at_once.tables.decisions] == [d.decision_id for d in kept.tables.decisions]
    assert at_once.tables.refused == kept.tables.refused
    assert len(refused) > 10
    assert {decision.verdict for decision in refused} == {Verdict.REFUSED}
    assert all(len(part) == len(list(part)) for _, part in other.kept)
    # Kept is what the strategy refused by itself, and what the door was certain to refuse.
    assert any(decision.proposal.intent is None for decision in refused)
    if variant in ("usual", "crowded account"):
        by_door = {decision.outcome.check for decision in refused if decision.proposal.intent is not None}
        assert by_door >= ({"short"} if variant == "usual" else {"positions"})


class CountingBroker(SimulatedBroker):
    """A broker that wants to see every tick, as a remote one does: tapes are walked at every moment."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.skips_ticks = False


@pytest.mark.parametrize(("places", "more"), [(1, ()), (2, ("risk.breakers.max_proposals_per_minute=4",)), (3, ())])
def test_account_that_is_full_when_rows_are_passed_over_then_leaves_what_a_walk_at_every_moment_does(places, more, monkeypatch):
    limits = ("risk.can_short=true", f"risk.max_positions={places}", *more)
    config = EAGER.model_copy(update={"without": ("earnings", "chop_rule", "flip_exit")})
    passed = []
    original = Agenda.pass_over

    def counting(self, stop, held, *args, is_full=False):
        passed.extend(p for p in self._asked if is_full and self.next <= p < stop and self._order[p] not in held)
        return original(self, stop, held, *args, is_full=is_full)

    monkeypatch.setattr(Agenda, "pass_over", counting)
    one, whole, pieces = Listener(), PatientListener(), PatientListener()
    with monkeypatch.context() as patch:
        patch.setattr("sovereign.research.backtest.SimulatedBroker", CountingBroker)
        run(one, config, overrides=limits)
    assert not passed
    run(whole, config, overrides=limits)
    run(pieces, config, overrides=limits, feed_type=CutSessions)
    assert len(passed) > 100
    for other in (whole, pieces):
        refused = [decision for _, part in other.kept for decision in part]
        assert told(one.decisions) == told([*other.decisions, *refused])
        assert others(one.events) == others(other.events)


UNQUOTED = EAGER.model_copy(update={"entry": EAGER.entry.model_copy(update={"fallback": "none"})})


@pytest.mark.parametrize(
    ("feed_type", "config"), [(QuotedSessions, EAGER), (GivenSessions, UNQUOTED), (QuotedSessions, UNQUOTED)]
)
def test_refusals_when_entries_are_priced_by_quotes_then_are_those_told_one_by_one(feed_type, config):
    one, other = Listener(), PatientListener()
    limits = ("risk.max_positions=2",)
    at_once = run(one, config, overrides=limits, feed_type=feed_type)
    kept = run(other, config, overrides=limits, feed_type=feed_type)
    refused = [decision for _, part in other.kept for decision in part]
    assert told(one.decisions) == told([*other.decisions, *refused])
    assert others(one.events) == others(other.events)
    assert at_once.tables.refused == kept.tables.refused
    checks = {decision.outcome.check for decision in one.decisions if decision.verdict is Verdict.REFUSED}
    assert "crowded" in checks
    assert ("quote" in checks) == (config is UNQUOTED)
    references = {decision.proposal.inputs.get("reference") for decision in one.decisions}
    assert references == ({None} if feed_type is GivenSessions else {None, "mid"})
    assert any(isinstance(event, TradeClosed) for event in one.events) == (feed_type is QuotedSessions)


def test_quotes_when_the_ticks_come_in_pieces_then_are_those_of_whole_sessions():
    one, other = Listener(), Listener()
    run(one, feed_type=QuotedSessions)
    run(other, feed_type=CutQuotedSessions)
    assert told(one.decisions) == told(other.decisions)
    assert any("reference" in decision.proposal.inputs for decision in one.decisions)


def test_refusals_when_the_ticks_come_in_pieces_then_are_those_of_whole_sessions():
    one, other = PatientListener(), PatientListener()
    run(one, overrides=("risk.can_short=true",))
    run(other, overrides=("risk.can_short=true",), feed_type=CutSessions)
    whole, pieces = ([told(part) for _, part in listener.kept] for listener in (one, other))
    assert whole == pieces
    assert told(one.decisions) == told(other.decisions)


def test_refusals_when_a_session_ends_then_were_told_before_its_rows():
    listener = PatientListener()
    run(listener)
    for place, part in listener.kept:
        later = next(event for event in listener.events[place:] if isinstance(event, RowsClosed | SessionEnded))
        assert all(later.ts - NS_PER_DAY < decision.ts <= later.ts for decision in part)
        assert isinstance(later, RowsClosed)


def test_lanes_that_nobody_reads_when_the_strategy_refuses_by_itself_then_trade_as_if_it_had_been_asked():
    one, other = Listener(), PatientListener()
    settings_of = load_settings(environment={}, strategy="tug_of_war").settings
    lanes = all_lanes(recipe_of(settings_of, "tug_of_war").execution)[:3]
    at_once, kept = run(one, lanes=lanes), run(other, lanes=lanes)
    assert {name: lane.trades for name, lane in at_once.lanes.items()} == {n: lane.trades for n, lane in kept.lanes.items()}
    assert any(isinstance(event, TradeClosed) for event in one.events)


@pytest.mark.parametrize("listener", [Listener, PatientListener])
def test_ledger_when_a_reader_beside_it_is_patient_or_not_then_holds_the_same_decisions(listener, tmp_path):
    store = Store(f"sqlite:///{tmp_path}/ledger.sqlite")
    days = market(3, 52, symbols=SHARES)
    record = RunRecord(
        id="run",
        kind="backtest",
        strategy="tug_of_war",
        symbols=SHARES,
        start=days[0][0].trade_date,
        end=days[-1][0].trade_date,
        zone="America/New_York",
        config={},
        config_hash="c",
        code_hash="c",
        data_hash="d",
        seed=None,
        fill_model="realistic",
        is_simulated=True,
        starting_balance=0,
        started_ns=1,
        instruments=(),
        stop_ticks=None,
        target_ticks=None,
        account=None,
    )
    name = store.begin_run(record)
    sink = store.sink(name)
    expected = Listener()
    run(expected)

    class Both(listener):
        def __call__(self, event):
            sink(event)

    if listener is PatientListener:
        Both.on_refused = lambda _, refused: sink.on_refused(refused)
    run(Both())
    sink.close()
    rows = store.decisions(name)
    assert sorted(found["decision_id"] for found in rows) == sorted(d.decision_id for d in expected.decisions)
    for chosen in [d for d in expected.decisions if d.proposal.intent is None][:3]:
        detail = store.decision(chosen.decision_id)
        assert [(c.name, c.limit, c.passed) for c in detail.checks] == [(c.name, c.limit, c.passed) for c in chosen.checks]
        assert dict(detail.inputs) == dict(chosen.proposal.inputs)
        assert (detail.failed_check, detail.reason) == (chosen.outcome.check, chosen.outcome.reason)
        assert detail.would_have_made is not None
    store.close()


ROWS = st.fixed_dictionaries(
    {
        "direction": st.sampled_from([-1, 0, 1]),
        "conviction": st.sampled_from([0.8, 0.1, float("nan")]),
        "rank": st.sampled_from([0.2, 0.75, 0.77, 0.8, 0.95, float("nan")]),
        "crowd": st.sampled_from([-1, 0, 1]),
        "crowd_known": st.booleans(),
        "regime": st.integers(0, 3),
        "can_enter": st.booleans(),
        "is_halted": st.booleans(),
        "breakout": st.sampled_from([-0.5, 0.0, 0.5, float("nan")]),
        "rsi": st.sampled_from([20.0, 85.0, 90.0, float("nan")]),
        "ofi_z": st.sampled_from([-2.0, -1.5, 0.0, float("nan")]),
        "is_absorption": st.sampled_from([-1, 0, 1]),
        "cycle": st.sampled_from([True, True, True, False]),
        "close": st.sampled_from([1, 30, 10_000]),
    }
)
WITHOUT = st.sampled_from([("earnings",), (), ("chop_rule", "earnings"), ("veto", "earnings"), ("institutions",)])


@given(st.lists(ROWS, min_size=1, max_size=12), WITHOUT)
@settings(max_examples=150)
def test_screen_when_rows_are_any_then_says_what_deciding_would(cases, without):
    strategy = TugOfWarStrategy(config_of(without=without))
    rows = np.concatenate([row(**values) for values in cases])
    assert rows.dtype == ROW
    codes = strategy.screen(["NVDA"] * len(rows), rows)
    for n, code in enumerate(codes.tolist()):
        proposals = strategy.decide(moment_of(rows, n))
        if not proposals:
            assert code == -1
            continue
        (proposal,) = proposals
        failed = [check.name for check in proposal.checks if not check.passed]
        assert (code == 0) == (proposal.intent is not None)
        assert (strategy.own_checks[code - 1] if code else None) == (failed[0] if failed else None)
        if code:
            ts = int(rows["known_at"][n])
            assert repr(strategy.refusal("NVDA", ts, rows[n].item(), strategy.terms, None)) == repr(proposal)
