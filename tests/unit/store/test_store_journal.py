"""The journal: what an audit stream leaves in the store, and `Store.decision`."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from sqlalchemy.exc import SQLAlchemyError

from example_run import PLANS, START, describe, example_events, example_record, order_changed
from sovereign.core.errors import NotFoundError, UsageError
from sovereign.core.event import SessionEnded, SessionStarted, TradeClosed
from sovereign.core.order import OrderEvent, OrderStatus
from sovereign.store.bulk import CheckColumn, DecisionColumns
from sovereign.store.store import Store


@pytest.fixture
def store(store_url):
    with Store(store_url) as opened:
        yield opened


@pytest.fixture
def run(store):
    name = store.begin_run(example_record())
    sink = store.sink(name, describe)
    for event in example_events():
        sink(event)
    sink.close()
    return name


def test_stream_when_kept_then_every_table_has_its_rows(store, run):
    counts = {
        name: len(store.table(run, name))
        for name in (
            "sessions",
            "decisions",
            "orders",
            "fills",
            "trades",
            "account_snapshots",
            "tier_changes",
            "state_changes",
            "bars",
        )
    }
    assert counts == {
        "sessions": 4,
        "decisions": 4 + 1 + 4 * 2,
        "orders": 8,
        "fills": 8,
        "trades": 4,
        "account_snapshots": 4,
        "tier_changes": 1,
        "state_changes": 1,
        "bars": 4,
    }


def test_trades_when_read_back_then_equal_what_was_closed(store, run):
    closed = tuple(event.trade for event in example_events() if isinstance(event, TradeClosed))
    assert store.trades(run) == closed


def test_trade_when_kept_then_has_its_pattern_regime_and_the_tier_in_force(store, run):
    rows = store.table(run, "trades")
    assert [(row["pattern"], row["regime"], row["tier"]) for row in rows[2:]] == [
        ("BUY_IMBALANCE", "RANGING", None),
        ("BUY_IMBALANCE", "TRENDING_UP", "two"),
    ]


def test_money_when_kept_then_is_exact_text(store):
    name = store.begin_run(example_record())
    sink = store.sink(name)
    event = next(event for event in example_events() if isinstance(event, TradeClosed))
    odd = Decimal("0.1000000000000000055511151231257827")
    sink(replace(event, trade=replace(event.trade, gross=odd, fees=Decimal("1E-7"))))
    sink.close()
    row = store.table(name, "trades")[0]
    assert (row["gross"], row["fees"]) == ("0.1000000000000000055511151231257827", "0.0000001")
    assert store.trades(name)[0].gross == odd


def test_sessions_when_kept_then_have_balances_and_ticks(store, run):
    rows = store.table(run, "sessions")
    assert [(row["trade_date"], row["start_balance"], row["end_balance"], row["ticks"]) for row in rows[:2]] == [
        ("2024-03-11", "10000.00", "10295.50", 1000),
        ("2024-03-12", "10295.50", "9874.00", 1000),
    ]


def test_order_when_kept_then_has_ids_prices_and_times(store, run):
    order = next(row for row in store.table(run, "orders") if row["client_order_id"] == "flow-20240311-ES-00000-E")
    submitted = order["submitted_ns"]
    assert (order["venue_order_id"], order["arrival_ticks"], order["average_ticks"]) == ("V1", 20_000, 20_000.0)
    assert (order["status"], order["accepted_ns"] - submitted, order["updated_ns"] - submitted) == ("FILLED", 1, 2)


def test_order_when_stop_slipped_then_expected_price_is_where_it_should_have_filled(store, run):
    order = next(row for row in store.table(run, "orders") if row["client_order_id"] == "flow-20240312-ES-00001-X")
    assert (order["average_ticks"], order["expected_ticks"], order["slippage_ticks"]) == (20_017.0, 20_016.0, 1)


def test_order_when_it_lives_through_two_sessions_then_is_one_row_in_its_last_state(store):
    name = store.begin_run(example_record())
    sink = store.sink(name)
    ends = [event for event in example_events() if isinstance(event, SessionStarted | SessionEnded)]
    sink(ends[0])
    sink(order_changed(1, PLANS[0], "A", OrderEvent.SUBMIT, OrderStatus.SUBMITTED))
    sink(order_changed(2, PLANS[0], "A", OrderEvent.ACCEPT, OrderStatus.ACCEPTED))
    sink(ends[1])
    assert [row["status"] for row in store.table(name, "orders")] == ["ACCEPTED"]
    sink(ends[2])
    sink(order_changed(9, PLANS[0], "A", OrderEvent.CANCEL, OrderStatus.CANCELED))
    sink(ends[3])
    rows = store.table(name, "orders")
    assert [(row["status"], row["submitted_ns"], row["updated_ns"]) for row in rows] == [("CANCELED", 1, 9)]


def test_session_when_cut_off_then_leaves_nothing_half_written(store):
    name = store.begin_run(example_record())
    sink = store.sink(name, describe)
    events = example_events()
    second = [index for index, event in enumerate(events) if isinstance(event, SessionEnded)][1]
    for event in events[:second]:
        sink(event)
    assert [row["trade_date"] for row in store.table(name, "sessions")] == ["2024-03-11"]
    assert len(store.table(name, "trades")) == 1


def test_flush_when_the_write_fails_then_nothing_of_the_session_is_kept(store):
    name = store.begin_run(example_record())
    sink = store.sink(name)
    event = next(event for event in example_events() if isinstance(event, TradeClosed))
    sink(event)
    sink(event)
    with pytest.raises(SQLAlchemyError):
        sink.close()
    assert store.table(name, "trades") == []


def test_decision_when_taken_then_tells_checks_orders_fills_and_trade(store, run):
    found = store.decision("flow-20240312-ES-00001")
    assert (found.verdict, found.quantity, found.traded_symbol) == ("APPROVED", 1, "ES")
    assert found.inputs == {"pattern": "SELL_IMBALANCE", "price": 20_000, "value": 3.5}
    assert [(check.name, check.limit, check.passed) for check in found.checks] == [
        ("strength", 0.6, True),
        ("daily_loss", -800.0, True),
    ]
    assert [order["role"] for order in found.orders] == ["ENTRY", "STOP"]
    assert [fill["price_ticks"] for fill in found.fills] == [20_000, 20_017]
    assert found.trade is not None
    assert found.trade.net == Decimal("-217.00")
    assert found.would_have_made is None


def test_decision_when_refused_at_the_door_then_tells_what_it_would_have_made(store, run):
    found = store.decision("flow-20240313-ES-00099")
    assert (found.verdict, found.failed_check, found.reason) == ("REFUSED", "margin", "margin is <higher> than allowed")
    assert found.confidence is None
    # Decided at 11:00: in at the open of the bar that closes at 12:00 (20,000). The next opens at 19,990 and goes to 19,985, no
    # further than 15 ticks; the one after opens at 19,980, beyond the stop at 19,984, and fills there: -20 ticks of 12.50,
    # less two fees of 2.25.
    assert found.would_have_made is not None
    assert (found.would_have_made.exit_kind, found.would_have_made.ticks) == ("STOP", -20)
    assert found.would_have_net == Decimal("-254.50")


def test_decision_when_refused_by_a_gate_then_has_the_checks_up_to_that_gate(store, run):
    first, second = store.decision("flow-20240311-ES-C0"), store.decision("flow-20240311-ES-C2")
    assert [(c.name, c.value, c.limit, c.passed) for c in first.checks] == [("tradable", 1.0, 0.0, False)]
    assert [(c.name, c.value, c.limit, c.passed) for c in second.checks] == [
        ("tradable", 0.0, 0.0, True),
        ("strength", 0.25, 0.6, False),
    ]
    assert (second.name, second.side, second.reason, second.inputs) == (
        "SELL_IMBALANCE",
        "SELL",
        "too weak",
        {"price": 20_000.0},
    )
    assert second.would_have_made is not None
    assert second.would_have_made.ticks == 24


@pytest.mark.parametrize("name", ["flow-20240311-ES-C1", "flow-20240311-ES-C02", "flow-20240311-ES-C99", "nothing", ""])
def test_decision_when_unknown_then_is_not_found(store, run, name):
    with pytest.raises(NotFoundError, match="not in any run"):
        store.decision(name)


def test_decision_when_in_two_runs_then_newest_wins_unless_named(store, run):
    other = store.begin_run(example_record())
    sink = store.sink(other, describe)
    for event in example_events():
        sink(event)
    assert store.decision("flow-20240311-ES-00000").run_id == other
    assert store.decision("flow-20240311-ES-C0").run_id == other
    assert store.decision(f"{run}:flow-20240311-ES-C0").run_id == run
    assert store.decision("flow-20240311-ES-00000", run).run_id == run


def test_view_when_read_then_shows_both_kinds_alike(store, run):
    rows = {row["decision_id"]: row for row in store.table(run, "decisions")}
    assert rows["flow-20240311-ES-C2"]["failed_check"] == "strength"
    assert rows["flow-20240313-ES-00099"]["failed_check"] == "margin"
    assert rows["flow-20240311-ES-00000"]["verdict"] == "APPROVED"
    assert "flow-20240311-ES-C1" not in rows


def test_run_when_deleted_then_takes_everything_along(store, run):
    store.delete_run(run)
    with store._database.reading() as connection:
        for table in ("candidates", "candidate_blocks", "door_decisions", "orders", "fills", "trades", "bars", "run_words"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0


def columns(**changes):
    values = {
        "symbol": "ES",
        "prefix": "p-C",
        "index": np.array([0, 3]),
        "ts": np.array([1, 2]),
        "name": np.array([0, 0]),
        "names": ("A",),
        "side": np.array([1, -1]),
        "strength": np.array([0.1, np.nan]),
        "confidence": np.array([0.1, 0.2]),
        "checks": (CheckColumn("strength", np.array([0.1, np.nan]), 0.6, "fraction"),),
        "failed": np.array([0, 0]),
    }
    return DecisionColumns(**{**values, **changes})


def test_columns_when_added_then_unknown_numbers_stay_unknown(store):
    run = store.begin_run(example_record())
    assert store.add_decisions(run, columns()) == 2
    found = store.decision("p-C3")
    assert found.strength is None
    assert np.isnan(found.checks[0].value)
    assert found.would_have_made is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"side": np.array([1])}, "'side' had 1 rows and ts 2"),
        ({"failed": np.array([0, 1])}, "leave candidates that passed out"),
        ({"failed": np.array([-1, 0])}, "leave candidates that passed out"),
        ({"index": np.array([3, 3])}, "must increase"),
        ({"prefix": "p-C7"}, "ends in a digit"),
    ],
)
def test_columns_when_malformed_then_are_refused(changes, says):
    with pytest.raises(UsageError, match=says):
        columns(**changes)


def test_table_when_unknown_then_lists_those_that_exist(store, run):
    with pytest.raises(NotFoundError, match=r"allowed are account_snapshots, .*trades"):
        store.table(run, "meta")


def test_starting_balance_when_kept_then_is_exact(store, run):
    assert store.run(run).record.starting_balance == START


def test_stream_when_sessions_share_a_transaction_then_leaves_what_single_ones_leave(store, run):
    name = store.begin_run(example_record(id="together"))
    sink = store.sink(name, describe, sessions_a_write=3)
    kept = []
    for event in example_events():
        sink(event)
        if isinstance(event, SessionEnded):
            kept.append(len(store.table(name, "sessions")))
    sink.close()
    assert kept == [0, 0, 3, 3]
    for table in ("sessions", "orders", "fills", "trades", "account_snapshots", "tier_changes", "state_changes", "bars"):
        alike = [
            [{key: value for key, value in row.items() if key not in ("key", "run_key")} for row in store.table(one, table)]
            for one in (run, name)
        ]
        assert alike[0] == alike[1]
    ids = [row["decision_id"] for row in store.table(run, "decisions")]
    assert ids == [row["decision_id"] for row in store.table(name, "decisions")]
    kept_checks = [[store.decision(each, one).checks for each in ids] for one in (run, name)]
    assert kept_checks[0] == kept_checks[1]
