"""A seeded market: trades with best quotes for any session, or a driftless null on which nothing can be earned.

Arrivals are a Poisson process whose intensity is U-shaped over the day session and clusters (an AR(1) in logarithms and short
bursts); volatility switches between regimes; sizes are heavy-tailed; sides persist. See `docs/concepts/synthetic_market.md`
for the model and what it does not have. The sequential parts are `kernels.synthetic`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sovereign.core.columns import Quotes, Trades
from sovereign.core.configuration import Configuration
from sovereign.core.errors import UsageError
from sovereign.core.instrument import Instrument
from sovereign.core.session import NS_PER_MINUTE, Session
from sovereign.feeds.synthetic.planting import Planted, PlantingConfig, plant_all
from sovereign.feeds.synthetic.queue import QueueConfig, queue_quotes
from sovereign.kernels.row import Pattern

Hours = Literal["regular", "all"]
"""`regular` is the day session alone, `all` everything that the venue trades under the trade date."""

_SIZE_LEVELS = 65_536
_PLANTING = 2  # stream of random numbers; 0 and 1 are the sessions of regular and all hours
_QUEUES = 3  # what waits at the best prices
_FIRST_DAY = date(1990, 1, 1)
_MOST_MOVES = 0.9  # chance of a quote's move a trade, at most


class SyntheticConfig(Configuration):
    """What the simulated market is like. Defaults resemble the E-mini S&P 500 contract."""

    is_null: bool = Field(
        default=False, description="make the driftless null market instead: fair steps, fair sides, no spread"
    )
    ticks_per_session: int = Field(
        default=750_000,
        ge=1,
        le=50_000_000,
        description="trades in a day session of full_session_minutes; shorter ones get their share (about an ES day session)",
    )
    full_session_minutes: int = Field(
        default=390, ge=1, description="length that ticks_per_session refers to, minutes (09:30-16:00)"
    )
    overnight_frac: float = Field(
        default=0.15, ge=0, description="trades outside the day session, as a fraction of ticks_per_session, in a full night"
    )
    full_night_minutes: int = Field(
        default=990, ge=1, description="length that overnight_frac refers to, minutes (23 h less 6.5 h)"
    )
    start_ticks: int = Field(default=20_000, ge=1, description="price around which sessions open, ticks (ES at 5000.00)")
    overnight_volatility_ticks: float = Field(
        default=40.0,
        ge=0,
        description="standard deviation of the change of the opening price from one calendar day to the next, ticks; "
        "0 opens every session at start_ticks",
    )
    overnight_memory_days: float = Field(
        default=100.0, gt=0, description="decay time with which opening prices return to start_ticks, calendar days"
    )
    session_volatility_ticks: float = Field(
        default=160.0,
        gt=0,
        description="standard deviation of the price over a full day session, ticks (about 0.8% of ES at 5000)",
    )
    drift_ticks: float = Field(
        default=0.0, description="expected change of the price over a full day session, ticks; not in the null"
    )
    regime_multipliers: tuple[float, ...] = Field(
        default=(0.6, 1.0, 1.9),
        min_length=1,
        description="activity of each volatility regime: scales both the arrival rate and the chance that the quote moves",
    )
    regime_minutes: float = Field(default=25.0, gt=0, description="mean duration of a volatility regime, minutes")
    open_activity: float = Field(default=2.6, ge=0, description="arrival rate at the open of the day session over midday's")
    close_activity: float = Field(default=2.2, ge=0, description="arrival rate at the close of the day session over midday's")
    edge_minutes: float = Field(
        default=30.0, gt=0, description="decay time of the busy hours after the open and before the close, minutes"
    )
    bin_ms: int = Field(default=250, ge=10, description="time step of the arrival rate, milliseconds")
    cluster_deviation: float = Field(default=0.6, ge=0, description="standard deviation of the logarithm of the arrival rate")
    cluster_seconds: float = Field(default=15.0, gt=0, description="decay time of the logarithm of the arrival rate, seconds")
    burst_factor: float = Field(default=4.0, ge=1, description="arrival rate in a burst over that outside one")
    burst_every_seconds: float = Field(default=20.0, gt=0, description="mean time between bursts, seconds")
    burst_seconds: float = Field(default=1.0, gt=0, description="mean duration of a burst, seconds")
    sweep_frac: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="share of trades at the same time as the one before (4.7% on the ES tape of 2023-12-25)",
    )
    same_side_frac: float = Field(
        default=0.70,
        gt=0,
        lt=1,
        description="chance that an aggressor is on the side of the one before (0.70 on the ES tape of 2023-12-25)",
    )
    impact: float = Field(
        default=0.6, ge=0, le=1, description="how much of a quote's move follows the surprise in the order flow: 0 none, 1 all"
    )
    wide_spread_frac: float = Field(default=0.05, ge=0, lt=0.5, description="share of time with a spread above one tick")
    very_wide_frac: float = Field(default=0.15, ge=0, le=1, description="share of wide spreads that are three ticks, not two")
    wide_trades: float = Field(default=4.0, ge=1, description="mean number of trades that a wide spread lasts")
    size_one_frac: float = Field(
        default=0.65, gt=0, le=1, description="share of trades of one unit (0.60 on the ES tape of 2023-12-25)"
    )
    size_tail: float = Field(
        default=1.7, gt=1, description="tail exponent of the sizes above one: P(size >= k) falls as k**-size_tail"
    )
    size_max: int = Field(default=500, ge=2, description="largest size, units")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if min(self.regime_multipliers) <= 0:
            raise ValueError(f"regime_multipliers was {self.regime_multipliers}; each must be above 0")
        if self.is_null and self.drift_ticks != 0:
            raise ValueError(f"drift_ticks was {self.drift_ticks} with is_null; the null market has no drift, set one of them")
        return self


class SyntheticMarket:
    """A simulated market. The same seed, product and trade date give the same bytes, whatever was generated before.

    Parameters
    ----------
    config : what the market is like.
    seed : any integer >= 0.

    Notes
    -----
    With `is_null` the *traded price* P is a martingale: P[i+1] - P[i] is +1 or -1 with equal probability or 0, the sign being a
    fair coin that is independent of everything else: past and present prices, all times, sizes, sides and regimes. A position
    that a strategy takes and leaves at traded prices, at stopping times (decided by what was known before, over a bounded
    session), therefore has expected gross profit zero by optional stopping; no rule about entries, stops, targets or sizes
    changes that. Bid and ask equal the price, so that a broker which fills at the quote fills at the traded price as well.
    """

    is_simulated = True

    def __init__(self, config: SyntheticConfig | None = None, seed: int = 0) -> None:
        if seed < 0:
            raise UsageError(f"seed was {seed}; it must be 0 or more")
        self.config = config if config is not None else SyntheticConfig()
        self.seed = seed

    @property
    def label(self) -> str:
        """How data of this market is called wherever it appears."""
        return f"simulated{' null' if self.config.is_null else ''} market, seed {self.seed}"

    def session_trades(self, instrument: Instrument, session: Session, hours: Hours = "regular") -> Trades:
        """Return a session's trades with best quotes; no rows when the session has no such hours. Sizes come in round lots.

        Contracts of one product (`ES`, `ESH4`) are the same market; other products are other markets of the same seed.
        """
        spans = _spans(session, hours)
        if not spans:
            return _quoted_empty()
        config = self.config
        start, end = spans[0][0], spans[-1][1]
        product = zlib.crc32(instrument.root.encode())
        entropy = np.random.SeedSequence([self.seed, product, session.trade_date.toordinal(), hours == "all"])
        rng = np.random.Generator(np.random.PCG64(entropy))
        regular = max(0, session.regular_close_ns - session.regular_open_ns)
        night = sum(b - a for a, b in spans) - regular
        count = config.ticks_per_session * (
            regular / (config.full_session_minutes * NS_PER_MINUTE)
            + config.overnight_frac * night / (config.full_night_minutes * NS_PER_MINUTE)
        )
        shape = self._shape(session, spans, start, end)
        trades = self._trades(rng, max(1, round(count)), shape, (start, end), self._open_ticks(product, session))
        # Sizes are drawn in lots: one contract, a hundred shares.
        return trades if instrument.round_lot == 1 else replace(trades, size=trades.size * np.int32(instrument.round_lot))

    def session_quotes(
        self, instrument: Instrument, session: Session, trades: Trades, span: tuple[int, int], config: QueueConfig
    ) -> Quotes:
        """Return best bids and offers with sizes beside a session's trades, within `span` (UTC ns); see `queue_quotes`."""
        product = zlib.crc32(instrument.root.encode())
        return queue_quotes(
            trades,
            span,
            [self.seed, product, session.trade_date.toordinal(), _QUEUES],
            config,
            lot=instrument.round_lot,
            mean_size=float(self._sizes.mean()) * instrument.round_lot,
            breaks=session.breaks,
        )

    def planted_session(
        self,
        instrument: Instrument,
        session: Session,
        plan: Sequence[tuple[Pattern, int]],
        config: PlantingConfig | None = None,
    ) -> tuple[Trades, list[Planted]]:
        """Return the day session's trades with patterns planted, as `(pattern, bar)` pairs, and what was planted where.

        Raises
        ------
        UsageError : two plants need the same bar, or one does not fit into the session.
        """
        entropy = [self.seed, zlib.crc32(instrument.root.encode()), session.trade_date.toordinal(), _PLANTING]
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
        return plant_all(self.session_trades(instrument, session), session, plan, rng, config)

    def _open_ticks(self, product: int, session: Session) -> int:
        config = self.config
        if config.overnight_volatility_ticks == 0:
            return config.start_ticks
        # One draw a calendar day since 1990, so that a date's level does not depend on which sessions are asked for.
        days = max(1, (session.trade_date - _FIRST_DAY).days)
        steps = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, product]))).standard_normal(days)
        weights = np.exp(-np.arange(days)[::-1] / config.overnight_memory_days)
        return max(1, config.start_ticks + round(config.overnight_volatility_ticks * float((steps * weights).sum())))

    def _shape(self, session: Session, spans: list[tuple[int, int]], start: int, end: int) -> NDArray[np.float64]:
        config = self.config
        step = config.bin_ms * 1_000_000
        times = start + step * np.arange(-(-(end - start) // step), dtype=np.int64)
        shape = np.zeros(len(times))
        is_regular = (times >= session.regular_open_ns) & (times < session.regular_close_ns)
        minutes = (times[is_regular] - session.regular_open_ns) / NS_PER_MINUTE
        length = (session.regular_close_ns - session.regular_open_ns) / NS_PER_MINUTE
        shape[is_regular] = (
            1.0
            + (config.open_activity - 1.0) * np.exp(-minutes / config.edge_minutes)
            + (config.close_activity - 1.0) * np.exp(-(length - minutes) / config.edge_minutes)
        )
        per_minute = config.ticks_per_session / config.full_session_minutes
        quiet = config.overnight_frac * config.ticks_per_session / config.full_night_minutes
        if is_regular.any():
            shape[is_regular] *= per_minute / shape[is_regular].mean()
        for opened, closed in spans:
            shape[(times >= opened) & (times < closed) & ~is_regular] = quiet
        return shape

    @cached_property
    def _sizes(self) -> NDArray[np.int32]:
        config = self.config
        rank = (np.arange(_SIZE_LEVELS) + 0.5) / _SIZE_LEVELS
        tail = (1.0 - np.maximum(rank, config.size_one_frac)) / max(1.0 - config.size_one_frac, 1e-12)
        above = np.floor(2.0 * np.maximum(tail, 1e-12) ** (-1.0 / config.size_tail))
        return np.where(rank < config.size_one_frac, 1, np.clip(above, 2, config.size_max)).astype(np.int32)

    def _trades(
        self, rng: np.random.Generator, n: int, shape: NDArray[np.float64], span: tuple[int, int], open_ticks: int
    ) -> Trades:
        from sovereign.kernels import synthetic as kernels

        config = self.config
        bins = len(shape)
        step_s = config.bin_ms / 1_000
        multipliers = np.array(config.regime_multipliers)
        cumulative, regime = np.empty(bins + 1), np.empty(bins, np.int8)
        kernels.cumulate_intensity(
            shape,
            rng.standard_normal(bins),
            rng.random((bins, 3)),
            float(np.exp(-step_s / config.cluster_seconds)),
            config.cluster_deviation,
            min(1.0, step_s / config.burst_every_seconds),
            min(1.0, step_s / config.burst_seconds),
            config.burst_factor,
            multipliers,
            min(1.0, step_s / (60.0 * config.regime_minutes)),
            int(rng.integers(len(multipliers))),
            cumulative,
            regime,
        )
        bits = rng.integers(0, kernels.DRAWS, (n, 5), dtype=np.uint16)
        ts, regime_of = np.empty(n, np.int64), np.empty(n, np.int8)
        kernels.spread_arrivals(
            rng.standard_exponential(n + 1),
            bits,
            config.sweep_frac,
            cumulative,
            regime,
            span[0],
            config.bin_ms * 1_000_000,
            span[1],
            ts,
            regime_of,
        )
        price, size, bid, ask = (np.empty(n, np.int32) for _ in range(4))
        side = np.empty(n, np.int8)
        move, up_shift = self._moves(multipliers)
        if config.is_null:
            kernels.trade_null(bits, regime_of, move, open_ticks, self._sizes, price, size, side, bid, ask)
        else:
            narrow = 1.0 / config.wide_trades
            wide = config.wide_spread_frac
            kernels.trade_quotes(
                bits,
                config.sweep_frac,
                regime_of,
                move,
                up_shift,
                config.same_side_frac,
                config.impact,
                narrow * wide / (1.0 - wide),
                narrow,
                config.very_wide_frac,
                open_ticks,
                self._sizes,
                price,
                size,
                side,
                bid,
                ask,
            )
        return Trades(ts, price, size, side, bid, ask)

    def _moves(self, multipliers: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        # Trades arrive in proportion to the multiplier m and the chance of a move is c * m, so the variance of the session is
        # c * ticks * mean(m**2) / mean(m). Steps are one tick: the chance is capped, and with it the volatility of a thin tape.
        config = self.config
        per_trade = config.session_volatility_ticks**2 / config.ticks_per_session
        movable = 1.0 if config.is_null else 1.0 - config.sweep_frac
        chance = per_trade / movable * multipliers * multipliers.mean() / (multipliers**2).mean()
        move = np.minimum(chance, _MOST_MOVES)
        # The drift per trade is 2 * move * up_shift.
        drift = config.drift_ticks / config.ticks_per_session / movable
        return move, np.clip(0.5 * drift / move, -0.5, 0.5)


def _quoted_empty() -> Trades:
    none = Trades.empty()
    return Trades(none.ts, none.price, none.size, none.side, none.price, none.price)


def _spans(session: Session, hours: Hours) -> list[tuple[int, int]]:
    if hours == "regular":
        spans = [(session.regular_open_ns, session.regular_close_ns)]
    elif hours == "all":
        edges = [session.open_ns, *(edge for pause in session.breaks for edge in pause), session.close_ns]
        spans = list(zip(edges[::2], edges[1::2], strict=True))
    else:
        raise UsageError(f"hours was '{hours}'; allowed are 'regular' and 'all'")
    return [(a, b) for a, b in spans if b > a]
