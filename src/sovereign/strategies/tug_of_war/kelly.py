"""Half of Kelly's fraction from the strategy's own closed trades, drawn to no edge while they are few.

f = fraction x max(0, b p - q) / b, with p wins of all and b the average win over the average loss. `prior_trades` trades of a
bracket without an edge are added: they win as often as its stop and target make fair, p0 = stop / (stop + target) and
b0 = target / stop, for which f is 0. Source: Kelly, A New Interpretation of Information Rate, 1956; the shrinkage is our own.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from sovereign.core.record import quick
from sovereign.strategies.tug_of_war.configuration import KellyConfig


@quick
@dataclass(frozen=True, slots=True)
class Edge:
    """What the record says: `win_rate` p, `odds` b, and the `fraction` to bet, 0..max_fraction; `trades` of our own."""

    trades: int
    win_rate: float
    odds: float
    fraction: float


class Kelly:
    """A record of returns.

    Parameters
    ----------
    stop_frac, target_frac : of the bracket whose fair bet is the prior (fractions of price).
    """

    def __init__(self, config: KellyConfig, stop_frac: float, target_frac: float) -> None:
        self._config = config
        self._stop, self._target = stop_frac, target_frac
        self._returns: deque[float] = deque()
        self._wins: deque[float] = deque()
        self._losses: deque[float] = deque()
        self._edge: Edge | None = None

    def add(self, return_frac: float) -> None:
        """Take the return of a closed trade, as a fraction of its price."""
        self._edge = None
        self._returns.append(return_frac)
        if (side := self._side(return_frac)) is not None:
            side.append(abs(return_frac))
        if len(self._returns) > self._config.max_trades and (side := self._side(self._returns.popleft())) is not None:
            side.popleft()

    def _side(self, return_frac: float) -> deque[float] | None:
        return self._wins if return_frac > 0.0 else self._losses if return_frac < 0.0 else None

    @property
    def edge(self) -> Edge:
        """What the record says now."""
        if self._edge is None:
            self._edge = self._measured()
        return self._edge

    def _measured(self) -> Edge:
        config, wins, losses = self._config, self._wins, self._losses
        prior = config.prior_trades
        fair = self._stop / (self._stop + self._target)
        p = (len(wins) + prior * fair) / (len(wins) + len(losses) + prior)
        won = (sum(wins) + prior * fair * self._target) / (len(wins) + prior * fair)
        lost = (sum(losses) + prior * (1.0 - fair) * self._stop) / (len(losses) + prior * (1.0 - fair))
        odds = won / lost
        fraction = config.fraction * max(0.0, (odds * p - (1.0 - p)) / odds)
        return Edge(len(self._returns), p, odds, min(fraction, config.max_fraction))
