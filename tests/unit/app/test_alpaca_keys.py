"""Every key of Alpaca's section changes what is asked of Alpaca, when, or what is made of the answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from itertools import islice
from random import Random
from typing import Any

import pytest

pytest.importorskip("alpaca", reason="the extra 'alpaca' is not installed")

from fakes.alpaca_bench import AroundNow, MachineClock
from fakes.alpaca_server import KEYS, AlpacaServer, Fault, stamp
from patience import differ, stretched
from sovereign.core.errors import BrokerError
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, Order, OrderRole, OrderType, Side, TimeInForce
from sovereign.core.session import NS_PER_DAY, NS_PER_SECOND
from sovereign.execution.brokers.alpaca import AlpacaLink
from sovereign.execution.brokers.alpaca_rest import AlpacaDesk
from sovereign.feeds.alpaca.configuration import AlpacaConfig
from sovereign.feeds.alpaca.history import AlpacaHistory
from sovereign.feeds.alpaca.live import AlpacaFeed
from sovereign.feeds.alpaca.stream import MarketStream, back_off
from sovereign.feeds.vendor import DownloadConfiguration

PATIENCE_S = 60.0
BRIEF: dict[str, Any] = {"request_s": 1.0}  # a link that closes lets its work leave for so long, and here it never can

Probe = Callable[[AlpacaServer, AlpacaConfig], Any]


def made(of: AlpacaConfig) -> tuple[Any, AlpacaHistory]:
    stream = MarketStream(KEYS, of, ("SPY",), on_quote=print, on_up=lambda: None, on_down=print, is_open=lambda: True)
    return stream._new(KEYS), AlpacaHistory(KEYS, of, DownloadConfiguration(), time.sleep)


def addresses(_: AlpacaServer, of: AlpacaConfig) -> Any:
    stream, history = made(of)
    links = [AlpacaLink(KEYS, of, MachineClock(), is_paper=is_paper) for is_paper in (True, False)]
    trading = [(link._desk._orders._base_url, link._line._new()._endpoint) for link in links]
    for link in links:
        link._desk.close()
    return stream._endpoint, history._client._base_url, trading


def fed(server: AlpacaServer, of: AlpacaConfig, seconds: float, act: Callable[[AlpacaServer], Any] = lambda _: None) -> Any:
    """Return what a feed told within a time: prices, promises by their lag, lines."""
    told: dict[str, Any] = {"ticks": [], "lags": [], "lines": [], "counts": []}

    async def listen() -> None:
        history = AlpacaHistory(KEYS, of, DownloadConfiguration(attempts=1, backoff_s=0.01), time.sleep)
        feed = AlpacaFeed(KEYS, of, ("NVDA",), MachineClock(), AroundNow(), history)

        def take(block: Any) -> None:
            told["ticks"].extend(block.trades.price.tolist())
            told["counts"].append(len(block.trades))
            if not len(block.trades):
                told["lags"].append(time.time_ns() - block.until_ns)

        feed.on_block = take
        feed.on_connection = lambda is_up, why: told["lines"].append((is_up, why))
        session = await feed.session()
        assert session is not None
        await feed.start()
        await feed.resume_from(session, "NVDA", session.open_ns, 0)
        end = time.monotonic() + 60
        while server.listeners("data") == 0 and time.monotonic() < end:
            await asyncio.sleep(0.01)
        await asyncio.sleep(stretched(0.3))
        await asyncio.to_thread(act, server)
        await asyncio.sleep(stretched(seconds))
        await feed.close()

    asyncio.run(listen())
    return told


def query_s(server: AlpacaServer, of: AlpacaConfig) -> Any:
    """Return how long a client waits for an answer, by its own account."""
    desk = AlpacaDesk(KEYS, of, server.address, is_paper=True)
    session = desk._queries._session
    seen: list[Any] = []
    adapter = session.get_adapter("http://x")
    send = type(adapter).__mro__[1].send

    def look(self: Any, request: Any, *arguments: Any, **named: Any) -> Any:
        seen.append(named["timeout"])
        return send(self, request, *arguments, **named)

    type(adapter).__mro__[1].send, kept = look, send
    try:
        asyncio.run(desk.query("/account"))
    finally:
        type(adapter).__mro__[1].send = kept
        desk.close()
    return seen


def tries(server: AlpacaServer, of: AlpacaConfig) -> Any:
    server.fail("GET", "/v2/account", *[500] * 9)
    desk = AlpacaDesk(KEYS, of, server.address, is_paper=True)

    async def ask() -> None:
        with pytest.raises(BrokerError):
            await desk.query("/account")

    asyncio.run(ask())
    desk.close()
    return len(server.requests)


def gives_up(server: AlpacaServer, of: AlpacaConfig) -> Any:
    """Return the reason that a stream gives when the service accepts the connection and says nothing more."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1_024):
            pass
        writer.close()
        await writer.wait_closed()

    async def connect() -> str:
        deaf = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = deaf.sockets[0].getsockname()[1]
        there = of.model_copy(update={"stream_url": f"ws://127.0.0.1:{port}"})
        stream = MarketStream(KEYS, there, ("SPY",), on_quote=print, on_up=lambda: None, on_down=print, is_open=lambda: True)
        stream.start()
        await asyncio.sleep(stretched(0.5))
        reason = stream.line.reason
        await stream.close()
        deaf.close()
        await asyncio.sleep(0.05)
        return reason

    return asyncio.run(connect())


