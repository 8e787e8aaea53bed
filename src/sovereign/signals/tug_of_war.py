"""The rows of the tug of war: what institutions and the crowd do in one share, seen against the market.

The market's side comes from the `tug_market.MarketBoard`. What completed sessions say (order of differencing, betas,
usual volumes, calibration) is worked out at a session's first bar, from sessions before it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from datetime import date
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
from sovereign.signals.bars import NO_CANDIDATES, ROW_HEAD, BarBuilder
from sovereign.signals.tug_market import DayTimes, Evidence, MarketBoard, MarketConfig

Float64 = NDArray[np.float64]
_DAY_S = NS_PER_DAY // NS_PER_SECOND
_NOTHING: Float64 = np.zeros(0)
_UNSHARED = 2
"""References to an array that only its owner holds: the owner's and that of whoever counts them."""
_BY_PLACE = ("_day", "_bars", "_latest", "_ranked", "_shelves", "_lengths", "_residuals", "_line", "_unseen")
_BY_ROW = ("_rows", "_told", "_waking")
"""State of `TugShares` with a place for every share, and that with one for every row of theirs as well."""


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


class TugStream:
    """One share that is traded (`core.port.SignalStream`): a place among the `TugShares` of its strategy, its `team`."""

    candidates = NO_CANDIDATES

    def __init__(self, instrument: Instrument, shares: TugShares, place: int) -> None:
        self.instrument = instrument
        self.team = shares
        self.place = place
        self.session: Session | None = None
        self.previous: Session | None = None
        self.builder = BarBuilder(shares.seconds, room=lambda count: shares.room_of_bars(place, count))
        self.days: list[date] = []  # of completed sessions with a close
        self.unpaired: list[int] = []  # of them, where a benchmark's change to the next was not known
        self.count = 0  # rows so far
        self.levels: Float64 = _NOTHING  # see `kernels.tug_of_war.read_bars`
        self.is_prepared = False

    @property
    def rows(self) -> NDArray[Any]:
        """Rows completed so far in this session; a view that later rows do not change."""
        return self.team.rows_of(self.place, self.count)

    @property
    def waking(self) -> NDArray[np.int64]:
        """Places of the session's rows that wake, ascending; read them before the next session."""
        return self.team.waking_of(self.place, is_any=self.is_prepared)

    def start_session(self, session: Session) -> None:
        """Begin a trade date; the one before is complete."""
        if self.session is not None and self.is_prepared and self.team.has_close(self.place):
            before = self.days[-1] if self.days else None
            self.days.append(self.session.trade_date)
            self.team.remember(self, before, self.session.trade_date)
        self.team.free_rows()
        self.previous, self.session = self.session, session
        self.builder.start_session(session)
        self.count, self.is_prepared = 0, False

    def advance(self, trades: Trades, until_ns: int) -> None:
        """Consume the next ticks and write a row for every bar that became certain."""
        self.team.advance(((self, trades),), until_ns)


