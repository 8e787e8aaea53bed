"""Times without entries: daily wall-clock windows and dated news intervals, parsed once when the door is built."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path

from sovereign.core.errors import ConfigurationError, UsageError
from sovereign.core.session import NS_PER_MINUTE, from_ns, to_ns

_WINDOW = re.compile(r"^(?P<start>\d{2}:\d{2})-(?P<end>\d{2}:\d{2})$")


@dataclass(frozen=True, slots=True)
class Window:
    """A daily wall-clock window `[start, end)`; it spans midnight when `end` is the earlier of the two."""

    start: time
    end: time

    @staticmethod
    def parse(text: str) -> Window:
        """Parse `HH:MM-HH:MM`; anything else raises `UsageError`."""
        match = _WINDOW.match(text.strip())
        if match is None:
            raise UsageError(f"window was '{text}'; write HH:MM-HH:MM, for example 12:00-13:00")
        try:
            start, end = time.fromisoformat(match["start"]), time.fromisoformat(match["end"])
        except ValueError as cause:
            raise UsageError(f"window was '{text}'; hours are 00-23 and minutes 00-59") from cause
        if start == end:
            raise UsageError(f"window was '{text}', which is empty; give it an end other than its start")
        return Window(start, end)

    def contains(self, clock: time) -> bool:
        """Say whether a wall-clock time lies inside."""
        if self.start < self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


@dataclass(frozen=True, slots=True)
class News:
    """An interval `[start_ns, end_ns)` without entries, and what it is about."""

    start_ns: int
    end_ns: int
    name: str


def _moment(text: str, line: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as cause:
        raise UsageError(
            f"news was '{line}'; write ISO 8601 with an offset, a moment or start/end, for example 2025-12-10T19:00:00Z"
        ) from cause
    if moment.tzinfo is None:
        raise UsageError(f"news was '{line}' without an offset; add one, for example Z or -05:00")
    return to_ns(moment)


def parse_news(lines: Iterable[str], before_minutes: int, after_minutes: int) -> tuple[News, ...]:
    """Parse news lines; a moment is widened by the given minutes, an interval is taken as written.

    Raises
    ------
    UsageError : a line is not an ISO 8601 moment or interval with an offset, or an interval ends before it starts.
    """
    news = []
    for line in lines:
        when, _, name = line.strip().partition(" ")
        start_text, slash, end_text = when.partition("/")
        start = _moment(start_text, line)
        if slash:
            end = _moment(end_text, line)
            if end <= start:
                raise UsageError(f"news was '{line}', which ends before it starts; swap the two times")
            news.append(News(start, end, name.strip() or when))
        else:
            padded = (start - before_minutes * NS_PER_MINUTE, start + after_minutes * NS_PER_MINUTE)
            news.append(News(*padded, name.strip() or when))
    return tuple(sorted(news, key=lambda item: (item.start_ns, item.end_ns)))


def read_news(path: str, before_minutes: int, after_minutes: int) -> tuple[News, ...]:
    """Read a news file; a file that cannot be read raises `ConfigurationError`, for no list must never mean no news."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise ConfigurationError(f"risk.news_file was '{path}', which cannot be read ({cause}); correct the path") from cause
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    try:
        return parse_news([line for line in lines if line], before_minutes, after_minutes)
    except UsageError as cause:
        raise ConfigurationError(f"risk.news_file '{path}': {cause}") from cause


@dataclass(frozen=True, slots=True)
class Schedule:
    """All times without entries."""

    zone: str
    windows: tuple[Window, ...]
    news: tuple[News, ...]

    def window_at(self, ts: int) -> Window | None:
        """Return the daily window that contains `ts`, or None."""
        if not self.windows:
            return None
        clock = from_ns(ts, self.zone).time()
        return next((window for window in self.windows if window.contains(clock)), None)

    def news_at(self, ts: int) -> News | None:
        """Return the news interval that contains `ts`, or None."""
        return next((news for news in self.news if news.start_ns <= ts < news.end_ns), None)
