"""The rows of the tug of war: what institutions and the crowd do in one share, seen against the market.

The market's side comes from the `tug_market.MarketBoard`. What completed sessions say (order of differencing, betas,
usual volumes, calibration) is worked out at a session's first bar, from sessions before it.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Setting
from pydantic import model_validator

from sovereign.core.columns import Trades
from sovereign.core.configuration import Configuration
from sovereign.core.instrument import Instrument
from sovereign.core.session import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND, Session
from sovereign.signals.bars import ROW_HEAD
from sovereign.signals.tug_market import Column, Evidence, MarketBoard, MarketConfig, TugBarStream

Float64 = NDArray[np.float64]
_DAY_S = NS_PER_DAY // NS_PER_SECOND
_NOTHING: Float64 = np.zeros(0)


class MomentumConfig(Configuration):
    """Momentum of the fractionally differenced price."""

    width_days: int = Setting(
        default=20, ge=2, le=250, description="Weights of the differencing (days). Source: own choice, a fixed width."
    )
    order_step: float = Setting(
        default=0.1, gt=0, le=1, description="Step in which the least order is sought. Source: definitions 1.1."
    )
    max_p: float = Setting(
        default=0.05, gt=0, lt=1, description="Largest p of a unit root that is ruled out (fraction). Source: definitions 1.1."
    )
    test_lags: int = Setting(default=1, ge=0, le=20, description="Lags of the test (days). Source: definitions 1.1.")
    fit_days: int = Setting(
        default=250, ge=40, description="Most days the order and the scale are found on (days). Source: own choice, a year."
    )
    min_days: int = Setting(
        default=60, ge=40, description="Least days before momentum is known (days). Source: own choice, 40 beyond the width."
    )
    refit_sessions: int = Setting(
        default=5, ge=1, description="Sessions between two searches of the order (sessions). Source: own choice, weekly."
    )
    mean_days: int = Setting(default=5, ge=1, description="Days that are averaged (days). Source: definitions 1.1.")

    @model_validator(mode="after")
    def _fits(self) -> MomentumConfig:
        if not self.width_days + 20 <= self.min_days <= self.fit_days:
            raise ValueError(
                f"min_days was {self.min_days}; it must lie between width_days + 20 ({self.width_days + 20}) and fit_days "
                f"({self.fit_days})"
            )
        return self


class AlphaConfig(Configuration):
    """Returns that the market does not explain."""

    window_days: int = Setting(
        default=60, ge=10, description="Days of the regression on the benchmarks (days). Source: own choice, a quarter."
    )
    min_days: int = Setting(default=30, ge=8, description="Least days of the regression (days). Source: own choice.")
    mean_days: int = Setting(default=5, ge=1, description="Residuals that are averaged (days). Source: definitions 1.1.")
    volatility_days: int = Setting(default=20, ge=2, description="Residuals of the volatility (days). Source: definitions 1.1.")

    @model_validator(mode="after")
    def _fits(self) -> AlphaConfig:
        if self.min_days > self.window_days:
            raise ValueError(f"min_days was {self.min_days}; it must not be above window_days, {self.window_days}")
        return self


class InstitutionConfig(Configuration):
    """What institutions are thought to do: signals, their weights, and how sure they are together."""

    momentum: MomentumConfig = Setting(default=MomentumConfig(), description="Momentum of the differenced price.")
    alpha: AlphaConfig = Setting(default=AlphaConfig(), description="Returns that the market does not explain.")
    range_minutes: int = Setting(
        default=30, ge=1, le=390, description="Opening range, from the regular open (min). Source: tug of war requirement."
    )
    momentum_weight: float = Setting(default=2.0, ge=0, description="Points of momentum. Source: definitions 1.1.")
    alpha_weight: float = Setting(default=2.0, ge=0, description="Points of alpha. Source: definitions 1.1.")
    breakout_weight: float = Setting(default=3.0, ge=0, description="Points of the breakout. Source: definitions 1.1.")
    news_weight: float = Setting(default=2.0, ge=0, description="Points of filings and news. Source: definitions 1.1.")
    momentum_full: float = Setting(
        default=1.5, gt=0, description="Momentum that counts in full (deviations). Source: own choice."
    )
    alpha_full: float = Setting(
        default=2.0, gt=0, description="Alpha that counts in full (standard errors). Source: own choice, two."
    )
    min_conviction: float = Setting(
        default=0.05, ge=0, le=1, description="Least weighted mean that is a direction (fraction). Source: own choice."
    )
    penalty_share: float = Setting(
        default=0.5, ge=0, description="Confidence lost per unit of residual volatility a year. Source: definitions 1.1."
    )
    max_penalty: float = Setting(default=0.15, ge=0, le=1, description="Most that is lost (fraction). Source: definitions 1.1.")
    min_confidence: float = Setting(default=0.5, ge=0, le=1, description="Least raw confidence. Source: definitions 1.1.")
    max_confidence: float = Setting(default=0.95, ge=0, le=1, description="Largest raw confidence. Source: definitions 1.1.")
    news_age_minutes: float = Setting(
        default=90.0, gt=0, description="Oldest reading of the news that counts (min). Source: own choice, three readings."
    )


class CrowdConfig(Configuration):
    """What the crowd is thought to do: greed is +1, fear -1."""

    rsi_days: int = Setting(default=14, ge=2, description="Days of Wilder's index (days). Source: definitions 1.2.")
    greed_rsi: float = Setting(default=70.0, ge=0, le=100, description="Greed from here. Source: tug of war requirement.")
    fear_rsi: float = Setting(default=30.0, ge=0, le=100, description="Fear up to here. Source: tug of war requirement.")
    fade_rsi: float = Setting(default=85.0, ge=0, le=100, description="A fade from here. Source: tug of war requirement.")
    fade_ofi: float = Setting(
        default=-1.5, description="Order-flow score below which a fade is one (deviations). Source: tug of war requirement."
    )
    tape_age_minutes: float = Setting(
        default=5.0, gt=0, description="Oldest snapshot of the tape that counts (min). Source: definitions 1.2."
    )
    pump_minutes: int = Setting(default=15, ge=1, description="Span of a pump (min). Source: tug of war requirement.")
    pump_frac: float = Setting(default=0.05, gt=0, description="Least rise of a pump. Source: tug of war requirement.")
    volume_days: int = Setting(default=20, ge=2, description="Sessions of the usual volume. Source: tug of war requirement.")
    min_volume_days: int = Setting(default=5, ge=1, description="Least of them (sessions). Source: own choice.")
    volume_spike: float = Setting(
        default=2.0, gt=0, description="Volume so far over the usual at this time (times). Source: tug of war requirement."
    )
    base_confidence: float = Setting(
        default=0.5, ge=0, le=1, description="Confidence of the crowd's view without points. Source: definitions 1.2."
    )
    share_confidence: float = Setting(
        default=0.45, ge=0, le=1, description="Confidence that all points on one side add. Source: definitions 1.2."
    )
    rsi_points: float = Setting(default=2.0, ge=0, description="Points of the index. Source: definitions 1.2.")
    pump_points: float = Setting(default=3.0, ge=0, description="Points of a pump. Source: definitions 1.2.")
    volume_points: float = Setting(default=1.0, ge=0, description="Points of a volume spike. Source: definitions 1.2.")
    post_points: float = Setting(default=2.0, ge=0, description="Points of what is posted. Source: definitions 1.2.")
    min_tone: float = Setting(default=0.1, ge=0, le=1, description="Least tone of posts that is one. Source: own choice.")


@cache
def row_type() -> np.dtype[Any]:
    """Return the type of a share's rows, one object for all streams."""
    from sovereign.kernels.tug_of_war import ROW_FIELDS

    return np.dtype(ROW_HEAD + ROW_FIELDS, align=True)


