"""The venue without its network: what it takes, what it refuses and why, and how its time passes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from fakes.venue_bench import MS, SPEC, order, spec_of, tape_of
from sovereign.core.columns import Quotes
from sovereign.core.errors import CorruptFileError, NotFoundError, UsageError
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, OrderType, Side, TimeInForce
from sovereign.core.session import NS_PER_SECOND
from sovereign.execution.fill_model import OPTIMISTIC
from sovereign.execution.matching import MatchingEngine
from sovereign.execution.venue.configuration import TapeSpec
from sovereign.execution.venue.exchange import Exchange
from sovereign.execution.venue.fault import FaultKind, faults_from
from sovereign.execution.venue.protocol import (
    CancelOrder,
    NewOrder,
    ReplaceOrder,
)
from sovereign.execution.venue.tape import Tape, WindowedCalendar, tradable
from sovereign.execution.venue.terms import OrderTerms
from sovereign.feeds.calendar import calendar_for


def exchange_of(**changes: Any) -> Exchange:
    exchange = Exchange(tape_of, "admin")
    exchange.open_market(spec_of(**changes))
    exchange.open_account("main", "paper", Decimal(100_000), {"trade": "word", "guard": "other"})
    return exchange


def asked(terms: OrderTerms, **changes: Any) -> NewOrder:
    return NewOrder(request_id=1, order=terms.model_copy(update=changes))


GOOD = OrderTerms.of(order("A"))
OPEN = tape_of(SPEC).sessions[0].open_ns


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"symbol": "NQ", "tape": ""}, "tradable now are ES, MES"),
        ({"tape": "NQ"}, "ES trades on ES"),
        ({"quantity": 0}, "quantity was 0"),
        ({"quantity": -3}, "quantity was -3"),
        ({"order_type": OrderType.LIMIT}, "no limit_ticks"),
        ({"order_type": OrderType.STOP_LIMIT}, "no stop_ticks and no limit_ticks"),
        ({"order_type": OrderType.TRAILING_STOP, "trail_ticks": 0}, "trail_ticks was 0"),
        ({"time_in_force": TimeInForce.GTD}, "GTD orders, and no others, have one"),
        ({"expire_ns": OPEN + 1}, "GTD orders, and no others, have one"),
        ({"time_in_force": TimeInForce.GTD, "expire_ns": OPEN}, "which is past"),
        ({"bracket_target_ticks": 4}, "the bracket had no stop"),
        ({"bracket_stop_ticks": 0}, "at least 1 tick"),
    ],
)
def test_order_when_it_cannot_be_taken_then_rejected_with_a_reason_and_remembered(changes, reason):
    exchange = exchange_of()
    market = exchange.markets["main"]
    book = market.books["paper"]
    assert reason in market.new(book, asked(GOOD, **changes))
    assert [str(m.cause) for m in book.messages] == ["REJECT"]
    assert reason in book.messages[0].reason
    state = book.order_state("A")
    assert state is not None
    assert state.status == "REJECTED"
    market.advance()
    assert book.executions == []


def test_bracket_when_the_venue_holds_none_then_rejected():
    exchange = exchange_of(holds_brackets=False)
    market = exchange.markets["main"]
    wanted = OrderTerms.of(order("A", bracket=Bracket(stop_ticks=4)))
    assert "holds no brackets" in market.new(market.books["paper"], asked(wanted))


def test_micro_when_ordered_then_fills_on_the_tape_of_its_big_sibling():
    exchange = exchange_of(latency_ns=0)
    market = exchange.markets["main"]
    book = market.books["paper"]
    assert not market.new(book, asked(OrderTerms.of(order("A", symbol="MES", tape="")), tape=""))
    for _ in range(3):
        market.advance()
    (fill,) = book.executions
    assert (fill.symbol, fill.fee) == ("MES", Decimal("0.62"))
    assert book.account.balance == Decimal(100_000) - Decimal("0.62")


def test_siblings_when_asked_then_share_root_and_contract():
    found = tradable([find_instrument("ESZ5"), find_instrument("CLZ5")])
    assert {symbol: tape for symbol, (_, tape) in found.items()} == {"ESZ5": "ESZ5", "MESZ5": "ESZ5", "CLZ5": "CLZ5"}


def test_order_when_sent_at_a_market_time_then_counts_from_the_later_of_that_plus_latency_and_its_arrival():
    exchange = exchange_of(latency_ns=250 * MS, slice_ns=100 * MS)
    market = exchange.markets["main"]
    book = market.books["paper"]
    for _ in range(4):
        market.advance()
    arrival = OPEN + 400 * MS
    for name, sent in (("old", OPEN + 10 * MS), ("fresh", OPEN + 390 * MS), ("ahead", OPEN + 900 * MS), ("unsaid", 0)):
        market.new(book, asked(OrderTerms.of(order(name, kind=OrderType.LIMIT, limit_ticks=1, ts=sent))))
    for _ in range(4):
        market.advance()
    assert {m.client_order_id: m.ts - OPEN for m in book.messages} == {
        "old": 400 * MS,
        "fresh": 640 * MS,
        "ahead": 650 * MS,
        "unsaid": 650 * MS,
    }
    assert market.until_ns == arrival + 400 * MS


def test_requests_when_about_orders_that_are_done_or_unknown_then_refused_with_the_state():
    exchange = exchange_of(latency_ns=0)
    market = exchange.markets["main"]
    book = market.books["paper"]
    market.new(book, asked(GOOD))
    for _ in range(3):
        market.advance()
    market.cancel(book, CancelOrder(request_id=1, client_order_id="A"))
    market.replace(book, ReplaceOrder(request_id=1, client_order_id="A", quantity=3))
    market.replace(book, ReplaceOrder(request_id=1, client_order_id="B", quantity=3))
    assert [(str(m.cause), m.client_order_id) for m in book.messages] == [
        ("ACCEPT", "A"),
        ("FILL", "A"),
        ("REFUSE_CANCEL", "A"),
        ("REFUSE_UPDATE", "A"),
        ("REFUSE_UPDATE", "B"),
    ]
    assert "FILLED" in book.messages[2].reason


def test_replace_when_taken_then_the_order_rests_at_its_new_terms():
    exchange = exchange_of(latency_ns=0)
    market = exchange.markets["main"]
    book = market.books["paper"]
    market.new(book, asked(OrderTerms.of(order("A", kind=OrderType.LIMIT, limit_ticks=1))))
    market.advance()
    market.replace(book, ReplaceOrder(request_id=1, client_order_id="A", quantity=5, limit_ticks=2))
    market.advance()
    state = book.order_state("A")
    assert state is not None
    assert (state.quantity, state.limit_ticks, str(state.status)) == (5, 2, "ACCEPTED")


def test_flatten_when_its_first_order_was_closed_unfilled_then_another_one_goes():
    exchange = exchange_of(latency_ns=0)
    market = exchange.markets["main"]
    book = market.books["paper"]
    market.new(book, asked(GOOD))
    for _ in range(3):
        market.advance()
    market.flatten(book)
    market.flatten(book)
    assert book.working() == ["FLATTEN-paper-ES-1-0"]
    market.cancel(book, CancelOrder(request_id=1, client_order_id="FLATTEN-paper-ES-1-0"))
    for _ in range(3):
        market.advance()
    market.flatten(book)
    assert book.working() == ["FLATTEN-paper-ES-1-1"]


def test_margins_when_asked_then_those_of_the_market_and_of_the_settings():
    book = exchange_of(margins={"MES": Decimal(77)}).markets["main"].books["paper"]
    assert book.margins({}) == {"ES": Decimal(300), "MES": Decimal(77)}


def test_order_good_till_a_moment_before_it_arrives_when_taken_then_expires_as_it_arrives():
    matching = MatchingEngine(OPTIMISTIC, 100)
    matching.submit(order("A", kind=OrderType.LIMIT, limit_ticks=1, ts=0, time_in_force=TimeInForce.GTD, expire_ns=50), 0)
    assert [(str(r.cause), r.ts) for r in matching.on_time(1_000)] == [("ACCEPT", 100), ("EXPIRE", 100)]


def test_exchange_when_names_tokens_or_tapes_clash_then_says_so(tmp_path):
    exchange = Exchange(tape_of, "admin", tmp_path)
    exchange.open_market(spec_of())
    exchange.open_account("main", "paper", Decimal(1), {"trade": "word"})
    with pytest.raises(NotFoundError, match="there are main"):
        exchange.open_account("other", "paper", Decimal(1), {"trade": "word"})
    with pytest.raises(UsageError, match="in use already"):
        exchange.open_account("main", "second", Decimal(1), {"trade": "word"})
    with pytest.raises(UsageError, match="in use already"):
        exchange.open_account("main", "second", Decimal(1), {"trade": "admin"})
    with pytest.raises(UsageError, match="kept with the tape"):
        exchange.open_market(spec_of(tape=SPEC.model_copy(update={"seed": 99})))
    with pytest.raises(NotFoundError, match="there are paper"):
        exchange.market_of("second")
    exchange.close()
    (tmp_path / "main.jsonl").write_text("{}\nhalf\n", encoding="utf-8")
    with pytest.raises(CorruptFileError, match="line 2"):
        Exchange(tape_of, "admin", tmp_path)
    (tmp_path / "main.jsonl").write_text("[]\n", encoding="utf-8")
    with pytest.raises(CorruptFileError, match="did not begin with a market"):
        Exchange(tape_of, "admin", tmp_path)


def test_window_when_cut_then_the_session_is_open_only_then():
    day = date(2025, 11, 17)
    whole = calendar_for("CME_EQUITY").session(day)
    assert whole is not None
    calendar = WindowedCalendar(calendar_for("CME_EQUITY"), "regular", 60, 30)
    cut = calendar.session(day)
    assert cut is not None
    assert cut.open_ns == cut.regular_open_ns == whole.regular_open_ns + 60 * NS_PER_SECOND
    assert cut.close_ns == cut.regular_close_ns == cut.open_ns + 30 * NS_PER_SECOND
    assert calendar.sessions(day, day) == [cut]
    assert calendar.session_of(cut.open_ns) == cut
    assert calendar.session_of(cut.close_ns) is None
    assert WindowedCalendar(calendar_for("CME_EQUITY"), "all").session(day) == whole
    assert WindowedCalendar(calendar_for("CME_EQUITY"), "regular", 80_000).session(day) is None


def test_faults_when_read_from_a_file_then_as_written(tmp_path):
    file = tmp_path / "faults.json"
    file.write_text('[{"kind": "mute", "at_ms": 5000, "wall_ms": 50}]', encoding="utf-8")
    (fault,) = faults_from(str(file), 1.0)
    assert (fault.kind, fault.at_ms, fault.wall_ms) == (FaultKind.MUTE, 5000, 50)
    file.write_text('[{"kind": "thunder"}]', encoding="utf-8")
    with pytest.raises(UsageError, match="list of faults"):
        faults_from(str(file), 1.0)
    with pytest.raises(NotFoundError, match="whole number"):
        faults_from("nowhere", 1.0)
    assert len(faults_from("17", 60_000)) == len({fault.at_ms for fault in faults_from("17", 60_000)}) == 8


def test_tape_when_asked_for_twice_then_the_same_columns_and_its_source_is_named():
    tape = tape_of(TapeSpec(start=date(2025, 11, 17), sessions=3, seconds=2, synthetic={"ticks_per_session": 100_000}))
    assert tape.is_simulated
    first = tape.columns(tape.sessions[0])["ES"].price.tolist()
    for session in tape.sessions:
        assert tape.columns(session)["ES"].ts.min() >= session.open_ns
    assert not tape.is_loaded(tape.sessions[0])
    assert tape.columns(tape.sessions[0])["ES"].price.tolist() == first
    assert Side.BUY.sign == 1


def test_cancel_when_the_tape_has_ended_then_is_answered_at_once_and_again_after_a_restart(tmp_path):
    exchange = Exchange(tape_of, "admin", tmp_path)
    exchange.open_market(spec_of())
    exchange.open_account("main", "paper", Decimal(100_000), {"trade": "word", "guard": "other"})
    market = exchange.markets["main"]
    market.new(market.books["paper"], asked(GOOD, order_type=OrderType.LIMIT, limit_ticks=1))
    while not market.is_session_done:
        market.advance()
    market.end_session()
    assert market.is_over
    market.cancel(market.books["paper"], CancelOrder(request_id=1, client_order_id="A", sent_ns=market.until_ns))
    said = [str(message.cause) for message in market.books["paper"].messages]
    assert said == ["ACCEPT", "CANCEL"]
    exchange.reload()
    assert [str(message.cause) for message in exchange.markets["main"].books["paper"].messages] == said


def test_gate_when_requests_are_turned_away_then_the_longest_time_without_one_that_passed_counts():
    book = exchange_of().markets["main"].books["paper"]
    for ts, is_turned_away in ((1, True), (3, True), (6, True), (7, False), (10, True), (12, True)):
        book.gate(ts, is_turned_away=is_turned_away)
    assert book.longest_turned_away_ns == 5


def test_quotes_when_a_market_goes_on_then_nothing_of_them_is_sent_before_its_time():
    market = exchange_of().markets["main"]
    book, (session,) = market.books["paper"], market.tape.sessions
    whole = market.tape.quotes(session)["ES"]
    ticks, until, known, sent = 0, 0, session.regular_open_ns, 0
    while not market.is_session_done:
        market.advance()
        part = market.part(session, "ES", ticks, until, book, known)
        assert part is not None
        assert part.quotes is not None
        assert part.quotes_from_ns == known
        assert known < part.quotes_until_ns == part.until_ns == market.until_ns
        np.testing.assert_array_equal(part.quotes.ts, whole.ts[sent : sent + len(part.quotes)])
        assert not len(part.quotes) or int(part.quotes.ts[-1]) < market.until_ns
        ticks, until, known, sent = part.stop, part.until_ns, part.quotes_until_ns, sent + len(part.quotes)
        assert market.part(session, "ES", ticks, until, book, known) is None
    assert sent == len(whole) > 0
    # A line that knows every tick and asks for the quotes of the whole session gets them behind one another.
    late = market.part(session, "ES", ticks, until, book, session.regular_open_ns)
    assert late is not None
    assert (len(late.trades), late.until_ns) == (0, until)
    assert late.quotes is not None
    assert len(late.quotes) == min(sent, 20_000)


def test_quotes_when_a_history_is_asked_for_then_comes_in_bites_and_no_moment_is_torn_apart(monkeypatch):
    market = exchange_of().markets["main"]
    book, (session,) = market.books["paper"], market.tape.sessions
    while not market.is_session_done:
        market.advance()
    quotes = market.tape.quotes(session)["ES"]
    crowded = replace(quotes, ts=np.where(np.arange(len(quotes)) < 30, quotes.ts[0], quotes.ts))  # 30 of one moment
    market.tape.keep_quotes(session, {"ES": crowded})
    monkeypatch.setattr("sovereign.execution.venue.market._ROWS", 20)
    ticks = len(market.tape.columns(session)["ES"])
    until, known, parts = session.close_ns, session.regular_open_ns, []
    while (part := market.part(session, "ES", ticks, until, book, known)) is not None:
        assert part.quotes is not None
        assert part.quotes_from_ns == known < part.quotes_until_ns
        known = part.quotes_until_ns
        parts.append(part.quotes)
        assert len(parts) <= len(quotes)
    assert known == until
    assert max(len(one) for one in parts) == 30
    for name in ("ts", "bid", "ask", "bid_size", "ask_size"):
        np.testing.assert_array_equal(getattr(Quotes.concat(parts), name), getattr(crowded, name))


def test_quotes_when_the_feed_has_none_or_nobody_asks_then_a_slice_says_nothing_of_them():
    market = exchange_of().markets["main"]
    market.advance()
    book, (session,) = market.books["paper"], market.tape.sessions
    asked = market.part(session, "ES", 0, 0, book)
    assert asked is not None
    assert asked.quotes is None
    silent = Tape(market.tape._feed, is_quoting=False)
    market.tape = silent
    part = market.part(session, "ES", 0, 0, book, session.regular_open_ns)
    assert part is not None
    assert part.quotes is None
