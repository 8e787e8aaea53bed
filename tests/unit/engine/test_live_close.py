"""How a session ends and goes on: what it knows of the broker's executions, and what becomes of one that was cut off."""

import time
from datetime import date
from decimal import Decimal

import pytest
from live_bench import BALANCE, SESSION, TEN, Bench, Journal, S, buy, play

from fakes.hand_fed import HandLink
from sovereign.core.command import Command, CommandKind
from sovereign.core.errors import BrokerError
from sovereign.core.event import OrderChanged, OrderFilled, SessionEnded
from sovereign.core.order import OrderEvent
from sovereign.core.session import NS_PER_DAY
from sovereign.engine.conductor import opened
from sovereign.engine.inputs import (
    CommandReceived,
    HealthChanged,
    Opening,
    ReportReceived,
    SessionClosed,
    SessionOpened,
    Slice,
    TimePromised,
    read_inputs,
)
from sovereign.execution.report import ExecutionReport
from sovereign.feeds.calendar import calendar_for
from sovereign.store.recording import read_recording


def ready(bench):
    bench.push(0, 20_000)
    return lambda: bench.is_well() and bench.engine.last_ticks()


def entered(bench):
    yield ready(bench)
    yield buy()
    yield lambda: bench.held() == 1


def to_the_close(bench):
    yield from entered(bench)
    bench.feed.promise("ES", SESSION.close_ns)
    yield lambda: False


def recorded(tmp_path, kind):
    return [item for item in read_inputs(read_recording(tmp_path / "a.rec")) if isinstance(item, kind)]


def test_session_when_it_closes_then_has_compared_after_its_last_fill_and_records_how_far(tmp_path):
    bench = play(tmp_path, to_the_close, HandLink(), answer_s=1.0)
    assert (bench.ending.exit_code, bench.ending.is_closed) == (0, True), bench.ending.reason
    executions = len(bench.link.executions)
    assert executions >= 1
    assert bench.ending.cursor == executions
    assert [item.cursor for item in recorded(tmp_path, SessionClosed)] == [executions]
    again = Bench(tmp_path / "a.rec", to_the_close, HandLink(), journal=Journal())
    assert again.run().cursor == executions


def test_session_when_the_broker_is_silent_at_the_close_then_stays_open_until_it_answers(tmp_path):
    link = HandLink()
    closed_early = []

    def script(bench):
        yield from entered(bench)
        link.is_deaf = True
        bench.feed.promise("ES", SESSION.close_ns)
        wait = time.monotonic() + 0.5
        yield lambda: time.monotonic() > wait
        closed_early.append(bench.conductor.is_closed)
        link.is_deaf = False
        yield lambda: False

    bench = play(tmp_path, script, link, answer_s=0.2)
    assert closed_early == [False]
    assert (bench.ending.is_closed, bench.ending.cursor) == (True, len(link.executions))


def test_restart_when_the_opening_knew_of_executions_then_later_ones_are_booked_and_earlier_ones_are_not(tmp_path):
    link = HandLink()

    def script(bench):
        yield ready(bench)

    before = HandLink()
    bench = Bench(tmp_path / "a.rec", script, link, journal=Journal())
    opening = Opening(balance=BALANCE, high_water_mark=BALANCE, cursor=1)
    bench.lines.start()
    try:
        bench.prepared.run(SESSION, bench.feed.instruments(SESSION), opening)
    finally:
        bench.lines.stop(5)
    assert recorded(tmp_path, SessionOpened)[0].opening.cursor == 1
    asked = []

    class Listening(HandLink):
        async def snapshot(self, since_cursor):
            asked.append(since_cursor)
            return await super().snapshot(since_cursor)

    resumed = Bench(tmp_path / "a.rec", script, Listening(), journal=Journal())
    assert resumed.run().exit_code == 0
    assert asked[0] == 1
    assert before.executions == []


def test_session_when_cut_off_and_over_then_is_settled_without_data_and_opens_nothing(tmp_path):
    link = HandLink()
    first = Bench(tmp_path / "a.rec", entered, link, journal=Journal())
    assert first.run().exit_code == 0

    def late(bench):
        yield buy()
        yield lambda: False

    bench = Bench(tmp_path / "a.rec", late, link, journal=Journal())
    bench.lines.start()
    try:
        ending = bench.prepared.finish()
    finally:
        bench.lines.stop(5)
    assert (ending.exit_code, ending.is_closed) == (0, True), ending.reason
    assert ending.cursor == len(link.executions)
    assert bench.feed.resumed == []
    assert "settled" in bench.seen("COMMAND_REFUSED")[0].text
    assert bench.held() == 0  # what had to be closed at the bell was closed
    assert link.positions["ES"] == (0, 0)


