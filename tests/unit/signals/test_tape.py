"""The tape: order-flow imbalance by the paper's definition, scores as defined, absorption, and what real quotes show."""

import sys
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sovereign.core.columns import Quotes
from sovereign.core.session import NS_PER_SECOND
from sovereign.feeds.calendar import calendar_for
from sovereign.signals.tape import (
    TapeConfig,
    TapeScout,
    explained_moves,
    order_flow_increments,
    queue_imbalance,
    rolling_score,
    snapshots,
    tape_rows,
)

S = NS_PER_SECOND


def quotes(*rows):
    """Make quotes of (second, bid, ask, bid size, ask size)."""
    table = np.array(rows, np.float64).reshape(-1, 5)
    rest = (table[:, place].astype(np.int32) for place in range(1, 5))
    return Quotes((table[:, 0] * S).astype(np.int64), *rest)


# Worked by hand from e = 1[Pb>=Pb']qb - 1[Pb<=Pb']qb' - 1[Pa<=Pa']qa + 1[Pa>=Pa']qa'.
CASES = {
    "nothing moves, the bid grows by 5": ((100, 101, 10, 20), (100, 101, 15, 20), 5),
    "nothing moves, the ask grows by 5": ((100, 101, 10, 20), (100, 101, 10, 25), -5),
    "the bid rises: all of it is new": ((100, 102, 10, 20), (101, 102, 7, 20), 7),
    "the bid falls: all of it is gone": ((100, 102, 10, 20), (99, 102, 7, 20), -10),
    "the ask falls: all of it is new": ((100, 102, 10, 20), (100, 101, 10, 8), -8),
    "the ask rises: all of it is gone": ((100, 102, 10, 20), (100, 103, 10, 8), 20),
    "both rise": ((100, 101, 10, 20), (101, 102, 4, 6), 4 + 20),
}


@pytest.mark.parametrize("case", CASES)
def test_increment_when_a_quote_changes_then_as_worked_by_hand(case):
    before, after, expected = CASES[case]
    found = order_flow_increments(quotes((0, *before), (1, *after)))
    assert np.isnan(found[0])
    assert found[1] == expected


def test_increment_when_a_side_is_missing_then_unknown_on_both_sides_of_it():
    found = order_flow_increments(quotes((0, 9, 10, 5, 5), (1, 9, 10, 0, 5), (2, 9, 10, 5, 5), (3, 9, 10, 6, 5)))
    assert np.isnan(found[:3]).all()
    assert found[3] == 1


def test_queue_imbalance_when_sizes_are_given_then_in_minus_one_to_one():
    found = queue_imbalance(np.array([30, 10, 0]), np.array([10, 30, 10]))
    assert found[:2].tolist() == [0.5, -0.5]
    assert np.isnan(found[2])


def test_score_when_computed_then_as_numpy_has_it_over_the_window():
    values = np.random.default_rng(1).normal(size=200)
    values[[17, 90]] = np.nan
    found = rolling_score(values, 60, 20)
    for place in (19, 60, 91, 199):
        window = values[max(0, place - 59) : place + 1]
        expected = (values[place] - np.nanmean(window)) / np.nanstd(window, ddof=1)
        assert found[place] == pytest.approx(expected, rel=1e-12) or np.isnan(expected) or np.sum(~np.isnan(window)) < 20
    assert np.isnan(found[:19]).all()
    assert np.isnan(found[90])


def test_score_when_nothing_differs_then_unknown():
    assert np.isnan(rolling_score(np.ones(40), 30, 5)).all()


QUICK = TapeConfig(bucket_s=10, window_buckets=8, min_buckets=3, absorption_s=60)


def test_rows_when_buckets_close_then_sums_quotes_and_mids_of_each():
    tape = quotes((0, 100, 102, 5, 5), (4, 100, 102, 8, 5), (10, 101, 102, 6, 5), (25, 101, 103, 6, 9))
    rows = tape_rows(tape, 0, 30 * S, QUICK)
    assert rows["known_at"].tolist() == [10 * S, 20 * S, 30 * S]
    assert rows["quotes"].tolist() == [2, 1, 1]
    assert rows["ofi"].tolist() == [3, 6, 5]
    assert rows["mid_ticks"].tolist() == [101, 101.5, 102]
    assert rows["move_ticks"][1:].tolist() == [0.5, 0.5]
    assert rows["queue_imbalance"][0] == pytest.approx(3 / 13)


