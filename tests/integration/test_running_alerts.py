"""What a person is told of a session that runs: every event of the requirement's table, through faults of line and services."""

from __future__ import annotations

from collections import Counter

import pytest

from alert_cases import until
from fakes.commands import wait_for
from fakes.discord_server import DiscordServer, limited
from fakes.paper_trading import session, settings_for, tape, venue
from fakes.telegram_server import TOKEN, TelegramServer, flooded
from fakes.venue_bench import MS
from fakes.web_server import Fault
from sovereign.core.command import CommandKind
from sovereign.execution.venue.configuration import Pace
from sovereign.execution.venue.fault import Fault as VenueFault
from sovereign.execution.venue.fault import FaultKind

QUICK = {
    "alerts__timeout_s": "0.4",
    "alerts__backoff_s": "0.02",
    "alerts__backoff_max_s": "0.1",
    "alerts__retry_after_min_s": "0.02",
    "alerts__flush_s": "10",
}


@pytest.fixture
def discord(monkeypatch):
    with DiscordServer() as server:
        monkeypatch.setenv("DISCORD_WEBHOOK_URL", server.webhook)
        yield server


def words(running):
    """What was said, with how often: a line that breaks twice before the market moves says the same twice."""
    return Counter((notice.ts, notice.code, notice.subject, notice.text) for notice in running.notices())


def test_session_when_line_channels_and_process_fail_then_every_event_is_told_and_none_twice(tmp_path, discord, monkeypatch):
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", TOKEN)
    monkeypatch.setenv("TELEGRAM_CHAT_ID", "42")
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "boot").write_text("the boot before")
    market = {"tape": tape(3_600), "pace": Pace.REALTIME, "slice_ns": 50 * MS, "latency_ns": 20 * MS}
    with TelegramServer() as telegram, venue(**market) as exchange:
        settings = settings_for(tmp_path, alerts__telegram__base_url=telegram.address, **QUICK)
        with session(settings, exchange.url) as running:
            running.wait_ready()
            for server, limit in ((discord, limited(0.05)), (telegram, flooded(0.05))):
                server.faults.extend([limit, Fault(status=500), Fault(slow_s=0.6), Fault(reset=True)])
            exchange.arm(VenueFault(kind=FaultKind.RESET))
            running.wait_notice("CONNECTION_LOST")
            running.wait_notice("CONNECTION_RESTORED", 4)  # feed and broker, at the start and now
            running.wait_ready()
            assert running.buy()
            wait_for(lambda: exchange.held() == {"ES": 1}, "the position", 90, running.check)
            discord.stop()  # away while the most important things happen
            telegram.stop()
            exchange.flatten()  # behind the session's back: a finding of the comparison
            running.wait_notice("ORDER_UNKNOWN")
            assert running.ask(CommandKind.HALT)
            running.process.stop("stopped with alerts that nobody has heard")
            running.end()
        said = words(running)
        discord.restart()
        telegram.restart()
        with session(settings, exchange.url) as running:  # the next process delivers them, and says that it recovered
            running.wait_notice("RECOVERED")
            running.wait_ready()
            assert running.ask(CommandKind.RESUME)
            assert running.buy()
            wait_for(lambda: exchange.held() == {"ES": 1}, "the position", 90, running.check)
            assert running.ask(CommandKind.RECONCILE)
            assert running.ask(CommandKind.FLATTEN)
            wait_for(lambda: exchange.held() == {}, "a flat account", 90, running.check)
            wanted = (
                "Server restarted",
                "Session started",
                "Connection lost: feed",
                "Connection lost: broker",
                "Connection restored",
                "Trade opened: BUY 1 ES",
                "Trade closed",
                "Unknown order at the broker",
                "Trading halted",
                "Session recovered",
                "Trading resumed",
                "Command taken",
            )
            until(lambda: not [title for title in wanted if not any(title in told for told in discord.titles)], 90)
            missing = [title for title in wanted if not any(title in told for told in discord.titles)]
            assert missing == [], discord.titles
            grave = ("Connection lost: broker", "Trading halted", "Unknown order at the broker")
            until(lambda: all(title in "\n".join(telegram.texts(42)) for title in grave), 60)
            assert [title for title in grave if title not in "\n".join(telegram.texts(42))] == []
            kept, last = words(running), max(ts for ts, *_ in said)  # the next process begins at the last moment of this one
            again = {notice: (count, kept[notice]) for notice, count in said.items() if notice[0] < last}
            assert [notice for notice, (count, now) in again.items() if now != count] == []  # a recovery says it all again
            assert all(kept[notice] >= count for notice, count in said.items())
        firm = [embed["footer"]["text"] for embed in discord.embeds if "may have arrived" not in embed["footer"]["text"]]
        assert len(firm) == len(set(firm))
        assert len(discord.titles) <= 40  # a lost line, a fill behind the back and two starts are no flood


def test_session_when_margins_are_high_then_told_flattened_at_the_hour_and_the_digest_comes(tmp_path, discord):
    market = {
        "tape": tape(400),
        "pace": Pace.LOCKSTEP,
        "slice_ns": 1_000 * MS,
        "latency_ns": 1_000 * MS,
        "margins": {"ES": 500},
    }
    bars = {"strategies__order_flow__footprint__bar_s": "10", "risk__flatten_before_close_minutes": "0"}
    with venue(**market) as exchange:
        changes = {**QUICK, **bars, "risk__last_entry_before_close_minutes": "0"}
        with session(settings_for(tmp_path, **changes), exchange.url) as running:
            (traded,) = running.end()
        assert (traded.exit_code, traded.is_closed) == (0, True)
    titles = discord.titles
    for title in ("Session started", "High margin day: not trading", "Auto-flatten", "Daily digest 2025-11-17"):
        assert sum(title in told for told in titles) == 1, titles
