"""The verdict rule, and the checks that a run answers by itself."""

from decimal import Decimal

import pytest

from example_run import example_run
from sovereign.research.card import EvidenceCard, EvidenceCheck, EvidenceName, EvidenceVerdict
from sovereign.research.configuration import EvidenceConfig
from sovereign.research.evidence_card import build_card
from sovereign.research.result import LaneResult


def card(**results):
    checks = [EvidenceCheck(name=name, passed=results.get(name.value, True)) for name in EvidenceName]
    return EvidenceCard.of(checks)


def test_verdict_when_every_check_passed_then_is_evidence():
    assert card().verdict is EvidenceVerdict.EVIDENCE


@pytest.mark.parametrize("name", ["null", "look_ahead"])
def test_verdict_when_a_fatal_check_failed_then_is_artefact(name):
    found = card(**{name: False}, mean=None)
    assert found.verdict is EvidenceVerdict.ARTEFACT
    assert name in found.reason


@pytest.mark.parametrize("name", [name.value for name in EvidenceName if name.value not in ("null", "look_ahead")])
def test_verdict_when_any_other_check_failed_then_is_weak(name):
    found = card(**{name: False})
    assert found.verdict is EvidenceVerdict.WEAK
    assert f"failed: {name}" in found.reason


@pytest.mark.parametrize("name", [name.value for name in EvidenceName])
def test_verdict_when_a_check_was_not_run_then_is_weak_and_says_so(name):
    found = card(**{name: None})
    assert found.verdict is EvidenceVerdict.WEAK
    assert f"not run: {name}" in found.reason


def test_card_when_a_check_is_missing_then_states_it_as_not_run():
    found = EvidenceCard.of([EvidenceCheck(name=EvidenceName.NULL, passed=True)])
    assert [check.name for check in found.checks] == list(EvidenceName)
    assert {check.state for check in found.checks[1:]} == {"not run"}


def test_card_when_a_check_is_made_later_then_replaces_the_one_not_run():
    found = EvidenceCard.of([]).with_checks([EvidenceCheck(name=EvidenceName.NULL, passed=False, statistic=9.0)])
    assert found.check(EvidenceName.NULL).statistic == 9.0
    assert found.verdict is EvidenceVerdict.ARTEFACT


def lane(net):
    return LaneResult(trades=(), final_balance=Decimal(10_000) + net)


def test_built_card_when_lanes_are_missing_then_they_are_not_run():
    found = build_card(example_run())
    states = {check.name.value: check.state for check in found.checks}
    assert states == {
        "null": "not run",
        "look_ahead": "not run",
        "cost_x2": "not run",
        "cost_x3": "not run",
        "bands": "not run",
        "ambiguous": "failed",
        "trials": "failed",
        "sample": "failed",
        "mean": "failed",
        "assumptions": "not run",
    }


def test_built_card_when_lanes_are_there_then_judges_their_net():
    run = example_run()
    losers = LaneResult(trades=tuple(trade for trade in run.trades if trade.net < 0), final_balance=Decimal(9_000))
    winners = LaneResult(trades=tuple(trade for trade in run.trades if trade.net > 0), final_balance=Decimal(11_000))
    found = build_card(example_run(lanes={"pessimistic": losers, "cost_x2": winners, "cost_x3": lane(0)}))
    results = {name: found.check(EvidenceName(name)).passed for name in ("bands", "cost_x2", "cost_x3")}
    assert results == {"bands": False, "cost_x2": True, "cost_x3": False}
    assert found.check(EvidenceName.BANDS).statistic == -421.5


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("ambiguous", EvidenceConfig(max_ambiguous_frac=0.25)),
        ("sample", EvidenceConfig(min_trades=4)),
        ("trials", EvidenceConfig(min_deflated_sharpe=0.1)),
    ],
)
def test_built_card_when_a_threshold_is_met_then_the_check_passes(name, config):
    assert build_card(example_run(), config=config).check(EvidenceName(name)).passed


def test_built_card_when_nothing_was_traded_then_is_weak_not_an_error():
    run = example_run()
    from sovereign.research.result import RunTables

    found = build_card(example_run(tables=RunTables(sessions=run.tables.sessions)))
    assert found.verdict is EvidenceVerdict.WEAK
    assert found.check(EvidenceName.MEAN).detail == "fewer than two trades"


def test_card_when_made_plain_then_has_no_unknown_numbers():
    plain = EvidenceCard.of([EvidenceCheck(name=EvidenceName.NULL, passed=True, statistic=float("nan"))]).to_plain()
    assert plain["checks"][0]["statistic"] is None
