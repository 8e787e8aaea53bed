"""Best bids and offers with sizes beside the trades of a simulated market.

The trades come first and are not touched; sizes follow them, with chances of their own, and depend on nothing that is to
come (`docs/concepts/synthetic_market.md`). The sequential part is `kernels.queue`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sovereign.core.columns import NO_QUOTE, Quotes, Trades
from sovereign.core.configuration import Configuration

_MOST = 2_000_000_000


class QueueConfig(Configuration):
    """The queues at the best prices of a simulated market."""

    depth_trades: float = Field(
        default=6.0, gt=0, description="units that wait at a best price on average, in average trades. Own choice."
    )
    depth_deviation: float = Field(
        default=0.5, ge=0, description="standard deviation of the logarithm of a queue at a new price. Own choice."
    )
    refill_s: float = Field(
        default=10.0, gt=0, description="time in which orders that come and go even a queue out, by 1 - 1/e, in s. Own choice."
    )
    step_ms: int = Field(
        default=1_000, ge=10, description="time between two changes of the queues without a trade, in ms. Own choice."
    )
    spread_ticks: int = Field(
        default=1, ge=1, description="from bid to offer in a market whose trades name no quote, in ticks. Own choice."
    )


def queue_quotes(
    trades: Trades,
    span: tuple[int, int],
    entropy: Sequence[int],
    config: QueueConfig,
    *,
    lot: int,
    mean_size: float,
    breaks: Sequence[tuple[int, int]] = (),
) -> Quotes:
    """Return the best bid and offer with sizes, after each change; nothing before the first trade.

    What is told of a moment depends on the trades up to it and on chances of its own, never on a later trade.

    Parameters
    ----------
    trades : one instrument's session; where a trade names no quote, or no side, the tick rule does.
    span : begin and end of the session's hours, UTC ns. breaks : times within it in which nothing is quoted.
    entropy : seed of the chances, not used for anything else.
    lot : units in which sizes come. mean_size : units of an average trade, as the market is made.
    """
    from sovereign.kernels.queue import quote_queues

    start, end = span
    n, step = len(trades), config.step_ms * 1_000_000
    steps = max(0, -(-(end - start) // step)) + 1
    of_moves, of_steps, coin = np.random.SeedSequence(list(entropy)).spawn(3)
    unknown = np.full(n, NO_QUOTE, np.int32)
    out_ts, out = np.empty(2 * n + steps, np.int64), np.empty((2 * n + steps, 4), np.int32)
    rows = quote_queues(
        (
            trades.ts,
            trades.price,
            trades.size,
            trades.side,
            unknown if trades.bid is None else trades.bid,
            unknown if trades.ask is None else trades.ask,
        ),
        NO_QUOTE,
        _sizes(of_moves, n, config, lot, mean_size),
        _sizes(of_steps, steps, config, lot, mean_size),
        (start, step, end),
        lot,
        float(-np.expm1(-step / (config.refill_s * 1e9))),
        config.spread_ticks,
        1 if np.random.default_rng(coin).integers(2) else -1,
        out_ts,
        out,
    )
    is_told = np.ones(rows, np.bool_)
    for a, b in breaks:
        is_told &= (out_ts[:rows] < a) | (out_ts[:rows] >= b)
    columns = out[:rows][is_told]
    return Quotes(out_ts[:rows][is_told], *(np.ascontiguousarray(columns[:, place]) for place in range(4)))


def _sizes(seed: np.random.SeedSequence, rows: int, config: QueueConfig, lot: int, mean_size: float) -> NDArray[np.int64]:
    """Return sizes of bid and ask in units, lognormal about the mean, in whole lots."""
    deviation = config.depth_deviation
    normals = np.random.default_rng(seed).standard_normal((rows, 2))
    wanted = config.depth_trades * mean_size / lot * np.exp(deviation * normals - deviation * deviation / 2.0)
    return np.clip(np.rint(wanted), 1, max(1, _MOST // lot)).astype(np.int64) * lot
