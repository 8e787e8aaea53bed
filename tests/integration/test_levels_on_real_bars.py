"""How often recorded 5-minute bars are at a level: the figures of docs/concepts/lossless.md."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from sovereign.core.columns import Bars
from sovereign.core.instrument import find_instrument
from sovereign.feeds.bars import path_of
from sovereign.feeds.calendar import calendar_for
from sovereign.signals.lossless import LevelConfig, LosslessStream


def rows_of(shared_data, symbol, search):
    import polars as pl

    file = shared_data / "us_equity_5m_2025_2026" / f"{symbol}_5m.parquet"
    if not file.is_file():
        pytest.skip(f"{file.name} was not found in {file.parent}")
    frame = pl.read_parquet(file).sort("ts")
    prices = [(frame[name] * 100).round().cast(pl.Int32).to_numpy() for name in ("open", "high", "low", "close")]
    bars = Bars(frame["ts"].dt.epoch("ns").to_numpy() + 300 * 10**9, *prices, frame["volume"].cast(pl.Int64).to_numpy())
    stream, rows = LosslessStream(find_instrument(symbol), 300, LevelConfig(search=search)), []
    for session in calendar_for("XNYS").sessions(date(2025, 5, 12), date(2026, 3, 12)):
        first, last = np.searchsorted(bars.ts, [session.regular_open_ns, session.regular_close_ns], side="right")
        if first < last:
            stream.start_session(session)
            stream.advance(path_of(bars.slice(first, last), 300), session.close_ns)
            rows.append(stream.rows.copy())
    found = np.concatenate(rows)
    return found[found["granularity"] > 0]


@pytest.mark.parametrize(("symbol", "share"), [("SPY", 0.2848), ("NVDA", 0.3145)])
def test_bars_when_recorded_then_a_meaningful_share_is_at_a_level_on_both_sides(shared_data, symbol, share):
    rows = rows_of(shared_data, symbol, "touched")
    assert len(rows) > 15_000
    assert (rows["at_support"] | rows["at_resistance"]).mean() == pytest.approx(share, abs=0.00005)
    for side in ("at_support", "at_resistance", "is_bounce", "is_rejection"):
        assert rows[side].mean() > 0.1, side
    held = rows["is_held"]
    assert (held & (rows["setup"] > 0)).sum() >= 15
    assert (held & (rows["setup"] < 0)).sum() >= 15


@pytest.mark.parametrize("symbol", ["SPY", "NVDA"])
def test_bars_when_the_whole_span_is_searched_then_no_support_is_ever_met(shared_data, symbol):
    rows = rows_of(shared_data, symbol, "whole")
    assert rows["at_support"].mean() == 0.0
    assert 0.005 < rows["at_resistance"].mean() < 0.05
