"""Every row of the table of what a person receives, and the rest of what they must hear, from the audit stream."""

from decimal import Decimal

import pytest

from alert_cases import MES, NOON, THURSDAY, ZONE, alert, closed_trade, notice
from sovereign.app.notify.alert import Topic
from sovereign.app.notify.reader import HALTS, NOTICES, READ, AlertReader
from sovereign.core.decision import Approved, Decision, Proposal, Verdict
from sovereign.core.event import (
    DecisionMade,
    NoticeCode,
    OrderChanged,
    OrderFilled,
    SessionStarted,
    Severity,
    TierChanged,
    TradeClosed,
    TradingState,
    TradingStateChanged,
)
from sovereign.core.order import Bracket, OrderEvent, OrderIntent, OrderRole, OrderStatus, OrderType, Side
from sovereign.core.position import Fill, Liquidity
from sovereign.risk.halt import Cause

D = Decimal


@pytest.fixture
def reader():
    return AlertReader(ZONE, 200, {"Mode": "paper", "Strategy": "order_flow"})


def state(cause, state=TradingState.HALTED, reason="equity 2,188.00 at or below 2,200.00"):
    return TradingStateChanged(ts=NOON, state=state, cause=cause, reason=reason)


def decided(bracket=None, **changes):
    intent = OrderIntent(symbol="ESZ5", side=Side.BUY, bracket=bracket, **changes)
    proposal = Proposal(
        name="absorption", symbol="ESZ5", side=Side.BUY, strength=0.8, confidence=0.7, inputs={}, checks=(), intent=intent
    )
    outcome = Approved(2, False, "MESZ5", "tier 1")
    return DecisionMade(
        ts=NOON,
        decision=Decision(
            decision_id="d1",
            ts=NOON,
            strategy="order_flow",
            proposal=proposal,
            checks=(),
            verdict=Verdict.APPROVED,
            outcome=outcome,
        ),
    )


def order(cause, status, role=OrderRole.ENTRY, name="o1", **changes):
    values = {"limit_ticks": None, "stop_ticks": None, "decision_id": "d1", "parent_id": None, "filled_qty": 0, "ts": NOON}
    return OrderChanged(
        **{
            **values,
            "client_order_id": name,
            "instrument": MES,
            "side": Side.BUY,
            "order_type": OrderType.MARKET,
            "role": role,
            "quantity": 2,
            "cause": cause,
            "status": status,
            **changes,
        }
    )


def filled(quantity, ticks, ts=NOON, name="o1", role=OrderRole.ENTRY):
    fill = Fill(
        trade_id=f"{name}-{ts}-{quantity}",
        client_order_id=name,
        instrument=MES,
        side=Side.BUY,
        quantity=quantity,
        price_ticks=ticks,
        ts=ts,
        fee=D("1.24"),
        liquidity=Liquidity.TAKER,
        role=role,
    )
    return OrderFilled(ts=ts, fill=fill, position_quantity=quantity, balance=D(2500))


SUBMITTED = order(OrderEvent.SUBMIT, OrderStatus.SUBMITTED)


def test_session_when_started_then_configuration_and_times_are_told(reader):
    event = SessionStarted(ts=THURSDAY.open_ns, session=THURSDAY, symbols=("ESZ5",), balance=D(2500), is_simulated_data=True)
    (told,) = reader.read(event)
    assert told.title == "Session started"
    assert told.text == "Trade date 2025-11-20 (simulated data)."
    assert dict(told.fields) == {
        "Symbols": "ESZ5",
        "Balance": "2,500.00 USD",
        "Session": "18:00 EST to 17:00 EST",
        "Day session until": "16:00 EST",
        "Mode": "paper",
        "Strategy": "order_flow",
    }


