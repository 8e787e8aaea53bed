"""From settings and words on the command line to a plan that research can run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.core.configuration import Configuration
    from sovereign.core.instrument import Instrument
    from sovereign.core.port import Feed
    from sovereign.research.backtest import Recipe
    from sovereign.research.result import LaneResult
    from sovereign.research.runner import Plan
    from sovereign.research.stress import Rerun
    from sovereign.store.catalog import Catalog
    from sovereign.store.runs import RunRecord


def now_ns() -> int:
    """Return the wall clock, UTC nanoseconds; the only clock of everything outside the engine."""
    return time.time_ns()


def strategy_section(settings: Settings, strategy: str) -> Configuration:
    """Return a strategy's settings.

    Raises
    ------
    NotFoundError : there is no strategy of that name.
    """
    from sovereign.strategies import configuration_class

    wanted = configuration_class(strategy)
    section: Configuration = getattr(settings.strategies, strategy, None) or wanted()
    return section


def with_section(settings: Settings, strategy: str, section: Configuration) -> Settings:
    """Return the settings with another section of a strategy."""
    return settings.model_copy(update={"strategies": settings.strategies.model_copy(update={strategy: section})})


def recipe_of(settings: Settings, strategy: str) -> Recipe:
    """Return what a lane of a strategy is built from."""
    from sovereign.research.backtest import Recipe

    return Recipe(
        strategy=strategy,
        strategy_config=strategy_section(settings, strategy),
        risk=settings.risk,
        execution=settings.execution,
        starting_balance=settings.account.starting_balance,
    )


def kept_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings as the ledger, the report and its files keep them: JSON-ready, secrets masked."""
    from sovereign.app.configuration.keys import leaves, masked, value_of

    plain: dict[str, Any] = settings.model_dump(mode="json")
    for key, _ in leaves(type(settings)):
        value = value_of(settings, key)
        if (shown := masked(key, value)) != value:
            *path, last = key.split(".")
            place = plain
            for name in path:
                place = place[name]
            place[last] = shown
    return plain


def open_catalog(settings: Settings) -> Catalog:
    """Open the market-data catalog."""
    from sovereign.store.catalog import Catalog

    return Catalog(settings.data.catalog, arrow_cache=settings.data.arrow_cache)


def catalog_hash(catalog: Catalog, contracts: Mapping[date, str]) -> str:
    """Return one digest of the partitions that a run reads."""
    from sovereign.store.runs import digest

    return digest([[day.isoformat(), symbol, catalog.entry(symbol, day).sha256] for day, symbol in sorted(contracts.items())])


def plan_of(
    settings: Settings,
    strategy: str,
    *,
    kind: str,
    feed: Feed,
    instruments: Sequence[Instrument],
    symbols: Sequence[str],
    start: date,
    end: date,
    data_hash: str,
    seed: int | None,
    is_tested: bool,
    feed_notes: Callable[[], Sequence[str]] = tuple,
) -> Plan:
    """Put a plan together; `instruments` are the benchmarks and what is traded, `symbols` what is traded."""
    from sovereign.feeds.calendar import calendar_for
    from sovereign.research.runner import Plan

    plain = kept_settings(settings)
    return Plan(
        kind=kind,
        recipe=recipe_of(settings, strategy),
        feed=feed,
        instruments=tuple(instruments),
        calendar=calendar_for(instruments[0].calendar),
        symbols=tuple(symbols),
        start=start,
        end=end,
        settings=plain,
        data_hash=data_hash,
        seed=seed,
        evidence=settings.evidence,
        metrics=settings.metrics,
        portfolio_market=settings.portfolio_market,
        is_tested=is_tested,
        feed_notes=feed_notes,
    )


def catalog_plan(
    settings: Settings, strategy: str, symbol: str, start: date, end: date, *, kind: str = "backtest", is_tested: bool = True
) -> Plan:
    """Plan a run over recorded sessions.

    Raises
    ------
    NotFoundError : the symbol is unknown, or the catalog holds no session of the range.
    """
    from sovereign.core.instrument import find_instrument
    from sovereign.feeds.calendar import calendar_for
    from sovereign.feeds.historical import HistoricalFeed

    instrument = find_instrument(symbol)
    catalog = open_catalog(settings)
    feed = HistoricalFeed(catalog, symbol, start, end, calendar_for(instrument.calendar))
    return plan_of(
        settings,
        strategy,
        kind=kind,
        feed=feed,
        instruments=(instrument,),
        symbols=(symbol,),
        start=start,
        end=end,
        data_hash=catalog_hash(catalog, feed.contracts),
        seed=None,
        is_tested=is_tested,
        feed_notes=feed.notes,
    )


