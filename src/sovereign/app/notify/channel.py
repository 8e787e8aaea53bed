"""What every channel shares: one HTTP call with an outcome instead of exceptions, and secrets that never reach a log.

The outcomes say what the delivery does next (see `Outcome`). No exception of the HTTP library leaves this module, since its
texts hold addresses, and the address of a webhook is a secret as a whole.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import quote

import httpx

from sovereign.app.notify.alert import Alert
from sovereign.app.notify.configuration import AlertsConfig
from sovereign.store.configuration import MASK

_SHORTEST_SECRET = 6  # a shorter "secret" would mask ordinary words


class Kind(StrEnum):
    """How a call ended."""

    SENT = "SENT"  # the channel has it
    LIMITED = "LIMITED"  # too many: the whole channel waits
    UNREACHABLE = "UNREACHABLE"  # nothing was sent: try again
    UNSURE = "UNSURE"  # it may have arrived: try again, marked as a possible repeat
    REFUSED = "REFUSED"  # this message is not taken, and would not be the next time
    LOCKED_OUT = "LOCKED_OUT"  # the key or address is wrong: only a person can help


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a call ended; `wait_s` is how long the channel asked to be left alone, `answer` the decoded JSON of a success."""

    kind: Kind
    detail: str = ""
    wait_s: float = 0.0
    answer: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An alert as it goes out; `is_repeat` when it may have arrived before, `delay_s` how long it has waited."""

    alert: Alert
    is_repeat: bool = False
    delay_s: float = 0.0

    @property
    def note(self) -> str:
        """What is said below the alert about its delivery."""
        parts = [f"#{self.alert.identity[:6]}"]
        if self.delay_s >= 60:
            parts.append(f"sent {round(self.delay_s / 60)} min late")
        if self.is_repeat:
            parts.append("may have arrived before")
        return ", ".join(parts)


def fitting(messages: Sequence[Message], size_of: Callable[[Message], int], most: int, limit: int) -> int:
    """Return how many of the first messages go into one, at least 1; one with a chart goes alone.

    Parameters
    ----------
    most : how many at the most. limit : what their sizes together may be, in the units of `size_of`.
    """
    size, count = 0, 0
    for message in messages[:most]:
        size += size_of(message)
        if count and (size > limit or message.alert.chart is not None):
            break
        count += 1
        if message.alert.chart is not None:
            break
    return max(1, count)


class Channel(Protocol):
    """A way to people."""

    name: str

    def fit(self, messages: Sequence[Message]) -> int:
        """Return how many of the first messages one call can carry, at least 1."""
        ...

    def send(self, messages: Sequence[Message]) -> Outcome:
        """Send messages in one call; never raises for anything that the other side does."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Secrets:
    """Texts that must not be shown, of all channels of the process: what one of them echoes may be another's."""

    _texts: tuple[str, ...] = ()

    @classmethod
    def add(cls, values: Iterable[str]) -> None:
        """Hide these from now on, also as they are written inside an address, and in the log of the HTTP library."""
        found = {
            text for value in values for text in (value, quote(value, safe=""), quote(value)) if len(text) >= _SHORTEST_SECRET
        }
        cls._texts = tuple(sorted(found.union(cls._texts), key=len, reverse=True))
        logger = logging.getLogger("httpx")  # names the whole address of each request
        if not any(isinstance(one, _Hiding) for one in logger.filters):
            logger.addFilter(_Hiding())

    @classmethod
    def mask(cls, text: str) -> str:
        """Return the text without secrets."""
        for secret in cls._texts:
            text = text.replace(secret, MASK)
        return text


class _Hiding(logging.Filter):
    """Hides secrets in log lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = Secrets.mask(record.getMessage()), ()
        return True


class Caller:
    """Makes HTTP calls for one channel, whose `secrets` are hidden from then on."""

    def __init__(self, config: AlertsConfig, secrets: Iterable[str]) -> None:
        Secrets.add(secrets)
        self._config = config
        self._client = httpx.Client(
            timeout=httpx.Timeout(config.timeout_s), follow_redirects=False, limits=httpx.Limits(max_connections=4)
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def post(self, url: str, *, wait_more_s: float = 0.0, **content: Any) -> Outcome:
        """Post (`json`, `data`, `files` as httpx has them) and return how it ended; `wait_more_s` is added to the time-out."""
        timeout = httpx.Timeout(self._config.timeout_s, read=self._config.timeout_s + wait_more_s)
        try:
            response = self._client.post(url, timeout=timeout, **content)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as fault:
            return Outcome(kind=Kind.UNREACHABLE, detail=self._say(fault))
        except (httpx.HTTPError, httpx.StreamError) as fault:
            return Outcome(kind=Kind.UNSURE, detail=self._say(fault))
        except (httpx.InvalidURL, ValueError) as fault:
            return Outcome(kind=Kind.LOCKED_OUT, detail=f"the address cannot be used ({type(fault).__name__})")
        except RuntimeError:
            return Outcome(kind=Kind.UNREACHABLE, detail="the connection was closed by us")
        return self._judge(response)

    def _say(self, fault: Exception) -> str:
        return Secrets.mask(f"{type(fault).__name__}: {fault}")[:200]

    def _judge(self, response: httpx.Response) -> Outcome:
        status = response.status_code
        try:
            answer = response.json()
        except (ValueError, UnicodeDecodeError):
            answer = None
        detail = Secrets.mask(f"{status} {response.text[:150]}")
        if 200 <= status < 300:
            return Outcome(kind=Kind.SENT, detail=str(status), wait_s=self._bucket_wait(response), answer=answer)
        if status == 429:
            return Outcome(kind=Kind.LIMITED, detail=detail, wait_s=self._limit_wait(response, answer))
        if status >= 500 or status == 408:
            return Outcome(kind=Kind.UNSURE, detail=detail, wait_s=self._header_wait(response))
        if 300 <= status < 400:
            return Outcome(kind=Kind.UNREACHABLE, detail=f"{status}: something in between redirects")
        if status in (401, 403, 404, 407, 410):
            return Outcome(kind=Kind.LOCKED_OUT, detail=detail, answer=answer)
        return Outcome(kind=Kind.REFUSED, detail=detail, answer=answer)

    def _clamped(self, seconds: float) -> float:
        return min(max(seconds, self._config.retry_after_min_s), self._config.retry_after_max_s)

    def _limit_wait(self, response: httpx.Response, answer: Any) -> float:
        # Header and body have been seen in seconds and in milliseconds; the smaller is the one in seconds, and a wait that
        # was too short only earns the next one.
        found = [_number(response.headers.get("Retry-After"))]
        if isinstance(answer, Mapping):
            found.append(_number(answer.get("retry_after")))
            parameters = answer.get("parameters")
            if isinstance(parameters, Mapping):
                found.append(_number(parameters.get("retry_after")))
        known = [value for value in found if value is not None]
        return self._clamped(min(known) if known else self._config.backoff_s)

    def _header_wait(self, response: httpx.Response) -> float:
        seconds = _number(response.headers.get("Retry-After"))
        return 0.0 if seconds is None else self._clamped(seconds)

    def _bucket_wait(self, response: httpx.Response) -> float:
        # Discord tells with each answer how many calls are left, and when there will be more.
        if response.headers.get("X-RateLimit-Remaining") != "0":
            return 0.0
        seconds = _number(response.headers.get("X-RateLimit-Reset-After"))
        return 0.0 if seconds is None or seconds <= 0 else self._clamped(seconds)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def as_json(value: Any) -> str:
    """Return JSON text without escapes of other alphabets."""
    return json.dumps(value, ensure_ascii=False)
