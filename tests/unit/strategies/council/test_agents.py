"""What each agent says of a bar, when it is called in, and that saying nothing is not a zero."""

from __future__ import annotations

import math

import pytest

from council_cases import UNKNOWN, reading
from sovereign.kernels.market_row import MarketRegime, Phase
from sovereign.strategies.council import CouncilConfig, CouncilStrategy
from sovereign.strategies.council.agent import AGENTS, hedge, is_called, liquidity, markov, sentiment, wyckoff
from sovereign.strategies.council.configuration import ActivationConfig

CONFIG = CouncilConfig()


@pytest.mark.parametrize(
    ("values", "vote"),
    [
        ({"volatility_percentile": 0.9, "vwap": 40_100.0}, -1),
        ({"volatility_percentile": 0.9, "vwap": 39_900.0}, None),
        ({"volatility_percentile": 0.8, "vwap": 40_100.0}, None),
        ({"volatility_percentile": UNKNOWN, "vwap": 40_100.0}, None),
        ({"volatility_percentile": 0.9, "vwap": UNKNOWN}, None),
    ],
)
def test_hedge_when_unrest_meets_a_falling_price_then_short_else_abstains(values, vote):
    assert hedge(reading(**values), CONFIG).vote == vote


def test_hedge_when_unrest_is_half_way_up_then_confidence_is_too():
    assert hedge(reading(volatility_percentile=0.9, vwap=40_100.0), CONFIG).confidence == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("values", "vote"),
    [
        ({"magnet": 40_200.0}, 1),
        ({"magnet": 39_800.0}, -1),
        ({"magnet": 40_600.0}, 0),  # six ATRs away
        ({"magnet": 40_010.0, "is_at_magnet": 1}, 0),
        ({"magnet": UNKNOWN}, None),
        ({"magnet": 40_200.0, "atr": UNKNOWN}, None),
    ],
)
def test_liquidity_when_a_zone_is_near_then_towards_it(values, vote):
    assert liquidity(reading(**values), CONFIG).vote == vote


def test_liquidity_when_bars_are_illiquid_then_less_sure():
    sure = liquidity(reading(magnet=40_200.0, magnet_share=0.4), CONFIG).confidence
    assert sure == pytest.approx(0.7)
    thin = {"magnet": 40_200.0, "magnet_share": 0.4, "amihud_percentile": 1.0, "impact_percentile": 1.0}
    assert liquidity(reading(**thin), CONFIG).confidence == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("momentum", "balance", "unrest", "vote"),
    [(0.6, 0.0, 0.0, 1), (0.3, 1.0, 0.0, 1), (0.6, 0.0, 0.4, 0), (-0.6, 0.0, 0.0, -1), (0.0, 0.0, 1.2, -1), (0.4, 0.2, 0.0, 0)],
)
def test_sentiment_when_score_is_beyond_a_half_then_votes(momentum, balance, unrest, vote):
    view = sentiment(reading(momentum_ratio=momentum, volume_balance=balance, volatility_z=unrest), CONFIG)
    assert view.vote == vote


def test_sentiment_when_worked_by_hand_then_confidence_is_that_of_the_definition():
    # turn = .3 + 1/5 - 2/10 = .3; confidence = .5 + min(.2, 2/5) - .1 - .7 x .3 = .39
    view = sentiment(reading(momentum=2.0, momentum_ratio=1.2, volatility_z=1.0), CONFIG)
    assert view.confidence == pytest.approx(0.39)


def test_sentiment_when_history_is_short_then_abstains():
    assert sentiment(reading(volatility_z=UNKNOWN), CONFIG).vote is None


@pytest.mark.parametrize(
    ("values", "vote"),
    [
        ({"bars_since_spring": 0}, 1),
        ({"bars_since_spring": 3}, 1),
        ({"bars_since_spring": 4}, 0),
        ({"bars_since_upthrust": 2}, -1),
        ({"bars_since_spring": 1, "bars_since_upthrust": 2}, 1),
        ({"bars_since_spring": 2, "bars_since_upthrust": 1}, -1),
        ({"bars_since_spring": 1, "bars_since_upthrust": 1}, 0),
        ({"phase": Phase.MARKUP}, 1),
        ({"phase": Phase.MARKDOWN}, -1),
        ({"phase": Phase.ACCUMULATION}, 0),
        ({"efficiency": UNKNOWN}, None),
    ],
)
def test_wyckoff_when_turns_and_phases_differ_then_the_latest_turn_first(values, vote):
    assert wyckoff(reading(**values), CONFIG).vote == vote


