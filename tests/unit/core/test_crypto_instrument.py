"""Crypto pairs: told from currencies and shares, in whole units of a stated fraction of a coin."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sovereign.core.errors import NotFoundError
from sovereign.core.instrument import CRYPTO, AssetClass, find_instrument


def test_find_instrument_when_a_crypto_pair_is_named_then_its_unit_is_a_fraction_of_a_coin() -> None:
    btc = find_instrument("BTCUSD")
    assert (btc.asset_class, btc.calendar, btc.tick_size) == (AssetClass.CRYPTO, "CRYPTO", Decimal("0.01"))
    ticks = btc.to_ticks("97123.45")
    assert ticks == 9_712_345
    # 500 units are half a coin: 48,561.725; a move of 1,000 dollars on them is 500.
    assert btc.notional(ticks, 500) == Decimal("48561.725")
    assert btc.value(100_000, 500) == Decimal(500)
    assert btc.margin(ticks, 500) == btc.notional(ticks, 500)


@pytest.mark.parametrize("symbol", sorted(CRYPTO))
def test_find_instrument_when_a_price_of_a_million_is_written_in_ticks_then_fits_a_column(symbol: str) -> None:
    assert find_instrument(symbol).to_ticks(1_000_000) < 2**31


def test_find_instrument_when_a_pair_is_misspelled_then_suggests() -> None:
    with pytest.raises(NotFoundError, match=r"was 'BTCUSX' \(did you mean 'BTCUSD'\?\)"):
        find_instrument("BTCUSX")