def parse_interval(text: str) -> int | None:
    """Return the width of bars in seconds from `1m`, `5m`, `1h`, `1d` and their like; None for `ticks`.

    Raises
    ------
    UsageError : it is none of these.
    """
    from sovereign.core.errors import UsageError

    unit = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}.get(text[-1:])
    if text == "ticks":
        return None
    if unit is None or not text[:-1].isdecimal() or int(text[:-1]) < 1:
        raise UsageError(f"--interval was '{text}'; write ticks, or a width such as 1m, 5m, 1h or 1d")
    return int(text[:-1]) * unit


def fed_symbols(settings: Settings, strategy: str, symbols: Sequence[str]) -> tuple[str, ...]:
    """Return a strategy's benchmarks, then what is to be traded, each once."""
    from sovereign.strategies import benchmarks_of

    return tuple(dict.fromkeys((*benchmarks_of(strategy_section(settings, strategy)), *symbols)))


def held_range(settings: Settings, symbols: Sequence[str], seconds: int | None) -> tuple[date, date]:
    """Return the first and the last trade date on which the catalog holds any of the symbols.

    Raises
    ------
    NotFoundError : it holds none of them.
    """
    from sovereign.core.errors import NotFoundError

    catalog = open_catalog(settings)
    kind = "trades" if seconds is None else f"bars-{seconds}"
    held = [day for symbol in symbols if (days := catalog.dates(symbol, kind)) for day in (days[0], days[-1])]
    if not held:
        asked = "ticks" if seconds is None else f"{seconds}-s bars"
        others = sorted({entry.kind for entry in catalog.entries() if entry.symbol in symbols})
        raise NotFoundError(
            f"symbols were {', '.join(symbols)}; the catalog '{settings.data.catalog}' has no {asked} of them, "
            f"only {', '.join(others) or 'nothing'}; see `sovereign data list`, or import some with `sovereign data import`"
        )
    return min(held), max(held)


def bars_plan(
    settings: Settings,
    strategy: str,
    symbols: Sequence[str],
    seconds: int | None,
    start: date,
    end: date,
    *,
    kind: str = "backtest",
    is_tested: bool = True,
) -> Plan:
    """Plan a run over recorded bars of one or several symbols; `seconds` of None takes their ticks.

    Raises
    ------
    NotFoundError : a symbol is unknown, or the catalog holds nothing of it in the range.
    UsageError : the strategy needs ticks, or narrower bars; the symbols are none, or keep different sessions.
    """
    from sovereign.app.warm_up import sessions_before
    from sovereign.core.errors import UsageError
    from sovereign.core.instrument import find_instrument
    from sovereign.feeds.bars import BarFeed
    from sovereign.feeds.calendar import calendar_for
    from sovereign.strategies import bar_seconds_of, warm_up_sessions_of

    if not symbols or len(set(symbols)) != len(symbols):
        raise UsageError(f"symbols were {', '.join(symbols) or 'none'}; name each symbol once")
    fed = fed_symbols(settings, strategy, symbols)
    instruments = [find_instrument(symbol) for symbol in fed]
    if seconds is None:
        return _ticks_plan(settings, strategy, symbols, instruments, start, end, kind=kind, is_tested=is_tested)
    section = strategy_section(settings, strategy)
    wanted = bar_seconds_of(section)
    if wanted is None:
        raise UsageError(f"strategy was '{strategy}', which needs ticks: bars do not tell who traded; give --interval ticks")
    if wanted < seconds or wanted % seconds:
        raise UsageError(
            f"bars were {seconds} s wide, and {strategy} decides on bars of {wanted} s, which must be a multiple of that; give "
            f"narrower ones with --interval, or set strategies.{strategy}.bar_seconds={seconds}"
        )
    calendars = sorted({instrument.calendar for instrument in instruments})
    if len(calendars) > 1:
        raise UsageError(f"calendars were {', '.join(calendars)}; symbols that trade together need one calendar")
    catalog = open_catalog(settings)
    feed = BarFeed(catalog, fed, seconds, start, end, calendar_for(calendars[0]), hours=settings.risk.hours)
    before = _days_before(catalog, fed, f"bars-{seconds}", start, sessions_before(settings, section))
    earlier = None
    if before:
        known = [symbol for symbol in fed if set(catalog.dates(symbol, f"bars-{seconds}")) & set(before)]
        earlier = BarFeed(catalog, known, seconds, before[0], before[-1], calendar_for(calendars[0]), hours=settings.risk.hours)
    plan = plan_of(
        settings,
        strategy,
        kind=kind,
        feed=feed,
        instruments=instruments,
        symbols=symbols,
        start=start,
        end=end,
        data_hash=partitions_hash(catalog, fed, f"bars-{seconds}", before[0] if before else start, end),
        seed=None,
        is_tested=is_tested,
        feed_notes=lambda: (*feed.notes(), *_unknown(before, warm_up_sessions_of(strategy, section))),
    )
    return replace(plan, warm_up=earlier, recipe=replace(plan.recipe, risk=plan.recipe.risk.no_fresher_than(seconds)))


