"""The twin's report: one HTML page that refers to nothing outside itself. Every text from a session is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from pathlib import Path
from zoneinfo import ZoneInfo

from sovereign.core.session import NS_PER_SECOND
from sovereign.research.page_assets import STYLE
from sovereign.research.twin.attribution import MEANINGS, Cause, Difference, Figures
from sovereign.research.twin.books import ItemKind, Value
from sovereign.research.twin.plain import money
from sovereign.research.twin.shadow import TwinResult

_MOST = 500  # rows of single differences on the page; the JSON has all of them
_WORDS = {
    "identical": ("evidence", "The session did what its backtest does, in every decision, order, fill and trade."),
    "explained": ("", "Session and backtest differ, and every difference has its cause."),
    "unexplained": ("artefact", "Session and backtest differ in something that no cause explains."),
}
_TOGGLE = (
    "const r=document.documentElement,b=document.getElementById('theme');"
    "b.onclick=()=>{const d=r.dataset.theme==='dark';r.dataset.theme=d?'light':'dark';b.textContent=d?'Dark':'Light'}"
)

Head = tuple[str, bool]


def write_page(result: TwinResult, path: Path) -> Path:
    """Write the page to `path`; its folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_page(result), encoding="utf-8")
    return path


def render_page(result: TwinResult) -> str:
    """Return the whole page."""
    title = f"Twin of {result.session_id}"
    banner = (
        '<div class="banner" role="alert">SIMULATED DATA: no market has printed these prices</div>'
        if result.is_simulated_data
        else ""
    )
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>",
            banner,
            f'<header><h1>{escape(title)}</h1><span class="dim">{escape(result.strategy)}, {escape(result.mode)}, '
            f"{escape(result.trade_date)}; money in USD, times in {escape(result.zone)}</span>"
            '<button id="theme">Dark</button></header>',
            *_sections(result),
            f"</main><script>{_TOGGLE}</script></body></html>",
        )
    )


def _sections(result: TwinResult) -> Iterable[str]:
    kind, words = _WORDS[result.verdict]
    cut = "" if result.is_closed else " Both end where the recording does: the session was not closed."
    yield (
        f'<section class="panel verdict {kind}"><div class="word">{result.verdict}</div><p>{words}{cut}</p>'
        f"<p>{escape(_replay(result))}</p></section>"
    )
    yield _tiles(result)
    yield _panel("Session and twin", _compared(result))
    yield _panel(
        "Causes",
        _causes(result),
        "Parts add up to the difference exactly; the order in which causes are taken away is that of the rows.",
    )
    facts = [(share.cause, text) for share in result.shares for text in share.evidence]
    if facts:
        rows = ((escape(cause.value), escape(text)) for cause, text in facts)
        yield _panel("What the recording says", _table((("cause", False), ("fact", False)), rows, "stack"))
    trades = [one for one in result.differences if one.kind in (ItemKind.TRADE, ItemKind.OPEN)]
    others = [one for one in result.differences if one.kind not in (ItemKind.TRADE, ItemKind.OPEN)]
    if trades:
        yield _panel("Trades that differ", _trades(result, trades))
    if others:
        note = f"The first {_MOST:,} of {len(others):,}; --json has all." if len(others) > _MOST else ""
        yield _panel("Decisions, orders and fills that differ", _others(result, others[:_MOST]), note)
    yield _panel("Where this comes from", _provenance(result))


def _replay(result: TwinResult) -> str:
    check = result.replay
    if not check.stored:
        return "No audit events were stored; the recording alone stands for the session."
    if not check.is_exact:
        return f"The recording, played again, left the stored audit stream at {check.difference}."
    tail = f"; the last {check.replayed - check.stored:,} had not been stored" if check.is_cut else ""
    return f"The recording, played again, gave all {check.stored:,} stored audit events byte for byte{tail}."


def _tiles(result: TwinResult) -> str:
    unexplained = sum((share.net for share in result.shares if share.cause is Cause.UNEXPLAINED), Decimal(0))
    tiles = (
        ("session, net", _signed(result.live.net)),
        ("twin, net", _signed(result.twin.net)),
        ("difference", _signed(result.net)),
        ("unexplained", _signed(unexplained)),
        ("differences", f"{len(result.differences):,}"),
    )
    cells = (f'<div class="tile"><span class="dim small">{name}</span><b>{value}</b></div>' for name, value in tiles)
    return f'<div class="tiles">{"".join(cells)}</div>'


_COUNTS: tuple[Head, ...] = (
    ("decisions", True),
    ("orders", True),
    ("fills", True),
    ("trades", True),
    ("fees", True),
    ("net", True),
)


