"""Who was the aggressor: the quote rule of Lee and Ready, and the tick rule.

Lee, C. M. C. and Ready, M. J. (1991), "Inferring trade direction from intraday data", Journal of Finance 46(2). Quote rule: a
trade above the midpoint of the quote that prevailed before it was bought, one below was sold, one at the midpoint is left
to the tick rule. Tick rule: a trade above the last different price was bought, one below was sold. The prevailing quote here is
the last one strictly before the trade, because quotes of the same instant may already be the trade's effect; the paper's
five-second lag belongs to the reporting delays of 1988 and is not applied.
"""

from __future__ import annotations

import numpy as np

from sovereign.core.columns import NO_QUOTE, Int8, Int32, Int64, Quotes


def tick_rule(price: Int32) -> Int8:
    """Return +1, -1, or 0 before the first change of price. Plain NumPy: sign of the last non-zero difference."""
    side = np.zeros(len(price), np.int8)
    if len(price) > 1:
        side[1:] = np.sign(np.diff(price.astype(np.int64)))
        last = np.where(side != 0, np.arange(len(side)), 0)
        side = side[np.maximum.accumulate(last)]
    return side


def quote_rule(price: Int32, bid: Int32, ask: Int32) -> Int8:
    """Return +1 above the midpoint, -1 below it, and 0 at it or where the quote is unknown or not usable (bid >= ask)."""
    twice = 2 * price.astype(np.int64) - bid.astype(np.int64) - ask.astype(np.int64)
    is_usable = (bid != NO_QUOTE) & (ask != NO_QUOTE) & (bid < ask)
    return np.where(is_usable, np.sign(twice), 0).astype(np.int8)


def prevailing_quotes(ts: Int64, quotes: Quotes) -> tuple[Int32, Int32]:
    """Return bid and ask of the last quote strictly before each time; `NO_QUOTE` where a side is not known."""
    index = np.searchsorted(quotes.ts, ts, side="left") - 1
    if not len(quotes):
        return np.full(len(ts), NO_QUOTE, np.int32), np.full(len(ts), NO_QUOTE, np.int32)
    bid = np.where((index >= 0) & (quotes.bid_size[index] > 0), quotes.bid[index], NO_QUOTE)
    ask = np.where((index >= 0) & (quotes.ask_size[index] > 0), quotes.ask[index], NO_QUOTE)
    return bid.astype(np.int32), ask.astype(np.int32)
