"""The reference table lists the checks the code has, in their order, and every key."""

from __future__ import annotations

import re
from pathlib import Path

from risk_cases import judge, view

from sovereign.core.order import OrderIntent, Side
from sovereign.risk.configuration import BreakersConfig, RiskConfig
from sovereign.risk.halt import Cause
from sovereign.risk.reduction import judge_reduction

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "risk_checks.md"


def test_reference_when_read_then_it_lists_the_checks_in_order() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    entries = [check.name for check in judge()[0]]
    reductions = [check.name for check in judge_reduction(OrderIntent(symbol="ES", side=Side.BUY, reduce_only=True), view())[0]]
    assert rows[: len(entries)] == entries
    assert rows[len(entries) : len(entries) + len(reductions)] == reductions


def test_reference_when_read_then_every_cause_of_a_halt_is_named() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:HALTED|REDUCING) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(cause.value for cause in Cause)


def test_reference_when_read_then_every_key_of_an_entry_is_named() -> None:
    text = PAGE.read_text(encoding="utf-8")
    keys = set(RiskConfig.model_fields) - {"flatten_before_close_minutes", "breakers"}  # that one closes, and judges nothing
    keys |= {f"breakers.{name}" for name in BreakersConfig.model_fields}
    assert sorted(key for key in keys if f"`{key}`" not in text) == []
