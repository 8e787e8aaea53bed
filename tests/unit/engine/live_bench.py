"""A live session in which the test is the market, the broker and the person: a script that the decision thread runs.

A script is a generator; it is resumed at every look at the clock. It yields a command to give, or a condition to wait for.
"""

import time
from datetime import date
from decimal import Decimal
from functools import cache

from fakes.hand_fed import HandFeed
from sovereign.core.columns import Trades
from sovereign.core.command import Command, CommandKind
from sovereign.core.event import DecisionMade, Notice
from sovereign.core.instrument import find_instrument
from sovereign.engine.assembly import new_lines, prepare
from sovereign.engine.engine import Engine
from sovereign.engine.inputs import Opening
from sovereign.engine.live_configuration import LiveConfig
from sovereign.execution.account import Account
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.execution.fill_model import OPTIMISTIC, PerUnitFees
from sovereign.execution.matching import warm_up
from sovereign.feeds.calendar import calendar_for
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor
from sovereign.strategies import load_strategy
from sovereign.strategies.order_flow.configuration import OrderFlowConfig

SESSION = calendar_for("CME_EQUITY").session(date(2025, 3, 4))
TEN = SESSION.regular_open_ns + 1_800_000_000_000
S = 1_000_000_000
BALANCE = Decimal(100_000)
PATIENCE_S = 60.0
QUICK = {"poll_ms": 5, "stale_data_s": 60, "in_flight_s": 60, "reconcile_s": 60, "retry_s": 0.02, "heartbeat_s": 0.01}


@cache
def compile_kernels():
    """Load what a session uses, which the first time is compiled: no test's patience is to pay for that."""
    warm_up()
    stream = load_strategy("order_flow", OrderFlowConfig()).signal_stream(find_instrument("ES"))
    stream.start_session(SESSION)
    stream.advance(Trades.empty(), SESSION.regular_open_ns)
    stream.advance(Trades.empty(), SESSION.regular_open_ns + 1_800 * S)


class Journal:
    """A journal in memory."""

    def __init__(self):
        self.kept = []

    def record(self, order, request, ts):
        self.kept.append((order.client_order_id, request))


def command(kind, by="ann", reason="because", name=[0], **arguments):  # noqa: B006 - a counter
    name[0] += 1
    return Command(
        command_id=f"c{name[0]}",
        kind=CommandKind[kind.upper()],
        by=by,
        reason=reason,
        arguments={k: str(v) for k, v in arguments.items()},
    )


def buy(**terms):
    return command("trade", symbol="ES", side="BUY", qty=1, **{"stop_ticks": 16, "target_ticks": 40, **terms})


def door():
    config = {
        "excluded_windows": (),
        "can_inputs_be_unknown": True,
        "tiers": {"enabled": False},
        "stale_data_s": 3_600,
        "daily_loss_limit": -5_000,
        "min_reward_to_cost": 0,
    }
    return OneDoor(RiskConfig.model_validate(config))


class Bench:
    """One live session and what it said."""

    def __init__(self, path, script, link=None, journal=None, kept=(), **settings):
        compile_kernels()
        self.config = LiveConfig.model_validate({**QUICK, **settings})
        self.link = link
        self.feed = HandFeed(SESSION, (find_instrument("ES"),), TEN)
        self.events, self.beats = [], []
        if link is not None:
            link.clock = self.feed.clock
        strategy = load_strategy("order_flow", OrderFlowConfig())
        self.lines = new_lines(self.config, self.feed, link)

        def new_engine(broker, journal):
            return Engine(
                strategy=strategy,
                door=door(),
                broker=broker,
                account=Account(BALANCE),
                fees=PerUnitFees({"ES": Decimal(0)}),
                journal=journal,
                sinks=(self.events.append,),
            )

        self.prepared = prepare(
            self.config,
            self.lines,
            path=path,
            header={},
            new_engine=new_engine,
            new_stream=strategy.signal_stream,
            simulated=SimulatedBroker(OPTIMISTIC) if link is None else None,
            margins={"ES": Decimal(300)},
            journal=journal,
            kept=kept,
            now_ns=TEN,
            monotonic=time.monotonic,
            commands=self._next,
            on_heartbeat=self.beats.append,
        )
        self.live, self.conductor, self.journal = self.prepared.live, self.prepared.conductor, self.prepared.journal
        self.engine = self.conductor.engine
        self._script = script(self)
        self._wait = None
        self._is_over = False
        self._until = time.monotonic() + PATIENCE_S

    def run(self):
        self.lines.start()
        try:
            opening = Opening(balance=BALANCE, high_water_mark=BALANCE)
            return self.prepared.run(SESSION, (find_instrument("ES"),), opening)
        finally:
            self.lines.stop(self.config.stop_s)

    def _next(self):
        if time.monotonic() > self._until:
            raise AssertionError(f"waited in vain; unhealthy {dict(self.engine.unhealthy)}, notices {self.codes()}")
        if self._is_over or (self._wait is not None and not self._wait()):
            return ()
        self._wait = None
        try:
            wanted = next(self._script)
        except StopIteration:
            self._is_over = True
            self.live.stop("the script is over")
            return ()
        if isinstance(wanted, Command):
            return (wanted,)
        self._wait = wanted
        return ()

    # What a script may ask

    def push(self, second, *prices, **terms):
        self.feed.push("ES", TEN + round(second * S), prices, **terms)

    def seen(self, code, severity=None):
        return [n for n in self.notices() if n.code.name == code and severity in (None, n.severity.name)]

    def notices(self):
        return [event for event in self.events if isinstance(event, Notice)]

    def codes(self):
        return [notice.code.name for notice in self.notices()]

    def refusals(self):
        return [getattr(event.decision.outcome, "check", None) for event in self.events if isinstance(event, DecisionMade)]

    def held(self, symbol="ES"):
        position = self.engine.positions.get(symbol)
        return 0 if position is None else position.quantity

    def is_well(self):
        return not self.engine.unhealthy


def play(tmp_path, script, link=None, **settings):
    bench = Bench(tmp_path / "a.rec", script, link, **settings)
    bench.ending = bench.run()
    return bench
