"""The price that an entry is measured from, and its limit.

Where the quote is known an order is priced by it: in its middle, or within it, nearer to the side that has less to give. The
last price may be any of both sides, and old.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from sovereign.core.decision import Check
from sovereign.core.order import Side
from sovereign.core.port import Moment
from sovereign.core.session import NS_PER_SECOND
from sovereign.signals.tug_market import Evidence
from sovereign.strategies.tug_of_war.configuration import EntryConfig


class Quote(NamedTuple):
    """Best bid and offer, in ticks."""

    bid: int
    ask: int

    @property
    def mid(self) -> float:
        """Half way between them."""
        return (self.bid + self.ask) / 2

    @property
    def inputs(self) -> dict[str, float | int | str]:
        """What a decision records of it."""
        return {"mid_ticks": self.mid, "spread_ticks": self.ask - self.bid}


class Reference(NamedTuple):
    """What a limit is measured from, and its price in ticks."""

    name: str
    ticks: float

    @property
    def inputs(self) -> dict[str, float | int | str]:
        """What a decision records of it."""
        return {"reference": self.name, "reference_ticks": self.ticks}


def quote_of(moment: Moment) -> Quote | None:
    """Return the quote of a moment; None where a side of it is not known, or they cross."""
    bid, ask = moment.bid_ticks, moment.ask_ticks
    if bid is None or ask is None or not 0 < bid <= ask:
        return None
    return Quote(bid, ask)


def quote_check(quote: Quote | None) -> Check:
    """Return whether there is a quote to price an order by."""
    words = "no quote was known to price the order by, and entry.fallback is none" if quote is None else ""
    return Check("quote", float(quote is not None), 1.0, "flag", quote is not None, words)


class EntryPrice:
    """What entries are priced by.

    Parameters
    ----------
    has_tape : the tape is looked at; without it the sizes at the quote are unknown.
    """

    def __init__(self, config: EntryConfig, *, has_tape: bool = True) -> None:
        self._config = config
        self._age_ns = round(config.size_age_s * NS_PER_SECOND)
        self._has_tape = has_tape

    def reference(self, quote: Quote | None, last_ticks: int, symbol: str, ts: int, evidence: Evidence | None) -> Reference:
        """Return what an order is measured from at `ts` (UTC ns): as the settings say, else the nearest that is known.

        The micro-price is `bid + spread * bid size / (bid size + ask size)`, the sizes being those of the latest snapshot of
        the tape. Source: definitions 1.4.
        """
        if quote is None or self._config.reference == "last":
            return Reference("last", last_ticks)
        if self._config.reference == "micro" and self._has_tape and evidence is not None:
            seen = evidence.tape(symbol, ts)
            if seen is not None and ts - seen.ts <= self._age_ns and seen.bid_size > 0 and seen.ask_size > 0:
                spread, share = quote.ask - quote.bid, seen.bid_size / (seen.bid_size + seen.ask_size)
                return Reference("micro", quote.bid + spread * share)
        return Reference("mid", quote.mid)

    def limit(self, reference: float, side: Side) -> int:
        """Return the limit in ticks: never farther from the reference than the settings say, and so rounded towards it."""
        reach = self._config.slip_frac * reference
        if side is Side.BUY:
            whole = math.floor(reference)
            return max(1, whole + math.floor(reference - whole + reach))
        whole = math.ceil(reference)
        return max(1, whole - math.floor(whole - reference + reach))
