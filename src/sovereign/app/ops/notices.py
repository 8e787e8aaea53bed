"""Notices and signs of life of a process that is not a session, kept in the store by a thread of its own.

The guard must not wait for a database that hangs, and must not stop when it fails: what cannot be kept is in the log.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sovereign.core.errors import SovereignError
from sovereign.core.event import Notice
from sovereign.store.configuration import StoreConfig

if TYPE_CHECKING:
    from sovereign.store.store import Store

_WAITING = 1_000
_PATIENCE_S = 5.0
_logger = logging.getLogger("sovereign.notices")

Work = Callable[["Store"], object]


class NoticeKeeper:
    """Writes to the store in the background; what comes while a thousand things wait is dropped and said in the log."""

    def __init__(self, config: StoreConfig) -> None:
        self._config = config
        self._waiting: queue.Queue[Work | None] = queue.Queue(maxsize=_WAITING)
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
        self._thread.start()

    def put(self, notice: Notice) -> None:
        """Keep a notice."""
        self._put(lambda store: store.live.add_notice(notice))

    def beat(self, process: str, ts: int, state: Mapping[str, Any]) -> None:
        """Keep a sign of life."""
        kept = dict(state)
        self._put(lambda store: store.live.beat(process, ts, kept))

    def close(self) -> None:
        """Write what waits, for a few seconds at most."""
        self._put(None)
        self._thread.join(_PATIENCE_S)

    def _put(self, work: Work | None) -> None:
        try:
            self._waiting.put_nowait(work)
        except queue.Full:
            _logger.warning("the store is too slow; a notice was not kept there")

    def _run(self) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        from sovereign.store.store import Store

        store: Store | None = None
        while (work := self._waiting.get()) is not None:
            try:
                if store is None:
                    store = Store(self._config)
                work(store)
            except (SovereignError, SQLAlchemyError, OSError) as fault:
                _logger.warning("the store did not keep a notice (%s)", str(fault).split("\n", 1)[0])
        if store is not None:
            store.close()
