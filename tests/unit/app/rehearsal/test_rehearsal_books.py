"""What a rehearsal calls a broken promise, on hand-made books."""

from dataclasses import replace
from decimal import Decimal

import pytest

from sovereign.app.rehearsal.books import Kept, check_fills, check_journal, check_orders
from sovereign.app.rehearsal.kills import Story, difference
from sovereign.app.rehearsal.protection import longest_bare_ns
from sovereign.core.instrument import find_instrument
from sovereign.core.order import OrderEvent, OrderRole, OrderStatus, OrderType, Side
from sovereign.core.position import Fill, Liquidity
from sovereign.execution.broker import BrokerSnapshot, VenueExecution, VenueOrder
from sovereign.execution.report import ExecutionReport
from sovereign.execution.venue.protocol import Report

ES = find_instrument("ES")


def at_venue(name, status=OrderStatus.FILLED, filled=1, kind=OrderType.MARKET, side=Side.BUY, parent=None):
    return VenueOrder(
        client_order_id=name,
        venue_order_id=f"V{name}",
        symbol="ES",
        side=side,
        order_type=kind,
        quantity=1,
        filled_qty=filled,
        status=status,
        parent_id=parent,
    )


def execution(name, trade_id, price=20_000):
    return VenueExecution(
        cursor=1,
        trade_id=trade_id,
        client_order_id=name,
        symbol="ES",
        side=Side.BUY,
        quantity=1,
        price_ticks=price,
        ts=1,
        fee=Decimal(2),
        liquidity=Liquidity.TAKER,
    )


def fill(name, trade_id, price=20_000):
    return Fill(
        trade_id=trade_id,
        client_order_id=name,
        instrument=ES,
        side=Side.BUY,
        quantity=1,
        price_ticks=price,
        ts=1,
        fee=Decimal(2),
        liquidity=Liquidity.TAKER,
        role=OrderRole.ENTRY,
    )


def books(*orders, executions=()):
    return BrokerSnapshot(now_ns=1, cursor=len(executions), orders=orders, executions=executions, positions=(), cash=Decimal(0))


def kinds(found):
    return [violation.kind for violation in found]


def kept(*requests):
    return {"s": Kept(requests=requests, events=0, head=b"", status="running")}


def test_journal_when_every_order_was_kept_once_then_nothing_is_broken():
    venue = books(at_venue("A"), at_venue("A-S", parent="A"))
    assert kinds(check_journal(kept(("NEW", "A"), ("CANCEL", "A"), ("NEW", "B")), venue)) == []


@pytest.mark.parametrize(
    ("requests", "orders", "expected"),
    [
        ((("NEW", "A"), ("NEW", "A")), (at_venue("A"),), ["sent twice"]),
        ((("NEW", "A"),), (at_venue("A"), at_venue("A")), ["duplicate order"]),
        ((), (at_venue("A"),), ["not in journal"]),
    ],
)
def test_journal_when_it_and_the_venue_disagree_then_says_how(requests, orders, expected):
    assert kinds(check_journal(kept(*requests), books(*orders))) == expected


@pytest.mark.parametrize(
    ("fills", "executions", "is_over", "expected"),
    [
        ((fill("A", "1"),), (execution("A", "1"),), True, []),
        ((), (execution("A", "1"),), False, []),
        ((), (execution("A", "1"),), True, ["lost fill"]),
        ((fill("A", "1"), fill("A", "1")), (execution("A", "1"),), True, ["doubled fill"]),
        ((fill("A", "2"),), (), False, ["invented fill"]),
        ((fill("A", "1", price=19_999),), (execution("A", "1"),), True, ["other fill"]),
    ],
)
def test_fills_when_held_against_the_venues_then_each_difference_is_named(fills, executions, is_over, expected):
    assert kinds(check_fills(fills, books(executions=executions), is_over=is_over)) == expected


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (OrderStatus.FILLED, at_venue("A"), []),
        (OrderStatus.ACCEPTED, at_venue("A"), ["order state"]),
        (OrderStatus.CANCELED, at_venue("A", OrderStatus.ACCEPTED, 0), ["order state"]),
        (OrderStatus.REJECTED, at_venue("A", OrderStatus.CANCELED, 0), []),
        (OrderStatus.REJECTED, at_venue("A", OrderStatus.CANCELED, 1), ["order state"]),
        (OrderStatus.REJECTED, None, []),
        (OrderStatus.SUBMITTED, None, ["order state"]),
    ],
)
def test_orders_when_held_against_the_venues_then_both_must_have_ended_alike(ours, theirs, expected):
    assert kinds(check_orders({"A": ours}, books(*([theirs] if theirs else [])))) == expected


def test_order_when_it_works_at_the_venue_alone_then_is_named():
    assert kinds(check_orders({}, books(at_venue("A", OrderStatus.ACCEPTED, 0)))) == ["order unknown"]


def said(seq, ts, name, cause, quantity=0):
    report = ExecutionReport(cause=cause, client_order_id=name, ts=ts, quantity=quantity, price_ticks=1, trade_id=f"{seq}")
    return Report.of(seq, report, venue_order_id="V", tape="ES", row=0)


def test_position_when_its_stop_comes_late_shrinks_and_goes_then_the_longest_bare_time_is_found():
    entry, stop = at_venue("E"), at_venue("S", OrderStatus.CANCELED, 0, OrderType.STOP, Side.SELL)
    messages = [
        said(1, 10, "E", OrderEvent.ACCEPT),
        said(2, 20, "E", OrderEvent.FILL, 3),
        said(3, 27, "S", OrderEvent.ACCEPT),  # sent with 3: bare for 7
        said(4, 40, "S", OrderEvent.UPDATE, 1),
        said(5, 45, "S", OrderEvent.CANCEL),
    ]
    whole = books(replace(entry, quantity=3, filled_qty=3), stop)
    assert longest_bare_ns(messages[:3], whole, 30, {"E": 3, "S": 3}) == 7
    assert longest_bare_ns(messages, whole, 52, {"E": 3, "S": 3}) == 12


def test_stories_when_they_part_then_says_where():
    one, two = Story(((1, "A"),), "5"), Story(((1, "B"),), "5")
    assert "fill 0" in difference(one, two)
    assert "1 fills" in difference(Story((), "5"), one)
    assert "cash was 6" in difference(one, Story(((1, "A"),), "6"))
