"""The rows of the tug of war: what institutions and the crowd do in one share, seen against the market.

The market's side comes from the `tug_market.MarketBoard`. What completed sessions say (order of differencing, betas,
usual volumes, calibration) is worked out at a session's first bar, from sessions before it.
"""

from __future__ import annotations

import math
from collections import deque
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Setting
from pydantic import model_validator

from sovereign.core.configuration import Configuration
from sovereign.core.instrument import Instrument
from sovereign.core.session import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND, Session
from sovereign.signals.bars import ROW_HEAD
from sovereign.signals.tug_market import Column, Evidence, MarketBoard, MarketConfig, MarketView, TugBarStream

Float64 = NDArray[np.float64]
_DAY_S = NS_PER_DAY // NS_PER_SECOND
_FEW = 128
"""Values that are sorted in one by one; more of them are sorted anew with all others."""


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
        from sovereign.kernels.indicator import RSI_STATE, step_rsi
        from sovereign.kernels.tug_of_war import DAY, SETTING, place_market, read_bars

        self.row_dtype = row_type()
        super().__init__(instrument, seconds, board)
        self._institution, self._crowd, self._market = institution, crowd, market
        self._without = frozenset(without)
        self._is_daily = seconds >= _DAY_S
        self._seconds = seconds
        self._step_rsi = step_rsi
        self._write_market, self._read_bars = place_market, read_bars
        self._rsi = np.zeros(RSI_STATE)
        self._day = np.zeros(1, DAY)
        self._setting = _setting(institution, crowd, self._without, SETTING)
        self._setting["flip_bars"] = flip_bars
        self._setting["wake_from"] = wake_from
        self._setting["measure"] = ("raw", "rank", "probability").index(measure)
        self._cycle_ns = cycle_minutes * NS_PER_MINUTE
        self._min_ranked = min_rank_rows
        self._rank_rows = rank_rows
        self._convictions = Column(np.float64)
        self._sorted: Float64 = np.zeros(0)  # of the convictions, those from the first to before the second of `_sorted_span`
        self._sorted_span = (0, 0)
        self._logs = Column(np.float64)  # of `day_closes`
        self._weights: Float64 = np.zeros(0)  # of the differencing by `order`
        self._line: Float64 = np.zeros(4)
        self._year = float(np.sqrt(market.reading.sessions_of_year()))
        self._volumes: deque[NDArray[np.float64]] = deque(maxlen=crowd.volume_days)
        self._volume_sum: Float64 | None = None  # of all of `_volumes`, where they are equally long
        self._changes = Column(np.dtype((np.float64, 3)))  # of the share and both benchmarks, a pair of days a row
        self._unpaired: list[int] = []  # rows of `_changes` for which a benchmark's close was not known
        self._residuals: deque[float] = deque(maxlen=max(institution.alpha.volatility_days, institution.alpha.mean_days))
        self._previous: Session | None = None
        self._is_prepared = False
        self._since_fit = institution.momentum.refit_sessions
        self.order = np.nan
        self.coefficients: Float64 = np.full(3, np.nan)
        self._alpha_deviation = np.nan
        self._usual: Float64 = np.zeros(1)
        self._today: Float64 = np.zeros(1)
        self._ranked: Float64 = np.zeros(0)
        self._levels: Float64 = np.zeros(0)

    def start_session(self, session: Session) -> None:
        """Begin a trade date; the one before goes into what is remembered."""
        before = self.session
        super().start_session(session)
        self._previous = before
        self._is_prepared = False

    def fill(self, bars: NDArray[Any], rows: NDArray[Any]) -> None:  # noqa: ARG002 - the port's shape
        """Measure the next bars."""
        session = self.session
        if session is None:
            return
        if not self._is_prepared:
            self._prepare(session)
        known_at = self._board.times(rows["known_at"])
        self._place_market(rows, known_at, session)
        if self._board.evidence is not None:
            self._place_evidence(rows, self._board.evidence)
        first, second = self._benchmark_change(0, known_at, session), self._benchmark_change(1, known_at, session)
        self._read_bars(
            rows,
            self._rows[: self._count],
            self._day,
            self._setting,
            first,
            second,
            self._usual,
            self._ranked,
            self._levels,
            self._today,
        )
        self._observe(rows)

    # What a completed session leaves

    def _close_day(self) -> None:
        from sovereign.kernels.tug_day import convictions_of

        rows = self.rows
        convictions, closes = np.empty(len(rows)), np.empty(len(rows), np.int32)
        count = convictions_of(rows, convictions, closes)
        convictions, closes = convictions[:count], closes[:count]
        self._convictions.extend(np.abs(convictions))
        self._logs.extend((np.log(self._last_close),))
        self._board.outcomes.add(
            self.instrument.symbol, self.days[-1], convictions, closes, self._last_close, is_daily=self._is_daily
        )
        self._add_volumes(np.maximum.accumulate(self._today))
        self._step_rsi(self._rsi, self._last_close, self._crowd.rsi_days)

    def _add_volumes(self, volumes: Float64) -> None:
        # Volumes are whole numbers, so that what is added and taken away again leaves no trace.
        oldest = self._volumes[0] if len(self._volumes) == self._volumes.maxlen else None
        self._volumes.append(volumes)
        total = self._volume_sum
        if total is None or len(total) != len(volumes) or (oldest is not None and len(oldest) != len(total)):
            is_even = all(len(day) == len(volumes) for day in self._volumes)
            self._volume_sum = np.sum(self._volumes, axis=0) if is_even else None
            return
        total += volumes
        if oldest is not None:
            total -= oldest

    # What completed sessions say of this one

    def _prepare(self, session: Session) -> None:
        from sovereign.kernels.tug_day import begin_day

        self._is_prepared = True
        opens, closes = session.regular_open_ns, session.regular_close_ns
        width = closes - opens if self._is_daily else self._seconds * NS_PER_SECOND
        slots = max(1, -(-(closes - opens) // width))
        begin_day(
            self._day,
            self._rsi,
            opens,
            closes,
            width,
            self._institution.range_minutes * NS_PER_MINUTE,
            self._crowd.pump_minutes * NS_PER_MINUTE,
            self._cycle_ns,
            self._is_daily,
            self._crowd.rsi_days,
            self.day_closes[-1] if self.day_closes else math.nan,
        )
        self._today = np.zeros(slots)
        self._usual = self._usual_volume(slots)
        ranked = self._latest_sorted()
        self._ranked = ranked if len(ranked) >= self._min_ranked else np.zeros(0)
        self._levels = self._board.outcomes.levels(session.trade_date)
        if "momentum" not in self._without:
            self._prepare_momentum()
        if "alpha" not in self._without:
            self._prepare_alpha()

    def _latest_sorted(self) -> Float64:
        from sovereign.kernels.tug_day import slide_sorted

        values, (first, stop) = self._convictions.values, self._sorted_span
        begin, end = max(0, len(values) - self._rank_rows), len(values)
        if begin <= stop and begin - first + end - stop <= _FEW:
            if (first, stop) != (begin, end):
                self._sorted = slide_sorted(self._sorted, values[first:begin], values[stop:end])
        else:
            self._sorted = np.sort(values[begin:])
        self._sorted_span = (begin, end)
        return self._sorted

    def _usual_volume(self, slots: int) -> Float64:
        total = self._volume_sum
        if total is not None and len(total) == slots and len(self._volumes) >= self._crowd.min_volume_days:
            return total / len(self._volumes)
        known = [day for day in self._volumes if len(day) >= slots]
        if len(known) < self._crowd.min_volume_days:
            return np.full(slots, np.nan)
        found: Float64 = np.mean([day[:slots] for day in known], axis=0)
        return found

    def _prepare_momentum(self) -> None:
        from sovereign.kernels.fractional import fractional_weights, least_order
        from sovereign.kernels.tug_day import momentum_of_day

        own = self._institution.momentum
        if len(self.day_closes) < own.min_days:
            return
        logs = self._logs.values[-own.fit_days :]
        self._since_fit += 1
        if self._since_fit > own.refit_sessions or np.isnan(self.order):
            self._since_fit = 1
            self.order = least_order(logs, own.width_days, own.order_step, own.max_p, own.test_lags)
            self._weights = fractional_weights(self.order, own.width_days)
        if np.isnan(self.order):
            return
        base, total, mean, deviation = momentum_of_day(logs, self._weights, own.mean_days - 1)
        day = self._day
        day["momentum_base"], day["momentum_sum"], day["momentum_days"] = base, total, own.mean_days
        day["momentum_mean"], day["momentum_deviation"] = mean, deviation

    def _prepare_alpha(self) -> None:
        from sovereign.kernels.tug_day import deviation, market_line

        own, board = self._institution.alpha, self._board
        if len(board.benchmarks) < 2:
            return
        changes = self._paired(own.window_days)
        if len(changes) and not math.isnan(self.coefficients[0]):
            own_change, first, second = changes[-1].tolist()
            if not math.isnan(first):
                # The last day's residual, by the coefficients that were known before it.
                self._residuals.append(float(own_change - self.coefficients @ np.array([1.0, first, second])))
        market_line(changes, own.min_days, self._line)
        self.coefficients = self._line[:3].copy()
        if math.isnan(self._line[3]):
            return
        recent, needed = list(self._residuals), own.mean_days - 1
        if len(recent) >= own.volatility_days:
            self._day["residual_volatility"] = deviation(np.array(recent[-own.volatility_days :])) * self._year
        if len(recent) < needed:
            return
        day = self._day
        day["alpha"], day["beta_first"], day["beta_second"] = self.coefficients
        day["alpha_sum"] = sum(recent[len(recent) - needed :])
        day["alpha_days"] = own.mean_days
        day["alpha_deviation"] = self._line[3]

    def _paired(self, window: int) -> Float64:
        """Return the log changes of share and benchmarks over the last pairs of days; NaN where a benchmark's are not known.

        Aligned by date: a change counts when share and benchmarks have both of its ends.
        """
        days, closes, found = self.days, self.day_closes, self._changes
        one, two = (self._board.tracks[symbol].closes for symbol in self._board.benchmarks[:2])
        missing = range(found.count, len(days) - 1)
        if missing:
            found.extend(np.full((len(missing), 3), np.nan))
        wanted, self._unpaired = [*self._unpaired, *missing], []
        for n in wanted:
            before, day = days[n], days[n + 1]
            if before in one and day in one and before in two and day in two:
                found.values[n] = np.log((closes[n + 1] / closes[n], one[day] / one[before], two[day] / two[before]))
            elif n >= len(days) - 1 - window:
                self._unpaired.append(n)
        return found.values[-window:]

    # What others know at a bar's time

    def _benchmark_change(self, number: int, ts: NDArray[np.int64], session: Session) -> Float64:
        board = self._board
        if len(board.benchmarks) <= number or not self.days:
            return np.full(len(ts), np.nan)
        symbol = board.benchmarks[number]
        before = board.tracks[symbol].closes.get(self.days[-1], np.nan)
        return board.change(symbol, ts, session.regular_open_ns, before)

    def _place_market(self, rows: NDArray[Any], ts: NDArray[np.int64], session: Session) -> None:
        from sovereign.kernels.tug_of_war import REGIME_TREND

        if "regime" in self._without:
            unknown, yes = np.full(len(ts), np.nan), np.ones(len(ts), np.bool_)
            view = MarketView(np.full(len(ts), REGIME_TREND, np.int8), ~yes, yes, unknown, unknown, unknown)
        else:
            view = self._board.market_at(ts, session, self._previous, self._market)
        self._write_market(rows, *view)

    def _place_evidence(self, rows: NDArray[Any], evidence: Evidence) -> None:
        symbol = self.instrument.symbol
        for row in rows:
            ts = int(row["known_at"])
            tape = None if "tape" in self._without else evidence.tape(symbol, ts)
            if tape is not None and ts - tape.ts <= self._crowd.tape_age_minutes * NS_PER_MINUTE:
                row["ofi_z"], row["is_absorption"] = tape.ofi_z, int(tape.is_absorption)
            news = None if "news" in self._without else evidence.news(symbol, ts)
            if news is not None and ts - news.ts <= self._institution.news_age_minutes * NS_PER_MINUTE:
                row["news_tone"], row["post_tone"] = news.tone, news.post_tone


def _setting(institution: InstitutionConfig, crowd: CrowdConfig, without: frozenset[str], dtype: np.dtype[Any]) -> NDArray[Any]:
    record = np.zeros(1, dtype)
    for section in (institution, crowd):
        for name in dtype.names or ():
            if name in type(section).model_fields:
                record[name] = getattr(section, name)
    for part, name in (("breakout", "breakout_weight"), ("momentum", "momentum_weight"), ("alpha", "alpha_weight")):
        if part in without:
            record[name] = 0.0
    if "crowd" in without:
        for name in ("rsi_points", "pump_points", "volume_points", "post_points"):
            record[name] = 0.0
    return record
