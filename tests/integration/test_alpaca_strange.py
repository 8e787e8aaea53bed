"""Alpaca's answers when they are strange: malformed, dated in the future, without end, with waits of days.

What is asked of the link is always the same: nothing that cannot be is booked, nothing that happened is lost, and a position
can be closed.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("alpaca", reason="the extra 'alpaca' is not installed")

from test_alpaca_broker import BRACKET, Desk, connected, entry, leave

from fakes.alpaca_server import KEYS, AlpacaServer, Fault, stamp
from sovereign.core.errors import BrokerError
from sovereign.core.order import TimeInForce
from sovereign.execution.brokers.alpaca_account import AlpacaAccount

PATIENCE_S = 60.0
FUTURE = "2099-01-01T00:00:00.000000000Z"


@pytest.fixture
def server() -> Iterator[AlpacaServer]:
    with AlpacaServer() as running:
        running.prices["NVDA"] = "150.00"
        yield running


async def filled(desk: Desk, name: str) -> None:
    await desk.until(lambda: "FILL" in desk.causes(name), f"a fill of {name}", PATIENCE_S)


STRANGE: list[Any] = [
    {"what": 1},
    [1, 2],
    "hello",
    {"id": "x", "client_order_id": "e-1", "symbol": "NVDA", "side": "buy", "status": "new", "qty": "10", "filled_qty": "NaN"},
    {"id": "x", "client_order_id": "another", "symbol": "NVDA", "side": "buy", "status": "new", "qty": "10", "filled_qty": "0"},
]


@pytest.mark.parametrize("body", STRANGE)
def test_submit_when_the_answer_cannot_be_read_then_the_order_is_in_flight_and_the_next_one_leaves(server, caplog, body):
    failed: list[dict[str, Any]] = []

    async def script() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
        async with connected(server) as desk:
            server.fail("POST", "/v2/orders", Fault(status=200, body=body, keep=True))
            await desk.link.submit(entry())
            await filled(desk, "e-1")  # the stream tells of it all the same
            await desk.link.submit(leave())
            await filled(desk, "x-1")

    asyncio.run(script())
    assert failed == []
    assert server.position("NVDA") == 0
    assert "what became of order e-1 is not known" in caplog.text


def test_bracket_when_the_answer_about_the_pair_cannot_be_read_then_the_exit_goes_on(server):
    async def script() -> None:
        async with connected(server) as desk:
            server.fail("POST", "/v2/orders", Fault(), Fault(status=200, body={"what": 1}, keep=True))
            await desk.link.submit(entry(bracket=BRACKET))
            await desk.until(lambda: len(server.orders()) == 3, "the pair", PATIENCE_S)
            await desk.link.submit(leave())
            await filled(desk, "x-1")

    asyncio.run(script())
    assert server.position("NVDA") == 0


@pytest.mark.parametrize("wait", ["999999", "inf", "nan", "-5", "soon"])
def test_exit_when_alpaca_asks_for_a_wait_of_days_then_it_is_sent_after_the_longest_wait_of_the_settings(server, wait):
    async def script() -> None:
        async with connected(server) as desk:
            server.hold("NVDA", 10, "150")
            server.fail("POST", "/v2/orders", Fault(status=429, headers={"Retry-After": wait}))
            server.fail("GET", "/v2/orders:by_client_order_id", Fault(status=429, headers={"Retry-After": wait}))
            await desk.link.submit(leave())
            await filled(desk, "x-1")

    asyncio.run(script())
    assert server.position("NVDA") == 0


def test_exit_when_the_refusal_before_it_has_no_code_that_can_be_then_it_is_sent(server):
    async def script() -> None:
        async with connected(server) as desk:
            server.hold("NVDA", 10, "150")
            server.fail("POST", "/v2/orders", Fault(status=422, body={"code": math.inf, "message": "no"}))
            await desk.link.submit(leave())
            await desk.told("x-1", "REJECT")
            await desk.link.submit(leave("x-2"))
            await filled(desk, "x-2")

    asyncio.run(script())
    assert server.position("NVDA") == 0


def test_refusal_when_its_words_are_hostile_then_the_reason_is_a_line_fit_for_a_screen(server):
    words = "\x1b[2J\x00<script>alert(1)</script>\r\n" + KEYS.secret + "A" * 100_000

    async def script() -> None:
        async with connected(server) as desk:
            server.fail("POST", "/v2/orders", Fault(status=422, body={"code": 1, "message": words}))
            await desk.link.submit(entry())
            reason = (await desk.told("e-1", "REJECT")).reason
            assert reason.isprintable()
            assert len(reason) <= 300
            assert KEYS.secret not in reason

    asyncio.run(script())


def test_fill_when_it_is_dated_in_the_future_then_counts_as_of_now_and_later_ones_are_not_missed(server, monkeypatch):
    async def script() -> None:
        async with connected(server) as desk:
            with monkeypatch.context() as patch:
                patch.setattr("fakes.alpaca_server.stamp", lambda ts=None: FUTURE if ts is None else stamp(ts))
                await desk.link.submit(entry())
                await filled(desk, "e-1")
            server._activities[0]["transaction_time"] = FUTURE
            now = desk.link._clock.now_ns()
            assert desk.of("e-1", "FILL").ts <= now
            before = await desk.link.snapshot(0)
            assert before.cursor <= desk.link._clock.now_ns()
            server.is_shut = True
            server.drop("updates")
            await desk.until(lambda: not desk.link.is_connected, "a broken line", PATIENCE_S)
            await desk.link.submit(entry("e-2"))
            await desk.until(lambda: server.position("NVDA") == 20, "a fill nobody tells of", PATIENCE_S)
            server.is_shut = False
            await filled(desk, "e-2")
            later = await desk.link.snapshot(before.cursor)
            assert "e-2" in [execution.client_order_id for execution in later.executions]

    asyncio.run(script())


def tell_fill(server: AlpacaServer, name: str, quantity: Any, price: Any) -> None:
    body = server._orders[server.order(name)["id"]]
    told = body | {"filled_qty": quantity, "filled_avg_price": price, "status": "partially_filled"}
    more = {"execution_id": "z", "price": price, "qty": quantity, "timestamp": stamp()}
    server._call(lambda: server._tell("partial_fill", told, **more))


@pytest.mark.parametrize(
    ("quantity", "price"),
    [
        ("-5", "150"),
        ("0", "150"),
        ("NaN", "150"),
        ("5", "NaN"),
        ("5", "-3"),
        ("5", "0"),
        ("5", None),
        ("1e30", "150"),
        ("11", "150"),
    ],
)
def test_update_when_it_tells_of_a_fill_that_cannot_be_then_nothing_is_booked_and_the_true_one_is(server, quantity, price):
    async def script() -> None:
        async with connected(server) as desk:
            server.prices.pop("NVDA")
            await desk.link.submit(entry(time_in_force=TimeInForce.DAY))
            await desk.told("e-1", "ACCEPT")
            tell_fill(server, "e-1", quantity, price)
            await desk.until(lambda: False in [is_up for is_up, _ in desk.connections], "the line made anew", PATIENCE_S)
            await desk.until(lambda: desk.link.is_connected, "the line", PATIENCE_S)
            server.fill(server.order("e-1"), 10, "150.05")
            await filled(desk, "e-1")
            fills = [report for report in desk.reports if report.quantity]
            assert [(report.quantity, report.price_ticks) for report in fills] == [(10, 15005)]

    asyncio.run(script())


def test_order_when_its_status_is_unknown_then_it_is_taken_for_working(server):
    async def script() -> None:
        async with connected(server) as desk:
            server.prices.pop("NVDA")
            await desk.link.submit(entry(time_in_force=TimeInForce.DAY))
            await desk.told("e-1", "ACCEPT")
            body = server._orders[server.order("e-1")["id"]]
            server._call(lambda: server._tell("strange", body | {"status": "quantum"}))
            server.fill(server.order("e-1"), 10, "150.05")
            await filled(desk, "e-1")
            assert [is_up for is_up, _ in desk.connections] == [True]

    asyncio.run(script())


def test_snapshot_when_the_list_of_executions_has_no_end_then_nothing_is_known(server):
    row = {"activity_type": "FILL", "id": "same", "cum_qty": "1", "leaves_qty": "0", "price": "150", "qty": "1", "side": "buy"}
    row |= {"symbol": "NVDA", "transaction_time": stamp(), "order_id": "o", "type": "fill"}

    async def script() -> None:
        async with connected(server) as desk:
            server.fail("GET", "/v2/account/activities/FILL", *[Fault(status=200, body=[row] * 100)] * 9)
            with pytest.raises(BrokerError, match="same page"):
                await desk.link.snapshot(0)

    asyncio.run(script())


def test_snapshot_when_an_execution_is_told_twice_then_it_is_there_once(server):
    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry())
            await filled(desk, "e-1")
            server._activities.append(dict(server._activities[0]))
            assert len((await desk.link.snapshot(0)).executions) == 1

    asyncio.run(script())


@pytest.mark.parametrize("cash", ["NaN", "Infinity", "-1e400", "much", None])
def test_snapshot_when_the_cash_is_no_amount_then_nothing_is_known(server, cash):
    async def script() -> None:
        async with connected(server) as desk:
            server.fail("GET", "/v2/account", Fault(), Fault(status=200, body={"cash": cash}))  # first the executions
            with pytest.raises(BrokerError, match="nothing is known"):
                await desk.link.snapshot(0)
            assert (await desk.link.snapshot(0)).cash == 100_000

    asyncio.run(script())
    account = AlpacaAccount(KEYS, server.config(), "paper", 5.0, is_paper=True, now_ns=time.time_ns)
    server.fail("GET", "/v2/account", Fault(status=200, body={"cash": cash}))
    with pytest.raises(BrokerError, match="nothing is known"):
        account.snapshot()
    account.close()
