"""A judgement: what is known at a moment, the case that is made of it and of an order, and the look at that case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from sovereign.core.decision import Check, Proposal, Refused
from sovereign.core.order import OrderIntent
from sovereign.core.port import AccountView
from sovereign.core.record import maker
from sovereign.core.session import Session
from sovereign.risk.case import Case
from sovereign.risk.check import FINAL_CHECKS, LIKELY_CHECKS, CheckRule, check_loss_at_stop
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.halt import Halt
from sovereign.risk.limit import DayLimits
from sovereign.risk.number import NAN
from sovereign.risk.reduction import refuse
from sovereign.risk.sizing import Sizer, Streaks
from sovereign.risk.standing import Positions, Standing
from sovereign.risk.timetable import Timetable
from sovereign.risk.window import Schedule

NO_ROOM = Refused("loss_at_stop", NAN, NAN, "", "no room for one unit, as when it was last asked")


class Known(NamedTuple):
    """What is known at a judgement beside the order; none of it changes any more, except in the positions."""

    positions: Positions
    streaks: Streaks
    committed: Mapping[str, Decimal]
    halts: tuple[Halt, ...]
    limits: DayLimits
    timetable: Timetable


make_known = maker(Known)


class Judgement:
    """Looks at orders of one account.

    Parameters
    ----------
    rules : the entry checks, in order. schedule : windows and news. standing : the account's.
    is_brief : stop at the first check that fails, and ask first what refuses most.
    """

    def __init__(
        self, config: RiskConfig, rules: Sequence[CheckRule], schedule: Schedule, standing: Standing, *, is_brief: bool
    ) -> None:
        self._config = config
        self._rules = tuple(rules)
        self._checks = tuple(sorted(rules, key=lambda rule: rule not in LIKELY_CHECKS) if is_brief else rules)
        self._schedule = schedule
        self._standing = standing
        self._is_brief = is_brief
        self._sizer = Sizer(config)
        self._timetable = Timetable(config, schedule, None)
        self._refused: tuple[Check | None, Refused] = (None, NO_ROOM)

    def times(self, session: Session | None) -> Timetable:
        """Return the times of a session."""
        if self._timetable.session is not session:
            self._timetable = Timetable(self._config, self._schedule, session)
        return self._timetable

    def known(self, view: AccountView, positions: Positions, halts: tuple[Halt, ...], *tapes: str) -> Known:
        """Return what is known now; `positions` are those that are not flat, `tapes` those of the order."""
        standing = self._standing
        return make_known(
            positions,
            standing.memory.streaks,
            standing.committed,
            halts,
            standing.limits_of(view, positions, *tapes),
            self.times(view.session),
        )

    def case(self, proposal: Proposal, intent: OrderIntent, view: AccountView, known: Known) -> Case:
        """Return the case of an order under what is known; what is traded on its tape is as of now."""
        tape, standing = intent.symbol, self._standing
        is_tiered, traded = standing.is_tiered(tape), standing.traded_on(tape)
        return Case(
            config=self._config,
            intent=intent,
            strength=proposal.strength,
            confidence=proposal.confidence,
            inputs=proposal.inputs,
            view=view,
            positions=known.positions,
            traded=traded.symbol,
            instrument=traded.instrument,
            is_tiered=is_tiered,
            tier=standing.tier if is_tiered else None,
            families=standing.families,
            sizer=self._sizer,
            streaks=known.streaks,
            committed=known.committed,
            halts=known.halts,
            limits=known.limits,
            timetable=known.timetable,
        )

    def look(self, case: Case) -> tuple[tuple[Check, ...], Check | None]:
        """Return the checks made, and the first that failed."""
        checks = []
        failed: Check | None = None
        for rule in self._checks:
            check = rule(case)
            checks.append(check)
            if not check.passed:
                if failed is None:
                    failed = check
                if self._is_brief or rule in FINAL_CHECKS:
                    break
        return tuple(checks), failed

    def refuse(self, failed: Check) -> Refused:
        """Return the refusal that a failed check means.

        The check of a size is one record until the account or the order changes; so is the refusal with its sentence.
        """
        check, refused = self._refused
        if check is not failed:
            refused = refuse(failed)
            self._refused = (failed, refused)
        return refused

    def is_all_else_well(self, case: Case) -> bool:
        """Say whether every check before that of the loss at the stop has passed, where that one has failed."""
        # a brief door asks this check before its turn
        if not self._is_brief:
            return True
        before = self._rules[: self._rules.index(check_loss_at_stop)] if check_loss_at_stop in self._rules else ()
        return all(rule(case).passed for rule in before)
