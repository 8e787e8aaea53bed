"""From settings and words on the command line to a plan that research can run."""

from __future__ import annotations

import time
from collections.abc import Mapping
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
    instrument: Instrument,
    symbol: str,
    start: date,
    end: date,
    data_hash: str,
    seed: int | None,
    is_tested: bool,
) -> Plan:
    """Put a plan together."""
    from sovereign.feeds.calendar import calendar_for
    from sovereign.research.runner import Plan

    plain = kept_settings(settings)
    return Plan(
        kind=kind,
        recipe=recipe_of(settings, strategy),
        feed=feed,
        instrument=instrument,
        calendar=calendar_for(instrument.calendar),
        symbols=(symbol,),
        start=start,
        end=end,
        settings=plain,
        data_hash=data_hash,
        seed=seed,
        evidence=settings.evidence,
        metrics=settings.metrics,
        is_tested=is_tested,
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
    plan = plan_of(
        settings,
        strategy,
        kind=kind,
        feed=feed,
        instrument=instrument,
        symbol=symbol,
        start=start,
        end=end,
        data_hash=catalog_hash(catalog, feed.contracts),
        seed=None,
        is_tested=is_tested,
    )
    return replace(plan, feed_notes=feed.notes)


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
        plan = catalog_plan(settings, record.strategy, record.symbols[0], record.start, record.end)
    except (NotFoundError, ValidationError):
        return None  # the data has gone, or the settings are those of another version
    if plan.data_hash != record.data_hash:
        return None
    main = main_lane(settings.execution)

    def rerun(ticks: int) -> LaneResult:
        lane = LaneSpec(name=main.name, model=main.model.slipped(ticks))
        return run_backtest(plan.recipe, plan.feed, lanes=(lane,)).lanes[main.name]

    return rerun
