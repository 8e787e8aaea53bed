"""The end of a session's walk: what was asked at the close happens before the session is over."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from test_engine import ES, OPEN, ROW, SESSION, Wishes, buy, of

from sovereign.core.columns import Trades
from sovereign.core.event import OrderChanged
from sovereign.core.order import OrderRole, OrderStatus, OrderType, TimeInForce
from sovereign.core.port import Block
from sovereign.core.session import NS_PER_SECOND
from sovereign.engine.engine import Engine
from sovereign.engine.walk import SessionWalk
from sovereign.execution.account import Account
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.execution.fill_model import OPTIMISTIC, PerUnitFees
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor


class Once:
    """A stream with one row, known half a second after the open."""

    def __init__(self):
        self.rows = np.zeros(0, ROW)
        self.candidates = np.empty(0)
        self.told = []

    def start_session(self, session):
        """Nothing to begin."""

    def advance(self, trades, until_ns):
        self.told.append(until_ns)
        if not len(self.rows) and len(trades):
            self.rows = np.zeros(1, ROW)
            self.rows["known_at"], self.rows["seq"], self.rows["wake"] = OPEN + NS_PER_SECOND // 2, 1, True


def begun(wishes):
    events = []
    config = {
        "excluded_windows": (),
        "stale_data_s": 3_600,
        "can_inputs_be_unknown": True,
        "flatten_before_close_minutes": None,  # nothing else withdraws an entry
    }
    engine = Engine(
        strategy=Wishes(wishes),
        door=OneDoor(RiskConfig.model_validate(config)),
        broker=SimulatedBroker(OPTIMISTIC, 0),
        account=Account(Decimal(100_000)),
        fees=PerUnitFees(),
        sinks=(events.append,),
    )
    engine.start_session(SESSION, (ES,))
    stream = Once()
    return SessionWalk(SESSION, {"ES": stream}, (engine,)), engine, stream, events


def ticks(first_ns, *prices):
    n = len(prices)
    ts = first_ns + np.arange(n, dtype=np.int64) * NS_PER_SECOND
    return Trades(ts, np.array(prices, np.int32), np.full(n, 100, np.int32), np.ones(n, np.int8))


FAR_BELOW = {"order_type": OrderType.LIMIT, "limit_ticks": 19_000, "time_in_force": TimeInForce.GTC}


def test_close_when_entries_were_withdrawn_after_everything_was_walked_then_they_are_canceled_before_the_session_ends():
    walk, engine, _, events = begun({0: [buy(**FAR_BELOW)]})
    walk.add(Block("ES", ticks(OPEN, 20_000, 20_000, 20_001), OPEN + 4 * NS_PER_SECOND))
    walk.promise(SESSION.close_ns)
    engine.reduce("checks", "a person", "no more today")
    walk.close()
    engine.end_session()
    entry = [event for event in of(events, OrderChanged) if event.role is OrderRole.ENTRY][-1]
    assert entry.status is OrderStatus.CANCELED


def test_close_when_late_ticks_of_an_earlier_span_came_after_the_close_then_everybody_is_told_of_the_close_again():
    walk, engine, stream, _ = begun({})
    walk.promise(SESSION.close_ns)
    walk.add(Block("ES", ticks(SESSION.close_ns, 20_000), OPEN + NS_PER_SECOND))
    walk.close()
    engine.end_session()
    assert stream.told == [SESSION.close_ns, OPEN + NS_PER_SECOND, SESSION.close_ns]


@pytest.mark.parametrize("is_promised", [True, False])
def test_close_when_nothing_is_left_then_everybody_is_told_of_the_close_once(is_promised):
    walk, engine, stream, _ = begun({})
    if is_promised:
        walk.promise(SESSION.close_ns)
    else:
        walk.add(Block("ES", Trades.empty(), SESSION.close_ns))
    walk.close()
    engine.end_session()
    assert stream.told == [SESSION.close_ns]
