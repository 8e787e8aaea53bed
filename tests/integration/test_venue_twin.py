"""A session through the venue in lockstep is the session that the simulated broker would have run, report by report."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from fakes.venue_bench import MS, SPEC, order, running, seen, tape_of, trading
from sovereign.core.order import Bracket, Order, OrderType, Side, TimeInForce
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.execution.fill_model import PESSIMISTIC, REALISTIC, FillModel
from sovereign.execution.report import ExecutionReport

LATENCY = 250 * MS
Action = Order | str | tuple[str, int, int]
"""An order to send, the id of one to cancel, or (id, quantity, price) of one to replace."""


def random_actions(seed: int, opened: int, closed: int, price: int) -> list[tuple[int, Action]]:
    """Return (moment, action), in order of time."""
    random = Random(seed)
    actions: list[tuple[int, Action]] = []
    names: list[str] = []
    for number, ts in enumerate(sorted(random.randrange(opened + 1, closed) for _ in range(60))):
        if names and random.random() < 0.2:
            actions.append((ts, random.choice(names)))
            continue
        if names and random.random() < 0.2:
            wanted = price + random.randint(-6, 6)
            actions.append((ts, (random.choice(names), random.randint(1, 80), wanted)))
            continue
        side = random.choice(list(Side))
        kind = random.choice(list(OrderType))
        away = random.randint(-6, 6)
        terms: dict[str, Any] = {}
        if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT):
            terms["limit_ticks"] = price + away
        if kind in (OrderType.STOP, OrderType.STOP_LIMIT):
            terms["stop_ticks"] = price + side.sign * random.randint(0, 5)
        if kind is OrderType.TRAILING_STOP:
            terms["trail_ticks"] = random.randint(1, 6)
        life = random.choice([TimeInForce.GTC, TimeInForce.DAY, TimeInForce.GTD, TimeInForce.IOC])
        if life is TimeInForce.IOC and kind not in (OrderType.LIMIT, OrderType.MARKET):
            life = TimeInForce.DAY
        if life is TimeInForce.GTD:
            terms["expire_ns"] = ts + random.randint(251, 5_000) * MS
        if random.random() < 0.4:
            terms["bracket"] = Bracket(
                stop_ticks=random.randint(1, 8), target_ticks=random.choice([None, 3, 6]), trail_ticks=random.choice([None, 4])
            )
        else:
            terms["reduce_only"] = random.random() < 0.2
        name = f"A{number}"
        names.append(name)
        actions.append((ts, order(name, side, kind, random.randint(1, 80), ts, time_in_force=life, **terms)))
    return actions


def terms_of(action: tuple[str, int, int], kinds: dict[str, OrderType]) -> dict[str, int | None]:
    kind = kinds[action[0]]
    return {
        "limit_ticks": action[2] if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT) else None,
        "stop_ticks": action[2] if kind is OrderType.STOP else None,
    }


def kinds_in(actions: list[tuple[int, Action]]) -> dict[str, OrderType]:
    return {what.client_order_id: what.order_type for _, what in actions if isinstance(what, Order)}


def through_the_simulated_broker(model: FillModel, actions: list[tuple[int, Action]]) -> list[ExecutionReport]:
    """Walk the tape tick by tick: at one moment first the venue, then decisions, then the tick."""
    tape = tape_of(SPEC)
    session = tape.sessions[0]
    trades = tape.columns(session)["ES"]
    broker = SimulatedBroker(model, LATENCY)
    broker.start_session(tape.instruments(session))
    reports: list[ExecutionReport] = []
    left, kinds = list(actions), kinds_in(actions)

    def moments(ts: int) -> None:
        while True:
            due = broker.next_time_ns
            decided = left[0][0] if left else session.close_ns + 1
            if min(due, decided) > ts:
                return
            if due <= decided:
                reports.extend(broker.on_time(due))
            else:
                at, what = left.pop(0)
                if isinstance(what, str):
                    broker.cancel(what, at)
                elif isinstance(what, tuple):
                    broker.replace(what[0], at, quantity=what[1], **terms_of(what, kinds))
                else:
                    broker.submit(what, at)

    for row, ts in enumerate(trades.ts.tolist()):
        moments(ts)
        if broker.has_orders("ES"):
            if broker.next_event("ES", trades, row, row + 1) == row:
                reports.extend(broker.take("ES", trades, row))
            else:
                broker.advance("ES", trades, row, row + 1)
    moments(session.close_ns)
    return [*reports, *broker.end_session("ES", session.close_ns)]


async def through_the_venue(model: FillModel, actions: list[tuple[int, Action]], slice_ms: int) -> list[ExecutionReport]:
    async with running(model=model, slice_ns=slice_ms * MS, latency_ns=LATENCY) as bench, trading(bench) as trader:
        session = await trader.begin()
        left, done, kinds = list(actions), 0, kinds_in(actions)
        while not trader.blocks or trader.blocks[-1].until_ns < session.close_ns:
            await trader.until(lambda done=done: len(trader.blocks) > done)
            done = len(trader.blocks)
            until = trader.blocks[-1].until_ns
            while left and left[0][0] <= until:
                at, what = left.pop(0)
                if isinstance(what, str):
                    await trader.client.cancel(what, sent_ns=at)
                elif isinstance(what, tuple):
                    await trader.client.replace(what[0], quantity=what[1], sent_ns=at, **terms_of(what, kinds))
                else:
                    await trader.client.submit(what)
            trader.client.worked_through(until)
        assert await asyncio.wait_for(trader.client.session(), 5) is None
        return [report for report, _, _ in trader.reports]


@pytest.mark.parametrize(("seed", "model", "slice_ms"), [(1, REALISTIC, 250), (2, PESSIMISTIC, 125), (3, REALISTIC, 100)])
def test_session_when_traded_through_the_venue_in_lockstep_then_equals_the_backtest(seed, model, slice_ms):
    session = tape_of(SPEC).sessions[0]
    trades = tape_of(SPEC).columns(session)["ES"]
    actions = random_actions(seed, session.open_ns, session.close_ns, int(trades.price[0]))
    expected = seen(through_the_simulated_broker(model, actions))
    found = seen(asyncio.run(through_the_venue(model, actions, slice_ms)))
    assert sum(row[1] in ("FILL", "PARTIAL_FILL") for row in expected) > 20
    assert found == expected
