"""Every setting changes something: a key without an observable effect is a defect, and so is an effect without a key."""

import key_effects
import pytest

from sovereign.app.configuration import Settings
from sovereign.app.configuration.keys import leaves

KEYS = [key for key, _ in leaves(Settings)]


def test_effects_when_compared_with_the_settings_then_no_key_is_missing():
    missing = [key for key in KEYS if key not in key_effects.EFFECTS]
    assert missing == [], f"add an effect to tests/key_effects.py for: {', '.join(missing)}"


def test_effects_when_compared_with_the_settings_then_no_key_is_invented():
    assert [key for key in key_effects.EFFECTS if key not in KEYS] == []


@pytest.mark.parametrize("key", sorted(key_effects.EFFECTS))
def test_key_when_its_value_changes_then_something_observable_changes(key):
    one, other = key_effects.EFFECTS[key]()
    assert one != other
