"""The order-flow stream: when bars close, what a session resets, what is kept, and what each setting does."""

import os
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from sovereign.core.columns import Trades
from sovereign.core.errors import ConfigurationError, DataError, NotFoundError
from sovereign.core.instrument import AssetClass, find_instrument
from sovereign.core.session import NS_PER_HOUR, NS_PER_SECOND, Session
from sovereign.kernels.order_flow_setting import DEFAULT_MINIMUMS
from sovereign.kernels.row import Gate, Pattern
from sovereign.kernels.setting import RegimeConfig, RouterConfig
from sovereign.signals.order_flow import FootprintConfig, OrderFlowStream, PatternConfig

S = NS_PER_SECOND
DAY = 1_699_920_000 * S  # 2023-11-14 00:00 UTC


def _session(day: int = DAY) -> Session:
    return Session(
        calendar="CME_EQUITY",
        trade_date=date(2023, 11, 14),
        open_ns=day - NS_PER_HOUR,
        close_ns=day + 22 * NS_PER_HOUR,
        regular_open_ns=day + 14 * NS_PER_HOUR + 1_800 * S,
        regular_close_ns=day + 21 * NS_PER_HOUR,
        zone="America/New_York",
    )


SESSION = _session()
OPEN = SESSION.regular_open_ns


def _trades(*ticks: tuple[int, int, int, int]) -> Trades:
    # (seconds after the regular open, price, size, side)
    columns = np.array(ticks, np.int64).reshape(-1, 4).T
    return Trades(OPEN + columns[0] * S, columns[1].astype(np.int32), columns[2].astype(np.int32), columns[3].astype(np.int8))


def _stream(symbol: str = "ES", **footprint: Any) -> OrderFlowStream:
    stream = OrderFlowStream(find_instrument(symbol), FootprintConfig(**footprint))
    stream.start_session(SESSION)
    return stream


def _tape(ticks: int = 4_000, seed: int = 5, day: int = DAY, start: int = 20_000) -> Trades:
    random = np.random.default_rng(seed)
    session = _session(day)
    return Trades(
        np.sort(random.integers(session.regular_open_ns, session.regular_close_ns, ticks)),
        (start + np.cumsum(random.integers(-1, 2, ticks))).astype(np.int32),
        random.integers(1, 60, ticks).astype(np.int32),
        random.choice([-1, 1], ticks).astype(np.int8),
    )


def test_advance_when_bar_is_worked_by_hand_then_every_field() -> None:
    stream = _stream()
    stream.advance(
        _trades((0, 101, 5, 1), (10, 100, 8, -1), (10, 100, 2, 0), (250, 102, 1, 1), (299, 101, 4, 1)), OPEN + 300 * S
    )
    (row,) = stream.rows
    assert (row["open_ns"], row["known_at"], row["seq"]) == (OPEN, OPEN + 300 * S, 5)
    assert [int(row[n]) for n in ("open", "high", "low", "close", "trades")] == [101, 102, 100, 101, 5]
    assert [int(row[n]) for n in ("volume", "bid_volume", "ask_volume")] == [20, 8, 10]
    assert [int(row[n]) for n in ("delta", "min_delta", "max_delta", "cumulative_delta")] == [2, -3, 5, 2]
    # Volumes 10, 9, 1 from 100 up: the control at 100 holds half, with 101 it is 19 of 20.
    assert [int(row[n]) for n in ("poc", "value_area_low", "value_area_high")] == [100, 100, 101]
    assert row["session_vwap"] == (1000 + 909 + 102) / 20
    assert stream.footprint(0).tolist() == [(100, 8, 0, 10), (101, 0, 9, 9), (102, 0, 1, 1)]


def test_advance_when_clock_reaches_the_end_then_bar_closes_without_a_tick() -> None:
    stream = _stream()
    stream.advance(_trades((1, 100, 1, 1)), OPEN + 300 * S - 1)
    assert len(stream.rows) == 0
    stream.advance(Trades.empty(), OPEN + 300 * S)
    assert stream.rows["known_at"].tolist() == [OPEN + 300 * S]


