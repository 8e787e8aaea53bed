"""What a session begins with: what the last one left, with the money that came or went since; or what the venue says.

States are kept by account and strategy, and an account by its name and where it is: one called `x` on paper and one called `x`
that trades live share nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sovereign.core.errors import BrokerError, OperationTimeoutError
from sovereign.core.instrument import find_instrument
from sovereign.execution.account import Account
from sovereign.execution.transfer import money_moved, moved_mark
from sovereign.risk.memory import moved_marks

if TYPE_CHECKING:
    from pathlib import Path

    from sovereign.engine.inputs import Opening, SessionOpened
    from sovereign.engine.lines import Lines
    from sovereign.engine.live_configuration import LiveConfig
    from sovereign.execution.broker import BrokerSnapshot
    from sovereign.store.session_state import SessionState

_logger = logging.getLogger("sovereign.session")


def recorded_opening(path: Path) -> SessionOpened | None:
    """Return how a recording begins; None when there is none, or it ended before the session was opened.

    Raises
    ------
    CorruptFileError : the file is no recording.
    """
    from sovereign.engine.inputs import SessionOpened, read_inputs
    from sovereign.store.recording import read_recording

    if not path.is_file():
        return None
    first = next(read_inputs(read_recording(path)), None)
    return first if isinstance(first, SessionOpened) else None


def new_opening(
    config: LiveConfig,
    lines: Lines,
    state: SessionState | None,
    starting_balance: Decimal,
    wait: Callable[[float], bool],
    *,
    monotonic: Callable[[], float] = time.monotonic,
) -> Opening:
    """Return what a session that has not begun yet begins with.

    Parameters
    ----------
    state : what the last session left; None for an account that was never traded: then the venue is waited for.
    starting_balance : of an account that is in this process.
    wait : waits some seconds; returns whether the process is told to stop.

    Raises
    ------
    BrokerError, OperationTimeoutError : the venue did not answer, and the process is told to stop.
    """
    from sovereign.engine.inputs import Opening, OpenPosition

    if state is None:
        snapshot = _first_snapshot(config, lines, 0, wait)
        balance = starting_balance if snapshot is None else snapshot.cash
        cursor = 0 if snapshot is None else snapshot.cursor
        return _numbered(Opening(balance=balance, high_water_mark=balance, cursor=cursor), lines)
    positions = tuple(
        OpenPosition(symbol=held.symbol, tape=held.tape, quantity=held.quantity, cost_ticks=held.cost_ticks)
        for held in state.positions
        if held.quantity
    )
    opening = Opening(
        balance=state.balance,
        high_water_mark=state.high_water_mark,
        positions=positions,
        door=dict(state.door),
        cursor=state.execution_cursor,
    )
    # A venue that is silent now does not keep the session from beginning: entries wait for the first comparison anyway.
    until = monotonic() + config.answer_s
    snapshot = _first_snapshot(config, lines, state.execution_cursor, wait, is_over=lambda: monotonic() >= until)
    return _numbered(opening if snapshot is None else _with_moved(opening, snapshot, config.cash_tolerance), lines)


def _numbered(opening: Opening, lines: Lines) -> Opening:
    # The reports that were heard so far are in what the venue has told.
    return replace(opening, number=getattr(lines.link, "private_seq", 0))


def _with_moved(opening: Opening, snapshot: BrokerSnapshot, tolerance: Decimal) -> Opening:
    """Return an opening with the money that came or went since the last session, marks included."""
    books = Account(opening.balance)
    for held in opening.positions:
        books.adopt(find_instrument(held.symbol), held.tape, held.quantity, held.cost_ticks, snapshot.now_ns, "carried over")
    moved = money_moved(books, snapshot, opening.cursor, tolerance)
    if not moved:
        return opening

    def mark(value: Decimal) -> Decimal:
        return moved_mark(value, opening.balance, moved)

    return replace(
        opening,
        balance=opening.balance + moved,
        high_water_mark=mark(opening.high_water_mark),
        door=moved_marks(opening.door, mark),
        moved=moved,
    )


def _first_snapshot(
    config: LiveConfig,
    lines: Lines,
    cursor: int,
    wait: Callable[[float], bool],
    is_over: Callable[[], bool] = bool,
) -> BrokerSnapshot | None:
    """Ask for the account, again and again while the line is bad; None without a broker, or when it `is_over`."""
    while lines.link is not None:
        try:
            snapshot: Any = lines.call(lines.link.snapshot(cursor))
        except (BrokerError, OperationTimeoutError) as silence:
            _logger.warning("the venue did not tell its side of the account (%s); it is asked again", silence)
            if wait(config.retry_s):
                raise
            if is_over():
                return None
        else:
            found: BrokerSnapshot = snapshot
            return found
    return None
