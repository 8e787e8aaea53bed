"""The engine as a script: at these times a strategy wants this, the tape does that, and this is what is said.

The strategy of these tests is a list of wishes by row; the tape is one trade a second from 09:30 New York on.
"""

from datetime import date, time
from decimal import Decimal

import numpy as np
import pytest

from sovereign.core.columns import Trades
from sovereign.core.decision import Proposal, Verdict
from sovereign.core.errors import DataError
from sovereign.core.event import (
    DecisionMade,
    Notice,
    NoticeCode,
    OrderChanged,
    OrderFilled,
    SessionEnded,
    TradeClosed,
    TradingState,
    TradingStateChanged,
)
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, OrderIntent, OrderRole, OrderStatus, OrderType, Side, TimeInForce
from sovereign.core.port import Block, Signals
from sovereign.core.session import NS_PER_SECOND
from sovereign.engine.engine import Engine
from sovereign.execution.account import Account
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.execution.fill_model import OPTIMISTIC, PerUnitFees
from sovereign.feeds.calendar import calendar_for
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor

ES = find_instrument("ES")
SESSION = calendar_for("CME_EQUITY").session(date(2025, 3, 4))
OPEN = SESSION.regular_open_ns
ROW = np.dtype(
    [("known_at", np.int64), ("seq", np.int64), ("wake", np.bool_), ("first_candidate", np.int32), ("candidates", np.int32)]
)


class Wishes:
    """A strategy that wants what it was told to want at each row."""

    name = "wishes"
    gate_names = ()
    is_stateless = True

    def __init__(self, by_row):
        self._by_row = by_row

    def start_session(self, session, instrument):
        """Nothing to prepare."""

    def decide(self, moment):
        return [proposal(intent) for intent in self._by_row.get(moment.index, [])]


def proposal(intent):
    return Proposal(
        name="WISH", symbol=intent.symbol, side=intent.side, strength=1.0, confidence=1.0, inputs={}, checks=(), intent=intent
    )


def buy(stop=16, target=24, **terms):
    return OrderIntent(symbol="ES", side=Side.BUY, bracket=Bracket(stop_ticks=stop, target_ticks=target), **terms)


class Watcher(Wishes):
    """One that writes down what it is told of the account at each row."""

    is_stateless = False

    def __init__(self, by_row):
        super().__init__(by_row)
        self.told = []

    def decide(self, moment):
        self.told.append((moment.position_quantity != 0, moment.open_positions, moment.is_entering))
        return super().decide(moment)


def run(
    prices,
    wishes,
    row_seconds,
    *,
    balance="100000",
    start=OPEN,
    latency_s=0.0,
    end=True,
    risk=None,
    fees=None,
    kind=Wishes,
    sinks=(),
):
    """Trade a tape with a row after each of `row_seconds`; returns the engine and everything it said."""
    events = []
    config = {"excluded_windows": (), "stale_data_s": 3_600, "can_inputs_be_unknown": True, **(risk or {})}
    engine = Engine(
        strategy=kind(wishes),
        door=OneDoor(RiskConfig.model_validate(config)),
        broker=SimulatedBroker(OPTIMISTIC, round(latency_s * NS_PER_SECOND)),
        account=Account(Decimal(balance)),
        fees=fees or PerUnitFees(),
        sinks=(events.append, *sinks),
    )
    n = len(prices)
    trades = Trades(
        start + np.arange(n, dtype=np.int64) * NS_PER_SECOND,
        np.array(prices, np.int32),
        np.full(n, 100, np.int32),
        np.ones(n, np.int8),
    )
    rows = np.zeros(len(row_seconds), ROW)
    rows["known_at"] = [start + round(s * NS_PER_SECOND) for s in row_seconds]
    rows["seq"] = np.searchsorted(trades.ts, rows["known_at"])
    rows["wake"] = True
    engine.start_session(SESSION, (ES,))
    signals = {"ES": Signals(rows, np.empty(0))}
    engine.process((Block("ES", trades, int(trades.ts[-1])),), signals, int(trades.ts[-1]))
    if end:
        engine.process((), signals, SESSION.close_ns)
        engine.end_session()
    return engine, events


def of(events, kind):
    return [e for e in events if isinstance(e, kind)]


def test_moment_when_an_order_works_then_says_so_and_counts_what_the_account_holds_once_it_has_filled():
    watcher = Watcher({0: [buy()]})
    # Decided at 1.5 s, at the venue two seconds later: at work at 2.5 s, filled at 4.5 s.
    run([20_000] * 8, {}, [1.5, 2.5, 4.5], latency_s=2.0, kind=lambda _: watcher)
    assert watcher.told == [(False, 0, False), (False, 0, True), (True, 1, False)]


