"""Alpaca as a broker: its own client against a local server that speaks as it does, with faults."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

pytest.importorskip("alpaca", reason="the extra 'alpaca' is not installed")

from fakes.alpaca_bench import MachineClock
from fakes.alpaca_server import KEYS, AlpacaServer, Fault
from sovereign.app.brokers import connections
from sovereign.app.cli.main import run
from sovereign.app.configuration import Settings
from sovereign.app.ops.account import flatten_account, guarded_accounts, mark_broker
from sovereign.app.task import Task
from sovereign.core.errors import BrokerError, ConfigurationError
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, Order, OrderRole, OrderStatus, OrderType, Side, TimeInForce
from sovereign.execution.brokers.alpaca import AlpacaLink
from sovereign.execution.brokers.alpaca_account import AlpacaAccount
from sovereign.execution.report import ExecutionReport
from sovereign.feeds.alpaca.client import AlpacaKeys

PATIENCE_S = 60.0


class Desk:
    """A link with its ears open."""

    def __init__(self, server: AlpacaServer, keys: AlpacaKeys = KEYS, **config: Any) -> None:
        self.server = server
        self.link = AlpacaLink(
            keys,
            server.config(**config),
            MachineClock(),
            is_paper=True,
            symbols=("NVDA",),
            last_price=lambda _: Decimal("150.25"),
        )
        self.reports: list[ExecutionReport] = []
        self.connections: list[tuple[bool, str]] = []
        self.link.on_report = self.reports.append
        self.link.on_connection = lambda is_up, why: self.connections.append((is_up, why))

    def causes(self, name: str) -> list[str]:
        found = [report for report in self.reports if report.client_order_id == name]
        return [str(report.cause) for report in found]

    def of(self, name: str, cause: str) -> ExecutionReport:
        return next(r for r in self.reports if r.client_order_id == name and r.cause == cause)

    async def until(self, is_so: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > end:
                pytest.fail(
                    f"waited {seconds} s for {what}; reports were {[(r.client_order_id, r.cause) for r in self.reports]}"
                )
            await asyncio.sleep(0.01)

    async def told(self, name: str, cause: str) -> ExecutionReport:
        await self.until(lambda: cause in self.causes(name), f"{cause} of {name}")
        return self.of(name, cause)


@asynccontextmanager
async def connected(server: AlpacaServer, **config: Any) -> AsyncIterator[Desk]:
    desk = Desk(server, **config)
    await desk.link.start()
    try:
        await desk.until(lambda: desk.link.is_connected, "a connection")
        yield desk
    finally:
        await desk.link.close()


@pytest.fixture
def server() -> Iterator[AlpacaServer]:
    with AlpacaServer() as running:
        running.prices["NVDA"] = "150.00"
        yield running


def entry(name: str = "e-1", quantity: int = 10, limit: str = "150.10", **changes: Any) -> Order:
    """Return a buy of NVDA, limit and IOC unless said otherwise."""
    instrument = find_instrument("NVDA")
    fields: dict[str, Any] = {
        "client_order_id": name,
        "instrument": instrument,
        "tape": "NVDA",
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "quantity": quantity,
        "submitted_ns": time.time_ns(),
        "active_ns": 0,
        "role": OrderRole.ENTRY,
        "limit_ticks": instrument.to_ticks(limit),
        "time_in_force": TimeInForce.IOC,
    }
    return Order(**{**fields, **changes})


BRACKET = Bracket(stop_ticks=300, target_ticks=600)


def test_submit_when_ioc_is_filled_whole_then_order_is_as_documented_and_filled_once(server):
    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry())
            fill = await desk.told("e-1", "FILL")
            assert (fill.quantity, fill.price_ticks, fill.fee) == (10, 15_000, 0)
            assert desk.causes("e-1")[0] == "ACCEPT"

    asyncio.run(script())
    sent = server.posted()
    assert len(sent) == 1
    wanted = {"symbol": "NVDA", "qty": 10.0, "side": "buy", "type": "limit", "time_in_force": "ioc", "limit_price": 150.1}
    assert {name: sent[0][name] for name in wanted} == wanted
    assert sent[0]["client_order_id"] == "e-1"


def test_submit_when_ioc_is_partly_filled_then_rest_is_canceled_and_bracket_covers_what_filled(server):
    server.immediate["NVDA"] = 4

    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry(bracket=BRACKET))
            await desk.told("e-1", "CANCEL")
            assert desk.of("e-1", "PARTIAL_FILL").quantity == 4
            await desk.told("e-1-S", "ACCEPT")
            stop, target = desk.of("e-1-S", "SUBMIT").child, desk.of("e-1-T", "SUBMIT").child
            assert stop is not None
            assert target is not None
            assert (stop.quantity, stop.stop_ticks, stop.parent_id, stop.reduce_only) == (4, 14_700, "e-1", True)
            assert (target.quantity, target.limit_ticks, target.role) == (4, 15_600, OrderRole.TARGET)

    asyncio.run(script())
    pair = server.posted()[1]
    assert (pair["order_class"], pair["qty"], pair["side"], pair["time_in_force"]) == ("oco", 4.0, "sell", "gtc")
    assert pair["take_profit"]["limit_price"] == 156.0
    assert pair["stop_loss"]["stop_price"] == 147.0


def test_submit_when_ioc_finds_nothing_then_it_is_canceled_and_no_bracket_is_sent(server):
    server.immediate["NVDA"] = 0

    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry(bracket=BRACKET))
            await desk.told("e-1", "CANCEL")
            await asyncio.sleep(0.1)

    asyncio.run(script())
    assert len(server.posted()) == 1


def test_submit_when_entry_can_rest_then_bracket_goes_with_it_and_is_told_once_it_works(server):
    server.prices.clear()

    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry(time_in_force=TimeInForce.DAY, bracket=BRACKET))
            await desk.told("e-1", "ACCEPT")
            assert {order.client_order_id for order in (await desk.link.snapshot(0)).orders} == {"e-1"}
            server.fill(server.order("e-1"), 10, "150.10")
            await desk.told("e-1-T", "ACCEPT")
            assert desk.causes("e-1-S")[:2] == ["SUBMIT", "ACCEPT"]
            assert desk.of("e-1-S", "SUBMIT").child.stop_ticks == 14_710
            found = {order.client_order_id: order for order in (await desk.link.snapshot(0)).orders}
            assert set(found) == {"e-1", "e-1-S", "e-1-T"}
            assert found["e-1-S"].parent_id == "e-1"

    asyncio.run(script())
    sent = server.posted()
    assert [body["order_class"] for body in sent] == ["bracket"]


def test_submit_when_alpaca_is_busy_then_there_is_one_order(server):
    server.fail("POST", "/v2/orders", 429, 429)

    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry())
            await desk.told("e-1", "FILL")

    asyncio.run(script())
    assert len(server.posted()) == 3
    assert len(server.orders()) == 1
    assert server.position("NVDA") == 10


def test_submit_when_busy_answer_hides_an_order_that_was_taken_then_it_is_found_and_not_sent_again(server):
    # The gateway says 429 although the order went through: only the look-up by id can tell.
    server.fail("POST", "/v2/orders", Fault(status=429, keep=True))

    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry())
            await desk.told("e-1", "FILL")
            await desk.told("e-1", "ACCEPT")

    asyncio.run(script())
    assert len(server.posted()) == 1
    assert len(server.orders()) == 1


def test_submit_when_always_busy_then_rejected_and_nothing_is_open(server):
    server.fail("POST", "/v2/orders", *[429] * 5)

    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry())
            assert "as asked" in (await desk.told("e-1", "REJECT")).reason

    asyncio.run(script())
    assert server.orders() == []


def test_submit_when_client_order_id_was_used_then_the_order_is_looked_up(server):
    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry())
            await desk.told("e-1", "FILL")
        async with connected(server) as again:
            await again.link.submit(entry())
            await again.told("e-1", "ACCEPT")
            assert "REJECT" not in again.causes("e-1")

    asyncio.run(script())
    assert len(server.orders()) == 1


def test_submit_when_answer_is_lost_then_order_is_in_flight_and_the_question_finds_it(server):
    server.prices.clear()
    server.fail("POST", "/v2/orders", Fault(swallow=True))

    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry(time_in_force=TimeInForce.DAY, bracket=None))
            await desk.until(lambda: bool(server.orders()), "the order at the server")
            state = await desk.link.order_state("e-1")
            assert state is not None
            assert (state.status, state.quantity) == (OrderStatus.ACCEPTED, 10)
            assert "REJECT" not in desk.causes("e-1")
            assert await desk.link.order_state("never-sent") is None

    asyncio.run(script())
    assert len(server.posted()) == 1


def test_submit_when_buying_power_is_short_then_rejected_with_alpacas_words(server):
    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry(quantity=100_000))
            assert "insufficient buying power" in (await desk.told("e-1", "REJECT")).reason

    asyncio.run(script())


def test_update_when_order_is_rejected_later_then_reported(server):
    server.prices.clear()

    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry(time_in_force=TimeInForce.DAY))
            await desk.told("e-1", "ACCEPT")
            server.reject(server.order("e-1"))
            await desk.told("e-1", "REJECT")

    asyncio.run(script())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time_in_force": TimeInForce.GTD, "expire_ns": 2**62}, "time_in_force was GTD"),
        ({"bracket": Bracket(stop_ticks=10, target_ticks=20, trail_ticks=10)}, "trailing stop and a target"),
        ({"client_order_id": "x" * 130}, "128"),
    ],
)
def test_submit_when_alpaca_cannot_hold_it_then_rejected_here(server, changes, words):
    async def script() -> None:
        async with connected(server) as desk:
            order = entry(**changes) if "client_order_id" not in changes else entry(changes["client_order_id"])
            await desk.link.submit(order)
            assert words in (await desk.told(order.client_order_id, "REJECT")).reason

    asyncio.run(script())
    assert server.posted() == []


def test_bracket_when_target_fills_while_the_line_is_down_then_fill_and_cancel_are_reported_after_it(server):
    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry(bracket=BRACKET))
            await desk.told("e-1-T", "ACCEPT")
            server.is_shut = True
            server.drop("updates")
            await desk.until(lambda: not desk.link.is_connected, "the loss of the line")
            server.fill(server.order("e-1-T"), 10, "156.00")
            server.is_shut = False
            fill = await desk.told("e-1-T", "FILL")
            assert (fill.quantity, fill.price_ticks) == (10, 15_600)
            await desk.told("e-1-S", "CANCEL")
            await desk.until(lambda: desk.link.is_connected, "the line")
            assert desk.causes("e-1-T").count("FILL") == 1
            assert [is_up for is_up, _ in desk.connections] == [True, False, True]
            after = await desk.link.snapshot(0)
            assert after.positions == ()
            assert after.cash == Decimal(100_060)

    asyncio.run(script())


def test_bracket_when_stop_fills_in_pieces_then_each_is_reported_once(server):
    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry(bracket=BRACKET))
            await desk.told("e-1-T", "ACCEPT")
            stop = server.legs("e-1-T")[0]
            server.fill(stop, 6, "147.00")
            server.fill(stop, 4, "146.99")
            await desk.told("e-1-S", "FILL")
            assert [r.quantity for r in desk.reports if r.client_order_id == "e-1-S" and r.trade_id] == [6, 4]
            await desk.told("e-1-T", "CANCEL")

    asyncio.run(script())


def test_bracket_when_alpaca_refuses_the_pair_then_both_are_rejected(server):
    async def script() -> None:
        async with connected(server) as desk:
            server.fail("POST", "/v2/orders", Fault(), 422)
            await desk.link.submit(entry(bracket=BRACKET))
            assert (await desk.told("e-1-S", "REJECT")).reason == "as asked"
            await desk.told("e-1-T", "REJECT")
            assert desk.causes("e-1-S") == ["SUBMIT", "REJECT"]

    asyncio.run(script())


def test_bracket_when_the_answer_about_the_pair_is_lost_then_it_is_found_and_there_is_one(server):
    async def script() -> None:
        async with connected(server) as desk:
            server.fail("POST", "/v2/orders", Fault(), Fault(swallow=True))
            await desk.link.submit(entry(bracket=BRACKET))
            await desk.told("e-1-S", "ACCEPT")

    asyncio.run(script())
    assert len(server.posted()) == 2
    assert len(server.orders()) == 3


def test_exit_when_a_bracket_holds_the_shares_then_it_is_taken_away_first(server):
    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry(bracket=BRACKET))
            await desk.told("e-1-T", "ACCEPT")
            out = entry(
                "x-1",
                side=Side.SELL,
                order_type=OrderType.MARKET,
                limit_ticks=None,
                time_in_force=TimeInForce.DAY,
                role=OrderRole.FLATTEN,
                reduce_only=True,
            )
            await desk.link.cancel("e-1-S")
            await desk.link.cancel("e-1-T")
            await desk.link.submit(out)
            await desk.told("x-1", "FILL")
            await desk.told("e-1-S", "CANCEL")
            await desk.told("e-1-T", "CANCEL")
            assert "REJECT" not in desk.causes("x-1")

    asyncio.run(script())
    assert server.position("NVDA") == 0


def test_exit_when_sent_right_behind_its_entry_then_no_stop_is_left_that_would_open_a_position(server):
    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry(bracket=BRACKET))
            await desk.link.submit(
                entry(
                    "x-1", side=Side.SELL, order_type=OrderType.MARKET, limit_ticks=None, role=OrderRole.EXIT, reduce_only=True
                )
            )
            await desk.told("x-1", "FILL")
            await asyncio.sleep(0.3)
            # Whatever came first, the sale or the pair: the position is gone, and nothing works any more.
            found = await desk.link.snapshot(0)
            assert found.positions == ()
            assert all(order.status.is_closed for order in found.orders)

    asyncio.run(script())


def test_cancel_when_order_rests_then_canceled_and_when_closed_then_refused(server):
    server.prices.clear()

    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry(time_in_force=TimeInForce.DAY))
            await desk.link.cancel("e-1")
            await desk.told("e-1", "CANCEL")
            await desk.link.cancel("e-1")
            assert "canceled" in (await desk.told("e-1", "REFUSE_CANCEL")).reason

    asyncio.run(script())


def test_fill_when_between_two_ticks_then_cash_still_agrees(server):
    server.prices["NVDA"] = "150.0050"

    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry(quantity=100))
            fill = await desk.told("e-1", "FILL")
            assert (fill.price_ticks, fill.fee) == (15_000, Decimal("0.50"))
            found = await desk.link.snapshot(0)
            # Booked: 100 at 150.00 and 0.50 on top. Alpaca: 84,999.50 in cash and 15,000.50 in shares.
            assert found.positions[0].cost_ticks == 1_500_000
            assert found.cash == Decimal("99999.50")

    asyncio.run(script())


def test_snapshot_when_asked_since_a_cursor_then_only_later_executions(server):
    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry("e-1"))
            await desk.told("e-1", "FILL")
            first = await desk.link.snapshot(0)
            await desk.link.submit(entry("e-2"))
            await desk.told("e-2", "FILL")
            second = await desk.link.snapshot(first.cursor)
            assert [e.client_order_id for e in first.executions] == ["e-1"]
            assert [e.client_order_id for e in second.executions] == ["e-2"]
            assert second.cursor > first.cursor
            assert [e.trade_id for e in second.executions] == [desk.of("e-2", "FILL").trade_id]

    asyncio.run(script())


def test_restart_when_process_died_before_the_pair_was_sent_then_it_is_sent_and_never_twice(server):
    async def script() -> None:
        async with connected(server) as desk:
            await desk.link.submit(entry(bracket=BRACKET))
            await desk.told("e-1-S", "ACCEPT")
        for body in list(server._orders.values()):  # as if the pair had never left
            if body["client_order_id"] != "e-1~s300~t600":
                del server._orders[body["id"]]
        async with connected(server) as again:
            await again.told("e-1-T", "ACCEPT")
            state = await again.link.order_state("e-1")
            assert state is not None
            assert (state.client_order_id, state.status) == ("e-1", OrderStatus.FILLED)
            stop = again.of("e-1-S", "SUBMIT").child
            assert (stop.quantity, stop.stop_ticks) == (10, 14_700)
        async with connected(server) as third:
            await asyncio.sleep(0.2)
            assert third.reports == []
            found = {order.client_order_id: order for order in (await third.link.snapshot(0)).orders}
            assert {"e-1", "e-1-S", "e-1-T"} == set(found)

    asyncio.run(script())
    assert sum(body.get("order_class") == "oco" for body in server.posted()) == 2  # one before, one after the loss


def test_restart_when_position_is_gone_then_no_pair_is_sent(server):
    async def script() -> None:
        async with connected(server) as desk:
            server.immediate["NVDA"] = 10
            await desk.link.submit(entry(bracket=BRACKET))
            await desk.told("e-1-S", "ACCEPT")
        for body in list(server._orders.values()):
            if body["client_order_id"] != "e-1~s300~t600":
                del server._orders[body["id"]]
        server.hold("NVDA", 0, "0")
        async with connected(server) as again:
            await asyncio.sleep(0.2)
            assert again.reports == []

    asyncio.run(script())


def test_stream_when_keys_are_wrong_then_never_up_and_the_keys_are_not_told(server):
    async def script() -> None:
        desk = Desk(server, AlpacaKeys("PKWRONGWRONGWRONG001", "wrongwrongwrongwrong"))
        await desk.link.start()
        await desk.until(lambda: len(server.logins) >= 2, "a second attempt")
        reason = desk.link._line.reason
        await desk.link.close()
        assert desk.connections == []
        assert "failed to authenticate" in reason
        assert "PKWRONG" not in reason

    asyncio.run(script())


def test_snapshot_when_alpaca_fails_then_nothing_is_known(server):
    async def script() -> None:
        async with connected(server, attempts=2) as desk:
            server.fail("GET", "/v2/positions", 500, 503)
            with pytest.raises(BrokerError, match="ask again"):
                await desk.link.snapshot(0)
            assert (await desk.link.snapshot(0)).positions == ()

    asyncio.run(script())


def leave(name: str = "x-1", **changes: Any) -> Order:
    """Return an order that closes ten shares of NVDA at the market."""
    fields = {"side": Side.SELL, "order_type": OrderType.MARKET, "limit_ticks": None, "role": OrderRole.FLATTEN}
    return entry(name, **{**fields, "reduce_only": True, "time_in_force": TimeInForce.DAY, **changes})


class TestDoubleClose:
    def test_exit_when_kill_has_closed_the_position_then_refused_and_nothing_is_opened(self, server):
        async def script() -> None:
            async with connected(server) as desk:
                await desk.link.submit(entry())
                await desk.told("e-1", "FILL")
                account = AlpacaAccount(KEYS, server.config(), "paper", PATIENCE_S, is_paper=True, now_ns=time.time_ns)
                done = await asyncio.to_thread(flatten_account, account, attempts=2, wait_s=PATIENCE_S)
                account.close()
                assert done.is_flat
                await desk.link.submit(leave())
                refused = await desk.told("x-1", "REJECT")
                assert refused.reason == "nothing is open that it could close: the account holds +0 NVDA"

        asyncio.run(script())
        assert [body["client_order_id"] for body in server.posted()] == ["e-1"]
        assert server.position("NVDA") == 0

    def test_exit_when_alpaca_was_busy_and_kill_closed_meanwhile_then_it_is_not_sent_again(self, server):
        def close() -> None:
            server._positions["NVDA"] = (0, Decimal(0))

        server.fail("POST", "/v2/orders", Fault(), Fault(status=429, headers={"Retry-After": "0.1"}, meanwhile=close))

        async def script() -> None:
            async with connected(server, backoff_most_s=1.0) as desk:
                await desk.link.submit(entry())
                await desk.told("e-1", "FILL")
                await desk.link.submit(leave())
                assert "nothing is open" in (await desk.told("x-1", "REJECT")).reason

        asyncio.run(script())
        assert len(server.posted()) == 2

    def test_exit_when_the_position_is_on_the_other_side_then_refused(self, server):
        async def script() -> None:
            async with connected(server) as desk:
                server.hold("NVDA", -10, "150")
                await desk.link.submit(leave())
                assert "the account holds -10 NVDA" in (await desk.told("x-1", "REJECT")).reason
                await desk.link.submit(leave("x-2", side=Side.BUY))
                await desk.told("x-2", "FILL")

        asyncio.run(script())
        assert server.position("NVDA") == 0

    @pytest.mark.parametrize("status", [500, 429, 403])
    def test_exit_when_alpaca_does_not_say_what_is_open_then_it_is_sent(self, server, status):
        async def script() -> None:
            async with connected(server) as desk:
                await desk.link.submit(entry())
                await desk.told("e-1", "FILL")
                server.fail("GET", "/v2/positions/", *[status] * 50)
                await desk.link.submit(leave())
                await desk.told("x-1", "FILL")

        asyncio.run(script())
        assert server.position("NVDA") == 0


class TestFreshness:
    def test_entry_when_alpaca_is_busy_for_longer_than_it_is_fresh_then_refused_and_never_sent(self, server):
        server.fail("POST", "/v2/orders", *[Fault(status=429, headers={"Retry-After": "1.6"})] * 4)

        async def script() -> None:
            async with connected(server, entry_fresh_s=3.0, backoff_most_s=2.0) as desk:
                await desk.link.submit(entry())
                assert "could not be sent within 3 s" in (await desk.told("e-1", "REJECT")).reason
                await asyncio.sleep(0.3)

        asyncio.run(script())
        assert len(server.posted()) == 2  # at 0 and 1.6 s
        assert server.orders() == []

    def test_entry_when_it_was_decided_too_long_ago_then_not_sent_at_all(self, server):
        async def script() -> None:
            async with connected(server) as desk:
                await desk.link.submit(entry(submitted_ns=time.time_ns() - 6 * 10**9))
                assert "not sent late" in (await desk.told("e-1", "REJECT")).reason

        asyncio.run(script())
        assert server.posted() == []

    def test_entry_when_a_busy_answer_hid_that_it_was_taken_then_it_is_found_though_it_is_not_fresh_any_more(self, server):
        server.fail("POST", "/v2/orders", Fault(status=429, keep=True, headers={"Retry-After": "1.6"}))

        async def script() -> None:
            async with connected(server, entry_fresh_s=1.5, backoff_most_s=2.0) as desk:
                await desk.link.submit(entry())
                await desk.told("e-1", "ACCEPT")
                await desk.told("e-1", "FILL")
                assert "REJECT" not in desk.causes("e-1")

        asyncio.run(script())
        assert len(server.posted()) == 1

    def test_exit_when_it_was_decided_long_ago_then_it_is_sent_all_the_same(self, server):
        server.fail("POST", "/v2/orders", Fault(), Fault(status=429, headers={"Retry-After": "0.5"}))

        async def script() -> None:
            async with connected(server, backoff_most_s=1.0) as desk:
                await desk.link.submit(entry())
                await desk.told("e-1", "FILL")
                await desk.link.submit(leave(submitted_ns=time.time_ns() - 60 * 10**9))
                await desk.told("x-1", "FILL")

        asyncio.run(script())
        assert server.position("NVDA") == 0


def test_bracket_when_alpaca_fails_at_the_pair_for_ever_then_it_is_an_alarm_and_the_exit_goes_on(server, caplog):
    async def script() -> None:
        async with connected(server, protect_s=0.4) as desk:
            server.fail("POST", "/v2/orders", Fault(), *[503] * 999)
            await desk.link.submit(entry(bracket=BRACKET))
            await desk.told("e-1-S", "SUBMIT")
            await desk.link.submit(leave())
            await desk.until(lambda: server.asked("/v2/positions/NVDA") > 0, "the exit's turn")
            server._faults.clear()
            await desk.link.submit(leave("x-2"))
            # The first exit may still have been on its way when the faults ended: then it closes, and the second is refused.
            await desk.until(lambda: any("FILL" in desk.causes(name) for name in ("x-1", "x-2")), "an exit's fill")
            # In flight, as law 8 wants it: neither refused nor accepted, and the question says that it never came.
            assert desk.causes("e-1-S") == ["SUBMIT"]
            assert await desk.link.order_state("e-1-S") is None

    asyncio.run(script())
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    assert "stop and target of e-1 (10 NVDA) could not be placed within 0.4 s" in errors[0]
    assert server.position("NVDA") == 0


def test_exit_when_the_pair_arrived_though_its_answers_were_lost_then_it_is_found_and_taken_away_first(server):
    async def script() -> None:
        async with connected(server, protect_s=0.4) as desk:
            server.fail("POST", "/v2/orders", Fault(), Fault(status=503, keep=True))
            server.fail("GET", "/v2/orders:by_client_order_id", *[503] * 999)
            server.is_shut = True
            await desk.link.submit(entry(bracket=BRACKET))
            await desk.told("e-1-S", "SUBMIT")
            server.drop("updates")
            await desk.link.submit(leave())
            await desk.until(lambda: len(server.orders()) == 3, "the pair")
            await asyncio.sleep(0.5)
            server._faults.clear()
            server.is_shut = False
            await desk.told("x-1", "FILL")

    asyncio.run(script())
    assert server.position("NVDA") == 0
    assert all(body["status"] in ("filled", "canceled") for body in server.orders())


OPTION = "AAPL260116C00200000"


@pytest.mark.parametrize("symbol", [OPTION, "BTCUSD", "CL", "GC"])
def test_link_when_account_holds_and_trades_what_is_no_equity_here_then_left_alone_and_said_once(server, caplog, symbol):
    server.hold(symbol, 2, "3.10")
    server.hold("NVDA", 5, "150")
    server.prices[symbol] = "3.20"

    def sell() -> None:
        fields = {"symbol": symbol, "qty": 1, "side": "sell", "type": "market", "time_in_force": "day"}
        server._call(lambda: server._arrive(server._make(fields, "new")))

    async def script() -> None:
        sell()
        async with connected(server) as desk:
            sell()
            await desk.link.submit(entry())
            await desk.told("e-1", "FILL")
            found = await desk.link.snapshot(0)
            assert {(position.symbol, position.quantity) for position in found.positions} == {("NVDA", 15)}
            assert [execution.client_order_id for execution in found.executions] == ["e-1"]
            assert {order.symbol for order in found.orders} == {"NVDA"}
            assert [is_up for is_up, _ in desk.connections] == [True]
            assert {report.client_order_id for report in desk.reports} == {"e-1"}

    asyncio.run(script())
    assert [symbol in record.getMessage() for record in caplog.records if record.name == "sovereign.alpaca"] == [True]


def test_snapshot_when_an_answer_is_not_as_documented_then_nothing_is_known_and_the_next_is_read(server):
    async def script() -> None:
        async with connected(server) as desk:
            for body in ({"what": "is this"}, [{"symbol": "NVDA"}], [{"symbol": "NVDA", "qty": "many"}]):
                server.fail("GET", "/v2/positions", Fault(status=200, body=body))
                with pytest.raises(BrokerError, match="not understood"):
                    await desk.link.snapshot(0)
            assert (await desk.link.snapshot(0)).cash == 100_000

    asyncio.run(script())


def test_margins_when_asked_then_the_larger_of_maintenance_and_leverage(server):
    async def script() -> None:
        async with connected(server) as desk:
            # 30% maintenance against a quarter by leverage 4, at 150.25
            assert await desk.link.margins() == {"NVDA": Decimal("45.075")}

    asyncio.run(script())


@pytest.mark.parametrize("turns", range(8))
def test_close_when_a_message_comes_at_the_same_moment_then_it_ends_all_the_same(server, turns):
    # Python 3.11's wait_for, in which Alpaca's client reads, drops a cancellation that comes just after what it waited for.
    async def script() -> None:
        async with connected(server) as desk:
            made: list[Any] = []
            make = desk.link._line._new
            desk.link._line._new = lambda: made.append(make()) or made[-1]
            desk.link._line.drop("a new one, to be held by the test")
            await desk.until(lambda: made and not desk.link.is_connected, "the end of the first line")
            await desk.until(lambda: desk.link.is_connected, "the second line")
            socket = made[-1]._ws
            await desk.until(lambda: socket._pop_message_waiter is not None, "a reader that waits")
            socket.messages.append('{"stream": "nothing"}')
            socket._pop_message_waiter.set_result(None)
            for _ in range(turns):
                await asyncio.sleep(0)
            async with asyncio.timeout(PATIENCE_S):
                await desk.link._line.close()

    asyncio.run(script())


class TestKill:
    def test_kill_when_a_bracket_and_a_position_are_open_then_flat_and_alpaca_says_so(self, server):
        async def script() -> None:
            async with connected(server) as desk:
                await desk.link.submit(entry(bracket=BRACKET))
                await desk.told("e-1-T", "ACCEPT")

        asyncio.run(script())
        account = AlpacaAccount(KEYS, server.config(), "paper", PATIENCE_S, is_paper=True, now_ns=time.time_ns)
        assert {order.client_order_id for order in account.snapshot().orders} == {"e-1-S", "e-1-T"}
        done = flatten_account(account, attempts=2, wait_s=PATIENCE_S)
        account.close()
        assert done.is_flat
        assert done.before is not None
        assert dict(done.before.positions) == {"NVDA": 10}
        assert server.position("NVDA") == 0

    @pytest.mark.parametrize("symbol", [OPTION, "BTCUSD", "CL"])
    def test_kill_when_something_unknown_is_held_then_it_is_seen_and_closed_with_the_rest(self, server, symbol):
        server.hold(symbol, 2, "3.10")
        server.hold("NVDA", 5, "150")
        fields = {"symbol": symbol, "qty": 1, "side": "buy", "type": "limit", "limit_price": "1.00", "time_in_force": "day"}
        server._call(server._make, fields, "new")
        server.prices[symbol] = "3.20"
        account = AlpacaAccount(KEYS, server.config(), "paper", PATIENCE_S, is_paper=True, now_ns=time.time_ns)
        found = account.snapshot()
        assert {(held.symbol, held.quantity, held.cost_ticks) for held in found.positions} == {
            (symbol, 2, 0),
            ("NVDA", 5, 75_000),
        }
        assert [(order.symbol, order.limit_ticks) for order in found.orders] == [(symbol, None)]
        done = flatten_account(account, attempts=2, wait_s=PATIENCE_S)
        account.close()
        assert done.is_flat
        assert done.before is not None
        assert dict(done.before.positions) == {symbol: 2, "NVDA": 5}
        assert (server.position(symbol), server.position("NVDA")) == (0, 0)

    def test_kill_when_only_a_part_of_a_coin_is_held_then_it_is_not_taken_for_nothing(self, server):
        body = {"symbol": "BTCUSD", "qty": "0.25", "side": "long", "avg_entry_price": "90000"}
        server.fail("GET", "/v2/positions", Fault(status=200, body=[body]))
        account = AlpacaAccount(KEYS, server.config(), "paper", PATIENCE_S, is_paper=True, now_ns=time.time_ns)
        found = account.snapshot()
        account.close()
        assert [(held.symbol, held.quantity) for held in found.positions] == [("BTCUSD", 1)]

    def test_kill_when_the_list_of_positions_cannot_be_read_then_it_cancels_and_closes_all_the_same(self, server):
        server.hold("NVDA", 5, "150")
        server.fail("GET", "/v2/positions", *[Fault(status=200, body={"what": "is this"})] * 2)
        account = AlpacaAccount(KEYS, server.config(), "paper", PATIENCE_S, is_paper=True, now_ns=time.time_ns)
        with pytest.raises(BrokerError, match="list of positions was not understood"):
            account.snapshot()
        done = flatten_account(account, attempts=1, wait_s=PATIENCE_S)
        account.close()
        assert server.position("NVDA") == 0
        assert done.is_flat

    def test_kill_when_asking_for_the_account_fails_in_a_way_nobody_expected_then_it_cancels_and_closes_all_the_same(self):
        class Broken:
            name = "paper"

            def __init__(self) -> None:
                self.asked: list[str] = []

            def snapshot(self) -> Any:
                raise RuntimeError("a defect")

            def cancel_all(self) -> None:
                self.asked.append("cancel")
                raise RuntimeError("another defect")

            def flatten(self) -> None:
                self.asked.append("flatten")

            def wait_flat(self, seconds: float) -> bool:
                raise RuntimeError("a defect")

            def close(self) -> None:
                pass

        access = Broken()
        done = flatten_account(access, attempts=2, wait_s=0.0)
        assert access.asked == ["cancel", "flatten"] * 2
        assert not done.is_flat
        assert "a defect" in done.error

    def test_kill_when_alpaca_does_not_answer_then_not_flat_and_said_so(self, server):
        server.fail("GET", "/v2/orders", *[500] * 4)
        account = AlpacaAccount(KEYS, server.config(), "paper", PATIENCE_S, is_paper=True, now_ns=time.time_ns)
        done = flatten_account(account, attempts=1, wait_s=0.1)
        account.close()
        assert not done.is_flat
        assert "500" in done.error


class TestChoice:
    @pytest.fixture(autouse=True)
    def keys(self, monkeypatch):
        monkeypatch.setenv("ALPACA_API_KEY", KEYS.key)
        monkeypatch.setenv("ALPACA_SECRET_KEY", KEYS.secret)

    @staticmethod
    def task(**changes: Any) -> Task:
        named: dict[str, Any] = {"strategy": "order_flow", "mode": "paper", "account": "a", "broker": "alpaca"}
        return Task(**{**named, "symbols": ("NVDA",), **changes})

    def test_connections_when_broker_is_alpaca_then_a_feed_that_is_no_simulation_and_a_link(self):
        feed, link = connections(Settings(), self.task())
        assert not feed.is_simulated
        assert link.capabilities.holds_brackets

    def test_connections_when_mode_is_live_with_a_paper_key_then_refused(self):
        with pytest.raises(ConfigurationError, match="is of a paper account"):
            connections(Settings(), self.task(mode="live"))

    def test_connections_when_no_symbol_is_named_then_refused(self):
        with pytest.raises(ConfigurationError, match="no symbol was named"):
            connections(Settings(), self.task(symbols=()))

    @pytest.mark.parametrize("symbol", ["CL", "ES", "GC", "YM", "ESH6", "BTCUSD", OPTION])
    def test_connections_when_a_symbol_is_no_equity_here_then_refused_with_what_to_do(self, symbol):
        with pytest.raises(ConfigurationError, match=f"symbols were {symbol}; .*take them out of --symbol"):
            connections(Settings(), self.task(symbols=("NVDA", symbol)))

    def test_connections_when_an_entry_may_be_older_than_the_grace_of_our_books_then_refused(self):
        settings = Settings.model_validate({"alpaca": {"entry_fresh_s": 10}, "live": {"in_flight_grace_s": 10}})
        with pytest.raises(ConfigurationError, match=r"alpaca.entry_fresh_s was 10 and live.in_flight_grace_s 10"):
            connections(settings, self.task())

    def test_connections_when_a_key_is_missing_then_refused_with_its_name(self, monkeypatch):
        monkeypatch.delenv("ALPACA_SECRET_KEY")
        with pytest.raises(ConfigurationError, match="ALPACA_SECRET_KEY"):
            connections(Settings(), self.task())

    def test_run_when_live_without_consents_then_nothing_starts(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert run(["run", "order_flow", "--mode", "live", "--broker", "alpaca", "--symbol", "NVDA"]) == 4
        assert "needs three consents" in capsys.readouterr().err

    def test_run_when_broker_is_unknown_then_refused(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert run(["run", "order_flow", "--broker", "alpacca"]) == 2
        assert "did you mean 'alpaca'" in capsys.readouterr().err

    def test_guard_when_broker_is_alpaca_then_it_reaches_that_account(self):
        settings = Settings.model_validate({"session": {"broker": "alpaca", "account": "mine"}})
        found = guarded_accounts(settings)
        assert [(type(account).__name__, account.name) for account in found] == [("AlpacaAccount", "mine")]

    def test_guard_when_a_session_traded_elsewhere_than_configured_then_looks_there_too(self, tmp_path):
        settings = Settings.model_validate(
            {"session": {"folder": tmp_path}, "guard": {"token": "t", "url": "ws://127.0.0.1:1"}}
        )
        assert [type(account).__name__ for account in guarded_accounts(settings)] == ["VenueAccess"]
        mark_broker(settings, "alpaca")
        found = [type(account).__name__ for account in guarded_accounts(settings)]
        assert found == ["AlpacaAccount", "VenueAccess"]

    def test_guard_when_credentials_of_one_account_are_missing_then_it_is_not_taken_for_flat(self, tmp_path):
        settings = Settings.model_validate({"session": {"folder": tmp_path, "broker": "alpaca"}, "venue": {"state": tmp_path}})
        mark_broker(settings, "venue")
        lost = guarded_accounts(settings)[1]
        assert lost.name == "venue"
        with pytest.raises(BrokerError, match="cannot be reached"):
            lost.snapshot()
