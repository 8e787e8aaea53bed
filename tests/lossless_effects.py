"""Effects of the lossless strategy's settings, seen in the rows of a random market and in what is decided on them."""

from __future__ import annotations

from datetime import date
from typing import Any

from key_effects import effect, effects_of
from lossless_reference import random_sessions
from sovereign.core.errors import UsageError
from sovereign.core.instrument import find_instrument
from sovereign.feeds.calendar import calendar_for
from sovereign.kernels.lossless_setting import GapConfig, LevelConfig, VolumeConfig
from sovereign.strategies.lossless import LosslessConfig, LosslessStrategy

PLACE = "strategies.lossless"


def _rows(config: LosslessConfig) -> object:
    stream: Any = LosslessStrategy(config).signal_stream(find_instrument("SPY"))
    seen = []
    for session, trades in random_sessions(calendar_for("XNYS").sessions(date(2025, 1, 6), date(2025, 2, 28)), seed=9):
        stream.start_session(session)
        stream.advance(trades, session.close_ns)
        seen.append(stream.rows.tobytes())
    return seen


def _gaps(config: GapConfig) -> object:
    stream: Any = LosslessStrategy(LosslessConfig(gap=config)).signal_stream(find_instrument("SPY"))
    session, trades = next(random_sessions(calendar_for("XNYS").sessions(date(2025, 1, 6), date(2025, 1, 6)), seed=9))
    stream.start_session(session)
    late = type(trades).concat([trades.slice(0, 40), trades.slice(52, 60), trades.slice(72, 100)])
    stream.advance(late, session.close_ns)
    return stream.gaps


effects_of(
    PLACE + ".level",
    LevelConfig(),
    lambda config: _rows(LosslessConfig(level=config)),
    {
        "search": ("touched", "whole"),
        "atr_days": (14, 5),
        "buckets_per_atr": (10.0, 5.0),
        "rebuild_factor": (1.01, 4.0),
        "touch_frac": (0.5, 0.0),
        "stop_frac": (0.5, 1.0),
    },
)
effects_of(
    PLACE + ".volume",
    VolumeConfig(),
    lambda config: _rows(LosslessConfig(volume=config)),
    {"slot_minutes": (30, 390), "capitulation_rank": (0.975, 0.9), "elevated_rank": (0.8413, 0.5)},
)
effects_of(PLACE + ".gap", GapConfig(alert_s=1_000), _gaps, {"note_s": (90, 901), "alert_s": (1_000, 900)})


@effect(f"{PLACE}.bar_seconds")
def _() -> tuple[object, object]:
    return _rows(LosslessConfig()), _rows(LosslessConfig(bar_seconds=600))


@effect(f"{PLACE}.hours")
def _() -> tuple[object, object]:
    def judged(hours: Any) -> list[int]:
        stream: Any = LosslessStrategy(LosslessConfig(hours=hours)).signal_stream(find_instrument("SPY"))
        session, trades = next(random_sessions(calendar_for("XNYS").sessions(date(2025, 1, 6), date(2025, 1, 6)), bars=100))
        stream.start_session(session)
        stream.advance(trades, session.close_ns)
        return [len(stream.book.history)]

    return judged("regular"), judged("all")


@effect(f"{PLACE}.max_symbols")
def _() -> tuple[object, object]:
    def taken(count: int) -> int:
        strategy, done = LosslessStrategy(LosslessConfig(max_symbols=count)), 0
        for symbol in ("SPY", "QQQ", "NVDA"):
            try:
                strategy.signal_stream(find_instrument(symbol))
            except UsageError:
                continue
            done += 1
        return done

    return taken(2), taken(3)
