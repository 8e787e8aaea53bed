"""Which session a trading process settles first, and from which report on it is told again."""

from datetime import date
from decimal import Decimal

import pytest

from sovereign.app.past_sessions import cut_off, last_report
from sovereign.app.task import Task
from sovereign.core.instrument import find_instrument
from sovereign.core.order import OrderEvent
from sovereign.engine.conductor import opened
from sovereign.engine.inputs import Opening, ReportReceived, SessionClosed, to_frame
from sovereign.execution.report import ExecutionReport
from sovereign.feeds.calendar import calendar_for
from sovereign.store.configuration import StoreConfig
from sovereign.store.live import LiveSession
from sovereign.store.recording import Recording
from sovereign.store.store import Store

TASK = Task(strategy="order_flow", mode="paper", account="paper", url="", token="")
MONDAY, TUESDAY, WEDNESDAY = date(2025, 3, 3), date(2025, 3, 4), date(2025, 3, 5)


@pytest.fixture
def store(tmp_path):
    with Store(StoreConfig(url=f"sqlite:///{tmp_path}/s.sqlite")) as made:
        yield made


def begun(store, folder, day, *items, status=None):
    """A session of a day with these inputs in its recording; `status` is how it ended, None that it did not."""
    path = folder / f"{day}.rec"
    with Recording(path, {}, 0) as recording:
        for item in items:
            recording.append(to_frame(item))
    name = f"paper-order_flow-{day:%Y%m%d}"
    store.live.begin_session(
        LiveSession(
            id=name,
            account="paper",
            strategy="order_flow",
            mode="paper",
            trade_date=day,
            recording_path=str(path),
            started_ns=day.toordinal(),
            code_hash="c",
            config_hash="s",
        )
    )
    if status is not None:
        store.live.end_session(name, ended_ns=1, status=status)


def opening(day, number=0):
    session = calendar_for("CME_EQUITY").session(day)
    known = Opening(balance=Decimal(1), high_water_mark=Decimal(1), number=number)
    return opened(session, (find_instrument("ES"),), known)


def report(number):
    said = ExecutionReport(cause=OrderEvent.ACCEPT, client_order_id="A", ts=1)
    return ReportReceived(ts=1, report=said, number=number)


def test_session_when_cut_off_on_an_earlier_date_then_is_settled_first_the_oldest_before_others(store, tmp_path):
    assert cut_off(store, TASK, WEDNESDAY) is None
    begun(store, tmp_path, MONDAY, opening(MONDAY), SessionClosed(ts=2), status="ended")
    begun(store, tmp_path, TUESDAY, opening(TUESDAY), status="stopped")
    begun(store, tmp_path, WEDNESDAY, opening(WEDNESDAY))
    found = cut_off(store, TASK, WEDNESDAY)
    assert found is not None
    assert (found[0].trade_date, [one.symbol for one in found[1]]) == (TUESDAY, ["ES"])
    assert cut_off(store, TASK, TUESDAY) is None
    last = cut_off(store, TASK, None)
    assert last is not None
    assert last[0].trade_date == TUESDAY


def test_session_when_it_was_never_opened_or_cannot_be_read_then_there_is_nothing_to_settle(store, tmp_path):
    begun(store, tmp_path, MONDAY)
    begun(store, tmp_path, TUESDAY, opening(TUESDAY))
    (tmp_path / f"{TUESDAY}.rec").write_bytes(b"something else")
    assert cut_off(store, TASK, None) is None


@pytest.mark.parametrize(
    ("items", "status", "expected"),
    [
        ((), None, None),
        ((opening(MONDAY, number=4),), None, 4),
        ((opening(MONDAY, number=4), report(5), report(6), report(0)), None, 6),
        ((opening(MONDAY, number=4), report(5)), "ended", None),
    ],
)
def test_reports_when_a_session_goes_on_then_are_told_from_the_last_that_was_recorded(store, tmp_path, items, status, expected):
    assert last_report(store, TASK) is None
    begun(store, tmp_path, MONDAY, *items, status=status)
    assert last_report(store, TASK) == expected
