"""A paper session against the venue, on real sockets, is the backtest of the same tape: decisions, fills and trades."""

import asyncio
import time
from datetime import date
from decimal import Decimal

import pytest

from fakes.venue_bench import MS, QUICK, TRADE, running, tape_of
from sovereign.core.event import DecisionMade, OrderFilled, TradeClosed, to_plain
from sovereign.core.instrument import find_instrument
from sovereign.engine.assembly import new_lines, prepare
from sovereign.engine.conductor import Conductor
from sovereign.engine.engine import Engine
from sovereign.engine.inputs import Opening, SessionClosed, SessionOpened, Slice, read_inputs
from sovereign.engine.live_configuration import LiveConfig
from sovereign.execution.account import Account
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.execution.brokers.venue import VenueClient
from sovereign.execution.fill_model import REALISTIC, PerUnitFees
from sovereign.execution.venue.configuration import TapeSpec
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor
from sovereign.store.recording import read_recording
from sovereign.strategies import load_strategy
from sovereign.strategies.order_flow.configuration import OrderFlowConfig

SPEC = TapeSpec(start=date(2025, 11, 17), seed=11, offset_s=1_800, seconds=2_400, synthetic={"ticks_per_session": 400_000})
LATENCY = 1_000 * MS
BALANCE = Decimal(100_000)
STRATEGY = OrderFlowConfig.model_validate(
    {
        "footprint": {"kind": "tick", "bar_trades": 100},
        "pattern": {"absorption_warmup_bars": 5, "minimums": {"ES": {"imbalance": 5, "absorption": 20, "exhaustion": 10}}},
        "regime": {"min_score": 1.0},
        "router": {"min_confidence": 0.0, "min_strength": 0.0},
        "bracket": {"profiles": {"ES": {"stop_ticks": 4, "target_ticks": 6}}},
    }
)
RISK = RiskConfig(
    excluded_windows=(),
    can_inputs_be_unknown=True,
    tiers={"enabled": False},
    min_reward_to_cost=0,
    max_quantity=2,
    daily_loss_limit=-100_000,
)


def engine_on(strategy, broker, journal, sink):
    return Engine(
        strategy=strategy,
        door=OneDoor(RISK),
        broker=broker,
        account=Account(BALANCE),
        fees=PerUnitFees(),
        journal=journal,
        sinks=(sink,),
        is_simulated_data=True,
    )


def told(events):
    """What a person would compare: decisions, fills and trades, in order, with every number."""
    return [to_plain(event) for event in events if isinstance(event, (DecisionMade, OrderFilled, TradeClosed))]


def backtest(session, instruments, trades):
    strategy, events = load_strategy("order_flow", STRATEGY), []
    broker = SimulatedBroker(REALISTIC, LATENCY)
    conductor = Conductor(engine_on(strategy, broker, None, events.append), strategy.signal_stream, broker)
    opening = Opening(balance=BALANCE, high_water_mark=BALANCE)
    conductor.apply(SessionOpened(ts=session.open_ns, session=session, instruments=instruments, opening=opening))
    conductor.apply(Slice(ts=session.close_ns, symbol="ES", trades=trades, until_ns=session.close_ns))
    conductor.apply(SessionClosed(ts=session.close_ns))
    return events


class Journal:
    def __init__(self):
        self.kept = []

    def record(self, order, request, ts):
        self.kept.append((order.client_order_id, request))


def trade_live(url, path, events, journal):
    strategy, config = load_strategy("order_flow", STRATEGY), LiveConfig(poll_ms=5)
    client = VenueClient(url, TRADE, QUICK)
    lines = new_lines(config, client, client)
    lines.start()
    try:
        found = lines.session()
        assert found is not None
        session, instruments = found
        prepared = prepare(
            config,
            lines,
            path=path,
            header={},
            new_engine=lambda broker, gate: engine_on(strategy, broker, gate, events.append),
            new_stream=strategy.signal_stream,
            margins=SimulatedBroker(REALISTIC).margins({}) or {"ES": find_instrument("ES").day_margin},
            journal=journal,
            now_ns=session.open_ns,
            monotonic=time.monotonic,
        )
        return prepared.run(session, tuple(instruments), Opening(balance=BALANCE, high_water_mark=BALANCE))
    finally:
        lines.stop(5)


@pytest.mark.parametrize("slice_ms", [1_000, 400])
def test_paper_session_when_traded_through_the_venue_then_equals_its_backtest(tmp_path, slice_ms):
    tape = tape_of(SPEC)
    session = tape.sessions[0]
    expected = backtest(session, tuple(tape.instruments(session)), tape.columns(session)["ES"])
    events, journal, path = [], Journal(), tmp_path / "a.rec"

    async def play():
        async with running(model=REALISTIC, slice_ns=slice_ms * MS, latency_ns=LATENCY, tape=SPEC) as bench:
            return await asyncio.to_thread(trade_live, bench.url, path, events, journal)

    ending = asyncio.run(play())
    assert (ending.exit_code, ending.is_closed) == (0, True), ending.reason
    assert sum(isinstance(event, TradeClosed) for event in expected) > 3
    found, wanted = told(events), told(expected)
    assert [(a, b) for a, b in zip(found, wanted, strict=False) if a != b][:1] == []
    assert len(found) == len(wanted)
    assert len(journal.kept) == len(set(journal.kept))
    assert sum(isinstance(item, Slice) for item in read_inputs(read_recording(path))) > 10
