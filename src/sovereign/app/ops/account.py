"""An account at a venue, as guard and kill reach it: with credentials of their own, past every trading process.

`flatten_account` is the one way down: cancel what works, close what is open, and believe nothing but the venue's own word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sovereign.core.errors import BrokerError, ConfigurationError, OperationTimeoutError
from sovereign.execution.broker import BrokerSnapshot

if TYPE_CHECKING:
    from pathlib import Path

    from sovereign.app.configuration import Settings
    from sovereign.execution.brokers.venue_account import VenueAccount


class AccountAccess(Protocol):
    """One account at one venue. Every call asks the venue itself and waits for it, but never longer than its own limit.

    A venue that does not answer is a `BrokerError`; the next call tries anew.
    """

    name: str
    broker: str
    """Where it is, as the settings call it."""

    def snapshot(self) -> BrokerSnapshot:
        """Return orders, positions and cash as the venue has them; `now_ns` is the venue's time."""
        ...

    def cancel_all(self) -> None:
        """Ask for the cancel of every working order."""
        ...

    def flatten(self) -> None:
        """Ask for every position to be closed at the market."""
        ...

    def wait_flat(self, seconds: float) -> bool:
        """Wait until no order works and nothing is open; False when `seconds` were not enough."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


class VenueAccess:
    """An account at the simulated venue. The connection is made at the first call, and anew after every failure."""

    broker = "venue"

    def __init__(self, url: str, token: str, name: str, timeout_s: float) -> None:
        self.name = name
        self.url, self._token, self._timeout_s = url, token, timeout_s
        self._open: VenueAccount | None = None

    def _account(self) -> VenueAccount:
        from sovereign.execution.brokers.venue_account import venue_account

        if self._open is None:
            self._open = venue_account(self.url, self._token, timeout_s=self._timeout_s, name="guard")
            self.name = self._open.name
        return self._open

    def snapshot(self) -> BrokerSnapshot:
        """Return the account as the venue has it."""
        try:
            return self._account().snapshot()
        except BrokerError:
            self.close()
            raise

    def cancel_all(self) -> None:
        """Ask for the cancel of every working order."""
        try:
            self._account().cancel_all()
        except BrokerError:
            self.close()
            raise

    def flatten(self) -> None:
        """Ask for every position to be closed at the market."""
        try:
            self._account().flatten()
        except BrokerError:
            self.close()
            raise

    def wait_flat(self, seconds: float) -> bool:
        """Wait until no order works and nothing is open; False when `seconds` were not enough."""
        try:
            self._account().wait_flat(seconds)
        except OperationTimeoutError:
            return False
        except BrokerError:
            self.close()
            raise
        return True

    def close(self) -> None:
        """Disconnect; the next call connects anew."""
        account, self._open = self._open, None
        if account is not None:
            with suppress(OSError):
                account.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What an account holds at one moment: signed positions by symbol, and how many orders work."""

    now_ns: int
    positions: Mapping[str, int]
    working: tuple[str, ...]

    @property
    def is_flat(self) -> bool:
        """Say whether nothing is open and nothing works."""
        return not self.positions and not self.working

    @property
    def text(self) -> str:
        """What is held, for people."""
        held = ", ".join(f"{quantity:+d} {symbol}" for symbol, quantity in sorted(self.positions.items()))
        return f"{held or 'no position'}, {len(self.working)} working orders"


