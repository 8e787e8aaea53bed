"""Laws of the risk door, over accounts, orders and prices nobody picked by hand."""

from __future__ import annotations

import dataclasses
from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from risk_day import LAST, TAPE, TEN, THURSDAY
from sovereign.core.decision import Approved, Proposal, Refused
from sovereign.core.event import TradingState, TradingStateChanged
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, OrderEvent, OrderIntent, Side
from sovereign.core.port import AccountView
from sovereign.core.position import Position
from sovereign.core.session import NEVER, NS_PER_SECOND
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor
from sovereign.risk.number import FAR_HIGH, FAR_LOW

D = Decimal
MARGINS = {"ESZ5": D(300), "MESZ5": D(40), "SPY": D("165"), "CLZ5": D(1000)}
GOOD = OrderIntent(symbol=TAPE, side=Side.BUY, bracket=Bracket(stop_ticks=16, target_ticks=24))

SMALL = D(2500)
cents = st.integers(0, 20_000_00).map(lambda n: D(n) / 100)
tapes = st.sampled_from([TAPE, "SPY", "CLZ5"])


def view(**changes: Any) -> AccountView:
    fields: dict[str, Any] = {
        "ts": TEN,
        "session": THURSDAY,
        "state": TradingState.ACTIVE,
        "is_killed": False,
        "balance": D(2500),
        "day_start_balance": D(2500),
        "equity": D(2500),
        "high_water_mark": D(2500),
        "positions": {},
        "working_entries": 0,
        "last_ticks": {TAPE: LAST, "SPY": 66_000, "CLZ5": 6_000},
        "data_ns": TEN - NS_PER_SECOND,
        "margin_per_unit": MARGINS,
        "orders_last_minute": 0,
    }
    return AccountView(**(fields | changes))


def on_the_tape(**changes: Any) -> AccountView:
    return view(**({"last_ticks": {TAPE: LAST}} | changes))


def propose(intent: OrderIntent, **changes: Any) -> Proposal:
    fields: dict[str, Any] = {
        "name": "pattern",
        "symbol": intent.symbol,
        "side": intent.side,
        "strength": 0.8,
        "confidence": 0.7,
        "inputs": {"atr": 4.0},
        "checks": (),
        "intent": intent,
    }
    return Proposal(**(fields | changes))


def open_door(config: RiskConfig | None = None, balance: Decimal = SMALL) -> OneDoor:
    door = OneDoor(config or RiskConfig())
    door.start_session(THURSDAY, balance)
    return door


@st.composite
def intents(draw: st.DrawFn) -> OrderIntent:
    return OrderIntent(
        symbol=draw(tapes),
        side=draw(st.sampled_from(Side)),
        quantity=draw(st.none() | st.integers(1, 500)),
        bracket=Bracket(stop_ticks=draw(st.integers(1, 200)), target_ticks=draw(st.integers(1, 800))),
        size_steps=draw(st.integers(0, 4)),
        size_multiplier=draw(st.sampled_from([0.25, 0.5, 0.75, 1.0])),
    )


FIGURES = {"ES": ("12.50", "2.25"), "ME": ("1.25", "0.62"), "CL": ("10", "2.40"), "SP": ("0.01", "0.0035")}


def stop_loss(symbol: str, stop_ticks: int, quantity: int) -> Decimal:
    # from the contract figures: the stop and two ticks of slippage, and both sides' fees
    per_tick, fee = FIGURES[symbol[:2]]
    return quantity * (D(per_tick) * (stop_ticks + 2) + 2 * D(fee))


LOOSE = RiskConfig.model_validate({"max_risk_frac": 1, "max_notional_frac": 100, "max_margin_balance_frac": 1})


