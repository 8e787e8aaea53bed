"""What every command shares: the options `--config`, `--set`, `--json`, and the one way to print a result."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, time
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from sovereign.core.errors import UsageError

if TYPE_CHECKING:
    from sovereign.app.configuration import LoadedSettings

T = TypeVar("T")

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Configuration file; default: sovereign.toml.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a setting; may be repeated.")
]


def command_app(help_text: str) -> typer.Typer:
    """Return a typer application with the house's settings; `help_text` heads its help page."""
    return typer.Typer(
        help=help_text, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True
    )


SYMBOLS_HELP = "SPY,NVDA, 'SPY NVDA' or SPY NVDA"
"""What the help of an option says that takes several symbols."""

_SYMBOL_WORD = re.compile(r"[A-Z0-9.,]*[A-Z][A-Z0-9.,]*|,")


class SymbolsCommand(TyperCommand):
    """A command that, if it takes `symbols`, takes several words for them: `--symbols A B` is read as `--symbols A,B`.

    A word belongs to the option as long as it looks like a symbol: in capitals, as no name of a strategy is.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Fold the words, then parse."""
        options = {one.name: one.opts for one in self.params if one.param_type_name == "option"}
        if "symbols" in options:
            args = _folded(args, {*options["symbols"], *options.get("symbol", ())})
        return super().parse_args(ctx, args)


def _folded(words: Sequence[str], options: set[str]) -> list[str]:
    found: list[str] = []
    place = 0
    while place < len(words):
        word = words[place]
        place += 1
        found.append(word)
        if word == "--":
            return [*found, *words[place:]]
        name, is_joined, _ = word.partition("=")
        if name not in options:
            continue
        if not is_joined and place < len(words):
            found.append(words[place])
            place += 1
        while place < len(words) and _SYMBOL_WORD.fullmatch(words[place]):
            found[-1] += f",{words[place]}"
            place += 1
    return found


def split_symbols(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the symbols that an option was given, apart at commas and spaces; none when it was not given.

    Raises
    ------
    UsageError : it was given, and names none.
    """
    if given is None:
        return ()
    parts = [given] if isinstance(given, str) else list(given)
    found = tuple(name for part in parts for name in part.replace(",", " ").split())
    if parts and not found:
        raise UsageError(f"symbols were '{' '.join(parts)}'; name at least one, as {SYMBOLS_HELP}")
    return found


def settings_from(config: Path | None, overrides: Sequence[str] | None, strategy: str | None = None) -> LoadedSettings:
    """Load the settings that `--config` and `--set` ask for; `strategy` is the system that is to run, where one is."""
    from sovereign.app.configuration import load_settings

    loaded = load_settings(config, tuple(overrides or ()), strategy=strategy)
    _in_force.append(loaded)
    del _in_force[:-1]
    return loaded


_in_force: list[LoadedSettings] = []


def without_secrets(text: str) -> str:
    """Mask in a text the secrets of the settings that this command has loaded, those of the environment, and token shapes."""
    from sovereign.app.ops.redaction import redactor_for

    return redactor_for(_in_force[-1].settings if _in_force else None)(text)


def to_plain(value: Any) -> Any:
    """Turn a result into JSON's types: dataclasses and models to objects, Decimal to text, NaN and infinity to null."""
    if isinstance(value, Enum):
        return to_plain(value.value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Decimal | PurePath):
        return str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    return _container(value)


def _container(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(to_plain(key)): to_plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "_asdict"):
        return to_plain(value._asdict())
    if hasattr(value, "model_dump"):
        return to_plain(value.model_dump(mode="json"))
    if hasattr(value, "tolist"):
        return to_plain(value.tolist())
    if isinstance(value, set | frozenset):
        return sorted(to_plain(item) for item in value)
    return [to_plain(item) for item in value]


def emit(result: T, as_json: bool, text_renderer: Callable[[T], str]) -> None:
    """Print a result to stdout: as one JSON document, or as the text its renderer makes of it."""
    typer.echo(json.dumps(to_plain(result), indent=2, allow_nan=False) if as_json else text_renderer(result))
