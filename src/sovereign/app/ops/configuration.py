"""The configuration sections of operations, beside each other so that loading the settings loads nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from sovereign.core.configuration import Configuration


class DoctorConfig(Configuration):
    """What the doctor holds things against."""

    time_url: str = Field(
        "", description="Address whose HTTP Date header the clock is compared with, such as https://example.com; empty: nobody."
    )
    clock_skew_s: float = Field(
        2.0, gt=0, description="Difference to that clock which is worth a failure, s; the header itself has whole seconds."
    )
    overrides_age_days: int = Field(
        400, ge=1, description="Age of the newest calendar correction that is worth a warning, days; own choice."
    )


class GuardConfig(Configuration):
    """The dead-man guard."""

    url: str = Field(
        "", description="Address of the venue (ws://...); empty: the venue of this machine, as section venue has it."
    )
    token: SecretStr = Field(SecretStr(""), description="The guard's own token at the venue, which is not that of the session.")
    every_s: float = Field(5.0, gt=0, description="Seconds between two looks; own choice.")
    flat_at_bell: bool = Field(True, description="Whether the account must be flat when the session's flatten time is over.")
    grace_s: float = Field(
        60.0, ge=0, description="Seconds after the session's flatten time until the guard flattens by itself; own choice."
    )
    stale_s: float = Field(
        60.0, gt=0, description="Age of the heartbeat from which an open position is an alarm, s; own choice."
    )
    stale_flatten_s: float | None = Field(
        300.0, gt=0, description="Age of the heartbeat from which an open position is closed, s; none: alarm alone. Own choice."
    )
    silent_s: float = Field(
        30.0, gt=0, description="Seconds without an answer of the venue until that is an alarm; own choice."
    )
    memory_mb: float = Field(4096.0, gt=0, description="Memory of the trading process worth a warning, MiB; own choice.")
    disk_free_mb: float = Field(
        1024.0, ge=0, description="Free disk space beside the heartbeat file that is worth a warning, MiB."
    )
    repeat_s: float = Field(300.0, gt=0, description="Seconds until a trouble that lasts is said again; own choice.")


class HealthConfig(Configuration):
    """The health endpoints."""

    port: int = Field(
        0,
        ge=0,
        le=65_535,
        description="Port on 127.0.0.1 of /healthz, /readyz and /metrics; 0 opens none. Service files use 9108.",
    )
    stale_s: float = Field(
        30.0,
        gt=0,
        description="Age of the last heartbeat from which /healthz says that the process is not well, s; own choice.",
    )


class HeartbeatConfig(Configuration):
    """Where and how often a process says that it is alive."""

    file: Path = Field(
        Path("data/heartbeat.json"),
        description="File that a trading process replaces at every beat, each its own: broker, mode, account and strategy are "
        "added to the name; relative to the working directory. Source: order-flow requirement, watchdog.",
    )
    every_s: float = Field(5.0, gt=0, description="Seconds between two beats; own choice.")


class KillConfig(Configuration):
    """How hard guard and kill try to flatten an account."""

    attempts: int = Field(3, ge=1, description="How often an account is canceled and flattened until it is flat; own choice.")
    wait_s: float = Field(
        10.0, gt=0, description="Longest wait for each answer of the venue, and for being flat, s; own choice."
    )


class LogConfig(Configuration):
    """What is logged, and how."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe level that is written.")
    format: Literal["auto", "json", "console"] = Field(
        "auto", description="One JSON object a line, or text for the eye; auto is console on a terminal and json elsewhere."
    )
    queue_lines: int = Field(
        10_000,
        ge=1,
        description="Lines that may wait for a slow terminal or disk before further ones are dropped and counted; own choice.",
    )


class ScheduleConfig(Configuration):
    """When things happen by themselves, relative to the session of the market that is traded."""

    digest_after_close_minutes: int = Field(
        0,
        ge=0,
        le=600,
        description="Minutes after the day session's end at which the daily digest is sent. "
        "Source: order-flow requirement, 16:00 New York; early closes move it.",
    )
    digest_late_minutes: float = Field(
        240.0, ge=0, description="How late the digest may still be sent by a process that was down, min; then it is reported."
    )
