"""`sovereign store status | upgrade | prune | show | rls-script`: the database behind runs and sessions."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sovereign.app.cli.common import (
    SYMBOLS_HELP,
    ConfigOption,
    JsonOption,
    SetOption,
    SymbolsCommand,
    command_app,
    emit,
    settings_from,
    split_symbols,
)

if TYPE_CHECKING:
    from sovereign.store.status import StoreStatus

app = command_app("Look at, upgrade and clear the database behind runs and sessions.")


def _status_text(status: StoreStatus) -> str:
    version = "no tables yet" if status.version is None else f"schema {status.version}"
    lines = [f"{status.place}: {status.kind}, {version}; this program: schema {status.expected}"]
    if status.is_current:
        lines.append("up to date")
    elif status.version is None or status.version < status.expected:
        lines.append("made or upgraded when it is next opened, or now: sovereign store upgrade")
    elif status.version > status.expected:
        lines.append("written by a newer program; upgrade this one")
    lines += [f"differs: {difference}" for difference in status.differences]
    if status.open_tables:
        lines.append(
            f"{len(status.open_tables)} tables are without row-level security, and the role anon exists: "
            f"run what 'sovereign store rls-script' prints ({', '.join(status.open_tables)})"
        )
    return "\n".join(lines)


@app.command()
def status(config: ConfigOption = None, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Say which database it is and whether its tables are as expected; changes nothing; exit code 1 when they are not."""
    from sovereign.store.status import store_status

    found = store_status(settings_from(config, overrides).settings.store)
    emit(found, as_json, _status_text)
    if found.differences or (found.version or 0) > found.expected:
        raise typer.Exit(1)


@app.command()
def upgrade(config: ConfigOption = None, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Create the tables or lift them to this version, keeping what is in them; opening the store does the same."""
    from sovereign.store.database import Database
    from sovereign.store.status import store_status

    settings = settings_from(config, overrides).settings.store
    before = store_status(settings)
    Database(settings).close()
    after = store_status(settings)

    def text(result: dict[str, Any]) -> str:
        if result["from"] == result["to"]:
            return f"{result['place']}: schema {result['to']}, nothing to do"
        return f"{result['place']}: {_version(result['from'])} -> schema {result['to']}"

    emit({"place": after.place, "from": before.version, "to": after.version}, as_json, text)


def _version(version: int | None) -> str:
    return "empty" if version is None else f"schema {version}"


@app.command()
def prune(
    before: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Day (UTC) before which what is over is removed.")],
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove sessions that ended before a day, with journal and audit chain; runs, states and latches that hold stay."""
    from datetime import UTC

    from sovereign.core.session import to_ns
    from sovereign.store.store import Store

    with Store(settings_from(config, overrides).settings.store) as store:
        removed = dict(store.live.prune(to_ns(before.replace(tzinfo=UTC))).rows)
    emit(
        {"before": before.date(), "removed": removed},
        as_json,
        lambda _: "\n".join(f"{count:>10,}  {name}" for name, count in removed.items()),
    )


@app.command(cls=SymbolsCommand)
def show(
    table: Annotated[
        str,
        typer.Argument(help="tug_signals, tug_results, tug_trades, regime_states, ofi_snapshots or news_readings."),
    ],
    last: Annotated[int, typer.Option("--last", min=1, max=100_000, help="So many of the newest rows.")] = 20,
    symbols: Annotated[
        list[str] | None, typer.Option("--symbols", "--symbol", help=f"Only rows of these: {SYMBOLS_HELP}. Default: all.")
    ] = None,
    account: Annotated[str | None, typer.Option("--account", help="Only rows of this account. Default: of all.")] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the newest rows of a table of the tug of war or of the scouts, newest first; --json has every column whole."""
    from sovereign.store.store import Store

    with Store(settings_from(config, overrides).settings.store) as store:
        rows = store.scouts.latest(table, account=account, symbols=split_symbols(symbols), limit=last)
    emit(rows, as_json, _rows_text)


def _rows_text(rows: list[dict[str, Any]]) -> str:
    from sovereign.app.cli.runs import columns

    if not rows:
        return "no such row yet; 'sovereign run tug_of_war' and 'sovereign scout' write them"
    names = [name for name, value in rows[0].items() if name != "key" and not isinstance(value, list | dict)]
    numbers = frozenset(at for at, name in enumerate(names) if any(isinstance(row[name], float) for row in rows))
    return columns(names, [[_cell(name, row[name]) for name in names] for row in rows], numbers)


def _cell(name: str, value: Any) -> str:
    from sovereign.core.session import from_ns

    if value is None:
        return ""
    if name == "ts":
        return f"{from_ns(value):%Y-%m-%d %H:%M:%S}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@app.command("rls-script")
def rls_script() -> None:
    """Print the SQL that turns row-level security on (PostgreSQL, Supabase); run it with psql or the SQL editor."""
    from sovereign.store.row_security import row_security_script

    typer.echo(row_security_script(), nl=False)
