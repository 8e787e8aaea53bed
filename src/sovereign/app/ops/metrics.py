"""Metrics of a trading process in Prometheus' text format, fed by the audit stream and the heartbeat.

Every metric is a row of `METRICS`; the Grafana board shows these and no others. A number that is not known yet is left out.
Source of the format: Prometheus text exposition format 0.0.4. Base units in the names (seconds, ratio, bytes); counters end
in `_total`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Literal

from sovereign.app.ops.heartbeat import Beat
from sovereign.core.event import (
    AccountSnapshot,
    DecisionMade,
    Event,
    Notice,
    OrderChanged,
    OrderFilled,
    SessionEnded,
    TradeClosed,
    TradingState,
    TradingStateChanged,
)
from sovereign.core.order import OrderEvent
from sovereign.core.session import NS_PER_SECOND

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the latency histogram, seconds: those of Prometheus' own clients, one decade lower to start with."""

_REMEMBERED_ORDERS = 10_000
"""Orders whose sending time is kept; older ones were answered or never will be."""

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its kind, what it says, and the names of its labels."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()


METRICS = (
    Metric(
        "sovereign_up", "gauge", "1 while the process runs; its labels say what it trades.", ("strategy", "mode", "account")
    ),
    Metric("sovereign_heartbeat_timestamp_seconds", "gauge", "When the trading thread beat last, Unix time."),
    Metric("sovereign_memory_bytes", "gauge", "Resident memory of the process."),
    Metric("sovereign_feed_staleness_seconds", "gauge", "Age of the newest market data."),
    Metric("sovereign_trading_state", "gauge", "1 for the state that trading is in, 0 for the others.", ("state",)),
    Metric("sovereign_equity", "gauge", "Balance plus floating profit and loss, account currency."),
    Metric("sovereign_balance", "gauge", "Balance, account currency."),
    Metric("sovereign_day_pnl", "gauge", "Profit and loss of the trade date, realized and floating, account currency."),
    Metric("sovereign_drawdown_ratio", "gauge", "How far equity is below its high-water mark, 0 to 1."),
    Metric("sovereign_position", "gauge", "Open position, signed units.", ("symbol",)),
    Metric("sovereign_decisions_total", "counter", "Candidates judged at the risk door.", ("verdict",)),
    Metric("sovereign_orders_total", "counter", "Orders that reached a status.", ("status",)),
    Metric("sovereign_order_latency_seconds", "histogram", "From sending an order to the venue's first answer, market time."),
    Metric("sovereign_fills_total", "counter", "Fills applied.", ("symbol", "side")),
    Metric("sovereign_trades_total", "counter", "Closed round trips.", ("result",)),
    Metric("sovereign_notices_total", "counter", "Notices by what they are about.", ("code", "severity")),
)
"""Everything that `/metrics` tells."""

_BY_NAME = {metric.name: metric for metric in METRICS}


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _braces(labels: Iterable[tuple[str, str]]) -> str:
    inside = ",".join(f'{name}="{_escape(value)}"' for name, value in labels)
    return f"{{{inside}}}" if inside else ""


class Metrics:
    """A sink of the audit stream that keeps a few numbers; its calls take microseconds and never wait for a reader for long."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._values: dict[str, dict[Labels, float]] = {metric.name: {} for metric in METRICS if metric.kind != "histogram"}
        self._buckets = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self._latency_sum = 0.0
        self._sent: dict[str, int] = {}
        self._state(TradingState.ACTIVE)

    def __call__(self, event: Event, /) -> None:
        """Take one event of the audit stream."""
        with self._lock:
            self._take(event)

    def beat(self, beat: Beat) -> None:
        """Take a sign of life."""
        with self._lock:
            self._values["sovereign_up"].clear()
            self._set("sovereign_up", 1, beat.strategy, beat.mode, beat.account)
            self._set("sovereign_heartbeat_timestamp_seconds", beat.ts / NS_PER_SECOND)
            self._set("sovereign_memory_bytes", beat.memory_mb * 2**20)
            if beat.feed_age_s is not None:
                self._set("sovereign_feed_staleness_seconds", beat.feed_age_s)

    def value(self, name: str, *labels: str) -> float | None:
        """Return a counter's or gauge's present value, None when there is none yet."""
        with self._lock:
            return self._values[name].get(self._labels(name, labels))

    def text(self) -> str:
        """Return everything in Prometheus' text format."""
        with self._lock:
            return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        for metric in METRICS:
            yield f"# HELP {metric.name} {_escape(metric.text)}"
            yield f"# TYPE {metric.name} {metric.kind}"
            if metric.kind == "histogram":
                yield from self._histogram(metric.name)
            else:
                for labels, value in sorted(self._values[metric.name].items()):
                    yield f"{metric.name}{_braces(labels)} {_number(value)}"

    def _histogram(self, name: str) -> Iterator[str]:
        total = 0
        for bound, count in zip((*LATENCY_BUCKETS_S, math.inf), self._buckets, strict=True):
            total += count
            yield f'{name}_bucket{{le="{_number(bound)}"}} {total}'
        yield f"{name}_sum {_number(self._latency_sum)}"
        yield f"{name}_count {total}"

    def _take(self, event: Event) -> None:
        if isinstance(event, OrderChanged):
            self._order(event)
        elif isinstance(event, OrderFilled):
            self._add("sovereign_fills_total", event.fill.instrument.symbol, event.fill.side.value)
            self._set("sovereign_position", event.position_quantity, event.fill.instrument.symbol)
            self._set("sovereign_balance", float(event.balance))
        elif isinstance(event, AccountSnapshot):
            self._account(event)
        elif isinstance(event, DecisionMade):
            self._add("sovereign_decisions_total", event.decision.verdict.value)
        elif isinstance(event, TradeClosed):
            net = event.trade.net
            self._add("sovereign_trades_total", "win" if net > 0 else "loss" if net < 0 else "even")
        elif isinstance(event, TradingStateChanged):
            self._state(event.state)
        elif isinstance(event, Notice):
            self._add("sovereign_notices_total", event.code.value, event.severity.value)
        elif isinstance(event, SessionEnded):
            self._sent.clear()

    def _order(self, event: OrderChanged) -> None:
        self._add("sovereign_orders_total", event.status.value)
        if event.cause is OrderEvent.SUBMIT:
            self._sent[event.client_order_id] = event.ts
            if len(self._sent) > _REMEMBERED_ORDERS:
                del self._sent[next(iter(self._sent))]
        elif (sent := self._sent.pop(event.client_order_id, None)) is not None:
            seconds = (event.ts - sent) / NS_PER_SECOND
            self._buckets[next((i for i, b in enumerate(LATENCY_BUCKETS_S) if seconds <= b), len(LATENCY_BUCKETS_S))] += 1
            self._latency_sum += seconds

    def _account(self, event: AccountSnapshot) -> None:
        self._set("sovereign_balance", float(event.balance))
        self._set("sovereign_equity", float(event.equity))
        self._set("sovereign_day_pnl", float(event.day_pnl))
        if event.high_water_mark > 0:
            self._set("sovereign_drawdown_ratio", max(0.0, float(1 - event.equity / event.high_water_mark)))

    def _state(self, state: TradingState) -> None:
        for one in TradingState:
            self._set("sovereign_trading_state", float(one is state), one.value)

    @staticmethod
    def _labels(name: str, values: tuple[str, ...]) -> Labels:
        return tuple(zip(_BY_NAME[name].labels, values, strict=True))

    def _set(self, name: str, value: float, *labels: str) -> None:
        self._values[name][self._labels(name, labels)] = value

    def _add(self, name: str, *labels: str) -> None:
        values, key = self._values[name], self._labels(name, labels)
        values[key] = values.get(key, 0) + 1


