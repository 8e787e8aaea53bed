"""A progress bar on stderr, for people; nothing when the output is JSON or nobody is watching."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def sessions_bar(label: str, total: int, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show `total` sessions passing; yields what to call after each."""
    with steps_bar(quiet) as step:
        yield step(label, total)


@contextmanager
def steps_bar(quiet: bool) -> Iterator[Callable[[str, int], Callable[[], None]]]:
    """Show one step after another; yields what takes a step's name and its sessions and returns what to call after each."""
    if quiet or not sys.stderr.isatty():
        yield lambda _label, _total: lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:

        def step(label: str, total: int) -> Callable[[], None]:
            task = progress.add_task(label, total=total)
            return lambda: progress.advance(task)

        yield step
