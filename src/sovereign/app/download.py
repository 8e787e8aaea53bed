"""History from a vendor into the catalog: fetch a file, keep it, import it like any other."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from datetime import time as clock_time
from pathlib import Path

from sovereign.app.data_settings import DataSettings
from sovereign.app.market_data import FileReport, import_one
from sovereign.app.secret import read_secret
from sovereign.core.errors import UsageError
from sovereign.core.instrument import AssetClass, Instrument, find_instrument
from sovereign.core.port import SessionCalendar
from sovereign.core.session import NS_PER_DAY, NS_PER_SECOND, local_ns
from sovereign.feeds.alpaca.configuration import AlpacaConfig, AlpacaDataFeed
from sovereign.feeds.alpaca.history import AlpacaHistory
from sovereign.feeds.databento import DatabentoHistory, query_for
from sovereign.feeds.importing.guess import guess_seconds
from sovereign.feeds.importing.table import BarStamp, ImportOptions
from sovereign.feeds.importing.trade_date import CalendarFor
from sovereign.feeds.massive import MassiveHistory
from sovereign.store.catalog import Catalog


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadRequest:
    """What the user asked for; both dates are trade dates and included."""

    vendor: str
    symbol: str
    start: date
    end: date
    schema: str | None = None
    dataset: str | None = None
    max_cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadOutcome:
    """The estimated cost (None where the vendor charges a flat fee) and what was imported (None for an estimate)."""

    cost_usd: float | None
    report: FileReport | None


def download_history(
    catalog: Catalog,
    request: DownloadRequest,
    settings: DataSettings,
    calendar_for: CalendarFor,
    *,
    is_estimate: bool = False,
    replace: bool = False,
    sleep: Callable[[float], None] = time.sleep,
    alpaca: AlpacaConfig | None = None,
) -> DownloadOutcome:
    """Download a range of trade dates and import it.

    The file is kept in the catalog's folder `downloads`; the same request again reads it from there and costs nothing.

    Raises
    ------
    ConfigurationError : the key is not set or was refused.
    UsageError : the request is impossible, or costs more than is allowed.
    OperationTimeoutError : the vendor did not answer.
    """
    instrument = find_instrument(request.symbol)
    start_ns, end_ns = _span(calendar_for(instrument.calendar), request)
    if request.vendor == "alpaca":
        return _alpaca(
            catalog, request, settings, alpaca, calendar_for, instrument, (start_ns, end_ns), replace, sleep, is_estimate
        )
    if request.vendor == "massive":
        return _massive(catalog, request, settings, calendar_for, instrument, (start_ns, end_ns), replace, sleep, is_estimate)
    rules = settings.download
    query = query_for(instrument, request.schema or "trades", start_ns, end_ns, request.dataset, rules)
    name = f"{request.symbol}-databento-{query.dataset}-{query.schema}-{request.start}-{request.end}.dbn.zst"
    file = catalog.path / "downloads" / name
    cost = 0.0
    if is_estimate or not file.exists():
        service = DatabentoHistory(read_secret(["DATABENTO_API_KEY"]), rules, sleep)
        cost = service.cost_usd(query)
        if is_estimate:
            return DownloadOutcome(cost_usd=cost, report=None)
        limit = rules.max_cost_usd if request.max_cost_usd is None else request.max_cost_usd
        if cost > limit:
            raise UsageError(
                f"the cost was {cost:.2f} USD, as Databento estimates it; allowed is {limit:.2f}; nothing was downloaded; "
                f"raise --max-cost or ask for less"
            )
        service.fetch(query, file)
    options = ImportOptions(rules=settings.rules)
    note = "continuous series by volume; the contract of each day is the vendor's choice" if query.stype == "continuous" else ""
    report = import_one(catalog, file, options, calendar_for, replace=replace, note=note)
    return DownloadOutcome(cost_usd=cost, report=report)


def _massive(
    catalog: Catalog,
    request: DownloadRequest,
    settings: DataSettings,
    calendar_for: CalendarFor,
    instrument: Instrument,
    span: tuple[int, int],
    replace: bool,
    sleep: Callable[[float], None],
    is_estimate: bool,
) -> DownloadOutcome:
    kind = request.schema or "bars-60"
    if not kind.startswith("bars-") or instrument.asset_class is not AssetClass.EQUITY:
        raise UsageError(
            f"the request was {kind} of {request.symbol}; from Massive come bars of US equities, for example --schema bars-60 "
            f"--symbol SPY; ticks come from Databento"
        )
    if is_estimate:
        return DownloadOutcome(cost_usd=None, report=None)
    seconds = guess_seconds("", kind) or 60
    file: Path = catalog.path / "downloads" / f"{request.symbol}-massive-{kind}-{request.start}-{request.end}.csv"
    if not file.exists():
        service = MassiveHistory(read_secret(["POLYGON_API_KEY", "MASSIVE_API_KEY"]), settings.download, sleep)
        if not service.fetch(request.symbol, seconds, *span, file):
            file.unlink()
            raise UsageError(f"Massive had no bars of {request.symbol} from {request.start} to {request.end}; check the dates")
    options = ImportOptions(symbol=request.symbol, kind=kind, stamp=BarStamp.OPEN, rules=settings.rules)
    note = "bars, never ticks; as traded, not adjusted; Massive aggregates"
    report = import_one(catalog, file, options, calendar_for, replace=replace, note=note)
    return DownloadOutcome(cost_usd=None, report=report)


def _alpaca(
    catalog: Catalog,
    request: DownloadRequest,
    settings: DataSettings,
    config: AlpacaConfig | None,
    calendar_for: CalendarFor,
    instrument: Instrument,
    span: tuple[int, int],
    replace: bool,
    sleep: Callable[[float], None],
    is_estimate: bool,
) -> DownloadOutcome:
    from sovereign.app.brokers import alpaca_keys

    kind, config = request.schema or "bars-60", config or AlpacaConfig()
    if not (kind in ("trades", "quotes") or kind.startswith("bars-")) or instrument.asset_class is not AssetClass.EQUITY:
        raise UsageError(
            f"the request was {kind} of {request.symbol}; from Alpaca come trades, quotes and bars-SECONDS of US equities, for "
            f"example --schema bars-60 --symbol SPY"
        )
    if is_estimate:
        return DownloadOutcome(cost_usd=None, report=None)
    seconds = guess_seconds("", kind) if kind.startswith("bars-") else None
    start_ns = span[0]
    if seconds == NS_PER_DAY // NS_PER_SECOND:
        start_ns = local_ns(request.start, clock_time(0), "America/New_York")  # daily bars begin at midnight in New York
    name = f"{request.symbol}-alpaca-{config.feed}-{kind}-{request.start}-{request.end}.csv"
    file: Path = catalog.path / "downloads" / name
    if not file.exists():
        service = AlpacaHistory(alpaca_keys(), config, settings.download, sleep)
        if not service.fetch(kind, request.symbol, start_ns, span[1], file):
            file.unlink()
            raise UsageError(f"Alpaca had no {kind} of {request.symbol} from {request.start} to {request.end}; check the dates")
    stamp = BarStamp.OPEN
    options = ImportOptions(symbol=request.symbol, kind=kind, stamp=stamp, rules=settings.rules)
    whose = (
        "consolidated" if config.feed is AlpacaDataFeed.SIP else "one venue (IEX): its volume is a small part of the market's"
    )
    note = f"as traded, not adjusted; Alpaca, {whose}"
    report = import_one(catalog, file, options, calendar_for, replace=replace, note=note)
    return DownloadOutcome(cost_usd=None, report=report)


def _span(calendar: SessionCalendar, request: DownloadRequest) -> tuple[int, int]:
    if request.end < request.start:
        raise UsageError(f"dates were {request.start} to {request.end}; --to must not be before --from")
    sessions = calendar.sessions(request.start, request.end)
    if not sessions:
        raise UsageError(f"dates were {request.start} to {request.end}; {calendar.name} has no session then")
    return sessions[0].open_ns, sessions[-1].close_ns
