"""`sovereign backtest STRATEGY`: recorded sessions in, report and ledger entry out."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, emit, settings_from
from sovereign.core.errors import UsageError
from sovereign.core.session import parse_date

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.research.runner import Finished

StrategyArgument = Annotated[str, typer.Argument(help="Name of the strategy, for example order_flow.")]
SymbolOption = Annotated[
    str | None, typer.Option("--symbol", "-s", help="Futures root (ES), contract (ESH4) or equity (SPY); default: ES.")
]
SymbolsOption = Annotated[
    str | None, typer.Option("--symbols", metavar="SPY,NVDA,...", help="Several symbols on one clock and one account.")
]
IntervalOption = Annotated[
    str | None,
    typer.Option("--interval", help="Recorded data: ticks, or bars of 1m, 5m, 1h, 1d; default: as the strategy decides."),
]
DEFAULT_SYMBOL = "ES"


def command(
    strategy: StrategyArgument,
    symbol: SymbolOption = None,
    symbols: SymbolsOption = None,
    interval: IntervalOption = None,
    start: Annotated[str | None, typer.Option("--from", help="First trade date, YYYY-MM-DD; default: all there is.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last trade date, YYYY-MM-DD; default: all there is.")] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, help="Calendar days up to --to, instead of --from.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the report; default: report.folder.")] = None,
    each_day: Annotated[
        bool, typer.Option("--each-day", help="Run every trade date on its own, from the starting balance, on all cores.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Processes for --each-day; at most one a core.")] = 2,
    is_tested: Annotated[
        bool, typer.Option("--evidence/--no-evidence", help="Make the null and look-ahead tests for the evidence card.")
    ] = True,
    is_ablated: Annotated[
        bool, typer.Option("--ablation", help="Run it without each of its parts as well, for a table in the report.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a strategy over recorded sessions; write report, JSON and CSV, and keep the run in the ledger.

    Futures sessions are named by their trade date: what trades on Monday evening belongs to Tuesday.
    """
    _collect_rarely()
    settings = settings_from(config, overrides, strategy).settings
    market = chosen_market(settings, strategy, symbol, symbols, interval)
    first, last = chosen_range(settings, market, start, end, days)
    if each_day:
        emit(_every_day(settings, strategy, market, first, last, jobs, as_json), as_json, _day_table)
        return
    finished = _one_run(settings, strategy, market, first, last, out, is_tested, as_json, is_ablated=is_ablated)
    emit(_plain(finished), as_json, lambda _: _text(finished))


def _collect_rarely() -> None:
    # Records of a run hold no cycles; looking through all of them for some, again and again, took a tenth of a long run.
    import gc

    gc.freeze()
    gc.set_threshold(200_000, 50, 1_000)


class ChosenMarket(NamedTuple):
    """What is traded, and the width of its bars in seconds; None for ticks."""

    symbols: tuple[str, ...]
    seconds: int | None

    def __str__(self) -> str:
        return ", ".join(self.symbols)


def chosen_market(
    settings: Settings, strategy: str, symbol: str | None, symbols: str | None, interval: str | None
) -> ChosenMarket:
    """Return what `--symbol`, `--symbols` and `--interval` ask for.

    Raises
    ------
    UsageError : both kinds of symbols are given, or the interval is none.
    NotFoundError : a symbol is unknown.
    """
    from sovereign.app.plan import parse_interval, strategy_section
    from sovereign.core.instrument import find_instrument
    from sovereign.strategies import bar_seconds_of

    if symbol is not None and symbols is not None:
        raise UsageError(f"--symbol was '{symbol}' and --symbols '{symbols}'; give one of them")
    names = tuple(name for part in (symbols or symbol or DEFAULT_SYMBOL).split(",") if (name := part.strip()))
    for name in names:
        find_instrument(name)
    if interval is None:
        return ChosenMarket(names, bar_seconds_of(strategy_section(settings, strategy)))
    return ChosenMarket(names, parse_interval(interval))


