"""The lossless strategy: which row is which signal, what its order says, and that no number stands there unexplained."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from sovereign.app.configuration import Settings
from sovereign.app.configuration.loading import merge
from sovereign.core.configuration import Configuration
from sovereign.core.errors import UsageError
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, OrderRole, OrderType, Side, TimeInForce
from sovereign.core.port import Moment
from sovereign.feeds.calendar import calendar_for
from sovereign.kernels.lossless import ROW_FIELDS
from sovereign.signals.bars import ROW_HEAD
from sovereign.strategies import assumed_settings, load_strategy, warm_up_sessions_of
from sovereign.strategies.lossless import DEFAULTS, LosslessConfig, LosslessStrategy
from sovereign.strategies.lossless.tier import TIERS, tier_of
from sovereign.strategies.lossless.universe import SECTORS, symbols_of

SESSION = calendar_for("XNYS").session(date(2025, 3, 4))
LONG = {
    "setup": 1,
    "is_held": True,
    "is_bounce": True,
    "at_support": True,
    "support": 9_980,
    "support_score": -2,
    "support_strength": 0.9,
    "stop": 9_950,
    "has_target": True,
    "target": 10_100,
    "close": 10_000,
    "volume_rank": 0.99,
    "conviction": 99.0,
    "granularity": 20,
}
SHORT = {
    **LONG,
    "setup": -1,
    "at_support": False,
    "at_resistance": True,
    "is_rejection": True,
    "resistance": 10_020,
    "resistance_score": -1,
    "resistance_strength": 0.8,
    "stop": 10_050,
    "target": 9_900,
}


def decide(values: dict[str, Any], held: int = 0, **config: Any) -> tuple[Any, ...]:
    rows = np.zeros(1, np.dtype(ROW_HEAD + ROW_FIELDS, align=True))
    for name, value in values.items():
        rows[name] = value
    moment = Moment(
        ts=SESSION.regular_open_ns,
        symbol="SPY",
        session=SESSION,
        index=0,
        rows=rows,
        candidates=rows[:0],
        position_quantity=held,
        last_ticks=10_000,
    )
    return tuple(LosslessStrategy(LosslessConfig(**config)).decide(moment))


def test_decide_when_capitulation_bounces_off_a_support_then_buys_with_the_stop_beyond_it() -> None:
    (proposal,) = decide(LONG)
    assert (proposal.name, proposal.side, proposal.strength, proposal.confidence) == ("BUY", Side.BUY, 0.9, 0.99)
    intent = proposal.intent
    assert (intent.order_type, intent.quantity, intent.role) == (OrderType.MARKET, None, OrderRole.ENTRY)
    assert intent.bracket == Bracket(stop_ticks=50, target_ticks=100)
    assert proposal.inputs["level_price"] == 9_980


def test_decide_when_capitulation_is_rejected_at_a_resistance_then_shorts_with_the_stop_above_it() -> None:
    (proposal,) = decide(SHORT)
    assert (proposal.name, proposal.side) == ("SHORT", Side.SELL)
    assert proposal.intent.bracket == Bracket(stop_ticks=50, target_ticks=100)


def test_decide_when_a_daily_bar_is_known_at_the_close_then_the_order_waits_for_the_next_day() -> None:
    (proposal,) = decide({**LONG, "known_at": SESSION.regular_close_ns}, bar_seconds=86_400)
    assert proposal.intent is not None
    assert proposal.intent.time_in_force is TimeInForce.GTC


def test_decide_when_an_exit_is_at_the_other_level_then_its_own_conviction_is_recorded() -> None:
    # Fisher, 1932: of two independent tests with p-values 0.2 and 0.01, q = 0.002, 1 - q (1 - ln q) = 0.98557.
    both = {**LONG, "at_resistance": True, "resistance": 10_020, "resistance_strength": 0.8, "exit_long": True}
    (proposal,) = decide(both, held=10)
    assert proposal.inputs["conviction"] == pytest.approx(98.557, abs=0.001)
    assert proposal.confidence == pytest.approx(0.98557, abs=0.00001)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"is_held": False, "close": 9_970}, "held"),
        ({"has_target": False}, "target"),
        ({"gap_s": 300}, "gap"),
        ({"is_held": False, "close": 9_940}, "held"),
        ({"known_at": SESSION.regular_close_ns}, "session"),
    ],
)
def test_decide_when_something_is_missing_then_says_what_and_orders_nothing(change: dict[str, Any], check: str) -> None:
    (proposal,) = decide({**LONG, **change})
    assert proposal.intent is None
    assert next(c.name for c in proposal.checks if not c.passed) == check


@pytest.mark.parametrize(
    ("exits", "held", "name", "side"), [("exit_long", 30, "SELL", Side.SELL), ("exit_short", -30, "COVER", Side.BUY)]
)
def test_decide_when_the_opposite_level_holds_then_closes_all_that_is_held(
    exits: str, held: int, name: str, side: Side
) -> None:
    (proposal,) = decide({**LONG, "setup": 0, exits: True}, held)
    assert (proposal.name, proposal.side) == (name, side)
    assert (proposal.intent.role, proposal.intent.reduce_only, proposal.intent.quantity) == (OrderRole.EXIT, True, None)
    assert proposal.intent.time_in_force is TimeInForce.GTC  # the last bar's exit meets the next open
    assert decide({**LONG, exits: True}, -held) == ()  # held the other way: no reason to leave
    assert decide({**LONG, "setup": 0, exits: True}, 0) == ()


@pytest.mark.parametrize("held", [5, -5])
def test_decide_when_something_is_held_then_nothing_is_added(held: int) -> None:
    assert decide(LONG, held) == decide(SHORT, held) == ()


def test_decide_when_bars_are_days_then_the_order_waits_for_the_next_session() -> None:
    assert decide(LONG, bar_seconds=86_400)[0].intent.time_in_force is TimeInForce.GTC
    assert decide(LONG)[0].intent.time_in_force is TimeInForce.DAY


def test_signal_stream_when_the_universe_is_full_then_one_more_symbol_is_refused() -> None:
    strategy = LosslessStrategy(LosslessConfig(max_symbols=2))
    for symbol in ("SPY", "QQQ", "SPY"):
        strategy.signal_stream(find_instrument(symbol))
    with pytest.raises(UsageError, match=r"NVDA was symbol number 3; allowed are 2"):
        strategy.signal_stream(find_instrument("NVDA"))


def numbers(kind: type[Configuration], place: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in kind.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Configuration):
            yield from numbers(inner, f"{place}{name}.")
        elif isinstance(field.default, int | float) and not isinstance(field.default, bool):
            yield f"{place}{name}", field


def test_configuration_when_read_then_these_are_all_its_numbers() -> None:
    assert {name: field.default for name, field in numbers(LosslessConfig)} == {
        "bar_seconds": 300,
        "max_symbols": 30,
        "level.atr_days": 14,
        "level.buckets_per_atr": 10.0,
        "level.rebuild_factor": 2.0,
        "level.touch_frac": 0.5,
        "level.stop_frac": 0.5,
        "volume.slot_minutes": 30,
        "volume.capitulation_rank": 0.975,
        "volume.elevated_rank": 0.8413,
        "gap.note_s": 90,
        "gap.alert_s": 300,
    }


@pytest.mark.parametrize(
    ("name", "field"), list(numbers(LosslessConfig)), ids=lambda value: value if isinstance(value, str) else ""
)
def test_number_when_it_stands_in_the_configuration_then_is_justified(name: str, field: Any) -> None:
    justification = (field.json_schema_extra or {}).get("justification", "")
    assert len(justification.split()) >= 8, f"{name} says no reason for {field.default}"
    assert "Source:" in field.description


def test_warm_up_when_derived_then_the_largest_of_the_history_is_as_rare_as_a_capitulation() -> None:
    # 1 / (39 + 1) = 2.5%
    assert LosslessConfig().volume.warm_up == 39
    assert LosslessConfig.model_validate({"volume": {"capitulation_rank": 0.99}}).volume.warm_up == 99


@pytest.mark.parametrize(
    "section",
    [
        {"volume": {"elevated_rank": 0.99}},
        {"gap": {"alert_s": 60}},
        {"level": {"rebuild_factor": 1.0}},
        {"volume": {"lookback": 100}},
    ],
)
def test_configuration_when_impossible_then_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LosslessConfig.model_validate(section)


def test_defaults_when_merged_then_the_portfolio_of_the_requirement_stands() -> None:
    assumed = assumed_settings("lossless")
    assert assumed == DEFAULTS
    settings, sources = merge(Settings, file=None, environment={}, assumed=assumed, assumed_by="default of lossless")
    assert settings.risk.max_positions == 20
    assert settings.risk.risk_frac == Decimal("0.01")
    assert settings.risk.max_side_exposure_frac == 2
    assert settings.risk.flatten_before_close_minutes is None
    config = settings.strategies.lossless  # what is a gap of the bars is one of the live feed
    assert (settings.live.stale_data_s, settings.risk.breakers.stale_position_s) == (config.gap.note_s, config.gap.alert_s)
    assert sources["risk.max_positions"] == "default of lossless"
    assert load_strategy("lossless").name == "lossless"


@pytest.mark.parametrize(
    ("balance", "name", "orders", "algorithms", "dark"),
    [
        ("-5", "Retail", 5, False, False),
        ("99999.99", "Retail", 5, False, False),
        ("100000", "Semi-institutional", 20, True, False),
        ("999999.99", "Semi-institutional", 20, True, False),
        ("1000000", "Institutional", 100, True, True),
    ],
)
def test_tier_of_when_a_balance_is_given_then_allows_what_the_requirement_says(
    balance: str, name: str, orders: int, algorithms: bool, dark: bool
) -> None:
    tier = tier_of(Decimal(balance))
    assert (tier.name, tier.max_orders, tier.supports_algorithms, tier.supports_dark_pools) == (name, orders, algorithms, dark)
    assert all(OrderType.MARKET in each.order_types for each in TIERS)


def test_sectors_when_read_then_every_symbol_can_be_traded() -> None:
    assert all(find_instrument(symbol).symbol == symbol for symbol in SECTORS)
    assert symbols_of("energy") == ("CVX", "XLE", "XOM")
    assert symbols_of("nothing") == ()


@pytest.mark.parametrize(
    ("config", "sessions"),
    [
        ({}, 15),  # the daily range; 39 volumes of half an hour come in 7 days of 6 bars
        ({"bar_seconds": 3_600}, 39),  # one bar a time of day
        ({"bar_seconds": 86_400}, 39),
        ({"level": {"atr_days": 50}}, 51),
    ],
)
def test_warm_up_sessions_when_asked_then_both_levels_and_ranks_are_known_after_them(config: Any, sessions: int) -> None:
    assert LosslessStrategy(LosslessConfig.model_validate(config)).warm_up_sessions == sessions
    assert warm_up_sessions_of("lossless", LosslessConfig.model_validate(config)) == sessions
