"""Half of Kelly's fraction from closed trades, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.strategies.tug_of_war import TugOfWarConfig
from sovereign.strategies.tug_of_war.configuration import KellyConfig
from sovereign.strategies.tug_of_war.kelly import Kelly
from sovereign.strategies.tug_of_war.strategy import sized


def of(moves, **config):
    kelly = Kelly(KellyConfig(**config), 0.02, 0.04)
    for move in moves:
        kelly.add(move)
    return kelly.edge


def test_edge_when_nothing_has_been_traded_then_is_that_of_a_fair_bet():
    edge = of([])
    assert edge.trades == 0
    assert edge.fraction == pytest.approx(0.0, abs=1e-12)
    assert edge.win_rate == pytest.approx(1 / 3)
    assert edge.odds == pytest.approx(2.0)


def test_edge_when_six_of_ten_win_twice_what_others_lose_then_is_half_of_kelly():
    # p = 0.6, b = 2: f = (1.2 - 0.4) / 2 = 0.4, half of it 0.2; the prior weighs next to nothing.
    edge = of([0.04] * 60 + [-0.02] * 40, prior_trades=1e-9)
    assert edge.fraction == pytest.approx(0.2, abs=1e-6)


def test_edge_when_the_same_record_is_short_then_is_drawn_to_none():
    edge = of([0.04] * 6 + [-0.02] * 4)
    # p = (6 + 10) / 40 = 0.4, b = 2: f = 0.5 x (0.8 - 0.6) / 2
    assert edge.fraction == pytest.approx(0.05)


@given(st.lists(st.floats(-0.2, 0.2), max_size=60))
def test_edge_when_given_any_record_then_stays_between_nothing_and_the_cap(moves):
    assert 0.0 <= of(moves).fraction <= 0.25


def test_edge_when_the_record_loses_then_bets_nothing_and_the_floor_remains():
    edge = of([-0.02] * 50)
    assert edge.fraction == 0.0
    assert sized(edge.fraction, 0.02, 1.0, TugOfWarConfig()) == 0.02


@pytest.mark.parametrize(
    ("fraction", "stop", "factor", "expected"),
    [(0.0, 0.02, 1.0, 0.02), (0.01, 0.02, 1.0, 0.04), (0.25, 0.02, 1.0, 0.05), (0.25, 0.02, 0.6, 0.03), (0.0, 0.5, 1.0, 0.02)],
)
def test_size_when_kelly_says_more_then_lies_between_two_and_five_percent(fraction, stop, factor, expected):
    assert sized(fraction, stop, factor, TugOfWarConfig()) == pytest.approx(expected)


def test_size_when_the_stop_is_far_then_the_loss_at_it_bounds_the_size():
    config = TugOfWarConfig.model_validate({"position": {"max_risk_frac": 0.0005}})
    assert sized(0.25, 0.02, 1.0, config) == pytest.approx(0.025)
