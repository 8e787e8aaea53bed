"""`sovereign doctor`: check everything that trading needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, emit, settings_from
from sovereign.core.errors import SovereignError

if TYPE_CHECKING:
    from sovereign.app.ops.doctor import Check

_MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


def command(
    is_deep: Annotated[bool, typer.Option("--deep", help="Also read every byte of the catalog.")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check clock, time zones, calendars, disk, catalog, store, broker, keys and permissions; say what to do about each.

    Ends with 0 when nothing failed (warnings are allowed), else with 1.
    """
    import os
    import time

    from sovereign.app.ops.doctor import Examination, Level, examine
    from sovereign.app.ops.redaction import redactor_for

    loaded = settings_from(config, overrides)
    redact = redactor_for(loaded.settings)
    found = examine(Examination(loaded=loaded, environment=dict(os.environ), now_ns=time.time_ns(), is_deep=is_deep))

    def text(checks: list[Check]) -> str:
        lines = []
        for check in checks:
            lines.append(f"{_MARKS[check.level]} {check.name}: {check.text}")
            if check.remedy:
                lines.append(f"     -> {check.remedy}")
        return redact("\n".join(lines))

    emit(
        redact.plain([{name: getattr(one, name) for name in one.__slots__} for one in found]) if as_json else found,
        as_json,
        text,
    )
    failed = [check.name for check in found if check.level is Level.FAIL]
    if failed:
        raise SovereignError(f"{len(failed)} of {len(found)} checks failed: {', '.join(dict.fromkeys(failed))}")
