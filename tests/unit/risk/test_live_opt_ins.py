"""Live trading needs three consents at once, and each that is missing names itself."""

from __future__ import annotations

from itertools import product

import pytest

from sovereign.risk.opt_in import live_opt_ins

NAMES = ("execution.trading_enabled", "--live", "ENABLE_LIVE_TRADING")
ALL = list(product([False, True], repeat=3))


@pytest.mark.parametrize(("config", "flag", "environment"), ALL)
def test_opt_ins_when_any_are_given_then_exactly_the_others_name_themselves(
    config: bool, flag: bool, environment: bool
) -> None:
    missing = live_opt_ins(config, flag, {"ENABLE_LIVE_TRADING": "1"} if environment else {})
    given = (config, flag, environment)
    assert [item.name for item in missing] == [name for name, is_given in zip(NAMES, given, strict=True) if not is_given]
    assert (not missing) == (given == (True, True, True))
    for item in missing:
        assert item.name in str(item)
        assert item.how


@pytest.mark.parametrize("value", ["", "0", "true", "yes", " 1", "1 ", "01"])
def test_opt_ins_when_the_environment_says_anything_else_then_missing(value: str) -> None:
    (missing,) = live_opt_ins(True, True, {"ENABLE_LIVE_TRADING": value})
    assert missing.how == "set ENABLE_LIVE_TRADING=1 in the environment; it is set to something else"
