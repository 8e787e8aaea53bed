"""What the tug of war decides on a row: verdicts, sizes, gates, vetoes, exits and their order."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sovereign.core.decision import Decision, Refused, Verdict
from sovereign.core.order import OrderRole, OrderType, Side, TimeInForce
from sovereign.kernels.tug_of_war import REGIME_CHOP, REGIME_CRISIS, REGIME_UNKNOWN
from sovereign.store.journal import decision_row
from sovereign.strategies.tug_of_war import TugOfWarStrategy
from tug_cases import SESSIONS, config_of, market, moment_of, row, rows_of


def decide(held=0, config=None, **values):
    return TugOfWarStrategy(config or config_of()).decide(moment_of(row(**values), held=held))


def only(proposals):
    (proposal,) = proposals
    return proposal


def failed(proposal):
    return [check.name for check in proposal.checks if not check.passed]


@pytest.mark.parametrize(
    ("rank", "crowd", "verdict", "size"),
    [
        (0.75, -1, "strong conflict", 0.4),
        (0.74, -1, None, None),
        (0.80, 0, "weak conflict", 0.24),
        (0.79, 0, "no signal", None),
        (0.99, 1, "crowded skip", None),
    ],
)
def test_verdict_when_institutions_and_crowd_are_so_then_is_the_documented_one(rank, crowd, verdict, size):
    proposals = decide(rank=rank, crowd=crowd)
    if verdict is None:
        assert proposals == ()  # nobody is sure: not a candidate
        return
    proposal = only(proposals)
    assert proposal.name == verdict
    assert (proposal.intent is not None) == (size is not None)
    if size is not None:
        # 2% of equity of the 5% that the door gives for 1; 60% of that when the crowd has no direction
        assert proposal.intent.size_multiplier == pytest.approx(size)


def test_entry_when_taken_then_is_a_limit_that_fills_at_once_with_stop_and_target_of_a_trend():
    intent = only(decide()).intent
    assert (intent.side, intent.order_type, intent.time_in_force) == (Side.BUY, OrderType.LIMIT, TimeInForce.IOC)
    assert intent.limit_ticks == 10_005  # 100.00 and 5 bp
    assert (intent.bracket.stop_ticks, intent.bracket.target_ticks) == (200, 400)


def test_entry_when_in_chop_then_needs_a_breakout_on_its_side_and_has_half_the_distances():
    assert failed(only(decide(regime=REGIME_CHOP, breakout=-0.4))) == ["opening_range"]
    assert failed(only(decide(regime=REGIME_CHOP, breakout=0.0))) == ["opening_range"]
    assert failed(only(decide(regime=REGIME_CHOP))) == ["opening_range"]  # not known, before 10:00 or on daily bars
    intent = only(decide(regime=REGIME_CHOP, breakout=0.1)).intent
    assert (intent.bracket.stop_ticks, intent.bracket.target_ticks) == (100, 200)


def test_entry_when_the_regime_is_unknown_or_stale_then_is_refused():
    assert failed(only(decide(regime=REGIME_UNKNOWN, can_enter=False))) == ["regime"]


def test_entry_when_a_crisis_is_on_then_is_refused_by_the_halt():
    assert "halt" in failed(only(decide(regime=REGIME_CRISIS, can_enter=False, is_halted=True)))


@pytest.mark.parametrize(
    ("rsi", "ofi", "expected"), [(85.0, -1.6, ["fade"]), (84.0, -1.6, []), (85.0, -1.5, []), (90.0, math.nan, [])]
)
def test_buy_when_the_crowd_is_exuberant_and_the_flow_sells_then_is_vetoed(rsi, ofi, expected):
    assert failed(only(decide(rsi=rsi, ofi_z=ofi))) == expected


def test_buy_when_selling_is_absorbed_then_is_vetoed_and_a_sale_is_not():
    assert failed(only(decide(is_absorption=1))) == ["absorption"]
    sale = only(decide(is_absorption=1, direction=-1, crowd=1, conviction=-0.8))
    assert (sale.side, failed(sale)) == (Side.SELL, [])


def test_entry_when_nothing_is_known_of_the_crowd_then_is_refused_since_unknown_is_not_neutral():
    proposal = only(decide(crowd=0, crowd_known=False))
    assert proposal.inputs["vote_crowd"] == "abstain"
    assert failed(proposal) == ["crowd_known"]


def test_entry_when_no_report_is_in_the_calendar_then_is_refused():
    assert failed(only(decide(config=config_of(without=[])))) == ["earnings"]


def test_refusal_when_it_is_the_strategys_own_then_the_record_knows_the_bracket_it_would_have_had():
    proposal = only(decide(rank=0.99, crowd=1))
    decision = Decision(
        decision_id="d1",
        ts=1,
        strategy="tug_of_war",
        proposal=proposal,
        checks=proposal.checks,
        verdict=Verdict.REFUSED,
        outcome=Refused("crowded", 0.0, 1.0, "agreement", "the crowd is there already"),
    )
    assert decision_row(1, decision)[11:13] == (200, 400)


def test_bar_when_it_is_no_cycle_then_nothing_is_opened():
    assert decide(cycle=False) == ()


def test_confidence_when_kept_then_raw_rank_and_probability_are_all_in_the_record():
    inputs = only(decide()).inputs
    assert (inputs["raw_confidence"], inputs["rank"], inputs["probability"]) == (0.75, 0.9, 0.5)
    assert inputs["confidence_institutions"] == 0.9


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"direction": -1, "streak": 3}, "signal flip"),
        ({"direction": -1, "streak": 2}, None),
        ({"direction": 1, "streak": 9}, None),
        ({"crowd": 1}, "crowded exit"),
        ({"crowd": -1}, None),
        ({"is_halted": True}, "crisis halt"),
        ({"direction": -1, "streak": 4, "crowd": 1, "is_halted": True}, "signal flip"),
        ({"crowd": 1, "is_halted": True}, "crowded exit"),
    ],
)
def test_position_when_something_has_changed_then_the_first_reason_in_the_documented_order_closes_it(values, reason):
    proposals = decide(held=10, **values)
    if reason is None:
        assert proposals == ()
        return
    proposal = only(proposals)
    assert proposal.name == reason
    assert (proposal.intent.side, proposal.intent.role, proposal.intent.reduce_only) == (Side.SELL, OrderRole.EXIT, True)


def test_short_position_when_the_crowd_is_afraid_as_well_then_is_covered():
    proposal = only(decide(held=-10, direction=-1, crowd=-1))
    assert (proposal.name, proposal.intent.side) == ("crowded exit", Side.BUY)


@pytest.mark.parametrize(("part", "values"), [("flip_exit", {"direction": -1, "streak": 5}), ("crowded_exit", {"crowd": 1})])
def test_exit_when_left_out_then_the_position_stays(part, values):
    assert decide(held=10, config=config_of(without=["earnings", part]), **values) == ()


def test_daily_bars_when_decided_on_then_orders_meet_the_next_open_at_the_market():
    intent = only(decide(config=config_of(bar_seconds=86_400))).intent
    assert (intent.order_type, intent.time_in_force) == (OrderType.MARKET, TimeInForce.GTC)


def test_rows_when_asked_about_then_numbers_of_the_record_are_plain_and_known():
    for value in only(decide()).inputs.values():
        assert isinstance(value, (int, float, str))
        assert not isinstance(value, np.generic)
        assert not (isinstance(value, float) and math.isnan(value))


def test_institutions_when_left_out_then_nobody_has_a_direction_and_a_position_is_still_given_up():
    config = config_of(without=["earnings", "institutions"])
    assert decide(config=config) == ()
    assert only(decide(held=10, config=config, crowd=1)).name == "crowded exit"


@pytest.mark.parametrize("measure", ["raw", "rank", "probability"])
def test_rows_that_matter_to_nobody_who_is_flat_when_named_then_are_those_without_a_candidate(measure):
    config = config_of(confidence={"measure": measure}, conflict={"min_opposed": 0.55, "min_alone": 0.5})
    strategy, rows = TugOfWarStrategy(config), rows_of(config, market(1, 50))["NVDA"]
    rows = rows[rows["wake"]]
    asked = strategy.screen(["NVDA"] * len(rows), rows) >= 0
    found = [bool(strategy.decide(moment_of(rows, n, session=SESSIONS[49]))) for n in range(len(rows))]
    assert asked.tolist() == found
    assert 0 < asked.sum() < len(rows)


def test_volume_ratio_when_a_half_day_lies_among_the_days_then_is_against_the_whole_ones():
    days = market(1, 140)
    half = next(n for n, (session, _) in enumerate(days) if session.is_early_close)
    assert 20 < half < 139
    rows = rows_of(config_of(), days)["NVDA"]
    by_day = [rows[(rows["known_at"] > s.regular_open_ns) & (rows["known_at"] <= s.regular_close_ns)] for s, _ in days]
    for day in (half - 1, half + 1, half + 5, 139):
        before = [one["volume"].cumsum() for n, one in enumerate(by_day[:day]) if n != half][-20:]
        if half in range(day - 20, day):
            before = before[-19:]
        np.testing.assert_allclose(by_day[day]["volume_ratio"], by_day[day]["volume"].cumsum() / np.mean(before, axis=0))
