"""The pages in a real browser: every page with live data, commands, a restart, time travel, themes, a phone, the keyboard."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import httpx
import pytest

from dashboard_stage import (
    DAY,
    FINISHED,
    KEY,
    SESSION,
    Stage,
    decided,
    notice,
    served,
    staged,
    ticks_between,
    wait_for,
    write_slices,
)
from example_run import describe, example_events, example_record
from sovereign.app.configuration import load_settings
from sovereign.app.console.screen import Lines
from sovereign.app.console.watch import Pace
from sovereign.app.demonstration.plan import demo_plan
from sovereign.app.demonstration.session import play
from sovereign.app.ops.redaction import Redactor
from sovereign.core.event import DecisionMade
from sovereign.core.session import NS_PER_MINUTE

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; pip install 'sovereign[dev]'")

PAGES = ("overview", "flow", "tug", "council", "decisions", "trades", "execution", "runs", "operations")
WORDS = {
    "overview": "Room left",
    "flow": "Footprint ES",
    "tug": "No tug of war in this run",
    "council": "No council sits in this run",
    "decisions": "buy imbalance",
    "trades": "Closed trades",
    "execution": "Acknowledged in",
    "runs": "weak",
    "operations": "Audit stream",
}
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    with sync_api.sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
        except sync_api.Error as missing:
            pytest.skip(f"no Chromium could be started ({str(missing).splitlines()[0]}); run 'playwright install chromium'")
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("stage"), "dashboard.requests_per_s=5000", "dashboard.logins_per_minute=600") as found:
        found.answering()
        found.say(notice("data of ES are late"))
        yield found


@pytest.fixture(scope="module")
def client(stage: Stage) -> Iterator[httpx.Client]:
    with served(stage) as found:
        yield found


class Errors(list[str]):
    """What a page complained about."""


@pytest.fixture
def open_page(browser: Any, client: httpx.Client) -> Iterator[Any]:
    contexts: list[Any] = []
    said = Errors()

    def opening(
        name: str = "overview", *, width: int = 1440, height: int = 900, theme: str = "dark", run: str = "", base: str = ""
    ) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(f"localStorage.setItem('sovereign.theme', '{theme}')")
        page = context.new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.goto(f"{base or str(client.base_url)}/{f'?run={run}' if run else ''}#{name}&key={KEY}")
        page.wait_for_selector("nav.rail")
        return page

    yield opening
    for context in contexts:
        context.close()
    cut_off = (
        "ERR_CONNECTION_REFUSED",
        "WebSocket connection",
        "404 (Not Found)",
        "ERR_CONNECTION_RESET",
        "ERR_EMPTY_RESPONSE",
    )
    assert [text for text in said if not any(word in text for word in cut_off)] == []


def expect(page: Any, text: str) -> None:
    """Wait for a text on the page."""
    page.wait_for_function("text => document.body.innerText.toLowerCase().includes(text.toLowerCase())", arg=text)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_pages_when_opened_one_after_the_other_then_each_shows_its_data(open_page: Any, theme: str) -> None:
    page = open_page(theme=theme)
    for name in PAGES:
        page.evaluate("name => { location.hash = name }", name)
        expect(page, WORDS[name])
    assert page.evaluate("document.documentElement.dataset.theme") == theme


def test_overview_when_opened_then_answers_the_four_questions(open_page: Any) -> None:
    page = open_page()
    for words in ("ACTIVE", "flat", "10,295.50", "daily loss", "data of ES are late", "What it is thinking", "refused"):
        expect(page, words)
    tip = page.locator(".tile .fig").first.get_attribute("data-tip")
    assert "unit: USD" in tip
    assert "source:" in tip


def test_figures_when_the_session_goes_on_then_change_without_reloading(open_page: Any, stage: Stage) -> None:
    page = open_page("decisions")
    expect(page, "shown")
    stage.say(decided(7))
    page.wait_for_selector('tr[data-key="order_flow-20240311-ES-00007x"]')
    assert page.locator('tr[data-key="order_flow-20240311-ES-00007x"]').count() == 1


def test_decision_when_clicked_then_every_check_with_limit_and_value(open_page: Any) -> None:
    page = open_page("decisions", run=FINISHED)
    page.locator("tr.open", has_text="margin").first.click()
    for words in ("Refused by margin", "500", "400", "Would have made", "254.50"):
        expect(page, words)


def test_finished_run_when_the_server_is_cut_off_between_two_looks_then_the_page_bears_it(open_page: Any) -> None:
    page = open_page("execution", run=FINISHED)
    expect(page, "Acknowledged in")
    page.route("**/api/v1/overview*", lambda route: route.abort("connectionreset"))
    with page.expect_event("requestfailed"):
        page.wait_for_timeout(100)  # it looks again every five seconds
    page.unroute("**/api/v1/overview*")
    with page.expect_response("**/api/v1/overview*"):
        expect(page, "Acknowledged in")


def test_execution_when_pointed_at_then_each_figure_says_what_it_is_measured_against(open_page: Any, tmp_path: Any) -> None:
    with staged(tmp_path) as own:
        run = own.store.begin_run(example_record(id="quoted"))
        sink = own.store.sink(run, describe)
        for event in example_events():
            if isinstance(event, DecisionMade) and event.decision.outcome.__class__.__name__ == "Approved":
                proposal = event.decision.proposal
                seen = replace(proposal, inputs={**proposal.inputs, "mid_ticks": 19_999.5})
                event = replace(event, decision=replace(event.decision, proposal=seen))  # noqa: PLW2901
            sink(event)
        sink.close()
        with served(own) as client:
            for name, price, words in ((SESSION, "5,000.00", "last price"), ("quoted", "4,999.875", "middle of the quote")):
                page = open_page("execution", run=name, base=str(client.base_url))
                row = page.locator("#orders tr", has_text="entry").first
                for title in ("arrival", "shortfall", "missed"):
                    tip = row.locator(f'td[data-label="{title}"] .fig').first.get_attribute("data-tip")
                    assert f"measured against the {words} when it was decided" in tip
                assert row.locator('td[data-label="arrival"]').inner_text() == price
                tips = page.locator(".tile .fig").evaluate_all("all => all.map((one) => one.dataset.tip)")
                assert any(f"against the {words}" in tip for tip in tips)
                expect(page, "else against the last price then")


def test_commands_when_given_from_the_page_then_halt_resume_and_flatten_reach_the_session(open_page: Any, stage: Stage) -> None:
    page = open_page()
    expect(page, "ACTIVE")
    for kind, label in (("HALT", "Halt trading"), ("FLATTEN", "Flatten"), ("RESUME", "Resume trading")):
        page.locator(f".controls button[data-kind={kind}]").click()
        send = page.locator("dialog button[type=submit]")
        page.fill("#confirm-field", kind.lower())
        assert send.is_disabled()
        page.fill("#confirm-field", kind)
        page.fill("#why-field", "a test")
        assert send.inner_text() == label
        send.click()
        page.wait_for_selector(".toast.ok")
        stored = stage.store.live.commands.listed(limit=1)[0]
        assert (stored.command.kind.value, stored.command.reason, stored.is_done) == (kind, "a test", True)
        expect(page, {"HALT": "HALTED", "FLATTEN": "HALTED", "RESUME": "ACTIVE"}[kind])
        page.evaluate("document.querySelectorAll('.toast').forEach((one) => one.remove())")


def test_page_when_the_server_restarts_then_loses_and_doubles_no_event(browser: Any, stage: Stage) -> None:
    with served(stage) as first:
        port = first.base_url.port
        context = browser.new_context()
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.goto(f"{first.base_url}/#operations&key={KEY}")
        page.wait_for_function("() => window.sovereign?.events.rows.length > 0")
        before = page.evaluate("window.sovereign.events.next")
        stage.say(notice("before the restart"))
        page.wait_for_function("next => window.sovereign.events.next > next", arg=before)
    page.wait_for_function("() => ['down', 'polling'].includes(window.sovereign.stream.state)")
    expect(page, "disconnected")
    stage.say(notice("while nobody served"), notice("and once more"))
    with served(stage, port=port):
        page.wait_for_function("() => window.sovereign.stream.state === 'live'")
        page.wait_for_function("next => window.sovereign.events.next >= next", arg=before + 3)
        stage.say(notice("after the restart"))
        page.wait_for_function("next => window.sovereign.events.next >= next", arg=before + 4)
        numbers = page.evaluate("window.sovereign.events.rows.map((row) => row.seq)")
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert page.evaluate("window.sovereign.events.doubled") == 0
        context.close()


def test_time_travel_when_opened_then_shows_what_was_known_and_steps_plays_and_comes_back(
    open_page: Any, client: httpx.Client
) -> None:
    page = open_page("overview")
    expect(page, "10,295.50")
    page.keyboard.press("t")
    page.wait_for_selector(".travel:not([hidden])")
    page.wait_for_function("() => window.sovereign.at !== null && window.sovereign.overview?.clock_ns === window.sovereign.at")
    assert page.locator(".controls button[data-kind=HALT]").is_hidden()
    page.fill(".jump", "09:40")
    page.press(".jump", "Enter")
    page.wait_for_function(
        "() => window.sovereign.overview?.money.balance === '10000'|| window.sovereign.overview?.money.balance === '10000.00'"
    )
    expect(page, "PAST")
    at = page.evaluate("window.sovereign.at")
    assert int(at) == DAY.regular_open_ns + 10 * NS_PER_MINUTE
    moments = [one["ts"] for one in client.get("/api/v1/timeline").json()["moments"] if int(one["ts"]) > int(at)]
    page.locator(".travel").click(position={"x": 3, "y": 3})
    page.keyboard.press("n")
    page.wait_for_function("ts => window.sovereign.at === ts", arg=moments[0])
    page.select_option(".travel select[aria-label=Speed]", "1000")
    page.locator(".travel button[aria-label=Play]").click()
    page.wait_for_function("ts => BigInt(window.sovereign.at) > BigInt(ts)", arg=moments[0])
    page.keyboard.press("Escape")
    page.wait_for_function("() => window.sovereign.at === null && window.sovereign.overview?.money.balance === '10295.50'")


def test_footprint_when_traveling_then_no_bar_is_later(open_page: Any) -> None:
    page = open_page("flow")
    page.wait_for_function("() => window.sovereign.mounted?.page.id === 'flow'")
    page.keyboard.press("t")
    page.wait_for_selector(".travel:not([hidden])")
    page.fill(".jump", "10:12:30")
    page.press(".jump", "Enter")
    wanted = DAY.regular_open_ns + 42 * NS_PER_MINUTE + NS_PER_MINUTE // 2
    page.wait_for_function("ts => window.sovereign.at === ts", arg=str(wanted))
    expect(page, "8 bars")


def test_jump_when_the_session_is_still_being_read_then_gone_to_once_it_is(open_page: Any) -> None:
    page = open_page("flow")
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.route("**/api/v1/timeline*", hold)
    page.wait_for_function("() => window.sovereign.mounted?.page.id === 'flow'")
    with page.expect_request("**/api/v1/timeline*"):
        page.keyboard.press("t")
    page.fill(".jump", "10:12:30")
    page.press(".jump", "Enter")
    page.fill(".jump", "10:")  # what is typed since is not what was asked for
    assert page.evaluate("window.sovereign.at") is None
    for route in held:
        route.continue_()
    wanted = DAY.regular_open_ns + 42 * NS_PER_MINUTE + NS_PER_MINUTE // 2
    page.wait_for_function("ts => window.sovereign.at === ts", arg=str(wanted))


def test_footprint_when_ticks_come_then_the_open_bar_grows(open_page: Any, stage: Stage) -> None:
    page = open_page("flow")
    expect(page, "source: recording")
    price = "window.sovereign.overview?.quotes[0]?.ts"
    page.wait_for_function(price)  # none while the recording is still being read
    before = page.evaluate(price)
    begin = max(DAY.regular_open_ns + 100 * NS_PER_MINUTE, int(before) + 1)
    write_slices(stage.recording, ticks_between(begin, begin + NS_PER_MINUTE, 9, 100))
    page.wait_for_function(f"before => {price} !== before", arg=before)


def test_phone_when_opened_then_nothing_is_wider_than_the_screen(open_page: Any) -> None:
    page = open_page(width=390, height=844)
    for name in PAGES:
        page.evaluate("name => { location.hash = name }", name)
        expect(page, WORDS[name])
        page.wait_for_timeout(150)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
        assert page.locator("nav.rail").bounding_box()["y"] > 700


def test_keyboard_when_used_alone_then_reaches_pages_rows_and_commands(open_page: Any) -> None:
    page = open_page()
    expect(page, "Room left")
    page.keyboard.press("5")
    page.wait_for_selector("tr.open")
    page.locator("tr.open").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page, "Checks")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    expect(page, "Keyboard")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    page.keyboard.press("h")
    page.wait_for_selector("#confirm-field")
    assert page.evaluate("document.activeElement.id") == "confirm-field"
    page.keyboard.press("Escape")
    before = page.evaluate("document.documentElement.dataset.theme")
    page.keyboard.press("d")
    assert page.evaluate("document.documentElement.dataset.theme") != before
    page.keyboard.press("2")
    page.wait_for_function("() => location.hash === '#flow'")


def test_note_when_it_holds_a_script_then_shown_as_text(open_page: Any) -> None:
    page = open_page("trades", run=FINISHED)
    page.locator("tr.open").first.click()
    page.fill("#note-field", '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>')
    page.fill("#tags-field", "<b>late</b>, A-setup")
    page.locator("form.review button[type=submit]").click()
    page.wait_for_selector(".toast.ok")
    page.reload()
    page.wait_for_selector("tr.open")
    expect(page, "<b>late</b>")
    assert page.evaluate("window.hacked") is None


def test_runs_when_two_are_ticked_then_compared_side_by_side(open_page: Any) -> None:
    page = open_page("runs")
    page.wait_for_selector("tr.open")
    for at in range(2):
        page.locator("input[type=checkbox]").nth(at).check()
    page.locator("button", has_text="Compare two").click()
    expect(page, "Two runs side by side")
    expect(page, "only in A")
    page.wait_for_selector(".plot[data-drawn] .main-svg")  # Plotly's, under the policy that forbids its style sheet
    assert page.locator(".plot .scatterlayer .trace").count() >= 2


def test_page_when_nothing_has_ever_run_then_says_what_to_do(browser: Any, tmp_path: Any) -> None:
    stage = Stage(tmp_path)
    try:
        with served(stage) as client:
            context = browser.new_context()
            context.set_default_timeout(PATIENCE_MS)
            page = context.new_page()
            page.goto(str(client.base_url))
            expect(page, "Nothing has run yet")
            context.close()
    finally:
        stage.close()


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, dict[str, str]]]:
    """Demonstrations of the tug of war and the council on small markets, the first of which is told to run still."""
    folder = tmp_path_factory.mktemp("demonstrated")
    stage = Stage(folder, "dashboard.requests_per_s=5000", "dashboard.logins_per_minute=600")
    places = (f"session.folder={folder / 'sessions'}", f"report.folder={folder / 'runs'}")
    runs = {}
    try:
        for strategy, sessions in (("council", 1), ("tug_of_war", 5)):
            words = ("evidence.null_symbols=4", "portfolio_market.step_seconds=300", *places)
            settings = load_settings(None, words, strategy=strategy).settings
            plan = demo_plan(settings, strategy, "ES", 4, date(2025, 3, 4), sessions, None, is_tested=False)
            shown = play(plan, settings, stage.store, Pace(speed=0.0), Lines(lambda _: None), Redactor())
            runs[strategy] = shown.result.run_id
        stage.session()
        ended = stage.store.live.session(runs["tug_of_war"])
        stage.store.live.begin_session(replace(ended, status="running"))
        yield stage, runs
    finally:
        stage.close()


@pytest.fixture(scope="module")
def demonstrations(demonstrated: tuple[Stage, dict[str, str]]) -> Iterator[str]:
    with served(demonstrated[0]) as found:
        yield str(found.base_url)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_tug_and_council_when_they_have_traded_then_shown_with_what_they_saw(
    open_page: Any, demonstrated: Any, demonstrations: str, theme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    runs = demonstrated[1]
    wanted = {
        "tug_of_war": (
            "tug",
            [".tension .puller.institution", ".tug-seen", "#market .regime", "#tables .empty", "#history tr.open"],
            "institutions see",
        ),
        "council": ("council", [".vote", "#activation td.num", "#list tr.open"], "Who is asked in which regime"),
    }
    for strategy, (name, parts, words) in wanted.items():
        page = open_page(name, run=runs[strategy], base=demonstrations, theme=theme)
        expect(page, words)
        for part in parts:
            page.wait_for_selector(part)
        serious = [one for one in axe.Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in serious] == []
        page.evaluate("location.hash = 'flow'")
        expect(page, "Bars ")  # no order flow in bars of shares: candles
        page.set_viewport_size({"width": 390, "height": 844})
        page.evaluate("name => { location.hash = name }", name)
        page.wait_for_selector(parts[0])
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_tug_when_it_trades_then_all_shares_the_market_crowded_skips_and_a_table_that_is_chosen_are_shown(
    open_page: Any, demonstrated: Any, demonstrations: str
) -> None:
    stage, runs = demonstrated
    run = stage.store.run(runs["tug_of_war"])
    shares = [symbol for symbol in run.record.symbols if symbol not in ("SPY", "QQQ")]
    stage.store.scouts.add("regime_states", run.record.account, [{"ts": 1_741_000_000_000_000_000, "state": "chop"}])
    page = open_page("tug", run=runs["tug_of_war"], base=demonstrations)
    page.wait_for_selector(".tug-card .tension")
    assert sorted(page.locator(".tug-card h2").all_inner_texts()) == sorted(shares)
    told = page.request.get(f"{demonstrations}/api/v1/tug?run={runs['tug_of_war']}").json()
    skips = page.locator(".tile", has_text="Crowded skips").locator(".value").inner_text()
    assert skips == str(told["verdicts"]["crowded_skip"])
    expect(page, "SPY volatility")
    expect(page, "SPY momentum")
    expect(page, told["market"]["mode"])
    page.select_option("#tug-table", "regime_states")
    page.wait_for_selector("#tables td:has-text('chop')")


def test_trade_when_opened_then_drawn_on_the_bars_of_its_own_tape(
    open_page: Any, demonstrated: Any, demonstrations: str
) -> None:
    page = open_page("trades", run=demonstrated[1]["council"], base=demonstrations)
    page.wait_for_selector("#list tr.open")
    symbol = page.locator("#list tr.open td").nth(1).inner_text()
    with page.expect_response(lambda answer: "/api/v1/bars" in answer.url) as answered:
        page.locator("#list tr.open").first.click()
    assert answered.value.json()["symbol"] == symbol
    page.wait_for_selector("#trade canvas")
    assert page.locator("#trade canvas").get_attribute("aria-label").startswith("Price around the trade, entry")


def test_overview_when_two_sessions_run_then_lists_both_and_a_press_shows_the_other(
    open_page: Any, demonstrated: Any, demonstrations: str
) -> None:
    page = open_page("overview", base=demonstrations)
    page.wait_for_selector(".sessions button.session")
    assert page.locator(".sessions button.session").count() == 2
    other = page.locator(".sessions button.session[aria-pressed=false]")
    strategy = other.locator("strong").inner_text()
    other.click()
    page.wait_for_function("name => window.sovereign.overview?.strategy === name", arg=strategy)
    expect(page, f"{strategy} \u00b7")


@pytest.mark.parametrize("pages", [PAGES[:3], PAGES[3:6], PAGES[6:]], ids=lambda pages: pages[0])
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_accessibility_when_checked_by_axe_then_nothing_serious_on_any_page(open_page: Any, theme: str, pages: Any) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed; pip install 'sovereign[dev]'"
    )
    page = open_page(theme=theme)
    found = {}
    for name in pages:
        page.evaluate("name => { location.hash = name }", name)
        expect(page, WORDS[name])
        page.wait_for_timeout(200)
        violations = axe.Axe().run(page).response["violations"]
        serious = [one for one in violations if one["impact"] in ("serious", "critical")]
        if serious:
            found[name] = [(one["id"], [node["html"][:160] for node in one["nodes"][:3]]) for one in serious]
    assert found == {}


def test_stage_when_left_then_the_session_is_still_that_of_this_process(stage: Stage) -> None:
    assert wait_for("the session", lambda: stage.store.live.session(SESSION)).status == "running"