@settings(max_examples=300, deadline=None)
@given(intent=intents(), day_start=cents, lost=st.integers(0, 500_00), is_loose=st.booleans())
def test_judge_when_approved_then_the_stop_costs_no_more_than_the_room(
    intent: OrderIntent, day_start: Decimal, lost: int, is_loose: bool
) -> None:
    loss_so_far = D(lost) / 100
    equity = day_start - loss_so_far
    account = view(
        balance=equity,
        day_start_balance=day_start,
        equity=equity,
        high_water_mark=day_start,
        last_ticks={intent.symbol: view().last_ticks[intent.symbol]},
    )
    _, outcome = open_door(LOOSE if is_loose else None, day_start).judge(propose(intent), account)
    if isinstance(outcome, Approved):
        assert intent.bracket is not None
        loss = stop_loss(outcome.symbol, intent.bracket.stop_ticks, outcome.quantity)
        assert outcome.quantity >= 1
        assert loss <= day_start * D("0.08") - loss_so_far
        assert equity - loss >= day_start * D("0.75")
        most = 300 if intent.symbol != TAPE else 100 if day_start < 3500 else 400 if day_start < 7500 else 500
        assert loss <= most - loss_so_far


@settings(max_examples=200, deadline=None)
@given(intent=intents(), day_start=cents, less=st.integers(0, 500_00), more=st.integers(0, 500_00))
def test_judge_when_there_is_more_room_then_never_a_smaller_order(
    intent: OrderIntent, day_start: Decimal, less: int, more: int
) -> None:
    quantities = []
    for lost in sorted((less, more), reverse=True):
        equity = day_start - D(lost) / 100
        account = view(balance=day_start, day_start_balance=day_start, equity=equity, high_water_mark=day_start)
        outcome = open_door(LOOSE, day_start).judge(propose(intent), account)[1]
        quantities.append(outcome.quantity if isinstance(outcome, Approved) else 0)
    assert quantities[0] <= quantities[1]


NUMBERS = [
    "ts",
    "balance",
    "day_start_balance",
    "equity",
    "high_water_mark",
    "working_entries",
    "data_ns",
    "orders_last_minute",
]
UNKNOWN = [None, float("nan"), D("NaN"), float("inf"), D("Infinity"), D("sNaN")]


@given(name=st.sampled_from(NUMBERS), value=st.sampled_from(UNKNOWN))
def test_judge_when_any_number_of_the_account_is_unknown_then_refused(name: str, value: Any) -> None:
    assert isinstance(open_door().judge(propose(GOOD), view())[1], Approved)
    assert isinstance(open_door().judge(propose(GOOD), view(**{name: value}))[1], Refused)


@given(name=st.sampled_from(["last_ticks", "margin_per_unit", "positions", "session", "state", "is_killed"]))
def test_judge_when_any_part_of_the_account_is_absent_then_refused(name: str) -> None:
    assert isinstance(open_door().judge(propose(GOOD), view(**{name: None}))[1], Refused)


@given(
    part=st.sampled_from([("last_ticks", TAPE), ("last_ticks", "SPY"), ("margin_per_unit", "MESZ5")]),
    value=st.sampled_from(UNKNOWN),
)
def test_judge_when_any_price_or_margin_is_unknown_then_refused(part: tuple[str, str], value: Any) -> None:
    name, symbol = part
    broken = dict(getattr(view(), name)) | {symbol: value}
    assert isinstance(open_door().judge(propose(GOOD), view(**{name: broken}))[1], Refused)


@given(
    name=st.sampled_from(["strength", "confidence", "inputs", "size_multiplier", "size_steps"]),
    value=st.sampled_from([None, float("nan"), float("inf")]),
)
def test_judge_when_any_number_of_the_proposal_is_unknown_then_refused(name: str, value: Any) -> None:
    if name.startswith("size"):
        changes: dict[str, Any] = {name: value}
        proposal = propose(dataclasses.replace(GOOD, **changes))
    else:
        proposal = propose(GOOD, **{name: {"atr": value} if name == "inputs" else value})
    assert isinstance(open_door().judge(proposal, view())[1], Refused)


@st.composite
def holdings(draw: st.DrawFn) -> tuple[dict[str, Position], dict[str, int]]:
    held = {}
    for symbol, tape, size in (("MESZ5", TAPE, 3), ("ESZ5", TAPE, 2), ("CLZ5", "CLZ5", 2), ("SPY", "SPY", 50)):
        quantity = draw(st.integers(-size, size))
        if quantity:
            last = {TAPE: LAST, "CLZ5": 6_000, "SPY": 66_000}[tape]
            entry = last + draw(st.integers(-20, 20))
            held[symbol] = Position(
                instrument=find_instrument(symbol),
                tape=tape,
                quantity=quantity,
                cost_ticks=quantity * entry + draw(st.integers(-3, 3)),
            )
    return held, {TAPE: LAST + draw(st.integers(-10, 10)), "CLZ5": 6_000, "SPY": 66_000}


