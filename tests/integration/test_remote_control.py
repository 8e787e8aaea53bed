"""A person with a phone: Telegram's wire protocol, `sovereign control`, and a session at a venue, each a process of its own."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fakes.commands import Talking, done, risk_options, sovereign, venue, wait_for, wait_for_ticks
from fakes.telegram_server import TOKEN, TelegramServer, flooded
from fakes.web_server import Fault
from sovereign.app.ops.desk import StoreDesk
from sovereign.core.command import CommandKind
from sovereign.execution.brokers.venue_account import VenueAccount, venue_account
from sovereign.store.store import Store

CHAT, STRANGER = 42, 666
MIDDAY = ("--date", "2025-11-17", "--offset", "7200", "--seed", "5", "--pace", "realtime", "--latency", "50")
PATIENT = ("live.backlog_ms=60000", "live.stale_data_s=600")  # a busy machine is no trouble of the test
QUICK = (
    "alerts.telegram.answer_s=10",
    "alerts.backoff_s=0.02",
    "alerts.backoff_max_s=0.1",
    "alerts.retry_after_min_s=0.02",
    "alerts.telegram.poll_s=1",
)


class Phone:
    """What a person types and reads in a chat with the bot."""

    def __init__(self, server: TelegramServer, chat: int = CHAT) -> None:
        self.server, self.chat = server, chat

    def asks(self, text: str, seconds: float = 90.0) -> str:
        """Send a message and return the answer."""
        before = len(self.server.texts(self.chat))
        self.server.write(self.chat, text)
        wait_for(lambda: len(self.server.texts(self.chat)) > before, f"the answer to {text}", seconds)
        return self.server.texts(self.chat)[before]

    def confirms(self, text: str) -> str:
        """Send a grave command and its code."""
        (code,) = re.findall(r"/confirm (\d{6})", self.asks(text))
        return self.asks(f"/confirm {code}")


@contextmanager
def platform(folder: Path, telegram: TelegramServer) -> Iterator[tuple[Talking, Talking, VenueAccount]]:
    """A venue, a session on it, and `sovereign control` beside it."""
    settings = (f"venue.state={folder}/venue", f"alerts.telegram.base_url={telegram.address}", *QUICK, *PATIENT)
    commanding = f"alerts.telegram.command_chats=[{CHAT}]"
    options = [word for setting in (*settings, commanding) for word in ("--set", setting)]
    with venue(folder, *MIDDAY, "--accounts", "paper:1000000") as market, ExitStack() as stack:
        account = stack.enter_context(venue_account(market["url"], market["tokens"]["paper"]["guard"]))
        run = ("run", "order_flow", "--once", "--set", "execution.latency_ms=50", *options, *risk_options())
        session = stack.enter_context(sovereign(folder, *run))
        control = stack.enter_context(sovereign(folder, "control", *options, TELEGRAM_BOT_TOKEN=TOKEN))
        session.said("our books equal the broker's", 150)
        control.said("listening to 1 chats")
        yield session, control, account


def held(account: VenueAccount) -> dict[str, int]:
    return {position.symbol: position.quantity for position in account.snapshot().positions if position.quantity}


def buy(folder: Path) -> bool:
    """Ask the session for an order by hand, as `sovereign trade ES BUY --qty 1` does; return whether it is sent."""
    arguments = {"symbol": "ES", "side": "BUY", "qty": "1"}
    with Store(f"sqlite:///{folder}/sovereign.sqlite") as store:
        asked = StoreDesk(store.live).ask(CommandKind.TRADE, by="test", reason="", arguments=arguments, timeout_s=60).asked
    return all(one.is_done for one in asked)


def wait_held(account: VenueAccount, positions: dict[str, int], session: Talking) -> None:
    wait_for(lambda: held(account) == positions, f"positions {positions} at the venue", 90, session.alive)


def test_every_command_when_sent_by_telegram_then_the_running_session_answers_and_obeys(tmp_path):
    with TelegramServer() as telegram, platform(tmp_path, telegram) as (session, control, account):
        phone, stranger = Phone(telegram), Phone(telegram, STRANGER)
        wait_for_ticks(tmp_path, 90, session.alive)
        assert buy(tmp_path)
        wait_held(account, {"ES": 1}, session)
        assert all(f"/{name}" in phone.asks("/help") for name in ("status", "positions", "daily", "halt", "resume", "flatten"))
        telegram.faults.extend([flooded(0.05), Fault(status=502), Fault(reset=True)])
        wait_for(lambda: "positions: +1 ES" in phone.asks("/status"), "the position in the status", 90)
        told = phone.asks("/status")
        assert "session: paper-order_flow-20251117 (paper, running)" in told
        assert "state: ACTIVE" in told
        assert re.search(r"equity: [\d,.]+ USD", told)
        assert "+1 ES" in phone.asks("/positions")
        telegram.write(STRANGER, "/halt")
        # Nothing happens without the code, nor with a wrong one.
        phone.asks("/halt")
        assert "wrong" in phone.asks("/confirm 1")
        assert held(account) == {"ES": 1}
        assert phone.confirms("/halt").startswith("halt done: paper order_flow: HALT by telegram:7")
        wait_held(account, {}, session)
        wait_for(lambda: "HALTED (operator" in phone.asks("/status"), "the halt in the status", 90)
        assert not buy(tmp_path)
        assert "trading is ACTIVE" in phone.confirms("/resume")
        assert buy(tmp_path)
        wait_held(account, {"ES": 1}, session)
        assert "1 positions closed" in phone.confirms("/flatten")
        wait_held(account, {}, session)
        wait_for(lambda: "Trades: 2" in phone.asks("/daily"), "two trades in the digest", 90)
        wait_for(lambda: phone.asks("/positions") == "flat: no open positions", "flat positions", 90)
        assert stranger.server.texts(STRANGER) == []
        # A session that hangs keeps nobody waiting: the answer says what is not known.
        session.process.send_signal(signal.SIGSTOP)
        assert "not answered" in phone.confirms("/flatten")
        session.process.send_signal(signal.SIGCONT)
        control.process.send_signal(signal.SIGTERM)
        assert control.ended(90) == 0
    with Store(f"sqlite:///{tmp_path}/sovereign.sqlite") as store:
        changes = [(row["state"], row["by"]) for row in store.table("last", "state_changes")]
        assert changes == [("HALTED", "telegram:7"), ("ACTIVE", "telegram:7")]
        asked = {command.command.kind.value for command in store.live.commands.listed() if command.command.by == "telegram:7"}
        assert asked == {"HALT", "RESUME", "FLATTEN"}


def test_control_when_nobody_is_listed_or_no_bot_is_set_then_says_what_is_missing(tmp_path):
    code, _, err = done(tmp_path, "control")
    assert (code, "TELEGRAM_BOT_TOKEN" in err) == (4, True)
    code, _, err = done(tmp_path, "control", TELEGRAM_BOT_TOKEN=TOKEN)
    assert (code, "command_chats" in err) == (4, True)
    assert TOKEN not in err
