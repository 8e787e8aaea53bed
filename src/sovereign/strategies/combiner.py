"""Combining the views of several agents into one direction: two rules behind one port, for any set of agents.

`ConsensusRule` trades when agents agree, `ConflictRule` when institutions and the crowd disagree. They are opposites: choose
one by its results on data it has not seen, do not stack them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from pydantic import Field

from sovereign.core.configuration import Configuration
from sovereign.core.decision import Check, make_check
from sovereign.core.record import quick


class AgentRole(StrEnum):
    """Whose view an agent models."""

    INSTITUTION = "INSTITUTION"
    CROWD = "CROWD"


@quick
@dataclass(frozen=True, slots=True)
class AgentView:
    """What one agent thinks of a moment.

    Parameters
    ----------
    vote : +1 long, -1 short, 0 neither; None is an abstention: the agent has nothing to say and is not counted.
    confidence : 0..1; without meaning for an abstention.
    reason : in a few words, why.
    """

    agent: str
    role: AgentRole
    vote: int | None
    confidence: float = 0.0
    reason: str = ""

    @property
    def word(self) -> str:
        """The vote as a word."""
        return "abstain" if self.vote is None else _WORDS[self.vote]


_WORDS = {1: "long", 0: "none", -1: "short"}


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Combined:
    """What a rule made of the views.

    Parameters
    ----------
    direction : +1, -1, or 0 for no trade.
    confidence : 0..1 of that direction. size_factor : fraction of the usual size, 0..1.
    verdict : the rule's own word for it. agreeing : names of the agents that voted for the direction.
    checks : the rule's tests with their numbers, in order.
    """

    direction: int
    confidence: float
    size_factor: float
    verdict: str
    agreeing: tuple[str, ...]
    checks: tuple[Check, ...]


class Combiner(Protocol):
    """A rule that combines views."""

    def combine(self, views: Sequence[AgentView]) -> Combined:
        """Return the direction of a moment."""
        ...


class ConsensusConfig(Configuration):
    """The vote."""

    min_votes: int = Field(default=2, ge=1, description="Least agreeing votes (count). Source: council requirement.")
    voters_per_vote: int = Field(
        default=2,
        ge=1,
        description="One agreeing vote is needed for so many voters (count). Source: council requirement, n // 2.",
    )


class ConflictConfig(Configuration):
    """The conflict of institutions and crowd."""

    min_opposed: float = Field(
        default=0.75,
        gt=0,
        le=1,
        description="Least confidence of the institutions when the crowd opposes them (fraction). "
        "Source: tug of war requirement.",
    )
    min_alone: float = Field(
        default=0.80,
        gt=0,
        le=1,
        description="Least confidence when the crowd has no direction (fraction). Source: tug of war requirement.",
    )
    alone_factor: float = Field(
        default=0.60, gt=0, le=1, description="Size when the crowd has no direction (fraction). Source: tug of war requirement."
    )


class CombinerConfig(Configuration):
    """How the agents' views become one direction."""

    rule: Literal["consensus", "conflict"] = Field(
        default="consensus",
        description="Agreement of agents, or disagreement of institutions and crowd. Source: definitions 6.",
    )
    consensus: ConsensusConfig = Field(default=ConsensusConfig(), description="The vote.")
    conflict: ConflictConfig = Field(default=ConflictConfig(), description="The conflict of institutions and crowd.")


def new_combiner(config: CombinerConfig) -> Combiner:
    """Return the rule that the settings choose."""
    return ConsensusRule(config.consensus) if config.rule == "consensus" else ConflictRule(config.conflict)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _none(verdict: str, checks: tuple[Check, ...]) -> Combined:
    return Combined(direction=0, confidence=0.0, size_factor=0.0, verdict=verdict, agreeing=(), checks=checks)


class ConsensusRule:
    """The side with more votes among agents that did not abstain, if it has enough of them; a tie is no side.

    `max(min_votes, voters // voters_per_vote)` votes are enough; the confidence is the mean of those that agree.
    """

    def __init__(self, config: ConsensusConfig) -> None:
        self._config = config

    def combine(self, views: Sequence[AgentView]) -> Combined:
        """Return the direction of a moment."""
        voters = [view for view in views if view.vote is not None]
        long = [view for view in voters if view.vote == 1]
        short = [view for view in voters if view.vote == -1]
        agreeing, opposing = (long, short) if len(long) > len(short) else (short, long)
        needed = max(self._config.min_votes, len(voters) // self._config.voters_per_vote)
        lead = len(agreeing) - len(opposing)
        checks = (
            make_check(
                "votes",
                float(len(agreeing)),
                float(needed),
                "votes",
                len(agreeing) >= needed,
                f"{len(agreeing)} of {len(voters)} that did not abstain",
            ),
            make_check("opposition", float(lead), 1.0, "votes", lead >= 1, f"{len(opposing)} voted the other way"),
        )
        if not all(check.passed for check in checks):
            return _none("no consensus", checks)
        return Combined(
            direction=agreeing[0].vote or 0,
            confidence=_mean([view.confidence for view in agreeing]),
            size_factor=1.0,
            verdict="consensus",
            agreeing=tuple(view.agent for view in agreeing),
            checks=checks,
        )


class ConflictRule:
    """Institutions against the crowd: strong when the crowd opposes them, weak when it has no direction, never when it agrees.

    Each camp's direction is that of more of its votes, its confidence the mean of those; a tie is no direction.
    """

    def __init__(self, config: ConflictConfig) -> None:
        self._config = config

    def combine(self, views: Sequence[AgentView]) -> Combined:
        """Return the direction of a moment."""
        direction, confidence, agreeing = _camp(views, AgentRole.INSTITUTION)
        crowd, _, _ = _camp(views, AgentRole.CROWD)
        return self.judge(direction, confidence, agreeing, crowd)

    def judge(self, direction: int, confidence: float, agreeing: tuple[str, ...], crowd: int) -> Combined:
        """Return what comes of the camps' directions; `agreeing` are the institutions that voted for theirs."""
        config = self._config
        if not direction:
            return _none("no signal", (_NO_SIGNAL,))
        is_alone = crowd == 0
        limit = config.min_alone if is_alone else config.min_opposed
        checks = (
            _SIGNAL,
            _CROWDED[crowd * direction],
            make_check("conviction", confidence, limit, "fraction", confidence >= limit, "alone" if is_alone else "opposed"),
        )
        if crowd == direction and confidence >= config.min_opposed:
            return _none("crowded skip", checks)
        if crowd == direction or confidence < limit:
            return _none("no signal", checks)
        return Combined(
            direction=direction,
            confidence=confidence,
            size_factor=config.alone_factor if is_alone else 1.0,
            verdict="weak conflict" if is_alone else "strong conflict",
            agreeing=agreeing,
            checks=checks,
        )


_NO_SIGNAL = make_check("institutions", 0.0, 1.0, "direction", False)
_SIGNAL = make_check("institutions", 1.0, 1.0, "direction", True)
_CROWDED = {
    sign: make_check("crowded", float(sign), 0.0, "agreement", sign != 1, "the crowd is there already") for sign in (-1, 0, 1)
}
"""By the product of both camps' directions."""


def _camp(views: Sequence[AgentView], role: AgentRole) -> tuple[int, float, tuple[str, ...]]:
    voters = [view for view in views if view.role is role and view.vote]
    balance = sum(view.vote or 0 for view in voters)
    direction = (balance > 0) - (balance < 0)
    agreeing = [view for view in voters if view.vote == direction]
    return direction, _mean([view.confidence for view in agreeing]), tuple(view.agent for view in agreeing)
