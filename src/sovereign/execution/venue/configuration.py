"""Settings of the simulated venue and of the client that trades on it."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from sovereign.core.configuration import Configuration


class Pace(StrEnum):
    """How the venue's market time passes."""

    REALTIME = "realtime"
    FAST = "fast"
    LOCKSTEP = "lockstep"


class TapeSpec(Configuration):
    """What a market publishes, session after session: the synthetic market or recorded sessions."""

    source: Literal["synthetic", "catalog"] = Field(default="synthetic", description="synthetic, or catalog: recorded sessions")
    symbol: str = Field(default="ES", description="futures root, contract or equity")
    others: tuple[str, ...] = Field(
        default=(), description="further symbols on the same clock; synthetic ones are then all equities that move together"
    )
    start: date = Field(description="first trade date")
    end: date | None = Field(default=None, description="last trade date, both included; none: `sessions` decides")
    sessions: int = Field(default=1, ge=1, description="number of synthetic sessions when no end is given")
    seed: int = Field(default=7, ge=0, description="seed of the synthetic market")
    hours: Literal["regular", "all"] = Field(default="regular", description="the day session, or everything the venue trades")
    offset_s: float = Field(default=0.0, ge=0, description="seconds of each session that are left out at its start")
    seconds: float | None = Field(default=None, gt=0, description="length each session is cut to, seconds; none: whole")
    synthetic: dict[str, float | int | bool] = Field(
        default_factory=dict, description="keys of the synthetic market that differ from its settings"
    )


class VenueClientConfig(Configuration):
    """How the client of the venue behaves when the network does not."""

    connect_s: float = Field(default=5.0, gt=0, description="longest wait for a connection, seconds")
    first_message_s: float = Field(default=5.0, gt=0, description="longest wait for the answer to a login, seconds")
    silence_s: float = Field(default=10.0, gt=0, description="a connection without any frame for so long is made anew, seconds")
    request_s: float = Field(default=5.0, gt=0, description="longest wait for an answer; then nothing is known, seconds")
    gap_s: float = Field(default=0.25, gt=0, description="time until missing messages are asked for again, seconds")
    backoff_first_s: float = Field(default=0.1, gt=0, description="wait before the first new attempt to connect, seconds")
    backoff_most_s: float = Field(
        default=15.0, gt=0, description="longest wait between attempts, seconds; each doubles the last"
    )
    backoff_jitter_frac: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="share of each wait that is left to chance, so that clients do not come all at once",
    )


class VenueConfig(Configuration):
    """The stand-alone simulated venue."""

    port: int = Field(default=8765, ge=0, le=65_535, description="TCP port on 127.0.0.1; 0: any that is free")
    state: Path = Field(default=Path("venue"), description="folder of the venue's own books, its pid file and its tokens")
    pace: Pace = Field(
        default=Pace.REALTIME,
        description="realtime; fast: `speed` times as fast; lockstep: as fast as the trading client works through it",
    )
    speed: float = Field(default=60.0, ge=0, description="market seconds a second at pace fast; 0: no waiting at all")
    slice_ms: float | None = Field(
        default=None, gt=0, description="market milliseconds of a slice of the tape; none: the latency in lockstep, else 100"
    )
    holds_brackets: bool = Field(default=True, description="whether stop and target of an entry rest at the venue")
    has_sizes: bool = Field(
        default=True, description="whether best bids and offers with sizes are published, to clients that ask for them"
    )
    orders_per_s: float = Field(
        default=0.0, ge=0, description="order requests an account may send a second before they are refused; 0: any number"
    )
    heartbeat_s: float = Field(default=1.0, gt=0, description="longest silence on a connection that works, seconds")
    token: SecretStr = Field(default=SecretStr(""), description="token of the trading session; empty: made at the first start")
    guard_token: SecretStr = Field(default=SecretStr(""), description="token of guard and kill; empty: made at the first start")
    admin_token: SecretStr = Field(
        default=SecretStr(""), description="token of the administrator; empty: made at the first start"
    )
    client: VenueClientConfig = Field(default=VenueClientConfig(), description="the client of the venue")

    @model_validator(mode="after")
    def _tokens_differ(self) -> VenueConfig:
        given = [t.get_secret_value() for t in (self.token, self.guard_token, self.admin_token) if t.get_secret_value()]
        if len(set(given)) != len(given):
            raise ValueError("two tokens were the same; give each purpose one of its own")
        return self
