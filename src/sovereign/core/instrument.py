"""Instruments: the only place where prices, ticks and money are converted into each other.

Inside the platform a price is an integer number of ticks and a quantity an integer number of contracts or shares; money
is `Decimal`. Contract figures are the exchanges' own (CME, NYMEX and COMEX contract specifications). Margins and fees are
one retail broker's published figures and are meant to be overridden in the configuration.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache

from sovereign.core.errors import NotFoundError, UsageError, suggestion


class AssetClass(StrEnum):
    """What kind of thing is traded."""

    FUTURE = "future"
    EQUITY = "equity"
    CFD = "cfd"
    CRYPTO = "crypto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A tradable instrument and its arithmetic.

    Parameters
    ----------
    symbol : the name in the catalog (`ESH4`, `SPY`).
    root : the product a contract belongs to (`ES`); equal to `symbol` for equities.
    venue : ISO 10383 market identifier code.
    tick_size : smallest price increment, in price units.
    tick_value : money that one tick of one unit (contract or share) is worth, in `currency`.
    calendar : name of the session calendar (`CME_EQUITY`, `CME_ENERGY`, `CME_METALS`, `XNYS`, `CRYPTO`).
    lot_size : smallest quantity step. round_lot : units in one displayed lot (100 shares, 1 contract).
    day_margin, overnight_margin : money per unit; None when margin is a fraction of notional (`margin_frac`).
    fee_per_side : commission, exchange and regulatory fees per unit and side.
    """

    symbol: str
    root: str
    venue: str
    asset_class: AssetClass
    tick_size: Decimal
    tick_value: Decimal
    calendar: str
    currency: str = "USD"
    lot_size: int = 1
    round_lot: int = 1
    day_margin: Decimal | None = None
    overnight_margin: Decimal | None = None
    margin_frac: Decimal | None = None
    fee_per_side: Decimal = Decimal("0")
    description: str = ""

    def to_ticks(self, price: Decimal | str | int | float) -> int:
        """Convert a price to ticks; a price between two ticks is refused."""
        exact = Decimal(str(price)) / self.tick_size
        if not exact.is_finite() or exact != exact.to_integral_value():
            raise UsageError(
                f"price {price} of {self.symbol} was not a multiple of its tick {self.tick_size}; round it to the tick first"
            )
        return int(exact)

    def to_price(self, ticks: int) -> Decimal:
        """Convert ticks to a price."""
        return self.tick_size * int(ticks)

    def value(self, ticks: int, quantity: int = 1) -> Decimal:
        """Money of a move of `ticks` on `quantity` units."""
        return self.tick_value * (int(ticks) * int(quantity))

    def notional(self, price_ticks: int, quantity: int) -> Decimal:
        """Money value of `quantity` units at `price_ticks`."""
        return self.tick_value * (int(price_ticks) * abs(int(quantity)))

    def margin(self, price_ticks: int, quantity: int) -> Decimal | None:
        """Intraday margin of a position, or None when the instrument does not state one."""
        if self.day_margin is not None:
            return self.day_margin * abs(int(quantity))
        if self.margin_frac is not None:
            return self.notional(price_ticks, quantity) * self.margin_frac
        return None

    @property
    def price_precision(self) -> int:
        """Number of decimals a price is shown with."""
        exponent = self.tick_size.normalize().as_tuple().exponent
        return max(0, -exponent) if isinstance(exponent, int) else 0


def _future(
    root: str, venue: str, calendar: str, tick: str, value: str, day: str, overnight: str, fee: str, description: str
) -> Instrument:
    return Instrument(
        symbol=root,
        root=root,
        venue=venue,
        asset_class=AssetClass.FUTURE,
        tick_size=Decimal(tick),
        tick_value=Decimal(value),
        calendar=calendar,
        day_margin=Decimal(day),
        overnight_margin=Decimal(overnight),
        fee_per_side=Decimal(fee),
        description=description,
    )


