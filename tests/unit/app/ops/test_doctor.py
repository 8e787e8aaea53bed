"""The doctor: each check seen well and ill, on real files and a real store."""

import json
import os
import socket
import time
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

import pytest

from sovereign.app.cli.main import run
from sovereign.app.configuration import load_settings
from sovereign.app.ops.doctor import CHECKS, Examination, Level, examine
from sovereign.app.ops.heartbeat import Beat
from sovereign.core.session import NS_PER_SECOND
from sovereign.store.live import LiveSession
from sovereign.store.process import this_process
from sovereign.store.store import Store


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def look(name, *overrides, environment=None, file=None):
    loaded = load_settings(file, overrides, environment={})
    given = Examination(loaded=loaded, environment=environment or {}, now_ns=time.time_ns())
    return list(CHECKS[name](given))


def levels(found):
    return [check.level for check in found]


def test_examination_when_everything_is_fresh_then_nothing_fails(place):
    loaded = load_settings(None, (), environment={})
    found = examine(Examination(loaded=loaded, environment={}, now_ns=time.time_ns()))
    assert [check for check in found if check.level is Level.FAIL] == []
    assert {check.name for check in found} >= {"time zones", "clock", "disk", "calendar", "catalog", "store", "keys", "opt-ins"}
    assert all(check.remedy for check in found if check.level is not Level.OK)


def test_examination_when_one_check_cannot_be_made_then_it_fails_and_the_others_are_made(place):
    loaded = load_settings(None, ("store.url=sqlite:////proc/nowhere/store.sqlite",), environment={})
    found = examine(Examination(loaded=loaded, environment={}, now_ns=time.time_ns()))
    assert [check.name for check in found if check.level is Level.FAIL] == ["store"]
    assert found[-1].name == "opt-ins"


def test_zones_when_data_is_right_then_ok(place):
    assert levels(look("time zones")) == [Level.OK]


def test_clock_when_nobody_is_asked_then_ok_and_when_unreachable_then_warned(place):
    assert levels(look("clock")) == [Level.OK]
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert levels(look("clock", f"doctor.time_url=http://127.0.0.1:{port}")) == [Level.WARN]
    assert levels(look("clock", "doctor.time_url=file:///etc/passwd")) == [Level.FAIL]


def test_disk_when_too_little_is_free_then_fails(place):
    assert set(levels(look("disk"))) == {Level.OK}
    assert set(levels(look("disk", "guard.disk_free_mb=1e15"))) == {Level.FAIL}


def test_calendar_when_asked_then_names_the_next_session_of_each(place):
    found = look("calendar", "doctor.overrides_age_days=100000")
    assert levels(found) == [Level.OK] * 6  # five calendars and the corrections of single dates
    assert found[0].text.startswith("CME_EQUITY: next trade date ")


def test_store_when_a_session_died_or_an_account_is_killed_then_warned(place):
    with Store("sqlite:///sovereign.sqlite") as store:
        store.live.begin_session(
            LiveSession(
                id="s1",
                account="paper",
                strategy="order_flow",
                mode="paper",
                trade_date=date(2025, 11, 17),
                recording_path="r",
                started_ns=1,
                code_hash="c",
                config_hash="h",
            )
        )
        found = look("store")
        assert [check.name for check in found if check.level is Level.WARN] == ["guard"]
        with store.database.writing() as connection:
            connection.exec_driver_sql("UPDATE live_sessions SET process_token = 'another boot'")
        store.live.latch("paper", by="guard", reason="bell", ts=1)
        found = look("store")
    assert [check.name for check in found if check.level is Level.WARN] == ["sessions", "kills"]
    assert "killed by guard: bell" in found[-1].text


def beat(**changes):
    me = this_process()
    base = Beat(
        ts=time.time_ns(),
        market_ns=0,
        pid=me.pid,
        host=me.host,
        process_token=me.token,
        session_id="s",
        strategy="x",
        mode="paper",
        account="p",
        state="ACTIVE",
    )
    Path("data").mkdir(exist_ok=True)
    Path("data/heartbeat.json").write_text(json.dumps(asdict(replace(base, **changes))))


def test_heartbeat_when_absent_fresh_hung_or_of_a_dead_process_then_told_apart(place):
    assert levels(look("heartbeat")) == [Level.OK]
    beat()
    assert levels(look("heartbeat")) == [Level.OK]
    beat(ts=time.time_ns() - 3_600 * NS_PER_SECOND)
    assert levels(look("heartbeat")) == [Level.FAIL]
    beat(process_token="another boot")
    assert levels(look("heartbeat")) == [Level.WARN]


def test_broker_when_none_is_configured_then_warned_and_when_it_is_gone_then_fails(place):
    assert levels(look("broker")) == [Level.WARN]
    options = ("guard.url=ws://127.0.0.1:9", "guard.token=a-guard-token", "kill.wait_s=1")
    (found,) = look("broker", *options)
    assert found.level is Level.FAIL
    assert "a-guard-token" not in found.text


def test_keys_when_set_then_named_and_never_shown(place):
    found = look("keys", environment={"DATABENTO_API_KEY": "db-secret-value", "DISCORD_WEBHOOK_URL_FILE": str(place / "none")})
    assert levels(found) == [Level.FAIL, Level.OK]
    assert "set: Databento;" in found[-1].text
    assert "db-secret-value" not in str(found)


@pytest.mark.skipif(os.name != "posix", reason="permissions of this kind exist on POSIX alone")
def test_permissions_when_a_file_with_a_secret_is_open_to_others_then_fails(place):
    file = place / "sovereign.toml"
    file.write_text('[guard]\ntoken = "a-secret-token"\n')
    file.chmod(0o644)
    (found,) = look("permissions", file=file)
    assert (found.level, found.remedy) == (Level.FAIL, f"chmod 600 '{file}'")
    file.chmod(0o600)
    assert levels(look("permissions", file=file)) == [Level.OK]
    secret = place / "key"
    secret.write_text("x")
    secret.chmod(0o640)
    assert levels(look("permissions", environment={"MASSIVE_API_KEY_FILE": str(secret)})) == [Level.FAIL]


@pytest.mark.skipif(os.name != "posix", reason="permissions of this kind exist on POSIX alone")
def test_permissions_when_an_open_file_holds_no_secret_then_ok(place):
    file = place / "sovereign.toml"
    file.write_text("[risk]\nmax_positions = 1\n")
    file.chmod(0o644)
    assert levels(look("permissions", file=file)) == [Level.OK]


def test_opt_ins_when_two_are_given_then_warned(place):
    assert levels(look("opt-ins")) == [Level.OK]
    found = look("opt-ins", "execution.trading_enabled=true", environment={"ENABLE_LIVE_TRADING": "1"})
    assert levels(found) == [Level.WARN]


def test_command_when_something_fails_then_exit_1_and_the_list_all_the_same(place, capsys):
    assert run(["doctor", "--json"]) == 0
    assert {row["level"] for row in json.loads(capsys.readouterr().out)} <= {"ok", "warn"}
    assert run(["doctor", "--json", "--set", "guard.disk_free_mb=1e15"]) == 1
    out, err = capsys.readouterr()
    assert [row["name"] for row in json.loads(out) if row["level"] == "fail"] == ["disk", "disk", "disk"]
    assert "disk" in json.loads(err)["error"]["message"]
