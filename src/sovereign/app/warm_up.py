"""Recorded bars of the catalog from before the first session that was traded: what signals of many sessions begin with.

A strategy whose signals need months would otherwise have to run for months before it may trade. Which bars they were stands in
the head of the session's recording, with their digest, so that a restart and the twin begin with the same ones.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sovereign.core.errors import CorruptFileError, NotFoundError

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.core.configuration import Configuration
    from sovereign.core.instrument import Instrument
    from sovereign.feeds.bars import BarFeed
    from sovereign.store.catalog import Catalog

_KEY = "warm_up_bars"
_SAY_EVERY_S = 5.0
_logger = logging.getLogger("sovereign.session")


@dataclass(frozen=True, slots=True)
class EarlierData:
    """Bars as a feed, and what names them in a recording's head."""

    feed: BarFeed
    name: Mapping[str, Any]


def bars_before(
    settings: Settings,
    section: Configuration,
    path: Path,
    trade_date: date,
    instruments: Sequence[Instrument],
    recordings: Sequence[Path],
) -> EarlierData | None:
    """Return what of the catalog warms a session's signals up; one that goes on begins with what its recording names.

    Parameters
    ----------
    section : of the strategy. path : of the session's recording. recordings : those that warm up as well, oldest first.
    """
    from sovereign.store.recording import read_header

    symbols = [instrument.symbol for instrument in instruments]
    if path.is_file():
        try:
            return named_bars(settings, symbols, read_header(path))
        except CorruptFileError:
            _logger.debug("%s has no whole header; it begins anew", path)
    before = date.fromisoformat(str(read_header(recordings[0])["trade_date"])) if recordings else trade_date
    return earlier_bars(settings, section, symbols, before, len(recordings))


def earlier_bars(
    settings: Settings, section: Configuration, symbols: Sequence[str], before: date, recorded: int
) -> EarlierData | None:
    """Return the catalog's bars that go before the sessions already recorded; None when there are none, or none are wanted.

    Parameters
    ----------
    section : of the strategy. before : first trade date that is not wanted any more. recorded : sessions that were recorded.
    """
    from sovereign.app.plan import open_catalog
    from sovereign.strategies import bar_seconds_of

    width, wanted = bar_seconds_of(section), sessions_before(settings, section) - recorded
    if width is None or wanted <= 0 or not settings.data.catalog.is_dir():
        return None
    catalog = open_catalog(settings)
    seconds = _widest(catalog, symbols, width, before)
    if seconds is None:
        return None
    days = sorted({day for symbol in symbols for day in catalog.dates(symbol, f"bars-{seconds}") if day < before})[-wanted:]
    return _feed(settings, catalog, symbols, seconds, days[0], days[-1])


def sessions_before(settings: Settings, section: Configuration) -> int:
    """Return how many sessions before the first one signals see: as the strategy's section says, else as all sessions do."""
    return int(getattr(section, "warm_up_sessions", settings.session.warm_up_sessions))


def named_bars(settings: Settings, symbols: Sequence[str], header: Mapping[str, Any]) -> EarlierData | None:
    """Return the bars that a recording's head names, as the catalog has them now; None when it names none or they are gone."""
    from sovereign.app.plan import open_catalog

    wanted = header.get(_KEY)
    if wanted is None or not settings.data.catalog.is_dir():
        return None
    first, last = date.fromisoformat(wanted["first"]), date.fromisoformat(wanted["last"])
    try:
        return _feed(settings, open_catalog(settings), symbols, int(wanted["seconds"]), first, last)
    except NotFoundError:
        return None


