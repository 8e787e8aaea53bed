"""Footprint bars against a plain reference that keeps dictionaries and lists, one bar at a time."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import pytest

from sovereign.core.columns import Trades
from sovereign.core.instrument import find_instrument
from sovereign.core.session import NS_PER_SECOND, Session
from sovereign.signals.order_flow import FootprintConfig, OrderFlowStream

OPEN = 1_700_000_000 * NS_PER_SECOND
SESSION = Session(
    calendar="CME_EQUITY",
    trade_date=date(2023, 11, 14),
    open_ns=OPEN,
    close_ns=OPEN + 4_000 * NS_PER_SECOND,  # no multiple of the bar: the close cuts the last one
    regular_open_ns=OPEN + 450 * NS_PER_SECOND,
    regular_close_ns=OPEN + 3_900 * NS_PER_SECOND,
    zone="America/New_York",
)


def _tape(seed: int, ticks: int) -> Trades:
    random = np.random.default_rng(seed)
    ts = np.sort(random.integers(OPEN, SESSION.close_ns, ticks)) // 10**8 * 10**8  # many equal times
    ts = ts[(ts < OPEN + 1_000 * NS_PER_SECOND) | (ts > OPEN + 1_800 * NS_PER_SECOND)]  # and a gap of more than two bars
    ticks = len(ts)
    return Trades(
        ts,
        (20_000 + np.cumsum(random.integers(-1, 2, ticks))).astype(np.int32),
        random.integers(1, 30, ticks).astype(np.int32),
        random.choice([-1, -1, 1, 1, 0], ticks).astype(np.int8),
    )


def _bars(trades: Trades, config: FootprintConfig) -> Iterator[tuple[list[int], int, int]]:
    # (indices of the ticks, open time, close time)
    ticks: list[int] = []
    if config.kind == "time":
        length = config.bar_s * NS_PER_SECOND
        anchor = SESSION.regular_open_ns if config.alignment == "regular_open" else 0
        bins = (trades.ts - anchor) // length
        for number in np.unique(bins):
            start = anchor + int(number) * length
            yield np.flatnonzero(bins == number).tolist(), start, min(start + length, SESSION.close_ns)
        return
    for i in range(len(trades)):
        ticks.append(i)
        price = trades.price[ticks]
        reached = {
            "tick": len(ticks) >= config.bar_trades,
            "volume": int(trades.size[ticks].sum()) >= config.bar_volume,
            "range": int(price.max()) - int(price.min()) >= config.bar_range_ticks,
        }
        if reached[config.kind]:
            yield ticks, int(trades.ts[ticks[0]]), int(trades.ts[i])
            ticks = []
    if ticks:
        yield ticks, int(trades.ts[ticks[0]]), SESSION.close_ns


def _profile(volume: dict[int, int]) -> tuple[int, int, int]:
    low, high = min(volume), max(volume)
    middle = (low + high) / 2
    most = max(volume.values())
    poc = min((p for p in volume if volume[p] == most), key=lambda p: (abs(p - middle), p))
    bottom = top = poc
    while sum(volume.get(p, 0) for p in range(bottom, top + 1)) < 0.7 * sum(volume.values()):
        above = volume.get(top + 1, 0) if top < high else -1
        below = volume.get(bottom - 1, 0) if bottom > low else -1
        top, bottom = top + (above >= below), bottom - (below >= above)
    return poc, bottom, top


def _reference(trades: Trades, config: FootprintConfig) -> list[dict[str, Any]]:
    rows = []
    session: dict[int, int] = defaultdict(int)
    cumulative = 0
    for ticks, open_ns, close_ns in _bars(trades, config):
        price, size, side = (c[ticks].astype(np.int64) for c in (trades.price, trades.size, trades.side))
        volume: dict[int, int] = defaultdict(int)
        for p, q in zip(price.tolist(), size.tolist(), strict=True):
            volume[p] += q
            session[p] += q
        running = np.cumsum(size * side)
        cumulative += int(running[-1])
        poc, area_low, area_high = _profile(volume)
        session_poc, session_low, session_high = _profile(session)
        rows.append(
            {
                "known_at": close_ns,
                "seq": ticks[-1] + 1,
                "open_ns": open_ns,
                "open": price[0],
                "high": price.max(),
                "low": price.min(),
                "close": price[-1],
                "trades": len(ticks),
                "volume": size.sum(),
                "bid_volume": size[side < 0].sum(),
                "ask_volume": size[side > 0].sum(),
                "delta": running[-1],
                "min_delta": running.min(),
                "max_delta": running.max(),
                "cumulative_delta": cumulative,
                "poc": poc,
                "value_area_low": area_low,
                "value_area_high": area_high,
                "session_poc": session_poc,
                "session_value_area_low": session_low,
                "session_value_area_high": session_high,
                "session_vwap": sum(p * q for p, q in session.items()) / sum(session.values()),
            }
        )
    return rows


@pytest.mark.parametrize(
    "config",
    [
        FootprintConfig(bar_s=300),
        FootprintConfig(bar_s=300, alignment="epoch"),
        FootprintConfig(bar_s=60),
        FootprintConfig(kind="tick", bar_trades=37),
        FootprintConfig(kind="volume", bar_volume=700),
        FootprintConfig(kind="range", bar_range_ticks=5),
    ],
    ids=lambda c: f"{c.kind}-{c.alignment}-{c.bar_s}",
)
@pytest.mark.parametrize("seed", [1, 2])
def test_advance_when_tape_is_random_then_rows_equal_the_reference(config: FootprintConfig, seed: int) -> None:
    trades = _tape(seed, 3_000)
    stream = OrderFlowStream(find_instrument("ES"), config)
    stream.start_session(SESSION)
    stream.advance(trades, SESSION.close_ns)
    expected = _reference(trades, config)
    assert len(stream.rows) == len(expected)
    for name in expected[0]:
        assert stream.rows[name].tolist() == [row[name] for row in expected], name


def test_footprint_when_bar_is_kept_then_levels_equal_the_reference() -> None:
    trades = _tape(3, 3_000)
    config = FootprintConfig(kind="tick", bar_trades=100, kept_bars=7)
    stream = OrderFlowStream(find_instrument("ES"), config)
    stream.start_session(SESSION)
    stream.advance(trades, SESSION.close_ns)
    bars = list(_bars(trades, config))
    for back in range(1, 8):
        ticks = bars[-back][0]
        price, size, side = trades.price[ticks], trades.size[ticks], trades.side[ticks]
        levels = stream.footprint(-back)
        assert levels["price"].tolist() == list(range(price.min(), price.max() + 1))
        for level in levels:
            here = price == level["price"]
            assert level["bid"] == size[here & (side < 0)].sum()
            assert level["ask"] == size[here & (side > 0)].sum()
            assert level["volume"] == size[here].sum()
