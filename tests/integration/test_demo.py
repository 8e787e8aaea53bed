"""`sovereign demo` from end to end, and the proof that watching changes nothing."""

import json
from dataclasses import replace
from datetime import date
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from sovereign.app.cli.main import run
from sovereign.app.configuration import load_settings
from sovereign.app.console.pacing import PacedFeed, Pacer
from sovereign.app.console.picture import Head
from sovereign.app.console.screen import Lines, Screen
from sovereign.app.console.watch import Pace, watch
from sovereign.app.demonstration.plan import demo_plan
from sovereign.core.event import DecisionMade, encode
from sovereign.core.session import NS_PER_SECOND
from sovereign.research.backtest import run_backtest
from sovereign.store.store import Store
from sovereign.strategies import market_of, strategy_names

SMALL = ("synthetic.ticks_per_session=60000",)
LIVELY = (*SMALL, "strategies.order_flow.router.min_confidence=0", "strategies.order_flow.router.min_strength=0")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def options(words):
    return [part for word in words for part in ("--set", word)]


def plan_for(words=LIVELY, sessions=1, seed=1):
    settings = load_settings(None, words).settings
    return settings, demo_plan(settings, "order_flow", "ES", seed, date(2025, 1, 2), sessions, 1, is_tested=False)


def audit(plan, feed, **watching):
    lines: list[bytes] = []
    sinks = (lambda event: lines.append(encode(event)), *watching.pop("sinks", ()))
    run_backtest(plan.recipe, feed, sinks=sinks, warm_up=plan.warm_up, **watching)
    return b"".join(lines)


def test_run_when_it_is_watched_and_paced_then_the_audit_is_the_same_bytes():
    _, plan = plan_for()
    unwatched = audit(plan, plan.feed)
    clock = iter(range(10**9))
    screen = Screen(Console(file=StringIO(), force_terminal=True, width=100, height=30), clock=lambda: float(next(clock)))
    wall = [0.0]
    pacer = Pacer(
        1_000, screen.on_wait, clock=lambda: wall[0], sleep=lambda seconds: wall.__setitem__(0, wall[0] + max(seconds, 1e-3))
    )
    feed = PacedFeed(plan.feed, pacer, 90 * NS_PER_SECOND)
    with screen.open("test"):
        head = Head(strategy="order_flow", label="SIMULATED data", run_id="r")
        screen.begin(head, True, lambda: pacer.speed, lambda symbol: feed.spans.get(symbol, (0, 0)))
        watched = audit(plan, feed, sinks=(screen.state,), on_block=screen.on_block)
    assert watched == unwatched
    assert b'"OrderFilled"' in unwatched
    shown = screen.console.file.getvalue()
    assert shown.count("last decisions") > 250
    assert wall[0] == pytest.approx(6.5 * 3.6, rel=0.02)


def test_demo_when_nobody_watches_then_plain_lines_summary_and_report(capsys, tmp_path):
    assert run(["demo", "--no-evidence", "--seed", "1", *options(SMALL)]) == 0
    out = capsys.readouterr().out
    progress = [line for line in out.splitlines() if line.startswith("SIMULATED  2025-01-02")]
    assert 5 <= len(progress) <= 12
    assert all("ES" in line and "position" in line and "day P&L" in line for line in progress)
    assert "SIMULATED data" in out
    report = tmp_path / out.splitlines()[-1].removeprefix("report").strip()
    assert report.is_file()
    page = report.read_text(encoding="utf-8")
    assert "simulated" in page.lower()
    assert "2024-12-31, which was not traded" in page
    assert "\x1b" not in out


def test_demo_when_json_is_asked_for_then_stdout_is_one_document(capsys):
    assert run(["demo", "--no-evidence", "--json", *options(SMALL)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["strategy"], result["is_simulated"], result["seed"]) == ("order_flow", True, 4)
    assert Path(result["report"]).is_file()


def test_demo_when_run_twice_then_the_same_result(capsys):
    results = []
    for _ in range(2):
        assert run(["demo", "--no-evidence", "--json", "--seed", "4", *options(LIVELY)]) == 0
        result = json.loads(capsys.readouterr().out)
        results.append((result["final_balance"], result["hashes"]))
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--strategy", "nothing"], 3, "nothing"),
        (["--symbol", "no such"], 3, "no such"),
        (["--date", "tomorrow"], 2, "YYYY-MM-DD"),
        (["--sessions", "0"], 2, "sessions"),
    ],
)
def test_demo_when_the_request_is_impossible_then_its_exit_code(capsys, words, code, message):
    assert run(["demo", *words]) == code
    assert message in capsys.readouterr().err


