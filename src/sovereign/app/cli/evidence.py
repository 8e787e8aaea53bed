"""`sovereign evidence null | future | costs | ablation STRATEGY`: the honesty checks, on any strategy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sovereign.app.cli import ablation
from sovereign.app.cli.backtest import DEFAULT_SYMBOL, IntervalOption, SymbolsOption, chosen_market
from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, SymbolsCommand, command_app, emit, settings_from

if TYPE_CHECKING:
    from sovereign.research.evidence import CostResult, FutureResult, NullResult

app = command_app("Honesty checks on a strategy: null, future, costs, ablation.")
app.command("ablation", cls=SymbolsCommand)(ablation.command)

StrategyArgument = Annotated[str, typer.Argument(help="Name of the strategy, for example order_flow.")]
SymbolOption = Annotated[str, typer.Option("--symbol", "-s", help="Market to simulate, of a strategy on one symbol.")]
SessionsOption = Annotated[
    int | None, typer.Option("--sessions", min=1, max=100_000, help="Sessions; default: evidence.null_sessions.")
]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="Seed; default: evidence.null_seed.")]


@app.command()
def null(
    strategy: StrategyArgument,
    symbol: SymbolOption = "ES",
    sessions: SessionsOption = None,
    seed: SeedOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Trade a driftless market before costs: the mean profit per trade must not differ from zero."""
    from sovereign.app.cli.progress import sessions_bar
    from sovereign.app.plan import recipe_of
    from sovereign.core.instrument import find_instrument
    from sovereign.feeds.calendar import calendar_for
    from sovereign.research.evidence import TEST_START, null_test
    from sovereign.research.portfolio import null_symbols, portfolio_null_test
    from sovereign.strategies import market_of

    settings = settings_from(config, overrides, strategy).settings
    wanted, recipe = settings.evidence, recipe_of(settings, strategy)
    count = sessions or wanted.null_sessions
    with sessions_bar("driftless sessions", count, as_json) as advance:
        if market_of(strategy) == "portfolio":
            result = portfolio_null_test(
                recipe,
                calendar_for("XNYS"),
                null_symbols(recipe, wanted.null_symbols),
                wanted,
                settings.portfolio_market,
                sessions=count,
                seed=seed,
                on_session=lambda _: advance(),
            )
        else:
            instrument = find_instrument(symbol)
            result = null_test(
                recipe,
                instrument,
                calendar_for(instrument.calendar),
                sessions=count,
                ticks=wanted.null_ticks,
                seed=wanted.null_seed if seed is None else seed,
                start=TEST_START,
                max_t=wanted.null_max_t,
                on_session=lambda _: advance(),
            )

    def text(found: NullResult) -> str:
        verdict = "passed: nothing out of nothing" if found.passed else "FAILED: it wins or loses where nothing can be won"
        return (
            f"{found.strategy}: {found.trades} trades in {found.sessions} driftless sessions (simulated, seed {found.seed})\n"
            f"mean {found.mean:+.3f} ticks a trade ({found.mean_money:+.2f} USD a unit), "
            f"standard error {found.standard_error:.3f}, t {found.t:+.2f} (limit {found.threshold:g})\n"
            f"an edge of {found.detectable_ticks:.2f} ticks a trade would have shown (80% power, 5% level)\n{verdict}"
        )

    emit(result, as_json, text)


