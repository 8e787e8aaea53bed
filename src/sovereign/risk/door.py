"""The one door: every order, from a strategy, a person, the kill switch or an exit, is judged here (law 6).

The door holds what outlives a single judgement: the day-start balance, the account's tier, winning and losing streaks, what
its approved orders may lose at their stops, and the halts it has latched. It knows no market and reads no clock; everything
else comes with the `AccountView`. `state` and `restore` carry it over a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.decision import Approved, Check, Proposal, Refused
from sovereign.core.errors import UsageError
from sovereign.core.event import Event, TradingState
from sovereign.core.instrument import Instrument, find_instrument
from sovereign.core.order import OrderEvent, OrderIntent, Side
from sovereign.core.port import AccountView, LateJudgement
from sovereign.core.position import Trade
from sovereign.core.session import NEVER, NS_PER_MINUTE, Session
from sovereign.risk.breaker import Breakers, room_halt
from sovereign.risk.case import Case
from sovereign.risk.check import ENTRY_CHECKS, CheckRule, check_loss_at_stop, with_portfolio_checks
from sovereign.risk.configuration import RiskConfig, TierConfig
from sovereign.risk.halt import Cause, Clearance, Halt, Latch
from sovereign.risk.judgement import NO_ROOM, Judgement
from sovereign.risk.limit import ZERO, floating, guard_prices, held, room_left
from sovereign.risk.memory import Memory, text
from sovereign.risk.number import FAR_HIGH, FAR_LOW, known
from sovereign.risk.patience import Patience
from sovereign.risk.reduction import judge_reduction, refuse
from sovereign.risk.sizing import Streaks
from sovereign.risk.standing import Standing
from sovereign.risk.timetable import schedule_of
from sovereign.risk.trip import high_margins, tripped
from sovereign.risk.window import Schedule

STATE_VERSION = 2


class OneDoor:
    """Judge orders by `RiskConfig`; implements `core.port.RiskDoor` and `core.port.PatientDoor`.

    Parameters
    ----------
    config : the limits.
    find : returns the instrument of a symbol (with the user's fees and margins, where overridden).
    checks : the entry checks, in order; a rule pack puts its own between them.
    is_brief : stop at the first check that fails, make no sentences, and refuse an unchanged account the same order without
        looking again. The verdict is the same; for lanes whose decisions nobody reads.
    schedule : windows and news; None reads those of the configuration.

    Raises
    ------
    ConfigurationError : `news_file` cannot be read.
    """

    def __init__(
        self,
        config: RiskConfig,
        *,
        find: Callable[[str], Instrument] = find_instrument,
        checks: Sequence[CheckRule] = ENTRY_CHECKS,
        is_brief: bool = False,
        schedule: Schedule | None = None,
    ) -> None:
        self.config = config
        self._is_brief = is_brief
        self._find = find
        self._given = tuple(checks)
        self._breakers = Breakers(config)
        checks = with_portfolio_checks(config, checks)
        if config.breakers.max_trades_per_session is not None:
            checks = (*checks, self._breakers.check_trade_count)
        self._schedule = schedule_of(config) if schedule is None else schedule
        self._standing = Standing(config, find)
        self._judgement = Judgement(config, checks, self._schedule, self._standing, is_brief=is_brief)
        self._patience = Patience(config, checks, self._judgement, self._standing)
        self._latch = Latch()
        self._watch_due_ns = self.due_ns = NEVER
        self._too_dear: tuple[Any, ...] = ()  # what a brief door last found too little room for

    # What the door knows

    @property
    def tier(self) -> TierConfig | None:
        """The account's tier; None when tiers are off or no session has begun."""
        return self._standing.tier

    @property
    def halts(self) -> tuple[Halt, ...]:
        """The halts in force, in the order in which they came."""
        return self._latch.halts

    @property
    def clearances(self) -> tuple[Clearance, ...]:
        """Who cleared which halt on this trade date, and when."""
        return self._latch.clearances

    @property
    def streaks(self) -> Streaks:
        """Wins and losses in a row."""
        return self._standing.memory.streaks

    @property
    def realized(self) -> Decimal:
        """Profit and loss of the trades closed in this session, after fees."""
        return self._standing.memory.realized

    @property
    def follows_equity(self) -> bool:
        """Whether a limit moves with equity itself and not with its highest alone: after a drawdown was cleared."""
        return self._standing.memory.mark is not None

    def traded_symbol(self, tape: str) -> str:
        """Return the symbol that is traded on a tape now."""
        return self._standing.traded_on(tape).symbol

    def room(self, view: AccountView) -> Decimal | None:
        """Return what may still be lost today after what open and working orders can lose at their stops; None if unknown."""
        positions = held(view.positions)
        limits = self._standing.limits_of(view, positions)
        return room_left(limits, known(view.equity), positions, view.last_ticks, self._standing.committed)

    # The port

    def start_session(self, session: Session, balance: Decimal) -> Sequence[Event]:
        """Take the day-start balance, end the halts of the day before, choose the tier.

        Halts that are in force all the same are repeated: a drawdown nobody cleared, and every halt of a trade date that had
        begun already (a restart), whose day-start balance and tier are kept too.
        """
        standing, memory = self._standing, self._standing.memory
        trade_date = session.trade_date.isoformat()
        if memory.trade_date == trade_date:
            said = self._latch.said(session.open_ns)
            self._settle_due()
            return said
        standing.start_day(trade_date, known(balance))
        self._latch.start_day()
        self._breakers.start_session()
        events: list[Event] = self._latch.said(session.open_ns)
        self._watch_due_ns = max(self._watch_due_ns, session.open_ns)
        self._settle_due()
        # with something open or working overnight, the tier waits until `inspect` sees the account flat
        memory.is_tier_due = bool(standing.committed) and memory.tier is not None
        if not memory.is_tier_due:
            events += standing.change_tier(session.open_ns, memory.day_start, can_promote=True)
        memory.day_tier = memory.tier
        return events

    def flatten_ns(self, session: Session) -> int:
        """Return when everything must be closed: so many minutes before the hours end (15:55 New York on a full day).

        `NEVER` when positions are held overnight.
        """
        if self.config.flatten_before_close_minutes is None:
            return NEVER
        close = session.regular_close_ns if self.config.hours == "regular" else session.close_ns
        return close - self.config.flatten_before_close_minutes * NS_PER_MINUTE

    def judge(self, proposal: Proposal, view: AccountView) -> tuple[tuple[Check, ...], Approved | Refused]:
        """Run the checks in order and return those made; the first that fails refuses.

        All are made, also after a failure, except after one of `FINAL_CHECKS`. A proposal without an intent, or with a failed
        check of its own, is refused in the strategy's words without a look at the account. Reduce-only intents are judged by
        `reduction.judge_reduction`.
        """
        intent = proposal.intent
        if intent is not None and intent.reduce_only:
            return judge_reduction(intent, view)
        asked: tuple[Any, ...] = ()
        if intent is not None:
            if not self._latch.is_halted and (runaway := self._breakers.propose(view.ts)) is not None:
                self._latch_untold(runaway)
            asked = self._room_asked(intent, view) if self._is_brief else ()
            if asked and asked == self._too_dear:
                return (), NO_ROOM
        for own in proposal.checks:
            if not own.passed:
                return (), refuse(own)
        if intent is None:
            nothing = Check("intent", 0.0, 1.0, "orders", passed=False, note=f"{proposal.name} asked for no order")
            return (nothing,), refuse(nothing)
        return self._judge_entry(proposal, intent, view, asked)

    def _judge_entry(
        self, proposal: Proposal, intent: OrderIntent, view: AccountView, asked: tuple[Any, ...]
    ) -> tuple[tuple[Check, ...], Approved | Refused]:
        if view.positions is None or view.last_ticks is None or view.margin_per_unit is None:
            return _refuse_blind(view)
        standing, judgement = self._standing, self._judgement
        positions = held(view.positions)
        standing.prune(view, positions)
        case = judgement.case(proposal, intent, view, judgement.known(view, positions, self._latch.halts, intent.symbol))
        checks, failed = judgement.look(case)
        if failed is not None:
            lacks_room = self._on_refusal(case, failed)
            if not self._is_brief:
                return checks, judgement.refuse(failed)
            if failed is case.size.checks.get(check_loss_at_stop.__name__) and not lacks_room:
                self._too_dear = asked
            return checks, Refused(failed.name, failed.limit, failed.value, failed.unit, failed.name)
        size = case.size
        loss = (size.stop_loss or ZERO) * size.quantity
        standing.committed = {**standing.committed, case.traded: standing.committed.get(case.traded, ZERO) + loss}
        was_resized = size.quantity < (size.wanted or size.quantity)
        tier = "" if case.tier is None else case.tier.name
        return checks, Approved(size.quantity, was_resized=was_resized, symbol=case.traded, tier=tier)

    def forbids(self, sides: NDArray[np.int8], ts: NDArray[np.int64], session: Session) -> NDArray[np.bool_]:
        """Return which entries of a session are refused whatever the account holds, while `is_calm`: by hours or side.

        What refuses one first may be another check. `sides` are 1 or -1, 0 where there is no entry; `ts` UTC ns.
        """
        return self._patience.forbids(sides, ts, session)

    def is_calm(self, view: AccountView) -> bool:
        """Say whether a refusal has no consequences now: trading is active, and nothing is out of order."""
        return not self._latch.halts and self._patience.is_calm(view)

    def is_at_rest(self, balance: Decimal, mark: Decimal, instruments: Sequence[Instrument]) -> bool:
        """Say whether `inspect` would find nothing, and nothing would be due: of a calm account that holds and orders nothing.

        Parameters
        ----------
        balance, mark : of the account, and its highest equity. instruments : that trade.
        """
        return (
            self.due_ns == NEVER
            and not self._latch.halts
            and self._breakers.is_at_rest
            and self._standing.is_at_rest(balance, mark, instruments)
        )

    def is_full(self, count: int) -> bool:
        """Say whether so many positions and working entries leave no room for another, while `is_calm`."""
        return self._patience.is_full(count)

    def count_proposed(self, times: Sequence[int]) -> bool:
        """Count entries that are forbidden as proposed at these times; False, and none is, when they may be too many."""
        return self._breakers.propose_all(times)

    def will_refuse(self, side: Side, view: AccountView) -> bool:
        """Say whether it is certain that an entry is refused, whatever it is of; if so it counts as proposed.

        Certain is what hours, side and number of positions forbid while `is_calm`.
        """
        if self._latch.halts or not self._patience.is_certain(side, view):
            return False
        if (runaway := self._breakers.propose(view.ts)) is not None:
            self._latch_untold(runaway)
        return True

    def remember(self, view: AccountView) -> LateJudgement:
        """Return what judges entries by what is known now, whenever it is asked."""
        return self._patience.remember(view, self._latch.halts)

    def guard(self, tape: str, view: AccountView, parts: int = 1) -> tuple[int, int]:
        """Return the prices (low, high, in ticks of `tape`) beyond which `inspect` would halt, other positions standing still.

        A price below low or above high trips; low, high and the prices between do not. Without a position on the tape, or when
        trading is halted already, the pair is (-2**31, 2**31 - 1). When a position is open and the money is not known, every
        price trips: low is then 2**31 - 1 and high -2**31.

        With positions on several tapes none of them stands still. `parts` is then their number: each may go its part of the way
        to a limit, so that as long as none is outside its guard, all together have reached none.
        """
        positions = held(view.positions)
        on_tape = [position for position in positions.values() if position.tape == tape]
        if not on_tape or self._latch.is_halted:
            return FAR_LOW, FAR_HIGH
        limits = self._standing.limits_of(view, positions)
        equity, lowest = known(view.equity), limits.lowest
        highest = limits.profit_level
        if parts > 1 and equity is not None and lowest is not None:
            lowest = lowest if lowest >= equity else equity - (equity - lowest) / parts
            highest = highest if highest is None or highest <= equity else equity + (highest - equity) / parts
        here = floating(on_tape, view.last_ticks)
        if equity is None or lowest is None:
            return FAR_HIGH, FAR_LOW
        if here is not None:
            return guard_prices(on_tape, equity - here, lowest, highest)
        # the tape has no price yet: build equity from the balance instead
        balance = known(view.balance)
        elsewhere = floating([position for position in positions.values() if position.tape != tape], view.last_ticks)
        if balance is None or elsewhere is None:
            return FAR_HIGH, FAR_LOW
        return guard_prices(on_tape, balance + elsewhere, lowest, highest)

    def levels(self, view: AccountView, mark: Decimal) -> tuple[Decimal | None, Decimal | None]:
        """Return the equities at or below the first and at or above the second of which `inspect` would halt.

        `mark` is taken for the high-water mark. None is not known for the first, and no limit for the second; when trading is
        halted already nothing trips, and the first is minus infinity.
        """
        if self._latch.is_halted:
            return Decimal("-Infinity"), None
        standing = self._standing
        limits, mark_now = standing.limits_of(view, held(view.positions)), standing.mark_of(mark)
        if limits.loss_level is None or mark_now is None:
            return None, limits.profit_level
        return max(limits.loss_level, mark_now * (1 - self.config.max_drawdown_frac)), limits.profit_level

    def inspect(self, view: AccountView) -> Sequence[Event]:
        """Look at the account now; return a `TradingStateChanged` for each limit that has newly tripped or is over.

        Losses, the profit target and an open position of unknown value halt; a high-margin day reduces. Each is said once and
        latches: for the day, the drawdown until `resume`. A thrown kill switch, or one that nobody can tell, latches as well.
        So do the breakers (see `risk.breaker`), and what a judgement has tripped is said here.
        """
        now = self._breakers.now(view.ts)
        positions = held(view.positions)
        standing, memory = self._standing, self._standing.memory
        standing.prune(view, positions)
        standing.follow_mark(view)
        events: list[Event] = []
        if memory.is_tier_due and not view.working_entries and not positions:
            memory.is_tier_due = False
            events += standing.change_tier(now, memory.day_start, can_promote=True)
        found = self._breakers.watch(view, positions, self._latch)
        events += self._latch.tell(now)
        events += self._latch.end(now, found.over)
        new = found.halts + tripped(view, standing.limits_of(view, positions), now, is_open=bool(positions))
        if not self._latch.is_halted:
            new = high_margins(standing.limited(view), view.margin_per_unit, self.config.margin_limits, now) + new
        if new:
            events += self._latch.latch(now, new)
        events += found.notices
        self._watch_due_ns = max(found.due_ns, now + 1)  # never at once: the engine asks until it is later
        self._settle_due()
        return events

    def on_trade(self, trade: Trade, view: AccountView) -> Sequence[Event]:
        """Count a closed trade; when everything is flat, a balance that has fallen below its tier loses it at once.

        The limits of the day stay those it began with; a higher tier waits for the next session. A streak of losses stops
        entries, see `BreakersConfig`.
        """
        standing, memory, net = self._standing, self._standing.memory, known(trade.net)
        events: list[Event] = []
        if net is not None:
            memory.realized += net
        if net is None or net < 0:
            memory.streaks = Streaks(0, memory.streaks.losses + 1)
        elif net > 0:
            memory.streaks = Streaks(memory.streaks.wins + 1, 0)
        if halts := list(self._breakers.on_trade(net, view.ts)):
            events += self._latch.latch(self._breakers.now_ns, halts)
            self._settle_due()
        positions = held(view.positions)
        if trade.instrument.symbol not in positions:
            standing.committed = {name: loss for name, loss in standing.committed.items() if name != trade.instrument.symbol}
        if not positions and not view.working_entries:
            events += standing.change_tier(self._breakers.now_ns, known(view.balance), can_promote=False)
        return events

    def on_answer(self, cause: OrderEvent, ts: int) -> Sequence[Event]:
        """Take note of how the venue answered an order; one rejected after the other halts."""
        halt = self._breakers.on_answer(cause, ts)
        if halt is None:
            return ()
        return self._latch.latch(halt.ts, [halt])

    # What a person may do

    def halt(self, cause: str, by: str, reason: str, ts: int) -> Sequence[Event]:
        """Halt trading by a person's or a part's word, until somebody resumes it; the cause `kill` must then be named.

        Raises
        ------
        UsageError : the cause or the name is empty, or the cause is one of the door's own.
        """
        return self._latch.order(TradingState.HALTED, cause, by, reason, self._breakers.now(ts))

    def reduce(self, cause: str, by: str, reason: str, ts: int) -> Sequence[Event]:
        """Let nothing be opened, by a person's or a part's word, until somebody resumes trading; raises as `halt` does."""
        return self._latch.order(TradingState.REDUCING, cause, by, reason, self._breakers.now(ts))

    def resume(
        self, by: str, reason: str, ts: int, *, causes: Collection[str] = (), view: AccountView | None = None
    ) -> Sequence[Event]:
        """Clear halts in a person's name and say what is in force now.

        Parameters
        ----------
        causes : those to clear; empty for all but a kill, which must be named, and the limits of the day, which nobody ends
            before the day does. After a drawdown has been cleared it is measured from the present equity.
        view : looked at in the same breath, so that a cause that still holds trips again at once. Without one `due_ns` asks
            for an `inspect`.

        Raises
        ------
        UsageError : nobody's name is given, a cause is not in force, or nothing in force can be cleared like this.
        """
        cleared, events = self._latch.resume(by, reason, ts, causes)
        if Cause.DRAWDOWN in cleared or Cause.DRAWDOWN_ROOM in cleared:
            self._standing.memory.is_mark_due = True
        self._breakers.cleared(cleared)
        if view is not None:
            return [*events, *self.inspect(view)]
        self._watch_due_ns = ts
        self._settle_due()
        return events

    # A restart

    def state(self) -> dict[str, Any]:
        """Return everything the door remembers as JSON-ready values."""
        return {
            "version": STATE_VERSION,
            **self._standing.memory.plain(),
            **self._latch.plain(),
            "watch_due_ns": self._watch_due_ns,
            "breakers": self._breakers.plain(),
            "committed": {symbol: text(loss) for symbol, loss in sorted(self._standing.committed.items())},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned; afterwards `start_session` of the same trade date changes nothing.

        Raises
        ------
        UsageError : the values are not those of `state`; the door stays as it was.
        """
        if state.get("version") != STATE_VERSION:
            raise UsageError(
                f"version of the risk state was {state.get('version')!r}; allowed is {STATE_VERSION}; start afresh"
            )
        try:
            memory = Memory.of_plain(state)
            latch, watch_due_ns = Latch.of_plain(state), int(state["watch_due_ns"])
            committed = {str(symbol): Decimal(loss) for symbol, loss in state["committed"].items()}
            self._breakers.restore(state["breakers"])  # the last that can fail
        except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation) as cause:
            raise UsageError(f"risk state was damaged ({cause!r}); restore a backup or start afresh") from cause
        self._standing.memory, self._standing.committed = memory, committed
        self._latch, self._watch_due_ns = latch, watch_due_ns
        self._settle_due()

    def twin(self) -> OneDoor:
        """Return a door that knows the same and leaves this one alone: for judging without consequences."""
        other = OneDoor(self.config, find=self._find, checks=self._given, is_brief=self._is_brief, schedule=self._schedule)
        other.restore(self.state())
        return other

    # Inside

    def _settle_due(self) -> None:
        self.due_ns = min(self._latch.due_ns, self._watch_due_ns)

    def _room_asked(self, intent: OrderIntent, view: AccountView) -> tuple[Any, ...]:
        # All that decides whether one unit fits into the room of an account with nothing open or approved; else empty.
        if view.positions or self._standing.committed:
            return ()
        memory = self._standing.memory
        asked = (view.session, memory.tier, memory.day_tier, len(view.last_ticks or ()), intent.symbol, intent.bracket)
        return (*asked, view.equity, view.high_water_mark, memory.day_start, view.day_start_balance, memory.mark)

    def _latch_untold(self, halt: Halt) -> None:
        # in force at once; the engine hears of it when it does what `due_ns` asks for
        self._latch.latch_untold(halt)
        self._settle_due()

    def _on_refusal(self, case: Case, failed: Check) -> bool:
        # what one refusal says about the whole account; whether no new day gives it the room that it lacks
        now = self._breakers.now(case.view.ts)
        if failed.name in ("kill_switch", "clock_skew"):
            self._watch_due_ns = now
            self._settle_due()
        if failed.name != "loss_at_stop" or (halt := room_halt(case, now)) is None:
            return False
        if not self._latch.is_halted and self._judgement.is_all_else_well(case):
            self._latch_untold(halt)
        return True


def _refuse_blind(view: AccountView) -> tuple[tuple[Check, ...], Refused]:
    absent = [name for name in ("positions", "last_ticks", "margin_per_unit") if getattr(view, name) is None]
    check = Check("numbers", float(len(absent)), 0.0, "numbers", passed=False, note=f"unknown: {', '.join(absent)}")
    return (check,), refuse(check)
