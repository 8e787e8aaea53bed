"""Readers of a live session's audit stream: everything that may be slow, behind queues, out of the decision thread.

`StoreWriter` keeps the session's run in the ledger, its notices, the answers to commands and its signs of life; `CommandPoller`
looks for commands. Both have a thread and connections of their own.
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
