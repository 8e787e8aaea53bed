"""The write-ahead journal of orders: exact, ordered, and on the disk when `record` returns."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from sovereign.core.errors import NotFoundError, RiskHaltError, UsageError
from sovereign.core.event import Notice, NoticeCode, Severity
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, Order, OrderRole, OrderStatus, OrderType, Side, TimeInForce
from sovereign.execution.broker import OrderJournal
from sovereign.store.live import LiveSession
from sovereign.store.order_journal import order_from_json, order_to_json
from sovereign.store.store import Store


def order(name="flow-1-E", **changes):
    return Order(
        **{
            "client_order_id": name,
            "instrument": replace(find_instrument("MESH6"), fee_per_side=Decimal("0.3700")),
            "tape": "ESH6",
            "side": Side.SELL,
            "order_type": OrderType.LIMIT,
            "quantity": 3,
            "submitted_ns": 1_767_600_000_000_000_001,
            "active_ns": 1_767_600_000_050_000_001,
            "role": OrderRole.ENTRY,
            "limit_ticks": 27_001,
            "bracket": Bracket(stop_ticks=16, target_ticks=24),
            "decision_id": "flow-20260105-ES-00001",
            **changes,
        }
    )


def values(given):
    return {name: getattr(given, name) for name in Order.__slots__}


def begin(live, name="s"):
    live.begin_session(
        LiveSession(
            id=name,
            account="A1",
            strategy="flow",
            mode="paper",
            trade_date=date(2026, 1, 5),
            recording_path="r",
            started_ns=1,
            code_hash="c",
            config_hash="d",
        )
    )


@pytest.fixture
def store(store_url):
    with Store(store_url) as opened:
        begin(opened.live)
        yield opened


@pytest.mark.parametrize(
    "given",
    [
        order(),
        order(bracket=None, order_type=OrderType.TRAILING_STOP, trail_ticks=8, limit_ticks=None, reduce_only=True),
        order(
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


def test_journal_when_it_has_recorded_then_tells_the_requests_in_order(store):
    journal: OrderJournal = store.live.journal("s")
    for number, request in enumerate(("NEW", "REPLACE", "CANCEL")):
        journal.record(order(), request, number)
    found = store.live.requests("s")
    assert [(request.request, request.ts, request.client_order_id) for request in found] == [
        ("NEW", 0, "flow-1-E"),
        ("REPLACE", 1, "flow-1-E"),
        ("CANCEL", 2, "flow-1-E"),
    ]
    assert values(found[0].order) == values(order())
    journal.close()


def test_journal_when_request_is_no_word_of_its_then_is_refused(store):
    with store.live.journal("s") as journal, pytest.raises(UsageError, match="request was 'MODIFY'; allowed are NEW"):
        journal.record(order(), "MODIFY", 1)


def test_journal_when_session_was_never_begun_then_is_not_found(store):
    with pytest.raises(NotFoundError, match="never begun"):
        store.live.journal("other")


def test_journal_when_the_database_refuses_then_says_that_the_order_may_not_leave_and_goes_on_later(store):
    with store.live.journal("s") as journal:
        with store.database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE order_requests RENAME TO away")
        with pytest.raises(RiskHaltError, match=r"NEW of order flow-1-E could not be kept .* may not leave"):
            journal.record(order(), "NEW", 1)
        with store.database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO order_requests")
        journal.record(order(), "NEW", 2)
    assert [request.ts for request in store.live.requests("s")] == [2]


def test_journal_when_audit_events_wait_then_keeps_them_in_the_same_commit(store):
    audit = store.live.audit("s")
    with store.live.journal("s", audit) as journal:
        for ts in (1, 2):
            audit(Notice(ts=ts, code=NoticeCode.DIGEST, severity=Severity.INFO, subject="x", text="t"))
        assert store.live.verify_audit("s").events == 0
        journal.record(order(), "NEW", 3)
        assert store.live.verify_audit("s").events == 2
        with store.database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE order_requests RENAME TO away")
        audit(Notice(ts=4, code=NoticeCode.DIGEST, severity=Severity.INFO, subject="x", text="t"))
        with pytest.raises(RiskHaltError):
            journal.record(order(), "CANCEL", 5)
        assert store.live.verify_audit("s").events == 2, "undone with the request that failed"
        with store.database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO order_requests")
        journal.record(order(), "CANCEL", 6)
        assert store.live.verify_audit("s").events == 3
    assert store.live.verify_audit("s").is_whole


def test_journal_when_its_process_is_killed_after_record_returned_then_the_request_is_there(store, store_url):
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]); from test_order_journal import order; "
        "from sovereign.store.store import Store; journal = Store(sys.argv[1]).live.journal('s')\n"
        "for number in range(1000):\n"
        "    journal.record(order(f'o{number}'), 'NEW', number); print(number, flush=True)\n"
        "sys.stdin.read()"
    )
    tests = os.pathsep.join((os.path.dirname(__file__), os.path.join(os.path.dirname(__file__), "..", "..")))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((os.environ["PYTHONPATH"], tests))}
    with subprocess.Popen(
        [sys.executable, "-c", script, store_url, os.path.dirname(__file__)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
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
