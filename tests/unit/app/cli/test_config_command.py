"""`sovereign config` as a user types it."""

import json

import pytest

from sovereign.app.cli.main import run


@pytest.fixture(autouse=True)
def own_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_show_when_file_and_flag_are_given_then_each_value_names_its_source(capsys, tmp_path):
    (tmp_path / "sovereign.toml").write_text('[account]\nstarting_balance = 3000\n[report]\nfolder = "a"\n')
    assert run(["config", "show", "--json", "--set", "report.folder=b"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["file"] == "sovereign.toml"
    assert shown["settings"]["account.starting_balance"] == {"value": "3000", "source": "file sovereign.toml"}
    assert shown["settings"]["report.folder"] == {"value": "b", "source": "flag --set"}


def test_show_when_key_is_wrong_then_exit_4_with_a_suggestion(capsys, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[account]\nstarting_balanc = 3000\n")
    assert run(["config", "show", "--config", str(file)]) == 4
    captured = capsys.readouterr()
    assert "did you mean 'starting_balance'?" in captured.err
    assert str(file) in captured.err
    assert len(captured.err.splitlines()) == 1


def test_show_when_environment_is_wrong_then_exit_4(capsys, monkeypatch):
    monkeypatch.setenv("SOVEREIGN__ACCOUNT__STARTING_BALANCE", "much")
    assert run(["config", "show"]) == 4
    assert "SOVEREIGN__ACCOUNT__STARTING_BALANCE" in capsys.readouterr().err


def test_show_when_named_file_is_missing_then_exit_3(capsys):
    assert run(["config", "show", "--config", "nowhere.toml"]) == 3
    assert "nowhere.toml" in capsys.readouterr().err


def test_schema_when_printed_then_is_json_that_refuses_unknown_keys(capsys):
    assert run(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["additionalProperties"] is False
    assert "account" in schema["properties"]


def test_init_when_file_exists_then_refused_unless_forced(capsys, tmp_path):
    assert run(["config", "init"]) == 0
    file = tmp_path / "sovereign.toml"
    file.write_text("mine")
    assert run(["config", "init"]) == 2
    assert "--force" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert run(["config", "init", "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": "sovereign.toml"}
    assert run(["config", "show"]) == 0


def test_init_when_folder_is_missing_then_says_so(capsys):
    assert run(["config", "init", "no/such/folder.toml"]) == 2
    assert "folder does not exist" in capsys.readouterr().err
