"""Messages of the venue survive the wire, and what is not one of them is refused without repeating what it held."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fakes.venue_bench import order
from sovereign.core.columns import NO_QUOTE, Quotes, Trades
from sovereign.core.errors import DataError
from sovereign.core.order import Bracket, Order, OrderEvent, OrderType, Side, TimeInForce
from sovereign.core.position import Liquidity
from sovereign.execution.report import ExecutionReport
from sovereign.execution.venue.protocol import (
    Login,
    NewOrder,
    Report,
    decode_answer,
    decode_request,
    encode,
)
from sovereign.execution.venue.tape_slice import TapeSlice, decode_slice, encode_slice
from sovereign.execution.venue.terms import OrderTerms

DAY = date(2025, 11, 17)


def fields(found: Order) -> dict[str, Any]:
    return {name: getattr(found, name) for name in Order.__slots__}


def test_order_when_sent_then_arrives_with_every_term():
    sent = order(
        "A-1",
        Side.SELL,
        OrderType.STOP_LIMIT,
        3,
        1_763_389_800_000_000_001,
        bracket=Bracket(stop_ticks=4, target_ticks=8, trail_ticks=3),
        time_in_force=TimeInForce.GTD,
        expire_ns=1_763_389_900_000_000_000,
        limit_ticks=-5,
        stop_ticks=-3,
        symbol="MESZ5",
        tape="ESZ5",
        arrival_ticks=20_000,
        decision_id="D7",
    )
    text = encode(NewOrder(request_id=7, order=OrderTerms.of(sent)))
    arrived = decode_request(text)
    assert isinstance(arrived, NewOrder)
    assert fields(arrived.order.order()) == fields(sent)


def test_report_when_sent_then_arrives_with_its_child_and_its_fee():
    child = order("A-S", Side.SELL, OrderType.STOP, 2, 5, stop_ticks=90, parent_id="A")
    for report in (
        ExecutionReport(cause=OrderEvent.SUBMIT, client_order_id="A-S", ts=5, child=child),
        ExecutionReport(
            cause=OrderEvent.PARTIAL_FILL,
            client_order_id="A",
            ts=6,
            trade_id="A#1",
            quantity=2,
            price_ticks=-100,
            liquidity=Liquidity.MAKER,
            slippage_ticks=-1,
            is_ambiguous=True,
            reason="why",
            fee=Decimal("4.50"),
        ),
    ):
        sent = Report.of(9, report, venue_order_id="", tape="ES", row=12)
        arrived = decode_answer(encode(sent))
        assert arrived == sent
        assert isinstance(arrived, Report)
        found = arrived.report()
        assert (found.cause, found.fee, found.quantity, found.liquidity) == (
            report.cause,
            report.fee,
            report.quantity,
            report.liquidity,
        )
        assert (found.child is None) == (report.child is None)
        if found.child is not None:
            assert fields(found.child) == fields(child)


@given(data=st.data(), rows=st.integers(0, 30), is_quoted=st.booleans(), first=st.integers(0, 10**6))
def test_slice_when_sent_then_columns_are_the_same_and_writable(data, rows, is_quoted, first):
    def column(dtype: Any) -> Any:
        return data.draw(hnp.arrays(dtype, rows))

    quotes = (column(np.int32), column(np.int32)) if is_quoted else (None, None)
    sent = Trades(column(np.int64), column(np.int32), column(np.int32), column(np.int8), *quotes)
    found = decode_slice(encode_slice(TapeSlice(DAY, "ESZ5", first, 2**62, 17, sent)))
    assert (found.session, found.symbol, found.first, found.until_ns, found.after) == (DAY, "ESZ5", first, 2**62, 17)
    for name in ("ts", "price", "size", "side", "bid", "ask"):
        one, other = getattr(sent, name), getattr(found.trades, name)
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_array_equal(one, other)
            assert other.flags.writeable
            assert other.flags.aligned


def test_slice_when_laid_out_then_as_documented():
    one = np.int32(7)
    trades = Trades(
        np.array([258], np.int64),
        np.array([one]),
        np.array([2], np.int32),
        np.array([-1], np.int8),
        np.array([NO_QUOTE], np.int32),
        np.array([8], np.int32),
    )
    frame = encode_slice(TapeSlice(DAY, "ES", 3, 300, 1, trades))
    length = int.from_bytes(frame[:4], "little")
    assert (4 + length) % 8 == 0
    assert json.loads(frame[4 : 4 + length]) == {
        "type": "slice",
        "session": "2025-11-17",
        "symbol": "ES",
        "first": 3,
        "rows": 1,
        "until_ns": 300,
        "after": 1,
        "quotes": True,
    }
    assert frame[4 + length :].hex() == "0201000000000000" + "07000000" + "02000000" + "00000080" + "08000000" + "ff"


@given(data=st.data(), rows=st.integers(0, 9), quoted=st.integers(0, 30))
def test_slice_when_it_carries_quotes_then_they_arrive_beside_the_ticks(data, rows, quoted):
    def column(dtype: Any, length: int) -> Any:
        return data.draw(hnp.arrays(dtype, length))

    trades = Trades(column(np.int64, rows), *(column(np.int32, rows) for _ in range(2)), column(np.int8, rows))
    quotes = Quotes(column(np.int64, quoted), *(column(np.int32, quoted) for _ in range(4)))
    sent = TapeSlice(DAY, "NVDA", 4, 300, 1, trades, quotes=quotes, quotes_from_ns=100, quotes_until_ns=200)
    found = decode_slice(encode_slice(sent))
    assert (found.first, found.until_ns, found.quotes_from_ns, found.quotes_until_ns) == (4, 300, 100, 200)
    assert found.quotes is not None
    for name in ("ts", "bid", "ask", "bid_size", "ask_size"):
        np.testing.assert_array_equal(getattr(quotes, name), getattr(found.quotes, name))
        assert getattr(found.quotes, name).flags.aligned
    np.testing.assert_array_equal(trades.ts, found.trades.ts)


OLD_HEADER = b'{"type":"slice","session":"2025-11-17","symbol":"ES","first":3,"rows":1,"until_ns":300,"after":1,"quotes":false}'
"""How the header of a slice began before quotes travelled; the columns of one tick follow."""


def test_slice_when_of_a_venue_without_sizes_then_read_and_its_quotes_are_unknown():
    head = OLD_HEADER
    padded = head + b" " * (-(len(head) + 4) % 8)
    tick = bytes.fromhex("0201000000000000" + "07000000" + "02000000" + "ff")
    found = decode_slice(len(padded).to_bytes(4, "little") + padded + tick)
    assert (found.trades.price.tolist(), found.trades.bid, found.quotes) == ([7], None, None)
    # And who does not ask for quotes gets that frame to the byte.
    assert encode_slice(found) == len(padded).to_bytes(4, "little") + padded + tick


def test_slice_when_quotes_are_laid_out_then_as_documented():
    book = Quotes(np.array([259], np.int64), *(np.array([value], np.int32) for value in (7, 8, 300, 500)))
    nothing = Trades.empty()
    frame = encode_slice(TapeSlice(DAY, "ES", 3, 300, 1, nothing, quotes=book, quotes_from_ns=250, quotes_until_ns=300))
    length = int.from_bytes(frame[:4], "little")
    assert json.loads(frame[4 : 4 + length])["book"] == {"rows": 1, "from_ns": 250, "until_ns": 300}
    assert frame[4 + length :].hex() == "0301000000000000" + "07000000" + "08000000" + "2c010000" + "f4010000"
    with pytest.raises(DataError, match="cut at its column 'ask_size'"):
        decode_slice(frame[:-1])


@pytest.mark.parametrize("cut", [0, 3, 20, -1])
def test_slice_when_cut_short_then_refused(cut):
    trades = Trades(np.arange(3), np.ones(3, np.int32), np.ones(3, np.int32), np.ones(3, np.int8))
    frame = encode_slice(TapeSlice(DAY, "ES", 0, 9, 0, trades))
    with pytest.raises(DataError, match="cut"):
        decode_slice(frame[:cut])
    with pytest.raises(DataError, match="too many"):
        decode_slice(frame + b"x")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"type": "cancel", "request_id": 1, "client_order_id": ""}', "client_order_id"),
        ('{"type": "cancel", "request_id": 1, "client_order_id": "a b"}', "client_order_id"),
        ('{"type": "cancel", "request_id": 1}', "client_order_id"),
        ('{"type": "cancel", "request_id": 1, "client_order_id": "a", "more": 1}', "more"),
        ('{"type": "subscribe", "session": "2025-11-17", "symbol": "ES", "ticks": -1}', "ticks"),
        ('{"type": "nothing"}', "not understood"),
        ("[]", "not understood"),
        ("", "not understood"),
    ],
)
def test_request_when_not_a_message_then_refused_with_the_place(text, place):
    with pytest.raises(DataError, match=place):
        decode_request(text)


def test_token_when_a_message_is_printed_or_refused_then_not_shown():
    assert "secret-word" not in repr(Login(token="secret-word"))
    with pytest.raises(DataError) as caught:
        decode_request('{"type": "login", "token": "secret-word", "client": 5}')
    assert "secret-word" not in str(caught.value)
