"""An account at a venue, as guard and kill reach it: with credentials of their own, past every trading process.

`flatten_account` is the one way down: cancel what works, close what is open, and believe nothing but the venue's own word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sovereign.core.errors import BrokerError
from sovereign.core.session import Session
from sovereign.execution.broker import BrokerSnapshot


class AccountAccess(Protocol):
    """One account at one venue. Every call asks the venue itself, and raises `BrokerError` when it does not answer."""

    name: str

    async def start(self) -> None:
        """Connect, and stay connected until `close`."""
        ...

    async def close(self) -> None:
        """Disconnect for good."""
        ...

    async def snapshot(self) -> BrokerSnapshot:
        """Return orders, positions and cash as the venue has them; `now_ns` is the venue's time."""
        ...

    async def cancel_all(self) -> None:
        """Ask for the cancel of every working order."""
        ...

    async def flatten(self) -> None:
        """Ask for every position to be closed at the market."""
        ...

    async def wait_flat(self, seconds: float) -> bool:
        """Wait until no order works and nothing is open; False when `seconds` were not enough."""
        ...

    def session(self) -> Session | None:
        """Return the session that the venue says it is in, None when it does not say."""
        ...


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
    steps: tuple[str, ...] = field(default=())
    error: str = ""


async def _attempt(access: AccountAccess, wait_s: float, steps: list[str]) -> str:
    """Cancel, then close; return what went wrong. A cancel that fails keeps nobody from closing."""
    trouble = ""
    try:
        await asyncio.wait_for(access.cancel_all(), wait_s)
        steps.append("asked to cancel every order")
    except (BrokerError, TimeoutError) as error:
        trouble = f"cancel: {error or 'no answer in time'}"
        steps.append(trouble)
    try:
        await asyncio.wait_for(access.flatten(), wait_s)
        steps.append("asked to close every position")
        if not await access.wait_flat(wait_s):
            trouble = f"not flat after {wait_s:g} s"
            steps.append(trouble)
    except (BrokerError, TimeoutError) as error:
        trouble = f"flatten: {error or 'no answer in time'}"
        steps.append(trouble)
    return trouble


async def look(access: AccountAccess, wait_s: float) -> Holding:
    """Ask the venue what an account holds.

    Raises
    ------
    BrokerError : the venue did not answer within `wait_s`.
    """
    try:
        return holding_of(await asyncio.wait_for(access.snapshot(), wait_s))
    except TimeoutError as cause:
        raise BrokerError(f"the venue did not say within {wait_s:g} s what account '{access.name}' holds") from cause


async def flatten_account(access: AccountAccess, *, attempts: int, wait_s: float) -> Flattened:
    """Cancel and close everything of an account, as often as `attempts`, and ask the venue what is left.

    Raises nothing for a venue that fails: the result says what is known. `wait_s` bounds each single request.
    """
    steps: list[str] = []
    before = after = None
    error = ""
    made = 0
    for made in range(1, attempts + 1):  # noqa: B007 - told in the result
        try:
            after = await look(access, wait_s)
            before = before or after
            if after.is_flat:
                break
        except BrokerError as fault:
            error = str(fault)
            steps.append(error)
        # Also without an answer to the question: a venue may obey though it does not tell.
        error = await _attempt(access, wait_s, steps) or error
        try:
            after, error = await look(access, wait_s), ""
        except BrokerError as fault:
            after, error = None, str(fault)
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


def guarded_accounts(settings: Settings) -> list[AccountAccess]:
    """Return every account that is configured, each reached with the guard's own credentials.

    Raises
    ------
    ConfigurationError : there is none, or its credentials are missing.
    """
    from sovereign.app.venue import accounts_known, venue_token, venue_url
    from sovereign.execution.brokers.venue import venue_account

    url = settings.guard.url or venue_url(settings)
    given = settings.guard.token.get_secret_value()
    if given:
        return [venue_account(url, given)]
    return [venue_account(url, venue_token(settings, "guard", name), name=name) for name in accounts_known(settings)]
