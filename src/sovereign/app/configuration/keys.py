"""The tree of settings seen as flat keys (`risk.max_positions`): walking, nesting, and what may be shown of a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from sovereign.core.configuration import Configuration
from sovereign.core.errors import suggestion
from sovereign.store.configuration import MASK, hide_password

_SECRET_WORDS = frozenset({"key", "secret", "token", "password", "webhook"})


def section_of(field: FieldInfo) -> type[Configuration] | None:
    """Return the section class that a field holds, or None when the field is a value."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Configuration) else None


def sections(model: type[Configuration], prefix: str = "") -> Iterator[tuple[str, type[Configuration]]]:
    """Yield every section below `model` as (name, class), parents first."""
    for name, field in model.model_fields.items():
        section = section_of(field)
        if section is not None:
            yield prefix + name, section
            yield from sections(section, f"{prefix}{name}.")


def leaves(model: type[Configuration], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every settable key below `model` as (key, field), in the order of declaration."""
    for name, field in model.model_fields.items():
        section = section_of(field)
        if section is None:
            yield prefix + name, field
        else:
            yield from leaves(section, f"{prefix}{name}.")


def _models_in(annotation: Any) -> Iterator[type[Configuration]]:
    if isinstance(annotation, type) and issubclass(annotation, Configuration):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def names_inside(model: type[Configuration], path: Sequence[str]) -> list[str]:
    """Return the field names of the model at `path`, also inside lists and tables; list positions are passed over."""
    if not path:
        return list(model.model_fields)
    field = model.model_fields.get(path[0])
    if field is None:
        return names_inside(model, path[1:])
    return [name for inner in _models_in(field.annotation) for name in names_inside(inner, path[1:])]


def value_of(settings: Configuration, key: str) -> Any:
    """Return the value of a key."""
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Turn flat keys into nested dictionaries."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, last = key.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return tree


def unknown(model: type[Configuration], key: str, given_in: str) -> str:
    """Say that a key does not exist, with the closest one that does: in the same section first, then anywhere."""
    known = [name for name, _ in leaves(model)]
    section, _, last = key.rpartition(".")
    siblings = [name.rpartition(".")[2] for name in known if name.rpartition(".")[0] == section]
    same_word = [name for name in known if name.rpartition(".")[2] == last]
    folders = [name for name, _ in sections(model)]
    hint = (
        suggestion(last, siblings)
        or (f" (did you mean '{same_word[0]}'?)" if same_word else "")
        or suggestion(key, known)
        or suggestion(key, folders)
    )
    return f"setting was '{key}' in {given_in}; there is none of this name{hint}; see 'sovereign config show'"


def is_secret(key: str) -> bool:
    """Say whether a key's name promises a secret."""
    return not _SECRET_WORDS.isdisjoint(key.rpartition(".")[2].split("_"))


def masked(key: str, value: Any) -> Any:
    """Return a value as it may be shown: secrets hidden whole, a password inside a URL hidden alone."""
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if is_secret(key):
        return MASK if value not in (None, "") else value
    if isinstance(value, str):
        return hide_password(value)
    return value