def _days_before(catalog: Catalog, symbols: Sequence[str], kind: str, start: date, count: int) -> list[date]:
    # The last trade dates before `start` on which the catalog has any of the symbols.
    held = {day for symbol in symbols for day in catalog.dates(symbol, kind) if day < start} if count else set()
    return sorted(held)[-count:]


def _unknown(before: Sequence[date], needed: int) -> tuple[str, ...]:
    missing = needed - len(before)
    if missing <= 0 or needed <= 1:
        return ()
    return (
        f"Signals need {needed:,} sessions and saw {len(before):,} before the first one: in the first {missing:,} some of them "
        f"are not known, and what rests on them is refused.",
    )


def partitions_hash(catalog: Catalog, symbols: Sequence[str], kind: str, start: date, end: date) -> str:
    """Return one digest of all partitions of a kind that a run over several symbols reads."""
    from sovereign.store.runs import digest

    parts = [
        [kind, day.isoformat(), symbol, catalog.entry(symbol, day, kind).sha256]
        for symbol in symbols
        for day in catalog.dates(symbol, kind)
        if start <= day <= end
    ]
    return digest(parts)


def _ticks_plan(
    settings: Settings,
    strategy: str,
    symbols: Sequence[str],
    instruments: Sequence[Instrument],
    start: date,
    end: date,
    *,
    kind: str,
    is_tested: bool,
) -> Plan:
    from sovereign.feeds.calendar import calendar_for
    from sovereign.feeds.historical import HistoricalFeed
    from sovereign.feeds.joined import JoinedFeed

    fed = [instrument.symbol for instrument in instruments]
    if len(fed) == 1:
        return catalog_plan(settings, strategy, fed[0], start, end, kind=kind, is_tested=is_tested)
    catalog = open_catalog(settings)
    feed = JoinedFeed([HistoricalFeed(catalog, i.symbol, start, end, calendar_for(i.calendar)) for i in instruments])
    return plan_of(
        settings,
        strategy,
        kind=kind,
        feed=feed,
        instruments=instruments,
        symbols=symbols,
        start=start,
        end=end,
        data_hash=partitions_hash(catalog, fed, "trades", start, end),
        seed=None,
        is_tested=is_tested,
        feed_notes=feed.notes,
    )


def recorded_plan(settings: Settings, record: RunRecord) -> Plan:
    """Return the plan of a stored backtest: the same symbols and dates, on the narrowest bars whose digest is the recorded one.

    Raises
    ------
    NotFoundError : the catalog does not hold the data of the run any more.
    """
    from sovereign.core.errors import NotFoundError, UsageError

    start, end = record.start or date.min, record.end or date.max
    kinds = {entry.kind for entry in open_catalog(settings).entries() if entry.symbol in record.symbols}
    widths = sorted(int(kind.removeprefix("bars-")) for kind in kinds if kind.startswith("bars-"))
    for seconds in (None, *widths):
        try:
            plan = bars_plan(settings, record.strategy, record.symbols, seconds, start, end)
        except (NotFoundError, UsageError):
            continue
        if plan.data_hash == record.data_hash:
            return plan
    raise NotFoundError(f"the data of run {record.id} was not in the catalog any more")


def rerun_of(record: RunRecord) -> Rerun | None:
    """Return what runs a stored backtest again with more slippage; None when data or settings are not what they were."""
    from pydantic import ValidationError

    from sovereign.app.configuration import Settings
    from sovereign.core.errors import NotFoundError
    from sovereign.research.backtest import LaneSpec, main_lane, run_backtest

    if record.kind != "backtest" or record.start is None or record.end is None:
        return None
    try:
        settings = Settings.model_validate(record.config)
        plan = recorded_plan(settings, record)
    except (NotFoundError, ValidationError):
        return None  # the data has gone, or the settings are those of another version
    if plan.data_hash != record.data_hash:
        return None
    main = main_lane(settings.execution)

    def rerun(ticks: int) -> LaneResult:
        lane = LaneSpec(name=main.name, model=main.model.slipped(ticks))
        return run_backtest(plan.recipe, plan.feed, lanes=(lane,), warm_up=plan.warm_up).lanes[main.name]

    return rerun