class TugStream(TugBarStream):
    """One share that is traded.

    Parameters
    ----------
    cycle_minutes : entries are looked for on this grid. wake_from : confidence from which a conviction is a candidate.
    measure : what confidence is: `raw`, `rank` or `probability`.
    """

    fills_all = True

    def __init__(
        self,
        instrument: Instrument,
        seconds: int,
        board: MarketBoard,
        institution: InstitutionConfig,
        crowd: CrowdConfig,
        market: MarketConfig,
        *,
        without: tuple[str, ...] = (),
        cycle_minutes: int = 15,
        flip_bars: int = 3,
        rank_rows: int = 1_000,
        min_rank_rows: int = 40,
        wake_from: float = 0.75,
        measure: Literal["raw", "rank", "probability"] = "rank",
    ) -> None:
        from sovereign.kernels.fractional import least_order
        from sovereign.kernels.tug_day import DAYS, begin_day, close_day
        from sovereign.kernels.tug_of_war import DAY, EVIDENCE, SETTING, SHELVES, read_bars

        self.row_dtype = row_type()
        super().__init__(instrument, seconds, board)
        self._institution, self._crowd, self._market = institution, crowd, market
        self._without = frozenset(without)
        self._is_daily = seconds >= _DAY_S
        self._fit_days, self._window_days = institution.momentum.fit_days, institution.alpha.window_days
        self._seconds = seconds
        self._begin_day, self._end_day, self._read_bars = begin_day, close_day, read_bars
        self._least_order = least_order
        self._day = np.zeros(1, DAY)
        self._day["last_close"] = self._day["seen_close"] = np.nan
        self._seen_close: Float64 = self._day["seen_close"]
        self._setting = _setting(institution, crowd, self._without, SETTING)
        for name, value in (
            ("flip_bars", flip_bars),
            ("wake_from", wake_from),
            ("measure", ("raw", "rank", "probability").index(measure)),
            ("min_ranked", min_rank_rows),
            ("cycle_ns", cycle_minutes * NS_PER_MINUTE),
            ("is_daily", self._is_daily),
            ("year", np.sqrt(market.reading.sessions_of_year())),
        ):
            self._setting[name] = value
        self._unseen = np.zeros(0, EVIDENCE)
        self._told: Float64 = np.zeros((2, 0))
        self._waking: NDArray[np.int64] = np.zeros(0, np.int64)
        self._woken: NDArray[np.int64] = self._day["woken"]
        self._latest: Float64 = np.zeros(rank_rows)  # convictions, see `kernels.tug_day.close_day`
        self._ranked: Float64 = np.zeros((2, rank_rows))
        self._shelves = np.zeros(SHELVES + 1, np.int64)
        self._volumes: Float64 = np.zeros((DAYS + crowd.volume_days, 0))
        self._lengths = np.zeros(crowd.volume_days, np.int64)
        self._unjudged = board.outcomes.new_counts()
        self._logs = Column(np.float64)  # of `day_closes`
        self._changes = Column(np.dtype((np.float64, 3)))  # of the share and both benchmarks, a pair of days a row
        self._unpaired: list[int] = []  # rows of `_changes` for which a benchmark's close was not known
        self._residuals: Float64 = np.zeros(max(institution.alpha.volatility_days, institution.alpha.mean_days))
        self._line: Float64 = np.full(4, np.nan)
        self._has_alpha = "alpha" not in self._without and len(board.benchmarks) > 1
        self._previous: Session | None = None
        self._is_prepared = False
        self._since_fit = institution.momentum.refit_sessions
        self._levels: Float64 = _NOTHING
        self.order = np.nan

    @property
    def coefficients(self) -> Float64:
        """Constant and betas of the share on the benchmarks, known before the session; NaN unknown."""
        return self._line[:3]

    @property
    def waking(self) -> NDArray[np.int64]:
        """Places of the session's rows that wake, ascending; read them before the next session."""
        return self._waking[: self._woken.item() if self._is_prepared else 0]

    def start_session(self, session: Session) -> None:
        """Begin a trade date; the one before goes into what is remembered."""
        self._last_close = self._seen_close.item() if self._is_prepared else np.nan
        self._previous = self.session
        super().start_session(session)
        self._is_prepared = False

    def advance(self, trades: Trades, until_ns: int) -> None:
        """Consume the next ticks and write a row for every bar that became certain."""
        bars = self._builder.advance(trades, until_ns)
        if not len(bars) or self.session is None:
            return
        if not self._is_prepared:
            self._prepare(self.session)
        begin, board = self._count, self._board
        rows = self._room(len(bars))
        if len(rows) > self._told.shape[1]:
            more = len(rows) - self._told.shape[1]
            self._told = np.concatenate((self._told, np.zeros((2, more))), axis=1)
            self._waking = np.concatenate((self._waking, np.zeros(more, np.int64)))
        before = self.days[-1] if self.days else None
        self._read_bars(
            bars,
            rows,
            begin,
            self._day,
            self._setting,
            board.regimes.values,
            *board.changes(self.session, before),
            self._unseen if board.evidence is None else self._seen(bars, board.evidence),
            self._volumes,
            self._ranked[0],
            self._shelves,
            self._levels,
            self._told,
            self._waking,
        )
        self._count = begin + len(bars)

    def fill(self, bars: NDArray[Any], rows: NDArray[Any]) -> None:
        """Nothing is left to fill: `advance` writes whole rows."""

    # What a completed session leaves

    def _close_day(self) -> None:
        last = self._last_close
        conviction = self._end_day(
            self._day,
            self._setting,
            self._told,
            self._latest,
            self._ranked,
            self._shelves,
            self._volumes,
            self._lengths,
            # What daily bars came to shows on later days.
            self._unjudged if self._is_daily else self._board.outcomes.opened(self.days[-1]),
        )
        self._logs.append(_log(last))
        if self._is_daily:
            self._board.outcomes.wait(self.instrument.symbol, self.days[-1], conviction, last)

    # What completed sessions say of this one

    def _prepare(self, session: Session) -> None:
        self._is_prepared = True
        times = self._board.times(session, self._previous, self._market, self._seconds)
        slots = times[-1]
        if slots > self._volumes.shape[1]:
            larger = np.zeros((len(self._volumes), slots))
            larger[:, : self._volumes.shape[1]] = self._volumes
            self._volumes = larger
        self._begin_day(
            self._day,
            self._setting,
            times,
            self._logs.last(self._fit_days),
            self._order(),
            self._paired() if self._has_alpha else self._changes.values,
            self._residuals,
            self._line,
            self._volumes,
            self._lengths,
        )
        self._levels = self._board.outcomes.levels(session.trade_date)

    def _order(self) -> float:
        """Return the order of the fractional differencing, searched anew when it is due; NaN while it is unknown."""
        own = self._institution.momentum
        if "momentum" in self._without or len(self.day_closes) < own.min_days:
            return math.nan
        self._since_fit += 1
        if self._since_fit > own.refit_sessions or math.isnan(self.order):
            self._since_fit = 1
            self.order = self._least_order(
                self._logs.last(self._fit_days), own.width_days, own.order_step, own.max_p, own.test_lags
            )
        return self.order

    def _paired(self) -> Float64:
        """Return the log changes of share and benchmarks over the last pairs of days; NaN where a benchmark's are not known."""
        found, last, window = self._changes, len(self.days) - 1, self._window_days
        again, self._unpaired = self._unpaired, []
        for n in (*again, *range(found.count, last)):
            change = self._change(n)
            if n == found.count:
                found.append(change)
            else:
                found.values[n] = change
            if math.isnan(change[0]) and n >= last - window:
                self._unpaired.append(n)
        return found.last(window)

    def _change(self, n: int) -> tuple[float, float, float]:
        # Aligned by date: a change counts when share and benchmarks have both of its ends.
        first, second = self._board.day_changes(self.days[n], self.days[n + 1])
        if math.isnan(first):
            return math.nan, math.nan, math.nan
        return _log(self.day_closes[n + 1]) - _log(self.day_closes[n]), first, second

    def _seen(self, bars: NDArray[Any], evidence: Evidence) -> NDArray[Any]:
        """Return what scouts knew at each bar."""
        symbol = self.instrument.symbol
        found = np.empty(len(bars), self._unseen.dtype)
        found["news_tone"] = found["post_tone"] = found["ofi_z"] = np.nan
        found["is_absorption"] = -1
        for row, ts in zip(found, bars["known_at"].tolist(), strict=True):
            tape = None if "tape" in self._without else evidence.tape(symbol, ts)
            if tape is not None and ts - tape.ts <= self._crowd.tape_age_minutes * NS_PER_MINUTE:
                row["ofi_z"], row["is_absorption"] = tape.ofi_z, int(tape.is_absorption)
            news = None if "news" in self._without else evidence.news(symbol, ts)
            if news is not None and ts - news.ts <= self._institution.news_age_minutes * NS_PER_MINUTE:
                row["news_tone"], row["post_tone"] = news.tone, news.post_tone
        return found


