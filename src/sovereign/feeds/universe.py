"""What is traded, in which sectors, and what it is measured against: the watchlist as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator

from sovereign.core.configuration import Configuration
from sovereign.core.instrument import find_instrument

_NOT_TICKERS = {"TSMC": "TSM"}


class UniverseConfig(Configuration):
    """Symbols, sector groups, benchmarks and the companies' numbers at the SEC."""

    targets: tuple[str, ...] = Field(
        ("NVDA", "CRWD", "LLY", "TSM", "JPM", "NEE", "CAT", "SONY", "PLTR", "MSTR"),
        description="Symbols that are traded. TSM is the US ticker of the company that the original list calls TSMC.",
    )
    benchmarks: tuple[str, ...] = Field(("SPY", "QQQ"), description="Symbols that are looked at and never traded.")
    groups: Mapping[str, tuple[str, ...]] = Field(
        {
            "tech_growth": ("NVDA", "CRWD", "PLTR"),
            "crypto_proxy": ("MSTR", "PLTR"),
            "healthcare": ("LLY",),
            "financials": ("JPM",),
            "industrials": ("CAT",),
            "utilities": ("NEE",),
            "international": ("TSM", "SONY"),
        },
        description="Sector groups; a symbol may be in several, and must be in one. Replaced as a whole.",
    )
    ciks: Mapping[str, int] = Field(
        {
            "NVDA": 1045810,
            "CRWD": 1535527,
            "LLY": 59478,
            "TSM": 1046179,
            "JPM": 19617,
            "NEE": 753308,
            "CAT": 18230,
            "SONY": 313838,
            "PLTR": 1321655,
            "MSTR": 1050446,
        },
        description="Central index keys at EDGAR by symbol; filings of a symbol without one are no data. Source: sec.gov.",
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        for symbol in (*self.targets, *self.benchmarks):
            if symbol in _NOT_TICKERS:
                raise ValueError(f"symbol was '{symbol}', which is no US ticker; write {_NOT_TICKERS[symbol]}")
            find_instrument(symbol)
        if both := set(self.targets) & set(self.benchmarks):
            raise ValueError(f"{', '.join(sorted(both))} was a target and a benchmark; a benchmark is never traded")
        grouped = {symbol for members in self.groups.values() for symbol in members}
        if bare := [symbol for symbol in self.targets if symbol not in grouped]:
            raise ValueError(f"{', '.join(bare)} was in no sector group; name one, so that sector limits hold for it")
        return self

    def groups_of(self, symbol: str) -> tuple[str, ...]:
        """Return the sector groups of a symbol."""
        return tuple(name for name, members in self.groups.items() if symbol in members)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Targets and benchmarks: what data are needed for."""
        return (*self.targets, *self.benchmarks)
