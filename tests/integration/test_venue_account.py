"""A second process at the account: it cancels, flattens and waits, with a token of its own, whatever the trader does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.client import connect

from fakes.venue_bench import ADMIN, GUARD, MS, SPEC, Bench, order, running, trading
from sovereign.core.errors import BrokerError, OperationTimeoutError
from sovereign.core.order import OrderType, Side
from sovereign.execution.brokers.venue_account import VenueAccount, venue_account
from sovereign.execution.venue.configuration import Pace, TapeSpec
from sovereign.execution.venue.exchange import ADMIN as ADMINISTRATOR
from sovereign.execution.venue.fault import Fault, FaultKind
from sovereign.execution.venue.protocol import (
    AskBooks,
    ClearFaults,
    CloseAccount,
    FlattenAccount,
    Login,
    OpenAccount,
    Reply,
    SetFault,
    Welcome,
    decode_answer,
    encode,
)
from sovereign.execution.venue.terms import Message


def run(test: Any) -> Any:
    return asyncio.run(asyncio.wait_for(test, 90))


async def with_account(bench: Bench, token: str, work: Callable[[VenueAccount], Any]) -> Any:
    def go() -> Any:
        with venue_account(bench.url, token, timeout_s=60) as account:
            return work(account)

    return await asyncio.to_thread(go)


async def positions_and_an_order(bench: Bench) -> None:
    """Leave two contracts and a resting order behind, and go."""
    async with trading(bench) as trader:
        await trader.begin()
        await trader.until(lambda: bool(trader.blocks))
        price = int(trader.blocks[0].trades.price[0])
        await trader.client.submit(order("A", quantity=2))
        await trader.client.submit(order("B", kind=OrderType.LIMIT, limit_ticks=price - 500))
        await trader.steps(4)


def test_flatten_when_the_trader_is_gone_then_positions_are_closed_once_whoever_asks_how_often():
    async def test() -> None:
        async with running() as bench:
            await positions_and_an_order(bench)

            def flatten(account: VenueAccount) -> Any:
                first, second = account.flatten(), account.flatten()
                assert [o.client_order_id for o in second.orders] == [o.client_order_id for o in first.orders]
                return account.wait_flat(60)

            flat = await with_account(bench, GUARD, flatten)
            assert flat.positions == ()
            closing = [e for e in flat.executions if e.side is Side.SELL]
            assert [(e.quantity, e.client_order_id) for e in closing] == [(2, "FLATTEN-paper-ES-1-0")]
            assert await with_account(bench, GUARD, lambda account: account.wait_flat(60)) == flat

    run(test())


def test_flatten_when_the_trader_hangs_in_lockstep_then_the_market_is_told_to_go_on():
    async def test() -> None:
        async with running() as bench, trading(bench) as trader:
            await trader.begin()
            await trader.until(lambda: bool(trader.blocks))
            await trader.client.submit(order("A", quantity=2))
            await trader.steps(3)
            flat = await with_account(bench, GUARD, lambda account: account.wait_flat(60))
            assert flat.positions == ()
            await trader.until(lambda: "FILL" in trader.causes("FLATTEN-paper-ES-1-0"))

    run(test())


def test_cancel_all_when_asked_then_orders_go_and_positions_stay():
    async def test() -> None:
        async with running() as bench:
            await positions_and_an_order(bench)

            def cancel(account: VenueAccount) -> Any:
                account.cancel_all()
                return account.snapshot()

            found = await with_account(bench, GUARD, cancel)
            assert [p.quantity for p in found.positions] == [2]

            def never(account: VenueAccount) -> None:
                account.flatten = account.cancel_all  # type: ignore[method-assign]
                account.wait_flat(0.1)

            with pytest.raises(OperationTimeoutError, match=r"\+2 ES"):
                await with_account(bench, GUARD, never)

    run(test())


def test_account_when_the_token_is_wrong_or_nobody_listens_then_says_so():
    async def test() -> None:
        async with running() as bench:
            for token in ("wrong", ADMIN):
                with pytest.raises(BrokerError, match="opened no account"):
                    await with_account(bench, token, VenueAccount.snapshot)
        with pytest.raises(BrokerError, match="there was no venue"):
            await with_account(bench, GUARD, VenueAccount.snapshot)

    run(test())


async def administer(bench: Bench, *messages: Message, token: str = ADMIN) -> list[Reply]:
    async with connect(bench.url, compression=None, proxy=None) as line:
        await line.send(encode(Login(token=token)))
        welcome = decode_answer(await line.recv())
        assert isinstance(welcome, Welcome)
        assert welcome.is_admin == (welcome.account == ADMINISTRATOR)
        replies = []
        for message in messages:
            await line.send(encode(message))
            answer = decode_answer(await line.recv())
            while not isinstance(answer, Reply):
                answer = decode_answer(await line.recv())
            replies.append(answer)
        return replies


def test_administrator_when_opening_accounts_then_each_has_a_tape_of_its_own_and_can_be_reset():
    async def test() -> None:
        async with running() as bench:
            firsts = []
            for seed in (1, 2, 1):
                tape = TapeSpec(start=date(2025, 11, 18), seed=seed, seconds=10, synthetic={"ticks_per_session": 300_000})
                opened = OpenAccount(
                    request_id=1, account="own", balance=Decimal(9_000), tokens={"trade": "own-token"}, tape=tape, is_reset=True
                )
                assert [r.code for r in await administer(bench, opened)] == ["ok"]
                async with trading(bench, "own-token") as trader:
                    session = await trader.begin()
                    assert session.trade_date == date(2025, 11, 18)
                    await trader.until(lambda trader=trader: bool(trader.blocks))
                    await trader.client.submit(order("A"))
                    await trader.steps(3)
                    firsts.append([int(p) for b in trader.blocks for p in b.trades.price])
                    assert trader.causes("A") == ["ACCEPT", "FILL"]
                (books,) = await administer(bench, AskBooks(request_id=2, account="own"))
                assert books.snapshot is not None
                assert len(books.snapshot.executions) == 1
            assert firsts[0] == firsts[2] != firsts[1]
            closed, gone = await administer(
                bench, CloseAccount(request_id=3, account="own"), AskBooks(request_id=4, account="own")
            )
            assert (closed.code, gone.code) == ("ok", "not_found")

    run(test())


def test_administrator_when_arming_and_clearing_faults_then_only_those_left_happen():
    async def test() -> None:
        async with running() as bench, trading(bench) as trader:
            await trader.begin()
            await trader.until(lambda: bool(trader.blocks))
            reject = SetFault(request_id=1, fault=Fault(kind=FaultKind.REJECT), account="paper")
            await administer(bench, reject, ClearFaults(request_id=2), SetFault(request_id=3, fault=Fault(kind=FaultKind.DROP)))
            await trader.until(lambda: len(trader.links) == 3)
            await trader.client.submit(order("A"))
            await trader.steps(3)
            assert trader.causes("A") == ["ACCEPT", "FILL"]
            (flattened,) = await administer(bench, FlattenAccount(request_id=4, account="paper"))
            assert flattened.code == "ok"
            await trader.steps(3)
            assert bench.book().account.positions == {}

    run(test())


def test_requests_when_not_allowed_or_not_understood_then_answered_so_and_the_line_lives():
    async def test() -> None:
        async with running() as bench:
            (refused,) = await administer(bench, SetFault(request_id=1, fault=Fault(kind=FaultKind.DROP)), token=GUARD)
            assert refused.code == "not_allowed"
            async with connect(bench.url, compression=None, proxy=None) as line:
                await line.send(json.dumps({"type": "snapshot", "request_id": 3}))
                assert json.loads(await line.recv())["code"] == "not_logged_in"
                await line.send('{"type": "login", "token": 12345}')
                reason = json.loads(await line.recv())["reason"]
                assert "login.token" in reason
                assert "12345" not in reason
                await line.send("no json")
                assert json.loads(await line.recv())["code"] == "bad_message"

    run(test())


def test_sessions_when_one_ends_then_day_orders_expire_and_the_next_is_offered():
    async def test() -> None:
        async with running(tape=SPEC.model_copy(update={"sessions": 2, "seconds": 3.0}), slice_ns=500 * MS) as bench:
            async with trading(bench) as trader:
                first = await trader.begin()
                await trader.until(lambda: bool(trader.blocks))
                await trader.client.submit(order("A", kind=OrderType.STOP, stop_ticks=10**6, time_in_force="DAY"))
                while trader.blocks[-1].until_ns < first.close_ns:
                    await trader.steps(1)
                trader.go_on()
                second = await asyncio.wait_for(trader.client.session(), 60)
                assert second is not None
                assert second.trade_date == date(2025, 11, 18)
                assert trader.causes("A") == ["ACCEPT", "EXPIRE"]
                await trader.client.resume_from(second, "ES", second.open_ns, 0)
                await trader.until(lambda: trader.blocks[-1].until_ns > second.open_ns)
                while trader.blocks[-1].until_ns < second.close_ns:
                    await trader.steps(1)
                trader.go_on()
                assert await asyncio.wait_for(trader.client.session(), 5) is None
            async with trading(bench) as late:
                await late.client.start()
                assert await asyncio.wait_for(late.client.session(), 5) is None

    run(test())


def test_reader_when_it_resumes_from_a_tick_count_then_gets_what_follows_and_nothing_else():
    async def test() -> None:
        async with running(pace=Pace.FAST, speed=0) as bench:
            async with trading(bench) as trader:
                session = await trader.begin()
                await trader.until(lambda: bool(trader.blocks) and trader.blocks[-1].until_ns == session.close_ns)
                whole = [int(ts) for block in trader.blocks for ts in block.trades.ts]
            bench.exchange.markets["main"].is_over = False
            async with trading(bench) as again:
                await again.client.start()
                assert await again.client.session() == session
                await again.client.resume_from(session, "ES", whole[40], 40)
                await again.until(lambda: bool(again.blocks) and again.blocks[-1].until_ns == session.close_ns)
                assert [int(ts) for block in again.blocks for ts in block.trades.ts] == whole[40:]
                assert again.client.clock.now_ns() == session.close_ns

    run(test())