def equity_at(balance: Decimal, held: dict[str, Position], lasts: dict[str, int]) -> Decimal:
    total = balance
    for position in held.values():
        gain = lasts[position.tape] * position.quantity - position.cost_ticks
        total += position.instrument.tick_value * gain
    return total


@settings(max_examples=400, deadline=None)
@given(
    holding=holdings(),
    day_start=st.sampled_from([D(2500), D("3777.77"), D(12_000)]),
    realized=st.integers(-90_00, 400_00),
    is_reducing=st.booleans(),
)
def test_guard_when_the_price_moves_then_it_agrees_with_inspect_to_the_tick(
    holding: tuple[dict[str, Position], dict[str, int]], day_start: Decimal, realized: int, is_reducing: bool
) -> None:
    held, lasts = holding
    balance = day_start + D(realized) / 100

    def fresh() -> OneDoor:
        door = open_door(balance=day_start)
        if is_reducing:
            door.reduce("desk", "ann", "", TEN)
        return door

    def at(price: int) -> AccountView:
        prices = lasts | {TAPE: price}
        return view(
            balance=balance,
            day_start_balance=day_start,
            equity=equity_at(balance, held, prices),
            high_water_mark=max(day_start, balance),
            positions=held,
            last_ticks=prices,
        )

    def trips(price: int) -> bool:
        events = fresh().inspect(at(price))
        return any(isinstance(event, TradingStateChanged) and event.state is TradingState.HALTED for event in events)

    low, high = fresh().guard(TAPE, at(lasts[TAPE]))
    if not any(position.tape == TAPE for position in held.values()):
        assert (low, high) == (FAR_LOW, FAR_HIGH)
        return
    # only the distance to the limits counts, not where the price stands when the guard is asked for
    assert (low, high) == fresh().guard(TAPE, at(lasts[TAPE] + 3))
    for price in (low - 1, low, low + 1, high - 1, high, high + 1, lasts[TAPE]):
        if abs(price) < 10**8:
            assert trips(price) is (price < low or price > high), (price, low, high)


@given(
    quantity=st.integers(-5, 5).filter(bool),
    asked=st.none() | st.integers(1, 5),
    state=st.sampled_from(TradingState),
    is_killed=st.booleans(),
    broken=st.dictionaries(st.sampled_from([*NUMBERS, "session"]), st.sampled_from([None, float("nan")])),
    is_halted=st.booleans(),
)
def test_reduce_when_it_really_reduces_then_never_refused(
    quantity: int, asked: int | None, state: TradingState, is_killed: bool, broken: dict[str, Any], is_halted: bool
) -> None:
    assume(asked is None or asked <= abs(quantity))
    door = open_door()
    if is_halted:
        door.inspect(view(equity=D(1)))
    held = {"MESZ5": Position(instrument=find_instrument("MESZ5"), tape=TAPE, quantity=quantity, cost_ticks=quantity * LAST)}
    intent = OrderIntent(symbol=TAPE, side=Side.SELL if quantity > 0 else Side.BUY, quantity=asked, reduce_only=True)
    account = view(positions=held, state=state, is_killed=is_killed, **broken)
    assert door.judge(propose(intent), account)[1] == Approved(asked or abs(quantity), was_resized=False, symbol="MESZ5")


@given(balances=st.lists(cents, min_size=1, max_size=8))
def test_restore_when_saved_at_any_session_then_the_future_is_the_same(balances: list[Decimal]) -> None:
    kept, restarted = OneDoor(RiskConfig()), OneDoor(RiskConfig())
    for number, balance in enumerate(balances):
        session = dataclasses.replace(THURSDAY, trade_date=date(2025, 11, 3 + number))
        fresh = OneDoor(RiskConfig())
        fresh.restore(restarted.state())
        restarted = fresh
        assert kept.start_session(session, balance) == restarted.start_session(session, balance)
        account = on_the_tape(session=session, balance=balance, equity=balance, day_start_balance=balance)
        assert kept.inspect(account) == restarted.inspect(account)
        assert kept.state() == restarted.state()


