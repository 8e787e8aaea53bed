"""Every key of the `live` section changes what a session does."""

import asyncio
import os
import sys
import threading
import time
from decimal import Decimal
from itertools import pairwise

import pytest
from live_bench import TEN, Bench, Journal, S, buy, command

from fakes.hand_fed import HandLink
from patience import differ, stretched
from sovereign.core.order import OrderStatus, OrderType, Side
from sovereign.engine.live_configuration import LiveConfig
from sovereign.execution.broker import VenueOrder


def played(tmp_path, script, observe, link=None, journal=None, **settings):
    bench = Bench(tmp_path / f"{time.monotonic_ns()}.rec", script, link, journal, **settings)
    bench.ending = bench.run()
    assert bench.ending.exit_code == 0, bench.ending.reason
    return observe(bench)


def some_time(bench, seconds=0.25):
    end = time.monotonic() + stretched(seconds)
    return lambda: time.monotonic() >= end


def standing(bench):
    bench.push(0, 20_000)
    return lambda: bench.is_well() and bench.engine.last_ticks()


def silence(tmp_path, clock_ms, **settings):
    def script(bench):
        yield standing(bench)
        bench.feed.clock.ts = TEN + clock_ms * 1_000_000
        yield some_time(bench)

    return played(tmp_path, script, lambda bench: bench.conductor.until_ns, **settings)


def muted(tmp_path, **settings):
    def script(bench):
        bench.push(0, 20_000)
        yield bench.engine.last_ticks
        yield some_time(bench)

    return played(tmp_path, script, lambda bench: bool(bench.seen("DATA_STALE")), **settings)


def behind(tmp_path, **settings):
    def script(bench):
        yield standing(bench)
        bench.feed.clock.ts = TEN + 60 * S
        bench.push(1, 20_000)
        yield some_time(bench)

    return played(tmp_path, script, lambda bench: bool(bench.seen("DATA_STALE")), **settings)


def crowded(tmp_path, **settings):
    def script(bench):
        bench.push(0, *[20_000] * 5)
        second = threading.Thread(target=bench.push, args=(1, *[20_000] * 5))
        second.start()
        second.join(stretched(0.2))
        bench.waited = second.is_alive()
        yield lambda: not second.is_alive()

    return played(tmp_path, script, lambda bench: bench.waited, **settings)


def unanswered(tmp_path, **settings):
    link = HandLink(fills=None, answers=False)

    def script(bench):
        yield standing(bench)
        yield buy()
        yield some_time(bench)

    return played(tmp_path, script, lambda bench: bool(link.asked), link, **settings)


class Counting(HandLink):
    snapshots = 0
    sleeps = 0.0
    has_left = False

    async def snapshot(self, since_cursor):
        self.snapshots += 1
        await asyncio.sleep(self.sleeps)
        return await super().snapshot(since_cursor)

    async def submit(self, order):
        await super().submit(order)
        await asyncio.sleep(self.sleeps)
        self.has_left = True


def compared(tmp_path, *, is_deaf=False, sleeps=0.0, **settings):
    link = Counting(is_deaf=is_deaf)
    link.sleeps = sleeps

    def script(bench):
        yield some_time(bench, 0.5)

    return played(tmp_path, script, lambda _: link.snapshots > 1, link, **{"retry_s": 60, **settings})


def looked(tmp_path, **settings):
    def script(bench):
        bench.looks = []
        while len(bench.looks) < 5:
            bench.looks.append(time.monotonic())
            yield lambda: True

    return played(tmp_path, script, lambda bench: min(b - a for a, b in pairwise(bench.looks)) >= 0.3, **settings)


def beaten(tmp_path, **settings):
    def script(bench):
        yield some_time(bench)

    return played(tmp_path, script, lambda bench: len(bench.beats) > 2, **settings)


def tardy(tmp_path, **settings):
    def script(bench):
        bench.push(5, 20_000)
        yield lambda: bench.conductor.until_ns >= TEN + 5 * S
        bench.push(4, 20_000)
        yield lambda: bench.conductor.late_ticks["ES"] == 1
        bench.push(3, 20_000)
        yield lambda: bench.conductor.late_ticks["ES"] == 2

    return played(tmp_path, script, lambda bench: len(bench.seen("DATA_LATE")), **settings)


def hasty(tmp_path, **settings):
    link = Counting(fills=None)
    link.sleeps = 0.0

    def script(bench):
        yield standing(bench)
        link.sleeps = 2.0
        yield buy()
        yield lambda: link.requests
        yield command("stop")
        yield lambda: False

    return played(tmp_path, script, lambda _: link.has_left, link, **settings)


