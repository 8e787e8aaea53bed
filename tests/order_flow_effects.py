"""Effects of the order-flow strategy's own settings: regime, router, bracket, entry and size."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np

from key_effects import effects_of
from sovereign.core.port import Moment
from sovereign.core.session import Session, parse_date
from sovereign.kernels.row import CANDIDATE, ROW, Pattern, Regime
from sovereign.kernels.setting import RegimeConfig, RegimePoints, RegimeRule, RouterConfig
from sovereign.strategies.order_flow import OrderFlowConfig, OrderFlowStrategy
from sovereign.strategies.order_flow.configuration import BracketConfig, BracketProfile, EntryConfig, SizeConfig

PLACE = "strategies.order_flow"
MINUTE = 60 * 10**9
OPEN = (14 * 60 + 30) * MINUTE
CLOSE = OPEN + 390 * MINUTE
BARS = 90


@cache
def _sessions() -> tuple[np.ndarray, ...]:
    # Four days of restless bars of five minutes, from half an hour before the open to half an hour after the close.
    sessions = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        rows = np.zeros(BARS, ROW)
        step = rng.normal(0, 1, BARS) * np.exp(np.cumsum(rng.normal(0, 0.15, BARS))) * 6
        rows["close"] = 18_000 + np.cumsum(step).astype(np.int64)
        opened = np.concatenate([rows["close"][:1], rows["close"][:-1]])
        rows["high"] = np.maximum(opened, rows["close"]) + 2
        rows["low"] = np.minimum(opened, rows["close"]) - 2
        rows["volume"] = rng.lognormal(9.2, 0.7, BARS).astype(np.int64)
        rows["cumulative_delta"] = np.cumsum((rows["volume"] * rng.normal(0, 0.15, BARS)).astype(np.int64))
        rows["session_vwap"] = np.cumsum(rows["volume"] * rows["close"]) / np.cumsum(rows["volume"])
        rows["known_at"] = OPEN + 5 * MINUTE * (np.arange(BARS) - 5)
        sessions.append(rows)
    return tuple(sessions)


def _regimes(config: RegimeConfig) -> tuple[bytes, ...]:
    from sovereign.kernels.regime import new_regime_state, regime_config, start_regime_session, update_regime

    record, state, seen = regime_config(config), new_regime_state(), []
    for session in _sessions():
        rows = session.copy()
        start_regime_session(state, record, OPEN, CLOSE, OPEN - 60 * MINUTE, CLOSE + 60 * MINUTE)
        for i in range(BARS):
            update_regime(state, record, rows, i)
        seen.append(rows)
    # By field: the bytes between the fields of a record are not data.
    return tuple(rows[name].tobytes() for rows in seen for name in ROW.names or ())


NEWS_DAY = RegimeConfig(news=(datetime(1970, 1, 1, 17, 30, tzinfo=UTC),))

effects_of(
    f"{PLACE}.regime",
    NEWS_DAY,
    _regimes,
    {
        name: (getattr(NEWS_DAY, name), other)
        for name, other in {
            "hours": "all",
            "open_edge_s": 1800,
            "close_edge_s": 3600,
            "news": (datetime(1970, 1, 1, 15, 30, tzinfo=UTC),),
            "news_before_s": 1200,
            "news_after_s": 1200,
            "low_volume_ratio": 0.9,
            "volume_lookback_bars": 5,
            "carry_over_sessions": False,
            "ema_fast_period": 3,
            "ema_slow_period": 50,
            "atr_period": 5,
            "adx_period": 5,
            "atr_window_bars": 20,
            "structure_bars": 9,
            "structure_recent_bars": 1,
            "min_bars_in_regime": 4,
            "min_score": 6.0,
            "weak_confidence_frac": 0.1,
            "trend_adx": 40.0,
            "range_adx": 10.0,
            "near_vwap_atr": 3.0,
            "overlap_bars_strong": 5,
            "overlap_bars_weak": 0,
            "flat_delta_volume": 2.0,
            "steep_delta_volume": 0.0,
            "calm_atr_percentile": 5.0,
            "raised_atr_percentile": 20.0,
            "volatile_atr_percentile": 99.0,
            "wide_bar_atr": 0.3,
            "high_volume_ratio": 0.9,
        }.items()
    },
)

effects_of(
    f"{PLACE}.regime.points",
    RegimePoints(),
    lambda points: _regimes(RegimeConfig(points=points)),
    {name: (value, value + 3.0) for name, value in RegimePoints().model_dump().items()},
)


def _routed(config: RouterConfig) -> tuple[bytes, ...]:
    from sovereign.kernels.router import route, router_config

    rows = np.zeros(len(Regime), ROW)
    rows["regime"] = list(Regime)
    rows["regime_confidence"] = 0.7
    candidates = np.zeros(2 * len(Pattern) * len(Regime), CANDIDATE)
    per_row = 2 * len(Pattern)
    for i in range(len(Regime)):
        mine = candidates[i * per_row : (i + 1) * per_row]
        mine["pattern"], mine["side"], mine["strength"] = np.repeat(list(Pattern), 2), np.tile([1, -1], len(Pattern)), 0.6
        route(router_config(config), rows, i, candidates, i * per_row, per_row)
    return tuple(candidates[name].tobytes() for name in CANDIDATE.names or ())


for _regime in ("trending_up", "trending_down", "ranging", "volatile"):

    def _ruled(rule: RegimeRule, regime: str = _regime) -> tuple[bytes, ...]:
        return _routed(RouterConfig.model_validate({regime: rule}))

    effects_of(
        f"{PLACE}.router.{_regime}",
        getattr(RouterConfig(), _regime),
        _ruled,
        {
            "patterns": (getattr(RouterConfig(), _regime).patterns, ("buy_imbalance",)),
            "sides": ("both", "none"),
            "size_multiplier": (0.3, 0.6),
        },
    )

effects_of(
    f"{PLACE}.router",
    RouterConfig(),
    _routed,
    {"min_strength": (0.5, 0.65), "min_confidence": (0.6, 0.75), "scale_size_by_confidence": (False, True)},
)


def _decided(section: str, config: Any, symbol: str = "ES", regime: Regime = Regime.TRENDING_UP) -> str:
    rows = np.zeros(1, ROW)
    rows["regime"], rows["regime_confidence"], rows["atr"] = regime, 0.8, 2.0 if symbol == "SPY" else 30.0
    candidates = np.zeros(2, CANDIDATE)
    candidates["pattern"] = [Pattern.BUYING_ABSORPTION, Pattern.SELLING_EXHAUSTION]
    candidates["side"], candidates["regime"], candidates["strength"] = 1, regime, [0.7, 0.8]
    candidates["confidence"], candidates["size_multiplier"] = 0.8, 1.0
    session = Session(
        calendar="CME_EQUITY",
        trade_date=parse_date("1970-01-01"),
        open_ns=0,
        close_ns=CLOSE,
        regular_open_ns=OPEN,
        regular_close_ns=CLOSE,
        zone="America/New_York",
    )
    moment = Moment(
        ts=OPEN,
        symbol=symbol,
        session=session,
        index=0,
        rows=rows,
        candidates=candidates,
        position_quantity=0,
        last_ticks=18_000,
    )
    strategy = OrderFlowStrategy(OrderFlowConfig.model_validate({section: config}))
    return repr([proposal.intent for proposal in strategy.decide(moment)])


effects_of(
    f"{PLACE}.bracket",
    BracketConfig(),
    lambda bracket: _decided("bracket", bracket),
    {"mode": ("profile", "atr"), "profiles": ({}, {"ES": BracketProfile(stop_ticks=7, target_ticks=9)})},
)
effects_of(
    f"{PLACE}.bracket",
    BracketConfig(min_stop_ticks=1),
    lambda bracket: _decided("bracket", bracket, "SPY"),
    {"stop_atr": (1.0, 2.0), "target_atr": (1.5, 3.0), "min_stop_ticks": (1, 9)},
)
effects_of(
    f"{PLACE}.entry",
    EntryConfig(order_type="limit"),
    lambda entry: _decided("entry", entry),
    {
        "order_type": ("limit", "market"),
        "limit_offset_ticks": (1, 2),
        "limit_life_s": (300, 60),
        "is_one_order_per_bar": (True, False),
    },
)
effects_of(
    f"{PLACE}.size",
    SizeConfig(),
    lambda size: _decided("size", size),
    {"confirming_signals": (2, 3), "confirmation_steps": (1, 2), "trend_steps": (1, 0)},
)
