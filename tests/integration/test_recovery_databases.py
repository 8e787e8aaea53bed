"""A session is stopped on the way and goes on: its store on SQLite and PostgreSQL, its line to the venue whole and failing."""

from __future__ import annotations

import asyncio
import time

import pytest
from test_live_venue import BALANCE, LATENCY, SPEC, STRATEGY, backtest, engine_on

from fakes.venue_bench import MS, QUICK, TRADE, running, tape_of
from sovereign.core.event import DecisionMade, Notice, OrderFilled, TradeClosed, to_plain
from sovereign.core.instrument import find_instrument
from sovereign.engine.assembly import new_lines, prepare
from sovereign.engine.inputs import Opening
from sovereign.engine.live_configuration import LiveConfig
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.execution.brokers.venue import VenueClient
from sovereign.execution.fill_model import REALISTIC
from sovereign.execution.venue.fault import Fault, FaultKind
from sovereign.store.live import LiveSession as Kept
from sovereign.store.store import Store
from sovereign.strategies import load_strategy

WIRE = (
    Fault(kind=FaultKind.RESET, at_ms=200_000),
    Fault(kind=FaultKind.DUPLICATE, at_ms=400_000, count=20),
    Fault(kind=FaultKind.REORDER, at_ms=600_000, count=5),
    Fault(kind=FaultKind.DROP, at_ms=800_000),
)


def told(events):
    return [to_plain(event) for event in events if isinstance(event, (DecisionMade, OrderFilled, TradeClosed))]


def trade(url, store, path, events, stop_after=None):
    """Trade the session as a process would, its journal and audit chain in the store; stop after so many audit events."""
    strategy, config = load_strategy("order_flow", STRATEGY), LiveConfig(poll_ms=5, retry_s=0.05)
    client = VenueClient(url, TRADE, QUICK)
    lines = new_lines(config, client, client)
    lines.start()
    try:
        session, instruments = lines.session()
        store.live.begin_session(
            Kept(
                id="s",
                account="paper",
                strategy="order_flow",
                mode="paper",
                trade_date=session.trade_date,
                recording_path=str(path),
                started_ns=time.time_ns(),
                code_hash="",
                config_hash="",
            )
        )
        audit = store.live.audit("s")

        def hear(event):
            audit(event)
            events.append(event)
            if stop_after is not None and len(events) == stop_after:
                prepared.live.stop("enough")

        with store.live.journal("s", audit) as journal:
            prepared = prepare(
                config,
                lines,
                path=path,
                header={},
                new_engine=lambda broker, gate: engine_on(strategy, broker, gate, hear),
                new_stream=strategy.signal_stream,
                margins=SimulatedBroker(REALISTIC).margins({}) or {"ES": find_instrument("ES").day_margin},
                journal=journal,
                kept=store.live.requests("s"),
                now_ns=session.open_ns,
                monotonic=time.monotonic,
                finish=lambda: None if (found := audit.finish_replay()) is None else str(found),
            )
            ending = prepared.run(session, tuple(instruments), Opening(balance=BALANCE, high_water_mark=BALANCE))
            audit.flush()
        store.live.end_session("s", ended_ns=time.time_ns(), status="ended" if ending.is_closed else "stopped")
        return ending
    finally:
        lines.stop(5)


@pytest.mark.parametrize("faults", [(), WIRE], ids=["calm", "faults"])
def test_session_when_stopped_and_started_again_then_ends_as_its_backtest_with_the_chain_whole(store_url, tmp_path, faults):
    tape = tape_of(SPEC)
    session = tape.sessions[0]
    expected = backtest(session, tuple(tape.instruments(session)), tape.columns(session)["ES"])
    assert len(told(expected)) > 20
    first, whole, path = [], [], tmp_path / "a.rec"

    async def play():
        market = {"model": REALISTIC, "slice_ns": 1_000 * MS, "latency_ns": LATENCY, "tape": SPEC, "faults": faults}
        async with running(**market) as bench:
            with Store(store_url) as store:
                stopped = await asyncio.to_thread(trade, bench.url, store, path, first, len(told(expected)) // 2)
                assert not stopped.is_closed
                ending = await asyncio.to_thread(trade, bench.url, store, path, whole)
                books = bench.book()
                return ending, store.live.verify_audit("s"), store.live.requests("s"), books.snapshot(0, session.close_ns)

    ending, verdict, requests, books = asyncio.run(asyncio.wait_for(play(), 90))
    assert (ending.exit_code, ending.is_closed) == (0, True), ending.reason
    assert verdict.broken is None
    assert [notice for notice in whole if isinstance(notice, Notice) and notice.code == "REPLAY_DIFFERS"] == []
    sent = [(request.client_order_id, request.request) for request in requests]
    assert len(sent) == len(set(sent))
    fills = [event.fill for event in whole if isinstance(event, OrderFilled)]
    assert len({fill.trade_id for fill in fills}) == len(fills)
    assert sum(fill.side.sign * fill.quantity for fill in fills) == sum(held.quantity for held in books.snapshot().positions)
    if not faults:  # a line that breaks may cost entries, and nothing else
        assert told(whole) == told(expected)
