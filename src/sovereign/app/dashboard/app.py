"""The application: reads, writes, pages and the stream, behind the wall."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from sovereign import __version__
from sovereign.app.dashboard.api import alias, read
from sovereign.app.dashboard.api_write import alias_write, write
from sovereign.app.dashboard.control import Control, UnconfirmedError
from sovereign.app.dashboard.guarding import Wall, is_loopback
from sovereign.app.dashboard.review import Reviews
from sovereign.app.dashboard.stream import Client, Stream, Watcher
from sovereign.app.dashboard.token import TokenRefusedError, Tokens, tokens_of
from sovereign.app.dashboard.view import View
from sovereign.core.errors import (
    BrokerError,
    ConfigurationError,
    NotFoundError,
    NotRunningError,
    OperationTimeoutError,
    RiskHaltError,
    SovereignError,
    UsageError,
)

if TYPE_CHECKING:
    from sovereign.app.configuration import LoadedSettings, Settings
    from sovereign.store.store import Store

_logger = logging.getLogger("sovereign.dashboard")
_PAGE = Path(__file__).parent / "page"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_BEARER = "sovereign.bearer."
_STATUSES: tuple[tuple[type[SovereignError], int, str], ...] = (
    (UnconfirmedError, 428, "unconfirmed"),
    (TokenRefusedError, 401, "token"),
    (NotFoundError, 404, "not_found"),
    (UsageError, 409, "impossible"),
    (ConfigurationError, 409, "configuration"),
    (NotRunningError, 409, "not_running"),
    (RiskHaltError, 409, "halted"),
    (OperationTimeoutError, 202, "unanswered"),
    (BrokerError, 424, "venue"),
    (SovereignError, 409, "failed"),
)
_DESCRIPTION = """Reads the store and the recordings of sessions from outside the trading process, and puts commands into the
store's queue, like the command line. Times are UTC nanoseconds as text, money is exact text, prices are ticks (`tick_size`).
`at` on a read answers with what was known then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the handlers work with."""

    settings: Settings
    view: View
    control: Control
    reviews: Reviews
    tokens: Tokens
    stream: Stream
    needs_token_to_read: bool
    now_ns: Callable[[], int]


def create_app(
    store: Store,
    loaded: LoadedSettings,
    *,
    words: tuple[str, ...] = (),
    tokens: Tokens | None = None,
    now_ns: Callable[[], int] = time.time_ns,
) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    store : open; not closed here. words : `--config` and `--set` as given, for sessions that are started from here.
    """
    settings = loaded.settings
    config = settings.dashboard
    tokens = tokens or tokens_of(config)
    view = View(store, settings, now_ns)
    desk = Desk(
        settings=settings,
        view=view,
        control=Control(store, loaded, words),
        reviews=Reviews(config.folder),
        tokens=tokens,
        stream=Stream(Watcher(view), config, tokens.instance),
        needs_token_to_read=not is_loopback(config.host),
        now_ns=now_ns,
    )

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        desk.stream.start()
        try:
            yield
        finally:
            await desk.stream.stop()
            view.markets.close()

    app = FastAPI(
        title="Sovereign",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.desk = desk
    app.include_router(read, prefix="/api/v1")
    app.include_router(write, prefix="/api/v1")
    app.include_router(alias)
    app.include_router(alias_write)
    _add_pages(app)
    _add_stream(app, desk)
    _add_errors(app)
    app.add_middleware(Wall, config=config)
    return app


def _add_errors(app: FastAPI) -> None:
    def problem(status: int, error: str, message: str, headers: Any = None) -> JSONResponse:
        return JSONResponse({"error": error, "message": message}, status_code=status, headers=headers)

    @app.exception_handler(SovereignError)
    def known(_: Request, error: SovereignError) -> Response:
        status, word = next((status, word) for kind, status, word in _STATUSES if isinstance(error, kind))
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
        return problem(status, word, _masked(app, str(error)), headers)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return problem(422, "invalid", f"{place}: {first['msg']}"[:400])

    @app.exception_handler(HTTPException)
    def other(_: Request, error: HTTPException) -> Response:
        words = {404: "not_found", 405: "method"}
        return problem(error.status_code, words.get(error.status_code, "refused"), str(error.detail), error.headers)


def _masked(app: FastAPI, text: str) -> str:
    from sovereign.app.ops.redaction import redactor_for

    return redactor_for(app.state.desk.settings)(text)


def _add_pages(app: FastAPI) -> None:
    files = {file.name: file for file in sorted(_PAGE.iterdir()) if file.suffix in _KINDS}

    def page(name: str) -> Response:
        file = files[name]
        return Response(file.read_bytes(), media_type=_KINDS[file.suffix])

    @app.get("/", include_in_schema=False)
    @app.get("/dashboard", include_in_schema=False)
    def index() -> Response:
        return page("index.html")

    @app.get("/page/{name}", include_in_schema=False)
    def asset(name: str) -> Response:
        if name not in files:  # only what lies there by name, whatever the path says
            raise HTTPException(404, "there is no such file")
        return page(name)

    @app.get("/page/vendor/plotly.min.js", include_in_schema=False)
    def plotly() -> Response:
        from sovereign.research.page import plotly_script

        return Response(plotly_script(), media_type=_KINDS[".js"], headers={"Cache-Control": "max-age=86400"})

    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> Response:
        return RedirectResponse("/page/icon.svg", status_code=308)

    @app.get("/healthz", include_in_schema=False)
    def health() -> Response:
        return JSONResponse({"status": "ok"})


def _add_stream(app: FastAPI, desk: Desk) -> None:
    async def follow(socket: WebSocket) -> None:
        protocols = [part.strip() for part in socket.headers.get("sec-websocket-protocol", "").split(",")]
        token = next((part.removeprefix(_BEARER) for part in protocols if part.startswith(_BEARER)), "")
        if desk.needs_token_to_read:
            try:
                desk.tokens.check(token)
            except TokenRefusedError:
                await socket.close(1008, "a token is needed")
                return
        await socket.accept("sovereign" if "sovereign" in protocols else None)
        client = await desk.stream.join(socket.query_params.get("epoch", ""), _number(socket.query_params.get("since")))
        if client is None:
            await socket.close(1013, "too many pages follow already")
            return
        hearing = asyncio.create_task(_hear(socket, client, desk.stream))
        try:
            await _speak(socket, client)
        except (WebSocketDisconnect, RuntimeError):  # the page has gone
            pass
        finally:
            desk.stream.leave(client)
            hearing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await hearing

    app.websocket("/ws")(follow)
    app.websocket("/api/v1/ws")(follow)


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 16 else 0


async def _speak(socket: WebSocket, client: Client) -> None:
    while True:
        text = await client.waiting.get()
        if text is None:
            await socket.close(1001, "the dashboard ends")
            return
        await socket.send_text(text)
        if client.is_dropped and client.waiting.empty():
            await socket.close(1013, "messages were not taken in time; connect again")
            return


async def _hear(socket: WebSocket, client: Client, stream: Stream) -> None:
    """Answer a page that asks for what it has missed; whatever else it says is not listened to."""
    try:
        while True:
            text = await socket.receive_text()
            if len(text) > 1_000:
                continue
            try:
                message = json.loads(text)
            except ValueError:
                continue
            if isinstance(message, dict) and message.get("type") == "resume":
                since = message.get("since")
                stream.resume(client, str(message.get("epoch", "")), since if isinstance(since, int) else 0)
    except (WebSocketDisconnect, RuntimeError, KeyError):
        stream.leave(client)
