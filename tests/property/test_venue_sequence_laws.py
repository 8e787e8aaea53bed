"""However a network repeats, loses and reorders what the venue says, it comes out once and as it happened."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sovereign.core.columns import Trades
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