def test_trade_when_opened_then_entry_stop_and_target_are_told_once(reader):
    events = [
        decided(Bracket(stop_ticks=16, target_ticks=24)),
        SUBMITTED,
        filled(2, 26_401),
        order(OrderEvent.FILL, OrderStatus.FILLED, filled_qty=2),
        order(OrderEvent.SUBMIT, OrderStatus.SUBMITTED, OrderRole.STOP, "s1", parent_id="o1", stop_ticks=26_384),
        order(OrderEvent.SUBMIT, OrderStatus.SUBMITTED, OrderRole.TARGET, "t1", parent_id="o1", limit_ticks=26_426),
    ]
    told = [one for event in events for one in reader.read(event)]
    assert told == []
    told = reader.flush()
    assert [one.title for one in told] == ["Trade opened: BUY 2 MESZ5"]
    assert told[0].text == "Entry 6,600.25, stop 6,596.00, target 6,606.50."
    assert dict(told[0].fields)["At risk"] == "-40.00 USD"  # 16 ticks of 1.25 USD, 2 contracts
    assert reader.flush() == []


def test_trade_when_bracket_orders_are_not_known_then_the_decision_tells_them(reader):
    for event in (decided(Bracket(stop_ticks=16, target_ticks=24)), SUBMITTED, filled(2, 26_401)):
        reader.read(event)
    (told,) = reader.flush()
    assert told.text == "Entry 6,600.25, stop 6,596.25, target 6,606.25."


def test_trade_when_entry_fills_in_parts_then_first_part_and_whole_are_told(reader):
    reader.read(SUBMITTED)
    titles = []
    for event in (filled(1, 26_400, NOON), filled(1, 26_402, NOON + 1), closed_event("10.00", NOON + 2)):
        titles += [one.title for one in reader.read(event)]
    assert titles == ["Trade opened: BUY 1 of 2 MESZ5", "Trade opened: BUY 2 MESZ5", "Trade closed: +10.00 USD, MESZ5"]


def closed_event(net, ts=NOON, **changes):
    return TradeClosed(ts=ts, trade=closed_trade(net, ts, **changes))


def test_trade_when_closed_then_result_and_reason_are_told(reader):
    (told,) = reader.read(closed_event("-41.24", exit_role="STOP", entry_ticks=26_401.5))
    assert told.title == "Trade closed: -41.24 USD, MESZ5"
    assert told.text == "BUY 2 MESZ5 closed, stop hit."
    assert dict(told.fields)["Held"] == "90 s"
    assert dict(told.fields)["Entry"] == "6,600.38"


def test_trade_when_flattened_then_the_reason_is_the_one_of_the_flattening(reader):
    reader.read(decided(reduce_only=True, quantity=2, role=OrderRole.FLATTEN, reason="auto-flatten"))
    (told,) = reader.read(closed_event("5.00", exit_role="FLATTEN"))
    assert told.text == "BUY 2 MESZ5 closed, flattened (auto-flatten)."


@pytest.mark.parametrize(
    ("cause", "severity", "title"),
    [
        ("daily_loss_limit", Severity.ALARM, "Loss limit hit: session halted"),
        ("daily_profit_target", Severity.INFO, "Profit target hit"),
        ("drawdown", Severity.CRITICAL, "Drawdown limit hit: trading halted"),
        ("unknown_equity", Severity.CRITICAL, "Equity unknown: trading halted"),
        ("order_rate", Severity.CRITICAL, "Too many orders: breaker tripped"),
        ("lunch", Severity.ALARM, "Trading halted"),
    ],
)
def test_halt_when_tripped_then_told_by_its_cause(reader, cause, severity, title):
    (told,) = reader.read(state(cause))
    assert (told.severity, told.title, told.topic) == (severity, title, Topic.RISK)
    assert told.text == "equity 2,188.00 at or below 2,200.00"


def test_margin_when_high_then_not_trading_is_told(reader):
    (told,) = reader.read(state("margin", TradingState.REDUCING, "day margin of ES 900.00 above 300.00"))
    assert told.title == "High margin day: not trading"


def test_halts_when_named_then_they_are_the_doors_own():
    assert set(HALTS) == set(Cause)


