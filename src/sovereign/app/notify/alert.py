"""What a person is told: one matter in words, with a severity and a key that says which alerts are about the same matter."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sovereign.core.event import Severity
from sovereign.core.instrument import Instrument
from sovereign.core.session import from_ns

RANK = {severity: rank for rank, severity in enumerate(Severity)}
"""Severities in order, INFO first."""

SERIOUS = RANK[Severity.ALARM]
"""From this rank on an alert is kept until it is delivered."""

_JOINER = "\u2060"  # invisible, and neither a mention, a command nor a link may hold it
_BREAKS = (
    (re.compile(r"@(?=\w)"), "@" + _JOINER),
    (re.compile(r"(?<!\w)/(?=\w)"), "/" + _JOINER),
    (re.compile(r"://"), ":" + _JOINER + "//"),
    (re.compile(r"(?<=\w)\.(?=[^\W\d_]{2})"), "." + _JOINER),
)


class Topic(StrEnum):
    """What an alert is about, for muting."""

    SESSION = "session"
    TRADE = "trade"
    ORDER = "order"
    RISK = "risk"
    TIER = "tier"
    CONNECTION = "connection"
    RECONCILIATION = "reconciliation"
    COMMAND = "command"
    SYSTEM = "system"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One thing to tell.

    Parameters
    ----------
    key : the matter; alerts with the same key are repeats of one another.
    ts : when it happened, UTC ns. zone : IANA name of the zone its time is shown in.
    text : one or more sentences. fields : (name, value) pairs shown beside each other.
    resolves : key of the matter that this ends, or a prefix with a colon at its end for several; empty for none.
    is_quiet_alone : not sent when it ends nothing (a check that found all well).
    chart : a PNG picture, or None.
    """

    key: str
    ts: int
    severity: Severity
    topic: Topic
    title: str
    text: str
    zone: str
    fields: tuple[tuple[str, str], ...] = ()
    resolves: str = ""
    is_quiet_alone: bool = False
    chart: bytes | None = None

    @property
    def rank(self) -> int:
        """The severity as a number, 0 for INFO."""
        return RANK[self.severity]

    @property
    def identity(self) -> str:
        """What tells this alert from every other: an alert made twice from one event has one identity."""
        return hashlib.sha256("\0".join((self.key, str(self.ts), self.title, self.text)).encode()).hexdigest()[:16]

    @property
    def time_text(self) -> str:
        """When it happened, in the exchange's zone."""
        return moment(self.ts, self.zone)

    def to_json(self) -> str:
        """Return the alert as text that `from_json` reads."""
        plain: dict[str, Any] = {name: getattr(self, name) for name in type(self).__slots__}
        plain["chart"] = None if self.chart is None else base64.b64encode(self.chart).decode()
        return json.dumps(plain)

    @staticmethod
    def from_json(text: str) -> Alert:
        """Return the alert that `to_json` wrote."""
        plain = json.loads(text)
        chart = plain.pop("chart")
        return Alert(
            **{
                **plain,
                "severity": Severity(plain["severity"]),
                "topic": Topic(plain["topic"]),
                "fields": tuple((name, value) for name, value in plain["fields"]),
                "chart": None if chart is None else base64.b64decode(chart),
            }
        )

    def masked(self, mask: Any) -> Alert:
        """Return the alert with `mask`, a function of text, applied to all that is shown."""
        fields = tuple((mask(name), mask(value)) for name, value in self.fields)
        return replace(self, title=mask(self.title), text=mask(self.text), fields=fields)


def outside(text: object, limit: int) -> str:
    """Return text from outside the platform on one line that can neither mention, command, link nor hide anything.

    Control and direction characters go; mentions, bot commands and addresses are broken by an invisible character.
    Markdown is escaped where a channel knows it, in the channel.
    """
    kept = "".join(
        " " if character.isspace() else character
        for character in str(text)[: 4 * limit]
        if character.isspace() or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    line = " ".join(kept.split())
    if len(line) > limit:
        line = line[: limit - 1].rstrip() + "\u2026"
    for pattern, broken in _BREAKS:
        line = pattern.sub(broken, line)
    return line


def moment(ts: int, zone: str) -> str:
    """Return a moment as `2025-11-20 15:55:00 EST`."""
    return f"{from_ns(ts, zone):%Y-%m-%d %H:%M:%S %Z}"


def clock_text(ts: int, zone: str) -> str:
    """Return a moment as `15:55 EST`."""
    return f"{from_ns(ts, zone):%H:%M %Z}"


def price(instrument: Instrument, ticks: float) -> str:
    """Return a price of `ticks` (averages lie between ticks) with the instrument's decimals; `unknown` for NaN."""
    if ticks != ticks:  # noqa: PLR0124 - NaN is not equal to itself
        return "unknown"
    return f"{instrument.tick_size * Decimal(repr(float(ticks))):,.{instrument.price_precision}f}"


def amount(value: Decimal, currency: str = "USD", *, is_signed: bool = True) -> str:
    """Return money as `+1,234.50 USD`."""
    return f"{value:+,.2f} {currency}" if is_signed else f"{value:,.2f} {currency}"


def lasted(duration_ns: int) -> str:
    """Return a duration in words: `42 s`, `3 min`, `2 h 5 min`."""
    seconds = max(0, duration_ns) // 1_000_000_000
    if seconds < 120:
        return f"{seconds} s"
    minutes = seconds // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
