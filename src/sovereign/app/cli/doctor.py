"""`sovereign doctor`: check everything that trading needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, emit, settings_from
from sovereign.core.errors import SovereignError

if TYPE_CHECKING:
    from sovereign.app.ops.doctor import Check
    from sovereign.app.rehearsal.rehearse import Rehearsal

_MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


def command(
    is_deep: Annotated[bool, typer.Option("--deep", help="Also read every byte of the catalog.")] = False,
    chaos: Annotated[
        str | None, typer.Option("--chaos", metavar="STRATEGY", help="Rehearse a strategy under every kind of fault instead.")
    ] = None,
    symbol: Annotated[str, typer.Option("--symbol", "-s", help="What the rehearsal trades.")] = "ES",
    minutes: Annotated[float, typer.Option("--minutes", min=10, max=390, help="Market minutes of each act.")] = 60.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the rehearsal's market and faults.")] = 7,
    report: Annotated[Path | None, typer.Option("--report", help="Where the rehearsal's report goes.")] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check clock, time zones, calendars, disk, catalog, store, broker, keys and permissions; say what to do about each.

    Ends with 0 when nothing failed (warnings are allowed), else with 1. With --chaos a strategy is rehearsed instead, on a
    venue of its own, and 1 says that it did not come out whole, or sent no order that a fault could have met.
    """
    if chaos is not None:
        _rehearse(chaos, symbol, minutes, seed, report, config, overrides, as_json=as_json)
        return
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


def _rehearse(
    strategy: str,
    symbol: str,
    minutes: float,
    seed: int,
    report: Path | None,
    config: Path | None,
    overrides: Sequence[str] | None,
    *,
    as_json: bool,
) -> None:
    """Rehearse a strategy, print what came of it, and keep the page."""
    import tempfile

    from sovereign.app.cli.common import to_plain
    from sovereign.app.cli.progress import sessions_bar
    from sovereign.app.rehearsal.rehearse import DOES, as_markdown, as_text, rehearse
    from sovereign.app.rehearsal.settings import add_drill
    from sovereign.core.instrument import find_instrument

    add_drill()
    settings = settings_from(config, overrides, strategy).settings
    find_instrument(symbol)
    path = report or settings.report.folder / f"chaos-{strategy}.md"
    with (
        tempfile.TemporaryDirectory(prefix="sovereign-chaos-") as folder,
        sessions_bar("acts", len(DOES), as_json) as advance,
    ):
        found = rehearse(settings, strategy, Path(folder), symbol=symbol, minutes=minutes, seed=seed, told=lambda _: advance())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_markdown(found), encoding="utf-8")
    if as_json:
        known = {"verdict": found.verdict, "is_whole": found.is_whole, "is_conclusive": found.is_conclusive, "report": path}
        emit({**to_plain(found), **known}, as_json, str)
    else:
        typer.echo(f"{as_text(found)}\nreport: {path}")
    check(found)


def check(found: Rehearsal) -> None:
    """Raise SovereignError when a rehearsal does not speak for the strategy: a promise was broken, or nothing was tried."""
    if not found.is_whole:
        raise SovereignError(f"strategy '{found.strategy}' did not come out whole: {found.verdict}")
    if not found.is_conclusive:
        raise SovereignError(f"the rehearsal of strategy '{found.strategy}' says nothing: {found.verdict}")
