"""The health endpoints, asked over loopback."""

import http.client
import json
import socket
from dataclasses import replace

import pytest

from sovereign.app.ops.configuration import HealthConfig
from sovereign.app.ops.health import HealthServer, Vitals
from sovereign.app.ops.heartbeat import Beat
from sovereign.app.ops.metrics import Metrics
from sovereign.core.session import NS_PER_SECOND

BEAT = Beat(
    ts=1_000 * NS_PER_SECOND,
    market_ns=0,
    pid=1,
    host="h",
    process_token="t",
    session_id="s1",
    strategy="order_flow",
    mode="paper",
    account="paper",
    state="ACTIVE",
)


class Clock:
    now_ns = BEAT.ts

    def __call__(self):
        return self.now_ns


@pytest.fixture
def served():
    clock, vitals = Clock(), Vitals(Metrics())
    server = HealthServer(HealthConfig(), vitals, clock)
    assert server.start(any_port=True)

    def ask(path, method="GET", host=None):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request(method, path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body

    yield clock, vitals, ask
    server.close()


def test_healthz_when_nothing_beat_yet_then_503(served):
    _, _, ask = served
    status, body = ask("/healthz")
    assert (status, json.loads(body)) == (503, {"status": "starting"})


def test_healthz_when_beat_is_fresh_then_200_and_when_old_then_503(served):
    clock, vitals, ask = served
    vitals.beat(BEAT, ())
    clock.now_ns = BEAT.ts + 30 * NS_PER_SECOND
    assert ask("/healthz")[0] == 200
    clock.now_ns += NS_PER_SECOND
    status, body = ask("/healthz")
    assert (status, json.loads(body)["status"]) == (503, "stale")


def test_readyz_when_something_is_in_the_way_then_says_what(served):
    clock, vitals, ask = served
    vitals.beat(BEAT, ["not reconciled with the broker"])
    status, body = ask("/readyz")
    assert (status, json.loads(body)["obstacles"]) == (503, ["not reconciled with the broker"])
    vitals.beat(replace(BEAT, state="ACTIVE"), ())
    assert ask("/readyz")[0] == 200
    clock.now_ns = BEAT.ts + 3_600 * NS_PER_SECOND
    status, body = ask("/readyz")
    assert (status, json.loads(body)["obstacles"]) == (503, ["heartbeat is stale"])


def test_metrics_when_asked_then_prometheus_text(served):
    _, vitals, ask = served
    vitals.beat(BEAT, ())
    status, body = ask("/metrics")
    assert status == 200
    assert 'sovereign_up{strategy="order_flow",mode="paper",account="paper"} 1' in body


def test_head_when_asked_then_no_body(served):
    _, vitals, ask = served
    vitals.beat(BEAT, ())
    assert ask("/healthz", "HEAD") == (200, "")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_write_when_tried_then_refused(served, method):
    _, _, ask = served
    assert ask("/healthz", method)[0] == 501


def test_path_when_unknown_then_404_with_the_known_ones(served):
    _, _, ask = served
    status, body = ask("/secrets")
    assert status == 404
    assert "/readyz" in body


def test_host_when_it_is_a_foreign_name_then_403(served):
    _, _, ask = served
    assert ask("/metrics", host="evil.invalid:80")[0] == 403


def test_server_when_port_is_zero_then_opens_none():
    assert HealthServer(HealthConfig(), Vitals(Metrics())).start() is False


def test_server_when_port_is_taken_then_goes_on_without():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = HealthServer(HealthConfig(port=taken.getsockname()[1]), Vitals(Metrics()))
        assert server.start() is False
        server.close()
