"""What refused candidates would have made: worked by hand, and against a plain scan."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.kernels.outcome import ExitKind, counterfactual


def outcome(
    price: list[int], side: int, stop: int, target: int, *, entry: int = 0, end: int | None = None, through: bool = True
) -> tuple[float, int, ExitKind]:
    ticks, index, kind = counterfactual(
        np.array(price, np.int32),
        np.array([entry]),
        np.array([side], np.int8),
        np.array([stop]),
        np.array([target]),
        np.array([len(price) if end is None else end]),
        through,
    )
    return float(ticks[0]), int(index[0]), ExitKind(kind[0])


@pytest.mark.parametrize(
    ("price", "side", "through", "expected"),
    [
        ([100, 104, 106, 107], 1, True, (6.0, 3, ExitKind.TARGET)),  # a touch is not a fill
        ([100, 104, 106, 107], 1, False, (6.0, 2, ExitKind.TARGET)),
        ([100, 94, 93], -1, True, (6.0, 2, ExitKind.TARGET)),
        ([100, 120], 1, True, (6.0, 1, ExitKind.TARGET)),  # a limit never fills better than its price
        ([100, 96, 110], 1, True, (-4.0, 1, ExitKind.STOP)),  # a stop triggers at a touch
        ([100, 90, 110], 1, True, (-10.0, 1, ExitKind.STOP)),  # and pays the gap
        ([100, 105], -1, True, (-5.0, 1, ExitKind.STOP)),
        ([100, 101, 103], 1, True, (3.0, 2, ExitKind.END)),
        ([100], 1, True, (0.0, 0, ExitKind.END)),
    ],
)
def test_outcome_when_worked_by_hand_then_as_expected(
    price: list[int], side: int, through: bool, expected: tuple[float, int, ExitKind]
) -> None:
    assert outcome(price, side, 4, 6, through=through) == expected


def test_outcome_when_the_end_comes_first_then_nothing_after_it_counts() -> None:
    assert outcome([100, 101, 90, 80], 1, 4, 6, end=2) == (1.0, 1, ExitKind.END)


def test_outcome_when_there_is_no_stop_or_no_target_then_the_other_decides() -> None:
    assert outcome([100, 50, 107], 1, 0, 6) == (6.0, 2, ExitKind.TARGET)
    assert outcome([100, 150, 96], 1, 4, 0) == (-4.0, 2, ExitKind.STOP)


@pytest.mark.parametrize(("entry", "end", "side"), [(3, 3, 1), (-1, 3, 1), (7, 9, 1), (0, 3, 0)])
def test_outcome_when_nothing_can_be_entered_then_unknown(entry: int, end: int, side: int) -> None:
    ticks, index, kind = outcome([100, 101, 102], side, 4, 6, entry=entry, end=end)
    assert np.isnan(ticks)
    assert (index, kind) == (-1, ExitKind.NONE)


def _scan(price: np.ndarray, entry: int, side: int, stop: int, target: int, end: int, through: bool) -> tuple[float, int]:
    for i in range(entry + 1, end):
        move = side * (int(price[i]) - int(price[entry]))
        if stop and move <= -stop:
            return float(move), i
        if target and move >= target + through:
            return float(target), i
    return float(side * (int(price[end - 1]) - int(price[entry]))), end - 1


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 3_000),
    stop=st.integers(0, 40),
    target=st.integers(0, 40),
    through=st.booleans(),
)
def test_outcome_when_compared_with_a_plain_scan_then_equal(
    seed: int, count: int, stop: int, target: int, through: bool
) -> None:
    rng = np.random.default_rng(seed)
    price = (20_000 + np.cumsum(rng.integers(-1, 2, count))).astype(np.int32)
    entry = rng.integers(0, count, 20)
    end = np.array([rng.integers(start + 1, count + 1) for start in entry])
    side = rng.choice(np.array([-1, 1], np.int8), 20)
    ticks, index, _ = counterfactual(price, entry, side, np.full(20, stop), np.full(20, target), end, through)
    for n in range(20):
        expected = _scan(price, int(entry[n]), int(side[n]), stop, target, int(end[n]), through)
        assert (ticks[n], index[n]) == expected
