"""Loading settings: precedence, sources, and messages that say what was given and what is allowed."""

from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, SecretStr

from sovereign.app.configuration import Settings, load_settings
from sovereign.app.configuration.keys import leaves, masked
from sovereign.app.configuration.loading import find_file, merge
from sovereign.core.configuration import Configuration
from sovereign.core.errors import ConfigurationError, NotFoundError


class Rule(Configuration):
    sides: Literal["long", "short", "both"] = Field("both", description="Sides.")
    size: float = Field(1.0, gt=0, le=1, description="Size (fraction).")


class Tier(Configuration):
    name: str = Field(description="Name.")
    balance: Decimal = Field(Decimal(0), description="Balance (USD).")


class Risk(Configuration):
    max_positions: int = Field(1, ge=1, description="Positions (count).")
    symbols: tuple[str, ...] = Field(("ES",), description="Symbols.")
    ranging: Rule = Field(Rule(size=0.75), description="Rule in ranges.")
    tiers: tuple[Tier, ...] = Field((Tier(name="first"),), description="Tiers.")
    news: str | None = Field(None, description="News file.")
    api_key: str = Field("", description="Key.")


class House(Configuration):
    risk: Risk = Field(Risk(), description="Risk.")


def settings_of(tmp_path, text=None, environment=None, overrides=()):
    file = None
    if text is not None:
        file = tmp_path / "sovereign.toml"
        file.write_text(text)
    return merge(House, file=file, environment=environment or {}, overrides=overrides)


def message_of(tmp_path, text=None, environment=None, overrides=()):
    with pytest.raises(ConfigurationError) as caught:
        settings_of(tmp_path, text, environment, overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "environment", "overrides", "value", "source"),
    [
        (None, {}, (), 1, "default"),
        ("[risk]\nmax_positions = 2", {}, (), 2, "file"),
        (
            "[risk]\nmax_positions = 2",
            {"SOVEREIGN__RISK__MAX_POSITIONS": "3"},
            (),
            3,
            "environment SOVEREIGN__RISK__MAX_POSITIONS",
        ),
        ("[risk]\nmax_positions = 2", {"SOVEREIGN__RISK__MAX_POSITIONS": "3"}, ("risk.max_positions=4",), 4, "flag --set"),
    ],
)
def test_merge_when_layers_disagree_then_the_nearest_to_the_user_wins(tmp_path, text, environment, overrides, value, source):
    settings, sources = settings_of(tmp_path, text, environment, overrides)
    assert settings.risk.max_positions == value
    assert sources["risk.max_positions"].startswith(source)
    assert sources["risk.symbols"] == "default"


def test_merge_when_section_is_partly_given_then_the_place_keeps_its_other_defaults(tmp_path):
    settings, _ = settings_of(tmp_path, '[risk.ranging]\nsides = "long"')
    assert settings.risk.ranging == Rule(sides="long", size=0.75)


def test_merge_when_list_is_given_as_text_then_read_as_toml(tmp_path):
    settings, _ = settings_of(tmp_path, environment={"SOVEREIGN__RISK__SYMBOLS": '["ES", "NQ"]'}, overrides=("risk.news=none",))
    assert settings.risk.symbols == ("ES", "NQ")
    assert settings.risk.news is None


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[risk]\nmax_postions = 2", ["'risk.max_postions'", "sovereign.toml", "did you mean 'max_positions'?"]),
        ("[riks]\nmax_positions = 2", ["'riks.max_positions'", "did you mean 'risk.max_positions'?"]),
        ("max_positions = 2", ["'max_positions'", "did you mean 'risk.max_positions'?"]),
        ("[risk.ranging]\nsize_frac = 1", ["'risk.ranging.size_frac'", "did you mean 'size'?"]),
        ("[risk]\ntiers = [{ name = 'a', balanc = 1 }]", ["risk.tiers.0.balanc", "did you mean 'balance'?"]),
        ("risk = 3", ["risk was 3", "[risk]"]),
    ],
)
def test_merge_when_key_is_unknown_then_names_it_its_place_and_the_closest(tmp_path, text, parts):
    message = message_of(tmp_path, text)
    assert all(part in message for part in parts), message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[risk]\nmax_positions = 'three'", ["risk.max_positions was 'three'", "sovereign.toml", "valid integer"]),
        ("[risk]\nmax_positions = 0", ["risk.max_positions was 0", "greater than or equal to 1"]),
        ("[risk.ranging]\nsides = 'up'", ["risk.ranging.sides was 'up'", "'long', 'short' or 'both'"]),
    ],
)
def test_merge_when_value_is_not_allowed_then_says_given_and_allowed(tmp_path, text, parts):
    message = message_of(tmp_path, text)
    assert all(part in message for part in parts), message


