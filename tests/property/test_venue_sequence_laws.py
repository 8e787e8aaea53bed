"""However a network repeats, loses and reorders what the venue says, it comes out once and as it happened."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sovereign.core.columns import Quotes, Trades
from sovereign.core.order import OrderEvent
from sovereign.execution.brokers.venue_sequence import Resequencer
from sovereign.execution.venue.protocol import (
    Report,
)
from sovereign.execution.venue.tape_slice import TapeSlice

DAY = date(2025, 11, 17)


def said(rng: Random, steps: int) -> list[Report | TapeSlice]:
    """Return what a venue says in a session: reports, and slices that follow them; some slices only promise time."""
    messages: list[Report | TapeSlice] = []
    seq = ticks = until = 0
    for _ in range(steps):
        for _ in range(rng.choice([0, 0, 1, 2])):
            seq += 1
            messages.append(Report(seq=seq, cause=OrderEvent.ACCEPT, client_order_id=f"O{seq}", ts=until))
        rows = rng.choice([0, 1, 5])
        ts = np.arange(ticks, ticks + rows, dtype=np.int64)
        trades = Trades(ts, np.ones(rows, np.int32), np.ones(rows, np.int32), np.ones(rows, np.int8))
        until += 10
        messages.append(TapeSlice(DAY, "ES", ticks, until, seq, trades))
        ticks += rows
    return messages


def sent_again(part: TapeSlice, cut: int) -> TapeSlice:
    return part.behind(part.first + cut)


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 12), loss=st.sampled_from([0.0, 0.3]), ticks=st.integers(0, 4))
def test_messages_when_lost_repeated_and_reordered_then_told_once_in_order(seed, steps, loss, ticks):
    random = Random(seed)
    messages = said(random, steps)
    last = [m for m in messages if isinstance(m, TapeSlice)][-1]
    start = min(ticks, last.stop)
    sequence = Resequencer()
    sequence.start(DAY, "ES", start, 0)
    told: list[Report | TapeSlice] = []
    rounds = 0
    while sequence.seq < last.after or sequence.until_ns["ES"] < last.until_ns:
        rounds += 1
        assert rounds < 200
        wire = [m for m in messages if random.random() >= loss]
        wire += [random.choice(messages) for _ in range(3)]
        random.shuffle(wire)
        for message in wire:
            if isinstance(message, Report):
                sequence.add_report(message)
            else:
                sequence.add_slice(sent_again(message, random.randint(0, 2)) if random.random() < 0.2 else message)
            told += sequence.take()
    reports = [m.seq for m in told if isinstance(m, Report)]
    slices = [m for m in told if isinstance(m, TapeSlice)]
    assert reports == list(range(1, last.after + 1))
    rows = [ts for part in slices for ts in part.trades.ts.tolist()]
    assert rows == list(range(start, last.stop))
    assert all(a.until_ns <= b.until_ns for a, b in pairwise(slices))
    known = 0
    for item in told:
        if isinstance(item, Report):
            known = item.seq
        else:
            assert known >= item.after


@given(seed=st.integers(0, 2**32), steps=st.integers(2, 12), hole=st.integers(0, 40))
def test_gap_when_a_message_never_comes_then_known_and_nothing_behind_it_is_told(seed, steps, hole):
    messages = said(Random(seed), steps)
    hole %= len(messages)
    missing = messages[hole]
    sequence = Resequencer()
    sequence.start(DAY, "ES", 0, 0)
    for message in messages[:hole] + messages[hole + 1 :]:
        if isinstance(message, Report):
            sequence.add_report(message)
        else:
            sequence.add_slice(message)
    told = sequence.take()
    end = [m for m in messages if isinstance(m, TapeSlice)][-1]
    if isinstance(missing, Report):
        assert all(m.seq < missing.seq for m in told if isinstance(m, Report))
        assert all(m.after < missing.seq for m in told if isinstance(m, TapeSlice))
        assert sequence.misses_private
    elif len(missing.trades):
        assert all(m.stop <= missing.first for m in told if isinstance(m, TapeSlice))
        assert sequence.misses_tape("ES", end.until_ns)
    sequence.add_report(missing) if isinstance(missing, Report) else sequence.add_slice(missing)
    sequence.take()
    assert not sequence.misses_private
    assert not sequence.misses_tape("ES", end.until_ns)


def quoted(rng: Random, steps: int) -> list[TapeSlice]:
    """Slices of ticks and quotes; the first quotes lag behind, as when a history is asked for."""
    slices, ticks, known = [], 0, 0
    for number in range(1, steps + 1):
        until, rows = number * 10, rng.choice([0, 0, 2])
        ts = np.full(rows, until - 1, np.int64)
        trades = Trades(ts, np.ones(rows, np.int32), np.ones(rows, np.int32), np.ones(rows, np.int8))
        whole = min(until, known + rng.choice([5, 10, 20]))
        times = np.arange(known, whole, dtype=np.int64)
        book = Quotes(times, *(np.full(len(times), side, np.int32) for side in range(4)))
        slices.append(TapeSlice(DAY, "NVDA", ticks, until, 0, trades, book, known, whole))
        ticks, known = ticks + rows, whole
    return slices


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 12), loss=st.sampled_from([0.0, 0.3]), start=st.integers(0, 12))
def test_quotes_when_slices_are_lost_repeated_and_reordered_then_each_comes_once_in_order(seed, steps, loss, start):
    random = Random(seed)
    slices = quoted(random, steps)
    last = slices[-1]
    sequence = Resequencer()
    sequence.start(DAY, "NVDA", 0, 0)
    sequence.start_quotes("NVDA", start)
    told: list[TapeSlice] = []
    rounds = 0
    while sequence.until_ns["NVDA"] < last.until_ns or sequence.quoted_ns["NVDA"] < last.quotes_until_ns:
        rounds += 1
        assert rounds < 200
        wire = [part for part in slices if random.random() >= loss] + [random.choice(slices) for _ in range(3)]
        random.shuffle(wire)
        for part in wire:
            again = part.behind(part.first, part.quotes_from_ns + random.randint(0, 3)) if random.random() < 0.2 else part
            sequence.add_slice(again)
            told += [one for one in sequence.take() if isinstance(one, TapeSlice)]
    times = [ts for part in told if part.quotes is not None for ts in part.quotes.ts.tolist()]
    assert times == list(range(start, last.quotes_until_ns))
    assert sum(len(part.trades) for part in told) == last.stop
    assert not sequence.misses_tape("NVDA", last.until_ns)


def test_quotes_when_a_slice_of_time_alone_never_comes_then_the_gap_is_known():
    slices = quoted(Random(5), 3)
    empty = [
        TapeSlice(DAY, "NVDA", 0, p.until_ns, 0, Trades.empty(), p.quotes, p.quotes_from_ns, p.quotes_until_ns) for p in slices
    ]
    sequence = Resequencer()
    sequence.start(DAY, "NVDA", 0, 0)
    sequence.start_quotes("NVDA", 0)
    sequence.add_slice(empty[0])
    sequence.add_slice(empty[2])
    assert len(sequence.take()) == 1
    assert sequence.misses_tape("NVDA", empty[0].until_ns)
    sequence.add_slice(empty[1])
    assert len(sequence.take()) == 2
    assert not sequence.misses_tape("NVDA", empty[2].until_ns)


def test_slices_when_nobody_asked_for_quotes_then_those_that_carry_some_are_taken_for_their_ticks():
    sequence = Resequencer()
    sequence.start(DAY, "NVDA", 0, 0)
    for part in quoted(Random(3), 4):
        sequence.add_slice(part)
        assert len(sequence.take()) == 1
