"""The kill switch: from a process of its own, on every configured account at once, whatever the trading process does.

First the latch, so that a session that looks or starts now does not trade; then cancel and flatten, account beside account;
then the venue's word for it. One account's failure stops nothing of another's.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sovereign.app.ops.account import AccountAccess, Flattened, flatten_account
from sovereign.app.ops.configuration import KillConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class KillReport:
    """What a kill did. `is_latched` says whether the store keeps it; `latch_error` why not."""

    is_flat: bool
    is_latched: bool
    accounts: tuple[Flattened, ...]
    latch_error: str = ""


def kill(
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
    outcome: queue.Queue[str] = queue.Queue()
    keeper = threading.Thread(target=lambda: outcome.put(_keep(latch, failures)), name="kill: latch", daemon=True)
    keeper.start()
    with ThreadPoolExecutor(max_workers=max(1, len(accounts)), thread_name_prefix="kill") as pool:
        results = list(pool.map(lambda access: _down(access, config), accounts))
    try:
        latch_error = outcome.get(timeout=config.wait_s)
    except queue.Empty:
        latch_error = f"the store did not answer within {config.wait_s:g} s"
    return KillReport(
        is_flat=bool(results) and all(result.is_flat for result in results),
        is_latched=not latch_error,
        accounts=tuple(results),
        latch_error=latch_error,
    )


def _keep(latch: Callable[[], None] | None, failures: tuple[type[Exception], ...]) -> str:
    if latch is None:
        return "no store"
    try:
        latch()
    except failures as error:
        return str(error)
    return ""


def _down(access: AccountAccess, config: KillConfig) -> Flattened:
    try:
        return flatten_account(access, attempts=config.attempts, wait_s=config.wait_s)
    finally:
        access.close()
