"""The rows of a block that wake the strategy, in the order of time; those at which it refuses its own candidate are kept apart.

Some strategies say of a row by itself that they refuse its candidate (`core.port.ScreeningStrategy`), and some doors that they
are certain to refuse it (`core.port.PatientDoor`). Where every reader takes such refusals by the session, nobody is asked at
these rows: what was seen there is kept as rows, with what the door knew, and made into records when somebody reads them. They
are numbered among the decisions as if each had been told at its moment.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sovereign.core.decision import Decision, Verdict
from sovereign.core.order import Side
from sovereign.core.port import ScreeningStrategy, Strategy
from sovereign.core.session import NEVER
from sovereign.engine.desk import own_refusal
from sovereign.engine.stretch import Still, Stretch
from sovereign.engine.tape import Tape

LONG, SHORT = 1, 2
"""Bits of `ScreeningStrategy.due_for_holders`."""
NOTHING, ASKED, FORBIDDEN = -1, 0, 127
"""What a strategy does at a row while it holds nothing; from 1 on it refuses (see `ScreeningStrategy.screen`).

`FORBIDDEN` is a candidate that the door refuses whatever the account holds.
"""

Late = Still | Stretch
"""What the door knew of candidates that it was certain to refuse."""

Forbids = Callable[[NDArray[np.int8], NDArray[np.int64]], NDArray[np.bool_]]


class _Kept(NamedTuple):
    """Refusals of one block, column by column."""

    rows: NDArray[Any]
    symbols: list[str]
    numbers: list[int]
    ts: list[int]
    terms: list[Any]
    late: list[tuple[Late, int] | None]


class Agenda:
    """Rows to wake up for; see the module.

    Parameters
    ----------
    is_screened : rows at which the strategy refuses by itself are kept apart. is_kept : and remembered.
    """

    def __init__(self, strategy: Strategy, *, is_screened: bool, is_kept: bool) -> None:
        from sovereign.kernels.waking import gather

        self._gather = gather
        self._screening = strategy if isinstance(strategy, ScreeningStrategy) else None
        self.needs_quotes = self._screening is not None and self._screening.needs_quotes
        """Whether the strategy may refuse for want of a quote."""
        self._is_screened = is_screened and self._screening is not None
        self._is_kept = is_kept and self._is_screened
        self._tapes: Sequence[Tape] = ()
        self._known: list[int] = []
        self._known_at: NDArray[np.int64] = np.zeros(0, np.int64)
        self._order: list[int] = []
        self._row: list[int] = []
        self._seq: list[int] = []  # ticks of the session that each knows
        self._codes: list[int] = []
        self._asked: list[int] = []  # places at which the strategy is asked while it holds nothing
        self._refused: list[int] = []  # places at which it refuses by itself
        self._due: list[int] | None = None  # for whom of the holders something may be due; None where nobody has said
        self._of_tape: dict[tuple[int, int], list[int]] = {}  # places by tape and side held, where they were asked for
        self._ask = 0
        self._seen: NDArray[Any] = np.zeros(0)  # the rows, tape after tape
        self._room: NDArray[Any] = np.zeros(0)  # where they are gathered, block after block
        self._index = np.zeros(64, np.int64)
        self._place: NDArray[np.int64] = np.zeros(0, np.int64)  # of each in `_seen`
        # places, decisions before, the least time, terms, what the door knew
        self._over: list[tuple[list[int], int, int, Any, Late | None]] = []
        self._sides: list[int] = []
        self._forbidden: list[int] = []  # places whose candidate the door refuses whatever is held
        self._proposed: list[int] = []  # those, and places at which the strategy is asked while it holds nothing
        self.can_wait = False
        """Whether what the door refuses for certain may be judged when it is read."""
        self._kept: list[_Kept] = []
        self._end = 0
        self.next = 0
        """Place of the next row."""

    def start_session(self) -> None:
        """Forget the last session's rows."""
        self._kept, self._over, self._tapes = [], [], ()
        self.next = self._end = 0

    def line_up(self, tapes: Sequence[Tape], forbids: Forbids | None = None) -> None:
        """Take the rows of a block that are new; of one time, that of the first tape comes first.

        Parameters
        ----------
        forbids : says by side and time which candidates the door refuses whatever the account holds.
        """
        self._tapes, self.next, self._end = tapes, 0, 0
        # Nothing of the block before is left to pass over, also where no row of this one wakes.
        self._ask, self._asked, self._refused, self._forbidden, self._proposed, self._of_tape = 0, [], [], [], [], {}
        self._known, self._order = [], []
        self.can_wait = forbids is not None and self._is_screened
        if self._screening is None:
            self._line_up_plain(tapes)
        else:
            self._line_up_screened(self._screening, tapes, forbids)

    def _line_up_plain(self, tapes: Sequence[Tape]) -> None:
        parts = []
        for tape in tapes:
            index = tape.take_waking()
            if len(index) and tape.rows is not None:
                codes, order = np.full(len(index), ASKED, np.int8), np.full(len(index), tape.order)
                parts.append((tape.rows["known_at"][index], tape.rows["seq"][index], index, order, codes))
        if parts:
            self._arrange(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def _line_up_screened(self, screening: ScreeningStrategy, tapes: Sequence[Tape], forbids: Forbids | None) -> None:
        at = 0
        symbols: list[str] = []
        orders: list[int] = []
        for tape in tapes:
            places = tape.take_waking()
            count = len(places)
            if count and tape.rows is not None:
                self._make_room(tape.rows.dtype, at, at + count)
                self._gather(tape.rows, places, self._room, self._index, at)
                symbols += [tape.instrument.symbol] * count
                orders += [tape.order] * count
                at += count
        if not at:
            return
        seen = self._seen = self._room[:at]
        known = seen["known_at"].copy()
        codes, due = screening.screen(symbols, seen), screening.due_for_holders(seen)
        sides = screening.sides(seen)
        if not self._is_screened:
            codes[codes > ASKED] = ASKED  # each refusal is told at once
        elif forbids is not None:
            codes[(codes == ASKED) & forbids(sides, known)] = FORBIDDEN
        place = self._arrange(known, seen["seq"], self._index[:at], np.array(orders), codes)
        self._due, self._sides = due[place].tolist(), sides[place].tolist()

    def _make_room(self, dtype: np.dtype[Any], at: int, stop: int) -> None:
        """See that `_room` can take the rows up to `stop`; it has those up to `at`."""
        if self._room.dtype is not dtype:  # a session of another width
            self._room = np.empty(64, dtype)
        if stop > min(len(self._room), len(self._index)):
            room, index = np.empty(2 * stop, dtype), np.empty(2 * stop, np.int64)
            room[:at], index[:at] = self._room[:at], self._index[:at]
            self._room, self._index = room, index

    def _arrange(
        self,
        known: NDArray[np.int64],
        seq: NDArray[np.int64],
        rows: NDArray[np.int64],
        order: NDArray[np.int64],
        codes: NDArray[np.int8],
    ) -> NDArray[np.int64]:
        """Put rows into the order of time; return that order."""
        place = self._place = known.argsort(kind="stable")
        codes = codes[place]
        self._known_at = known[place]
        self._known, self._seq, self._row = self._known_at.tolist(), seq[place].tolist(), rows[place].tolist()
        self._order, self._codes = order[place].tolist(), codes.tolist()
        self._asked = (codes == ASKED).nonzero()[0].tolist()
        self._refused = (codes > ASKED).nonzero()[0].tolist()
        self._forbidden = (codes == FORBIDDEN).nonzero()[0].tolist()
        self._proposed = sorted(self._asked + self._forbidden) if self._forbidden else self._asked
        self._due = None
        self._ask, self._end, self._of_tape = 0, len(known), {}
        return place

    @property
    def next_ns(self) -> int:
        """When the next row wakes (UTC ns); `NEVER` when none is left."""
        return self._known[self.next] if self.next < self._end else NEVER

    @property
    def next_tape(self) -> Tape:
        """The tape of that row."""
        return self._tapes[self._order[self.next]]

    @property
    def next_row(self) -> int:
        """Its index among the rows of its tape."""
        return self._row[self.next]

    @property
    def next_seq(self) -> int:
        """How many ticks of the session it knows."""
        return self._seq[self.next]

    def take(self) -> int:
        """Go on to the row after; return what the strategy does at this one while it holds nothing."""
        code = self._codes[self.next]
        self.next += 1
        return ASKED if code == FORBIDDEN else code

    @property
    def side(self) -> Side | None:
        """The side of the candidate of the row just taken; None where every refusal is told at once."""
        if not self._is_screened:
            return None
        return Side.BUY if self._sides[self.next - 1] > 0 else Side.SELL

    def keep(self, number: int, now: int) -> None:
        """Remember the row just taken as the decision `number`, made at `now`: the strategy has refused it."""
        if self._is_kept and self._screening is not None:
            self._over.append(([self.next - 1], number - 1, now, self._screening.terms, None))

    def keep_late(self, number: int, now: int, late: Still) -> None:
        """Remember the row just taken as the decision `number`, made at `now`: the door will refuse it."""
        if self._screening is not None:
            self._over.append(([self.next - 1], number - 1, now, self._screening.terms, late))

    def stop_before(self, ts: int, held: Mapping[int, int], *, is_full: bool = False) -> int:
        """Return the place of the next row, of those before `ts`, at which somebody must look; of what comes earlier none must.

        What is forbidden must not be looked at, see `forbidden_before`.

        Parameters
        ----------
        held : units held by tape (by order): their rows are looked at where something may be due for a holder.
        is_full : the door refuses every candidate for want of room.
        """
        asked, at, count = self._asked, self.next, len(self._asked)
        while self._ask < count and asked[self._ask] < at:
            self._ask += 1
        stop = self._end
        for n in range(count if is_full else self._ask, count):
            if self._order[asked[n]] not in held:
                stop = asked[n]
                break
        for order, units in held.items():
            places = self._of_tape.get((order, units > 0))
            if places is None:
                places = self._of_tape[order, units > 0] = self._due_places(order, LONG if units > 0 else SHORT)
            first = bisect_left(places, at)
            if first < len(places):
                stop = min(stop, places[first])
        if stop > at and self._known[stop - 1] >= ts:
            stop = bisect_left(self._known, ts, at, stop)
        return stop

    def forbidden_before(self, stop: int, held: Mapping[int, int], *, is_full: bool = False) -> list[int]:
        """Return the places, from the next row to before `stop`, of candidates that are forbidden; a holder has none."""
        places = self._proposed if is_full else self._forbidden
        first, end = bisect_left(places, self.next), bisect_left(places, stop)
        return [place for place in places[first:end] if self._order[place] not in held]

    def moments(self, places: Sequence[int]) -> list[tuple[int, Tape, int]]:
        """Return of each row when it wakes, its tape, and how many ticks of the session it knows."""
        return [(self._known[at], self._tapes[self._order[at]], self._seq[at]) for at in places]

    @property
    def is_asked_next(self) -> bool:
        """Whether the strategy is asked at the next row, or none is left."""
        return self.next >= self._end or self._codes[self.next] == ASKED

    def _due_places(self, order: int, side: int) -> list[int]:
        due = self._due
        return [p for p, other in enumerate(self._order) if other == order and (due is None or due[p] & side)]

    def times(self, stop: int) -> NDArray[np.int64]:
        """Return when the rows from the next one to before `stop` wake."""
        return self._known_at[self.next : stop]

    def pass_over(
        self, stop: int, held: Mapping[int, int], decisions: int, now: int, late: Stretch | None, *, is_full: bool = False
    ) -> tuple[int, int]:
        """Go on to the row at `stop`, which is not the next one; nobody looks at those before it.

        Parameters
        ----------
        held, is_full : as in `stop_before`; a holder is not asked for a candidate. decisions : made in the session so far.
        now : the present time. late : what the door knows of those that it forbids.

        Returns
        -------
        How many of the rows were refused, and the time of the last one.
        """
        at, self.next = self.next, stop
        refused = self._refused[bisect_left(self._refused, at) : bisect_left(self._refused, stop)]
        if is_full and (asked := self._asked[bisect_left(self._asked, at) : bisect_left(self._asked, stop)]):
            refused = sorted(refused + asked)
        if held and refused:
            refused = [place for place in refused if self._order[place] not in held]
        if refused and self._is_kept and self._screening is not None:
            self._over.append((refused, decisions, now, self._screening.terms, late))
        return len(refused), max(now, self._known[stop - 1])

    def end_block(self) -> None:
        """Keep what was refused of the block's rows, which are then forgotten."""
        if not self._over or self._screening is None:
            return
        places: list[int] = []
        numbers: list[int] = []
        times: list[int] = []
        terms: list[Any] = []
        known: list[tuple[Late, int] | None] = []
        for over, before, now, under, late in self._over:
            places += over
            numbers += range(before + 1, before + 1 + len(over))
            seen_at = [self._known[at] for at in over]
            times += seen_at if seen_at[0] >= now else [max(now, ts) for ts in seen_at]
            terms += [under] * len(over)
            of_late = 0
            for at in over:
                if late is None or ASKED < self._codes[at] < FORBIDDEN:
                    known.append(None)
                else:
                    known.append((late, of_late))
                    of_late += 1
        self._over = []
        rows = np.empty(len(places), self._seen.dtype)
        self._gather(self._seen, self._place[places], rows, self._index, 0)  # the block's own index has been read
        symbols = [self._tapes[self._order[at]].instrument.symbol for at in places]
        self._kept.append(_Kept(rows, symbols, numbers, times, terms, known))

    def end_session(self) -> Refusals | None:
        """Return what was refused in the session and not told yet; None when nothing was."""
        self.end_block()
        kept, self._kept = self._kept, []
        return Refusals(self._screening, kept) if kept and self._screening is not None else None


class Refusals:
    """What was refused and kept in a session, before anybody has read it."""

    def __init__(self, strategy: ScreeningStrategy, kept: Sequence[_Kept]) -> None:
        self._strategy = strategy
        self._kept = kept

    def __len__(self) -> int:
        return sum(len(part.ts) for part in self._kept)

    def records(self, strategy: str, prefix: str) -> list[Decision]:
        """Return the records, as they would have been told at their moments; `prefix` begins their ids."""
        found = []
        for part in self._kept:
            values = part.rows.tolist()
            moments = zip(part.symbols, part.ts, part.terms, part.late, strict=True)
            for place, (symbol, ts, under, late) in enumerate(moments):
                view = None if late is None else late[0].view(late[1])
                last = None if view is None else view.last_ticks[symbol]
                proposal = self._strategy.refusal(symbol, ts, values[place], under, last)
                checks, outcome = proposal.checks, None
                if late is not None and view is not None and proposal.intent is not None:
                    made, outcome = late[0].judge(proposal, view)
                    checks = (*checks, *made)
                found.append(
                    Decision(
                        decision_id=f"{prefix}{symbol}-{part.numbers[place]:05d}",
                        ts=ts,
                        strategy=strategy,
                        proposal=proposal,
                        checks=checks,
                        verdict=Verdict.REFUSED,
                        outcome=outcome or own_refusal(proposal.checks),
                    )
                )
        return found
