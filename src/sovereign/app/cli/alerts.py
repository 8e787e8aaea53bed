"""`sovereign alerts test | list`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, command_app, emit, settings_from
from sovereign.core.errors import ConfigurationError, SovereignError

app = command_app("Try the alert channels, and list the alerts of late.")


class AlertTestError(SovereignError):
    """A test alert did not arrive."""


@app.command("test")
def try_channels(config: ConfigOption = None, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Send one test alert to each configured channel and say what came of it."""
    import time

    from sovereign.app.notify.alert import Alert, Topic
    from sovereign.app.notify.channel import Kind, Message
    from sovereign.app.notify.setup import CHAT, TOKEN, WEBHOOK, channels_of
    from sovereign.core.event import Severity

    settings = settings_from(config, overrides).settings.alerts
    channels = channels_of(settings)
    if not channels:
        raise ConfigurationError(
            f"no alert channel was configured; set {WEBHOOK} for Discord, or {TOKEN} and {CHAT} for Telegram, "
            "or the same with _FILE behind it"
        )
    alert = Alert(
        key="test",
        ts=time.time_ns(),
        severity=Severity.INFO,
        topic=Topic.SYSTEM,
        title="Test alert",
        text="Alerts of this platform arrive here. Nothing has happened.",
        zone=settings.zone,
    )
    results = []
    for channel in channels:
        outcome = channel.send([Message(alert=alert)])
        channel.close()
        results.append(
            {"channel": channel.name, "is_sent": outcome.kind is Kind.SENT, "outcome": outcome.kind, "detail": outcome.detail}
        )
    emit(results, as_json, _tests_text)
    failed = [str(result["channel"]) for result in results if not result["is_sent"]]
    if failed:
        raise AlertTestError(
            f"the test alert did not arrive at {', '.join(failed)}; see the detail above, correct it and repeat"
        )


def _tests_text(results: list[dict[str, Any]]) -> str:
    return "\n".join(
        f"{result['channel']}: {'sent' if result['is_sent'] else result['outcome']} ({result['detail']})" for result in results
    )


@app.command("list")
def list_alerts(
    limit: Annotated[int, typer.Option(help="Newest alerts to list.", min=1)] = 20,
    part: Annotated[str | None, typer.Option(help="Only those of one part of the platform, such as session or guard.")] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """List alerts, newest first, with what became of each: sent, waiting, counted as a repeat, or summed up."""
    from sovereign.app.notify.spool import Spool
    from sovereign.core.errors import NotFoundError
    from sovereign.core.session import from_ns

    settings = settings_from(config, overrides).settings.alerts
    files = sorted(settings.folder.glob("*.sqlite"))
    if part is not None and part not in {file.stem for file in files}:
        known = ", ".join(file.stem for file in files) or "none"
        raise NotFoundError(f"part was '{part}'; there are alerts of {known} in '{settings.folder}'")
    found = []
    for file in files:
        if part is None or file.stem == part:
            spool = Spool(file)
            found += [(file.stem, listed) for listed in spool.recent(limit)]
            spool.close()
    found.sort(key=lambda pair: pair[1].alert.ts, reverse=True)
    rows = [
        {
            "ts": from_ns(listed.alert.ts).isoformat(timespec="seconds"),
            "time": listed.alert.time_text,
            "part": name,
            "severity": listed.alert.severity,
            "topic": listed.alert.topic,
            "title": listed.alert.title,
            "text": listed.alert.text,
            "fields": dict(listed.alert.fields),
            "fate": listed.fate,
            "deliveries": {channel: state for channel, state, _ in listed.deliveries},
        }
        for name, listed in found[:limit]
    ]
    emit(rows, as_json, _list_text)


def _list_text(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "no alerts yet"
    lines = []
    for row in rows:
        ways = ", ".join(f"{channel} {state.lower()}" for channel, state in row["deliveries"].items())
        lines.append(f"{row['time']}  {row['severity']:8}  {row['title']}  [{ways or row['fate'].lower()}]")
        lines += [f"    {line}" for line in row["text"].splitlines()]
    return "\n".join(lines)
