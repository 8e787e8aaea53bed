"""`sovereign audit verify | show`: the chained audit stream of live sessions."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, command_app, emit, settings_from

app = command_app(
    "Verify and show the audit stream of sessions. SESSION is a session's id, a prefix that only it has, or 'last'."
)

SessionArgument = Annotated[str, typer.Argument(metavar="SESSION", help="Id of a session, a prefix of it, or 'last'.")]


@app.command()
def verify(
    session: Annotated[str | None, typer.Argument(metavar="[SESSION]", help="Default: every session.")] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Work the chain of hashes out anew; names the first broken link and ends with exit code 1 when there is one."""
    from sovereign.store.store import Store

    with Store(settings_from(config, overrides).settings.store) as store:
        names = store.live.audited() if session is None else [store.live.session(session).id]
        verdicts = [store.live.verify_audit(name) for name in names]
    broken = [verdict for verdict in verdicts if not verdict.is_whole]

    def text(_: object) -> str:
        lines = [
            f"{verdict.session_id}: {verdict.events} events, head {verdict.head}"
            if verdict.is_whole
            else f"{verdict.session_id}: BROKEN: {verdict.broken}"
            for verdict in verdicts
        ]
        return "\n".join([*lines, f"{len(verdicts)} sessions: {f'{len(broken)} broken' if broken else 'all whole'}"])

    emit({"sessions": verdicts, "broken": len(broken)}, as_json, text)
    if broken:
        raise typer.Exit(1)


@app.command()
def show(
    session: SessionArgument,
    since: Annotated[int, typer.Option(help="Number of the first event.", min=0)] = 0,
    limit: Annotated[int, typer.Option(help="Most events to show; 0 shows all.", min=0)] = 200,
    kind: Annotated[str | None, typer.Option(help="Only events of this kind, such as OrderFilled.")] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show stored events in order, with number, UTC time, kind and values."""
    from sovereign.core.session import from_ns
    from sovereign.store.store import Store

    with Store(settings_from(config, overrides).settings.store) as store:
        name = store.live.session(session).id
        rows = store.live.audit_events(name, since=since, limit=limit or None, kind=kind)
    events: list[dict[str, Any]] = [
        {"seq": row.seq, "hash": row.digest, "time": from_ns(row.ts).isoformat(), **json.loads(row.text)} for row in rows
    ]

    def text(_: object) -> str:
        if not events:
            return f"{name}: no such events"
        return "\n".join(
            f"{row.seq:>7}  {event['time']}  {row.kind:<20}  {row.text}" for row, event in zip(rows, events, strict=True)
        )

    emit({"session": name, "events": events}, as_json, text)
