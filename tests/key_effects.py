"""For every setting, a way to see that it matters: the same thing done under two values, and what was observed each time.

Most settings are seen through a short run of the whole platform on the synthetic market: the tables below map a key to another
value and to the settings under which it can be seen at all. What no table can show has a function of its own, registered
with `effect`. A section whose own tests already prove each of its keys is named in `PROVEN_ELSEWHERE`.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from sovereign.app.configuration import Settings
from sovereign.app.configuration.keys import nest
from sovereign.core.configuration import Configuration
from sovereign.core.errors import SovereignError

Effect = Callable[[], tuple[object, object]]

EFFECTS: dict[str, Effect] = {}

PROVEN_ELSEWHERE = {
    "alpaca": "unit/app/test_alpaca_keys.py",
    "news": "unit/app/test_scout_keys.py",
    "tape": "unit/app/test_scout_keys.py",
    "universe": "unit/app/test_scout_keys.py",
    "dashboard": "unit/app/dashboard/test_dashboard_keys.py",
    "live": "unit/engine/test_live_keys.py",
    "alerts": "unit/app/notify/test_alert_keys.py",
    "risk": "unit/risk/test_risk_keys.py",
    "venue": "unit/app/test_venue_keys.py",
}
"""Sections by the test that goes through all their keys, below `tests`."""

FLOW = "strategies.order_flow"
FIRST = date(2025, 11, 17)
BUSY: dict[str, Any] = {
    "account.starting_balance": 12_000,
    "risk.daily_profit_target": "none",
    "risk.excluded_windows": [],
    "synthetic.ticks_per_session": 60_000,
    f"{FLOW}.pattern.absorption_warmup_bars": 5,
    f"{FLOW}.pattern.minimums": {"ES": {"imbalance": 5, "absorption": 20, "exhaustion": 10}},
    f"{FLOW}.regime.min_score": 3.0,
    f"{FLOW}.router.min_confidence": 0.3,
    f"{FLOW}.router.min_strength": 0.3,
}
"""Settings under which a short simulated session holds many patterns and trades."""


def effect(key: str) -> Callable[[Effect], Effect]:
    """Register the effect of one key."""

    def register(function: Effect) -> Effect:
        if key in EFFECTS:
            raise ValueError(f"key was '{key}', which has an effect already")
        EFFECTS[key] = function
        return function

    return register


def effects_of(
    section: str, defaults: Configuration, probe: Callable[[Any], object], values: Mapping[str, tuple[Any, Any]]
) -> None:
    """Register one probe for several keys of a section: `values` maps each field to two values to compare."""
    for name, (one, other) in values.items():

        def both(name: str = name, one: Any = one, other: Any = other) -> tuple[object, object]:
            kind = type(defaults)
            fields = {field: getattr(defaults, field) for field in kind.model_fields}
            return probe(kind.model_validate({**fields, name: one})), probe(kind.model_validate({**fields, name: other}))

        effect(f"{section}.{name}")(both)


def compare(
    observe: Callable[[Settings], object], table: Mapping[str, tuple[Any, dict[str, Any]]], base: dict[str, Any]
) -> None:
    """Register for each key of `table` what `observe` sees under `base`, and under `base` with the key's other value."""

    @cache
    def seen(flat: str) -> object:
        return observe(Settings.model_validate(_over_defaults(json.loads(flat))))

    for key, (other, around) in table.items():

        def both(key: str = key, other: Any = other, around: dict[str, Any] = around) -> tuple[object, object]:
            start = {**base, **around}
            return seen(json.dumps(start)), seen(json.dumps({**start, key: other}))

        effect(key)(both)


def _over_defaults(flat: dict[str, Any]) -> dict[str, Any]:
    from sovereign.app.configuration.keys import leaves, value_of

    defaults = Settings()
    return nest({**{key: value_of(defaults, key) for key, _ in leaves(Settings)}, **flat})


