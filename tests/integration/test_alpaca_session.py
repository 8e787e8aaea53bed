"""A session at Alpaca, from the door to the wire: a bracket by hand, a crash, a fill meanwhile, and both books agree."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("alpaca", reason="the extra 'alpaca' is not installed")

from fakes.alpaca_bench import AroundNow, MachineClock
from fakes.alpaca_server import KEYS, AlpacaServer
from sovereign.core.columns import Trades
from sovereign.core.command import Command, CommandKind
from sovereign.core.event import DecisionMade, Notice, OrderFilled
from sovereign.core.instrument import find_instrument
from sovereign.core.order import OrderRole
from sovereign.core.session import Session
from sovereign.engine.assembly import new_lines, prepare
from sovereign.engine.engine import Engine
from sovereign.engine.inputs import Opening
from sovereign.engine.live_configuration import LiveConfig
from sovereign.execution.account import Account
from sovereign.execution.brokers.alpaca import AlpacaLink
from sovereign.execution.fill_model import PerUnitFees
from sovereign.execution.matching import warm_up
from sovereign.feeds.alpaca.history import AlpacaHistory
from sovereign.feeds.alpaca.live import AlpacaFeed
from sovereign.feeds.vendor import DownloadConfiguration
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor
from sovereign.strategies import load_strategy
from sovereign.strategies.order_flow.configuration import OrderFlowConfig

BALANCE = Decimal(100_000)
RISK = {
    "excluded_windows": (),
    "can_inputs_be_unknown": True,
    "tiers": {"enabled": False},
    "daily_loss_limit": -5_000,
    "min_reward_to_cost": 0,
    "hours": "all",
}


def compile_signals(strategy: Any, session: Session) -> None:
    """Load what the session needs before a market waits for it, as a trading process does."""
    warm_up()
    stream = strategy.signal_stream(find_instrument("NVDA"))
    stream.start_session(session)
    stream.advance(Trades.empty(), session.open_ns)


class Journal:
    def __init__(self) -> None:
        self.kept: list[Any] = []

    def record(self, order: Any, request: str, ts: int) -> None:
        self.kept.append((order, request, ts))


class Trading:
    """One process of a session; `script` is asked at every look at the clock, and its end is the process's."""

    def __init__(
        self, server: AlpacaServer, calendar: AroundNow, folder: Path, script: Callable[[Trading], Iterator[Any]]
    ) -> None:
        self.events: list[Any] = []
        self.server = server
        config = server.config()
        history = AlpacaHistory(KEYS, config, DownloadConfiguration(attempts=2, backoff_s=0.01), time.sleep)
        clock = MachineClock()
        feed = AlpacaFeed(KEYS, config, ("NVDA",), clock, calendar, history)
        link = AlpacaLink(KEYS, config, clock, is_paper=True, symbols=("NVDA",), last_price=feed.last_price)
        settings = LiveConfig(poll_ms=5, retry_s=0.05, reconcile_s=0.2, in_flight_s=1.0)
        lines = new_lines(settings, feed, link)
        self._script, self._wait = script(self), None
        self._until: float | None = None  # from the first look on
        self._is_over = False
        strategy = load_strategy("order_flow", OrderFlowConfig())
        compile_signals(strategy, calendar.day)
        lines.start()
        try:
            found = lines.session()
            assert found is not None
            session, instruments = found
            prepared = prepare(
                settings,
                lines,
                path=folder / "a.rec",
                header={},
                new_engine=lambda broker, journal: Engine(
                    strategy=strategy,
                    door=OneDoor(RiskConfig.model_validate(RISK)),
                    broker=broker,
                    account=Account(BALANCE),
                    fees=PerUnitFees({}),
                    journal=journal,
                    sinks=(self.events.append,),
                ),
                new_stream=strategy.signal_stream,
                journal=Journal(),
                now_ns=time.time_ns(),
                monotonic=time.monotonic,
                commands=self._next,
            )
            self.engine = prepared.conductor.engine
            self.live = prepared.live
            self.ending = prepared.run(session, tuple(instruments), Opening(balance=BALANCE, high_water_mark=BALANCE))
        finally:
            lines.stop(2.0)

    def _next(self) -> tuple[Command, ...]:
        self._until = self._until or time.monotonic() + 90
        if time.monotonic() > self._until:
            notices = [event.text for event in self.events if isinstance(event, Notice)]
            refused = [str(event.decision.outcome) for event in self.events if isinstance(event, DecisionMade)]
            pytest.fail(f"waited in vain; unhealthy {dict(self.engine.unhealthy)}, notices {notices}, decisions {refused}")
        if self._is_over or (self._wait is not None and not self._wait()):
            return ()
        self._wait = None
        wanted = next(self._script, None)
        if wanted is None:
            self._is_over = True
            self.live.stop("the script is over")
        elif isinstance(wanted, Command):
            return (wanted,)
        else:
            self._wait = wanted
        return ()

    def held(self) -> int:
        position = self.engine.positions.get("NVDA")
        return 0 if position is None else position.quantity

    def working(self) -> set[OrderRole]:
        return {order.role for order in self.engine.executor.working()}

    def is_well(self) -> bool:
        return not self.engine.unhealthy


def buy() -> Command:
    arguments = {"symbol": "NVDA", "side": "BUY", "qty": "10", "stop_ticks": "300", "target_ticks": "600"}
    return Command(command_id="c1", kind=CommandKind.TRADE, by="ann", reason="by hand", arguments=arguments)


@pytest.fixture
def server() -> Iterator[AlpacaServer]:
    with AlpacaServer() as running:
        running.prices["NVDA"] = "150.00"
        yield running


def test_session_when_process_dies_and_the_target_fills_meanwhile_then_the_next_one_agrees_with_alpaca(server, tmp_path):
    calendar = AroundNow()

    def first(process: Trading) -> Iterator[Any]:
        server.quote("NVDA", 149.99, 150.01)
        server.trade("NVDA", 150.00)
        yield lambda: process.is_well() and process.engine.last_ticks().get("NVDA") == 15_000
        asked = server.asked("/v2/account")
        yield lambda: server.asked("/v2/account") > asked + 3  # the margin per share follows the first price
        yield buy()
        yield lambda: process.held() == 10
        yield lambda: process.working() == {OrderRole.STOP, OrderRole.TARGET}
        yield process.is_well

    def second(process: Trading) -> Iterator[Any]:
        yield lambda: process.held() == 0 and process.is_well() and not process.working()

    one = Trading(server, calendar, tmp_path, first)
    assert one.ending.exit_code == 0
    target = next(body for body in server.orders() if body["client_order_id"].endswith("-T"))
    server.fill(target, 10, "156.00")
    two = Trading(server, calendar, tmp_path, second)
    assert two.ending.exit_code == 0
    assert two.engine.account.balance == Decimal(100_060)
    fills = [event.fill for event in two.events if isinstance(event, OrderFilled)]
    assert [(fill.role, fill.quantity, fill.price_ticks) for fill in fills] == [
        (OrderRole.ENTRY, 10, 15_000),
        (OrderRole.TARGET, 10, 15_600),
    ]
    assert server.position("NVDA") == 0
