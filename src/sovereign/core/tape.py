"""What a tape scout saw of one symbol at one moment, as it is stored."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TapeSnapshot:
    """The book and its flow at `ts` (UTC ns). NaN where something is not known.

    Parameters
    ----------
    ofi : order-flow imbalance of the last bucket, in units. ofi_z : its score among the last buckets.
    queue_imbalance, queue_imbalance_z : (bid size - ask size) / (bid size + ask size), and its score.
    mid : price. bid_size, ask_size : at the best prices.
    is_absorption : the mid stands where it stood a minute ago although the flow is heavily on one side, the sellers'.
    """

    symbol: str
    ts: int
    ofi: float
    ofi_z: float
    queue_imbalance: float
    queue_imbalance_z: float
    mid: float
    bid_size: int
    ask_size: int
    is_absorption: bool
