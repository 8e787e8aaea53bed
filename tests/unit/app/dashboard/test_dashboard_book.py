"""What is known of a run at a moment: against the run whose figures are worked out by hand in `example_run`."""

from decimal import Decimal

import pytest

from dashboard_stage import FINISHED, Stage
from example_run import MONDAY, START, session_of
from sovereign.app.dashboard.book import Book, Held
from sovereign.app.dashboard.statistic import execution_row, trade_statistics
from sovereign.core.errors import NotFoundError


@pytest.fixture
def stage(tmp_path):
    found = Stage(tmp_path)
    found.finished_run()
    yield found
    found.close()


@pytest.fixture
def book(stage):
    return lambda at=None: Book(stage.store, stage.store.run(FINISHED), at)


def test_money_when_run_is_over_then_as_worked_out_by_hand(book):
    money = book().money()
    assert money.balance == Decimal("10169.50")
    assert money.equity == money.balance


def test_money_when_asked_before_the_first_event_then_the_start(book):
    at = session_of(MONDAY).open_ns + 1
    assert book(at).money().balance == START
    assert book(at).trades() == []
    assert book(at).held() == []
    assert book(at).fills() == []


def test_position_when_asked_between_entry_and_exit_then_held_and_afterwards_flat(book):
    fills = book().fills()
    entry, leaving = fills[0], fills[1]
    held = book(entry["ts"]).held()
    assert [(one.symbol, one.quantity, one.average) for one in held] == [
        ("ES", entry["quantity"] if entry["side"] == "BUY" else -entry["quantity"], float(entry["price_ticks"]))
    ]
    assert book(leaving["ts"]).held() == []
    assert book(leaving["ts"] - 1).held() == held


def test_trades_when_asked_at_any_exit_then_only_those_closed_by_then(book):
    exits = [trade.exit_ns for trade in book().trades()]
    assert len(exits) == 4
    for count, at in enumerate(exits, start=1):
        assert len(book(at).trades()) == count
        assert len(book(at - 1).trades()) == count - 1


def test_decisions_when_asked_for_a_moment_then_none_is_later(book):
    every = book().decisions(limit=1_000)
    assert [row["ts"] for row in every] == sorted((row["ts"] for row in every), reverse=True)
    middle = every[len(every) // 2]["ts"]
    some = book(middle).decisions(limit=1_000)
    assert {row["decision_id"] for row in some} == {row["decision_id"] for row in every if row["ts"] <= middle}


def test_refused_by_when_counted_then_candidates_and_door_together(book):
    assert dict(book().refused_by()) == {"tradable": 4, "strength": 4, "margin": 1}


def test_order_when_asked_before_its_end_then_not_yet_ended(book):
    order = next(row for row in book().orders() if row["status"] == "FILLED" and row["submitted_ns"] < row["updated_ns"])
    before = next(row for row in book(order["updated_ns"] - 1).orders() if row["client_order_id"] == order["client_order_id"])
    assert before["status"] in ("SUBMITTED", "ACCEPTED")
    assert before["filled_qty"] == 0
    assert before["average_ticks"] is None


def test_statistics_when_counted_then_as_worked_out_by_hand(book):
    found = trade_statistics(book().trades())
    assert (found["trades"], found["wins"], found["losses"], found["ambiguous"]) == (4, 2, 2, 1)
    assert found["net"] == Decimal("169.50")
    assert found["fees"] == Decimal("18.00")
    assert found["profit_factor"] == pytest.approx(591 / 421.5)
    assert found["win_rate"] == 0.5
    assert found["best"] == Decimal("295.50")
    assert found["worst"] == Decimal("-217.00")


def test_statistics_when_there_is_no_trade_then_unknown_instead_of_zero():
    found = trade_statistics([])
    assert [found[name] for name in ("win_rate", "profit_factor", "expectancy", "best", "slippage_ticks")] == [None] * 5


def test_equity_when_drawn_then_begins_with_the_start_and_ends_with_the_end(book):
    points = book().equity()
    assert points[0][1] == START
    assert points[-1][1] == Decimal("10169.50")
    assert len(book().equity(most=2)) <= 4


@pytest.mark.parametrize(
    ("fills", "quantity", "average"),
    [
        ([(2, 100)], 2, 100.0),
        ([(2, 100), (2, 110)], 4, 105.0),
        ([(4, 105), (-1, 120)], 3, 105.0),
        ([(3, 105), (-5, 90)], -2, 90.0),
        ([(-2, 90), (-2, 80)], -4, 85.0),
        ([(-4, 85), (4, 70)], 0, None),
    ],
)
def test_held_when_filled_then_average_cost(fills, quantity, average):
    held = Held("ES")
    for signed, price in fills:
        held.fill(signed, price, Decimal("1"), 1)
    assert held.quantity == quantity
    assert held.average == pytest.approx(average) if average is not None else held.average != held.average


def test_execution_when_bought_above_arrival_then_a_cost(book):
    order = {
        "client_order_id": "a",
        "symbol": "ES",
        "side": "BUY",
        "order_type": "MARKET",
        "role": "ENTRY",
        "quantity": 2,
        "status": "FILLED",
        "filled_qty": 2,
        "average_ticks": 20_002.0,
        "arrival_ticks": 20_000,
        "slippage_ticks": 2,
        "submitted_ns": 1_000_000_000,
        "accepted_ns": 1_050_000_000,
        "updated_ns": 1_100_000_000,
    }
    row = execution_row(order, book().instrument("ES"))
    assert row["shortfall_ticks"] == 2.0
    assert row["shortfall_bps"] == pytest.approx(1.0)
    assert row["shortfall_money"] == 2 * 2 * 12.5
    assert row["slippage_ticks"] == 1.0
    assert row["accept_ms"] == 50.0
    assert row["fill_ms"] == 100.0


def test_run_when_unknown_then_not_found(stage):
    with pytest.raises(NotFoundError):
        stage.store.run("nothing-of-that-name")
