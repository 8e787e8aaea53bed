"""What the door would have been told at rows that the engine passed over.

Over a stretch of rows at which nothing happens an account differs in time and prices alone. So of all that an `AccountView`
tells, one is kept for the stretch, and of each row the last prices; the row's own view is made when somebody reads its refusal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sovereign.core.columns import Int64
from sovereign.core.port import AccountView, LateJudgement
from sovereign.core.position import Position
from sovereign.core.record import quick
from sovereign.core.session import NS_PER_MINUTE
from sovereign.engine.tape import InStep
from sovereign.execution.account import equity_of
from sovereign.execution.brokers.simulated import PricedMargins


@quick
@dataclass(frozen=True, slots=True)
class Still:
    """One moment, as the door saw it."""

    judge: LateJudgement
    seen: AccountView

    def view(self, place: int) -> AccountView:  # noqa: ARG002 - there is but one
        """Return what the door was told."""
        return self.seen


class Glance(NamedTuple):
    """Tapes that share their clock, as they stood, with how far they are at later times of their block.

    `ts` : of the latest tick before each time, where there is one; nothing else of the block is kept. `stops` : how many of its
    ticks are earlier than each time. `seen` : of how many the time was known. `told` : of the latest tick known.
    `prices` : (tapes, times) as `ts` has them. `tapes` : symbol, of how many ticks the price was known, and the last price.
    """

    ts: Int64
    stops: list[int]
    seen: int
    told: int | None
    prices: NDArray[np.int32]
    tapes: list[tuple[str, int, int | None]]


def glance(of: InStep, times: Sequence[int]) -> Glance:
    """Note where tapes that share their clock stand, and their prices at the times."""
    clock, tapes = of.clock.ts, of.tapes
    stops = clock.searchsorted(times)
    rows = stops - 1 if len(clock) else stops[:0]
    return Glance(
        clock.take(rows, mode="clip"),
        stops.tolist(),
        min([tape.seen for tape in tapes]),
        of.clock.told,
        of.prices.take(rows, axis=1, mode="clip"),
        [(tape.instrument.symbol, tape.seen, tape.last_ticks) for tape in tapes],
    )


@quick
@dataclass(frozen=True, slots=True)
class Stretch:
    """Several moments between which nothing happened.

    Parameters
    ----------
    first : what the door was told when the stretch began. times : of the moments, UTC ns.
    positions : copies of what was held. carried : last prices of what was held when the session began.
    glances : what is known of the tapes at the moments.
    sent : when the latest orders were sent.
    """

    judge: LateJudgement
    first: AccountView
    times: Sequence[int]
    positions: Mapping[str, Position]
    carried: Mapping[str, int]
    glances: Sequence[Glance]
    sent: Sequence[int]

    def view(self, place: int) -> AccountView:
        """Return what the door would have been told at one of the moments."""
        ts, first = self.times[place], self.first
        last, data_ns = dict(self.carried), []
        for times, stops, known, told, prices, tapes in self.glances:
            stop = stops[place]
            for n, (symbol, seen, before) in enumerate(tapes):
                price = prices.item(n, place) if stop > seen else before
                if price is not None:
                    last[symbol] = price
            # Of what had been seen, the latest tick of all; of what was ahead, the last one's time, which the tapes share.
            if told is not None:
                data_ns.append(told)
            if stop > known:
                data_ns.append(times.item(place))
        margins = first.margin_per_unit
        return replace(
            first,
            ts=ts,
            equity=equity_of(first.balance, self.positions.values(), last) if self.positions else first.balance,
            positions=self.positions,
            last_ticks=last,
            data_ns=max(data_ns, default=None),
            margin_per_unit=margins.at(last) if isinstance(margins, PricedMargins) else margins,
            orders_last_minute=sum(1 for sent in self.sent if sent > ts - NS_PER_MINUTE),
        )
