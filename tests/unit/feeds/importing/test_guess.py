"""Guesses about columns, symbols and bar widths, from the headers that vendors document."""

from __future__ import annotations

import pytest

from sovereign.core.errors import UsageError
from sovereign.feeds.importing.guess import guess_columns, guess_seconds, guess_symbol

DATABENTO = [
    *("ts_recv", "ts_event", "rtype", "publisher_id", "instrument_id", "action", "side", "depth", "price", "size", "flags"),
    *("ts_in_delta", "sequence", "symbol"),
]
POLYGON = [
    "ticker",
    "conditions",
    "exchange",
    "id",
    "participant_timestamp",
    "price",
    "sequence_number",
    "sip_timestamp",
    "size",
]


@pytest.mark.parametrize(
    ("header", "kind", "expected"),
    [
        (DATABENTO, "trades", {"ts": "ts_event", "price": "price", "size": "size", "side": "side", "symbol": "symbol"}),
        (
            POLYGON,
            "trades",
            {"ts": "sip_timestamp", "price": "price", "size": "size", "trade_id": "id", "symbol": "ticker"},
        ),
        (
            ["id", "price", "qty", "quote_qty", "time", "is_buyer_maker"],
            "trades",
            {"ts": "time", "price": "price", "size": "qty", "is_buyer_maker": "is_buyer_maker", "trade_id": "id"},
        ),
        (
            ["DATE", "TIME", "BID", "ASK", "LAST", "VOLUME", "FLAGS"],
            "trades",
            {"ts": "DATE", "clock": "TIME", "price": "LAST", "size": "VOLUME", "bid": "BID", "ask": "ASK"},
        ),
        (
            ["DATE", "TIME", "OPEN", "HIGH", "LOW", "CLOSE", "TICKVOL", "VOL", "SPREAD"],
            "bars",
            {"ts": "DATE", "clock": "TIME", "open": "OPEN", "close": "CLOSE", "volume": "VOL"},
        ),
        (
            ["Date", "Open", "High", "Low", "Close", "Adj Close", "Volume"],
            "bars",
            {"ts": "Date", "close": "Close", "volume": "Volume"},
        ),
        (["ts", "bid_px", "bid_sz", "ask_px", "ask_sz"], "quotes", {"bid": "bid_px", "bid_size": "bid_sz"}),
    ],
)
def test_guess_when_header_is_a_vendors_then_kind_and_columns(header: list[str], kind: str, expected: dict[str, str]) -> None:
    found, mapping = guess_columns(header, {}, None)
    assert found == kind
    assert {n: mapping.get(n) for n in expected} == expected


def test_guess_when_overridden_then_the_override_wins() -> None:
    assert guess_columns(["ts", "price", "size", "mid"], {"price": "mid"}, None)[1]["price"] == "mid"


@pytest.mark.parametrize(
    ("header", "overrides", "message"),
    [
        (["time", "foo"], {}, r"columns found were time, foo; trades need ts, price, size and price, size were not"),
        (["ts", "price", "size"], {"prise": "price"}, r"did you mean 'price'"),
        (["ts", "price", "size"], {"price": "pric"}, r"--map column was 'pric' \(did you mean 'price'\?\)"),
    ],
)
def test_guess_when_it_cannot_be_then_usage_error(header: list[str], overrides: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        guess_columns(header, overrides, None)


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("ESH4_trades.parquet", "ESH4"),
        ("esh4-glbx-mdp3-20231225.mbo.dbn.zst", "ESH4"),
        ("glbx-mdp3-20231225.NQM24.trades.csv", "NQM24"),
        ("SPY_trades_20131007.parquet", "SPY"),
        ("spy.csv", "SPY"),
        ("ticks ES.txt", "ES"),
        ("trades_20240101.csv", None),
        ("EURUSD_H1.parquet", "EURUSD"),
    ],
)
def test_symbol_when_in_the_file_name_then_found(name: str, symbol: str | None) -> None:
    assert guess_symbol(name) == symbol


@pytest.mark.parametrize(
    ("name", "kind", "seconds"),
    [
        ("SPY_1m.parquet", None, 60),
        ("AAPL_1h.parquet", None, 3600),
        ("SPY_1d.parquet", None, 86_400),
        ("US500_M15.csv", None, 900),
        ("BAC_1s_trade.parquet", None, 1),
        ("SPY.csv", "bars-300", 300),
        ("SPY.csv", None, None),
        ("ESM1_trades.csv", None, None),
    ],
)
def test_width_when_named_then_seconds(name: str, kind: str | None, seconds: int | None) -> None:
    assert guess_seconds(name, kind) == seconds
