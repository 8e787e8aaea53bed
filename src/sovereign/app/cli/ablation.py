"""`sovereign evidence ablation STRATEGY`: what each part of a strategy is worth, and which rival rule wins out of sample."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sovereign.app.cli.backtest import IntervalOption, SymbolsOption, chosen_market, chosen_range
from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, emit, settings_from

if TYPE_CHECKING:
    from sovereign.core.port import Feed
    from sovereign.research.ablation import Choice, VariantResult


@dataclass(frozen=True, slots=True)
class Ablation:
    """What was compared, over which days, and how it came out."""

    strategy: str
    data: str
    first: str
    last: str
    variants: tuple[VariantResult, ...]
    choices: tuple[Choice, ...]


def command(
    strategy: Annotated[str, typer.Argument(help="Name of a strategy that names its parts, for example council.")],
    symbol: Annotated[str | None, typer.Option("--symbol", "-s", help="One recorded symbol.")] = None,
    symbols: SymbolsOption = None,
    interval: IntervalOption = None,
    start: Annotated[str | None, typer.Option("--from", help="First trade date; default: all there is.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last trade date; default: all there is.")] = None,
    sessions: Annotated[
        int | None, typer.Option("--sessions", min=2, max=100_000, help="So many driftless sessions instead of recorded ones.")
    ] = None,
    only: Annotated[str | None, typer.Option("--only", metavar="PART,...", help="Parts and rival settings to try.")] = None,
    judged: Annotated[
        float, typer.Option("--judged", min=0.01, max=1.0, help="Share of the days, the last ones, that judge.")
    ] = 0.5,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Leave out one part after the other, and try rival rules: profit a day against the whole, with bootstrap intervals."""
    from sovereign.app.cli.progress import sessions_bar
    from sovereign.app.plan import bars_plan, recipe_of, strategy_section
    from sovereign.core.errors import UsageError
    from sovereign.research.ablation import choices_of, compare_variants, variants_of

    settings = settings_from(config, overrides, strategy).settings
    section = strategy_section(settings, strategy)
    given = {"--symbol": symbol, "--symbols": symbols, "--interval": interval, "--from": start, "--to": end}
    if sessions is not None and (recorded := [f"{name} {value}" for name, value in given.items() if value is not None]):
        raise UsageError(
            f"--sessions was {sessions}, which is for driftless ones, and {', '.join(recorded)} for recorded ones; "
            f"give one or the other"
        )
    names = tuple(name for part in (only or "").split(",") if (name := part.strip()))
    variants = variants_of(strategy, section, names)
    feed: Feed
    earlier: Feed | None = None
    if sessions is None:
        market = chosen_market(settings, strategy, symbol, symbols, interval)
        first, last = chosen_range(settings, market, start, end)
        plan = bars_plan(settings, strategy, market.symbols, market.seconds, first, last)
        recipe, feed, data = plan.recipe, plan.feed, ", ".join(market.symbols)
        earlier = plan.warm_up
    else:
        from sovereign.feeds.calendar import calendar_for
        from sovereign.feeds.synthetic import PortfolioMarket
        from sovereign.research.evidence import TEST_START
        from sovereign.research.portfolio import for_invented_market, null_symbols

        step = settings.portfolio_market.step_seconds
        recipe = recipe_of(settings, strategy)
        recipe = for_invented_market(replace(recipe, risk=recipe.risk.no_fresher_than(step)))
        section, wanted = recipe.strategy_config, settings.evidence
        variants = variants_of(strategy, section, names)
        traded = null_symbols(recipe, wanted.null_symbols)
        market_feed = PortfolioMarket(
            traded, calendar_for("XNYS"), TEST_START, sessions, wanted.null_seed, settings.portfolio_market
        )
        feed, data = market_feed, market_feed.label
    days = [session.trade_date for session in feed.sessions()]
    with sessions_bar(f"{strategy} in {len(variants)} variants", len(days), as_json) as advance:
        results = compare_variants(
            recipe, feed, variants, settings.metrics, judged_frac=judged, on_session=lambda _: advance(), warm_up=earlier
        )
    found = Ablation(
        strategy,
        data,
        days[0].isoformat() if days else "",
        days[-1].isoformat() if days else "",
        tuple(results),
        choices_of(strategy, section, results, settings.metrics),
    )
    emit(plain(found) if as_json else found, as_json, text)


def plain(found: Ablation) -> dict[str, Any]:
    """Return what was found as JSON-ready values."""
    return {
        "strategy": found.strategy,
        "data": found.data,
        "first": found.first,
        "last": found.last,
        "variants": [variant.to_plain() for variant in found.variants],
        "choices": [{**asdict(choice), "is_clear": choice.is_clear} for choice in found.choices],
    }


def text(found: Any) -> str:
    """Return what was found as a table, and a sentence on each rival setting."""
    from sovereign.research.ablation import comparisons_text

    whole = found.variants[0]
    lines = [
        f"{found.strategy} on {found.data}, {found.first} to {found.last}: {whole.days} days, "
        f"judged by the last {whole.judged_days}",
        f"{'variant':<34}{'trades':>7}{'won':>6}{'net':>12}{'judged net':>12}{'a day against the whole':>25}",
    ]
    for variant in found.variants:
        won = f"{variant.wins / variant.trades:.0%}" if variant.trades else "-"
        against = ""
        if variant is not whole:
            mark = variant.mark if variant.judged_trades or whole.judged_trades else "no trades"
            against = f"{variant.difference:+.2f} ({variant.low:+.2f} to {variant.high:+.2f}) {mark}"
        lines.append(f"{variant.name:<34}{variant.trades:>7}{won:>6}{variant.net:>12.2f}{variant.judged_net:>12.2f}  {against}")
    lines.append(comparisons_text(found.variants))
    if silent := [variant.name for variant in found.variants if variant.trades and not variant.judged_trades]:
        lines.append(
            f"Not traded on the judged days: {', '.join(silent)}. A limit may have halted the account for good, such as "
            f"risk.max_drawdown_frac; set it to 1 to compare without it."
        )
    for choice in found.choices:
        verdict = "more than chance" if choice.is_clear else "no more than chance: it means nothing"
        lines.append(
            f"{choice.chosen} was chosen on the first {whole.days - whole.judged_days} days; "
            f"on the last {whole.judged_days} it made {choice.difference:+.2f} a day against {choice.other} "
            f"({choice.low:+.2f} to {choice.high:+.2f}), {verdict}"
        )
    return "\n".join(lines)
