"""Demonstrations with their dashboard: this process serves the pages, each strategy trades in a process of its own.

The address is printed before anything is loaded, so that a browser can wait at it. When the last session is over and its report
is written, the pages go on being served for as long as somebody wants to read them.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from sovereign.app.configuration import LoadedSettings
    from sovereign.app.dashboard.token import Tokens
    from sovereign.store.store import Store

_PROGRESS = "SIMULATED  "
_PATIENCE_S = 20.0
_STOP_S = 10.0
_LOOK_S = 0.1


@dataclass(slots=True)
class Actor:
    """A strategy on its way: its process, and what it has said that is not a sign of progress."""

    strategy: str
    process: subprocess.Popen[str]
    text: list[str] = field(default_factory=list)
    fault: list[str] = field(default_factory=list)
    ears: list[threading.Thread] = field(default_factory=list)

    def go(self) -> None:
        """Let it trade: the pages are there. It has loaded meanwhile what it needs."""
        if self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.close()

    def stop(self) -> None:
        """Ask it to end as Ctrl-C does, and wait."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(_STOP_S)


def perform(
    loaded: LoadedSettings,
    commands: Mapping[str, Sequence[str]],
    words: tuple[str, ...],
    say: Callable[[str], object],
    *,
    serve_s: float | None,
    is_opened: bool,
) -> int:
    """Serve the dashboard, let every strategy trade on it, print their reports, and go on serving.

    Parameters
    ----------
    commands : by strategy, the words behind `sovereign` that make it trade.
    words : `--config` and `--set` as given, for sessions that are started from the page.
    serve_s : how long the pages are served after the last report, s; None: until Ctrl-C.

    Returns
    -------
    int : the first exit code that is not 0, else 0.
    """
    from sovereign.app.dashboard.server import quiet_logs
    from sovereign.app.dashboard.token import tokens_of
    from sovereign.store.store import Store

    listening, address = _listen(loaded)
    tokens = tokens_of(loaded.settings.dashboard)
    opened = f"{address}/#key={tokens.key}"
    say(f"dashboard  {opened}")
    say(
        f"           {' and '.join(commands)} on SIMULATED markets: they show how the platform works, and nothing about markets"
    )
    ended = threading.Event()
    actors: list[Actor] = []
    with listening, quiet_logs(loaded.settings), Store(loaded.settings.store) as store, _told_to_end(ended):
        # The first loads beside the pages; the others follow, so that the first picture is there soon on two processors.
        first, *others = commands
        actors.append(_begin(first, commands[first], say))
        serving: threading.Thread | None = None
        stop = threading.Event()
        try:
            serving = _serve(store, loaded, words, tokens, listening, stop)
            actors += [_begin(strategy, commands[strategy], say) for strategy in others]
            for actor in actors:
                actor.go()
            if is_opened:
                import webbrowser

                webbrowser.open(opened)
            _watch(actors, ended, say)
            if not ended.is_set():
                until = "Ctrl-C" if serve_s is None else f"Ctrl-C, or {serve_s:g} seconds"
                if serve_s != 0:
                    say(f"\nthe dashboard goes on at {opened} until {until}")
                _rest(ended, serve_s)
        except KeyboardInterrupt:
            if any(actor.process.poll() is None for actor in actors):
                raise
        finally:
            for actor in actors:
                actor.stop()
            stop.set()
            if serving is not None:
                serving.join(_PATIENCE_S)
    return next((actor.process.returncode for actor in actors if actor.process.returncode), 0)


def _listen(loaded: LoadedSettings) -> tuple[socket.socket, str]:
    from sovereign.app.dashboard.server import address_of, open_socket
    from sovereign.core.errors import ConfigurationError

    config = loaded.settings.dashboard
    try:
        listening = open_socket(config)
    except ConfigurationError:  # another dashboard is there already: a demonstration takes any other port
        listening = open_socket(config.model_copy(update={"port": 0}))
    return listening, address_of(listening, config)


def _serve(
    store: Store,
    loaded: LoadedSettings,
    words: tuple[str, ...],
    tokens: Tokens,
    listening: socket.socket,
    stop: threading.Event,
) -> threading.Thread:
    from sovereign.app.dashboard.app import create_app
    from sovereign.app.dashboard.server import serve, yield_to_trading

    app = create_app(store, loaded, words=words, tokens=tokens)
    is_up = threading.Event()

    def answer() -> None:
        yield_to_trading()  # of this thread, and of those that it starts
        serve(app, listening, stop, is_up.set)

    serving = threading.Thread(target=answer, name="dashboard", daemon=True)
    serving.start()
    is_up.wait(_PATIENCE_S)
    return serving


def _begin(strategy: str, command: Sequence[str], say: Callable[[str], object]) -> Actor:
    # In a session of its own: Ctrl-C reaches this process alone, which ends the others one by one.
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-u", "-m", "sovereign.app.cli.main", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    actor = Actor(strategy, process)

    def hear(lines: Iterable[str] | None, kept: list[str]) -> None:
        for line in lines or ():
            if line.startswith(_PROGRESS):
                say(f"{strategy}  {line.rstrip()}")
            else:
                kept.append(line.rstrip())

    for stream, kept in ((process.stdout, actor.text), (process.stderr, actor.fault)):
        ear = threading.Thread(target=hear, args=(stream, kept), name=f"ear-{strategy}", daemon=True)
        ear.start()
        actor.ears.append(ear)
    return actor


def _watch(actors: Sequence[Actor], ended: threading.Event, say: Callable[[str], object]) -> None:
    """Wait for every strategy, and print what each has to say at its end."""
    waiting = list(actors)
    while waiting and not ended.is_set():
        for actor in [one for one in waiting if one.process.poll() is not None]:
            waiting.remove(actor)
            for ear in actor.ears:
                ear.join(_PATIENCE_S)
            say("\n" + "\n".join([*actor.text, *actor.fault]))
        ended.wait(_LOOK_S)


def _rest(ended: threading.Event, seconds: float | None) -> None:
    until = None if seconds is None else time.monotonic() + seconds
    while not ended.is_set() and (until is None or time.monotonic() < until):
        ended.wait(_LOOK_S if until is None else max(0.0, min(_LOOK_S, until - time.monotonic())))


@contextmanager
def _told_to_end(ended: threading.Event) -> Iterator[None]:
    # SIGTERM ends in good order too; in a thread that is not the main one nobody can ask for it.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
