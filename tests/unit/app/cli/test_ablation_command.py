"""`sovereign evidence ablation`: a table for people, the same for programs."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from sovereign.app.cli.ablation import Ablation, text
from sovereign.app.cli.main import run
from sovereign.research.ablation import VariantResult

WORDS = ("evidence", "ablation", "council", "--sessions", "4", "--only", "memory,combiner.rule", "--judged", "0.5")
QUICK = ("--set", "evidence.null_symbols=2", "--set", "strategies.council.regime.min_history_bars=10")


def test_ablation_when_run_on_driftless_sessions_then_tells_variants_and_the_choice(capsys):
    assert run([*WORDS, *QUICK]) == 0
    printed = capsys.readouterr().out
    for words in (
        "4 days, judged by the last 2",
        "without memory",
        "combiner.rule = conflict",
        "was chosen on the first 2 days",
    ):
        assert words in printed


def variant(name, judged_trades):
    return VariantResult(
        name=name,
        trades=9,
        wins=3,
        net=Decimal(-5),
        days=8,
        mean=0.0,
        judged_days=4,
        judged_trades=judged_trades,
        judged_net=Decimal(0),
        difference=0.0,
        low=0.0,
        high=0.0,
    )


def test_table_when_a_variant_stopped_before_the_judged_days_then_says_that_a_limit_may_have_halted_it():
    found = Ablation("council", "SPY", "2025-01-06", "2025-01-16", (variant("whole", 0), variant("without memory", 2)), ())
    assert "Not traded on the judged days: whole. A limit may have halted" in text(found)
    assert "Not traded" not in text(replace(found, variants=(variant("whole", 1), variant("without memory", 2))))


def test_ablation_when_asked_for_json_then_gives_every_figure(capsys):
    assert run([*WORDS, *QUICK, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [variant["name"] for variant in found["variants"]] == ["whole", "without memory", "combiner.rule = conflict"]
    assert found["variants"][0]["low"] is None
    assert found["choices"][0]["key"] == "combiner.rule"


@pytest.mark.parametrize(
    "words",
    [("--symbol", "SPY"), ("--symbols", "SPY,QQQ"), ("--interval", "1h"), ("--from", "2025-01-02"), ("--to", "2025-02-03")],
    ids=lambda words: words[0],
)
def test_ablation_when_recorded_data_is_asked_for_beside_driftless_sessions_then_is_refused(capsys, words):
    assert run([*WORDS, *words]) == 2
    told = capsys.readouterr().err
    assert "--sessions was 4" in told
    assert " ".join(words) in told


def test_ablation_when_the_driftless_market_is_slow_then_its_data_is_not_stale(capsys):
    """Prints every five minutes, and a limit of 60 s: without regard to that nothing would ever be entered."""
    eager = ("strategies.council.position.min_confidence=0.1", "strategies.council.regime.hold_bars=1")
    slow = ("portfolio_market.step_seconds=300", "risk.stale_data_s=60", *eager)
    words = [part for word in slow for part in ("--set", word)]
    assert run([*WORDS, *QUICK, *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["variants"][0]["trades"] > 0


def test_ablation_when_a_strategy_has_no_parts_then_says_so(capsys):
    assert run(["evidence", "ablation", "order_flow", "--sessions", "2"]) == 2
    assert "names no parts to leave out" in capsys.readouterr().err
