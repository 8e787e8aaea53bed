"""Point of control and value area, worked by hand."""

import numpy as np
import pytest

from sovereign.kernels.profile import point_of_control, value_area


def _poc(volume: list[int]) -> int:
    return point_of_control(np.array(volume, np.int64), len(volume))


def _area(volume: list[int], fraction: float = 0.7, step: int = 1) -> tuple[int, int]:
    return value_area(np.array(volume, np.int64), len(volume), _poc(volume), fraction, step)


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ([1, 5, 2], 1),
        ([5, 1, 1, 5, 1], 3),  # tie: level 3 is 1 from the middle, level 0 is 2
        ([1, 5, 1, 5, 1], 1),  # tie at equal distance: the lower
        ([0, 0], 0),
        ([7], 0),
    ],
)
def test_point_of_control_when_levels_tie_then_nearest_the_middle_then_lower(volume: list[int], expected: int) -> None:
    assert _poc(volume) == expected


def test_value_area_when_one_side_is_heavier_then_it_joins_first() -> None:
    # 100 in all, 70 wanted: 40 at the control, then 20 above (60), then 15 below (75).
    assert _area([10, 15, 40, 20, 10, 5]) == (1, 3)


def test_value_area_when_sides_are_equal_then_both_join() -> None:
    # 50 + 10 above and 10 below: both neighbors are equal, both join and reach 70 of 100.
    assert _area([15, 10, 50, 10, 15]) == (1, 3)


def test_value_area_when_a_lonely_level_is_heavy_then_area_stays_contiguous() -> None:
    # The heaviest levels 1 and 7 hold 80 of 100; the area must still walk through the gap between them.
    assert _area([1, 45, 3, 3, 2, 3, 2, 35, 6]) == (1, 7)


def test_value_area_when_control_is_at_the_edge_then_grows_inward_only() -> None:
    assert _area([60, 20, 10, 10]) == (0, 1)


def test_value_area_when_step_is_two_then_pairs_are_compared() -> None:
    # Above 12 + 1 = 13, below 8 + 9 = 17: pairing goes down first where single levels go up first.
    volume = [1, 9, 8, 30, 12, 1]
    assert _area(volume, 0.6, 1) == (3, 4)
    assert _area(volume, 0.6, 2) == (1, 3)


def test_value_area_when_everything_is_wanted_then_the_whole_range() -> None:
    assert _area([1, 0, 3, 0, 2], 1.0) == (0, 4)


def test_value_area_when_profile_is_empty_then_minus_one() -> None:
    assert value_area(np.empty(0, np.int64), 0, -1, 0.7, 1) == (-1, -1)
