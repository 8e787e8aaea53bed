"""The account at the venue as a second process sees it: the kill switch, the guard, a person at a prompt.

Synchronous, with a connection and a token of its own, so that it works when the trading session hangs. It reads no tape.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sovereign.core.errors import BrokerError, OperationTimeoutError
from sovereign.execution.broker import BrokerSnapshot
from sovereign.execution.venue.configuration import Pace
from sovereign.execution.venue.protocol import (
    AskSnapshot,
    Code,
    FlattenAccount,
    GoOn,
    Login,
    Reply,
    Welcome,
    decode_answer,
    encode,
)
from sovereign.execution.venue.terms import Message

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

_POLL_S = 0.05


class VenueAccount:
    """One account, over a connection of its own; use it in a `with` block. Made by `venue_account`.

    Parameters
    ----------
    timeout_s : longest wait for an answer, seconds.
    ending : what closes the connection.
    """

    def __init__(self, connection: ClientConnection, welcome: Welcome, timeout_s: float, ending: ExitStack) -> None:
        self.name = welcome.account
        self._connection = connection
        self._ending = ending
        self._is_lockstep = welcome.pace is Pace.LOCKSTEP
        self._timeout_s = timeout_s
        self._requests = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect."""
        self._ending.close()

    def snapshot(self, since_cursor: int = 0) -> BrokerSnapshot:
        """Return the account as the venue sees it.

        Raises
        ------
        BrokerError : the venue did not answer.
        """
        reply = self._ask(lambda n: AskSnapshot(request_id=n, since_cursor=since_cursor))
        if reply.snapshot is None:
            raise BrokerError(f"the venue answered '{reply.code}' when asked for account '{self.name}': {reply.reason}")
        return reply.snapshot.snapshot()

    def cancel_all(self) -> BrokerSnapshot:
        """Ask for the cancel of every order; return the account as it is then.

        Raises
        ------
        BrokerError : the venue did not answer; asking again is safe.
        """
        self._ask(lambda n: FlattenAccount(request_id=n, account=self.name, keeps_positions=True))
        return self.snapshot()

    def flatten(self) -> BrokerSnapshot:
        """Cancel every order and close every position at the market; return the account as it is then.

        The closing orders only reduce and have ids that do not depend on who asks or how often.

        Raises
        ------
        BrokerError : the venue did not answer; asking again is safe.
        """
        self._ask(lambda n: FlattenAccount(request_id=n, account=self.name))
        return self.snapshot()

    def wait_flat(self, seconds: float) -> BrokerSnapshot:
        """Wait until no position is open and no order is at work, asking for both again and again; return the account.

        A venue in lockstep is told to go on: whoever it waits for may be hanging.

        Raises
        ------
        OperationTimeoutError : something is still open after `seconds`.
        BrokerError : the venue did not answer.
        """
        end = time.monotonic() + seconds
        while True:
            account = self.flatten()
            working = [order.client_order_id for order in account.orders if not order.status.is_closed]
            if not account.positions and not working:
                return account
            if time.monotonic() > end:
                held = ", ".join(f"{p.quantity:+d} {p.symbol}" for p in account.positions) or "nothing"
                raise OperationTimeoutError(
                    f"account '{self.name}' was not flat after {seconds} s: it holds {held}, {len(working)} orders work; "
                    f"look at the venue, and ask again"
                )
            if self._is_lockstep:
                self._ask(lambda n: GoOn(request_id=n))
            time.sleep(_POLL_S)

    def _ask(self, message: Callable[[int], Message]) -> Reply:
        from websockets.exceptions import WebSocketException

        self._requests += 1
        end = time.monotonic() + self._timeout_s
        try:
            self._connection.send(encode(message(self._requests)))
            while (left := end - time.monotonic()) > 0:
                frame = self._connection.recv(left)
                answer = None if isinstance(frame, bytes) else decode_answer(frame)
                if isinstance(answer, Reply) and answer.request_id == self._requests:
                    if answer.code not in (Code.OK, Code.KNOWN):
                        raise BrokerError(f"the venue answered '{answer.code}': {answer.reason}")
                    return answer
        except (OSError, TimeoutError, WebSocketException) as cause:
            raise BrokerError(
                f"the venue did not answer ({cause or type(cause).__name__}); nothing is known, ask again"
            ) from cause
        raise BrokerError(f"the venue did not answer within {self._timeout_s} s; nothing is known, ask again")


def venue_account(url: str, token: str, *, timeout_s: float = 5.0, name: str = "") -> VenueAccount:
    """Log in to an account with a token of its own.

    Parameters
    ----------
    url, token : where, and as whom (a guard's or a person's token, not that of the trading session).
    timeout_s : longest wait for a connection and for each answer, seconds.

    Raises
    ------
    BrokerError : the venue is not there, or the token opens no account.
    """
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    with ExitStack() as stack:
        try:
            connection = stack.enter_context(
                connect(
                    url,
                    compression=None,
                    proxy=None,
                    open_timeout=timeout_s,
                    close_timeout=0.2,
                    ping_interval=None,
                    max_size=None,
                )
            )
        except (OSError, TimeoutError, WebSocketException) as cause:
            reason = str(cause) or type(cause).__name__
            raise BrokerError(f"there was no venue at {url} ({reason}); start it, or check the address") from cause
        try:
            connection.send(encode(Login(token=token, client=name)))
            frame = connection.recv(timeout_s)
        except (OSError, TimeoutError, WebSocketException) as cause:
            raise BrokerError(f"the venue at {url} did not answer a login; nothing is known, ask again") from cause
        answer = None if isinstance(frame, bytes) else decode_answer(frame)
        if not isinstance(answer, Welcome) or answer.is_admin:
            raise BrokerError(f"the token opened no account of the venue at {url}; use one of the account's own")
        return VenueAccount(connection, answer, timeout_s, stack.pop_all())
