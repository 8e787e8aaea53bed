"""`sovereign dashboard`: pages and API over everything that runs and has run."""

from __future__ import annotations

from typing import Annotated

import typer

from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, emit, settings_from
from sovereign.core.errors import ConfigurationError


def command(
    port: Annotated[
        int | None, typer.Option("--port", "-p", min=0, max=65_535, help="Port; 0: any that is free; default: dashboard.port.")
    ] = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on; default: dashboard.host.")] = None,
    is_opened: Annotated[bool, typer.Option("--open", help="Open it in the browser of this machine.")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve dashboard and API until SIGTERM or Ctrl-C; reads the store, and never the trading process.

    Prints its address with the access key behind the #; the key is what commands from the page need. Off loopback reads need
    it too. Trading goes on when the dashboard ends, and ends when it ends of itself.
    """
    require_dashboard()
    from sovereign.app.dashboard.app import create_app
    from sovereign.app.dashboard.server import address_of, open_socket, quiet_logs, serve, yield_to_trading
    from sovereign.app.dashboard.token import tokens_of
    from sovereign.store.store import Store

    given = list(overrides or ())
    own = [f"dashboard.{name}={value}" for name, value in (("port", port), ("host", host)) if value is not None]
    loaded = settings_from(config, [*given, *own])
    settings = loaded.settings
    words = (*(("--config", str(config)) if config else ()), *(word for one in given for word in ("--set", one)))
    listening = open_socket(settings.dashboard)
    tokens = tokens_of(settings.dashboard)
    address = address_of(listening, settings.dashboard)
    with quiet_logs(settings), Store(settings.store) as store:
        app = create_app(store, loaded, words=words, tokens=tokens)
        yield_to_trading()
        opened = f"{address}/#key={tokens.key}"
        emit(
            {"address": address, "key": tokens.key, "open": opened},
            as_json,
            lambda said: (
                f"dashboard  {said['open']}\nAPI        {said['address']}/openapi.json\nCtrl-C ends it; trading goes on"
            ),
        )
        if is_opened:
            import webbrowser

            webbrowser.open(opened)
        serve(app, listening)


def require_dashboard() -> None:
    """Refuse when the packages of the dashboard are not installed.

    Raises
    ------
    ConfigurationError : names what is missing, and how to get it.
    """
    missing = missing_for_dashboard()
    if missing:
        raise ConfigurationError(f"the dashboard needs {', '.join(missing)}, not installed: pip install 'sovereign[dashboard]'")


def missing_for_dashboard() -> list[str]:
    """Return the packages of the dashboard that are not installed; imports none."""
    from importlib.util import find_spec

    return [name for name in ("fastapi", "uvicorn", "jwt") if find_spec(name) is None]
