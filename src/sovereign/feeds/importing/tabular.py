"""CSV and Parquet files of any vendor to a `RawTable`. Cells that cannot be read stay in the table with the reason."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from sovereign.core.errors import CorruptFileError, UsageError
from sovereign.feeds.importing.bytes_of import chunks_of
from sovereign.feeds.importing.guess import HEADERLESS, NAMES, guess_columns, guess_seconds
from sovereign.feeds.importing.table import QUOTES, TRADES, BarStamp, ImportOptions, RawTable
from sovereign.feeds.importing.timestamp import check_zone, to_ns

if TYPE_CHECKING:
    import polars as pl

_DELIMITERS = ",;\t|"
_PRICES = frozenset({"price", "bid", "ask", "open", "high", "low", "close"})
_NANO_FROM = 1e7  # no supported price is above ten million, and no price in units of 1e-9 below it
_UNDEFINED = 9.2e18
_NUMBER = re.compile(r"^[+-]?(\d+([.,]\d*)?|\.\d+)([eE][+-]?\d+)?$")
_NINJATRADER = re.compile(r"^\d{8} \d{6}( \d{7})?$")
_BUY = frozenset({"b", "buy", "buyer", "bought", "bid_lift", "1", "+1", "1.0", "ask", "atask", "at ask", "up"})
_SELL = frozenset({"s", "sell", "seller", "sold", "-1", "-1.0", "2", "bid", "atbid", "at bid", "down"})
_NONE = frozenset({"n", "none", "unknown", "u", "0", "0.0", "", "-", "mid", "between", "x"})


def read_csv(path: Path, options: ImportOptions, faults: list[str]) -> list[RawTable]:
    """Read a delimited text file (plain, `.gz` or `.zst`)."""
    import polars as pl

    text = _text_of(path, options.rules.max_text_mb, faults)
    if text.startswith(b"\xef\xbb\xbf"):
        text = text[3:]
    if faults and b"\n" in text:
        text = text[: text.rindex(b"\n") + 1]  # the last line of a cut stream is not whole
    if not text.strip():
        raise CorruptFileError(f"{path.name} was empty{': ' + faults[-1] if faults else ''}; nothing was read")
    if b"\x00" in text[:4096]:
        raise UsageError(f"{path.name} was not text; allowed are DBN, CSV and Parquet files")
    head = text[: 1 << 16].decode("utf-8", "replace").splitlines()
    delimiter = _delimiter(head)
    first = next(csv.reader(io.StringIO(head[0]), delimiter=delimiter))
    names, layout = _header(first)
    try:
        frame = pl.read_csv(
            io.BytesIO(text),
            has_header=names is None,
            new_columns=list(names) if names else None,
            separator=delimiter,
            infer_schema=False,
            encoding="utf8-lossy",
            truncate_ragged_lines=True,
            null_values=["", "null", "NULL", "None", "N/A"],
        )
    except pl.exceptions.PolarsError as cause:
        raise CorruptFileError(
            f"{path.name} could not be read as CSV ({str(cause).splitlines()[0]}); nothing was read"
        ) from cause
    frame = frame.rename({c: c.strip().strip("<>") for c in frame.columns})
    guesses = {"format": f"CSV, delimiter {delimiter!r}, {layout}"}
    return _tables(path, frame, options, guesses, first_row=1 if names else 2)


def _text_of(path: Path, max_mb: int, faults: list[str]) -> bytes:
    parts, size = [], 0
    for chunk in chunks_of(path, faults):
        parts.append(chunk)
        size += len(chunk)
        if size > max_mb << 20:
            raise UsageError(
                f"{path.name} held more than {max_mb} MB of text (data.rules.max_text_mb); split the file, or raise the "
                f"setting if the memory allows"
            )
    return b"".join(parts)


def read_parquet_file(path: Path, options: ImportOptions, faults: list[str]) -> list[RawTable]:
    """Read a Parquet file; when it is damaged, the row groups that are whole."""
    import polars as pl

    try:
        rows = int(pl.scan_parquet(path).select(pl.len()).collect().item())
        if rows > options.rules.max_rows:
            raise UsageError(
                f"{path.name} had {rows} rows; allowed are {options.rules.max_rows} (data.rules.max_rows); split the file, or "
                f"raise the setting if the memory allows"
            )
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as cause:
        frame = _whole_row_groups(path, faults, cause)
    return _tables(path, frame, options, {"format": "Parquet"}, first_row=1)


def _whole_row_groups(path: Path, faults: list[str], cause: Exception) -> pl.DataFrame:
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    reason = str(cause).splitlines()[0]
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as fault:
        raise CorruptFileError(
            f"{path.name} could not be read ({reason}); a Parquet file that is cut off has lost its index, so nothing can be "
            f"kept; get the file again"
        ) from fault
    whole = []
    for group in range(file.num_row_groups):
        try:
            whole.append(pl.DataFrame(file.read_row_group(group)))
        except (OSError, pa.ArrowException) as fault:
            rows = file.metadata.row_group(group).num_rows
            faults.append(f"{path.name}: row group {group} ({rows} rows) is corrupt ({str(fault).splitlines()[0]}); not read")
    if not whole:
        raise CorruptFileError(f"{path.name} could not be read ({reason}); no row group was whole") from cause
    return pl.concat(whole)


def _delimiter(lines: list[str]) -> str:
    sample = [line for line in lines[:20] if line]
    counts = {d: min(line.count(d) for line in sample) for d in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda d: counts[d])
    if counts[best]:
        return best
    return max(_DELIMITERS, key=sample[0].count)


def _header(first: list[str]) -> tuple[tuple[str, ...] | None, str]:
    """Return (column names to use when there is no header, or None; a description)."""
    cells = [c.strip() for c in first]
    if not any(_NUMBER.match(c) for c in cells):
        return None, "header in the first line"
    shape = "".join("n" if _NUMBER.match(c) else "b" if c.lower() in {"true", "false"} else "t" for c in cells)
    for wanted, writer, names in HEADERLESS:
        if shape == wanted:
            return names, f"no header, read as {writer}"
    return tuple(f"column_{i}" for i in range(1, len(cells) + 1)), "no header"


def _tables(path: Path, frame: pl.DataFrame, options: ImportOptions, guesses: dict[str, str], first_row: int) -> list[RawTable]:
    import polars as pl

    kind, mapping = guess_columns(frame.columns, options.columns, options.kind or _kind_in_name(path, frame))
    frame = frame.with_row_index("__row", offset=first_row)
    notes: list[str] = []
    columns: dict[str, pl.Series] = {"row": frame["__row"].cast(pl.Int64)}
    times = frame[mapping["ts"]]
    if "clock" in mapping:
        parts = pl.col(mapping["ts"]).cast(pl.String), pl.col(mapping["clock"]).cast(pl.String)
        times = frame.select(pl.concat_str([p.str.strip_chars() for p in parts], separator=" ")).to_series()
    columns["ts"], read, twice = to_ns(_ninjatrader(times), check_zone(options.zone))
    guesses["time"] = f"{mapping['ts']}{' and ' + mapping['clock'] if 'clock' in mapping else ''}: {read}"
    if twice:
        notes.append(f"{twice} times exist twice in {options.zone} (clocks went back); the earlier was taken")
    columns |= _numbers(frame, mapping)
    for name in ("symbol", "trade_id"):
        if name in mapping:
            columns[name] = frame[mapping[name]].cast(pl.String).str.strip_chars()
    if "suspicious" in mapping:
        columns["suspicious"] = _flags(frame[mapping["suspicious"]])
    guesses |= {n: c for n, c in mapping.items() if n not in {"ts", "clock"}}
    if kind == TRADES:
        return [_trades(frame, mapping, columns, guesses, notes)]
    if kind == QUOTES:
        return [_quotes(columns, guesses, notes)]
    return [_bars(path, options, columns, guesses, notes)]


def _kind_in_name(path: Path, frame: pl.DataFrame) -> str | None:
    # Sierra Chart writes ticks in the columns of bars: one trade a row, open 0, high the ask, low the bid.
    plain = {re.sub(r"[^a-z]", "", c.lower()): c for c in frame.columns}
    count = plain.get("numberoftrades") or plain.get("oftrades")
    if count and "open" in plain and "last" in plain and "bidvolume" in plain:
        ones = _decimals(frame[count]) == 1
        zeros = _decimals(frame[plain["open"]]) == 0
        if bool(ones.all()) and bool(zeros.all()):
            return TRADES
    words = set(re.split(r"[_\-. ]+", path.name.lower()))
    is_named_so = bool(words & {"quotes", "quote", "bbo", "bookticker"})
    has_both = all(set(NAMES[side]) & {re.sub(r"[^a-z0-9]", "", c.lower()) for c in frame.columns} for side in ("bid", "ask"))
    return QUOTES if is_named_so and has_both else None


def _ninjatrader(times: pl.Series) -> pl.Series:
    """Turn `20231225 230000 1234567` (NinjaTrader: units of 100 ns) into a decimal fraction of the second."""
    import polars as pl

    if times.dtype != pl.String or not len(times) or times[0] is None or not _NINJATRADER.match(times[0].strip()):
        return times
    parts = times.str.strip_chars().str.split(" ")
    fraction = parts.list.get(2, null_on_oob=True).fill_null("0000000")
    return parts.list.get(0) + " " + parts.list.get(1, null_on_oob=True) + "." + fraction


def _decimals(values: pl.Series) -> pl.Series:
    """Return decimal numbers, null where a cell is none; a decimal comma is read as a point."""
    import polars as pl

    if values.dtype.is_nested() or values.dtype == pl.Binary:
        raise UsageError(
            f"column {values.name} was of type {values.dtype}; allowed are numbers and texts; name another with --map"
        )
    if values.dtype != pl.String:
        return values.cast(pl.Float64, strict=False)
    values = values.str.strip_chars()
    number = values.cast(pl.Float64, strict=False)
    if number.null_count() > values.null_count() and values.str.contains(",", literal=True).any():
        number = number.fill_null(values.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False))
    return number


def _numbers(frame: pl.DataFrame, mapping: dict[str, str]) -> dict[str, pl.Series]:

    result: dict[str, pl.Series] = {}
    for name in ("price", "size", "bid", "ask", "bid_size", "ask_size", "open", "high", "low", "close", "volume"):
        if name not in mapping:
            continue
        result[name] = _decimals(frame[mapping[name]])
    if {"publisher_id", "instrument_id"} <= set(frame.columns):
        result |= {n: _pretty(v) for n, v in result.items() if n in _PRICES}
    return result


def _pretty(prices: pl.Series) -> pl.Series:
    """Undo Databento's integer prices (units of 1e-9; the largest integer means none); decimal prices stay."""
    import polars as pl

    middle = prices.abs().median()
    if not isinstance(middle, float) or middle < _NANO_FROM:
        return prices
    return pl.select(pl.when(prices < _UNDEFINED).then(prices / 1e9)).to_series()


