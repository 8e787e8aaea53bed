"""`sovereign runs`, `explain` and `stress` as a user calls them."""

import json

import pytest

from example_run import describe, example_events, example_record, example_run
from sovereign.app.cli.main import run
from sovereign.research.evidence_card import build_card
from sovereign.research.report import summarize
from sovereign.store.store import Store


@pytest.fixture
def kept(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/store.sqlite"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOVEREIGN__STORE__URL", url)
    with Store(url) as store:
        for number in range(2):
            name = store.begin_run(example_record(id=f"flow-{number}", config={"risk": {"daily_loss": -800 - number}}))
            sink = store.sink(name, describe)
            for event in example_events():
                sink(event)
            result = example_run()
            summary = summarize(result.with_evidence(build_card(result)))
            store.finish_run(name, finished_ns=2, summary=summary, verdict="weak", report_path="runs/report.html")
    return url


def said(capsys, *words):
    code = run(words)
    return code, capsys.readouterr()


def test_list_when_runs_exist_then_newest_comes_first(kept, capsys):
    code, out = said(capsys, "runs", "list", "--json")
    runs = json.loads(out.out)
    assert (code, [(r["run"], r["net"], r["trades"]) for r in runs]) == (0, [("flow-1", "169.50", 4), ("flow-0", "169.50", 4)])


def test_list_when_ledger_is_empty_then_says_how_to_begin(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOVEREIGN__STORE__URL", f"sqlite:///{tmp_path}/empty.sqlite")
    assert "no runs yet" in said(capsys, "runs", "list")[1].out


def test_show_when_asked_for_last_then_gives_figures_evidence_and_trades(kept, capsys):
    code, out = said(capsys, "runs", "show", "last", "--json")
    shown = json.loads(out.out)
    assert (code, shown["run"], shown["summary"]["evidence"]["verdict"]) == (0, "flow-1", "weak")
    assert [trade["net"] for trade in shown["trade_list"]] == ["295.50", "-217.00", "-204.50", "295.50"]
    text = said(capsys, "runs", "show", "flow-0")[1].out
    assert "SIMULATED DATA" in text
    assert "evidence: weak" in text
    assert "169.50" in text


def test_compare_when_a_setting_differs_then_shows_it(kept, capsys):
    code, out = said(capsys, "runs", "compare", "flow-0", "flow-1", "--json")
    assert (code, json.loads(out.out)["config"]) == (
        0,
        [{"name": "risk.daily_loss", "first": -800, "second": -801, "change": -1.0}],
    )
    assert "trades: 4 in both" in said(capsys, "runs", "compare", "flow-0", "flow-1")[1].out


def test_explain_when_refused_then_gives_checks_and_what_it_would_have_made(kept, capsys):
    code, out = said(capsys, "explain", "flow-20240313-ES-00099", "--json")
    found = json.loads(out.out)
    assert (code, found["verdict"], found["would_have_net"]) == (0, "REFUSED", "-254.50")
    assert found["checks"] == [
        {"name": "margin", "value": 500.0, "limit": 400.0, "unit": "USD", "passed": False, "note": "too high"}
    ]
    text = said(capsys, "explain", "flow-20240313-ES-00099")[1].out
    assert "refused by margin" in text
    assert "would have made -20 ticks" in text


def test_explain_when_taken_then_gives_orders_fills_and_trade(kept, capsys):
    text = said(capsys, "explain", "flow-20240312-ES-00001", "--run", "flow-0")[1].out
    assert [word for word in ("run flow-0", "order ", "fill ", "trade T1", "net -217.00") if word not in text] == []


def test_list_when_printed_then_money_has_cents_and_where_the_data_came_from_is_said(kept, capsys):
    heads, newest, *_ = said(capsys, "runs", "list")[1].out.splitlines()
    assert "net USD" in heads
    assert "169.50" in newest.split()
    assert newest.split()[2] == ("SIMULATED" if example_record(id="one").is_simulated else "recorded")


def test_decisions_when_listed_then_each_id_can_be_explained(kept, capsys):
    code, out = said(capsys, "runs", "decisions", "flow-0", "--limit", "0", "--json")
    rows = json.loads(out.out)
    assert (code, len(rows)) == (0, 13)
    assert [row["ts"] for row in rows] == sorted(row["ts"] for row in rows)
    for row in rows:
        code, out = said(capsys, "explain", row["decision_id"], "--run", "flow-0", "--json")
        assert (code, json.loads(out.out)["verdict"]) == (0, row["verdict"])


def test_decisions_when_filtered_then_only_those_refused_by_the_check(kept, capsys):
    rows = json.loads(said(capsys, "runs", "decisions", "flow-0", "--check", "tradable", "--json")[1].out)
    assert {(row["verdict"], row["failed_check"]) for row in rows} == {("REFUSED", "tradable")}
    assert len(rows) == 4
    text = said(capsys, "runs", "decisions", "flow-0", "--verdict", "refused", "--limit", "2")[1].out
    assert text.count("REFUSED") == 2
    assert "the first 2; --limit 0 lists all" in text


def test_decisions_when_the_verdict_is_unknown_then_usage(kept, capsys):
    code, out = said(capsys, "runs", "decisions", "flow-0", "--verdict", "maybe")
    assert code == 2
    assert "allowed are APPROVED, RESIZED, REFUSED" in out.err


def test_stress_when_run_then_prints_tests_and_is_recorded(kept, capsys):
    code, out = said(capsys, "stress", "flow-0", "--json")
    found = json.loads(out.out)
    assert (code, found["run"], found["record"], len(found["tests"])) == (0, "flow-0", "flow-0-stress", 8)
    assert json.loads(said(capsys, "runs", "list", "--json")[1].out)[0]["kind"] == "stress"
    assert "FAILED  slippage_2" in said(capsys, "stress", "flow-0")[1].out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("runs", "show", "nothing"), 3, "not in the ledger"),
        (("runs", "show", "flow"), 2, "2 runs begin with"),
        (("explain", "nothing"), 3, "not in any run"),
        (("stress", "nothing"), 3, "not in the ledger"),
    ],
)
def test_command_when_name_leads_nowhere_then_exit_code_and_message_say_so(kept, capsys, words, code, says):
    found, out = said(capsys, *words)
    assert found == code
    assert says in out.err
