"""Every setting of the dashboard changes something that can be seen."""

import asyncio
import socket
import threading

import httpx
import jwt
import pytest

from dashboard_stage import FINISHED, KEY, SESSION, Stage, wait_for
from sovereign.app.dashboard.app import create_app
from sovereign.app.dashboard.configuration import DashboardConfig
from sovereign.app.dashboard.server import open_socket
from sovereign.app.dashboard.stream import Stream
from sovereign.app.dashboard.token import TokenRefusedError, tokens_of
from sovereign.core.command import CommandKind
from sovereign.core.errors import OperationTimeoutError


@pytest.fixture
def stage_of(tmp_path):
    made = []

    def make(**values):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        words = [f"dashboard.{name}={value}" for name, value in values.items()]
        made.append(Stage(folder, *words))
        return made[-1]

    yield make
    for stage in made:
        stage.close()


def ask(stage, *requests):
    """Return the statuses (and the last answer) of requests made one after the other."""
    app = create_app(stage.store, stage.loaded)

    async def all_of():
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return [await client.request(method, path, **options) for method, path, options in requests]

    answers = asyncio.run(asyncio.wait_for(all_of(), 60))
    app.state.desk.view.markets.close()
    return [answer.status_code for answer in answers], answers[-1]


def host(stage_of):
    for value in ("127.0.0.1", "0.0.0.0"):
        yield create_app((stage := stage_of(host=value)).store, stage.loaded).state.desk.needs_token_to_read


def port(stage_of):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        wanted = free.getsockname()[1]
    for value in (0, wanted):
        with open_socket(stage_of(port=value).settings.dashboard) as listening:
            yield listening.getsockname()[1] == wanted


def names(stage_of):
    for value in ("[]", '["box.lan"]'):
        yield ask(stage_of(names=value), ("GET", "/healthz", {"headers": {"Host": "box.lan"}}))[0]


def key(stage_of):
    for value in (KEY, "another-key"):
        try:
            yield tokens_of(stage_of(key=value).settings.dashboard).exchange(KEY, "anna") is None
        except TokenRefusedError as refused:
            yield refused.reason


def login_minutes(stage_of):
    for value in (1, 2):
        yield tokens_of(stage_of(login_minutes=value).settings.dashboard, lambda: 0.0).grant("anna").expires_s


def rotation_hours(stage_of):
    for value in (1, 3):
        now = [0.0]
        tokens = tokens_of(stage_of(rotation_hours=value).settings.dashboard, lambda: now[0])  # noqa: B023 - called at once
        first = tokens.grant("anna").token
        now[0] = 2 * 3_600.0
        yield jwt.get_unverified_header(first)["kid"] == jwt.get_unverified_header(tokens.grant("anna").token)["kid"]


def max_body_kb(stage_of):
    for value in (1, 64):
        yield ask(stage_of(max_body_kb=value), ("POST", "/api/v1/token", {"content": b"x" * 2_000}))[0]


def requests_per_s(stage_of):
    for value in (0.5, 100):
        yield ask(stage_of(requests_per_s=value), *[("GET", "/healthz", {})] * 5)[0]


def writes_per_minute(stage_of):
    for value in (2, 1_000):
        yield ask(stage_of(writes_per_minute=value), *[("POST", "/api/v1/session/halt", {"json": {}})] * 4)[0]


def logins_per_minute(stage_of):
    for value in (2, 1_000):
        yield ask(stage_of(logins_per_minute=value), *[("POST", "/api/v1/token", {"json": {"key": "x"}})] * 4)[0]


class Counting:
    def __init__(self):
        self.looks = 0

    def picture(self):
        return {}

    def look(self):
        self.looks += 1
        return []


def poll_ms(stage_of):
    async def counted(fast_ms, slow_ms):
        fast, slow = Counting(), Counting()
        streams = [
            Stream(watcher, DashboardConfig(poll_ms=every), "e") for watcher, every in ((fast, fast_ms), (slow, slow_ms))
        ]
        for stream in streams:
            stream.start()
        await asyncio.to_thread(wait_for, "five looks", lambda: fast.looks >= 5)
        for stream in streams:
            await stream.stop()
        return slow.looks

    yield asyncio.run(counted(20, 10_000)) == 1
    yield asyncio.run(counted(20, 20)) == 1


def stream_of(probe, **config):
    async def run():
        stream = Stream(Counting(), DashboardConfig(**config), "one")
        stream._ready.set()
        return await probe(stream)

    return asyncio.run(asyncio.wait_for(run(), 30))


def kept_messages(stage_of):
    async def probe(stream):
        for number in range(5):
            stream.publish([{"topic": "x", "op": "add", "value": number}])
        return (await stream.join("one", 1)).waiting.qsize()

    for value in (2, 10):
        yield stream_of(probe, kept_messages=value)


def client_queue(stage_of):
    async def probe(stream):
        client = await stream.join("", 0)
        for number in range(5):
            stream.publish([{"topic": "x", "op": "add", "value": number}])
        return client.is_dropped

    for value in (2, 10):
        yield stream_of(probe, client_queue=value)


def max_clients(stage_of):
    async def probe(stream):
        return [await stream.join("", 0) is None for _ in range(3)]

    for value in (1, 3):
        yield stream_of(probe, max_clients=value)


def command_timeout_s(stage_of):
    for value in (0.05, 0.15):
        stage = stage_of(command_timeout_s=value)
        stage.session()
        control = create_app(stage.store, stage.loaded).state.desk.control
        with pytest.raises(OperationTimeoutError):
            control.ask(CommandKind.FLATTEN, by="anna", reason="", account=None, strategy=None)
        stored = stage.store.live.commands.listed(limit=1)[0]
        yield stored.expires_ns - stored.put_ns


def stale_s(stage_of):
    for value in (0.000001, 3_600):
        stage = stage_of(stale_s=value)
        stage.session()
        yield ask(stage, ("GET", "/api/v1/overview", {}))[1].json()["heartbeat"]["is_stale"]


def bars(stage_of):
    for value in (2, 4):
        stage = stage_of(bars=value)
        stage.session()
        yield len(ask(stage, ("GET", "/api/v1/bars", {"params": {"run": SESSION}}))[1].json()["bars"])


def folder(stage_of):
    for value in ("one", "other"):
        stage = stage_of()
        place = stage.folder / value
        stage = stage_of(folder=place)
        stage.finished_run()
        create_app(stage.store, stage.loaded).state.desk.reviews.keep(FINISHED, "T", note="", tags=[], by="", ts=0)
        yield [file.name for file in place.parent.iterdir() if file.is_dir()]


PROBES = {
    probe.__name__: probe
    for probe in (
        host,
        port,
        names,
        key,
        login_minutes,
        rotation_hours,
        max_body_kb,
        requests_per_s,
        writes_per_minute,
        logins_per_minute,
        poll_ms,
        kept_messages,
        client_queue,
        max_clients,
        command_timeout_s,
        stale_s,
        bars,
        folder,
    )
}


def test_probes_when_compared_with_the_settings_then_one_for_each():
    assert set(PROBES) == set(DashboardConfig.model_fields)


@pytest.mark.parametrize("name", sorted(PROBES))
def test_key_when_its_value_changes_then_something_observable_changes(name, stage_of):
    one, other = PROBES[name](stage_of)
    assert one != other


def test_probes_when_run_then_leave_no_thread_behind():
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("dashboard")] == []
