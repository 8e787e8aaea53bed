"""Killed at any moment, the venue comes back with the books it had: orders, executions, messages, cash, clock."""

from __future__ import annotations

import shutil
import tempfile
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.venue_bench import MS, order, spec_of, tape_of
from sovereign.core.order import Bracket, OrderType, Side, TimeInForce
from sovereign.execution.fill_model import REALISTIC
from sovereign.execution.venue.configuration import TapeSpec
from sovereign.execution.venue.exchange import Exchange
from sovereign.execution.venue.fault import Fault, FaultKind
from sovereign.execution.venue.protocol import (
    CancelOrder,
    NewOrder,
)
from sovereign.execution.venue.terms import OrderTerms

TWO_DAYS = TapeSpec(start="2025-11-17", sessions=2, seed=3, seconds=6, synthetic={"ticks_per_session": 300_000})


def books(exchange: Exchange) -> dict[str, Any]:
    return {
        name: (market.index, market.until_ns, market.is_over, book.messages, book.snapshot(0, 0, is_all=True), book.working())
        for market in exchange.markets.values()
        for name, book in market.books.items()
    }


def random_request(rng: Random, exchange: Exchange, account: str, number: int, price: int) -> None:
    market = exchange.market_of(account)
    book = market.books[account]
    if rng.random() < 0.1:
        kind = rng.choice([FaultKind.PARTIAL_FILL, FaultKind.REJECT, FaultKind.CANCEL_AFTER_FILL])
        market.arm(Fault(kind=kind, pieces=3), account)
    if rng.random() < 0.25:
        market.cancel(book, CancelOrder(request_id=0, client_order_id=f"A{rng.randint(0, number + 2)}"))
        return
    if rng.random() < 0.05:
        market.flatten(book)
        return
    side = rng.choice(list(Side))
    kind = rng.choice([OrderType.MARKET, OrderType.LIMIT, OrderType.STOP])
    terms: dict[str, Any] = {
        OrderType.MARKET: {},
        OrderType.LIMIT: {"limit_ticks": price + rng.randint(-5, 5)},
        OrderType.STOP: {"stop_ticks": price + side.sign * rng.randint(1, 5)},
    }[kind]
    if rng.random() < 0.3:
        terms["bracket"] = Bracket(stop_ticks=rng.randint(1, 5), target_ticks=rng.randint(1, 5))
    name = f"A{number}"
    if book.is_known(name):
        return
    life = rng.choice([TimeInForce.DAY, TimeInForce.GTC])
    wanted = order(name, side, kind, rng.randint(0, 60), market.until_ns, time_in_force=life, **terms)
    market.new(book, NewOrder(request_id=0, order=OrderTerms.of(wanted)))


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32))
def test_venue_when_killed_at_random_moments_then_books_are_what_they_were(seed):
    random = Random(seed)
    price = int(tape_of(TWO_DAYS).columns(tape_of(TWO_DAYS).sessions[0])["ES"].price[0])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "state"
        exchange = Exchange(tape_of, "admin", folder)
        exchange.open_market(
            spec_of(tape=TWO_DAYS, model=REALISTIC, slice_ns=100 * MS, latency_ns=random.choice([0, 50, 100]) * MS)
        )
        for account in ("one", "two"):
            exchange.open_account("main", account, Decimal(50_000), {"trade": f"token-{account}"})
        market = exchange.markets["main"]
        number = 0
        while not market.is_over:
            if random.random() < 0.4:
                number += 1
                random_request(random, exchange, random.choice(["one", "two"]), number, price)
            elif market.is_session_done:
                market.end_session()
            else:
                market.advance()
            if random.random() < 0.03 or market.is_over:
                copy = Path(name) / "copy"
                shutil.copytree(folder, copy)
                with (copy / "main.jsonl").open("ab") as half:
                    half.write(b'["p",17633')
                again = Exchange(tape_of, "admin", copy)
                assert books(again) == books(exchange)
                assert again.login("token-two") == ("two", "trade")
                again.close()
                shutil.rmtree(copy)
        exchange.close()
        assert sum(len(book.executions) for book in market.books.values()) > 0
