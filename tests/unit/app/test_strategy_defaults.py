"""What a strategy assumes of other sections: between the program's defaults and everything the user says."""

from __future__ import annotations

from pathlib import Path

import pytest

from sovereign.app.configuration import Settings, load_settings
from sovereign.app.configuration.loading import merge
from sovereign.core.errors import ConfigurationError, NotFoundError


def test_merge_when_a_strategy_assumes_a_setting_then_it_replaces_the_default_and_is_named() -> None:
    settings, sources = merge(
        Settings, file=None, environment={}, assumed={"risk.max_positions": 20}, assumed_by="default of lossless"
    )
    assert settings.risk.max_positions == 20
    assert sources["risk.max_positions"] == "default of lossless"
    assert sources["risk.risk_frac"] == "default"


def test_merge_when_the_user_says_otherwise_then_the_user_wins(tmp_path: Path) -> None:
    file = tmp_path / "sovereign.toml"
    file.write_text("[risk]\nmax_positions = 3\n")
    assumed = {"risk.max_positions": 20}
    from_file, sources = merge(Settings, file=file, environment={}, assumed=assumed, assumed_by="x")
    assert (from_file.risk.max_positions, sources["risk.max_positions"]) == (3, f"file {file}")
    variables = {"SOVEREIGN__RISK__MAX_POSITIONS": "4"}
    from_environment, _ = merge(Settings, file=file, environment=variables, assumed=assumed, assumed_by="x")
    assert from_environment.risk.max_positions == 4
    from_flag, _ = merge(
        Settings, file=file, environment=variables, overrides=("risk.max_positions=5",), assumed=assumed, assumed_by="x"
    )
    assert from_flag.risk.max_positions == 5


def test_merge_when_a_strategy_assumes_an_unknown_setting_then_says_so() -> None:
    with pytest.raises(ConfigurationError, match=r"risk\.max_position'.*default of lossless"):
        merge(Settings, file=None, environment={}, assumed={"risk.max_position": 20}, assumed_by="default of lossless")


def test_load_when_there_is_no_such_strategy_then_says_so() -> None:
    with pytest.raises(NotFoundError, match="order_flow"):
        load_settings(environment={}, strategy="order_flo")
