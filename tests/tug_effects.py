"""Effects of the tug of war's settings: in the rows of a small market, and in what is decided on single rows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from episode_books import LimitBook
from key_effects import effect
from sovereign.core.configuration import Configuration
from sovereign.feeds.earnings import EarningsConfig
from sovereign.signals.calibration import CalibrationConfig
from sovereign.signals.market_regime import CrisisConfig
from sovereign.signals.tug_market import HiddenStatesConfig, MarketConfig, NewsView, TapeView
from sovereign.signals.tug_of_war import AlphaConfig, CrowdConfig, InstitutionConfig, MomentumConfig
from sovereign.strategies.combiner import ConflictConfig
from sovereign.strategies.tug_of_war import TugOfWarConfig, TugOfWarStrategy
from sovereign.strategies.tug_of_war.configuration import KellyConfig, PositionConfig
from sovereign.strategies.tug_of_war.kelly import Kelly
from sovereign.strategies.tug_of_war.strategy import sized
from tug_cases import MINUTE, SESSIONS, config_of, market, moment_of, row, rows_of

PLACE = "strategies.tug_of_war"


class Scouts:
    """A tape and news that are two minutes old and move with the time of day."""

    def tape(self, _symbol: str, ts: int) -> TapeView | None:
        return TapeView(ts - 2 * MINUTE, -2.0, is_absorption=ts // MINUTE % 2 == 0)

    def news(self, _symbol: str, ts: int) -> NewsView | None:
        return NewsView(ts - 40 * MINUTE, (ts // MINUTE % 5 - 2) / 2.0, (ts // MINUTE % 3 - 1) * 0.2)


@cache
def _seen(flat: str, has_scouts: bool, days: int) -> tuple[bytes, ...]:
    rows = rows_of(TugOfWarConfig.model_validate_json(flat), market(1, days), evidence=Scouts() if has_scouts else None)
    # By field: the bytes between the fields of a record are not data.
    return tuple(rows[symbol][name].tobytes() for symbol in ("NVDA", "JPM") for name in rows[symbol].dtype.names)


def rows_under(*, has_scouts: bool = False, days: int = 56, **sections: Any) -> object:
    """Every field of every row of some weeks under these settings."""
    return _seen(config_of(**sections).model_dump_json(), has_scouts, days)


def decided(rows: Any, *, symbol: str = "NVDA", held: int = 0, last: int | None = None, **sections: Any) -> object:
    """What is decided on a single row."""
    moment = moment_of(rows, symbol=symbol, held=held)
    del last
    return TugOfWarStrategy(config_of(**sections)).decide(moment)


def in_rows(path: str, kind: type[Configuration], table: Mapping[str, tuple[Any, Any]], **around: Any) -> None:
    """Register keys of a section by what they change in the rows; `around` is what else must be so."""
    for name, (one, other) in table.items():
        if name not in kind.model_fields:
            raise ValueError(f"{kind.__name__} has no {name}")

        def both(name: str = name, one: Any = one, other: Any = other) -> tuple[object, object]:
            def under(value: Any) -> object:
                sections: Any = {name: value}
                for part in reversed(path.split(".")):
                    sections = {part: sections}
                return rows_under(**_joined(around, sections))

            return under(one), under(other)

        effect(f"{PLACE}.{path}.{name}")(both)


def _joined(one: Any, other: Any) -> Any:
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return other
    return {**one, **{name: _joined(one.get(name), value) for name, value in other.items()}}


@effect(f"{PLACE}.bar_seconds")
def _() -> tuple[object, object]:
    return rows_under(), rows_under(bar_seconds=1_800)


@effect(f"{PLACE}.benchmarks")
def _() -> tuple[object, object]:
    return rows_under(), rows_under(benchmarks=["QQQ", "SPY"])


@effect(f"{PLACE}.without")
def _() -> tuple[object, object]:
    return rows_under(), rows_under(without=["earnings", "momentum"])


@effect(f"{PLACE}.warm_up_sessions")
def _() -> tuple[object, object]:
    def warmed(count: int) -> object:
        from datetime import date, timedelta

        from sovereign.app.configuration import load_settings
        from sovereign.app.plan import _days_before

        first = date(2025, 3, 3)

        class Held:
            def dates(self, _symbol: str, _kind: str) -> list[date]:
                return [first - timedelta(n) for n in range(9, -1, -1)]

        wanted = (f"{PLACE}.warm_up_sessions={count}",)
        section = load_settings(environment={}, strategy="tug_of_war", overrides=wanted).settings.strategies.tug_of_war
        return _days_before(Held(), ["SPY"], "bars-60", first, section.warm_up_sessions)  # type: ignore[arg-type]

    return warmed(3), warmed(520)


in_rows(
    "institution.momentum",
    MomentumConfig,
    {
        "width_days": (6, 8),
        "order_step": (0.1, 0.3),
        "max_p": (0.05, 1e-9),
        "test_lags": (1, 8),
        "fit_days": (60, 45),
        "min_days": (40, 45),
        "refit_sessions": (5, 1),
        "mean_days": (5, 3),
    },
    institution={"momentum": {"max_p": 0.2}},
)
in_rows(
    "institution.alpha",
    AlphaConfig,
    {"window_days": (60, 20), "min_days": (10, 20), "mean_days": (5, 3), "volatility_days": (20, 10)},
)
in_rows(
    "institution",
    InstitutionConfig,
    {
        "range_minutes": (30, 60),
        "momentum_weight": (2.0, 0.5),
        "alpha_weight": (2.0, 0.5),
        "breakout_weight": (3.0, 0.5),
        "momentum_full": (1.5, 4.0),
        "alpha_full": (2.0, 4.0),
        "min_conviction": (0.05, 0.6),
        "penalty_share": (0.5, 0.05),
        "max_penalty": (0.15, 0.01),
        "min_confidence": (0.5, 0.6),
        "max_confidence": (0.95, 0.7),
    },
)
in_rows(
    "institution", InstitutionConfig, {"news_weight": (2.0, 0.5), "news_age_minutes": (90.0, 30.0)}, has_scouts=True, days=12
)
in_rows(
    "crowd",
    CrowdConfig,
    {
        "rsi_days": (14, 5),
        "greed_rsi": (60.0, 50.0),
        "fear_rsi": (30.0, 45.0),
        "pump_minutes": (15, 45),
        "pump_frac": (0.05, 0.01),
        "volume_days": (20, 6),
        "min_volume_days": (5, 10),
        "volume_spike": (2.0, 1.2),
        "rsi_points": (2.0, 0.0),
        "pump_points": (3.0, 0.0),
        "volume_points": (1.0, 0.0),
    },
    crowd={"greed_rsi": 60.0, "fear_rsi": 40.0},
)
in_rows(
    "crowd",
    CrowdConfig,
    {
        "fade_rsi": (50.0, 99.0),
        "fade_ofi": (-1.5, -3.0),
        "tape_age_minutes": (5.0, 1.0),
        "post_points": (2.0, 0.0),
        "min_tone": (0.1, 0.3),
    },
    has_scouts=True,
    days=24,
    crowd={"greed_rsi": 45.0, "fade_rsi": 50.0},
)
for _field, _other in (("base_confidence", 0.3), ("share_confidence", 0.1)):

    @effect(f"{PLACE}.crowd.{_field}")
    def _(name: str = _field, other: float = _other) -> tuple[object, object]:
        return decided(row()), decided(row(), crowd={name: other})


in_rows(
    "market",
    MarketConfig,
    {
        "bar_seconds": (1_800, 3_600),
        "window_bars": (20, 10),
        "trend_deviations": (1.0, 2.0),
        "hold_bars": (3, 1),
        "min_history_bars": (20, 200),
        "history_sessions": (20, 3),
    },
    market={"crisis": {"probability": 0.1, "volatility": 0.01, "percentile": 0.8, "readings": 1}},
)
in_rows(
    "market",
    MarketConfig,
    {"daily_history_bars": (120, 25)},
    days=220,
    bar_seconds=86_400,
    market={
        "bar_seconds": 86_400,
        "crisis": {"probability": 0.01, "volatility": 0.001, "percentile": 0.5, "readings": 1},
    },
)
in_rows(
    "market",
    MarketConfig,
    {"release_readings": (5, 1)},
    market={"crisis": {"probability": 0.1, "volatility": 0.01, "percentile": 0.8, "readings": 1}},
)


@effect(f"{PLACE}.market.max_idle_weekdays")
def _() -> tuple[object, object]:
    def first_regime(weekdays: int) -> object:
        # Five sessions are missing before the last one.
        days = market(1, 56)
        days = [*days[:50], days[55]]
        return rows_of(config_of(market={"max_idle_weekdays": weekdays}), days)["NVDA"]["regime"].tolist()

    return first_regime(1), first_regime(10)


@effect(f"{PLACE}.market.stale_bars")
def _() -> tuple[object, object]:
    def allowed(bars: int) -> object:
        # The benchmark falls silent at noon of the last day; what was read before it grows old.
        days = list(market(1, 30))
        session, tapes = days[-1]
        cut = int((tapes["SPY"].ts < session.regular_open_ns + 120 * MINUTE).sum())
        days[-1] = (session, {**tapes, "SPY": tapes["SPY"].slice(0, cut)})
        return rows_of(config_of(market={"stale_bars": bars}), days)["NVDA"]["can_enter"].tolist()

    return allowed(2), allowed(4)


in_rows(
    "market.hidden",
    HiddenStatesConfig,
    {
        "states": (3, 2),
        "min_fit_bars": (100, 250),
        "fit_bars": (300, 500),
        "refit_sessions": (5, 2),
        "iterations": (30, 2),
        "tolerance": (1e-4, 0.5),
        "variance_floor": (0.01, 0.9),
        "stickiness": (10.0, 0.0),
    },
)
in_rows(
    "market.crisis",
    CrisisConfig,
    {"probability": (0.1, 0.999), "volatility": (0.01, 5.0), "percentile": (0.5, 0.98), "readings": (1, 6)},
    market={"crisis": {"probability": 0.1, "volatility": 0.01, "percentile": 0.5, "readings": 1}},
)
in_rows(
    "confidence.calibration",
    CalibrationConfig,
    {"bands": (10, 4), "window_days": (250, 8), "prior_cases": (50.0, 1.0), "min_cases": (20, 2_000)},
)
in_rows(
    "confidence.calibration",
    CalibrationConfig,
    {"horizon_days": (5, 2)},
    days=90,
    bar_seconds=86_400,
    confidence={"calibration": {"min_cases": 10}, "min_rank_rows": 10},
)


@effect(f"{PLACE}.confidence.measure")
def _() -> tuple[object, object]:
    return decided(row()), decided(row(), confidence={"measure": "raw"})


@effect(f"{PLACE}.confidence.rank_rows")
def _() -> tuple[object, object]:
    return rows_under(), rows_under(confidence={"rank_rows": 40})


@effect(f"{PLACE}.confidence.min_rank_rows")
def _() -> tuple[object, object]:
    return rows_under(), rows_under(confidence={"min_rank_rows": 200})


def of_conflict(name: str, other: float, **seen: Any) -> None:
    if name not in ConflictConfig.model_fields:
        raise ValueError(name)

    @effect(f"{PLACE}.conflict.{name}")
    def _() -> tuple[object, object]:
        return decided(row(**seen)), decided(row(**seen), conflict={name: other})


of_conflict("min_opposed", 0.95)
of_conflict("min_alone", 0.95, crowd=0)
of_conflict("alone_factor", 0.3, crowd=0)


def earnings_under(config: EarningsConfig, hours_before: float) -> object:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "earnings.csv"
        file.write_text("symbol,date,when,as_of\nNVDA,2024-01-10,after,2023-12-20\n")
        section = config.model_copy(update={"file": file}).model_dump()
        report = SESSIONS[6].regular_close_ns  # 2024-01-10, 16:00
        rows = row(known_at=report - int(hours_before * 3600) * 10**9)
        return [p.intent is not None for p in decided(rows, without=[], earnings=section)]  # type: ignore[attr-defined]


@effect(f"{PLACE}.earnings.file")
def _() -> tuple[object, object]:
    unknown = [p.intent is not None for p in decided(row(), without=[])]  # type: ignore[attr-defined]
    return unknown, earnings_under(EarningsConfig(), 100.0)


@effect(f"{PLACE}.earnings.blackout_h")
def _() -> tuple[object, object]:
    return earnings_under(EarningsConfig(), 40.0), earnings_under(EarningsConfig(blackout_h=24.0), 40.0)


@effect(f"{PLACE}.earnings.after_h")
def _() -> tuple[object, object]:
    def again(hours: float) -> object:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "earnings.csv"
            lines = ("NVDA,2024-01-10,after,2023-12-20", "NVDA,2024-02-28,after,2024-01-11")
            file.write_text("\n".join(("symbol,date,when,as_of", *lines)) + "\n")
            section = EarningsConfig(file=file, after_h=hours).model_dump()
            rows = row(known_at=SESSIONS[7].regular_close_ns + 10 * 3600 * 10**9)
            return [p.intent is not None for p in decided(rows, without=[], earnings=section)]  # type: ignore[attr-defined]

    return again(0.0), again(48.0)


@effect(f"{PLACE}.earnings.max_age_days")
def _() -> tuple[object, object]:
    return earnings_under(EarningsConfig(), 100.0), earnings_under(EarningsConfig(max_age_days=5.0), 100.0)


@effect(f"{PLACE}.entry.cycle_minutes")
def _() -> tuple[object, object]:
    return rows_under(), rows_under(entry={"cycle_minutes": 60})


@effect(f"{PLACE}.entry.order")
def _() -> tuple[object, object]:
    return decided(row()), decided(row(), entry={"order": "market"})


@effect(f"{PLACE}.entry.slip_frac")
def _() -> tuple[object, object]:
    return decided(row()), decided(row(), entry={"slip_frac": 0.002})


def priced(quote: tuple[int | None, int | None] = (10_000, 10_010), age_s: float = 30.0, **entry: Any) -> object:
    """What is decided where a quote is known, and sizes of some age at it."""

    class Sized(Scouts):
        def tape(self, _symbol: str, ts: int) -> TapeView | None:
            return TapeView(ts - round(age_s * 1e9), 0.0, is_absorption=False, bid_size=300, ask_size=500)

    strategy = TugOfWarStrategy(config_of(entry=entry))
    strategy.use_evidence(Sized())
    (proposal,) = strategy.decide(moment_of(row(), quote=quote))
    return proposal.intent, proposal.checks


@effect(f"{PLACE}.entry.reference")
def _() -> tuple[object, object]:
    return priced(reference="micro"), priced(reference="mid")


@effect(f"{PLACE}.entry.size_age_s")
def _() -> tuple[object, object]:
    return priced(), priced(size_age_s=20.0)


@effect(f"{PLACE}.entry.fallback")
def _() -> tuple[object, object]:
    return priced((None, None)), priced((None, None), fallback="none")


@effect(f"{PLACE}.entry.is_unknown_report_blocked")
def _() -> tuple[object, object]:
    return decided(row(), without=[]), decided(row(), without=[], entry={"is_unknown_report_blocked": False})


def of_position(name: str, other: float, **seen: Any) -> None:
    if name not in PositionConfig.model_fields:
        raise ValueError(name)

    @effect(f"{PLACE}.position.{name}")
    def _() -> tuple[object, object]:
        return decided(row(**seen)), decided(row(**seen), position={name: other})


of_position("min_size_frac", 0.01)
of_position("max_risk_frac", 0.0001)
of_position("trend_stop_frac", 0.03)
of_position("trend_target_frac", 0.05)
of_position("chop_stop_frac", 0.03, regime=1, breakout=0.5)
of_position("chop_target_frac", 0.05, regime=1, breakout=0.5)


@effect(f"{PLACE}.position.max_size_frac")
def _() -> tuple[object, object]:
    def entered(largest: float) -> object:
        strategy = TugOfWarStrategy(config_of(position={"max_size_frac": largest}))
        for move in [0.04, 0.04, -0.02] * 60:
            strategy.kelly.add(move)  # an edge that asks for more than the largest size
        (proposal,) = strategy.decide(moment_of(row(), symbol="NVDA"))
        return proposal.intent and proposal.intent.size_multiplier

    return entered(0.05), entered(0.03)


@effect(f"{PLACE}.position.kelly_scale")
def _() -> tuple[object, object]:
    return tuple(sized(0.01, 0.02, 1.0, config_of(position={"kelly_scale": scale})) for scale in (2.0, 1.0))  # type: ignore[return-value]


for _name, _value in (("fraction", 0.25), ("max_fraction", 0.01), ("prior_trades", 5.0), ("max_trades", 10)):

    @effect(f"{PLACE}.position.kelly.{_name}")
    def _(name: str = _name, value: float = _value) -> tuple[object, object]:
        def edge(config: KellyConfig) -> object:
            kelly = Kelly(config, 0.02, 0.04)
            for move in [0.04, -0.02, 0.04] * 20 + [0.01]:
                kelly.add(move)
            return kelly.edge.fraction

        return edge(KellyConfig()), edge(KellyConfig.model_validate({name: value}))


@effect(f"{PLACE}.position.kelly.max_kept_episodes")
def _() -> tuple[object, object]:
    def told(limit: int) -> object:
        book, strategy = LimitBook(), TugOfWarStrategy(config_of(position={"kelly": {"max_kept_episodes": limit}}))
        strategy.use_book(book)
        strategy.decide(moment_of(row()))
        return book.limits

    return told(20_000), told(5_000)


@effect(f"{PLACE}.exits.flip_bars")
def _() -> tuple[object, object]:
    turned = row(direction=-1, streak=3)
    return decided(turned, held=5), decided(turned, held=5, exits={"flip_bars": 4})