def _flags(values: pl.Series) -> pl.Series:
    import polars as pl

    if values.dtype == pl.Boolean:
        return values.fill_null(value=False)
    return values.cast(pl.String).str.to_lowercase().is_in(["true", "1", "t", "yes"]).fill_null(value=False)


def _trades(
    frame: pl.DataFrame,
    mapping: dict[str, str],
    columns: dict[str, pl.Series],
    guesses: dict[str, str],
    notes: list[str],
) -> RawTable:
    import polars as pl

    sierra = {re.sub(r"[^a-z]", "", c.lower()): c for c in frame.columns}
    if "bidvolume" in sierra and "askvolume" in sierra and "side" not in mapping:
        bought = _decimals(frame[sierra["askvolume"]]).fill_null(0) > 0
        sold = _decimals(frame[sierra["bidvolume"]]).fill_null(0) > 0
        columns["side"] = bought.cast(pl.Int8) - sold.cast(pl.Int8)
        guesses["side"] = f"{sierra['askvolume']} and {sierra['bidvolume']}"
        if "bid" not in columns and "low" in sierra and "high" in sierra:
            columns["bid"] = _decimals(frame[sierra["low"]])
            columns["ask"] = _decimals(frame[sierra["high"]])
            guesses |= {"bid": sierra["low"], "ask": sierra["high"]}
    elif "side" in mapping:
        columns["side"], columns["problem"], guesses["side"] = _sides(frame[mapping["side"]], mapping["side"])
    elif "is_buyer_maker" in mapping:
        # The buyer rested, so the seller was the aggressor.
        columns["side"] = (
            pl.select(pl.when(_flags(frame[mapping["is_buyer_maker"]])).then(-1).otherwise(1)).to_series().cast(pl.Int8)
        )
    if ("bid" in columns) != ("ask" in columns):
        columns.pop("bid", None)
        columns.pop("ask", None)
    table = pl.DataFrame(columns)
    if "action" in mapping:
        # Databento's order and book feeds as text: only action T is a trade, the rest of the rows are something else.
        keep = frame[mapping["action"]].cast(pl.String).str.to_uppercase() == "T"
        notes.append(f"{len(frame) - int(keep.sum())} rows of the file are not trades (action other than T)")
        table = table.filter(keep)
    return RawTable(kind=TRADES, frame=table, guesses=guesses, notes=notes)


