"""Planted bars hold their pattern by its definition, read here from the ticks without any detector."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from pydantic import ValidationError

from sovereign.core.columns import Trades
from sovereign.core.errors import UsageError
from sovereign.core.instrument import find_instrument
from sovereign.core.session import NS_PER_SECOND, Session
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import (
    PLANT_SIDE,
    Planted,
    PlantingConfig,
    SyntheticConfig,
    SyntheticMarket,
    footprint_of,
    plant,
    plant_all,
)
from sovereign.kernels.row import Pattern

ES = find_instrument("ES")
BAR = 300 * NS_PER_SECOND
AT = 30


@pytest.fixture(scope="module")
def session() -> Session:
    found = calendar_for("CME_EQUITY").session(date(2025, 11, 20))
    assert found is not None
    return found


@pytest.fixture(scope="module", params=[False, True], ids=["market", "null"])
def tape(request: pytest.FixtureRequest, session: Session) -> Trades:
    market = SyntheticMarket(SyntheticConfig(is_null=request.param, ticks_per_session=100_000), seed=3)
    return market.session_trades(ES, session)


class Footprint:
    """Sellers' and buyers' volume by price, as a plain dictionary each."""

    def __init__(self, trades: Trades, session: Session, bar: int) -> None:
        edges = session.regular_open_ns + BAR * np.array([bar, bar + 1])
        a, b = trades.ts.searchsorted(edges)
        self.bid: dict[int, int] = {}
        self.ask: dict[int, int] = {}
        for price, size, side in zip(trades.price[a:b], trades.size[a:b], trades.side[a:b], strict=True):
            levels = self.ask if side > 0 else self.bid
            levels[int(price)] = levels.get(int(price), 0) + int(size)
        self.high, self.low = int(trades.price[a:b].max()), int(trades.price[a:b].min())
        self.close = int(trades.price[b - 1])
        self.delta = sum(self.ask.values()) - sum(self.bid.values())

    def buy_ratio(self, price: int) -> float:
        return self.ask.get(price, 0) / max(self.bid.get(price - 1, 0), 1)

    def sell_ratio(self, price: int) -> float:
        return self.bid.get(price, 0) / max(self.ask.get(price + 1, 0), 1)


def _plant(tape: Trades, session: Session, pattern: Pattern, *, is_at_low: bool = False) -> tuple[Trades, Planted, Footprint]:
    trades, planted = plant(tape, session, pattern, AT, np.random.default_rng(1), is_at_low=is_at_low)
    return trades, planted, Footprint(trades, session, AT)


def test_buy_imbalance_when_planted_then_one_diagonal_exceeds_three_to_one(tape: Trades, session: Session) -> None:
    _, planted, bar = _plant(tape, session, Pattern.BUY_IMBALANCE)
    found = [p for p in range(bar.low, bar.high + 1) if bar.buy_ratio(p) >= 3 and bar.ask.get(p, 0) >= 20]
    assert found == [planted.price]
    assert planted.side == 1


def test_sell_imbalance_when_planted_then_one_diagonal_exceeds_three_to_one(tape: Trades, session: Session) -> None:
    _, planted, bar = _plant(tape, session, Pattern.SELL_IMBALANCE)
    found = [p for p in range(bar.low, bar.high + 1) if bar.sell_ratio(p) >= 3 and bar.bid.get(p, 0) >= 20]
    assert found == [planted.price]
    assert planted.side == -1


def test_stacked_imbalance_when_planted_then_four_neighbors_and_the_outermost_is_named(tape: Trades, session: Session) -> None:
    _, planted, bar = _plant(tape, session, Pattern.STACKED_BUY_IMBALANCE)
    found = [p for p in range(bar.low, bar.high + 1) if bar.buy_ratio(p) >= 3]
    assert found == list(range(planted.price - 3, planted.price + 1))
    _, planted, bar = _plant(tape, session, Pattern.STACKED_SELL_IMBALANCE)
    found = [p for p in range(bar.low, bar.high + 1) if bar.sell_ratio(p) >= 3]
    assert found == list(range(planted.price, planted.price + 4))


def test_exhaustion_when_planted_then_aggressors_decline_strictly_to_the_extreme(tape: Trades, session: Session) -> None:
    _, planted, bar = _plant(tape, session, Pattern.BUYING_EXHAUSTION)
    zone = [bar.ask[p] for p in range(bar.high - 3, bar.high + 1)]
    assert zone == sorted(zone, reverse=True)
    assert len(set(zone)) == 4
    assert zone[-1] <= 0.3 * zone[0]
    assert sum(zone) >= 150
    assert (planted.price, planted.side) == (bar.high, -1)
    _, planted, bar = _plant(tape, session, Pattern.SELLING_EXHAUSTION)
    zone = [bar.bid[p] for p in range(bar.low, bar.low + 4)]
    assert zone == sorted(zone)
    assert zone[0] <= 0.3 * zone[-1]
    assert (planted.price, planted.side) == (bar.low, 1)


@pytest.mark.parametrize("pattern", [Pattern.SELLING_ABSORPTION, Pattern.BUYING_ABSORPTION])
def test_absorption_when_planted_then_heavy_one_sided_zone_and_the_close_turned(
    tape: Trades, session: Session, pattern: Pattern
) -> None:
    _, planted, bar = _plant(tape, session, pattern)
    is_high = pattern is Pattern.SELLING_ABSORPTION
    zone = range(bar.high - 2, bar.high + 1) if is_high else range(bar.low, bar.low + 3)
    bought = sum(bar.ask.get(p, 0) for p in zone)
    sold = sum(bar.bid.get(p, 0) for p in zone)
    active = bought if is_high else sold
    assert active >= 0.6 * (bought + sold)
    assert abs(bought - sold) >= 0.3 * (bought + sold)
    middle = (bar.high + bar.low) / 2
    assert bar.close < middle if is_high else bar.close > middle
    assert planted.price == (bar.high if is_high else bar.low)
    assert planted.side == (-1 if is_high else 1)
    earlier = []
    for k in range(AT):
        old = Footprint(tape, session, k)
        lows = range(old.low, old.high - 1)
        earlier += [sum(old.ask.get(p, 0) + old.bid.get(p, 0) for p in range(low, low + 3)) for low in lows]
    assert bought + sold > max(earlier)


@pytest.mark.parametrize("is_at_low", [False, True])
def test_divergence_when_planted_then_price_and_cumulative_delta_part_at_two_swings(
    tape: Trades, session: Session, is_at_low: bool
) -> None:
    trades, planted, _ = _plant(tape, session, Pattern.DELTA_DIVERGENCE, is_at_low=is_at_low)
    bars = {k: Footprint(trades, session, k) for k in range(AT - 5, AT + 3)}
    sign = -1 if is_at_low else 1
    extreme = {k: sign * (b.low if is_at_low else b.high) for k, b in bars.items()}
    other_end = [sign * (b.high if is_at_low else b.low) for b in bars.values()]
    for swing in (AT - 3, AT):
        assert all(extreme[swing] > extreme[swing + k] for k in (-2, -1, 1, 2) if swing + k in extreme)
    assert extreme[AT] > extreme[AT - 3]
    assert sign * sum(bars[k].delta for k in range(AT - 2, AT + 1)) < 0
    assert other_end == sorted(other_end)
    assert planted.side == (1 if is_at_low else -1)
    assert planted.known_bar == AT + 2
    assert planted.known_at == session.regular_open_ns + (AT + 3) * BAR
    assert planted.price == sign * extreme[AT]


@pytest.mark.parametrize("is_at_low", [False, True])
def test_unfinished_auction_when_planted_then_both_sides_traded_at_one_end_only(
    tape: Trades, session: Session, is_at_low: bool
) -> None:
    _, planted, bar = _plant(tape, session, Pattern.UNFINISHED_AUCTION, is_at_low=is_at_low)
    open_end, closed_end = (bar.low, bar.high) if is_at_low else (bar.high, bar.low)
    assert bar.bid.get(open_end, 0) > 0
    assert bar.ask.get(open_end, 0) > 0
    assert 0 in (bar.bid.get(closed_end, 0), bar.ask.get(closed_end, 0))
    assert (planted.price, planted.side) == (open_end, 0)


@pytest.mark.parametrize("pattern", list(Pattern))
def test_plant_when_done_then_the_rest_of_the_tape_goes_on(tape: Trades, session: Session, pattern: Pattern) -> None:
    trades, _, _ = _plant(tape, session, pattern)
    before, after = footprint_of(pattern)
    edges = session.regular_open_ns + BAR * np.array([AT - before, AT + after + 1])
    old, new = tape.ts.searchsorted(edges), trades.ts.searchsorted(edges)
    assert tape.bid is not None
    assert trades.bid is not None
    assert trades.ask is not None
    assert (np.diff(trades.ts) >= 0).all()
    for name in ("ts", "price", "size", "side", "bid", "ask"):
        assert (getattr(trades, name)[: new[0]] == getattr(tape, name)[: old[0]]).all()
    for name in ("ts", "size", "side"):
        assert (getattr(trades, name)[new[1] :] == getattr(tape, name)[old[1] :]).all()
    for name in ("price", "bid", "ask"):
        assert len(np.unique(getattr(trades, name)[new[1] :] - getattr(tape, name)[old[1] :])) == 1
    # No jump at either seam beyond what the tape itself does there.
    assert abs(int(trades.price[new[0]]) - int(trades.price[new[0] - 1])) == 0
    assert trades.price[new[1]] - trades.price[new[1] - 1] == tape.price[old[1]] - tape.price[old[1] - 1]
    inside = slice(new[0], new[1])
    assert np.abs(np.diff(trades.price[inside])).max() <= 1
    buyers = trades.side[inside] > 0
    assert (trades.price[inside][buyers] == trades.ask[inside][buyers]).all()
    assert (trades.price[inside][~buyers] == trades.bid[inside][~buyers]).all()
    assert trades.size.min() >= 1


def test_plant_when_the_tape_has_no_quotes_then_none_are_made_up(tape: Trades, session: Session) -> None:
    bare = Trades(tape.ts, tape.price, tape.size, tape.side)
    trades, _, _ = _plant(bare, session, Pattern.BUY_IMBALANCE)
    assert trades.bid is None
    assert trades.ask is None


def test_plant_when_the_first_bar_then_it_fits(tape: Trades, session: Session) -> None:
    trades, planted = plant(tape, session, Pattern.BUY_IMBALANCE, 0, np.random.default_rng(1))
    assert Footprint(trades, session, 0).buy_ratio(planted.price) >= 3


@pytest.mark.parametrize(
    ("pattern", "bar"), [(Pattern.BUY_IMBALANCE, 78), (Pattern.BUY_IMBALANCE, -1), (Pattern.DELTA_DIVERGENCE, 4)]
)
def test_plant_when_the_bar_does_not_fit_then_usage_error(tape: Trades, session: Session, pattern: Pattern, bar: int) -> None:
    with pytest.raises(UsageError, match=f"bar was {bar}"):
        plant(tape, session, pattern, bar, np.random.default_rng(1))


def test_plant_when_the_tape_is_empty_then_usage_error(session: Session) -> None:
    with pytest.raises(UsageError, match="tape was empty"):
        plant(Trades.empty(), session, Pattern.BUY_IMBALANCE, 3, np.random.default_rng(1))


def test_plant_all_when_two_need_one_bar_then_usage_error(tape: Trades, session: Session) -> None:
    plan = [(Pattern.DELTA_DIVERGENCE, 30), (Pattern.BUY_IMBALANCE, 26)]
    with pytest.raises(UsageError, match="needs bar 26, which BUY_IMBALANCE has"):
        plant_all(tape, session, plan, np.random.default_rng(1))


def test_planted_session_when_asked_twice_then_the_same_bytes(session: Session) -> None:
    market = SyntheticMarket(SyntheticConfig(ticks_per_session=20_000), seed=3)
    plan = [(Pattern.BUY_IMBALANCE, 40), (Pattern.SELLING_EXHAUSTION, 10)]
    first, planted = market.planted_session(ES, session, plan)
    second, again = market.planted_session(ES, session, plan)
    assert first.ts.tobytes() + first.price.tobytes() == second.ts.tobytes() + second.price.tobytes()
    assert planted == again
    assert [p.bar for p in planted] == [10, 40]


def test_sides_when_listed_then_every_pattern_has_one() -> None:
    assert set(PLANT_SIDE) == set(Pattern)


CHANGES = {
    "bar_s": (Pattern.BUY_IMBALANCE, 60),
    "levels": (Pattern.BUY_IMBALANCE, 30),
    "level_volume": (Pattern.BUY_IMBALANCE, 300),
    "trade_size": (Pattern.BUY_IMBALANCE, 9),
    "imbalance_ratio": (Pattern.BUY_IMBALANCE, 5.0),
    "stacked_levels": (Pattern.STACKED_BUY_IMBALANCE, 3),
    "exhaustion_levels": (Pattern.BUYING_EXHAUSTION, 3),
    "exhaustion_frac": (Pattern.BUYING_EXHAUSTION, 0.2),
    "absorption_levels": (Pattern.BUYING_ABSORPTION, 5),
    "absorption_aggressor_frac": (Pattern.BUYING_ABSORPTION, 0.7),
    "absorption_factor": (Pattern.BUYING_ABSORPTION, 3.0),
    "absorption_bars": (Pattern.BUYING_ABSORPTION, 1),
    "unfinished_volume": (Pattern.UNFINISHED_AUCTION, 5),
    "swing_bars": (Pattern.DELTA_DIVERGENCE, 3),
    "swing_ticks": (Pattern.DELTA_DIVERGENCE, 12),
}


def test_planting_config_when_listed_then_every_key_is_covered() -> None:
    assert set(CHANGES) == set(PlantingConfig.model_fields)


@pytest.mark.parametrize("key", sorted(CHANGES))
def test_planting_config_when_a_key_changes_then_the_tape_changes(tape: Trades, session: Session, key: str) -> None:
    pattern, value = CHANGES[key]
    made = []
    for config in (PlantingConfig(), PlantingConfig.model_validate({key: value})):
        trades, _ = plant(tape, session, pattern, AT, np.random.default_rng(1), config)
        made.append(trades.ts.tobytes() + trades.price.tobytes() + trades.size.tobytes() + trades.side.tobytes())
    assert made[0] != made[1]


def test_planting_config_when_swings_are_too_low_then_refused() -> None:
    with pytest.raises(ValidationError, match="must exceed swing_bars"):
        PlantingConfig(swing_bars=5, swing_ticks=4)