PASTS = ("fresh", "approved", "drawdown cleared", "halted", "silent", "rejected", "proposed", "restarted")


def lived(past: str, config: RiskConfig, day_start: Decimal) -> OneDoor:
    """Return a door of today that has lived through something."""
    door = open_door(config, day_start)
    account = view(balance=day_start, day_start_balance=day_start, equity=day_start, high_water_mark=day_start)
    share = Position(instrument=find_instrument("SPY"), tape="SPY", quantity=1, cost_ticks=66_000)
    if past in ("approved", "restarted"):
        door.judge(propose(dataclasses.replace(GOOD, symbol="SPY")), account)
    elif past == "drawdown cleared":
        if door.inspect(dataclasses.replace(account, equity=D(1), balance=D(1))):
            door.resume("tester", "again", TEN)
    elif past == "halted":
        door.halt("operator", "tester", "to see", TEN)
    elif past == "silent":
        door.inspect(dataclasses.replace(account, positions={"SPY": share}, data_ns=TEN - 3_600 * NS_PER_SECOND))
    elif past == "rejected":
        door.on_answer(OrderEvent.REJECT, TEN)
    elif past == "proposed":
        door.count_proposed([TEN - n for n in range(5)])
    return door.twin() if past == "restarted" else door


@settings(max_examples=300, deadline=None)
@given(
    past=st.sampled_from(PASTS),
    symbols=st.sampled_from([("SPY",), ("SPY", "CLZ5"), (TAPE,), ()]),
    day_start=cents,
    moved=st.integers(-900_00, 900_00),
    mark=cents,
    target=st.none() | st.just(D(500)),
    most=st.none() | st.just(3),
)
def test_account_that_holds_nothing_when_at_rest_then_a_look_finds_and_changes_nothing(
    past: str, symbols: tuple[str, ...], day_start: Decimal, moved: int, mark: Decimal, target: Decimal | None, most: int | None
) -> None:
    config = RiskConfig.model_validate({"daily_profit_target": target, "breakers": {"max_proposals_per_minute": most}})
    door, balance = lived(past, config, day_start), day_start + D(moved) / 100
    account = view(
        ts=TEN + NS_PER_SECOND,
        balance=balance,
        day_start_balance=day_start,
        equity=balance,
        high_water_mark=mark,
        last_ticks={symbol: view().last_ticks[symbol] for symbol in symbols},
    )
    before = door.state()
    if door.is_at_rest(balance, mark, [find_instrument(symbol) for symbol in symbols]):
        assert list(door.inspect(account)) == []
        after = door.state()
        assert after["breakers"].pop("now_ns") >= before["breakers"].pop("now_ns")
        # What was proposed is forgotten with time, whoever asks.
        assert set(after["breakers"].pop("proposed")) <= set(before["breakers"].pop("proposed"))
        assert after == before
        assert door.due_ns == NEVER


def test_account_that_holds_nothing_when_nothing_is_wrong_then_is_at_rest() -> None:
    shares, futures = [find_instrument("SPY")], [find_instrument("SPY"), find_instrument(TAPE)]
    door = open_door(balance=D(10_000))
    assert door.is_at_rest(D(10_000), D(10_000), shares)
    assert door.is_at_rest(D(9_999), D(10_000), shares)
    assert not door.is_at_rest(D(10_000), D(10_000), futures)  # tiers and high margins
    assert not door.is_at_rest(D(5_000), D(10_000), shares)  # beyond the limit of the day
    for past in ("approved", "drawdown cleared", "halted", "silent", "restarted"):
        assert not lived(past, RiskConfig(), D(10_000)).is_at_rest(D(10_000), D(10_000), shares), past
    assert not OneDoor(RiskConfig()).is_at_rest(D(10_000), D(10_000), shares)  # no session has begun
