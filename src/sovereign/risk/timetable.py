"""The times of one session that the checks ask for, worked out once as UTC nanoseconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sovereign.core.session import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND, Session, from_ns
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.window import News, Schedule, Window, parse_news, read_news


class Timetable:
    """Entry hours, windows and news of a session.

    Parameters
    ----------
    session : None when nobody knows it; then only the windows and the news can be asked for.

    Attributes
    ----------
    first_ns, end_ns : an entry may be made in `[first_ns, end_ns)`; `hours` says the same in words.
    late_ns : one may be made at this moment as well, the end of the hours; -1 when it may not.
    """

    def __init__(self, config: RiskConfig, schedule: Schedule, session: Session | None) -> None:
        self.session = session
        self.schedule = schedule
        self.first_ns = self.end_ns = self._open_ns = self._close_ns = 0
        self.late_ns = -1
        self._hours = config.hours
        self._windows: list[tuple[int, int, Window]] = []
        self._news: list[News] = []
        if session is None:
            return
        is_regular = config.hours == "regular"
        start = session.regular_open_ns if is_regular else session.open_ns
        end = session.regular_close_ns if is_regular else session.close_ns
        self.first_ns = start + config.first_entry_after_open_minutes * NS_PER_MINUTE
        self.end_ns = end - config.last_entry_before_close_minutes * NS_PER_MINUTE
        if config.can_enter_at_close:
            self.late_ns = end
        windows = _intervals(schedule, session)
        if windows is not None:
            self._windows = windows
            self._news = [news for news in schedule.news if news.end_ns > session.open_ns and news.start_ns < session.close_ns]
            self._open_ns, self._close_ns = session.open_ns, session.close_ns

    def is_entered_at(self, ts: int) -> bool:
        """Say whether entries are taken at a time; never when nobody knows the session."""
        return self.first_ns <= ts < self.end_ns or ts == self.late_ns

    def are_entered_at(self, ts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say of several times whether entries are taken."""
        are: NDArray[np.bool_] = (ts >= self.first_ns) & (ts < self.end_ns)
        return are if self.late_ns < 0 else are | (ts == self.late_ns)

    @property
    def hours(self) -> str:
        """When entries are taken, in words; empty when the session is not known."""
        if self.session is None:
            return ""
        first, last = (from_ns(ts, self.session.zone) for ts in (self.first_ns, self.end_ns))
        return f"{first:%H:%M}-{last:%H:%M} {self.session.zone} ({self._hours} hours)" + (
            f" and at {from_ns(self.late_ns, self.session.zone):%H:%M}" if self.late_ns >= 0 else ""
        )

    def __str__(self) -> str:
        return self.hours

    def window_at(self, ts: int) -> Window | None:
        """Return the daily window that contains `ts`, or None."""
        if not self._open_ns <= ts < self._close_ns:
            return self.schedule.window_at(ts)
        for start, end, window in self._windows:
            if start <= ts < end:
                return window
        return None

    def news_at(self, ts: int) -> News | None:
        """Return the news interval that contains `ts`, or None."""
        if not self._open_ns <= ts < self._close_ns:
            return self.schedule.news_at(ts)
        for news in self._news:
            if news.start_ns <= ts < news.end_ns:
                return news
        return None


def schedule_of(config: RiskConfig) -> Schedule:
    """Return the windows and news that a configuration names; see `read_news` for what can go wrong."""
    before, after = config.news_before_minutes, config.news_after_minutes
    news = parse_news(config.news, before, after)
    if config.news_file is not None:
        news += read_news(config.news_file, before, after)
    return Schedule(config.clock_zone, tuple(Window.parse(text) for text in config.excluded_windows), news)


def _intervals(schedule: Schedule, session: Session) -> list[tuple[int, int, Window]] | None:
    # The windows between open and close; None when the clocks are changed in between, and only a clock can tell.
    if not schedule.windows and not schedule.news:
        return []
    opens, closes = (from_ns(ts, schedule.zone).utcoffset() for ts in (session.open_ns, session.close_ns))
    if opens is None or opens != closes:
        return None
    offset = round(opens.total_seconds()) * NS_PER_SECOND
    midnight = (session.open_ns + offset) // NS_PER_DAY * NS_PER_DAY - offset
    days = range(midnight - NS_PER_DAY, session.close_ns, NS_PER_DAY)
    intervals = []
    for window in schedule.windows:
        start, end = (clock.hour * 60 + clock.minute for clock in (window.start, window.end))
        length = (end - start) % (24 * 60)
        intervals += [(day + start * NS_PER_MINUTE, day + (start + length) * NS_PER_MINUTE, window) for day in days]
    return intervals
