"""The drill: the same bar gives the same order, and it stays out of the list of strategies until a rehearsal asks."""

from datetime import date
from decimal import Decimal

import numpy as np

from sovereign import strategies
from sovereign.app.rehearsal.drill import DrillConfig, DrillStrategy
from sovereign.app.rehearsal.settings import DRILL, add_drill, drill_settings, merged, user_settings
from sovereign.core.instrument import find_instrument
from sovereign.core.order import OrderRole, OrderType
from sovereign.core.port import Moment
from sovereign.feeds.calendar import calendar_for
from sovereign.signals.bars import NO_CANDIDATES, ROW_HEAD
from sovereign.strategies import load_strategy

SESSION = calendar_for("CME_EQUITY").session(date(2025, 3, 4))


def moment(seq, held=0):
    rows = np.zeros(1, np.dtype(ROW_HEAD))
    rows["seq"], rows["close"], rows["volume"] = seq, 20_000, 7
    return Moment(
        ts=SESSION.open_ns,
        symbol="ES",
        session=SESSION,
        index=0,
        rows=rows,
        candidates=NO_CANDIDATES,
        position_quantity=held,
        last_ticks=20_000,
    )


def test_drill_when_shown_the_same_bar_then_wants_the_same_and_in_time_every_kind_of_order():
    first, second = DrillStrategy(DrillConfig()), DrillStrategy(DrillConfig())
    wanted = [first.decide(moment(seq)) for seq in range(200)]
    assert wanted == [second.decide(moment(seq)) for seq in range(200)]
    intents = [proposal.intent for proposals in wanted for proposal in proposals]
    assert {intent.order_type for intent in intents} == {OrderType.MARKET, OrderType.LIMIT, OrderType.STOP}
    assert all(intent.bracket is not None for intent in intents)
    assert 0.5 < len(intents) / 200 < 0.9


def test_drill_when_a_position_is_held_then_only_ever_closes_it():
    drill = DrillStrategy(DrillConfig())
    intents = [proposal.intent for seq in range(200) for proposal in drill.decide(moment(seq, held=-2))]
    assert intents
    assert {(intent.role, intent.side.value, intent.quantity) for intent in intents} == {(OrderRole.EXIT, "BUY", 2)}


def test_drill_when_a_rehearsal_adds_it_then_is_loaded_by_name(monkeypatch):
    monkeypatch.setattr(strategies, "__path__", [path for path in strategies.__path__ if "rehearsal" not in path])
    assert DRILL not in strategies.strategy_names()
    add_drill()
    add_drill()
    assert load_strategy(DRILL).name == DRILL
    assert sum("rehearsal" in path for path in strategies.__path__) == 1


def test_settings_when_merged_then_the_later_wins_and_the_rest_stays():
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"d": 4}) == {"a": {"b": 3, "c": 2}, "d": 4}


def test_settings_of_a_user_when_rehearsed_then_the_door_stays_and_nobody_is_told(tmp_path):
    given = drill_settings(tmp_path / "a", risk={"max_quantity": 2})
    found = user_settings(given, tmp_path / "b")
    assert found.risk == given.risk
    assert found.account.starting_balance == Decimal(1_000_000)
    assert not any(found.alerts.routes.values())
    assert str(tmp_path / "b") in found.store.url
    assert find_instrument("ES").symbol == "ES"
