"""The dashboard's settings."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from sovereign.core.configuration import Configuration


class DashboardConfig(Configuration):
    """Where the dashboard listens, whom it answers, and how much of what it keeps."""

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address to listen on. On any but a loopback address every read asks for a token too.",
    )
    port: int = Field(
        8000, ge=0, le=65_535, description="Port; 0 takes a free one. Source: order-flow requirement, dashboard on 8000."
    )
    names: tuple[str, ...] = Field(
        (),
        description="Further host names under which pages may ask, such as that of a reverse proxy; requests under any other "
        "name are refused (DNS rebinding).",
    )
    key: SecretStr = Field(
        SecretStr(""),
        description="The access key that is exchanged for a token; empty: a new one at every start, printed with the address.",
    )
    login_minutes: float = Field(
        15.0, gt=0, le=1440, description="How long a token holds, min; a page renews it while it is open. Own choice."
    )
    rotation_hours: float = Field(
        12.0, gt=0, le=168, description="Age at which the secret that signs tokens is replaced by a new one, h; own choice."
    )
    max_body_kb: int = Field(64, ge=1, le=10_240, description="Largest body of a request, KiB; own choice.")
    requests_per_s: float = Field(
        200.0, gt=0, description="Requests a second of one address; as many as in two seconds may come at once. Own choice."
    )
    writes_per_minute: float = Field(60.0, gt=0, description="Commands and other writes a minute of one address; own choice.")
    logins_per_minute: float = Field(
        10.0, gt=0, description="Attempts a minute of one address to exchange the access key for a token; own choice."
    )
    poll_ms: float = Field(
        200.0, ge=20, le=10_000, description="How often store and recordings are looked at for what is new, ms; own choice."
    )
    kept_messages: int = Field(
        2_000, ge=1, description="Messages of the stream that are kept for pages which were cut off for a while; own choice."
    )
    client_queue: int = Field(
        256, ge=1, description="Messages that may wait for one page; one that falls further behind is dropped. Own choice."
    )
    max_clients: int = Field(64, ge=1, description="Pages that may follow the stream at once; own choice.")
    command_timeout_s: float = Field(
        10.0, gt=0, le=120, description="Longest wait for a session's answer to a command, s; as the command line's default."
    )
    stale_s: float = Field(
        15.0, gt=0, description="Age of a running session's sign of life from which the page calls it stale, s; three beats."
    )
    bars: int = Field(120, ge=1, le=5_000, description="Footprint bars that a page is given at first; it asks for more.")
    folder: Path = Field(
        Path("data/dashboard"),
        description="Folder of what the dashboard keeps: notes and tags on trades, settings of the sessions it starts, and the "
        "output of those; relative to the working directory.",
    )
