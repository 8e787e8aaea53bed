"""Which run is looked at, and what is known of it at a moment: its book in the store and its market."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from sovereign.app.dashboard.book import Book
from sovereign.app.dashboard.market import Markets, settings_of
from sovereign.app.dashboard.replica import Replica
from sovereign.core.errors import NotFoundError
from sovereign.core.instrument import Instrument

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.store.live import LiveSession
    from sovereign.store.runs import StoredRun
    from sovereign.store.store import Store

DAY_ROWS = 400
"""Most orders of a day that a page is given at once."""

_RECORDED = ("paper", "live")
_LOOK_S = 0.25  # a page is shown what there is rather than kept waiting for a long recording


class Scope:
    """Runs and sessions, and what is known of one at a moment. Safe to use from several threads.

    Parameters
    ----------
    settings : of the dashboard itself.
    now_ns : the system clock.
    """

    def __init__(self, store: Store, settings: Settings, now_ns: Any = time.time_ns) -> None:
        self.store = store
        self.settings = settings
        self.markets = Markets(store, settings)
        self._now_ns = now_ns
        self._own: dict[str, Settings | None] = {}

    # Which run

    def run(self, name: str | None) -> StoredRun:
        """Return a run by name; by default the newest session that runs, else the newest run.

        Raises
        ------
        NotFoundError : there is none.
        """
        if name is None:
            running = self.store.live.sessions(status="running", limit=1)
            name = running[0].run_id if running and running[0].run_id else "last"
        return self.store.run(name)

    def session(self, run: StoredRun) -> LiveSession | None:
        """Return the session that a run is of, or None."""
        if run.record.kind not in (*_RECORDED, "demo"):
            return None
        try:
            return self.store.live.session(run.id)
        except NotFoundError:
            return None

    def settings_of(self, run: StoredRun) -> Settings | None:
        """Return the settings a run was made with; None when this version cannot read them."""
        if run.id not in self._own:
            self._own[run.id] = settings_of(run)
        return self._own[run.id]

    def market(self, run: StoredRun, day: date | None = None, *, is_quick: bool = False) -> Replica | None:
        """Return the market of a run; `is_quick` only where it is a recording, as far as it has been read."""
        if not is_quick:
            return self.markets.of(run, day)
        return self.markets.of(run, day, budget_s=_LOOK_S) if self._is_recorded(run) else None

    def _is_recorded(self, run: StoredRun) -> bool:
        return run.record.kind in _RECORDED or self.session(run) is not None  # a demonstration may have been watched, or not

    def _recorded(self, run: StoredRun, at: int | None) -> Replica | None:
        """Return the market of a recorded run; the past is shown whole or not at all, so a moment waits for all of it."""
        if not self._is_recorded(run):
            return None
        return self.market(run, is_quick=True) if at is None else self.market(run)

    def book(self, run: StoredRun, at: int | None, market: Replica | None) -> Book:
        """Return the book of a run at a moment."""
        opening = None if market is None else market.opening
        carried = [] if opening is None else [(one.symbol, one.quantity, one.cost_ticks) for one in opening.positions]
        return Book(self.store, run, at, carried)

    @staticmethod
    def _tick(instrument: Instrument | None) -> dict[str, Any]:
        if instrument is None:
            return {"tick_size": None, "tick_value": None, "precision": 0, "currency": "USD"}
        return {
            "tick_size": float(instrument.tick_size),
            "tick_value": float(instrument.tick_value),
            "precision": instrument.price_precision,
            "currency": instrument.currency,
        }

    def priced(self, book: Book, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row with how its ticks become prices."""
        return {**row, **self._tick(book.instrument(row["symbol"]))}
