"""The reads: under `/api/v1`, and the older paths of the same things.

Handlers are plain functions, so each runs in a thread of its own and none holds the stream up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from fastapi import Path as InPath
from fastapi.responses import Response

from sovereign import __version__
from sovereign.app.dashboard import model, model_market, model_run, model_tug
from sovereign.app.dashboard.api_common import (
    LATEST,
    NAME_PATTERN,
    READ,
    AtMoment,
    Day,
    DeskGiven,
    InRun,
    Limit,
    RunName,
    Symbol,
    moment,
    ok,
    reader,
    send,
)
from sovereign.app.dashboard.control import CONFIRMATIONS
from sovereign.app.dashboard.operations import operations
from sovereign.app.dashboard.plain import plain
from sovereign.core.errors import NotFoundError

read = APIRouter(dependencies=[Depends(reader)])
alias = APIRouter(prefix="/api", dependencies=[Depends(reader)], tags=["aliases"])

# What this is


@read.get("/instance", responses=ok(model_run.Instance), tags=["instance"])
def instance(desk: DeskGiven) -> Response:
    """Say what this is, and which words its commands want typed."""
    from sovereign.strategies import strategy_names

    config = desk.settings.dashboard
    return send(
        {
            "name": "sovereign",
            "version": __version__,
            "instance": desk.tokens.instance,
            "needs_token_to_read": desk.needs_token_to_read,
            "stale_s": config.stale_s,
            "poll_ms": config.poll_ms,
            "strategies": list(strategy_names()),
            "confirmations": dict(CONFIRMATIONS),
        }
    )


# How it stands


@read.get("/overview", responses=ok(model.Overview), tags=["state"])
@alias.get("/state", responses=ok(model.Overview))
@alias.get("/session/status", responses=ok(model.Overview))
def overview(desk: DeskGiven, run: RunName = None, at: AtMoment = None) -> Response:
    """Return state, money, positions, room left under each limit, regime and alerts."""
    return send(desk.view.overview(desk.view.run(run), moment(at)))


@read.get("/positions", responses=ok(model_run.PositionRows), tags=["state"])
@alias.get("/positions", responses=ok(model_run.PositionRows))
def positions(desk: DeskGiven, run: RunName = None, at: AtMoment = None) -> Response:
    """Return open positions with live profit and their protection."""
    found = desk.view.run(run)
    return send({"run": found.id, "at": at, "rows": desk.view.positions(found, moment(at))})


@read.get("/portfolio", responses=ok(model_run.Portfolio), tags=["state"])
@alias.get("/portfolio", responses=ok(model_run.Portfolio))
def portfolio(desk: DeskGiven, run: RunName = None, at: AtMoment = None) -> Response:
    """Return money, today's figures, positions and room."""
    seen = desk.view.overview(desk.view.run(run), moment(at))
    return send({"run": seen["run"], "at": at, **{name: seen[name] for name in ("money", "today", "positions", "room")}})


@read.get("/regime", responses=ok(model_run.RegimeRows), tags=["state"])
@alias.get("/regime", responses=ok(model_run.RegimeRows))
def regime(desk: DeskGiven, run: RunName = None, at: AtMoment = None) -> Response:
    """Return the regime of every symbol."""
    seen = desk.view.overview(desk.view.run(run), moment(at))
    return send({"run": seen["run"], "at": at, "rows": seen["regimes"]})


@read.get("/equity", responses=ok(model_market.Curve), tags=["state"])
def equity(desk: DeskGiven, run: RunName = None, at: AtMoment = None) -> Response:
    """Return the account's curve."""
    return send(desk.view.equity(desk.view.run(run), moment(at)))


# Tables


@read.get("/trades", responses=ok(model_run.TradeRows), tags=["tables"])
@alias.get("/trades", responses=ok(model_run.TradeRows))
def trades(desk: DeskGiven, run: RunName = None, at: AtMoment = None, limit: Limit = 500) -> Response:
    """Return closed trades with what people wrote about them."""
    found = desk.view.run(run)
    rows = [{**row, "review": desk.reviews.of(found.id, row["trade_id"])} for row in desk.view.trades(found, moment(at), limit)]
    return send({"run": found.id, "at": at, "rows": rows})


