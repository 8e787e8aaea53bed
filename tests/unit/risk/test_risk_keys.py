"""Every key of the risk section changes what the door does.

`KEYS` is data: the path of a leaf key, another value for it, and a scenario whose outcome must differ between the default and
that value (some scenarios need further settings around the key, given as `around`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from risk_cases import FRIDAY, TEN, THURSDAY, entry, position, proposal, trade, utc, view

from sovereign.core.decision import Approved, Refused
from sovereign.core.event import to_plain
from sovereign.core.order import Bracket, OrderEvent, Side
from sovereign.core.session import NS_PER_MINUTE, NS_PER_SECOND
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor

D = Decimal
Scenario = Callable[[OneDoor], Any]


def verdict(result: Approved | Refused) -> Any:
    # the words of a refusal name the limits, so they would differ for any change; only the check that failed counts
    return result.check if isinstance(result, Refused) else result


def outcome(intent: Any = None, *, unknown_input: bool = False, trades: tuple[str, ...] = (), **changes: Any) -> Scenario:
    """The verdict on one entry."""

    def run(door: OneDoor) -> Any:
        day_start = changes.get("day_start_balance", changes.get("balance", D(2500)))
        door.start_session(THURSDAY, day_start)
        for net in trades:
            door.on_trade(trade(net), view(**changes))
        inputs = {"atr": float("nan")} if unknown_input else {"atr": 1.0}
        return verdict(door.judge(proposal(intent, inputs=inputs), view(**changes))[1])

    return run


def at(moment: str, **changes: Any) -> Scenario:
    return outcome(ts=utc(moment), **changes)


def flatten(door: OneDoor) -> Any:
    return door.flatten_ns(THURSDAY)


def tier_after(*balances: str) -> Scenario:
    """The tier and the events after the sessions began with these balances."""

    def run(door: OneDoor) -> Any:
        events = []
        for session, balance in zip((THURSDAY, FRIDAY), balances, strict=True):
            events += [to_plain(event) for event in door.start_session(session, D(balance))]
        return events, door.tier

    return run


def replaced(index: int, **changes: Any) -> list[dict[str, Any]]:
    table = RiskConfig().tiers.model_dump()["table"]
    return [row | changes if i == index else row for i, row in enumerate(table)]


def _adds(door: OneDoor) -> Any:
    door.start_session(THURSDAY, D(2500))
    door.judge(proposal(), view())
    return verdict(door.judge(proposal(), view(positions={"MESZ5": position()}))[1])


SHARES = {"balance": D(10_000), "last_ticks": {"SPY": 66_000}}
SPY = entry(symbol="SPY", bracket=Bracket(stop_ticks=100, target_ticks=200))
SHORT = entry(symbol="SPY", side=Side.SELL, bracket=Bracket(stop_ticks=100, target_ticks=200))
PLACEHOLDER_NEWS_FILE = "<news file>"


@dataclass(frozen=True)
class Key:
    path: str
    value: Any
    scenario: Scenario
    around: dict[str, Any] = field(default_factory=dict)


def losing(*minutes: int) -> Scenario:
    """The verdicts so many minutes after ten losses in a row."""

    def run(door: OneDoor) -> Any:
        door.start_session(THURSDAY, D(2500))
        for _ in range(10):
            door.on_trade(trade("-1"), view())
        found = []
        for minute in minutes:
            then = view(ts=TEN + minute * NS_PER_MINUTE)
            door.inspect(then)
            found.append(verdict(door.judge(proposal(), then)[1]))
        return found

    return run


def running(count: int) -> Scenario:
    """The halts after so many proposals in an instant."""

    def run(door: OneDoor) -> Any:
        door.start_session(THURSDAY, D(2500))
        for _ in range(count):
            door.judge(proposal(), view(working_entries=1))
        return door.halts

    return run


def rejected(count: int) -> Scenario:
    """The halts after so many rejected orders."""

    def run(door: OneDoor) -> Any:
        door.start_session(THURSDAY, D(2500))
        for _ in range(count):
            door.on_answer(OrderEvent.REJECT, TEN)
        return [halt.cause for halt in door.halts]

    return run


def silent(*seconds: int) -> Scenario:
    """What is said so long after the last data, with a position open; a second round of data comes with the last."""

    def run(door: OneDoor) -> Any:
        door.start_session(THURSDAY, D(2500))
        said = []
        for second in seconds:
            data = TEN if second < seconds[-1] else TEN + (second - 70) * NS_PER_SECOND
            then = view(ts=TEN + second * NS_PER_SECOND, data_ns=data, positions={"MESZ5": position()})
            said.append([type(event).__name__ for event in door.inspect(then)])
        return said

    return run


KEYS = [
    Key("breakers.max_losses_in_a_row", 11, losing(0)),
    Key("breakers.loss_pause_minutes", 10, losing(10)),
    Key("breakers.max_trades_per_session", 1, outcome(trades=("1",))),
    Key("breakers.max_proposals_per_minute", 5, running(6)),
    Key("breakers.max_rejects_in_a_row", 4, rejected(4)),
    Key("breakers.stale_position_s", 60, silent(100, 110)),
    Key("breakers.stale_position_action", "flatten", silent(130, 140)),
    Key("breakers.recover_frac", 0.9, silent(130, 140)),
    Key("stale_data_s", 0.5, outcome()),
    Key("max_clock_skew_s", 2.0, outcome(data_ns=TEN + 1_500_000_000)),
    Key("can_inputs_be_unknown", True, outcome(unknown_input=True)),
    Key("hours", "all", at("2025-11-20 14:00")),
    Key("first_entry_after_open_minutes", 31, outcome()),
    Key("last_entry_before_close_minutes", 30, at("2025-11-20 20:40")),
    Key("flatten_before_close_minutes", 10, flatten),
    Key("clock_zone", "America/Chicago", at("2025-11-20 18:30")),
    Key("excluded_windows", [], at("2025-11-20 17:30")),
    Key("news", ["2025-11-20T15:00:00Z"], outcome()),
    Key("news_file", PLACEHOLDER_NEWS_FILE, outcome()),
    Key("news_before_minutes", 10, outcome(), {"news": ["2025-11-20T15:08:00Z"]}),
    Key("news_after_minutes", 10, outcome(), {"news": ["2025-11-20T14:52:00Z"]}),
    Key("daily_profit_target", 20, outcome(equity=D(2520), high_water_mark=D(2520))),
    Key("daily_loss_limit", -400, outcome(SPY, **SHARES, equity=D(9_690))),
    Key("max_daily_loss_frac", "0.02", outcome(equity=D(2440))),
    Key("max_drawdown_frac", "0.5", outcome(high_water_mark=D(4000))),
    Key("max_positions", 2, outcome(working_entries=1), {"max_working_entries": 2}),
    Key("max_working_entries", 2, outcome(working_entries=1), {"max_positions": 2}),
    Key("can_add_to_position", True, _adds, {"max_positions": 2}),
    Key("max_quantity", 1, outcome(entry(size_steps=1))),
    Key("risk_frac", "0.02", outcome(SPY, **SHARES, margin_per_unit={"SPY": D(20)}), {"max_notional_frac": 20}),
    Key("max_risk_frac", "0.009", outcome()),
    Key("max_notional_frac", "0.5", outcome(SPY, **SHARES)),
    Key("can_enter_at_close", True, at("2025-11-20 21:00")),
    Key("max_side_exposure_frac", "0.5", outcome(SPY, **SHARES)),
    Key("sectors", {"SPY": []}, outcome(SPY, **SHARES), {"max_per_sector": 1}),
    Key("max_per_sector", 1, outcome(SPY, **SHARES)),
    Key("max_position_frac", "0.5", outcome(SPY, **SHARES)),
    Key("value_frac", "0.05", outcome(SPY, **SHARES)),
    Key("can_short", False, outcome(SHORT, **SHARES)),
    Key("win_streak", 1, outcome(trades=("5",))),
    Key("loss_streak", 1, outcome(entry(size_steps=1), trades=("-5",))),
    Key("slippage_ticks", 60, outcome()),
    Key("min_reward_to_cost", 9, outcome()),
    Key("margin_limits", {"MES": 30}, outcome()),
    Key("max_margin_frac", "0.2", outcome(SPY, **SHARES)),
    Key("max_margin_balance_frac", "0.01", outcome()),
    Key("max_orders_per_minute", 2, outcome()),
    Key("tiers.enabled", False, outcome()),
    Key("tiers.demotion_buffer_frac", "0.01", tier_after("3500", "3400")),
    Key("tiers.families", [{"full": "NQ", "micro": "MNQ"}], outcome()),
    Key("tiers.families.full", [{"full": "NQ", "micro": "MES"}], outcome()),
    Key("tiers.families.micro", [{"full": "ES", "micro": "NQ"}], outcome()),
    Key("tiers.table", replaced(0, max_units=1)[:1], tier_after("3500", "3500")),
    Key("tiers.table.name", replaced(1, name="entry"), tier_after("2500", "3500")),
    Key("tiers.table.min_balance", replaced(1, min_balance=3000), tier_after("2500", "3100")),
    Key("tiers.table.contract", replaced(0, contract="full"), outcome(), {"max_risk_frac": "0.5"}),
    Key("tiers.table.max_units", replaced(0, max_units=1), outcome(entry(size_steps=1))),
    Key("tiers.table.daily_loss_limit", replaced(0, daily_loss_limit=-50), outcome(equity=D(2449))),
]


def leaf_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Paths of all settings below a section; tables in a list count once, as `list.key`."""
    for name, info in model.model_fields.items():
        annotation = info.annotation
        inner = [annotation, *get_args(annotation)]
        sections = [item for item in inner if isinstance(item, type) and issubclass(item, BaseModel)]
        if sections != [annotation]:
            yield f"{prefix}{name}"
        for section in sections:
            yield from leaf_keys(section, f"{prefix}{name}.")