def _compared(result: TwinResult) -> str:
    def row(name: str, found: Figures) -> tuple[str, ...]:
        counts = (found.decisions, found.orders, found.fills, found.trades)
        return (name, *(f"{count:,}" for count in counts), money(found.fees), _signed(found.net))

    return _table((("", False), *_COUNTS), (row("session", result.live), row("twin", result.twin)))


def _causes(result: TwinResult) -> str:
    rows = [
        (
            f'<b>{share.cause.value}</b><br><span class="dim small">{escape(MEANINGS[share.cause])}</span>',
            *(f"{count:,}" for count in (share.decisions, share.orders, share.fills, share.trades)),
            money(share.fees),
            _signed(share.net),
        )
        for share in result.shares
    ]
    fees = money(result.live.fees - result.twin.fees)
    rows.append(("<b>difference</b>", "", "", "", "", fees, _signed(result.net)))
    return _table((("cause", False), *_COUNTS), rows)


def _trades(result: TwinResult, found: Sequence[Difference]) -> str:
    causes = [share.cause for share in result.shares if any(share.cause in one.causes for one in found)]
    heads: list[Head] = [("decided", False), ("trade", False), ("session", True), ("twin", True)]
    heads += [(cause.value, True) for cause in causes]
    heads.append(("difference", True))
    rows = [
        (
            _when(result, one.ts),
            escape(one.name),
            _made(one.live),
            _made(one.twin),
            *(_signed(one.parts[cause]) if cause in one.parts else "" for cause in causes),
            _signed(one.net),
        )
        for one in found
    ]
    return _table(heads, rows)


def _made(values: object) -> str:
    if not isinstance(values, dict):
        return '<span class="dim">none</span>'
    if "gross" not in values:
        return escape(", ".join(f"{name} {value}" for name, value in values.items()))
    return _signed(Decimal(str(values["gross"])) - Decimal(str(values["fees"])))


def _others(result: TwinResult, found: Sequence[Difference]) -> str:
    heads = (("decided", False), ("what", False), ("name", False), ("cause", False), ("session", False), ("twin", False))
    rows = (
        (
            _when(result, one.ts),
            one.kind.value,
            escape(one.name),
            ", ".join(cause.value for cause in one.causes),
            _values(result, one, is_live=True),
            _values(result, one, is_live=False),
        )
        for one in found
    )
    return f'<div class="tall">{_table(heads, rows)}</div>'


def _values(result: TwinResult, one: Difference, *, is_live: bool) -> str:
    values = one.live if is_live else one.twin
    if values is None:
        return '<span class="dim">none</span>'
    names = one.fields if one.live is not None and one.twin is not None else [n for n, v in values.items() if v is not None]
    return escape(", ".join(f"{name} {_text(result, name, values.get(name))}" for name in names))


def _text(result: TwinResult, name: str, value: Value) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and (name == "ts" or name.endswith("_ns")):
        return _when(result, value)
    return "none" if value is None else str(value)


def _when(result: TwinResult, ts: int) -> str:
    if not ts:
        return ""
    whole, rest = divmod(ts, NS_PER_SECOND)
    return f"{datetime.fromtimestamp(whole, UTC).astimezone(ZoneInfo(result.zone)):%H:%M:%S}.{rest // 1_000_000:03d}"


def _provenance(result: TwinResult) -> str:
    pairs = (
        ("session", result.session_id),
        ("account", result.account),
        ("recorded inputs", f"{result.inputs:,}"),
        ("ticks", f"{result.ticks:,}"),
        ("processes that traded it", str(result.lives)),
    )
    return _table((("what", False), ("value", False)), ((name, escape(value)) for name, value in pairs))


def _signed(value: Decimal) -> str:
    style = "" if not value else ' class="good"' if value > 0 else ' class="bad"'
    return f"<span{style}>{value:,.2f}</span>" if value == round(value, 2) else f"<span{style}>{money(value)}</span>"


def _table(heads: Sequence[Head], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    number = [' class="n"' if is_number else "" for _, is_number in heads]
    top = "".join(f"<th{style}>{escape(text)}</th>" for (text, _), style in zip(heads, number, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{style}>{cell}</td>" for cell, style in zip(row, number, strict=True)) + "</tr>" for row in rows
    )
    style = f' class="{kind}"' if kind else ""
    return f'<div class="scroll"><table{style}><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _panel(title: str, body: str, note: str = "") -> str:
    remark = f'<p class="dim small">{escape(note)}</p>' if note else ""
    return f'<section class="panel"><h2>{escape(title)}</h2>{body}{remark}</section>'
