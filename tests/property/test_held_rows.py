"""Rows that somebody still holds are never written over, however they are held; and a stream lists the rows that wake."""

from __future__ import annotations

import numpy as np
import pytest

from sovereign.strategies.tug_of_war import TugOfWarStrategy
from tug_cases import config_of, market, streams_of

SYMBOLS = ("SPY", "QQQ", "NVDA", "CRWD")
CONFIG = config_of(conflict={"min_opposed": 0.3, "min_alone": 0.4}, exits={"flip_bars": 2})

WAYS = {
    "rows": lambda rows: rows,
    "slice": lambda rows: rows[1:-1:2],
    "field": lambda rows: rows["close"],
    "record": lambda rows: rows[3],
    "field of record": lambda rows: rows[3:4]["close"][0:1],
    "record array": lambda rows: rows.view(np.recarray)[2:],
    "bytes view": lambda rows: np.frombuffer(memoryview(rows), np.uint8),
    "memory view": lambda rows: memoryview(rows["close"]),
    "function": lambda rows: rows["conviction"].tobytes,
}


def said(held):
    if callable(held):
        return held()
    if isinstance(held, memoryview):
        return held.tobytes()
    return repr(held.tolist())


def advance(stream, trades, until_ns, cut):
    for start in range(0, len(trades), cut):
        part = trades.slice(start, min(len(trades), start + cut))
        stream.advance(part, int(part.ts[-1]))
        assert stream.waking.tolist() == stream.rows["wake"].nonzero()[0].tolist()
    stream.advance(trades.slice(len(trades), len(trades)), until_ns)
    assert stream.waking.tolist() == stream.rows["wake"].nonzero()[0].tolist()


@pytest.mark.parametrize("cut", [7, 61, 100_000])
def test_rows_when_held_in_any_way_then_later_sessions_leave_them_and_else_say_the_same(cut):
    days = market(4, 40, symbols=SYMBOLS)
    holding, free = (streams_of(TugOfWarStrategy(CONFIG), SYMBOLS) for _ in range(2))
    ways, kept, arrays, woken = list(WAYS), [], set(), 0
    for number, (session, tapes) in enumerate(days):
        for streams in (holding, free):
            for symbol in SYMBOLS:
                streams[symbol].start_session(session)
                if symbol in ("SPY", "QQQ"):
                    streams[symbol].advance(tapes[symbol], session.close_ns)
                else:
                    assert not len(streams[symbol].waking)
                    advance(streams[symbol], tapes[symbol], session.close_ns, cut)
        for symbol in SYMBOLS[2:]:
            rows, other = holding[symbol].rows, free[symbol].rows
            for name in rows.dtype.names:
                np.testing.assert_array_equal(rows[name], other[name])
            arrays.add(id(free[symbol].team._rows))
            woken += len(free[symbol].waking)
            if len(rows) > 8:
                held = WAYS[ways[number % len(ways)]](rows)
                kept.append((held, said(held)))
            del rows, other, held
    assert [n for n, (held, was) in enumerate(kept) if said(held) != was] == []
    assert len(arrays) < 10  # one that nobody holds is used again
    assert woken > 10
