"""What the routes share: who may ask, which problems are told how, and the words of every query."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Query, Request
from fastapi import Path as InPath
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from sovereign.app.dashboard import model
from sovereign.app.dashboard.token import TokenRefusedError

if TYPE_CHECKING:
    from sovereign.app.dashboard.app import Desk

LATEST = 2**63 - 1
NAME_PATTERN = r"^[^\x00-\x1f\x7f]*$"

bearer = HTTPBearer(auto_error=False, description="A token from POST /api/v1/token.")


def desk_of(request: Request) -> Desk:
    """Return what the handlers work with."""
    found: Desk = request.app.state.desk
    return found


if TYPE_CHECKING:
    DeskGiven = Annotated[Desk, Depends(desk_of)]
else:  # the framework looks at the type, which would import the application
    DeskGiven = Annotated[Any, Depends(desk_of)]
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


def reader(desk: DeskGiven, credentials: Credentials) -> str:
    """Return who reads; off loopback a token is asked for."""
    if credentials is None and not desk.needs_token_to_read:
        return ""
    return writer(desk, credentials)


def writer(desk: DeskGiven, credentials: Credentials) -> str:
    """Return who writes: the name in the token.

    Raises
    ------
    TokenRefusedError : there is none, or it is void.
    """
    if credentials is None:
        raise TokenRefusedError("a token was missing; exchange the access key for one at POST /api/v1/token", "missing")
    return desk.tokens.check(credentials.credentials)


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Describe what may go wrong, by status."""
    words = {
        400: "The host name is not this dashboard's, or the request cannot be read.",
        401: "A token is missing or void.",
        403: "The request came from a page of another origin.",
        404: "There is no such thing.",
        409: "It cannot be done as things stand.",
        413: "The body is too large.",
        422: "A value is not allowed.",
        424: "The venue did not do it; look there.",
        428: "The typed confirmation is missing.",
        429: "Too many requests.",
    }
    return {code: {"model": model.Problem, "description": words[code]} for code in codes}


READ = problems(400, 401, 404, 409, 413, 422, 429)
WRITE = problems(400, 401, 403, 404, 409, 413, 422, 424, 428, 429)


def ok(answer: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Describe the answers of a read."""
    return {200: {"model": answer, "description": "As asked."}, **READ}


def done(answer: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Describe the answers of a write."""
    return {
        200: {"model": answer, "description": "Carried out, or left for the next start."},
        202: {"model": model.Problem, "description": "Put, but not answered in time: the outcome is not known."},
        **WRITE,
    }


RunName = Annotated[
    str | None,
    Query(
        max_length=120,
        pattern=NAME_PATTERN,
        description="A run's or session's name, a prefix that only it has, or `last`; default: the session that runs.",
    ),
]
AtMoment = Annotated[
    str | None,
    Query(
        pattern=r"^\d{1,19}$",
        description="UTC nanoseconds: what was known then (time travel).",
        examples=["1763391600000000000"],
    ),
]
Limit = Annotated[int, Query(ge=1, le=5_000, description="Most rows, the newest.")]
Symbol = Annotated[str | None, Query(max_length=20, pattern=NAME_PATTERN)]
Day = Annotated[date | None, Query(description="Trade date, where a run has several; default: its last.")]


def moment(at: str | None) -> int | None:
    """Return a moment as an integer the store can hold."""
    return None if at is None else min(int(at), LATEST)


def send(value: Any, status: int = 200) -> JSONResponse:
    """Return an answer as it is."""
    return JSONResponse(value, status_code=status)


InRun = Annotated[str, InPath(max_length=120, pattern=NAME_PATTERN)]
Writer = Annotated[str, Depends(writer)]
