"""The simulated venue put together from settings: its tapes, its tokens, and where a client finds both."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sovereign.app.secret import read_secret
from sovereign.core.errors import ConfigurationError, NotFoundError, UsageError

if TYPE_CHECKING:
    from datetime import date
    from decimal import Decimal

    from sovereign.app.configuration import Settings
    from sovereign.core.port import SessionCalendar
    from sovereign.execution.venue.configuration import TapeSpec
    from sovereign.execution.venue.market import MarketSpec
    from sovereign.execution.venue.protocol import (
        OpenAccount,
    )
    from sovereign.execution.venue.server import VenueServer
    from sovereign.execution.venue.tape import Tape

PURPOSES = {"trade": "token", "guard": "guard_token", "admin": "admin_token"}
"""What a token is for, and the setting that holds it."""

_TOKENS = "tokens.json"


def tape_opener(settings: Settings) -> Callable[[TapeSpec], Tape]:
    """Return what makes the tape of a specification, under these settings."""

    def open_tape(spec: TapeSpec) -> Tape:
        from sovereign.core.instrument import find_instrument
        from sovereign.execution.venue.tape import WindowedCalendar, check_window
        from sovereign.feeds.calendar import calendar_for

        check_window(spec.hours, spec.offset_s, spec.seconds)
        instrument = find_instrument(spec.symbol)
        calendar = WindowedCalendar(calendar_for(instrument.calendar), spec.hours, spec.offset_s, spec.seconds)
        return _synthetic(settings, spec, calendar) if spec.source == "synthetic" else _recorded(settings, spec, calendar)

    return open_tape


def _synthetic(settings: Settings, spec: TapeSpec, calendar: SessionCalendar) -> Tape:
    from sovereign.core.instrument import find_instrument
    from sovereign.execution.venue.tape import Tape
    from sovereign.feeds.synthetic import PortfolioMarket, SyntheticConfig, SyntheticFeed, SyntheticMarket

    config = SyntheticConfig.model_validate({**settings.synthetic.model_dump(), **spec.synthetic})
    sessions = spec.sessions if spec.end is None else len(calendar.sessions(spec.start, spec.end))
    if not sessions:
        raise NotFoundError(f"dates were {spec.start} to {spec.end}, on none of which {spec.symbol} trades; choose others")
    instrument = find_instrument(spec.symbol)
    if spec.others:
        need_equities((spec.symbol, *spec.others))
        market = settings.portfolio_market
        shares = PortfolioMarket(
            (spec.symbol, *spec.others), calendar, spec.start, sessions, spec.seed, market, settings.queues
        )
        return Tape(shares, is_quoting=settings.venue.has_sizes)
    feed = SyntheticFeed(
        SyntheticMarket(config, spec.seed),
        instrument,
        calendar,
        spec.start,
        sessions,
        spec.hours,
        queues=settings.queues,
    )
    return Tape(feed, is_quoting=settings.venue.has_sizes)


def need_equities(symbols: Sequence[str]) -> None:
    """Refuse an invented market of several symbols that are no US equities.

    Raises
    ------
    UsageError : names the first that is none.
    """
    from sovereign.core.instrument import AssetClass, find_instrument

    for symbol in symbols:
        if find_instrument(symbol).asset_class is not AssetClass.EQUITY:
            raise UsageError(
                f"symbol was '{symbol}', which is no US equity; several synthetic symbols must all be, or give one"
            )


def _recorded(settings: Settings, spec: TapeSpec, calendar: SessionCalendar) -> Tape:
    from sovereign.app.plan import open_catalog
    from sovereign.execution.venue.tape import Tape
    from sovereign.feeds.historical import HistoricalFeed
    from sovereign.feeds.joined import JoinedFeed

    end, catalog, is_quoting = spec.end or spec.start, open_catalog(settings), settings.venue.has_sizes
    feed = HistoricalFeed(catalog, spec.symbol, spec.start, end, calendar)
    if spec.others:
        others = [HistoricalFeed(catalog, symbol, spec.start, end, calendar) for symbol in spec.others]
        return Tape(JoinedFeed((feed, *others)), is_quoting=is_quoting)
    days: list[date] = sorted(feed.contracts)
    sessions = [session for day in days if (session := calendar.session(day)) is not None]
    return Tape(feed, sessions, is_quoting=is_quoting)


def market_defaults(settings: Settings) -> Callable[[OpenAccount], MarketSpec]:
    """Return what a market opened over the wire is made of: these settings, where the request says nothing else."""

    def made(message: OpenAccount) -> MarketSpec:
        if message.tape is None:
            raise UsageError("the request had no tape; a market of its own needs one")
        named = ("pace", "speed", "slice_ms", "holds_brackets", "latency_ms")
        asked = {key: value for key in named if (value := getattr(message, key)) is not None}
        return market_spec(settings, message.account, message.tape, **asked).model_copy(update={"faults": message.faults})

    return made


def market_spec(settings: Settings, name: str, tape: TapeSpec, **asked: Any) -> MarketSpec:
    """Return the specification of a market under these settings, `asked` taking the place of theirs."""
    from sovereign.execution.venue.configuration import Pace
    from sovereign.execution.venue.market import MarketSpec

    venue, execution = settings.venue, settings.execution
    pace = asked.get("pace", venue.pace)
    latency_ms = asked.get("latency_ms", execution.latency_ms)
    slice_ms = asked.get("slice_ms", venue.slice_ms)
    if slice_ms is None:
        slice_ms = latency_ms if pace is Pace.LOCKSTEP and latency_ms else 100.0
    return MarketSpec(
        name=name,
        tape=tape,
        pace=pace,
        speed=asked.get("speed", venue.speed),
        slice_ns=max(1, round(slice_ms * 1e6)),
        latency_ns=round(latency_ms * 1e6),
        holds_brackets=asked.get("holds_brackets", venue.holds_brackets),
        model=execution.model_of(execution.fill_model),
        fees=execution.fees,
        margins=execution.margins,
    )


MARKET = "main"
"""Name of the market that a venue opens at its start."""


async def start_venue(
    settings: Settings, tape: TapeSpec, accounts: Mapping[str, Decimal], faults: str | None = None
) -> tuple[VenueServer, int]:
    """Open the market and the accounts, or bring them back, and listen; return the server and its port.

    Raises
    ------
    UsageError : the folder holds books of another tape.
    OSError : the port is taken.
    """
    from sovereign.execution.venue.exchange import Exchange
    from sovereign.execution.venue.fault import faults_from
    from sovereign.execution.venue.server import VenueServer

    tokens = make_tokens(settings, list(accounts))
    exchange = Exchange(tape_opener(settings), tokens[""]["admin"], settings.venue.state / "books")
    spec = market_spec(settings, MARKET, tape)
    if faults is not None:
        spec = spec.model_copy(update={"faults": faults_from(faults, exchange.span_ms(tape))})
    exchange.open_market(spec)
    for name, balance in accounts.items():
        exchange.open_account(MARKET, name, balance, tokens[name])
    server = VenueServer(
        exchange,
        market_defaults(settings),
        heartbeat_s=settings.venue.heartbeat_s,
        orders_per_s=settings.venue.orders_per_s,
    )
    return server, await server.start(settings.venue.port)


def venue_url(settings: Settings) -> str:
    """Return where a client finds the venue: the running one's own address, else the port of the settings."""
    try:
        return str(json.loads((settings.venue.state / "venue.json").read_text(encoding="utf-8"))["url"])
    except (OSError, ValueError, KeyError):
        return f"ws://127.0.0.1:{settings.venue.port}"


