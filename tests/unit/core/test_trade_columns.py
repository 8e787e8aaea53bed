"""Trades joined: what is known of the quotes before them."""

from __future__ import annotations

import numpy as np

from sovereign.core.columns import Trades


def trades(ts, bid=None):
    quote = {} if bid is None else {"bid": np.array([bid], np.int32), "ask": np.array([bid + 2], np.int32)}
    return Trades(np.array([ts]), np.array([100], np.int32), np.array([1], np.int32), np.zeros(1, np.int8), **quote)


def test_parts_when_one_has_no_rows_then_the_quotes_of_the_others_are_kept():
    for parts in ([trades(1, 99), Trades.empty(), trades(2, 98)], [Trades.empty(), trades(1, 99), trades(2, 98)]):
        joined = Trades.concat(parts)
        assert (joined.bid.tolist(), joined.ask.tolist(), joined.ts.tolist()) == ([99, 98], [101, 100], [1, 2])


def test_parts_when_one_with_rows_has_no_quotes_then_none_are_kept():
    assert Trades.concat([trades(1, 99), trades(2)]).bid is None


def test_parts_when_none_has_rows_then_there_are_none():
    assert len(Trades.concat([Trades.empty(), Trades.empty()])) == 0
    assert len(Trades.concat([])) == 0
