"""The report's figures as plain dicts in Plotly's JSON form; the Python package of Plotly is never imported.

Colors are names (`good`, `bad`, `main`, `soft`) that the page replaces by those of the reader's light or dark theme.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from sovereign.core.session import NS_PER_SECOND
from sovereign.research.breakdown import Group
from sovereign.research.metrics import EquityCurve
from sovereign.research.reliability import Reliability
from sovereign.research.result import BAND_LANES, COST_LANES, RunResult

Figure = dict[str, Any]

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _local(ts: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(ts / NS_PER_SECOND, tz=UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def _signs(values: Sequence[float]) -> list[str]:
    return ["good" if value >= 0 else "bad" for value in values]


def _money_axis(title: str = "") -> dict[str, Any]:
    return {"title": {"text": title}, "tickformat": ",.0f", "zeroline": True}


def equity_figure(run: RunResult, curve: EquityCurve) -> Figure:
    """Equity above, distance below its highest beneath."""
    zone = ZoneInfo(run.zone)
    times = [_local(int(ts), zone) for ts in curve.ts]
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "name": "Equity",
                "x": times,
                "y": np.round(curve.equity, 2).tolist(),
                "line": {"color": "main", "width": 1.8},
                "hovertemplate": "%{x}<br>%{y:,.2f}<extra></extra>",
            },
            {
                "type": "scatter",
                "mode": "lines",
                "name": "Underwater",
                "x": times,
                "y": np.round(curve.underwater, 6).tolist(),
                "yaxis": "y2",
                "fill": "tozeroy",
                "line": {"color": "bad", "width": 1},
                "hovertemplate": "%{x}<br>%{y:.2%}<extra></extra>",
            },
        ],
        "layout": {
            "height": 430,
            "showlegend": False,
            "xaxis": {"anchor": "y2"},
            "yaxis": {"domain": [0.34, 1], "tickformat": ",.0f", "title": {"text": "equity"}},
            "yaxis2": {"domain": [0, 0.26], "tickformat": ".1%", "title": {"text": "below high"}},
        },
    }


def daily_figure(run: RunResult) -> Figure:
    """Profit and loss of every session."""
    net = [float(session.end_equity - session.start_equity) for session in run.tables.sessions]
    return {
        "data": [
            {
                "type": "bar",
                "x": [session.trade_date.isoformat() for session in run.tables.sessions],
                "y": net,
                "marker": {"color": _signs(net)},
                "hovertemplate": "%{x}<br>%{y:,.2f}<extra></extra>",
            }
        ],
        "layout": {"height": 260, "yaxis": _money_axis(), "bargap": 0.15},
    }


def month_figure(run: RunResult) -> Figure:
    """Profit and loss by year and month, from the sessions' trade dates."""
    totals: dict[tuple[int, int], float] = {}
    for session in run.tables.sessions:
        cell = (session.trade_date.year, session.trade_date.month)
        totals[cell] = totals.get(cell, 0.0) + float(session.end_equity - session.start_equity)
    years = sorted({year for year, _ in totals})
    values = [[totals.get((year, month)) for month in range(1, 13)] for year in years]
    bound = max((abs(value) for value in totals.values()), default=1.0) or 1.0
    return {
        "data": [
            {
                "type": "heatmap",
                "x": list(MONTHS),
                "y": [str(year) for year in years],
                "z": values,
                "zmin": -bound,
                "zmax": bound,
                "text": [["" if value is None else f"{value:,.0f}" for value in row] for row in values],
                "texttemplate": "%{text}",
                "hovertemplate": "%{x} %{y}<br>%{z:,.2f}<extra></extra>",
                "colorscale": [[0, "bad"], [0.5, "panel"], [1, "good"]],
                "showscale": False,
                "xgap": 3,
                "ygap": 3,
            }
        ],
        "layout": {
            "height": 110 + 46 * len(years),
            "yaxis": {"type": "category", "autorange": "reversed"},
            "xaxis": {"side": "top", "fixedrange": True},
        },
    }


def group_figure(groups: Sequence[Group]) -> Figure:
    """Net profit and loss by group, with the number of trades on hover."""
    net = [float(group.net) for group in groups]
    hover = [f"{group.trades} trades, {group.win_rate:.0%} won" for group in groups]
    is_long = max((len(group.key) for group in groups), default=0) > 9
    x, y = ("y", "x") if is_long else ("x", "y")
    figure: Figure = {
        "data": [
            {
                "type": "bar",
                "orientation": "h" if is_long else "v",
                x: [escape(group.key.replace("_", " ").capitalize() if is_long else group.key) for group in groups],
                y: net,
                "marker": {"color": _signs(net)},
                "customdata": hover,
                "hovertemplate": "%{" + x + "}<br>%{" + y + ":,.2f}<br>%{customdata}<extra></extra>",
            }
        ],
        "layout": {"height": max(230, 70 + 30 * len(groups)) if is_long else 230, "bargap": 0.35},
    }
    figure["layout"]["xaxis" if is_long else "yaxis"] = _money_axis()
    figure["layout"]["yaxis" if is_long else "xaxis"] = {"type": "category", "automargin": True}
    if is_long:
        figure["layout"]["yaxis"]["autorange"] = "reversed"
    return figure


