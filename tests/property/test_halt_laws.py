"""Laws of halts, over histories nobody picked by hand."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from example_trades import closed_trade
from risk_day import LAST, TAPE, TEN, THURSDAY, utc
from sovereign.core.decision import Approved, Proposal
from sovereign.core.errors import UsageError
from sovereign.core.event import Event, TradingState, TradingStateChanged, encode
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, OrderEvent, OrderIntent, Side
from sovereign.core.port import AccountView
from sovereign.core.position import Position, Trade
from sovereign.core.session import NS_PER_MINUTE, NS_PER_SECOND
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor

D = Decimal
CONFIG = RiskConfig.model_validate(
    {
        "breakers": {
            "max_losses_in_a_row": 2,
            "loss_pause_minutes": 5,
            "max_trades_per_session": 6,
            "max_proposals_per_minute": 4,
            "max_rejects_in_a_row": 2,
            "stale_position_s": 30,
            "stale_position_action": "flatten",
        },
        "max_drawdown_frac": "0.06",
    }
)
ENTRY = OrderIntent(symbol=TAPE, side=Side.BUY, bracket=Bracket(stop_ticks=16, target_ticks=24))
PROPOSAL = Proposal(
    name="pattern", symbol=TAPE, side=Side.BUY, strength=0.8, confidence=0.7, inputs={}, checks=(), intent=ENTRY
)
UNKNOWN = [None, float("nan"), D("NaN"), float("inf"), D("Infinity")]
NUMBERS = ["ts", "balance", "equity", "high_water_mark", "data_ns", "working_entries", "orders_last_minute", "is_killed"]
GRAVITY = [TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED]


def view(at: int, worth: Decimal, **changes: Any) -> AccountView:
    fields: dict[str, Any] = {
        "ts": at,
        "session": THURSDAY,
        "state": TradingState.ACTIVE,  # the engine may not have heard of a halt yet; the door knows
        "is_killed": False,
        "balance": worth,
        "day_start_balance": D(2500),
        "equity": worth,
        "high_water_mark": D(2550),
        "positions": {},
        "working_entries": 0,
        "last_ticks": {TAPE: LAST},
        "data_ns": at - NS_PER_SECOND,
        "margin_per_unit": {"MESZ5": D(40)},
        "orders_last_minute": 0,
    }
    return AccountView(**(fields | changes))


def trade(net: int) -> Trade:
    return closed_trade(find_instrument("MESZ5"), TEN, TEN, net)


def held() -> dict[str, Position]:
    return {"MESZ5": Position(instrument=find_instrument("MESZ5"), tape=TAPE, quantity=1, cost_ticks=LAST)}


def a_view(draw: st.DrawFn, ts: int) -> AccountView:
    equity = D(draw(st.sampled_from([2390, 2401, 2410, 2500, 2600, 3100])))
    changes: dict[str, Any] = {}
    kind = draw(st.sampled_from(["well", "well", "well", "held", "broken", "skewed", "silent", "dear", "unwell"]))
    if kind in ("held", "silent"):
        changes["positions"] = held()
    if kind == "broken":
        changes[draw(st.sampled_from(NUMBERS))] = draw(st.sampled_from(UNKNOWN))
    if kind in ("skewed", "silent"):
        changes["data_ns"] = ts + draw(st.integers(0, 3)) * NS_PER_SECOND if kind == "skewed" else ts - 40 * NS_PER_SECOND
    if kind == "dear":
        changes["margin_per_unit"] = {"MESZ5": D(80)}
    if kind == "unwell":
        changes["unhealthy"] = {"connection": "lost"}
    return view(ts, equity, **changes)


Act = tuple[str, tuple[Any, ...]]


@st.composite
def histories(draw: st.DrawFn, can_name_kill: bool = True) -> list[Act]:
    acts: list[Act] = []
    ts = TEN
    kinds = ["inspect", "judge", "judge", "judge", "trade", "answer", "halt", "reduce", "resume", "session", "sight"]
    for _ in range(draw(st.integers(1, 25))):
        ts += draw(st.sampled_from([0, NS_PER_SECOND, 20 * NS_PER_SECOND, 2 * NS_PER_MINUTE]))
        kind = draw(st.sampled_from(kinds))
        if kind in ("inspect", "judge", "sight"):
            acts.append((kind, (a_view(draw, ts),)))
        elif kind == "trade":
            acts.append((kind, (trade(draw(st.sampled_from([-9, -1, 0, 5]))), a_view(draw, ts))))
        elif kind == "answer":
            acts.append((kind, (draw(st.sampled_from([OrderEvent.REJECT, OrderEvent.REJECT, OrderEvent.ACCEPT])), ts)))
        elif kind in ("halt", "reduce"):
            acts.append((kind, (draw(st.sampled_from(["operator", "kill", "desk"])), "ann", "because", ts)))
        elif kind == "resume":
            acts.append((kind, ("ben", "fine", ts, ["kill"] if can_name_kill and draw(st.booleans()) else [])))
        else:
            acts.append((kind, (draw(st.integers(20, 22)), D(2500))))
    return acts


def play(door: OneDoor, act: Act) -> tuple[Iterable[Event], Any]:
    kind, given_ = act
    try:
        if kind == "judge":
            return (), door.judge(PROPOSAL, given_[0])
        if kind == "session":
            session = dataclasses.replace(THURSDAY, trade_date=date(2025, 11, given_[0]))
            return door.start_session(session, given_[1]), None
        if kind == "resume":
            return door.resume(*given_[:3], causes=given_[3]), None
        if kind == "sight":
            return (), door.guard(TAPE, given_[0])
        method: Callable[..., Iterable[Event]] = {
            "inspect": door.inspect,
            "trade": door.on_trade,
            "answer": door.on_answer,
            "halt": door.halt,
            "reduce": door.reduce,
        }[kind]
        return method(*given_), None
    except UsageError as refused:
        return (), str(refused)


def opened(is_brief: bool = False) -> OneDoor:
    door = OneDoor(CONFIG, is_brief=is_brief)
    door.start_session(THURSDAY, D(2500))
    return door


def worst(door: OneDoor) -> TradingState:
    return max((halt.state for halt in door.halts), key=GRAVITY.index, default=TradingState.ACTIVE)


@settings(max_examples=300, deadline=None)
@given(history=histories())
def test_judge_when_any_halt_is_in_force_then_no_entry_is_approved_whatever_came_before(history: list[Act]) -> None:
    door = opened()
    for act in history:
        halts = door.halts
        _, answer = play(door, act)
        if act[0] == "judge" and halts:
            assert not isinstance(answer[1], Approved)
        judged = door.twin().judge(PROPOSAL, view(utc("2025-11-20 15:59"), D(2500)))[1]
        assert not isinstance(judged, Approved) or not door.halts


@settings(max_examples=300, deadline=None)
@given(history=histories())
def test_events_when_all_are_told_then_the_last_word_is_the_state_in_force(history: list[Act]) -> None:
    door, state, last = opened(), TradingState.ACTIVE, TEN
    for act in history:
        events = list(play(door, act)[0])
        if act[0] == "session" and events == [] and not door.halts:
            state = TradingState.ACTIVE  # a new session begins ACTIVE, and the door repeats what is still in force
        last = next((item.ts for item in act[1] if isinstance(item, AccountView) and isinstance(item.ts, int)), last)
        if door.due_ns <= last:
            events += door.inspect(view(last, D(2500)))
            assert door.due_ns > last  # an engine that obeys comes to rest
        for event in events:
            if isinstance(event, TradingStateChanged):
                state = event.state
        assert state is worst(door)


@settings(max_examples=200, deadline=None)
@given(history=histories())
def test_restore_when_a_door_is_replaced_at_every_step_then_nothing_differs(history: list[Act]) -> None:
    kept, restarted = opened(), opened()
    for act in history:
        fresh = OneDoor(CONFIG)
        fresh.restore(json.loads(json.dumps(restarted.state())))
        restarted = fresh
        one, other = play(kept, act), play(restarted, act)
        assert [encode(event) for event in one[0]] == [encode(event) for event in other[0]]
        assert repr(one[1]) == repr(other[1])
        assert kept.state() == restarted.state()
        assert kept.due_ns == restarted.due_ns


@settings(max_examples=200, deadline=None)
@given(history=histories(can_name_kill=False), at=st.integers(0, 25))
def test_kill_when_it_is_never_named_then_nothing_is_opened_ever_again(history: list[Act], at: int) -> None:
    door = opened()
    for number, act in enumerate(history):
        if number == min(at, len(history) - 1):
            door.halt("kill", "ann", "", TEN)
        _, answer = play(door, act)
        if number >= at and act[0] == "judge":
            assert not isinstance(answer[1], Approved)
    assert "kill" in [halt.cause for halt in door.halts]


@settings(max_examples=200, deadline=None)
@given(broken=st.lists(st.tuples(st.sampled_from(NUMBERS), st.sampled_from(UNKNOWN)), min_size=1, max_size=12))
def test_judge_when_every_account_is_partly_unknown_then_never_an_approval(broken: list[tuple[str, Any]]) -> None:
    door = opened()
    for number, (name, value) in enumerate(broken):
        if name == "is_killed" and value is not None:
            continue
        spoiled = view(TEN + number * NS_PER_SECOND, D(2500), **{name: value})
        door.inspect(dataclasses.replace(spoiled, positions=held()))
        assert not isinstance(door.judge(PROPOSAL, spoiled)[1], Approved)


@settings(max_examples=200, deadline=None)
@given(history=histories())
def test_door_when_brief_then_it_halts_and_approves_like_the_full_one(history: list[Act]) -> None:
    full, brief = opened(), opened(is_brief=True)
    for act in history:
        one, other = play(full, act), play(brief, act)
        if act[0] == "judge":
            assert isinstance(one[1][1], Approved) is isinstance(other[1][1], Approved)
        assert [halt.cause for halt in full.halts] == [halt.cause for halt in brief.halts]