def venue_token(settings: Settings, purpose: str, account: str = "") -> str:
    """Return a token: from the settings (`venue.token` and its like), from the environment, else as the venue made it.

    Parameters
    ----------
    purpose : `trade`, `guard` or `admin`.
    account : the account; by default the venue's first.

    Raises
    ------
    ConfigurationError : there is none.
    """
    made = _read_tokens(settings.venue.state)
    first = next(iter(made), "")
    if purpose == "admin" or account in ("", first):
        given = _given(settings, purpose)
        if given:
            return given
    found = made.get("", {}).get(purpose) if purpose == "admin" else made.get(account or _first_account(made), {}).get(purpose)
    if not found:
        raise ConfigurationError(
            f"no {purpose} token of the venue was found; set SOVEREIGN_VENUE_{purpose.upper()}_TOKEN or "
            f"venue.{PURPOSES[purpose]}, or point venue.state at the folder of a venue that has been started"
        )
    return found


def account_names(settings: Settings) -> list[str]:
    """Return the names of the accounts that the venue has made tokens for, its first account first."""
    return [name for name in _read_tokens(settings.venue.state) if name]


def _first_account(made: Mapping[str, Mapping[str, str]]) -> str:
    return next((name for name in made if name), "")


def _given(settings: Settings, purpose: str) -> str:
    set_token = getattr(settings.venue, PURPOSES[purpose]).get_secret_value()
    if set_token:
        return str(set_token)
    try:
        return read_secret([f"SOVEREIGN_VENUE_{purpose.upper()}_TOKEN"])
    except ConfigurationError:
        return ""


def _read_tokens(state: Path) -> dict[str, dict[str, str]]:
    try:
        found: dict[str, dict[str, str]] = json.loads((state / _TOKENS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as cause:
        raise ConfigurationError(
            f"'{state / _TOKENS}' could not be read ({cause}); remove it to have new tokens made"
        ) from cause
    return found


def make_tokens(settings: Settings, accounts: list[str]) -> dict[str, dict[str, str]]:
    """Return the tokens of the administrator (under the empty name) and of each account, made and kept where none are set."""
    state = settings.venue.state
    kept = _read_tokens(state)
    tokens: dict[str, dict[str, str]] = {}
    for name in ("", *accounts):
        purposes = ("admin",) if not name else ("trade", "guard")
        mine = tokens[name] = {}
        for purpose in purposes:
            given = _given(settings, purpose) if name in ("", accounts[0]) else ""
            mine[purpose] = given or kept.get(name, {}).get(purpose) or secrets.token_urlsafe(24)
    state.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(state / _TOKENS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        json.dump(tokens, handle)
    return tokens