class TugShares:
    """The shares of one strategy, which are read together: state by place, so that one compiled call does a step for many.

    A step of one share depends on nothing of another but what lies on the board, and that is written by the benchmarks and
    by completed sessions; so it does not matter which of them are read in one call.

    Parameters
    ----------
    cycle_minutes : entries are looked for on this grid. wake_from : confidence from which a conviction is a candidate.
    measure : what confidence is: `raw`, `rank` or `probability`.
    """

    def __init__(
        self,
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
        from sovereign.kernels.ohlcv import BAR
        from sovereign.kernels.tug_day import DAYS, begin_days, close_days
        from sovereign.kernels.tug_of_war import DAY, EVIDENCE, SETTING, SHELVES, read_shares

        self.seconds = seconds
        self._board, self._market = board, market
        self._without = frozenset(without)
        self._is_daily = seconds >= _DAY_S
        self._has_alpha = "alpha" not in self._without and len(board.benchmarks) > 1
        self._window_days = institution.alpha.window_days
        self._max_news_ns = institution.news_age_minutes * NS_PER_MINUTE
        self._max_tape_ns = crowd.tape_age_minutes * NS_PER_MINUTE
        self._close_days, self._begin_days, self._read_shares = close_days, begin_days, read_shares
        self._setting = _setting(institution, crowd, self._without, SETTING)
        for name, value in (
            ("flip_bars", flip_bars),
            ("wake_from", wake_from),
            ("measure", ("raw", "rank", "probability").index(measure)),
            ("min_ranked", min_rank_rows),
            ("cycle_ns", cycle_minutes * NS_PER_MINUTE),
            ("is_daily", self._is_daily),
            ("has_alpha", self._has_alpha),
            ("year", np.sqrt(market.reading.sessions_of_year())),
        ):
            self._setting[name] = value
        self._closing: dict[tuple[date | None, date], list[TugStream]] = {}  # by the day with a close before it, and the day
        self._unjudged = board.outcomes.new_counts()
        self._count = 0
        # By place; see the kernels for what each is.
        self._day = np.zeros(0, DAY)
        self._bars = np.zeros((0, 64), BAR)
        self._rows = np.zeros((0, 64), row_type())
        self._told: Float64 = np.zeros((0, 2, 64))
        self._waking = np.zeros((0, 64), np.int64)
        self._latest: Float64 = np.zeros((0, rank_rows))
        self._ranked: Float64 = np.zeros((0, 2, rank_rows))
        self._shelves = np.zeros((0, SHELVES + 1), np.int64)
        self._volumes: Float64 = np.zeros((0, DAYS + crowd.volume_days, 1))
        self._lengths = np.zeros((0, crowd.volume_days), np.int64)
        self._logs: Float64 = np.zeros((0, 256))
        self._changes: Float64 = np.zeros((0, 256, 3))
        self._residuals: Float64 = np.zeros((0, max(institution.alpha.volatility_days, institution.alpha.mean_days)))
        self._line: Float64 = np.zeros((0, 4))
        self._unseen = np.zeros((0, 0), EVIDENCE)
        self._seen_close: Float64 = self._day["seen_close"]
        self._woken: NDArray[np.int64] = self._day["woken"]

    def stream(self, instrument: Instrument) -> TugStream:
        """Return the stream of one more share."""
        place = self._count
        self._count += 1
        if self._count > len(self._day):
            room = max(8, 2 * place)
            for name in (*_BY_PLACE, *_BY_ROW, "_logs", "_changes", "_volumes"):
                setattr(self, name, _grown(getattr(self, name), 0, room))
            self._seen_close, self._woken = self._day["seen_close"], self._day["woken"]
        for unknown in ("last_close", "seen_close", "order"):
            self._day[unknown][place] = np.nan
        self._line[place] = np.nan
        return TugStream(instrument, self, place)

    # What a stream asks

    def rows_of(self, place: int, count: int) -> NDArray[Any]:
        """Return a share's rows so far, a view."""
        return self._rows[place, :count]

    def waking_of(self, place: int, *, is_any: bool) -> NDArray[np.int64]:
        """Return a share's rows that wake, a view."""
        return self._waking[place, : self._woken.item(place) if is_any else 0]

    def has_close(self, place: int) -> bool:
        """Say whether a share's session, as far as it went, has a close."""
        return not math.isnan(self._seen_close.item(place))

    def room_of_bars(self, place: int, count: int) -> NDArray[Any]:
        """Return room for so many bars of a share."""
        if count > self._bars.shape[1]:
            self._bars = _grown(self._bars, 1, max(count, 2 * self._bars.shape[1]))
        room: NDArray[Any] = self._bars[place]
        return room

    # Sessions

    def free_rows(self) -> None:
        """See that rows of a share that begins a session can be written over: where somebody holds any, in another array."""
        if sys.getrefcount(self._rows) > _UNSHARED:
            self._rows = self._rows.copy()

    def remember(self, stream: TugStream, before: date | None, day: date) -> None:
        """Take note that a share's session with a close is over; what it leaves is worked out before the next is read."""
        self._closing.setdefault((before, day), []).append(stream)

    def advance(self, fed: Iterable[tuple[TugStream, Trades]], until_ns: int) -> None:
        """Consume the next ticks of some shares and write a row for every bar that became certain."""
        begun: list[TugStream] = []
        taken: list[tuple[TugStream, int]] = []
        for stream, trades in fed:
            count = len(stream.builder.advance(trades, until_ns))
            if count:
                taken.append((stream, count))
                if not stream.is_prepared:
                    begun.append(stream)
        if begun:
            self._prepare(begun)
        alike: dict[tuple[int, date | None, int], list[tuple[TugStream, int]]] = {}
        for stream, count in taken:
            before = stream.days[-1] if stream.days else None
            alike.setdefault((id(stream.session), before, id(stream.levels)), []).append((stream, count))
        for (_, before, _), group in alike.items():
            self._read(before, group)

    def _read(self, before: date | None, group: Sequence[tuple[TugStream, int]]) -> None:
        """Read the next bars of shares that are in the same session, know the same, and had a close on the same day last."""
        board, session = self._board, group[0][0].session
        if session is None:
            return
        turns = np.array([(stream.place, stream.count, count) for stream, count in group], np.int64)
        longest = max([stream.count + count for stream, count in group])
        if longest > self._rows.shape[1]:
            # Rows handed out stay as they are; the new array begins with a copy.
            room = max(longest, 2 * self._rows.shape[1])
            for name in _BY_ROW:
                setattr(self, name, _grown(getattr(self, name), -1, room))
        self._read_shares(
            turns,
            self._bars,
            self._rows,
            self._day,
            self._setting,
            board.regimes.values,
            *board.changes(session, before),
            self._unseen[: len(group)] if board.evidence is None else self._seen(group, board.evidence),
            self._volumes,
            self._ranked,
            self._shelves,
            group[0][0].levels,
            self._told,
            self._waking,
        )
        for stream, count in group:
            stream.count += count

    def _prepare(self, begun: Sequence[TugStream]) -> None:
        """Work out what completed sessions say of this one, for shares of which the first bar has come."""
        self._close()
        alike: dict[DayTimes, list[int]] = {}
        for stream in begun:
            session = stream.session
            if session is None:
                continue
            alike.setdefault(self._board.times(session, stream.previous, self._market, self.seconds), []).append(stream.place)
            stream.levels = self._board.outcomes.levels(session.trade_date)
            stream.is_prepared = True
            if stream.unpaired:
                self._pair(stream)
        for times, places in alike.items():
            slots = times[-1]
            if slots > self._volumes.shape[2]:
                self._volumes = _grown(self._volumes, 2, slots)
            self._begin_days(
                np.array(places),
                self._day,
                self._setting,
                times,
                self._logs,
                self._changes,
                self._residuals,
                self._line,
                self._volumes,
                self._lengths,
            )

    def _close(self) -> None:
        """Take completed sessions into what is remembered."""
        board, closing = self._board, self._closing
        self._closing = {}
        for (before, day), streams in closing.items():
            longest = max([len(stream.days) for stream in streams])
            if longest > self._logs.shape[1]:
                self._logs, self._changes = _grown(self._logs, 1, 2 * longest), _grown(self._changes, 1, 2 * longest)
            first = second = math.nan
            if before is not None and self._has_alpha:
                # Aligned by date: a change counts when share and benchmarks have both of its ends.
                first, second = board.day_changes(before, day)
            convictions = np.empty(len(streams))
            self._close_days(
                np.array([stream.place for stream in streams]),
                self._day,
                self._setting,
                self._told,
                self._latest,
                self._ranked,
                self._shelves,
                self._volumes,
                self._lengths,
                self._logs,
                self._changes,
                first,
                second,
                # What daily bars came to shows on later days.
                self._unjudged if self._is_daily else board.outcomes.opened(day),
                convictions,
            )
            if self._has_alpha and math.isnan(first) and before is not None:
                for stream in streams:
                    stream.unpaired.append(len(stream.days) - 2)
            if self._is_daily:
                for stream, conviction in zip(streams, convictions.tolist(), strict=True):
                    last = self._day["last_close"].item(stream.place)
                    board.outcomes.wait(stream.instrument.symbol, day, conviction, last)

    def _pair(self, stream: TugStream) -> None:
        # The benchmarks' changes may have come to be known.
        again, stream.unpaired = stream.unpaired, []
        for n in again:
            first, second = self._board.day_changes(stream.days[n], stream.days[n + 1])
            if not math.isnan(first):
                logs = self._logs[stream.place]
                self._changes[stream.place, n] = logs[n + 1] - logs[n], first, second
            elif n >= len(stream.days) - 1 - self._window_days:
                stream.unpaired.append(n)

    def _seen(self, group: Sequence[tuple[TugStream, int]], evidence: Evidence) -> NDArray[Any]:
        """Return what scouts knew at each bar."""
        found = np.empty((len(group), max([count for _, count in group])), self._unseen.dtype)
        found["news_tone"] = found["post_tone"] = found["ofi_z"] = np.nan
        found["is_absorption"] = -1
        for seen, (stream, count) in zip(found, group, strict=True):
            symbol = stream.instrument.symbol
            times = self._bars[stream.place]["known_at"][:count].tolist()
            for row, ts in zip(seen[:count], times, strict=True):
                tape = None if "tape" in self._without else evidence.tape(symbol, ts)
                if tape is not None and ts - tape.ts <= self._max_tape_ns:
                    row["ofi_z"], row["is_absorption"] = tape.ofi_z, int(tape.is_absorption)
                news = None if "news" in self._without else evidence.news(symbol, ts)
                if news is not None and ts - news.ts <= self._max_news_ns:
                    row["news_tone"], row["post_tone"] = news.tone, news.post_tone
        return found


def _grown(held: NDArray[Any], axis: int, size: int) -> NDArray[Any]:
    """Return an array with more room along an axis; what is there is copied, the rest is zeros."""
    shape = list(held.shape)
    shape[axis] = size
    larger = np.zeros(shape, held.dtype)
    larger[tuple(slice(0, length) for length in held.shape)] = held
    return larger


def _setting(institution: InstitutionConfig, crowd: CrowdConfig, without: frozenset[str], dtype: np.dtype[Any]) -> NDArray[Any]:
    record = np.zeros(1, dtype)
    for section in (institution, crowd):
        for name in dtype.names or ():
            if name in type(section).model_fields:
                record[name] = getattr(section, name)
    for name, value in (
        ("has_regime", "regime" not in without),
        ("has_momentum", "momentum" not in without),
        ("range_ns", institution.range_minutes * NS_PER_MINUTE),
        ("pump_ns", crowd.pump_minutes * NS_PER_MINUTE),
        ("momentum_width", institution.momentum.width_days),
        ("momentum_days", institution.momentum.mean_days),
        ("momentum_least", institution.momentum.min_days),
        ("fit_days", institution.momentum.fit_days),
        ("refit_sessions", institution.momentum.refit_sessions),
        ("order_step", institution.momentum.order_step),
        ("max_p", institution.momentum.max_p),
        ("test_lags", institution.momentum.test_lags),
        ("window_days", institution.alpha.window_days),
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
