"""`sovereign scout`: what the tape and the news say, kept in the store."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, emit, settings_from
from sovereign.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sovereign.app.configuration import Settings
    from sovereign.app.market_tape import VenueTape
    from sovereign.app.scout import LiveTape
    from sovereign.core.news import NewsReading
    from sovereign.core.tape import TapeSnapshot

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

SymbolOption = Annotated[
    list[str] | None, typer.Option("--symbol", help="What to look at; may be repeated. Default: the targets of the universe.")
]


@app.callback()
def scouts() -> None:
    """What the tape and the news say, kept in the store."""


@app.command()
def tape(
    symbols: SymbolOption = None,
    day: Annotated[
        str | None, typer.Option("--date", help="A recorded day from the catalog instead of the live stream.")
    ] = None,
    broker: Annotated[
        str, typer.Option("--broker", help="Whose live quotes: alpaca, or venue, the simulated exchange.")
    ] = "alpaca",
    seconds: Annotated[float | None, typer.Option("--seconds", min=0.0, help="Live: stop after so long.")] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Watch the best quotes: imbalance of order flow and queue, scores, absorption; a snapshot a minute into the store.

    Live quotes come from Alpaca, or from the simulated exchange of 'sovereign venue', until Ctrl-C. With --date, a recorded
    day is read, and how well its order flow explains the mid's moves is said as well.
    """
    from sovereign.app.brokers import BROKERS
    from sovereign.core.errors import suggestion

    if broker not in BROKERS:
        raise UsageError(f"--broker was '{broker}'{suggestion(broker, BROKERS)}; allowed are {', '.join(BROKERS)}")
    settings = settings_from(config, overrides).settings
    chosen = tuple(symbols or settings.universe.targets)
    if day is not None:
        _recorded(settings, chosen, day, as_json)
    else:
        _live(settings, chosen, broker, seconds, as_json)


def _recorded(settings: Settings, symbols: tuple[str, ...], day: str, as_json: bool) -> None:
    from dataclasses import asdict

    from sovereign.app.scout import recorded_tape
    from sovereign.core.session import parse_date
    from sovereign.store.store import Store

    found = []
    with Store(settings.store) as store:
        for symbol in symbols:
            rows, snapshots, explained = recorded_tape(settings, symbol, parse_date(day))
            store.scouts.add_snapshots(snapshots)
            found.append(
                {
                    "symbol": symbol,
                    "date": day,
                    "buckets": len(rows),
                    "snapshots": len(snapshots),
                    "absorption": int(rows["is_absorption"].sum()),
                    "explained": asdict(explained),
                }
            )
    emit(_plain(found), as_json, lambda _: "\n".join(_day_text(one, settings.tape.bucket_s) for one in found))


def _day_text(one: dict[str, Any], bucket_s: int) -> str:
    explained = one["explained"]
    return (
        f"{one['symbol']} {one['date']}: {one['buckets']:,} buckets of {bucket_s} s, {one['snapshots']} snapshots kept, "
        f"{one['absorption']} with absorption\n"
        f"  order flow explains {explained['r_squared']:.1%} of the mid's moves in the same bucket "
        f"(mean of {explained['half_hours']} half hours {explained['r_squared_half_hours']:.1%}; "
        f"slope {explained['slope']:.3g} ticks a unit, t {explained['t']:.1f})"
    )


def _live(settings: Settings, symbols: tuple[str, ...], broker: str, seconds: float | None, as_json: bool) -> None:
    import asyncio
    import contextlib

    from sovereign.store.store import Store

    def say(line: str) -> None:
        if not as_json:
            typer.echo(line)

    count = 0
    with Store(settings.store) as store:

        def keep(snapshots: list[TapeSnapshot]) -> None:
            store.scouts.add_snapshots(snapshots)
            for one in snapshots:
                say(_snapshot_text(one))

        watch = _tape_of(broker, settings, symbols, keep, say)
        with contextlib.suppress(KeyboardInterrupt):
            count = asyncio.run(watch.run(seconds))
    emit({"snapshots": count}, as_json, lambda _: f"{count} snapshots kept")


