"""What the tug of war asks of a candidate beside the rule between the camps: the market, the veto, the next earnings.

Each says why with its numbers. `screen` makes the same tests of many rows at once.
"""

from __future__ import annotations

import math

from sovereign.core.decision import Check, make_check
from sovereign.core.errors import SovereignError
from sovereign.core.order import Side
from sovereign.core.session import NS_PER_HOUR
from sovereign.feeds.earnings import EarningsAnswer, EarningsCalendar, EarningsState, read_earnings
from sovereign.strategies.combiner import AgentView
from sovereign.strategies.tug_of_war.configuration import TugOfWarConfig
from sovereign.strategies.tug_of_war.row import Seen
from sovereign.strategies.tug_of_war.screen import CHOP, REGIMES, UNKNOWN

_NO_TAPE = "no data of the tape"
_NOT_ABSORBED = make_check("absorption", 0.0, 0.0, "flag", True, _NO_TAPE)


class EntryChecks:
    """The checks of one strategy; what is nearly always the same is one record."""

    def __init__(self, config: TugOfWarConfig) -> None:
        without = frozenset(config.without)
        self._crowd = config.crowd
        self._earnings = config.earnings
        self._is_unknown_report_blocked = config.entry.is_unknown_report_blocked
        self._has_chop_rule = "chop_rule" not in without
        self._has_veto = "veto" not in without
        self._looks_at_earnings = "earnings" not in without
        self._no_earnings = make_check("earnings", 0.0, config.earnings.blackout_h, "h", True, "left out")
        self._calendar: EarningsCalendar | None = None
        self._said: dict[tuple[int, bool, bool], tuple[Check, ...]] = {}

    def market(self, seen: Seen, side: Side) -> tuple[Check, ...]:
        """Return whether the market lets anything be opened, and in chop whether the share has broken out on this side."""
        key = (seen.regime, seen.can_enter, seen.is_halted)
        said = self._said.get(key)
        if said is None:
            said = self._said[key] = _market_said(*key)
        if seen.regime != CHOP or not self._has_chop_rule:
            return said
        ahead = side.sign * seen.breakout
        words = "in chop only a breakout on our side is traded"
        return (*said, make_check("opening_range", ahead, 0.0, "ranges", ahead > 0.0, words))

    def veto(self, seen: Seen, side: Side) -> tuple[Check, ...]:
        """Return whether order flow fades a share that is bought, or absorbs the buying; nothing is asked of a sale."""
        if side is Side.SELL or not self._has_veto:
            return ()
        crowd, rsi, ofi = self._crowd, seen.rsi, seen.ofi_z
        is_fade = rsi >= crowd.fade_rsi and ofi < crowd.fade_ofi
        absorbed = seen.is_absorption
        if math.isnan(ofi) and absorbed < 1:
            return make_check("fade", _known(rsi), crowd.fade_rsi, "index", not is_fade, _NO_TAPE), _NOT_ABSORBED
        words = _NO_TAPE if math.isnan(ofi) else f"order flow {ofi:.2f} deviations"
        return (
            make_check("fade", _known(rsi), crowd.fade_rsi, "index", not is_fade, words),
            make_check("absorption", float(max(0, absorbed)), 0.0, "flag", absorbed != 1, words),
        )

    def report(self, symbol: str, ts: int) -> EarningsAnswer:
        """Return what the earnings calendar says of a symbol at a time (UTC ns).

        Raises
        ------
        ConfigurationError, DataError : the calendar's file cannot be read.
        """
        if self._calendar is None:
            self._calendar = read_earnings(self._earnings)
        return self._calendar.at(symbol, ts)

    def earnings(self, symbol: str, ts: int) -> Check:
        """Return whether the next report is far enough away."""
        limit = self._earnings.blackout_h
        if not self._looks_at_earnings:
            return self._no_earnings
        try:
            answer = self.report(symbol, ts)
        except SovereignError as why:
            # A session that is on goes on: nothing is opened, and everything can still be closed.
            return make_check("earnings", math.nan, limit, "h", False, f"the calendar cannot be read: {why}")
        hours = math.nan if answer.report_ns is None else (answer.report_ns - ts) / NS_PER_HOUR
        is_unknown = answer.state is EarningsState.UNKNOWN
        passed = not answer.is_blocked or (is_unknown and not self._is_unknown_report_blocked)
        return make_check("earnings", hours, limit, "h", passed, answer.reason)


def crowd_check(crowd: AgentView) -> Check:
    """Return whether anything is known of the crowd."""
    return make_check("crowd_known", float(crowd.vote is not None), 1.0, "flag", crowd.vote is not None, crowd.reason)


def _market_said(regime: int, can_enter: bool, is_halted: bool) -> tuple[Check, ...]:
    word = "is stale or unknown" if regime == UNKNOWN else f"is {REGIMES[regime].lower()}"
    return (
        make_check("halt", float(is_halted), 0.0, "flag", not is_halted, "the market was in crisis and has not calmed down"),
        make_check("regime", float(can_enter), 1.0, "flag", can_enter or is_halted, f"the regime {word}"),
    )


def _known(value: float) -> float:
    return 0.0 if math.isnan(value) else value
