"""Every key of the venue's section changes what the venue or its client does."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from fakes.venue_bench import Trader, order
from patience import differ, stretched
from sovereign.app.configuration import Settings
from sovereign.app.configuration.keys import nest
from sovereign.app.venue import start_venue, venue_token, venue_url
from sovereign.core.errors import BrokerError, ConfigurationError
from sovereign.core.order import Bracket
from sovereign.execution.brokers.venue import VenueClient, back_off
from sovereign.execution.venue.configuration import TapeSpec, VenueClientConfig, VenueConfig
from sovereign.execution.venue.protocol import (
    Heartbeat,
    Welcome,
    decode_request,
    encode,
)

TAPE = TapeSpec(start=date(2025, 11, 17), seed=3, seconds=20, synthetic={"ticks_per_session": 300_000})


def settings_of(folder: Path, **changes: Any) -> Settings:
    flat = {"venue.port": 0, "venue.state": str(folder), "venue.pace": "lockstep", **changes}
    return Settings.model_validate(nest(flat))


@asynccontextmanager
async def venue(folder: Path, **changes: Any):
    settings = settings_of(folder, **changes)
    server, port = await start_venue(settings, TAPE, {"paper": Decimal(10_000)})
    try:
        yield settings, server, f"ws://127.0.0.1:{port}"
    finally:
        await server.close()


async def traded(folder: Path, look: Callable[[Trader, Any], Awaitable[Any]], **changes: Any) -> Any:
    async with venue(folder, **changes) as (settings, server, url):
        trader = Trader(VenueClient(url, venue_token(settings, "trade"), settings.venue.client))
        try:
            await trader.begin()
            await trader.until(lambda: bool(trader.blocks))
            return await look(trader, server)
        finally:
            await trader.client.close()


async def slices(trader: Trader, _: Any) -> list[int]:
    return [trader.blocks[0].until_ns]


async def slice_length(trader: Trader, _: Any) -> int:
    assert trader.client.welcome is not None
    return trader.client.welcome.slice_ns


async def bracketed(trader: Trader, _: Any) -> tuple[Any, ...]:
    await trader.client.submit(order("A", bracket=Bracket(stop_ticks=5)))
    await trader.steps(4)
    return tuple(trader.causes("A"))


async def burst(trader: Trader, _: Any) -> tuple[Any, ...]:
    for name in "ABC":
        await trader.client.submit(order(name))
    await trader.steps(4)
    return tuple(tuple(trader.causes(name)) for name in "ABC")


async def moves_alone(_: Trader, server: Any) -> bool:
    market = server.exchange.markets["main"]
    begin = market.until_ns
    await asyncio.sleep(stretched(0.1))
    return bool(market.until_ns > begin)


async def how_far(_: Trader, server: Any) -> bool:
    await asyncio.sleep(stretched(0.1))
    return bool(server.exchange.markets["main"].is_over)


async def has_pulse(trader: Trader, _: Any) -> bool:
    await asyncio.sleep(stretched(0.15))
    return trader.client._heard is not None


def logins(key: str) -> Any:
    async def look(folder: Path, **changes: Any) -> tuple[Any, ...]:
        async with venue(folder, **changes) as (_, server, _url):
            return tuple(server.exchange.login(word) for word in ("one-word", "other-word"))

    return look


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def listens_at(folder: Path, **changes: Any) -> str:
    async with venue(folder, **changes) as (settings, _, url):
        return url if settings.venue.port else "any"


async def kept_in(folder: Path, **changes: Any) -> bool:
    async with venue(folder, **changes):
        return (folder / "books" / "main.jsonl").exists()


def through(look: Callable[[Trader, Any], Awaitable[Any]], **around: Any) -> Any:
    async def run(folder: Path, **changes: Any) -> Any:
        return await traded(folder, look, **{**around, **changes})

    return run


async def quotes_sizes(folder: Path, **changes: Any) -> bool:
    async with venue(folder, **changes) as (settings, _, url):
        trader = Trader(VenueClient(url, venue_token(settings, "trade"), settings.venue.client))
        trader.listen_to_quotes()
        try:
            await trader.begin()
            await trader.until(lambda: bool(trader.blocks))
            await trader.steps(2)
            return bool(trader.quotes)
        finally:
            await trader.client.close()


SECTION: dict[str, tuple[Any, Any]] = {
    "port": (free_port(), listens_at),
    "state": ("elsewhere", kept_in),
    "pace": ("fast", through(moves_alone, **{"venue.speed": 2})),
    "speed": (0, through(how_far, **{"venue.pace": "fast", "venue.slice_ms": 500, "venue.speed": 1})),
    "slice_ms": (20, through(slice_length)),
    "holds_brackets": (False, through(bracketed)),
    "has_sizes": (False, quotes_sizes),
    "orders_per_s": (2, through(burst)),
    "heartbeat_s": (0.02, through(has_pulse, **{"venue.heartbeat_s": 60})),
    "token": ("one-word", logins("trade")),
    "guard_token": ("one-word", logins("guard")),
    "admin_token": ("other-word", logins("admin")),
}


@pytest.mark.parametrize("key", sorted(set(VenueConfig.model_fields) - {"client"}))
def test_venue_key_when_its_value_changes_then_the_venue_differs(key, tmp_path):
    value, look = SECTION[key]
    given = str(tmp_path / value) if key == "state" else value
    tries = count()

    def looked(**changes: Any) -> Any:
        folder = tmp_path / f"try-{next(tries)}"
        return asyncio.run(look(folder, **{"venue.state": str(folder), **changes}))

    assert differ(looked, lambda: looked(**{f"venue.{key}": given}))


class Script:
    """A venue that does as it is told: counts connections, and answers what a test lets it answer."""

    def __init__(self, *, welcomes: bool, misses: bool = False) -> None:
        self.welcomes, self.misses = welcomes, misses
        self.connections = 0
        self.heard: list[str] = []

    async def __call__(self, line: Any) -> None:
        self.connections += 1
        try:
            async for frame in line:
                message = decode_request(frame)
                self.heard.append(message.type)
                if message.type == "login" and self.welcomes:
                    await line.send(encode(Welcome(account="paper")))
                    if self.misses:
                        await line.send(encode(Heartbeat(now_ns=1, session=None, until_ns=1, private_seq=5)))
        except ConnectionClosed:
            return


async def at_script(script: Script, config: VenueClientConfig, look: Callable[[VenueClient], Awaitable[Any]]) -> Any:
    async with serve(script, "127.0.0.1", 0, ping_interval=None, close_timeout=0.1) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        client = VenueClient(f"ws://127.0.0.1:{port}", "word", config)
        await client.start()
        try:
            return await look(client)
        finally:
            client.is_connected = False
            await client.close()
            await asyncio.sleep(0.02)


SLOW: dict[str, Any] = {
    "connect_s": 60,
    "first_message_s": 60,
    "silence_s": 60,
    "request_s": 60,
    "backoff_first_s": 0.01,
    "backoff_most_s": 0.01,
}


def comes_again(**script: Any) -> Any:
    async def look(config: VenueClientConfig) -> bool:
        told = Script(**script)

        async def wait(_: VenueClient) -> None:
            await asyncio.sleep(stretched(0.25))

        await at_script(told, config, wait)
        return told.connections > 1

    return look


async def asks_for_gaps(config: VenueClientConfig) -> bool:
    script = Script(welcomes=True, misses=True)

    async def wait(_: VenueClient) -> None:
        await asyncio.sleep(stretched(0.25))

    await at_script(script, config, wait)
    return "private_since" in script.heard


async def gives_up_asking(config: VenueClientConfig) -> bool:
    async def ask(client: VenueClient) -> bool:
        await client.wait_connected(60)
        try:
            async with asyncio.timeout(stretched(0.25)):
                await client.order_state("A")
        except BrokerError:
            return True
        except TimeoutError:
            return False
        return False

    return bool(await at_script(Script(welcomes=True), config, ask))


async def connects_late(config: VenueClientConfig) -> bool:
    connections = 0

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    client = VenueClient(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", "word", config)
    await client.start()
    await asyncio.sleep(stretched(0.25))
    await client.close()
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0.05)
    return connections > 1


async def waits(config: VenueClientConfig) -> list[float]:
    return list(islice(back_off(config, Random(1)), 6))


CLIENT: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "connect_s": (SLOW, 0.03, connects_late),
    "first_message_s": (SLOW, 0.03, comes_again(welcomes=False)),
    "silence_s": (SLOW, 0.03, comes_again(welcomes=True)),
    "request_s": (SLOW, 0.03, gives_up_asking),
    "gap_s": ({**SLOW, "gap_s": 60.0}, 0.02, asks_for_gaps),
    "backoff_first_s": ({}, 0.5, waits),
    "backoff_most_s": ({}, 0.3, waits),
    "backoff_jitter_frac": ({}, 0.0, waits),
}


@pytest.mark.parametrize("key", sorted(VenueClientConfig.model_fields))
def test_client_key_when_its_value_changes_then_the_client_differs(key):
    around, value, look = CLIENT[key]
    one, other = (VenueClientConfig.model_validate(values) for values in (around, {**around, key: value}))
    assert differ(lambda: asyncio.run(look(one)), lambda: asyncio.run(look(other)))


def test_tokens_when_two_are_the_same_then_refused():
    with pytest.raises(ValueError, match="two tokens were the same"):
        VenueConfig(token="word", guard_token="word")


def test_token_when_no_venue_was_started_then_the_error_says_what_to_do(tmp_path):
    settings = settings_of(tmp_path)
    with pytest.raises(ConfigurationError, match="SOVEREIGN_VENUE_GUARD_TOKEN"):
        venue_token(settings, "guard")


def test_address_when_a_venue_runs_in_the_folder_then_its_own_else_the_port_of_the_settings(tmp_path):
    settings = settings_of(tmp_path, **{"venue.port": 4711})
    assert venue_url(settings) == "ws://127.0.0.1:4711"
    (tmp_path / "venue.json").write_text(json.dumps({"url": "ws://127.0.0.1:4712"}))
    assert venue_url(settings) == "ws://127.0.0.1:4712"


def test_tokens_when_the_venue_starts_again_then_stay_and_open_their_account(tmp_path):
    async def words() -> tuple[Any, ...]:
        async with venue(tmp_path) as (settings, server, _):
            found = tuple(venue_token(settings, purpose) for purpose in ("trade", "guard", "admin"))
            assert [server.exchange.login(word) for word in found] == [
                ("paper", "trade"),
                ("paper", "guard"),
                ("*", "admin"),
            ]
            assert not any(word in (tmp_path / "books" / "main.jsonl").read_text() for word in found)
            return found

    assert asyncio.run(words()) == asyncio.run(words())
