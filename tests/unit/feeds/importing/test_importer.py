"""Files as vendors write them, to integer columns; expected values worked by hand."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import zstandard

from sovereign.core.columns import NO_QUOTE, Bars, Quotes, Trades
from sovereign.core.errors import CorruptFileError, NotFoundError, UsageError
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.importing.importer import Imported, import_file
from sovereign.feeds.importing.table import AggressorRule, BarStamp, ImportConfiguration, ImportOptions

NS = 10**9
NOON = 1_709_661_600  # 2024-03-05 18:00:00 UTC, 13:00 New York, a Tuesday


def load(path: Path, text: str, name: str = "ESH4.csv", **options: object) -> Imported:
    file = path / name
    file.write_text(text)
    return import_file(file, ImportOptions(**options), calendar_for)  # type: ignore[arg-type]


def trades_of(imported: Imported) -> Trades:
    rows = imported.parts[0].rows
    assert isinstance(rows, Trades)
    return rows


def test_csv_when_databento_trades_then_sides_and_ticks(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,ts_in_delta,sequence,symbol\n"
        f"{NOON}000000100,{NOON}000000001,0,1,17077,T,A,0,5100250000000,2,0,1,1,ESH4\n"
        f"{NOON}000000200,{NOON}000000002,0,1,17077,T,B,0,5100500000000,3,0,1,1,ESH4\n"
        f"{NOON}000000300,{NOON}000000003,0,1,17077,A,B,0,5100500000000,3,0,1,1,ESH4\n"
        f"{NOON}000000400,{NOON}000000004,0,1,17077,T,N,0,5100500000000,1,0,1,1,ESH4\n",
        "glbx.csv",
    )
    rows = trades_of(found)
    assert rows.ts.tolist() == [NOON * NS + 1, NOON * NS + 2, NOON * NS + 4]
    assert rows.price.tolist() == [20_401, 20_402, 20_402]
    assert rows.side.tolist() == [-1, 1, 0]
    assert found.parts[0].aggressor == "as given"
    assert found.parts[0].trade_date == date(2024, 3, 5)
    assert found.notes == ["1 rows of the file are not trades (action other than T)"]


def test_csv_when_metatrader_ticks_then_two_columns_of_time_and_quote_rule(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\n"
        "2024.03.05\t18:00:00.100\t5100.00\t5100.50\t5100.50\t2\t88\n"
        "2024.03.05\t18:00:00.200\t5100.00\t5100.50\t5100.00\t1\t88\n"
        "2024.03.05\t18:00:00.300\t5100.00\t5100.50\t5100.25\t4\t88\n",
        "ES_ticks.csv",
    )
    rows = trades_of(found)
    assert rows.ts.tolist() == [NOON * NS + k * 100_000_000 for k in (1, 2, 3)]
    assert rows.side.tolist() == [1, -1, 1]  # the last is at the midpoint: up from 5100.00
    assert rows.bid is not None
    assert rows.bid.tolist() == [20_400] * 3
    assert found.parts[0].aggressor == "quote rule, tick rule at the midpoint"


def test_csv_when_binance_without_header_then_maker_flag_is_the_side(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        f"1001,170.10,5,850.5,{NOON}123,True,True\n1002,170.11,7,1190.7,{NOON}124,False,True\n",
        "AAPL.csv",
    )
    rows = trades_of(found)
    assert rows.ts.tolist() == [NOON * NS + 123_000_000, NOON * NS + 124_000_000]
    assert (rows.price.tolist(), rows.size.tolist(), rows.side.tolist()) == ([17_010, 17_011], [5, 7], [-1, 1])
    assert "Binance" in found.guesses["format"]


def test_csv_when_sierra_ticks_then_side_from_bid_and_ask_volume(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "Date, Time, Open, High, Low, Last, Volume, NumberOfTrades, BidVolume, AskVolume\n"
        "2024/3/5, 18:00:00.000, 0, 5100.50, 5100.25, 5100.50, 3, 1, 0, 3\n"
        "2024/3/5, 18:00:00.001, 0, 5100.50, 5100.25, 5100.25, 2, 1, 2, 0\n",
        "ESH4.txt",
    )
    rows = trades_of(found)
    assert (rows.side.tolist(), rows.size.tolist(), rows.price.tolist()) == ([1, -1], [3, 2], [20_402, 20_401])
    assert rows.ask is not None
    assert rows.ask.tolist() == [20_402, 20_402]


def test_csv_when_ninjatrader_ticks_then_hundreds_of_ns(tmp_path: Path) -> None:
    found = load(tmp_path, "20240305 180000 1234567;5100.25;5100.00;5100.25;9\n", "ES.txt")
    rows = trades_of(found)
    assert rows.ts.tolist() == [NOON * NS + 123_456_700]
    assert (rows.size.tolist(), rows.side.tolist()) == ([9], [1])


def test_csv_when_decimal_commas_then_read(tmp_path: Path) -> None:
    found = load(tmp_path, "time;price;size\n2024-03-05 18:00:00;5100,25;1\n2024-03-05 18:00:01;5100,5;2\n")
    assert trades_of(found).price.tolist() == [20_401, 20_402]


def test_csv_when_mapped_by_hand_then_the_columns_named(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "when,what,how_much\n2024-03-05 13:00:00,5100.25,1\n",
        columns={"ts": "when", "price": "what", "size": "how_much"},
        zone="America/New_York",
    )
    assert trades_of(found).ts.tolist() == [NOON * NS]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_csv_when_compressed_then_the_same(tmp_path: Path, pack: object) -> None:
    text = f"ts,price,size\n{NOON},5100.25,1\n"
    (tmp_path / "ESH4.csv.x").write_bytes(pack(text.encode()))  # type: ignore[operator]
    found = import_file(tmp_path / "ESH4.csv.x", ImportOptions(), calendar_for)
    assert trades_of(found).price.tolist() == [20_401]


def test_bars_when_stamped_with_the_open_then_kept_with_the_close(tmp_path: Path) -> None:
    text = f"timestamp,open,high,low,close,volume\n{NOON},10.00,10.50,9.99,10.25,100\n{NOON + 60},10.25,10.30,10.20,10.21,5\n"
    for stamp, shift in ((BarStamp.OPEN, 60), (BarStamp.CLOSE, 0)):
        part = load(tmp_path, text, "SPY.csv", stamp=stamp).parts[0]
        assert part.kind == "bars-60"
        assert isinstance(part.rows, Bars)
        assert part.rows.ts.tolist() == [(NOON + shift) * NS, (NOON + 60 + shift) * NS]
        assert part.rows.high.tolist() == [1_050, 1_030]
        assert part.aggressor == "none"


def test_quotes_when_one_side_a_row_then_the_other_is_carried_forward(tmp_path: Path) -> None:
    text = f"ts,bid,bid_size,ask,ask_size\n{NOON},,,14.02,500\n{NOON + 1},13.84,700,,\n{NOON + 2},,,13.95,200\n"
    part = load(tmp_path, text, "BAC_quotes.csv").parts[0]
    assert isinstance(part.rows, Quotes)
    assert part.rows.bid.tolist() == [0, 1384, 1384]
    assert part.rows.bid_size.tolist() == [0, 700, 700]
    assert part.rows.ask.tolist() == [1402, 1402, 1395]


def test_trades_when_quotes_come_in_a_second_file_then_the_quote_rule(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text(f"ts,bid,ask\n{NOON + 1},10.00,10.02\n{NOON + 3},10.02,10.04\n")
    text = f"ts,price,size\n{NOON},10.01,1\n{NOON + 2},10.02,1\n{NOON + 3},10.00,1\n{NOON + 4},10.03,1\n"
    found = load(tmp_path, text, "BAC.csv", quotes=tmp_path / "q.csv")
    rows = trades_of(found)
    assert rows.bid is not None
    assert rows.bid.tolist() == [NO_QUOTE, 1000, 1000, 1002]
    # no quote and no earlier price: none; at the ask: bought; at the bid: sold; at the midpoint, up from 10.00: bought
    assert rows.side.tolist() == [0, 1, -1, 1]
    assert found.parts[0].unquoted == 1


def test_trades_when_quotes_are_of_another_date_then_they_are_not_used_and_it_is_said(tmp_path: Path) -> None:
    day = 86_400
    (tmp_path / "q.csv").write_text(f"ts,bid,ask\n{NOON},10.00,10.02\n")
    text = f"ts,price,size\n{NOON + 1},10.02,1\n{NOON + day},10.50,1\n{NOON + day + 1},10.49,1\n"
    found = load(tmp_path, text, "BAC.csv", quotes=tmp_path / "q.csv")
    first, second = (part.rows for part in found.parts)
    assert isinstance(first, Trades)
    assert isinstance(second, Trades)
    assert first.side.tolist() == [1]
    assert second.bid is None
    assert second.side.tolist() == [0, -1]  # above the old quote, but down from 10.50
    assert found.parts[1].aggressor == "tick rule"
    assert found.notes == ["the file of --quotes has none of 2024-03-06; that date is imported without them"]


def _tape(*prices: str) -> str:
    return "ts,price,size\n" + "".join(f"{NOON + second},{price},100\n" for second, price in enumerate(prices))


def test_equity_trades_when_one_print_is_off_the_market_then_set_aside(tmp_path: Path) -> None:
    # SPY, 2013-10-08 19:36:10 UTC: 1,002,300 shares reported at 167.51, unmarked, while the market stood at 166.18
    found = load(tmp_path, _tape(*["166.18"] * 8, "167.51", *["166.17"] * 8), "SPY.csv")
    assert trades_of(found).price.tolist() == [16_618] * 8 + [16_617] * 8
    assert found.quarantine["row"].to_list() == [10]  # the line in the file, after the heading
    assert found.quarantine["reason"].to_list() == ["price was 167.51, off the market before and after it"]


def test_equity_trades_when_the_market_jumps_then_every_print_is_kept(tmp_path: Path) -> None:
    found = load(tmp_path, _tape(*["166.18"] * 30, *["164.00"] * 30, "166.18"), "SPY.csv")
    assert len(found.quarantine) == 0  # the last print too: nothing after it speaks against it


def test_equity_trades_when_the_distance_is_at_the_limit_then_kept(tmp_path: Path) -> None:
    # 0.2% of 100.20 is 20.04 ticks: 20 ticks away stay, 21 do not
    kept = load(tmp_path, _tape(*["100.00"] * 8, "100.20", *["100.00"] * 8), "SPY.csv")
    assert len(kept.quarantine) == 0
    gone = load(tmp_path, _tape(*["100.00"] * 8, "100.21", *["100.00"] * 8), "SPY.csv")
    assert len(gone.quarantine) == 1


def test_futures_trades_when_one_print_is_far_away_then_kept(tmp_path: Path) -> None:
    found = load(tmp_path, _tape(*["5000.00"] * 8, "5050.00", *["5000.00"] * 8), "ESH4.csv")
    assert len(found.quarantine) == 0


def test_trades_when_every_side_is_none_then_inferred(tmp_path: Path) -> None:
    found = load(tmp_path, f"ts,price,size,side\n{NOON},10.01,1,N\n{NOON + 2},10.02,1,N\n", "BAC.csv")
    assert trades_of(found).side.tolist() == [0, 1]
    assert found.parts[0].aggressor == "tick rule"


@pytest.mark.parametrize(
    ("words", "sides"),
    [
        (("B", "A", "N"), (1, -1, 0)),
        (("B", "S", ""), (1, -1, 0)),
        (("buy", "SELL", "none"), (1, -1, 0)),
        (("ASK", "BID", "MID"), (1, -1, 0)),
        (("1", "-1", "0"), (1, -1, 0)),
        (("1", "2", "1"), (1, -1, 1)),
    ],
)
def test_side_when_spelled_by_a_vendor_then_understood(tmp_path: Path, words: tuple[str, ...], sides: tuple[int, ...]) -> None:
    lines = "".join(f"{NOON + k},10.01,1,{word}\n" for k, word in enumerate(words))
    assert tuple(trades_of(load(tmp_path, f"ts,price,size,side\n{lines}", "BAC.csv")).side) == sides


def test_side_when_zero_and_one_then_refused_and_overridable(tmp_path: Path) -> None:
    text = f"ts,price,size,side\n{NOON},10.01,1,0\n{NOON + 1},10.02,1,1\n"
    with pytest.raises(UsageError, match="only 0 and 1"):
        load(tmp_path, text, "BAC.csv")


@pytest.mark.parametrize(
    ("rule", "message"), [(AggressorRule.GIVEN, "no column for the side"), (AggressorRule.QUOTE, "--quotes FILE")]
)
def test_rule_when_the_data_does_not_allow_it_then_usage_error(tmp_path: Path, rule: AggressorRule, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(tmp_path, f"ts,price,size\n{NOON},10.01,1\n", "BAC.csv", aggressor=rule)


def test_rows_when_they_cannot_be_used_then_set_aside_with_row_and_reason(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "ts,price,size\n"
        f"{NOON},5100.25,1\n"  # line 2 is the first row
        f"{NOON},NaN,1\n"
        f"{NOON},-5,1\n"
        f"{NOON},0,1\n"
        f"{NOON},5100.30,1\n"
        f"{NOON},,1\n"
        f"{NOON},5100.25,0\n"
        f"{NOON},5100.25,-1\n"
        f"{NOON},5100.25,1.5\n"
        f"{NOON},5100.25,\n"
        "never,5100.25,1\n"
        "0,5100.25,1\n"
        f"{NOON},1e12,1\n"
        f"{NOON},inf,1\n",
    )
    assert trades_of(found).price.tolist() == [20_401]
    assert dict(zip(found.quarantine["row"], found.quarantine["reason"], strict=True)) == {
        3: "price was NaN",
        4: "price was -5.0, not positive",
        5: "price was 0.0, not positive",
        6: "price was 5100.3, not on a tick of 0.25",
        7: "price was missing",
        8: "size was 0.0, not positive",
        9: "size was -1.0, not positive",
        10: "size was 1.5, not a whole number",
        11: "size was missing",
        12: "time could not be read",
        13: "time was before 1980-01-01",
        14: "price was 1000000000000.0, out of range",
        15: "price was inf, out of range",
    }


def test_equity_when_price_is_between_ticks_then_rounded_and_counted(tmp_path: Path) -> None:
    found = load(tmp_path, f"ts,price,size\n{NOON},10.0049,1\n{NOON},10.0051,1\n{NOON},10.01,1\n", "BAC.csv")
    assert trades_of(found).price.tolist() == [1000, 1001, 1001]
    assert found.parts[0].rounded == 2
    assert len(found.quarantine) == 0


@pytest.mark.parametrize(("price", "ticks"), [("10.005", 1000), ("10.015", 1002), ("10.025", 1002), ("169.995", 17_000)])
def test_equity_when_price_is_half_a_tick_then_to_even_in_every_format(tmp_path: Path, price: str, ticks: int) -> None:
    # Midpoint prints are halves; 10.015 as a float divided by 0.01 is 1001.4999999999999.
    assert trades_of(load(tmp_path, f"ts,price,size\n{NOON},{price},1\n", "BAC.csv")).price.tolist() == [ticks]
    nano = f"{NOON}000000000,1,1,T,N,{price.replace('.', '')}000000,1\n"
    text = "ts_event,publisher_id,instrument_id,action,side,price,size\n" + nano
    assert trades_of(load(tmp_path, text, "BAC.csv")).price.tolist() == [ticks]


def test_prices_when_stored_as_float32_then_on_their_tick(tmp_path: Path) -> None:
    frame = pl.DataFrame({"ts": [NOON] * 3, "price": [75.31, 80.07, 99.99], "size": [1, 1, 1]}).cast({"price": pl.Float32})
    frame.write_parquet(tmp_path / "CLJ4.parquet")
    found = import_file(tmp_path / "CLJ4.parquet", ImportOptions(), calendar_for)
    assert trades_of(found).price.tolist() == [7531, 8007, 9999]
    strict = ImportOptions(rules=ImportConfiguration(tick_tolerance_frac=1e-9))
    assert len(import_file(tmp_path / "CLJ4.parquet", strict, calendar_for).quarantine) == 3


def test_times_when_out_of_order_then_sorted_stably_and_counted(tmp_path: Path) -> None:
    found = load(tmp_path, f"ts,price,size\n{NOON + 5},1.00,1\n{NOON},2.00,2\n{NOON + 5},3.00,3\n{NOON},4.00,4\n", "BAC.csv")
    assert trades_of(found).size.tolist() == [2, 4, 1, 3]
    assert found.parts[0].unordered == 2


def test_rows_when_repeated_with_a_trade_id_then_once_and_without_an_id_each(tmp_path: Path) -> None:
    rows = f"7,{NOON},10.00,1\n7,{NOON},10.00,1\n8,{NOON},10.00,1\n7,{NOON},10.01,1\n"
    found = load(tmp_path, f"trade_id,ts,price,size\n{rows}", "BAC.csv")
    assert len(trades_of(found)) == 3
    assert found.quarantine.rows() == [(3, NOON * NS, "repeats an earlier row with trade id 7")]
    plain = load(tmp_path, "ts,price,size\n" + f"{NOON},10.00,1\n" * 3, "BAC.csv")
    assert len(trades_of(plain)) == 3


def test_rows_when_of_several_symbols_then_each_its_own_and_the_unknown_set_aside(tmp_path: Path) -> None:
    text = "ts,symbol,price,size\n" + "".join(
        f"{NOON},{s},{p},1\n" for s, p in (("ESH4", 5100), ("NQH4", 18000), ("ESH4-ESM4", 50), ("", 1))
    )
    found = load(tmp_path, text, "all.csv")
    assert [p.instrument.symbol for p in found.parts] == ["ESH4", "NQH4"]
    assert found.quarantine["row"].to_list() == [4, 5]
    assert "ESH4-ESM4" in found.quarantine["reason"][0]
    only = load(tmp_path, text, "all.csv", symbol="NQH4")
    assert [p.instrument.symbol for p in only.parts] == ["NQH4"]


def test_symbol_when_unknown_or_not_said_then_error(tmp_path: Path) -> None:
    text = f"ts,price,size\n{NOON},1.00,1\n"
    with pytest.raises(NotFoundError, match="symbol was 'EURUSD'"):
        load(tmp_path, text, "EURUSD.csv")
    with pytest.raises(UsageError, match="say it with --symbol"):
        load(tmp_path, text, "trades_20240305.csv")


def test_trade_date_when_futures_evening_weekend_and_gap_then_the_next_session(tmp_path: Path) -> None:
    # New York: Tue 16:59 and Tue 18:00 (session of the 6th), Tue 17:30 (pause: the 6th), Fri 17:30 and Sun 18:00 (Monday 11th)
    times = {
        "2024-03-05 16:59:59": date(2024, 3, 5),
        "2024-03-05 17:30:00": date(2024, 3, 6),
        "2024-03-05 18:00:00": date(2024, 3, 6),
        "2024-03-08 17:30:00": date(2024, 3, 11),
        "2024-03-10 18:00:00": date(2024, 3, 11),
    }
    text = "time,price,size\n" + "".join(f"{t},5100.25,1\n" for t in times)
    found = load(tmp_path, text, zone="America/New_York")
    assert {p.trade_date: len(p.rows) for p in found.parts} == {d: list(times.values()).count(d) for d in times.values()}


def test_trade_date_when_equity_after_hours_then_the_new_york_date(tmp_path: Path) -> None:
    text = "time,price,size\n2024-03-06 00:59:00,1.00,1\n2024-03-06 05:30:00,1.00,1\n2024-03-09 18:00:00,1.00,1\n"
    found = load(tmp_path, text, "BAC.csv")
    assert [p.trade_date for p in found.parts] == [date(2024, 3, 5), date(2024, 3, 6), date(2024, 3, 9)]


def test_trade_date_when_before_the_calendars_reach_then_the_evening_rule(tmp_path: Path) -> None:
    text = "time,price,size\n2013-10-06 18:00:00,1700.25,1\n2013-10-07 17:59:00,1700.25,1\n2013-10-07 18:00:00,1700.25,1\n"
    found = load(tmp_path, text, "ESZ3.csv", zone="America/New_York")
    assert [(p.trade_date, len(p.rows)) for p in found.parts] == [(date(2013, 10, 7), 2), (date(2013, 10, 8), 1)]


def test_suspicious_when_marked_then_set_aside_unless_told_otherwise(tmp_path: Path) -> None:
    text = f"ts,price,size,suspicious\n{NOON},1.00,1,false\n{NOON},1.00,1,true\n"
    assert len(load(tmp_path, text, "BAC.csv").quarantine) == 1
    lenient = ImportConfiguration(skip_suspicious=False)
    assert len(load(tmp_path, text, "BAC.csv", rules=lenient).quarantine) == 0


def test_parquet_when_a_row_group_is_damaged_then_the_others_are_read(tmp_path: Path) -> None:
    file = tmp_path / "BAC.parquet"
    rng = np.random.default_rng(1)
    n = 4_000
    frame = pl.DataFrame(
        {"ts": [NOON * NS + k for k in range(n)], "price": rng.integers(99_900, 100_000, n) / 100, "size": [1] * n}
    )
    frame.write_parquet(file, row_group_size=1_000, compression="zstd")
    data = bytearray(file.read_bytes())
    import pyarrow.parquet as pq

    column = pq.ParquetFile(file).metadata.row_group(2).column(1)
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    file.write_bytes(bytes(data))
    found = import_file(file, ImportOptions(), calendar_for)
    assert sum(len(p.rows) for p in found.parts) == 3_000
    assert found.is_partial
    assert "row group 2 (1000 rows)" in found.faults[0]


def test_parquet_when_cut_off_then_corrupt(tmp_path: Path) -> None:
    file = tmp_path / "BAC.parquet"
    pl.DataFrame({"ts": [NOON], "price": [1.0], "size": [1]}).write_parquet(file)
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(CorruptFileError, match=r"BAC\.parquet could not be read"):
        import_file(file, ImportOptions(), calendar_for)


def test_csv_when_gzip_is_cut_off_then_the_whole_lines_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lines = "".join(f"{NOON + k},{rng.integers(99_900, 100_000) / 100},{rng.integers(1, 99)}\n" for k in range(5_000))
    packed = gzip.compress(f"ts,price,size\n{lines}".encode())
    (tmp_path / "BAC.csv.gz").write_bytes(packed[: len(packed) // 2])
    found = import_file(tmp_path / "BAC.csv.gz", ImportOptions(), calendar_for)
    count = sum(len(p.rows) for p in found.parts)
    assert 1_000 < count < 5_000
    assert found.is_partial
    assert len(found.quarantine) == 0


def test_file_when_missing_empty_or_binary_then_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        import_file(tmp_path / "no.csv", ImportOptions(), calendar_for)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(CorruptFileError, match="was empty"):
        import_file(tmp_path / "empty.csv", ImportOptions(), calendar_for)
    (tmp_path / "image.bin").write_bytes(bytes(range(256)))
    with pytest.raises(UsageError, match="was not text"):
        import_file(tmp_path / "image.bin", ImportOptions(), calendar_for)
