"""A lane is built from what the user set: the door reckons with the fees that fills are charged."""

from decimal import Decimal

from sovereign.execution.fill_model import ExecutionConfig
from sovereign.research.backtest import Recipe, main_lane, new_engine
from sovereign.risk.configuration import RiskConfig
from sovereign.strategies import configuration_class


def engine_of(execution):
    recipe = Recipe(
        strategy="order_flow",
        strategy_config=configuration_class("order_flow")(),
        risk=RiskConfig(),
        execution=execution,
        starting_balance=Decimal(10_000),
    )
    return new_engine(recipe, main_lane(execution), (), is_simulated_data=True)


def test_door_when_the_user_set_a_fee_then_reckons_with_it_for_every_contract_of_the_root():
    door = engine_of(ExecutionConfig(fees={"ES": Decimal("3.10")})).door
    assert door._find("ESH4").fee_per_side == Decimal("3.10")
    assert door._find("MESH4").fee_per_side == Decimal("0.62")
