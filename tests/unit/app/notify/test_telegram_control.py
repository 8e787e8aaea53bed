"""Commands by Telegram: only from listed chats, the grave ones with a code, each carried out at most once."""

import pytest

from alert_cases import NOON, alerts_config, until
from fakes.telegram_server import TOKEN, TelegramServer
from fakes.web_server import Fault
from sovereign.app.notify.control import GRAVE, CommandAnswer, TelegramControl
from sovereign.app.notify.spool import Spool
from sovereign.app.notify.telegram import TelegramBot
from sovereign.core.command import CommandKind
from sovereign.core.errors import NotRunningError
from sovereign.core.session import NS_PER_SECOND

CHAT, STRANGER = 42, 666


class Desk:
    """A desk that writes down what it is handed."""

    def __init__(self):
        self.commands = []
        self.answer = CommandAnswer(is_done=True, text="2 orders canceled, 1 position closed")
        self.is_running = True

    def put(self, command):
        self.commands.append(command)

    def wait_answer(self, command_id, timeout_s):
        return self.answer

    def status(self):
        if not self.is_running:
            raise NotRunningError("no session was running; start one with 'sovereign run'")
        return {"state": "ACTIVE", "balance": "2,500.00 USD"}

    def positions(self):
        return [{"symbol": "MESZ5", "quantity": "2"}]

    def daily(self):
        return None


@pytest.fixture
def telegram():
    with TelegramServer() as server:
        yield server


class Phone:
    """A person with a phone, and the bot that listens."""

    def __init__(self, server, folder, spool=None, **changes):
        telegram = {"base_url": server.address, "command_chats": [CHAT], "poll_s": 0, **changes}
        self.now = NOON
        self.server, self.desk = server, Desk()
        self.bot = TelegramBot(config := alerts_config(folder, telegram=telegram), TOKEN)
        self.spool = spool or Spool(None)
        codes = iter(f"{number:06d}" for number in range(111, 999))
        self.control = TelegramControl(config, self.bot, self.desk, self.spool, lambda: self.now, lambda: next(codes))

    def says(self, text, chat=CHAT, sender=7, age_s=0):
        before = len(self.server.sent)
        self.server.write(chat, text, sender, (self.now - age_s * NS_PER_SECOND) / NS_PER_SECOND)
        self.control.poll()
        return "\n".join(words for _, words in self.server.sent[before:])


@pytest.fixture
def phone(telegram, tmp_path):
    made = Phone(telegram, tmp_path)
    yield made
    made.bot.close()


def test_status_and_positions_when_asked_then_told(phone):
    assert phone.says("/status") == "state: ACTIVE\nbalance: 2,500.00 USD"
    assert phone.says("/positions@sovereign_bot") == "symbol: MESZ5\nquantity: 2"
    assert phone.says("/daily") == "no session today"


def test_help_when_asked_or_misspelled_then_every_command_is_listed(phone):
    for text in ("/help", "/hlp"):
        answer = phone.says(text)
        assert all(f"/{name}" in answer for name in ("status", "positions", "daily", "halt", "resume", "flatten", "help"))


def test_talk_when_no_command_then_not_answered(phone):
    assert phone.says("good morning") == ""


@pytest.mark.parametrize("name", GRAVE)
def test_grave_command_when_confirmed_then_put_once_with_who_asked(phone, name):
    assert "/confirm 000111 within 60 s" in phone.says(f"/{name}")
    assert phone.desk.commands == []
    assert phone.says("/confirm 000111") == f"{name} done: 2 orders canceled, 1 position closed"
    (command,) = phone.desk.commands
    assert (command.kind, command.by) == (CommandKind[name.upper()], "telegram:7")
    assert "nothing waits" in phone.says("/confirm 000111")
    assert len(phone.desk.commands) == 1


def test_resume_when_a_halt_is_named_then_only_that_one_is_asked_for(phone):
    phone.says("/resume drawdown")
    phone.says("/confirm 000111")
    assert phone.desk.commands[0].arguments == {"causes": "drawdown"}