def _sides(values: pl.Series, column: str) -> tuple[pl.Series, pl.Series, str]:
    import polars as pl

    # Words are put in order once for each spelling that occurs, not for each row.
    words = values.cast(pl.String).fill_null("")
    plain = {word: word.strip().lower() for word in words.unique().to_list()}
    distinct = set(plain.values())
    # A alone is Databento's "ask side", a sell aggressor; the words ASK and BID say at which price it traded.
    table = dict.fromkeys(_BUY, 1) | dict.fromkeys(_SELL, -1) | dict.fromkeys(_NONE, 0) | {"a": -1}
    known = distinct & set(table)
    if not known - _NONE and distinct - _NONE:
        raise UsageError(
            f"column {column} had the values {', '.join(sorted(distinct)[:8])}; allowed are B/S, B/A/N, BUY/SELL, ASK/BID and "
            f"1/-1; use --aggressor tick to ignore the column"
        )
    if distinct & {"0", "0.0"} and not distinct & {"-1", "-1.0", "2", "s", "sell"} and distinct & {"1", "1.0"}:
        raise UsageError(
            f"column {column} had only 0 and 1, which may mean either side; use --aggressor tick or map another column"
        )
    spelled = {word: table[name] for word, name in plain.items() if name in table}
    side = words.replace_strict(spelled, default=None, return_dtype=pl.Int8)
    problem = pl.select(pl.when(side.is_null()).then(pl.lit("side was '") + words + pl.lit("'"))).to_series()
    legend = ", ".join(f"{w.upper() or 'empty'} = {('seller', 'none', 'buyer')[table[w] + 1]}" for w in sorted(known))
    return side.fill_null(0), problem, f"{column} ({legend})"