def _recipe(settings: Settings) -> Any:
    from sovereign.research.backtest import Recipe

    return Recipe(
        strategy="order_flow",
        strategy_config=settings.strategies.order_flow,
        risk=settings.risk,
        execution=settings.execution,
        starting_balance=settings.account.starting_balance,
    )


def _market(settings: Settings, sessions: int) -> tuple[Any, Any, Any]:
    from sovereign.core.instrument import find_instrument
    from sovereign.feeds.calendar import calendar_for
    from sovereign.feeds.synthetic import SyntheticFeed, SyntheticMarket

    instrument = find_instrument("ESZ5")
    calendar = calendar_for(instrument.calendar)
    return (
        SyntheticFeed(SyntheticMarket(settings.synthetic, seed=7), instrument, calendar, FIRST, sessions),
        instrument,
        calendar,
    )


class WithoutQuotes:
    """A feed whose trades come without the best quote before them."""

    is_simulated = True

    def __init__(self, feed: Any) -> None:
        self.sessions, self.instruments, self._feed = feed.sessions, feed.instruments, feed

    def blocks(self, session: Any) -> Iterator[Any]:
        """Yield the blocks, quotes taken away."""
        for block in self._feed.blocks(session):
            yield replace(block, trades=replace(block.trades, bid=None, ask=None))


def audit(settings: Settings, has_quotes: bool = True) -> object:
    """The audit bytes of two short sessions under the fill model of headline figures, or the error that stopped them."""
    from sovereign.core.event import encode
    from sovereign.research.backtest import main_lane, run_backtest

    digest = hashlib.sha256()
    feed, _, _ = _market(settings, 2)
    if not has_quotes:
        feed = WithoutQuotes(feed)
    try:
        run_backtest(
            _recipe(settings), feed, lanes=[main_lane(settings.execution)], sinks=[lambda event: digest.update(encode(event))]
        )
    except SovereignError as error:
        return f"{type(error).__name__}: {error}"
    return digest.hexdigest()


def tape(settings: Settings) -> object:
    """The bytes of a week of simulated trades, all hours."""
    from sovereign.core.instrument import find_instrument
    from sovereign.feeds.calendar import calendar_for
    from sovereign.feeds.synthetic import SyntheticMarket

    instrument = find_instrument("ESZ5")
    market, digest = SyntheticMarket(settings.synthetic, seed=7), hashlib.sha256()
    for session in calendar_for(instrument.calendar).sessions(FIRST, date(2025, 11, 21)):
        trades = market.session_trades(instrument, session, "all")
        for column in (trades.ts, trades.price, trades.size, trades.side, trades.bid, trades.ask):
            digest.update(b"none" if column is None else column.tobytes())
    return digest.hexdigest()


def verdict(settings: Settings) -> object:
    """Every metric and every line of the evidence card of a short recorded run."""
    from sovereign.app.cli.common import to_plain
    from sovereign.research.metrics import compute_metrics
    from sovereign.research.runner import Plan, run_recorded
    from sovereign.store.store import Store

    feed, instrument, calendar = _market(settings, 3)
    plan = Plan(
        kind="backtest",
        recipe=_recipe(settings),
        feed=feed,
        instruments=(instrument,),
        calendar=calendar,
        symbols=(instrument.symbol,),
        start=FIRST,
        end=FIRST,
        settings={},
        data_hash="simulated",
        seed=7,
        evidence=settings.evidence,
        metrics=settings.metrics,
    )
    with tempfile.TemporaryDirectory() as folder, Store(f"sqlite:///{folder}/store.sqlite") as store:
        result = run_recorded(plan, store, Path(folder), lambda: 1_763_000_000_000_000_000).result
    return to_plain([compute_metrics(result, settings.metrics), result.evidence])


@cache
def _some_trades() -> tuple[Any, ...]:
    from sovereign.research.backtest import main_lane, run_backtest

    settings = Settings.model_validate(_over_defaults(BUSY))
    feed, _, _ = _market(settings, 3)
    lane = main_lane(settings.execution)
    return tuple(run_backtest(_recipe(settings), feed, lanes=[lane]).lanes[lane.name].trades)