class WarmUpTeller:
    """Tells a person what signals begin with, and while that takes long how far they are.

    Parameters
    ----------
    say : takes a line. bars, recordings : what signals see first. symbols : how many there are.
    needed : sessions until all signals are known, as `strategies.warm_up_sessions_of` says.
    monotonic : a clock (s).
    """

    def __init__(
        self,
        say: Callable[[str], object],
        bars: EarlierData | None,
        recordings: int,
        symbols: int,
        needed: int,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say, self._bars, self._recordings = say, bars, recordings
        self._symbols, self._needed, self._monotonic = symbols, needed, monotonic
        self._done = 0
        self._said_s = 0.0

    def next(self, symbol: str) -> None:
        """Take note that the signals of the next symbol begin to look back."""
        now = self._monotonic()
        if not self._done:
            self._said_s = now
            self._say(self.text)
        elif now - self._said_s >= _SAY_EVERY_S:
            self._said_s = now
            self._say(f"  {self._done} of {self._symbols} symbols have; {symbol} is next")
        self._done += 1

    @property
    def text(self) -> str:
        """What signals begin with, in a sentence."""
        sessions = 0 if self._bars is None else sum(1 for _ in self._bars.feed.sessions())
        parts = []
        if self._bars is not None:
            name = self._bars.name
            parts.append(f"{sessions:,} sessions of {name['seconds']} s bars, {name['first']} to {name['last']}")
        if self._recordings:
            parts.append(f"{self._recordings:,} recorded session{'s' * (self._recordings > 1)}")
        known = sessions + self._recordings
        plural = "s" * (self._needed != 1)
        short = f"; all of them are known after {self._needed:,} session{plural}" if known < self._needed else ""
        return f"  signals look back on {' and '.join(parts) or 'nothing: no session came before this one'}{short}"


def hole_text(missing: Sequence[date]) -> str:
    """Return what is wrong when sessions are missing."""
    which = f"{missing[0]}" if len(missing) == 1 else f"the {len(missing):,} sessions from {missing[0]} to {missing[-1]}"
    return f"signals know nothing of {which}, and take the days around for neighbors: bars of them were not in the catalog"


def missing_sessions(instrument: Instrument, bars: EarlierData, recordings: Sequence[Path], before: date) -> tuple[date, ...]:
    """Return the trade dates between the last one that signals look back on and `before`."""
    from sovereign.feeds.calendar import calendar_for
    from sovereign.store.recording import read_header

    seen = [date.fromisoformat(str(read_header(path)["trade_date"])) for path in recordings]
    last = max([*seen, date.fromisoformat(str(bars.name["last"]))])
    days = calendar_for(instrument.calendar).sessions(last, before)
    return tuple(session.trade_date for session in days if last < session.trade_date < before)


def _widest(catalog: Catalog, symbols: Sequence[str], width: int, before: date) -> int | None:
    """Return the width of the widest bars, at most `width` s, that every symbol has before a date that any has them of."""
    held = {entry.kind for entry in catalog.entries() if entry.symbol in symbols and entry.kind.startswith("bars-")}
    widths = sorted((int(kind.removeprefix("bars-")) for kind in held), reverse=True)
    fitting = [seconds for seconds in widths if seconds <= width and width % seconds == 0]
    counted = {
        seconds: sum(1 for symbol in symbols if any(day < before for day in catalog.dates(symbol, f"bars-{seconds}")))
        for seconds in fitting
    }
    most = max(counted.values(), default=0)
    return next((seconds for seconds in fitting if most and counted[seconds] == most), None)


def _feed(settings: Settings, catalog: Catalog, symbols: Sequence[str], seconds: int, first: date, last: date) -> EarlierData:
    from sovereign.app.plan import partitions_hash
    from sovereign.core.instrument import find_instrument
    from sovereign.feeds.bars import BarFeed
    from sovereign.feeds.calendar import calendar_for

    kind = f"bars-{seconds}"
    known = [symbol for symbol in symbols if any(first <= day <= last for day in catalog.dates(symbol, kind))]
    if not known:
        raise NotFoundError(f"no {seconds}-second bars of {', '.join(symbols)} from {first} to {last} were in the catalog")
    calendar = calendar_for(find_instrument(known[0]).calendar)
    feed = BarFeed(catalog, known, seconds, first, last, calendar, hours=settings.risk.hours)
    digest = partitions_hash(catalog, known, kind, first, last)
    name = {
        "seconds": seconds,
        "first": first.isoformat(),
        "last": last.isoformat(),
        "symbols": list(symbols),
        "digest": digest,
    }
    return EarlierData(feed, name)
