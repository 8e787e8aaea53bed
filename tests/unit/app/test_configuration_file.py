"""The commented file is complete, and switching every key on changes nothing."""

import re
import tomllib
from datetime import time
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.app.configuration import Settings, load_settings
from sovereign.app.configuration.keys import leaves
from sovereign.app.configuration.rendering import commented_file, show_table, shown, to_toml


class Color(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "true"),
        (3, "3"),
        (0.25, "0.25"),
        (float("inf"), "inf"),
        (Decimal("2500.50"), "2500.50"),
        ('a "b"\\', '"a \\"b\\"\\\\"'),
        (Path("runs"), '"runs"'),
        (Color.RED, '"red"'),
        (time(15, 55), "15:55:00"),
        (("ES", "NQ"), '["ES", "NQ"]'),
        ({"ES": 1, "a b": 2}, '{ ES = 1, "a b" = 2 }'),
        ({}, "{}"),
    ],
)
def test_to_toml_when_value_has_a_type_then_written_as_toml(value, written):
    assert to_toml(value) == written


@given(st.recursive(st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(), st.lists))
def test_to_toml_when_read_back_then_unchanged(value):
    assert tomllib.loads(f"x = {to_toml(value)}")["x"] == value


def switched_on(text):
    lines = [line for line in text.splitlines() if not re.match(r"^#\w+ =$", line)]
    return "\n".join(re.sub(r"^#(?=[\w\t\]])", "", line) for line in lines)


def test_commented_file_when_left_as_it_is_then_sets_nothing(tmp_path):
    file = tmp_path / "sovereign.toml"
    file.write_text(commented_file(Settings()))
    assert set(load_settings(file, environment={}).sources.values()) == {"default"}


def test_commented_file_when_every_key_is_switched_on_then_equals_the_defaults(tmp_path):
    file = tmp_path / "sovereign.toml"
    file.write_text(switched_on(commented_file(Settings())))
    loaded = load_settings(file, environment={})
    assert loaded.settings == Settings()
    from_file = {key for key, source in loaded.sources.items() if source != "default"}
    assert from_file == {key for key, field in leaves(Settings) if field.get_default(call_default_factory=True) is not None}


def test_commented_file_when_written_then_describes_every_key():
    text = " ".join(line.lstrip("# ") for line in commented_file(Settings()).splitlines())
    missing = [key for key, field in leaves(Settings) if (field.description or "?") not in text]
    assert missing == []


def test_show_table_when_printed_then_each_key_has_value_and_source():
    loaded = load_settings(overrides=("account.starting_balance=5000",), environment={"XDG_CONFIG_HOME": "nowhere"})
    table = show_table(shown(loaded.settings, loaded.sources))
    assert re.search(r"^account\.starting_balance = 5000 +# flag --set$", table, re.MULTILINE)
    assert len(table.splitlines()) == len(list(leaves(Settings)))
