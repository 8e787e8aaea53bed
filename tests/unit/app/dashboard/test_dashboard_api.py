"""The API over a store with a finished run and a running session: what it answers, and what it refuses."""

import json
import re

import httpx
import pytest

from dashboard_stage import DAY, FINISHED, KEY, SESSION, notice, served, staged, wait_for
from example_run import MONDAY
from sovereign.app.dashboard import model, model_market, model_run, model_tug
from sovereign.core.session import NS_PER_MINUTE

READS = {
    "/instance": model_run.Instance,
    "/overview": model.Overview,
    "/positions": model_run.PositionRows,
    "/portfolio": model_run.Portfolio,
    "/regime": model_run.RegimeRows,
    "/equity": model_market.Curve,
    "/trades": model_run.TradeRows,
    "/orders": model_run.OrderRows,
    "/fills": model_run.FillRows,
    "/decisions": model_run.DecisionRows,
    "/statistics": model.RunStatistics,
    "/execution": model_market.Execution,
    "/memory": model_run.MemoryRows,
    "/tug": model_tug.Tug,
    "/tug/tug_signals": model_tug.TableRows,
    "/tug/tug_results?symbol=NVDA": model_tug.TableRows,
    "/tug/ofi_snapshots?limit=5": model_tug.TableRows,
    "/bars": model_market.Bars,
    "/timeline": model_market.Timeline,
    "/runs": model_run.RunRows,
    f"/runs/{FINISHED}": model_run.RunDetail,
    f"/runs/compare?first={FINISHED}&second={SESSION}": model_run.Comparison,
    f"/sessions/{SESSION}/events": model_run.EventRows,
    "/operations": model_run.Operations,
    "/settings": model_run.SettingRows,
}
ALIASES = (
    "state",
    "session/status",
    "positions",
    "trades",
    "signals",
    "statistics",
    "settings",
    "portfolio",
    "memory",
    "regime",
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with staged(
        tmp_path_factory.mktemp("stage"), "dashboard.writes_per_minute=6000", "dashboard.logins_per_minute=600"
    ) as found:
        found.answering()
        yield found


@pytest.fixture(scope="module")
def client(stage):
    with served(stage) as found:
        yield found


@pytest.fixture(scope="module")
def allowed(client):
    answer = client.post("/api/v1/token", json={"key": KEY, "name": "anna"})
    assert answer.status_code == 200
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def get(client, path, **query):
    answer = client.get(f"/api/v1{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("path", READS)
def test_read_when_asked_then_answers_as_described(client, path):
    READS[path].model_validate(get(client, path) if "?" not in path else client.get(f"/api/v1{path}").json())


@pytest.mark.parametrize("path", ALIASES)
def test_alias_when_asked_then_answers_the_same_as_the_route(client, path):
    old = client.get(f"/api/{path}")
    assert old.status_code == 200
    name = {"state": "overview", "session/status": "overview", "signals": "decisions"}.get(path, path)
    new = get(client, f"/{name}")
    volatile = ("heartbeat",)
    assert {k: v for k, v in old.json().items() if k not in volatile} == {k: v for k, v in new.items() if k not in volatile}


def test_overview_when_session_runs_then_says_state_money_room_and_price(client):
    wait_for("the recording to be read", lambda: not get(client, "/overview")["is_catching_up"])
    seen = get(client, "/overview")
    assert (seen["run"], seen["state"], seen["is_live"], seen["strategy"]) == (SESSION, "ACTIVE", True, "order_flow")
    assert seen["money"]["balance"] == "10295.50"
    assert seen["today"]["trades"] == 1
    assert seen["positions"] == []
    room = {one["name"]: one for one in seen["room"]}
    assert room["drawdown"]["limit"] == pytest.approx(0.25 * float(seen["money"]["high_water_mark"]))
    assert room["profit target"]["is_goal"]
    assert room["profit target"]["used"] == pytest.approx(295.5)
    assert seen["quotes"][0]["symbol"] == "ES"


def test_position_when_traveled_to_then_valued_at_the_price_known_then(client, stage):
    fill = get(client, "/fills")["rows"][-1]
    at = int(fill["ts"]) + NS_PER_MINUTE
    held = get(client, "/positions", at=str(at))["rows"]
    assert [(one["symbol"], one["quantity"]) for one in held] == [("ES", 2 if fill["side"] == "BUY" else -2)] or len(held) == 1
    one = held[0]
    assert one["average_ticks"] == fill["price_ticks"]
    expected = 12.5 * (one["last_ticks"] - one["average_ticks"]) * one["quantity"]
    assert float(one["open_pnl"]) == pytest.approx(expected)
    money = get(client, "/overview", at=str(at))["money"]
    assert float(money["open_pnl"]) == pytest.approx(expected)
    assert float(money["equity"]) == pytest.approx(float(fill["balance"]) + expected)
    assert float(money["day_pnl"]) == pytest.approx(float(fill["balance"]) + expected - 10_000)


def test_overview_when_traveled_to_then_nothing_later_is_in_it(client):
    at = DAY.regular_open_ns + 10 * NS_PER_MINUTE
    seen = get(client, "/overview", at=str(at))
    assert not seen["is_live"]
    assert (seen["status"], seen["reason"]) == ("past", "")
    assert seen["heartbeat"] is None
    assert seen["today"]["trades"] == 0
    text = json.dumps(seen)
    stamps = [int(stamp) for stamp in re.findall(r'"(?:ts|\w+_ns)": "(\d{19})"', text)]
    assert stamps
    started = int(get(client, "/runs")["rows"][0]["started_ns"])
    assert max(stamp for stamp in stamps if stamp < started) <= at


def test_overview_when_the_recording_is_still_being_read_then_shows_no_old_price(stage, monkeypatch):
    from sovereign.app.dashboard import scope as module
    from sovereign.app.dashboard.view import View

    monkeypatch.setattr(module, "_LOOK_S", 0.0)
    monkeypatch.setattr("sovereign.app.dashboard.replica._FRAMES_A_LOOK", 5)
    view = View(stage.store, stage.settings)
    try:
        run = stage.store.run(SESSION)
        first = view.overview(run)
        assert first["is_catching_up"]
        assert first["quotes"] == first["regimes"] == []
        # A moment of the past waits until everything has been read.
        assert view.overview(run, DAY.regular_open_ns + 10 * NS_PER_MINUTE)["quotes"]
        assert not view.overview(run)["is_catching_up"]
    finally:
        view.markets.close()


def test_bars_when_paged_then_join_without_gap(client):
    last = get(client, "/bars", count=4)
    before = get(client, "/bars", before=last["bars"][0]["index"], count=4)
    indexes = [bar["index"] for bar in before["bars"] + last["bars"]]
    assert indexes == list(range(indexes[0], indexes[0] + 8))
    assert last["total"] == indexes[-1] + 1
    assert before["open"] is None


def test_bars_when_run_has_no_ticks_then_bars_of_the_store(client):
    seen = get(client, "/bars", run=FINISHED, day=MONDAY.isoformat())
    assert len(seen["bars"]) == 6
    assert seen["bars"][0]["cells"] == []
    assert "no ticks" in seen["source"]


def test_decision_when_refused_then_tells_what_it_would_have_made(client):
    row = next(
        row for row in get(client, "/decisions", run=FINISHED, verdict="REFUSED")["rows"] if row["failed_check"] == "margin"
    )
    found = get(client, f"/decisions/{row['decision_id']}", run=FINISHED)
    model_market.DecisionDetail.model_validate(found)
    # Bought at 20,000, the open after 11:00; the bar that opens at 19,980 jumps over the stop at 19,984: 20 x 12.50 and fees.
    assert found["would_have_made"]["ticks"] == -20
    assert found["would_have_net"] == "-254.50"
    assert found["checks"][0]["value"] == 500.0
    known = get(client, f"/decisions/{row['decision_id']}", run=FINISHED, at=row["ts"])
    assert known["would_have_made"] is None


def test_decision_when_not_made_yet_then_not_found(client):
    row = get(client, "/decisions", run=FINISHED)["rows"][0]
    answer = client.get(f"/api/v1/decisions/{row['decision_id']}", params={"run": FINISHED, "at": str(int(row["ts"]) - 1)})
    assert answer.status_code == 404


def test_decisions_when_session_runs_then_its_own_refusals_are_listed_with_checks(client):
    rows = get(client, "/decisions", limit=1_000)["rows"]
    own = [row for row in rows if "-C" in row["decision_id"]]
    assert own
    found = get(client, f"/decisions/{own[0]['decision_id']}")
    model_market.DecisionDetail.model_validate(found)
    assert [check["passed"] for check in found["checks"]][-1] is False
    assert found["checks"][-1]["name"] == own[0]["failed_check"]


def test_timeline_when_asked_then_moments_are_in_order_and_inside(client):
    line = get(client, "/timeline")
    stamps = [int(one["ts"]) for one in line["moments"]]
    assert stamps == sorted(stamps)
    assert int(line["begin_ns"]) <= stamps[0]
    assert {one["kind"] for one in line["moments"]} >= {"decision", "fill"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/overview?run=nothing", 404),
        ("/overview?at=yesterday", 422),
        ("/bars?symbol=XX", 404),
        ("/bars?count=0", 422),
        ("/decisions/none-of-that", 404),
        ("/decisions?limit=100000", 422),
        ("/runs/nothing", 404),
        ("/runs/nothing/report", 404),
        (f"/runs/{FINISHED}/report", 404),
        ("/sessions/nothing/events", 404),
        ("/nothing", 404),
    ],
)
def test_read_when_it_leads_nowhere_then_says_so(client, path, status):
    answer = client.get(f"/api/v1{path}")
    assert answer.status_code == status
    assert answer.json()["message"]


# Who may


WRITES = [
    "/session/halt",
    "/session/resume",
    "/session/flatten",
    "/session/stop",
    "/session/reduce",
    "/session/reconcile",
    "/session/trade",
    "/session/cancel",
    "/session/start",
    "/kill",
    "/settings",
    "/token/renew",
]


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic YTpi"}])
def test_write_when_without_a_valid_token_then_refused(client, path, header):
    answer = client.post(f"/api/v1{path}", json={}, headers=header)
    assert answer.status_code == 401
    assert answer.json()["error"] == "token"


def test_every_write_of_the_description_when_without_a_token_then_refused(client):
    paths = client.get("/openapi.json").json()["paths"]
    for path, methods in paths.items():
        for method in set(methods) & {"post", "put", "patch", "delete"}:
            if path.endswith("/token"):
                continue
            place = path.replace("{trade_id}", "T1")
            assert client.request(method, place, json={}).status_code == 401, path


def test_write_when_token_is_of_another_instance_then_refused(client, stage):
    with served(stage) as other:
        token = other.post("/api/v1/token", json={"key": KEY}).json()["token"]
    answer = client.post("/api/v1/session/reconcile", json={}, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


def test_cancel_when_asked_for_then_the_session_gets_the_order_under_the_name_it_reads(client, allowed, stage):
    body = {"client_order_id": "order_flow-20251117-ES-00001-E", "reason": "too late"}
    assert client.post("/api/v1/session/cancel", json=body, headers=allowed).status_code in (200, 202)
    asked = [one.command for one in stage.store.live.commands.listed() if one.command.kind == "CANCEL"]
    assert [dict(one.arguments) for one in asked] == [{"order": body["client_order_id"]}]


def test_login_when_key_is_wrong_then_refused(client):
    assert client.post("/api/v1/token", json={"key": "guess"}).status_code == 401


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "file://"])
def test_write_when_page_is_of_another_origin_then_refused(client, allowed, origin):
    answer = client.post("/api/v1/session/reconcile", json={}, headers={**allowed, "Origin": origin})
    assert answer.status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "10.0.0.1"])