def shaken(settings: Settings) -> object:
    """The stress tests of a short run."""
    from sovereign.app.cli.common import to_plain
    from sovereign.research.stress import stress_run

    return to_plain(stress_run(_some_trades(), settings.account.starting_balance, "America/New_York", settings.stress))


def _model_keys(name: str, changes: dict[str, Any], around: dict[str, dict[str, Any]]) -> dict[str, tuple[Any, dict[str, Any]]]:
    chosen = {"execution.fill_model": name}
    return {f"execution.fill_models.{name}.{key}": (other, {**chosen, **around.get(key, {})}) for key, other in changes.items()}


LIMITS = {f"{FLOW}.entry.order_type": "limit", f"{FLOW}.entry.limit_offset_ticks": 2}
LARGE = {
    "account.starting_balance": 1_000_000,
    "risk.daily_loss_limit": -500_000,
    "risk.max_daily_loss_frac": 1,
    "risk.max_risk_frac": 1,
    "risk.risk_frac": 0.05,
    "risk.tiers.enabled": False,
}
TAKES_DEPTH = {"depth_lots": LARGE}
RESTS = dict.fromkeys(("through_ticks", "queue_lots", "participation_frac"), LIMITS)

compare(
    audit,
    {
        "account.starting_balance": (6_000, {}),
        "execution.fill_model": ("pessimistic", {}),
        "execution.latency_ms": (5_000.0, {}),
        "execution.fees": ({"ES": "9.99"}, {}),
        "execution.margins": ({"ES": "10000"}, {}),
        **_model_keys(
            "optimistic",
            {
                "crosses_spread": True,
                "spread_factor": 3,
                "market_slippage_ticks": 1,
                "stop_slippage_ticks": 1,
                "through_ticks": 1,
                "queue_lots": 500,
                "participation_frac": 0.01,
                "depth_lots": 1,
            },
            {
                **RESTS,
                **TAKES_DEPTH,
                "spread_factor": {"execution.fill_models.optimistic.crosses_spread": True},
                "queue_lots": {**LIMITS, "execution.fill_models.optimistic.through_ticks": 1},
                "participation_frac": {**LIMITS, **LARGE, "execution.fill_models.optimistic.through_ticks": 1},
            },
        ),
        **_model_keys(
            "realistic",
            {
                "crosses_spread": False,
                "spread_factor": 3,
                "market_slippage_ticks": 1,
                "stop_slippage_ticks": 3,
                "through_ticks": 3,
                "queue_lots": 0,
                "participation_frac": 0.01,
                "depth_lots": 1,
            },
            {**RESTS, **TAKES_DEPTH, "participation_frac": {**LIMITS, **LARGE}},
        ),
        **_model_keys(
            "pessimistic",
            {
                "crosses_spread": False,
                "spread_factor": 3,
                "market_slippage_ticks": 2,
                "stop_slippage_ticks": 3,
                "through_ticks": 3,
                "queue_lots": 0,
                "participation_frac": 0.01,
                "depth_lots": 1,
            },
            {**RESTS, **TAKES_DEPTH, "participation_frac": {**LIMITS, **LARGE}},
        ),
        f"{FLOW}.footprint.kind": ("tick", {}),
        f"{FLOW}.footprint.bar_s": (180, {}),
        f"{FLOW}.footprint.bar_trades": (1_000, {f"{FLOW}.footprint.kind": "tick"}),
        f"{FLOW}.footprint.bar_volume": (5_000, {f"{FLOW}.footprint.kind": "volume"}),
        f"{FLOW}.footprint.bar_range_ticks": (12, {f"{FLOW}.footprint.kind": "range"}),
        f"{FLOW}.footprint.alignment": ("epoch", {f"{FLOW}.footprint.bar_s": 420}),
        f"{FLOW}.footprint.value_area_frac": (0.5, {}),
        f"{FLOW}.footprint.value_area_step_levels": (2, {}),
        f"{FLOW}.pattern.minimums": ({"ES": {"imbalance": 50, "absorption": 200, "exhaustion": 100}}, {}),
        f"{FLOW}.pattern.imbalance_ratio": (2.0, {}),
        f"{FLOW}.pattern.imbalance_full_ratio": (5.0, {}),
        f"{FLOW}.pattern.zero_opposite_as_one": (False, {}),
        f"{FLOW}.pattern.stacked_levels": (2, {}),
        f"{FLOW}.pattern.stacked_full_levels": (9, {f"{FLOW}.pattern.stacked_levels": 2}),
        f"{FLOW}.pattern.exhaustion_levels": (2, {}),
        f"{FLOW}.pattern.exhaustion_extreme_frac": (0.9, {}),
        f"{FLOW}.pattern.absorption_levels": (2, {}),
        f"{FLOW}.pattern.absorption_aggressor_frac": (0.9, {}),
        f"{FLOW}.pattern.absorption_delta_frac": (0.9, {}),
        f"{FLOW}.pattern.absorption_close_frac": (0.9, {}),
        f"{FLOW}.pattern.absorption_progress_ticks": (0, {}),
        f"{FLOW}.pattern.absorption_rank_frac": (0.2, {}),
        f"{FLOW}.pattern.absorption_history_bars": (10, {}),
        f"{FLOW}.pattern.absorption_warmup_bars": (50, {}),
        f"{FLOW}.pattern.divergence_swing_bars": (1, {}),
        f"{FLOW}.pattern.divergence_max_bars": (5, {f"{FLOW}.pattern.divergence_swing_bars": 1}),
        f"{FLOW}.pattern.divergence_strength": (0.9, {}),
    },
    BUSY,
)

