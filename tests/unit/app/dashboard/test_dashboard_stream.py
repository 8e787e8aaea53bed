"""The stream: every change once and in order, whatever the line does; a slow page is dropped and holds nobody up."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dashboard_stage import DAY, KEY, SESSION, Stage, decided, notice, served, staged, ticks_between, wait_for, write_slices
from sovereign.app.dashboard.configuration import DashboardConfig
from sovereign.app.dashboard.stream import Stream, Watcher
from sovereign.app.dashboard.view import View
from sovereign.core.session import NS_PER_MINUTE


class Nothing:
    """A watcher of a world in which nothing happens."""

    def picture(self):
        return {"sessions": [], "runs": [], "overviews": {}, "events": {}}

    def look(self):
        return []


def taken(client):
    found = []
    while not client.waiting.empty():
        text = client.waiting.get_nowait()
        found.append(None if text is None else json.loads(text))
    return found


def change(number):
    return [{"topic": "x", "op": "add", "value": number}]


def in_loop(test):
    def run():
        asyncio.run(asyncio.wait_for(test(), 120))

    run.__name__ = test.__name__
    return run


def new_stream(**config):
    stream = Stream(Nothing(), DashboardConfig(**config), "one")
    stream._ready.set()
    return stream


@in_loop
async def test_client_when_it_joins_then_first_a_picture_then_numbered_changes():
    stream = new_stream()
    stream.publish(change(0))
    client = await stream.join("", 0)
    for number in (1, 2):
        stream.publish(change(number))
    found = taken(client)
    assert [(one["type"], one["seq"]) for one in found] == [("init", 1), ("delta", 2), ("delta", 3)]
    assert {one["epoch"] for one in found} == {"one"}


@in_loop
async def test_client_when_it_missed_some_then_given_exactly_those():
    stream = new_stream()
    for number in range(10):
        stream.publish(change(number))
    client = await stream.join("one", 7)
    assert [(one["type"], one["seq"]) for one in taken(client)] == [("delta", 8), ("delta", 9), ("delta", 10), ("beat", 10)]


@in_loop
async def test_client_when_what_it_missed_is_no_longer_kept_then_given_a_picture():
    stream = new_stream(kept_messages=3)
    for number in range(10):
        stream.publish(change(number))
    for epoch, since in (("one", 6), ("another", 9), ("one", 11), ("", 0)):
        client = await stream.join(epoch, since)
        assert [one["type"] for one in taken(client)] == ["init"], (epoch, since)
    assert [one["type"] for one in taken(await stream.join("one", 7))] == ["delta"] * 3 + ["beat"]


@in_loop
async def test_client_when_it_does_not_take_its_messages_then_dropped_and_the_others_served():
    stream = new_stream(client_queue=5)
    slow, quick = await stream.join("", 0), await stream.join("", 0)
    for number in range(20):
        stream.publish(change(number))
        taken(quick)
    assert slow.is_dropped
    assert not quick.is_dropped
    assert (stream.clients, stream.dropped) == (1, 1)


@in_loop
async def test_client_when_too_many_follow_then_not_taken_in():
    stream = new_stream(max_clients=2)
    assert await stream.join("", 0)
    second = await stream.join("", 0)
    assert await stream.join("", 0) is None
    stream.leave(second)
    assert await stream.join("", 0)


@in_loop
async def test_beat_when_nothing_happens_then_the_present_number_again():
    stream = new_stream()
    stream.publish(change(1))
    client = await stream.join("one", 1)
    taken(client)
    stream.publish([])
    assert [(one["type"], one["seq"]) for one in taken(client)] == [("beat", 1)]


# Over the wire


@asynccontextmanager
async def following(client, query="", **options):
    address = f"ws://127.0.0.1:{client.base_url.port}/api/v1/ws{query}"
    async with connect(address, open_timeout=60, proxy=None, **options) as socket:
        yield socket


async def read(socket, until, seconds=60.0):
    """Read messages until one satisfies, and return all."""
    found = []
    async with asyncio.timeout(seconds):
        while not (found and until(found[-1])):
            found.append(json.loads(await socket.recv()))
    return found


def changes(messages, topic):
    rows = [one for message in messages if message["type"] == "delta" for one in message["data"]]
    return [one["value"] for one in rows if one["topic"] == topic]


@pytest.fixture
def stage(tmp_path):
    with staged(tmp_path) as found:
        yield found


def test_session_when_it_goes_on_then_each_event_decision_bar_and_notice_is_sent_once(stage):
    async def follow(client):
        async with following(client) as socket:
            first = (await read(socket, lambda one: one["type"] == "init"))[-1]
            assert first["data"]["overviews"][SESSION]["state"] == "ACTIVE"
            next_event = first["data"]["events"][SESSION]
            later = ticks_between(DAY.regular_open_ns + 91 * NS_PER_MINUTE, DAY.regular_open_ns + 101 * NS_PER_MINUTE, 2, 500)
            write_slices(stage.recording, later)
            decisions = [decided(number) for number in range(3)]
            for one in decisions:
                stage.say(one)
                await asyncio.sleep(0.05)
            stage.say(notice("the end"))
            found = [first]

            def is_all():
                events = changes(found, f"events/{SESSION}")
                return len(events) >= 4 and changes(found, "notices") and changes(found, f"bars/{SESSION}/ES")

            async with asyncio.timeout(60):
                while not is_all():
                    found.append(json.loads(await socket.recv()))
            numbers = [one["seq"] for one in found if one["type"] != "beat"]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            events = changes(found, f"events/{SESSION}")
            assert [row["seq"] for row in events] == list(range(next_event, next_event + len(events)))
            told = [row["decision_id"] for row in changes(found, f"decisions/{SESSION}")]
            assert told == [one.decision.decision_id for one in decisions]
            bars = [bar["index"] for bar in changes(found, f"bars/{SESSION}/ES")]
            assert bars == list(range(bars[0], bars[0] + len(bars)))
            return found[-1]

    with served(stage) as client:
        asyncio.run(asyncio.wait_for(follow(client), 120))


@pytest.fixture
def view(stage):
    found = View(stage.store, stage.settings, lambda: DAY.close_ns)
    yield found
    found.markets.close()


def test_growing_bar_when_told_in_patches_then_is_what_the_next_whole_one_says(stage, view):
    clock, topic = [0.0], f"open/{SESSION}/ES"
    watcher = Watcher(view, lambda: clock[0])
    begin = DAY.regular_open_ns + 91 * NS_PER_MINUTE
    more = ticks_between(begin, begin + 4 * NS_PER_MINUTE, 2, 4_000)

    def told(first, last):
        write_slices(stage.recording, more.slice(first, last))
        clock[0] += 0.1
        found = []

        def look():
            found.extend(one for one in watcher.look() if one["topic"] == topic)
            return found and found[-1]["value"]["close_ms"] == more.ts[last - 1] / 1e6

        wait_for("the ticks", look)
        return found

    (first,) = told(0, 2_000)
    assert first["op"] == "set"
    patches = [one for number in range(2_000, 2_050, 10) for one in told(number, number + 10)]
    assert {one["op"] for one in patches} == {"patch"}
    cells = {cell[0]: cell for cell in first["value"]["cells"]}
    for one in patches:
        assert len(one["value"]["cells"]) < len(cells)
        cells |= {cell[0]: cell for cell in one["value"]["cells"]}
    clock[0] += 2.0
    whole = told(2_050, 2_060)[-1]
    assert whole["op"] == "set"
    # The last ten ticks are in the whole one alone; everything else is as the patches left it.
    touched = set(more.price[2_050:2_060].tolist())
    near = touched | {price + step for price in touched for step in (-1, 1)}  # an imbalance is one of neighbors
    assert {cell[0]: cell for cell in whole["value"]["cells"] if cell[0] not in near} == {
        at: cell for at, cell in cells.items() if at not in near
    }
    assert sum(one[1] + one[2] for one in whole["value"]["cells"]) == whole["value"]["volume"]


def test_page_when_cut_off_then_goes_on_where_it_was(stage):
    async def follow(client):
        async with following(client) as socket:
            first = (await read(socket, lambda one: one["type"] == "init"))[-1]
            stage.say(notice("one"))
            seen = await read(socket, lambda one: bool(changes([one], "notices")))
        async with following(client) as other:
            stage.say(notice("two"))
            await read(other, lambda one: "two" in [row["text"] for row in changes([one], "notices")])
        async with following(client, f"?epoch={first['epoch']}&since={seen[-1]['seq']}") as socket:
            missed = await read(socket, lambda one: one["type"] == "beat")
        assert [row["text"] for row in changes(missed, "notices")] == ["two"]
        numbers = [one["seq"] for one in missed if one["type"] == "delta"]
        assert numbers == list(range(seen[-1]["seq"] + 1, seen[-1]["seq"] + 1 + len(numbers)))

    with served(stage) as client:
        asyncio.run(asyncio.wait_for(follow(client), 120))


def test_page_when_it_asks_for_what_it_missed_on_an_open_line_then_given_it(stage):
    async def follow(client):
        async with following(client) as socket:
            first = (await read(socket, lambda one: one["type"] == "init"))[-1]
            stage.say(notice("one"))
            await read(socket, lambda one: bool(changes([one], "notices")))
            await socket.send("nonsense")
            await socket.send(json.dumps({"type": "resume", "epoch": first["epoch"], "since": first["seq"]}))
            again = await read(socket, lambda one: bool(changes([one], "notices")))
            assert [row["text"] for row in changes(again, "notices")] == ["one"]

    with served(stage) as client:
        asyncio.run(asyncio.wait_for(follow(client), 120))


def test_page_when_the_server_is_another_then_given_a_picture(stage):
    async def begin(client):
        async with following(client) as socket:
            return (await read(socket, lambda one: one["type"] == "init"))[-1]

    async def again(client, first):
        async with following(client, f"?epoch={first['epoch']}&since={first['seq']}") as socket:
            return (await read(socket, lambda one: one["type"] == "init"))[-1]

    with served(stage) as client:
        first = asyncio.run(asyncio.wait_for(begin(client), 120))
    stage.say(notice("while nobody served"))
    with served(stage) as client:
        second = asyncio.run(asyncio.wait_for(again(client, first), 120))
    assert second["epoch"] != first["epoch"]
    # The audit stream goes on at the very next number, so a page knows what it lacks and asks for it.
    assert second["data"]["events"][SESSION] == first["data"]["events"][SESSION] + 1


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
def test_page_when_of_another_origin_then_refused(stage, origin):
    async def follow(client):
        async with following(client, origin=origin):
            pass

    with served(stage) as client, pytest.raises((InvalidStatus, ConnectionClosed)):
        asyncio.run(asyncio.wait_for(follow(client), 120))


def test_page_when_off_loopback_then_needs_a_token(tmp_path):
    async def follow(client, token):
        protocols = ["sovereign", *([f"sovereign.bearer.{token}"] if token else [])]
        async with following(
            client, subprotocols=protocols, additional_headers={"Origin": f"http://127.0.0.1:{client.base_url.port}"}
        ) as socket:
            return await read(socket, lambda one: one["type"] == "init")

    with staged(tmp_path, "dashboard.host=0.0.0.0") as stage, served(stage) as client:
        with pytest.raises((InvalidStatus, ConnectionClosed)):
            asyncio.run(asyncio.wait_for(follow(client, ""), 120))
        token = client.post("/api/v1/token", json={"key": KEY}).json()["token"]
        assert asyncio.run(asyncio.wait_for(follow(client, token), 120))


def test_store_when_it_cannot_be_read_then_the_stream_waits_and_goes_on(tmp_path):
    stage = Stage(tmp_path)
    try:
        with served(stage) as client:
            assert client.get("/api/v1/overview").status_code == 404
            assert client.get("/api/v1/operations").status_code == 200
            assert client.get("/api/v1/runs").json() == {"rows": []}
    finally:
        stage.close()
