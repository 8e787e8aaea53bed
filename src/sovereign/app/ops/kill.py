"""The kill switch: from a process of its own, on every configured account at once, whatever the trading process does.

First the latch, so that a session that looks or starts now does not trade; then cancel and flatten, account beside account;
then the venue's word for it. One account's failure stops nothing of another's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import Field

from sovereign.app.ops.account import AccountAccess, Flattened, flatten_account
from sovereign.core.configuration import Configuration


class KillConfig(Configuration):
    """How hard guard and kill try to flatten an account."""

    attempts: int = Field(3, ge=1, description="How often an account is canceled and flattened until it is flat; own choice.")
    wait_s: float = Field(
        10.0, gt=0, description="Longest wait for each answer of the venue, and for being flat, s; own choice."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KillReport:
    """What a kill did. `is_latched` says whether the store keeps it; `latch_error` why not."""

    is_flat: bool
    is_latched: bool
    accounts: tuple[Flattened, ...]
    latch_error: str = ""


async def kill(
    accounts: Sequence[AccountAccess],
    config: KillConfig,
    *,
    latch: Callable[[], None] | None,
    failures: tuple[type[Exception], ...],
) -> KillReport:
    """Latch, cancel, flatten, verify.

    Parameters
    ----------
    latch : keeps the kill in the store; None without one. It runs beside the flattening: a store that hangs delays nothing.
    failures : what `latch` may raise; it is reported and stops nothing.
    """

    async def keep() -> str:
        if latch is None:
            return "no store"
        try:
            await asyncio.wait_for(asyncio.to_thread(latch), config.wait_s)
        except TimeoutError:
            return f"the store did not answer within {config.wait_s:g} s"
        except failures as error:
            return str(error)
        return ""

    async def down(access: AccountAccess) -> Flattened:
        try:
            await access.start()
            return await flatten_account(access, attempts=config.attempts, wait_s=config.wait_s)
        finally:
            await access.close()

    latched = asyncio.create_task(keep())
    results = await asyncio.gather(*(down(access) for access in accounts))
    latch_error = await latched
    return KillReport(
        is_flat=bool(results) and all(result.is_flat for result in results),
        is_latched=not latch_error,
        accounts=tuple(results),
        latch_error=latch_error,
    )
