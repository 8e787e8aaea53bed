"""What the door would have been told at rows that the engine passed over.

Over a stretch of rows at which nothing happens an account differs in time and prices alone. So of all that an `AccountView`
tells, one is kept for the stretch, and of each row the last prices; the row's own view is made when somebody reads its refusal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sovereign.core.port import AccountView, LateJudgement
from sovereign.core.position import Position
from sovereign.core.session import NS_PER_MINUTE
from sovereign.engine.tape import Tape
from sovereign.execution.account import equity_of
from sovereign.execution.brokers.simulated import PricedMargins


@dataclass(frozen=True, slots=True)
class Still:
    """One moment, as the door saw it."""

    judge: LateJudgement
    seen: AccountView

    def view(self, place: int) -> AccountView:  # noqa: ARG002 - there is but one
        """Return what the door was told."""
        return self.seen


@dataclass(frozen=True, slots=True)
class Stretch:
    """Several moments between which nothing happened.

    Parameters
    ----------
    first : what the door was told when the stretch began. times : of the moments, UTC ns.
    positions : copies of what was held. carried : last prices of what was held when the session began.
    prices, data_ns : last price of each tape, and the time of the latest tick of all, moment by moment; None is not known yet.
    sent : when the latest orders were sent.
    """

    judge: LateJudgement
    first: AccountView
    times: Sequence[int]
    positions: Mapping[str, Position]
    carried: Mapping[str, int]
    prices: Mapping[str, Sequence[int | None]]
    data_ns: Sequence[int | None]
    sent: Sequence[int]

    def view(self, place: int) -> AccountView:
        """Return what the door would have been told at one of the moments."""
        ts, first = self.times[place], self.first
        last = dict(self.carried)
        for symbol, prices in self.prices.items():
            price = prices[place]
            if price is not None:
                last[symbol] = price
        margins = first.margin_per_unit
        return replace(
            first,
            ts=ts,
            equity=equity_of(first.balance, self.positions.values(), last) if self.positions else first.balance,
            positions=self.positions,
            last_ticks=last,
            data_ns=self.data_ns[place],
            margin_per_unit=margins.at(last) if isinstance(margins, PricedMargins) else margins,
            orders_last_minute=sum(1 for sent in self.sent if sent > ts - NS_PER_MINUTE),
        )


def last_prices(
    in_step: Sequence[Sequence[Tape]], times: Sequence[int]
) -> tuple[dict[str, list[int | None]], list[int | None], dict[str, list[int]]]:
    """Return what is known of tapes at later times of their blocks.

    Parameters
    ----------
    in_step : tapes, those together that share their clock.

    Returns
    -------
    The last price of each, the time of the latest tick of all, and the number of ticks before each time, by symbol.
    """
    prices: dict[str, list[int | None]] = {}
    ticks: dict[str, list[int]] = {}
    latest: list[int | None] = [None] * len(times)
    for tapes in in_step:
        stops = tapes[0].clock.ts.searchsorted(times).tolist()
        for tape in tapes:
            symbol, price, ts, seen = tape.instrument.symbol, tape.trades.price, tape.trades.ts, tape.seen
            ticks[symbol] = stops
            found: list[int | None] = []
            for place, stop in enumerate(stops):
                data_ns = tape.data_ns
                if stop > seen:
                    found.append(price.item(stop - 1))
                    data_ns = ts.item(stop - 1)
                else:
                    found.append(tape.last_ticks)
                known = latest[place]
                if data_ns is not None and (known is None or data_ns > known):
                    latest[place] = data_ns
            prices[symbol] = found
    return prices, latest, ticks
