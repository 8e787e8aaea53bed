"""What a demonstration runs: simulated sessions of a market that its strategy trades, and earlier ones that it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    from sovereign.app.configuration import Settings
    from sovereign.research.runner import Plan


def demo_plan(
    settings: Settings,
    strategy: str,
    symbol: str,
    seed: int,
    start: date,
    sessions: int,
    warm_up: int | None,
    *,
    is_tested: bool,
) -> Plan:
    """Plan a run over simulated sessions; `warm_up` of None takes as many before them as the strategy needs.

    Raises
    ------
    NotFoundError : the symbol or the strategy is unknown.
    """
    from dataclasses import replace
    from datetime import timedelta

    from sovereign.app.plan import plan_of, recipe_of, strategy_section, with_section
    from sovereign.core.instrument import find_instrument
    from sovereign.feeds.calendar import calendar_for
    from sovereign.feeds.synthetic import SyntheticFeed, SyntheticMarket
    from sovereign.store.runs import digest
    from sovereign.strategies import market_of, warm_up_sessions_of

    is_portfolio = market_of(strategy) == "portfolio"
    if is_portfolio:
        from sovereign.research.portfolio import for_invented_market

        # In the settings, so that what is kept of the run says what ran.
        settings = with_section(settings, strategy, for_invented_market(recipe_of(settings, strategy)).strategy_config)
    if warm_up is None:
        warm_up = warm_up_sessions_of(strategy, strategy_section(settings, strategy))
    if is_portfolio:
        return _portfolio_plan(settings, strategy, seed, start, sessions, warm_up, is_tested=is_tested)
    instrument = find_instrument(symbol)
    market = SyntheticMarket(settings.synthetic, seed)
    calendar = calendar_for(instrument.calendar)
    feed = SyntheticFeed(market, instrument, calendar, start, sessions)
    dates = [session.trade_date for session in feed.sessions()]
    days = [
        session.trade_date for session in calendar.sessions(start - timedelta(days=14 + 2 * warm_up), start - timedelta(days=1))
    ]
    earlier = SyntheticFeed(market, instrument, calendar, days[-warm_up], warm_up) if warm_up else None
    what = ["demo", settings.synthetic.model_dump(mode="json"), seed, symbol, warm_up, [day.isoformat() for day in dates]]
    plan = plan_of(
        settings,
        strategy,
        kind="demo",
        feed=feed,
        instruments=(instrument,),
        symbols=(symbol,),
        start=dates[0],
        end=dates[-1],
        data_hash=digest(what),
        seed=seed,
        is_tested=is_tested,
    )
    return replace(plan, warm_up=earlier)


def _portfolio_plan(
    settings: Settings, strategy: str, seed: int, start: date, sessions: int, warm_up: int, *, is_tested: bool
) -> Plan:
    from dataclasses import replace
    from datetime import timedelta

    from sovereign.app.plan import plan_of, recipe_of
    from sovereign.core.instrument import find_instrument
    from sovereign.feeds.calendar import calendar_for
    from sovereign.feeds.synthetic import PortfolioMarket
    from sovereign.research.portfolio import SomeSessions, for_invented_market, null_symbols
    from sovereign.store.runs import digest
    from sovereign.strategies import benchmarks_of

    recipe, config = recipe_of(settings, strategy), settings.portfolio_market
    names = null_symbols(recipe, settings.evidence.null_symbols)
    # Invented shares are of no industry; in the settings, so that what is kept of the run says so.
    sectors = {**dict.fromkeys(names, ()), **settings.risk.sectors}
    settings = settings.model_copy(update={"risk": settings.risk.model_copy(update={"sectors": sectors})})
    calendar = calendar_for("XNYS")
    before = calendar.sessions(start - timedelta(days=14 + 2 * warm_up), start - timedelta(days=1))
    first = before[-warm_up].trade_date if warm_up else start
    market = PortfolioMarket(names, calendar, first, warm_up + sessions, seed, config)
    dates = [session.trade_date for session in market.sessions()]
    benchmarks = benchmarks_of(recipe.strategy_config)
    what = ["demo", config.model_dump(mode="json"), seed, names, warm_up, [day.isoformat() for day in dates]]
    plan = plan_of(
        settings,
        strategy,
        kind="demo",
        feed=SomeSessions(market, dates[warm_up:]),
        instruments=[find_instrument(name) for name in names],
        symbols=[name for name in names if name not in benchmarks],
        start=dates[warm_up],
        end=dates[-1],
        data_hash=digest(what),
        seed=seed,
        is_tested=is_tested,
    )
    earlier = SomeSessions(market, dates[:warm_up]) if warm_up else None
    slow = for_invented_market(replace(plan.recipe, risk=plan.recipe.risk.no_fresher_than(config.step_seconds)))
    return replace(plan, warm_up=earlier, recipe=slow)
