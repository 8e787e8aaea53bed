"""Alpaca's client made patient and honest: every request has a deadline, none is repeated behind our back."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import dataclass
from typing import Any

from sovereign.core.errors import ConfigurationError, UsageError
from sovereign.feeds.vendor import BusyError, without_key

_BUSY = 429
_WORDS = 300
_REFUSED_KEYS = (401, 403)


@dataclass(frozen=True, slots=True)
class AlpacaKeys:
    """Both keys of an account; never printed."""

    key: str
    secret: str

    def __repr__(self) -> str:
        return "AlpacaKeys(***)"

    def hide(self, text: str) -> str:
        """Return text without the keys, whatever a server chose to repeat."""
        return without_key(without_key(text, self.key), self.secret)


def need_package() -> None:
    """Import the client.

    Raises
    ------
    UsageError : it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it is built on the old part of websockets
            import alpaca.data.live
            import alpaca.trading.stream  # noqa: F401
    except ImportError as cause:
        raise UsageError(f"the package alpaca-py was not usable ({cause}); run pip install 'sovereign[alpaca]'") from cause


def harden(client: Any, request_s: float) -> Any:
    """Give a REST client a deadline for every request, and take away its own retries, which repeat orders as well."""
    from requests.adapters import HTTPAdapter

    class Deadline(HTTPAdapter):  # type: ignore[misc,unused-ignore]
        connect_s = request_s  # less for what must leave soon or not at all

        def send(self, request: Any, *arguments: Any, **named: Any) -> Any:
            named["timeout"] = named.get("timeout") or (min(self.connect_s, request_s), request_s)
            return super().send(request, *arguments, **named)

    for scheme in ("http://", "https://"):
        client._session.mount(scheme, Deadline(max_retries=0))
    client._retry_codes = []
    return client


@dataclass(frozen=True, slots=True)
class Refusal:
    """What Alpaca answered instead of doing it: HTTP status, its own code, its words, and how long to wait (429).

    `is_unsent`: the refusal is our own, and nothing was sent.
    """

    status: int
    code: int
    text: str
    wait_s: float | None = None
    is_unsent: bool = False

    @property
    def is_busy(self) -> bool:
        """Whether it was the rate limit: nothing was done."""
        return self.status == _BUSY

    @property
    def is_certain(self) -> bool:
        """Whether it says that nothing was done; a server's failure does not."""
        return self.is_unsent or 400 <= self.status < 500


def refusal_of(error: Any, keys: AlpacaKeys) -> Refusal:
    """Return what an `APIError` of the client says."""
    response = error.response
    status = int(response.status_code) if response is not None else 0
    text, code = str(error), 0
    try:
        body = json.loads(text)
        code, text = int(body.get("code", 0)), str(body.get("message", text))
    except (ValueError, AttributeError, TypeError, OverflowError):
        code = 0
    return Refusal(status, code, fit(keys.hide(text)) or f"status {status}", None if response is None else _wait_s(response))


def fit(text: str) -> str:
    """Return words of Alpaca's fit for a log, a table and a screen: a line of some length, no control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text[: 4 * _WORDS].split())[:_WORDS])


def _wait_s(response: Any) -> float | None:
    try:
        wait = float(response.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return wait if 0 <= wait < math.inf else None


def raise_for_query(error: Exception, keys: AlpacaKeys, most_s: float) -> None:
    """Turn a failed query into one of our own errors; `most_s` is the longest wait that is granted, in seconds.

    Raises
    ------
    BusyError : asking again may help. ConfigurationError : the keys were refused. UsageError : the query was.
    """
    from alpaca.common.exceptions import APIError

    if not isinstance(error, APIError):
        raise BusyError(keys.hide(" ".join(str(error).split()))) from None
    said = refusal_of(error, keys)
    if said.is_busy or said.status >= 500 or not said.status:
        raise BusyError(f"{said.status}: {said.text}", None if said.wait_s is None else min(said.wait_s, most_s)) from None
    if said.status in _REFUSED_KEYS:
        raise ConfigurationError(
            f"Alpaca refused ({said.status}: {said.text}); set ALPACA_API_KEY and ALPACA_SECRET_KEY to valid ones, or, when "
            f"the subscription does not include this data, choose alpaca.feed = 'iex'"
        ) from None
    raise UsageError(f"Alpaca refused the query: {said.text}") from None
