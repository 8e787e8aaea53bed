"""What all streams of the tug of war share: the benchmarks, the market's regime, what scouts know, what came of convictions.

The benchmarks' streams (SPY, QQQ) write what they see on a `MarketBoard`; a share looks there by time, never by position.
Benchmarks are fed first, so what the board holds at a bar's time is the same however the ticks were cut.
"""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Setting

from sovereign.core.columns import Trades
from sovereign.core.configuration import Configuration
from sovereign.core.instrument import Instrument
from sovereign.core.session import NS_PER_DAY, NS_PER_SECOND, Session
from sovereign.signals.bars import ROW_HEAD, BarBuilder, BarStream
from sovereign.signals.calibration import CalibrationConfig, Outcomes
from sovereign.signals.market_regime import BarHistory, CrisisConfig, HiddenModelConfig, MarketRegimeConfig, RegimeService

Float64 = NDArray[np.float64]
_DAY_S = NS_PER_DAY // NS_PER_SECOND


class HiddenStatesConfig(Configuration):
    """The hidden Markov model of the market."""

    states: int = Setting(default=3, ge=2, le=8, description="Hidden states (count). Source: definitions 1.5.")
    min_fit_bars: int = Setting(
        default=500, ge=100, description="Least history before the first fit (bars). Source: definitions 1.5."
    )
    fit_bars: int = Setting(default=1_500, ge=100, description="Most recent bars a fit uses (bars). Source: own choice.")
    refit_sessions: int = Setting(
        default=5, ge=1, description="Sessions between two fits (sessions). Source: definitions 1.5, weekly."
    )
    iterations: int = Setting(default=30, ge=1, description="Most steps of a fit (count). Source: own choice.")
    tolerance: float = Setting(
        default=1e-4, ge=0, description="Rise of the log likelihood per bar below which a fit ends (nats). Source: own choice."
    )
    variance_floor: float = Setting(
        default=0.01, gt=0, description="Least variance of a state, in squared deviations. Source: own choice."
    )
    stickiness: float = Setting(
        default=10.0, ge=0, description="Pseudo-count of staying in a state (bars). Source: own choice."
    )


class MarketConfig(Configuration):
    """The regime of the market, read on the first benchmark by the regime service."""

    bar_seconds: int = Setting(
        default=_DAY_S,
        ge=60,
        description="Width of the bars the regime is read on (s). Source: definitions 1.5, daily; the model needs 500 of them, "
        "so shorter histories need shorter bars.",
    )
    window_bars: int = Setting(
        default=20, ge=4, description="Bars of volatility and trend (bars). Source: definitions 1.5, 20 days."
    )
    trend_efficiency: float = Setting(
        default=0.30, gt=0, le=1, description="Efficiency ratio from which a market trends (fraction). Source: definitions 4.1."
    )
    hold_bars: int = Setting(
        default=3, ge=1, description="Bars in a row before trend or chop changes (bars). Source: definitions 4.1."
    )
    history_sessions: int = Setting(
        default=20, ge=1, description="History of the volatility's percentile, intraday (sessions). Source: definitions 4.1."
    )
    daily_history_bars: int = Setting(
        default=756, ge=20, description="The same on daily bars (bars). Source: definitions 1.5, 3 years."
    )
    min_history_bars: int = Setting(default=50, ge=2, description="Least history of a percentile (bars). Source: own choice.")
    stale_bars: int = Setting(
        default=2,
        ge=1,
        description="Age, in trading time, from which a reading counts as unknown (bars). Source: definitions 1.5, mended.",
    )
    hidden: HiddenStatesConfig = Setting(default=HiddenStatesConfig(), description="The hidden Markov model.")
    crisis: CrisisConfig = Setting(default=CrisisConfig(), description="When a market is in crisis.")
    release_readings: int = Setting(
        default=5,
        ge=1,
        description="Readings in a row without crisis that end a halt (bars). Source: own choice; unknown ones do not count.",
    )

    @property
    def reading(self) -> MarketRegimeConfig:
        """The settings of the regime service."""
        names = ("window_bars", "trend_efficiency", "hold_bars", "history_sessions", "daily_history_bars", "min_history_bars")
        return MarketRegimeConfig(
            **{name: getattr(self, name) for name in (*names, "stale_bars")},
            hidden=HiddenModelConfig(**self.hidden.model_dump()),
            crisis=self.crisis,
        )


