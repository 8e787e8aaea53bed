"""A real trading process hangs with a position: the guard, with its own credentials, flattens at the bell and says so."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from fakes.commands import Pacer, Talking, risk_options, sovereign, venue, wait_for, wait_for_ticks
from fakes.discord_server import DiscordServer, limited
from fakes.web_server import Fault
from sovereign.core.command import Command, CommandKind
from sovereign.core.session import to_ns
from sovereign.execution.brokers.venue_account import VenueAccount, venue_account
from sovereign.store.store import Store

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process")

# The day after Thanksgiving 2025: the NYSE closes at 13:00 New York (18:00 UTC), so all must be closed at 12:55, and with
# a minute of grace the guard's moment is 17:56 UTC. The tape begins at 12:40, 3 h 10 min after the open.
DAY = date(2025, 11, 28)
SLICE_NS = 5_000_000_000
HALF_DAY = ("--date", "2025-11-28", "--offset", str(3 * 3_600 + 10 * 60), "--seed", "5", "--slice", "5000", "--latency", "5000")
BELL = to_ns(datetime(2025, 11, 28, 17, 56, tzinfo=UTC))
CLOSE = to_ns(datetime(2025, 11, 28, 18, 0, tzinfo=UTC))
PATIENT = ("--set", "live.stale_data_s=600", "--set", "live.backlog_ms=600000")  # the market stands still in between
FAR = "200"  # ticks: a stop that the tape does not reach


def held(account: VenueAccount) -> dict[str, int]:
    return {position.symbol: position.quantity for position in account.snapshot().positions if position.quantity}


def buy_by_hand(folder: Path) -> None:
    """Leave a person's order for the session, with a stop so far away that the position stays."""
    arguments = {"symbol": "ES", "side": "BUY", "qty": "1", "stop_ticks": FAR, "target_ticks": FAR}
    command = Command(command_id="by-hand", kind=CommandKind.TRADE, by="test", reason="something open", arguments=arguments)
    with Store(f"sqlite:///{folder}/sovereign.sqlite") as store:
        store.live.commands.put(command, "paper", ts=1, strategy="order_flow")


@contextmanager
def holding(folder: Path) -> Iterator[tuple[Pacer, Talking, VenueAccount]]:
    """Run a venue and `sovereign run` on it; yield when the session holds a position and hangs."""
    with venue(folder, *HALF_DAY, "--pace", "lockstep", "--accounts", "paper:1000000,pacer") as market, ExitStack() as stack:
        mine, tokens = market["tokens"]["pacer"], market["tokens"]["paper"]
        pacer = Pacer(market["url"], mine["trade"], mine["guard"], DAY)
        stack.callback(pacer.close)
        account = stack.enter_context(venue_account(market["url"], tokens["guard"]))
        options = ("--set", f"venue.state={folder}/venue", "--set", "execution.latency_ms=5000", *PATIENT, *risk_options())
        session = stack.enter_context(sovereign(folder, "run", "order_flow", "--once", *options))
        session.said("our books equal the broker's", 150)
        pacer.step(3)
        wait_for_ticks(folder, 90, session.alive)
        buy_by_hand(folder)
        session.said("is sent", 90)

        def opened() -> bool:
            pacer.step()
            return bool(held(account)) and len(working(account)) == 2

        wait_for(opened, "a position at the venue, with its stop and target", 60, session.alive)
        session.process.send_signal(signal.SIGSTOP)
        yield pacer, session, account


def working(account: VenueAccount) -> list[str]:
    return sorted(order.order_type.value for order in account.snapshot().orders if not order.status.is_closed)


def test_guard_when_the_trading_process_hangs_over_the_bell_then_flattens_at_the_venue_and_the_alert_arrives(tmp_path):
    with DiscordServer() as discord, holding(tmp_path) as (pacer, session, account):
        assert (held(account), working(account)) == ({"ES": 1}, ["LIMIT", "STOP"])
        # The first words of the guard meet a limit and faults of the service.
        discord.faults.extend([limited(0.05), Fault(status=500), Fault(reset=True)])
        settings = ("guard.every_s=0.2", "guard.stale_flatten_s=none", f"venue.state={tmp_path}/venue", "alerts.backoff_s=0.05")
        options = [word for setting in settings for word in ("--set", setting)]
        with sovereign(tmp_path, "guard", *options, DISCORD_WEBHOOK_URL=discord.webhook) as guard:
            guard.said("watching paper")
            # The market goes on without the one that hangs, up to the last slice before the guard's moment.
            pacer.step((BELL - 1 - pacer.now_ns) // SLICE_NS)
            time.sleep(0.5)  # two looks of the guard
            assert pacer.now_ns < BELL
            assert held(account) == {"ES": 1}, "the guard closed before its time"
            pacer.step(1)
            flat = guard.said("the venue says so", 90)
            wait_for(lambda: any("is flat, the venue says so" in str(embed) for embed in discord.embeds), "the alert", 90)
            guard.process.send_signal(signal.SIGTERM)
            assert guard.ended(90) == 0
        assert "after the flatten time 12:55 America/New_York, early close" in flat
        assert (held(account), working(account)) == ({}, [])
        assert session.process.poll() is None, "the trading process hangs still"
        with Store(f"sqlite:///{tmp_path}/sovereign.sqlite") as store:
            assert store.live.latched("paper").set_by == "guard"
            bell = [kept.notice for kept in store.live.notices() if kept.notice.code == "GUARD"]
            assert BELL <= min(notice.ts for notice in bell) < CLOSE
        # Awake again, it finds itself killed: flat, halted, and not trading on.
        session.process.send_signal(signal.SIGCONT)
        session.said("HALT by guard", 90)

        def settled() -> bool:
            pacer.step()  # what it asked for before it knew is reduce-only, and finds nothing to reduce
            return (held(account), working(account)) == ({}, [])

        wait_for(settled, "an account without position and orders", 90, session.alive)
    titles = discord.titles
    assert sum("Guard" in title for title in titles) >= 2  # that it acts, and that the account is flat
