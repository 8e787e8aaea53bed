"""Finding, reading and merging settings: flag > environment > file > default, each value with its source."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from sovereign.app.configuration.keys import is_secret, leaves, masked, names_inside, nest, sections, unknown, value_of
from sovereign.app.configuration.settings import Settings
from sovereign.core.configuration import Configuration
from sovereign.core.errors import ConfigurationError, NotFoundError, suggestion

FILE_NAME = "sovereign.toml"
FILE_VARIABLE = "SOVEREIGN_CONFIG"
PREFIX = "SOVEREIGN__"
DEFAULT = "default"

Model = TypeVar("Model", bound=Configuration)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """Validated settings; `sources` says for each key where its value came from; `file` is the file read, if any."""

    settings: Settings
    sources: Mapping[str, str]
    file: Path | None


def find_file(given: Path | None, environment: Mapping[str, str]) -> Path | None:
    """Return the configuration file: the given one, `SOVEREIGN_CONFIG`, `./sovereign.toml`, the user's folder, or none.

    Raises
    ------
    NotFoundError : a file asked for by name does not exist.
    """
    asked = given if given is not None else environment.get(FILE_VARIABLE) or None
    if asked is not None:
        path = Path(asked).expanduser()
        if not path.is_file():
            origin = "--config" if given is not None else FILE_VARIABLE
            raise NotFoundError(
                f"configuration file was '{path}' ({origin}); there is no such file; make one with 'config init'"
            )
        return path
    home = environment.get("XDG_CONFIG_HOME") or environment.get("APPDATA") or "~/.config"
    for path in (Path(FILE_NAME), Path(home).expanduser() / "sovereign" / FILE_NAME):
        if path.is_file():
            return path
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise ConfigurationError(f"configuration file '{path}' is not valid TOML: {cause}") from cause
    except RecursionError as cause:
        raise ConfigurationError(
            f"configuration file '{path}' is nested too deeply; at most a few levels are of use"
        ) from cause
    except OSError as cause:
        raise ConfigurationError(f"configuration file '{path}' cannot be read: {cause.strerror}") from cause


def _flatten(model: type[Configuration], tree: Mapping[str, Any], given_in: str) -> dict[str, Any]:
    known = {key for key, _ in leaves(model)}
    folders = {name for name, _ in sections(model)}
    flat: dict[str, Any] = {}

    def walk(branch: Mapping[str, Any], prefix: str) -> None:
        for name, value in branch.items():
            key = prefix + name
            if key in known:
                flat[key] = value
            elif key not in folders:
                first = next(iter(value), None) if isinstance(value, Mapping) else None
                raise ConfigurationError(unknown(model, f"{key}.{first}" if first else key, given_in))
            elif isinstance(value, Mapping):
                walk(value, f"{key}.")
            else:
                raise ConfigurationError(
                    f"{key} was {value!r} in {given_in}; it is a section: write [{key}] and its keys below"
                )

    walk(tree, "")
    return flat


def _from_text(field: FieldInfo, text: str) -> Any:
    """Read a value given as text: lists and tables as TOML, `none` as no value where that is allowed, the rest as it is."""
    if text[:1] in ("[", "{"):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except (tomllib.TOMLDecodeError, RecursionError):
            return text
    return None if text.lower() == "none" and NoneType in get_args(field.annotation) else text


def _overrides(model: type[Configuration], assignments: Sequence[str]) -> dict[str, Any]:
    fields = dict(leaves(model))
    flat: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip()
        if not equals:
            raise ConfigurationError(f"--set was '{assignment}'; write it as section.key=value")
        if key not in fields:
            raise ConfigurationError(unknown(model, key, "--set"))
        flat[key] = _from_text(fields[key], text.strip())
    return flat


def _from_environment(model: type[Configuration], environment: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    fields = dict(leaves(model))
    flat: dict[str, tuple[Any, str]] = {}
    for variable in sorted(environment):
        if variable.upper().startswith(PREFIX):
            key = variable[len(PREFIX) :].lower().replace("__", ".")
            if key not in fields:
                raise ConfigurationError(unknown(model, key, f"environment variable {variable}"))
            flat[key] = (_from_text(fields[key], environment[variable]), f"environment {variable}")
    return flat


def _explain(model: type[Configuration], error: ValidationError, sources: Mapping[str, str]) -> str:
    """Turn a validation error into one line: key, source, what was given, what is allowed."""
    lines = []
    for fault in error.errors(include_url=False):
        path = [str(part) for part in fault["loc"]]
        name = ".".join(path)
        key = next((".".join(path[:n]) for n in range(len(path), 0, -1) if ".".join(path[:n]) in sources), name)
        source = sources.get(key, DEFAULT)
        if fault["type"] == "extra_forbidden":
            hint = suggestion(path[-1], names_inside(model, path[:-1]))
            lines.append(f"setting was '{name}' ({source}); there is none of this name{hint}")
            continue
        message = fault["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        if fault["type"] == "value_error":
            where = f"in [{name}]: " if name and key not in sources else f"{key} ({source}): " if name else ""
            lines.append(where + message)
        else:
            given = "hidden" if is_secret(key) else repr(masked(key, fault["input"]))
            lines.append(f"{name} was {given} ({source}); allowed is {message}")
    return "; ".join(lines)


def merge(
    model: type[Model],
    *,
    file: Path | None,
    environment: Mapping[str, str],
    overrides: Sequence[str] = (),
    assumed: Mapping[str, Any] | None = None,
    assumed_by: str = "",
) -> tuple[Model, dict[str, str]]:
    """Merge the layers over `model` and return the validated settings with the source of each key.

    A partly given section keeps the other defaults of the place where it stands, not those of its class. `assumed` are
    settings that stand in for the defaults of the same key; `assumed_by` says for whom.
    """
    defaults = model()
    values: dict[str, Any] = {key: value_of(defaults, key) for key, _ in leaves(model)}
    sources = dict.fromkeys(values, DEFAULT)
    for key, value in (assumed or {}).items():
        if key not in values:
            raise ConfigurationError(unknown(model, key, assumed_by))
        values[key], sources[key] = value, assumed_by
    if file is not None:
        for key, value in _flatten(model, _read(file), str(file)).items():
            values[key], sources[key] = value, f"file {file}"
    for key, (value, source) in _from_environment(model, environment).items():
        values[key], sources[key] = value, source
    for key, value in _overrides(model, overrides).items():
        values[key], sources[key] = value, "flag --set"
    try:
        return model.model_validate(nest(values)), sources
    except ValidationError as cause:
        raise ConfigurationError(_explain(model, cause, sources)) from None


def load_settings(
    file: Path | None = None,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    strategy: str | None = None,
) -> LoadedSettings:
    """Load the settings: `--set` overrides, then `SOVEREIGN__SECTION__KEY` variables, then the file, then the defaults.

    Parameters
    ----------
    file : the file to read; None searches (see `find_file`).
    overrides : assignments `section.key=value`.
    environment : variables to look at; None is the process's own.
    strategy : the system that is to run; what its folder assumes of other sections takes the place of their defaults.

    Raises
    ------
    NotFoundError : a file asked for by name, or the strategy, does not exist.
    ConfigurationError : a key is unknown, a value is not allowed, or the file is not TOML.
    """
    variables = os.environ if environment is None else environment
    path = find_file(file, variables)
    assumed: Mapping[str, Any] = {}
    if strategy is not None:
        from sovereign.strategies import assumed_settings

        assumed = assumed_settings(strategy)
    settings, sources = merge(
        Settings,
        file=path,
        environment=variables,
        overrides=overrides,
        assumed=assumed,
        assumed_by=f"default of {strategy}",
    )
    return LoadedSettings(settings=settings, sources=sources, file=path)