class TapeView(NamedTuple):
    """What the tape scout saw last: `ts` UTC ns, order-flow score (NaN unknown), and whether selling is absorbed."""

    ts: int
    ofi_z: float
    is_absorption: bool


class NewsView(NamedTuple):
    """What the news scout read last: `ts` UTC ns; tones -1..1 of filings with headlines, and of posts; NaN unknown.

    `probability` : that what is posted is real, 0..1; NaN unknown.
    """

    ts: int
    tone: float
    post_tone: float
    probability: float = float("nan")


class Evidence(Protocol):
    """What scouts know of a symbol, as it was known at a time; None is no data, which is not neutral."""

    def tape(self, symbol: str, ts: int) -> TapeView | None:
        """Return the latest snapshot of the tape at or before `ts` (UTC ns)."""
        ...

    def news(self, symbol: str, ts: int) -> NewsView | None:
        """Return the latest reading of the news at or before `ts` (UTC ns)."""
        ...


class Column:
    """Values that only grow, with room to spare."""

    def __init__(self, dtype: Any) -> None:
        self._values: NDArray[Any] = np.zeros(256, dtype)
        self.count = 0

    def extend(self, values: Any) -> None:
        """Add values."""
        end = self.count + len(values)
        if end > len(self._values):
            larger = np.zeros((2 * end, *self._values.shape[1:]), self._values.dtype)
            larger[: self.count] = self._values[: self.count]
            self._values = larger
        self._values[self.count : end] = values
        self.count = end

    @property
    def values(self) -> NDArray[Any]:
        """What was added so far, a view."""
        return self._values[: self.count]


class Track:
    """One benchmark: its bars by time, and the closes of its completed sessions by trade date."""

    def __init__(self) -> None:
        self.known_at = Column(np.int64)
        self.close = Column(np.float64)
        self.closes: dict[date, float] = {}


REGIME_READING = np.dtype(
    [
        ("known_at", np.int64),
        ("state", np.int8),
        ("is_known", np.bool_),
        ("is_halted", np.bool_),
        ("p_crisis", np.float64),
        ("volatility", np.float64),
        ("momentum", np.float64),
    ]
)
"""A reading of the market: its state (`kernels.tug_of_war` codes), the latch, and what it was read from."""


class MarketView(NamedTuple):
    """The market as it was known at some times; fields as in `kernels.tug_of_war.ROW_FIELDS`."""

    regime: NDArray[np.int8]
    is_halted: NDArray[np.bool_]
    can_enter: NDArray[np.bool_]
    p_crisis: Float64
    market_volatility: Float64
    market_momentum: Float64


