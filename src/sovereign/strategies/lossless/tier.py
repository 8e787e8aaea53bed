"""Account tiers: what an account of a certain size may use. Source: lossless requirement, account tiers; definitions 3.4."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sovereign.core.order import OrderType


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountTier:
    """One tier.

    Parameters
    ----------
    min_balance : balance from which it applies, account currency.
    max_orders : orders working at once.
    order_types : what may be sent now. The protective stop and target of a market entry are of every tier.
    supports_algorithms : orders may be sliced by an execution algorithm.
    supports_dark_pools : orders may be routed to dark pools.
    """

    name: str
    min_balance: Decimal
    max_orders: int
    order_types: tuple[OrderType, ...]
    supports_algorithms: bool
    supports_dark_pools: bool


TIERS = (
    AccountTier(
        name="Retail",
        min_balance=Decimal(0),
        max_orders=5,
        order_types=(OrderType.MARKET,),
        supports_algorithms=False,
        supports_dark_pools=False,
    ),
    AccountTier(
        name="Semi-institutional",
        min_balance=Decimal(100_000),
        max_orders=20,
        order_types=(OrderType.MARKET, OrderType.LIMIT),
        supports_algorithms=True,
        supports_dark_pools=False,
    ),
    AccountTier(
        name="Institutional",
        min_balance=Decimal(1_000_000),
        max_orders=100,
        order_types=(OrderType.MARKET, OrderType.LIMIT),
        supports_algorithms=True,
        supports_dark_pools=True,
    ),
)
"""By rising `min_balance`. The strategy enters at the market, so it may be traded in every tier."""


def tier_of(balance: Decimal) -> AccountTier:
    """Return the highest tier that a balance reaches; below zero, the first."""
    return next((tier for tier in reversed(TIERS) if balance >= tier.min_balance), TIERS[0])
