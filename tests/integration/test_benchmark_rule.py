"""The benchmarks run on the engine that is measured; the rule that peers are compared by makes fills of its own tape."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def root_on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    yield
    for name in [name for name in sys.modules if name == "benchmarks" or name.startswith("benchmarks.")]:
        del sys.modules[name]


def test_rule_when_run_in_our_engine_then_every_fill_lies_on_its_tape():
    from benchmarks.rule import run_rule
    from benchmarks.tape import make_tape

    trades = make_tape(60_000)
    made = run_rule(trades)
    assert made["bars"]
    assert made["fills"]
    printed = set(trades.price.tolist())
    assert {price for _, _, _, price in made["fills"]} <= printed


def test_empty_strategy_when_timed_then_the_whole_session_is_walked():
    from benchmarks.in_memory import empty
    from benchmarks.tape import make_tape

    walked = []

    def timed(work):
        walked.extend(work())
        return 1.0

    assert empty(make_tape(5_000), timed) == 1.0
    assert len(walked) == 1