def test_signal_when_decided_between_two_trades_then_fills_at_the_next_one_and_never_at_its_own():
    _, events = run([20_000, 20_001, 20_005, 20_006], {0: [buy()]}, [1.5])
    (fill,) = [e.fill for e in of(events, OrderFilled) if e.fill.role is OrderRole.ENTRY]
    assert (fill.price_ticks, fill.ts) == (20_005, OPEN + 2 * NS_PER_SECOND)


def test_order_when_latency_is_two_seconds_then_fills_two_seconds_later():
    _, events = run([20_000, 20_001, 20_002, 20_003, 20_004], {0: [buy()]}, [1.5], latency_s=2)
    assert of(events, OrderFilled)[0].fill.price_ticks == 20_004


def test_bracket_when_target_is_reached_then_trade_closes_with_its_reason():
    engine, events = run([20_000] * 3 + [20_010, 20_024, 20_024], {0: [buy()]}, [0.5])
    (trade,) = [e.trade for e in of(events, TradeClosed)]
    assert trade.exit_role is OrderRole.TARGET
    assert trade.gross == ES.value(24, trade.quantity)
    assert engine.positions == {}


def test_second_signal_when_a_position_is_open_then_is_refused_with_the_numbers():
    _, events = run([20_000] * 6, {0: [buy()], 1: [buy()]}, [0.5, 3.5])
    first, second = [e.decision for e in of(events, DecisionMade)][:2]
    assert first.verdict in (Verdict.APPROVED, Verdict.RESIZED)
    assert second.verdict is Verdict.REFUSED
    assert second.outcome.check == "positions"
    assert (second.outcome.value, second.outcome.limit) == (2, 1)


def test_daily_loss_limit_when_floating_loss_reaches_it_then_halts_flattens_and_refuses():
    # The broker charges 150 dollars where 2.25 was expected: the stop, 20 ticks away, no longer protects the day.
    prices = [20_000] * 3 + list(range(19_999, 19_960, -1))
    risk = {"tiers": {"enabled": False}, "max_quantity": 1, "daily_loss_limit": -300}
    fees = PerUnitFees({"ES": Decimal(150)})
    engine, events = run(prices, {0: [buy(stop=20, target=90)], 1: [buy()]}, [0.5, 35.5], risk=risk, fees=fees)
    halts = [e for e in of(events, TradingStateChanged) if e.state is TradingState.HALTED]
    assert [h.cause for h in halts] == ["daily_loss_limit"]
    assert engine.positions == {}
    exits = [e.fill for e in of(events, OrderFilled) if e.fill.role is OrderRole.FLATTEN]
    # Entered at 20,000: 150 dollars are left, twelve ticks of 12.50. Seen at 19,988, closed at the next trade.
    assert [f.price_ticks for f in exits] == [19_987]
    assert [e.decision.verdict for e in of(events, DecisionMade)][-1] is Verdict.REFUSED


def test_profit_target_of_the_day_when_floating_profit_reaches_it_then_halts_and_flattens():
    prices = [20_000] * 3 + list(range(20_001, 20_060))
    risk = {"tiers": {"enabled": False}, "max_quantity": 1, "daily_profit_target": 500}
    _, events = run(prices, {0: [buy(stop=16, target=900)]}, [0.5], risk=risk)
    assert [e.cause for e in of(events, TradingStateChanged)] == ["daily_profit_target"]
    (trade,) = [e.trade for e in of(events, TradeClosed)]
    assert trade.net >= 490
    assert trade.exit_role is OrderRole.FLATTEN


def test_auto_flatten_when_five_to_four_in_new_york_then_closes_at_the_next_trade():
    start = SESSION.at(time(15, 44, 50))
    _, events = run([20_000] * 700, {0: [buy()]}, [0.5], start=start)
    exits = [e.fill for e in of(events, OrderFilled) if e.fill.role is OrderRole.FLATTEN]
    assert [f.ts for f in exits] == [SESSION.at(time(15, 55))]
    children = [e for e in of(events, OrderChanged) if e.role in (OrderRole.STOP, OrderRole.TARGET) and e.status.is_closed]
    assert {e.status for e in children} == {OrderStatus.CANCELED}
    (told,) = of(events, Notice)
    assert (told.code, told.ts) == (NoticeCode.AUTO_FLATTEN, SESSION.at(time(15, 55)))
    assert told.text == "closed before the session ends: positions 1, canceled orders 2"


