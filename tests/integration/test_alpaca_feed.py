"""Alpaca's streams as a live feed: its own client against a local server, with a mute socket, gaps and refusals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

pytest.importorskip("alpaca", reason="the extra 'alpaca' is not installed")

from fakes.alpaca_bench import AroundNow, MachineClock
from fakes.alpaca_server import KEYS, AlpacaServer, Fault
from sovereign.core.columns import NO_QUOTE, Trades
from sovereign.core.port import Block
from sovereign.core.session import NS_PER_SECOND, Session
from sovereign.feeds.alpaca.client import AlpacaKeys
from sovereign.feeds.alpaca.history import AlpacaHistory
from sovereign.feeds.alpaca.live import AlpacaFeed
from sovereign.feeds.vendor import DownloadConfiguration

SYMBOLS = ("NVDA", "TSM")


class Listener:
    """A feed with its ears open."""

    def __init__(self, server: AlpacaServer, keys: AlpacaKeys = KEYS, **config: Any) -> None:
        settings = server.config(**config)
        history = AlpacaHistory(KEYS, settings, DownloadConfiguration(attempts=2, backoff_s=0.01), time.sleep)
        self.quotes: list[dict[str, Any]] = []
        self.calendar = AroundNow()
        self.feed = AlpacaFeed(keys, settings, SYMBOLS, MachineClock(), self.calendar, history, self.quotes.append)
        self.blocks: list[Block] = []
        self.connections: list[tuple[bool, str]] = []
        self.feed.on_block = self.blocks.append
        self.feed.on_connection = lambda is_up, why: self.connections.append((is_up, why))

    def ticks(self, symbol: str = "NVDA") -> list[int]:
        return [int(p) for block in self.blocks if block.symbol == symbol for p in block.trades.price]

    def times(self, symbol: str = "NVDA") -> list[int]:
        return [int(ts) for block in self.blocks if block.symbol == symbol for ts in block.trades.ts]

    async def until(self, is_so: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > end:
                pytest.fail(f"waited {seconds} s for {what}; ticks were {self.ticks()}, lines {self.connections}")
            await asyncio.sleep(0.01)

    async def begin(self, ticks: int = 0) -> Session:
        session = await self.feed.session()
        assert session is not None
        for symbol in SYMBOLS:
            skip = ticks if symbol == "NVDA" else 0
            await self.feed.resume_from(session, symbol, session.open_ns, skip)
        await self.until(lambda: len({block.symbol for block in self.blocks}) == len(SYMBOLS), "a promise for each symbol")
        return session


@asynccontextmanager
async def listening(server: AlpacaServer, ticks: int = 0, **config: Any) -> AsyncIterator[Listener]:
    one = Listener(server, **config)
    await one.feed.start()
    try:
        await one.begin(ticks)
        yield one
    finally:
        await one.feed.close()


@pytest.fixture
def server() -> Iterator[AlpacaServer]:
    with AlpacaServer() as running:
        yield running


def test_stream_when_trades_print_then_they_arrive_with_quote_and_side(server):
    async def run() -> None:
        async with listening(server) as one:
            server.quote("NVDA", 150.00, 150.02)
            first = server.trade("NVDA", 150.02, 200)
            server.trade("NVDA", 150.00)
            server.trade("TSM", 190.5)
            await one.until(lambda: len(one.ticks()) == 2, "two trades")
            block = next(b for b in one.blocks if len(b.trades) and b.symbol == "NVDA")
            assert int(block.trades.ts[0]) == first
            trades = [b.trades for b in one.blocks if b.symbol == "NVDA" and len(b.trades)]
            side = np.concatenate([t.side for t in trades])
            assert side.tolist() == [1, -1]
            assert (trades[0].bid[0], trades[0].ask[0], trades[0].size[0]) == (15_000, 15_002, 200)
            assert [quote["bp"] for quote in one.quotes] == [150.0]
            assert str(one.feed.last_price("NVDA")) == "150.00"

    asyncio.run(run())
    assert server.subscribed == [{"trades": list(SYMBOLS), "quotes": list(SYMBOLS)}]


def test_stream_when_a_trade_is_told_after_a_younger_quote_then_has_the_quote_before_it_or_none(server):
    async def run() -> None:
        async with listening(server) as one:
            now = time.time_ns() - NS_PER_SECOND
            server.quote("NVDA", 150.00, 150.02, ts=now)
            server.quote("NVDA", 150.10, 150.12, ts=now + 1_000)
            server.trade("NVDA", 150.02, ts=now + 500)
            server.trade("NVDA", 150.12, ts=now + 1_001)
            server.trade("NVDA", 150.03, ts=now - 500)
            await one.until(lambda: len(one.ticks()) == 3, "three trades", 60)
            trades = Trades.concat([b.trades for b in one.blocks if b.symbol == "NVDA"])
            columns = (getattr(trades, name).tolist() for name in ("price", "bid", "ask"))
            found = {price: (bid, ask) for price, bid, ask in zip(*columns, strict=True)}
            assert found == {15_002: (15_000, 15_002), 15_012: (15_010, 15_012), 15_003: (NO_QUOTE, NO_QUOTE)}

    asyncio.run(run())


def test_stream_when_a_trade_has_a_condition_that_is_no_market_then_it_is_not_taken(server):
    async def run() -> None:
        async with listening(server) as one:
            server.trade("NVDA", 120.0, conditions=["W"])  # average price
            server.trade("NVDA", 150.0, conditions=["@", "I"])  # odd lot
            await one.until(lambda: len(one.ticks()) == 1, "the odd lot")
            assert one.ticks() == [15_000]

    asyncio.run(run())


def test_stream_when_nothing_trades_then_time_is_promised_behind_the_clock(server):
    async def run() -> None:
        async with listening(server) as one:
            count = len(one.blocks)
            await one.until(lambda: len(one.blocks) > count + 5, "promises")
            assert all(not len(block.trades) for block in one.blocks)
            untils = [block.until_ns for block in one.blocks if block.symbol == "NVDA"]
            assert untils == sorted(untils)
            assert untils[-1] <= time.time_ns() - 50_000_000

    asyncio.run(run())


def test_resume_when_session_is_joined_late_then_its_beginning_comes_first_and_known_ticks_do_not(server):
    now = time.time_ns()
    for k in range(6):
        server.trade("NVDA", 100 + k, ts=now - (30 - k) * NS_PER_SECOND)
    server.page_rows = 2  # three pages

    async def run() -> None:
        async with listening(server, ticks=2) as one:
            server.trade("NVDA", 150.0)
            await one.until(lambda: len(one.ticks()) == 5, "the rest of the session")
            assert one.ticks() == [10_200, 10_300, 10_400, 10_500, 15_000]
            first = next(block for block in one.blocks if len(block.trades))
            assert first.trades.bid is not None
            assert first.trades.bid[0] == NO_QUOTE

    asyncio.run(run())


def test_stream_when_the_line_breaks_then_it_is_made_anew_and_the_gap_is_filled_once(server):
    async def run() -> None:
        async with listening(server) as one:
            server.trade("NVDA", 150.0)
            await one.until(lambda: len(one.ticks()) == 1, "a trade")
            server.is_shut = True
            server.drop("data")
            await one.until(lambda: one.connections[-1][0] is False, "the loss of the line")
            server.trade("NVDA", 151.0)
            server.trade("NVDA", 152.0)
            promised = max(b.until_ns for b in one.blocks if b.symbol == "NVDA")
            await asyncio.sleep(0.15)
            assert max(b.until_ns for b in one.blocks if b.symbol == "NVDA") == promised  # no promise across a gap
            server.is_shut = False
            await one.until(lambda: one.connections[-1][0] is True, "the line")
            server.trade("NVDA", 153.0)
            await one.until(lambda: len(one.ticks()) >= 4, "the gap")
            await asyncio.sleep(0.1)
            assert one.ticks() == [15_000, 15_100, 15_200, 15_300]
            assert one.times() == sorted(one.times())

    asyncio.run(run())
    assert len(server.subscribed) == 2


def test_stream_when_the_gap_cannot_be_fetched_then_nothing_goes_on_until_it_can(server):
    async def run() -> None:
        async with listening(server) as one:
            server.trade("NVDA", 150.0)
            await one.until(lambda: len(one.ticks()) == 1, "a trade")
            server.fail("GET", "/v2/stocks/trades", *[500] * 6)
            server.drop("data")
            await one.until(lambda: len(server.subscribed) == 2, "the line")
            server.trade("NVDA", 151.0)
            await one.until(lambda: len(one.ticks()) == 2, "the trade after the gap")
            assert one.ticks() == [15_000, 15_100]

    asyncio.run(run())


def test_stream_when_the_socket_is_mute_then_it_is_dropped_and_what_was_missed_comes(server):
    async def run() -> None:
        async with listening(server, stale_s=0.4) as one:
            server.trade("NVDA", 150.0)
            await one.until(lambda: len(one.ticks()) == 1, "a trade")
            server.is_mute = True
            server.trade("NVDA", 151.0)
            await one.until(lambda: any(not is_up for is_up, _ in one.connections), "the watch for silence")
            assert "nothing was heard" in next(why for is_up, why in one.connections if not is_up)
            await one.until(lambda: one.ticks() == [15_000, 15_100], "what was missed")

    asyncio.run(run())


def test_reconnect_when_asked_then_the_line_is_made_anew(server):
    async def run() -> None:
        async with listening(server) as one:
            await one.feed.reconnect("the session asked")
            await one.until(lambda: len(server.subscribed) == 2, "a second subscription")
            assert (False, "the session asked") in one.connections

    asyncio.run(run())


def test_stream_when_keys_are_wrong_then_never_up_and_tried_with_pauses(server):
    async def run() -> None:
        one = Listener(server, AlpacaKeys("PKWRONGWRONGWRONG001", "wrongwrongwrongwrong"))
        await one.feed.start()
        await one.until(lambda: len(server.logins) >= 2, "a second attempt")
        reason = one.feed._stream.line.reason
        await one.feed.close()
        assert one.connections == []
        assert "auth failed" in reason

    asyncio.run(run())


def test_gap_when_it_cannot_be_fetched_for_long_then_few_trades_wait_and_none_is_lost(server, caplog):
    async def run() -> None:
        async with listening(server, waiting_ticks=5) as one:
            server.trade("NVDA", 150.0)
            await one.until(lambda: len(one.ticks()) == 1, "a trade")
            server.fail("GET", "/v2/stocks/trades", *[503] * 9_999)
            server.drop("data")
            await one.until(lambda: server.listeners("data") == 1 and len(server.subscribed) == 2, "the line")
            tape = one.feed._tapes["NVDA"]
            for k in range(40):
                server.trade("NVDA", 151 + k)
            await one.until(lambda: tape.lost == 35, "trades that are let go")
            assert len(tape.waiting) == 5
            assert one.ticks() == [15_000]
            server._faults.clear()
            await one.until(lambda: len(one.ticks()) == 41, "the whole gap")
            server.trade("NVDA", 200.0)
            await one.until(lambda: len(one.ticks()) == 42, "what follows")
            assert one.ticks() == [15_000, *(100 * (151 + k) for k in range(40)), 20_000]
            assert one.times() == sorted(one.times())

    asyncio.run(run())
    said = [record.getMessage() for record in caplog.records if record.name == "sovereign.alpaca"]
    assert said == ["more than 5 trades of NVDA wait for a gap before them; the oldest are let go, and fetched with the gap"]


def test_gap_when_trades_are_let_go_while_it_is_fetched_then_it_is_fetched_again(server):
    async def run() -> None:
        async with listening(server, waiting_ticks=5) as one:
            server.trade("NVDA", 150.0)
            await one.until(lambda: len(one.ticks()) == 1, "a trade")
            fetch, asked = one.feed._missing, []

            def slow(tape: Any, now: int) -> Any:
                rows = fetch(tape, now)
                if tape.instrument.symbol == "NVDA":
                    asked.append(len(rows))
                    if len(asked) == 1:  # they print behind what was asked for
                        for k in range(20):
                            server.trade("NVDA", 151 + k)
                        end = time.monotonic() + 60
                        while not tape.lost and time.monotonic() < end:
                            time.sleep(0.01)
                return rows

            one.feed._missing = slow  # type: ignore[method-assign]
            server.drop("data")
            await one.until(lambda: len(one.ticks()) == 21, "the whole gap")
            assert one.ticks() == [15_000, *(100 * (151 + k) for k in range(20))]
            assert len(asked) > 1

    asyncio.run(run())


def test_stream_when_a_trade_is_dated_in_the_future_then_it_is_left_out_and_time_goes_on_as_it_does(server, caplog):
    async def run() -> None:
        async with listening(server) as one:
            for _ in range(2):
                server.trade("NVDA", 190.0, ts=time.time_ns() + 3_600 * NS_PER_SECOND)
            server.trade("NVDA", 150.0)
            await one.until(lambda: one.ticks() == [15_000], "the trade of now", 60)
            untils = [block.until_ns for block in one.blocks if block.symbol == "NVDA"]
            assert untils[-1] <= time.time_ns() + 1

    asyncio.run(run())
    assert sum("look at the clock" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize("price", [float("nan"), float("inf"), -1.0, 1e12])
def test_stream_when_a_price_or_size_is_none_then_it_is_left_out_and_the_line_stays(server, price):
    async def run() -> None:
        async with listening(server) as one:
            server.quote("NVDA", price, price)
            server.trade("NVDA", price)
            server.trade("NVDA", 150.0, size=10**12)
            server.trade("NVDA", 150.0)
            await one.until(lambda: one.ticks() == [15_000], "the trade that is one", 60)
            assert [is_up for is_up, _ in one.connections] == [True]
            assert next(b for b in one.blocks if len(b.trades)).trades.bid[0] == NO_QUOTE

    asyncio.run(run())


def test_gap_when_history_answers_with_what_is_no_trade_then_it_is_asked_again(server):
    async def run() -> None:
        async with listening(server) as one:
            strange = {"trades": {"NVDA": [{"t": "2026-01-01T00:00:00Z"}, {"t": None}]}, "next_page_token": None}
            server.fail("GET", "/v2/stocks/trades", *[Fault(status=200, body=strange)] * 4)
            server.drop("data")
            await one.until(lambda: [is_up for is_up, _ in one.connections][-2:] == [False, True], "the line", 60)
            server.trade("NVDA", 150.0)
            await one.until(lambda: one.ticks() == [15_000], "the trade", 60)

    asyncio.run(run())
