"""From raw rows to integer columns in time order; what cannot be used is set aside with the reason, never dropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

import numpy as np

from sovereign.core.columns import NO_QUOTE, Bars, Quotes, Trades
from sovereign.core.instrument import AssetClass, Instrument
from sovereign.core.session import to_ns
from sovereign.feeds.importing.table import QUOTES, TRADES, ImportConfiguration, PriceForm, RawTable

if TYPE_CHECKING:
    import polars as pl

    Fault = tuple[pl.Expr, pl.Expr]  # when a row cannot be used, and why in words

_INT32 = 2**31 - 1


@dataclass(slots=True, kw_only=True)
class Cleaned:
    """Usable rows of one symbol in time order, and the ones set aside.

    `is_side_known` is False when no row had a side; `rounded` marks prices rounded to the tick; `backwards` marks
    rows earlier than the row before them in the file. Masks are aligned with the columns.
    """

    rows: Trades | Quotes | Bars
    rounded: np.ndarray
    backwards: np.ndarray
    is_side_known: bool
    quarantine: pl.DataFrame = field(repr=False)


def clean(table: RawTable, instrument: Instrument, rules: ImportConfiguration) -> Cleaned:
    """Convert one symbol's raw rows to ticks and integers.

    The quarantine has `row`, `ts` (or null) and `reason`. A row is set aside when a price is missing, not a number, not
    positive (where it must be), not on a tick (futures) or out of range; a size is missing, not positive or not whole; its
    time cannot be read; its bar is inconsistent; it repeats a row with the same trade id; or (equity trades) it is off the
    market. Equity prices between ticks are rounded and marked.
    """
    import polars as pl

    frame = table.frame
    prices = {TRADES: ["price"], QUOTES: ["bid", "ask"]}.get(table.kind, ["open", "high", "low", "close"])
    earliest = to_ns(datetime.combine(rules.earliest_date, time(), UTC))
    latest = to_ns(datetime.combine(rules.latest_date, time(), UTC))
    faults: list[Fault] = []
    if "problem" in frame.columns:
        faults.append((pl.col("problem").is_not_null(), pl.col("problem")))
    faults += [
        (pl.col("ts").is_null(), pl.lit("time could not be read")),
        (pl.col("ts") < earliest, pl.lit(f"time was before {rules.earliest_date}")),
        (pl.col("ts") >= latest, pl.lit(f"time was after {rules.latest_date}")),
    ]
    for name in prices:
        frame, found = _with_ticks(frame, name, table, instrument, rules)
        faults += found
    faults += _quantity_faults(table.kind, frame)
    if rules.skip_suspicious and "suspicious" in frame.columns:
        faults.append((pl.col("suspicious"), pl.lit("marked suspicious by the source")))
    good, bad = _parted(frame, faults)
    good = good.with_columns(__backwards=(pl.col("ts").diff() < 0).fill_null(value=False))
    if good["__backwards"].any():
        good = good.sort("ts", maintain_order=True)
    good, repeated = _without_repeats(good)
    if repeated is not None:
        bad = pl.concat([bad, repeated])
    if table.kind == TRADES and instrument.asset_class is AssetClass.EQUITY:
        good, strays = _without_strays(good, instrument, rules)
        bad = pl.concat([bad, strays])
    rounded = np.zeros(len(good), np.bool_)
    for name in prices:
        rounded |= good[f"__{name}_rounded"].to_numpy()
    if instrument.asset_class is AssetClass.FUTURE:
        rounded[:] = False
    rows = _rows(table, good, instrument, rules)
    return Cleaned(
        rows=rows,
        rounded=rounded,
        backwards=good["__backwards"].to_numpy(),
        is_side_known="side" in good.columns and bool((good["side"] != 0).any()),
        quarantine=bad,
    )


def _parted(frame: pl.DataFrame, faults: list[Fault]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the usable rows, and the others with their first reason, which is put in words for them alone."""
    import polars as pl

    is_bad = frame.select(pl.any_horizontal([condition.fill_null(value=False) for condition, _ in faults])).to_series()
    reason = pl.coalesce([pl.when(condition).then(why) for condition, why in faults])
    bad = frame.filter(is_bad).select("row", "ts", reason=reason)
    return (frame.filter(~is_bad) if len(bad) else frame), bad