def _quotes(columns: dict[str, pl.Series], guesses: dict[str, str], notes: list[str]) -> RawTable:
    import polars as pl

    frame = pl.DataFrame(columns)
    both = (frame["bid"].is_not_null() & frame["ask"].is_not_null()).sum()
    if 2 * both < len(frame):
        # Each row updates one side; the other side stands.
        names = [n for n in ("bid", "ask", "bid_size", "ask_size") if n in frame.columns]
        frame = frame.with_columns(pl.col(names).forward_fill())
        notes.append("each row updates one side of the quote; the other side was carried forward")
    return RawTable(kind=QUOTES, frame=frame, guesses=guesses, notes=notes)


def _bars(
    path: Path, options: ImportOptions, columns: dict[str, pl.Series], guesses: dict[str, str], notes: list[str]
) -> RawTable:
    import polars as pl

    seconds = guess_seconds(path.name, options.kind)
    frame = pl.DataFrame(columns)
    if seconds is None:
        steps = frame["ts"].drop_nulls().diff().drop_nulls()
        usual = steps.filter(steps > 0).mode().sort()
        if not len(usual) or usual[0] < 10**9:
            raise UsageError(f"the width of the bars in {path.name} was not clear; say it with --kind bars-SECONDS")
        seconds = int(usual[0]) // 10**9
    guesses["width"] = f"{seconds} s"
    if "volume" not in columns:
        frame = frame.with_columns(volume=pl.lit(0.0))
        notes.append("the bars have no volume; it is 0")
    if options.stamp is BarStamp.OPEN:
        frame = frame.with_columns(pl.col("ts") + seconds * 10**9)
        guesses["stamp"] = "the time is the bar's open; kept is its close (--stamp close if it is the close already)"
    else:
        guesses["stamp"] = "the time is the bar's close"
    return RawTable(kind=f"bars-{seconds}", frame=frame, seconds=seconds, guesses=guesses, notes=notes)
