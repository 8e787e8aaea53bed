"""The writes: tokens, commands, settings, notes. Each needs a token; those that close or open anything a typed word too."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body
from fastapi import Path as InPath
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from sovereign.app.dashboard import model, model_run
from sovereign.app.dashboard.api_common import NAME_PATTERN, DeskGiven, Writer, done, problems, send
from sovereign.app.dashboard.control import CONFIRMATIONS, KILL, SETTINGS, START, check_confirmed
from sovereign.app.dashboard.plain import plain
from sovereign.core.command import CommandKind
from sovereign.core.errors import NotFoundError

write = APIRouter()
alias_write = APIRouter(prefix="/api", tags=["aliases"])

# Tokens


class Login(BaseModel):
    """The access key, and the name under which commands are to be kept."""

    model_config = ConfigDict(extra="forbid")
    key: str = Field(max_length=200, description="Printed when the dashboard starts.")
    name: str = Field("", max_length=60, pattern=NAME_PATTERN, examples=["anna"])


_TOKEN = {200: {"model": model_run.Token, "description": "A token."}, **problems(400, 401, 403, 413, 422, 429)}


@write.post("/token", responses=_TOKEN, tags=["token"])
def login(desk: DeskGiven, body: Login) -> Response:
    """Exchange the access key for a token."""
    name = body.name.strip() or "dashboard"
    grant = desk.tokens.exchange(body.key, name)
    return send({"token": grant.token, "expires_s": grant.expires_s, "name": name})


@write.post("/token/renew", responses=_TOKEN, tags=["token"])
def renew(desk: DeskGiven, name: Writer) -> Response:
    """Exchange a token that still holds for a new one."""
    grant = desk.tokens.grant(name)
    return send({"token": grant.token, "expires_s": grant.expires_s, "name": name})


# Commands


class CommandRequest(BaseModel):
    """A command: why, to whom, and the word that confirms it."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field("", max_length=400, pattern=NAME_PATTERN, examples=["news at 14:00"])
    account: str | None = Field(None, max_length=64, pattern=NAME_PATTERN, description="Default: all.")
    strategy: str | None = Field(None, max_length=64, pattern=NAME_PATTERN, description="Default: all.")
    confirm: str = Field("", max_length=40, description="The word of `confirmations`, typed.", examples=["HALT"])


class TradeRequest(CommandRequest):
    """An order by hand, through the same door."""

    model_config = ConfigDict(extra="forbid")
    symbol: str = Field(min_length=1, max_length=20, pattern=NAME_PATTERN, examples=["ES"])
    side: Literal["BUY", "SELL"]
    quantity: int | None = Field(None, ge=1, le=1_000_000_000, description="Units; default: sized at the stop.")
    dry_run: bool = Field(False, description="Pass every check, say what would happen, send nothing.")
    flip: bool = Field(False, description="Close what is held the other way first.")


class CancelRequest(CommandRequest):
    """The cancel of one order."""

    model_config = ConfigDict(extra="forbid")
    client_order_id: str = Field(min_length=1, max_length=80, pattern=NAME_PATTERN)


class StartRequest(BaseModel):
    """A paper session to start."""

    model_config = ConfigDict(extra="forbid")
    strategy: str = Field("order_flow", max_length=64, pattern=NAME_PATTERN)
    account: str | None = Field(None, max_length=64, pattern=r"^[A-Za-z0-9_.-]*$", description="Default: session.account.")


class SettingsChange(BaseModel):
    """Settings for the sessions that are started from here; null takes one away."""

    model_config = ConfigDict(extra="forbid")
    values: dict[
        Annotated[str, Field(max_length=120, pattern=NAME_PATTERN)],
        Annotated[str, Field(max_length=400, pattern=NAME_PATTERN)] | None,
    ] = Field(max_length=50, examples=[{"risk.daily_loss_limit": "-200"}])


class ReviewRequest(BaseModel):
    """A note and tags about a trade."""

    model_config = ConfigDict(extra="forbid")
    run: str = Field(max_length=120, pattern=NAME_PATTERN)
    note: str = Field("", max_length=2_000)
    tags: list[Annotated[str, Field(min_length=1, max_length=40, pattern=NAME_PATTERN)]] = Field([], max_length=20)