def _with_ticks(
    frame: pl.DataFrame, name: str, table: RawTable, instrument: Instrument, rules: ImportConfiguration
) -> tuple[pl.DataFrame, list[Fault]]:
    """Add `__NAME` (ticks, half to even) and `__NAME_rounded`; return the frame and why a price cannot be used."""
    import polars as pl

    price, ticks, off = pl.col(name), pl.col(f"__{name}"), pl.col(f"__{name}_rounded")
    if table.form is PriceForm.NANO:
        unit = int(instrument.tick_size * 10**9)
        whole, rest = price // unit, price % unit
        up = (2 * rest > unit) | ((2 * rest == unit) & (whole % 2 == 1))
        frame = frame.with_columns(
            (whole + up.cast(pl.Int64)).alias(f"__{name}"), (rest != 0).fill_null(value=False).alias(f"__{name}_rounded")
        )
        shown = price / 1e9
    else:
        # Division leaves noise behind the sixth decimal, which must not decide where a half goes.
        exact = (price / float(instrument.tick_size)).round(6)
        nearest = exact.round(0, mode="half_to_even")
        frame = frame.with_columns(
            pl.when(nearest.is_finite() & (nearest.abs() <= _INT32)).then(nearest).cast(pl.Int64).alias(f"__{name}"),
            ((exact - nearest).abs() > rules.tick_tolerance_frac).fill_null(value=False).alias(f"__{name}_rounded"),
        )
        shown = price
    is_open = table.kind == QUOTES  # a side of a quote may be missing
    said = pl.lit(f"{name} was ") + shown.cast(pl.String)
    faults = [] if is_open else [(price.is_null(), pl.lit(f"{name} was missing"))]
    if table.form is PriceForm.DECIMAL:
        faults.append((price.is_nan(), pl.lit(f"{name} was NaN")))
    # A zero on one side of a quote is how some vendors write "none".
    if instrument.root not in rules.negative_roots:
        faults.append((price < 0 if is_open else price <= 0, said + pl.lit(", not positive")))
    faults.append((price.is_not_null() & (ticks.is_null() | (ticks.abs() > _INT32)), said + pl.lit(", out of range")))
    if instrument.asset_class is AssetClass.FUTURE:
        faults.append((off, said + pl.lit(f", not on a tick of {instrument.tick_size}")))
    else:
        faults.append(((ticks == 0) & (price > 0), said + pl.lit(", less than half a tick")))
    return frame, faults


def _quantity_faults(kind: str, frame: pl.DataFrame) -> list[Fault]:
    import polars as pl

    if kind == TRADES:
        return _quantity(pl.col("size"), "size", frame["size"].dtype.is_float(), lowest=1)
    if kind == QUOTES:
        names = [n for n in ("bid_size", "ask_size") if n in frame.columns]
        empty = pl.col("bid").is_null() & pl.col("ask").is_null()
        negative = [(pl.col(n) < 0, pl.lit(f"{n} was ") + pl.col(n).cast(pl.String)) for n in names]
        return [(empty, pl.lit("both sides of the quote were missing")), *negative]
    low, high = pl.min_horizontal("__open", "__close"), pl.max_horizontal("__open", "__close")
    wrong = (pl.col("__low") > low) | (pl.col("__high") < high)
    volume = _quantity(pl.col("volume"), "volume", frame["volume"].dtype.is_float(), lowest=0)
    return [(wrong, pl.lit("the bar's high and low did not contain its open and close")), *volume]


def _quantity(column: pl.Expr, name: str, is_float: bool, lowest: int) -> list[Fault]:
    import polars as pl

    said = pl.lit(f"{name} was ") + column.cast(pl.String)
    faults = [(column.is_null(), pl.lit(f"{name} was missing"))]
    if is_float:
        faults.append((~column.is_finite(), said))
        faults.append((column != column.round(0), said + pl.lit(", not a whole number")))
    limit = _INT32 if name == "size" else 2**53
    faults.append((column < lowest, said + pl.lit(", not positive" if lowest else ", negative")))
    faults.append((column > limit, said + pl.lit(", out of range")))
    return faults