compare(
    lambda settings: audit(settings, has_quotes=False),
    {
        f"execution.fill_models.{name}.unquoted_spread_ticks": (
            3,
            {"execution.fill_model": name, f"execution.fill_models.{name}.crosses_spread": True},
        )
        for name in ("optimistic", "realistic", "pessimistic")
    },
    BUSY,
)

compare(
    tape,
    {
        f"synthetic.{name}": (other, {})
        for name, other in {
            "is_null": True,
            "ticks_per_session": 2_000,
            "full_session_minutes": 780,
            "overnight_frac": 0.5,
            "full_night_minutes": 400,
            "start_ticks": 10_000,
            "overnight_volatility_ticks": 5.0,
            "overnight_memory_days": 2.0,
            "session_volatility_ticks": 20.0,
            "drift_ticks": 400.0,
            "regime_multipliers": [1.0],
            "regime_minutes": 2.0,
            "open_activity": 1.0,
            "close_activity": 1.0,
            "edge_minutes": 5.0,
            "bin_ms": 1_000,
            "cluster_deviation": 0.0,
            "cluster_seconds": 300.0,
            "burst_factor": 1.0,
            "burst_every_seconds": 500.0,
            "burst_seconds": 10.0,
            "sweep_frac": 0.5,
            "same_side_frac": 0.5,
            "impact": 0.0,
            "wide_spread_frac": 0.4,
            "very_wide_frac": 1.0,
            "wide_trades": 20.0,
            "size_one_frac": 0.1,
            "size_tail": 5.0,
            "size_max": 3,
        }.items()
    },
    {"synthetic.ticks_per_session": 5_000},
)

