"""Several simulated equities that move together and predict nothing: the null market of strategies with many symbols.

Each price is a walk of integer steps, one a time step: a sign times a size. With chance `correlation` the sign is a common
coin, else the symbol's own; both are fair and independent of everything else, of the sizes and of the past. So each price, seen
with all the others, is a martingale: whatever is bought and sold at traded prices, at times decided by what was known before,
has an expected gross profit of zero, overnight included. Sizes cluster (volatility regimes, busy hours at both ends of the
day), and volume grows with them, so that patterns of volume and volatility are there to be found and mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sovereign.core.columns import Quotes, Trades
from sovereign.core.configuration import Configuration
from sovereign.core.errors import UsageError
from sovereign.core.instrument import Instrument, find_instrument
from sovereign.core.port import Block, SessionCalendar
from sovereign.core.session import NS_PER_SECOND, Session
from sovereign.feeds.synthetic.queue import QueueConfig, queue_quotes

_FLOOR = 100  # a price that has fallen this low stays: a stopped martingale is one
_QUEUES = 1_000_000  # streams of random numbers from here on are those of the queues, one a symbol


class PortfolioMarketConfig(Configuration):
    """The driftless market of several symbols."""

    step_seconds: int = Field(default=15, ge=1, le=3_600, description="time between two trades of a symbol, s")
    start_ticks: int = Field(default=40_000, ge=1_000, description="price of every symbol at the first open, ticks")
    session_volatility_ticks: float = Field(
        default=480.0, gt=0, description="standard deviation of a price over a day session, ticks (1.2% of the first price)"
    )
    correlation: float = Field(
        default=0.45, ge=0, le=1, description="chance that a symbol's step takes the common sign; its square is the correlation"
    )
    cluster_deviation: float = Field(default=0.5, ge=0, description="standard deviation of the logarithm of the step size")
    cluster_minutes: float = Field(default=60.0, gt=0, description="decay time of the logarithm of the step size, minutes")
    edge_activity: float = Field(
        default=1.5, ge=0, description="how much busier the open and the close are than midday, as a fraction"
    )
    edge_minutes: float = Field(default=40.0, gt=0, description="decay time of the busy hours, minutes")
    session_volume: int = Field(default=2_000_000, ge=1, description="median volume of a symbol in a session, shares")
    volume_deviation: float = Field(default=0.8, ge=0, description="standard deviation of the logarithm of a trade's size")


class PortfolioMarket:
    """A feed of several driftless equities, session after session from `start` on.

    Parameters
    ----------
    symbols : at least one; the first comes first at equal times.
    sessions : how many sessions.
    seed : any integer >= 0; the same seed gives the same bytes.
    queues : what waits at the best prices.
    """

    is_simulated = True

    def __init__(
        self,
        symbols: Sequence[str],
        calendar: SessionCalendar,
        start: date,
        sessions: int,
        seed: int = 0,
        config: PortfolioMarketConfig | None = None,
        queues: QueueConfig | None = None,
    ) -> None:
        if not symbols or len(set(symbols)) != len(symbols):
            raise UsageError(f"symbols were {', '.join(symbols) or 'none'}; name each symbol once")
        if sessions < 1:
            raise UsageError(f"sessions was {sessions}; ask for at least 1")
        if seed < 0:
            raise UsageError(f"seed was {seed}; it must be 0 or more")
        self.config = config or PortfolioMarketConfig()
        self.seed = seed
        self._queues = queues or QueueConfig()
        self._instruments = tuple(find_instrument(symbol) for symbol in symbols)
        self._sessions = _first_sessions(calendar, start, sessions)
        self._index = {session.trade_date: n for n, session in enumerate(self._sessions)}
        # Where each symbol stands at the open of each session reached so far.
        self._opens = [np.full(len(symbols), self.config.start_ticks, np.int64)]
        self._held: tuple[int, NDArray[np.int64]] | None = None

    @property
    def label(self) -> str:
        """How this data is called wherever it appears."""
        return f"simulated null market of {len(self._instruments)} equities, seed {self.seed}"

    def sessions(self) -> Iterator[Session]:
        """Yield the sessions, in order."""
        yield from self._sessions

    def instruments(self, session: Session) -> Sequence[Instrument]:  # noqa: ARG002 - the port's shape
        """Return the symbols, which all trade every day."""
        return self._instruments

    def blocks(self, session: Session) -> Iterator[Block]:
        """Yield one block a symbol, over the day session."""
        index = self._index[session.trade_date]
        prices = self._prices(index)
        steps = prices.shape[1]
        step = self.config.step_seconds * NS_PER_SECOND
        ts = session.regular_open_ns + step * np.arange(steps, dtype=np.int64)
        for n, instrument in enumerate(self._instruments):
            yield Block(
                symbol=instrument.symbol,
                trades=Trades(ts, prices[n].astype(np.int32), self._sizes(index, n, steps), np.zeros(steps, np.int8)),
                until_ns=session.close_ns,
            )

    def quotes(self, session: Session, symbol: str, trades: Trades) -> Quotes | None:
        """Return best bids and offers with sizes beside a symbol's trades, over the day session."""
        config = self.config
        place = next(n for n, instrument in enumerate(self._instruments) if instrument.symbol == symbol)
        median = config.session_volume / self._steps_of_full_day()
        return queue_quotes(
            trades,
            (session.regular_open_ns, session.regular_close_ns),
            [self.seed, self._index[session.trade_date], _QUEUES + place],
            self._queues,
            lot=self._instruments[place].round_lot,
            mean_size=median * float(np.exp(config.volume_deviation**2 / 2.0)),
        )

    def _generator(self, index: int, stream: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence([self.seed, index, stream]))

    def _steps(self, index: int) -> int:
        session = self._sessions[index]
        return max(1, (session.regular_close_ns - session.regular_open_ns) // (self.config.step_seconds * NS_PER_SECOND))

    def _prices(self, index: int) -> NDArray[np.int64]:
        while len(self._opens) <= index:
            self._opens.append(self._walk(len(self._opens) - 1)[:, -1])
        if self._held is None or self._held[0] != index:
            self._held = (index, self._walk(index))
        return self._held[1]

    def _activity(self, index: int, stream: int, steps: int) -> NDArray[np.float64]:
        """Return the scale of the steps: 1 on average over long times, busy at both ends, with clusters."""
        config = self.config
        minutes = np.arange(steps) * (config.step_seconds / 60.0)
        left = minutes[-1] - minutes
        shape = 1.0 + config.edge_activity * (np.exp(-minutes / config.edge_minutes) + np.exp(-left / config.edge_minutes))
        decay = float(np.exp(-config.step_seconds / 60.0 / config.cluster_minutes))
        noise = self._generator(index, stream).standard_normal(steps)
        cluster = np.empty(steps)
        level = noise[0]
        for i in range(steps):
            level = decay * level + np.sqrt(1.0 - decay * decay) * noise[i]
            cluster[i] = level
        deviation = config.cluster_deviation
        scale: NDArray[np.float64] = shape / shape.mean() * np.exp(deviation * cluster - deviation * deviation)
        return scale

    def _walk(self, index: int) -> NDArray[np.int64]:
        config, symbols, steps = self.config, len(self._instruments), self._steps(index)
        common_scale = self._activity(index, 0, steps)
        draw = self._generator(index, 1)
        common = draw.integers(0, 2, steps) * 2 - 1
        own = draw.integers(0, 2, (symbols, steps)) * 2 - 1
        sign = np.where(draw.random((symbols, steps)) < config.correlation, common, own)
        unit = config.session_volatility_ticks / np.sqrt(self._steps_of_full_day())
        wanted = np.abs(draw.standard_normal((symbols, steps))) * unit * common_scale
        size = np.floor(wanted + draw.random((symbols, steps))).astype(np.int64)
        walk: NDArray[np.int64] = self._opens[index][:, None] + np.cumsum(sign * size, axis=1)
        for n in range(symbols):
            below = np.flatnonzero(walk[n] <= _FLOOR)
            if self._opens[index][n] <= _FLOOR:
                walk[n] = self._opens[index][n]
            elif len(below):
                walk[n, below[0] :] = max(1, int(walk[n, below[0]]))
        return walk

    def _steps_of_full_day(self) -> float:
        return 390 * 60 / self.config.step_seconds

    def _sizes(self, index: int, symbol: int, steps: int) -> NDArray[np.int32]:
        config = self.config
        activity = self._activity(index, 0, steps)
        noise = self._generator(index, 100 + symbol).standard_normal(steps)
        size = config.session_volume / self._steps_of_full_day() * activity * np.exp(config.volume_deviation * noise)
        return np.clip(size, 1, 2_000_000_000).astype(np.int32)


def _first_sessions(calendar: SessionCalendar, start: date, wanted: int) -> list[Session]:
    found: list[Session] = []
    begin = start
    while len(found) < wanted:
        end = begin + timedelta(days=max(14, (wanted - len(found)) * 2))
        found += [s for s in calendar.sessions(begin, end) if s.regular_open_ns < s.regular_close_ns]
        begin = end + timedelta(days=1)
    return found[:wanted]