def test_day_order_when_the_session_ends_then_expires():
    resting = OrderIntent(
        symbol="ES",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        limit_ticks=19_000,
        bracket=Bracket(stop_ticks=16, target_ticks=24),
        time_in_force=TimeInForce.DAY,
    )
    _, events = run([20_000] * 5, {0: [resting]}, [0.5])
    last = [e for e in of(events, OrderChanged) if e.role is OrderRole.ENTRY][-1]
    # Auto-flatten withdraws it before the session's end would have.
    assert last.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED)
    assert of(events, OrderFilled) == []


def test_small_account_when_trading_the_big_contract_then_trades_the_micro_on_its_tape():
    _, events = run([20_000] * 3 + [20_024] * 2, {0: [buy()]}, [0.5], balance="2500")
    (trade,) = [e.trade for e in of(events, TradeClosed)]
    assert trade.instrument.symbol == "MES"
    assert trade.gross == Decimal("1.25") * 24 * trade.quantity


def test_data_that_ends_early_when_a_position_is_open_then_it_is_carried_not_invented_away():
    engine, events = run([20_000] * 5, {0: [buy()]}, [0.5])
    assert of(events, TradeClosed) == []
    assert engine.positions["ES"].quantity > 0
    assert of(events, SessionEnded)[-1].balance == engine.account.balance


class Ears:
    """A sink for some types of events."""

    def __init__(self, *kinds):
        self.kinds = kinds
        self.asked = []
        self.heard = []

    def hearer(self, kind):
        self.asked.append(kind)
        return self.heard.append if kind in self.kinds else None

    def __call__(self, event):
        raise AssertionError(f"told of {event}, which has a hearer")


def test_sink_when_it_chooses_hearers_then_hears_those_alone_and_others_hear_all():
    few, none = Ears(OrderFilled, SessionEnded), Ears()
    _, events = run([20_000] * 3 + [20_030] * 4, {0: [buy()]}, [0.5], sinks=(few, none))
    assert few.heard == [event for event in events if isinstance(event, OrderFilled | SessionEnded)]
    assert [type(event) for event in few.heard] == [OrderFilled, OrderFilled, SessionEnded]
    assert none.heard == []
    assert len(none.asked) == len(set(none.asked)) == len({type(event) for event in events})


def test_kill_switch_when_thrown_then_nothing_opens():
    events = []
    engine = Engine(
        strategy=Wishes({0: [buy()]}),
        door=OneDoor(RiskConfig(excluded_windows=())),
        broker=SimulatedBroker(OPTIMISTIC),
        account=Account(Decimal(100_000)),
        fees=PerUnitFees(),
        sinks=(events.append,),
        killed=lambda: True,
    )
    rows = np.array([(OPEN + 1_500_000_000, 2, True, 0, 0)], ROW)
    trades = Trades(
        OPEN + np.arange(4, dtype=np.int64) * NS_PER_SECOND,
        np.full(4, 20_000, np.int32),
        np.ones(4, np.int32),
        np.ones(4, np.int8),
    )
    engine.start_session(SESSION, (ES,))
    engine.process((Block("ES", trades, int(trades.ts[-1])),), {"ES": Signals(rows, np.empty(0))}, int(trades.ts[-1]))
    (decision,) = [e.decision for e in of(events, DecisionMade)]
    assert decision.outcome.check == "kill_switch"
    assert of(events, OrderFilled) == []


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_position_when_moved_by_events_then_cash_is_the_sum_of_fills(cut):
    engine, events = run([20_000] * 3 + [20_030] * 2 + [20_000] * cut, {0: [buy()], 1: [buy()]}, [0.5, 4.5])
    cash = Decimal(100_000)
    for event in of(events, OrderFilled):
        cash -= event.fill.fee
    cash += sum((e.trade.gross for e in of(events, TradeClosed)), Decimal(0))
    assert engine.account.balance == cash


def limit_buy(price, **terms):
    return buy(order_type=OrderType.LIMIT, limit_ticks=price, **terms)


def test_auto_flatten_when_the_entry_fills_before_its_cancel_arrives_then_what_it_opened_is_closed_too():
    # Rows and cancels take two seconds; the resting buy trades one second after 15:55.
    start = SESSION.at(time(15, 44, 50))
    prices = [20_010] * 611 + [20_000] + [20_005] * 60
    engine, events = run(prices, {0: [limit_buy(20_000)]}, [0.5], start=start, latency_s=2)
    entries = [e.fill.ts for e in of(events, OrderFilled) if e.fill.role is OrderRole.ENTRY]
    assert entries == [SESSION.at(time(15, 55, 1))]
    assert engine.positions == {}
    assert of(events, TradeClosed)[-1].trade.exit_role is OrderRole.FLATTEN