def test_advance_when_tick_is_at_the_end_then_it_belongs_to_the_next_bar() -> None:
    stream = _stream()
    stream.advance(_trades((299, 100, 1, 1), (300, 105, 2, 1)), OPEN + 300 * S)
    assert stream.rows["high"].tolist() == [100]
    assert stream.rows["seq"].tolist() == [1]


def test_advance_when_bars_have_no_trades_then_no_rows() -> None:
    stream = _stream()
    stream.advance(_trades((0, 100, 1, 1), (1_000, 100, 1, 1)), OPEN + 3_600 * S)
    assert ((stream.rows["open_ns"] - OPEN) // S).tolist() == [0, 900]


def test_advance_when_trading_is_overnight_then_grid_is_that_of_the_regular_open() -> None:
    stream = _stream(bar_s=3_600)
    stream.advance(_trades((-14 * 3_600, 100, 1, 1)), OPEN)
    assert stream.rows["open_ns"].tolist() == [OPEN - 14 * NS_PER_HOUR]
    assert stream.rows["cumulative_delta"].tolist() == [1]


@pytest.mark.parametrize("kind", ["time", "tick", "volume", "range"])
def test_advance_when_session_closes_then_open_bar_closes_at_the_close(kind: str) -> None:
    stream = _stream(kind=kind, bar_s=7_000)
    stream.advance(_trades((25_000, 100, 1, 1), (26_000, 101, 1, 1)), SESSION.close_ns - 1)
    assert len(stream.rows) == 0
    stream.advance(Trades.empty(), SESSION.close_ns)
    assert stream.rows["known_at"].tolist() == [SESSION.close_ns]
    assert stream.rows["seq"].tolist() == [2]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"kind": "tick", "bar_trades": 2}, [(2, 2), (4, 4)]),
        ({"kind": "volume", "bar_volume": 4}, [(2, 2), (3, 3)]),
        ({"kind": "range", "bar_range_ticks": 2}, [(3, 3), (5, 5)]),
    ],
)
def test_advance_when_bar_closes_with_a_tick_then_known_at_that_tick(
    settings: dict[str, Any], expected: list[tuple[int, int]]
) -> None:
    stream = _stream(**settings)
    stream.advance(_trades((1, 100, 1, 1), (2, 101, 4, 1), (3, 102, 4, -1), (4, 101, 1, 1), (5, 103, 1, 1)), OPEN + 6 * S)
    rows = stream.rows[:2]
    assert [((int(r["known_at"]) - OPEN) // S, int(r["seq"])) for r in rows] == expected


def test_start_session_when_called_then_rows_and_session_sums_are_new_and_old_rows_stay_with_their_holder() -> None:
    stream = _stream()
    stream.advance(_tape(), SESSION.close_ns)
    rows, candidates = stream.rows, stream.candidates
    kept = rows.tobytes(), candidates.tobytes()
    stream.advance(Trades.empty(), SESSION.close_ns)
    tomorrow = _session(DAY + 24 * NS_PER_HOUR)
    stream.start_session(tomorrow)
    assert len(stream.rows) == len(stream.candidates) == 0
    stream.advance(_tape(day=DAY + 24 * NS_PER_HOUR, seed=6), tomorrow.close_ns)
    assert stream.rows["cumulative_delta"][0] == stream.rows["delta"][0]
    assert stream.rows["seq"][-1] == 4_000
    assert (rows.tobytes(), candidates.tobytes()) == kept


def test_start_session_when_zones_were_ranked_before_then_absorption_is_warm_at_the_open() -> None:
    patterns = PatternConfig(absorption_warmup_bars=50, absorption_rank_frac=0.0, absorption_delta_frac=0.0)
    stream = OrderFlowStream(find_instrument("ES"), None, patterns)
    first = []
    for k in range(2):
        session = _session(DAY + k * 24 * NS_PER_HOUR)
        stream.start_session(session)
        stream.advance(_tape(day=DAY + k * 24 * NS_PER_HOUR, seed=k), session.close_ns)
        absorbed = np.isin(stream.candidates["pattern"], [Pattern.BUYING_ABSORPTION, Pattern.SELLING_ABSORPTION])
        first.append(int(stream.candidates["row"][absorbed][0]))
    assert first[0] >= 50
    assert first[1] < 50


def test_advance_when_ticks_are_earlier_than_promised_then_data_error_and_nothing_changes() -> None:
    stream = _stream()
    stream.advance(_trades((10, 100, 1, 1)), OPEN + 100 * S)
    with pytest.raises(DataError, match="promised complete"):
        stream.advance(_trades((99, 100, 1, 1)), OPEN + 300 * S)
    stream.advance(_trades((100, 100, 1, 1)), OPEN + 300 * S)
    assert stream.rows["trades"].tolist() == [2]


def test_advance_when_price_leaves_what_is_believed_then_data_error_names_the_range() -> None:
    stream = _stream(max_levels=5_000)
    with pytest.raises(DataError, match="ranged over 6001 ticks"):
        stream.advance(_trades((1, 20_000, 1, 1), (2, 14_000, 1, 1)), OPEN + 300 * S)


def test_advance_when_price_walks_far_within_a_bar_then_window_follows() -> None:
    stream = _stream()
    prices = [20_000, 20_900, 19_200, 26_000, 20_000]
    for k, price in enumerate(prices):
        stream.advance(_trades((k, price, k + 1, 1)), OPEN + k * S)
    assert stream.open_footprint()["volume"].nonzero()[0].tolist() == [0, 800, 1_700, 6_800]
    stream.advance(Trades.empty(), OPEN + 300 * S)
    levels = stream.footprint(0)
    assert levels[levels["volume"] > 0].tolist() == [
        (19_200, 0, 3, 3),
        (20_000, 0, 6, 6),
        (20_900, 0, 2, 2),
        (26_000, 0, 4, 4),
    ]
    assert stream.rows["session_poc"].tolist() == [20_000]


def test_footprint_when_bar_is_older_than_kept_then_not_found_says_what_is_kept() -> None:
    stream = _stream(kept_bars=2)
    stream.advance(_tape(), SESSION.close_ns)
    last = len(stream.rows) - 1
    assert len(stream.footprint(last - 1)) == stream.rows["high"][-2] - stream.rows["low"][-2] + 1
    with pytest.raises(NotFoundError, match=f"rows {last - 1}..{last}"):
        stream.footprint(last - 2)


def test_open_footprint_when_there_is_no_open_bar_then_empty() -> None:
    stream = _stream()
    assert len(stream.open_footprint()) == 0
    stream.advance(_trades((1, 100, 3, -1), (2, 102, 4, 0)), OPEN + 2 * S)
    assert stream.open_footprint().tolist() == [(100, 3, 0, 3), (101, 0, 0, 0), (102, 0, 0, 4)]


def test_unfinished_auctions_when_asked_for_an_earlier_row_then_only_what_was_known() -> None:
    stream = _stream()
    # Both sides at the high 102 in bar one; bar two trades there again on both sides, bar three stays below.
    stream.advance(
        _trades((0, 102, 1, 1), (1, 102, 1, -1), (2, 100, 5, -1), (300, 102, 2, 1), (301, 102, 1, -1), (302, 101, 1, 1)),
        OPEN + 600 * S,
    )
    stream.advance(_trades((600, 100, 1, 1)), OPEN + 900 * S)
    assert stream.rows["unfinished_high"].tolist() == [True, True, False]
    assert stream.unfinished_auctions(1).tolist() == [(102, 0, True)]
    assert stream.unfinished_auctions().tolist() == [(102, 1, True)]
    marks = stream.candidates[stream.candidates["pattern"] == Pattern.UNFINISHED_AUCTION]
    assert marks["side"].tolist() == [0, 0]


def test_advance_when_regime_is_known_then_router_has_judged_every_candidate() -> None:
    stream = _stream()
    stream.advance(_tape(40_000), SESSION.close_ns)
    candidates, rows = stream.candidates, stream.rows
    assert len(candidates)
    assert (candidates["regime"] == rows["regime"][candidates["row"]]).all()
    assert (candidates["known_at"] == rows["known_at"][candidates["row"]]).all()
    woken = np.unique(candidates["row"][candidates["gate"] == Gate.PASSED])
    assert np.flatnonzero(rows["wake"]).tolist() == woken.tolist()
    ends = rows["first_candidate"] + rows["candidates"]
    assert ends[-1] == len(candidates)
    assert rows["first_candidate"][1:].tolist() == ends[:-1].tolist()
    order = candidates["row"].astype(np.int64) * 16 + candidates["pattern"]
    assert (np.diff(order) > 0).all()  # by row, then by pattern, one of each


@pytest.mark.parametrize(("symbol", "key"), [("ESH4", "ES"), ("MNQZ5", "MNQ"), ("GC", "GC"), ("SPY", "equity")])
def test_minimums_of_when_symbol_is_known_then_of_its_root(symbol: str, key: str) -> None:
    assert PatternConfig().minimums_of(find_instrument(symbol)) == DEFAULT_MINIMUMS[key]


def test_minimums_of_when_user_adds_a_symbol_then_it_comes_first_and_the_others_stay() -> None:
    config = PatternConfig(minimums={"ESH4": {"imbalance": 1, "absorption": 2, "exhaustion": 3}})  # type: ignore[dict-item]
    assert config.minimums_of(find_instrument("ESH4")).imbalance == 1
    assert config.minimums_of(find_instrument("ESM4")).imbalance == 20


def test_minimums_of_when_nothing_fits_then_configuration_error_names_the_symbol() -> None:
    from dataclasses import replace

    odd = replace(find_instrument("ES"), symbol="6EH4", root="6E", asset_class=AssetClass.FUTURE)
    with pytest.raises(ConfigurationError, match="6EH4"):
        PatternConfig().minimums_of(odd)


def test_pattern_config_when_warmup_exceeds_history_then_refused() -> None:
    with pytest.raises(ValidationError, match="absorption_warmup_bars"):
        PatternConfig(absorption_warmup_bars=60)


def _outcome(footprint: FootprintConfig, patterns: PatternConfig) -> tuple[Any, ...]:
    stream = OrderFlowStream(find_instrument("ES"), footprint, patterns)
    stream.start_session(SESSION)
    try:
        stream.advance(_tape(), SESSION.close_ns)
    except DataError:
        return ("refused",)
    try:
        kept = stream.footprint(-2).tobytes()
    except NotFoundError:
        kept = b"gone"
    return stream.rows.tobytes(), stream.candidates.tobytes(), kept, stream.unfinished_auctions().tobytes()


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ({}, {"kind": "tick"}),
        ({}, {"bar_s": 60}),
        ({"kind": "tick"}, {"bar_trades": 500}),
        ({"kind": "volume"}, {"bar_volume": 500}),
        ({"kind": "range"}, {"bar_range_ticks": 5}),
        ({"bar_s": 420}, {"alignment": "epoch"}),
        ({}, {"value_area_frac": 0.5}),
        ({}, {"value_area_step_levels": 2}),
        ({}, {"kept_bars": 1}),
        ({}, {"max_levels": 2}),
    ],
)
def test_footprint_config_when_a_key_changes_then_the_result_changes(base: dict[str, Any], change: dict[str, Any]) -> None:
    before = _outcome(FootprintConfig(**base), PatternConfig())
    assert _outcome(FootprintConfig(**{**base, **change}), PatternConfig()) != before