def holding_of(snapshot: BrokerSnapshot) -> Holding:
    """Return what a snapshot says is held."""
    return Holding(
        now_ns=snapshot.now_ns,
        positions={position.symbol: position.quantity for position in snapshot.positions if position.quantity},
        working=tuple(order.client_order_id for order in snapshot.orders if not order.status.is_closed),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Flattened:
    """What came of flattening an account. `before` and `after` are None when the venue did not say; None is not flat."""

    account: str
    is_flat: bool
    before: Holding | None = None
    after: Holding | None = None
    attempts: int = 0
    steps: tuple[str, ...] = ()
    error: str = ""


def _attempt(access: AccountAccess, wait_s: float, steps: list[str]) -> str:
    """Cancel, then close; return what went wrong. A cancel that fails keeps nobody from closing."""
    trouble = ""
    try:
        access.cancel_all()
        steps.append("asked to cancel every order")
    except Exception as error:  # noqa: BLE001 - a defect on the way to canceling keeps nobody from closing either
        trouble = f"cancel: {error}"
        steps.append(trouble)
    try:
        access.flatten()
        steps.append("asked to close every position")
        if not access.wait_flat(wait_s):
            trouble = f"not flat after {wait_s:g} s"
            steps.append(trouble)
    except Exception as error:  # noqa: BLE001 - the wait asks for the account as well; the next attempt is made
        trouble = f"flatten: {error}"
        steps.append(trouble)
    return trouble


def flatten_account(access: AccountAccess, *, attempts: int, wait_s: float) -> Flattened:
    """Cancel and close everything of an account, as often as `attempts`, and ask the venue what is left.

    A venue that fails raises nothing: the result says what is known. `wait_s` is the longest wait for being flat, each time.
    """
    steps: list[str] = []
    before = after = None
    error = ""
    made = 0
    for made in range(1, attempts + 1):  # noqa: B007 - told in the result
        try:
            after = holding_of(access.snapshot())
            before = before or after
            if after.is_flat:
                break
        except Exception as fault:  # noqa: BLE001 - whatever the question ran into, the account is canceled and closed
            error = str(fault) or type(fault).__name__
            steps.append(error)
        # Also without an answer to the question: a venue may obey though it does not tell.
        error = _attempt(access, wait_s, steps) or error
        try:
            after, error = holding_of(access.snapshot()), ""
        except Exception as fault:  # noqa: BLE001 - what is left is not known then, and the next attempt is made
            after, error = None, str(fault) or type(fault).__name__
        if after is not None and after.is_flat:
            break
    is_flat = after is not None and after.is_flat
    steps.append(f"the venue says: {after.text}" if after is not None else "the venue does not say what is left")
    return Flattened(
        account=access.name,
        is_flat=is_flat,
        before=before,
        after=after,
        attempts=made,
        steps=tuple(steps),
        error="" if is_flat else error or "still not flat",
    )


class Unreachable:
    """An account that was traded at and whose credentials are not here: never reported as flat, never in the way of others."""

    def __init__(self, broker: str, reason: str) -> None:
        self.name = self.broker = broker
        self._reason = reason

    def _refuse(self) -> BrokerError:
        return BrokerError(f"the account at '{self.name}' cannot be reached: {self._reason}")

    def snapshot(self) -> BrokerSnapshot:
        """Raise BrokerError."""
        raise self._refuse()

    def cancel_all(self) -> None:
        """Raise BrokerError."""
        raise self._refuse()

    def flatten(self) -> None:
        """Raise BrokerError."""
        raise self._refuse()

    def wait_flat(self, seconds: float) -> bool:  # noqa: ARG002 - the port's word
        """Raise BrokerError."""
        raise self._refuse()

    def close(self) -> None:
        """Do nothing."""


def guarded_accounts(settings: Settings) -> list[AccountAccess]:
    """Return every account that is configured, or has been traded at, each reached with the guard's own credentials.

    `sovereign run --broker` may trade elsewhere than `session.broker` says; it leaves a mark of where (`mark_broker`).

    Raises
    ------
    ConfigurationError : the credentials of all of them are missing. Of some: these are in the list, and every call says why.
    """
    from sovereign.app.brokers import ALPACA, VENUE, alpaca_account

    used = {settings.session.broker.value, *(mark.name for mark in _marks(settings).glob("*"))}
    found: list[AccountAccess] = []
    missing: list[tuple[str, ConfigurationError]] = []
    parts: tuple[tuple[str, Callable[[], list[AccountAccess]]], ...] = (
        (ALPACA, lambda: [alpaca_account(settings, settings.session.account)]),
        (VENUE, lambda: _venue_accounts(settings)),
    )
    for broker, accounts in parts:
        if broker in used:
            try:
                found += accounts()
            except ConfigurationError as cause:
                missing.append((broker, cause))
    if not found and missing:
        raise missing[0][1]
    return [*found, *(Unreachable(broker, str(cause)) for broker, cause in missing)]


def mark_broker(settings: Settings, broker: str) -> None:
    """Leave a mark that a session has traded at a broker, so that guard and kill look there as well."""
    folder = _marks(settings)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / broker).touch()


def _marks(settings: Settings) -> Path:
    return settings.session.folder / "brokers"


def _venue_accounts(settings: Settings) -> list[AccountAccess]:
    from sovereign.app.venue import account_names, venue_token, venue_url

    url, wait_s = settings.guard.url or venue_url(settings), settings.kill.wait_s
    if given := settings.guard.token.get_secret_value():
        return [VenueAccess(url, given, "paper", wait_s)]
    names = account_names(settings) or [""]
    return [VenueAccess(url, venue_token(settings, "guard", name), name or "paper", wait_s) for name in names]
