"""The command line's root: a table of commands, loaded only when one is used.

`sovereign --help` must appear at once, so the root imports neither numpy nor pydantic nor any room. A command is a module
of this package that exposes either

- `app`: a `typer.Typer` made by `common.command_app(help)` (a group such as `runs list|show|compare`, or one command), or
- `command`: a function with typer annotations (one command); a module with several is named `module:function`.

It is mounted by one line in `COMMANDS`: its words on the command line, its module, and the one-line help of the root page.
A module that is not installed is not listed. A name of two words (`data synth`) is mounted into the group of the first.

Inside a command module: import heavy rooms in the function body; take `--config`, `--set` and `--json` from `common`; print
results with `common.emit` alone; raise `core.errors` for everything that goes wrong and never print or exit by hand.
`run` turns what is raised into one line on stderr and the exit code of its class (docs/reference/exit_codes.md).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from sovereign import __version__
from sovereign.app.cli.common import SymbolsCommand
from sovereign.app.cli.errors import report

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("sovereign.app.cli.demo", "Watch strategies trade simulated sessions, and read their reports."),
    "backtest": ("sovereign.app.cli.backtest", "Run a strategy over recorded sessions and write report, JSON and CSV."),
    "replay": ("sovereign.app.cli.replay", "Play one recorded session through the same engine, paced."),
    "evidence": ("sovereign.app.cli.evidence", "Honesty checks on a strategy: null, future, costs, ablation."),
    "stress": ("sovereign.app.cli.stress", "Stress a finished run: slippage, time of day, weekday, shuffles."),
    "runs": ("sovereign.app.cli.runs", "List, show and compare finished runs."),
    "explain": ("sovereign.app.cli.explain", "Say why a decision was taken or refused, check by check."),
    "run": ("sovereign.app.cli.run", "Trade on paper or live, session after session."),
    "twin": ("sovereign.app.cli.twin", "Run a recorded session again as a backtest, and say why they differ."),
    "dashboard": ("sovereign.app.cli.dashboard", "Serve pages and API over all that runs and has run."),
    "venue": ("sovereign.app.cli.venue", "Run a simulated exchange in a process of its own."),
    "status": ("sovereign.app.cli.session:status", "Show what runs, what the guard says, and every kill that holds."),
    "positions": ("sovereign.app.cli.session:positions", "Show open positions."),
    "trades": ("sovereign.app.cli.session:trades", "Show the closed trades of a session."),
    "orders": ("sovereign.app.cli.session:orders", "Show what a session has asked of the broker."),
    "halt": ("sovereign.app.cli.session:halt", "Cancel and close everything; nothing new until resumed."),
    "resume": ("sovereign.app.cli.session:resume", "Clear halts and kills, and trade again."),
    "flatten": ("sovereign.app.cli.session:flatten", "Cancel and close everything, and go on."),
    "reconcile": ("sovereign.app.cli.session:reconcile", "Compare books with the broker now."),
    "trade": ("sovereign.app.cli.session:trade", "Place an order by hand: the same door, the same checks."),
    "kill": ("sovereign.app.cli.kill", "Flatten every account from outside, and keep it so."),
    "guard": ("sovereign.app.cli.guard", "Watch an account from outside and flatten it when nobody else does."),
    "control": ("sovereign.app.cli.control", "Take commands by Telegram, beside the session."),
    "doctor": ("sovereign.app.cli.doctor", "Check everything that trading needs, and say what to do."),
    "service": ("sovereign.app.cli.service", "Install, start, stop and watch the services."),
    "scout": ("sovereign.app.cli.scout", "Watch the tape, read the news, keep what they say."),
    "data": ("sovereign.app.cli.data", "Import, simulate, list, verify and download market data."),
    "data synth": ("sovereign.app.cli.synth", "Make simulated market data, labeled as such."),
    "alerts": ("sovereign.app.cli.alerts", "Try the alert channels, and list the alerts of late."),
    "store": ("sovereign.app.cli.store", "Look at, upgrade and clear the database behind runs and sessions."),
    "audit": ("sovereign.app.cli.audit", "Verify and show the chained audit stream of sessions."),
    "config": ("sovereign.app.cli.config", "Show, describe and create the configuration file."),
}


def _is_installed(module: str) -> bool:
    return find_spec(module.partition(":")[0]) is not None


def load(module: str, name: str) -> Any:
    """Import a command module and return its click command, named `name`."""
    place, _, function = module.partition(":")
    found = importlib.import_module(place)
    app = getattr(found, "app", None)
    if function or not isinstance(app, typer.Typer):
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(cls=SymbolsCommand)(getattr(found, function or "command"))
    command = typer.main.get_command(app)
    command.name = name
    return command


class LazyGroup(TyperGroup):
    """The root group: every command is a stub with its help text until it is called for."""

    def __init__(self, *args: Any, **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        for words, (module, text) in COMMANDS.items():
            if " " not in words and _is_installed(module):
                self.add_command(TyperCommand(words, help=text, callback=None))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command by name, then load the module behind it and what is mounted below it."""
        name, stub, rest = super().resolve_command(ctx, args)
        if name is None or name not in COMMANDS:
            return name, stub, rest
        command = load(COMMANDS[name][0], name)
        for words, (module, _) in COMMANDS.items():
            parent, _, child = words.partition(" ")
            if parent == name and child and _is_installed(module):
                command.add_command(load(module, child))
        return name, command, rest


app = typer.Typer(cls=LazyGroup, add_completion=False, rich_markup_mode=None, no_args_is_help=True)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"sovereign {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where an error came from (allowed anywhere on the line).")
    ] = False,
) -> None:
    """A trading engine for backtest, paper and live that tells the truth about a strategy."""
    del version, traceback


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; nothing is raised."""
    cut = list(arguments).index("--") if "--" in arguments else len(arguments)
    options, rest = list(arguments[:cut]), list(arguments[cut:])
    wants_traceback, as_json = "--traceback" in options, "--json" in options
    line = [word for word in options if word != "--traceback"] + rest
    try:
        code = app(args=line, prog_name="sovereign", standalone_mode=False)
    except SystemExit as leaving:  # typer leaves this way when the reader of a pipe has gone
        return leaving.code if isinstance(leaving.code, int) else 1
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last place where anything can be caught
        return report(error, as_json=as_json, wants_traceback=wants_traceback)
    return code if isinstance(code, int) else 0


def main() -> None:
    """Entry point of the `sovereign` script."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
