"""Redaction: the last step of every sink. What is known to be secret, or has the shape of a token, leaves as asterisks.

A `Redactor` knows the values of this process: every secret of the settings, passwords inside URLs, and environment variables
whose name says `key`, `secret`, `token`, `password` or `webhook` (with the file behind `*_FILE`). Each is masked as it is, and
as it looks inside a URL, a JSON text or a Basic authorization. Shapes of known tokens are masked even when nobody named them.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from pydantic import SecretStr

from sovereign.app.configuration.keys import is_secret
from sovereign.core.configuration import Configuration
from sovereign.store.configuration import MASK, hide_password

_SHORTEST_SETTING = 4
_SHORTEST_VARIABLE = 8
"""Shorter values are words (`true`, `test`), and masking those would garble every line."""

_VARIABLE_WORDS = ("key", "secret", "token", "password", "webhook", "passwd", "pwd", "credential")
_LARGEST_SECRET_FILE = 16_384

_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(https?://[^\s/]*/api/webhooks/\d+/)[\w-]+"), rf"\1{MASK}"),  # Discord
    (re.compile(r"(?<!\d)(bot)?\d{8,10}:[A-Za-z0-9_-]{34,36}(?![\w-])"), MASK),  # Telegram
    (re.compile(r"\b(?:AK|PK|CK)[A-Z0-9]{18}\b"), MASK),  # Alpaca
    (re.compile(r"\bdb-[A-Za-z0-9]{29}\b"), MASK),  # Databento
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), MASK),  # JSON web token
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    (
        re.compile(
            r"""(?i)(["']?[\w-]*(?:api[_-]?key|apikey|secret|token|password|passwd)["']?\s*[=:]\s*["']?)"""
            r"""(?!\*{8})[^\s"'&,;{}()\[\]]{6,}"""
        ),
        rf"\1{MASK}",
    ),
)


class Redactor:
    """Masks known secrets and token shapes in a text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        if "://" in text:
            text = hide_password(text)
        for shape, mask in _SHAPES:
            text = shape.sub(mask, text)
        return text

    def plain(self, value: Any) -> Any:
        """Return JSON-like data with every text in it redacted; a key that promises a secret hides its value whole."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, Mapping):
            return {
                str(key): MASK if is_secret(str(key).lower()) and item not in (None, "") else self.plain(item)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self.plain(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self(str(value))


def _forms(secret: str) -> Iterator[str]:
    """Yield how a secret may look in a text."""
    yield secret
    yield quote(secret, safe="", errors="replace")
    yield quote_plus(secret, errors="replace")
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]
    yield b64encode(secret.encode(errors="replace")).decode()


def _in_settings(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, Configuration):
        for field in type(value).model_fields:
            yield from _in_settings(getattr(value, field), field)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _in_settings(item, f"{name}_{key}" if is_secret(name) else str(key))
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _in_settings(item, name)
    elif isinstance(value, str):
        yield from _in_text(value, is_whole=is_secret(name))


def _in_text(value: str, *, is_whole: bool) -> Iterator[str]:
    if is_whole:
        yield value
    if (found := re.search(r"://[^:/@\s]*:(\S+)@", value)) is not None:
        yield found.group(1)
        yield unquote(found.group(1))


def _in_environment(environment: Mapping[str, str]) -> Iterator[str]:
    for variable, value in environment.items():
        words = variable.lower().split("_")
        if not any(word.rstrip("s") in _VARIABLE_WORDS or word in _VARIABLE_WORDS for word in words):
            continue
        if words[-1] == "file":
            yield from _in_file(value)
        elif len(value.strip()) >= _SHORTEST_VARIABLE:
            yield value.strip()


def _in_file(name: str) -> Iterator[str]:
    try:
        path = Path(name)
        if path.is_file() and path.stat().st_size <= _LARGEST_SECRET_FILE:
            value = path.read_text(encoding="utf-8").strip()
            if len(value) >= _SHORTEST_VARIABLE:
                yield value
    except (OSError, UnicodeDecodeError, ValueError):
        return  # whoever needs the secret says that it cannot be read


def secrets_of(settings: Configuration | None, environment: Mapping[str, str] | None = None) -> frozenset[str]:
    """Return the secret values of the settings and of the environment (None: the process's own)."""
    found = {value.strip() for value in _in_settings(settings)} if settings is not None else set()
    known = {value for value in found if len(value) >= _SHORTEST_SETTING}
    return frozenset(known | set(_in_environment(os.environ if environment is None else environment)))


def redactor_for(settings: Configuration | None, environment: Mapping[str, str] | None = None) -> Redactor:
    """Return the redactor of a process."""
    return Redactor(secrets_of(settings, environment))
