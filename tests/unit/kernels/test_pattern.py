"""The ten patterns on bars worked by hand: one that shows the pattern, one that just does not."""

from typing import Any

import numpy as np
import pytest

from sovereign.core.instrument import find_instrument
from sovereign.kernels.memory import write_pattern_config
from sovereign.kernels.order_flow_setting import PatternConfig
from sovereign.kernels.pattern import (
    PATTERN_CONFIG,
    PATTERN_STATE,
    absorption_zone,
    find_absorption,
    find_divergence,
    find_exhaustion,
    find_imbalance,
    find_stack,
    find_unfinished,
    is_ranked,
    open_auctions,
    remember_zones,
    start_pattern_session,
)
from sovereign.kernels.row import ROW

UP, DOWN = True, False


def _config(**changes: Any) -> np.ndarray:
    settings = PatternConfig(**changes)
    record = np.zeros(1, PATTERN_CONFIG)
    write_pattern_config(record, settings, settings.minimums_of(find_instrument("ES")))  # minimums 20, 150, 150
    return record


def _levels(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    # (bid, ask) from the highest price to the lowest, as a footprint is drawn.
    bid, ask = np.array(pairs[::-1], np.int64).T.copy()
    return bid, ask, bid + ask, len(pairs)


def _mirror(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(ask, bid) for bid, ask in pairs[::-1]]


# Imbalances: ask(p) against bid(p - 1).
BUYERS = [(4, 10), (6, 60), (20, 45), (30, 40)]  # 10/6 too small a volume; 60/20 = 3; 45/30 = 1.5; 40/missing = 40/1


def test_find_buy_imbalance_when_ratio_is_three_then_found_and_strength_is_a_tenth_of_it() -> None:
    bid, ask, _, n = _levels([*BUYERS[:3], (30, 19)])  # the lowest level is below the minimum volume of 20 now
    assert find_imbalance(bid, ask, n, UP, _config()) == (2, pytest.approx(0.3), 3.0)


def test_find_buy_imbalance_when_ratio_is_just_below_three_then_none() -> None:
    bid, ask, _, n = _levels([(4, 10), (6, 59), (20, 45), (30, 19)])
    level, strength, value = find_imbalance(bid, ask, n, UP, _config())
    assert level == -1
    assert np.isnan(strength)
    assert np.isnan(value)


def test_find_sell_imbalance_when_bar_is_mirrored_then_the_mirror() -> None:
    bid, ask, _, n = _levels(_mirror([*BUYERS[:3], (30, 19)]))
    assert find_imbalance(bid, ask, n, DOWN, _config()) == (1, pytest.approx(0.3), 3.0)
    assert find_imbalance(bid, ask, n, UP, _config())[0] == -1


def test_find_sell_imbalance_when_volume_is_below_the_minimum_then_none() -> None:
    bid, ask, _, n = _levels([(0, 5), (19, 40), (3, 10)])  # 19/5 = 3.8, but 19 contracts are below 20
    assert find_imbalance(bid, ask, n, DOWN, _config())[0] == -1


def test_find_imbalance_when_neighbor_did_not_trade_then_zero_counts_as_one_if_wanted() -> None:
    bid, ask, _, n = _levels(BUYERS)
    assert find_imbalance(bid, ask, n, UP, _config()) == (0, 1.0, 40.0)
    assert find_imbalance(bid, ask, n, UP, _config(zero_opposite_as_one=False)) == (2, pytest.approx(0.3), 3.0)


def test_find_imbalance_when_ratios_are_equal_then_larger_volume_then_further_along() -> None:
    bid, ask, _, n = _levels([(0, 60), (20, 90), (30, 60), (20, 0)])
    assert find_imbalance(bid, ask, n, UP, _config())[0] == 2
    bid, ask, _, n = _levels([(0, 60), (20, 60), (20, 60), (20, 0)])
    assert find_imbalance(bid, ask, n, UP, _config())[0] == 3


# Stacks: every level of these has a ratio of 4 on the diagonal.
STACK = [(0, 40), (10, 40), (10, 40), (10, 0)]


def test_find_stacked_buy_imbalance_when_three_in_a_row_then_top_of_the_stack() -> None:
    bid, ask, _, n = _levels(STACK)
    assert find_stack(bid, ask, n, UP, _config()) == (3, pytest.approx(0.6), 3.0)


def test_find_stacked_buy_imbalance_when_only_two_in_a_row_then_none() -> None:
    bid, ask, _, n = _levels([(0, 40), (10, 40), (10, 19), (10, 40), (10, 0)])
    assert find_stack(bid, ask, n, UP, _config())[0] == -1


def test_find_stacked_sell_imbalance_when_three_in_a_row_then_bottom_of_the_stack() -> None:
    bid, ask, _, n = _levels(_mirror(STACK))
    assert find_stack(bid, ask, n, DOWN, _config()) == (0, pytest.approx(0.6), 3.0)


def test_find_stacked_sell_imbalance_when_a_tick_between_did_not_trade_then_none() -> None:
    bid, ask, _, n = _levels(_mirror([(0, 40), (10, 40), (0, 0), (10, 40), (10, 0)]))
    assert find_stack(bid, ask, n, DOWN, _config())[0] == -1


# Exhaustion: buyers 200, 90, 40 up to the high; 40 <= 0.3 * 200.
FADING = [(5, 40), (30, 90), (60, 200), (80, 120)]


def test_find_buying_exhaustion_when_buyers_fade_into_the_high_then_decline() -> None:
    bid, ask, _, n = _levels(FADING)
    assert find_exhaustion(bid, ask, n, UP, _config()) == (3, pytest.approx(0.8), pytest.approx(0.8))


def test_find_buying_exhaustion_when_the_extreme_does_not_decline_then_none() -> None:
    # The decline stops before the extreme: anchored there, nothing is left.
    bid, ask, _, n = _levels([(5, 45), *FADING])
    assert find_exhaustion(bid, ask, n, UP, _config())[0] == -1


@pytest.mark.parametrize(
    "pairs",
    [
        [(5, 61), (30, 90), (60, 200), (80, 120)],  # 61 > 0.3 * 200
        [(5, 40), (30, 200), (60, 120), (80, 90)],  # two levels only
        [(5, 10), (30, 30), (60, 100), (80, 90)],  # 140 < 150
        [(5, 40), (30, 40), (60, 200), (80, 90)],  # not strictly declining
    ],
)
def test_find_buying_exhaustion_when_one_condition_fails_then_none(pairs: list[tuple[int, int]]) -> None:
    bid, ask, _, n = _levels(pairs)
    assert find_exhaustion(bid, ask, n, UP, _config())[0] == -1


def test_find_selling_exhaustion_when_bar_is_mirrored_then_the_mirror() -> None:
    bid, ask, _, n = _levels(_mirror(FADING))
    assert find_exhaustion(bid, ask, n, DOWN, _config()) == (0, pytest.approx(0.8), pytest.approx(0.8))


def test_find_selling_exhaustion_when_sellers_grow_into_the_low_then_none() -> None:
    bid, ask, _, n = _levels([(20, 30), (40, 30), (90, 30), (200, 30)])
    assert find_exhaustion(bid, ask, n, DOWN, _config())[0] == -1


# Absorption: 300 in the top three levels, 240 bought and 60 sold: share .8, delta .6; close at level 1 of 0..5.
ABSORBED = [(10, 60), (20, 80), (30, 100), (50, 40), (60, 50), (70, 60)]


def _absorption(pairs: list[tuple[int, int]], close: int, up: bool, **changes: Any) -> tuple[int, float, float]:
    bid, ask, volume, n = _levels(pairs)
    config = _config(**changes)
    zone, zone_volume = absorption_zone(volume, n, up, config)
    return find_absorption(bid, ask, n, close, up, zone, zone_volume, config)


def test_find_selling_absorption_when_buyers_fail_at_the_high_then_short() -> None:
    # Strength (1 - 1/5) * 240 / 150 / 2 = 0.64.
    assert _absorption(ABSORBED, 1, UP, absorption_progress_ticks=0) == (5, pytest.approx(0.64), pytest.approx(0.6))


def test_find_selling_absorption_when_close_is_in_the_upper_half_then_none() -> None:
    assert _absorption(ABSORBED, 3, UP, absorption_progress_ticks=0)[0] == -1


@pytest.mark.parametrize(
    "top",
    [
        [(10, 30), (20, 40), (10, 39)],  # 149 < 150
        [(40, 60), (40, 60), (41, 59)],  # share .597
        [(38, 65), (39, 65), (40, 60)],  # share .619, delta .24
    ],
)
def test_find_selling_absorption_when_the_zone_is_weak_then_none(top: list[tuple[int, int]]) -> None:
    assert _absorption([*top, (1, 1), (1, 1), (1, 1)], 0, UP, absorption_progress_ticks=0)[0] == -1


def test_find_buying_absorption_when_bar_is_mirrored_then_long() -> None:
    found = _absorption(_mirror(ABSORBED), 4, DOWN, absorption_progress_ticks=0)
    assert found == (0, pytest.approx(0.64), pytest.approx(-0.6))


def test_find_buying_absorption_when_sellers_closed_at_the_low_then_none() -> None:
    assert _absorption(_mirror(ABSORBED), 0, DOWN, absorption_progress_ticks=0)[0] == -1


@pytest.mark.parametrize(("progress", "expected"), [(0, (5, 6)), (1, (4, 105)), (2, (3, 305)), (3, (2, 306))])
def test_absorption_zone_when_price_went_beyond_then_only_so_far(progress: int, expected: tuple[int, int]) -> None:
    volume = np.array([1, 1, 7, 200, 99, 6, 0, 0], np.int64)
    assert absorption_zone(volume, 8, UP, _config(absorption_progress_ticks=progress)) == expected


def test_absorption_zone_when_bar_is_shorter_than_a_zone_then_none() -> None:
    assert absorption_zone(np.array([500, 500], np.int64), 2, UP, _config()) == (-1, 0)


def test_is_ranked_when_nine_tenths_are_not_above_then_true() -> None:
    state = np.zeros(1, PATTERN_STATE)
    config = _config(absorption_history_bars=5, absorption_warmup_bars=5)
    for k in range(4):
        remember_zones(state, config, 10 * k, 10 * k + 5)
    assert not is_ranked(state, config, 1_000)  # four bars known, five wanted
    remember_zones(state, config, 40, 45)
    # Ten zones 0, 5, .. 45: the nearest-rank 90th percentile is the ninth, 40.
    assert is_ranked(state, config, 40)
    assert not is_ranked(state, config, 39)
    remember_zones(state, config, 100, 100)  # the oldest bar, 0 and 5, is forgotten; now 10 .. 45, 100, 100
    assert not is_ranked(state, config, 99)
    assert is_ranked(state, config, 100)


def _divergence(bars: list[tuple[int, int, int]], **changes: Any) -> list[tuple[int, int, float]]:
    # bars: (high, low, cumulative delta); returns (side, price, value) per bar.
    rows = np.zeros(len(bars), ROW)
    rows["high"], rows["low"], rows["cumulative_delta"] = np.array(bars).T
    state = np.zeros(1, PATTERN_STATE)
    start_pattern_session(state)
    found = []
    for i in range(len(bars)):
        side, price, strength, value = find_divergence(state, _config(**changes), rows, i)
        if side:
            assert strength == 0.7
            found.append((i, side, price, value))
    return found


RISING = [
    (100, 98, 10),
    (101, 99, 20),
    (105, 100, 90),  # first swing high, cumulative delta 90
    (103, 99, 70),
    (102, 98, 50),
    (104, 99, 60),
    (107, 101, 65),  # higher high, delta 65: bearish, known two bars later
    (106, 100, 60),
    (105, 99, 50),
]


def test_find_divergence_when_higher_high_has_lower_delta_then_bearish_two_bars_later() -> None:
    assert _divergence(RISING) == [(8, -1, 107, -25.0)]


def test_find_divergence_when_delta_confirms_the_high_then_none() -> None:
    bars = [*RISING]
    bars[6] = (107, 101, 91)
    assert _divergence(bars) == []


def test_find_divergence_when_mirrored_then_bullish() -> None:
    bars = [(-low, -high, -flow) for high, low, flow in RISING]
    assert _divergence(bars) == [(8, 1, -107, 25.0)]


def test_find_divergence_when_swings_are_too_far_apart_then_none() -> None:
    assert _divergence(RISING, divergence_max_bars=3) == []
    assert _divergence(RISING, divergence_max_bars=4) == [(8, -1, 107, -25.0)]


def test_find_unfinished_when_both_sides_traded_at_the_extreme_then_their_balance() -> None:
    bid, ask, _, n = _levels([(4, 12), (9, 9), (7, 0)])
    assert find_unfinished(bid, ask, n - 1) == (pytest.approx(0.5), 4.0)  # 2 * 4 / 16


def test_find_unfinished_when_one_side_is_zero_then_finished() -> None:
    bid, ask, _, _ = _levels([(4, 12), (9, 9), (7, 0)])
    assert np.isnan(find_unfinished(bid, ask, 0)).all()


def _open(bars: list[tuple[int, int, bool, bool]], room: int) -> list[tuple[int, int, bool]]:
    rows = np.zeros(len(bars), ROW)
    rows["high"], rows["low"], rows["unfinished_high"], rows["unfinished_low"] = np.array(bars).T
    price, since, is_high = np.zeros(room, np.int64), np.zeros(room, np.int64), np.zeros(room, np.bool_)
    found = open_auctions(rows, len(rows), price, since, is_high)
    return list(zip(price[:found].tolist(), since[:found].tolist(), is_high[:found].tolist(), strict=True))


def test_open_auctions_when_price_comes_back_then_completed() -> None:
    bars = [(110, 100, True, True), (109, 101, True, False), (112, 105, False, True)]
    # The third bar trades through 110 and 109, and leaves 105; the low of the first bar still stands.
    assert _open(bars, 50) == [(100, 0, False), (105, 2, False)]


def test_open_auctions_when_more_than_kept_then_the_oldest_is_forgotten() -> None:
    bars = [(100 + 10 * k, 95 + 10 * k, False, True) for k in range(4)]
    assert _open(bars, 2) == [(115, 2, False), (125, 3, False)]
    assert _open(bars, 0) == []
