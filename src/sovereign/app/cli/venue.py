"""`sovereign venue`: the stand-alone simulated exchange."""

from __future__ import annotations

import json
import os
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from sovereign.app.cli.common import SYMBOLS_HELP, ConfigOption, SetOption, settings_from, split_symbols
from sovereign.core.errors import UsageError
from sovereign.core.session import parse_date

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.execution.venue.configuration import TapeSpec


def command(
    feed: Annotated[str, typer.Option("--feed", help="synthetic, or catalog: recorded sessions.")] = "synthetic",
    symbols: Annotated[
        list[str] | None,
        typer.Option(
            "--symbol",
            "--symbols",
            "-s",
            help=f"Futures root, contract or equity: {SYMBOLS_HELP}; may be repeated. Default: ES.",
        ),
    ] = None,
    day: Annotated[str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="One trade date.")] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="First trade date.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Last trade date.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the synthetic market.")] = 7,
    hours: Annotated[str, typer.Option("--hours", help="regular or all, of the synthetic market.")] = "regular",
    offset: Annotated[float, typer.Option("--offset", min=0, help="Seconds left out at the start of each session.")] = 0.0,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0.001, help="Cut each session to so many seconds.")] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Port on 127.0.0.1; 0: any.")] = None,
    state: Annotated[Path | None, typer.Option("--state", help="Folder of the books; a venue started on it goes on.")] = None,
    accounts: Annotated[str, typer.Option("--accounts", metavar="NAME[:BALANCE],...", help="Accounts to open.")] = "paper",
    pace: Annotated[str | None, typer.Option("--pace", help="realtime, fast or lockstep.")] = None,
    speed: Annotated[float | None, typer.Option("--speed", min=0, help="Pace fast at so many market seconds a second.")] = None,
    latency: Annotated[float | None, typer.Option("--latency", min=0, help="Milliseconds until a request counts.")] = None,
    slice_ms: Annotated[float | None, typer.Option("--slice", min=0.001, help="Market milliseconds of a slice.")] = None,
    brackets: Annotated[
        bool | None, typer.Option("--brackets/--no-brackets", help="Whether stop and target of an entry rest here.")
    ] = None,
    faults: Annotated[str | None, typer.Option("--faults", metavar="SEED|FILE", help="Schedule of faults.")] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Run a simulated exchange in this process until SIGTERM or Ctrl-C.

    Prints one line of JSON when it listens: address, pid, and the file with its tokens. A folder that has books is continued.
    """
    changes = list(overrides or ())
    named = {
        "venue.port": port,
        "venue.state": state,
        "venue.pace": pace or (None if speed is None else "fast"),
        "venue.speed": speed,
        "venue.slice_ms": slice_ms,
        "venue.holds_brackets": brackets,
        "execution.latency_ms": latency,
    }
    changes += [
        f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in named.items() if value is not None
    ]
    settings = settings_from(config, changes).settings
    tape = _tape(feed, split_symbols(symbols) or ("ES",), day, start, end, seed, hours, offset, seconds)
    run(settings, tape, _accounts(accounts, settings.account.starting_balance), faults)


def _tape(
    feed: str,
    symbols: tuple[str, ...],
    day: str | None,
    start: str | None,
    end: str | None,
    seed: int,
    hours: str,
    offset: float,
    seconds: float | None,
) -> TapeSpec:
    from sovereign.execution.venue.configuration import TapeSpec

    if feed not in ("synthetic", "catalog"):
        raise UsageError(f"--feed was '{feed}'; allowed are synthetic and catalog")
    if hours not in ("regular", "all"):
        raise UsageError(f"--hours was '{hours}'; allowed are regular and all")
    if day is not None and (start is not None or end is not None):
        raise UsageError("--date was given with --from or --to; give one day or a span")
    if feed == "catalog" and day is None and start is None:
        raise UsageError("--feed catalog was given without dates; add --date, or --from and --to")
    first_text, last_text = day or start, day or end
    first = date(2025, 11, 17) if first_text is None else parse_date(first_text)
    last = None if last_text is None else parse_date(last_text)
    if last is not None and last < first:
        raise UsageError(f"dates were {first} to {last}; the end must not be before the start")
    if len(set(symbols)) != len(symbols):
        raise UsageError(f"--symbol was {', '.join(symbols)}; name each symbol once")
    is_recorded = feed == "catalog"
    return TapeSpec(
        source="catalog" if is_recorded else "synthetic",
        symbol=symbols[0],
        others=symbols[1:],
        start=first,
        end=last,
        seed=seed,
        hours="all" if is_recorded or hours == "all" else "regular",
        offset_s=offset,
        seconds=seconds,
    )


def _accounts(text: str, balance: Decimal) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, _, amount = word.partition(":")
        try:
            found[name] = Decimal(amount) if amount else balance
        except InvalidOperation as cause:
            raise UsageError(f"--accounts was '{text}'; write NAME or NAME:BALANCE, for example paper:25000") from cause
    if not found:
        raise UsageError("--accounts named none; give at least one, for example paper")
    return found


def run(settings: Settings, tape: TapeSpec, accounts: dict[str, Decimal], faults: str | None) -> None:
    """Serve until the process is told to stop."""
    import asyncio
    import signal

    from sovereign.app.venue import start_venue
    from sovereign.execution.matching import warm_up

    folder = settings.venue.state
    folder.mkdir(parents=True, exist_ok=True)
    notice = folder / "venue.json"

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        warm_up()
        try:
            server, port = await start_venue(settings, tape, accounts, faults)
        except OSError as cause:
            raise UsageError(
                f"port was {settings.venue.port}, which could not be opened ({cause.strerror}); choose another, or 0 for any"
            ) from cause
        said = {
            "url": f"ws://127.0.0.1:{port}",
            "port": port,
            "pid": os.getpid(),
            "accounts": list(accounts),
            "tokens": str(folder / "tokens.json"),
        }
        line = json.dumps(said)
        notice.write_text(line + "\n", encoding="utf-8")
        (folder / "venue.pid").write_text(f"{os.getpid()}\n", encoding="utf-8")
        typer.echo(line)
        await server.serve_until(stop)

    with _locked(folder):
        try:
            asyncio.run(serve())
        finally:
            for file in (notice, folder / "venue.pid"):
                file.unlink(missing_ok=True)


def _locked(folder: Path) -> IO[str]:
    """Hold a folder for this process alone; the hold ends with the process, however it ends."""
    handle = (folder / "venue.lock").open("w", encoding="utf-8")
    try:
        import fcntl
    except ImportError:  # not on this system: its files are locked while they are open
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as cause:
        handle.close()
        raise UsageError(f"--state was '{folder}', where a venue is running; stop it first, or use another folder") from cause
    return handle
