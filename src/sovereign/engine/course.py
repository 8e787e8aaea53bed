"""The way of an engine over its tapes: what happens next, and bringing every tape up to it.

A moment needs to know the last price of every tape, and little else of most of them: where no order works nothing can happen
between two moments, and where one does, what it meets next is found once and stays until the venue's orders change. So tapes
follow when they are asked for; the engine's `reach` says up to when each may. At what an order or a limit meets, a tape is
walked step by step. A broker that counts ticks (a remote one) is shown all of them, moment by moment, and so is every broker
while a limit of the day is within reach of the positions; the outcome is the same (tests/property/test_course_laws.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sovereign.core.event import TradingState
from sovereign.core.port import AccountView, Block
from sovereign.core.record import maker
from sovereign.core.session import NEVER
from sovereign.engine.agenda import Agenda
from sovereign.engine.desk import Desk
from sovereign.engine.stretch import Stretch, glance
from sovereign.engine.tape import InStep, Tape, TapeClock, shared_clock
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.execution.report import ExecutionReport
from sovereign.kernels.matching import extent, first_outside

VENUE, TIMER, DOOR, ROW = 0, 1, 2, 3
"""What a moment is."""


ZERO = Decimal(0)
_LONGEST = 100
"""Candidates of a stretch at most: one that cannot be is tried again at the next row."""
_HALTED = TradingState.HALTED  # looked up once: Python 3.11 takes long to find the members of an enumeration


class _Outlook(NamedTuple):
    """What the positions can still come to in the present block."""

    is_far: bool  # no limit of the day can be reached between two moments
    can_mark: bool  # equity may come above its highest


_make_outlook = maker(_Outlook)


class Course(Desk, ABC):
    """A desk that walks over market data; see the module."""

    __slots__ = (
        "_add_profit",
        "_agenda",
        "_by_order",
        "_guards",
        "_had_moment",
        "_in_step",
        "_is_inspected",
        "_is_lazy",
        "_meeting",
        "_outlook",
        "_reach",
        "_sighted",
        "_timers",
        "_viewed",
    )

    def _set_up(self) -> None:
        from sovereign.kernels.equity import add_profit

        self._add_profit = add_profit
        self._timers: list[tuple[int, str]] = []
        self._guards: dict[str, tuple[int, int]] | None = None
        is_told_later = bool(self._sinks) and len(self._refusal_sinks) == len(self._sinks)
        self._agenda = Agenda(self._strategy, is_screened=self._is_brief or is_told_later, is_kept=not self._is_brief)
        self._is_inspected = False  # since the session began, with a price known
        self._by_order: list[Tape] = []
        self._meeting: list[Tape] | None = None  # tapes on which an order meets something; None while some are not looked at
        self._reach = 0
        self._in_step: list[InStep] = []  # tapes that share their clock; not kept by the clock, which they keep
        self._sighted = 0  # up to when the last prices of all tapes are known
        self._outlook: _Outlook | None = None
        self._viewed: tuple[tuple[Any, ...], AccountView] | None = None  # what the door was told last, and what it rests on
        self._had_moment = False  # in the present block
        self._is_lazy = False

    @abstractmethod
    def _apply(self, reports: Iterable[ExecutionReport]) -> bool:
        """Take what the broker says; return whether something filled."""

    @abstractmethod
    def _inspect(self) -> None:
        """Let the door look at the account."""

    # Where the tapes stand

    def _sight(self) -> None:
        if self._sighted != self._reach:
            reach = self._sighted = self._reach
            for tapes in self._in_step:
                tapes.look(reach)

    def _data_ns(self) -> int | None:
        # Tapes in step know ticks of the same times.
        if len(self._in_step) == 1:
            return self._in_step[0].clock.told
        return max([tapes.clock.told for tapes in self._in_step if tapes.clock.told is not None], default=None)

    def _view(self) -> AccountView:
        # A moment asks several times for what has not changed.
        if not self._is_lazy:
            return super()._view()
        rests_on = (
            self._now,
            self._reach,
            self.account.changes,
            self._executor.changes,
            self.state,
            self._killed(),
            self._unhealthy,
        )
        if self._viewed is None or self._viewed[0] != rests_on:
            self._viewed = rests_on, super()._view()
        return self._viewed[1]

    def _begin_course(self) -> None:
        # Looking ahead over whole blocks pays where most tapes have nothing to do at most moments; one alone is walked on.
        self._is_lazy = len(self._tapes) > 1 and bool(getattr(self._broker, "skips_ticks", False))
        self._by_order, self._in_step = [], []  # nothing of the last session's rows is held any more

    def _begin_block(self, blocks: Iterable[Block]) -> None:
        """Take the next blocks, one per tape at most; everything before them has been walked."""
        is_held = bool(self.account.positions)
        is_idle = not is_held and isinstance(self._broker, SimulatedBroker) and self._broker.is_idle
        clocks: list[TapeClock] = []
        for block in blocks:
            tape = self._tapes[block.symbol]
            if self._is_lazy:
                tape.remember(is_held=is_held, is_new=self._had_moment)
            tape.begin(block.trades, is_idle=is_idle)
            if self._is_lazy:
                tape.clock = shared_clock(tape.clock, clocks)
        in_step: dict[TapeClock, InStep] = {}
        for tape in self._tapes.values():
            found = in_step.get(tape.clock)
            if found is None:
                found = in_step[tape.clock] = InStep(tape.clock)
            found.tapes.append(tape)
        self._in_step = list(in_step.values())
        self._had_moment = False
        self._meeting = None
        self._reach = self._sighted = 0
        self._outlook = None

    def _end_block(self) -> None:
        """Pass everything there is; what comes later in time is a later block."""
        self._settle_tapes()
        self._sight()
        for tape in self._tapes.values():
            tape.cursor = tape.count
        self._agenda.end_block()

    def _due_tapes(self, ts: int) -> list[Tape]:
        """Return the tapes whose orders the venue may change at a time."""
        if not isinstance(self._broker, SimulatedBroker):
            return list(self._tapes.values())
        return [self._tapes[symbol] for symbol in sorted(self._broker.due_tapes(ts)) if symbol in self._tapes]

    def _settle_tapes(self, tapes: Iterable[Tape] | None = None) -> None:
        """Let the venue meet, and the account see, everything up to where some tapes may be, or all on which anything is."""
        if self._is_lazy:
            for tape in self._tapes.values() if tapes is None else tapes:
                if tape.is_busy or tapes is not None:
                    self._pass(tape, tape.clock.before(self._reach))

    def _orders_changed(self, tapes: Iterable[Tape]) -> None:
        """Take note that what orders meet next on some tapes must be found anew."""
        for tape in tapes:
            tape.event = -1
            self._meeting = None

    def _line_up(self) -> None:
        """Put the rows that wake the strategy into the order of time; of one time, the first tape comes first."""
        self._by_order = list(self._tapes.values())
        is_patient = self._is_lazy and self._patient is not None and not self._agenda.needs_quotes
        # What is forbidden is told later, by rows and prices alone: not where a quote may be known.
        can_wait = is_patient and not any(tape.is_quoted for tape in self._by_order)
        self._agenda.line_up(self._by_order, self._forbids if can_wait else None)

    def _forbids(self, sides: NDArray[np.int8], ts: NDArray[np.int64]) -> NDArray[np.bool_]:
        if self._patient is None or self._session is None:
            return np.zeros(len(ts), np.bool_)
        return self._patient.forbids(sides, ts, self._session)

    def is_due(self, until_ns: int) -> bool:
        """Say whether something is to happen up to `until_ns` that needs no market data (UTC ns)."""
        due = min(self._broker.next_time_ns, self._door.due_ns, self._agenda.next_ns)
        if self._timers:
            due = min(due, self._timers[0][0])
        if self._watch is not None:
            due = min(due, self._watch.next_ns)
        return due <= until_ns

    def _next_moment(self, until_ns: int) -> tuple[int, int, Tape | None, int]:
        """Return when something is due, what, and the tape and row that it is about."""
        ts, kind = self._broker.next_time_ns, VENUE
        if self._timers and self._timers[0][0] < ts:
            ts, kind = self._timers[0][0], TIMER
        due = self._door.due_ns if self._watch is None else min(self._door.due_ns, self._watch.next_ns)
        if due < ts:
            ts, kind = due, DOOR
        if ts > until_ns:
            ts = NEVER
        agenda = self._agenda
        if self._is_lazy:
            self._look_ahead()
            if not self._is_inspected and agenda.next_ns < NEVER:
                self._is_inspected = self._is_at_rest()
            if self._is_inspected and (self.account.positions or not agenda.is_asked_next):
                self._pass_over(ts)
        known = agenda.next_ns
        if known < ts:
            return known, ROW, agenda.next_tape, agenda.next_row
        return ts, kind, None, -1

    def _is_at_rest(self) -> bool:
        # A look of the door's would find nothing, and leave everything as it is.
        if self._patient is None or self.account.positions or self._carried or not self._executor.is_idle:
            return False
        if self.state is not TradingState.ACTIVE or self._unhealthy or self._killed() is not False:
            return False
        instruments = [tape.instrument for tape in self._tapes.values()]
        return self._patient.is_at_rest(self.account.balance, self.account.high_water_mark, instruments)

    def _look_ahead(self) -> None:
        """Find what orders meet next, and what the positions can come to."""
        if self._meeting is None:
            for tape in self._by_order:
                if tape.event < 0:
                    self._find_event(tape)
            self._meeting = [tape for tape in self._by_order if tape.event_ns < NEVER]
        if self._outlook is None:
            self._outlook = self._look_out()

    def _pass_over(self, ts: int) -> None:
        """Pass the rows at which the strategy is not asked, and those at which nothing is due for a holder: nothing can happen.

        Not beyond what an order meets; and where a limit of the day is near, every row is a moment.
        """
        held = self.account.positions
        if self._outlook is None or not self._outlook.is_far:
            return
        for tape in self._meeting or ():
            ts = min(ts, tape.event_ns)
        agenda = self._agenda
        if agenda.next_ns >= ts:
            return
        units = self._held_tapes() if held else {}
        is_full = agenda.can_wait and bool(held) and self._is_full()
        stop = agenda.stop_before(ts, units, is_full=is_full)
        can_mark = self._outlook.can_mark
        late: Stretch | None = None
        if forbidden := agenda.forbidden_before(stop, units, is_full=is_full):
            if len(forbidden) > _LONGEST:
                stop, forbidden = forbidden[_LONGEST], forbidden[:_LONGEST]
            # A mark that moves on the way is told with each of them: then they are looked at one by one.
            late = None if can_mark else self._stretch(agenda.moments(forbidden))
            stop = forbidden[0] if late is None else stop
        if stop <= agenda.next:
            return
        if can_mark:
            self._mark_at(agenda.times(stop))
        refused, self._now = agenda.pass_over(stop, units, self._decisions, self._now, late, is_full=is_full)
        self._guards = None
        self._had_moment = True
        if not (self._is_brief and self.state is _HALTED):  # where it is not asked for anything
            self._decisions += refused

    def _is_full(self) -> bool:
        # As the door counts them: no entry passes until something of this has changed.
        if self._patient is None:
            return False
        count = len([position for position in self.account.positions.values() if position.quantity])
        return self._patient.is_full(count + self._executor.working_entries)

    def _stretch(self, moments: Sequence[tuple[int, Tape, int]]) -> Stretch | None:
        """Return what the door would be told at moments at which nothing happens; None when it must be told of each."""
        if self._patient is None:
            return None
        view = self._view()
        if not self._patient.is_calm(view) or len(view.last_ticks) < len(self._tapes):
            return None
        times = [max(self._now, ts) for ts, _, _ in moments]
        seen_at = [max(self._reach, ts) for ts, _, _ in moments]
        glances = [glance(tapes, seen_at) for tapes in self._in_step]
        stops = {symbol: of.stops for of in glances for symbol, _, _ in of.tapes}
        # A row may know a tick of its own time, which nobody else does.
        if any(seq - tape.offset > stops[tape.instrument.symbol][n] for n, (_, tape, seq) in enumerate(moments)):
            return None
        if not self._patient.count_proposed(times):
            return None
        judge = self._patient.remember(view)
        positions = {symbol: position.copy() for symbol, position in self.account.positions.items()}
        return Stretch(judge, view, times, positions, self._carried, glances, tuple(self._sent))

    def _held_tapes(self) -> dict[int, int]:
        # units held by order of the tape
        units: dict[int, int] = {}
        for position in self.account.positions.values():
            tape = self._tapes.get(position.tape)
            if tape is not None:
                units[tape.order] = units.get(tape.order, 0) + position.quantity
        return {order: quantity for order, quantity in units.items() if quantity}

    def _mark_at(self, times: NDArray[np.int64]) -> None:
        """Raise the highest equity to that of some times, at which nothing happens: as `_after_moment` does at each of them."""
        ticks: dict[Decimal, NDArray[np.int64]] = {}
        fixed = self.account.balance
        for position in self.account.positions.values():
            value, tape = position.instrument.tick_value, self._tapes.get(position.tape)
            last = self._carried.get(position.tape) if tape is None or tape.last_ticks is None else tape.last_ticks
            if tape is None or not tape.count:
                if last is not None:
                    fixed += position.unrealized(last)
                continue
            profit = ticks.get(value)
            if profit is None:
                profit = ticks[value] = np.zeros(len(times), np.int64)
            held, cost = position.quantity, position.cost_ticks
            self._add_profit(
                tape.trades.ts,
                tape.trades.price,
                tape.seen,
                held,
                cost,
                0 if last is None else last * held - cost,
                times,
                profit,
            )
        if len(ticks) > 1:
            # Of several values a tick, whatever the sum is: in each of the currency's smallest parts.
            best = max(sum((v * int(m[n]) for v, m in ticks.items()), ZERO) for n in range(len(times)))
        else:
            best = sum((value * int(profit.max()) for value, profit in ticks.items()), ZERO)
        self.account.mark(fixed + best)

    # On the way to a moment

    def _walk(self, ts: int, hit: Tape | None, row: int) -> bool:
        """Bring every tape up to a moment; False when something happened on the way and the moment must be found anew."""
        if not self._is_lazy:
            return self._walk_closely(ts, hit, row)
        if self._outlook is None or not self._outlook.is_far:
            self._settle_tapes(self._by_order)
            done = self._walk_closely(ts, hit, row)
            if done:
                self._reach = max(self._reach, ts)
            return done
        known = 0 if hit is None else self._agenda.next_seq - hit.offset
        first = self._first_met(ts, hit, known)
        if first is None:
            self._reach = max(self._reach, ts)
            if hit is not None and known > hit.seen and hit.trades.ts[known - 1] >= ts:
                self._pass(hit, known)
            return True
        index, when = first.event, first.event_ns
        if first.event_from != first.cursor:
            stop = self._stop(first, ts, row if first is hit else -1)
            index = self._broker.next_event(first.instrument.symbol, first.trades, first.cursor, stop)
        self._reach = max(self._reach, when)
        self._meet(first, index, when)
        return False

    def _first_met(self, ts: int, hit: Tape | None, known: int) -> Tape | None:
        # A row may know a tick of its own time; such a one comes before the moment though it is not earlier.
        first: Tape | None = None
        for tape in self._meeting or ():
            if (tape.event_ns < ts or (tape is hit and tape.event < known)) and (
                first is None or tape.event_ns < first.event_ns
            ):
                first = tape
        return first

    def _find_event(self, tape: Tape) -> None:
        rows, symbol = tape.count, tape.instrument.symbol
        tape.event, tape.event_ns = rows, NEVER
        was_busy, has_orders = tape.is_busy, self._broker.has_orders(symbol)
        tape.is_busy = has_orders or self._is_held(symbol)
        if tape.is_busy and not was_busy:
            # Nobody met what went by until now.
            tape.cursor = max(tape.cursor, tape.before(self._reach))
            tape.look(tape.cursor)
        if has_orders:
            tape.event, tape.event_from = self._broker.next_event(symbol, tape.trades, tape.cursor, rows), tape.cursor
            if tape.event < rows:
                tape.event_ns = int(tape.trades.ts[tape.event])

    def _walk_closely(self, ts: int, hit: Tape | None, row: int) -> bool:
        stops = [(tape, self._stop(tape, ts, row if tape is hit else -1)) for tape in self._tapes.values()]
        first = self._first_event(stops)
        if first is None:
            for tape, stop in stops:
                self._pass(tape, stop)
            return True
        tape, index, is_guard = first
        when = int(tape.trades.ts[index])
        for other, stop in stops:
            if other is not tape:
                self._pass(other, min(stop, other.before(when)))
        self._reach = max(self._reach, when)
        if not is_guard:
            self._meet(tape, index, when)
            return False
        self._now = max(self._now, when)
        self._pass(tape, index + 1)
        self._inspect()
        return False

    def _meet(self, tape: Tape, index: int, when: int) -> None:
        self._now = max(self._now, when)
        # Venue state is moved by `take`; the account sees the prices up to and including the row.
        self._observe(tape, tape.cursor, index + 1)
        reports = self._broker.take(tape.instrument.symbol, tape.trades, index)
        tape.cursor = index + 1
        # Nothing changes on the other tapes: what is sent there by what follows is not at the venue yet.
        tape.event, self._meeting = -1, None
        if not self._apply(reports):
            self._inspect()  # the row may lie beyond a guard price as well

    @staticmethod
    def _stop(tape: Tape, ts: int, row: int) -> int:
        stop = tape.before(ts) if row < 0 or tape.rows is None else int(tape.rows["seq"][row]) - tape.offset
        return max(stop, tape.cursor)

    def _first_event(self, stops: Sequence[tuple[Tape, int]]) -> tuple[Tape, int, bool] | None:
        """Return (tape, row, whether a guard price was reached rather than an order) of the earliest event, if any."""
        first: tuple[int, int, Tape, int, bool] | None = None
        guards = self._guard_prices()
        for tape, stop in stops:
            if stop == tape.cursor:
                continue
            symbol, index, is_guard = tape.instrument.symbol, stop, False
            if self._broker.has_orders(symbol):
                index, tape.event_from = self._broker.next_event(symbol, tape.trades, tape.cursor, stop), -1
            if guards is not None and symbol in guards:
                low, high = guards[symbol]
                guard = first_outside(tape.trades.price, tape.cursor, index, low, high)
                is_guard = guard < index
                index = guard
            if index < stop:
                key = (int(tape.trades.ts[index]), tape.order, tape, index, is_guard)
                first = key if first is None or key[:2] < first[:2] else first
        return None if first is None else first[2:]

    def _pass(self, tape: Tape, stop: int) -> None:
        if stop <= tape.cursor:
            return
        self._broker.advance(tape.instrument.symbol, tape.trades, tape.cursor, stop)
        self._observe(tape, tape.cursor, stop)
        tape.cursor = stop

    def _observe(self, tape: Tape, start: int, stop: int) -> None:
        tape.look(stop)
        self._viewed = None
        symbol = tape.instrument.symbol
        if self._is_held(symbol):
            low, high = extent(tape.trades.price, start, stop)
            self.account.observe(symbol, int(low), int(high))

    def _is_held(self, symbol: str) -> bool:
        for position in self.account.positions.values():  # noqa: SIM110 - asked at every turn, mostly of none or few
            if position.tape == symbol:
                return True
        return False

    # Limits of the day, and the highest equity

    def _guard_prices(self) -> dict[str, tuple[int, int]] | None:
        """Return the prices that would trip a limit, as they stood at the last moment; a block's end is not a moment."""
        if not self.account.positions or self.state is TradingState.HALTED:
            return None
        if self._guards is None:
            view = self._view()
            held = {position.tape for position in self.account.positions.values()}
            self._guards = {symbol: self._door.guard(symbol, view, len(held)) for symbol in self._tapes if symbol in held}
        return self._guards

    def _look_out(self) -> _Outlook:
        """Say what the positions can come to until the block ends, all tapes at their worst and at their best at once.

        A guard price is reached when one tape goes its part of the way to a limit from where it stood at the last moment.
        Whatever that was, no tape goes farther than from its best to its worst price, and the way is never shorter than from
        the worst equity: so where that part of it is longer still, no guard price is reached.
        """
        held = self.account.positions
        if not held:
            return _make_outlook(is_far=True, can_mark=False)
        view = self._view()
        slopes: dict[str, Decimal] = {}
        for position in held.values():
            slope = position.instrument.tick_value * position.quantity
            slopes[position.tape] = slopes.get(position.tape, ZERO) + slope
        lowest = highest = view.equity
        longest = ZERO
        for symbol, slope in slopes.items():
            last = view.last_ticks.get(symbol)
            if last is None:
                return _make_outlook(is_far=False, can_mark=True)
            low, high = self._reachable(symbol, last)
            down, up = slope * (low - last), slope * (high - last)
            if slope < 0:
                down, up = up, down
            lowest, highest, longest = lowest + down, highest + up, max(longest, up - down)
        mark = max(self.account.high_water_mark, highest)
        is_far, way = self.state is _HALTED, longest * len(slopes)
        if not is_far:
            floor, ceiling = self._door.levels(view, mark)
            is_far = floor is not None and lowest - way > floor and (ceiling is None or highest + way < ceiling)
        return _make_outlook(is_far=is_far, can_mark=highest > self.account.high_water_mark)

    def _reachable(self, symbol: str, last: int) -> tuple[int, int]:
        # The prices of a tape from the last moment on; whatever block that was in.
        tape = self._tapes.get(symbol)
        if tape is None:
            return last, last
        low, high = min(last, tape.low), max(last, tape.high)
        if tape.seen < tape.count:
            least, most = extent(tape.trades.price, tape.seen, tape.count)
            low, high = min(low, int(least)), max(high, int(most))
        return low, high

    def _after_moment(self) -> None:
        self._guards = None
        self._had_moment = True
        if not self.account.positions or (self._is_lazy and self._outlook is not None and not self._outlook.can_mark):
            return
        last: dict[str, int] = {}
        for position in self.account.positions.values():
            symbol = position.tape
            tape = self._tapes.get(symbol)
            if tape is not None:
                tape.look(tape.clock.before(self._reach))
            if tape is not None and tape.last_ticks is not None:
                last[symbol] = tape.last_ticks
            elif symbol in self._carried:
                last[symbol] = self._carried[symbol]
        self.account.mark(self.account.equity(last))
