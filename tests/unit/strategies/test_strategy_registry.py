"""A strategy is a folder: found by its name, made from its configuration, with errors that say what is allowed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sovereign.strategies as registry
from sovereign.core.configuration import Configuration
from sovereign.core.errors import ConfigurationError, NotFoundError
from sovereign.strategies import configuration_class, load_strategy, strategy_names
from sovereign.strategies.order_flow import OrderFlowConfig, OrderFlowStrategy


class ForeignConfig(Configuration):
    """A section of something else."""


def test_strategy_names_when_asked_then_lists_the_folders() -> None:
    assert "order_flow" in strategy_names()
    assert configuration_class("order_flow") is OrderFlowConfig


def test_load_strategy_when_given_no_section_then_uses_the_defaults() -> None:
    strategy = load_strategy("order_flow")
    assert isinstance(strategy, OrderFlowStrategy)
    assert strategy.name == "order_flow"
    assert strategy.config == OrderFlowConfig()


def test_load_strategy_when_given_a_mapping_or_an_instance_then_obeys_it() -> None:
    section = {"bracket": {"profiles": {"ES": {"stop_ticks": 8, "target_ticks": 12}}}}
    for given in (section, OrderFlowConfig.model_validate(section)):
        strategy = load_strategy("order_flow", given)
        assert isinstance(strategy, OrderFlowStrategy)
        assert strategy.config.bracket.profiles["ES"].stop_ticks == 8
        assert strategy.config.bracket.profiles["NQ"].stop_ticks == 20


def test_load_strategy_when_the_name_is_unknown_then_suggests() -> None:
    with pytest.raises(
        NotFoundError, match=r"strategy was 'oder_flow' \(did you mean 'order_flow'\?\); allowed are .*order_flow"
    ):
        load_strategy("oder_flow")


def test_load_strategy_when_a_key_is_unknown_then_names_it_and_suggests() -> None:
    with pytest.raises(
        ConfigurationError, match=r"strategies.order_flow.router.min_strenght was 1 \(did you mean 'min_strength'\?\)"
    ):
        load_strategy("order_flow", {"router": {"min_strenght": 1}})


def test_load_strategy_when_the_section_is_of_another_kind_then_refuses() -> None:
    with pytest.raises(ConfigurationError, match="was a ForeignConfig; allowed is OrderFlowConfig"):
        load_strategy("order_flow", ForeignConfig())


def test_load_strategy_when_a_new_folder_appears_then_it_is_a_strategy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "coin_toss"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from sovereign.core.configuration import Configuration\n"
        "class CONFIGURATION(Configuration):\n    heads: bool = True\n"
        "class STRATEGY:\n    name = 'coin_toss'\n    def __init__(self, config):\n        self.config = config\n"
    )
    (tmp_path / "half_done").mkdir()
    (tmp_path / "half_done" / "__init__.py").write_text("STRATEGY = object\n")
    monkeypatch.setattr(registry, "__path__", [*registry.__path__, str(tmp_path)])
    assert {"coin_toss", "half_done", "order_flow"} <= set(strategy_names())
    assert load_strategy("coin_toss", {"heads": False}).config.heads is False  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="strategy 'half_done' had no CONFIGURATION; define it in"):
        load_strategy("half_done")


def test_load_strategy_when_only_configured_then_no_compiler_is_imported() -> None:
    code = (
        "import sys; from sovereign.strategies import load_strategy; load_strategy('order_flow'); print('numba' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
