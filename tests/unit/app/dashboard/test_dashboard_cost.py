"""What the page of execution says an order cost: worked out by hand, and the same as the strategy's own table."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dashboard_stage import SESSION, Stage
from example_run import ES, example_record
from sovereign.app.dashboard.model_market import Execution
from sovereign.app.dashboard.statistic import execution_row
from sovereign.app.dashboard.view import View
from sovereign.app.plan import kept_settings, with_section
from sovereign.app.tug_record import TugRecorder
from sovereign.core.instrument import find_instrument
from sovereign.core.order import OrderRole
from sovereign.engine.inputs import to_frame
from sovereign.execution.shortfall import Against, arrival_of, opportunity_bps, shortfall_bps
from sovereign.store.live import LiveSession
from sovereign.store.recording import Recording
from tug_cases import config_of, market
from tug_sessions import Live, inputs_of, recipe, record

DAYS, TRADED = 52, 2
EAGER = {
    "conflict": {"min_opposed": 0.3, "min_alone": 0.3},
    "position": {"trend_stop_frac": 0.002, "trend_target_frac": 0.004},
    "entry": {"slip_frac": 0.0},
    "without": ["earnings", "chop_rule"],
    "market": {"crisis": {"volatility": 5.0}},
}
SOLD = {
    "client_order_id": "a",
    "symbol": "ES",
    "side": "SELL",
    "order_type": "LIMIT",
    "role": "ENTRY",
    "quantity": 4,
    "status": "CANCELED",
    "filled_qty": 1,
    "average_ticks": 19_998.0,
    "arrival_ticks": 20_002,
    "slippage_ticks": 0,
    "submitted_ns": 1_000_000_000,
    "accepted_ns": 1_050_000_000,
    "updated_ns": 1_100_000_000,
}


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return record(tmp_path_factory.mktemp("recordings"), market(1, DAYS)[: DAYS - TRADED])


@pytest.fixture
def stage(tmp_path: Path, store_url: str) -> Any:
    made = Stage(tmp_path, f"store.url={store_url}")
    yield made
    made.close()


@pytest.fixture
def view(stage: Stage) -> Any:
    made = View(stage.store, stage.settings)
    yield made
    made.markets.close()


def test_row_when_the_middle_is_known_then_is_measured_against_it_with_fees_and_what_was_missed():
    # Sold 1 of 4 at 19,998 against 20,000; a tick is 12.50, the fee 2.50, a fifth of a tick. The bar after closed 10 lower.
    row = execution_row(SOLD, ES, mid_ticks=20_000.0, fees=Decimal("2.50"), next_close=19_990.0)
    assert (row["reference"], row["reference_ticks"], row["arrival_ticks"]) == ("middle of the quote", 20_000.0, 20_002)
    assert row["shortfall_ticks"] == 2.0
    assert row["shortfall_bps"] == pytest.approx(2.2 / 20_000 * 10_000)
    assert row["shortfall_money"] == pytest.approx(2 * 12.5 + 2.5)
    assert row["opportunity_bps"] == pytest.approx(10 / 20_000 * 0.75 * 10_000)


def test_row_when_no_middle_is_known_then_is_measured_against_the_last_price():
    row = execution_row(SOLD, ES)
    assert (row["reference"], row["reference_ticks"]) == ("last price", 20_002.0)
    assert row["shortfall_bps"] == pytest.approx(4 / 20_002 * 10_000)
    assert row["opportunity_bps"] is None


@pytest.mark.parametrize("role", [OrderRole.STOP, OrderRole.TARGET])
def test_arrival_when_it_is_of_a_stop_or_target_then_is_its_own_price(role):
    assert arrival_of(role, 19_990, 20_000.0) == (19_990.0, Against.OWN)
    assert arrival_of(OrderRole.FLATTEN, 19_990, 20_000.0) == (19_990.0, Against.LAST)
    assert arrival_of(role, None, 20_000.0) is None


def test_shortfall_when_worked_out_by_hand_then_positive_costs():
    assert shortfall_bps(1, 101.0, 100.0, 0.5) == pytest.approx(150.0)
    assert shortfall_bps(-1, 101.0, 100.0, 0.5) == pytest.approx(-50.0)
    assert opportunity_bps(1, 102.0, 100.0, 0.5) == pytest.approx(100.0)
    assert opportunity_bps(-1, 102.0, 100.0, 0.5) == pytest.approx(-100.0)


def trade(stage: Stage, earlier: list[Path], *, is_quoted: bool, is_over: bool) -> list[str]:
    """Trade the last days of the tug of war, with runs and the strategy's own tables kept as sessions keep them."""
    config = config_of(**EAGER | ({"entry": {"slip_frac": 0.00005}} if is_quoted else {}))
    symbols = tuple(market(1, DAYS)[-1][1])
    instruments = tuple(find_instrument(symbol) for symbol in symbols)
    names = []
    for session, plain in market(1, DAYS)[DAYS - TRADED :]:
        names.append(f"paper-tug_of_war-{session.trade_date:%Y%m%d}")
        path = earlier[0].parent / f"{names[-1]}-{is_quoted}-{is_over}.rec"
        day, of = session.trade_date, {"strategy": "tug_of_war", "account": "paper", "code_hash": "c0de", "config_hash": "c0nf"}
        begun = {"mode": "paper", "trade_date": day, "recording_path": str(path), "started_ns": 1, "run_id": names[-1]}
        stage.store.live.begin_session(LiveSession(id=names[-1], **of, **begun))
        traded = {"symbols": symbols, "instruments": instruments, "start": day, "end": day, "seed": None}
        settings = kept_settings(with_section(stage.settings, "tug_of_war", config))
        run = stage.store.begin_run(example_record(id=names[-1], kind="paper", config=settings, **of, **traded))
        sink = stage.store.sink(run)
        # The middle lies half a tick above each trade; what is to be bought for little more has to wait, some of it in vain.
        quoted = {name: replace(one, bid=one.price - 1, ask=one.price + 2) for name, one in plain.items()}
        inputs = inputs_of((session, quoted if is_quoted else plain), scouts=True)
        inputs = inputs if is_over else inputs[: len(inputs) * 3 // 4]
        with Recording(path, {"strategy": "tug_of_war", "warm_up": [one.name for one in earlier]}, 0) as recording:
            for item in inputs:
                recording.append(to_frame(item))
        recorders: list[TugRecorder] = []
        waiting: list[Any] = []
        live = Live(
            recipe(config),
            earlier,
            lambda event, told=waiting, to=recorders: told.append(lambda: to[0](event)),
            follow=lambda symbol, stream, to=recorders: to[0].follow(symbol, stream),
        )
        recorders.append(TugRecorder(stage.store.scouts, "paper", live.strategy, session, waiting.append))
        for place, _ in enumerate(live.run(inputs)):
            if place:
                recorders[0].look()
            for work in waiting:
                work()
            waiting.clear()
        for event in live.events:
            sink(event)
        sink.close()
    return names


@pytest.mark.parametrize(("is_quoted", "is_over"), [(False, True), (True, True), (True, False)])
def test_execution_when_of_the_tug_of_war_then_says_what_its_table_says(stage, view, earlier, is_quoted, is_over):
    names = trade(stage, earlier, is_quoted=is_quoted, is_over=is_over)
    assert bool(stage.store.table(names[0], "bars")) == is_over  # until then they are only in the recording
    for name in names:
        view.markets.of(stage.store.run(name))  # as long as that takes; a page waits a quarter of a second
    answers = {name: view.execution(stage.store.run(name), None, 1_000) for name in names}
    rows = {row["client_order_id"]: row for row in stage.store.scouts.rows("tug_trades", "paper")}
    orders = {row["client_order_id"]: (row, name) for name, found in answers.items() for row in found["orders"]}
    assert orders.keys() == rows.keys()
    for name, (order, _) in orders.items():
        for mine, theirs in (("shortfall_bps", "implementation_shortfall_bps"), ("opportunity_bps", "opportunity_bps")):
            kept = rows[name][theirs]
            assert order[mine] == (None if kept is None else pytest.approx(kept, abs=1e-6)), (name, mine)
    entries = [(order, name) for order, name in orders.values() if order["role"] == "ENTRY"]
    assert {order["reference"] for order, _ in entries} == {"middle of the quote" if is_quoted else "last price"}
    assert any(order["shortfall_bps"] is not None for order, _ in entries)
    missed = [(order, name) for order, name in entries if order["opportunity_bps"] is not None]
    assert missed
    for name, found in answers.items():
        Execution.model_validate(found)
        assert found["summary"]["opportunity_bps"]["count"] == sum(of == name for _, of in missed)
    # When it ended nobody could know what was missed.
    order, name = missed[0]
    run = stage.store.run(name)
    ended = {one["client_order_id"]: int(one["updated_ns"]) for one in view.orders(run, None, 1_000)}[order["client_order_id"]]
    then = {one["client_order_id"]: one for one in view.execution(run, ended, 1_000)["orders"]}[order["client_order_id"]]
    assert (then["status"], then["opportunity_bps"]) == (order["status"], None)


def test_execution_when_no_quote_was_recorded_then_says_that_it_is_the_last_price(stage, view):
    stage.session()
    found = view.execution(stage.store.run(SESSION), None, 100)
    entry = next(one for one in found["orders"] if one["role"] == "ENTRY")
    assert (entry["reference"], entry["reference_ticks"]) == ("last price", 20_000.0)
    # Filled at the last price: what is left of the shortfall is the fee, 2.25 of a contract worth 250,000.
    assert entry["shortfall_ticks"] == 0.0
    assert entry["shortfall_bps"] == pytest.approx(2.25 / 250_000 * 10_000)
    assert found["summary"]["by_reference"] == {"last price": 1}
