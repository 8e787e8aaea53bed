"""What a client ends up knowing when the venue or the wire misbehaves: the same as the venue, whatever the fault."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from fakes.venue_bench import GUARD, HASTY, MS, QUICK, SPEC, TRADE, order, running, spec_of, tape_of, trading
from sovereign.core.columns import Quotes
from sovereign.core.errors import BrokerError, DataError
from sovereign.core.order import Bracket, OrderStatus, OrderType, Side
from sovereign.execution.brokers.venue import VenueClient
from sovereign.execution.venue.configuration import Pace
from sovereign.execution.venue.fault import Channel, Fault, FaultKind, seeded_faults


def run(test: Any) -> Any:
    return asyncio.run(asyncio.wait_for(test, 90))


def arm(bench: Any, kind: FaultKind, account: str = "paper", **terms: Any) -> None:
    market = bench.exchange.market_of(account)
    bench.server.arm(Fault(kind=kind, **terms), account, market)


async def trade_on(trader: Any, count: int = 12) -> None:
    """Work through slices, with an order at some of them."""
    for number in range(count):
        if number % 3 == 0:
            ts = trader.client.clock.now_ns()
            await trader.client.submit(order(f"O{len(trader.blocks)}", Side.BUY if number % 2 else Side.SELL, ts=ts))
        await trader.steps(1)


def told_whole(trader: Any, bench: Any) -> None:
    """Everything the venue said was told once, in order, and each slice after what it follows."""
    messages = bench.book().messages
    assert [r for r, _, _ in trader.reports] == [m.report() for m in messages[: len(trader.reports)]]
    columns = tape_of(SPEC).columns(tape_of(SPEC).sessions[0])["ES"]
    told = [ts for block in trader.blocks for ts in block.trades.ts.tolist()]
    assert told == columns.ts[: len(told)].tolist()
    assert all(a.until_ns < b.until_ns for a, b in pairwise(trader.blocks))
    known = 0
    for item in trader.told:
        if hasattr(item, "until_ns"):
            due = sum(message.ts <= item.until_ns for message in messages)
            assert known >= due
        else:
            known += 1


def quoted_whole(trader: Any) -> None:
    """Every quote up to what the client knows came once, in order."""
    told = Quotes.concat([quotes for _, quotes, _ in trader.quotes])
    made = tape_of(SPEC).quotes(tape_of(SPEC).sessions[0])["ES"]
    whole = made.slice(0, int(np.searchsorted(made.ts, trader.quotes[-1][2])))
    assert len(whole) > 0
    for name in ("ts", "bid", "ask", "bid_size", "ask_size"):
        np.testing.assert_array_equal(getattr(told, name), getattr(whole, name))


WIRE = [
    *[(kind, {}) for kind in (FaultKind.DROP, FaultKind.RESET, FaultKind.AMNESIA)],
    (FaultKind.MUTE, {"wall_ms": 600}),
    *[
        (kind, {"channel": channel, "count": 3, "wall_ms": 20})
        for kind in (FaultKind.LOSE, FaultKind.DUPLICATE, FaultKind.REORDER, FaultKind.DELAY)
        for channel in (Channel.PRIVATE, Channel.MARKET, Channel.ALL)
    ],
]


@pytest.mark.parametrize(("kind", "terms"), WIRE, ids=[f"{k}-{t.get('channel', '')}" for k, t in WIRE])
def test_session_when_the_wire_misbehaves_then_everything_is_told_once_and_in_order(kind, terms):
    async def test() -> None:
        config = HASTY if kind is FaultKind.MUTE else QUICK
        async with running() as bench, trading(bench, TRADE, config) as trader:
            trader.listen_to_quotes()
            await trader.begin()
            await trader.steps(1) if trader.blocks else await trader.until(lambda: bool(trader.blocks))
            for _ in range(2):
                arm(bench, kind, **terms)
                await trade_on(trader, 6)
            await trader.until(lambda: len(trader.reports) == bench.book().seq)
            told_whole(trader, bench)
            quoted_whole(trader)
            assert bench.book().seq >= 2
            if kind in (FaultKind.DROP, FaultKind.RESET, FaultKind.AMNESIA, FaultKind.MUTE):
                assert [is_up for is_up, _ in trader.links].count(False) >= 2

    run(test())


def test_order_when_its_request_is_lost_then_the_venue_says_that_it_never_came():
    async def test() -> None:
        async with running(heartbeat_s=5) as bench, trading(bench) as trader:
            await trader.begin()
            await trader.until(lambda: bool(trader.blocks))
            arm(bench, FaultKind.LOSE, channel=Channel.REQUESTS)
            await trader.client.submit(order("A"))
            assert await trader.client.order_state("A") is None
            assert trader.reports == []

    run(test())


def test_order_when_only_the_answer_is_lost_then_the_venue_has_it_once():
    async def test() -> None:
        async with running() as bench, trading(bench) as trader:
            await trader.begin()
            await trader.until(lambda: bool(trader.blocks))
            arm(bench, FaultKind.LOSE, channel=Channel.REPLIES)
            await trader.client.submit(order("A"))
            state = await trader.client.order_state("A")
            assert state is not None
            assert state.status is OrderStatus.SUBMITTED
            await trader.client.submit(order("A"))
            await trader.steps(3)
            assert trader.causes("A") == ["ACCEPT", "FILL"]

    run(test())


def test_request_when_duplicated_on_the_wire_then_taken_once():
    async def test() -> None:
        async with running() as bench, trading(bench) as trader:
            await trader.begin()
            await trader.until(lambda: bool(trader.blocks))
            arm(bench, FaultKind.DUPLICATE, channel=Channel.REQUESTS)
            await trader.client.submit(order("A", quantity=2))
            await trader.steps(3)
            assert trader.causes("A") == ["ACCEPT", "FILL"]
            assert [p.quantity for p in (await trader.client.snapshot(0)).positions] == [2]

    run(test())


def test_order_when_its_cancel_overtakes_it_then_it_is_rejected_and_never_fills():
    async def test() -> None:
        async with running() as bench, trading(bench) as trader:
            await trader.begin()
            await trader.until(lambda: bool(trader.blocks))
            arm(bench, FaultKind.REORDER, channel=Channel.REQUESTS)
            await trader.client.submit(order("A"))
            await trader.client.cancel("A")
            await trader.steps(3)
            assert trader.causes("A") == ["CANCEL", "REJECT"]
            state = await trader.client.order_state("A")
            assert state is not None
            assert state.status is OrderStatus.CANCELED
            assert (await trader.client.snapshot(0)).positions == ()

    run(test())


def test_order_when_filled_in_pieces_then_its_bracket_follows_each_of_them():
    async def test() -> None:
        async with running() as bench, trading(bench) as trader:
            await trader.begin()
            await trader.until(lambda: bool(trader.blocks))
            arm(bench, FaultKind.PARTIAL_FILL, pieces=3)
            await trader.client.submit(order("A", quantity=6, bracket=Bracket(stop_ticks=400, target_ticks=400)))
            await trader.steps(3)
            fills = [r for r, _, _ in trader.reports if r.client_order_id == "A" and r.trade_id]
            assert [(str(r.cause), r.quantity) for r in fills] == [("PARTIAL_FILL", 2), ("PARTIAL_FILL", 2), ("FILL", 2)]
            assert len({r.ts for r in fills}) > 1
            stops = [r.quantity for r, _, _ in trader.reports if r.client_order_id == "A-S" and r.cause == "UPDATE"]
            assert stops == [4, 6]

    run(test())


def test_order_when_rejected_by_a_fault_then_the_reason_is_told_and_the_next_one_passes():
    async def test() -> None:
        async with running() as bench, trading(bench) as trader:
            await trader.begin()
            await trader.until(lambda: bool(trader.blocks))
            arm(bench, FaultKind.REJECT)
            await trader.client.submit(order("A"))
            await trader.client.submit(order("B"))
            await trader.steps(3)
            assert trader.causes("A") == ["REJECT"]
            assert "fault" in trader.reports[0][0].reason
            assert trader.causes("B") == ["ACCEPT", "FILL"]

    run(test())


def test_cancel_when_it_arrives_after_the_fill_then_fill_and_refusal_are_told():
    async def test() -> None:
        async with running() as bench, trading(bench) as trader:
            await trader.begin()
            await trader.until(lambda: bool(trader.blocks))
            price = int(trader.blocks[0].trades.price[0])
            await trader.client.submit(order("A", kind=OrderType.LIMIT, limit_ticks=price - 300, quantity=2))
            await trader.steps(3)
            arm(bench, FaultKind.CANCEL_AFTER_FILL)
            await trader.client.cancel("A")
            await trader.steps(2)
            assert trader.causes("A") == ["ACCEPT", "FILL", "REFUSE_CANCEL"]
            assert [p.quantity for p in (await trader.client.snapshot(0)).positions] == [2]

    run(test())


@pytest.mark.parametrize("is_kept", [True, False])
def test_venue_when_restarted_with_amnesia_then_books_stay_and_the_client_logs_in_anew(tmp_path, is_kept):
    async def test() -> None:
        async with running(tmp_path if is_kept else None) as bench, trading(bench) as trader:
            await trader.begin()
            await trader.until(lambda: bool(trader.blocks))
            await trade_on(trader, 4)
            before = await trader.client.snapshot(0)
            arm(bench, FaultKind.RESTART, wall_ms=50)
            await trader.until(lambda: len(trader.links) >= 3)
            after = await trader.client.snapshot(0)
            assert after == before
            assert before.executions
            await trade_on(trader, 4)
            told_whole(trader, bench)
            assert "logged in" in trader.links[-1][1]

    run(test())


def test_clock_when_skewed_then_market_time_follows_the_tape_and_the_skew_is_known():
    async def test() -> None:
        async with running() as bench, trading(bench) as trader:
            await trader.begin()
            await trader.until(lambda: bool(trader.blocks))
            arm(bench, FaultKind.CLOCK_SKEW, skew_ms=-2500, wall_ms=10_000)
            await trader.until(lambda: trader.client.clock_skew_ns == -2500 * MS)
            assert trader.client.clock.now_ns() == trader.blocks[-1].until_ns
            assert await trader.client.ping() == trader.blocks[-1].until_ns - 2500 * MS

    run(test())


@pytest.mark.parametrize("by_fault", [True, False])
def test_orders_when_more_than_the_limit_then_refused_at_the_gate_and_unknown_to_the_venue(by_fault):
    async def test() -> None:
        limit = {} if by_fault else {"orders_per_s": 2}
        async with running(**limit) as bench, trading(bench) as trader:
            await trader.begin()
            await trader.until(lambda: bool(trader.blocks))
            if by_fault:
                arm(bench, FaultKind.RATE_LIMIT, count=2, wall_ms=5_000)
            for name in "ABC":
                await trader.client.submit(order(name))
            await trader.until(lambda: bool(trader.causes("C")))
            assert trader.causes("C") == ["REJECT"]
            assert await trader.client.order_state("C") is None
            await trader.steps(3)
            assert trader.causes("A") == trader.causes("B") == ["ACCEPT", "FILL"]

    run(test())


def test_market_when_a_connection_is_reset_that_is_going_already_then_it_goes_on():
    async def test() -> None:
        async with running() as bench, trading(bench) as trader:
            await trader.begin()
            await trader.until(lambda: bool(trader.blocks))
            for _ in range(20):  # again and again while the first is taking effect
                arm(bench, FaultKind.RESET)
                await asyncio.sleep(0)
            await trader.client.wait_connected(60)
            await trader.steps(2)

    run(test())


def test_guard_when_the_traders_wire_is_mute_then_hears_and_is_heard():
    async def test() -> None:
        async with running() as bench, trading(bench, TRADE, HASTY) as trader, trading(bench, GUARD) as guard:
            await trader.begin()
            await guard.client.start()
            await guard.client.wait_connected(60)
            arm(bench, FaultKind.MUTE, wall_ms=60_000)
            assert (await guard.client.snapshot(0)).positions == ()
            with pytest.raises(BrokerError, match=r"ended|did not answer|no connection"):
                await trader.client.snapshot(0)

    run(test())


def test_venue_when_it_is_not_there_then_nothing_is_raised_and_the_client_comes_when_it_is():
    async def test() -> None:
        async with running() as bench:
            port = bench.port
        client = VenueClient(f"ws://127.0.0.1:{port}", "none", QUICK)
        await client.start()
        await client.submit(order("A"))
        with pytest.raises(BrokerError, match="no connection"):
            await client.order_state("A")
        await client.close()

    run(test())


def test_token_when_wrong_then_no_connection_is_announced():
    async def test() -> None:
        async with running() as bench, trading(bench, "wrong") as trader:
            await trader.client.start()
            with pytest.raises(BrokerError, match="did not let us in"):
                await trader.client.wait_connected(0.2)
            assert trader.links == []

    run(test())


def test_schedule_when_made_twice_from_a_seed_then_is_the_same():
    assert seeded_faults(5, 60_000) == seeded_faults(5, 60_000)
    assert seeded_faults(5, 60_000) != seeded_faults(6, 60_000)
    assert {fault.kind for seed in range(30) for fault in seeded_faults(seed, 60_000)} == set(FaultKind)


@pytest.mark.parametrize("seed", range(6))
def test_session_when_faults_come_by_schedule_then_client_and_venue_agree(tmp_path, seed):
    async def test() -> None:
        faults = seeded_faults(seed, 28_000, count=10, wall_ms=60)
        async with running(tmp_path, faults=faults) as bench, trading(bench) as trader:
            session = await trader.begin()
            number = done = 0
            while not trader.blocks or trader.blocks[-1].until_ns < session.close_ns:
                await trader.until(lambda done=done: len(trader.blocks) > done, 60)
                done = len(trader.blocks)
                if done % 4 == 0:
                    number += 1
                    await trader.client.submit(
                        order(f"O{number}", list(Side)[number % 2], quantity=number % 4 + 1, ts=trader.client.clock.now_ns())
                    )
                trader.go_on()
            await trader.until(lambda: len(trader.reports) >= bench.book().seq - 1, 60)
            for name in [f"O{n}" for n in range(1, number + 1)]:
                state = await trader.client.order_state(name)
                last = [c for c in trader.causes(name) if c != "REFUSE_CANCEL"]
                assert (state is None) == (not last or last == ["REJECT"]) or state is not None
            fills = sum(r.quantity for r, _, _ in trader.reports if r.trade_id)
            assert fills == sum(e.quantity for e in bench.book().executions)
            private = [r for r, _, _ in trader.reports if "rate_limited" not in r.reason]
            assert private == [m.report() for m in bench.book().messages]

    run(test())


def test_market_when_nobody_is_there_then_goes_on_unless_in_lockstep():
    async def test(pace: Pace) -> int:
        async with running(pace=pace, speed=200) as bench:
            market = bench.exchange.markets["main"]
            begin = market.until_ns
            await asyncio.sleep(0.15)
            return int(market.until_ns - begin)

    assert run(test(Pace.FAST)) > 0
    assert run(test(Pace.LOCKSTEP)) == 0
    assert spec_of().pace is Pace.LOCKSTEP


def test_quotes_when_the_venue_cannot_read_them_then_the_tape_goes_on_and_sizes_are_unknown(monkeypatch, caplog):
    def broken(*_: Any) -> Any:
        raise DataError("the quotes of that day are no quotes")

    monkeypatch.setattr("sovereign.execution.venue.tape.Tape.made_quotes", broken)
    tape = tape_of(SPEC)
    monkeypatch.setattr(tape, "_quotes", {})

    async def test() -> None:
        async with running() as bench, trading(bench) as trader:
            trader.listen_to_quotes()
            await trader.begin()
            await trader.until(lambda: bool(trader.blocks))
            await trader.steps(3)
            assert trader.ticks > 0
            assert trader.quotes == []

    run(test())
    assert "could not be read (the quotes of that day are no quotes)" in caplog.text