def _setting(institution: InstitutionConfig, crowd: CrowdConfig, without: frozenset[str], dtype: np.dtype[Any]) -> NDArray[Any]:
    record = np.zeros(1, dtype)
    for section in (institution, crowd):
        for name in dtype.names or ():
            if name in type(section).model_fields:
                record[name] = getattr(section, name)
    for name, value in (
        ("has_regime", "regime" not in without),
        ("range_ns", institution.range_minutes * NS_PER_MINUTE),
        ("pump_ns", crowd.pump_minutes * NS_PER_MINUTE),
        ("momentum_width", institution.momentum.width_days),
        ("momentum_days", institution.momentum.mean_days),
        ("alpha_days", institution.alpha.mean_days),
        ("alpha_least", institution.alpha.min_days),
        ("volatility_days", institution.alpha.volatility_days),
    ):
        record[name] = value
    for part, name in (("breakout", "breakout_weight"), ("momentum", "momentum_weight"), ("alpha", "alpha_weight")):
        if part in without:
            record[name] = 0.0
    if "crowd" in without:
        for name in ("rsi_points", "pump_points", "volume_points", "post_points"):
            record[name] = 0.0
    return record


def _log(price: float) -> float:
    # A price of 0 or below, which contracts may have, has none.
    return math.log(price) if price > 0.0 else math.nan
