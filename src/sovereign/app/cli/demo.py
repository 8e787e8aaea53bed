"""`sovereign demo`: simulated sessions, watched on the dashboard, on the terminal, or by nobody."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, emit, settings_from
from sovereign.app.cli.dashboard import missing_for_dashboard
from sovereign.app.cli.watched import has_screen, run_watched
from sovereign.app.demonstration.plan import demo_plan
from sovereign.core.session import parse_date

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sovereign.app.configuration import LoadedSettings, Settings
    from sovereign.app.console.watch import Pace
    from sovereign.research.runner import Plan

_SHOWN = ("order_flow", "tug_of_war")
_ALONE = "order_flow"
_SEED = 4
_SEEDS = {"tug_of_war": 5}
"""Chosen for the number of their trades, not for the profit."""


def command(
    strategies: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            help=f"Name of a strategy; may be repeated on the dashboard. Default: {' and '.join(_SHOWN)} there, else {_ALONE}.",
        ),
    ] = None,
    symbol: Annotated[
        str,
        typer.Option("--symbol", "-s", help="Market to simulate, of a strategy on one symbol: a futures root or an equity."),
    ] = "ES",
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="Seed of the market; the same one gives the same ticks; default: one with trades."),
    ] = None,
    start: Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", help="First trade date.")] = "2025-01-02",
    sessions: Annotated[int, typer.Option("--sessions", min=1, max=100_000, help="Number of sessions.")] = 1,
    warm_up: Annotated[
        int | None,
        typer.Option(
            "--warm-up",
            min=0,
            max=100_000,
            help="Earlier sessions that indicators see first and nobody trades; default: as many as the strategy needs.",
        ),
    ] = None,
    speed: Annotated[
        float | None, typer.Option("--speed", min=0, help="Market seconds a second; 0 as fast as it goes; default: --seconds.")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="How long a session lasts when it is watched, s.")] = 20.0,
    is_on_dashboard: Annotated[
        bool | None,
        typer.Option("--dashboard/--headless", help="Serve the dashboard, or show nothing; default: the former on a terminal."),
    ] = None,
    is_on_terminal: Annotated[bool, typer.Option("--terminal", help="Watch it in this terminal instead.")] = False,
    serve_s: Annotated[
        float | None,
        typer.Option("--serve", min=0, help="How long the dashboard goes on after the report, s; default: until Ctrl-C."),
    ] = None,
    is_opened: Annotated[bool, typer.Option("--open", help="Open the dashboard in the browser of this machine.")] = False,
    is_tested: Annotated[
        bool, typer.Option("--evidence/--no-evidence", help="Make the null and look-ahead tests for the evidence card.")
    ] = True,
    is_played: Annotated[bool, typer.Option("--played", hidden=True)] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Trade simulated sessions before your eyes; end with the summary and the path of the report.

    On a terminal the dashboard is served, its address is printed, a session lasts about 20 seconds, and the pages stay until
    Ctrl-C. Without one, or with --headless or --json, it runs as fast as it goes and ends. The data is simulated: it shows how
    the platform works, and nothing about markets.
    """
    from sovereign.core.errors import UsageError

    if is_on_terminal and is_on_dashboard:
        raise UsageError("--terminal and --dashboard were both given; choose one")
    first = parse_date(start)
    is_watched = is_on_dashboard or (is_on_dashboard is None and not is_on_terminal and has_screen(False, as_json))
    if is_watched and not is_played and (missing := missing_for_dashboard()):
        typer.echo(
            f"no dashboard: {', '.join(missing)} not installed (pip install 'sovereign[dashboard]'); it goes on without",
            err=True,
        )
        is_watched, is_on_dashboard = False, False
    names = tuple(dict.fromkeys(strategies or (_SHOWN if is_watched and not is_played else (_ALONE,))))
    if len(names) > 1 and not is_watched:
        raise UsageError(f"strategies were {', '.join(names)}; several at once are shown on the dashboard alone: choose one")
    loaded = settings_from(config, overrides, names[0] if len(names) == 1 else None)

    def plan_of(settings: Settings) -> Plan:
        own = _SEEDS.get(names[0], _SEED) if seed is None else seed
        return demo_plan(settings, names[0], symbol, own, first, sessions, warm_up, is_tested=is_tested)

    def pace_of(*, is_paced: bool) -> Pace:
        from sovereign.app.console.watch import Pace

        return Pace(speed=speed if is_paced or speed is not None else 0.0, seconds=seconds)

    if is_played:
        _play(loaded.settings, plan_of, pace_of(is_paced=True), warm_up, as_json=as_json)
    elif is_watched:
        given = {"--symbol": symbol, "--date": start, "--sessions": sessions, "--seconds": seconds}
        optional = {"--seed": seed, "--warm-up": warm_up, "--speed": speed}
        given |= {name: value for name, value in optional.items() if value is not None}
        words = [word for name, value in given.items() for word in (name, str(value))]
        words.append("--evidence" if is_tested else "--no-evidence")
        _perform(loaded, names, words, config, overrides or (), serve_s, is_opened=is_opened)
    else:
        is_screen = is_on_terminal and has_screen(False, as_json)
        run_watched(
            f"sovereign demo: SIMULATED data, {names[0]}",
            loaded.settings,
            lambda: plan_of(loaded.settings),
            lambda: pace_of(is_paced=is_screen),
            is_screen=is_screen,
            as_json=as_json,
        )


def _perform(
    loaded: LoadedSettings,
    names: Sequence[str],
    words: Sequence[str],
    config: Path | None,
    overrides: Sequence[str],
    serve_s: float | None,
    *,
    is_opened: bool,
) -> None:
    """Serve the dashboard while each strategy trades in a process of its own."""
    from sovereign.app.demonstration.stage import perform
    from sovereign.strategies import configuration_class

    for name in names:
        configuration_class(name)  # an unknown one is refused before anything begins
    own = (*(("--config", str(config)) if config else ()), *(word for one in overrides for word in ("--set", one)))
    commands = {name: ("demo", "--played", "--strategy", name, *words, *own) for name in names}
    code = perform(loaded, commands, own, typer.echo, serve_s=serve_s, is_opened=is_opened)
    if code:
        raise typer.Exit(code)


def _play(settings: Settings, make_plan: Callable[[Settings], Plan], pace: Pace, warm_up: int | None, *, as_json: bool) -> None:
    """Be one of the sessions that the dashboard shows."""
    from sovereign.app.cli.summary import summary_plain, summary_text
    from sovereign.app.console.screen import Lines
    from sovereign.app.demonstration.session import play
    from sovereign.app.ops.redaction import redactor_for
    from sovereign.store.store import Store

    try:
        with Store(settings.store) as store:
            watcher = Lines(typer.echo)
            finished = play(
                make_plan(settings),
                settings,
                store,
                pace,
                watcher,
                redactor_for(settings),
                earlier=warm_up,
                gate=sys.stdin.read,  # closed when the pages are there, and when nobody waits for them any more
            )
    except KeyboardInterrupt as stop:
        typer.echo(str(stop) or "stopped before it began", file=sys.stderr)
        raise
    emit(summary_plain(finished), as_json, lambda _: summary_text(finished))