compare(
    verdict,
    {
        "evidence.null_sessions": (3, {}),
        "evidence.null_ticks": (4_000, {}),
        "evidence.null_seed": (2, {}),
        "evidence.null_max_t": (0.001, {"evidence.null_min_trades": 2}),
        "evidence.null_min_trades": (2, {}),
        "evidence.future_cuts": (3, {}),
        "evidence.future_ticks": (60_000, {}),
        "evidence.max_ambiguous_frac": (0.5, {}),
        "evidence.min_trades": (2, {}),
        "evidence.min_deflated_sharpe": (0.01, {}),
        "metrics.trading_days": (365, {}),
        "metrics.risk_free_frac": (0.05, {}),
        "metrics.confidence_frac": (0.5, {}),
        "metrics.bootstrap_samples": (100, {}),
        "metrics.bootstrap_seed": (1, {"metrics.bootstrap_samples": 101}),
    },
    {
        **BUSY,
        "evidence.null_sessions": 2,
        "evidence.null_ticks": 3_000,
        "evidence.future_cuts": 2,
        "evidence.future_ticks": 3_000,
    },
)

compare(
    shaken,
    {
        "stress.shuffles": (100, {}),
        "stress.seed": (1, {}),
        "stress.slippage_ticks": ([3], {}),
        "stress.max_hour_share": (0.01, {}),
        "stress.max_weekday_share": (0.01, {}),
        "stress.drawdown_quantile": (0.5, {}),
        "stress.max_drawdown_frac": (0.001, {}),
        "stress.final_quantile": (0.5, {}),
        "stress.min_final_profit": (100_000.0, {}),
        "stress.ruin_loss_frac": (0.01, {}),
        "stress.max_ruin_probability": (1.0, {}),
        "stress.losing_streak_quantile": (0.5, {}),
        "stress.max_losing_streak": (1, {}),
    },
    {},
)


def _stream(**changes: Any) -> Any:
    from sovereign.signals.order_flow import OrderFlowStream

    settings = Settings.model_validate(_over_defaults({**BUSY, **changes}))
    feed, instrument, _ = _market(settings, 1)
    flow = settings.strategies.order_flow
    stream = OrderFlowStream(instrument, flow.footprint, flow.pattern, flow.regime, flow.router)
    for session in feed.sessions():
        stream.start_session(session)
        for block in feed.blocks(session):
            stream.advance(block.trades, block.until_ns)
    return stream


@effect(f"{FLOW}.footprint.kept_bars")
def _() -> tuple[object, object]:
    def readable(kept: int) -> int:
        stream, count = _stream(**{f"{FLOW}.footprint.kept_bars": kept}), 0
        for index in range(len(stream.rows)):
            try:
                stream.footprint(index)
            except SovereignError:
                continue
            count += 1
        return count

    return readable(3), readable(10)


@effect(f"{FLOW}.footprint.max_levels")
def _() -> tuple[object, object]:
    import numpy as np

    from sovereign.core.columns import Trades
    from sovereign.core.instrument import find_instrument
    from sovereign.core.session import NS_PER_HOUR
    from sovereign.kernels.order_flow_setting import FootprintConfig
    from sovereign.signals.order_flow import OrderFlowStream

    def outcome(max_levels: int) -> str:
        feed, _, _ = _market(Settings(), 1)
        session = next(iter(feed.sessions()))
        stream = OrderFlowStream(find_instrument("ESZ5"), FootprintConfig(max_levels=max_levels))
        stream.start_session(session)
        ts = session.regular_open_ns + np.arange(2, dtype=np.int64)
        apart = Trades(ts, np.array([20_000, 26_000], np.int32), np.ones(2, np.int32), np.ones(2, np.int8))
        try:
            stream.advance(apart, session.regular_open_ns + NS_PER_HOUR)
        except SovereignError as error:
            return type(error).__name__
        return "accepted"

    return outcome(2_000), outcome(50_000)


@effect(f"{FLOW}.pattern.unfinished_kept")
def _() -> tuple[object, object]:
    key = f"{FLOW}.pattern.unfinished_kept"
    return len(_stream(**{key: 1}).unfinished_auctions()), len(_stream(**{key: 50}).unfinished_auctions())


