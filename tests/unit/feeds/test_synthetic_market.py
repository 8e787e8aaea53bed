"""What the synthetic market promises, measured on its output."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from pydantic import ValidationError

from sovereign.core.columns import Trades
from sovereign.core.errors import UsageError
from sovereign.core.instrument import find_instrument
from sovereign.core.session import NS_PER_MINUTE, NS_PER_SECOND, Session
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import SyntheticConfig, SyntheticMarket

ES = find_instrument("ES")
DAY = date(2025, 11, 20)


def _session(day: date = DAY, name: str = "CME_EQUITY") -> Session:
    session = calendar_for(name).session(day)
    assert session is not None
    return session


def _sessions(count: int) -> list[Session]:
    found = calendar_for("CME_EQUITY").sessions(date(2025, 1, 10), date(2025, 12, 31))
    return [s for s in found if not s.is_early_close][:count]


def _bytes(trades: Trades) -> bytes:
    columns = (trades.ts, trades.price, trades.size, trades.side, trades.bid, trades.ask)
    return b"".join(column.tobytes() for column in columns if column is not None)


def _market(seed: int = 1, **changed: object) -> SyntheticMarket:
    return SyntheticMarket(SyntheticConfig(**{"ticks_per_session": 20_000, **changed}), seed)


def test_session_when_generated_after_others_then_the_bytes_are_the_same() -> None:
    fresh = _market().session_trades(ES, _session())
    used = _market()
    used.session_trades(ES, _session(date(2025, 3, 3)))
    used.session_trades(find_instrument("NQ"), _session())
    assert _bytes(used.session_trades(ES, _session())) == _bytes(fresh)


def test_session_when_seed_date_or_product_differs_then_the_trades_differ() -> None:
    base = _bytes(_market().session_trades(ES, _session()))
    assert _bytes(_market(seed=2).session_trades(ES, _session())) != base
    assert _bytes(_market().session_trades(ES, _session(date(2025, 11, 21)))) != base
    assert _bytes(_market().session_trades(find_instrument("NQ"), _session())) != base


def test_session_when_contract_of_the_same_product_then_the_same_market() -> None:
    assert _bytes(_market().session_trades(find_instrument("ESZ5"), _session())) == _bytes(
        _market().session_trades(ES, _session())
    )


@pytest.mark.parametrize("is_null", [False, True])
def test_session_when_generated_then_columns_are_well_formed(is_null: bool) -> None:
    session = _session()
    trades = _market(is_null=is_null).session_trades(ES, session)
    assert trades.bid is not None
    assert trades.ask is not None
    assert len(trades) == 20_000
    assert (np.diff(trades.ts) >= 0).all()
    assert trades.ts[0] >= session.regular_open_ns
    assert trades.ts[-1] < session.regular_close_ns
    assert trades.size.min() >= 1
    assert set(np.unique(trades.side)) == {-1, 1}
    buyers = trades.side == 1
    assert (trades.price[buyers] == trades.ask[buyers]).all()
    assert (trades.price[~buyers] == trades.bid[~buyers]).all()
    spread = trades.ask - trades.bid
    assert (spread == 0).all() if is_null else ((spread >= 1) & (spread <= 3)).all()


def test_count_when_default_then_three_quarters_of_a_million() -> None:
    assert len(SyntheticMarket().session_trades(ES, _session())) == 750_000


def test_count_when_half_day_then_its_share() -> None:
    half = _market().session_trades(ES, _session(date(2025, 11, 28)))  # 09:30 to 13:00: 210 of 390 minutes
    assert len(half) == round(20_000 * 210 / 390)


def test_session_when_there_is_no_day_session_then_no_trades() -> None:
    trades = _market().session_trades(ES, _session(date(2026, 4, 3)))
    assert len(trades) == 0
    assert trades.bid is not None


def test_all_hours_when_session_has_a_holiday_halt_then_nothing_trades_in_it() -> None:
    session = _session(date(2025, 9, 2))  # Labor Day's trading and halt lie in this session
    trades = _market().session_trades(ES, session, "all")
    ((halt, resume),) = session.breaks
    assert not ((trades.ts >= halt) & (trades.ts < resume)).any()
    assert trades.ts[0] < halt
    assert trades.ts[0] >= session.open_ns
    assert trades.ts[-1] < session.close_ns
    regular = (trades.ts >= session.regular_open_ns) & (trades.ts < session.regular_close_ns)
    assert regular.mean() > 0.6


def test_hours_when_unknown_then_usage_error() -> None:
    with pytest.raises(UsageError, match="was 'night'"):
        _market().session_trades(ES, _session(), "night")  # type: ignore[arg-type]


def test_market_when_seed_is_negative_then_usage_error() -> None:
    with pytest.raises(UsageError, match="seed was -1"):
        SyntheticMarket(seed=-1)


def test_config_when_null_has_a_drift_then_refused() -> None:
    with pytest.raises(ValidationError, match="null market has no drift"):
        SyntheticConfig(is_null=True, drift_ticks=5.0)


def test_label_when_asked_then_it_says_simulated() -> None:
    assert _market().label.startswith("simulated")
    assert "null" in _market(is_null=True).label
    assert SyntheticMarket.is_simulated


CHANGES: dict[str, object] = {
    "is_null": True,
    "ticks_per_session": 19_000,
    "full_session_minutes": 300,
    "overnight_frac": 0.3,
    "full_night_minutes": 500,
    "start_ticks": 30_000,
    "overnight_volatility_ticks": 10.0,
    "overnight_memory_days": 20.0,
    "session_volatility_ticks": 80.0,
    "drift_ticks": 500.0,
    "regime_multipliers": (0.5, 2.0),
    "regime_minutes": 5.0,
    "open_activity": 4.0,
    "close_activity": 4.0,
    "edge_minutes": 60.0,
    "bin_ms": 500,
    "cluster_deviation": 0.2,
    "cluster_seconds": 60.0,
    "burst_factor": 8.0,
    "burst_every_seconds": 5.0,
    "burst_seconds": 3.0,
    "sweep_frac": 0.2,
    "same_side_frac": 0.5,
    "impact": 0.1,
    "wide_spread_frac": 0.2,
    "very_wide_frac": 0.9,
    "wide_trades": 20.0,
    "size_one_frac": 0.3,
    "size_tail": 3.0,
    "size_max": 10,
}


def test_config_when_listed_then_every_key_is_covered() -> None:
    assert set(CHANGES) == set(SyntheticConfig.model_fields)


@pytest.mark.parametrize("key", sorted(CHANGES))
def test_config_when_a_key_changes_then_the_market_changes(key: str) -> None:
    base = _market().session_trades(ES, _session(), "all")
    changed = _market(**{key: CHANGES[key]}).session_trades(ES, _session(), "all")
    assert _bytes(changed) != _bytes(base)


def test_sizes_when_counted_then_share_of_ones_and_tail_are_as_configured() -> None:
    trades = SyntheticMarket(SyntheticConfig(ticks_per_session=400_000)).session_trades(ES, _session())
    size = trades.size
    assert (size == 1).mean() == pytest.approx(0.65, abs=0.005)
    # P(size >= k) = 0.35 * (k / 2)**-1.7 for k >= 2
    for k in (2, 10, 50):
        assert (size >= k).mean() == pytest.approx(0.35 * (k / 2) ** -1.7, rel=0.1)
    assert size.max() <= 500


def test_sides_and_spread_when_counted_then_as_configured() -> None:
    trades = SyntheticMarket(SyntheticConfig(ticks_per_session=400_000)).session_trades(ES, _session())
    assert trades.bid is not None
    assert trades.ask is not None
    own = np.diff(trades.ts) > 0
    same = trades.side[1:] == trades.side[:-1]
    assert same[own].mean() == pytest.approx(0.70, abs=0.01)
    assert same[~own].all()
    assert (~own).mean() == pytest.approx(0.05, abs=0.005)
    spread = trades.ask - trades.bid
    assert (spread > 1).mean() == pytest.approx(0.05, abs=0.01)
    assert (spread[spread > 1] == 3).mean() == pytest.approx(0.15, abs=0.03)


def test_arrivals_when_counted_then_u_shaped_and_clustered() -> None:
    by_minute = np.zeros(390)
    excess, neighbors = [], []
    for session in _sessions(30):
        trades = _market(ticks_per_session=30_000).session_trades(ES, session)
        since_open = trades.ts - session.regular_open_ns
        by_minute += np.bincount(since_open // NS_PER_MINUTE, minlength=390)
        counts = np.bincount(since_open // NS_PER_SECOND, minlength=23_400).astype(float)
        excess.append(counts.var() / counts.mean())
        neighbors.append(np.corrcoef(counts[1:], counts[:-1])[0, 1])
    middle = by_minute[165:225].mean()
    assert by_minute[:10].mean() > 1.5 * middle
    assert by_minute[-10:].mean() > 1.4 * middle
    assert np.mean(excess) > 1.5  # 1 for a Poisson process
    assert np.mean(neighbors) > 0.15


def test_volatility_when_measured_over_sessions_then_as_configured_and_switching() -> None:
    moves, quiet_over_busy = [], []
    for session in _sessions(120):
        trades = _market(ticks_per_session=40_000, session_volatility_ticks=100.0).session_trades(ES, session)
        assert trades.bid is not None
        moves.append(float(trades.bid[-1]) - float(trades.bid[0]))
        steps = np.abs(np.diff(trades.bid)).astype(float)
        blocks = steps[: len(steps) // 50 * 50].reshape(50, -1).sum(axis=1)
        quiet_over_busy.append(np.quantile(blocks, 0.1) / np.quantile(blocks, 0.9))
    assert np.std(moves) == pytest.approx(100.0, rel=0.2)
    assert abs(np.mean(moves)) < 3 * 100 / np.sqrt(120)
    assert np.mean(quiet_over_busy) < 0.7


def test_drift_when_configured_then_sessions_rise_by_it_on_average() -> None:
    market = _market(ticks_per_session=40_000, session_volatility_ticks=50.0, drift_ticks=60.0)
    moves = []
    for session in _sessions(60):
        bid = market.session_trades(ES, session).bid
        assert bid is not None
        moves.append(float(bid[-1]) - float(bid[0]))
    assert np.mean(moves) == pytest.approx(60.0, abs=3 * 50 / np.sqrt(60))


def test_quotes_when_side_surprises_then_the_price_follows_at_once_but_not_later() -> None:
    # The surprise in a side moves the next quote; a trade decided on that side fills there and gains nothing afterwards.
    later, at_once = [], []
    for session in _sessions(10):
        trades = _market(ticks_per_session=100_000, sweep_frac=0.0, wide_spread_frac=0.0).session_trades(ES, session)
        assert trades.bid is not None
        bid, side = trades.bid.astype(float), trades.side.astype(float)
        surprise = side[1:-2] - 0.4 * side[:-3]
        at_once.append(np.mean(surprise * (bid[2:-1] - bid[1:-2])))
        later.append(np.mean(surprise * (bid[3:] - bid[2:-1])))
    assert np.mean(at_once) > 0.02
    assert abs(np.mean(later)) < 4 * np.std(later) / np.sqrt(len(later)) + 1e-4
