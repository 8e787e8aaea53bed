"""A check is an immutable record whose sentence is put together when it is read."""

from __future__ import annotations

import pickle
from decimal import Decimal

import pytest

from sovereign.core.decision import Check, Decision, Proposal, Refused, Verdict
from sovereign.core.event import DecisionMade, to_plain
from sovereign.core.order import Side

LAZY = Check(
    "daily_loss", -5.0, -100.0, "USD", True, ("stood at {}, limit {}, {} for {:.1f} s", Decimal("-1234.5"), None, "x", 2.0)
)
SAID = Check("daily_loss", -5.0, -100.0, "USD", True, note="stood at -1,234.50, limit unknown, x for 2.0 s")


def test_note_when_given_as_a_template_then_decimals_read_as_money() -> None:
    assert LAZY.note == "stood at -1,234.50, limit unknown, x for 2.0 s"


def test_check_when_its_sentence_is_the_same_then_equal_however_it_was_given() -> None:
    assert LAZY == SAID
    assert not LAZY != SAID  # noqa: SIM202 - both operators are specified
    assert hash(LAZY) == hash(SAID)
    assert repr(LAZY) == repr(SAID)
    assert pickle.loads(pickle.dumps(LAZY)) == SAID
    assert Check("daily_loss", -5.0, -100.0, "USD", True, note="another") != SAID
    assert Check("daily_loss", -6.0, -100.0, "USD", True, note=SAID.note) != SAID
    assert tuple(SAID) != SAID


def test_check_when_changed_then_refused() -> None:
    with pytest.raises(AttributeError):
        SAID.value = 1.0  # type: ignore[misc]


def test_encode_when_a_decision_has_checks_then_each_has_its_text() -> None:
    proposal = Proposal(
        name="p", symbol="ES", side=Side.BUY, strength=1.0, confidence=1.0, inputs={}, checks=(LAZY,), intent=None
    )
    refused = Refused("daily_loss", -100.0, -5.0, "USD", "no")
    decision = Decision(
        decision_id="d", ts=1, strategy="s", proposal=proposal, checks=(LAZY,), verdict=Verdict.REFUSED, outcome=refused
    )
    plain = to_plain(DecisionMade(ts=1, decision=decision))
    assert plain["decision"]["checks"] == [
        {"name": "daily_loss", "value": "-5.0", "limit": "-100.0", "unit": "USD", "passed": True, "note": SAID.note}
    ]
