"""Guessing what a file's columns mean. The guess is always shown, and `--map column=name` overrides it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sovereign.core.errors import NotFoundError, UsageError, suggestion
from sovereign.core.instrument import contract_root, find_instrument

NAMES: dict[str, tuple[str, ...]] = {
    # canonical name: spellings, best first, compared without case, blanks and punctuation
    "ts": (
        "ts",
        "tsevent",
        "timestamp",
        "datetime",
        "time",
        "timens",
        "sip timestamp",
        "participanttimestamp",
        "tradetime",
        "transacttime",
        "tsexch",
        "t",
        "unix",
        "epoch",
        "opentime",
        "gmttime",
        "localtime",
        "servertime",
        "date",
        "tsrecv",
    ),
    "date": ("date", "day", "tradedate"),
    "clock": ("time", "clock", "timeofday"),
    "price": ("price", "px", "tradeprice", "last", "lastprice", "lastpx", "p"),
    "size": ("size", "qty", "quantity", "volume", "vol", "tradesize", "lastsize", "lastqty", "amount", "lots", "s", "q"),
    "side": ("side", "aggressor", "aggressorside", "takerside", "direction", "buysell", "tradeside"),
    "is_buyer_maker": ("isbuyermaker", "buyerismaker", "m"),
    "bid": ("bid", "bidpx", "bidprice", "bidpx00", "bestbid", "bp", "bbid"),
    "ask": ("ask", "askpx", "askprice", "askpx00", "bestask", "ap", "offer", "ofr", "bask"),
    "bid_size": ("bidsize", "bidsz", "bidsz00", "bidqty", "bs", "bestbidqty"),
    "ask_size": ("asksize", "asksz", "asksz00", "askqty", "as", "bestaskqty", "offersize", "ofrsiz"),
    "open": ("open", "o", "openprice"),
    "high": ("high", "h", "highprice"),
    "low": ("low", "l", "lowprice"),
    "close": ("close", "c", "last", "closeprice", "adjclose"),
    "volume": ("volume", "vol", "v", "totalvolume", "tickvolume", "tickvol", "size"),
    "trade_id": ("tradeid", "aggtradeid", "id", "tradenumber"),
    "symbol": ("symbol", "rawsymbol", "ticker", "instrument", "contract", "sym"),
    "suspicious": ("suspicious",),
    "action": ("action",),
    "bid_volume": ("bidvolume",),
    "ask_volume": ("askvolume",),
    "trade_count": ("numberoftrades", "oftrades", "numtrades"),
}
"""Known spellings: Databento, Polygon, Binance, MetaTrader 5, Sierra Chart, NinjaTrader, Yahoo and the usual short forms."""

HEADERLESS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    # what the fields of the first row look like (d digits, n number, b bool, t time), who writes it, the columns
    ("nnnnnbb", "Binance spot trades", ("trade_id", "price", "size", "quote_size", "ts", "is_buyer_maker", "is_best_match")),
    ("nnnnnb", "Binance futures trades", ("trade_id", "price", "size", "quote_size", "ts", "is_buyer_maker")),
    ("nnnnnnbb", "Binance aggregate trades", ("trade_id", "price", "size", "first", "last_id", "ts", "is_buyer_maker", "best")),
    ("tnnnn", "NinjaTrader ticks", ("ts", "price", "bid", "ask", "size")),
    ("tnn", "time, price, size", ("ts", "price", "size")),
    ("nnn", "time, price, size", ("ts", "price", "size")),
    ("tnnnnn", "time, open, high, low, close, volume", ("ts", "open", "high", "low", "close", "volume")),
    ("nnnnnn", "time, open, high, low, close, volume", ("ts", "open", "high", "low", "close", "volume")),
)

REQUIRED = {"trades": ("ts", "price", "size"), "quotes": ("ts", "bid", "ask"), "bars": ("ts", "open", "high", "low", "close")}

_NOT_SYMBOLS = frozenset({
    "TRADES", "TRADE", "QUOTES", "QUOTE", "TICKS", "TICK", "BARS", "BAR", "DATA", "EXPORT", "GLBX", "MDP", "XNAS", "XNYS",
    "DBEQ", "EQUS", "ITCH", "BASIC", "BBO", "TBBO", "MBO", "MBP", "OHLCV", "CSV", "CME", "US", "UTC", "BATCH", "JOB", "FILE",
    "TEST", "OUT",
})  # fmt: skip
_SHOWN = 24  # names of columns in a message, and characters of each
_WIDTH = re.compile(r"(?:^|[_\-. ])(\d+)\s?(s|sec|m|min|h|hour|d|day)(?=$|[_\-. ])", re.IGNORECASE)
_METATRADER = re.compile(r"(?:^|[_\-. ])(M1|M5|M15|M30|H1|H4|D1)(?=$|[_\-. ])")
_UNIT_SECONDS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3_600, "hour": 3_600, "d": 86_400, "day": 86_400}
_METATRADER_SECONDS = {"M1": 60, "M5": 300, "M15": 900, "M30": 1_800, "H1": 3_600, "H4": 14_400, "D1": 86_400}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(name[:_SHOWN] for name in names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def guess_columns(found: Sequence[str], overrides: Mapping[str, str], kind: str | None) -> tuple[str, dict[str, str]]:
    """Return the kind (`trades`, `quotes` or `bars`) and the column of each canonical name.

    Raises
    ------
    UsageError : an override names a column that is not there or an unknown name, or what the kind needs is missing.
    """
    spelled = {_plain(c): c for c in reversed(found)}
    mapping: dict[str, str] = {}
    for name, column in overrides.items():
        if name not in NAMES:
            raise UsageError(f"--map name was '{name}'{suggestion(name, NAMES)}; allowed are {', '.join(NAMES)}")
        if column not in found:
            raise UsageError(f"--map column was '{column}'{suggestion(column, found)}; the file has {_some(found)}")
        mapping[name] = column
    taken = set(mapping.values())
    for name, spellings in NAMES.items():
        if name in mapping:
            continue
        hit = next((spelled[_plain(s)] for s in spellings if _plain(s) in spelled and spelled[_plain(s)] not in taken), None)
        if hit is not None:
            mapping[name] = hit
    if "ts" in mapping and _plain(mapping["ts"]) in {"time", "date"} and "date" in mapping and "clock" in mapping:
        mapping["ts"] = mapping["date"]  # date and time of day in two columns
    else:
        mapping.pop("date", None)
        mapping.pop("clock", None)
    chosen = (kind or _kind(mapping)).partition("-")[0]
    if chosen not in REQUIRED:
        raise UsageError(f"--kind was '{kind}'; allowed are trades, quotes and bars-SECONDS, for example bars-60")
    missing = [n for n in REQUIRED[chosen] if n not in mapping]
    if missing:
        raise UsageError(
            f"columns found were {_some(found) or 'none'}; {chosen} need {', '.join(REQUIRED[chosen])} and "
            f"{', '.join(missing)} {'was' if len(missing) == 1 else 'were'} not recognized; "
            f"name them with --map COLUMN={missing[0]}"
        )
    return chosen, _only_of(chosen, mapping)


def _kind(mapping: Mapping[str, str]) -> str:
    if all(n in mapping for n in ("open", "high", "low", "close")):
        return "bars"
    if "price" in mapping or not ("bid" in mapping and "ask" in mapping):
        return "trades"
    return "quotes"


def _only_of(kind: str, mapping: dict[str, str]) -> dict[str, str]:
    wanted = {
        "trades": (
            "ts",
            "clock",
            "price",
            "size",
            "side",
            "is_buyer_maker",
            "bid",
            "ask",
            "trade_id",
            "symbol",
            "suspicious",
            "action",
        ),
        "quotes": ("ts", "clock", "bid", "ask", "bid_size", "ask_size", "symbol", "suspicious"),
        "bars": ("ts", "clock", "open", "high", "low", "close", "volume", "symbol", "bid_volume", "ask_volume", "trade_count"),
    }[kind]
    return {n: mapping[n] for n in wanted if n in mapping}


def guess_symbol(file_name: str) -> str | None:
    """Return the symbol a file is named after, or None: a futures contract anywhere in the name, else its first word."""
    stem = file_name.rsplit("/", maxsplit=1)[-1]
    words = [w for w in re.split(r"[_\-. ]+", stem) if w]
    for word in words:
        if contract_root(word.upper()) is not None:
            return word.upper()
    first = words[0].upper() if words else ""
    if not first or first in _NOT_SYMBOLS:
        return None
    try:
        return find_instrument(first).symbol
    except NotFoundError:
        return first  # a name that looks like a symbol and is not known is refused by the caller, with the name


def guess_seconds(file_name: str, kind: str | None) -> int | None:
    """Return the width of bars in seconds from `--kind bars-60` or a name such as `SPY_1m` or `US500_H1`, or None."""
    if kind and kind.startswith("bars-"):
        digits = kind.removeprefix("bars-")
        if not digits.isdigit() or int(digits) < 1:
            raise UsageError(f"--kind was '{kind}'; write bars-SECONDS, for example bars-60 for one-minute bars")
        return int(digits)
    stem = file_name.rsplit("/", maxsplit=1)[-1]
    if terminal := _METATRADER.search(stem):
        return _METATRADER_SECONDS[terminal[1]]
    if width := _WIDTH.search(stem):
        return int(width[1]) * _UNIT_SECONDS[width[2].lower()]
    return None
