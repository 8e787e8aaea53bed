"""One instrument of a session on the dashboard: its ticks, when each became known, and what the signals make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.app.console.ladder import FootprintSource
from sovereign.core.columns import Trades
from sovereign.core.errors import DataError
from sovereign.core.instrument import Instrument
from sovereign.core.port import Block, SignalStream
from sovereign.core.session import NS_PER_MINUTE, Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The last price of a tape in ticks, when it was traded and when it became known (UTC ns)."""

    ticks: int
    ts: int
    known_ns: int


class Tape:
    """One instrument of a session: its ticks and what the signals make of them.

    Parameters
    ----------
    start_ns : nothing of the session is earlier (UTC ns).
    """

    def __init__(self, instrument: Instrument, stream: SignalStream | None, start_ns: int = 0) -> None:
        self.instrument = instrument
        self.stream = stream
        empty = Trades.empty()
        self._columns: list[NDArray[Any]] = [empty.ts, empty.price, empty.size, empty.side, empty.ts]
        self._count = 0
        self._levels: list[NDArray[Any]] = []
        self._footprints = stream if isinstance(stream, FootprintSource) else None
        self._waiting: list[Trades] = []
        self._until_ns = start_ns
        self._is_due = False
        self.fault = ""

    def take(self, trades: Trades, known_ns: int, until_ns: int) -> None:
        """Take the next ticks; the signals get them with the next `waiting`, since how ticks are cut changes nothing."""
        if len(trades):
            if int(trades.ts[0]) < self._until_ns:  # too late: taken at the time already promised, as the session takes them
                ts = np.maximum(trades.ts, self._until_ns)
                trades = Trades(ts, trades.price, trades.size, trades.side)
            known = np.maximum(trades.ts, known_ns)
            self._keep((trades.ts, trades.price, trades.size, trades.side, known))
            self._waiting.append(trades)
        self.promise(until_ns)

    def promise(self, until_ns: int) -> None:
        """Let time go on without ticks."""
        self._until_ns = max(self._until_ns, until_ns)
        self._is_due = True

    def waiting(self) -> Block | None:
        """Return what came since this was last asked; None when nothing did."""
        if not self._is_due:
            return None
        trades, self._waiting, self._is_due = Trades.concat([_bare(part) for part in self._waiting]), [], False
        return Block(self.instrument.symbol, trades, self._until_ns)

    def advance(self, trades: Trades, until_ns: int) -> None:
        """Let the signals walk on."""
        begin = 0
        if len(trades) and self._footprints is not None:
            # In minutes, so that no footprint is forgotten before it was copied.
            for edge in range(int(trades.ts[0]) + NS_PER_MINUTE, int(trades.ts[-1]) + 1, NS_PER_MINUTE):
                end = int(np.searchsorted(trades.ts, edge))
                if end > begin:
                    self._advance(trades.slice(begin, end), edge)
                    begin = end
        self._advance(trades.slice(begin, len(trades)), until_ns)

    def _advance(self, trades: Trades, until_ns: int) -> None:
        if self.stream is None or self.fault:
            return
        try:
            self.stream.advance(trades, until_ns)
        except DataError as broken:  # the session itself goes on with what it has; so does its picture
            self.fault = str(broken)
            return
        if self._footprints is not None:
            kept, count = self._footprints, len(self.stream.rows)
            while len(self._levels) < count:
                self._levels.append(kept.footprint(len(self._levels)))

    @property
    def ticks(self) -> tuple[NDArray[Any], ...]:
        """Columns ts, price, size, side, known_ns of everything so far."""
        return tuple(column[: self._count] for column in self._columns)

    def _keep(self, parts: tuple[NDArray[Any], ...]) -> None:
        end = self._count + len(parts[0])
        if end > len(self._columns[0]):
            self._columns = [_grown(column, max(1_024, 2 * end)) for column in self._columns]
        for column, part in zip(self._columns, parts, strict=True):
            column[self._count : end] = part
        self._count = end

    def last(self, at: int | None = None) -> Quote | None:
        """Return the last price known at a moment."""
        ts, price, _, _, known = self.ticks
        count = len(ts) if at is None else int(np.searchsorted(known, at, side="right"))
        if not count:
            return None
        return Quote(ticks=int(price[count - 1]), ts=int(ts[count - 1]), known_ns=int(known[count - 1]))

    def rows(self, at: int | None = None) -> NDArray[Any]:
        """Return the closed rows known at a moment."""
        if self.stream is None:
            return np.zeros(0, [("known_at", np.int64)])
        rows = self.stream.rows
        return rows if at is None else rows[: int(np.searchsorted(rows["known_at"], at, side="right"))]

    def candidates(self, count: int) -> NDArray[Any]:
        """Return the candidates of the first `count` rows."""
        if self.stream is None:
            return np.zeros(0, [("row", np.int32)])
        found = self.stream.candidates
        return found[: int(np.searchsorted(found["row"], count, side="left"))] if len(found) else found

    def levels(self, row: int) -> NDArray[Any] | None:
        """Return the footprint of a closed row; None where the signals have none."""
        return self._levels[row] if row < len(self._levels) else None

    def growing(self, at: int | None = None) -> tuple[NDArray[Any], ...] | None:
        """Return the ticks of the open bar at a moment: everything after the last closed row."""
        rows = self.rows(at)
        ts, price, size, side, known = self.ticks
        begin = int(np.searchsorted(ts, rows["known_at"][-1], side="left")) if len(rows) else 0
        end = len(ts) if at is None else int(np.searchsorted(known, at, side="right"))
        if end <= begin:
            return None
        return ts[begin:end], price[begin:end], size[begin:end], side[begin:end]


def _grown(column: NDArray[Any], size: int) -> NDArray[Any]:
    grown = np.zeros(size, column.dtype)
    grown[: len(column)] = column
    return grown


def _bare(trades: Trades) -> Trades:
    return Trades(trades.ts, trades.price, trades.size, trades.side)


class Followed:
    """A tape's signals as a session's walk knows them."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    @property
    def rows(self) -> NDArray[Any]:
        """Rows so far."""
        return self._tape.rows()

    @property
    def candidates(self) -> NDArray[Any]:
        """Candidates so far; nobody decides on them here."""
        return self._tape.candidates(0)

    def start_session(self, session: Session) -> None:
        """Begin a session."""
        if self._tape.stream is not None:
            self._tape.stream.start_session(session)

    def advance(self, trades: Trades, until_ns: int) -> None:
        """Consume the next ticks."""
        self._tape.advance(trades, until_ns)
