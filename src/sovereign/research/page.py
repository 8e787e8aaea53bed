"""The report as one HTML page that refers to nothing outside itself. Every text from a run is escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sovereign.core.errors import NotFoundError
from sovereign.core.session import NS_PER_SECOND
from sovereign.research.ablation import comparisons_text
from sovereign.research.breakdown import UNKNOWN, Group, exit_reasons
from sovereign.research.card import EvidenceCard, EvidenceCheck
from sovereign.research.figures import (
    Figure,
    daily_figure,
    equity_figure,
    excursion_figure,
    group_figure,
    histogram_figure,
    lane_figure,
    month_figure,
    refusal_figure,
    reliability_figure,
)
from sovereign.research.metrics import Metric, equity_curve
from sovereign.research.page_assets import SCRIPT, STYLE
from sovereign.research.result import BAND_LANES, COST_LANES, RunResult

HEADLINES = (
    "net",
    "return",
    "trades",
    "win_rate",
    "profit_factor",
    "expectancy",
    "sharpe",
    "max_drawdown_frac",
    "fees",
    "ambiguous",
)
LANE_TITLES = {
    "optimistic": "optimistic fills",
    "realistic": "realistic fills (costs x1)",
    "pessimistic": "pessimistic fills",
    "cost_x2": "realistic fills, costs x2",
    "cost_x3": "realistic fills, costs x3",
}
GROUP_TITLES = {
    "pattern": "By pattern or verdict",
    "regime": "By regime",
    "hour": "By hour of entry",
    "weekday": "By weekday",
    "month": "By month",
    "tier": "By account tier",
    "exit": "By reason of exit",
    "side": "By direction",
    "symbol": "By symbol",
}


def show(value: object, unit: str = "") -> str:
    """Return a figure as text for a reader, not escaped."""
    if value is None:
        return "n/a"
    if isinstance(value, Decimal | float | int) and not isinstance(value, bool):
        number = float(value)
        if unit == "money":
            return f"{number:,.2f}"
        if unit == "fraction":
            return f"{number:.2%}"
        if unit in ("count", "sessions"):
            return f"{number:,.0f}"
        if unit == "seconds":
            return f"{number / 60:,.1f} min" if number >= 60 else f"{number:,.1f} s"
        if unit in ("ticks", "R"):
            return f"{number:,.2f} {unit}"
        return f"{number:,.3f}"
    return str(value)


def embed(value: object) -> str:
    """Return JSON that may stand inside a script element: no `<`, and no separators that end a script line."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, default=str)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def plotly_script() -> str:
    """Return the Plotly library's own minified script, without importing the package."""
    from importlib.util import find_spec

    spec = find_spec("plotly")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(place) / "package_data" / "plotly.min.js"
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise NotFoundError("file 'plotly.min.js' was not found in the package plotly; install plotly 6 or newer")


