"""The doctor: everything that trading needs, looked at one by one; each finding says what to do.

A check never changes anything that matters (the store is tried with a row of the doctor's own) and never fails the others.
"""

from __future__ import annotations

import os
import shutil
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sovereign.core.errors import ConfigurationError, SovereignError
from sovereign.core.session import NS_PER_SECOND, from_ns, to_ns

if TYPE_CHECKING:
    from sovereign.app.configuration import LoadedSettings

_MIB = 2**20
_TIMEOUT_S = 5.0


class Level(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at; `remedy` says what to do, empty when nothing is."""

    name: str
    level: Level
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What the checks look at. `now_ns` is the system clock, UTC ns; `is_deep` also reads every byte of the catalog."""

    loaded: LoadedSettings
    environment: Mapping[str, str]
    now_ns: int
    is_deep: bool = False


def _ok(name: str, text: str) -> Check:
    return Check(name=name, level=Level.OK, text=text)


def _warn(name: str, text: str, remedy: str) -> Check:
    return Check(name=name, level=Level.WARN, text=text, remedy=remedy)


def _fail(name: str, text: str, remedy: str) -> Check:
    return Check(name=name, level=Level.FAIL, text=text, remedy=remedy)


# What the zones do in the weeks in which the United States and Europe disagree: hours from UTC, from the laws of both
# (Energy Policy Act of 2005: second Sunday of March to first of November; Directive 2000/84/EC: last of March and October).
_ZONES = (
    (datetime(2026, 3, 9, 12), "America/New_York", -4),  # noqa: DTZ001 - the zone is the next word
    (datetime(2026, 3, 9, 12), "Europe/London", 0),  # noqa: DTZ001
    (datetime(2026, 10, 26, 12), "America/New_York", -4),  # noqa: DTZ001
    (datetime(2026, 10, 26, 12), "Europe/London", 0),  # noqa: DTZ001
    (datetime(2026, 11, 2, 12), "America/New_York", -5),  # noqa: DTZ001
    (datetime(2026, 7, 1, 12), "America/Chicago", -5),  # noqa: DTZ001
)


def check_zones(_: Examination) -> Iterator[Check]:
    """Look at the time-zone data in both weeks of disagreement."""
    for moment, zone, hours in _ZONES:
        try:
            offset = moment.replace(tzinfo=ZoneInfo(zone)).utcoffset()
        except ZoneInfoNotFoundError:
            yield _fail("time zones", f"the zone {zone} is not known here", "install the package tzdata (pip install tzdata)")
            return
        if offset != timedelta(hours=hours):
            text = f"{zone} is {offset} from UTC on {moment:%Y-%m-%d}; it should be {hours} h"
            yield _fail("time zones", text, "update the system's time-zone data, or install the package tzdata")
            return
    yield _ok("time zones", "US and European summer time are right, also in the weeks in which they differ")


def check_clock(examination: Examination) -> Iterator[Check]:
    """Compare the clock with a server's, if one is set and can be reached."""
    settings = examination.loaded.settings.doctor
    if not settings.time_url:
        yield _ok("clock", "not compared with anybody; set doctor.time_url to do so")
        return
    from time import time_ns
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    if not settings.time_url.startswith(("https://", "http://")):
        yield _fail("clock", f"doctor.time_url was '{settings.time_url}'", "write it as https://...")
        return
    before = time_ns()
    try:
        with urlopen(Request(settings.time_url, method="HEAD"), timeout=_TIMEOUT_S) as answer:  # noqa: S310 - checked above
            header = answer.headers.get("Date")
    except HTTPError as refusal:
        header = refusal.headers.get("Date")
    except OSError as fault:
        yield _warn("clock", f"'{settings.time_url}' could not be asked ({fault})", "check the network, or doctor.time_url")
        return
    if header is None:
        yield _warn("clock", f"'{settings.time_url}' told no time", "choose another doctor.time_url")
        return
    # The header has whole seconds, cut off: the true time lies up to a second later.
    skew_s = ((before + time_ns()) / 2 - to_ns(parsedate_to_datetime(header)) - 0.5e9) / NS_PER_SECOND
    text = f"the clock is {abs(skew_s):.1f} s {'ahead of' if skew_s > 0 else 'behind'} that of {settings.time_url}"
    if abs(skew_s) > settings.clock_skew_s:
        yield _fail("clock", text, "switch on time synchronization (timedatectl set-ntp true)")
    else:
        yield _ok("clock", text)


def check_disk(examination: Examination) -> Iterator[Check]:
    """Look at free space where things are written."""
    settings = examination.loaded.settings
    places = {"heartbeat": settings.heartbeat.file.parent, "catalog": settings.data.catalog, "reports": settings.report.folder}
    for name, place in places.items():
        folder = place.absolute()
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        free_mb = shutil.disk_usage(folder).free / _MIB
        text = f"{free_mb:,.0f} MiB free for {name} ('{place}')"
        if not os.access(folder, os.W_OK):
            yield _fail("disk", f"'{folder}' cannot be written to", f"give this user the folder of {name}, or set another")
        elif free_mb < settings.guard.disk_free_mb:
            yield _fail("disk", text, f"make room; {settings.guard.disk_free_mb:,.0f} MiB is the least (guard.disk_free_mb)")
        else:
            yield _ok("disk", text)


def check_calendar(examination: Examination) -> Iterator[Check]:
    """Ask every calendar for its next session, and see how old the corrections are."""
    from sovereign.feeds.calendar import CALENDARS, calendar_for

    today = from_ns(examination.now_ns).date()
    for name in CALENDARS:
        ahead = calendar_for(name).sessions(today, today + timedelta(days=14))
        if not ahead:
            yield _fail("calendar", f"{name} has no session in the next two weeks", "update exchange_calendars")
            continue
        first = next(session for session in ahead if session.close_ns > examination.now_ns)
        closes = from_ns(first.regular_close_ns, first.zone)
        half = ", an early close" if first.is_early_close else ""
        yield _ok(
            "calendar", f"{name}: next trade date {first.trade_date}, day session until {closes:%H:%M} {first.zone}{half}"
        )
    text = resources.files("sovereign.feeds").joinpath("calendar_overrides.toml").read_text(encoding="utf-8")
    newest = max(date.fromisoformat(row["date"]) for row in tomllib.loads(text)["day"])
    age = (today - newest).days
    if age > examination.loaded.settings.doctor.overrides_age_days:
        yield _warn(
            "calendar", f"the newest correction of a single date is of {newest}", "update Sovereign, or add this year's"
        )
    else:
        yield _ok("calendar", f"corrections of single dates reach to {newest}")


def check_catalog(examination: Examination) -> Iterator[Check]:
    """Look whether what the manifest promises is there; `is_deep` reads it all."""
    from sovereign.store.catalog import Catalog

    folder = examination.loaded.settings.data.catalog
    if not folder.is_dir():
        yield _ok("catalog", f"there is none yet at '{folder}'")
        return
    catalog = Catalog(folder, arrow_cache=examination.loaded.settings.data.arrow_cache)
    entries = catalog.entries()
    if examination.is_deep and (faults := catalog.verify()):
        yield _fail("catalog", f"{len(faults)} faults, the first: {faults[0]}", "import the named files again")
        return
    depth = "every byte read" if examination.is_deep else "not read; --deep does"
    yield _ok("catalog", f"{len(entries)} partitions ({depth})")


def check_store(examination: Examination) -> Iterator[Check]:
    """Open the store, write and read, and look at the sessions, kills and guard in it."""
    from sovereign.app.ops.desk import StoreDesk
    from sovereign.store import schema
    from sovereign.store.configuration import hide_password
    from sovereign.store.store import Store

    config = examination.loaded.settings.store
    with Store(config) as store:
        store.live.beat("doctor", examination.now_ns, {})
        yield _ok("store", f"'{hide_password(config.url)}' opens and takes writes, schema {schema.SCHEMA_VERSION}")
        for session in store.live.sessions(status="dead"):
            process = f"process {session.process.pid} " if session.process else ""
            text = f"session '{session.id}' never ended; its {process}is gone"
            yield _warn("sessions", text, "start 'sovereign run' again: it recovers; or 'sovereign kill' to flatten now")
        for latch in store.live.latches():
            text = f"account '{latch.account}' is killed by {latch.set_by}: {latch.reason}"
            yield _warn("kills", text, "find out why, then 'sovereign resume --account', with the account or '*'")
        desk = StoreDesk(store.live, now_ns=lambda: examination.now_ns)
        running = desk.sessions()
        guards = [beat for beat in desk.guards() if not beat.is_gone]
        if running and not guards:
            yield _warn("guard", f"{len(running)} sessions run and no guard watches", "start 'sovereign guard' beside them")
        elif guards:
            yield _ok("guard", f"last sign of life {min(desk.age_s(beat) for beat in guards):.0f} s ago")


def check_heartbeat(examination: Examination) -> Iterator[Check]:
    """Look whether a heartbeat file was left behind by a process that is gone."""
    from sovereign.app.ops.heartbeat import beat_files, is_alive, read_beat

    found = [(file, read_beat(file)) for file in beat_files(examination.loaded.settings.heartbeat.file)]
    beats = [(file, beat) for file, beat in found if beat is not None]
    if not beats:
        yield _ok("heartbeat", "no session runs here")
    for file, beat in beats:
        age_s = (examination.now_ns - beat.ts) / NS_PER_SECOND
        who = f"process {beat.pid} ({beat.strategy} on {beat.account})"
        if is_alive(beat) is False:
            text = f"'{file}' is of {who}, which is gone for {age_s:.0f} s at most"
            yield _warn("heartbeat", text, "start 'sovereign run' again: it recovers; or delete the file")
        elif age_s > examination.loaded.settings.guard.stale_s:
            text = f"{who} has not beaten for {age_s:.0f} s"
            yield _fail("heartbeat", text, "it hangs: 'sovereign kill' flattens, then end the process")
        else:
            yield _ok("heartbeat", f"{who} beat {age_s:.0f} s ago, {beat.state}")


def check_accounts(examination: Examination) -> Iterator[Check]:
    """Ask the venue of every configured account, with the guard's credentials."""
    from sovereign.app.ops.account import guarded_accounts, holding_of

    try:
        accounts = guarded_accounts(examination.loaded.settings)
    except ConfigurationError as fault:
        yield _warn("broker", str(fault), "needed by session, guard and kill; for paper trading start 'sovereign venue'")
        return
    for access in accounts:
        try:
            yield _ok("broker", f"account '{access.name}' answers: {holding_of(access.snapshot()).text}")
        except SovereignError as fault:
            yield _fail("broker", f"account '{access.name}': {fault}", "check that the venue runs, its address and the token")
        finally:
            access.close()


_KEYS: Mapping[str, tuple[str, ...]] = {
    "Databento": ("DATABENTO_API_KEY",),
    "Massive": ("MASSIVE_API_KEY", "POLYGON_API_KEY"),
    "Discord": ("DISCORD_WEBHOOK_URL",),
    "Telegram": ("TELEGRAM_BOT_TOKEN",),
}


def check_keys(examination: Examination) -> Iterator[Check]:
    """Say which keys are set; none is needed for paper trading at the simulated venue. Names only, never values."""
    from sovereign.app.secret import read_secret

    found, missing = [], []
    for vendor, names in _KEYS.items():
        is_meant = any(examination.environment.get(name) or examination.environment.get(f"{name}_FILE") for name in names)
        try:
            read_secret(names, examination.environment)
            found.append(vendor)
        except SovereignError as fault:
            if is_meant:
                yield _fail("keys", str(fault), "correct the file's place or its permissions")
            missing.append(vendor)
    yield _ok("keys", f"set: {', '.join(found) or 'none'}; not set: {', '.join(missing) or 'none'}")


def check_permissions(examination: Examination) -> Iterator[Check]:
    """See that files with secrets are their owner's alone."""
    from sovereign.app.configuration.keys import is_secret, value_of

    if os.name != "posix":
        yield _ok("permissions", "not looked at on this system")
        return
    loaded = examination.loaded
    files = {
        Path(value)
        for name, value in examination.environment.items()
        if name.endswith("_FILE") and is_secret(name[:-5].lower())
    }
    if loaded.file is not None:
        held = [key for key, source in loaded.sources.items() if is_secret(key) and source.startswith("file ")]
        if any(value_of(loaded.settings, key) for key in held):
            files.add(loaded.file)
    exposed = [file for file in sorted(files) if file.is_file() and file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    for file in exposed:
        mode = stat.filemode(file.stat().st_mode)
        yield _fail("permissions", f"'{file}' holds a secret and is {mode}", f"chmod 600 '{file}'")
    if not exposed:
        yield _ok("permissions", f"{len(files)} files with secrets, readable for their owner alone")


def check_opt_ins(examination: Examination) -> Iterator[Check]:
    """Say which consents to live trading are given."""
    from sovereign.risk.opt_in import ENVIRONMENT, live_opt_ins

    enabled = examination.loaded.settings.execution.trading_enabled
    missing = live_opt_ins(enabled, flag=True, environment=examination.environment)
    if missing:
        yield _ok(
            "opt-ins", f"live trading is off; missing: {', '.join(one.name for one in missing)} (and --live when it starts)"
        )
    else:
        remedy = f"meant so? else unset {ENVIRONMENT}"
        yield _warn("opt-ins", "live trading needs only --live now", remedy)


CHECKS: Mapping[str, Callable[[Examination], Iterator[Check]]] = {
    "time zones": check_zones,
    "clock": check_clock,
    "disk": check_disk,
    "calendar": check_calendar,
    "catalog": check_catalog,
    "store": check_store,
    "heartbeat": check_heartbeat,
    "broker": check_accounts,
    "keys": check_keys,
    "permissions": check_permissions,
    "opt-ins": check_opt_ins,
}
"""Everything that is looked at, in this order."""


def examine(examination: Examination) -> list[Check]:
    """Make every check; one that cannot be made is a failure of its own and keeps no other from being made."""
    from sqlalchemy.exc import SQLAlchemyError

    found: list[Check] = []
    for name, check in CHECKS.items():
        try:
            found.extend(check(examination))
        except (SovereignError, SQLAlchemyError, OSError, ValueError) as fault:
            found.append(
                _fail(name, str(fault).split("\n", 1)[0], "see the message; 'sovereign doctor --traceback' shows more")
            )
    return found
