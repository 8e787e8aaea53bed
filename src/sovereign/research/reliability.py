"""How sure a strategy was, held against how often it was right.

A strategy that forecasts (see `strategies`) says at each moment a direction and how sure it is, by one or several measures. A
forecast is right when the price has moved its way by the close of its session, or some sessions on; a price that has not moved
decides nothing. Cases are put into bins of about equal number by each measure, and for each bin the share of right ones is
given with an interval.

Forecasts of one day are right and wrong together, over hours and over symbols. So the interval is Wilson's (1927) for as many
independent cases as the spread over days says there are: n p (1 - p) divided by the cluster-robust variance of the sum of right
ones (design effect: Kish, 1965; the interval: Korn and Graubard, 1998), never more than there are cases. Forecasts that are
judged h sessions on overlap, so h sessions make one cluster.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.decision import KeptRefusals
from sovereign.core.event import Event, RowsClosed, SessionEnded, SessionStarted
from sovereign.core.session import Session
from sovereign.research.configuration import MetricsConfig
from sovereign.research.result import RunTables
from sovereign.signals.calibration import Forecasts

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Cases whose measure lies from `lowest` to `highest`.

    `mean` is that of the measure, `cases` how many there are, in `clusters` that hang together (days); `low` to `high` is the
    interval of the `share` of right ones. `is_limit`: no bin, but all cases from a limit of the rule on.
    """

    lowest: float
    highest: float
    mean: float
    cases: int
    right: int
    clusters: int
    low: float
    high: float
    is_limit: bool = False

    @property
    def share(self) -> float:
        """Share of right ones."""
        return self.right / self.cases

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        names = ("lowest", "highest", "mean", "cases", "right", "clusters", "share", "low", "high", "is_limit")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """One measure against what came: its bins, and `brier`, the mean squared error of taking it for a probability.

    `average` is the share of right ones of all, and `plain_brier` the error of saying that each time: a measure whose error is
    not below it knows nothing more.
    """

    measure: str
    outcome: str
    cases: int
    average: float
    brier: float
    plain_brier: float
    bins: tuple[Bin, ...]
    limits: tuple[Bin, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        plain = {n: getattr(self, n) for n in ("measure", "outcome", "cases", "average", "brier", "plain_brier")}
        return {**plain, "bins": [one.to_plain() for one in self.bins], "limits": [one.to_plain() for one in self.limits]}


@dataclass(slots=True)
class _Cases:
    """Judged cases: the measures of each, whether it was right, and the day it was said on."""

    measures: dict[str, list[Float64]] = field(default_factory=dict)
    right: list[NDArray[np.bool_]] = field(default_factory=list)
    days: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, found: Forecasts, last: int, day: int) -> None:
        moved = last - found.price
        is_judged = moved != 0
        if not is_judged.any():
            return
        for name, values in found.measures.items():
            self.measures.setdefault(name, []).append(values[is_judged])
        self.right.append((np.sign(moved) == found.direction)[is_judged])
        self.days.append(np.full(int(is_judged.sum()), day, np.int64))


class ForecastCollector:
    """A sink that judges a strategy's forecasts; memory grows with their number.

    Parameters
    ----------
    strategy : what forecasts; of one that does not, nothing is collected.
    """

    def __init__(self, strategy: Any) -> None:
        self._forecasts = getattr(strategy, "forecasts", None)
        self._horizon: int = getattr(strategy, "forecast_sessions", 0)
        self._limits: Mapping[str, Sequence[float]] = getattr(strategy, "forecast_limits", {})
        self._session: Session | None = None
        self._day = 0
        self._waiting: dict[str, deque[tuple[int, Forecasts]]] = {}
        self._seen: dict[str, int] = {}
        self._cases = _Cases()

    def on_refused(self, refused: KeptRefusals) -> None:
        """Take what the strategy refused by itself: forecasts are judged whatever came of them."""

    def __call__(self, event: Event) -> None:
        """Take one event of the audit stream."""
        if self._forecasts is None:
            return
        if type(event) is SessionStarted:
            self._session = event.session
        elif type(event) is SessionEnded:
            self._day += 1
        elif type(event) is RowsClosed and self._session is not None:
            found = self._forecasts(self._session, event.rows)
            if found is not None:
                self._take(event.symbol, found)

    def _take(self, symbol: str, found: Forecasts) -> None:
        if not self._horizon:
            self._cases.add(found, found.last, self._day)
            return
        number = self._seen[symbol] = self._seen.get(symbol, 0) + 1
        waiting = self._waiting.setdefault(symbol, deque())
        while waiting and waiting[0][0] + self._horizon <= number:
            said, earlier = waiting.popleft()
            self._cases.add(earlier, found.last, self._day - (number - said))
        waiting.append((number, found))

    def tables(self, tables: RunTables, config: MetricsConfig) -> tuple[Reliability, ...]:
        """Return the measures against the market, then against the trades that were made; empty of what never forecast."""
        if not self._cases.right:
            return ()
        when = f"{self._horizon} sessions on" if self._horizon else "by the session's close"
        right, days = np.concatenate(self._cases.right), np.concatenate(self._cases.days)
        cluster = days // max(1, self._horizon)
        found = []
        for name, parts in self._cases.measures.items():
            values, limits = np.concatenate(parts), self._limits.get(name, ())
            one = reliability(name, f"price moved its way {when}", values, right, cluster, config, limits)
            if one is not None:
                found.append(one)
        return (*found, *_of_trades(tables, tuple(self._cases.measures), config))


