"""A finished run in a screenful of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sovereign.research.ablation import VariantResult
    from sovereign.research.result import RunResult
    from sovereign.research.runner import Finished

_MARK = {"passed": "ok  ", "failed": "FAIL", "not run": "--  "}


def summary_text(finished: Finished) -> str:
    """Return the verdict, the figures, the bands and where the report is."""
    result, tables = finished.result, finished.result.tables
    main = result.lanes[result.fill_model]
    data = "SIMULATED data" if result.is_simulated else "recorded data"
    lines = [
        f"{result.strategy} on {', '.join(result.symbols)}, {result.start} to {result.end}: {len(tables.sessions)} sessions, "
        f"{tables.ticks:,} ticks, {tables.bars:,} bars, {data}",
        f"balance {result.starting_balance:,.2f} -> {result.final_balance:,.2f}   net {main.net:+,.2f}"
        f"   gross {main.gross:+,.2f}   fees {main.fees:,.2f} USD   trades {len(main.trades)}   wins {main.wins}",
        "",
        "P&L under other assumptions (net, USD):",
        *(f"  {name:<12}{lane.net:>+14,.2f}  {len(lane.trades):>5} trades" for name, lane in result.lanes.items()),
    ]
    lines += _refused(result, len(main.trades))
    if tables.state_changes:
        halts = ", ".join(sorted({f"{c.cause}" for c in tables.state_changes if c.state != "ACTIVE"}))
        if halts:
            lines.append(f"halts: {halts}")
    card = result.evidence
    if card is not None:
        lines += ["", f"verdict: {card.verdict.value.upper()}. {card.reason}"]
        lines += [
            f"  {_MARK[c.state]}  {c.name.value:<12}{_figures(c.statistic, c.threshold):<28}{c.detail}" for c in card.checks
        ]
    if result.reliability:
        lines += ["", "how sure, and how often right:"]
        for one in result.reliability:
            lines.append(
                f"  {one.measure:<16}{one.outcome}: {one.average:.1%} of {one.cases:,}, error {one.brier:.4f}"
                f" ({one.plain_brier:.4f} by saying so each time)"
            )
            for some in one.limits:
                lines.append(
                    f"    from {some.lowest:.2f} on: {some.share:.1%} of {some.cases:,} ({some.low:.1%} to {some.high:.1%})"
                )
    lines += _ablation(result.ablation)
    lines += ["", f"run     {result.run_id}", f"report  {finished.paths.html}"]
    return "\n".join(lines)


def _refused(result: RunResult, trades: int) -> list[str]:
    refused = result.tables.refused
    if not refused:
        return [] if trades else ["", "nothing was traded: there was no candidate"]
    top = sorted(refused.items(), key=lambda item: -item[1])[:6]
    lines = [] if trades else ["", f"nothing was traded; the check that refused most is '{top[0][0]}'"]
    return [
        *lines,
        "",
        f"{sum(refused.values()):,} candidates refused: " + ", ".join(f"{name} {count:,}" for name, count in top),
        f"  one by one: sovereign runs decisions {result.run_id}",
    ]


def _ablation(variants: Sequence[VariantResult]) -> list[str]:
    from sovereign.research.ablation import comparisons_text

    if not variants:
        return []
    lines = ["", "without a part: trades, net, and a day against the whole (USD, with interval):"]
    for one in variants:
        against = f"{one.difference:>+10.2f} ({one.low:+.2f} to {one.high:+.2f}) {one.mark}" if one.mark else ""
        lines.append(f"  {one.name:<24}{one.trades:>6,} trades{one.net:>+13,.2f}{against}")
    return [*lines, f"  {comparisons_text(variants)}"]


def _figures(statistic: float | None, threshold: float | None) -> str:
    if statistic is None:
        return ""
    return f"{statistic:,.3g}" + ("" if threshold is None else f" (limit {threshold:,.3g})")


def summary_plain(finished: Finished) -> dict[str, Any]:
    """Return the summary and where the report is as JSON-ready values."""
    from sovereign.research.report import summarize

    paths = finished.paths
    return {**summarize(finished.result), "report": str(paths.html), "summary": str(paths.summary)}