def test_code_when_wrong_then_nothing_is_done_and_the_right_one_is_spent(phone):
    phone.says("/flatten")
    assert "wrong" in phone.says("/confirm 999999")
    assert "nothing waits" in phone.says("/confirm 000111")
    assert phone.desk.commands == []


def test_code_when_too_late_then_nothing_is_done(phone):
    phone.says("/halt")
    phone.now += 61 * NS_PER_SECOND
    assert "too late" in phone.says("/confirm 000111")
    assert phone.desk.commands == []


def test_code_when_sent_by_another_person_of_the_chat_then_nothing_is_done(phone):
    phone.says("/halt", sender=7)
    assert "nothing waits" in phone.says("/confirm 000111", sender=8)
    assert phone.desk.commands == []


def test_stranger_when_they_command_then_counted_and_not_answered(phone):
    assert phone.says("/halt", chat=STRANGER) == ""
    assert phone.says("/confirm 000111", chat=STRANGER) == ""
    assert phone.control.ignored == 2
    assert phone.desk.commands == []


def test_command_when_old_then_not_carried_out(phone):
    assert "too old" in phone.says("/status", age_s=121)
    assert "ACTIVE" in phone.says("/status", age_s=119)


def test_command_when_not_answered_in_time_then_said(phone):
    phone.desk.answer = None
    phone.says("/halt")
    assert "not answered within" in phone.says("/confirm 000111")


def test_command_when_the_platform_refuses_then_its_words_are_told(phone):
    phone.desk.is_running = False
    assert "no session was running" in phone.says("/status")


def test_message_when_handled_then_not_again_after_a_restart(telegram, tmp_path, phone):
    phone.says("/halt")
    phone.says("/confirm 000111")
    again = Phone(telegram, tmp_path, phone.spool)
    telegram.updates.clear()
    telegram.write(CHAT, "/help")
    again.control.poll()
    again.bot.close()
    assert again.desk.commands == []
    assert telegram.requests[-2].fields["offset"] > 100


@pytest.mark.parametrize("fault", [Fault(reset=True), Fault(status=502)])
def test_reply_when_it_may_have_been_lost_then_said_again(phone, fault):
    phone.server.faults.extend([None, fault])  # the message comes in; the first try of its answer does not go out
    assert "balance: 2,500.00 USD" in phone.says("/status")


def test_reply_when_limited_then_sent_after_the_wait(phone):
    phone.server.faults.extend([None, Fault(status=429, body=b'{"ok":false,"parameters":{"retry_after":0.02}}')])
    assert "ACTIVE" in phone.says("/status")


@pytest.mark.parametrize(
    "body",
    [
        b'{"ok":true,"result":[{"update_id":1}]}',
        b'{"ok":true,"result":[7, {"update_id":"x"}, {"update_id":2,"message":{"chat":3}}]}',
        b'{"ok":true,"result":{"no":"list"}}',
        b'{"ok":true,"result":[{"update_id":3,"message":{"chat":{"id":42},"text":{"a":1}}}]}',
        b"garbage",
    ],
)
def test_updates_when_strange_then_passed_over(phone, body):
    phone.server.faults.append(Fault(status=200, body=body))
    phone.control.poll()
    assert phone.says("/help")


def test_listening_when_faults_come_then_goes_on(telegram, tmp_path):
    phone = Phone(telegram, tmp_path, poll_s=1)
    phone.now = 0
    telegram.faults.extend([Fault(status=502), Fault(reset=True), Fault(status=409, body=b"{}")])
    phone.control.start()
    telegram.write(CHAT, "/status", date=0)
    until(lambda: telegram.texts(CHAT))
    phone.control.close()
    assert telegram.texts(CHAT) == ["state: ACTIVE\nbalance: 2,500.00 USD"]


def test_listening_when_no_chat_is_listed_then_nobody_is_asked(telegram, tmp_path):
    phone = Phone(telegram, tmp_path, command_chats=[])
    phone.control.start().close()
    assert telegram.requests == []
