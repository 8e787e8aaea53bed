"""The strategy's own tables, filled by sessions: every column, every round once, on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sovereign.app.briefing import briefing
from sovereign.app.tug_record import TugRecorder
from sovereign.core.event import DecisionMade, OrderChanged, TradeClosed
from sovereign.core.order import OrderRole
from sovereign.core.session import NS_PER_MINUTE
from sovereign.engine.inputs import SessionOpened
from sovereign.store.store import Store
from tug_cases import config_of, market
from tug_sessions import Live, inputs_of, recipe, record

SYMBOLS = ("SPY", "QQQ", "NVDA", "JPM")
EAGER = config_of(
    conflict={"min_opposed": 0.3, "min_alone": 0.3},
    position={"trend_stop_frac": 0.002, "trend_target_frac": 0.004},
    entry={"slip_frac": 0.0},
    without=["earnings", "chop_rule"],
    market={"crisis": {"volatility": 5.0}},
)
DAYS = 52


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return record(tmp_path_factory.mktemp("recordings"), market(1, DAYS)[: DAYS - 4])


def quoted(day: Any) -> Any:
    """The same day with a quote of four ticks about each trade, its middle a tick above."""
    session, tapes = day
    return session, {name: replace(one, bid=one.price - 1, ask=one.price + 3) for name, one in tapes.items()}


def trade(store: Store, earlier: list[Path], days: int = 4, stop: int | None = None, config: Any = EAGER) -> list[Any]:
    """Trade some days with the record beside them, the way a process does; `stop` breaks the last one off."""
    events: list[Any] = []
    for number, plain in enumerate(market(1, DAYS)[DAYS - 4 :][:days]):
        day = plain if config is EAGER else quoted(plain)
        waiting: list[Callable[[], object]] = []
        holder: dict[str, TugRecorder] = {}

        def hear(event: Any, held: dict[str, TugRecorder] = holder, later: list[Any] = waiting) -> None:
            later.append(lambda: held["recorder"](event))

        def follow(symbol: str, stream: Any, held: dict[str, TugRecorder] = holder) -> Any:
            return held["recorder"].follow(symbol, stream)

        live = Live(recipe(config), earlier, hear, follow=follow)
        holder["recorder"] = TugRecorder(store.scouts, "paper", live.strategy, day[0], waiting.append)
        inputs = inputs_of(day, scouts=True)
        if stop is not None and number == days - 1:
            inputs = inputs[:stop]
        for item in live.run(inputs):
            if not isinstance(item, SessionOpened):
                holder["recorder"].look()
            for work in waiting:
                work()
            waiting.clear()
        events += live.events
    return events


def test_tables_when_days_were_traded_then_every_column_is_filled(store_url, earlier):
    with Store(store_url) as store:
        events = trade(store, earlier)
        rows = {
            name: store.scouts.rows(name, "paper") for name in ("tug_signals", "tug_results", "tug_trades", "regime_states")
        }
    for name, found in rows.items():
        known = {column for row in found for column, value in row.items() if value is not None}
        # The simulated broker gives orders no name of its own.
        assert set(found[0]) - known <= {"broker_order_id"}, name
    days = market(1, DAYS)[DAYS - 4 :]
    rounds = [
        (day[0].regular_open_ns + 15 * n * NS_PER_MINUTE, symbol)
        for day in days
        for n in range(1, 27)
        for symbol in SYMBOLS[2:]
    ]
    assert sorted((row["ts"], row["symbol"]) for row in rows["tug_results"]) == sorted(rounds)
    assert len(rows["tug_signals"]) == 2 * len(rounds)
    for row in rows["tug_results"]:
        opposite = {"buy": "sell", "sell": "buy"}.get(row["sovereign_direction"])
        assert bool(row["conflict"]) == (row["madman_direction"] == opposite)
        assert row["tug_score"] == pytest.approx(abs(row["sovereign_confidence"] - row["madman_confidence"]))
    assert {row["state"] for row in rows["regime_states"]} <= {"chop", "trend", "crisis"}
    assert all(0.0 <= row["confidence"] <= 1.0 for row in rows["regime_states"])
    made = sorted(str(event.trade.net) for event in events if isinstance(event, TradeClosed))
    assert made == sorted(row["pnl"] for row in rows["tug_trades"] if row["pnl"] is not None)
    assert made


def test_entries_when_kept_then_their_shortfall_is_that_of_the_fills_and_what_was_missed_is_said(tmp_path, earlier):
    with Store(f"sqlite:///{tmp_path}/s.sqlite") as store:
        trade(store, earlier)
        orders = store.scouts.rows("tug_trades", "paper")
        results = {row["key"]: row for row in store.scouts.rows("tug_results", "paper")}
        signals = {
            (row["ts"], row["symbol"]): row for row in store.scouts.rows("tug_signals", "paper") if row["bot"] == "sovereign"
        }
    entries = [row for row in orders if row["order_type_detail"].startswith("entry")]
    filled = [row for row in entries if row["status"] == "filled"]
    missed = [row for row in entries if row["fill_qty"] < row["qty"]]
    assert filled
    assert missed
    for row in entries:
        verdict = results[row["tug_result_key"]]
        assert verdict["verdict"] in ("strong_execute", "weak_execute")
        last = json.loads(signals[verdict["ts"], verdict["symbol"]]["raw_data"])["close"] / 100
        if row["fill_qty"]:
            sign = 1 if row["side"] == "BUY" else -1
            price_bps = sign * (row["fill_price"] - last) / last * 10_000
            # The rest is the fee: 0.0035 USD a share.
            assert row["implementation_shortfall_bps"] == pytest.approx(price_bps + 0.0035 / last * 10_000, abs=1e-6)
    assert all(row["opportunity_bps"] is not None and math.isfinite(row["opportunity_bps"]) for row in missed)
    assert all(row["opportunity_bps"] is None for row in filled)


def test_orders_when_a_quote_was_known_then_are_measured_against_its_middle(tmp_path, earlier):
    config = EAGER.model_copy(update={"entry": EAGER.entry.model_copy(update={"slip_frac": 0.002})})
    with Store(f"sqlite:///{tmp_path}/s.sqlite") as store:
        events = trade(store, earlier, config=config)
        orders = {row["client_order_id"]: row for row in store.scouts.rows("tug_trades", "paper")}
    decided = {e.decision.decision_id: e.decision for e in events if isinstance(e, DecisionMade)}
    changed = {
        e.client_order_id: e for e in events if isinstance(e, OrderChanged) and e.role in (OrderRole.ENTRY, OrderRole.EXIT)
    }
    measured = 0
    for name, order in changed.items():
        row = orders[name]
        inputs = decided[order.decision_id].proposal.inputs
        if not row["fill_qty"] or "close" not in inputs:
            continue
        mid = (inputs["close"] + 1) / 100  # the last trade of the bar is its close
        assert inputs["mid_ticks"] == inputs["close"] + 1
        price_bps = order.side.sign * (row["fill_price"] - mid) / mid * 10_000
        assert row["implementation_shortfall_bps"] == pytest.approx(price_bps + 0.0035 / mid * 10_000, abs=1e-6)
        measured += 1
    assert measured
    assert {orders[name]["order_type_detail"] for name, o in changed.items() if o.role is OrderRole.ENTRY} != {"entry"}


def test_tables_when_a_session_is_cut_off_and_told_again_then_nothing_is_there_twice(tmp_path, earlier):
    stores = [Store(f"sqlite:///{tmp_path}/{name}.sqlite") for name in ("whole", "broken")]
    trade(stores[0], earlier, days=1)
    trade(stores[1], earlier, days=1, stop=70)
    trade(stores[1], earlier, days=1)
    for name in ("tug_signals", "tug_results", "tug_trades", "regime_states"):
        one, other = ([{**row, "key": 0, "tug_result_key": 0} for row in store.scouts.rows(name, "paper")] for store in stores)
        key = "client_order_id" if name == "tug_trades" else "ts"
        assert sorted(map(str, one)) == sorted(map(str, other)), key
        assert one
    for store in stores:
        store.close()


def test_briefing_when_a_session_begins_then_says_regime_sector_earnings_and_news(tmp_path, earlier):
    day = market(1, DAYS)[DAYS - 4]
    live = Live(recipe(EAGER), earlier)
    live.play(inputs_of(day)[:1])
    with Store(f"sqlite:///{tmp_path}/s.sqlite") as store:
        lines = briefing(
            live.strategy, store.scouts, ("SPY", "NVDA", "JPM"), {"NVDA": ("tech_growth",)}, day[0].regular_open_ns
        )
    assert lines[0].startswith("regime ")
    assert "QQQ is not among the symbols" in lines[1]
    assert lines[2] == "NVDA (tech_growth): earnings left out; news no data"
    assert lines[3].startswith("JPM (no sector: refused)")
