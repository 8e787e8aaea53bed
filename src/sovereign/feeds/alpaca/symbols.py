"""Which of Alpaca's symbols are traded here: US equities alone. `CL` is Colgate there and crude oil here."""

from __future__ import annotations

from collections.abc import Iterable

from sovereign.core.errors import ConfigurationError, NotFoundError
from sovereign.core.instrument import AssetClass, Instrument, find_instrument


def equity_of(symbol: str) -> Instrument | None:
    """Return the equity that a symbol of Alpaca's means here; None for options, crypto, and names that are a future's here."""
    try:
        found = find_instrument(symbol)
    except NotFoundError:
        return None
    return found if found.asset_class is AssetClass.EQUITY else None


def need_equities(symbols: Iterable[str]) -> None:
    """Refuse symbols that cannot be traded at Alpaca.

    Raises
    ------
    ConfigurationError : one of them is no US equity.
    """
    wrong = [symbol for symbol in symbols if equity_of(symbol) is None]
    if wrong:
        raise ConfigurationError(
            f"symbols were {', '.join(wrong)}; at Alpaca only US equities are traded, such as SPY, and none whose ticker names "
            f"a future here (CL, ES, GC, YM), because ticks and money would be the future's; take them out of --symbol and "
            f"session.symbols"
        )
