"""What an entry is priced by: the quote where it is known, within it by the sizes, and what takes their place."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.core.order import OrderType, Side
from sovereign.signals.tug_market import TapeView
from sovereign.strategies.tug_of_war import TugOfWarStrategy
from sovereign.strategies.tug_of_war.configuration import EntryConfig
from sovereign.strategies.tug_of_war.price import EntryPrice
from tug_cases import config_of, moment_of, row

QUOTE = (10_000, 10_010)
SECOND = 10**9


class Sizes:
    """A tape that shows some sizes, taken some seconds ago."""

    def __init__(self, bid=300, ask=500, age_s=30):
        self.sizes, self.age_s = (bid, ask), age_s

    def tape(self, _symbol, ts):
        return TapeView(ts - self.age_s * SECOND, 0.0, False, *self.sizes)

    def news(self, _symbol, _ts):
        return None


def enter(quote=QUOTE, evidence=None, side=Side.BUY, config=None, **entry):
    strategy = TugOfWarStrategy(config or config_of(entry=entry))
    if evidence is not None:
        strategy.use_evidence(evidence)
    values = {} if side is Side.BUY else {"direction": -1, "crowd": 1, "conviction": -0.8}
    (proposal,) = strategy.decide(moment_of(row(close=10_020, **values), quote=quote))
    return proposal


@pytest.mark.parametrize(
    ("side", "limit"),
    [
        (Side.BUY, 10_008),  # 10,003.75 and 5 bp: 10,008.75
        (Side.SELL, 9_999),  # 10,003.75 less 5 bp: 9,998.75
    ],
)
def test_limit_when_quote_and_sizes_are_known_then_is_measured_from_the_micro_price(side, limit):
    proposal = enter(evidence=Sizes(), side=side)
    assert proposal.intent.limit_ticks == limit
    # 10,000 + 10 * 300 / (300 + 500)
    known = {"reference": "micro", "reference_ticks": 10_003.75, "mid_ticks": 10_005.0, "spread_ticks": 10}
    assert {name: proposal.inputs[name] for name in known} == known


@pytest.mark.parametrize("evidence", [None, Sizes(age_s=91), Sizes(bid=0), Sizes(ask=0)])
def test_limit_when_sizes_are_unknown_or_old_then_is_measured_from_the_middle_of_the_quote(evidence):
    proposal = enter(evidence=evidence)
    assert (proposal.inputs["reference"], proposal.intent.limit_ticks) == ("mid", 10_010)  # 10,005 and 5 bp: 10,010.0025


def test_limit_when_the_tape_is_left_out_then_nobody_looks_at_its_sizes():
    config = config_of(without=["earnings", "tape"])
    assert enter(evidence=Sizes(), config=config).inputs["reference"] == "mid"


def test_limit_when_settings_say_the_last_price_then_the_quote_is_recorded_and_not_used():
    proposal = enter(evidence=Sizes(), reference="last")
    assert (proposal.inputs["reference"], proposal.inputs["spread_ticks"]) == ("last", 10)
    assert proposal.intent.limit_ticks == 10_025  # 10,020 and 5.01


@pytest.mark.parametrize("quote", [(None, None), (10_000, None), (None, 10_010), (10_010, 10_000), (0, 10_010)])
def test_limit_when_no_quote_is_known_then_is_measured_from_the_last_price_and_the_record_says_no_more_than_it_did(quote):
    proposal = enter(quote, evidence=Sizes())
    assert proposal.intent.limit_ticks == 10_025
    assert not {"reference", "reference_ticks", "mid_ticks", "spread_ticks"} & set(proposal.inputs)


def test_entry_when_no_quote_is_known_and_there_is_no_fallback_then_is_refused_by_a_check_of_its_own():
    proposal = enter((None, None), fallback="none")
    assert proposal.intent is None
    failed = [check for check in proposal.checks if not check.passed]
    assert [(c.name, c.value, c.limit, c.unit) for c in failed] == [("quote", 0.0, 1.0, "flag")]
    assert "no quote was known" in failed[0].note
    assert TugOfWarStrategy(config_of()).own_checks[-2:] == ("stop", "quote")
    known = enter(QUOTE, fallback="none")
    assert known.intent is not None
    assert known.checks[-1].name == "quote"


@pytest.mark.parametrize("sections", [{"entry": {"order": "market", "fallback": "none"}}, {"bar_seconds": 86_400}])
def test_order_when_it_goes_to_the_market_then_needs_no_quote(sections):
    proposal = enter((None, None), config=config_of(**sections))
    assert proposal.intent.order_type is OrderType.MARKET
    quoted = enter(QUOTE, config=config_of(**sections))
    assert (quoted.inputs["mid_ticks"], "reference" in quoted.inputs) == (10_005.0, False)


def test_exit_when_a_quote_is_known_then_the_record_has_its_middle():
    strategy = TugOfWarStrategy(config_of())
    (proposal,) = strategy.decide(moment_of(row(direction=-1, streak=3), held=10, quote=QUOTE))
    assert (proposal.inputs["mid_ticks"], proposal.inputs["spread_ticks"]) == (10_005.0, 10)


@given(
    st.integers(1, 2**31 - 1),
    st.integers(0, 64),
    st.sampled_from([Side.BUY, Side.SELL]),
    st.floats(0.0, 0.05, allow_nan=False),
)
def test_limit_when_the_reference_is_any_then_is_never_farther_than_the_setting_and_less_than_a_tick_nearer(
    whole, parts, side, slip
):
    reference = Fraction(whole) + Fraction(parts, 64)
    limit = EntryPrice(EntryConfig(slip_frac=slip)).limit(float(reference), side)
    bound = reference * (1 + side.sign * Fraction(slip))
    beyond = side.sign * (limit - bound)
    dust = Fraction(1, 10**6)  # of the machine's arithmetic, at prices of millions
    assert beyond <= dust or limit == 1
    assert beyond > -1 - dust


@given(st.integers(1, 2**31 - 1), st.sampled_from([Side.BUY, Side.SELL]), st.sampled_from([0.0, 0.0005, 0.002]))
def test_limit_when_the_reference_is_the_last_price_then_lies_whole_ticks_beyond_it(last, side, slip):
    import math

    limit = EntryPrice(EntryConfig(slip_frac=slip)).limit(last, side)
    assert limit == max(1, last + side.sign * math.floor(slip * last))
