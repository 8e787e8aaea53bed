"""Effects of the settings that say what is done about a position without a stop, seen on a stop that is never answered."""

from decimal import Decimal

from key_effects import effect
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, Order, OrderEvent, OrderRole, OrderType, Side
from sovereign.core.session import NS_PER_SECOND
from sovereign.execution.account import Account
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.execution.executor import Executor
from sovereign.execution.fill_model import OPTIMISTIC, ExecutionConfig, PerUnitFees
from sovereign.execution.protection import ProtectionWatch
from sovereign.execution.report import ExecutionReport


def _watched(config: ExecutionConfig) -> tuple[object, ...]:
    ours = Executor(SimulatedBroker(OPTIMISTIC, holds_brackets=False), Account(Decimal(10_000)), PerUnitFees(), lambda _: None)
    order = Order(
        client_order_id="A",
        instrument=find_instrument("ES"),
        tape="ES",
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=1,
        submitted_ns=0,
        active_ns=0,
        role=OrderRole.ENTRY,
        bracket=Bracket(stop_ticks=8),
    )
    ours.submit(order, 0, {})
    fill = {"trade_id": "V1", "quantity": 1, "price_ticks": 20_000}
    ours.on_report(ExecutionReport(cause=OrderEvent.FILL, client_order_id="A", ts=0, **fill))
    watch = ProtectionWatch(ours, config.unprotected_alarm_ns, config.unprotected_action)
    watch.check(0)
    verdict = watch.check(5 * NS_PER_SECOND)
    return watch.next_ns, len(verdict.notices), len(verdict.submit), verdict.flatten


@effect("execution.unprotected_alarm_s")
def _():
    return _watched(ExecutionConfig()), _watched(ExecutionConfig(unprotected_alarm_s=6.0))


@effect("execution.unprotected_action")
def _():
    return _watched(ExecutionConfig()), _watched(ExecutionConfig.model_validate({"unprotected_action": "flatten"}))
