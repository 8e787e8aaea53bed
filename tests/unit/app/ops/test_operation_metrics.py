"""Metrics from the audit stream, their text format, and the board that shows them."""

import json
import re
from dataclasses import replace
from decimal import Decimal

import pytest

from sovereign.app.ops.heartbeat import Beat
from sovereign.app.ops.metrics import METRICS, Metrics, board
from sovereign.core.event import (
    AccountSnapshot,
    Notice,
    NoticeCode,
    OrderChanged,
    OrderFilled,
    Severity,
    TradingState,
    TradingStateChanged,
)
from sovereign.core.instrument import find_instrument
from sovereign.core.order import OrderEvent, OrderRole, OrderStatus, OrderType, Side
from sovereign.core.position import Fill, Liquidity
from sovereign.core.session import NS_PER_SECOND

ES = find_instrument("ESZ5")
MS = NS_PER_SECOND // 1_000
SENT = OrderChanged(
    ts=0,
    client_order_id="c-1",
    instrument=ES,
    side=Side.BUY,
    order_type=OrderType.MARKET,
    role=OrderRole.ENTRY,
    quantity=1,
    filled_qty=0,
    limit_ticks=None,
    stop_ticks=None,
    cause=OrderEvent.SUBMIT,
    status=OrderStatus.SUBMITTED,
    decision_id=None,
    parent_id=None,
)
BEAT = Beat(
    ts=1_700_000_000 * NS_PER_SECOND,
    market_ns=0,
    pid=1,
    host="h",
    process_token="t",
    session_id="s",
    strategy="order_flow",
    mode="paper",
    account='a"b',
    state="ACTIVE",
    feed_age_s=0.25,
    memory_mb=1.5,
)


def answered(order_id, after_ms):
    return replace(SENT, ts=after_ms * MS, client_order_id=order_id, cause=OrderEvent.ACCEPT, status=OrderStatus.ACCEPTED)


@pytest.fixture
def metrics():
    return Metrics()


def lines(metrics, name):
    return [line for line in metrics.text().splitlines() if line.startswith(name)]


def test_orders_when_sent_and_answered_then_counted_by_status_with_their_latency(metrics):
    for order_id, after_ms in (("c-1", 2), ("c-2", 40), ("c-3", 20_000)):
        metrics(replace(SENT, client_order_id=order_id))
        metrics(answered(order_id, after_ms))
    metrics(replace(answered("c-1", 99), cause=OrderEvent.FILL, status=OrderStatus.FILLED))
    assert metrics.value("sovereign_orders_total", "SUBMITTED") == 3
    assert metrics.value("sovereign_orders_total", "ACCEPTED") == 3
    assert metrics.value("sovereign_orders_total", "FILLED") == 1
    # 2 ms, 40 ms and 20 s: cumulative counts by hand
    assert lines(metrics, "sovereign_order_latency_seconds") == [
        'sovereign_order_latency_seconds_bucket{le="0.001"} 0',
        *(f'sovereign_order_latency_seconds_bucket{{le="{le}"}} 1' for le in ("0.0025", "0.005", "0.01", "0.025")),
        *(
            f'sovereign_order_latency_seconds_bucket{{le="{le}"}} 2'
            for le in ("0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10")
        ),
        'sovereign_order_latency_seconds_bucket{le="+Inf"} 3',
        "sovereign_order_latency_seconds_sum 20.042",
        "sovereign_order_latency_seconds_count 3",
    ]


def test_account_when_below_its_mark_then_drawdown_is_a_ratio(metrics):
    metrics(
        AccountSnapshot(
            ts=0, balance=Decimal(2_400), equity=Decimal(2_250), day_pnl=Decimal(-150), high_water_mark=Decimal(2_500)
        )
    )
    assert lines(metrics, "sovereign_equity") == ["sovereign_equity 2250"]
    assert metrics.value("sovereign_day_pnl") == -150
    assert metrics.value("sovereign_drawdown_ratio") == pytest.approx(0.1)