class MarketBoard:
    """What the streams of one strategy share: benchmarks, regime, and what came of earlier convictions."""

    def __init__(self, benchmarks: tuple[str, ...], calibration: CalibrationConfig) -> None:
        self.benchmarks = benchmarks
        self.tracks = {symbol: Track() for symbol in benchmarks}
        self.regimes = Column(REGIME_READING)
        self.outcomes = Outcomes(calibration)
        self.evidence: Evidence | None = None
        # What was asked last: shares that have bars at the same times ask the same, one after the other.
        self._changes: dict[str, tuple[tuple[str, int, int, float], NDArray[np.int64], Float64]] = {}
        self._market: tuple[tuple[Any, ...], NDArray[np.int64], MarketView] | None = None
        self._times: NDArray[np.int64] = np.zeros(0, np.int64)

    def times(self, known_at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return times as an array of their own, which shares that have bars at the same times have in common."""
        if len(self._times) != len(known_at) or not (self._times == known_at).all():
            self._times = known_at.copy()
        return self._times

    def change(self, symbol: str, ts: NDArray[np.int64], since_ns: int, before: float) -> Float64:
        """Return the log change from `before` to a benchmark's last close known at each time; NaN where `at` knows none.

        Shares that have bars at the same times ask the same.
        """
        asked = (symbol, self.tracks[symbol].known_at.count, since_ns, before)
        kept = self._changes.get(symbol)
        if kept is None or kept[0] != asked or not (kept[1] is ts or np.array_equal(kept[1], ts)):
            found: Float64 = np.log(self.at(symbol, ts, since_ns) / before)
            kept = self._changes[symbol] = (asked, ts, found)
        return kept[2]

    def at(self, symbol: str, ts: NDArray[np.int64], since_ns: int) -> Float64:
        """Return a benchmark's last close known at each time, if it is of this session (`since_ns` on); NaN else."""
        track = self.tracks[symbol]
        known = track.known_at.values
        index = np.searchsorted(known, ts, side="right") - 1
        found = np.full(len(ts), np.nan)
        is_there = index >= 0
        is_there[is_there] = known[index[is_there]] > since_ns
        found[is_there] = track.close.values[index[is_there]]
        return found

    def market_at(self, ts: NDArray[np.int64], session: Session, previous: Session | None, market: MarketConfig) -> MarketView:
        """Return the market as it was known at each time of a session; a stale or missing reading lets nothing in."""
        asked = (self.regimes.count, session, previous, market)
        kept = self._market
        if kept is None or kept[0] != asked or not (kept[1] is ts or np.array_equal(kept[1], ts)):
            kept = self._market = (asked, ts, self._market_at(ts, session, previous, market))
        return kept[2]

    def _market_at(self, ts: NDArray[np.int64], session: Session, previous: Session | None, market: MarketConfig) -> MarketView:
        from sovereign.kernels.tug_of_war import REGIME_CRISIS

        readings = self.regimes.values
        index = np.searchsorted(readings["known_at"], ts, side="right") - 1
        is_there = index >= 0
        if not len(readings):
            readings = np.zeros(1, REGIME_READING)
        at = np.maximum(index, 0)
        seen = {name: readings[name][at] for name in REGIME_READING.names or ()}
        age = _age(seen["known_at"], ts, session, previous, market.bar_seconds)
        is_fresh = is_there & (age < market.stale_bars) & seen["is_known"]
        return MarketView(
            regime=np.where(is_fresh, seen["state"], 0),
            is_halted=is_there & seen["is_halted"],
            can_enter=is_fresh & ~seen["is_halted"] & (seen["state"] != REGIME_CRISIS),
            p_crisis=np.where(is_there, seen["p_crisis"], np.nan),
            market_volatility=np.where(is_there, seen["volatility"], np.nan),
            market_momentum=np.where(is_there, seen["momentum"], np.nan),
        )


def _age(
    known: NDArray[np.int64], ts: NDArray[np.int64], session: Session, previous: Session | None, bar_seconds: int
) -> Float64:
    """Return the age of readings in bars of the regime, counted in trading time of this session and the one before."""
    width = bar_seconds * NS_PER_SECOND
    if bar_seconds >= _DAY_S:
        width = session.regular_close_ns - session.regular_open_ns
    age = np.where(known > session.open_ns, ts - known, np.inf)
    if previous is not None:
        night = np.maximum(previous.regular_close_ns - known, 0) + np.maximum(ts - session.regular_open_ns, 0)
        age = np.where((known <= session.open_ns) & (known > previous.open_ns), night, age)
    found: Float64 = age / width
    return found


class TugBarStream(BarStream):
    """A bar stream that keeps the closes of completed sessions: `day_closes` (ticks) by `days`."""

    def __init__(self, instrument: Instrument, seconds: int, board: MarketBoard) -> None:
        super().__init__(instrument, seconds)
        self._board = board
        self.days: list[date] = []
        self.day_closes: list[float] = []
        self._last_close = np.nan

    def start_session(self, session: Session) -> None:
        """Begin a trade date; the one before is complete."""
        if self.session is not None and not np.isnan(self._last_close):
            self.days.append(self.session.trade_date)
            self.day_closes.append(self._last_close)
            self._close_day()
        self._last_close = np.nan
        super().start_session(session)

    def _close_day(self) -> None:
        """Take note that a session with bars is over."""

    def _observe(self, rows: NDArray[Any]) -> None:
        session = self.session
        if session is None:
            return
        known_at = rows["known_at"]
        last = int(known_at.searchsorted(session.regular_close_ns, side="right")) - 1
        if last >= 0 and known_at[last] > session.regular_open_ns:
            self._last_close = float(rows["close"][last])


class BenchmarkStream(TugBarStream):
    """A benchmark: it never wakes the strategy, and writes what it sees on the board; the first one reads the regime."""

    row_dtype = np.dtype(ROW_HEAD, align=True)

    def __init__(self, instrument: Instrument, seconds: int, board: MarketBoard, market: MarketConfig) -> None:
        super().__init__(instrument, seconds, board)
        self._track = board.tracks[instrument.symbol]
        self._market = market
        self._is_read = instrument.symbol == board.benchmarks[0]
        self.service = RegimeService(market.reading, market.bar_seconds)
        is_daily = self.service.is_daily
        sessions = 0 if is_daily else market.reading.history_sessions
        self._history = BarHistory(self.service.history_bars + 2, is_linked=is_daily, sessions=sessions)
        # Of the regular session alone: what trades before the open and after the close says nothing of a day's regime.
        self._regime_bars = BarBuilder(market.bar_seconds, is_regular=True)
        self.is_halted = False
        self._calm = 0

    def start_session(self, session: Session) -> None:
        """Begin a trade date; the hidden model is refitted when it is due, and the latch stays as it is."""
        super().start_session(session)
        if self._is_read:
            self._regime_bars.start_session(session)
            self._history.start_session()
            self.service.start_session(self._history, session)

    def advance(self, trades: Trades, until_ns: int) -> None:
        """Consume the next ticks: bars for the board, and readings of the regime."""
        super().advance(trades, until_ns)
        if self._is_read:
            self._read(self._regime_bars.advance(trades, until_ns))

    def fill(self, bars: NDArray[Any], rows: NDArray[Any]) -> None:  # noqa: ARG002 - the port's shape
        """Write the bars on the board."""
        rows["wake"] = False
        self._track.known_at.extend(rows["known_at"])
        self._track.close.extend(rows["close"])
        self._observe(rows)

    def _close_day(self) -> None:
        self._track.closes[self.days[-1]] = self.day_closes[-1]

    def _read(self, bars: NDArray[Any]) -> None:
        from sovereign.kernels.tug_of_war import REGIME_CHOP, REGIME_CRISIS, REGIME_TREND, REGIME_UNKNOWN

        if not len(bars):
            return
        first, last = self._history.append(bars)
        regimes = self.service.update(self._history, first, last)
        found = np.zeros(len(bars), REGIME_READING)
        found["known_at"] = bars["known_at"]
        found["p_crisis"] = regimes["p_wildest"]
        found["volatility"] = regimes["volatility"]
        found["momentum"] = regimes["momentum"]
        trend, is_crisis = regimes["trend"], regimes["is_crisis"]
        is_known = (trend != -2) & ~np.isnan(regimes["p_wildest"])
        state = np.where(is_crisis, REGIME_CRISIS, np.where(trend != 0, REGIME_TREND, REGIME_CHOP))
        found["is_known"] = is_known
        found["state"] = np.where(is_known, state, REGIME_UNKNOWN)
        halted = []
        for known, crisis in zip(is_known.tolist(), is_crisis.tolist(), strict=True):
            self._latch(known, bool(crisis))
            halted.append(self.is_halted)
        found["is_halted"] = halted
        self._board.regimes.extend(found)

    def _latch(self, is_known: bool, is_crisis: bool) -> None:
        # A halt ends by readings that say so; silence, a refit or a new model that knows nothing yet says nothing.
        if is_crisis:
            self.is_halted, self._calm = True, 0
        elif is_known:
            self._calm += 1
            if self._calm >= self._market.release_readings:
                self.is_halted = False
