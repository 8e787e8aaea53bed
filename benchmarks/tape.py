"""The tape that both sides are given: one synthetic ES day session in memory, saved as plain columns for the peers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from sovereign.core.columns import Trades
from sovereign.core.instrument import Instrument, find_instrument
from sovereign.core.port import Block
from sovereign.core.session import Session
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import SyntheticConfig, SyntheticMarket

TRADE_DATE = date(2025, 11, 20)


def es() -> Instrument:
    return find_instrument("ES")


def session_of(day: date = TRADE_DATE) -> Session:
    session = calendar_for(es().calendar).session(day)
    if session is None:
        raise ValueError(f"{day} was no trade date; choose another")
    return session


def make_tape(ticks: int, seed: int = 1) -> Trades:
    """Return a day session of about `ticks` trades (arrivals are random)."""
    market = SyntheticMarket(SyntheticConfig(ticks_per_session=ticks), seed=seed)
    return market.session_trades(es(), session_of(), "regular")


def save(trades: Trades, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ts", "price", "size", "side"):
        np.save(folder / f"{name}.npy", getattr(trades, name))


class MemoryFeed:
    """One session whose ticks lie in memory, handed over as one block."""

    is_simulated = True

    def __init__(self, trades: Trades) -> None:
        self.trades = trades
        self.session = session_of()

    def sessions(self) -> Iterator[Session]:
        yield self.session

    def instruments(self, session: Session) -> Sequence[Instrument]:
        return (es(),)

    def blocks(self, session: Session) -> Iterator[Block]:
        yield Block("ES", self.trades, session.regular_close_ns)
