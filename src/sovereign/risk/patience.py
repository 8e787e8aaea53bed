"""Patience: what the door is certain to refuse, and its judgement of that later, by what was known then.

It keeps nothing of its own; a late judgement carries what it needs (`core.port.PatientDoor`).
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sovereign.core.decision import Approved, Check, Proposal, Refused
from sovereign.core.errors import UsageError
from sovereign.core.event import TradingState
from sovereign.core.order import Side
from sovereign.core.port import AccountView, LateJudgement
from sovereign.core.session import Session
from sovereign.risk.check import PURE_CHECKS, CheckRule, check_positions, check_short, check_trading_hours
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.halt import Halt
from sovereign.risk.judgement import Judgement, Known
from sovereign.risk.limit import held
from sovereign.risk.standing import Standing

_ACTIVE, _SELL = TradingState.ACTIVE, Side.SELL  # looked up once: it takes long


class Patience:
    """Says of entries that they will be refused; see `OneDoor` for its methods.

    Parameters
    ----------
    rules : the entry checks; one that looks at more than its case makes everything uncertain.
    judgement, standing : those of the door.
    """

    def __init__(self, config: RiskConfig, rules: Collection[CheckRule], judgement: Judgement, standing: Standing) -> None:
        self._max_positions = config.max_positions
        self._is_patient = PURE_CHECKS.issuperset(rules) and {check_trading_hours, check_positions}.issubset(rules)
        self._forbids_shorts = check_short in rules
        self._judgement = judgement
        self._standing = standing

    def forbids(self, sides: NDArray[np.int8], ts: NDArray[np.int64], session: Session) -> NDArray[np.bool_]:
        """Return which entries of a session hours or side forbid."""
        if not self._is_patient:
            return np.zeros(len(ts), np.bool_)
        closed = ~self._judgement.times(session).are_entered_at(ts)
        return closed | (sides < 0) if self._forbids_shorts else closed

    def is_calm(self, view: AccountView) -> bool:
        """Say whether nothing is out of order, halts apart."""
        if not self._is_patient or view.is_killed is not False or view.state is not _ACTIVE:
            return False
        ts, data_ns, working = view.ts, view.data_ns, view.working_entries
        if type(ts) is not int or type(data_ns) is not int or type(working) is not int or data_ns > ts or view.unhealthy:
            return False
        if view.positions is None or view.last_ticks is None or view.margin_per_unit is None:
            return False
        # Where tiers rule, what is traded and what may be lost depend on the tier of the moment.
        return True not in self._standing.tiered_among(tuple(view.last_ticks))

    def is_full(self, count: int) -> bool:
        """Say whether so many positions and working entries leave no room for another."""
        return self._is_patient and count >= self._max_positions

    def is_certain(self, side: Side, view: AccountView) -> bool:
        """Say whether the account is calm, and hours, side or number of positions forbid an entry."""
        return self.is_calm(view) and (
            (self._forbids_shorts and side is _SELL)
            or self.is_full(len(held(view.positions)) + view.working_entries)
            or not self._judgement.times(view.session).is_entered_at(view.ts)
        )

    def remember(self, view: AccountView, halts: tuple[Halt, ...]) -> LateJudgement:
        """Return what judges entries by what is known now and by the halts in force."""
        positions = held(view.positions)
        self._standing.prune(view, positions)
        kept = {name: position.copy() for name, position in positions.items()}  # fills change them
        return partial(self._judge_late, self._judgement.known(view, kept, halts))

    def _judge_late(
        self, known_then: Known, proposal: Proposal, view: AccountView
    ) -> tuple[tuple[Check, ...], Approved | Refused]:
        if proposal.intent is None:
            raise UsageError(f"{proposal.name} asked for no order, and nothing is judged without one; hand in an entry")
        judgement = self._judgement
        checks, failed = judgement.look(judgement.case(proposal, proposal.intent, view, known_then))
        if failed is None:
            raise UsageError(f"an entry on {proposal.symbol} was not refused as was promised; hand in one of the same side")
        return checks, judgement.refuse(failed)
