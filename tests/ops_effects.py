"""Effects of the settings of operations: guard, kill, health, heartbeat, logs, schedule and doctor."""

from __future__ import annotations

import io
import json
import logging
import tempfile
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from fakes.held_account import HeldAccount
from key_effects import effect, effects_of
from sovereign.app.configuration import Settings
from sovereign.app.ops.configuration import (
    GuardConfig,
    HealthConfig,
    HeartbeatConfig,
    KillConfig,
    LogConfig,
    ScheduleConfig,
)
from sovereign.core.session import NS_PER_SECOND, to_ns

NOON = to_ns(datetime(2025, 11, 24, 17, tzinfo=UTC))
AFTER_BELL = to_ns(datetime(2025, 11, 24, 20, 57, tzinfo=UTC))


def _beat(ts: int, **changes: Any) -> Any:
    from sovereign.app.ops.heartbeat import Beat

    base = {
        "ts": ts,
        "market_ns": 0,
        "pid": 1,
        "host": "h",
        "process_token": "t",
        "session_id": "s",
        "strategy": "x",
        "mode": "paper",
        "account": "p",
        "state": "ACTIVE",
        "memory_mb": 100.0,
    }
    return Beat(**{**base, **changes})


def _guarded(config: GuardConfig, now_ns: int, *, mute_after: int | None = None) -> list[str]:
    """Watch a position for ten minutes after its last heartbeat; return what was said, with its time."""
    from sovereign.app.ops.guard import Guard, Hours

    account, wall, said = HeldAccount(now_ns, {"ESZ5": 1}), [0], []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "heartbeat.json"
        file.write_text(json.dumps(asdict(_beat(0))))
        guard = Guard(
            account,
            config,
            KillConfig(attempts=1, wait_s=0.01),
            Hours(is_regular_only=True, flatten_before_close_minutes=5),
            file,
            wall_ns=lambda: wall[0],
            sink=lambda notice: said.append(f"{wall[0]} {notice.severity} {notice.code}"),
        )
        for step in range(60):
            wall[0] += 10 * NS_PER_SECOND
            account.is_silent = mute_after is not None and step >= mute_after
            guard.step()
    return said


_QUIET = {"disk_free_mb": 0.0, "memory_mb": 1e6}

for _name, _one, _other in (
    ("stale_s", 60.0, 120.0),
    ("stale_flatten_s", 300.0, None),
    ("repeat_s", 60.0, 120.0),
    ("memory_mb", 50.0, 5_000.0),
    ("disk_free_mb", 0.0, 1e12),
):
    effects_of(
        "guard", GuardConfig(**{**_QUIET, "repeat_s": 100.0}), lambda config: _guarded(config, NOON), {_name: (_one, _other)}
    )
effects_of(
    "guard",
    GuardConfig(**_QUIET),
    lambda config: _guarded(config, AFTER_BELL),
    {"flat_at_bell": (True, False), "grace_s": (60.0, 3_600.0)},
)
effects_of("guard", GuardConfig(**_QUIET), lambda config: _guarded(config, NOON, mute_after=2), {"silent_s": (30.0, 300.0)})


@effect("guard.every_s")
def _() -> tuple[object, object]:
    """Count looks over a while: a guard that looks every hour has looked once."""
    from sovereign.app.cli.guard import watch

    def looks(every_s: float) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings.model_validate(
                {
                    "guard": {"every_s": every_s, **_QUIET},
                    "heartbeat": {"file": f"{folder}/h.json"},
                    "store": {"url": f"sqlite:///{folder}/s.sqlite"},
                    "alerts": {"folder": f"{folder}/alerts"},
                }
            )
            account, stop = HeldAccount(NOON), threading.Event()
            threading.Timer(1.5, stop.set).start()
            watch(settings, [account], str, stop)
            return len(account.asked) > 1

    return looks(0.05), looks(3_600.0)


def _guard_address(**guard: Any) -> object:
    from sovereign.app.ops.account import guarded_accounts

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.model_validate(
            {"guard": {"url": "ws://127.0.0.1:9", "token": "one-token-1", **guard}, "venue": {"state": folder}}
        )
        (account,) = guarded_accounts(settings)
        return account.url, account._token


@effect("guard.url")
def _() -> tuple[object, object]:
    return _guard_address(), _guard_address(url="ws://127.0.0.1:10")


@effect("guard.token")
def _() -> tuple[object, object]:
    return _guard_address(), _guard_address(token="other-token-2")


def _killed(config: KillConfig) -> object:
    from sovereign.app.ops.kill import kill

    class Waiting(HeldAccount):
        def wait_flat(self, seconds: float) -> bool:
            self.asked.append(f"wait {seconds}")
            return super().wait_flat(seconds)

    account = Waiting(0, {"ES": 1})
    account.ignores = 2
    done = kill([account], config, latch=None, failures=())
    return done.is_flat, account.asked


