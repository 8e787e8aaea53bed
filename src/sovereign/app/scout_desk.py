"""The scouts beside a trading process: news day and night, the tape in regular hours, all of it into the store.

They have threads of their own and can neither keep the decision thread waiting nor end the session: what breaks is logged and
tried again, and until then there is no data. The session finds in the store whatever they, or `sovereign scout` in another
process, have seen.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from sovereign.core.errors import SovereignError
from sovereign.core.port import EvidenceListener
from sovereign.core.session import NS_PER_MINUTE, Session

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.app.market_tape import MarketTapes
    from sovereign.app.scout import NewsScout, TapeSet
    from sovereign.app.task import Task
    from sovereign.core.configuration import Configuration
    from sovereign.store.store import Store

_PATIENCE_S = 30.0
_logger = logging.getLogger("sovereign.scouts")


def silence_limits(section: Configuration) -> dict[str, float]:
    """Return the age in minutes from which a strategy takes what a scout saw for no data, by scout."""
    found = {}
    for scout, part, key in (("tape", "crowd", "tape_age_minutes"), ("news", "institution", "news_age_minutes")):
        limit = getattr(getattr(section, part, None), key, None)
        if limit is not None and scout not in getattr(section, "without", ()):
            found[scout] = float(limit)
    return found


def is_awaited(session: Session, scout: str, ts: int) -> bool:
    """Say whether a scout can be expected to have seen something: the tape in regular hours, news while a session is on."""
    return session.is_regular(ts) if scout == "tape" else session.open_ns <= ts < session.close_ns


class ScoutDesk:
    """Runs the scouts of a process, from the first session on until it is closed.

    Parameters
    ----------
    store : of this desk alone; closed by its owner.
    tapes : what the quotes of the session's feed go to; None where it has no quotes with sizes.

    Attributes
    ----------
    on_kept : called by the tape scout when snapshots are in the store; must return at once.
    """

    def __init__(self, settings: Settings, store: Store, tapes: TapeSet | MarketTapes | None = None) -> None:
        from sovereign.app.market_tape import MarketTapes

        self._settings, self._store, self.tapes = settings, store, tapes
        self.on_kept: Callable[[], object] = _nothing
        self._stirred = threading.Event()
        self._market_tapes = tapes if isinstance(tapes, MarketTapes) else None
        if self._market_tapes is not None:
            self._market_tapes.on_due = self._stirred.set
        self._now_ns: Callable[[], int] | None = None
        self._symbols: tuple[str, ...] = ()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._news, name="scout-news", daemon=True)]
        if tapes is not None:
            self._threads.append(threading.Thread(target=self._tape, name="scout-tape", daemon=True))
        for thread in self._threads:
            thread.start()

    def watch(self, now_ns: Callable[[], int], symbols: Sequence[str], session: Session | None = None) -> None:
        """Look at these symbols from now on, by the time of the market that is traded, and at its `session` when one begins."""
        self._symbols, self._now_ns = tuple(symbols), now_ns
        if session is not None and self._market_tapes is not None:
            self._market_tapes.begin(session, symbols)

    def close(self) -> None:
        """End the threads; what the tape scout has seen is kept first."""
        self._stop.set()
        self._stirred.set()
        for thread in self._threads:
            thread.join(_PATIENCE_S)

    def now_ns(self) -> int:
        """Return the present of the market that is traded (UTC ns); 0 before any is."""
        return 0 if self._now_ns is None else self._now_ns()

    def _news(self) -> None:
        from sovereign.app.scout import LOOK_S, NewsScout

        step = round(self._settings.news.every_min * NS_PER_MINUTE)
        due: Mapping[str, int] = {}
        scout: NewsScout | None = None
        try:
            while not self._stop.wait(LOOK_S):
                now = self.now_ns()
                late = [symbol for symbol in self._symbols if now and due.get(symbol, 0) <= now]
                if not late:
                    continue
                scout = scout or NewsScout(self._settings, self.now_ns, self._store.scouts.add_reading)
                due = {**due, **dict.fromkeys(late, now + step)}
                for symbol in late:
                    if self._stop.is_set():
                        break
                    self._read(scout, symbol)
        except Exception:  # told; the session goes on without news
            _logger.exception("the news scout has ended; news are no data from now on")
        finally:
            if scout is not None:
                scout.close()

    def _read(self, scout: NewsScout, symbol: str) -> None:
        try:
            reading = scout.read(symbol)
        except (SovereignError, SQLAlchemyError, OSError) as fault:
            _logger.warning("the news of %s were not read (%s)", symbol, str(fault).split("\n", 1)[0])
            return
        for source, reason in reading.missing.items():
            _logger.info("%s: no data of %s (%s)", source, symbol, reason)

    def _tape(self) -> None:
        from sovereign.app.scout import LOOK_S

        tapes, is_last = self.tapes, False
        while tapes is not None and not is_last:
            self._stirred.wait(LOOK_S)
            self._stirred.clear()
            is_last = self._stop.is_set()
            try:
                if tapes.look():
                    self.on_kept()
            except (SovereignError, SQLAlchemyError, OSError) as fault:
                _logger.warning("snapshots of the tape were not kept (%s)", str(fault).split("\n", 1)[0])


def _nothing() -> None:
    """Nobody waits for snapshots."""


def start_scouts(settings: Settings, task: Task, store: Store) -> ScoutDesk | None:
    """Start the scouts of a task's strategy; None for one that does not listen to any, or when they run elsewhere."""
    from sovereign.app.brokers import ALPACA, MachineClock
    from sovereign.app.market_tape import MarketTapes
    from sovereign.app.plan import strategy_section
    from sovereign.app.scout import TapeSet
    from sovereign.feeds.calendar import calendar_for
    from sovereign.strategies import benchmarks_of, load_strategy

    section = strategy_section(settings, task.strategy)
    if not settings.session.runs_scouts or not isinstance(load_strategy(task.strategy, section), EvidenceListener):
        return None
    if task.broker != ALPACA:  # time begins with a session there, and so does the watch
        return ScoutDesk(settings, store, MarketTapes(settings, store.scouts.add_snapshots))
    clock, benchmarks = MachineClock(), benchmarks_of(section)
    traded = [symbol for symbol in task.symbols if symbol not in benchmarks]
    tapes = TapeSet(settings, traded, calendar_for("XNYS"), clock.now_ns, store.scouts.add_snapshots)
    desk = ScoutDesk(settings, store, tapes)
    desk.watch(clock.now_ns, traded)  # news come in at night as well
    return desk