def _table(heads: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Return a table of cells that are already HTML; a head is its text and whether its column is numeric."""
    number = [' class="n"' if is_number else "" for _, is_number in heads]
    top = "".join(f"<th{style}>{escape(text)}</th>" for (text, _), style in zip(heads, number, strict=True))
    label = [f' data-label="{escape(text)}"' if kind and text else "" for text, _ in heads]
    body = "".join(
        "<tr>"
        + "".join(f"<td{style}{name}>{cell}</td>" for cell, style, name in zip(row, number, label, strict=True))
        + "</tr>"
        for row in rows
    )
    style = f' class="{kind}"' if kind else ""
    return f'<div class="scroll"><table{style}><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _signed(value: Decimal) -> str:
    tone = f' class="{"good" if value > 0 else "bad"}"' if value else ""
    return f"<span{tone}>{show(value, 'money')}</span>"


def _panel(title: str, body: str, note: str = "") -> str:
    remark = f'<p class="dim small">{escape(note)}</p>' if note else ""
    return f'<section class="panel"><h2>{escape(title)}</h2>{body}{remark}</section>'


def _check_row(check: EvidenceCheck) -> tuple[str, ...]:
    def number(value: float | None) -> str:
        return "" if value is None or value != value else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR0124

    pill = f'<span class="pill {check.state.split()[0]}">{check.state}</span>'
    return pill, escape(check.name.question), number(check.statistic), number(check.threshold), escape(check.detail)


def card_html(card: EvidenceCard | None) -> str:
    """Return the evidence card as HTML."""
    if card is None:
        return (
            '<section class="panel verdict"><div class="word">no verdict</div>'
            "<p>No evidence card was made for this run, so nothing below is proof of an edge.</p></section>"
        )
    heads = (("", False), ("check", False), ("figure", True), ("limit", True), ("meaning", False))
    table = _table(heads, (_check_row(check) for check in card.checks), "stack")
    return (
        f'<section class="panel verdict {card.verdict.value}"><div class="word">{card.verdict.value}</div>'
        f"<p>{escape(card.reason)}</p>{table}</section>"
    )


def _tiles(metrics: Mapping[str, Metric]) -> str:
    tiles = []
    for key in HEADLINES:
        metric = metrics[key]
        color = ""
        if key in ("net", "return", "expectancy") and metric.value is not None:
            color = ' class="good"' if metric.value >= 0 else ' class="bad"'
        note = ""
        if key == "expectancy" and metrics["expectancy_low"].value is not None:
            low, high = metrics["expectancy_low"], metrics["expectancy_high"]
            note = f'<span class="dim small">{show(low.value, "money")} to {show(high.value, "money")}</span>'
        title = f' title="{escape(metric.formula)}"'
        text = show(metric.value, metric.unit)
        tiles.append(
            f'<div class="tile"{title}><span class="dim small">{escape(metric.name)}</span><b{color}>{text}</b>{note}</div>'
        )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _lanes(run: RunResult) -> str:
    names = [name for name in (*BAND_LANES, *COST_LANES) if name in run.lanes]
    names += [name for name in run.lanes if name not in names]
    rows = [
        (
            escape(LANE_TITLES.get(name, name)),
            f"{len(lane.trades):,}",
            show(lane.wins / len(lane.trades), "fraction") if lane.trades else "n/a",
            show(lane.gross, "money"),
            show(lane.fees, "money"),
            _signed(lane.net),
        )
        for name in names
        for lane in (run.lanes[name],)
    ]
    heads = (("lane", False), ("trades", True), ("won", True), ("gross", True), ("fees", True), ("net", True))
    return '<div id="lanes"></div>' + _table(heads, rows)


def _band_note(run: RunResult) -> str:
    nets = sorted(run.lanes[name].net for name in BAND_LANES if name in run.lanes)
    # An optimistic fill can lead to a worse day (another trade, a limit hit), so the band is the range of all three.
    return f"Net profit lies between {nets[0]:,.2f} and {nets[-1]:,.2f} under the fill models shown." if len(nets) > 1 else ""


def _groups(name: str, groups: Sequence[Group]) -> str:
    heads = (("group", False), ("trades", True), ("won", True), ("mean", True), ("profit factor", True), ("net", True))
    rows = (
        (
            escape(group.key),
            f"{group.trades:,}",
            show(group.win_rate, "fraction"),
            show(group.mean, "money"),
            show(group.profit_factor),
            _signed(group.net),
        )
        for group in groups
    )
    figure = f'<div id="group-{name}"></div>' if groups else '<p class="dim">No trades.</p>'
    detail = f"<details><summary>Table</summary>{_table(heads, rows)}</details>" if groups else ""
    return f'<section class="panel"><h2>{escape(GROUP_TITLES.get(name, name))}</h2>{figure}{detail}</section>'


def _reliability(run: RunResult) -> Iterable[str]:
    heads = (
        ("from", True),
        ("to", True),
        ("mean", True),
        ("cases", True),
        ("days", True),
        ("right", True),
        ("interval", True),
    )
    for one in run.reliability:
        rows = [
            (
                f"{some.lowest:.3f}",
                "" if some.is_limit else f"{some.highest:.3f}",
                f"{some.mean:.3f}",
                f"{some.cases:,}",
                f"{some.clusters:,}",
                f"{some.share:.1%}",
                f"{some.low:.1%} to {some.high:.1%}",
            )
            for some in (*one.bins, *one.limits)
        ]
        title = f"{one.measure.replace('_', ' ')}: {one.outcome} in {one.average:.1%} of {one.cases:,} cases"
        note = (
            f"Taken for a probability its mean squared error is {one.brier:.4f}; saying {one.average:.1%} each time makes "
            f"{one.plain_brier:.4f}."
        )
        yield f'<h3>{escape(title)}</h3>{_table(heads, rows)}<p class="dim small">{escape(note)}</p>'


def _ablation(run: RunResult) -> str:
    heads = (("variant", False), ("trades", True), ("won", True), ("net", True), ("a day against the whole", True), ("", False))
    rows = []
    for one in run.ablation:
        won = f"{one.wins / one.trades:.0%}" if one.trades else "n/a"
        against = f"{one.difference:+,.2f} ({one.low:+,.2f} to {one.high:+,.2f})" if one.mark else ""
        rows.append((escape(one.name), f"{one.trades:,}", won, _signed(one.net), against, one.mark))
    return _table(heads, rows)


RELIABILITY = '<div id="reliability"></div>'
NUMERIC = ' class="n"'
TRADE_COLUMNS: tuple[tuple[str, str], ...] = (
    ("entry", "text"),
    ("exit", "text"),
    ("symbol", "text"),
    ("side", "text"),
    ("qty", "number"),
    ("entry price", "price"),
    ("exit price", "price"),
    ("gross", "money"),
    ("fees", "money"),
    ("net", "money"),
    ("MAE ticks", "number"),
    ("MFE ticks", "number"),
    ("slip ticks x qty", "number"),
    ("closed by", "text"),
    ("pattern", "text"),
    ("regime", "text"),
    ("decision", "text"),
)


def _number(value: float) -> float | None:
    return value if value == value else None  # noqa: PLR0124 - NaN is not equal to itself


def _trade_rows(run: RunResult) -> list[list[Any]]:
    zone = ZoneInfo(run.zone)

    def local(ts: int) -> str:
        return datetime.fromtimestamp(ts // NS_PER_SECOND, tz=UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")

    rows: list[list[Any]] = []
    reasons = exit_reasons(run.tables)
    for trade in run.trades:
        tick = float(trade.instrument.tick_size)
        rows.append(
            [
                local(trade.entry_ns),
                local(trade.exit_ns),
                trade.instrument.symbol,
                trade.side.value,
                trade.quantity,
                round(trade.entry_ticks * tick, 6),
                round(trade.exit_ticks * tick, 6),
                float(trade.gross),
                float(trade.fees),
                float(trade.net),
                _number(trade.mae_ticks) or 0,
                _number(trade.mfe_ticks) or 0,
                trade.slippage_ticks,
                reasons.get(trade.trade_id, trade.exit_role.value) + (" ?" if trade.is_ambiguous else ""),
                trade.labels.get("pattern") or trade.labels.get("signal") or "",
                trade.labels.get("regime", ""),
                trade.decision_id or "",
            ]
        )
    return rows


def _trades() -> str:
    style = {"text": ""}
    heads = "".join(f"<th{style.get(kind, NUMERIC)}>{escape(name)}</th>" for name, kind in TRADE_COLUMNS)
    return (
        '<p><input id="find" placeholder="Find in trades" aria-label="Find in trades"> '
        '<span class="dim small">Click a heading to sort. Times of the exchange. A question mark: another fill model decides '
        'it differently.</span></p><div class="tall"><table id="trades"><thead><tr>'
        f'{heads}</tr></thead><tbody></tbody></table></div><button id="more" hidden>Show all</button>'
    )


def _metrics(metrics: Mapping[str, Metric]) -> str:
    heads = (("metric", False), ("value", True), ("formula", False), ("made of", False))
    rows = (
        (
            escape(metric.name),
            show(metric.value, metric.unit)
            if metric.value is not None
            else f'<span class="dim">{escape(metric.reason)}</span>',
            escape(metric.formula),
            escape(metric.basis),
        )
        for metric in metrics.values()
    )
    return _table(heads, rows, "stack")


def _provenance(run: RunResult) -> str:
    pairs: list[tuple[str, object]] = [
        ("run", run.run_id),
        ("data", f"{'SIMULATED' if run.is_simulated else 'recorded'}, {run.tables.ticks:,} ticks"),
        ("data hash", run.data_hash),
        ("code hash", run.code_hash),
        ("configuration hash", run.config_hash),
        ("seed", "none" if run.seed is None else run.seed),
        ("fill model", run.fill_model),
        ("trials on this data", run.trials),
    ]
    if run.wall_seconds is not None:
        pairs.append(("run time", f"{run.wall_seconds:.2f} s"))
    rows = ((escape(name), f'<span class="mono">{escape(str(value))}</span>') for name, value in pairs)
    settings = escape(json.dumps(run.settings, indent=2, default=str, sort_keys=True))
    return (
        _table((("what", False), ("value", False)), rows)
        + f'<details><summary>Configuration</summary><pre class="mono">{settings}</pre></details>'
    )


def _figures(run: RunResult, groups: Mapping[str, Sequence[Group]]) -> dict[str, Figure]:
    figures = {"equity": equity_figure(run, equity_curve(run)), "daily": daily_figure(run), "months": month_figure(run)}
    figures["lanes"] = lane_figure(run)
    if run.trades:
        figures["excursion"] = excursion_figure(run)
        figures["histogram"] = histogram_figure(run)
    if run.reliability:
        figures["reliability"] = reliability_figure(run.reliability)
    if run.tables.refused:
        figures["refused"] = refusal_figure(run.tables.refused)
    figures.update({f"group-{name}": group_figure(some) for name, some in groups.items() if some})
    return figures


def _sections(run: RunResult, metrics: Mapping[str, Metric], groups: Mapping[str, Sequence[Group]]) -> Iterable[str]:
    yield card_html(run.evidence)
    yield _tiles(metrics)
    if run.lanes:
        yield _panel("Fill bands and costs", _lanes(run), _band_note(run))
    yield _panel("Equity", '<div id="equity"></div>')
    yield _panel("Sessions", '<div id="daily"></div>')
    yield _panel("Months", '<div id="months"></div>')
    yield f'<div class="grid">{"".join(_groups(name, some) for name, some in groups.items())}</div>'
    if run.reliability:
        note = (
            "Bins of about equal number, then all cases from a limit of the rule on. Cases of one day hang together; the "
            "intervals count days as what is independent."
        )
        yield _panel("How sure it was, and how often it was right", RELIABILITY + "".join(_reliability(run)), note)
    if run.ablation:
        note = (
            f"Mean daily profit of each variant less that of the whole, with a bootstrap interval of blocks of days. "
            f"{comparisons_text(run.ablation)}"
        )
        yield _panel("What each part is worth", _ablation(run), note)
    if run.trades:
        scatter = _panel("Worst and best excursion", '<div id="excursion"></div>')
        histogram = _panel("Net per trade", '<div id="histogram"></div>')
        yield f'<div class="grid">{scatter}{histogram}</div>'
    if run.tables.refused:
        note = f"{sum(run.tables.refused.values()):,} candidates refused; 'sovereign explain DECISION' says why, one by one."
        yield _panel("What was refused, by check", '<div id="refused"></div>', note)
    yield _panel("Trades", _trades())
    yield _panel("How the figures are made", _metrics(metrics))
    assumptions = "".join(f"<li>{escape(text)}</li>" for text in run.assumptions)
    yield _panel("Assumptions", f"<ul>{assumptions}</ul>" if assumptions else '<p class="dim">None stated.</p>')
    yield _panel("Where this comes from", _provenance(run))


def _is_labeled(groups: Sequence[Group]) -> bool:
    return [group.key for group in groups] != [UNKNOWN]


def render_page(run: RunResult, metrics: Mapping[str, Metric], groups: Mapping[str, Sequence[Group]]) -> str:
    """Return the whole page."""
    groups = {name: some for name, some in groups.items() if _is_labeled(some) and (name != "symbol" or len(some) > 1)}
    title = f"{run.strategy} on {', '.join(run.symbols)}"
    when = f"{run.start.isoformat()} to {run.end.isoformat()}"
    banner = (
        '<div class="banner" role="alert">SIMULATED DATA: no market has printed these prices</div>' if run.is_simulated else ""
    )
    digits = max((trade.instrument.price_precision for trade in run.trades), default=0)
    trades = {"rows": _trade_rows(run), "kinds": [kind for _, kind in TRADE_COLUMNS], "net": 9, "digits": digits}
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>{escape(title)}, {when}</title><style>{STYLE}</style></head><body><main>",
            banner,
            f'<header><h1>{escape(title)}</h1><span class="dim">{when}, {len(run.tables.sessions)} sessions; '
            f"money in USD, times in {escape(run.zone)}</span>"
            '<button id="theme">Dark</button></header>',
            *_sections(run, metrics, groups),
            "</main>",
            f'<script type="application/json" id="figures-data">{embed(_figures(run, groups))}</script>',
            f'<script type="application/json" id="trades-data">{embed(trades)}</script>',
            f"<script>{plotly_script()}</script><script>{SCRIPT}</script></body></html>",
        )
    )