def test_request_when_under_another_name_then_refused(client, host):
    assert client.get("/api/v1/instance", headers={"Host": host}).status_code == 400


def test_body_when_too_large_then_refused(client, allowed):
    answer = client.post("/api/v1/session/reconcile", content=b"x" * 70_000, headers=allowed)
    assert answer.status_code == 413


def test_body_when_it_grows_without_saying_so_then_nothing_is_done(client, allowed):
    def endless():
        for _ in range(200):
            yield b"x" * 1_000

    try:
        answer = client.post("/api/v1/session/reconcile", content=endless(), headers=allowed)
    except httpx.TransportError:
        return  # cut off
    assert answer.status_code >= 400


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py",
        "/page/..%2fapp.py",
        "/page/%2e%2e/%2e%2e/token.py",
        "/page/..\\app.py",
        "/page//etc/passwd",
        "/page/app.py",
    ],
)
def test_file_when_path_leaves_the_folder_then_not_found(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "import" not in answer.text


def test_answer_when_given_then_carries_the_headers_of_a_closed_page(client):
    for path in ("/", "/api/v1/instance", "/nothing", "/page/main.js"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"


def test_pages_when_read_then_name_no_other_place(client):
    index = client.get("/").text
    assert client.get("/dashboard").text == index
    names = ["/page/style.css", "/page/main.js"]
    seen = set()
    while names:
        name = names.pop()
        if name in seen:
            continue
        seen.add(name)
        answer = client.get(name)
        assert answer.status_code == 200, name
        text = answer.text
        assert not re.findall(r"https?://(?!www\.w3\.org)", text), name
        names += [f"/page/{found}" for found in re.findall(r'from "\./([\w.]+)"', text)]
    assert len(seen) > 15
    assert "<script>" not in index
    assert "style=" not in index


# Commands


@pytest.mark.parametrize("kind", ["halt", "resume", "flatten", "stop"])
def test_command_when_word_is_not_typed_then_not_put(client, allowed, stage, kind):
    before = len(stage.store.live.commands.listed())
    for confirm in ("", kind, "yes"):
        answer = client.post(f"/api/v1/session/{kind}", json={"confirm": confirm}, headers=allowed)
        assert answer.status_code == 428
        assert kind.upper() in answer.json()["message"]
    assert len(stage.store.live.commands.listed()) == before


@pytest.mark.parametrize("kind", ["halt", "flatten", "resume"])
def test_command_when_confirmed_then_put_in_the_name_of_the_token_and_answered(client, allowed, stage, kind):
    body = {"confirm": kind.upper(), "reason": "because"}
    answer = client.post(f"/api/v1/session/{kind}", json=body, headers=allowed)
    assert answer.status_code == 200, answer.text
    model_run.Answers.model_validate(answer.json())
    stored = stage.store.live.commands.listed(limit=1)[0]
    assert (stored.command.kind.value, stored.command.by, stored.command.reason) == (kind.upper(), "anna", "because")
    assert stored.is_done


def test_command_when_old_path_is_used_then_the_same(client, allowed):
    answer = client.post("/api/session/halt", json={"confirm": "HALT"}, headers=allowed)
    assert answer.json()["asked"][0]["is_done"]


def test_trade_when_dry_then_needs_no_word_and_says_so_to_the_session(client, allowed, stage):
    body = {"symbol": "ES", "side": "BUY", "quantity": 1, "dry_run": True}
    assert client.post("/api/v1/session/trade", json=body, headers=allowed).status_code == 200
    arguments = stage.store.live.commands.listed(limit=1)[0].command.arguments
    assert arguments == {"symbol": "ES", "side": "BUY", "qty": "1", "dry_run": "true"}
    assert client.post("/api/v1/session/trade", json={**body, "dry_run": False}, headers=allowed).status_code == 428


def test_command_when_nobody_runs_for_it_then_says_so(client, allowed):
    answer = client.post("/api/v1/session/reconcile", json={"account": "nobody"}, headers=allowed)
    assert answer.status_code == 409
    assert answer.json()["error"] == "not_running"


def test_start_when_a_session_runs_then_refused(client, allowed):
    answer = client.post("/api/v1/session/start", json={"strategy": "order_flow"}, headers=allowed)
    assert answer.status_code == 409
    assert "runs" in answer.json()["message"]


def test_start_when_strategy_is_unknown_then_not_found(client, allowed):
    assert client.post("/api/v1/session/start", json={"strategy": "order_flwo"}, headers=allowed).status_code == 404


# What people write


def test_review_when_written_then_kept_and_shown(client, allowed, stage):
    trade = get(client, "/trades", run=FINISHED)["rows"][0]["trade_id"]
    nasty = "<script>alert(1)</script> \u2028 'quoted'"
    body = {"run": FINISHED, "note": nasty, "tags": ["late", "<b>"]}
    answer = client.put(f"/api/v1/trades/{trade}/review", json=body, headers=allowed)
    assert answer.status_code == 200
    row = next(row for row in get(client, "/trades", run=FINISHED)["rows"] if row["trade_id"] == trade)
    assert (row["review"]["note"], row["review"]["tags"], row["review"]["by"]) == (nasty, ["late", "<b>"], "anna")
    assert client.get("/api/v1/trades").headers["content-type"] == "application/json"
    from sovereign.app.dashboard.review import Reviews

    assert Reviews(stage.settings.dashboard.folder).of(FINISHED, trade)["note"] == nasty


def test_review_when_trade_is_unknown_then_not_found(client, allowed):
    assert client.put("/api/v1/trades/none/review", json={"run": FINISHED}, headers=allowed).status_code == 404


def test_settings_when_changed_then_kept_for_sessions_started_from_here(client, allowed):
    body = {"values": {"risk.daily_loss_limit": "-123"}}
    rows = client.post("/api/v1/settings", json=body, headers=allowed).json()["rows"]
    assert next(row for row in rows if row["key"] == "risk.daily_loss_limit")["pending"] == "-123"
    body = {"values": {"risk.daily_loss_limit": None}}
    rows = client.post("/api/v1/settings", json=body, headers=allowed).json()["rows"]
    assert next(row for row in rows if row["key"] == "risk.daily_loss_limit")["pending"] is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("risk.daily_loss_limit", "123"),
        ("risk.nothing", "1"),
        ("execution.trading_enabled", "true"),
        ("session.folder", "elsewhere"),
        ("store.url", "sqlite:///x"),
        ("dashboard.key", "x"),
        ("risk.news_file", "../../secret"),
    ],
)
def test_settings_when_impossible_or_not_to_be_set_from_here_then_refused(client, allowed, key, value):
    assert client.post("/api/v1/settings", json={"values": {key: value}}, headers=allowed).status_code == 409


