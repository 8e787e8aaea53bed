"""Readers of a live session's audit stream: everything that may be slow, behind queues, out of the decision thread.

`StoreWriter` keeps the session's run in the ledger, its notices, the answers to commands and its signs of life; `CommandPoller`
looks for commands, `EvidencePoller` for what scouts have seen. Each has a thread and connections of its own.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from sovereign.core.command import Command, CommandKind
from sovereign.core.errors import SovereignError
from sovereign.core.event import Event, Notice, NoticeCode
from sovereign.core.session import NS_PER_MINUTE
from sovereign.engine.live import Seen
from sovereign.store.store import Store

_ANSWERS = {NoticeCode.COMMAND_TAKEN: True, NoticeCode.COMMAND_REFUSED: False}
_WAITING = 200_000
_FLUSH_S = 0.5
_GIVE_WAY_S = 0.02
_PATIENCE_S = 30.0
_logger = logging.getLogger("sovereign.session")

Work = Callable[[], object]


class StoreWriter:
    """Writes what a session says to the store, in the order in which it was said.

    Parameters
    ----------
    run : keeps the run's tables (`Store.sink`); written every half second, so that other processes see the session.
    redact : hides secrets in the words of notices.
    """

    def __init__(
        self, store: Store, session_id: str, account: str, run: Any, now_ns: Callable[[], int], redact: Callable[[str], str]
    ) -> None:
        self._live = store.live
        self._session_id = session_id
        self._account = account
        self._run = run
        self._now_ns = now_ns
        self._redact = redact
        self._waiting: queue.Queue[Event | Work | None] = queue.Queue(_WAITING)
        # A recovery says again what was said before; what is kept is not kept twice.
        self._kept = Counter(_words(stored.notice) for stored in store.live.notices(session_id=session_id))
        self.dropped = 0
        """Events that were not kept because the store was too slow; the recording has them."""
        self._unwritten = False
        self._thread = threading.Thread(target=self._loop, name="store-writer", daemon=True)
        self._thread.start()

    def __call__(self, event: Event) -> None:
        """Take one event; never waits."""
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            self.dropped += 1

    def beat(self, process: str, ts: int, state: Mapping[str, Any]) -> None:
        """Keep a sign of life."""
        kept = dict(state)
        self.later(lambda: self._live.beat(process, ts, kept))

    def later(self, work: Work) -> None:
        """Do something in the writer's thread, after all that was said before is kept; never waits."""
        try:
            self._waiting.put_nowait(work)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._waiting.put(None)
        self._thread.join(_PATIENCE_S)

    def _loop(self) -> None:
        while True:
            try:
                item = self._waiting.get(timeout=_FLUSH_S)
            except queue.Empty:
                self._try(self._flush)
                continue
            if item is None:
                self._try(self._flush)
                return
            if not self._waiting.qsize():
                time.sleep(_GIVE_WAY_S)  # what was just decided is leaving: no thread may want the interpreter now
            self._try(self._take, item)

    def _try(self, act: Callable[..., object], *arguments: Any) -> None:
        try:
            act(*arguments)
        except (SovereignError, SQLAlchemyError, OSError) as fault:
            _logger.warning("the store did not keep what the session said (%s)", str(fault).split("\n", 1)[0])

    def _flush(self) -> None:
        if self._unwritten:
            self._unwritten = False
            self._run.flush()

    def _take(self, item: Event | Work) -> None:
        if not isinstance(item, Event):
            self._flush()
            item()
            return
        self._unwritten = True
        self._run(item)
        if not isinstance(item, Notice):
            return
        if item.code in _ANSWERS:
            self._answer(item)
        notice = replace(item, text=self._redact(item.text))
        if self._kept[_words(notice)]:
            self._kept[_words(notice)] -= 1
            return
        self._live.add_notice(notice, session_id=self._session_id, account=self._account)

    def _answer(self, notice: Notice) -> None:
        # A command of the recovery itself has no row in the queue.
        try:
            self._live.commands.answer(
                notice.subject, is_done=_ANSWERS[notice.code], text=self._redact(notice.text), ts=self._now_ns()
            )
        except SovereignError as unknown:
            _logger.debug("%s", unknown)


def _words(notice: Notice) -> tuple[int, str, str, str]:
    return notice.ts, notice.code.value, notice.subject, notice.text