effects_of("kill", KillConfig(wait_s=0.01), _killed, {"attempts": (2, 3), "wait_s": (0.01, 0.02)})


def _answered(config: HealthConfig) -> object:
    from sovereign.app.ops.health import HealthServer, Vitals
    from sovereign.app.ops.metrics import Metrics

    vitals = Vitals(Metrics())
    vitals.beat(_beat(0), ())
    server = HealthServer(config, vitals, lambda: 60 * NS_PER_SECOND)
    is_open = server.start()
    status = server.answer("/healthz")[0]
    server.close()
    return is_open, status


effects_of("health", HealthConfig(), _answered, {"stale_s": (30.0, 90.0)})


@effect("health.port")
def _() -> tuple[object, object]:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return _answered(HealthConfig(port=0)), _answered(HealthConfig(port=port))


def _beaten(**settings: Any) -> object:
    from sovereign.app.ops.heartbeat import Heartbeat, Supervisor

    with tempfile.TemporaryDirectory() as folder:
        config = HeartbeatConfig(**settings)
        config = config.model_copy(update={"file": Path(folder) / config.file})
        heartbeat = Heartbeat(config, supervisor=Supervisor({}))
        heartbeat.beat(_beat(0))
        return heartbeat.is_due(3 * NS_PER_SECOND), sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*"))


@effect("heartbeat.file")
def _() -> tuple[object, object]:
    return _beaten(file="one.json"), _beaten(file="other.json")


@effect("heartbeat.every_s")
def _() -> tuple[object, object]:
    return _beaten(every_s=2), _beaten(every_s=4)


def _logged(config: LogConfig) -> object:
    from sovereign.app.ops.log import configure_logging
    from sovereign.app.ops.redaction import Redactor

    root = logging.getLogger()
    level, stream, gate = root.level, io.StringIO(), threading.Event()

    class Gated(io.StringIO):
        def write(self, text: str) -> int:
            gate.wait(10)
            return stream.write(text)

    sink = configure_logging(config, Redactor(), Gated())
    try:
        for _number in range(50):
            logging.getLogger("sovereign.effect").info("heard")
        dropped = sink.dropped > 10
    finally:
        gate.set()
        sink.close()
        root.setLevel(level)
    return dropped, stream.getvalue()[:1], bool(stream.getvalue())


effects_of(
    "log",
    LogConfig(format="json"),
    _logged,
    {"level": ("INFO", "ERROR"), "format": ("json", "console"), "queue_lines": (5, 1_000)},
)


def _scheduled(config: ScheduleConfig) -> object:
    from sovereign.app.ops.schedule import due, session_entries

    day = to_ns(datetime(2025, 11, 28, tzinfo=UTC))
    entries = session_entries(config, "CME_EQUITY")
    return [(item.entry.name, item.ts, item.is_missed) for item in due(entries, day, day + 86_400 * NS_PER_SECOND)]


effects_of(
    "schedule",
    ScheduleConfig(),
    _scheduled,
    {
        "digest_after_close_minutes": (0, 5),
        "digest_late_minutes": (240.0, 600.0),  # the half day's digest is due 18:00 UTC and asked for at 24:00
    },
)


def _told(changes: dict[str, Any], check: str) -> object:
    from sovereign.app.configuration import LoadedSettings
    from sovereign.app.ops.doctor import CHECKS, Examination

    settings = Settings.model_validate({"doctor": changes})
    loaded = LoadedSettings(settings=settings, sources={}, file=None)
    now = to_ns(datetime(2026, 11, 24, tzinfo=UTC))
    return [found.level for found in CHECKS[check](Examination(loaded=loaded, environment={}, now_ns=now))]


@effect("doctor.overrides_age_days")
def _() -> tuple[object, object]:
    return _told({"overrides_age_days": 100}, "calendar"), _told({"overrides_age_days": 10_000}, "calendar")


def _clocked(**changes: Any) -> object:
    """Ask a server whose clock stopped in 2020."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response_only(200)
            self.send_header("Date", "Wed, 01 Jan 2020 00:00:00 GMT")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            return _told({"time_url": f"http://127.0.0.1:{server.server_port}", **changes}, "clock")
        finally:
            server.shutdown()
            thread.join()


@effect("doctor.time_url")
def _() -> tuple[object, object]:
    return _told({}, "clock"), _clocked()


@effect("doctor.clock_skew_s")
def _() -> tuple[object, object]:
    return _clocked(clock_skew_s=1.0), _clocked(clock_skew_s=1e12)
