"""What all streams of the tug of war share: the benchmarks, the market's regime, what scouts know, what came of convictions.

The benchmarks' streams (SPY, QQQ) write what they see on a `MarketBoard`; a share looks there by time, never by position.
Benchmarks are fed first, so what the board holds at a bar's time is the same however the ticks were cut.
"""

from __future__ import annotations

import math
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
_NEVER = 2**63 - 1
_WEEKEND = (6, 0)
"""Of a day's ordinal: day 1 was a Monday."""
_NO_TIMES = np.zeros(0, np.int64)
_NO_CHANGES: Float64 = np.zeros(0)


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
    trend_deviations: float = Setting(
        default=1.0,
        gt=0,
        description="Log return of the window, up or down, over its volatility, from which a market trends and below which it "
        "chops (standard deviations of a driftless walk as long). Source: measure definitions 1.5, threshold own choice: "
        "chance alone trends in one reading of three.",
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
    max_idle_weekdays: int = Setting(
        default=1,
        ge=0,
        description="Weekdays without a session, as holidays are, after which the session before is still the day before; "
        "after more of them sessions are missing, and its reading is unknown (days). Source: own choice.",
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
        names = ("window_bars", "trend_deviations", "hold_bars", "history_sessions", "daily_history_bars", "min_history_bars")
        return MarketRegimeConfig(
            **{name: getattr(self, name) for name in (*names, "stale_bars")},
            trend_by="return",
            hidden=HiddenModelConfig(**self.hidden.model_dump()),
            crisis=self.crisis,
        )

    def follows(self, before: date, day: date) -> bool:
        """Say whether no session can be missing between two trade dates."""
        idle = 0
        for number in range(before.toordinal() + 1, day.toordinal()):
            idle += number % 7 not in _WEEKEND
            if idle > self.max_idle_weekdays:
                return False
        return True

    def width_ns(self, session: Session) -> int:
        """Return the trading time of a bar of the regime (ns); a daily one is the regular session."""
        if self.bar_seconds >= _DAY_S:
            return session.regular_close_ns - session.regular_open_ns
        return self.bar_seconds * NS_PER_SECOND


class TapeView(NamedTuple):
    """What the tape scout saw last: `ts` UTC ns, order-flow score (NaN unknown), and whether selling is absorbed.

    `bid_size`, `ask_size` : units at the best prices; 0 unknown.
    """

    ts: int
    ofi_z: float
    is_absorption: bool
    bid_size: float = 0.0
    ask_size: float = 0.0


class NewsView(NamedTuple):
    """What the news scout read last: `ts` UTC ns; tones -1..1 of its sources by their weights, and of posts; NaN unknown.

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


DayTimes = tuple[int, int, int, int, int, int, int, int]
"""The first fields of `kernels.tug_of_war.DAY`, in their order."""


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
        # What was asked last: shares of one session ask the same, one after the other.
        self._asked: tuple[int, float] | None = None
        self._count = 0
        self._span = (0, 0)
        self._change = Column(np.float64)
        self._answer: tuple[NDArray[np.int64], Float64] = (self.known_at.values, self.close.values)

    def day_change(self, before: date, day: date) -> float:
        """Return the log change from a trade date's close to another's; NaN where either is not known."""
        if before not in self.closes or day not in self.closes:
            return np.nan
        return float(np.log(self.closes[day] / self.closes[before]))

    def changes(self, session: Session, before: float) -> tuple[NDArray[np.int64], Float64]:
        """Return when the session's bars became known, from its regular open on, and the log change from `before` to each."""
        asked = (session.regular_open_ns, before)
        if self._asked != asked:
            self._asked, self._count = asked, -1
            first = int(self.known_at.values.searchsorted(session.regular_open_ns, side="right"))
            self._span, self._change.count = (first, first), 0
        if self._count != self.known_at.count:
            self._count = self.known_at.count
            first, done = self._span
            known_at = self.known_at.values
            last = done + int(known_at[done:].searchsorted(session.close_ns, side="right"))
            self._change.extend(np.log(self.close.values[done:last] / before))
            self._span = first, last
            self._answer = known_at[first:last], self._change.values
        return self._answer


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


class MarketBoard:
    """What the streams of one strategy share: benchmarks, regime, and what came of earlier convictions."""

    def __init__(self, benchmarks: tuple[str, ...], calibration: CalibrationConfig) -> None:
        self.benchmarks = benchmarks
        self.tracks = {symbol: Track() for symbol in benchmarks}
        self._pair = tuple(self.tracks[symbol] for symbol in benchmarks[:2])
        self.regimes = Column(REGIME_READING)
        self.outcomes = Outcomes(calibration)
        self.evidence: Evidence | None = None
        # What was asked last: the shares of a session ask the same, one after the other.
        self._days: tuple[date, date] | None = None
        self._day_changes = (np.nan, np.nan)
        self._span: list[Any] = []
        self._changes: tuple[Any, ...] = ()
        self._begun: tuple[Session, Session | None, int] | None = None
        self._times: DayTimes = (0, 0, 0, 0, 0, 0, 0, 0)

    def day_changes(self, before: date, day: date) -> tuple[float, float]:
        """Return both benchmarks' log changes from a trade date's close to another's; NaN where one is not known."""
        if self._days != (before, day):
            first, second = (track.day_change(before, day) for track in self._pair)
            if math.isnan(first + second):
                return np.nan, np.nan  # it may come to be known
            self._days, self._day_changes = (before, day), (first, second)
        return self._day_changes

    def changes(self, session: Session, before: date | None) -> tuple[NDArray[np.int64], Float64, NDArray[np.int64], Float64]:
        """Return both benchmarks' `Track.changes` since their closes of a trade date; nothing where one is not known."""
        asked: list[Any] = [session.regular_open_ns]
        for track in self._pair:
            asked += (track.known_at.count, None if before is None else track.closes.get(before))
        if self._span != asked:
            found: list[Any] = []
            for track, close in zip(self._pair, asked[2::2], strict=True):
                found += (_NO_TIMES, _NO_CHANGES) if close is None else track.changes(session, close)
            nothing = (_NO_TIMES, _NO_CHANGES) * (2 - len(self._pair))
            self._span, self._changes = asked, (*found, *nothing)
        first_known, first, second_known, second = self._changes
        return first_known, first, second_known, second

    def times(self, session: Session, previous: Session | None, market: MarketConfig, seconds: int) -> DayTimes:
        """Return what a session's day begins with, for bars of a width (s)."""
        if self._begun is None or self._begun[0] is not session or self._begun[1] is not previous or self._begun[2] != seconds:
            opens, closes = session.regular_open_ns, session.regular_close_ns
            width = closes - opens if seconds >= _DAY_S else seconds * NS_PER_SECOND
            slots = max(1, -(-(closes - opens) // width))
            earlier = (_NEVER, 0)
            if previous is not None and market.follows(previous.trade_date, session.trade_date):
                earlier = (previous.open_ns, previous.regular_close_ns)
            stale_ns = market.stale_bars * market.width_ns(session)
            self._begun = (session, previous, seconds)
            self._times = (session.open_ns, opens, closes, *earlier, stale_ns, width, slots)
        return self._times


class BenchmarkStream(BarStream):
    """A benchmark: it never wakes the strategy, and writes what it sees on the board; the first one reads the regime."""

    row_dtype = np.dtype(ROW_HEAD, align=True)
    wakes = False
    waking = np.zeros(0, np.int64)
    """The rows that wake: none."""

    def __init__(self, instrument: Instrument, seconds: int, board: MarketBoard, market: MarketConfig) -> None:
        super().__init__(instrument, seconds)
        self._board = board
        self._last_close = np.nan
        self._track = board.tracks[instrument.symbol]
        self._market = market
        self._is_read = instrument.symbol == board.benchmarks[0]
        self.service = RegimeService(market.reading, market.bar_seconds)
        is_daily = self.service.is_daily
        sessions = 0 if is_daily else market.reading.history_sessions
        self._history = BarHistory(self.service.history_bars + 2, is_linked=is_daily, sessions=sessions)
        # Of the regular session alone: what trades before the open and after the close says nothing of a day's regime.
        self._regime_bars = BarBuilder(market.bar_seconds, is_regular=True)
        self._latch = np.zeros(2, np.int64)  # see `kernels.tug_day.read_market`

    def start_session(self, session: Session) -> None:
        """Begin a trade date, the one before is complete; the hidden model is refitted when it is due, the latch stays."""
        if self.session is not None and not math.isnan(self._last_close):
            self._track.closes[self.session.trade_date] = self._last_close
        self._last_close = np.nan
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
        self._track.known_at.extend(rows["known_at"])
        self._track.close.extend(rows["close"])
        self._observe(rows)

    def _observe(self, rows: NDArray[Any]) -> None:
        session = self.session
        if session is None:
            return
        last = len(rows) - 1
        if rows["known_at"].item(last) > session.regular_close_ns:
            last = int(rows["known_at"].searchsorted(session.regular_close_ns, side="right")) - 1
        if last >= 0 and rows["known_at"].item(last) > session.regular_open_ns:
            self._last_close = float(rows["close"].item(last))

    def _read(self, bars: NDArray[Any]) -> None:
        from sovereign.kernels.tug_day import read_market

        if not len(bars):
            return
        first, last = self._history.append(bars)
        regimes = self.service.update(self._history, first, last)
        found = np.empty(len(bars), REGIME_READING)
        read_market(bars, regimes, self._market.release_readings, self._latch, found)
        self._board.regimes.extend(found)
