"""Sectors of usual symbols, as data. Source: Global Industry Classification Standard; funds by what they hold.

A symbol that is not here belongs to no sector, and no cap of a sector concerns it.
"""

from __future__ import annotations

SECTORS: dict[str, str] = {
    "AAPL": "technology",
    "AMD": "technology",
    "AVGO": "technology",
    "CRWD": "technology",
    "MSFT": "technology",
    "MSTR": "technology",
    "NVDA": "technology",
    "PLTR": "technology",
    "SMH": "technology",
    "TSM": "technology",
    "XLK": "technology",
    "GOOGL": "communication",
    "META": "communication",
    "NFLX": "communication",
    "XLC": "communication",
    "AMZN": "consumer discretionary",
    "HD": "consumer discretionary",
    "SONY": "consumer discretionary",
    "TSLA": "consumer discretionary",
    "XLY": "consumer discretionary",
    "COST": "consumer staples",
    "PG": "consumer staples",
    "WMT": "consumer staples",
    "XLP": "consumer staples",
    "BAC": "financials",
    "JPM": "financials",
    "V": "financials",
    "XLF": "financials",
    "JNJ": "health care",
    "LLY": "health care",
    "UNH": "health care",
    "XLV": "health care",
    "CAT": "industrials",
    "GE": "industrials",
    "XLI": "industrials",
    "CVX": "energy",
    "XLE": "energy",
    "XOM": "energy",
    "NEE": "utilities",
    "XLU": "utilities",
    "LIN": "materials",
    "XLB": "materials",
    "XLRE": "real estate",
    "BTCUSD": "crypto",
    "ETHUSD": "crypto",
    "SOLUSD": "crypto",
    "DIA": "index",
    "IWM": "index",
    "QQQ": "index",
    "SPY": "index",
}


def symbols_of(sector: str) -> tuple[str, ...]:
    """Return the symbols of a sector, in order; empty for a sector that is not here."""
    return tuple(symbol for symbol, of in SECTORS.items() if of == sector)