def test_fill_when_applied_then_position_and_count(metrics):
    fill = Fill(
        trade_id="t",
        client_order_id="c-1",
        instrument=ES,
        side=Side.SELL,
        quantity=2,
        price_ticks=1,
        ts=0,
        fee=Decimal(1),
        liquidity=Liquidity.TAKER,
        role=OrderRole.ENTRY,
    )
    metrics(OrderFilled(ts=0, fill=fill, position_quantity=-2, balance=Decimal(2_499)))
    assert lines(metrics, "sovereign_position") == ['sovereign_position{symbol="ESZ5"} -2']
    assert metrics.value("sovereign_fills_total", "ESZ5", "SELL") == 1
    assert metrics.value("sovereign_balance") == 2_499


def test_state_when_halted_then_one_state_is_one(metrics):
    metrics(TradingStateChanged(ts=0, state=TradingState.HALTED, cause="kill", reason="x"))
    assert lines(metrics, "sovereign_trading_state") == [
        'sovereign_trading_state{state="ACTIVE"} 0',
        'sovereign_trading_state{state="HALTED"} 1',
        'sovereign_trading_state{state="REDUCING"} 0',
    ]


def test_beat_when_taken_then_told_in_base_units_with_escaped_labels(metrics):
    metrics.beat(BEAT)
    assert lines(metrics, "sovereign_up") == ['sovereign_up{strategy="order_flow",mode="paper",account="a\\"b"} 1']
    assert lines(metrics, "sovereign_heartbeat") == ["sovereign_heartbeat_timestamp_seconds 1700000000"]
    assert lines(metrics, "sovereign_memory_bytes") == ["sovereign_memory_bytes 1572864"]
    assert lines(metrics, "sovereign_feed_staleness_seconds") == ["sovereign_feed_staleness_seconds 0.25"]


def test_notice_when_taken_then_counted_by_code_and_severity(metrics):
    metrics(Notice(ts=0, code=NoticeCode.GUARD, severity=Severity.ALARM, subject="x", text="y"))
    assert metrics.value("sovereign_notices_total", "GUARD", "ALARM") == 1


def test_text_when_read_then_every_metric_has_help_and_type_and_every_line_is_a_sample(metrics):
    metrics.beat(BEAT)
    text = metrics.text()
    assert text.endswith("\n")
    assert re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE) == [(metric.name, metric.kind) for metric in METRICS]
    sample = re.compile(r'[a-z_]+(\{([a-z]+="([^"\\\n]|\\["\\n])*",?)+\})? (NaN|[+-]?(Inf|[\d.e+-]+))')
    assert all(sample.fullmatch(line) for line in text.splitlines() if not line.startswith("#"))


def test_orders_when_never_answered_then_memory_is_bounded(metrics):
    for number in range(10_500):
        metrics(replace(SENT, client_order_id=str(number)))
    metrics(answered("0", 1))
    metrics(answered("10499", 1))
    assert lines(metrics, "sovereign_order_latency_seconds_count") == ["sovereign_order_latency_seconds_count 1"]


def test_board_when_read_then_shows_every_metric_and_no_other():
    drawn = board()
    json.dumps(drawn)
    shown = {
        name for panel in drawn["panels"] for query in panel["targets"] for name in re.findall(r"sovereign_\w+", query["expr"])
    }
    known = {metric.name for metric in METRICS}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) if name not in known else name for name in shown} == known


def test_board_when_queries_name_labels_then_the_metric_has_them():
    labels = {metric.name: set(metric.labels) for metric in METRICS}
    for panel in board()["panels"]:
        for query in panel["targets"]:
            asked = set(re.findall(r"{{(\w+)}}", query["legendFormat"]))
            (name,) = {found for found in re.findall(r"sovereign_\w+", query["expr"]) if found in labels} or {None}
            assert asked <= labels.get(name, set()), panel["title"]


def test_board_when_laid_out_then_no_two_panels_overlap():
    taken = set()
    for panel in board()["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