def _ask(
    desk: DeskGiven, kind: CommandKind, who: str, body: CommandRequest, arguments: dict[str, str] | None = None
) -> Response:
    check_confirmed(kind.value, body.confirm)
    answers = desk.control.ask(
        kind, by=who, reason=body.reason, account=body.account, strategy=body.strategy, arguments=arguments
    )
    return send(answers)


def _command(kind: CommandKind, path: str, text: str) -> None:
    def ask(desk: DeskGiven, who: Writer, body: Annotated[CommandRequest, Body()]) -> Response:
        return _ask(desk, kind, who, body)

    ask.__doc__ = text
    ask.__name__ = kind.value.lower()
    write.post(path, responses=done(model_run.Answers), tags=["commands"])(ask)
    if kind.value.lower() in ("stop", "halt", "resume"):
        alias_write.post(f"/session/{kind.value.lower()}", responses=done(model_run.Answers))(ask)


_command(CommandKind.HALT, "/session/halt", "Cancel and close everything; nothing is opened until resumed.")
_command(CommandKind.REDUCE, "/session/reduce", "Open nothing new; what is open may be closed.")
_command(
    CommandKind.RESUME, "/session/resume", "Clear halts, and the kill of the account named (`*`: of all), and trade again."
)
_command(CommandKind.FLATTEN, "/session/flatten", "Cancel and close everything, and go on.")
_command(CommandKind.RECONCILE, "/session/reconcile", "Compare books with the broker now.")
_command(CommandKind.STOP, "/session/stop", "End the session in good order; positions stay as they are.")


@write.post("/session/trade", responses=done(model_run.Answers), tags=["commands"])
def trade(desk: DeskGiven, who: Writer, body: TradeRequest) -> Response:
    """Place an order by hand: the same door, the same checks, the same record."""
    arguments = {"symbol": body.symbol, "side": body.side}
    if body.quantity is not None:
        arguments["qty"] = str(body.quantity)
    arguments |= {name: "true" for name, given in (("dry_run", body.dry_run), ("flip", body.flip)) if given}
    if body.dry_run:
        body = body.model_copy(update={"confirm": CONFIRMATIONS[CommandKind.TRADE.value]})
    return _ask(desk, CommandKind.TRADE, who, body, arguments)


@write.post("/session/cancel", responses=done(model_run.Answers), tags=["commands"])
def cancel(desk: DeskGiven, who: Writer, body: CancelRequest) -> Response:
    """Cancel one working order."""
    return _ask(desk, CommandKind.CANCEL, who, body, {"order": body.client_order_id})


@write.post("/session/start", responses=done(model_run.Started), tags=["commands"])
@alias_write.post("/session/start", responses=done(model_run.Started))
def start(desk: DeskGiven, who: Writer, body: StartRequest) -> Response:  # noqa: ARG001 - asked for, so that it is checked
    """Start a paper session in a process of its own."""
    check_confirmed(START, "")
    return send(desk.control.start(body.strategy, body.account))


@write.post("/kill", responses=done(model_run.Killed), tags=["commands"])
def kill(desk: DeskGiven, who: Writer, body: CommandRequest) -> Response:
    """Latch the kill, cancel and close everything on every configured account, whatever the sessions do."""
    check_confirmed(KILL, body.confirm)
    return send(desk.control.kill(by=who, reason=body.reason or "from the dashboard"))


@write.post("/settings", responses=done(model_run.SettingRows), tags=["operations"])
@alias_write.post("/settings", responses=done(model_run.SettingRows))
def change_settings(desk: DeskGiven, who: Writer, body: SettingsChange) -> Response:  # noqa: ARG001 - see start
    """Keep settings for the sessions that are started from here; those that run keep what they began with."""
    check_confirmed(SETTINGS, "")
    return send({"rows": plain(desk.control.change(body.values))})


@write.put("/trades/{trade_id}/review", responses=done(model.Review), tags=["tables"])
def review(
    desk: DeskGiven, who: Writer, trade_id: Annotated[str, InPath(max_length=80, pattern=NAME_PATTERN)], body: ReviewRequest
) -> Response:
    """Write a note and tags about a trade."""
    found = desk.view.run(body.run)
    if all(one.trade_id != trade_id for one in desk.view.store.trades(found.id)):
        raise NotFoundError(f"trade was '{trade_id}', which is not in run '{found.id}'")
    kept = desk.reviews.keep(found.id, trade_id, note=body.note, tags=body.tags, by=who, ts=desk.now_ns())
    return send(kept)
