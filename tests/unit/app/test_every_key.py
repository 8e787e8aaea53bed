"""Every setting changes something: a key without an observable effect is a defect, and so is an effect without a key."""

from pathlib import Path

import pytest

import key_effects
from sovereign.app.configuration import Settings
from sovereign.app.configuration.keys import leaves, sections

TESTS = Path(__file__).resolve().parents[2]
KEYS = [key for key, _ in leaves(Settings)]


def is_proven_elsewhere(key):
    return any(key.startswith(f"{section}.") for section in key_effects.PROVEN_ELSEWHERE)


def test_effects_when_compared_with_the_settings_then_no_key_is_missing():
    missing = [key for key in KEYS if key not in key_effects.EFFECTS and not is_proven_elsewhere(key)]
    assert missing == [], f"add an effect to tests/key_effects.py for: {', '.join(missing)}"


def test_effects_when_compared_with_the_settings_then_no_key_is_invented():
    assert [key for key in key_effects.EFFECTS if key not in KEYS] == []


@pytest.mark.parametrize(("section", "place"), key_effects.PROVEN_ELSEWHERE.items())
def test_section_when_proven_elsewhere_then_that_test_goes_through_all_its_keys(section, place):
    text = (TESTS / place).read_text(encoding="utf-8")
    classes = {name: kind.__name__ for name, kind in sections(Settings)}
    for key in KEYS:
        if key.startswith(f"{section}."):
            owner = classes[key.rpartition(".")[0]]
            assert f"{owner}.model_fields" in text or f"leaf_keys({classes[section]})" in text, key


@pytest.mark.parametrize("key", sorted(key_effects.EFFECTS))
def test_key_when_its_value_changes_then_something_observable_changes(key):
    one, other = key_effects.EFFECTS[key]()
    assert one != other
