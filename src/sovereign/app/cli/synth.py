"""`sovereign data synth`: fill a catalog with simulated sessions, marked as such."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, emit, settings_from
from sovereign.core.errors import ConfigurationError, NotFoundError, UsageError

if TYPE_CHECKING:
    from datetime import date

    from sovereign.core.columns import Trades
    from sovereign.core.instrument import Instrument
    from sovereign.feeds.synthetic import SyntheticConfig
    from sovereign.store.catalog import Catalog


class HoursOption(StrEnum):
    """Which hours of a trade date are simulated."""

    regular = "regular"
    all = "all"


def synth(
    symbol: Annotated[str, typer.Option("--symbol", help="Instrument to simulate, for example ES, ESH4 or SPY.")] = "ES",
    start: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="First trade date.")] = "2025-01-02",
    sessions: Annotated[int, typer.Option("--sessions", min=1, max=100_000, help="Number of sessions.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed; the same seed and date give the same ticks.")] = 0,
    null: Annotated[bool, typer.Option("--null", help="Driftless market with random aggressor sides.")] = False,
    ticks: Annotated[
        int | None, typer.Option("--ticks", min=1, max=50_000_000, help="Trades in a full day session [default: 750000].")
    ] = None,
    hours: Annotated[HoursOption, typer.Option("--hours", help="The day session, or all trading hours.")] = HoursOption.regular,
    catalog: Annotated[Path | None, typer.Option("--catalog", help="Catalog to write to [default: data.catalog].")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of simulated sessions already there.")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make simulated trades with best quotes and write them into a catalog.

    The data is marked as simulated in the manifest. Dates for which the catalog holds traded data are refused.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from sovereign.core.instrument import find_instrument
    from sovereign.core.session import parse_date
    from sovereign.feeds.calendar import calendar_for
    from sovereign.feeds.synthetic import SyntheticFeed, SyntheticMarket
    from sovereign.store.catalog import Catalog

    settings = settings_from(config, overrides).settings
    data = settings.data
    instrument = find_instrument(symbol)
    market = SyntheticMarket(_market_config(getattr(settings, "synthetic", None), null, ticks), seed)
    calendar = calendar_for(instrument.calendar)
    feed = SyntheticFeed(market, instrument, calendar, parse_date(start), sessions, hours.value)
    store = Catalog(catalog or data.catalog, arrow_cache=data.arrow_cache)
    wanted = list(feed.sessions())
    for session in wanted:
        _refuse_traded(store, instrument, session.trade_date, replace)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    written: list[dict[str, Any]] = []
    with Progress(*columns, console=console, transient=True, disable=as_json or not console.is_terminal) as progress:
        task = progress.add_task(f"{market.label}: {instrument.symbol}", total=len(wanted))
        for session in wanted:
            trades = market.session_trades(instrument, session, hours.value)
            store.write_trades(
                instrument.symbol,
                session.trade_date,
                trades,
                source=market.label,
                sha256=_digest(trades),
                is_simulated=True,
                aggressor="simulated",
                replace=replace,
            )
            written.append({"trade_date": session.trade_date, "ticks": len(trades), "volume": int(trades.size.sum())})
            progress.advance(task)
    result = {
        "catalog": store.path,
        "symbol": instrument.symbol,
        "label": market.label,
        "is_simulated": True,
        "is_null": market.config.is_null,
        "seed": seed,
        "hours": hours.value,
        "ticks": sum(row["ticks"] for row in written),
        "sessions": written,
    }
    emit(result, as_json, _text)


command = synth


def _market_config(base: SyntheticConfig | None, is_null: bool, ticks: int | None) -> SyntheticConfig:
    from pydantic import ValidationError

    from sovereign.feeds.synthetic import SyntheticConfig

    given: dict[str, Any] = {} if base is None else base.model_dump()
    if is_null:
        given["is_null"] = True
    if ticks is not None:
        given["ticks_per_session"] = ticks
    try:
        return SyntheticConfig(**given)
    except ValidationError as cause:
        problems = "; ".join(error["msg"] for error in cause.errors())
        raise ConfigurationError(f"the synthetic market cannot be made: {problems}") from cause


def _refuse_traded(store: Catalog, instrument: Instrument, trade_date: date, is_replacing: bool) -> None:
    try:
        entry = store.entry(instrument.symbol, trade_date)
    except NotFoundError:
        return
    where = f"the catalog '{store.path}' holds {instrument.symbol} on {trade_date.isoformat()}"
    if not entry.provenance.is_simulated:
        raise UsageError(f"{where} as traded data; simulated data must not be mixed with it, choose another --catalog")
    if not is_replacing:
        raise UsageError(f"{where} as simulated data; choose other dates, another --catalog, or --replace it")


def _digest(trades: Trades) -> str:
    import hashlib

    digest = hashlib.sha256()
    for column in (trades.ts, trades.price, trades.size, trades.side, trades.bid, trades.ask):
        if column is not None:
            digest.update(column.tobytes())
    return digest.hexdigest()


def _text(result: dict[str, Any]) -> str:
    sessions = result["sessions"]
    lines = [
        f"{result['symbol']}: {len(sessions)} session(s), {result['ticks']:,} trades, SIMULATED ({result['label']})",
        *(f"  {row['trade_date'].isoformat()}  {row['ticks']:>10,} trades  {row['volume']:>12,} volume" for row in sessions),
        f"written to {result['catalog']}",
    ]
    return "\n".join(lines)