FUTURES: dict[str, Instrument] = {
    future.root: future
    for future in (
        _future("ES", "XCME", "CME_EQUITY", "0.25", "12.50", "300", "13200", "2.25", "E-mini S&P 500"),
        _future("MES", "XCME", "CME_EQUITY", "0.25", "1.25", "40", "1320", "0.62", "Micro E-mini S&P 500"),
        _future("NQ", "XCME", "CME_EQUITY", "0.25", "5.00", "500", "20000", "2.25", "E-mini Nasdaq-100"),
        _future("MNQ", "XCME", "CME_EQUITY", "0.25", "0.50", "50", "2000", "0.62", "Micro E-mini Nasdaq-100"),
        _future("RTY", "XCME", "CME_EQUITY", "0.10", "5.00", "300", "7000", "2.25", "E-mini Russell 2000"),
        _future("YM", "XCBT", "CME_EQUITY", "1", "5.00", "300", "9500", "2.25", "E-mini Dow"),
        _future("CL", "XNYM", "CME_ENERGY", "0.01", "10.00", "1000", "6500", "2.40", "Crude oil"),
        _future("GC", "XCEC", "CME_METALS", "0.10", "10.00", "1000", "11000", "2.45", "Gold"),
    )
}
"""Supported futures by root. Tick sizes and values: exchange contract specifications."""


def _coin(root: str, unit: str, fee: str, description: str) -> Instrument:
    tick = Decimal("0.01")
    return Instrument(
        symbol=root,
        root=root,
        venue="XXXX",  # ISO 10383: no market of its own
        asset_class=AssetClass.CRYPTO,
        tick_size=tick,
        tick_value=tick * Decimal(unit),
        calendar="CRYPTO",
        margin_frac=Decimal(1),
        fee_per_side=Decimal(fee),
        description=f"{description}, in units of {unit}",
    )


CRYPTO: dict[str, Instrument] = {
    coin.root: coin
    for coin in (
        _coin("BTCUSD", "0.001", "0.25", "Bitcoin"),
        _coin("ETHUSD", "0.01", "0.10", "Ether"),
        _coin("SOLUSD", "0.1", "0.05", "Solana"),
    )
}
"""Supported crypto pairs. Quantities are whole units, the fraction of a coin that `tick_value` counts; prices are of a whole
coin, in cents. Paid in full (margin 1). Fees: 0.25% of prices of 100,000, 4,000 and 200 dollars (one broker's taker fee); a
configuration sets what is really charged. The venue is ISO 10383's code for none."""

_CONTRACT = re.compile(r"^(?P<root>[A-Z0-9]{1,3}?)(?P<month>[FGHJKMNQUVXZ])(?P<year>\d{1,2})$")
_EQUITY = re.compile(r"^[A-Z]{1,5}(\.[A-Z])?$")


def contract_root(symbol: str) -> str | None:
    """Return the futures root of `ES`, `ESH4` or `ESH24`, or None when the symbol is not a supported future."""
    if symbol in FUTURES:
        return symbol
    match = _CONTRACT.match(symbol)
    return match["root"] if match and match["root"] in FUTURES else None


@lru_cache(maxsize=4_096)
def find_instrument(symbol: str) -> Instrument:
    """Return the instrument of a futures root, a futures contract, a crypto pair or a US equity.

    Raises
    ------
    NotFoundError : the symbol is no supported future, no supported crypto pair and not shaped like a US equity ticker.
    """
    root = contract_root(symbol)
    if root is not None:
        return FUTURES[root] if symbol == root else replace(FUTURES[root], symbol=symbol)
    if symbol in CRYPTO:
        return CRYPTO[symbol]
    if not _EQUITY.match(symbol):
        raise NotFoundError(
            f"symbol was '{symbol}'{suggestion(symbol.upper(), (*FUTURES, *CRYPTO))}; allowed are the futures "
            f"{', '.join(FUTURES)}, their contracts such as ESH4, US equity tickers such as SPY, "
            f"and the crypto pairs {', '.join(CRYPTO)}"
        )
    return Instrument(
        symbol=symbol,
        root=symbol,
        venue="XNYS",
        asset_class=AssetClass.EQUITY,
        tick_size=Decimal("0.01"),
        tick_value=Decimal("0.01"),
        calendar="XNYS",
        round_lot=100,
        margin_frac=Decimal("0.25"),
        fee_per_side=Decimal("0.0035"),
        description="US equity",
    )
