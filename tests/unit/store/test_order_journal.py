"""The write-ahead journal of orders: exact, ordered, and on the disk when `record` returns."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from example_live import example_order, example_session
from sovereign.core.errors import NotFoundError, RiskHaltError, UsageError
from sovereign.core.event import Notice, NoticeCode, Severity
from sovereign.core.order import Bracket, Order, OrderStatus, OrderType, TimeInForce
from sovereign.execution.broker import OrderJournal
from sovereign.store.order_journal import order_from_json, order_to_json
from sovereign.store.store import Store


def values(given):
    return {name: getattr(given, name) for name in Order.__slots__}


def begin(live):
    live.begin_session(example_session("s"))


@pytest.fixture
def store(store_url):
    with Store(store_url) as opened:
        begin(opened.live)
        yield opened


@pytest.mark.parametrize(
    "given",
    [
        example_order(),
        example_order(bracket=None, order_type=OrderType.TRAILING_STOP, trail_ticks=8, limit_ticks=None, reduce_only=True),
        example_order(
            time_in_force=TimeInForce.GTD,
            expire_ns=2**62,
            status=OrderStatus.PENDING_CANCEL,
            filled_qty=2,
            filled_ticks_sum=54_002,
            bracket=Bracket(stop_ticks=4, trail_ticks=6),
        ),
    ],
)
def test_order_when_written_and_read_then_is_the_same(given):
    assert values(order_from_json(order_to_json(given))) == values(given)


def test_journal_when_several_requests_come_at_once_then_all_are_kept_or_none(store):
    journal = store.live.journal("s")
    other = example_order()
    other.client_order_id = "flow-2-E"
    journal.record_all([(example_order(), "CANCEL", 1), (other, "NEW", 2)])
    found = store.live.requests("s")
    assert [(one.request, one.client_order_id) for one in found] == [("CANCEL", "flow-1-E"), ("NEW", "flow-2-E")]
    with pytest.raises(UsageError, match="request was 'SELL'"):
        journal.record_all([(example_order(), "NEW", 3), (other, "SELL", 3)])
    other.client_order_id = None  # which the table refuses
    with pytest.raises(RiskHaltError, match="NEW of order flow-1-E, NEW of order None could not be kept"):
        journal.record_all([(example_order(), "NEW", 4), (other, "NEW", 4)])
    assert len(store.live.requests("s")) == 2
    journal.record_all([(example_order(), "NEW", 5)])
    assert len(store.live.requests("s")) == 3
    journal.close()


def test_journal_when_it_has_recorded_then_tells_the_requests_in_order(store):
    journal: OrderJournal = store.live.journal("s")
    for number, request in enumerate(("NEW", "REPLACE", "CANCEL")):
        journal.record(example_order(), request, number)
    found = store.live.requests("s")
    assert [(request.request, request.ts, request.client_order_id) for request in found] == [
        ("NEW", 0, "flow-1-E"),
        ("REPLACE", 1, "flow-1-E"),
        ("CANCEL", 2, "flow-1-E"),
    ]
    assert values(found[0].order) == values(example_order())
    journal.close()


def test_journal_when_request_is_no_word_of_its_then_is_refused(store):
    with store.live.journal("s") as journal, pytest.raises(UsageError, match="request was 'MODIFY'; allowed are NEW"):
        journal.record(example_order(), "MODIFY", 1)


def test_journal_when_session_was_never_begun_then_is_not_found(store):
    with pytest.raises(NotFoundError, match="never begun"):
        store.live.journal("other")


def test_journal_when_the_database_refuses_then_says_that_the_order_may_not_leave_and_goes_on_later(store):
    with store.live.journal("s") as journal:
        with store.database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE order_requests RENAME TO away")
        with pytest.raises(RiskHaltError, match=r"NEW of order flow-1-E could not be kept .* may not leave"):
            journal.record(example_order(), "NEW", 1)
        with store.database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO order_requests")
        journal.record(example_order(), "NEW", 2)
    assert [request.ts for request in store.live.requests("s")] == [2]


def test_journal_when_audit_events_wait_then_keeps_them_in_the_same_commit(store):
    audit = store.live.audit("s")
    with store.live.journal("s", audit) as journal:
        for ts in (1, 2):
            audit(Notice(ts=ts, code=NoticeCode.DIGEST, severity=Severity.INFO, subject="x", text="t"))
        assert store.live.verify_audit("s").events == 0
        journal.record(example_order(), "NEW", 3)
        assert store.live.verify_audit("s").events == 2
        with store.database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE order_requests RENAME TO away")
        audit(Notice(ts=4, code=NoticeCode.DIGEST, severity=Severity.INFO, subject="x", text="t"))
        with pytest.raises(RiskHaltError):
            journal.record(example_order(), "CANCEL", 5)
        assert store.live.verify_audit("s").events == 2, "undone with the request that failed"
        with store.database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO order_requests")
        journal.record(example_order(), "CANCEL", 6)
        assert store.live.verify_audit("s").events == 3
    assert store.live.verify_audit("s").is_whole


def test_journal_when_its_process_is_killed_after_record_returned_then_the_request_is_there(store, store_url):
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]); from example_live import example_order; "
        "from sovereign.store.store import Store; journal = Store(sys.argv[1]).live.journal('s')\n"
        "for number in range(1000):\n"
        "    journal.record(example_order(f'o{number}'), 'NEW', number); print(number, flush=True)\n"
        "sys.stdin.read()"
    )
    tests = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", script, store_url, tests],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        for line in process.stdout:
            if int(line) >= 20:
                process.send_signal(signal.SIGKILL)
                break
        told = int(line)
        told = max([told, *map(int, process.stdout.read().split())])
    kept = [request.ts for request in store.live.requests("s")]
    assert kept[: told + 1] == list(range(told + 1))
    assert len(kept) <= told + 2


def test_journal_when_on_sqlite_then_waits_for_the_disk(tmp_path):
    with Store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        begin(store.live)
        engine = store.database.durable()
        with engine.connect() as connection, store.database.reading() as other:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
            assert other.exec_driver_sql("PRAGMA synchronous").scalar() == 1
        engine.dispose()


def test_journal_when_another_process_has_written_the_audit_chain_then_nothing_is_kept(store):
    audit, other = store.live.audit("s"), store.live.audit("s")
    notice = Notice(ts=1, code=NoticeCode.DIGEST, severity=Severity.INFO, subject="x", text="t")
    other(notice)
    other.flush()
    audit(notice)
    with store.live.journal("s", audit) as journal, pytest.raises(RiskHaltError):
        journal.record(example_order(), "NEW", 1)
    assert store.live.requests("s") == ()
    assert store.live.verify_audit("s").events == 1
