"""Passwords never leave the configuration, and numbers that cannot be meant are refused at the door."""

import json

import pytest

from sovereign.app.cli.main import run
from sovereign.app.configuration import load_settings
from sovereign.app.plan import kept_settings
from sovereign.core.errors import ConfigurationError

PASSWORD = "hunt@er2:x"


@pytest.mark.parametrize("place", ["foo://bob:{}@127.0.0.1:1/db", "://bob:{}@x", "nosuch+driver://bob:{}@127.0.0.1/db"])
@pytest.mark.parametrize("command", [["runs", "list"], ["runs", "list", "--traceback"], ["config", "show"]])
def test_command_when_the_store_url_has_a_password_then_prints_it_nowhere(capfd, place, command):
    run([*command, "--set", f"store.url={place.format(PASSWORD)}"])
    printed = "".join(capfd.readouterr())
    assert printed
    assert "hunt" not in printed
    assert "er2:x" not in printed


def test_kept_settings_when_the_store_url_has_a_password_then_mask_it():
    settings = load_settings(None, (f"store.url=postgresql://bob:{PASSWORD}@host/db",), {}).settings
    kept = kept_settings(settings)
    assert kept["store"]["url"] == "postgresql://bob:********@host/db"
    assert "hunt" not in json.dumps(kept)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "9" * 30])
@pytest.mark.parametrize(
    "key", ["execution.latency_ms", "evidence.null_ticks", "stress.min_final_profit", "metrics.risk_free_frac"]
)
def test_setting_when_it_is_no_finite_64_bit_number_then_is_refused_with_its_name(key, value):
    if key != "evidence.null_ticks" and value == "9" * 30:
        pytest.skip("a float may be that large")
    with pytest.raises(ConfigurationError, match=key.rpartition(".")[2]):
        load_settings(None, (f"{key}={value}",), {})


@pytest.mark.parametrize(
    "words",
    [
        ["data", "synth", "--sessions", "1000000000"],
        ["data", "synth", "--ticks", "1000000000000"],
        ["evidence", "null", "order_flow", "--sessions", "1000000000"],
        ["evidence", "null", "order_flow", "--set", "evidence.null_ticks=1000000000000"],
        ["evidence", "future", "order_flow", "--set", "evidence.future_cuts=1000000000"],
        ["demo", "--set", "synthetic.ticks_per_session=1000000000000"],
    ],
)
def test_command_when_asked_for_more_than_any_machine_has_then_refuses_at_once(tmp_path, monkeypatch, capfd, words):
    monkeypatch.chdir(tmp_path)
    assert run(words) in (2, 4)
    assert "unexpected" not in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


def test_fee_when_it_is_negative_then_is_refused():
    with pytest.raises(ConfigurationError, match="fees"):
        load_settings(None, ('execution.fees={ES = "-5"}',), {})


@pytest.mark.parametrize("text", ["a = " + "[" * 5_000, "[" * 5_000])
def test_file_when_it_is_nested_without_end_then_is_one_line_of_error(tmp_path, text):
    file = tmp_path / "deep.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"deep\.toml"):
        load_settings(file, (), {})


def test_command_when_the_disk_is_full_then_says_so_in_one_line(capfd, monkeypatch):
    from sovereign.app import configuration

    def full(*_args, **_options):
        raise OSError(28, "No space left on device", "/x/y")

    monkeypatch.setattr(configuration, "load_settings", full)
    assert run(["config", "show"]) == 1
    assert "No space left on device ('/x/y')" in capfd.readouterr().err