@read.get("/orders", responses=ok(model_run.OrderRows), tags=["tables"])
def orders(desk: DeskGiven, run: RunName = None, at: AtMoment = None, limit: Limit = 200) -> Response:
    """Return orders in their state at the moment."""
    found = desk.view.run(run)
    return send({"run": found.id, "at": at, "rows": desk.view.orders(found, moment(at), limit)})


@read.get("/fills", responses=ok(model_run.FillRows), tags=["tables"])
def fills(desk: DeskGiven, run: RunName = None, at: AtMoment = None, limit: Limit = 500) -> Response:
    """Return executions."""
    found = desk.view.run(run)
    return send({"run": found.id, "at": at, "rows": desk.view.fills(found, moment(at), limit)})


@read.get("/decisions", responses=ok(model_run.DecisionRows), tags=["tables"])
@alias.get("/signals", responses=ok(model_run.DecisionRows))
def decisions(
    desk: DeskGiven,
    run: RunName = None,
    at: AtMoment = None,
    limit: Limit = 200,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    verdict: Annotated[Literal["APPROVED", "RESIZED", "REFUSED"] | None, Query()] = None,
    check: Annotated[
        str | None, Query(max_length=64, pattern=NAME_PATTERN, description="Only those refused by this check.")
    ] = None,
    symbol: Symbol = None,
) -> Response:
    """Return every candidate, taken or not."""
    found = desk.view.run(run)
    rows = desk.view.decisions(found, moment(at), limit=limit, offset=offset, verdict=verdict, check=check, symbol=symbol)
    return send({"run": found.id, "at": at, "rows": rows})


@read.get("/decisions/{decision_id}", responses=ok(model_market.DecisionDetail), tags=["tables"])
def decision(
    desk: DeskGiven,
    decision_id: Annotated[str, InPath(max_length=120, pattern=NAME_PATTERN)],
    run: RunName = None,
    at: AtMoment = None,
) -> Response:
    """Return a decision: inputs, every check with value and limit, what followed, and what it would have made."""
    return send(desk.view.decision(desk.view.run(run), decision_id, moment(at)))


@read.get("/statistics", responses=ok(model.RunStatistics), tags=["tables"])
@alias.get("/statistics", responses=ok(model.RunStatistics))
def statistics(desk: DeskGiven, run: RunName = None, at: AtMoment = None) -> Response:
    """Return figures over closed trades, and how many candidates each check refused."""
    return send(desk.view.statistics(desk.view.run(run), moment(at)))


@read.get("/execution", responses=ok(model_market.Execution), tags=["tables"])
def execution(desk: DeskGiven, run: RunName = None, at: AtMoment = None, limit: Limit = 500) -> Response:
    """Return shortfall, slippage and latency, order by order and over all."""
    return send(desk.view.execution(desk.view.run(run), moment(at), limit))


@read.get("/memory", responses=ok(model_run.MemoryRows), tags=["tables"])
@alias.get("/memory", responses=ok(model_run.MemoryRows))
def memory(desk: DeskGiven, run: RunName = None, at: AtMoment = None, limit: Limit = 20) -> Response:
    """Return what a strategy's memory recalled; empty for strategies without one."""
    found = desk.view.run(run)
    return send({"run": found.id, "at": at, "rows": desk.view.recalls(found, moment(at), limit)})


# The tug of war


@read.get("/tug", responses=ok(model_tug.Tug), tags=["tug of war"])
def tug(desk: DeskGiven, run: RunName = None, at: AtMoment = None) -> Response:
    """Return both camps on every share at its last bar, the market, and how often the rule said what."""
    return send(desk.view.tug(desk.view.run(run), moment(at)))


@read.get("/tug/{table}", responses=ok(model_tug.TableRows), tags=["tug of war"])
def tug_table(
    desk: DeskGiven,
    table: model_tug.TableName,
    run: RunName = None,
    at: AtMoment = None,
    limit: Limit = 20,
    symbol: Symbol = None,
) -> Response:
    """Return the newest rows of a table of the strategy or of the scouts, of the run's account."""
    return send(desk.view.table(desk.view.run(run), table, moment(at), limit=limit, symbol=symbol))


# Market


