"""A live session in which the test is the market, the broker and the person: a script that the decision thread runs.

A script is a generator; it is resumed at every look at the clock. It yields a command to give, or a condition to wait for.
"""

import time
from datetime import date
from decimal import Decimal

from fakes.hand_fed import HandFeed
from sovereign.core.command import Command, CommandKind
from sovereign.core.event import DecisionMade, Notice
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket
from sovereign.engine.conductor import Conductor
from sovereign.engine.engine import Engine
from sovereign.engine.inbox import Inbox, Outbox
from sovereign.engine.inputs import Opening
from sovereign.engine.lines import Lines
from sovereign.engine.live import LiveSession
from sovereign.engine.live_configuration import LiveConfig
from sovereign.engine.recovery import ReplayJournal, start
from sovereign.execution.account import Account
from sovereign.execution.brokers.remote import RemoteBroker
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.execution.fill_model import OPTIMISTIC, PerUnitFees
from sovereign.feeds.calendar import calendar_for
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor
from sovereign.strategies import load_strategy
from sovereign.strategies.order_flow.configuration import OrderFlowConfig

SESSION = calendar_for("CME_EQUITY").session(date(2025, 3, 4))
TEN = SESSION.regular_open_ns + 1_800_000_000_000
S = 1_000_000_000
BALANCE = Decimal(100_000)
PATIENCE_S = 20.0
QUICK = {"poll_ms": 5, "stale_data_s": 60, "in_flight_s": 60, "reconcile_s": 60, "retry_s": 0.02, "heartbeat_s": 0.01}


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
        self.config = LiveConfig.model_validate({**QUICK, **settings})
        self.link = link
        self.feed = HandFeed(SESSION, (find_instrument("ES"),), TEN)
        self.events, self.beats = [], []
        self.outbox = None if link is None else Outbox()
        if link is not None:
            link.clock = self.feed.clock
            broker = RemoteBroker(self.outbox.send, link.capabilities, {"ES": Decimal(300)})
        else:
            broker = SimulatedBroker(OPTIMISTIC)
        strategy = load_strategy("order_flow", OrderFlowConfig())
        self.journal = ReplayJournal(journal, kept)
        self.engine = Engine(
            strategy=strategy,
            door=door(),
            broker=broker,
            account=Account(BALANCE),
            fees=PerUnitFees({"ES": Decimal(0)}),
            journal=self.journal,
            sinks=(self.events.append,),
        )
        self.conductor = Conductor(
            self.engine, strategy.signal_stream, broker, late_notice_ns=round(self.config.late_notice_s * 1e9)
        )
        self.found = start(path, {}, self.conductor, self.journal, now_ns=TEN, is_remote=link is not None)
        self._script = script(self)
        self._wait = None
        self._is_over = False
        self._until = time.monotonic() + PATIENCE_S

    def run(self):
        lines = Lines(Inbox(self.config.inbox_ticks), self.feed, self.link, answer_s=self.config.answer_s)
        self.inbox = lines.inbox
        lines.start()
        self.live = LiveSession(
            config=self.config,
            conductor=self.conductor,
            recording=self.found.recording,
            lines=lines,
            outbox=self.outbox,
            monotonic=time.monotonic,
            commands=self._next,
            on_heartbeat=self.beats.append,
        )
        opening = Opening(balance=BALANCE, high_water_mark=BALANCE)
        try:
            return self.live.run(SESSION, (find_instrument("ES"),), opening, self.found.after)
        finally:
            lines.stop(self.config.stop_s)
            self.found.recording.close()

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


BRACKET = Bracket(stop_ticks=16, target_ticks=40)
