"""Footprint bars as the console draws them: levels with the diagonal imbalances marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sovereign.core.instrument import Instrument
    from sovereign.kernels.order_flow_setting import PatternConfig


@runtime_checkable
class FootprintSource(Protocol):
    """Signals that can show the levels of their bars."""

    instrument: Instrument
    pattern_config: PatternConfig

    @property
    def rows(self) -> NDArray[Any]:
        """Rows completed so far."""
        ...

    def footprint(self, index: int) -> NDArray[Any]:
        """Return the levels of a closed bar."""
        ...

    def open_footprint(self) -> NDArray[Any]:
        """Return the levels of the open bar."""
        ...


@dataclass(frozen=True, slots=True)
class Cell:
    """One price of one bar; volumes are units. `buy` and `sell` say that the diagonal imbalance of that side stands here."""

    bid: int
    ask: int
    buy: bool
    sell: bool
    is_poc: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of the ladder; `cells` by price in ticks. `is_open` marks the bar that is still growing."""

    end_ns: int | None
    cells: dict[int, Cell]
    delta: int
    volume: int
    close: int | None
    is_open: bool


def imbalances(bid: NDArray[Any], ask: NDArray[Any], config: PatternConfig, least: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return where the buyers and where the sellers outweigh the diagonal opposite.

    `bid` and `ask` are volumes of consecutive ticks, lowest first; the rule is `kernels.pattern.imbalance_ratio`.
    """
    below = np.concatenate(([0], bid[:-1]))
    above = np.concatenate((ask[1:], [0]))
    if config.zero_opposite_as_one:
        below, above = np.maximum(below, 1), np.maximum(above, 1)
    buy = (ask > 0) & (ask >= least) & (below > 0) & (ask >= config.imbalance_ratio * below)
    sell = (bid > 0) & (bid >= least) & (above > 0) & (bid >= config.imbalance_ratio * above)
    return buy, sell


def last_bars(source: FootprintSource, count: int) -> tuple[Bar, ...]:
    """Return the last bars, oldest first, the open one behind the closed ones when it has traded."""
    rows, config = source.rows, source.pattern_config
    least = config.minimums_of(source.instrument).imbalance
    bars = []
    for index in range(max(0, len(rows) - count), len(rows)):
        row = rows[index]
        levels = source.footprint(index)
        bars.append(_bar(levels, config, least, int(row["known_at"]), int(row["poc"]), int(row["close"])))
    growing = source.open_footprint()
    if len(growing):
        poc = int(growing["price"][int(np.argmax(growing["volume"]))])
        bars.append(_bar(growing, config, least, None, poc, None))
    return tuple(bars[-count:])


def _bar(levels: NDArray[Any], config: PatternConfig, least: int, end_ns: int | None, poc: int, close: int | None) -> Bar:
    bid, ask = levels["bid"], levels["ask"]
    buy, sell = imbalances(bid, ask, config, least)
    prices = levels["price"].tolist()
    columns = zip(prices, bid.tolist(), ask.tolist(), buy.tolist(), sell.tolist(), strict=True)
    return Bar(
        end_ns=end_ns,
        cells={p: Cell(b, a, up, down, p == poc) for p, b, a, up, down in columns if b or a or p == poc},
        delta=int(ask.sum() - bid.sum()),
        volume=int(levels["volume"].sum()),
        close=close,
        is_open=end_ns is None,
    )
