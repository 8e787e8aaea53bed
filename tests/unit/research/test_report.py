"""The report: complete in itself, safe against hostile text, exact in its tables."""

import csv
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from example_run import example_run
from sovereign.research.evidence_card import build_card
from sovereign.research.page import embed, show
from sovereign.research.report import summarize, write_report
from sovereign.research.result import LaneResult, RunTables

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """Collects what a browser would load or run."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.references, self.ids, self.text = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids |= {value for name, value in attrs if name == "id"}
        self.references += [value for name, value in attrs if name in ("src", "href", "data", "action")]

    def handle_data(self, data):
        self.text.append(data)


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    run = example_run()
    return write_report(run.with_evidence(build_card(run)), tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(report):
    return Page(report.html.read_text(encoding="utf-8"))


def test_page_when_opened_then_refers_to_no_other_file(report, page):
    assert page.references == []
    head = report.html.read_text(encoding="utf-8").split("<script>")[0]
    assert re.findall(r"https?://|@import|url\(", head) == []


def test_page_when_data_is_simulated_then_says_so_first(page):
    assert "SIMULATED DATA" in "".join(page.text).split("flow on ES")[1]


def test_page_when_data_is_recorded_then_has_no_banner(tmp_path):
    text = write_report(example_run(is_simulated=False), tmp_path).html.read_text(encoding="utf-8")
    assert "SIMULATED DATA" not in text


def test_page_when_written_then_the_verdict_comes_before_the_figures(page):
    text = "".join(page.text)
    places = [
        text.index(word) for word in ("weak", "Net profit", "Fill bands", "Equity", "By pattern", "How the figures are made")
    ]
    assert places == sorted(places)


def test_page_when_written_then_every_figure_has_its_place(report, page):
    text = report.html.read_text(encoding="utf-8")
    figures = json.loads(re.search(r'id="figures-data">(.*?)</script>', text)[1])
    assert set(figures) <= page.ids
    assert {"equity", "daily", "months", "lanes", "excursion", "group-pattern", "group-hour", "group-month"} <= set(figures)


def test_page_when_written_then_prints_every_formula(report, page):
    text = "".join(page.text)
    summary = json.loads(report.summary.read_text(encoding="utf-8"))
    assert [key for key, metric in summary["metrics"].items() if metric["formula"] not in text] == []


def test_page_when_text_is_hostile_then_it_stays_text(tmp_path):
    run = example_run()
    trades = tuple(
        replace(trade, labels={"pattern": HOSTILE, "regime": HOSTILE}, decision_id=HOSTILE, trade_id=HOSTILE)
        for trade in run.trades
    )
    hostile = replace(
        run,
        strategy=HOSTILE,
        symbols=(HOSTILE,),
        assumptions=(HOSTILE,),
        settings={HOSTILE: HOSTILE},
        tables=replace(run.tables, trades=trades, refused={HOSTILE: 3}),
        lanes={HOSTILE: run.lanes["realistic"]},
    )
    clean = Page(write_report(run, tmp_path / "clean").html.read_text(encoding="utf-8"))
    page = Page(write_report(hostile, tmp_path / "hostile").html.read_text(encoding="utf-8"))
    assert page.tags.count("script") == clean.tags.count("script")
    assert "img" not in page.tags


def test_page_when_no_trade_has_a_tier_then_does_not_show_tiers(tmp_path):
    run = example_run()
    page = Page(write_report(replace(run, tables=replace(run.tables, tier_changes=())), tmp_path).html.read_text("utf-8"))
    assert "group-tier" not in page.ids
    assert "group-regime" in page.ids


def test_band_when_the_realistic_lane_lies_outside_the_others_then_covers_it(tmp_path):
    run = example_run()
    lanes = {
        name: LaneResult(trades=run.trades[:count], final_balance=run.final_balance)
        for name, count in (("optimistic", 1), ("realistic", 2), ("pessimistic", 4))
    }
    text = write_report(replace(run, lanes=lanes), tmp_path).html.read_text("utf-8")
    assert "between 78.50 and 295.50" in text


def test_json_when_embedded_then_cannot_leave_its_script():
    text = embed({"a": HOSTILE + "\u2028"})
    assert "<" not in text
    assert "\u2028" not in text
    assert json.loads(text) == {"a": HOSTILE + "\u2028"}


def test_tables_when_written_then_are_exact(report):
    trades = read(report.tables["trades"])
    assert [row["net"] for row in trades] == ["295.50", "-217.00", "-204.50", "295.50"]
    assert (trades[1]["entry_price"], trades[1]["exit_price"]) == ("5000.000", "5004.250")
    assert trades[0]["entry_utc"].startswith("2024-03-11T14:00:00")
    daily = read(report.tables["daily"])
    assert [(row["trade_date"], row["net"]) for row in daily] == [
        ("2024-03-11", "295.50"),
        ("2024-03-12", "-421.50"),
        ("2024-03-13", "0.00"),
        ("2024-03-14", "295.50"),
    ]
    assert {name: len(read(path)) for name, path in report.tables.items()} == {
        "trades": 4,
        "orders": 8,
        "fills": 8,
        "decisions": 5,
        "equity": 12,
        "daily": 4,
    }


def test_summary_when_written_then_is_strict_json_with_the_verdict(report):
    def refuse(word):
        raise ValueError(word)

    summary = json.loads(report.summary.read_text(encoding="utf-8"), parse_constant=refuse)
    assert summary["metrics"]["net"]["value"] == "169.50"
    assert summary["evidence"]["verdict"] == "weak"
    assert summary["refused"] == {"margin": 1, "tradable": 4, "strength": 4}
    assert summary["lanes"]["realistic"]["net"] == "169.50"


def test_report_when_nothing_was_traded_then_is_still_written(tmp_path):
    text = write_report(example_run(tables=RunTables(), lanes={}), tmp_path).html.read_text(encoding="utf-8")
    assert "no verdict" in text


def test_summary_when_made_twice_then_is_the_same():
    assert summarize(example_run()) == summarize(example_run())


def test_report_when_written_then_plotly_is_not_imported(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from example_run import example_run\n"
        "from sovereign.research.report import write_report\n"
        "write_report(example_run(), sys.argv[2])\n"
        "print(*[name for name in sys.modules if name.split('.')[0] in ('plotly', 'pandas', 'polars')])"
    )
    folder = str((__import__("pathlib").Path(__file__).parents[2]).resolve())
    done = subprocess.run([sys.executable, "-c", code, folder, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "money", "n/a"),
        (1234.5, "money", "1,234.50"),
        (0.1234, "fraction", "12.34%"),
        (7, "count", "7"),
        (90, "seconds", "1.5 min"),
        (2.5, "ticks", "2.50 ticks"),
        (1.23456, "ratio", "1.235"),
    ],
)
def test_figure_when_shown_then_carries_its_unit(value, unit, text):
    assert show(value, unit) == text
