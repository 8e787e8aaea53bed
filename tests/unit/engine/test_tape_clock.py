"""Clocks of tapes: how many ticks lie before a time, shared by tapes that tick at the same times."""

from __future__ import annotations

import numpy as np

from sovereign.core.columns import Trades
from sovereign.core.instrument import find_instrument
from sovereign.core.session import NEVER
from sovereign.engine.tape import Tape, TapeClock, shared_clock

TS = np.array([10, 20, 20, 30], np.int64)


def test_clock_when_asked_then_counts_the_ticks_before_a_time():
    clock = TapeClock(TS)
    assert [clock.before(ts) for ts in (5, 10, 11, 20, 21, 21, 30, 31, NEVER, 20)] == [0, 0, 1, 1, 3, 3, 3, 4, 4, 1]
    assert TapeClock(TS[:0]).before(NEVER) == 0


def test_clock_when_others_tick_alike_then_is_shared_and_else_not():
    first, same, later, shorter = TapeClock(TS), TapeClock(TS.copy()), TapeClock(TS + 1), TapeClock(TS[:3])
    known: list[TapeClock] = []
    assert shared_clock(first, known) is first
    assert shared_clock(same, known) is first
    assert shared_clock(later, known) is later
    assert shared_clock(shorter, known) is shorter
    assert known == [first, later, shorter]


def test_tape_when_the_next_block_begins_then_counts_that_ones_ticks():
    column = np.zeros(4, np.int32)
    tape = Tape(find_instrument("ES"), 0, Trades(TS, column, column, np.zeros(4, np.int8)))
    assert tape.before(25) == 3
    tape.begin(Trades(TS + 100, column, column, np.zeros(4, np.int8)))
    assert tape.before(25) == 0
    assert tape.before(125) == 3