def _without_repeats(good: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Set aside rows that repeat a whole row including its trade id; without an id equal rows are different trades."""
    import polars as pl

    if "trade_id" not in good.columns or good["trade_id"].n_unique() == len(good):
        return good, None
    content = [c for c in good.columns if c != "row" and not c.startswith("__") and c not in {"problem"}]
    first = pl.struct(content).is_first_distinct() | pl.col("trade_id").is_null()
    marked = good.with_columns(__first=first)
    repeated = marked.filter(~pl.col("__first")).select(
        "row", "ts", reason=pl.lit("repeats an earlier row with trade id ") + pl.col("trade_id")
    )
    return marked.filter(pl.col("__first")).drop("__first"), repeated


def _without_strays(
    good: pl.DataFrame, instrument: Instrument, rules: ImportConfiguration
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Set aside equity prints that neither the prints before nor those after them confirm.

    The consolidated tape mixes in reports of trades made earlier or at an average price, which no one could have traded
    against, often without a mark; one of them fires stops and fills limits that the market never reached. A true jump is
    confirmed by the prints after it and stays, which is why both sides are asked (after Brownlees, C. T. and Gallo, G. M.
    (2006), "Financial econometric analysis at ultra-high frequency", Computational Statistics & Data Analysis 51(4)).
    """
    import polars as pl

    price, count = pl.col("__price").cast(pl.Float64), rules.off_market_prints
    before = price.shift(1).rolling_median(count, min_samples=count // 4)
    after = price.reverse().shift(1).rolling_median(count, min_samples=count // 4).reverse()
    distance = pl.min_horizontal((price - before).abs(), (price - after).abs())
    allowed = pl.max_horizontal(price * rules.off_market_frac, pl.lit(float(rules.off_market_ticks)))
    is_stray = (distance > allowed) & before.is_not_null() & after.is_not_null() & pl.lit(rules.off_market_frac > 0)
    marked = good.with_columns(__stray=is_stray)
    shown = (pl.col("__price") * float(instrument.tick_size)).round(6)
    reason = pl.lit("price was ") + shown.cast(pl.String) + pl.lit(", off the market before and after it")
    strays = marked.filter(pl.col("__stray")).select("row", "ts", reason=reason)
    return marked.filter(~pl.col("__stray")).drop("__stray"), strays


def _rows(table: RawTable, good: pl.DataFrame, instrument: Instrument, rules: ImportConfiguration) -> Trades | Quotes | Bars:
    ts = good["ts"].to_numpy().astype(np.int64)

    def ticks(name: str) -> np.ndarray:
        return good[f"__{name}"].fill_null(0).to_numpy().astype(np.int32)

    if table.kind == TRADES:
        price = ticks("price")
        size = good["size"].to_numpy().astype(np.int32)
        side = good["side"].to_numpy().astype(np.int8) if "side" in good.columns else np.zeros(len(ts), np.int8)
        if "bid" not in good.columns:
            return Trades(ts, price, size, side)
        sides = []
        for name in ("bid", "ask"):
            frame, _ = _with_ticks(good, name, table, instrument, rules)
            known = frame[f"__{name}"].is_between(-_INT32, _INT32)
            if instrument.root not in rules.negative_roots:
                known &= frame[name] > 0
            ticks_of = frame[f"__{name}"].fill_null(0).to_numpy()
            sides.append(np.where(known.fill_null(value=False).to_numpy(), ticks_of, NO_QUOTE).astype(np.int32))
        return Trades(ts, price, size, side, *sides)
    if table.kind == QUOTES:
        sizes = {}
        for name in ("bid", "ask"):
            has = good[name].is_not_null() if instrument.root in rules.negative_roots else good[name] > 0
            if good[name].dtype.is_float():
                has &= good[name].is_not_nan()
            there = has.fill_null(value=False).to_numpy()
            if f"{name}_size" in good.columns:
                given = good[f"{name}_size"].fill_null(0).to_numpy()
                sizes[name] = np.where(there, np.clip(np.nan_to_num(given), 0, _INT32), 0).astype(np.int32)
            else:
                sizes[name] = there.astype(np.int32)  # the size is not in the file; 1 says that the side is there
        return Quotes(ts, ticks("bid"), ticks("ask"), sizes["bid"], sizes["ask"])
    volume = good["volume"].to_numpy().astype(np.int64)
    return Bars(ts, ticks("open"), ticks("high"), ticks("low"), ticks("close"), volume)
