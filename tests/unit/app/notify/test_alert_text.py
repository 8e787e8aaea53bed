"""What a person reads: text from outside made harmless, times with their zone, prices and money in their own decimals."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_cases import MES, NOON, ZONE, alert
from fakes.discord_server import shown
from sovereign.app.notify.alert import Alert, amount, lasted, moment, outside, price
from sovereign.app.notify.channel import Message
from sovereign.app.notify.discord import plain
from sovereign.app.notify.telegram import cut, words
from sovereign.core.instrument import FUTURES


@pytest.mark.parametrize(
    ("given_text", "forbidden"),
    [
        ("@everyone look", "@everyone"),
        ("see https://bad.example/x", "https://bad"),
        ("press /flatten now", "/flatten"),
        ("bad.example", "bad.example"),
        ("two\nlines\r\nthree", "\n"),
        ("right\u202eleft", "\u202e"),
        ("zero\u200bwidth", "\u200b"),
        ("bell\x07", "\x07"),
    ],
)
def test_outside_text_when_it_could_mention_command_or_link_then_broken(given_text, forbidden):
    assert forbidden not in outside(given_text, 100)


def test_outside_text_when_harmless_then_unchanged():
    text = "daily loss -312.50 of -300.00 USD (3/5), 12:00:01, BRK.B"
    assert outside(text, 100) == text


@given(st.text(max_size=400), st.integers(40, 120))
def test_outside_text_when_anything_then_one_bounded_line(text, limit):
    line = outside(text, limit)
    assert len(line.replace("\u2060", "")) <= limit
    assert "\n" not in line
    assert "@everyone" not in line


@pytest.mark.parametrize(
    "text", ["**bold** `code` [a](b)", "<@1234> <t:0>", "- item\n# head\n> quote", "||hidden|| ~~gone~~ :boom:"]
)
def test_plain_when_markdown_then_discord_shows_it_as_it_is(text):
    escaped = plain(text, 500)
    assert shown(escaped) == text
    assert "<@" not in escaped
    assert "**" not in escaped


@given(st.text(max_size=300), st.integers(2, 100))
def test_plain_when_cut_then_within_the_limit_and_no_half_escape(text, limit):
    escaped = plain(text, limit)
    assert len(escaped) <= limit
    assert not shown(escaped).endswith("\\") or text[: len(shown(escaped))].endswith("\\") or escaped.endswith("\\\\")


@given(st.text(max_size=300), st.integers(2, 100))
def test_cut_when_any_text_then_within_utf16_units(text, limit):
    assert len(cut(text, limit).encode("utf-16-le", "surrogatepass")) // 2 <= limit


def test_moment_when_in_winter_and_summer_then_named_zone():
    assert moment(NOON, ZONE) == "2025-11-20 12:00:00 EST"
    assert moment(1_751_385_600_000_000_000, ZONE) == "2025-07-01 12:00:00 EDT"


@pytest.mark.parametrize(
    ("root", "ticks", "words"),
    [("ES", 26_401, "6,600.25"), ("YM", 44_000, "44,000"), ("CL", 5_913, "59.13"), ("RTY", 23_005, "2,300.5")],
)
def test_price_when_shown_then_decimals_of_the_tick(root, ticks, words):
    assert price(FUTURES[root], ticks) == words


def test_price_when_unknown_then_said():
    assert price(MES, float("nan")) == "unknown"


def test_amount_when_signed_then_sign_and_cents():
    assert amount(Decimal("1234.5")) == "+1,234.50 USD"
    assert amount(Decimal("-0.62"), "EUR") == "-0.62 EUR"


@pytest.mark.parametrize(("seconds", "words"), [(42, "42 s"), (180, "3 min"), (7_500, "2 h 5 min"), (-5, "0 s")])
def test_lasted_when_seconds_then_words(seconds, words):
    assert lasted(seconds * 1_000_000_000) == words


def test_alert_when_written_and_read_then_the_same():
    told = alert("a", chart=b"\x89PNG", fields=(("Entry", "6,600.25"),), resolves="halt:")
    assert Alert.from_json(told.to_json()) == told


def test_telegram_words_when_serious_then_severity_comes_first():
    from sovereign.core.event import Severity

    told = alert("a", severity=Severity.CRITICAL, title="Drawdown limit hit", fields=(("Cause", "drawdown"),))
    assert words(Message(alert=told)).splitlines() == [
        "CRITICAL: Drawdown limit hit",
        "Something.",
        "Cause: drawdown",
        f"2025-11-20 12:00:00 EST #{told.identity[:6]}",
    ]
