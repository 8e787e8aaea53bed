"""`sovereign twin SESSION`: a recorded session beside its backtest, every difference with its cause."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, emit, settings_from

if TYPE_CHECKING:
    from sovereign.research.twin.attribution import Difference
    from sovereign.research.twin.shadow import TwinResult


def command(
    session: Annotated[str, typer.Argument(metavar="SESSION", help="Id of a session, a prefix of it, or 'last'.")] = "last",
    report: Annotated[Path | None, typer.Option("--report", help="Write the result as an HTML page to this file.")] = None,
    limit: Annotated[int, typer.Option(help="Most differences to show as text; 0 shows all.", min=0)] = 20,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a recorded session again as a backtest, with the settings it had, and say why they differ.

    Every difference in decisions, orders, fills, fees and profit goes to data, signal, latency, fill, fee or person; the parts
    add up exactly. Exit code 0: identical, or every difference has a cause; 1: something is unexplained.
    """
    from sovereign.app.twin import twin_of
    from sovereign.research.twin.page import write_page
    from sovereign.research.twin.plain import to_plain
    from sovereign.store.store import Store

    settings = settings_from(config, overrides).settings
    with Store(settings.store) as store:
        result = twin_of(store, session, settings)
    if report is not None:
        write_page(result, report)
    plain = {**to_plain(result), "report": report}
    emit(plain, as_json, lambda _: _text(result, limit, report))
    if not result.is_explained:
        raise typer.Exit(1)


def _text(result: TwinResult, limit: int, report: Path | None) -> str:
    from sovereign.app.cli.runs import columns
    from sovereign.research.twin.plain import money

    lines = [
        f"{result.session_id}: {result.verdict}{', SIMULATED DATA' if result.is_simulated_data else ''}",
        *_about(result),
        "",
    ]
    heads = ("", "decisions", "orders", "fills", "trades", "fees, USD", "net, USD")
    rows = [
        (name, *(str(n) for n in (one.decisions, one.orders, one.fills, one.trades)), money(one.fees), money(one.net))
        for name, one in (("session", result.live), ("twin", result.twin))
    ]
    rows.append(("difference", "", "", "", "", money(result.live.fees - result.twin.fees), money(result.net)))
    for share in result.shares:
        counts = (share.decisions, share.orders, share.fills, share.trades)
        rows.append((f"  {share.cause.value}", *(str(n) if n else "" for n in counts), money(share.fees), money(share.net)))
    lines.append(columns(heads, rows, frozenset(range(1, len(heads)))))
    facts = [(share.cause.value, text) for share in result.shares for text in share.evidence]
    if facts:
        lines += ["", columns(("cause", "what the recording says"), facts)]
    shown = result.differences[: limit or None]
    if shown:
        lines += ["", columns(("time (UTC)", "what", "name", "cause", "net", "session", "twin"), [_row(one) for one in shown])]
        if len(shown) < len(result.differences):
            lines.append(f"the first {len(shown)} of {len(result.differences)}; --limit 0 shows all")
    if report is not None:
        lines += ["", f"report: {report}"]
    return "\n".join(lines)


def _about(result: TwinResult) -> list[str]:
    check, lines = result.replay, []
    if not check.is_exact:
        lines.append(f"  replay: left the stored audit stream at {check.difference}")
    elif check.stored:
        lines.append(f"  replay: all {check.stored:,} stored audit events came again, byte for byte")
    if not result.is_closed:
        lines.append("  the session was not closed; both end where the recording does")
    lives = f", {result.lives} processes" if result.lives > 1 else ""
    lines.append(f"  {result.inputs:,} recorded inputs, {result.ticks:,} ticks{lives}")
    return lines


def _row(one: Difference) -> tuple[str, ...]:
    from sovereign.research.twin.plain import money

    def values(is_live: bool) -> str:
        found = one.live if is_live else one.twin
        if found is None:
            return "none"
        names = one.fields if one.live is not None and one.twin is not None else ("verdict", "status", "quantity", "gross")
        words = ", ".join(f"{name.removesuffix('_ns')} {_value(name, found[name])}" for name in names if name in found)
        return words if len(words) <= 60 else f"{words[:59]}…"

    causes = ", ".join(cause.value for cause in one.causes)
    when = _value("ts", one.ts) if one.ts else ""
    return (when, one.kind.value, one.name, causes, money(one.net) if one.net else "", values(True), values(False))


def _value(name: str, value: object) -> str:
    from sovereign.core.session import from_ns

    if isinstance(value, int) and (name == "ts" or name.endswith("_ns")):
        return f"{from_ns(value):%H:%M:%S.%f}"[:-3]
    return "none" if value is None else str(value)
