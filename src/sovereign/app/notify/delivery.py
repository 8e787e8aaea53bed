"""A thread for each channel that brings it what waits: gravest first, patient with limits, never giving up what is serious."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from logging import getLogger
from random import Random

from sovereign.app.notify.channel import Channel, Kind, Message, Outcome
from sovereign.app.notify.configuration import AlertsConfig
from sovereign.app.notify.spool import Delivery, Spool, State
from sovereign.core.session import NS_PER_SECOND

LOG = getLogger(__name__)

DICE = Random().random  # noqa: S311 - spreads waits
"""Dice of their own: whoever repeats a sequence of the program's others is not disturbed by threads that wait."""
_BATCH = 20  # deliveries looked at at once; a channel takes what fits into one message
_LONGEST_NAP_S = 1.0
_BARE_TEXT = 300
_LEASE_FACTOR = 4  # connect, write, read and a chart may each take a whole time-out


class DeliveryWorker:
    """Delivers what the spool holds for one channel.

    Parameters
    ----------
    clock : returns UTC ns. dice : returns a number in [0, 1), for the jitter of waits.
    """

    def __init__(
        self,
        config: AlertsConfig,
        spool: Spool,
        channel: Channel,
        clock: Callable[[], int] = time.time_ns,
        dice: Callable[[], float] = DICE,
    ) -> None:
        self.channel = channel
        self.counts = dict.fromkeys(Kind, 0)
        self._config = config
        self._spool = spool
        self._clock = clock
        self._dice = dice
        self._failures = 0
        self._paused_until = 0
        self._is_stopping = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"alerts-{channel.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Say that something new waits."""
        self._wake.set()

    def stop(self, timeout_s: float) -> bool:
        """End after the call under way, waiting at most `timeout_s`; return whether it has. What waits stays in the spool."""
        self._is_stopping.set()
        self._wake.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self.channel.close()

    def _work(self) -> None:
        while not self._is_stopping.is_set():
            try:
                nap_s = self.step()
            except sqlite3.Error as fault:
                self._spool.fall_back(fault)
                continue
            except Exception:  # noqa: BLE001 - alerts go on whatever one of them does
                LOG.error("alerts: delivery to %s failed unexpectedly", self.channel.name)  # noqa: TRY400
                nap_s = _LONGEST_NAP_S
            if nap_s > 0:
                self._wake.wait(nap_s)
                self._wake.clear()

    def step(self) -> float:
        """Make at most one call; return how long to wait for the next, s."""
        now = self._clock()
        if now < self._paused_until:
            left_s = (self._paused_until - now) / NS_PER_SECOND
            if left_s > 2 * max(self._config.backoff_max_s, self._config.retry_after_max_s):
                self._paused_until = 0  # the system clock was set back
            return min(left_s, _LONGEST_NAP_S)
        self._spool.expire(self.channel.name, now - int(self._config.stale_after_s * NS_PER_SECOND))
        lease_ns = int(_LEASE_FACTOR * self._config.timeout_s * NS_PER_SECOND)
        claimed = self._spool.claim(self.channel.name, now, lease_ns, _BATCH)
        if not claimed:
            due = self._spool.next_due(self.channel.name)
            return _LONGEST_NAP_S if due is None else min(max((due - now) / NS_PER_SECOND, 0.01), _LONGEST_NAP_S)
        messages = [self._message(delivery, now) for delivery in claimed]
        count = 1 if claimed[0].is_alone else self.channel.fit(messages)
        together = next((at for at in range(1, count) if claimed[at].is_alone), count)
        self._spool.release(claimed[together:], now)
        outcome = self.channel.send(messages[:together])
        if outcome.kind is Kind.REFUSED and together == 1:
            outcome = self.channel.send([_bare(messages[0])])
        self._settle(claimed[:together], outcome)
        return 0.0

    @staticmethod
    def _message(delivery: Delivery, now: int) -> Message:
        delay_s = (now - delivery.alert.ts) / NS_PER_SECOND
        return Message(alert=delivery.alert, is_repeat=delivery.is_doubtful, delay_s=delay_s)

    def _settle(self, deliveries: Sequence[Delivery], outcome: Outcome) -> None:
        self.counts[outcome.kind] += 1
        now, name = self._clock(), self.channel.name
        if outcome.kind is Kind.SENT:
            self._failures = 0
            self._spool.finish(deliveries, State.SENT, outcome.detail)
            self._pause(now, outcome.wait_s)
            return
        if outcome.kind is Kind.REFUSED:
            if len(deliveries) > 1:  # one of them spoils the others
                self._spool.retry(deliveries, now, outcome.detail, is_doubtful=False, is_alone=True)
                return
            LOG.error("alerts: %s does not take '%s': %s", name, deliveries[0].alert.title, outcome.detail)
            self._spool.finish(deliveries, State.DEAD, outcome.detail)
            return
        if outcome.kind is Kind.LIMITED:
            wait_s = outcome.wait_s
        elif outcome.kind is Kind.LOCKED_OUT:
            if self._failures == 0:
                LOG.error("alerts: %s refuses us (%s); correct its key or address", name, outcome.detail)
            self._failures += 1
            wait_s = self._config.backoff_max_s
        else:
            self._failures += 1
            if self._failures == 1:
                LOG.warning("alerts: %s cannot be reached (%s); trying again", name, outcome.detail)
            longest = min(self._config.backoff_s * 2 ** min(self._failures - 1, 30), self._config.backoff_max_s)
            wait_s = max(longest * (0.5 + 0.5 * self._dice()), outcome.wait_s)
        self._spool.retry(deliveries, now, outcome.detail, is_doubtful=outcome.kind is Kind.UNSURE, is_alone=False)
        self._pause(now, wait_s)

    def _pause(self, now: int, wait_s: float) -> None:
        self._paused_until = now + int(wait_s * NS_PER_SECOND)


def _bare(message: Message) -> Message:
    """Return what is left to try when a channel does not take a message: the words, without fields and picture."""
    return replace(message, alert=replace(message.alert, fields=(), chart=None, text=message.alert.text[:_BARE_TEXT]))
