"""Laws of importing: nothing is lost, and the catalog does not depend on how the data was cut into files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.app.market_data import import_one
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.importing.aggressor import tick_rule
from sovereign.feeds.importing.importer import import_file
from sovereign.feeds.importing.table import ImportOptions
from sovereign.store.catalog import Catalog

START = 1_709_600_400  # 2024-03-05 01:00 UTC; a week of seconds follows, weekend included

cells = st.tuples(
    st.one_of(st.integers(START, START + 600_000).map(str), st.sampled_from(["", "never", "0", "-5"])),
    st.one_of(
        st.integers(-4, 40_000).map(lambda t: f"{t / 4:.2f}"), st.sampled_from(["", "NaN", "inf", "5100.30", "x", "1e15"])
    ),
    st.one_of(st.integers(-2, 99).map(str), st.sampled_from(["", "1.5", "NaN", "99999999999"])),
    st.sampled_from(["A", "B", "N", "?"]),
)


def written(path: Path, rows: list[tuple[str, ...]]) -> Path:
    path.write_text("ts,price,size,side\n" + "".join(f"{','.join(row)}\n" for row in rows))
    return path


def usable(row: tuple[str, ...]) -> bool:
    """Say whether a row is good, by the documented rules, in plain Python."""
    ts, price, size, side = row
    try:
        tick, lots = float(price) * 4, float(size)
    except ValueError:
        return False
    is_price = 0 < tick < 2**31 and tick == int(tick)
    is_size = 0 < lots < 2**31 and lots == int(lots)
    return ts.isdigit() and int(ts) >= START and is_price and is_size and side != "?"


@settings(max_examples=40)
@given(st.lists(cells, min_size=1, max_size=60))
def test_import_when_rows_are_anything_then_each_is_kept_or_set_aside(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]
) -> None:
    rows = [(str(START), "5100.25", "1", "B"), *rows]
    file = written(tmp_path_factory.mktemp("files") / "ESH4.csv", rows)
    found = import_file(file, ImportOptions(), calendar_for)
    assert found.quarantine["row"].to_list() == [n for n, row in enumerate(rows, start=2) if not usable(row)]
    kept = [p.rows for p in found.parts]
    assert sum(len(r) for r in kept) == sum(map(usable, rows))
    expected = sorted(int(row[0]) * 10**9 for row in rows if usable(row))
    assert np.concatenate([r.ts for r in kept]).tolist() == expected
    assert {p.trade_date.weekday() for p in found.parts} <= {0, 1, 2, 3, 4}


@settings(max_examples=15)
@given(st.lists(st.integers(0, 6_000), min_size=2, max_size=40, unique=True), st.data())
def test_import_when_a_tape_is_cut_into_files_in_any_order_then_the_same_catalog(
    tmp_path_factory: pytest.TempPathFactory, minutes: list[int], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("files")
    rows = [(str(START + 60 * m), f"{5000 + m % 7 / 4:.2f}", str(1 + m % 9), "AB"[m % 2]) for m in sorted(minutes)]
    whole, parts = Catalog(folder / "whole"), Catalog(folder / "parts")
    import_one(whole, written(folder / "ESH4.csv", rows), ImportOptions(), calendar_for)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(rows) - 1), max_size=3)))
    bounds = list(zip([0, *cuts], [*cuts, len(rows)], strict=True))
    for n in data.draw(st.permutations(range(len(bounds)))):
        start, stop = bounds[n]
        import_one(parts, written(folder / f"ESH4_{n}.csv", rows[start:stop]), ImportOptions(), calendar_for)
    assert parts.dates("ES") == whole.dates("ES")
    assert parts.verify() == []
    for day in whole.dates("ES"):
        one, other = whole.trades("ES", day), parts.trades("ES", day)
        assert all(np.array_equal(getattr(one, c), getattr(other, c)) for c in ("ts", "price", "size", "side"))


@given(st.lists(st.integers(-5, 5), max_size=200))
def test_tick_rule_when_any_prices_then_the_sign_of_the_last_change(steps: list[int]) -> None:
    price = np.cumsum([100, *steps]).astype(np.int32)
    expected, last = [0], 0
    for step in steps:
        last = (step > 0) - (step < 0) or last
        expected.append(last)
    assert tick_rule(price).tolist() == expected


def test_tick_rule_when_the_future_changes_then_the_past_does_not() -> None:
    rng = np.random.default_rng(7)
    price = np.cumsum(rng.integers(-1, 2, 500)).astype(np.int32)
    changed = price.copy()
    changed[250:] += rng.integers(-9, 9, 250).astype(np.int32)
    assert np.array_equal(tick_rule(price)[:250], tick_rule(changed)[:250])
