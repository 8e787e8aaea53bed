"""What `demo` and `replay` share: who watches, the run itself, and the summary behind it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

import typer

from sovereign.app.cli.common import emit

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.app.console.watch import Pace
    from sovereign.research.runner import Plan


def has_screen(headless: bool, as_json: bool) -> bool:
    """Say whether somebody sits before a terminal and wants the view."""
    return sys.stdout.isatty() and not headless and not as_json


def run_watched(
    title: str, settings: Settings, make_plan: Callable[[], Plan], pace: Callable[[], Pace], *, is_screen: bool, as_json: bool
) -> None:
    """Run a plan on the screen or with plain lines, then print its summary.

    Parameters
    ----------
    title : shown at once, before anything is loaded.
    make_plan, pace : called when the screen is up, because what they need takes a second to load.

    Raises
    ------
    KeyboardInterrupt : the run was interrupted; where it stopped and what was kept has been said on stderr.
    """
    screen = None
    if is_screen:
        from sovereign.app.console.screen import Screen

        screen = Screen()
    try:
        with screen.open(title) if screen is not None else nullcontext():
            from sovereign.app.console.screen import Lines
            from sovereign.app.console.watch import watch
            from sovereign.store.store import Store

            plan = make_plan()
            watcher = screen or Lines(_silent if as_json else typer.echo)
            with Store(settings.store) as store:
                finished = watch(plan, store, settings.report.folder, pace(), watcher)
    except KeyboardInterrupt as stop:
        if stop.args:
            typer.echo(str(stop), err=True)
        raise
    from sovereign.app.cli.summary import summary_plain, summary_text

    emit(summary_plain(finished), as_json, lambda _: summary_text(finished))


def _silent(_: str) -> None:
    """Write nothing: stdout belongs to the JSON document."""