def test_cancel_when_asked_for_after_the_close_then_its_answer_counts_before_the_session_ends(tmp_path):
    """A session that was cut off is settled when its date is long over: the clock of the machine is no time of the session."""
    bench = Bench(tmp_path / "a.rec", to_the_close, HandLink(), journal=Journal())
    conductor, tomorrow = bench.conductor, SESSION.close_ns + NS_PER_DAY
    conductor.apply(opened(SESSION, bench.feed.instruments(SESSION), Opening(balance=BALANCE, high_water_mark=BALANCE)))
    bench.feed.on_block = lambda block: conductor.apply(
        Slice(ts=block.until_ns, symbol="ES", trades=block.trades, until_ns=block.until_ns)
    )
    bench.push(0, 20_000)
    conductor.apply(CommandReceived(ts=TEN + S, command=buy()))
    (order,) = (one.client_order_id for one in conductor.engine.executor.working())
    conductor.apply(HealthChanged(ts=tomorrow, subject="session", is_well=False, reason="its date is over"))
    asked = Command(command_id="c", kind=CommandKind.CANCEL, by="recovery", reason="never left", arguments={"order": order})
    conductor.apply(CommandReceived(ts=tomorrow, command=asked))
    canceled = ExecutionReport(cause=OrderEvent.CANCEL, client_order_id=order, ts=tomorrow)
    conductor.apply(ReportReceived(ts=tomorrow, report=canceled, tape="ES", row=7))
    conductor.apply(TimePromised(ts=SESSION.close_ns))
    assert not conductor.is_told_more
    assert list(conductor.engine.executor.working()) == []


def test_report_when_its_tick_was_walked_over_then_does_not_wait_for_it(tmp_path):
    bench = Bench(tmp_path / "a.rec", to_the_close, HandLink(), journal=Journal())
    conductor = bench.conductor
    opening = Opening(balance=BALANCE, high_water_mark=BALANCE)
    conductor.apply(opened(SESSION, bench.feed.instruments(SESSION), opening))
    bench.feed.on_block = lambda block: conductor.apply(
        Slice(ts=block.until_ns, symbol="ES", trades=block.trades, until_ns=block.until_ns)
    )
    bench.push(0, 20_000)
    report = ExecutionReport(cause=OrderEvent.ACCEPT, client_order_id="A", ts=TEN + S)
    conductor.apply(ReportReceived(ts=TEN + S, report=report, tape="ES", row=7))
    assert conductor.is_told_more  # the row may still come
    bench.push(5, 20_001)
    assert not conductor.is_told_more  # its time has passed
    conductor.apply(ReportReceived(ts=TEN + 2 * S, report=report, tape="ES", row=8))
    assert not conductor.is_told_more
    assert bench.engine.account.balance == Decimal(100_000)


def sent(bench):
    """Open the session, send one order, and return it; the venue's word for it is still to come."""
    bench.feed.on_block = lambda block: bench.conductor.apply(
        Slice(ts=block.until_ns, symbol="ES", trades=block.trades, until_ns=block.until_ns)
    )
    bench.conductor.apply(opened(SESSION, bench.feed.instruments(SESSION), Opening(balance=BALANCE, high_water_mark=BALANCE)))
    bench.push(0, 20_000)
    bench.conductor.apply(CommandReceived(ts=TEN + S, command=buy()))
    (order,) = (one.client_order_id for one in bench.engine.executor.working())
    return order


def told(bench, order, cause, ts, second, row=0, **terms):
    report = ExecutionReport(cause=cause, client_order_id=order, ts=TEN + second * S, **terms)
    bench.conductor.apply(ReportReceived(ts=ts, report=report, tape="ES", row=row))


def answers(bench, order):
    asked = (OrderEvent.SUBMIT, OrderEvent.REQUEST_CANCEL)
    seen = [e for e in bench.events if isinstance(e, OrderChanged) and e.client_order_id == order]
    return [(e.cause, e.ts) for e in seen if e.cause not in asked]


