"""The evidence card: the verdict on a run, and the checks it rests on.

The rule is fixed and written down (`EvidenceCard.verdict`): a strategy that also earns on a market without information, or
that changes its mind when the future changes, is an **artefact**; one that fails anything else, or has a check nobody has run,
is **weak**; only the rest is **evidence**.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class EvidenceVerdict(StrEnum):
    """What a run proves."""

    EVIDENCE = "evidence"
    WEAK = "weak"
    ARTEFACT = "artefact"


class EvidenceName(StrEnum):
    """The checks of the card, in the order they are shown. All are required for `evidence`."""

    NULL = "null"
    LOOK_AHEAD = "look_ahead"
    COST_X2 = "cost_x2"
    COST_X3 = "cost_x3"
    BANDS = "bands"
    AMBIGUOUS = "ambiguous"
    TRIALS = "trials"
    SAMPLE = "sample"
    MEAN = "mean"
    ASSUMPTIONS = "assumptions"

    @property
    def question(self) -> str:
        """The question the check answers."""
        return _QUESTION[self]


_QUESTION = {
    EvidenceName.NULL: "Earns nothing on a driftless random market",
    EvidenceName.LOOK_AHEAD: "Does not change when the future changes",
    EvidenceName.COST_X2: "Survives doubled costs",
    EvidenceName.COST_X3: "Survives tripled costs",
    EvidenceName.BANDS: "Profitable under the pessimistic fill model",
    EvidenceName.AMBIGUOUS: "Few fills depend on the fill model",
    EvidenceName.TRIALS: "Better than the luckiest of the trials made",
    EvidenceName.SAMPLE: "Enough trades to judge",
    EvidenceName.MEAN: "Mean net profit per trade is above zero",
    EvidenceName.ASSUMPTIONS: "Recorded market, no setting softer than its default",
}

FATAL = frozenset({EvidenceName.NULL, EvidenceName.LOOK_AHEAD})
"""Checks whose failure means that the result was produced by the test, not by the market."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceCheck:
    """One check: `statistic` held against `threshold`, either None when there is none; `passed` is None when it was not run."""

    name: EvidenceName
    passed: bool | None
    statistic: float | None = None
    threshold: float | None = None
    detail: str = ""

    @property
    def state(self) -> str:
        """`passed`, `failed` or `not run`."""
        return "not run" if self.passed is None else "passed" if self.passed else "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceCard:
    """All checks of a run, each exactly once and in the order of `EvidenceName`. Build it with `EvidenceCard.of`."""

    checks: tuple[EvidenceCheck, ...]

    @staticmethod
    def of(checks: Iterable[EvidenceCheck]) -> EvidenceCard:
        """Put checks in order and state every missing one as not run; a later check replaces an earlier one of its name."""
        known = {check.name: check for check in checks}
        return EvidenceCard(
            checks=tuple(
                known.get(name) or EvidenceCheck(name=name, passed=None, detail="this check has not been run")
                for name in EvidenceName
            )
        )

    def with_checks(self, checks: Iterable[EvidenceCheck]) -> EvidenceCard:
        """Return the card with some checks replaced."""
        return EvidenceCard.of((*self.checks, *checks))

    def check(self, name: EvidenceName) -> EvidenceCheck:
        """Return one check."""
        return next(check for check in self.checks if check.name is name)

    @property
    def verdict(self) -> EvidenceVerdict:
        """Artefact if the null or the look-ahead check failed; weak if any other failed or any was not run; else evidence."""
        if any(check.passed is False and check.name in FATAL for check in self.checks):
            return EvidenceVerdict.ARTEFACT
        if all(check.passed for check in self.checks):
            return EvidenceVerdict.EVIDENCE
        return EvidenceVerdict.WEAK

    @property
    def reason(self) -> str:
        """The verdict in one sentence."""
        failed = [check.name.value for check in self.checks if check.passed is False]
        waiting = [check.name.value for check in self.checks if check.passed is None]
        if self.verdict is EvidenceVerdict.ARTEFACT:
            fatal = [name for name in failed if EvidenceName(name) in FATAL]
            return f"The result comes from the test, not from the market: {', '.join(fatal)} failed."
        if self.verdict is EvidenceVerdict.EVIDENCE:
            return "Every check was run and passed."
        parts = []
        if failed:
            parts.append(f"failed: {', '.join(failed)}")
        if waiting:
            parts.append(f"not run: {', '.join(waiting)}")
        return f"Not enough to trust ({'; '.join(parts)})."

    def to_plain(self) -> dict[str, object]:
        """Return JSON-ready values."""
        return {
            "verdict": self.verdict.value,
            "reason": self.reason,
            "checks": [
                {
                    "name": check.name.value,
                    "question": check.name.question,
                    "state": check.state,
                    "statistic": check.statistic if check.statistic is None or check.statistic == check.statistic else None,
                    "threshold": check.threshold if check.threshold is None or check.threshold == check.threshold else None,
                    "detail": check.detail,
                }
                for check in self.checks
            ],
        }