@pytest.mark.parametrize(
    ("probabilities", "vote", "confidence"),
    [
        ({"p_markup": 0.7, "p_range": 0.3}, 1, 0.7),
        ({"p_markdown": 0.7, "p_range": 0.3}, -1, 0.7),
        ({"p_accumulation": 0.75, "p_range": 0.25}, 1, 0.6),
        ({"p_distribution": 0.75, "p_range": 0.25}, -1, 0.6),
        ({"p_markup": 0.45, "p_range": 0.2}, 0, 0.45),
        ({"p_range": 0.9}, 0, 0.9),
        ({"p_markup": UNKNOWN}, None, 0.0),
    ],
)
def test_markov_when_a_phase_is_probable_then_votes_with_it(probabilities, vote, confidence):
    view = markov(reading(**{"p_range": 0.0, **probabilities}), CONFIG)
    assert (view.vote, view.confidence) == (vote, pytest.approx(confidence))


def test_agents_when_nothing_is_known_then_all_that_need_it_abstain_and_none_votes():
    names = ("volatility_percentile", "vwap", "magnet", "volatility_z", "efficiency", "p_markup", "volatility")
    unknown = dict.fromkeys(names, UNKNOWN)
    assert {agent(reading(**unknown), CONFIG).vote for agent in AGENTS.values()} == {None}


TREND, RANGE = MarketRegime.TRENDING_UP, MarketRegime.RANGING
ACTIVATION = ActivationConfig()


@pytest.mark.parametrize(
    ("values", "called"),
    [
        ({"regime": TREND}, True),
        ({"regime": MarketRegime.TRENDING_DOWN}, True),
        ({"regime": MarketRegime.ACCUMULATION}, True),
        ({"regime": MarketRegime.DISTRIBUTION}, True),
        ({"regime": RANGE, "efficiency": 0.2}, False),
        ({"regime": RANGE, "efficiency": -0.41}, True),
        ({"regime": MarketRegime.CALM}, False),
        ({"regime": MarketRegime.VOLATILE, "efficiency": 0.5}, True),
    ],
)
def test_wyckoff_when_regimes_differ_then_called_as_the_document_says(values, called):
    assert is_called("wyckoff", reading(**values), ACTIVATION) is called


@pytest.mark.parametrize(
    ("values", "called"),
    [
        # The vetoes come first: however sure the regime is, not in a range and not in high volatility.
        ({"regime": RANGE, "regime_confidence": 1.0}, False),
        ({"regime": TREND, "regime_confidence": 1.0, "volatility": 0.31}, False),
        ({"regime": TREND, "efficiency": 0.9, "volatility": 0.31}, False),
        ({"regime": TREND, "regime_confidence": 1.0, "volatility": math.nan}, False),
        ({"regime": MarketRegime.UNKNOWN, "regime_confidence": 1.0}, False),
        ({"regime": TREND, "regime_confidence": 0.71, "volatility": 0.30}, True),
        ({"regime": TREND, "regime_confidence": 0.5, "efficiency": 0.6}, True),
        ({"regime": TREND, "regime_confidence": 0.5, "efficiency": 0.4}, False),
        ({"regime": MarketRegime.CALM, "regime_confidence": 0.8}, True),
        ({"regime": MarketRegime.CALM, "regime_confidence": 0.6, "efficiency": 0.9}, False),
    ],
)
def test_markov_when_regimes_differ_then_vetoes_come_first(values, called):
    assert is_called("markov", reading(**values), ACTIVATION) is called


def test_views_when_it_ranges_then_the_three_that_are_always_asked():
    views = CouncilStrategy(CONFIG).views(reading(regime=RANGE))
    assert [view.agent for view in views] == ["hedge", "liquidity", "sentiment"]


def test_views_when_it_trends_calmly_then_all_five():
    views = CouncilStrategy(CONFIG).views(reading(regime=TREND, efficiency=0.6, regime_confidence=0.8))
    assert [view.agent for view in views] == list(AGENTS)


def test_views_when_regime_gating_is_left_out_then_all_five_in_any_regime():
    strategy = CouncilStrategy(CouncilConfig(without=("regime_gating",)))
    assert [view.agent for view in strategy.views(reading(regime=RANGE))] == list(AGENTS)


@pytest.mark.parametrize("agent", list(AGENTS))
def test_views_when_an_agent_is_left_out_then_it_is_not_asked(agent):
    strategy = CouncilStrategy(CouncilConfig(without=(agent, "regime_gating")))
    assert [view.agent for view in strategy.views(reading())] == [name for name in AGENTS if name != agent]