def test_settings_when_shown_then_secrets_are_masked(client):
    text = client.get("/api/v1/settings").text
    assert KEY not in text
    assert "********" in text


def test_notice_when_it_holds_a_script_then_told_as_text(client, stage):
    stage.say(notice("<img src=x onerror=alert(1)>"))
    seen = get(client, "/overview")
    assert seen["alerts"][0]["text"] == "<img src=x onerror=alert(1)>"


def test_report_when_there_is_one_then_shown_in_a_sandbox(client, stage):
    folder = stage.folder / "report"
    folder.mkdir()
    (folder / "report.html").write_text("<p>the report</p>")
    stage.finished_run("with-report")
    stage.store.finish_run("with-report", finished_ns=1, summary={}, report_path=str(folder / "report.html"), status="finished")
    answer = client.get("/api/v1/runs/with-report/report")
    assert answer.text == "<p>the report</p>"
    assert answer.headers["content-security-policy"].startswith("sandbox")
    stage.finished_run("with-secrets")
    stage.store.finish_run("with-secrets", finished_ns=1, summary={}, report_path="/etc/passwd", status="finished")
    assert client.get("/api/v1/runs/with-secrets/report").status_code == 404


def test_read_when_off_loopback_then_needs_a_token(tmp_path):
    words = ("dashboard.host=0.0.0.0", 'dashboard.names=["box.lan"]')
    with staged(tmp_path, *words) as stage, served(stage, "box.lan") as client:
        assert client.get("/api/v1/overview").status_code == 401
        assert client.get("/openapi.json").status_code == 200
        token = client.post("/api/v1/token", json={"key": KEY}).json()["token"]
        assert client.get("/api/v1/overview", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_requests_when_too_fast_then_refused_for_a_while(tmp_path):
    with staged(tmp_path, "dashboard.logins_per_minute=4", "dashboard.requests_per_s=2") as stage, served(stage) as client:
        codes = [client.post("/api/v1/token", json={"key": "guess"}).status_code for _ in range(4)]
        assert codes == [401, 401, 429, 429]
        assert 429 in [client.get("/healthz").status_code for _ in range(10)]