def test_merge_when_environment_key_is_unknown_then_names_the_variable(tmp_path):
    message = message_of(tmp_path, environment={"SOVEREIGN__RISK__MAX_POSITION": "3"})
    assert "SOVEREIGN__RISK__MAX_POSITION" in message
    assert "did you mean 'max_positions'?" in message


def test_merge_when_assignment_has_no_equals_then_says_how_to_write_it(tmp_path):
    assert "section.key=value" in message_of(tmp_path, overrides=("risk.max_positions",))


def test_merge_when_secret_is_wrong_then_its_value_is_not_printed(tmp_path):
    message = message_of(tmp_path, "[risk]\napi_key = 12345")
    assert "12345" not in message
    assert "risk.api_key" in message


def test_merge_when_file_is_not_toml_then_names_the_line(tmp_path):
    assert "line 2" in message_of(tmp_path, "[risk]\nmax_positions = = 1")


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("store.url", "postgresql://me:hunter2@db:5432/x", "postgresql://me:********@db:5432/x"),
        ("store.url", "sqlite:///x.sqlite", "sqlite:///x.sqlite"),
        ("data.api_key", "hunter2", "********"),
        ("data.api_key", None, None),
        ("notify.discord_webhook", "hunter2", "********"),
        ("data.anything", SecretStr("hunter2"), "********"),
        ("risk.max_positions", 3, 3),
    ],
)
def test_masked_when_value_is_secret_then_hidden(key, value, shown):
    assert masked(key, value) == shown


def test_find_file_when_several_exist_then_flag_then_variable_then_folder_then_user(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flag, variable = tmp_path / "a.toml", tmp_path / "b.toml"
    home = tmp_path / "home"
    user = home / "sovereign" / "sovereign.toml"
    user.parent.mkdir(parents=True)
    for file in (flag, variable, user, Path("sovereign.toml")):
        file.write_text("")
    environment = {"SOVEREIGN_CONFIG": str(variable), "XDG_CONFIG_HOME": str(home)}
    assert find_file(flag, environment) == flag
    assert find_file(None, environment) == variable
    del environment["SOVEREIGN_CONFIG"]
    assert find_file(None, environment) == Path("sovereign.toml")
    Path("sovereign.toml").unlink()
    assert find_file(None, environment) == user
    user.unlink()
    assert find_file(None, environment) is None


def test_load_settings_when_named_file_is_missing_then_not_found(tmp_path):
    with pytest.raises(NotFoundError, match="--config"):
        load_settings(tmp_path / "nowhere.toml", environment={})


def test_load_settings_when_nothing_is_given_then_every_key_is_a_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = load_settings(environment={})
    assert loaded.settings == Settings()
    assert loaded.file is None
    assert set(loaded.sources) == {key for key, _ in leaves(Settings)}
    assert set(loaded.sources.values()) == {"default"}


def test_settings_when_listed_then_every_key_and_section_is_described():
    undescribed = [key for key, field in leaves(Settings) if not field.description]
    assert undescribed == []
