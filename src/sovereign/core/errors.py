"""Every error the platform raises on purpose, and what the system does next.

    SovereignError                  1  the command stops
    |-- UsageError                  2  the command stops; the caller asked for something impossible
    |-- NotFoundError               3  the command stops; a name leads nowhere
    |-- ConfigurationError          4  nothing starts; a setting is wrong
    |-- DataError                   1  the row, file or session is skipped and reported; nothing is lost
    |   `-- CorruptFileError        1  what is whole is kept, the rest is reported
    |-- OperationTimeoutError       5  the operation is abandoned; its outcome is unknown until asked again
    |-- RiskHaltError               6  trading is halted; nothing new is opened
    |-- BrokerError                 7  the order stays in flight until the venue answers
    |-- NotRunningError             8  the command stops; there is no session to talk to
    `-- IllegalTransitionError      1  a defect: a state machine was asked for a move its table does not have

The number is the exit code of the command line. A message says what was given, what is allowed and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable


class SovereignError(Exception):
    """Base of every deliberate error; `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(SovereignError):
    """The request cannot be carried out as it was worded."""

    exit_code = 2


class NotFoundError(SovereignError):
    """A name (symbol, run, decision, file) leads nowhere."""

    exit_code = 3


class ConfigurationError(SovereignError):
    """A setting is missing, unknown or out of range; nothing starts."""

    exit_code = 4


class DataError(SovereignError):
    """Market data that cannot be used; it is set aside and reported, never guessed."""


class CorruptFileError(DataError):
    """A file ends early or does not decode; the whole records before the fault are kept."""


class OperationTimeoutError(SovereignError):
    """No answer in time; the outcome is unknown, not negative."""

    exit_code = 5


class RiskHaltError(SovereignError):
    """A halt is in force; nothing new is opened until it is cleared."""

    exit_code = 6


class BrokerError(SovereignError):
    """The broker or its connection failed."""

    exit_code = 7


class NotRunningError(SovereignError):
    """There is no running session to talk to."""

    exit_code = 8


class IllegalTransitionError(SovereignError):
    """A state machine was asked for a move that its table does not have."""


def suggestion(given: str, allowed: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the closest allowed word, or an empty string."""
    from difflib import get_close_matches

    close = get_close_matches(given, list(allowed), n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""
