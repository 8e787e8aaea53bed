"""Account tiers: which tier a balance belongs to, and which contract a tier trades on a tape (definitions 5.4, mended).

A tier is gained at the start of a session and lost when the balance is clearly below it, never while a position is open.
"""

from __future__ import annotations

from decimal import Decimal

from sovereign.core.instrument import contract_root
from sovereign.risk.configuration import FamilyConfig, TierConfig, TiersConfig


def family_of(config: TiersConfig, symbol: str) -> FamilyConfig | None:
    """Return the family a root or contract belongs to, or None when the tiers do not cover it."""
    root = contract_root(symbol)
    return next((family for family in config.families if root in (family.full, family.micro)), None)


class Families(dict[str, FamilyConfig | None]):
    """The family of each symbol, looked up once."""

    def __init__(self, config: TiersConfig) -> None:
        super().__init__()
        self._config = config

    def __missing__(self, symbol: str) -> FamilyConfig | None:
        family = self[symbol] = family_of(self._config, symbol)
        return family


def tier_for(config: TiersConfig, balance: Decimal) -> TierConfig:
    """Return the highest tier whose `min_balance` the balance reaches; below zero, the first."""
    return next((tier for tier in reversed(config.table) if balance >= tier.min_balance), config.table[0])


def next_tier(config: TiersConfig, current: TierConfig | None, balance: Decimal, *, can_promote: bool) -> TierConfig:
    """Return the tier after looking at the balance.

    A higher tier needs its whole `min_balance` (and `can_promote`); the current one is kept until the balance is below its
    `min_balance` by more than the buffer, and then the balance alone decides.
    """
    earned = tier_for(config, balance)
    if current is None:
        return earned
    if earned.min_balance > current.min_balance:
        return earned if can_promote else current
    floor = current.min_balance * (1 - config.demotion_buffer_frac)
    return earned if balance < floor else current


def traded_symbol(config: TiersConfig, tier: TierConfig | None, tape: str) -> str:
    """Return the symbol to trade on a tape: `ESH4` becomes `MESH4` in a micro tier; uncovered tapes trade themselves."""
    if tier is None:
        return tape
    family, root = family_of(config, tape), contract_root(tape)
    if family is None or root is None:
        return tape
    wanted = family.micro if tier.contract == "micro" else family.full
    return wanted + tape[len(root) :]
