"""Aggressor rules against worked examples."""

from __future__ import annotations

import numpy as np
import pytest

from sovereign.core.columns import NO_QUOTE, Quotes
from sovereign.feeds.importing.aggressor import prevailing_quotes, quote_rule, tick_rule


def int32(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


@pytest.mark.parametrize(
    ("prices", "sides"),
    [
        ([], []),
        ([5], [0]),
        ([5, 5, 6, 6, 6, 5, 5, 7], [0, 0, 1, 1, 1, -1, -1, 1]),
        ([7, 6, 6, 7], [0, -1, -1, 1]),
        ([2**31 - 1, -(2**31) + 1], [0, -1]),
    ],
)
def test_tick_rule_when_prices_move_then_the_last_change_decides(prices: list[int], sides: list[int]) -> None:
    assert tick_rule(int32(*prices)).tolist() == sides


def test_quote_rule_when_compared_with_the_midpoint_then_side_and_none_at_it() -> None:
    # bid 10, ask 12, midpoint 11; then bid 10, ask 11, midpoint 10.5
    price, bid, ask = int32(12, 11, 10, 11, 10, 13, 9), int32(10, 10, 10, 10, 10, 10, 10), int32(12, 12, 12, 11, 11, 12, 12)
    assert quote_rule(price, bid, ask).tolist() == [1, 0, -1, 1, -1, 1, -1]


def test_quote_rule_when_quote_is_locked_crossed_or_unknown_then_none() -> None:
    price = int32(10, 10, 10, 10)
    assert quote_rule(price, int32(9, 9, NO_QUOTE, 8), int32(9, 8, 11, NO_QUOTE)).tolist() == [0, 0, 0, 0]


def test_prevailing_quotes_when_times_are_equal_then_the_one_strictly_before() -> None:
    quotes = Quotes(
        np.array([10, 20, 20, 30], np.int64), int32(1, 2, 3, 4), int32(5, 6, 7, 8), int32(1, 1, 1, 0), int32(1, 1, 1, 1)
    )
    bid, ask = prevailing_quotes(np.array([5, 10, 11, 20, 21, 31], np.int64), quotes)
    assert bid.tolist() == [NO_QUOTE, NO_QUOTE, 1, 1, 3, NO_QUOTE]
    assert ask.tolist() == [NO_QUOTE, NO_QUOTE, 5, 5, 7, 8]


def test_prevailing_quotes_when_there_are_none_then_unknown() -> None:
    empty = np.empty(0, np.int32)
    bid, ask = prevailing_quotes(np.array([1], np.int64), Quotes(np.empty(0, np.int64), empty, empty, empty, empty))
    assert (bid.tolist(), ask.tolist()) == ([NO_QUOTE], [NO_QUOTE])
