"""The regime service: what kind of market each bar closed in, for every strategy on bars.

Axes are measured apart (volatility, trend, range, hidden phase) and named afterwards; `MarketRegime` are the seven names of
the council, `three_states` those of strategies that know chop, trend and crisis. The hidden Markov model is fitted at the begin
of a session, on bars of earlier sessions only, and read forward only: a probability at a bar never changes afterwards.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Setting
from pydantic import model_validator

from sovereign.core.configuration import Configuration
from sovereign.core.session import NS_PER_SECOND, Session
from sovereign.kernels.market_row import FIELDS, HELD, PHASES, REGIME, REGIME_SETTING, Field, HiddenPhase

_DAY_S = 86_400
_DAYS_A_YEAR, _SESSIONS_A_YEAR, _SHARE_SESSION_S = 365.0, 252.0, 23_400
_SEEN = 4  # what the hidden model sees of a bar; see `kernels.market_regime.observation`

Float64 = NDArray[np.float64]


class HiddenModelConfig(Configuration):
    """The hidden Markov model."""

    states: int = Setting(
        default=5, ge=2, le=8, description="Hidden states (count). Source: definitions 4.2 (5; tug of war's model has 3)."
    )
    min_fit_bars: int = Setting(
        default=500, ge=100, description="Least history before the first fit (bars). Source: definitions 1.5, 500 rows."
    )
    fit_bars: int = Setting(default=1_500, ge=100, description="Most recent bars a fit uses (bars). Source: own choice.")
    refit_sessions: int = Setting(
        default=5, ge=1, description="Sessions between two fits (sessions). Source: definitions 1.5, weekly."
    )
    iterations: int = Setting(default=30, ge=1, description="Most steps of a fit (count). Source: own choice; few need more.")
    tolerance: float = Setting(
        default=1e-4, ge=0, description="Rise of the log likelihood per bar below which a fit ends (nats). Source: own choice."
    )
    variance_floor: float = Setting(
        default=0.01, gt=0, description="Least variance of a state, in squared deviations. Source: own choice, against spikes."
    )
    stickiness: float = Setting(
        default=10.0, ge=0, description="Pseudo-count of staying in a state (bars). Source: own choice; 0 is plain likelihood."
    )
    min_phase_probability: float = Setting(
        default=0.6, gt=0.5, le=1, description="Filtered probability that names a phase (fraction). Source: definitions 1.5."
    )

    @model_validator(mode="after")
    def _can_fit(self) -> HiddenModelConfig:
        if self.fit_bars < self.min_fit_bars:
            raise ValueError(
                f"fit_bars was {self.fit_bars} and min_fit_bars {self.min_fit_bars}; a fit needs at least min_fit_bars"
            )
        return self


class CrisisConfig(Configuration):
    """When a market is in crisis: unrest of the model and of the market, twice in a row."""

    probability: float = Setting(
        default=0.6,
        gt=0,
        le=1,
        description="Least filtered probability of the wildest state (fraction). Source: definitions 1.5.",
    )
    volatility: float = Setting(
        default=0.30, gt=0, description="Volatility that must be exceeded (fraction a year). Source: definitions 1.5."
    )
    percentile: float = Setting(
        default=0.90,
        ge=0,
        lt=1,
        description="Percentile of volatility that must be exceeded (fraction). Source: definitions 1.5.",
    )
    readings: int = Setting(default=2, ge=1, description="Bars in a row that say so (bars). Source: definitions 1.5.")


class MarketRegimeConfig(Configuration):
    """Volatility, trend, range and hidden phase of a market on bars."""

    window_bars: int = Setting(
        default=20, ge=4, description="Bars of volatility, efficiency and range width (bars). Source: definitions 4.1."
    )
    prior_bars: int = Setting(
        default=50, ge=4, description="Bars before that window that say where price came from (bars). Source: definitions 4.2."
    )
    atr_bars: int = Setting(default=14, ge=1, description="Bars of Wilder's average true range (bars). Source: Wilder, 1978.")
    sessions_per_year: float | None = Setting(
        default=None,
        gt=0,
        description="Sessions a year, to annualize (sessions); none: 365 where every day is one (crypto), else 252. Source: "
        "definitions 4.1.",
    )
    session_seconds: int | None = Setting(
        default=None,
        ge=60,
        description="Length of a full session, to annualize (s); none: that of the longest regular hours of the market so far, "
        "as 390 minutes of shares. Source: definitions 4.1.",
    )
    history_sessions: int = Setting(
        default=20, ge=1, description="History of percentiles on intraday bars (sessions). Source: definitions 4.1."
    )
    daily_history_bars: int = Setting(
        default=756, ge=20, description="History of percentiles on daily bars (bars). Source: definitions 1.5, 3 years."
    )
    min_history_bars: int = Setting(
        default=50, ge=2, description="Least history of a percentile (bars). Source: council requirement, warm-up of 50 bars."
    )
    volatile_percentile: float = Setting(
        default=0.80, gt=0, lt=1, description="Volatile from here, intraday (fraction). Source: definitions 4.1."
    )
    calm_percentile: float = Setting(
        default=0.20, gt=0, lt=1, description="Calm up to here, intraday (fraction). Source: definitions 4.1."
    )
    volatile_level: float = Setting(
        default=0.25, gt=0, description="Volatile above, on daily bars (fraction a year). Source: definitions 4.1."
    )
    calm_level: float = Setting(
        default=0.10, gt=0, description="Calm below, on daily bars (fraction a year). Source: definitions 4.1."
    )
    trend_by: Literal["efficiency", "return"] = Setting(
        default="efficiency",
        description="What tells trend from chop: Kaufman's efficiency ratio, or the window's log return over the volatility of "
        "its bars. Source: definitions 4.1 and 1.5.",
    )
    trend_efficiency: float = Setting(
        default=0.30,
        gt=0,
        le=1,
        description="Efficiency ratio from which it trends (fraction), with trend_by efficiency. Source: definitions 4.1.",
    )
    trend_deviations: float = Setting(
        default=1.0,
        gt=0,
        description="Return of the window from which a market trends (standard deviations of a driftless walk as long), "
        "with trend_by return. Source: measure definitions 1.5, threshold own choice: chance trends in one reading of three.",
    )
    range_width_percentile: float = Setting(
        default=0.20,
        gt=0,
        lt=1,
        description="Widest Bollinger band of a range (percentile, fraction). Source: definitions 4.1.",
    )
    range_efficiency: float = Setting(
        default=0.30, gt=0, le=1, description="Efficiency ratio below which a range is one (fraction). Source: definitions 4.1."
    )
    hold_bars: int = Setting(
        default=3, ge=1, description="Bars in a row before an axis changes (bars). Source: definitions 4.1."
    )
    stale_bars: int = Setting(
        default=2, ge=1, description="Age from which a reading counts as unknown (bars). Source: definitions 1.5, mended."
    )
    hidden: HiddenModelConfig = Setting(default=HiddenModelConfig(), description="The hidden Markov model.")
    crisis: CrisisConfig = Setting(default=CrisisConfig(), description="When a market is in crisis.")

    @model_validator(mode="after")
    def _in_order(self) -> MarketRegimeConfig:
        for calm, volatile in (("calm_percentile", "volatile_percentile"), ("calm_level", "volatile_level")):
            if getattr(self, calm) >= getattr(self, volatile):
                raise ValueError(f"{calm} was {getattr(self, calm)}; it must lie below {volatile}")
        return self

    def sessions_of_year(self, calendar: str = "") -> float:
        """Return how many sessions a year of a calendar has."""
        return self.sessions_per_year or (_DAYS_A_YEAR if calendar == "CRYPTO" else _SESSIONS_A_YEAR)

    def bars_per_session(self, seconds: int, session_seconds: int = _SHARE_SESSION_S) -> int:
        """Return how many bars of a width a full session of `session_seconds` has; at least 1."""
        return max(1, -(-(self.session_seconds or session_seconds) // seconds))


class ThreeStates(StrEnum):
    """The vocabulary of strategies that know three states."""

    TREND = "TREND"
    CHOP = "CHOP"
    CRISIS = "CRISIS"


def is_stale(known_at: int, ts: int, seconds: int, config: MarketRegimeConfig) -> bool:
    """Say whether a reading is too old at `ts` to be acted on (UTC ns, bars of `seconds`)."""
    return ts - known_at >= config.stale_bars * seconds * NS_PER_SECOND


def three_states(row: Any, ts: int, seconds: int, config: MarketRegimeConfig) -> tuple[ThreeStates, bool]:
    """Return the state of a regime row and whether new entries are allowed in it.

    Stale or missing readings are chop without entries, and so is a crisis without a model; a crisis allows none.
    """
    if is_stale(int(row["known_at"]), ts, seconds, config) or int(row["trend"]) == -2 or np.isnan(row["p_wildest"]):
        return ThreeStates.CHOP, False
    if row["is_crisis"]:
        return ThreeStates.CRISIS, False
    return (ThreeStates.TREND if int(row["trend"]) != 0 else ThreeStates.CHOP), True


class BarHistory:
    """The last bars of an instrument, as one array (`kernels.market_row.Field` by column).

    Parameters
    ----------
    keep : how many bars at least are kept.
    is_linked : a session's first bar follows the last session's close (daily bars do, intraday bars have no night).
    sessions : keep all bars of so many sessions before the present one as well, however many they are; 0 keeps no more.
    """

    def __init__(self, keep: int, *, is_linked: bool, sessions: int = 0) -> None:
        self._keep = keep
        self._sessions = sessions
        self._is_linked = is_linked
        self.values: Float64 = np.full((FIELDS, 2 * keep + 64), np.nan)
        self.count = 0
        self.session = 0

    def start_session(self) -> None:
        """Begin the next session."""
        self.session += 1

    def append(self, bars: NDArray[Any]) -> tuple[int, int]:
        """Add bars (`kernels.ohlcv.BAR`) and return the columns (first, last) they went to."""
        from sovereign.kernels.market_regime import append_bars

        if self.count + len(bars) > self.values.shape[1]:
            kept = min(self.count, self._keep)
            if self._sessions:
                # A session may have any number of bars; what is kept must not depend on how its ticks are cut.
                oldest = np.searchsorted(self.values[Field.SESSION, : self.count], self.session - self._sessions)
                kept = max(kept, self.count - int(oldest))
            larger = np.full((FIELDS, max(self.values.shape[1], 2 * (kept + len(bars)))), np.nan)
            larger[:, :kept] = self.values[:, self.count - kept : self.count]
            self.values, self.count = larger, kept
        first = self.count
        self.count = append_bars(self.values, first, bars, float(self.session), self._is_linked)
        return first, self.count


class RegimeService:
    """Regimes of one instrument, bar after bar.

    Parameters
    ----------
    config : settings. seconds : width of the bars; from 86,400 on they are daily.
    """

    def __init__(self, config: MarketRegimeConfig, seconds: int) -> None:
        from sovereign.kernels.indicator import ATR_STATE

        self.config = config
        self.seconds = seconds
        self.is_daily = seconds >= _DAY_S
        self._setting = _setting(config, uses_levels=self.is_daily)
        self._atr = np.zeros(ATR_STATE)
        self._held = np.zeros((HELD, 4), np.int64)
        self._readings = np.zeros(1, np.int64)
        self._since_fit = config.hidden.refit_sessions
        self._session_s = 0
        self._bars_per_year = np.nan
        states = config.hidden.states
        self.is_fitted = False
        self.scale = np.nan
        self.transition: Float64 = np.eye(states)
        self.means: Float64 = np.zeros((states, _SEEN))
        self.variances: Float64 = np.ones((states, _SEEN))
        self.phase_of: NDArray[np.int64] = np.full(states, int(HiddenPhase.RANGE), np.int64)
        self.filtered: Float64 = np.full(states, 1.0 / states)

    @property
    def history_bars(self) -> int:
        """How many bars of history the service looks at."""
        per_session = self.config.bars_per_session(self.seconds)
        ranks = self.config.daily_history_bars if self.is_daily else (self.config.history_sessions + 1) * per_session
        windows = self.config.window_bars + self.config.prior_bars
        return max(self.config.hidden.fit_bars, ranks) + windows + 2

    def start_session(self, history: BarHistory, session: Session) -> None:
        """Begin a session: refit the hidden model when it is due, on the bars before it."""
        regular_s = (session.regular_close_ns - session.regular_open_ns) // NS_PER_SECOND
        self._session_s = max(self._session_s, regular_s)  # a half day does not make the year shorter
        per_session = 1 if self.is_daily else self.config.bars_per_session(self.seconds, self._session_s)
        self._bars_per_year = self.config.sessions_of_year(session.calendar) * per_session
        self._since_fit += 1
        hidden = self.config.hidden
        if self._since_fit <= hidden.refit_sessions:
            return
        first = max(0, history.count - hidden.fit_bars)
        values = history.values[:, first : history.count]
        known = ~np.isnan(values[[Field.CHANGE, Field.MOMENTUM, Field.VOLUME_RATIO, Field.PRIOR_TREND]]).any(axis=0)
        if int(known.sum()) < hidden.min_fit_bars:
            return
        self._since_fit = 1
        self._fit(values)

    def update(self, history: BarHistory, first: int, last: int) -> NDArray[Any]:
        """Return the regimes (`REGIME`) of the bars in the columns `first` to `last`, a fresh array."""
        from sovereign.kernels.market_regime import classify, measure

        config = self.config
        sessions, bars = (2**31, config.daily_history_bars) if self.is_daily else (config.history_sessions, 2**31)
        out = np.zeros(last - first, REGIME)
        measure(
            history.values,
            first,
            last,
            config.window_bars,
            config.prior_bars,
            self._bars_per_year,
            sessions,
            bars,
            config.min_history_bars,
            config.atr_bars,
            self._atr,
            out,
        )
        classify(
            history.values[Field.CHANGE, first:last],
            self._setting,
            self.is_fitted,
            self.scale,
            self.transition,
            self.means,
            self.variances,
            self.phase_of,
            self.filtered,
            self._held,
            self._readings,
            out,
        )
        return out

    def _fit(self, values: Float64) -> None:
        from sovereign.kernels.hmm import filter_last, fit, order_by_variance

        hidden = self.config.hidden
        change = values[Field.CHANGE]
        scale = float(change[~np.isnan(change)].std())
        if not scale > 0.0:
            return  # a market that stood still has no states
        x = np.column_stack([change / scale, *(values[f] for f in (Field.MOMENTUM, Field.VOLUME_RATIO, Field.PRIOR_TREND))])
        start, transition, means, variances = first_guess(hidden.states)
        fit(
            x,
            start,
            transition,
            means,
            variances,
            hidden.iterations,
            hidden.tolerance,
            hidden.variance_floor,
            hidden.stickiness,
        )
        start, transition, means, variances, _ = order_by_variance(start, transition, means, variances)
        self.is_fitted, self.scale = True, scale
        self.transition, self.means, self.variances = transition, means, variances
        self.phase_of = phases_of(means)
        self.filtered = filter_last(x, start, transition, means, variances)


def first_guess(states: int) -> tuple[Float64, Float64, Float64, Float64]:
    """Return (start, transition, means, variances) that every fit begins with, so that refits find the same states again.

    Five states begin where definitions 4.2 puts them (accumulation, markup, distribution, markdown, range); any other number
    begins as steps of variance.
    """
    start, transition, means, variances = (part.copy() for part in _first_guess(states))
    return start, transition, means, variances


@cache
def _first_guess(states: int) -> tuple[Float64, Float64, Float64, Float64]:
    start = np.full(states, 1.0 / states)
    transition = np.full((states, states), 0.25 / max(1, states - 1))
    np.fill_diagonal(transition, 0.75)
    means = np.zeros((states, _SEEN))
    variances = np.ones((states, _SEEN))
    if states == PHASES:
        means[:, 1] = (0.0, 1.2, 0.0, -1.2, 0.0)
        means[:, 3] = (-0.7, 0.0, 0.7, 0.0, 0.0)
    else:
        variances[:, 0] = np.geomspace(0.3, 3.0, states)
    return start, transition, means, variances


def phases_of(means: Float64) -> NDArray[np.int64]:
    """Return what each state stands for (`HiddenPhase`), by its means: momentum first, where price came from next.

    The state of most momentum is markup, that of least markdown. Of the others the one that came from lowest down the
    prior trend is accumulation, from highest up distribution, the rest is range. Signs must fit, else it is range too.
    """
    phase = np.full(len(means), int(HiddenPhase.RANGE), np.int64)
    up, down = int(np.argmax(means[:, 1])), int(np.argmin(means[:, 1]))
    rest = np.array([state for state in range(len(means)) if state not in (up, down)], np.int64)
    if means[up, 1] > 0.0:
        phase[up] = HiddenPhase.MARKUP
    if means[down, 1] < 0.0:
        phase[down] = HiddenPhase.MARKDOWN
    if len(rest):
        low, high = rest[np.argmin(means[rest, 3])], rest[np.argmax(means[rest, 3])]
        if means[low, 3] < 0.0:
            phase[low] = HiddenPhase.ACCUMULATION
        if means[high, 3] > 0.0:
            phase[high] = HiddenPhase.DISTRIBUTION
    return phase


def _setting(config: MarketRegimeConfig, *, uses_levels: bool) -> NDArray[Any]:
    record = np.zeros(1, REGIME_SETTING)
    own = (
        "trend_efficiency",
        "trend_deviations",
        "range_width_percentile",
        "range_efficiency",
        "volatile_percentile",
        "calm_percentile",
        "volatile_level",
        "calm_level",
        "hold_bars",
    )
    for name in own:
        record[name] = getattr(config, name)
    record["trend_by_return"] = config.trend_by == "return"
    record["uses_levels"] = uses_levels
    record["min_phase_probability"] = config.hidden.min_phase_probability
    for name in ("probability", "volatility", "percentile", "readings"):
        record[f"crisis_{name}"] = getattr(config.crisis, name)
    return record
