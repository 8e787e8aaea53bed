"""From passed candidates to proposals: order, conflict, size, bracket, entry, and what is written down."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sovereign.core.decision import Check, Proposal
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, OrderType, Side, TimeInForce
from sovereign.core.port import Moment
from sovereign.core.session import Session, parse_date
from sovereign.kernels.row import CANDIDATE, ROW, Gate, NoTrade, Pattern, Regime
from sovereign.kernels.setting import RouterConfig
from sovereign.strategies.order_flow import OrderFlowConfig, OrderFlowStrategy
from sovereign.strategies.order_flow.gate import refused_columns
from sovereign.strategies.order_flow.strategy import Candidate

P = Pattern
NOW = 1_700_000_000_000_000_000
SESSION = Session(
    calendar="CME_EQUITY",
    trade_date=parse_date("2023-11-14"),
    open_ns=NOW - 10**13,
    close_ns=NOW + 10**13,
    regular_open_ns=NOW - 10**13,
    regular_close_ns=NOW + 10**13,
    zone="America/New_York",
)
Seen = tuple[Pattern, int, float]


def moment(
    seen: list[Seen],
    *,
    regime: Regime = Regime.RANGING,
    symbol: str = "ESZ3",
    atr: float = 20.0,
    gates: list[Gate] | None = None,
) -> Moment:
    rows = np.zeros(3, ROW)
    rows["regime"] = regime
    rows["regime_confidence"] = 0.8
    rows["atr"] = atr
    rows["adx"] = 17.5
    rows["close"] = 18_001
    rows["delta"] = -250
    candidates = np.zeros(len(seen) + 1, CANDIDATE)
    candidates["row"] = 2
    candidates["row"][0] = 1  # an older bar's, which passed and is history
    candidates["side"][0] = 1
    candidates["strength"][0] = 1.0
    for n, (pattern, side, strength) in enumerate(seen, start=1):
        candidates["pattern"][n], candidates["side"][n], candidates["strength"][n] = pattern, side, strength
        candidates["price"][n], candidates["value"][n] = 17_990 + n, 0.25
    candidates["regime"] = regime
    candidates["confidence"] = 0.8
    candidates["known_at"] = NOW
    candidates["size_multiplier"] = 0.75
    if gates:
        candidates["gate"][1:] = gates
    return Moment(
        ts=NOW,
        symbol=symbol,
        session=SESSION,
        index=2,
        rows=rows,
        candidates=candidates,
        position_quantity=0,
        last_ticks=18_000,
    )


def decide(where: Moment, **section: Any) -> list[Proposal]:
    return list(OrderFlowStrategy(OrderFlowConfig.model_validate(section)).decide(where))


def check(proposal: Proposal, name: str) -> Check:
    return next(check for check in proposal.checks if check.name == name)


def test_decide_when_one_candidate_passed_then_one_market_order_with_the_profile_bracket() -> None:
    (proposal,) = decide(moment([(P.SELLING_EXHAUSTION, 1, 0.7)]))
    assert (proposal.name, proposal.symbol, proposal.side) == ("SELLING_EXHAUSTION", "ESZ3", Side.BUY)
    assert (proposal.strength, proposal.confidence) == (0.7, 0.8)
    assert all(check.passed for check in proposal.checks)
    intent = proposal.intent
    assert intent is not None
    assert (intent.order_type, intent.side, intent.symbol) == (OrderType.MARKET, Side.BUY, "ESZ3")
    assert intent.bracket == Bracket(stop_ticks=16, target_ticks=24)
    assert (intent.quantity, intent.size_steps, intent.size_multiplier) == (None, 0, 0.75)
    assert intent.reason == "SELLING_EXHAUSTION in RANGING"


def test_decide_when_one_candidate_passed_then_inputs_and_gates_are_written_down() -> None:
    (proposal,) = decide(moment([(P.SELLING_EXHAUSTION, 1, 0.7)]))
    assert proposal.inputs["regime"] == "RANGING"
    assert (proposal.inputs["price"], proposal.inputs["value"]) == (17_991, 0.25)
    assert (proposal.inputs["close"], proposal.inputs["delta"], proposal.inputs["adx"]) == (18_001, -250, 17.5)
    assert {type(value) for value in proposal.inputs.values()} <= {int, float, str}
    assert [check.name for check in proposal.checks][:6] == [
        "tradable",
        "pattern_enabled",
        "side_enabled",
        "is_entry",
        "strength",
        "confidence",
    ]
    assert check(proposal, "strength") == Check("strength", 0.7, 0.5, "fraction", True)
    assert (check(proposal, "confidence").value, check(proposal, "confidence").limit) == (0.8, 0.6)


def test_decide_when_nothing_passed_then_says_nothing() -> None:
    assert decide(moment([])) == []
    assert decide(moment([(P.SELLING_EXHAUSTION, 1, 0.7)], gates=[Gate.STRENGTH])) == []


def test_decide_when_several_agree_then_the_strongest_orders_and_the_others_confirm() -> None:
    seen = [(P.BUYING_ABSORPTION, 1, 0.6), (P.SELLING_EXHAUSTION, 1, 0.9), (P.STACKED_BUY_IMBALANCE, 1, 0.6)]
    proposals = decide(moment(seen))
    # Strength first, then the lower pattern code: stacked (2) before absorption (6).
    assert [p.name for p in proposals] == ["SELLING_EXHAUSTION", "STACKED_BUY_IMBALANCE", "BUYING_ABSORPTION"]
    assert [p.intent is not None for p in proposals] == [True, False, False]
    assert not check(proposals[1], "lead").passed
    assert proposals[0].intent is not None
    assert proposals[0].intent.size_steps == 1


def test_decide_when_every_agreeing_pattern_may_order_then_each_has_an_intent() -> None:
    seen = [(P.BUYING_ABSORPTION, 1, 0.6), (P.SELLING_EXHAUSTION, 1, 0.9)]
    proposals = decide(moment(seen), entry={"is_one_order_per_bar": False})
    assert [p.intent is not None for p in proposals] == [True, True]


@pytest.mark.parametrize(
    ("count", "regime", "steps"),
    [
        (1, Regime.RANGING, 0),
        (2, Regime.RANGING, 1),
        (3, Regime.RANGING, 1),
        (1, Regime.TRENDING_UP, 1),
        (2, Regime.TRENDING_UP, 2),
        (2, Regime.TRENDING_DOWN, 2),
        (2, Regime.VOLATILE, 1),
    ],
)
def test_size_when_confirmed_or_trending_then_one_step_each(count: int, regime: Regime, steps: int) -> None:
    side = -1 if regime is Regime.TRENDING_DOWN else 1
    patterns = [P.BUYING_ABSORPTION, P.SELLING_EXHAUSTION, P.DELTA_DIVERGENCE][:count]
    first = decide(moment([(pattern, side, 0.7) for pattern in patterns], regime=regime))[0]
    assert first.intent is not None
    assert first.intent.size_steps == steps


def test_size_when_configured_then_obeyed() -> None:
    seen = [(P.BUYING_ABSORPTION, 1, 0.7), (P.SELLING_EXHAUSTION, 1, 0.7)]
    size = {"confirming_signals": 3, "confirmation_steps": 5, "trend_steps": 4}
    two = decide(moment(seen, regime=Regime.TRENDING_UP), size=size)[0]
    three = decide(moment([*seen, (P.DELTA_DIVERGENCE, 1, 0.7)], regime=Regime.TRENDING_UP), size=size)[0]
    assert two.intent is not None
    assert three.intent is not None
    assert (two.intent.size_steps, three.intent.size_steps) == (4, 9)


def test_conflict_when_one_side_is_stronger_in_sum_then_it_trades() -> None:
    seen = [(P.BUYING_EXHAUSTION, -1, 0.9), (P.SELLING_EXHAUSTION, 1, 0.6), (P.BUYING_ABSORPTION, 1, 0.5)]
    proposals = decide(moment(seen))
    assert [(p.name, p.intent is not None) for p in proposals] == [
        ("SELLING_EXHAUSTION", True),
        ("BUYING_ABSORPTION", False),
        ("BUYING_EXHAUSTION", False),
    ]
    refused = check(proposals[-1], "conflict")
    assert (refused.passed, refused.value, refused.limit) == (False, 0.9, pytest.approx(1.1))
    assert check(proposals[0], "conflict").passed


def test_conflict_when_both_sides_are_equal_then_nothing_trades_and_both_are_recorded() -> None:
    proposals = decide(moment([(P.BUYING_EXHAUSTION, -1, 0.8), (P.SELLING_EXHAUSTION, 1, 0.8)]))
    assert len(proposals) == 2
    assert all(p.intent is None and not check(p, "conflict").passed for p in proposals)


@pytest.mark.parametrize(
    ("symbol", "stop", "target"),
    [("ES", 16, 24), ("MESM4", 16, 24), ("NQH24", 20, 32), ("MNQ", 20, 32), ("CLF5", 20, 30), ("GC", 20, 30)],
)
def test_bracket_when_the_product_has_a_profile_then_it_is_used(symbol: str, stop: int, target: int) -> None:
    (proposal,) = decide(moment([(P.SELLING_EXHAUSTION, 1, 0.7)], symbol=symbol))
    assert proposal.intent is not None
    assert proposal.intent.bracket == Bracket(stop_ticks=stop, target_ticks=target)


@pytest.mark.parametrize(
    ("atr", "section", "expected"),
    [
        (20.0, {}, Bracket(stop_ticks=20, target_ticks=30)),
        (1.3, {}, Bracket(stop_ticks=4, target_ticks=6)),
        (1.3, {"min_stop_ticks": 2}, Bracket(stop_ticks=2, target_ticks=3)),
        (20.0, {"stop_atr": 2.0, "target_atr": 1.0}, Bracket(stop_ticks=40, target_ticks=20)),
    ],
)
def test_bracket_when_the_product_has_no_profile_then_it_follows_the_atr(
    atr: float, section: dict[str, Any], expected: Bracket
) -> None:
    (proposal,) = decide(moment([(P.SELLING_EXHAUSTION, 1, 0.7)], symbol="SPY", atr=atr), bracket=section)
    assert proposal.intent is not None
    assert proposal.intent.bracket == expected


def test_bracket_when_the_mode_is_atr_then_the_profile_is_left_aside() -> None:
    (proposal,) = decide(moment([(P.SELLING_EXHAUSTION, 1, 0.7)], atr=30.0), bracket={"mode": "atr"})
    assert proposal.intent is not None
    assert proposal.intent.bracket == Bracket(stop_ticks=30, target_ticks=45)


def test_bracket_when_the_atr_is_not_known_then_no_order_and_the_check_says_so() -> None:
    (proposal,) = decide(moment([(P.SELLING_EXHAUSTION, 1, 0.7)], symbol="SPY", atr=np.nan))
    assert proposal.intent is None
    assert not check(proposal, "bracket").passed
    assert "ATR" in check(proposal, "bracket").note


@pytest.mark.parametrize(("side", "limit"), [(1, 17_998), (-1, 18_002)])
def test_entry_when_a_limit_is_asked_for_then_it_rests_behind_the_last_price_for_a_while(side: int, limit: int) -> None:
    entry = {"order_type": "limit", "limit_offset_ticks": 2, "limit_life_s": 60}
    (proposal,) = decide(moment([(P.DELTA_DIVERGENCE, side, 0.7)]), entry=entry)
    intent = proposal.intent
    assert intent is not None
    assert (intent.order_type, intent.limit_ticks) == (OrderType.LIMIT, limit)
    assert (intent.time_in_force, intent.expire_ns) == (TimeInForce.GTD, NOW + 60 * 10**9)
    assert intent.bracket is not None


def refused_session() -> tuple[np.ndarray, np.ndarray]:
    rows = np.zeros(4, ROW)
    rows["regime"] = [Regime.NO_TRADE, Regime.RANGING, Regime.RANGING, Regime.TRENDING_UP]
    rows["no_trade"] = [NoTrade.NEWS, 0, 0, 0]
    rows["atr"] = [11.0, 12.0, 13.0, 14.0]
    candidates = np.zeros(6, CANDIDATE)
    candidates["row"] = [0, 1, 1, 2, 2, 3]
    candidates["gate"] = [Gate.NO_TRADE, Gate.PASSED, Gate.STRENGTH, Gate.CONFIDENCE, Gate.CONTEXT_ONLY, Gate.SIDE_DISABLED]
    candidates["pattern"] = [0, 5, 5, 6, 9, 8]
    candidates["side"] = [1, 1, 1, 1, 0, -1]
    candidates["strength"] = [0.9, 0.9, 0.4, 0.8, 0.6, 0.7]
    candidates["confidence"] = [np.nan, 0.9, 0.9, 0.55, 0.55, 0.9]
    candidates["regime"] = rows["regime"][candidates["row"]]
    candidates["known_at"] = NOW + candidates["row"].astype(np.int64)
    return rows, candidates


def test_refused_columns_when_candidates_were_refused_then_each_names_its_gate_with_the_numbers() -> None:
    columns = refused_columns(*refused_session(), RouterConfig())
    gates = [columns.checks[failed] for failed in columns.failed]
    assert list(columns.index) == [0, 2, 3, 4, 5]
    assert [(columns.names[name], gate.name) for name, gate in zip(columns.name, gates, strict=True)] == [
        ("BUY_IMBALANCE", "tradable"),
        ("SELLING_EXHAUSTION", "strength"),
        ("BUYING_ABSORPTION", "confidence"),
        ("UNFINISHED_AUCTION", "is_entry"),
        ("DELTA_DIVERGENCE", "side_enabled"),
    ]
    assert [gate.value[n] for n, gate in enumerate(gates)] == [NoTrade.NEWS, 0.4, 0.55, 0.0, 0.0]
    assert [gate.limit for gate in gates] == [0.0, 0.5, 0.6, 1.0, 1.0]
    assert [Regime(code).name for code in columns.inputs["regime"]] == [
        "NO_TRADE",
        "RANGING",
        "RANGING",
        "RANGING",
        "TRENDING_UP",
    ]
    assert [ts - NOW for ts in columns.ts] == [0, 1, 2, 2, 3]


def test_refused_columns_when_a_gate_is_listed_then_the_gates_before_it_hold() -> None:
    rows, candidates = refused_session()
    columns = refused_columns(rows, candidates, RouterConfig())
    assert len(columns) == 5
    assert list(columns.inputs["atr"]) == [11.0, 12.0, 13.0, 13.0, 14.0]
    for n, failed in enumerate(columns.failed):
        for position, gate in enumerate(columns.checks[: failed + 1]):
            holds = gate.value[n] <= gate.limit if position == 0 else gate.value[n] >= gate.limit
            assert holds == (position < failed)


def test_strategy_when_asked_for_refusals_and_usual_brackets_then_answers_from_its_configuration() -> None:
    strategy = OrderFlowStrategy(OrderFlowConfig())
    assert len(strategy.refused(*refused_session())) == 5
    assert strategy.gate_names[Gate.STRENGTH] == "strength"
    assert strategy.usual_bracket(find_instrument("NQH4")) == Bracket(stop_ticks=20, target_ticks=32)
    assert strategy.usual_bracket(find_instrument("SPY")) is None
    by_atr = OrderFlowStrategy(OrderFlowConfig.model_validate({"bracket": {"mode": "atr"}}))
    assert by_atr.usual_bracket(find_instrument("ES")) is None


def test_refused_columns_when_nothing_was_refused_then_empty() -> None:
    rows, candidates = refused_session()
    assert len(refused_columns(rows, candidates[:0], RouterConfig())) == 0
    assert len(refused_columns(rows, candidates[1:2], RouterConfig())) == 0


def test_candidate_when_read_as_a_tuple_then_its_fields_are_those_of_the_record() -> None:
    assert Candidate._fields == CANDIDATE.names
