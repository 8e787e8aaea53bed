"""`sovereign run STRATEGY`: trade on paper or live, session after session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sovereign.app.cli.common import SYMBOLS_HELP, ConfigOption, JsonOption, SetOption, emit, settings_from, split_symbols
from sovereign.core.errors import SovereignError, UsageError, suggestion

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.app.task import Task, Traded

_LINES_MIN = 15.0
_LONGEST_ROUND = 390
_DAY_S = 86_400


def command(
    strategy: Annotated[str, typer.Argument(help="Name of the strategy, for example order_flow.")],
    mode: Annotated[str, typer.Option("--mode", help="paper or live.")] = "paper",
    is_live: Annotated[bool, typer.Option("--live", help="One of the three consents to live trading.")] = False,
    is_once: Annotated[
        bool,
        typer.Option("--once", help="Trade the present or the next session, then end; tug_of_war: one round of decisions."),
    ] = False,
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval",
            min=0.0,
            help="Minutes between two lines on how it stands, 0 for none; default 15. tug_of_war: between two rounds as well.",
        ),
    ] = None,
    account: Annotated[str | None, typer.Option("--account", help="Account at the venue; default: session.account.")] = None,
    broker: Annotated[str | None, typer.Option("--broker", help="venue or alpaca; default: session.broker.")] = None,
    symbols: Annotated[
        list[str] | None,
        typer.Option(
            "--symbol",
            "--symbols",
            help=f"At a broker: what to trade: {SYMBOLS_HELP}; may be repeated. Default: session.symbols.",
        ),
    ] = None,
    url: Annotated[str | None, typer.Option("--venue", help="Address of the venue; default: the one that runs here.")] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Trade on paper or live until the venue's tape ends, SIGTERM or Ctrl-C; positions stay as they are when stopped.

    Paper trades on the simulated exchange of 'sovereign venue', which must run, or on a paper account (--broker alpaca); live
    needs a broker, and three consents. After a crash the same command goes on where the session stood.

    A strategy that decides on a grid of time (tug_of_war) ends with --once after its next round, and at once when none is due
    within a round's length; positions stay, and so do stop and target at the venue.
    """
    import os

    from sovereign.app.ops.log import configure_logging
    from sovereign.app.ops.redaction import redactor_for
    from sovereign.app.task import LIVE, PAPER, check_consents

    settings = settings_from(config, overrides, strategy).settings
    settings = with_rounds(settings, strategy, interval)
    if mode not in (PAPER, LIVE):
        raise UsageError(f"--mode was '{mode}'; allowed are {PAPER} and {LIVE}")
    if mode == LIVE:
        check_consents(settings, is_live, os.environ)
    task = task_of(settings, strategy, mode, account, url, is_once, interval, broker, symbols)
    redactor = redactor_for(settings)
    log = configure_logging(settings.log, redactor)
    try:
        done = _trade(settings, task, redactor, quiet=as_json)
    finally:
        log.close()
    emit(done, as_json, lambda found: "\n".join(map(_ended, found)) or "no session to trade")
    for traded in done:
        if traded.exit_code:
            raise SessionFailedError(traded.reason, traded.exit_code)


def _ended(one: Traded) -> str:
    lines = [f"{one.session_id}: {one.reason}"]
    for decision in one.decisions:
        reason = f" ({decision['reason']})" if decision["reason"] else ""
        lines.append(f"  {decision['symbol']} {decision['name']}: {decision['verdict'].lower()}{reason}")
    return "\n".join(lines)


def with_rounds(settings: Settings, strategy: str, interval: float | None) -> Settings:
    """Return the settings with rounds of decisions every so many minutes, if the strategy has rounds and minutes are given.

    Raises
    ------
    UsageError : it is no whole number of minutes, or none of the strategy's bars.
    """
    from sovereign.app.plan import strategy_section, with_section
    from sovereign.app.rounds import round_minutes
    from sovereign.strategies import bar_seconds_of

    section: Any = strategy_section(settings, strategy)
    if not interval or round_minutes(section) is None:
        return settings
    bars = bar_seconds_of(section) or 60
    is_fitting = (interval * 60) % bars == 0 or bars >= _DAY_S
    if interval != int(interval) or not 1 <= interval <= _LONGEST_ROUND or not is_fitting:
        raise UsageError(
            f"--interval was {interval:g}; {strategy} decides every so many whole minutes, 1 to {_LONGEST_ROUND}, on bars of "
            f"{bars / 60:g} min: give a multiple of that"
        )
    entry = section.entry.model_copy(update={"cycle_minutes": int(interval)})
    return with_section(settings, strategy, section.model_copy(update={"entry": entry}))


class SessionFailedError(SovereignError):
    """A session that ended badly, with the exit code of what ended it."""

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.exit_code = code  # that of the error that ended the session


def task_of(
    settings: Settings,
    strategy: str,
    mode: str,
    account: str | None,
    url: str | None,
    is_once: bool,
    interval: float | None,
    broker: str | None = None,
    symbols: list[str] | None = None,
) -> Task:
    """Return what the process is to do, with the settings' account and venue where none was named.

    Raises
    ------
    NotFoundError : there is no strategy of that name. ConfigurationError : no token of the account is known.
    UsageError : there is no such broker.
    """
    from sovereign.app.brokers import BROKERS, VENUE
    from sovereign.app.plan import fed_symbols, strategy_section
    from sovereign.app.rounds import round_minutes
    from sovereign.app.task import Task
    from sovereign.app.venue import venue_token, venue_url

    rounds = round_minutes(strategy_section(settings, strategy)) if is_once else None
    interval = _LINES_MIN if interval is None else interval
    account = account or settings.session.account
    broker = broker or settings.session.broker.value
    if broker not in BROKERS:
        raise UsageError(f"--broker was '{broker}'{suggestion(broker, BROKERS)}; allowed are {', '.join(BROKERS)}")
    if broker != VENUE:
        return Task(
            strategy=strategy,
            mode=mode,
            account=account,
            broker=broker,
            symbols=fed_symbols(settings, strategy, watchlist(settings, strategy, symbols)),
            round_minutes=rounds,
            is_once=is_once,
            interval_s=interval * 60.0 if interval else None,
        )
    return Task(
        strategy=strategy,
        mode=mode,
        account=account,
        url=url or venue_url(settings),
        token=venue_token(settings, "trade", account),
        round_minutes=rounds,
        is_once=is_once,
        interval_s=interval * 60.0 if interval else None,
    )


def watchlist(settings: Settings, strategy: str, symbols: Sequence[str] | None) -> tuple[str, ...]:
    """Return what to trade at a broker: what was named, else what the settings name, else the targets of the universe.

    The last of these is for strategies that want benchmarks beside what they trade: the universe is their watchlist.
    """
    from sovereign.app.plan import strategy_section
    from sovereign.strategies import benchmarks_of

    named = split_symbols(symbols) or tuple(settings.session.symbols)
    if named or not benchmarks_of(strategy_section(settings, strategy)):
        return named
    return settings.universe.targets


def _trade(settings: Settings, task: Task, redactor: object, *, quiet: bool) -> list[Traded]:
    import signal
    from typing import cast

    from sovereign.app.ops.redaction import Redactor
    from sovereign.app.session import TradingProcess

    def say(line: str) -> None:
        if not quiet:
            typer.echo(line)

    process = TradingProcess(settings, task, cast("Redactor", redactor), say)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.stop("stopped by a signal"))
    return process.run()
