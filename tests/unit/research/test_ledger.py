"""Comparing stored runs, and stressing them."""

from dataclasses import replace

import pytest

from example_run import describe, example_events, example_record, example_run
from sovereign.core.errors import UsageError
from sovereign.core.event import TradeClosed
from sovereign.research.ledger import compare_runs, flatten, stress_stored
from sovereign.research.report import summarize
from sovereign.store.store import Store


@pytest.fixture
def store(store_url):
    with Store(store_url) as opened:
        yield opened


def keep(store, events, **changes):
    name = store.begin_run(example_record(**changes))
    sink = store.sink(name, describe)
    for event in events:
        sink(event)
    sink.close()
    store.finish_run(name, finished_ns=1, summary=summarize(example_run()), verdict="weak")
    return name


def test_comparison_when_runs_are_alike_then_is_empty(store):
    first, second = keep(store, example_events()), keep(store, example_events())
    found = compare_runs(store, first, second)
    assert (found.facts, found.metrics, found.config, found.only_first, found.only_second, found.changed) == ((),) * 6
    assert found.trades_in_both == 4


def test_comparison_when_a_setting_and_trades_differ_then_lists_them(store):
    events = example_events()
    closed = [index for index, event in enumerate(events) if isinstance(event, TradeClosed)]
    other = list(events)
    changed = other[closed[0]]
    other[closed[0]] = replace(changed, trade=replace(changed.trade, exit_ticks=20_030.0))
    del other[closed[1]]
    first = keep(store, events)
    second = keep(store, other, config={"risk": {"daily_loss": -900}}, fill_model="pessimistic")
    found = compare_runs(store, first, second)
    assert [(d.name, d.first, d.second, d.change) for d in found.config] == [("risk.daily_loss", -800, -900, -100.0)]
    assert [(d.name, d.second, d.change) for d in found.facts] == [("fill_model", "pessimistic", None)]
    assert [trade.trade_id for trade in found.only_first] == ["T1"]
    assert [(a.trade_id, b.exit_ticks) for a, b in found.changed] == [("T0", 20_030.0)]
    assert found.to_plain()["trades"]["in_both"] == 3


def test_stress_when_made_then_is_in_the_ledger_but_is_no_further_trial(store):
    run = keep(store, example_events())
    before = store.trials("flow", "da7a")
    name, found, result = stress_stored(store, run, now_ns=9)
    kept = store.run(name)
    after = store.trials("flow", "da7a")
    assert (found.id, kept.record.kind, kept.record.parent_id) == (run, "stress", run)
    assert kept.summary["stress"]["tests"][0]["name"] == result.tests[0].name
    assert (after.runs - before.runs, after.distinct - before.distinct) == (1, 0)


def test_stress_when_last_run_was_a_stress_then_its_parent_is_stressed(store):
    run = keep(store, example_events())
    stress_stored(store, "last", now_ns=9)
    name, found, _ = stress_stored(store, "last", now_ns=10)
    assert found.id == run
    assert store.run(name).record.parent_id == run


def test_flatten_when_nested_then_joins_keys_with_dots():
    assert flatten({"a": {"b": {"c": 1}}, "d": [1]}) == {"a.b.c": 1, "d": [1]}


@pytest.mark.parametrize("status", ["running", "failed"])
def test_stress_when_the_run_did_not_finish_then_is_refused_whatever_it_left(store, status):
    name = store.begin_run(example_record())
    sink = store.sink(name, describe)
    for event in example_events():
        sink(event)
    sink.close()
    if status == "failed":
        store.finish_run(name, finished_ns=1, summary={"error": "killed"}, status="failed")
    with pytest.raises(UsageError, match=f"which is '{status}'"):
        stress_stored(store, name, now_ns=9)
