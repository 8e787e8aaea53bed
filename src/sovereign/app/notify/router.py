"""The way of an alert: sink (in the decision thread) -> queue -> gate (alert thread) -> spool -> one delivery thread a channel.

The sink only puts; it never waits for anything. What it puts is read, judged and written in the alert thread, and everything
slow happens behind the spool.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from logging import getLogger
from pathlib import Path

from sovereign.app.notify.alert import RANK, SERIOUS, Alert
from sovereign.app.notify.channel import Channel
from sovereign.app.notify.configuration import AlertsConfig
from sovereign.app.notify.delivery import DICE, DeliveryWorker
from sovereign.app.notify.gate import Gate
from sovereign.app.notify.reader import READ, AlertReader, weight_of
from sovereign.app.notify.spool import Spool
from sovereign.core.event import Event
from sovereign.core.session import NS_PER_SECOND

LOG = getLogger(__name__)

_TICK_S = 0.25
_PRUNE_NS = 600 * NS_PER_SECOND
_LEVELS = 2 + max(RANK.values())  # details of events, then the severities


class AlertQueue:
    """A bounded queue that gives up the least severe first; both ends may be used by any thread, and neither waits long."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._levels: tuple[deque[tuple[int, Event | Alert]], ...] = tuple(deque() for _ in range(_LEVELS))
        self._lock = threading.Lock()
        self._filled = threading.Event()
        self._count = 0
        self._number = 0
        self.dropped = [0] * _LEVELS

    def __len__(self) -> int:
        return self._count

    def put(self, item: Event | Alert, level: int) -> None:
        """Take an item; when full, the oldest of the least severe goes, or the item itself."""
        with self._lock:
            if self._count >= self._size:
                lowest = next(at for at in range(_LEVELS) if self._levels[at])
                if lowest > level:
                    self.dropped[level] += 1
                    return
                self._levels[lowest].popleft()
                self.dropped[lowest] += 1
                self._count -= 1
            self._number += 1
            self._count += 1
            self._levels[level].append((self._number, item))
        self._filled.set()

    def get(self, timeout_s: float) -> Event | Alert | None:
        """Return the oldest item, or None after `timeout_s`."""
        if not self._count:
            self._filled.wait(timeout_s)
        with self._lock:
            self._filled.clear()
            heads = [level for level in self._levels if level]
            if not heads:
                return None
            self._count -= 1
            return min(heads, key=lambda level: level[0][0]).popleft()[1]


class AlertRouter:
    """Alerts of one process. `sink` is what the audit stream is handed to; `post` takes alerts made elsewhere.

    Parameters
    ----------
    reader : turns events into alerts. channels : the ways to people.
    part : names the spool file (`session`, `guard`); processes with different tasks have different parts.
    redact : hides secrets in the words of alerts, beyond those that the channels know. clock : returns UTC ns.
    """

    def __init__(
        self,
        config: AlertsConfig,
        reader: AlertReader,
        channels: Sequence[Channel],
        *,
        part: str = "session",
        redact: Callable[[str], str] | None = None,
        clock: Callable[[], int] = time.time_ns,
        dice: Callable[[], float] = DICE,
    ) -> None:
        self.spool = Spool(spool_path(config, part))
        self._config = config
        self._reader = reader
        self._redact = redact
        self._clock = clock
        self._queue = AlertQueue(config.queue_size)
        self._workers = [DeliveryWorker(config, self.spool, channel, clock, dice) for channel in channels]
        self._gate = self._new_gate()
        self._pruned_ns = 0
        self._is_closing = threading.Event()
        self._is_drained = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self.failures = 0

    def _new_gate(self) -> Gate:
        return Gate(self._config, self.spool, [worker.channel.name for worker in self._workers])

    def start(self) -> AlertRouter:
        """Begin, with what an earlier process left undelivered."""
        self._thread.start()
        for worker in self._workers:
            worker.start()
        return self

    def sink(self, event: Event) -> None:
        """Take one event of the audit stream (a `core.port.Sink`); returns at once."""
        if type(event) in READ:
            self._queue.put(event, weight_of(event))

    def post(self, alert: Alert) -> None:
        """Take one alert; returns at once."""
        self._queue.put(alert, 1 + alert.rank)

    def stats(self) -> Mapping[str, int]:
        """Return counters: waiting and dropped events, deliveries by channel and outcome or state."""
        found = {
            "queue.waiting": len(self._queue),
            "queue.dropped": sum(self._queue.dropped),
            "queue.dropped_serious": sum(self._queue.dropped[1 + SERIOUS :]),
            "failures": self.failures,
        }
        for worker in self._workers:
            found |= {f"{worker.channel.name}.calls.{kind.lower()}": count for kind, count in worker.counts.items()}
        return found | self.spool.counts()

    def close(self, deadline_s: float | None = None) -> bool:
        """Deliver what waits, for at most `deadline_s` (setting `flush_s`), and stop.

        Returns whether everything due was delivered; what was not stays in the spool for the next start.
        """
        end = time.monotonic() + (self._config.flush_s if deadline_s is None else deadline_s)
        self._is_closing.set()
        self._is_drained.wait(max(0.0, end - time.monotonic()))
        is_done = self._is_drained.is_set()
        while is_done and time.monotonic() < end and self._is_busy():
            for worker in self._workers:
                worker.wake()
            time.sleep(0.02)
        is_done = is_done and not self._is_busy()
        has_ended = [worker.stop(max(0.1, end - time.monotonic())) for worker in self._workers]
        self._thread.join(max(0.1, end - time.monotonic()))
        if all(has_ended) and not self._thread.is_alive():
            self.spool.close()  # else a call under way still writes there how it ended
        return is_done

    def _is_busy(self) -> bool:
        now = self._clock()
        return any(self.spool.is_busy(worker.channel.name, now) for worker in self._workers)

    # The alert thread

    def _run(self) -> None:
        while True:
            item = self._queue.get(_TICK_S)
            self._guarded(item)
            if item is None and self._is_closing.is_set() and not len(self._queue):
                self._is_drained.set()
                return

    def _guarded(self, item: Event | Alert | None) -> None:
        try:
            self._take(item)
        except sqlite3.Error as fault:
            self.spool.fall_back(fault)
            self._gate = self._new_gate()
            try:
                self._take(item)
            except Exception:  # noqa: BLE001 - see below
                self._fail(item)
        except Exception:  # noqa: BLE001 - one bad event must not end all alerts; its text may hold secrets
            self._fail(item)

    def _fail(self, item: Event | Alert | None) -> None:
        self.failures += 1
        LOG.error("alerts: %s could not be told; the next ones are", type(item).__name__)

    def _take(self, item: Event | Alert | None) -> None:
        now = self._clock()
        if item is None:
            alerts = self._reader.flush()
        elif isinstance(item, Alert):
            alerts = [item]
        else:
            alerts = self._reader.read(item)
        for alert in alerts:
            self._gate.take(alert.masked(self._redact) if self._redact else alert, now)
        if item is None:
            self._gate.tick(now)
            if not 0 <= now - self._pruned_ns < _PRUNE_NS:
                self._pruned_ns = now
                self._gate.prune(now)
        if alerts or item is None:
            for worker in self._workers:
                worker.wake()


def spool_path(config: AlertsConfig, part: str) -> Path:
    """Return the spool file of a part of the platform."""
    return config.folder / f"{part}.sqlite"