@pytest.mark.parametrize(
    "change",
    [
        {"minimums": {"ES": {"imbalance": 60, "absorption": 150, "exhaustion": 150}}},
        {"minimums": {"ES": {"imbalance": 20, "absorption": 300, "exhaustion": 150}}},
        {"minimums": {"ES": {"imbalance": 20, "absorption": 150, "exhaustion": 300}}},
        {"imbalance_ratio": 30.0},
        {"imbalance_full_ratio": 90.0},
        {"zero_opposite_as_one": False},
        {"stacked_levels": 5},
        {"stacked_full_levels": 9},
        {"exhaustion_levels": 2},
        {"exhaustion_extreme_frac": 0.1},
        {"absorption_levels": 2},
        {"absorption_aggressor_frac": 0.9},
        {"absorption_delta_frac": 0.9},
        {"absorption_close_frac": 0.1},
        {"absorption_progress_ticks": 0},
        {"absorption_rank_frac": 0.95},
        {"absorption_history_bars": 20},
        {"absorption_warmup_bars": 40},
        {"divergence_swing_bars": 1},
        {"divergence_max_bars": 4},
        {"divergence_strength": 0.9},
        {"unfinished_kept": 1},
    ],
    ids=lambda c: next(iter(c)),
)
def test_pattern_config_when_a_key_changes_then_the_result_changes(change: dict[str, Any]) -> None:
    # Loose enough that the short tape shows absorption and exhaustion often.
    base = {
        "absorption_rank_frac": 0.5,
        "absorption_aggressor_frac": 0.5,
        "absorption_delta_frac": 0.01,
        "absorption_close_frac": 0.9,
        "exhaustion_extreme_frac": 0.6,
    }
    before = _outcome(FootprintConfig(), PatternConfig(**base))
    assert _outcome(FootprintConfig(), PatternConfig(**{**base, **change})) != before


