"""Law of the audit chain: whatever is changed, removed, added or swapped afterwards is found, and where it begins is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update

from example_live import example_session
from example_run import example_events
from sovereign.store import live_schema
from sovereign.store.store import Store

EVENTS = list(example_events())
COUNT = 24
T = live_schema.audit_events
HEADS = live_schema.audit_heads


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store(f"sqlite:///{tmp_path_factory.mktemp('audit')}/store.sqlite") as opened:
        opened.live.begin_session(example_session("s"))
        sink = opened.live.audit("s")
        for event in EVENTS[:COUNT]:
            sink(event)
        sink.close()
        yield opened


def verdict_after(store, change):
    """Return the verdict on a changed chain; the change is undone."""
    with store.database.writing() as connection:
        rows = [dict(row) for row in connection.execute(select(T).order_by(T.c.seq)).mappings()]
        head = dict(connection.execute(select(HEADS)).mappings().one())
        change(connection, rows)
    try:
        return store.live.verify_audit("s")
    finally:
        with store.database.writing() as connection:
            connection.execute(delete(T))
            connection.execute(insert(T), rows)
            connection.execute(delete(HEADS))
            connection.execute(insert(HEADS).values(**head))


SEQ = st.integers(0, COUNT - 1)


@given(seq=SEQ, place=st.integers(0, 10_000), bits=st.integers(1, 255), column=st.sampled_from(["data", "hash"]))
def test_audit_when_any_byte_is_changed_then_the_event_is_named(store, seq, place, bits, column):
    def change(connection, rows):
        value = bytearray(rows[seq][column])
        value[place % len(value)] ^= bits
        connection.execute(update(T).where(T.c.seq == seq).values({column: bytes(value)}))

    verdict = verdict_after(store, change)
    assert (verdict.is_whole, verdict.broken_seq) == (False, seq)


@given(seq=SEQ, by=st.integers(-5, 5).filter(bool))
def test_audit_when_a_time_is_changed_then_the_event_is_named(store, seq, by):
    verdict = verdict_after(store, lambda c, _: c.execute(update(T).where(T.c.seq == seq).values(ts=T.c.ts + by)))
    assert verdict.broken_seq == seq


@given(seq=SEQ)
def test_audit_when_a_kind_is_changed_then_the_event_is_named(store, seq):
    verdict = verdict_after(store, lambda c, _: c.execute(update(T).where(T.c.seq == seq).values(kind="Nothing")))
    assert verdict.broken_seq == seq


@given(seq=SEQ, is_closed_up=st.booleans())
def test_audit_when_an_event_is_removed_then_is_found(store, seq, is_closed_up):
    def change(connection, rows):
        connection.execute(delete(T).where(T.c.seq == seq))
        if is_closed_up:
            for later in range(seq + 1, COUNT):
                connection.execute(update(T).where(T.c.seq == later).values(seq=later - 1))

    verdict = verdict_after(store, change)
    assert not verdict.is_whole
    # At the end there is nothing that does not fit: the head tells.
    assert verdict.broken_seq == (seq if seq < COUNT - 1 else None)


@given(one=SEQ, other=SEQ)
def test_audit_when_two_events_change_places_then_the_first_is_named(store, one, other):
    def change(connection, rows):
        connection.execute(update(T).where(T.c.seq == one).values(seq=-1))
        connection.execute(update(T).where(T.c.seq == other).values(seq=one))
        connection.execute(update(T).where(T.c.seq == -1).values(seq=other))

    verdict = verdict_after(store, change)
    assert verdict.is_whole == (one == other)
    assert verdict.broken_seq == (None if one == other else min(one, other))


@given(seq=SEQ)
def test_audit_when_an_event_is_repeated_then_is_found(store, seq):
    def change(connection, rows):
        for later in range(COUNT - 1, seq, -1):
            connection.execute(update(T).where(T.c.seq == later).values(seq=later + 1))
        connection.execute(insert(T).values(**{**rows[seq], "seq": seq + 1}))

    verdict = verdict_after(store, change)
    assert not verdict.is_whole


@given(kept=st.integers(0, COUNT - 1))
def test_audit_when_the_end_is_cut_off_then_the_head_tells(store, kept):
    verdict = verdict_after(store, lambda c, _: c.execute(delete(T).where(T.c.seq >= kept)))
    assert f"ends after {kept} events, but its head says {COUNT}" in verdict.broken


def test_audit_when_the_head_is_removed_or_moved_then_is_found(store):
    assert "head of the chain is missing" in verdict_after(store, lambda c, _: c.execute(delete(HEADS))).broken
    assert not verdict_after(store, lambda c, _: c.execute(update(HEADS).values(hash=b"\0" * 32))).is_whole
    assert not verdict_after(store, lambda c, _: c.execute(update(HEADS).values(events=COUNT - 1))).is_whole
    assert store.live.verify_audit("s").is_whole
