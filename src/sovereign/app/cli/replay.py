"""`sovereign replay`: one recorded session through the same engine, as fast or slow as you like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, settings_from
from sovereign.app.cli.watched import has_screen, run_watched
from sovereign.core.errors import NotFoundError, UsageError
from sovereign.core.session import parse_date

if TYPE_CHECKING:
    from datetime import date, time

    from sovereign.app.configuration import Settings
    from sovereign.app.console.watch import Pace
    from sovereign.research.runner import Plan

_WATCHED_SPEED = 50.0


def command(
    day: Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", help="Trade date.")],
    symbol: Annotated[str, typer.Option("--symbol", "-s", help="Futures root (ES), contract (ESH4) or equity (SPY).")] = "ES",
    strategy: Annotated[str, typer.Option("--strategy", help="Name of the strategy.")] = "order_flow",
    speed: Annotated[
        float | None,
        typer.Option(
            "--speed",
            min=0,
            help="Market seconds a second: 1 real time, 0 as fast as it goes; default: 50 on a terminal, else 0.",
        ),
    ] = None,
    from_time: Annotated[
        str | None, typer.Option("--from-time", metavar="HH:MM", help="Exchange time until which the session passes at once.")
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="No live view; a few plain lines instead.")] = False,
    api_key: Annotated[
        str | None, typer.Option("--api-key", help="Databento key: download the date when the catalog has not got it.")
    ] = None,
    is_tested: Annotated[
        bool, typer.Option("--evidence/--no-evidence", help="Make the null and look-ahead tests for the evidence card.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play a recorded session through the engine of the backtest, with the same result at every speed.

    Ctrl-C stops it with exit code 130; what was run until then is kept in the ledger as a failed run.
    """
    wanted, begin = parse_date(day), _clock(from_time)
    is_screen = has_screen(headless, as_json)
    settings = settings_from(config, overrides, strategy).settings
    _find_or_fetch(settings, symbol, wanted, api_key)

    def plan() -> Plan:
        from sovereign.app.plan import catalog_plan

        return catalog_plan(settings, strategy, symbol, wanted, wanted, kind="replay", is_tested=is_tested)

    def pace() -> Pace:
        from sovereign.app.console.watch import Pace

        default = _WATCHED_SPEED if is_screen else 0.0
        return Pace(speed=default if speed is None else speed, from_time=begin)

    title = f"sovereign replay: {strategy} on {symbol}, {wanted}"
    run_watched(title, settings, plan, pace, is_screen=is_screen, as_json=as_json)


def _clock(text: str | None) -> time | None:
    from datetime import time

    if text is None:
        return None
    try:
        clock = time.fromisoformat(text)
    except ValueError as cause:
        raise UsageError(f"--from-time was '{text}'; write it as HH:MM in exchange time, for example 10:30") from cause
    if clock.tzinfo is not None:
        raise UsageError(f"--from-time was '{text}'; it is in exchange time already, leave the zone out")
    return clock


def _find_or_fetch(settings: Settings, symbol: str, day: date, api_key: str | None) -> None:
    from sovereign.app.plan import open_catalog
    from sovereign.core.instrument import find_instrument
    from sovereign.feeds.calendar import calendar_for

    instrument = find_instrument(symbol)
    catalog = open_catalog(settings)
    held = catalog.dates(symbol)
    if day in held:
        return
    if calendar_for(instrument.calendar).session(day) is None:
        raise NotFoundError(
            f"--date was {day} ({day:%A}), which is no trade date of {symbol}; the venue is closed, choose another"
        )
    if api_key is None:
        span = f"it has {len(held)} dates from {held[0]} to {held[-1]}" if held else "it has none of that symbol"
        raise NotFoundError(
            f"trades of {symbol} on {day} were not in the catalog; {span}; import a file with 'sovereign data import FILE', "
            f"fetch them with 'sovereign data download databento --symbol {symbol} --from {day} --to {day}' "
            f"(DATABENTO_API_KEY set), or give --api-key"
        )
    import os

    from sovereign.app.download import DownloadRequest, download_history

    # The vendor's client reads its key where every download reads it; the process ends with this command.
    os.environ["DATABENTO_API_KEY"] = api_key
    request = DownloadRequest(vendor="databento", symbol=symbol, start=day, end=day)
    download_history(catalog, request, settings.data, calendar_for)
