"""Inputs: each kind survives the recording unchanged."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from example_scouts import READING, SNAPSHOT
from sovereign.core.columns import Trades
from sovereign.core.command import Command, CommandKind
from sovereign.core.errors import CorruptFileError
from sovereign.core.event import NoticeCode, Severity
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, Order, OrderEvent, OrderRole, OrderType, Side, TimeInForce
from sovereign.core.position import Liquidity
from sovereign.engine import inputs
from sovereign.engine.inputs import from_frame, is_same, read_inputs, to_frame
from sovereign.execution.broker import VenuePosition
from sovereign.execution.reconcile import Correction, CorrectionKind
from sovereign.execution.report import ExecutionReport
from sovereign.feeds.calendar import calendar_for
from sovereign.store.recording import Frame, Recording, read_recording

SESSION = calendar_for("CME_EQUITY").session(date(2025, 3, 4))
ES = find_instrument("ESH5")
TRADES = Trades(np.array([1, 2], np.int64), np.array([-3, 4], np.int32), np.array([5, 6], np.int32), np.array([-1, 1], np.int8))
CHILD = Order(
    client_order_id="o-1-S",
    instrument=ES,
    tape="ESH5",
    side=Side.SELL,
    order_type=OrderType.STOP,
    quantity=2,
    submitted_ns=5,
    active_ns=6,
    role=OrderRole.STOP,
    stop_ticks=20_000,
    time_in_force=TimeInForce.GTC,
    reduce_only=True,
    bracket=Bracket(stop_ticks=3, target_ticks=4),
)
EXAMPLES = [
    inputs.SessionOpened(
        ts=SESSION.open_ns,
        session=SESSION,
        instruments=(ES, find_instrument("SPY")),
        opening=inputs.Opening(
            balance=Decimal("2500.10"),
            high_water_mark=Decimal(2600),
            positions=(inputs.OpenPosition(symbol="MESH5", tape="ESH5", quantity=-2, cost_ticks=-40_001),),
            door={"version": 2, "halts": [{"cause": "drawdown", "until_ns": None}]},
        ),
    ),
    inputs.Slice(ts=9, symbol="ESH5", trades=TRADES, until_ns=2),
    inputs.Slice(ts=9, symbol="ESH5", trades=replace(TRADES, bid=TRADES.price - 1, ask=TRADES.price + 1), until_ns=2),
    inputs.Slice(ts=9, symbol="ESH5", trades=replace(TRADES, is_path=True), until_ns=2),
    inputs.TimePromised(ts=10),
    inputs.ReportReceived(
        ts=11,
        report=ExecutionReport(
            cause=OrderEvent.PARTIAL_FILL,
            client_order_id="o-1",
            ts=11,
            trade_id="t#1",
            quantity=1,
            price_ticks=20_001,
            liquidity=Liquidity.MAKER,
            is_ambiguous=True,
        ),
        tape="ESH5",
        row=7,
    ),
    inputs.ReportReceived(ts=12, report=ExecutionReport(cause=OrderEvent.SUBMIT, client_order_id="o-1-S", ts=12)),
    inputs.ConnectionChanged(ts=13, subject="feed", is_connected=False, reason="reset by peer"),
    inputs.HealthChanged(ts=14, subject="data:ESH5", is_well=False, reason="mute", code=NoticeCode.DATA_STALE),
    inputs.HealthChanged(ts=14, subject="data:ESH5", is_well=True, severity=Severity.INFO),
    inputs.CommandReceived(
        ts=15, command=Command(command_id="c1", kind=CommandKind.TRADE, by="ann", arguments={"symbol": "ES", "side": "BUY"})
    ),
    inputs.CorrectionMade(
        ts=16,
        correction=Correction(
            kind=CorrectionKind.ADOPT_POSITION,
            subject="ESH5",
            reason="reconciled",
            position=VenuePosition(symbol="ESH5", quantity=1, cost_ticks=20_000),
            cash=Decimal("1.20"),
        ),
    ),
    inputs.MarginsChanged(ts=17, margins={"ESH5": Decimal("1000.5")}),
    inputs.NoticeRaised(
        ts=18, code=NoticeCode.ORDER_IN_FLIGHT, severity=Severity.ALARM, subject="o-1", text="x", values={"a": 1.5, "b": "c"}
    ),
    inputs.EvidenceReceived(ts=19, snapshots=(SNAPSHOT,), readings=(READING,)),
    inputs.EvidenceReceived(ts=20),
    inputs.SessionClosed(ts=SESSION.close_ns),
]


@pytest.mark.parametrize("item", EXAMPLES, ids=lambda item: type(item).__name__)
def test_input_when_recorded_and_read_then_is_the_same(item, tmp_path):
    with Recording(tmp_path / "a.rec", {}, 0) as recording:
        recording.append(to_frame(item))
    (found,) = read_inputs(read_recording(tmp_path / "a.rec"))
    assert is_same(found, item)
    assert type(found) is type(item)


def test_report_when_it_brings_a_child_then_the_child_is_read_with_every_field():
    report = ExecutionReport(cause=OrderEvent.SUBMIT, client_order_id="o-1-S", ts=12, child=CHILD)
    found = from_frame(to_frame(inputs.ReportReceived(ts=12, report=report)))
    assert repr(found.report.child) == repr(CHILD)


def test_examples_when_counted_then_no_kind_of_input_is_missing():
    assert {type(item).__name__ for item in EXAMPLES} == set(inputs.INPUTS)


def test_frame_when_its_kind_is_unknown_or_its_values_do_not_fit_then_is_corrupt():
    with pytest.raises(CorruptFileError, match="'Wish'"):
        from_frame(Frame("Wish", 0, {}))
    with pytest.raises(CorruptFileError, match="ConnectionChanged"):
        from_frame(Frame("ConnectionChanged", 0, {"surprise": 1}))
    with pytest.raises(CorruptFileError, match="slice"):
        from_frame(Frame("Slice", 0, {"symbol": "ES", "until_ns": 1}))


@pytest.mark.parametrize("is_path", [True, False])
def test_slice_when_it_stands_for_bars_then_the_recording_says_so(is_path):
    # the order of a bar's extremes is unknown; fills are judged by it when the session is replayed
    item = inputs.Slice(ts=9, symbol="ESH5", trades=replace(TRADES, is_path=is_path), until_ns=2)
    assert from_frame(to_frame(item)).trades.is_path is is_path