class Impatient(Lines):
    """Somebody who presses Ctrl-C at the first trade."""

    def on_block(self, passage):
        super().on_block(passage)
        if self.state.closed:
            raise KeyboardInterrupt


def test_watch_when_interrupted_then_what_was_run_is_kept_and_where_is_said(tmp_path):
    settings, plan = plan_for()
    with Store(settings.store) as store:
        with pytest.raises(KeyboardInterrupt, match=r"stopped at 2025-01-02 .* EST; what was run is kept as order_flow-"):
            watch(plan, store, tmp_path, Pace(speed=0.0), Impatient(lambda _: None))
        kept = store.runs()[0]
        assert (kept.status, kept.record.kind, kept.summary) == ("failed", "demo", {"error": "interrupted"})
        decision = store.decision("order_flow-20250102-ES-00001", kept.id)
        assert decision.run_id == kept.id


def test_demo_when_it_is_warmed_up_then_only_its_own_session_is_traded():
    _, plan = plan_for()
    assert [s.trade_date for s in plan.warm_up.sessions()] == [date(2024, 12, 31)]
    cold, warm = run_backtest(plan.recipe, plan.feed), run_backtest(plan.recipe, plan.feed, warm_up=plan.warm_up)
    assert [len(list(o.tables.sessions)) for o in (cold, warm)] == [1, 1]
    first = {name: min(t.entry_ns for t in o.lanes["realistic"].trades) for name, o in (("cold", cold), ("warm", warm))}
    assert first["warm"] < first["cold"]


def test_plan_when_the_warm_up_differs_then_it_counts_as_other_data():
    settings, plan = plan_for()
    cold = demo_plan(settings, "order_flow", "ES", 1, date(2025, 1, 2), 1, 0, is_tested=False)
    assert cold.warm_up is None
    assert cold.data_hash != plan.data_hash
    assert replace(cold, warm_up=plan.warm_up, data_hash=plan.data_hash).start == plan.start


PORTFOLIOS = [name for name in strategy_names() if market_of(name) == "portfolio"]
FEW = ("evidence.null_symbols=4", "portfolio_market.step_seconds=60")


@pytest.mark.parametrize("strategy", PORTFOLIOS)
def test_demo_when_a_strategy_trades_a_portfolio_then_simulated_shares_are_traded(capsys, strategy):
    assert run(["demo", "--strategy", strategy, "--no-evidence", "--json", "--sessions", "2", *options(FEW)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["strategy"], result["is_simulated"]) == (strategy, True)
    assert result["seed"] == (5 if strategy == "tug_of_war" else 4)  # one with trades
    assert len(result["symbols"]) == 4
    assert Path(result["report"]).is_file()


def test_demo_when_tug_of_war_is_shown_then_it_decides_and_what_is_kept_says_how():
    settings = load_settings(
        None, ("evidence.null_symbols=4", "portfolio_market.step_seconds=300"), strategy="tug_of_war"
    ).settings
    plan = demo_plan(settings, "tug_of_war", "ES", 4, date(2025, 3, 4), 5, None, is_tested=False)
    assert len(list(plan.warm_up.sessions())) == 60
    kept = plan.settings["strategies"]["tug_of_war"]
    assert kept == plan.recipe.strategy_config.model_dump(mode="json")
    assert "earnings" in kept["without"]  # nobody reports the earnings of invented shares
    decided = []
    run_backtest(plan.recipe, plan.feed, sinks=(decided.append,), warm_up=plan.warm_up)
    proposals = [event.decision.proposal for event in decided if isinstance(event, DecisionMade)]
    assert proposals
    assert any(proposal.intent is not None for proposal in proposals)


def test_demo_when_lossless_is_shown_then_its_levels_are_known_and_it_decides(capsys):
    words = (*FEW, "strategies.lossless.volume.capitulation_rank=0.9")
    settings = load_settings(None, words).settings
    plan = demo_plan(settings, "lossless", "ES", 4, date(2025, 3, 4), 1, None, is_tested=False)
    assert len(list(plan.warm_up.sessions())) == 15
    assert [session.trade_date for session in plan.feed.sessions()] == [date(2025, 3, 4)]
    decided = []
    run_backtest(plan.recipe, plan.feed, sinks=(decided.append,), warm_up=plan.warm_up)
    names = {event.decision.proposal.name for event in decided if isinstance(event, DecisionMade)}
    assert names & {"BUY", "SHORT"}