def test_auto_flatten_when_the_stop_fills_before_the_exit_arrives_then_nothing_is_opened_the_other_way():
    start = SESSION.at(time(15, 44, 50))
    prices = [20_000] * 611 + [19_984] + [19_990] * 60
    engine, events = run(prices, {0: [buy()]}, [0.5], start=start, latency_s=2)
    (trade,) = [e.trade for e in of(events, TradeClosed)]
    assert trade.exit_role is OrderRole.STOP
    assert engine.positions == {}


def test_row_when_nothing_has_traded_yet_then_the_strategy_is_not_asked_and_the_walk_goes_on():
    _, events = run([20_000] * 3, {0: [buy()], 1: [buy()]}, [-0.5, 1.5], end=False)
    assert len(of(events, DecisionMade)) == 1


def test_block_when_it_begins_before_what_was_worked_through_then_is_refused():
    engine, _ = run([20_000] * 5, {}, [], end=False)
    past = Trades(np.array([OPEN + NS_PER_SECOND]), np.array([1], np.int32), np.array([1], np.int32), np.array([1], np.int8))
    with pytest.raises(DataError, match="worked through"):
        engine.process((Block("ES", past, OPEN + 9 * NS_PER_SECOND),), {}, OPEN + 9 * NS_PER_SECOND)


def test_order_count_of_a_minute_when_an_entry_has_a_bracket_then_its_children_count_too():
    engine, _ = run([20_000] * 5, {0: [buy()]}, [0.5], end=False)
    assert engine.view().orders_last_minute == 3


def test_position_when_its_contract_is_rolled_away_then_is_settled_at_its_last_price_and_marked():
    engine, events = run([20_000] * 3 + [20_007] * 2, {0: [buy()]}, [0.5])
    assert engine.positions["ES"].quantity > 0
    following = calendar_for("CME_EQUITY").session(date(2025, 3, 5))
    engine.start_session(following, (find_instrument("ESM5"),))
    assert engine.positions == {}
    (trade,) = [e.trade for e in of(events, TradeClosed)]
    assert trade.exit_ticks == 20_007
    assert trade.is_ambiguous
    assert of(events, SessionEnded)[-1].ts < trade.exit_ns


def test_breaker_when_orders_run_away_then_the_engine_halts_and_closes_within_the_same_row():
    risk = {"breakers": {"max_proposals_per_minute": 2}, "max_quantity": 1}
    wishes = {0: [buy(target=900)], 1: [buy(), buy(), buy()]}
    engine, events = run([20_000] * 8, wishes, [0.5, 3.5], risk=risk)
    (halt,) = of(events, TradingStateChanged)
    assert (halt.cause, halt.state, halt.ts) == ("order_rate", TradingState.HALTED, OPEN + 3_500_000_000)
    assert [e.decision.outcome.check for e in of(events, DecisionMade) if e.decision.verdict is Verdict.REFUSED][1:] == [
        "trading_state",
        "trading_state",
    ]
    assert engine.positions == {}


def test_breaker_when_a_pause_is_over_then_the_next_row_may_enter_again():
    # Two stops of 16 ticks in a row, a pause of a minute, and a third entry after it.
    down = [20_000, 20_000, 19_980, 19_980]
    prices = down + [20_000, 20_000, 19_980, 19_980] + [20_000] * 80
    wishes = {0: [buy()], 1: [buy()], 2: [buy()], 3: [buy()]}
    risk = {"breakers": {"max_losses_in_a_row": 2, "loss_pause_minutes": 1}, "max_quantity": 1, "tiers": {"enabled": False}}
    risk |= {"daily_loss_limit": -9_000}
    _, events = run(prices, wishes, [0.5, 4.5, 30.5, 80.5], risk=risk)
    assert [(e.cause, e.state.value) for e in of(events, TradingStateChanged)] == [
        ("loss_streak", "REDUCING"),
        ("ended", "ACTIVE"),
    ]
    entries = [e.decision.verdict for e in of(events, DecisionMade) if not e.decision.proposal.intent.reduce_only]
    assert [verdict is Verdict.REFUSED for verdict in entries] == [False, False, True, False]
