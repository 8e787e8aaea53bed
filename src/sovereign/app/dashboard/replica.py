"""A session's market as its recording has it: ticks, bars, footprints and candidates, followed while the session writes.

The recording holds everything that reached the session, so the same signals over it are the session's own. Closed bars never
change and ticks carry the moment they became known, so any earlier moment can be shown exactly as it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sovereign.app.console.ladder import FootprintSource, imbalances
from sovereign.core.columns import Trades
from sovereign.core.errors import CorruptFileError, DataError
from sovereign.core.instrument import Instrument
from sovereign.core.port import SignalStream
from sovereign.core.session import NS_PER_MINUTE, Session

NewStream = Callable[[Instrument], SignalStream]
_FRAMES_A_LOOK = 5_000  # bounds how long one look holds the lock; the rest comes with the next


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a session said of one of its parts at `ts`."""

    ts: int
    subject: str
    is_well: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The last price of a tape in ticks, when it was traded and when it became known (UTC ns)."""

    ticks: int
    ts: int
    known_ns: int


class Tape:
    """One instrument of a session: its ticks and what the signals make of them."""

    def __init__(self, instrument: Instrument, stream: SignalStream | None) -> None:
        self.instrument = instrument
        self.stream = stream
        empty = Trades.empty()
        self._columns: list[NDArray[Any]] = [empty.ts, empty.price, empty.size, empty.side, empty.ts]
        self._count = 0
        self._levels: list[NDArray[Any]] = []
        self._footprints = stream if isinstance(stream, FootprintSource) else None
        self._waiting: list[Trades] = []
        self._until_ns = 0
        self.fault = ""

    def take(self, trades: Trades, known_ns: int, until_ns: int) -> None:
        """Take the next ticks; the signals get them with `flush`, since how ticks are cut changes nothing."""
        if len(trades):
            if int(trades.ts[0]) < self._until_ns:  # too late: taken at the time already promised, as the session takes them
                ts = np.maximum(trades.ts, self._until_ns)
                trades = Trades(ts, trades.price, trades.size, trades.side)
            known = np.maximum(trades.ts, known_ns)
            self._keep((trades.ts, trades.price, trades.size, trades.side, known))
            self._waiting.append(trades)
        self._until_ns = max(self._until_ns, until_ns)

    def flush(self) -> None:
        """Hand the signals what waits."""
        if self._until_ns == 0:
            return
        waiting, self._waiting = self._waiting, []
        trades = Trades.concat([_bare(trades) for trades in waiting])
        begin = 0
        if len(trades):
            # In minutes, so that no footprint is forgotten before it was copied.
            for edge in range(int(trades.ts[0]) + NS_PER_MINUTE, int(trades.ts[-1]) + 1, NS_PER_MINUTE):
                end = int(np.searchsorted(trades.ts, edge))
                if end > begin:
                    self.add(trades.slice(begin, end), edge)
                    begin = end
        self.add(trades.slice(begin, len(trades)), self._until_ns)

    def add(self, trades: Trades, until_ns: int) -> None:
        """Let the signals walk on."""
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

    def promise(self, until_ns: int) -> None:
        """Let time go on without ticks."""
        self._until_ns = max(self._until_ns, until_ns)

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


class Replica:
    """The market of one session, read from its recording; `look` takes what was written since the last look.

    Parameters
    ----------
    new_stream : makes the signals of an instrument, warmed up as the session's were; None shows ticks alone.
    """

    def __init__(self, path: Path, new_stream: NewStream | None) -> None:
        self.path = path
        self._new_stream = new_stream
        self._file: BinaryIO | None = None
        self._position = 0
        self.lock = threading.RLock()
        self.session: Session | None = None
        self.opening: Any = None
        self.tapes: dict[str, Tape] = {}
        self.health: list[Health] = []
        self.is_over = False
        self.now_ns = 0
        """Market time of the newest input."""
        self.inputs = 0
        self.is_behind = False
        """Whether there is more to read than the last look did."""

    def look(self) -> bool:
        """Read what is new; True when there was something, and there may be more."""
        from sovereign.store.recording import frames_from

        with self.lock:
            if self._file is None:
                try:
                    self._file = self.path.open("rb")
                except OSError:
                    return False
            count = 0
            for frame, position in frames_from(self._file, self._position):
                self._position = position
                self._take(frame)
                count += 1
                if count >= _FRAMES_A_LOOK:
                    break
            if count:
                for tape in self.tapes.values():
                    tape.flush()
            self.is_behind = count >= _FRAMES_A_LOOK
            return count > 0

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _take(self, frame: Any) -> None:
        from sovereign.engine.inputs import from_frame
        from sovereign.store.recording import HEADER

        if frame.kind == HEADER:
            return
        try:
            item = from_frame(frame)
        except CorruptFileError:  # an input of a newer version; the rest can still be shown
            return
        self.inputs += 1
        self.now_ns = max(self.now_ns, item.ts)
        act = self._acts.get(frame.kind)
        if act is not None:
            act(item)

    @cached_property
    def _acts(self) -> Mapping[str, Callable[[Any], None]]:
        return {
            "Slice": self._slice,
            "TimePromised": self._promise,
            "SessionOpened": self._open,
            "HealthChanged": lambda item: self._say(item.ts, item.subject, item.is_well, item.reason),
            "ConnectionChanged": lambda item: self._say(item.ts, f"connection:{item.subject}", item.is_connected, item.reason),
            "SessionClosed": self._close,
        }

    def _slice(self, item: Any) -> None:
        tape = self.tapes.get(item.symbol)
        if tape is not None:
            tape.take(item.trades, item.ts, item.until_ns)

    def _promise(self, item: Any) -> None:
        for tape in self.tapes.values():
            tape.promise(item.ts)

    def _say(self, ts: int, subject: str, is_well: bool, reason: str) -> None:
        self.health.append(Health(ts=ts, subject=subject, is_well=is_well, reason=reason))

    def _close(self, _: Any) -> None:
        self.is_over = True

    def _open(self, item: Any) -> None:
        # A demonstration may go on for some sessions: the tapes are those of the present one, the signals go on.
        before, self.tapes = self.tapes, {}
        self.session, self.opening, self.is_over = item.session, item.opening, False
        for instrument in item.instruments:
            known = before.get(instrument.symbol)
            stream = known.stream if known is not None else None if self._new_stream is None else self._new_stream(instrument)
            if stream is not None:
                stream.start_session(item.session)
            self.tapes[instrument.symbol] = Tape(instrument, stream)

    def parts(self, at: int | None = None) -> Mapping[str, Health]:
        """Return what was last said of every part."""
        return {one.subject: one for one in self.health if at is None or one.ts <= at}


@dataclass(frozen=True, slots=True)
class _Columns:
    low: int
    bid: NDArray[Any]
    ask: NDArray[Any]
    total: NDArray[Any]


def _aggregate(price: NDArray[Any], size: NDArray[Any], side: NDArray[Any]) -> _Columns:
    low, high = int(price.min()), int(price.max())
    place, width = price.astype(np.int64) - low, high - low + 1
    total = np.bincount(place, weights=size, minlength=width).astype(np.int64)
    ask = np.bincount(place[side > 0], weights=size[side > 0], minlength=width).astype(np.int64)
    bid = np.bincount(place[side < 0], weights=size[side < 0], minlength=width).astype(np.int64)
    return _Columns(low, bid, ask, total)


def _marked(tape: Tape, low: int, bid: NDArray[Any], ask: NDArray[Any]) -> list[list[int]]:
    """Return the levels that traded as `[ticks, bid volume, ask volume, imbalance]`; +1 buyers, -1 sellers, 2 both."""
    stream = tape.stream
    buy = sell = np.zeros(len(bid), bool)
    if isinstance(stream, FootprintSource):
        least = stream.pattern_config.minimums_of(stream.instrument).imbalance
        buy, sell = imbalances(bid, ask, stream.pattern_config, least)
    marks = np.where(buy & sell, 2, buy.astype(np.int64) - sell.astype(np.int64))
    return [[low + at, int(bid[at]), int(ask[at]), int(marks[at])] for at in np.flatnonzero((bid > 0) | (ask > 0)).tolist()]


def closed_bars(tape: Tape, first: int, last: int, total: int) -> list[dict[str, Any]]:
    """Return the closed bars `first`..`last` (of `total` known ones) as the page draws them; prices in ticks."""
    rows = tape.rows()[:total]
    candidates = tape.candidates(total)
    found = []
    for index in range(max(0, first), min(last, total)):
        row = rows[index]
        names = rows.dtype.names or ()
        levels = tape.levels(index)
        cells = []
        if levels is not None and len(levels):
            cells = _marked(tape, int(levels["price"][0]), levels["bid"].astype(np.int64), levels["ask"].astype(np.int64))
        found.append(
            {
                "index": index,
                "is_open": False,
                "open_ms": int(row["open_ns"]) / 1e6 if "open_ns" in names else None,
                "close_ms": int(row["known_at"]) / 1e6,
                "open": _whole(row, "open", names),
                "high": _whole(row, "high", names),
                "low": _whole(row, "low", names),
                "close": _whole(row, "close", names),
                "volume": _whole(row, "volume", names),
                "trades": _whole(row, "trades", names),
                "delta": _whole(row, "delta", names),
                "cumulative_delta": _whole(row, "cumulative_delta", names),
                "poc": _whole(row, "poc", names),
                "value_area_low": _whole(row, "value_area_low", names),
                "value_area_high": _whole(row, "value_area_high", names),
                "vwap": _real(row, "session_vwap", names),
                "regime": regime_of(row),
                "cells": cells,
                "patterns": _patterns(candidates, index),
            }
        )
    return found


def open_bar(tape: Tape, at: int | None, total: int) -> dict[str, Any] | None:
    """Return the bar that was still growing at a moment, or None."""
    ticks = tape.growing(at)
    if ticks is None:
        return None
    ts, price, size, side = ticks
    columns = _aggregate(price, size, side)
    rows = tape.rows()[:total]
    names = rows.dtype.names or ()
    before = int(rows["cumulative_delta"][-1]) if total and "cumulative_delta" in names else 0
    delta = int(columns.ask.sum() - columns.bid.sum())
    return {
        "index": total,
        "is_open": True,
        "open_ms": int(ts[0]) / 1e6,
        "close_ms": int(ts[-1]) / 1e6,
        "open": int(price[0]),
        "high": int(price.max()),
        "low": int(price.min()),
        "close": int(price[-1]),
        "volume": int(size.sum()),
        "trades": len(ts),
        "delta": delta,
        "cumulative_delta": before + delta,
        "poc": columns.low + int(np.argmax(columns.total)),
        "value_area_low": None,
        "value_area_high": None,
        "vwap": None,
        "regime": None,
        "cells": _marked(tape, columns.low, columns.bid, columns.ask),
        "patterns": [],
    }


def _whole(row: Any, name: str, names: Sequence[str]) -> int | None:
    return int(row[name]) if name in names else None


def _real(row: Any, name: str, names: Sequence[str]) -> float | None:
    value = float(row[name]) if name in names else float("nan")
    return value if value == value else None  # noqa: PLR0124 - NaN is not equal to itself


def regime_of(row: Any) -> dict[str, Any] | None:
    """Return the regime a row closed in: its name, confidence, and why it is not tradable; None where rows have none."""
    from sovereign.kernels.row import NoTrade, Regime

    names = row.dtype.names or ()
    if "regime" not in names or "no_trade" not in names:
        return None
    return {
        "name": Regime(int(row["regime"])).name,
        "confidence": _real(row, "regime_confidence", names),
        "is_tradable": int(row["no_trade"]) == 0,
        "why_not": "" if int(row["no_trade"]) == 0 else NoTrade(int(row["no_trade"])).name.lower().replace("_", " "),
    }


def _patterns(candidates: NDArray[Any], index: int) -> list[dict[str, Any]]:
    names = candidates.dtype.names or ()
    if not len(candidates) or "pattern" not in names:
        return []
    from sovereign.kernels.row import Gate, Pattern

    begin, end = np.searchsorted(candidates["row"], [index, index + 1])
    return [
        {
            "name": Pattern(int(one["pattern"])).name,
            "side": int(one["side"]),
            "ticks": int(one["price"]),
            "strength": _real(one, "strength", names),
            "confidence": _real(one, "confidence", names),
            "gate": Gate(int(one["gate"])).name,
        }
        for one in candidates[begin:end]
    ]
