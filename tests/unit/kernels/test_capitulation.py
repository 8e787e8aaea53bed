"""Ranks of volumes among earlier ones, and what two ranks say together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sovereign.kernels.capitulation import BINS, count_volume, joint_conviction, volume_bin, volume_rank


def tree_of(volumes: list[int]) -> np.ndarray:
    tree = np.zeros(BINS + 1, np.int32)
    for volume in volumes:
        count_volume(tree, volume)
    return tree


def test_volume_rank_when_volumes_are_small_then_is_the_exact_mid_rank() -> None:
    # Of 10, 20, 20, 30: one is smaller than 20, two are equal; with itself (1 + 2/2 + 1/2) / 5.
    tree = tree_of([10, 20, 20, 30])
    assert volume_rank(tree, 20) == pytest.approx(2.5 / 5)
    assert volume_rank(tree, 5) == pytest.approx(0.5 / 5)
    assert volume_rank(tree, 99) == pytest.approx(4.5 / 5)


@given(st.lists(st.integers(0, 2**40), max_size=60), st.integers(0, 2**62))
def test_volume_rank_when_any_history_then_is_off_by_no_more_than_the_ties_within_one_bin(history: list[int], v: int) -> None:
    less, equal = sum(h < v for h in history), sum(h == v for h in history)
    exact = (less + 0.5 * equal + 0.5) / (len(history) + 1)
    near = sum(h != v and max(h, v) <= 1.0111 * min(h, v) + 1e-9 for h in history)
    assert abs(volume_rank(tree_of(history), v) - exact) <= (0.5 * near + 1e-9) / (len(history) + 1)


@given(st.integers(-5, 2**62), st.integers(-5, 2**62))
def test_volume_bin_when_volumes_rise_then_never_falls(a: int, b: int) -> None:
    low, high = min(a, b), max(a, b)
    assert 0 <= volume_bin(low) <= volume_bin(high) < BINS


def test_volume_rank_when_nothing_is_special_then_is_uniform() -> None:
    rng = np.random.default_rng(4)
    tree, ranks = np.zeros(BINS + 1, np.int32), []
    for volume in rng.lognormal(12, 1.0, 6_000).astype(np.int64):
        ranks.append(volume_rank(tree, int(volume)))
        count_volume(tree, int(volume))
    assert stats.kstest(ranks[1_000:], "uniform").pvalue > 0.01


@pytest.mark.parametrize(("one", "other"), [(0.5, 0.5), (0.9, 0.975), (0.2, 0.99), (0.0, 0.3)])
def test_joint_conviction_when_two_ranks_are_given_then_is_fishers_combination(one: float, other: float) -> None:
    expected = stats.combine_pvalues([1 - one, 1 - other], method="fisher").pvalue
    assert joint_conviction(one, other) == pytest.approx(100 * (1 - expected))


def test_joint_conviction_when_a_rank_is_unknown_then_is_unknown() -> None:
    assert math.isnan(joint_conviction(math.nan, 0.5))
    assert joint_conviction(1.0, 0.5) == 100.0
    assert joint_conviction(0.0, 0.0) == 0.0
