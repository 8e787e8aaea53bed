"""The whole OpenAPI description against the running server: no 5xx, and no answer that is not described."""

import re
import warnings

import pytest

from dashboard_stage import KEY, SESSION, Stage, served, staged

with warnings.catch_warnings():  # its own dependencies are not our defects
    warnings.simplefilter("ignore")
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

import hypothesis

CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
PARTS = 8  # so that none takes long
PATIENCE_S = 60.0  # its own ten seconds are too few where a description is made beside other work
LIMITS = ("dashboard.requests_per_s=100000", "dashboard.writes_per_minute=1000000", "dashboard.logins_per_minute=1000000")


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    words = ("dashboard.command_timeout_s=0.3", "store.busy_timeout_ms=5000")
    with staged(tmp_path_factory.mktemp("stage"), *LIMITS, *words) as found:
        found.answering()
        yield found


@pytest.fixture(scope="module")
def client(stage):
    with served(stage) as found:
        yield found


@pytest.fixture(scope="module")
def described(client):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return schemathesis.openapi.from_url(f"{client.base_url}/openapi.json", timeout=PATIENCE_S)


def operations(described):
    found = {}
    for result in described.get_all_operations():
        operation = result.ok()
        found[f"{operation.method.upper()} {operation.path}"] = operation
    return found


def check(operation, headers, examples=5, act=None, said=None):
    names = set(CHECKS)
    chosen = [one for one in schemathesis.checks.CHECKS.get_all() if one.__name__ in names]
    assert {one.__name__ for one in chosen} == names

    @hypothesis.given(case=operation.as_strategy())
    @hypothesis.settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    def holds(case):
        if act is not None:
            act(case)
        answer = case.call_and_validate(headers=headers, checks=chosen, timeout=PATIENCE_S)
        if said is not None:
            said.add(answer.status_code)

    holds()


@pytest.mark.parametrize("part", range(PARTS))
def test_description_when_asked_any_way_then_every_answer_is_a_described_one(client, described, part):
    token = client.post("/api/v1/token", json={"key": KEY}).json()["token"]
    found = operations(described)
    assert len(found) > 45
    for name in sorted(found)[part::PARTS]:
        if "session/start" in name or name.endswith("/kill"):
            continue  # these act outside, and latch a kill: below, on a stage of their own
        check(found[name], {"Authorization": f"Bearer {token}"})


# A session that is started from here ends at once, for want of a setting; a kill finds an account that nobody answers for.
WITHOUT_END = ("--set", "no_such_section.key=1")
DESERTED = (
    "kill.attempts=1",
    "kill.wait_s=0.2",
    "guard.url=ws://127.0.0.1:9",
    "guard.token=a-token-nobody-takes",
    "dashboard.command_timeout_s=0.3",
    "store.busy_timeout_ms=5000",
)


@pytest.fixture
def deserted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stage = Stage(tmp_path, *LIMITS, *DESERTED)
    try:
        stage.finished_run()
        yield stage
    finally:
        stage.close()


@pytest.mark.parametrize(
    ("path", "word"), [("/api/v1/session/start", None), ("/api/session/start", None), ("/api/v1/kill", "KILL")]
)
def test_description_when_it_acts_outside_then_every_answer_is_a_described_one(deserted, path, word):
    said = set()
    with served(deserted, words=WITHOUT_END) as client:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            operation = operations(schemathesis.openapi.from_url(f"{client.base_url}/openapi.json", timeout=PATIENCE_S))[
                f"POST {path}"
            ]
        token = client.post("/api/v1/token", json={"key": KEY}).json()["token"]

        def act(case):
            if word is not None and isinstance(case.body, dict):
                case.body["confirm"] = word
            elif isinstance(case.body, dict):
                case.body["strategy"] = "order_flow"

        headers = {"Authorization": f"Bearer {token}"}
        check(operation, headers, examples=6, said=said)
        check(operation, headers, examples=3, act=act, said=said)
    assert 200 in said or 409 in said or 424 in said, said
    assert len(deserted.store.live.latches()) == (1 if word else 0)


def test_start_when_the_command_line_held_a_secret_then_the_answer_does_not(deserted):
    words = ("--set", "guard.token=hush-hush-hush", "--set", "dashboard.key=Sesame-open-up", *WITHOUT_END)
    with served(deserted, words=words) as client:
        token = client.post("/api/v1/token", json={"key": KEY}).json()["token"]
        answer = client.post("/api/v1/session/start", json={}, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text
    command = answer.json()["command"]
    assert command[:3] == ["sovereign", "run", "order_flow"]
    assert "dashboard.key=********" in command
    assert "no_such_section.key=********" in command  # its name promises a secret
    assert "Sesame" not in answer.text
    assert "hush" not in answer.text


def test_description_when_without_a_token_then_no_write_gets_through(client, described, stage):
    before = len(stage.store.live.commands.listed())
    for name, operation in operations(described).items():
        if name.startswith("GET"):
            continue
        check(operation, {}, examples=2)
    assert len(stage.store.live.commands.listed()) == before


def test_description_when_read_then_every_route_is_told_with_its_answers(client):
    description = client.get("/openapi.json", timeout=PATIENCE_S).json()
    for path, methods in description["paths"].items():
        for method, route in methods.items():
            assert route.get("description"), f"{method} {path}"
            assert "200" in route["responses"], f"{method} {path}"
            if method != "get":
                assert {"401", "403", "413", "422", "429"} <= set(route["responses"]), f"{method} {path}"
    assert SESSION not in re.sub(r"\s", "", str(description))