def _pragma(name: str, **settings: Any) -> object:
    from sovereign.store.configuration import StoreConfig
    from sovereign.store.database import Database

    with tempfile.TemporaryDirectory() as folder:
        database = Database(StoreConfig(url=f"sqlite:///{folder}/store.sqlite", **settings))
        with database.engine.connect() as connection:
            value = connection.exec_driver_sql(f"PRAGMA {name}").scalar()
        database.engine.dispose()
        return value


def _portfolio_checks(**evidence: int) -> object:
    from example_portfolio import example_strategies, recipe
    from sovereign.core.instrument import find_instrument
    from sovereign.feeds.calendar import calendar_for
    from sovereign.feeds.synthetic import PortfolioMarket, PortfolioMarketConfig
    from sovereign.research.configuration import EvidenceConfig, MetricsConfig
    from sovereign.research.runner import Plan, portfolio_tests

    calendar, market = calendar_for("XNYS"), PortfolioMarketConfig(step_seconds=300)
    config = EvidenceConfig(**{"null_sessions": 2, "null_symbols": 2, "future_sessions": 2, "future_cuts": 1, **evidence})
    with example_strategies():
        plan = Plan(
            kind="backtest",
            recipe=recipe(bar_seconds=900),
            feed=PortfolioMarket(["SPY", "ZAA"], calendar, FIRST, 1, 1, market),
            instruments=(find_instrument("SPY"), find_instrument("ZAA")),
            calendar=calendar,
            symbols=("ZAA",),
            start=FIRST,
            end=FIRST,
            settings={},
            data_hash="simulated",
            seed=1,
            evidence=config,
            metrics=MetricsConfig(),
            portfolio_market=market,
        )
        null, future = portfolio_tests(plan)
    return null.trades, null.mean, future.events, future.decisions


for _name, _more in (("null_symbols", 4), ("future_sessions", 5)):

    def _seen(name: str = _name, more: int = _more) -> tuple[object, object]:
        return _portfolio_checks(), _portfolio_checks(**{name: more})

    effect(f"evidence.{_name}")(_seen)


def _inside_a_bar(name: str, bar_order: str) -> object:
    import numpy as np

    from sovereign.core.columns import Bars
    from sovereign.core.instrument import find_instrument
    from sovereign.core.order import Bracket, Order, OrderRole, OrderType, Side
    from sovereign.execution.matching import MatchingEngine
    from sovereign.feeds.bars import path_of

    settings = Settings.model_validate({"execution": {"fill_models": {name: _model_of(name, bar_order=bar_order)}}})
    bars = Bars(
        np.array([2, 3], np.int64) * 60_000_000_000,
        *(np.array(column, np.int32) for column in ([100, 100], [100, 130], [100, 60], [100, 110])),
        np.array([40_000, 40_000], np.int64),
    )
    trades = path_of(bars, 60)
    engine = MatchingEngine(settings.execution.model_of(name))
    engine.submit(
        Order(
            client_order_id="A",
            instrument=find_instrument("ES"),
            tape="ES",
            side=Side.BUY,
            order_type=OrderType.MARKET,
            quantity=1,
            submitted_ns=0,
            active_ns=0,
            role=OrderRole.ENTRY,
            bracket=Bracket(stop_ticks=20, target_ticks=15),
        ),
        0,
    )
    engine.on_time(0)
    reports, row = [], 0
    while row < len(trades):
        found = engine.next_event("ES", trades, row, len(trades))
        if found == len(trades):
            break
        reports += engine.take("ES", trades, found)
        row = found + 1
    return [(r.client_order_id, r.price_ticks) for r in reports if r.quantity]


def _model_of(name: str, **changes: Any) -> dict[str, Any]:
    from sovereign.execution.fill_model import ExecutionConfig

    return {**ExecutionConfig().model_of(name).model_dump(mode="json"), **changes}