def chosen_range(
    settings: Settings, market: ChosenMarket, start: str | None, end: str | None, days: int | None = None
) -> tuple[date, date]:
    """Return the dates that `--from`, `--to` and `--days` ask for; what is not said is all there is.

    Raises
    ------
    UsageError : a date is none, the range ends before it starts, or its start is given twice.
    """
    from sovereign.app.plan import held_range

    first = parse_date(start) if start else None
    last = parse_date(end) if end else None
    if first and last and last < first:
        raise UsageError(f"dates were {first} to {last}; --to must not be before --from")
    if first and days is not None:
        raise UsageError(f"--from was {first} and --days {days}; give one of them")
    held_first, held_last = held_range(settings, market.symbols, market.seconds)
    last = last or held_last
    if days is not None:
        first = date.fromordinal(max(1, last.toordinal() - days + 1))
    return first or held_first, last


def _one_run(
    settings: Settings,
    strategy: str,
    market: ChosenMarket,
    start: date,
    end: date,
    out: Path | None,
    is_tested: bool,
    quiet: bool,
    *,
    is_ablated: bool = False,
) -> Finished:
    from dataclasses import replace

    from sovereign.app.cli.progress import steps_bar
    from sovereign.app.plan import bars_plan, now_ns
    from sovereign.research.runner import run_recorded
    from sovereign.store.store import Store

    plan = bars_plan(settings, strategy, market.symbols, market.seconds, start, end, is_tested=is_tested)
    total = len(getattr(plan.feed, "contracts", ())) or sum(1 for _ in plan.feed.sessions())
    with Store(settings.store) as store, steps_bar(quiet) as step:
        advance = step(f"{strategy} on {market}", total)
        finished = run_recorded(
            replace(plan, is_ablated=is_ablated),
            store,
            out or settings.report.folder,
            now_ns,
            on_session=lambda _: advance(),
            on_step=step,
        )
    for note in () if quiet else plan.feed_notes():
        typer.echo(f"note: {note}", err=True)
    return finished


def _plain(finished: Finished) -> dict[str, Any]:
    from sovereign.app.cli.summary import summary_plain

    return summary_plain(finished)


def _text(finished: Finished) -> str:
    from sovereign.app.cli.summary import summary_text

    return summary_text(finished)


def _day_run(job: tuple[Settings, str, ChosenMarket, date]) -> dict[str, Any]:
    settings, strategy, market, day = job
    finished = _one_run(settings, strategy, market, day, day, None, False, True)
    lane = finished.result.lanes[finished.result.fill_model]
    return {
        "date": day.isoformat(),
        "run_id": finished.result.run_id,
        "trades": len(lane.trades),
        "wins": lane.wins,
        "gross": str(lane.gross),
        "fees": str(lane.fees),
        "net": str(lane.net),
        "report": str(finished.paths.html),
    }


def _every_day(
    settings: Settings, strategy: str, market: ChosenMarket, start: date, end: date, jobs: int, quiet: bool
) -> list[dict[str, Any]]:
    import os
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from sovereign.app.cli.progress import sessions_bar
    from sovereign.app.plan import bars_plan

    plan = bars_plan(settings, strategy, market.symbols, market.seconds, start, end)
    days = [session.trade_date for session in plan.feed.sessions()]
    work = [(settings, strategy, market, day) for day in days]
    results: list[dict[str, Any]] = []
    with (
        ProcessPoolExecutor(min(jobs, len(work), os.cpu_count() or 1), mp_context=get_context("spawn")) as pool,
        sessions_bar(f"{strategy} on {market}, day by day", len(work), quiet) as advance,
    ):
        for result in pool.map(_day_run, work):
            results.append(result)
            advance()
    return results


def _day_table(days: list[dict[str, Any]]) -> str:
    from decimal import Decimal

    lines = [f"{'date':<12}{'trades':>7}{'wins':>6}{'gross':>12}{'fees':>10}{'net':>12}  run"]
    lines += [
        f"{d['date']:<12}{d['trades']:>7}{d['wins']:>6}{Decimal(d['gross']):>12.2f}{Decimal(d['fees']):>10.2f}"
        f"{Decimal(d['net']):>12.2f}  {d['run_id']}"
        for d in days
    ]
    net = sum((Decimal(d["net"]) for d in days), Decimal(0))
    trades = sum(d["trades"] for d in days)
    lines.append(f"{len(days)} days on their own, {trades} trades, net {net:.2f}. Each day starts from the starting balance.")
    return "\n".join(lines)