def test_order_flow_stream_when_regime_and_router_are_given_then_they_decide() -> None:
    def gates(router: RouterConfig, news: tuple[tuple[int, int], ...] = ()) -> list[int]:
        stream = OrderFlowStream(find_instrument("ES"), None, None, RegimeConfig(open_edge_s=0), router, news)
        stream.start_session(SESSION)
        stream.advance(_tape(40_000), SESSION.close_ns)
        return stream.candidates["gate"].tolist()

    usual = gates(RouterConfig())
    assert Gate.PASSED in usual
    assert Gate.PASSED not in gates(RouterConfig(min_strength=1.0, min_confidence=1.0))
    assert set(gates(RouterConfig(), ((SESSION.open_ns, SESSION.close_ns),))) == {Gate.NO_TRADE}


def test_advance_when_ticks_are_real_then_first_bar_holds_the_opening_auction() -> None:
    shared = Path(os.environ.get("SOVEREIGN_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
    file = shared / "es_mbo_cme_20231225" / "ESH4_trades.parquet"
    if not file.exists():
        pytest.skip(f"real ticks are not at {file}; set SOVEREIGN_SHARED_DATA")
    polars = pytest.importorskip("polars")
    frame = polars.read_parquet(file)
    side = frame["side"].replace_strict({"B": 1, "A": -1, "N": 0}, return_dtype=polars.Int8).to_numpy()
    trades = Trades(
        frame["ts_event"].dt.epoch("ns").to_numpy().astype(np.int64),
        np.rint(frame["price"].to_numpy() * 4).astype(np.int32),
        frame["size"].to_numpy().astype(np.int32),
        np.ascontiguousarray(side),
    )
    opened = 1_703_545_200 * S  # 2023-12-25 23:00 UTC
    session = Session(
        calendar="CME_EQUITY",
        trade_date=date(2023, 12, 26),
        open_ns=opened,
        close_ns=opened + 23 * NS_PER_HOUR,
        regular_open_ns=opened + 15 * NS_PER_HOUR + 1_800 * S,
        regular_close_ns=opened + 22 * NS_PER_HOUR,
        zone="America/New_York",
    )
    stream = OrderFlowStream(find_instrument("ESH4"))
    stream.start_session(session)
    stream.advance(trades, opened + NS_PER_HOUR)
    rows = stream.rows
    assert len(rows) == 12
    assert rows["trades"].sum() == 2_973
    first = trades.ts < opened + 300 * S
    neutral = int(rows["volume"][0] - rows["bid_volume"][0] - rows["ask_volume"][0])
    assert neutral == 44  # the opening auction, 44 contracts without an aggressor
    assert rows["volume"][0] == trades.size[first].sum()
    assert rows["cumulative_delta"][-1] == trades.size[trades.side == 1].sum() - trades.size[trades.side == -1].sum()