def order_of(**changes: Any) -> Order:
    named: dict[str, Any] = {
        "client_order_id": "e",
        "instrument": find_instrument("NVDA"),
        "tape": "NVDA",
        "side": Side.BUY,
        "order_type": OrderType.MARKET,
        "quantity": 5,
        "submitted_ns": time.time_ns(),
        "active_ns": 0,
        "role": OrderRole.ENTRY,
    }
    return Order(**{**named, **changes})


async def linked(of: AlpacaConfig, told: list[Any]) -> AlpacaLink:
    """Return a link that is up; what it reports goes into `told`."""
    link = AlpacaLink(KEYS, of, MachineClock(), is_paper=True)
    link.on_report = lambda report: told.append((report.client_order_id, str(report.cause)))
    await link.start()
    await until("the link to be up", lambda: link.is_connected)
    return link


async def until(what: str, is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end, f"waited {PATIENCE_S} s for {what}"
        await asyncio.sleep(0.01)


def traded(server: AlpacaServer, of: AlpacaConfig, orders: list[Order], seconds: float) -> Any:
    server.prices["NVDA"] = "150.00"
    told: list[Any] = []

    async def trade() -> Any:
        link = await linked(of, told)
        for order in orders:
            await link.submit(order)
            await asyncio.sleep(0.2)
        await asyncio.sleep(stretched(seconds))
        snapshot = await link.snapshot(0)
        await link.close()
        return snapshot

    return told, asyncio.run(trade())


def bracket_life(server: AlpacaServer, of: AlpacaConfig) -> Any:
    traded(server, of, [order_of(bracket=Bracket(stop_ticks=100))], 0.3)
    return [body["time_in_force"] for body in server.posted()]


def released(server: AlpacaServer, of: AlpacaConfig) -> Any:
    """Return whether an exit is sent at last although a stop is never taken away."""
    server.hold("NVDA", 5, "150")
    server.fail("DELETE", "/v2/orders", *[429] * 50)
    orders = [
        order_of(bracket=Bracket(stop_ticks=100), time_in_force=TimeInForce.IOC),
        order_of(client_order_id="x", side=Side.SELL, role=OrderRole.EXIT, reduce_only=True, quantity=10),
    ]
    told, _ = traded(server, of.model_copy(update={"attempts": 1, **BRIEF}), orders, 0.7)
    return ("x", "REJECT") in told


def entered_late(server: AlpacaServer, of: AlpacaConfig) -> Any:
    """Return what became of an entry that Alpaca was too busy to take for a while."""
    server.fail("POST", "/v2/orders", Fault(status=429, headers={"Retry-After": "0.6"}))
    told, _ = traded(server, of.model_copy(update={"backoff_most_s": 1.0}), [order_of()], 1.0)
    return told[-1]


def unprotected(server: AlpacaServer, of: AlpacaConfig) -> Any:
    """Return whether an exit goes on within a second although Alpaca fails at stop and target for ever."""
    server.fail("POST", "/v2/orders", Fault(), *[Fault(status=503)] * 999)
    told: list[Any] = []

    async def trade() -> None:
        link = await linked(of.model_copy(update=BRIEF), told)
        await link.submit(order_of(bracket=Bracket(stop_ticks=100), time_in_force=TimeInForce.IOC))
        await until("the stop to be sent", lambda: ("e-S", "SUBMIT") in told)
        await link.submit(order_of(client_order_id="x", side=Side.SELL, role=OrderRole.EXIT, reduce_only=True))
        await asyncio.sleep(stretched(0.6))
        await link.close()

    server.prices["NVDA"] = "150.00"
    asyncio.run(trade())
    return server.asked("/v2/positions/NVDA") > 0


def looked_back(server: AlpacaServer, of: AlpacaConfig) -> Any:
    server._make({"symbol": "NVDA", "qty": 1, "side": "buy", "type": "market", "time_in_force": "day"}, "filled")
    next(iter(server._orders.values()))["submitted_at"] = stamp(time.time_ns() - 10 * NS_PER_DAY)
    _, snapshot = traded(server, of, [], 0.0)
    return len(snapshot.orders)


def waits(_: AlpacaServer, of: AlpacaConfig) -> Any:
    slow = AlpacaConfig(backoff_first_s=max(1.0, of.backoff_first_s), backoff_most_s=max(4.0, of.backoff_most_s))
    return list(islice(back_off(slow, Random(1)), 8))


def odd(server: AlpacaServer) -> None:
    server.trade("NVDA", 150.0, conditions=["I"])


def early(server: AlpacaServer) -> None:
    server.trade("NVDA", 150.0, ts=time.time_ns() + 30 * NS_PER_SECOND)


def burst(server: AlpacaServer) -> None:
    for k in range(10):
        server.trade("NVDA", 150 + k / 100)
        time.sleep(0.02)


def let_go(server: AlpacaServer, of: AlpacaConfig) -> Any:
    """Return whether trades that wait for a gap which is never fetched are let go."""
    said: list[str] = []
    listener = logging.Handler()
    listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("sovereign.alpaca")

    def behind_a_gap(server: AlpacaServer) -> None:
        server.fail("GET", "/v2/stocks/trades", *[503] * 9_999)
        server.drop("data")
        end = time.monotonic() + PATIENCE_S
        # What is sent before the feed is back is lost. A trade of the future is said once, so all before it have arrived.
        while not any("left out" in line for line in said):
            assert time.monotonic() < end, "the feed never told of the trade that came last"
            for k in range(10):
                server.trade("NVDA", 150 + k / 100)
            early(server)
            time.sleep(0.05)

    logger.addHandler(listener)
    try:
        fed(server, of.model_copy(update={"ahead_s": 5.0}), 0.0, behind_a_gap)
    finally:
        logger.removeHandler(listener)
    return any("wait for a gap" in line for line in said)


def mute(server: AlpacaServer) -> None:
    server.is_mute = True


def adjusted(server: AlpacaServer, of: AlpacaConfig) -> Any:
    history = AlpacaHistory(KEYS, of, DownloadConfiguration(), time.sleep)
    history.rows("bars", "NVDA", 0, NS_PER_DAY)
    return server.requests[-1][2]["adjustment"]


PROBES: dict[str, tuple[Any, Any, Probe]] = {
    "feed": ("iex", "sip", addresses),
    "adjustment": ("raw", "split", adjusted),
    "data_url": ("http://127.0.0.1:1", "http://127.0.0.1:2", addresses),
    "stream_url": ("ws://127.0.0.1:1", "ws://127.0.0.1:2", addresses),
    "paper_url": ("http://127.0.0.1:1", "http://127.0.0.1:2", addresses),
    "live_url": ("http://127.0.0.1:1", "http://127.0.0.1:2", addresses),
    "request_s": (1.0, 2.0, query_s),
    "attempts": (1, 3, tries),
    "first_message_s": (0.1, 60.0, gives_up),
    "stale_s": (0.2, 60.0, lambda s, c: [up for up, _ in fed(s, c, 0.7, mute)["lines"]][:2]),
    "symbol_stale_s": (0.1, 60.0, lambda s, c: len(fed(s, c, 0.5)["lags"]) > 25),
    "backoff_first_s": (1.0, 2.0, waits),
    "backoff_most_s": (4.0, 8.0, waits),
    "settle_s": (0.0, 60.0, lambda s, c: bool(fed(s, c, 0.3)["lags"])),
    "waiting_ticks": (3, 1_000_000, let_go),
    "flush_ms": (5, 60_000, lambda s, c: sum(1 for n in fed(s, c, 0.6, burst)["counts"] if n) > 2),
    "promise_delay_ms": (10, 900, lambda s, c: min(fed(s, c, 0.3)["lags"], default=0) > 800_000_000),
    "skipped_conditions": ((), ("I",), lambda s, c: fed(s, c, 0.3, odd)["ticks"]),
    "release_s": (0.1, 60.0, released),
    "entry_fresh_s": (0.3, 5.0, entered_late),
    "protect_s": (0.1, 60.0, unprotected),
    "ahead_s": (10.0, 60.0, lambda s, c: fed(s, c, 0.3, early)["ticks"]),
    "lookback_days": (5, 30, looked_back),
    "bracket_life": ("day", "gtc", bracket_life),
}


@pytest.mark.parametrize("key", AlpacaConfig.model_fields)
def test_key_when_its_value_changes_then_something_observable_changes(key):
    one, other, probe = PROBES[key]

    def seen(value: Any) -> Any:
        with AlpacaServer() as server:
            return probe(server, server.config(**{key: value}))

    assert differ(lambda: seen(one), lambda: seen(other))