def excursion_figure(run: RunResult) -> Figure:
    """Each trade's worst against its best excursion; winners and losers apart."""
    data = []
    for name, color, is_win in (("winners", "good", True), ("losers", "bad", False)):
        some = [trade for trade in run.trades if (trade.net > 0) is is_win]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": [trade.mae_ticks for trade in some],
                "y": [trade.mfe_ticks for trade in some],
                "text": [escape(f"{trade.trade_id}: {trade.net:,.2f}") for trade in some],
                "marker": {"color": color, "size": 6, "opacity": 0.6},
                "hovertemplate": "%{text}<br>worst %{x:.1f}, best %{y:.1f} ticks<extra></extra>",
            }
        )
    return {
        "data": data,
        "layout": {
            "height": 320,
            "xaxis": {"title": {"text": "worst excursion (ticks)"}, "rangemode": "tozero"},
            "yaxis": {"title": {"text": "best excursion (ticks)"}, "rangemode": "tozero"},
            "legend": {"orientation": "h", "y": 1.12},
        },
    }


def histogram_figure(run: RunResult) -> Figure:
    """How net results of trades are spread."""
    return {
        "data": [
            {
                "type": "histogram",
                "x": [float(trade.net) for trade in run.trades],
                "nbinsx": 40,
                "marker": {"color": "main"},
                "hovertemplate": "%{x}<br>%{y} trades<extra></extra>",
            }
        ],
        "layout": {"height": 320, "xaxis": {"title": {"text": "net per trade"}}, "yaxis": {"title": {"text": "trades"}}},
    }


def lane_figure(run: RunResult) -> Figure:
    """Net profit of every lane: the fill bands and the cost multiples."""
    titles = {"cost_x2": "costs x2", "cost_x3": "costs x3"}
    names = [name for name in (*BAND_LANES, *COST_LANES) if name in run.lanes]
    names += [name for name in run.lanes if name not in names]
    net = [float(run.lanes[name].net) for name in names]
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "y": [escape(titles.get(name, name)) for name in names],
                "x": net,
                "text": [f"{value:,.0f}" for value in net],
                "textposition": "auto",
                "marker": {"color": _signs(net)},
                "hovertemplate": "%{y}<br>%{x:,.2f}<extra></extra>",
            }
        ],
        "layout": {
            "height": 80 + 34 * len(names),
            "bargap": 0.3,
            "xaxis": _money_axis(),
            "yaxis": {"type": "category", "autorange": "reversed", "automargin": True},
        },
    }


def refusal_figure(refused: Mapping[str, int]) -> Figure:
    """Refused candidates by the check that refused them."""
    ordered = sorted(refused.items(), key=lambda item: -item[1])
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "y": [escape(name.replace("_", " ")) for name, _ in ordered],
                "x": [count for _, count in ordered],
                "text": [f"{count:,}" for _, count in ordered],
                "textposition": "auto",
                "marker": {"color": "soft"},
                "hovertemplate": "%{y}: %{x:,}<extra></extra>",
            }
        ],
        "layout": {
            "height": 80 + 30 * len(ordered),
            "bargap": 0.3,
            "xaxis": {"tickformat": ","},
            "yaxis": {"type": "category", "autorange": "reversed", "automargin": True},
        },
    }


def reliability_figure(measures: Sequence[Reliability]) -> Figure:
    """Share of right forecasts by how sure they were, with intervals; measures against the market alone."""
    first = measures[0].outcome
    shown = [one for one in measures if one.outcome == first]
    colors = ("main", "good", "soft")
    data: list[Figure] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "as sure as right",
            "x": [0, 1],
            "y": [0, 1],
            "line": {"color": "soft", "width": 1, "dash": "dot"},
            "hoverinfo": "skip",
        }
    ]
    for n, one in enumerate(shown):
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": escape(one.measure.replace("_", " ")),
                "x": [round(some.mean, 4) for some in one.bins],
                "y": [round(some.share, 4) for some in one.bins],
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [round(some.high - some.share, 4) for some in one.bins],
                    "arrayminus": [round(some.share - some.low, 4) for some in one.bins],
                    "thickness": 1,
                },
                "line": {"color": colors[n % len(colors)], "width": 1.6},
                "marker": {"color": colors[n % len(colors)], "size": 6},
                "customdata": [f"{some.right:,} of {some.cases:,}" for some in one.bins],
                "hovertemplate": "sure %{x:.3f}, right %{y:.1%}<br>%{customdata}<extra></extra>",
            }
        )
    return {
        "data": data,
        "layout": {
            "height": 360,
            "xaxis": {"title": {"text": "how sure"}, "range": [0, 1]},
            "yaxis": {"title": {"text": "share of right ones"}, "tickformat": ".0%"},
            "legend": {"orientation": "h", "y": 1.12},
        },
    }