def test_rows_when_a_quote_falls_on_an_edge_then_it_belongs_to_the_later_bucket():
    rows = tape_rows(quotes((0, 9, 10, 5, 5), (10, 9, 10, 7, 5)), 0, 20 * S, QUICK)
    assert rows["ofi"].tolist() == [0, 2]


def test_rows_when_no_quote_came_for_long_then_unknown():
    rows = tape_rows(quotes((0, 9, 10, 5, 5)), 0, 200 * S, QUICK)
    known = ~np.isnan(rows["mid_ticks"])
    assert known.tolist() == [True] * 6 + [False] * 14
    assert np.isnan(rows["ofi"][6:]).all()


def absorbed(move):
    """A minute of steady flow, then heavy selling, the mid `move` ticks from where it was a minute before."""
    rows, size = [(0, 10_000, 10_002, 500, 500)], 500
    for k in range(1, 30):
        size += 1 if k % 2 else -1
        rows.append((k * 10 + 1, 10_000, 10_002, size, 500))
    rows.append((301, 10_000 + move, 10_002 + move, 500, 5_000))
    return tape_rows(quotes(*rows), 0, 310 * S, TapeConfig(window_buckets=30, min_buckets=10))


def test_absorption_when_selling_is_heavy_and_the_mid_stands_then_flagged():
    rows = absorbed(0)
    assert rows["ofi_z"][-1] < -1.5
    assert rows["is_absorption"].tolist() == [False] * 30 + [True]


def test_absorption_when_the_mid_gave_way_then_not_flagged():
    rows = absorbed(-11)  # 0.11%
    assert rows["ofi_z"][-1] < -1.5
    assert not rows["is_absorption"].any()


def test_absorption_when_compared_then_with_the_mid_of_exactly_a_minute_ago():
    # The mid was elsewhere 70 s ago and 50 s ago, and at the same place exactly 60 s ago.
    config = TapeConfig(window_buckets=12, min_buckets=3)
    moves = {1: 0, 2: 50, 3: 0, 4: 50, 9: 0}
    rows = [(k * 10 + 5, 10_000 + moves.get(k, 0), 10_002 + moves.get(k, 0), 500 + k, 500) for k in range(9)]
    rows.append((95, 10_000, 10_002, 500, 90_000))
    found = tape_rows(quotes(*rows), 0, 100 * S, config)
    assert found["mid_ticks"][9] == found["mid_ticks"][3]
    assert bool(found["is_absorption"][9])