def board(title: str = "Sovereign") -> Mapping[str, object]:
    """Return a Grafana board (schema 39) that shows every metric; its data source is chosen when it is imported."""
    panels = [_panel(number, *row) for number, row in enumerate((*_STATS, *_CURVES))]
    return {
        "__inputs": [{"name": "DS", "label": "Prometheus", "type": "datasource", "pluginId": "prometheus"}],
        "title": title,
        "uid": "sovereign",
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-8h", "to": "now"},
        "timezone": "browser",
        "tags": ["trading"],
        "templating": {"list": []},
        "panels": panels,
    }


_STATS = (
    ("stat", "Heartbeat age", "s", {"": "time() - sovereign_heartbeat_timestamp_seconds"}),
    ("stat", "Trading state", "none", {"{{state}}": "sovereign_trading_state == 1"}),
    ("stat", "Running", "none", {"{{strategy}} {{mode}} {{account}}": "sovereign_up"}),
    ("stat", "Drawdown", "percentunit", {"": "sovereign_drawdown_ratio"}),
)
_CURVES = (
    ("timeseries", "Equity and balance", "currencyUSD", {"equity": "sovereign_equity", "balance": "sovereign_balance"}),
    ("timeseries", "Profit and loss of the day", "currencyUSD", {"": "sovereign_day_pnl"}),
    ("timeseries", "Positions", "none", {"{{symbol}}": "sovereign_position"}),
    ("timeseries", "Age of market data", "s", {"": "sovereign_feed_staleness_seconds"}),
    (
        "timeseries",
        "Order latency",
        "s",
        {
            "p50": "histogram_quantile(0.5, sum by (le) (rate(sovereign_order_latency_seconds_bucket[15m])))",
            "p99": "histogram_quantile(0.99, sum by (le) (rate(sovereign_order_latency_seconds_bucket[15m])))",
        },
    ),
    ("timeseries", "Orders", "none", {"{{status}}": "increase(sovereign_orders_total[15m])"}),
    ("timeseries", "Decisions", "none", {"{{verdict}}": "increase(sovereign_decisions_total[15m])"}),
    ("timeseries", "Fills", "none", {"{{symbol}} {{side}}": "increase(sovereign_fills_total[15m])"}),
    ("timeseries", "Trades", "none", {"{{result}}": "increase(sovereign_trades_total[1h])"}),
    ("timeseries", "Notices", "none", {"{{severity}} {{code}}": "increase(sovereign_notices_total[15m])"}),
    ("timeseries", "Memory", "bytes", {"": "sovereign_memory_bytes"}),
)


def _panel(number: int, kind: str, title: str, unit: str, queries: Mapping[str, str]) -> dict[str, object]:
    source = {"type": "prometheus", "uid": "${DS}"}
    if number < len(_STATS):
        place = {"x": 6 * number, "y": 0, "w": 6, "h": 4}
    else:
        below = number - len(_STATS)
        place = {"x": 12 * (below % 2), "y": 4 + 8 * (below // 2), "w": 12, "h": 8}
    return {
        "id": number + 1,
        "type": kind,
        "title": title,
        "datasource": source,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": expression, "legendFormat": legend, "datasource": source}
            for index, (legend, expression) in enumerate(queries.items())
        ],
    }