@app.command()
def future(
    strategy: StrategyArgument,
    symbol: SymbolOption = "ES",
    seed: SeedOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replace everything after random moments: what was decided before them must stay the same, byte for byte."""
    from sovereign.app.plan import recipe_of
    from sovereign.core.instrument import find_instrument
    from sovereign.feeds.calendar import calendar_for
    from sovereign.feeds.synthetic import SyntheticConfig, SyntheticMarket
    from sovereign.research.evidence import TEST_START, day_sessions, future_test
    from sovereign.research.portfolio import null_symbols, portfolio_future_test
    from sovereign.strategies import market_of

    settings = settings_from(config, overrides, strategy).settings
    wanted, recipe = settings.evidence, recipe_of(settings, strategy)
    number = wanted.null_seed if seed is None else seed
    if market_of(strategy) == "portfolio":
        names = null_symbols(recipe, wanted.null_symbols)
        result = portfolio_future_test(recipe, calendar_for("XNYS"), names, wanted, settings.portfolio_market, seed=number)
    else:
        instrument = find_instrument(symbol)
        session = next(day_sessions(calendar_for(instrument.calendar), TEST_START))
        market = SyntheticMarket(SyntheticConfig(ticks_per_session=wanted.future_ticks), number)
        trades = market.session_trades(instrument, session)
        result = future_test(recipe, instrument, session, trades, cuts=wanted.future_cuts, seed=number)

    def text(found: FutureResult) -> str:
        verdict = "passed: the past does not depend on the future" if found.passed else f"FAILED: {found.difference}"
        return f"{found.strategy}: {found.events} events before {found.cuts} cuts, {found.decisions} decisions\n{verdict}"

    emit(result, as_json, text)


@app.command(cls=SymbolsCommand)
def costs(
    strategy: StrategyArgument,
    symbol: Annotated[
        str | None,
        typer.Option("--symbol", "-s", help="Recorded or simulated market: a futures root or an equity; default: ES."),
    ] = None,
    symbols: SymbolsOption = None,
    interval: IntervalOption = None,
    sessions: SessionsOption = None,
    seed: SeedOption = None,
    start: Annotated[str | None, typer.Option("--from", help="First trade date of recorded sessions.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last trade date of recorded sessions.")] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Double and triple fees, spread and slippage. Recorded sessions with --from and --to, else simulated ones."""
    from sovereign.app.cli.progress import sessions_bar
    from sovereign.app.plan import bars_plan, recipe_of
    from sovereign.core.errors import UsageError
    from sovereign.core.instrument import find_instrument
    from sovereign.core.port import Feed
    from sovereign.core.session import parse_date
    from sovereign.feeds.calendar import calendar_for
    from sovereign.feeds.synthetic import PortfolioMarket, SyntheticFeed, SyntheticMarket
    from sovereign.research.evidence import TEST_START, costs_test
    from sovereign.research.portfolio import for_invented_market, null_symbols
    from sovereign.strategies import market_of

    settings = settings_from(config, overrides, strategy).settings
    wanted, recipe = settings.evidence, recipe_of(settings, strategy)
    number = wanted.null_seed if seed is None else seed
    if (start is None) != (end is None):
        raise UsageError("only one of --from and --to was given; give both for recorded sessions, none for simulated ones")
    count = sessions or wanted.null_sessions
    feed: Feed
    if start and end:
        market = chosen_market(settings, strategy, symbol, symbols, interval)
        plan = bars_plan(settings, strategy, market.symbols, market.seconds, parse_date(start), parse_date(end))
        recipe, feed, count = plan.recipe, plan.feed, sum(1 for _ in plan.feed.sessions())
    elif market_of(strategy) == "portfolio":
        names = null_symbols(recipe, wanted.null_symbols)
        driftless = settings.portfolio_market
        feed = PortfolioMarket(names, calendar_for("XNYS"), TEST_START, count, number, driftless)
        recipe = for_invented_market(replace(recipe, risk=recipe.risk.no_fresher_than(driftless.step_seconds)))
    else:
        instrument = find_instrument(symbol or DEFAULT_SYMBOL)
        synthetic = SyntheticMarket(settings.synthetic, number)
        feed = SyntheticFeed(synthetic, instrument, calendar_for(instrument.calendar), TEST_START, count)
    with sessions_bar("sessions at once, twice and three times the costs", count, as_json) as advance:
        result = costs_test(recipe, feed, on_session=lambda _: advance())

    def text(found: CostResult) -> str:
        rows: list[Any] = [f"  {name:<12}{found.net[name]:>14}  {found.trades[name]:>5} trades" for name in found.net]
        verdict = "passed: doubled costs leave a profit" if found.passed else "FAILED: doubled costs leave no profit"
        return "\n".join([f"{found.strategy}, net by cost multiple:", *rows, verdict])

    emit(result, as_json, text)