def test_trading_when_resumed_then_told_and_every_halt_ends(reader):
    (told,) = reader.read(state("resumed", TradingState.ACTIVE, "drawdown was cleared"))
    assert (told.title, told.resolves) == ("Trading resumed", "halt:")


def test_halt_when_one_of_several_ends_then_not_told_as_resumed(reader):
    (told,) = reader.read(state("ended", TradingState.REDUCING, "loss_streak has lasted its time; still in force: margin"))
    assert (told.title, told.resolves) == ("Halt ended, trading still REDUCING", "")


def test_trading_when_a_person_changed_it_then_named(reader):
    event = TradingStateChanged(ts=NOON, state=TradingState.ACTIVE, cause="cleared", reason="drawdown", by="telegram:7")
    assert reader.read(event)[0].fields == (("By", "telegram:7"),)


def test_state_when_only_a_new_session_then_silent(reader):
    assert reader.read(state("session", TradingState.ACTIVE)) == []


def test_tier_when_changed_then_told_and_the_first_is_not(reader):
    change = TierChanged(
        ts=NOON, previous="tier 1", current="tier 2", balance=D(3600), reason="balance 3,600.00 reached 3,500.00"
    )
    (told,) = reader.read(change)
    assert told.text == "tier 1 to tier 2: balance 3,600.00 reached 3,500.00"
    assert reader.read(TierChanged(ts=NOON, previous="", current="tier 1", balance=D(2500), reason="start")) == []


@pytest.mark.parametrize(
    ("role", "severity"),
    [(OrderRole.ENTRY, Severity.WARNING), (OrderRole.STOP, Severity.ALARM), (OrderRole.FLATTEN, Severity.ALARM)],
)
def test_order_when_rejected_then_told_and_protective_ones_alarm(reader, role, severity):
    (told,) = reader.read(order(OrderEvent.REJECT, OrderStatus.REJECTED, role, reason="price band @here"))
    assert told.severity is severity
    assert "@here" not in told.text


@pytest.mark.parametrize("code", NoticeCode)
def test_notice_when_of_any_code_then_told_with_its_severity_and_subject(reader, code):
    (told,) = reader.read(notice(code, Severity.CRITICAL, "MESZ5", orders=3))
    assert told.severity is Severity.CRITICAL
    assert told.title == f"{NOTICES[code][1]}: MESZ5"
    assert told.fields == (("orders", "3"),)


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        (NoticeCode.CONNECTION_RESTORED, "CONNECTION_LOST:feed"),
        (NoticeCode.DATA_RESTORED, "DATA_STALE:feed"),
        (NoticeCode.PROTECTED, "UNPROTECTED:feed"),
        (NoticeCode.RECONCILED, "MISMATCH:feed"),
        (NoticeCode.KILLED, ""),
    ],
)
def test_notice_when_it_ends_a_matter_then_names_the_key_of_that(reader, code, ended):
    (told,) = reader.read(notice(code, Severity.INFO))
    assert told.resolves == ended


def test_notice_when_time_of_the_digest_then_the_digest_is_told():
    made = alert("digest:1", title="Daily digest 2025-11-20: +12.00 USD")
    asked = []
    reader = AlertReader(ZONE, 200, digest=lambda ts: asked.append(ts) or made)
    assert reader.read(notice(NoticeCode.DIGEST, Severity.INFO, ts=NOON)) == [made]
    assert asked == [NOON]


def test_notice_when_digest_has_nothing_then_the_notice_itself_is_told():
    reader = AlertReader(ZONE, 200, digest=lambda ts: None)
    assert [one.title for one in reader.read(notice(NoticeCode.DIGEST, Severity.INFO, ""))] == ["Daily digest"]


def test_memory_when_many_entries_never_end_then_bounded(reader):
    for number in range(5_000):
        reader.read(order(OrderEvent.SUBMIT, OrderStatus.SUBMITTED, name=f"o{number}"))
    assert len(reader._entries) <= 512


def test_kinds_when_listed_then_all_have_a_handler(reader):
    assert set(reader._handlers) == READ
