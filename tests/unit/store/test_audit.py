"""The audit chain: what it is made of, what a replay is compared with, and how gaps in writing are borne."""

import hashlib
from dataclasses import replace

import pytest

from example_live import example_session
from example_run import example_events
from sovereign.core.errors import NotFoundError, RiskHaltError, UsageError
from sovereign.core.event import encode
from sovereign.store.configuration import StoreConfig
from sovereign.store.store import Store

EVENTS = list(example_events())


def begin(store, name="s"):
    store.live.begin_session(example_session(name))


@pytest.fixture
def store(store_url):
    with Store(StoreConfig(url=store_url, audit_batch=10)) as opened:
        begin(opened)
        yield opened


def write(store, events, name="s"):
    sink = store.live.audit(name)
    for event in events:
        sink(event)
    sink.close()
    return sink


def test_chain_when_written_then_each_hash_is_of_the_one_before_and_the_canonical_bytes(store):
    write(store, EVENTS)
    expected = hashlib.sha256(b"s").digest()
    rows = store.live.audit_events("s")
    assert len(rows) == len(EVENTS)
    for event, row in zip(EVENTS, rows, strict=True):
        expected = hashlib.sha256(expected + encode(event)).digest()
        assert (row.digest, row.ts, row.kind) == (expected.hex(), event.ts, type(event).__name__)
        assert row.text.encode() + b"\n" == encode(event)
    verdict = store.live.verify_audit("s")
    assert (verdict.is_whole, verdict.events, verdict.head) == (True, len(EVENTS), expected.hex())


def test_events_when_asked_by_number_and_kind_then_only_those(store):
    write(store, EVENTS)
    assert [row.seq for row in store.live.audit_events("s", since=3, limit=2)] == [3, 4]
    assert {row.kind for row in store.live.audit_events("s", kind="TradeClosed")} == {"TradeClosed"}


def test_chain_when_empty_then_is_whole(store):
    assert store.live.verify_audit("s").is_whole
    assert store.live.audited() == ["s"]


def test_sink_when_batch_is_full_then_writes_it(store):
    sink = store.live.audit("s")
    for event in EVENTS[:25]:
        sink(event)
    assert store.live.verify_audit("s").events == 20
    sink.flush()
    assert store.live.verify_audit("s").events == 25


def test_sink_when_session_was_never_begun_then_is_not_found(store):
    with pytest.raises(NotFoundError, match="never begun"):
        store.live.audit("other")


def test_replay_when_it_brings_the_same_events_then_only_what_follows_is_added(store):
    whole = write(store, EVENTS).head
    begin(store, "t")
    first = write(store, EVENTS[:30], "t")
    again = store.live.audit("t")
    assert again.is_replaying
    for event in EVENTS[:28]:
        again(event)
    assert store.live.verify_audit("t").events == 30
    for event in EVENTS[28:]:
        again(event)
    again.close()
    assert again.finish_replay() is None
    assert not again.is_replaying
    rows = store.live.audit_events("t")
    assert (len(rows), rows[29].digest) == (len(EVENTS), first.head)
    assert [row.text for row in rows] == [row.text for row in store.live.audit_events("s")]
    assert store.live.verify_audit("t").head != whole, "a chain is bound to its session"


def test_replay_when_an_event_differs_then_is_told_and_the_stored_chain_stands(store):
    write(store, EVENTS[:30])
    again = store.live.audit("s")
    for number, event in enumerate(EVENTS[:30]):
        again(replace(event, ts=event.ts + 1) if number == 7 else event)
    difference = again.finish_replay()
    assert (difference.seq, difference.stored.kind) == (7, type(EVENTS[7]).__name__)
    assert f'"ts":{EVENTS[7].ts + 1}' in difference.replayed
    again(EVENTS[30])
    again.close()
    assert [row.text.encode() + b"\n" for row in store.live.audit_events("s")] == [encode(event) for event in EVENTS[:31]]
    assert store.live.verify_audit("s").is_whole


def test_replay_when_it_ends_early_then_says_what_was_expected_next(store):
    write(store, EVENTS[:30])
    again = store.live.audit("s")
    for event in EVENTS[:12]:
        again(event)
    difference = again.finish_replay()
    assert (difference.seq, difference.replayed) == (12, None)
    assert difference.stored.text.encode() + b"\n" == encode(EVENTS[12])
    again(EVENTS[30])
    again.close()
    assert store.live.verify_audit("s").events == 31


def test_sink_when_another_process_has_written_then_refuses_rather_than_fork_the_chain(store):
    one, other = store.live.audit("s"), store.live.audit("s")
    one(EVENTS[0])
    one.flush()
    other(EVENTS[1])
    with pytest.raises(UsageError, match="another process writes it"):
        other.flush()
    assert store.live.verify_audit("s").events == 1


def test_sink_when_database_cannot_be_written_then_keeps_events_until_the_bound(store_url):
    with Store(StoreConfig(url=store_url, audit_batch=2, audit_pending=6)) as store:
        begin(store)
        sink = store.live.audit("s")
        with store.database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE audit_events RENAME TO away")
        for event in EVENTS[:5]:
            sink(event)
        with pytest.raises(RiskHaltError, match="6 audit events could not be written"):
            sink(EVENTS[5])
        with store.database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO audit_events")
        sink(EVENTS[6])
        sink.close()
        verdict = store.live.verify_audit("s")
        assert (verdict.is_whole, verdict.events) == (True, 7)