@read.get("/bars", responses=ok(model_market.Bars), tags=["market"])
def bars(
    desk: DeskGiven,
    run: RunName = None,
    symbol: Symbol = None,
    at: AtMoment = None,
    day: Day = None,
    before: Annotated[int | None, Query(ge=0, le=10_000_000, description="Only bars before this index.")] = None,
    count: Annotated[int | None, Query(ge=1, le=5_000)] = None,
) -> Response:
    """Return footprint bars with their patterns, and the bar that still grows."""
    wanted = count if count is not None else desk.settings.dashboard.bars
    found = desk.view.run(run)
    return send(desk.view.bars(found, symbol, moment(at), day=day, before=before, count=wanted))


@read.get("/timeline", responses=ok(model_market.Timeline), tags=["market"])
def timeline(desk: DeskGiven, run: RunName = None, day: Day = None) -> Response:
    """Return a session's span and the moments worth stepping to."""
    return send(desk.view.timeline(desk.view.run(run), day))


# Runs


@read.get("/runs", responses=ok(model_run.RunRows), tags=["runs"])
def runs(
    desk: DeskGiven,
    limit: Limit = 100,
    strategy: Annotated[str | None, Query(max_length=64, pattern=NAME_PATTERN)] = None,
    kind: Annotated[str | None, Query(max_length=64, pattern=NAME_PATTERN)] = None,
) -> Response:
    """Return runs of every kind, newest first."""
    found = desk.view.store.runs(limit=limit, strategy=strategy, kind=kind)
    return send({"rows": [desk.view.brief(run) for run in found]})


@read.get("/runs/compare", responses=ok(model_run.Comparison), tags=["runs"])
def compare(
    desk: DeskGiven,
    first: Annotated[str, Query(max_length=120, pattern=NAME_PATTERN)],
    second: Annotated[str, Query(max_length=120, pattern=NAME_PATTERN)],
) -> Response:
    """Return how two runs differ: facts, settings, figures and trades."""
    from sovereign.research.ledger import compare_runs

    return send(plain(compare_runs(desk.view.store, first, second).to_plain()))


@read.get("/runs/{run}", responses=ok(model_run.RunDetail), tags=["runs"])
def run_detail(desk: DeskGiven, run: InRun) -> Response:
    """Return a run with its figures, evidence card and settings."""
    return send(desk.view.run_detail(desk.view.store.run(run)))


@read.get(
    "/runs/{run}/report",
    tags=["runs"],
    response_class=Response,
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}, "description": "The report, one page."}, **READ},
)
def report(desk: DeskGiven, run: InRun) -> Response:
    """Return a run's report."""
    found = desk.view.store.run(run)
    # Only the file that the run itself has named, and only a report.
    file = None if found.report_path is None else Path(found.report_path)
    if file is None or file.suffix != ".html" or not file.is_file():
        raise NotFoundError(f"run '{found.id}' has no report on this machine")
    return Response(file.read_bytes(), media_type="text/html; charset=utf-8")


# Operations


@read.get("/operations", responses=ok(model_run.Operations), tags=["operations"])
def show_operations(desk: DeskGiven) -> Response:
    """Return processes, feeds, kills, commands, notices, reconciliation and schedule."""
    return send(operations(desk.view, desk.now_ns(), desk.stream.clients))


@read.get("/sessions/{session}/events", responses=ok(model_run.EventRows), tags=["operations"])
def events(
    desk: DeskGiven,
    session: InRun,
    since: Annotated[int, Query(ge=0, le=LATEST)] = 0,
    limit: Limit = 200,
    kind: Annotated[str | None, Query(max_length=40, pattern=NAME_PATTERN)] = None,
    newest: Annotated[bool, Query(description="The newest events instead of the first.")] = False,
) -> Response:
    """Return the audit stream of a session from a number on."""
    name = desk.view.store.live.session(session).id
    if newest:
        since = max(since, desk.view.last_event(name) - limit)
    rows = desk.view.store.live.audit_events(name, since=since, limit=limit, kind=kind)
    return send({"run": name, "at": None, "rows": plain(rows)})


@read.get("/settings", responses=ok(model_run.SettingRows), tags=["operations"])
@alias.get("/settings", responses=ok(model_run.SettingRows))
def show_settings(desk: DeskGiven) -> Response:
    """Return every setting with its source, and what sessions started from here will have instead."""
    return send({"rows": plain(desk.control.settings())})
