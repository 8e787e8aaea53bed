"""Settings as text: the table of `config show`, and the commented file of `config init`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from textwrap import wrap
from typing import Any

from pydantic import SecretStr

from sovereign.app.configuration.keys import leaves, masked, section_of, value_of
from sovereign.core.configuration import Configuration

_BOUNDS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "more than {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "less than {}"),
    ("maxLength", "at most {} characters"),
    ("pattern", "text matching {}"),
)
_WIDTH = 118


def to_toml(value: Any) -> str:
    """Write a setting's value as TOML; models and mappings become inline tables."""
    if isinstance(value, SecretStr):
        return to_toml(value.get_secret_value())
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return to_toml(value.value)
    if isinstance(value, int | float | Decimal):
        return str(value).lower()
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, Configuration):
        return to_toml({name: getattr(value, name) for name in type(value).model_fields})
    if isinstance(value, Mapping):
        items = (f"{_toml_key(key)} = {to_toml(item)}" for key, item in value.items() if item is not None)
        return "{ " + ", ".join(items) + " }" if value else "{}"
    if isinstance(value, str | PurePath):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    listed = sorted(value, key=str) if isinstance(value, set | frozenset) else value
    return "[" + ", ".join(to_toml(item) for item in listed) + "]"


def _toml_key(key: Any) -> str:
    text = str(key.value if isinstance(key, Enum) else key)
    bare = text.replace("-", "").replace("_", "")
    return text if bare.isascii() and bare.isalnum() else json.dumps(text, ensure_ascii=False)


def _allowed(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Describe the allowed values of a field from its JSON schema, or return an empty string."""
    if "$ref" in schema:
        return _allowed(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for word in ("anyOf", "allOf", "oneOf"):
        if word in schema:
            return " or ".join(dict.fromkeys(text for choice in schema[word] if (text := _allowed(choice, definitions))))
    if "enum" in schema:
        return ", ".join(str(choice) for choice in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    return ", ".join(text.format(_short(schema[word])) for word, text in _BOUNDS if word in schema)


def _short(bound: Any) -> Any:
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _field_lines(name: str, value: Any, description: str, allowed: str) -> list[str]:
    text = f"{description} Allowed: {allowed}." if allowed else description
    lines = [f"# {line}" for line in wrap(text, _WIDTH)]
    if value is None:
        return [*lines, "# Not set by default.", f"#{name} =", ""]
    if isinstance(value, tuple | list) and value and isinstance(value[0], Configuration):
        return [*lines, f"#{name} = [", *(f"#\t{to_toml(item)}," for item in value), "#]", ""]
    return [*lines, f"#{name} = {to_toml(value)}", ""]


def commented_file(settings: Configuration) -> str:
    """Write every key of `settings` with its description, allowed values and default, switched off by a leading `#`."""
    schema = type(settings).model_json_schema()
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    lines = [
        "# Settings of Sovereign. Every key stands here with its default; remove the # in front of a key to change it.",
        "# A flag (--set section.key=value) beats the environment (SOVEREIGN__SECTION__KEY), which beats this file.",
        "",
    ]

    def write(group: Configuration, group_schema: Mapping[str, Any], name: str, description: str) -> None:
        if "$ref" in group_schema:
            group_schema = definitions[group_schema["$ref"].rpartition("/")[2]]
        for word in ("allOf", "anyOf"):
            if word in group_schema:
                write(group, group_schema[word][0], name, description)
                return
        properties = group_schema.get("properties", {})
        fields = type(group).model_fields
        if any(section_of(field) is None for field in fields.values()):
            lines.extend([*(f"# {line}" for line in wrap(description, _WIDTH)), f"[{name}]", ""])
        for key, field in fields.items():
            if section_of(field) is None:
                allowed = _allowed(properties.get(key, {}), definitions)
                lines.extend(_field_lines(key, getattr(group, key), field.description or "", allowed))
        for key, field in fields.items():
            if section_of(field) is not None:
                full = f"{name}.{key}" if name else key
                write(getattr(group, key), properties.get(key, {}), full, field.description or "")

    write(settings, schema, "", "")
    return "\n".join(lines).rstrip() + "\n"


def shown(settings: Configuration, sources: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return every key with its value (secrets masked) and its source."""
    return {key: {"value": masked(key, value_of(settings, key)), "source": sources[key]} for key, _ in leaves(type(settings))}


def show_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Lay out `shown` as lines `key = value  # source`, aligned."""
    left = {key: f"{key} = {'none' if row['value'] is None else to_toml(row['value'])}" for key, row in rows.items()}
    width = min(max((len(text) for text in left.values()), default=0), 80)
    return "\n".join(f"{text.ljust(width)}  # {rows[key]['source']}" for key, text in left.items())