def configured(key: Key, value: Any) -> dict[str, Any]:
    # a key inside a list of tables is given as the whole list
    parts = key.path.split(".")
    if len(parts) > 1:
        return key.around | {parts[0]: {parts[1]: value}}
    return key.around | {parts[0]: value}


@pytest.mark.parametrize("key", KEYS, ids=[key.path for key in KEYS])
def test_key_when_changed_then_the_door_does_something_else(key: Key, tmp_path: Path) -> None:
    value = key.value
    if value == PLACEHOLDER_NEWS_FILE:
        file = tmp_path / "news.txt"
        file.write_text("2025-11-20T15:00:00Z release\n")
        value = str(file)
    before = key.scenario(OneDoor(RiskConfig.model_validate(key.around)))
    after = key.scenario(OneDoor(RiskConfig.model_validate(configured(key, value))))
    assert before != after


def test_keys_when_listed_then_none_is_missing() -> None:
    assert sorted(key.path for key in KEYS) == sorted(leaf_keys(RiskConfig))


def test_keys_when_described_then_each_has_words() -> None:
    def sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
        yield model
        for info in model.model_fields.values():
            for item in (info.annotation, *get_args(info.annotation)):
                if isinstance(item, type) and issubclass(item, BaseModel):
                    yield from sections(item)

    assert all(info.description for model in sections(RiskConfig) for info in model.model_fields.values())


def test_keys_when_nothing_changes_then_nothing_differs() -> None:
    for key in KEYS:
        if key.path != "news_file":
            config = RiskConfig.model_validate(key.around)
            assert key.scenario(OneDoor(config)) == key.scenario(OneDoor(config))
