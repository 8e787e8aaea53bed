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
DAY_BEFORE = date(2025, 11, 19)


def es() -> Instrument:
    return find_instrument("ES")


def session_of(day: date = TRADE_DATE) -> Session:
    session = calendar_for(es().calendar).session(day)
    if session is None:
        raise ValueError(f"{day} was no trade date; choose another")
    return session


def make_tape(ticks: int, day: date = TRADE_DATE) -> Trades:
    """Return the day session of a trade date, about `ticks` trades."""
    market = SyntheticMarket(SyntheticConfig(ticks_per_session=ticks), seed=1)
    return market.session_trades(es(), session_of(day), "regular")


def save(trades: Trades, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ts", "price", "size", "side"):
        np.save(folder / f"{name}.npy", getattr(trades, name))


class MemoryFeed:
    """Day sessions whose ticks lie in memory, each handed over as one block."""

    is_simulated = True

    def __init__(self, *tapes: tuple[date, Trades]) -> None:
        self._tapes = {session_of(day): trades for day, trades in tapes}

    def sessions(self) -> Iterator[Session]:
        yield from self._tapes

    def instruments(self, session: Session) -> Sequence[Instrument]:
        return (es(),)

    def blocks(self, session: Session) -> Iterator[Block]:
        yield Block("ES", self._tapes[session], session.regular_close_ns)