def synced(tmp_path, **settings):
    calls, real = [], os.fsync
    os.fsync = lambda fd: calls.append(fd) or real(fd)

    def script(bench):
        yield standing(bench)
        yield buy()
        yield bench.held

    try:
        return played(tmp_path, script, lambda _: bool(calls), HandLink(), Journal(), **settings)
    finally:
        os.fsync = real


def strange_order(tmp_path, **settings):
    link = HandLink()
    link.orders["X"] = VenueOrder(
        client_order_id="X",
        venue_order_id="V",
        symbol="ES",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=1,
        filled_qty=0,
        limit_ticks=10_000,
        status=OrderStatus.ACCEPTED,
    )

    def script(bench):
        bench.push(0, 20_000)
        yield lambda: bench.seen("ORDER_UNKNOWN")
        yield some_time(bench)

    return played(tmp_path, script, lambda _: ("CANCEL", "X") in link.requests, link, **settings)


def lost(tmp_path, **settings):
    link = HandLink(loses=True)

    def script(bench):
        yield standing(bench)
        yield buy()
        yield lambda: link.requests
        bench.push(30, 20_000)
        yield lambda: bench.conductor.until_ns >= TEN + 30 * S
        yield command("reconcile")
        yield some_time(bench)

    return played(tmp_path, script, lambda bench: len(list(bench.engine.executor.working())), link, **settings)


def other_average(tmp_path, **settings):
    link = HandLink()

    def script(bench):
        yield standing(bench)
        yield buy()
        yield lambda: bench.held() == 1
        link.positions["ES"] = (1, 20_001)
        bench.push(1, 20_000)
        yield lambda: bench.conductor.until_ns >= TEN + S
        yield command("reconcile")
        yield some_time(bench)

    return played(tmp_path, script, lambda bench: bench.engine.positions["ES"].cost_ticks, link, **settings)


def other_cash(tmp_path, **settings):
    link = HandLink(cash=Decimal("100000.50"))

    def script(bench):
        bench.push(0, 20_000)
        yield lambda: bench.seen("RECONCILED")

    return played(tmp_path, script, lambda bench: bench.engine.account.balance, link, **settings)


def turns(tmp_path, **settings):
    before = sys.getswitchinterval()
    try:
        return played(tmp_path, lambda bench: iter(()), lambda _: sys.getswitchinterval(), **settings)
    finally:
        sys.setswitchinterval(before)


KEYS = {
    "switch_ms": (turns, {"switch_ms": 0.5}, {"switch_ms": 5}),
    "promise_delay_ms": (lambda p, **s: silence(p, 2_000, **s), {}, {"promise_delay_ms": 1_000}),
    "promise_every_ms": (lambda p, **s: silence(p, 600, **s), {}, {"promise_every_ms": 50}),
    "stale_data_s": (muted, {"stale_data_s": 60}, {"stale_data_s": 0.05}),
    "backlog_ms": (behind, {}, {"backlog_ms": 100_000}),
    "inbox_ticks": (crowded, {}, {"inbox_ticks": 6}),
    "in_flight_s": (unanswered, {"in_flight_s": 60}, {"in_flight_s": 0.05}),
    "reconcile_s": (compared, {"reconcile_s": 60}, {"reconcile_s": 0.05}),
    "retry_s": (lambda p, **s: compared(p, is_deaf=True, **s), {"retry_s": 60}, {"retry_s": 0.05}),
    "answer_s": (lambda p, **s: compared(p, sleeps=1.0, **s), {"retry_s": 0.01}, {"retry_s": 0.01, "answer_s": 0.1}),
    "poll_ms": (looked, {"poll_ms": 300}, {"poll_ms": 5}),
    "heartbeat_s": (beaten, {"heartbeat_s": 60}, {"heartbeat_s": 0.01}),
    "late_notice_s": (tardy, {}, {"late_notice_s": 0}),
    "stop_s": (hasty, {}, {"stop_s": 0.1}),
    "is_synced": (synced, {}, {"is_synced": True}),
    "adopts_unknown_orders": (strange_order, {}, {"adopts_unknown_orders": False}),
    "in_flight_grace_s": (lost, {}, {"in_flight_grace_s": 3_600}),
    "average_tolerance_frac": (other_average, {"average_tolerance_frac": 0.00001}, {"average_tolerance_frac": 0.01}),
    "cash_tolerance": (other_cash, {}, {"cash_tolerance": 1}),
}


@pytest.mark.parametrize("key", KEYS)
def test_key_when_changed_then_the_session_is_another(tmp_path, key):
    scenario, first, second = KEYS[key]
    assert differ(lambda: scenario(tmp_path, **first), lambda: scenario(tmp_path, **second))


def test_keys_when_listed_then_none_is_missing():
    assert set(KEYS) == set(LiveConfig.model_fields)