@pytest.mark.parametrize("after", [0, 90])
@pytest.mark.parametrize("is_passed", [False, True])
def test_reports_when_they_come_at_the_close_and_their_ticks_never_then_all_count_in_their_session_in_order(
    tmp_path, after, is_passed
):
    """The line of the tape is dead, that of the broker brings at the bell, or after it, what has happened since."""
    bench = Bench(tmp_path / "a.rec", to_the_close, HandLink(), journal=Journal())
    order, late = sent(bench), SESSION.close_ns + after * S
    fill = {"trade_id": "E1", "quantity": 1, "price_ticks": 20_002}
    if is_passed:  # a request of that moment has moved the time of the session to its close
        asked = Command(command_id="c", kind=CommandKind.CANCEL, by="ann", reason="x", arguments={"order": order})
        bench.conductor.apply(CommandReceived(ts=late, command=asked))
    told(bench, order, OrderEvent.ACCEPT, late, 2, row=7)
    told(bench, order, OrderEvent.FILL, late, 3, row=9, **fill)
    told(bench, order, OrderEvent.REFUSE_CANCEL if is_passed else OrderEvent.FILL, late, 3, **fill)
    assert bench.conductor.is_told_more
    bench.conductor.apply(SessionClosed(ts=SESSION.close_ns))
    assert not bench.conductor.is_told_more
    close = SESSION.close_ns
    assert answers(bench, order) == [(OrderEvent.ACCEPT, close), (OrderEvent.FILL, close)]
    assert bench.held() == 1
    (filled,) = (event for event in bench.events if isinstance(event, OrderFilled))
    (ended,) = (event for event in bench.events if isinstance(event, SessionEnded))
    assert bench.events.index(filled) < bench.events.index(ended)
    assert filled.fill.price_ticks == 20_002
    count = len(bench.events)
    following = calendar_for("CME_EQUITY").session(date(2025, 3, 5))
    bench.conductor.apply(opened(following, bench.feed.instruments(following), bench.conductor.closing()))
    bench.conductor.apply(TimePromised(ts=following.open_ns + S))
    assert [event for event in bench.events[count:] if isinstance(event, OrderChanged | OrderFilled)] == []


def test_report_when_it_comes_at_the_close_and_its_tick_after_it_then_counts_at_its_tick(tmp_path):
    bench = Bench(tmp_path / "a.rec", to_the_close, HandLink(), journal=Journal())
    order = sent(bench)
    told(bench, order, OrderEvent.ACCEPT, SESSION.close_ns + S, 2, row=3)
    bench.push(2, 20_001, 20_002)  # the second and third tick of the session
    assert answers(bench, order) == [(OrderEvent.ACCEPT, TEN + 2 * S)]
    assert not bench.conductor.is_told_more
    bench.conductor.apply(SessionClosed(ts=SESSION.close_ns))
    assert answers(bench, order) == [(OrderEvent.ACCEPT, TEN + 2 * S)]


def test_report_when_it_is_of_the_next_sessions_tape_then_is_taken_at_the_close(tmp_path):
    bench = Bench(tmp_path / "a.rec", to_the_close, HandLink(), journal=Journal())
    conductor = bench.conductor
    opening = Opening(balance=BALANCE, high_water_mark=BALANCE)
    conductor.apply(opened(SESSION, bench.feed.instruments(SESSION), opening))
    conductor.apply(TimePromised(ts=SESSION.close_ns))
    report = ExecutionReport(cause=OrderEvent.ACCEPT, client_order_id="A", ts=SESSION.close_ns + S)
    conductor.apply(ReportReceived(ts=report.ts, report=report, tape="ES", row=3))
    assert not conductor.is_told_more
    assert bench.engine.now_ns == SESSION.close_ns


def test_margins_when_not_told_then_are_asked_for_again_soon(tmp_path):
    class Forgetful(HandLink):
        questions = 0

        async def margins(self):
            self.questions += 1
            if self.questions == 1:
                raise BrokerError("no answer")
            return {"ES": Decimal(301)}

    link = Forgetful()

    def script(bench):
        yield ready(bench)
        yield lambda: link.questions >= 2

    assert play(tmp_path, script, link, reconcile_s=60).ending.exit_code == 0


def test_margins_when_those_of_one_symbol_are_missing_then_are_asked_for_again_soon(tmp_path):
    class NotYet(HandLink):
        questions = 0

        async def margins(self):
            self.questions += 1
            return {} if self.questions < 3 else {"ES": Decimal(301)}

    link = NotYet()

    def script(bench):
        yield ready(bench)
        yield lambda: link.questions >= 3

    assert play(tmp_path, script, link, reconcile_s=60).ending.exit_code == 0