def _of_trades(tables: RunTables, measures: Sequence[str], config: MetricsConfig) -> list[Reliability]:
    said = {decision.decision_id: decision.proposal.inputs for decision in tables.decisions}
    opens = np.array([session.session.open_ns for session in tables.sessions], np.int64)
    trades = [trade for trade in tables.trades if trade.net and trade.decision_id in said]
    right = np.array([trade.net > 0 for trade in trades], np.bool_)
    days = np.searchsorted(opens, np.array([trade.entry_ns for trade in trades], np.int64), side="right")
    found = []
    for name in measures:
        values = np.array([_number(said[str(trade.decision_id)].get(name)) for trade in trades], np.float64)
        one = reliability(name, "the trade made money", values, right, days, config)
        if one is not None:
            found.append(one)
    return found


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def reliability(
    measure: str,
    outcome: str,
    values: Float64,
    right: NDArray[np.bool_],
    cluster: NDArray[np.int64],
    config: MetricsConfig,
    limits: Sequence[float] = (),
) -> Reliability | None:
    """Hold a measure against what came; None when no case has a value.

    Parameters
    ----------
    values : (n,) the measure, NaN unknown. right : (n,) what came. cluster : (n,) cases that hang together share a number.
    config : number of bins, confidence of the intervals. limits : from which on all cases are told together as well.
    """
    known = ~np.isnan(values)
    values, right, cluster = values[known], right[known], cluster[known]
    if not len(values):
        return None
    average = float(right.mean())
    edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, config.reliability_bins + 1)[1:-1]))
    place = np.searchsorted(edges, values, side="right")
    return Reliability(
        measure=measure,
        outcome=outcome,
        cases=len(values),
        average=average,
        brier=float(np.mean((values - right) ** 2)),
        plain_brier=average * (1.0 - average),
        bins=tuple(_bin(values, right, cluster, place == n, config) for n in np.unique(place).tolist()),
        limits=tuple(
            _bin(values, right, cluster, values >= limit, config, limit)
            for limit in sorted(set(limits))
            if (values >= limit).any()
        ),
    )


def _bin(
    values: Float64,
    right: NDArray[np.bool_],
    cluster: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    config: MetricsConfig,
    limit: float | None = None,
) -> Bin:
    own, hits, groups = values[chosen], right[chosen], cluster[chosen]
    low, high = clustered_interval(hits, groups, config.confidence_frac)
    return Bin(
        lowest=float(own.min()) if limit is None else limit,
        highest=float(own.max()),
        mean=float(own.mean()),
        cases=len(own),
        right=int(hits.sum()),
        clusters=len(np.unique(groups)),
        low=low,
        high=high,
        is_limit=limit is not None,
    )


def clustered_interval(right: NDArray[np.bool_], cluster: NDArray[np.int64], confidence: float) -> tuple[float, float]:
    """Return Wilson's interval of the share of right ones, for cases that hang together in clusters; see the module.

    NaN without a case. Where all cases are alike, their spread says nothing, and each cluster counts as one case.
    """
    count = len(right)
    if not count:
        return math.nan, math.nan
    share = float(right.mean())
    _, number = np.unique(cluster, return_inverse=True)
    clusters = int(number.max()) + 1
    cases = float(clusters)
    if 0.0 < share < 1.0 and clusters > 1:
        gaps = np.bincount(number, right - share, clusters)
        variance = clusters / (clusters - 1) * float(gaps @ gaps)
        cases = min(float(count), count * count * share * (1.0 - share) / variance) if variance > 0.0 else float(count)
    elif clusters == count:
        cases = float(count)
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    center = (share + z * z / (2.0 * cases)) / (1.0 + z * z / cases)
    half = z / (1.0 + z * z / cases) * math.sqrt(share * (1.0 - share) / cases + z * z / (4.0 * cases * cases))
    return max(0.0, center - half), min(1.0, center + half)