for _name, _other in (("optimistic", "path"), ("realistic", "target"), ("pessimistic", "target")):

    def _both(name: str = _name, other: str = _other) -> tuple[object, object]:
        return _inside_a_bar(name, _model_of(name)["bar_order"]), _inside_a_bar(name, other)

    effect(f"execution.fill_models.{_name}.bar_order")(_both)


@effect("execution.trading_enabled")
def _() -> tuple[object, object]:
    from sovereign.risk.opt_in import live_opt_ins

    def missing(is_enabled: bool) -> object:
        settings = Settings.model_validate({"execution": {"trading_enabled": is_enabled}})
        return live_opt_ins(settings.execution.trading_enabled, True, {"ENABLE_LIVE_TRADING": "1"})

    return missing(False), missing(True)


@effect("store.url")
def _() -> tuple[object, object]:
    from sovereign.store.configuration import StoreConfig
    from sovereign.store.store import Store

    def made(name: str) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            with Store(StoreConfig(url=f"sqlite:///{folder}/{name}.sqlite")) as store:
                store.runs()
            return sorted(file.name for file in Path(folder).glob("*.sqlite"))

    return made("one"), made("other")


@effect("store.busy_timeout_ms")
def _() -> tuple[object, object]:
    return _pragma("busy_timeout", busy_timeout_ms=10), _pragma("busy_timeout", busy_timeout_ms=20)


@effect("store.synchronous")
def _() -> tuple[object, object]:
    return _pragma("synchronous", synchronous="NORMAL"), _pragma("synchronous", synchronous="FULL")


def _portfolio(config: Any) -> str:
    from sovereign.feeds.calendar import calendar_for
    from sovereign.feeds.synthetic import PortfolioMarket

    market, digest = PortfolioMarket(["SPY", "QQQ"], calendar_for("XNYS"), FIRST, 2, 7, config), hashlib.sha256()
    for session in market.sessions():
        for block in market.blocks(session):
            for column in (block.trades.ts, block.trades.price, block.trades.size):
                digest.update(column.tobytes())
    return digest.hexdigest()


effects_of(
    "portfolio_market",
    Settings().portfolio_market,
    _portfolio,
    {
        "step_seconds": (15, 60),
        "start_ticks": (40_000, 10_000),
        "session_volatility_ticks": (480.0, 200.0),
        "correlation": (0.45, 0.9),
        "cluster_deviation": (0.5, 0.0),
        "cluster_minutes": (60.0, 5.0),
        "edge_activity": (1.5, 0.0),
        "edge_minutes": (40.0, 10.0),
        "session_volume": (2_000_000, 100_000),
        "volume_deviation": (0.8, 0.1),
    },
)


def _queued(config: Any) -> str:
    from sovereign.feeds.calendar import calendar_for
    from sovereign.feeds.synthetic import PortfolioMarket

    market, digest = PortfolioMarket(["SPY"], calendar_for("XNYS"), FIRST, 1, 7, queues=config), hashlib.sha256()
    (session,) = market.sessions()
    for block in market.blocks(session):
        quotes = market.quotes(session, block.symbol, block.trades)
        for name in ("ts", "bid", "ask", "bid_size", "ask_size"):
            digest.update(getattr(quotes, name).tobytes())
    return digest.hexdigest()


effects_of(
    "queues",
    Settings().queues,
    _queued,
    {
        "depth_trades": (6.0, 2.0),
        "depth_deviation": (0.5, 0.1),
        "refill_s": (10.0, 60.0),
        "step_ms": (1_000, 5_000),
        "spread_ticks": (1, 3),
    },
)


import council_effects  # noqa: E402, F401
import execution_effects  # noqa: E402, F401  (they register their effects; they need the functions above)
import house_effects  # noqa: E402, F401
import lossless_effects  # noqa: E402, F401
import ops_effects  # noqa: E402, F401
import order_flow_effects  # noqa: E402, F401
import overfitting_effects  # noqa: E402, F401
import session_effects  # noqa: E402, F401
import store_effects  # noqa: E402, F401
import tug_effects  # noqa: E402, F401
