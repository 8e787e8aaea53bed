"""What the tests of the tug of war share: a small market with two benchmarks, rows made of it, single rows, moments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from sovereign.core.columns import Trades
from sovereign.core.instrument import find_instrument
from sovereign.core.port import Block, Moment
from sovereign.feeds.calendar import calendar_for
from sovereign.kernels.tug_of_war import REGIME_TREND, ROW_FIELDS
from sovereign.signals.bars import ROW_HEAD
from sovereign.strategies.tug_of_war import TugOfWarConfig, TugOfWarStrategy

SESSIONS = calendar_for("XNYS").sessions(date(2024, 1, 2), date(2026, 6, 30))
SYMBOLS = ("SPY", "QQQ", "NVDA", "JPM")
MINUTE = 60 * 10**9
ROW = np.dtype(ROW_HEAD + ROW_FIELDS, align=True)
Day = tuple[Any, dict[str, Trades]]

QUICK: dict[str, Any] = {
    "bar_seconds": 900,
    "without": ["earnings"],
    "institution": {"momentum": {"width_days": 6, "min_days": 40, "fit_days": 60}, "alpha": {"min_days": 10}},
    "market": {"bar_seconds": 1_800, "hidden": {"min_fit_bars": 100, "fit_bars": 300}, "min_history_bars": 20},
    "confidence": {"min_rank_rows": 20, "calibration": {"min_cases": 20}},
}
"""Settings whose signals are known after eight weeks of quarter hours."""


@cache
def market(seed: int = 1, sessions: int = 56, bars: int = 26, symbols: Sequence[str] = SYMBOLS) -> tuple[Day, ...]:
    """Sessions of correlated shares, four ticks a bar; calm and storm by turns, with now and then a jump and heavy volume."""
    rng, found = np.random.default_rng(seed), []
    price = dict.fromkeys(symbols, 40_000.0)
    for number, session in enumerate(SESSIONS[:sessions]):
        opens, closes = session.regular_open_ns, session.regular_close_ns
        storm = (1.0, 1.0, 1.6, 1.0, 5.0)[number // 4 % 5]
        common = rng.normal(0.3 * ((number // 8) % 3 - 1), storm, bars)
        tapes = {}
        at = opens + np.arange(bars)[:, None] * ((closes - opens) // bars) + np.array([1, 3, 7, 12]) * MINUTE
        for symbol in symbols:
            own = rng.normal(0.0, 1.0, bars) + (rng.random(bars) < 0.01) * rng.choice([-45.0, 60.0], bars)
            path = price[symbol] * np.exp(np.cumsum(common + own) * 0.0011)
            ends = path.round().astype(np.int64)
            starts = np.concatenate([[round(price[symbol])], ends[:-1]])
            high = np.maximum(starts, ends) + rng.integers(0, 20, bars)
            low = np.minimum(starts, ends) - rng.integers(0, 20, bars)
            prices = np.stack([starts, high, low, ends], axis=1).reshape(-1).astype(np.int32)
            heavy = 1.0 + 3.0 * (rng.random() < 0.2)
            sizes = (rng.lognormal(5.0, 0.5, 4 * bars) * heavy).astype(np.int32) + 1
            tapes[symbol] = Trades(at.reshape(-1), prices, sizes, rng.choice(np.array([-1, 1], np.int8), 4 * bars))
            price[symbol] = float(ends[-1])
        found.append((session, tapes))
    return tuple(found)


def config_of(**sections: Any) -> TugOfWarConfig:
    """QUICK with some sections changed, field by field."""

    def merged(one: Any, other: Any) -> Any:
        if not (isinstance(one, dict) and isinstance(other, dict)):
            return other
        return {**one, **{name: merged(one.get(name), value) for name, value in other.items()}}

    return TugOfWarConfig.model_validate(merged(QUICK, sections))


def streams_of(strategy: TugOfWarStrategy, symbols: Iterable[str] = SYMBOLS) -> dict[str, Any]:
    """Streams of a strategy, benchmarks first."""
    return {symbol: strategy.signal_stream(find_instrument(symbol)) for symbol in symbols}


def run_session(streams: dict[str, Any], day: Day, cuts: Callable[[int], Iterable[int]] | None = None) -> dict[str, np.ndarray]:
    """Feed one session, whole or cut at some times of the day (as fractions of 1,000), and return the shares' rows."""
    session, tapes = day
    for symbol, stream in streams.items():
        if symbol in tapes:
            stream.start_session(session)
    span = session.regular_close_ns - session.regular_open_ns
    inner = [] if cuts is None else [session.regular_open_ns + span * cut // 1_000 for cut in cuts(1_000)]
    for start, stop in pairwise([session.open_ns, *sorted(set(inner)), session.close_ns]):
        for symbol, trades in tapes.items():
            first, last = np.searchsorted(trades.ts, [start, stop]).tolist()
            streams[symbol].advance(trades.slice(first, last), stop)
    return {symbol: streams[symbol].rows.copy() for symbol in tapes}


def rows_of(config: TugOfWarConfig, days: Iterable[Day], cuts: Any = None, evidence: Any = None) -> dict[str, np.ndarray]:
    """All rows of some sessions by symbol."""
    strategy = TugOfWarStrategy(config)
    if evidence is not None:
        strategy.use_evidence(evidence)
    days = list(days)
    streams = streams_of(strategy, days[0][1])
    found = [run_session(streams, day, cuts) for day in days]
    return {symbol: np.concatenate([rows[symbol] for rows in found if symbol in rows]) for symbol in streams}


def row(**values: Any) -> np.ndarray:
    """One row of a share in a trend, in which institutions are sure and the crowd is afraid, but for what is given."""
    found = np.zeros(1, ROW)
    for name in ROW.names or ():
        if ROW[name] == np.float64:
            found[name] = np.nan
    usual = {
        "known_at": SESSIONS[0].regular_open_ns + 90 * MINUTE,
        "close": 10_000,
        "volume": 1_000,
        "conviction": 0.8,
        "direction": 1,
        "raw_confidence": 0.75,
        "rank": 0.9,
        "probability": 0.5,
        "streak": 2,
        "crowd": -1,
        "crowd_known": True,
        "crowd_share": 1.0,
        "rsi": 25.0,
        "is_absorption": -1,
        "regime": REGIME_TREND,
        "can_enter": True,
        "cycle": True,
        "wake": True,
    }
    for name, value in {**usual, **values}.items():
        found[name] = value
    return found


def moment_of(
    rows: np.ndarray,
    index: int = 0,
    *,
    held: int = 0,
    symbol: str = "NVDA",
    session: Any = None,
    quote: tuple[int | None, int | None] = (None, None),
) -> Moment:
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
        bid_ticks=quote[0],
        ask_ticks=quote[1],
    )


class CutFeed:
    """Sessions of given tapes, handed over in pieces of the day, the symbols of each piece one after the other.

    `cuts` says anew for each session where it is cut, in thousandths of the regular hours.
    """

    is_simulated = True

    def __init__(self, days: Sequence[Day], cuts: Callable[[], Iterable[int]] = tuple) -> None:
        self._days, self._cuts = days, cuts

    def sessions(self) -> Iterator[Any]:
        return iter([session for session, _ in self._days])

    def instruments(self, session: Any) -> list[Any]:
        return [find_instrument(symbol) for symbol in self._of(session)]

    def _of(self, session: Any) -> dict[str, Trades]:
        return next(tapes for other, tapes in self._days if other is session)

    def blocks(self, session: Any) -> Iterator[Block]:
        span = session.regular_close_ns - session.regular_open_ns
        inner = sorted({session.regular_open_ns + span * cut // 1_000 for cut in self._cuts()})
        for start, stop in pairwise([session.open_ns, *inner, session.close_ns]):
            for symbol, trades in self._of(session).items():
                first, last = np.searchsorted(trades.ts, [start, stop]).tolist()
                yield Block(symbol, trades.slice(first, last), stop)
