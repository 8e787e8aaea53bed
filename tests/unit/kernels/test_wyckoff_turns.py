"""Springs and upthrusts on bars made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sovereign.kernels.market_row import FIELDS, WYCKOFF, Field, Phase, Swing
from sovereign.kernels.wyckoff import cycle_phase
from sovereign.signals.market_regime import BarHistory
from sovereign.signals.wyckoff import WyckoffConfig, WyckoffReader

CONFIG = WyckoffConfig(range_bars=10, trend_bars=10, min_trend=0.5)
ATR = 10.0
LOW, HIGH = 1_000.0, 1_050.0
VOLUME = 100.0


def turns(bars, fall=200.0, config=CONFIG, mirrored=False):
    """A fall of ten bars, a range of ten between 1,000 and 1,050, then `bars` of (low or high, close, volume)."""
    count = 20 + len(bars)
    history = BarHistory(count, is_linked=False)
    h = history.values
    assert h.shape[0] == FIELDS
    h[Field.ATR, :count] = ATR
    h[Field.VOLUME, :count] = VOLUME
    h[Field.CLOSE, :11] = np.linspace(1_025.0 + fall, 1_025.0, 11)
    h[Field.CLOSE, 11:20] = 1_025.0
    h[Field.LOW, :20], h[Field.HIGH, :20] = LOW, HIGH
    for n, (low, close, volume) in enumerate(bars, 20):
        h[Field.LOW, n], h[Field.HIGH, n], h[Field.CLOSE, n], h[Field.VOLUME, n] = low, HIGH, close, volume
    if mirrored:
        low, high, close = 2_050.0 - h[Field.HIGH], 2_050.0 - h[Field.LOW], 2_050.0 - h[Field.CLOSE]
        h[Field.LOW], h[Field.HIGH], h[Field.CLOSE] = low, high, close
    found = WyckoffReader(config).update(history, 0, count, np.zeros(count))
    assert found.dtype == WYCKOFF
    return found[20:]


IN_RANGE = (1_010.0, 1_020.0, VOLUME)


@pytest.mark.parametrize("mirrored", [False, True], ids=["spring", "upthrust"])
@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        ([(995.0, 1_005.0, 80.0)], [Swing.QUIET]),
        ([(995.0, 1_005.0, 120.0)], [Swing.ORDINARY]),
        ([(995.0, 1_005.0, 160.0)], [Swing.HEAVY]),
        # Exactly one ATR is still a spring, more is a breakdown.
        ([(990.0, 1_005.0, 80.0)], [Swing.QUIET]),
        ([(989.0, 1_005.0, 80.0)], [Swing.NONE]),
        # Back within three bars, not later.
        ([(995.0, 998.0, 80.0), (996.0, 997.0, 80.0), (996.0, 997.0, 80.0), (996.0, 1_004.0, 80.0)], [0, 0, 0, Swing.QUIET]),
        ([*[(996.0, 997.0, 80.0)] * 4, (999.5, 1_004.0, 80.0)], [0, 0, 0, 0, 0]),
        # It goes on falling beyond one ATR before it is back.
        ([(995.0, 998.0, 80.0), (985.0, 1_005.0, 80.0)], [0, 0]),
        # The busiest bar below support says what the break is worth.
        ([(995.0, 998.0, 170.0), (996.0, 1_004.0, 50.0)], [0, Swing.HEAVY]),
        # An ordinary one is traded after a test near the level, on less volume, that holds.
        ([(995.0, 1_005.0, 120.0), IN_RANGE, (1_003.0, 1_008.0, 90.0)], [Swing.ORDINARY, 0, Swing.TESTED]),
        ([(995.0, 1_005.0, 120.0), IN_RANGE, (1_003.0, 1_008.0, 130.0)], [Swing.ORDINARY, 0, 0]),
        # It may dip below the level again, and waits for nothing more when it has held.
        ([(995.0, 1_005.0, 140.0), (998.0, 1_008.0, 120.0)], [Swing.ORDINARY, Swing.TESTED]),
        ([(995.0, 1_005.0, 140.0), (998.0, 1_008.0, 80.0), IN_RANGE], [Swing.ORDINARY, Swing.TESTED, 0]),
        # The range is never left.
        ([(1_000.0, 1_010.0, 80.0)], [Swing.NONE]),
    ],
)
def test_turns_when_bars_are_made_by_hand_then_types_are_those_of_the_definition(bars, expected, mirrored):
    config = CONFIG.model_copy(update={"level_share": 0.001}) if len(bars) > 3 else CONFIG
    found = turns(bars, config=config, mirrored=mirrored)
    one, other = ("upthrust", "spring") if mirrored else ("spring", "upthrust")
    assert found[one].tolist() == [int(swing) for swing in expected]
    assert not found[other].any()


@pytest.mark.parametrize("fall", [0.0, -200.0])
def test_turns_when_price_did_not_fall_into_the_range_then_none(fall):
    assert not turns([(995.0, 1_005.0, 80.0)], fall=fall)["spring"].any()


def test_bars_since_when_a_quiet_spring_was_seen_then_counts_and_heavy_ones_do_not():
    assert turns([(995.0, 1_005.0, 80.0), IN_RANGE, IN_RANGE])["bars_since_spring"].tolist() == [0, 1, 2]
    assert turns([(995.0, 1_005.0, 160.0), IN_RANGE])["bars_since_spring"].tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("efficiency", "prior", "phase"),
    [
        (0.5, 0.0, Phase.MARKUP),
        (-0.5, 0.0, Phase.MARKDOWN),
        (0.1, -1.0, Phase.ACCUMULATION),
        (0.1, 1.0, Phase.DISTRIBUTION),
        (0.1, 0.1, Phase.NONE),
        (np.nan, 1.0, Phase.NONE),
    ],
)
def test_phase_when_asked_then_trend_first_then_where_price_came_from(efficiency, prior, phase):
    assert cycle_phase(efficiency, prior, 0.3, 0.5) == phase
