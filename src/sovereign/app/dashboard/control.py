"""What may be asked for: commands to sessions, the kill, starting a session, and the settings of those that are started.

Commands go to the store's queue through the same desk as those of the command line, under the name that the token carries.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sovereign.app.ops.desk import StoreDesk
from sovereign.core.command import CommandKind
from sovereign.core.errors import SovereignError, UsageError

if TYPE_CHECKING:
    from sovereign.app.configuration import LoadedSettings, Settings
    from sovereign.store.store import Store

KILL = "KILL"
START = "START"
SETTINGS = "SETTINGS"
CONFIRMATIONS: Mapping[str, str] = {
    CommandKind.HALT.value: "HALT",
    CommandKind.REDUCE.value: "",
    CommandKind.RESUME.value: "RESUME",
    CommandKind.FLATTEN.value: "FLATTEN",
    CommandKind.CANCEL.value: "",
    CommandKind.TRADE.value: "TRADE",
    CommandKind.RECONCILE.value: "",
    CommandKind.STOP.value: "STOP",
    KILL: "KILL",
    START: "",
    SETTINGS: "",
}
"""The word that must be typed before a command is put; none for those that take no risk and close nothing."""

_OPEN_SECTIONS = ("risk", "strategies", "execution", "session", "schedule", "live")
_CLOSED_KEYS = frozenset({"execution.trading_enabled", "session.folder", "session.account", "risk.news_file"})


class UnconfirmedError(SovereignError):
    """A command that was not confirmed by the typed word."""


def check_confirmed(kind: str, typed: str) -> None:
    """Refuse a command whose word was not typed.

    Raises
    ------
    UnconfirmedError : names the word.
    """
    word = CONFIRMATIONS[kind]
    if word and typed != word:
        raise UnconfirmedError(f"confirm was '{typed[:40]}'; type {word} to confirm {kind}")


class Control:
    """Carries requests out.

    Parameters
    ----------
    loaded : the dashboard's own settings, which sessions started from here share, with the words that change them.
    words : `--config` and `--set` as the dashboard was given them.
    """

    def __init__(self, store: Store, loaded: LoadedSettings, words: tuple[str, ...] = ()) -> None:
        self._store = store
        self._loaded = loaded
        self._words = words
        self._folder = loaded.settings.dashboard.folder
        self._lock = threading.Lock()
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def _settings(self) -> Settings:
        return self._loaded.settings

    def ask(
        self,
        kind: CommandKind,
        *,
        by: str,
        reason: str,
        account: str | None,
        strategy: str | None,
        arguments: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Put a command to the sessions that run and wait for their answers.

        Raises
        ------
        NotRunningError : nothing runs, and the command cannot wait. OperationTimeoutError : nobody answered in time.
        """
        desk = StoreDesk(self._store.live)
        if kind is CommandKind.TRADE or kind is CommandKind.CANCEL:
            running = desk.sessions(account=account, strategy=strategy)
            if len(running) > 1:
                raise UsageError(f"{len(running)} sessions run, and this goes to one of them; give account and strategy")
        answers = desk.ask(
            kind,
            by=by,
            reason=reason,
            arguments=arguments,
            account=account,
            strategy=strategy,
            timeout_s=self._settings.dashboard.command_timeout_s,
        )
        return {
            "kind": kind.value,
            "asked": [{name: getattr(one, name) for name in one.__slots__} for one in answers.asked],
            "cleared": list(answers.cleared),
            "standing": list(answers.standing),
        }

    def kill(self, *, by: str, reason: str) -> dict[str, Any]:
        """Latch the kill and flatten every configured account from here, whatever the sessions do.

        Raises
        ------
        SovereignError : no account can be reached.
        """
        from sovereign.app.cli.common import to_plain
        from sovereign.app.cli.kill import keep_kill
        from sovereign.app.ops.account import guarded_accounts
        from sovereign.app.ops.kill import kill
        from sovereign.app.ops.kill_alert import KillAlert
        from sovereign.app.ops.redaction import redactor_for

        settings = self._settings
        redact = redactor_for(settings)
        alert = KillAlert(settings, by, reason, redact)
        try:
            accounts = guarded_accounts(settings)
        except SovereignError as cause:
            keep_kill(settings, "*", by, reason)  # what can be done is done: no session goes on or starts
            alert.close(None, str(cause))
            raise
        done = kill(
            accounts, settings.kill, latch=lambda: keep_kill(settings, "*", by, reason), failures=(SovereignError, OSError)
        )
        text = redact(json.dumps({**to_plain(done), "alert_error": alert.close(done)}))
        report: dict[str, Any] = json.loads(text)
        return {**report, "accounts": [dict(one) for one in report["accounts"]]}

    # Starting

    def start(self, strategy: str, account: str | None) -> dict[str, Any]:
        """Start a paper session in a process of its own, which goes on when the dashboard ends.

        Raises
        ------
        NotFoundError : there is no such strategy. UsageError : it runs already.
        """
        from sovereign.strategies import configuration_class

        configuration_class(strategy)
        name = account or self._settings.session.account
        with self._lock:
            self._children = [child for child in self._children if child.poll() is None]
            running = StoreDesk(self._store.live).sessions(account=name)
            if any(one.status == "running" for one in running) or self._children:
                raise UsageError(f"a session of account '{name}' runs or is starting already; stop that one first")
            command = [sys.executable, "-m", "sovereign.app.cli.main", "run", strategy, "--account", name, *self._words]
            for key, value in self.pending().items():
                command += ["--set", f"{key}={value}"]
            self._folder.mkdir(parents=True, exist_ok=True)
            log = self._folder / f"session-{time.strftime('%Y%m%dT%H%M%S')}.log"
            with log.open("ab") as stream:
                child = subprocess.Popen(  # noqa: S603 - our own program; names and values were checked above
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    start_new_session=True,
                    env=dict(os.environ),
                )
            self._children.append(child)
        return {"pid": child.pid, "command": ["sovereign", *self._shown(command[3:])], "log": str(log)}

    def _shown(self, words: Sequence[str]) -> list[str]:
        """Return words of a command line as they may be told: what `--set` gives a secret is hidden."""
        from sovereign.app.configuration.keys import masked
        from sovereign.app.ops.redaction import redactor_for

        redact, shown = redactor_for(self._settings), []
        for before, word in zip(("", *words), words, strict=False):
            key, sign, value = word.partition("=")
            shown.append(redact(f"{key}={masked(key, value)}" if before == "--set" and sign else word))
        return shown

    # Settings

    @property
    def _file(self) -> Path:
        return self._folder / "settings.json"

    def pending(self) -> dict[str, str]:
        """Return the settings that sessions started from here have in place of the file's."""
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}

    def settings(self) -> list[dict[str, Any]]:
        """Return every setting with its source, secrets masked."""
        from sovereign.app.configuration import Settings
        from sovereign.app.configuration.keys import leaves, masked, value_of

        pending = self.pending()
        return [
            {
                "key": key,
                "value": masked(key, value_of(self._settings, key)),
                "source": self._loaded.sources.get(key, "default"),
                "description": field.description or "",
                "pending": pending.get(key),
            }
            for key, field in leaves(Settings)
        ]

    def change(self, values: Mapping[str, str | None]) -> list[dict[str, Any]]:
        """Keep settings for the sessions that are started from here; None takes one away. Running sessions keep theirs.

        Raises
        ------
        UsageError : a key may not be set from here. ConfigurationError : a value is impossible.
        """
        from sovereign.app.configuration import load_settings
        from sovereign.app.ops.files import replace_file

        for key in values:
            if key.partition(".")[0] not in _OPEN_SECTIONS or key in _CLOSED_KEYS:
                raise UsageError(
                    f"setting was '{key[:80]}'; from here only {', '.join(_OPEN_SECTIONS)} can be set, without consents, "
                    f"paths and accounts; use the configuration file"
                )
        with self._lock:
            merged = {**self.pending(), **{key: value for key, value in values.items() if value is not None}}
            for key in [key for key, value in values.items() if value is None]:
                merged.pop(key, None)
            load_settings(self._loaded.file, tuple(f"{key}={value}" for key, value in merged.items()))
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._file, json.dumps(merged, sort_keys=True))
        return self.settings()
