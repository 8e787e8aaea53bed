"""The stream: what is new in store and recordings, found by one watcher and sent to every page as numbered messages.

A page first gets a picture of the present (`init`), then what changes (`delta`), each message one number above the last. One
that missed some asks for them from its last number on, or is given a new picture when they are no longer kept. A page that
does not take its messages is dropped; nobody waits for it. Every row that is added has a key, so having it twice is harmless.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from sovereign.app.dashboard.operations import command_row, session_row
from sovereign.app.dashboard.plain import plain
from sovereign.app.dashboard.replica import closed_bars, open_bar
from sovereign.app.dashboard.standing import notice_to_plain
from sovereign.app.ops.desk import StoreDesk
from sovereign.core.errors import SovereignError

if TYPE_CHECKING:
    from sovereign.app.dashboard.configuration import DashboardConfig
    from sovereign.app.dashboard.tape import Tape
    from sovereign.app.dashboard.view import View
    from sovereign.store.runs import StoredRun

_logger = logging.getLogger("sovereign.dashboard")
_ROWS = 500
_SLOW_S = 1.0
_TABLES_S = 0.4  # sessions write their tables every half second; prices and bars are followed at every look
_BEAT_S = 2.0
_WHOLE_S = 2.0  # a growing bar is told whole this often, so that a page which began in between has all of it soon
_TAKEN_S = 5.0
_MOST_SESSIONS = 12

Change = dict[str, Any]


class _Growing(NamedTuple):
    """The bar of a symbol that was told last while it grew."""

    bar: int
    cells: dict[int, list[int]]
    told_whole: float


class _Seen:
    """What of one running session has been told."""

    def __init__(self, run: StoredRun, event: int) -> None:
        self.run = run
        self.is_new = True
        self.looked = float("-inf")
        self.since = {"decisions": 0, "fills": 0, "orders": 0, "trades": 0}
        self.keys: dict[str, dict[str, Any]] = {name: {} for name in self.since}
        self.event = event
        self.bars: dict[str, int] = {}
        self.ticks: dict[str, int] = {}
        self.growing: dict[str, _Growing] = {}
        self.overview: dict[str, Any] = {}


class Watcher:
    """Finds what is new. Used by one thread; the picture may be asked for by any."""

    def __init__(self, view: View, clock: Callable[[], float] = time.monotonic) -> None:
        self._view = view
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._notice = 0
        self._commands: dict[str, Any] = {}
        self._sessions: list[dict[str, Any]] = []
        self._runs: list[dict[str, Any]] = []
        self._slow = float("-inf")
        self._is_first = True

    def picture(self) -> dict[str, Any]:
        """Return the present: sessions, runs, what each running session looks like, and where each audit stream ends."""
        return {
            "sessions": self._sessions,
            "runs": self._runs,
            "overviews": {name: seen.overview for name, seen in list(self._seen.items())},
            "events": {name: seen.event for name, seen in list(self._seen.items())},
        }

    def look(self) -> list[Change]:
        """Return what has changed since the last look."""
        changes: list[Change] = []
        now = self._clock()
        if now - self._slow >= _SLOW_S:
            self._slow = now
            self._look_around(changes)
        for seen in list(self._seen.values()):
            self._look_at(seen, changes)
        self._is_first = False
        return changes

    def _look_around(self, changes: list[Change]) -> None:
        live, store = self._view.store.live, self._view.store
        sessions = [session_row(one) for one in StoreDesk(live).views(_MOST_SESSIONS)]
        if sessions != self._sessions:
            self._sessions = sessions
            changes.append({"topic": "sessions", "op": "set", "value": sessions})
        runs = [self._view.brief(run) for run in store.runs(limit=50)]
        if runs != self._runs:
            self._runs = runs
            changes.append({"topic": "runs", "op": "set", "value": runs})
        self._said(changes)
        self._follow({row["run"] for row in sessions if row["status"] == "running" and row["run"]}, changes)

    def _said(self, changes: list[Change]) -> None:
        live = self._view.store.live
        for one in live.notices(since_key=self._notice, limit=_ROWS):
            self._notice = one.key
            if not self._is_first:
                changes.append({"topic": "notices", "op": "add", "value": notice_to_plain(one)})
        for stored in reversed(live.commands.listed(limit=50)):
            row = command_row(stored)
            if self._commands.get(row["command_id"]) != row:
                self._commands[row["command_id"]] = row
                if not self._is_first:
                    changes.append({"topic": "commands", "op": "add", "value": row})

    def _follow(self, running: set[str], changes: list[Change]) -> None:
        store = self._view.store
        for name in sorted(running):
            try:
                run = store.run(name)
            except SovereignError:
                continue  # the session has begun, its run not yet
            known = self._seen.get(name)
            if known is None or known.run.key != run.key:  # a session that goes on after a kill writes its run anew
                self._seen[name] = _Seen(run, self._view.last_event(name))
        for name in [name for name in self._seen if name not in running]:
            del self._seen[name]
            try:
                ended = self._view.overview(store.run(name))
            except SovereignError:
                continue
            changes.append({"topic": f"overview/{name}", "op": "set", "value": ended})

    def _look_at(self, seen: _Seen, changes: list[Change]) -> None:
        self._bars(seen, changes)
        now = self._clock()
        if now - seen.looked < _TABLES_S:
            return
        seen.looked = now
        view, run = self._view, seen.run
        name = run.id
        overview = view.overview(run)
        if overview != seen.overview:
            seen.overview = overview
            changes.append({"topic": f"overview/{name}", "op": "set", "value": overview})
        self._tables(seen, changes, is_silent=seen.is_new)
        seen.is_new = False
        events = view.store.live.audit_events(name, since=seen.event, limit=_ROWS)
        if events:
            seen.event = events[-1].seq + 1
            changes.extend({"topic": f"events/{name}", "op": "add", "value": row} for row in plain(events))

    def _tables(self, seen: _Seen, changes: list[Change], *, is_silent: bool) -> None:
        view, name = self._view, seen.run.id
        book = view.book(seen.run, None, None)
        fresh: Mapping[str, list[dict[str, Any]]] = {
            "decisions": plain(
                [{"run": name, **row} for row in book.decisions(limit=_ROWS, since=seen.since["decisions"])[::-1]]
            ),
            "fills": plain([view.priced(book, row) for row in book.fills(since=seen.since["fills"])]),
            "orders": plain([view.priced(book, row) for row in book.orders(newest=_ROWS, since=seen.since["orders"])]),
            "trades": [view.trade(seen.run, trade) for trade in book.trades_since(seen.since["trades"])],
        }
        times = {"decisions": "ts", "fills": "ts", "orders": "updated_ns", "trades": "exit_ns"}
        ids = {"decisions": "decision_id", "fills": "trade_id", "orders": "client_order_id", "trades": "trade_id"}
        for table, rows in fresh.items():
            known = seen.keys[table]
            for row in rows:
                key = row[ids[table]]
                if known.get(key) == row:
                    continue
                known[key] = row
                if not is_silent:
                    changes.append({"topic": f"{table}/{name}", "op": "add", "value": row})
            if rows:
                latest = max(int(row[times[table]]) for row in rows)
                if latest > seen.since[table]:
                    seen.since[table] = latest
                    # Only rows of that very moment can come again.
                    seen.keys[table] = {key: row for key, row in known.items() if int(row[times[table]]) >= latest}

    def _bars(self, seen: _Seen, changes: list[Change]) -> None:
        market = self._view.market(seen.run, is_quick=True)
        if market is None:
            return
        with market.lock:
            for symbol, tape in market.tapes.items():
                total, ticks = len(tape.rows()), len(tape.ticks[0])
                before = seen.bars.get(symbol)
                if before is not None and total > before:
                    bars = closed_bars(tape, max(before, total - _ROWS), total, total)
                    changes.extend({"topic": f"bars/{seen.run.id}/{symbol}", "op": "add", "value": bar} for bar in bars)
                seen.bars[symbol] = total
                if ticks != seen.ticks.get(symbol):
                    seen.ticks[symbol] = ticks
                    changes.append({"topic": f"open/{seen.run.id}/{symbol}", **self._growing(seen, symbol, tape, total)})

    def _growing(self, seen: _Seen, symbol: str, tape: Tape, total: int) -> dict[str, Any]:
        """Return the growing bar: whole now and then, in between (`patch`) with the cells alone that have changed."""
        bar, now, before = open_bar(tape, None, total), self._clock(), seen.growing.get(symbol)
        if bar is None:
            seen.growing.pop(symbol, None)
            return {"op": "set", "value": None}
        cells = {cell[0]: cell for cell in bar["cells"]}
        if before is None or before.bar != bar["index"] or now - before.told_whole >= _WHOLE_S:
            seen.growing[symbol] = _Growing(bar["index"], cells, now)
            return {"op": "set", "value": bar}
        seen.growing[symbol] = before._replace(cells=cells)
        changed = [cell for at, cell in cells.items() if before.cells.get(at) != cell]
        return {"op": "patch", "value": {**bar, "cells": changed}}


class Client:
    """One page that follows the stream."""

    def __init__(self, most: int) -> None:
        self.waiting: asyncio.Queue[str | None] = asyncio.Queue(most)
        self.is_dropped = False

    def offer(self, text: str) -> bool:
        """Put a message into its queue; False, and it is dropped, when there is no room."""
        try:
            self.waiting.put_nowait(text)
        except asyncio.QueueFull:
            self.is_dropped = True
            return False
        return True


class Stream:
    """Numbers what the watcher finds and hands it to every page.

    `start` begins to watch in a thread of its own; everything else is called in the event loop.
    """

    def __init__(self, watcher: Watcher, config: DashboardConfig, epoch: str) -> None:
        self._watcher = watcher
        self._config = config
        self.epoch = epoch
        self.seq = 0
        self._kept: deque[tuple[int, str]] = deque(maxlen=config.kept_messages)
        self._clients: set[Client] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._picture: dict[str, Any] = watcher.picture()
        self._ready = asyncio.Event()
        self._is_taken = threading.Event()
        self.dropped = 0
        """Pages that were dropped because they did not take their messages."""

    @property
    def clients(self) -> int:
        """Pages that follow now."""
        return len(self._clients)

    def start(self) -> None:
        """Begin to watch."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._watch, name="dashboard-watch", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End watching, and send every page away."""
        self._stop.set()
        for client in list(self._clients):
            self.leave(client)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, 5.0)

    def _watch(self) -> None:
        every = self._config.poll_ms / 1_000
        said = float("-inf")
        while not self._stop.is_set():
            begin = time.monotonic()
            try:
                changes = self._watcher.look()
                picture = self._watcher.picture()
            except (SovereignError, SQLAlchemyError, OSError) as fault:
                _logger.warning("store or recordings could not be looked at (%s)", str(fault).split("\n", 1)[0])
                changes, picture = [], None
            now = time.monotonic()
            if changes or (picture is not None and now - said >= _BEAT_S):
                said = now
                self._hand_over(changes, picture)
            self._stop.wait(max(0.01, every - (time.monotonic() - begin)))

    def _hand_over(self, changes: list[Change], picture: dict[str, Any] | None) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        self._is_taken.clear()
        try:
            loop.call_soon_threadsafe(self._take, changes, picture)
        except RuntimeError:  # the loop has just ended
            return
        # While there is more to send than the loop can, the next look waits, and what it finds is the latest: nothing piles up.
        self._is_taken.wait(_TAKEN_S)

    def _take(self, changes: list[Change], picture: dict[str, Any] | None) -> None:
        self.publish(changes, picture)
        if self._loop is not None:
            self._loop.call_soon(self._is_taken.set)  # after every page that waited has been sent this message

    def publish(self, changes: list[Change], picture: dict[str, Any] | None = None) -> None:
        """Send changes to everybody, as one message; without any, a sign of life with the present number."""
        if picture is not None:
            self._picture = picture
            self._ready.set()
        if not changes:
            self._send(_text("beat", self.epoch, self.seq, None))
            return
        self.seq += 1
        text = _text("delta", self.epoch, self.seq, changes)
        self._kept.append((self.seq, text))
        self._send(text)

    def _send(self, text: str) -> None:
        for client in list(self._clients):
            if not client.offer(text):
                self.dropped += 1
                self._clients.discard(client)

    async def join(self, epoch: str, since: int) -> Client | None:
        """Take a page in, and queue for it what it has missed; None when there are too many."""
        if len(self._clients) >= self._config.max_clients:
            return None
        try:
            async with asyncio.timeout(30.0):
                await self._ready.wait()
        except TimeoutError:
            _logger.warning("the first look at store and recordings takes long; a page is shown what there is")
        client = Client(self._config.client_queue)
        self.resume(client, epoch, since)
        self._clients.add(client)
        return client

    def resume(self, client: Client, epoch: str, since: int) -> None:
        """Queue what a page has missed since a number of ours, else a new picture."""
        missed = [text for seq, text in self._kept if seq > since]
        is_whole = epoch == self.epoch and since <= self.seq and len(missed) == self.seq - since
        if is_whole and len(missed) < self._config.client_queue:
            for text in missed:
                client.offer(text)
            client.offer(_text("beat", self.epoch, self.seq, None))
            return
        client.offer(_text("init", self.epoch, self.seq, self._picture))

    def leave(self, client: Client) -> None:
        """Forget a page."""
        self._clients.discard(client)
        client.is_dropped = True
        if client.waiting.full():
            client.waiting.get_nowait()
        client.waiting.put_nowait(None)


def _text(kind: str, epoch: str, seq: int, data: Any) -> str:
    message = {"type": kind, "epoch": epoch, "seq": seq, "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds")}
    if data is not None:
        message["data"] = data
    return json.dumps(message, allow_nan=False, separators=(",", ":"))
