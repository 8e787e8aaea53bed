"""The venue's order restored: private messages and tape slices come out once each, in the order in which they happened.

A network repeats, loses and reorders; what the engine is told must not. Private messages count from 1 per account; a slice
says how many ticks of its session precede it and which private message it follows, and is held back until both are there.
Quotes with sizes, where they were asked for, are whole up to a time, and a slice that has them continues that time.
"""

from __future__ import annotations

from datetime import date

from sovereign.execution.venue.protocol import (
    Report,
)
from sovereign.execution.venue.tape_slice import TapeSlice


class Resequencer:
    """Messages go in as they arrive and come out of `take` as they happened.

    Parameters
    ----------
    seq : last private message that is known already.
    """

    def __init__(self, seq: int = 0) -> None:
        self.seq = seq
        self.session: date | None = None
        self.ticks: dict[str, int] = {}
        self.until_ns: dict[str, int] = {}
        self.quoted_ns: dict[str, int] = {}
        self._reports: dict[int, Report] = {}
        self._slices: dict[str, list[TapeSlice]] = {}
        self._expected = seq

    def start(self, session: date, symbol: str, ticks: int, until_ns: int) -> None:
        """Take a session's tape from behind its first `ticks` ticks, known up to `until_ns`."""
        if session != self.session:
            self.session = session
            self.ticks, self.until_ns, self.quoted_ns, self._slices = {}, {}, {}, {}
        self.ticks[symbol] = ticks
        self.until_ns[symbol] = until_ns
        self._slices[symbol] = []

    def start_quotes(self, symbol: str, from_ns: int) -> None:
        """Take the quotes with sizes of a tape that was started, those of `from_ns` and later."""
        self.quoted_ns[symbol] = from_ns

    def expect(self, seq: int) -> None:
        """Take note that private messages up to `seq` exist."""
        self._expected = max(self._expected, seq)

    def add_report(self, report: Report) -> None:
        """Take a private message."""
        self.expect(report.seq)
        if report.seq > self.seq:
            self._reports.setdefault(report.seq, report)

    def add_slice(self, part: TapeSlice) -> None:
        """Take a slice; one of another session, or of a symbol that was not started, is dropped."""
        if part.session != self.session or part.symbol not in self.ticks:
            return
        self.expect(part.after)
        if self._is_new(part):
            self._slices[part.symbol].append(part)

    def _is_new(self, part: TapeSlice) -> bool:
        symbol = part.symbol
        return (
            part.stop > self.ticks[symbol]
            or part.until_ns > self.until_ns[symbol]
            or (part.quotes is not None and part.quotes_until_ns > self.quoted_ns.get(symbol, part.quotes_until_ns))
        )

    def _continues(self, part: TapeSlice) -> bool:
        """Say whether nothing is missing between what was told and a slice."""
        symbol = part.symbol
        return (
            part.first <= self.ticks[symbol] <= part.stop
            and part.until_ns >= self.until_ns[symbol]
            and (part.quotes is None or part.quotes_from_ns <= self.quoted_ns.get(symbol, part.quotes_from_ns))
        )

    def take(self) -> list[Report | TapeSlice]:
        """Return what can be told now, in order."""
        told: list[Report | TapeSlice] = []
        while True:
            part = self._next_slice()
            if part is not None and part.after <= self.seq:
                self.ticks[part.symbol] = part.stop
                self.until_ns[part.symbol] = part.until_ns
                if part.quotes is not None:
                    self.quoted_ns[part.symbol] = part.quotes_until_ns
                told.append(part)
            elif (report := self._reports.pop(self.seq + 1, None)) is not None:
                self.seq += 1
                told.append(report)
            else:
                return told

    def _next_slice(self) -> TapeSlice | None:
        """Return the earliest slice that continues its tape, cut to what is new."""
        best: TapeSlice | None = None
        for held in self._slices.values():
            held[:] = [part for part in held if self._is_new(part)]
            for part in held:
                if self._continues(part):
                    key = (part.until_ns, part.after)
                    if best is None or key < (best.until_ns, best.after):
                        best = part
        return None if best is None else best.behind(self.ticks[best.symbol], self.quoted_ns.get(best.symbol, 0))

    @property
    def misses_private(self) -> bool:
        """Whether a private message is known to exist that has not come."""
        return self.seq < self._expected

    def misses_tape(self, symbol: str, until_ns: int) -> bool:
        """Say whether a part of a tape is missing: a slice is held behind a gap, or the venue has come to `until_ns`."""
        held = self._slices.get(symbol, [])
        covered = self.until_ns.get(symbol, 0)
        ticks = self.ticks.get(symbol, 0)
        quoted = self.quoted_ns.get(symbol, 0)
        for part in sorted(held, key=lambda part: (part.first, part.until_ns)):
            if part.first > ticks or (part.quotes is not None and part.quotes_from_ns > quoted):
                return True
            ticks, covered = max(ticks, part.stop), max(covered, part.until_ns)
            quoted = quoted if part.quotes is None else max(quoted, part.quotes_until_ns)
        return covered < until_ns

    def drop_held(self, symbol: str) -> None:
        """Forget the slices that wait behind a gap: the tape has been asked for again."""
        self._slices[symbol] = []
