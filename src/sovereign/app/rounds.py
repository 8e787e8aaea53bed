"""One round of decisions and no more: what `run --once` does for a strategy that decides on a grid of time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sovereign.core.configuration import Configuration
from sovereign.core.decision import Refused
from sovereign.core.event import DecisionMade, Event
from sovereign.core.session import NS_PER_MINUTE, NS_PER_SECOND, Session, from_ns


def round_minutes(section: Configuration) -> int | None:
    """Return how often a strategy looks for entries (min); None when it does not do so on a grid of time."""
    minutes = getattr(getattr(section, "entry", None), "cycle_minutes", None)
    return None if minutes is None else int(minutes)


class OneRound:
    """Waits for the next round of a session, and tells when it is over.

    A round is a multiple of its interval on the clock, in the day session: what is known then is decided on. It is over when
    the market was worked through up to it and every order that it sent was answered, or could not be for `patience_s`.

    Parameters
    ----------
    minutes : between two rounds. stop : ends the session, with a reason.
    """

    def __init__(self, session: Session, minutes: int, stop: Callable[[str], object], patience_s: float) -> None:
        self._session = session
        self._step = minutes * NS_PER_MINUTE
        self._stop = stop
        self._patience_ns = round(patience_s * NS_PER_SECOND)
        self._is_over = False
        self.due_ns: int | None = None
        self.is_made = False
        self.decisions: list[dict[str, Any]] = []

    def __call__(self, event: Event) -> None:
        """Take one event of the audit stream; those of before the round are not its own."""
        if isinstance(event, DecisionMade) and self.due_ns is not None and event.ts >= self.due_ns:
            decision = event.decision
            self.decisions.append(
                {
                    "decision_id": decision.decision_id,
                    "symbol": decision.proposal.symbol,
                    "name": decision.proposal.name,
                    "verdict": decision.verdict.value,
                    "reason": decision.outcome.reason if isinstance(decision.outcome, Refused) else "",
                }
            )

    def look(self, now_ns: int, until_ns: int, *, is_waiting: bool) -> None:
        """Look at the market's time.

        Parameters
        ----------
        until_ns : up to where the market was worked through. is_waiting : an order has not been answered.
        """
        if self._is_over:
            return
        if self.due_ns is None:
            self._begin(now_ns)
        elif until_ns > self.due_ns and (not is_waiting or until_ns > self.due_ns + self._patience_ns):
            self.is_made = True
            self._end(f"the round of {self._clock(self.due_ns)} was decided")

    def _begin(self, now_ns: int) -> None:
        session = self._session
        first = max(now_ns, session.regular_open_ns)
        due = (first // self._step + 1) * self._step
        if due > session.regular_close_ns or due - now_ns > self._step:
            opens = f"{self._clock(session.regular_open_ns)} to {self._clock(session.regular_close_ns)}"
            self._end(
                f"no round is due within {self._step // NS_PER_MINUTE} min: the day session of {session.trade_date} is {opens}"
            )
            return
        self.due_ns = due

    def _end(self, reason: str) -> None:
        self._is_over = True
        self._stop(reason)

    def _clock(self, ts: int) -> str:
        return f"{from_ns(ts, self._session.zone):%H:%M}"