class CommandPoller:
    """Looks for commands in the store, and for a kill that was latched there; the decision thread takes them from here.

    Parameters
    ----------
    taken : commands that the session took before a restart and has not answered.
    """

    def __init__(
        self,
        store: Store,
        session_id: str,
        account: str,
        strategy: str,
        now_ns: Callable[[], int],
        *,
        every_s: float,
        taken: Sequence[Command] = (),
    ) -> None:
        self._live = store.live
        self._who = (session_id, account, strategy)
        self._account = account
        self._now_ns = now_ns
        self._every_s = every_s
        self._found: deque[Command] = deque(taken)
        self._killed_ns: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="commands", daemon=True)
        self._thread.start()

    def __call__(self) -> Sequence[Command]:
        """Return what was found since the last call; never waits."""
        found = []
        while self._found:
            found.append(self._found.popleft())
        return found

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(_PATIENCE_S)

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                self._look()
            except (SovereignError, SQLAlchemyError, OSError) as fault:
                _logger.warning("commands could not be looked for (%s)", str(fault).split("\n", 1)[0])
            self._stop.wait(self._every_s)

    def _look(self) -> None:
        self._found.extend(self._live.commands.take(*self._who, self._now_ns()))
        latch = self._live.latched(self._account)
        if latch is not None and latch.set_ns != self._killed_ns:
            self._killed_ns = latch.set_ns
            self._found.append(
                Command(
                    command_id=f"kill-{latch.set_ns}",
                    kind=CommandKind.HALT,
                    by=latch.set_by,
                    reason=latch.reason,
                    arguments={"cause": "kill"},
                )
            )


class EvidencePoller:
    """Looks in the store for what scouts have seen of some symbols; the decision thread takes it from here.

    Whoever watches, in this process or another, the store is where it is found. What lies after the market's present is not
    looked at. A store that does not answer is as silent as a scout that does not write: what it told last grows old.

    Parameters
    ----------
    market_ns : the present of the market that is traded, UTC ns.
    limits_min : age in minutes from which a scout counts as silent, by its name (`tape`, `news`).
    is_awaited : says of a scout and a market time whether anything can be expected of it then.
    """

    def __init__(
        self,
        store: Store,
        symbols: Sequence[str],
        market_ns: Callable[[], int],
        *,
        every_s: float,
        limits_min: Mapping[str, float],
        is_awaited: Callable[[str, int], bool],
    ) -> None:
        self._scouts = store.scouts
        self._symbols = tuple(symbols)
        self._market_ns = market_ns
        self._every_s = every_s
        self._limits = dict(limits_min)
        self._is_awaited = is_awaited
        self._told: dict[tuple[str, str], int] = {}
        self._latest: dict[str, int] = {}
        self._since: dict[str, int] = {}
        self._silent: set[str] = set()
        self._found: deque[Seen] = deque()
        self._stop = threading.Event()
        self._stirred = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="evidence", daemon=True)
        self._thread.start()

    def __call__(self) -> Seen:
        """Return the next piece that was found; never waits."""
        return self._found.popleft() if self._found else Seen()

    def look_now(self) -> None:
        """Look without waiting: a scout of this process has seen something."""
        self._stirred.set()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._stirred.set()
        self._thread.join(_PATIENCE_S)

    def _loop(self) -> None:
        while not self._stop.is_set():
            now = self._market_ns()
            try:
                self._look(now)
            except (SovereignError, SQLAlchemyError, OSError, ValueError, LookupError, TypeError) as fault:
                _logger.warning("evidence could not be looked for (%s)", str(fault).split("\n", 1)[0])
            self._watch(now)
            self._stirred.wait(self._every_s)
            self._stirred.clear()

    def _look(self, now: int) -> None:
        snapshots = [
            one for one in self._scouts.latest_snapshots(self._symbols, now) if self._is_new("tape", one.symbol, one.ts)
        ]
        readings = [one for one in self._scouts.latest_readings(self._symbols, now) if self._is_new("news", one.symbol, one.ts)]
        if snapshots or readings:
            self._found.append(Seen(snapshots=tuple(snapshots), readings=tuple(readings)))

    def _is_new(self, scout: str, symbol: str, ts: int) -> bool:
        if ts <= self._told.get((scout, symbol), -1):
            return False
        self._told[scout, symbol] = ts
        self._latest[scout] = max(ts, self._latest.get(scout, 0))
        return True

    def _watch(self, now: int) -> None:
        """Say once when a scout falls silent, and when it is back."""
        silent, back = {}, {}
        for scout, limit in self._limits.items():
            if not self._is_awaited(scout, now):
                self._since.pop(scout, None)
                continue
            heard = max(self._latest.get(scout, 0), self._since.setdefault(scout, now))
            is_silent = now - heard > limit * NS_PER_MINUTE
            subject = f"scout:{scout}"
            if is_silent and scout not in self._silent:
                self._silent.add(scout)
                silent[subject] = f"no {scout} for more than {limit:g} min: it counts as no data until the scout is back"
            elif scout in self._silent and now - self._latest.get(scout, 0) <= limit * NS_PER_MINUTE:
                self._silent.discard(scout)
                back[subject] = f"the {scout} scout is back"
        if silent or back:
            self._found.append(Seen(silent=silent, back=back))
