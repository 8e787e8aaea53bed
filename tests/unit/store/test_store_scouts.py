"""Snapshots of the tape, readings of the news and the strategy's tables, on SQLite and PostgreSQL."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from example_scouts import ORDER, READING, RESULT, SIGNAL, SNAPSHOT
from sovereign.core.errors import UsageError
from sovereign.store.store import Store


def test_snapshots_when_kept_twice_then_told_once_as_they_were(store_url):
    with Store(store_url) as store:
        store.scouts.add_snapshots([SNAPSHOT, replace(SNAPSHOT, ts=120, ofi_z=2.0), replace(SNAPSHOT, symbol="TSM")])
        store.scouts.add_snapshots([replace(SNAPSHOT, ofi=7.0)])
        found = store.scouts.snapshots("NVDA", 0, 120)
        assert [one.ts for one in found] == [60, 120]
        assert (found[0].ofi, found[0].mid, found[0].is_absorption) == (7.0, 150.005, True)
        assert math.isnan(found[0].queue_imbalance_z)
        assert store.scouts.snapshots("NVDA", 60, 119) == []


def test_reading_when_kept_then_its_evidence_comes_back(store_url):
    with Store(store_url) as store:
        store.scouts.add_reading(READING)
        store.scouts.add_reading(replace(READING, ts=90, probability=float("nan")))
        found = store.scouts.reading("NVDA", 89)
        assert found is not None
        assert math.isnan(found.headline_tone)
        assert replace(found, headline_tone=0.0) == replace(READING, headline_tone=0.0)
        later = store.scouts.reading("NVDA", 90)
        assert later is not None
        assert not later.is_known
        assert store.scouts.reading("TSM", 90) is None


def test_tug_of_war_when_one_decision_is_kept_then_every_column_comes_back(store_url):
    with Store(store_url) as store:
        scouts = store.scouts
        scouts.add("tug_signals", "paper", [SIGNAL])
        (key,) = scouts.add("tug_results", "paper", [RESULT])
        trade = {**ORDER, "tug_result_key": key}
        scouts.add("tug_trades", "paper", [trade])
        done = {**trade, "status": "filled", "fill_qty": 10, "fill_price": 150.05, "implementation_shortfall_bps": 3.5}
        scouts.add("tug_trades", "paper", [done])
        scouts.add("regime_states", "paper", [{"ts": 8, "state": "trend", "confidence": 0.9}])
        (signal,) = scouts.rows("tug_signals", "paper")
        assert (signal["confidence"], signal["bayesian_score"], signal["raw_data"]) == (0.8125, None, '{"votes": {"orb": 3}}')
        (kept,) = scouts.rows("tug_trades", "paper")
        assert {name: kept[name] for name in done} == done
        assert scouts.rows("tug_results", "other") == []
        assert scouts.rows("regime_states", "paper", since_ns=8) == []


@pytest.mark.parametrize(
    ("table", "row", "words"),
    [
        ("orders", {}, "allowed are tug_signals"),
        ("tug_signals", {**SIGNAL, "colour": 1}, "no column colour"),
        ("tug_signals", {**SIGNAL, "direction": "up"}, "allowed are buy, sell, neutral"),
    ],
)
def test_add_when_it_does_not_fit_then_refused(tmp_path, table, row, words):
    with Store(f"sqlite:///{tmp_path}/s.sqlite") as store, pytest.raises(UsageError, match=words):
        store.scouts.add(table, "paper", [row])
