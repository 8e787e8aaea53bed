"""Remote control by Telegram: a few commands from listed chats, the grave ones with a one-time code.

Each command becomes a `core.command.Command` on the desk, the same as one typed on the machine: it passes the same durable
inbox, is answered and audited. A chat that is not listed is not answered, so that nobody learns that somebody listens.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from typing import Any, Protocol

from sovereign.app.notify.alert import outside
from sovereign.app.notify.channel import Kind, Outcome
from sovereign.app.notify.configuration import AlertsConfig
from sovereign.app.notify.digest import Digest
from sovereign.app.notify.telegram import TelegramBot
from sovereign.core.command import Command, CommandKind
from sovereign.core.errors import SovereignError
from sovereign.core.session import NS_PER_SECOND

LOG = getLogger(__name__)

GRAVE: Mapping[str, tuple[CommandKind, str]] = {
    "halt": (CommandKind.HALT, "cancel everything, close everything, nothing new until resumed"),
    "resume": (CommandKind.RESUME, "clear the halts, or the one named: /resume drawdown; a kill must be named: /resume kill"),
    "flatten": (CommandKind.FLATTEN, "cancel everything, close everything, go on afterwards"),
}
"""Commands that need a code."""

_OFFSET = "telegram.offset"
_CODES = 1_000_000
_REPLY_TRIES = 5

HELP = "\n".join(
    (
        "/status - session, state, balance, halts",
        "/positions - open positions",
        "/daily - today's digest",
        *(f"/{name} - {words}" for name, (_, words) in GRAVE.items()),
        "/confirm CODE - carry out what was asked",
        "/help - this list",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandAnswer:
    """What became of a command."""

    is_done: bool
    text: str


class CommandDesk(Protocol):
    """What remote control may ask of the platform; called in the control thread, so it may take its time."""

    def put(self, command: Command) -> None:
        """Hand a command to the session, durably; a command id that is there already changes nothing."""
        ...

    def wait_answer(self, command_id: str, timeout_s: float) -> CommandAnswer | None:
        """Return the answer to a command, or None when none came in time."""
        ...

    def status(self) -> Mapping[str, str]:
        """Return the state of the session by name."""
        ...

    def positions(self) -> Sequence[Mapping[str, str]]:
        """Return the open positions, each by name of its figures."""
        ...

    def daily(self) -> Digest | None:
        """Return the digest of the present session so far; None when there is none."""
        ...


class Memory(Protocol):
    """What remembers small values over a restart (the alert spool does)."""

    def remembered(self, name: str) -> str | None:
        """Return a value, or None."""
        ...

    def remember(self, name: str, value: str) -> None:
        """Keep a value."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """A grave command that waits for its code."""

    name: str
    argument: str
    code: str
    until_ns: int


class TelegramControl:
    """Listens for commands in a thread of its own.

    Parameters
    ----------
    bot : the calls of the Bot API. desk : what carries the commands out.
    memory : keeps the number of the last message seen, so that no command is carried out twice.
    clock : returns UTC ns. make_code : returns a one-time code.
    """

    def __init__(
        self,
        config: AlertsConfig,
        bot: TelegramBot,
        desk: CommandDesk,
        memory: Memory,
        clock: Callable[[], int] = time.time_ns,
        make_code: Callable[[], str] = lambda: f"{secrets.randbelow(_CODES):06d}",
    ) -> None:
        self.ignored = 0
        self._config = config
        self._bot = bot
        self._desk = desk
        self._memory = memory
        self._clock = clock
        self._make_code = make_code
        self._asked: dict[tuple[int, int], _Asked] = {}
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telegram-control", daemon=True)
        self._failures = 0

    def start(self) -> TelegramControl:
        """Begin to listen; with no listed chats there is nothing to listen for."""
        if self._config.telegram.command_chats:
            self._thread.start()
        return self

    @property
    def is_alive(self) -> bool:
        """Whether somebody listens."""
        return self._thread.is_alive()

    def close(self, timeout_s: float = 1.0) -> None:
        """Stop listening."""
        self._is_stopping.set()
        self._bot.close()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            try:
                wait_s = self.poll()
            except Exception:  # noqa: BLE001 - control must outlive whatever one message does; its text may hold secrets
                LOG.error("telegram: a message could not be handled")  # noqa: TRY400
                wait_s = self._config.backoff_s
            if wait_s > 0:
                self._is_stopping.wait(wait_s)

    def poll(self) -> float:
        """Ask once for new messages and handle them; return how long to wait before asking again, s."""
        poll_s = self._config.telegram.poll_s
        offset = int(self._memory.remembered(_OFFSET) or 0)
        outcome = self._bot.call("getUpdates", wait_more_s=poll_s, offset=offset, timeout=poll_s, allowed_updates=["message"])
        if outcome.kind is not Kind.SENT:
            return self._back_off(outcome)
        self._failures = 0
        updates = outcome.answer if isinstance(outcome.answer, list) else []
        for update in updates:
            number = update.get("update_id") if isinstance(update, Mapping) else None
            if not isinstance(number, int) or number < offset:
                continue
            # Remembered first: a command that ends this process is not carried out again by the next.
            offset = number + 1
            self._memory.remember(_OFFSET, str(offset))
            self.handle(update)
        return 0.0 if poll_s or updates else self._config.backoff_s

    def _back_off(self, outcome: Outcome) -> float:
        self._failures += 1
        if self._failures == 1 and not self._is_stopping.is_set():
            LOG.warning("telegram: commands cannot be asked for (%s); trying again", outcome.detail)
        if outcome.kind is Kind.LIMITED:
            return outcome.wait_s
        if outcome.kind in (Kind.LOCKED_OUT, Kind.REFUSED):  # a wrong token, or another listener on the same bot
            return self._config.backoff_max_s
        return min(self._config.backoff_s * 2.0 ** min(self._failures - 1, 30), self._config.backoff_max_s)

    def handle(self, update: Mapping[str, Any]) -> None:
        """Handle one message of Telegram's."""
        message = update.get("message")
        if not isinstance(message, Mapping):
            return
        chat, sender, text = message.get("chat"), message.get("from"), message.get("text")
        chat_id = chat.get("id") if isinstance(chat, Mapping) else None
        if not isinstance(chat_id, int) or chat_id not in self._config.telegram.command_chats:
            self.ignored += 1
            if self.ignored == 1:
                LOG.warning("telegram: a message from a chat that is not listed was ignored; further ones are counted")
            return
        if not isinstance(text, str) or not text.startswith("/"):
            return
        sender_id = sender.get("id") if isinstance(sender, Mapping) else None
        who = (chat_id, sender_id if isinstance(sender_id, int) else chat_id)
        name, _, argument = text[1:].partition(" ")
        name = name.partition("@")[0].lower()
        sent = message.get("date")
        if (
            isinstance(sent, int)
            and self._clock() - sent * NS_PER_SECOND > self._config.telegram.command_max_age_s * NS_PER_SECOND
        ):
            self._reply(chat_id, f"/{outside(name, 20)} was sent while nobody listened and is too old; send it again")
            return
        try:
            answer = self._answer(name, outside(argument, 100), who, update.get("update_id"))
        except SovereignError as fault:
            answer = f"{outside(name, 40)} could not be done: {outside(fault, 500)}"
        self._reply(chat_id, answer)

    def _answer(self, name: str, argument: str, who: tuple[int, int], number: object) -> str:
        if name in GRAVE:
            return self._ask(name, argument, who)
        if name == "confirm":
            return self._confirm(argument, who, number)
        if name == "status":
            return _table(self._desk.status()) or "no session"
        if name == "positions":
            return "\n\n".join(_table(position) for position in self._desk.positions()) or "flat: no open positions"
        if name == "daily":
            digest = self._desk.daily()
            return digest.text() if digest is not None else "no session today"
        if name in ("help", "start"):
            return HELP
        return f"'{outside(name, 40)}' is no command\n{HELP}"

    def _ask(self, name: str, argument: str, who: tuple[int, int]) -> str:
        confirm_s = self._config.telegram.confirm_s
        code = self._make_code()
        self._asked[who] = _Asked(name, argument, code, self._clock() + int(confirm_s * NS_PER_SECOND))
        target = f" {argument}" if argument else ""
        return f"{name}{target}: {GRAVE[name][1]}.\nSend /confirm {code} within {confirm_s:g} s to do it."

    def _confirm(self, code: str, who: tuple[int, int], number: object) -> str:
        asked = self._asked.pop(who, None)  # one try: a wrong code ends the matter
        if asked is None:
            return "nothing waits for a code; send the command first"
        if self._clock() > asked.until_ns:
            return f"the code was too late; send /{asked.name} again"
        if not secrets.compare_digest(code.encode(), asked.code.encode()):
            return f"the code was wrong and {asked.name} was not done; send /{asked.name} again"
        kind = GRAVE[asked.name][0]
        command = Command(
            command_id=f"telegram-{who[0]}-{number}",
            kind=kind,
            by=f"telegram:{who[1]}",
            reason=asked.argument or "by Telegram",
            arguments={"causes": asked.argument} if kind is CommandKind.RESUME and asked.argument else {},
        )
        self._desk.put(command)
        answer = self._desk.wait_answer(command.command_id, self._config.telegram.answer_s)
        if answer is None:
            return f"{asked.name} was handed over and not answered within {self._config.telegram.answer_s:g} s; see /status"
        return f"{asked.name} {'done' if answer.is_done else 'refused'}: {outside(answer.text, 1_000)}"

    def _reply(self, chat_id: int, text: str) -> None:
        for attempt in range(_REPLY_TRIES):
            outcome = self._bot.say(chat_id, text)
            # An answer that may have been lost is said again: twice is harmless, and a person waits for it.
            if outcome.kind not in (Kind.LIMITED, Kind.UNREACHABLE, Kind.UNSURE):
                return
            wait_s = outcome.wait_s or self._config.backoff_s * 2**attempt
            if self._is_stopping.wait(min(wait_s, self._config.backoff_max_s)):
                return


def _table(values: Mapping[str, str]) -> str:
    return "\n".join(f"{outside(name, 40)}: {outside(value, 300)}" for name, value in values.items())