def are_equal(one, other):
    """Compare field by field: the bytes between them are whatever memory held."""
    return all(np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f") for name in one.dtype.names)


@given(st.lists(st.integers(0, 1_200), min_size=0, max_size=6), st.integers(0, 2**31))
def test_rows_when_quotes_come_in_any_pieces_then_the_same(cuts, seed):
    random = np.random.default_rng(seed)
    count = 400
    ts = np.sort(random.integers(0, 1_200, count)) * S + np.arange(count)
    bid = 1_000 + np.cumsum(random.integers(-1, 2, count))
    table = [ts, bid, bid + random.integers(1, 3, count), random.integers(0, 9, count), random.integers(1, 9, count)]
    tape = Quotes(ts.astype(np.int64), *(column.astype(np.int32) for column in table[1:]))
    whole = tape_rows(tape, 0, 1_200 * S, QUICK)
    scout = TapeScout(QUICK)
    scout.start(0)
    first = 0
    for cut in [*sorted(cuts), 1_200]:
        last = int(np.searchsorted(tape.ts, cut * S))
        scout.advance(tape.slice(first, last), cut * S)
        first = last
    assert are_equal(scout.rows, whole)


def test_rows_when_the_future_changes_then_the_past_does_not():
    random = np.random.default_rng(3)
    rows = [(k, 100 + k % 3, 101 + k % 3, *random.integers(1, 9, 2)) for k in range(600)]
    other = [*rows[:300], *((k, 500, 501, 90, 1) for k in range(300, 600))]
    one, two = (tape_rows(quotes(*found), 0, 600 * S, QUICK) for found in (rows, other))
    assert are_equal(one[:30], two[:30])
    assert not are_equal(one[30:], two[30:])


def test_scout_when_quotes_were_missed_then_no_flow_is_made_up_across_the_gap():
    scout = TapeScout(QUICK)
    scout.start(0)
    scout.advance(quotes((1, 100, 101, 5, 5)), 10 * S)
    scout.interrupt()
    rows = scout.advance(quotes((25, 120, 121, 5, 5), (26, 120, 121, 6, 5)), 40 * S)
    assert np.isnan(rows["ofi"][0])
    assert rows["ofi"][1:].tolist() == [1, 0]


def test_snapshots_when_taken_then_each_minute_and_in_prices():
    tape = quotes(*((k, 15_000 + k % 2, 15_002, 3, 5) for k in range(130)))
    rows = tape_rows(tape, 0, 130 * S, TapeConfig())
    found = snapshots("NVDA", rows, 0, 0.01, TapeConfig())
    assert [one.ts for one in found] == [60 * S, 120 * S]
    assert found[0].mid == pytest.approx(150.015)
    assert (found[0].bid_size, found[0].ask_size, found[0].symbol) == (3, 5, "NVDA")


def test_regression_when_the_move_follows_the_flow_then_slope_and_share_are_found():
    rows = tape_rows(quotes(*((k, 100, 101, 5, 5) for k in range(0, 5_000, 10))), 0, 4_000 * S, TapeConfig()).copy()
    random = np.random.default_rng(5)
    rows["ofi"] = random.normal(size=len(rows))
    rows["move_ticks"] = 0.5 * rows["ofi"] + random.normal(size=len(rows)) * 0.5
    found = explained_moves(rows)
    assert found.slope == pytest.approx(0.5, abs=0.06)
    assert found.r_squared == pytest.approx(np.corrcoef(rows["ofi"], rows["move_ticks"])[0, 1] ** 2, rel=1e-12)
    assert found.half_hours == 3


@pytest.mark.parametrize("change", [{"absorption_s": 65}, {"snapshot_s": 15}, {"min_buckets": 61}])
def test_settings_when_they_do_not_fit_then_refused(change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        TapeConfig(**change)


def real(frame, ts, tick):
    import polars as pl

    frame = frame.with_columns(pl.col(["bid_px", "ask_px", "bid_sz", "ask_sz"]).forward_fill()).drop_nulls(["bid_px", "ask_px"])
    price = [(frame[name] / tick).round().cast(pl.Int32).to_numpy() for name in ("bid_px", "ask_px")]
    size = [frame[name].cast(pl.Int32).to_numpy() for name in ("bid_sz", "ask_sz")]
    return Quotes(frame[ts].dt.timestamp("ns").to_numpy().astype(np.int64), *price, *size)


def say(capsys, name, rows):
    found = explained_moves(rows)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{name}: order flow explains {found.r_squared:.1%} of the mid's moves over 10 s ({found.buckets} buckets, "
            f"t {found.t:.0f}); mean of {found.half_hours} half hours {found.r_squared_half_hours:.1%}"
        )
    return found


def test_order_flow_when_real_es_quotes_then_it_explains_the_moves_of_the_same_seconds(shared_data, capsys):
    import polars as pl

    frame = pl.read_parquet(shared_data / "es_mbo_cme_20231225" / "ESH4_bbo.parquet")
    open_ns = 1_703_545_200 * S  # 2023-12-25 23:00 UTC: the Globex opening; what is before is its auction
    found = say(capsys, "ESH4 2023-12-25", tape_rows(real(frame, "ts_event", 0.25), open_ns, open_ns + 3_600 * S, TapeConfig()))
    assert found.r_squared > 0.4
    assert found.t > 10


@pytest.mark.parametrize("day", [7, 8, 9, 10, 11])
def test_order_flow_when_real_bac_quotes_then_about_as_the_paper_reports(shared_data, capsys, day):
    import polars as pl

    frame = pl.read_parquet(shared_data / "us_equity_ticks_2013" / f"BAC_quotes_201310{day:02}.parquet")
    session = calendar_for("XNYS").session(date(2013, 10, day))
    tape = real(frame, "ts", 0.01)
    rows = tape_rows(tape, session.regular_open_ns, session.regular_close_ns, TapeConfig())
    found = say(capsys, f"BAC 2013-10-{day:02}", rows)
    assert found.buckets == 2_339
    assert found.r_squared > 0.5
    assert 0.6 < found.r_squared_half_hours < 0.85  # the paper: 65% on average over its stocks
    assert np.nanstd(rows["ofi_z"]) == pytest.approx(1, abs=0.05)
