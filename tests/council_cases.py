"""What the tests of the council share: restless tapes of bars, rows made of them, random rows, and an account-free moment."""

from __future__ import annotations

from datetime import date
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from sovereign.core.columns import Trades
from sovereign.core.instrument import find_instrument
from sovereign.core.port import Moment
from sovereign.feeds.calendar import calendar_for
from sovereign.signals.council import ROW, CouncilStream
from sovereign.strategies.council import CouncilConfig, CouncilStrategy
from sovereign.strategies.council.agent import Reading

SPY = find_instrument("SPY")
SESSIONS = calendar_for("XNYS").sessions(date(2024, 1, 2), date(2026, 6, 30))
MINUTE = 60 * 10**9
UNKNOWN = np.nan


def tape_of(session: Any, price: int, rng: np.random.Generator, bars: int, step: float, drift: float = 0.0) -> Trades:
    """One session of `bars` bars of four ticks (open, two extremes, close); sizes and sides are random."""
    opens, closes = session.regular_open_ns, session.regular_close_ns
    ends = price + np.cumsum(rng.normal(drift, step, bars)).round().astype(np.int64)
    starts = np.concatenate([[price], ends[:-1]])
    high = np.maximum(starts, ends) + rng.integers(0, 1 + round(step), bars)
    low = np.minimum(starts, ends) - rng.integers(0, 1 + round(step), bars)
    prices = np.stack([starts, high, low, ends], axis=1).reshape(-1).astype(np.int32)
    at = opens + np.arange(bars)[:, None] * ((closes - opens) // bars) + np.array([1, 2, 3, 4]) * MINUTE // 2
    sizes = rng.lognormal(5.0, 0.6, 4 * bars).astype(np.int32) + 1
    return Trades(at.reshape(-1), prices, sizes, rng.choice(np.array([-1, 1], np.int8), 4 * bars))


@cache
def restless(seed: int = 1, sessions: int = 24, bars: int = 78) -> tuple[tuple[Any, Trades], ...]:
    """Sessions that trend, stand and storm in turn."""
    rng, price, found = np.random.default_rng(seed), 40_000, []
    for number, session in enumerate(SESSIONS[:sessions]):
        step = (20.0, 60.0, 12.0, 35.0)[number % 4]
        trades = tape_of(session, price, rng, bars, step, drift=(0.25, -0.25, 0.0, 0.1, -0.1)[number % 5] * step)
        price = int(trades.price[-1])
        found.append((session, trades))
    return tuple(found)


def stream_of(config: CouncilConfig | None = None) -> CouncilStream:
    """The rows of a strategy of these settings."""
    return CouncilStrategy(config or CouncilConfig()).signal_stream(SPY)  # type: ignore[return-value]


def rows_of(stream: Any, days: Any, cuts: Any = None) -> np.ndarray:
    """All rows of some sessions, handed over whole or cut after some ticks (`cuts` of the number of ticks)."""
    found = []
    for session, trades in days:
        stream.start_session(session)
        inner = [] if cuts is None else [c for c in cuts(len(trades)) if 0 < c < len(trades)]
        for start, stop in pairwise(sorted({0, *inner, len(trades)})):
            until = session.close_ns if stop == len(trades) else int(trades.ts[stop - 1])
            stream.advance(trades.slice(start, stop), until)
        found.append(stream.rows.copy())
    return np.concatenate(found)


@cache
def random_rows(count: int = 300, seed: int = 5) -> np.ndarray:
    """Rows whose every field is somewhere in its range, now and then unknown."""
    rng, rows = np.random.default_rng(seed), np.zeros(count, ROW)
    session = SESSIONS[0]
    rows["known_at"] = session.regular_open_ns + 5 * MINUTE * (1 + np.arange(count) % 78)
    rows["close"] = rng.integers(20_000, 60_000, count)
    rows["atr"] = rng.uniform(20, 200, count)
    for name, low, high in (
        ("volatility", 0.02, 0.6),
        ("volatility_percentile", 0, 1),
        ("efficiency", -1, 1),
        ("width", 0, 0.02),
        ("width_percentile", 0, 1),
        ("momentum", -4, 4),
        ("volume_ratio", -1, 1),
        ("prior_trend", -2, 2),
        ("regime_confidence", 0, 1),
        ("amihud_percentile", 0, 1),
        ("impact_percentile", 0, 1),
        ("magnet_share", 0, 1),
        ("momentum_ratio", -1.2, 1.2),
        ("volume_balance", -1, 1),
        ("volatility_z", -3, 3),
    ):
        rows[name] = rng.uniform(low, high, count)
    rows["vwap"] = rows["close"] * rng.uniform(0.99, 1.01, count)
    rows["magnet"] = rows["close"] + rng.normal(0, 4, count) * rows["atr"]
    rows["is_at_magnet"] = rng.random(count) < 0.2
    rows["regime"] = rng.integers(0, 8, count)
    rows["phase"] = rng.integers(0, 5, count)
    rows["bars_since_spring"] = rng.integers(-1, 12, count)
    rows["bars_since_upthrust"] = rng.integers(-1, 12, count)
    shares = rng.dirichlet(np.full(5, 0.4), count)
    for n, name in enumerate(("p_accumulation", "p_markup", "p_distribution", "p_markdown", "p_range")):
        rows[name] = shares[:, n]
    rows["p_wildest"] = rng.random(count)
    for name in ("momentum_ratio", "p_markup", "amihud_percentile", "volatility"):
        rows[name][rng.random(count) < 0.03] = UNKNOWN
    return rows


def row(**values: Any) -> np.ndarray:
    """One row in which everything is quiet and known, but for what is given."""
    found = np.zeros(1, ROW)
    quiet = {
        "known_at": SESSIONS[0].regular_open_ns + 300 * 10**9,
        "close": 40_000,
        "atr": 100.0,
        "volatility": 0.15,
        "volatility_percentile": 0.5,
        "width_percentile": 0.5,
        "vwap": 40_000.0,
        "magnet": UNKNOWN,
        "amihud_percentile": 0.0,
        "impact_percentile": 0.0,
        "bars_since_spring": -1,
        "bars_since_upthrust": -1,
        "regime_confidence": 0.5,
        "p_range": 1.0,
    }
    for name, value in {**quiet, **values}.items():
        found[name] = value
    return found


def reading(**values: Any) -> Any:
    """The same as an agent reads it."""
    return Reading._make(row(**values)[0].item())


def moment_of(rows: np.ndarray, index: int = 0, *, held: int = 0, symbol: str = "SPY", session: Any = None) -> Moment:
    """A moment at a row: it has just become known."""
    return Moment(
        ts=int(rows["known_at"][index]),
        symbol=symbol,
        session=session or SESSIONS[0],
        index=index,
        rows=rows[: index + 1],
        candidates=np.zeros(0, [("row", np.int32), ("gate", np.int8)]),
        position_quantity=held,
        last_ticks=int(rows["close"][index]),
    )
