"""`sovereign evidence ablation`: a table for people, the same for programs."""

from __future__ import annotations

import json

from sovereign.app.cli.main import run

WORDS = ("evidence", "ablation", "council", "--sessions", "4", "--only", "memory,combiner.rule", "--judged", "0.5")
QUICK = ("--set", "evidence.null_symbols=2", "--set", "strategies.council.regime.min_history_bars=10")


def test_ablation_when_run_on_driftless_sessions_then_tells_variants_and_the_choice(capsys):
    assert run([*WORDS, *QUICK]) == 0
    text = capsys.readouterr().out
    for words in (
        "4 days, judged by the last 2",
        "without memory",
        "combiner.rule = conflict",
        "was chosen on the first 2 days",
    ):
        assert words in text


def test_ablation_when_asked_for_json_then_gives_every_figure(capsys):
    assert run([*WORDS, *QUICK, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [variant["name"] for variant in found["variants"]] == ["whole", "without memory", "combiner.rule = conflict"]
    assert found["variants"][0]["low"] is None
    assert found["choices"][0]["key"] == "combiner.rule"


def test_ablation_when_a_strategy_has_no_parts_then_says_so(capsys):
    assert run(["evidence", "ablation", "order_flow", "--sessions", "2"]) == 2
    assert "names no parts to leave out" in capsys.readouterr().err