def _tape_of(
    broker: str,
    settings: Settings,
    symbols: tuple[str, ...],
    keep: Callable[[list[TapeSnapshot]], None],
    say: Callable[[str], None],
) -> LiveTape | VenueTape:
    """Return what watches the tape of a broker, on a line of its own."""
    import time

    from sovereign.app.brokers import VENUE, alpaca_keys
    from sovereign.app.market_tape import VenueTape
    from sovereign.app.scout import LiveTape
    from sovereign.app.venue import venue_token, venue_url
    from sovereign.execution.brokers.venue import VenueClient
    from sovereign.feeds.calendar import calendar_for

    if broker == VENUE:
        client = VenueClient(venue_url(settings), venue_token(settings, "guard"), settings.venue.client, name="tape scout")
        return VenueTape(settings, client, symbols, keep, say)
    return LiveTape(settings, alpaca_keys(), symbols, calendar_for("XNYS"), time.time_ns, keep, say)


def _snapshot_text(one: TapeSnapshot) -> str:
    from sovereign.core.session import from_ns

    flags = "  ABSORPTION" if one.is_absorption else ""
    return (
        f"{from_ns(one.ts):%H:%M:%S} UTC {one.symbol}: flow {one.ofi:+,.0f} (z {one.ofi_z:+.2f}), "
        f"queue {one.queue_imbalance:+.2f} (z {one.queue_imbalance_z:+.2f}), mid {one.mid:.3f}{flags}"
    )


@app.command()
def news(
    symbols: SymbolOption = None,
    is_once: Annotated[bool, typer.Option("--once", help="Read each symbol once, then end.")] = False,
    interval: Annotated[
        float | None, typer.Option("--interval", min=0.0, help="Minutes between two readings; default: news.every_min.")
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read current reports, headlines and posts, judge them, and keep the reading with its evidence.

    A source that is down is no data: the reading says so, and the command goes on.
    """
    import time

    from sovereign.app.scout import NewsScout
    from sovereign.store.store import Store

    settings = settings_from(config, overrides).settings
    if is_once and interval is not None:
        raise UsageError("--once and --interval were both given; give one of them")
    chosen = tuple(symbols or settings.universe.targets)
    pause = (settings.news.every_min if interval is None else interval) * 60
    found: list[NewsReading] = []
    with Store(settings.store) as store:
        scout = NewsScout(settings, time.time_ns, store.scouts.add_reading)
        try:
            while True:
                found = [scout.read(symbol) for symbol in chosen]
                if is_once:
                    break
                if not as_json:
                    typer.echo("\n".join(_reading_text(one) for one in found))
                time.sleep(pause)
        except KeyboardInterrupt:
            found = []
        finally:
            scout.close()
    emit(
        [_plain({name: getattr(one, name) for name in one.__dataclass_fields__}) for one in found],
        as_json,
        lambda _: "\n".join(_reading_text(one) for one in found),
    )


def _reading_text(one: NewsReading) -> str:
    belief = f"{one.probability:.2f} ({'accepted' if one.is_accepted else 'discarded'})" if one.is_known else "no data"
    items = f" (items {', '.join(one.items)})" if one.items else ""
    lines = [
        f"{one.symbol}: real {belief}, tone {_figure(one.tone)} (filings {_figure(one.filing_tone)}, headlines "
        f"{_figure(one.headline_tone)}, posts {_figure(one.post_tone)}); {one.posts} posts by {one.authors}, "
        f"{one.headlines} headlines, reports {', '.join(one.filings) or 'none'}{items}"
    ]
    lines += [f"  {len(c.post_ids)} posts by {c.authors} share '{c.phrase}'" for c in one.clusters]
    lines += [f"  {source}: no data ({reason})" for source, reason in one.missing.items()]
    return "\n".join(lines)


def _figure(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:+.2f}"


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: unknown is null."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value
