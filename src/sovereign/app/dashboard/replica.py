"""A session's market as its recording has it: ticks, bars, footprints and candidates, followed while the session writes.

The recording holds everything that reached the session, what scouts had seen included. The same signals go the session's own
walk over it, so their rows are those that it decided on. Closed bars never change and ticks carry the moment they became known,
so any earlier moment can be shown exactly as it was.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sovereign.app.console.ladder import FootprintSource, imbalances
from sovereign.app.dashboard.tape import Followed, Tape
from sovereign.core.errors import CorruptFileError, SovereignError
from sovereign.core.instrument import Instrument
from sovereign.core.port import EvidenceListener, SignalStream
from sovereign.core.session import Session
from sovereign.engine.walk import SessionWalk

NewStream = Callable[[Instrument], SignalStream]
_FRAMES_A_LOOK = 5_000  # bounds how long one look holds the lock; the rest comes with the next
_WARM_A_LOOK_S = 0.25  # so does this: of several instruments, the others are warmed up by the next look


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a session said of one of its parts at `ts`."""

    ts: int
    subject: str
    is_well: bool
    reason: str


class Replica:
    """The market of one session, read from its recording; `look` takes what was written since the last look.

    Parameters
    ----------
    new_stream : makes the signals of an instrument, warmed up as the session's were; None shows ticks alone.
    listener : the strategy those signals are of, when it looks at what scouts have seen.
    note : what is to be said wherever its signals are shown.
    """

    def __init__(
        self, path: Path, new_stream: NewStream | None, listener: EvidenceListener | None = None, note: str = ""
    ) -> None:
        self.path = path
        self.note = note
        self._new_stream = new_stream
        self._listener = listener
        self._file: BinaryIO | None = None
        self._position = 0
        self.lock = threading.RLock()
        self.session: Session | None = None
        self.opening: Any = None
        self.tapes: dict[str, Tape] = {}
        self._cold: deque[Instrument] = deque()
        self._before: dict[str, Tape] = {}
        self._warmed: dict[str, Tape] = {}
        self._walk: SessionWalk | None = None
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
            self.is_behind = not self._warm_up()
            if self.is_behind:
                return True
            count = 0
            for frame, position in frames_from(self._file, self._position):
                self._position = position
                self._take(frame)
                count += 1
                if count >= _FRAMES_A_LOOK or not self._warm_up():
                    self.is_behind = True
                    break
            if count:
                self._flush()
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
            "EvidenceReceived": self._hear,
            "SessionClosed": lambda _: self._close(),
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

    def _hear(self, item: Any) -> None:
        if self._listener is not None:
            self._listener.on_evidence(item.ts, item.snapshots, item.readings)

    def _open(self, item: Any) -> None:
        # A demonstration may go on for some sessions: the tapes are those of the present one, the signals go on.
        self._flush()
        self.session, self.opening, self.is_over = item.session, item.opening, False
        self._before, self.tapes, self._warmed, self._walk = self.tapes, {}, {}, None
        self._cold = deque(item.instruments)

    def _warm_up(self) -> bool:
        """Make the signals of a session that was opened; False when some are left to do."""
        began = time.monotonic()
        while self._cold and self.session is not None:
            if self._warmed and time.monotonic() - began > _WARM_A_LOOK_S:
                return False
            instrument = self._cold.popleft()
            self._warmed[instrument.symbol] = self._tape_of(instrument, self.session)
            if not self._cold:
                self.tapes, self._before = self._warmed, {}
                self._walk = SessionWalk(self.session, {symbol: Followed(tape) for symbol, tape in self.tapes.items()}, ())
        return True

    def _tape_of(self, instrument: Instrument, session: Session) -> Tape:
        known, fault = self._before.get(instrument.symbol), ""
        stream = None if known is None else known.stream
        if known is None and self._new_stream is not None:
            try:
                stream = self._new_stream(instrument)
            except SovereignError as gone:  # a recording or bars that it was warmed up with: its ticks can still be shown
                fault = str(gone)
        if stream is not None:
            stream.start_session(session)
        tape = Tape(instrument, stream, session.open_ns)
        tape.fault = fault
        return tape

    def _flush(self) -> None:
        """Hand the signals what waits, as far as every tape has come."""
        walk = self._walk
        for tape in self.tapes.values():
            block = tape.waiting()
            if walk is not None and block is not None:
                walk.add(block)

    def _close(self) -> None:
        self._flush()
        if self._walk is not None:
            self._walk.close()
            self._walk = None
        self.is_over = True

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
    if "can_enter" in names:
        return _market_regime(row)
    if "regime" not in names or "no_trade" not in names:
        return None
    return {
        "name": Regime(int(row["regime"])).name,
        "confidence": _real(row, "regime_confidence", names),
        "is_tradable": int(row["no_trade"]) == 0,
        "why_not": "" if int(row["no_trade"]) == 0 else NoTrade(int(row["no_trade"])).name.lower().replace("_", " "),
    }


def _market_regime(row: Any) -> dict[str, Any]:
    # Of a strategy on shares: the market's regime as it was known at the bar, its volatility and momentum with it.
    from sovereign.app.tug_record import REGIME_WORDS
    from sovereign.kernels.tug_of_war import REGIME_CRISIS, REGIME_UNKNOWN

    names, code = row.dtype.names or (), int(row["regime"])
    crisis = _real(row, "p_crisis", names)
    why_not = "" if row["can_enter"] else "stale or unknown" if code == REGIME_UNKNOWN else "crisis"
    return {
        "name": REGIME_WORDS[code].upper(),
        "confidence": None if crisis is None or code == REGIME_UNKNOWN else crisis if code == REGIME_CRISIS else 1.0 - crisis,
        "is_tradable": bool(row["can_enter"]),
        "why_not": "halted by a crisis" if row["is_halted"] else why_not,
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
