"""Times of any common spelling to UTC nanoseconds: epoch numbers (s, ms, us, ns), ISO and exchange formats."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sovereign.core.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

_SAMPLE = 200
_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y")
_JOINTS = ("T", " ", ", ", "-")
_CLOCKS = ("%H:%M:%S%.f", "%H:%M:%S", "%H:%M", "%H%M%S%.f", "%H%M%S")
_ZONES = ("", "%#z", "Z", " UTC", "%Z")
# Epoch numbers of the years 1990 to 2200 do not overlap between units, so the size of a number tells its unit.
_UNITS = ((1e11, 10**9, "s"), (1e14, 10**6, "ms"), (1e17, 10**3, "us"), (float("inf"), 1, "ns"))


def check_zone(zone: str) -> str:
    """Return the zone if it is one.

    Raises
    ------
    UsageError : the name is not an IANA zone.
    """
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as cause:
        raise UsageError(f"zone was '{zone}'; write an IANA name such as America/New_York, America/Chicago or UTC") from cause
    return zone


def to_ns(values: pl.Series, zone: str) -> tuple[pl.Series, str, int]:
    """Convert a column of times.

    Returns
    -------
    (UTC nanoseconds, null where the time cannot be read or does not exist in the zone; how it was read; the number of
    times that exist twice in the zone, of which the earlier was taken)
    """
    import polars as pl

    if values.dtype.is_temporal():
        if values.dtype == pl.Date:
            return _localized(values.cast(pl.Datetime("ns")), zone, "date")
        if values.dtype not in (pl.Datetime,):
            raise UsageError(
                f"the time column was of type {values.dtype}; allowed are dates with a time, texts and epoch numbers"
            )
        if values.dtype.time_zone is not None:  # type: ignore[attr-defined]
            return values.dt.epoch("ns"), f"{values.dtype}", 0
        return _localized(values.cast(pl.Datetime("ns")), zone, "naive time")
    if values.dtype.is_integer():
        return (*_epoch_integers(values.cast(pl.Int64, strict=False)), 0)
    if values.dtype.is_float():
        # A float cannot hold nanoseconds; microseconds are what it has.
        scale, unit = _unit(values)
        whole = (
            (values * (scale / 1000)).round().cast(pl.Int64, strict=False)
            if scale >= 1000
            else values.cast(pl.Int64, strict=False)
        )
        return whole * 1000 if scale >= 1000 else whole, f"epoch {unit}", 0
    return _text(values.cast(pl.String).str.strip_chars(), zone)


def _unit(values: pl.Series) -> tuple[int, str]:
    middle = values.abs().median()
    size = float(middle) if isinstance(middle, (int, float)) else 0.0
    return next((scale, unit) for limit, scale, unit in _UNITS if size < limit)


def _epoch_integers(values: pl.Series) -> tuple[pl.Series, str]:
    scale, unit = _unit(values)
    limit = (2**63 - 1) // scale
    fits = values.is_between(-limit, limit)
    import polars as pl

    return pl.select(pl.when(fits).then(values * scale)).to_series(), f"epoch {unit}"


def _text(values: pl.Series, zone: str) -> tuple[pl.Series, str, int]:
    import polars as pl

    sample = values.drop_nulls().filter(values.drop_nulls() != "").head(_SAMPLE)
    if not len(sample):
        return pl.Series([None] * len(values), dtype=pl.Int64), "no times", 0
    # Eight digits are a date, not an epoch number; nine and more are.
    numbers = sample.filter(sample.str.contains(r"^-?\d{9,}(\.\d+)?$"))
    is_epoch = len(numbers) > 0 and not _is_compact(numbers)
    format_, hits = _best_format(sample) if not is_epoch or len(numbers) < len(sample) else ("", 0)
    if is_epoch and len(numbers) >= hits:
        return (*_epoch_text(values), 0)
    if not hits:
        return pl.Series([None] * len(values), dtype=pl.Int64), f"unreadable times such as '{sample[0]}'", 0
    parsed = _parsed(values, format_)
    if parsed.dtype.time_zone is not None:  # type: ignore[attr-defined]
        return parsed.dt.epoch("ns"), f"'{format_}'", 0
    if format_.endswith(("Z", " UTC")):
        zone = "UTC"
    return _localized(parsed, zone, f"'{format_}'")


def _best_format(sample: pl.Series) -> tuple[str, int]:
    """Return the format that reads most of the sample, and how many it reads."""
    best, hits = "", 0
    for candidate in [*("".join(parts) for parts in product(_DATES, _JOINTS, _CLOCKS, _ZONES)), *_DATES]:
        found = _parsed(sample, candidate).count()
        if found > hits:
            best, hits = candidate, found
        if hits == len(sample):
            break
    return best, hits


def _is_compact(sample: pl.Series) -> bool:
    # 20231225230000: fourteen digits that read as a time of day; as epoch ms it would lie in the year 2611.
    return bool(sample.str.contains(r"^(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])([01]\d|2[0-3])[0-5]\d[0-5]\d(\.\d+)?$").all())


def _parsed(values: pl.Series, format_: str) -> pl.Series:
    import polars as pl

    if format_ in _DATES:
        return values.str.to_date(format_, strict=False).cast(pl.Datetime("ns"))
    return values.str.to_datetime(format_, time_unit="ns", strict=False)


def _epoch_text(values: pl.Series) -> tuple[pl.Series, str]:
    import polars as pl

    if not values.str.contains(".", literal=True).any():
        return _epoch_integers(values.cast(pl.Int64, strict=False))
    whole = values.str.extract(r"^(-?\d+)", 1).cast(pl.Int64, strict=False)
    integers, read = _epoch_integers(whole)
    scale, _ = _unit(whole)
    digits = values.str.extract(r"\.(\d+)$", 1).fill_null("").str.pad_end(9, "0").str.head(9)
    fraction = digits.cast(pl.Int64, strict=False).fill_null(0) * scale // 10**9
    return integers + fraction, f"{read} with decimals"


def _localized(naive: pl.Series, zone: str, read: str) -> tuple[pl.Series, str, int]:
    local = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    twice = 0
    if zone != "UTC":
        later = naive.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
        twice = int((local != later).sum())
    return local.dt.epoch("ns"), f"{read} in {zone}", twice
