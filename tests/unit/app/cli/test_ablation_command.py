"""`sovereign evidence ablation`: a table for people, the same for programs."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

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


def test_ablation_when_a_strategy_has_no_parts_then_says_so(capsys):
    assert run(["evidence", "ablation", "order_flow", "--sessions", "2"]) == 2
    assert "names no parts to leave out" in capsys.readouterr().err
