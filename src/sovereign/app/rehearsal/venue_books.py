"""The venue's books as its administrator sees them, asked for over a connection of their own."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sovereign.core.errors import BrokerError, OperationTimeoutError

if TYPE_CHECKING:
    from sovereign.execution.broker import BrokerSnapshot

_POLL_S = 0.01
_ANSWER_S = 20.0


def wait_listening(state: Path, seconds: float) -> str:
    """Wait until a venue listens; return its address.

    Raises
    ------
    OperationTimeoutError : it does not within `seconds`.
    """
    notice, deadline = state / "venue.json", time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            return str(json.loads(notice.read_text(encoding="utf-8"))["url"])
        except (OSError, ValueError):
            time.sleep(_POLL_S)
    raise OperationTimeoutError(f"the venue in '{state}' did not listen within {seconds} s; see its log")


def books_of(state: Path, account: str) -> BrokerSnapshot:
    """Return everything that the venue knows of an account, with every order there ever was.

    Raises
    ------
    BrokerError : the venue did not answer.
    """
    from websockets.sync.client import connect

    from sovereign.execution.venue.protocol import AskBooks, Login, Reply, decode_answer, encode

    url = wait_listening(state, _ANSWER_S)
    token = json.loads((state / "tokens.json").read_text(encoding="utf-8"))[""]["admin"]
    with connect(url, compression=None, proxy=None, max_size=None, open_timeout=_ANSWER_S, close_timeout=0.2) as line:
        line.send(encode(Login(token=token, client="rehearsal")))
        line.send(encode(AskBooks(request_id=1, account=account)))
        deadline = time.monotonic() + _ANSWER_S
        while (left := deadline - time.monotonic()) > 0:
            answer = decode_answer(line.recv(left))
            if isinstance(answer, Reply) and answer.snapshot is not None:
                return answer.snapshot.snapshot()
    raise BrokerError(f"the venue at {url} did not tell its books of '{account}' within {_ANSWER_S} s")
