"""How many units: what the rule wants, and what each limit leaves of it (definitions 0, 1.4 and 5.4, mended).

Inside the tiers the rule counts contracts: 1 + the strategy's steps + a winning streak - a losing streak, times the regime's
multiplier. Outside them the order is sized by what it loses at its stop. Either way the loss at the stop, fees and slippage
included, bounds it. The size is worked out once; the checks read it and never change it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from sovereign.core.instrument import AssetClass, Instrument
from sovereign.core.order import OrderIntent
from sovereign.core.port import AccountView
from sovereign.risk.configuration import RiskConfig, TierConfig
from sovereign.risk.limit import held
from sovereign.risk.number import is_known, known, money


@dataclass(frozen=True, slots=True)
class Streaks:
    """Wins and losses in a row; a scratch trade leaves both as they are."""

    wins: int = 0
    losses: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The size of an order and everything that bounded it; None is unknown.

    `wanted` is the rule's, `caps` the largest quantity each limit leaves, `quantity` the least of all (0 when one is unknown).
    `stop_loss`, `cost` and `reward` are per unit, in account currency.
    """

    wanted: int | None
    rule: str
    stop_loss: Decimal | None
    cost: Decimal | None
    reward: Decimal | None
    room: Decimal | None
    risk_limit: Decimal | None
    margin: Decimal | None
    margin_limit: Decimal | None
    margin_used: Decimal | None
    margin_room: Decimal | None
    caps: Mapping[str, int | None]

    @property
    def quantity(self) -> int:
        """Units to order, 0 when nothing may be."""
        bounds = [self.wanted, *self.caps.values()]
        return max(0, min(bound if bound is not None else 0 for bound in bounds))


def _units(amount: Decimal | None, per_unit: Decimal | None) -> int | None:
    if amount is None or per_unit is None:
        return None
    if per_unit <= 0:  # costs nothing, bounds nothing
        return 2**31 - 1 if amount >= 0 else 0
    return int((max(amount, Decimal(0)) / per_unit).to_integral_value(ROUND_FLOOR))


def _floor(amount: Decimal) -> int:
    return int(amount.to_integral_value(ROUND_FLOOR))


def _multiplier(intent: OrderIntent) -> Decimal | None:
    value = intent.size_multiplier
    return Decimal(str(value)) if is_known(value) and 0 < value <= 1 else None


def _wanted(
    config: RiskConfig,
    intent: OrderIntent,
    streaks: Streaks,
    by_risk: int | None,
    *,
    is_tiered: bool,
) -> tuple[int | None, str]:
    multiplier = _multiplier(intent)
    if multiplier is None or not is_known(intent.size_steps):
        return None, "unknown multiplier or steps"
    if intent.quantity is not None:
        if not is_known(intent.quantity) or intent.quantity < 1:
            return None, f"asked for {intent.quantity}"
        return max(1, _floor(intent.quantity * multiplier)), f"asked for {intent.quantity} x {multiplier}"
    if not is_tiered:
        if by_risk is None:
            return None, "unknown loss at the stop"
        text = f"{config.risk_frac} of the balance at the stop = {by_risk}, x {multiplier}"
        return _floor(by_risk * multiplier), text
    winning = int(streaks.wins >= config.win_streak)
    losing = int(streaks.losses >= config.loss_streak)
    units = 1 + intent.size_steps + winning - losing
    text = f"(1 + {intent.size_steps} steps + {winning} winning - {losing} losing) x {multiplier}"
    return max(1, _floor(units * multiplier)), text


def _used_margin(view: AccountView) -> Decimal | None:
    total = Decimal(0)
    for symbol, position in held(view.positions).items():
        margin = known(view.margin_per_unit.get(symbol))
        if margin is None:
            return None
        total += margin * abs(position.quantity)
    return total


def _share_value(view: AccountView) -> Decimal | None:
    # futures carry no value of their own; margin bounds them
    total = Decimal(0)
    for position in held(view.positions).values():
        if position.instrument.asset_class is AssetClass.FUTURE:
            continue
        last = view.last_ticks.get(position.tape)
        if not is_known(last):
            return None
        total += position.instrument.notional(last, position.quantity)
    return total


def _limit_per_unit(config: RiskConfig, instrument: Instrument, price: int | None) -> Decimal | None:
    if instrument.root in config.margin_limits:
        return config.margin_limits[instrument.root]
    if instrument.asset_class is AssetClass.FUTURE or price is None:
        return None
    return instrument.notional(price, 1) * config.max_margin_frac


def size_order(
    config: RiskConfig,
    intent: OrderIntent,
    instrument: Instrument | None,
    view: AccountView,
    tier: TierConfig | None,
    streaks: Streaks,
    room: Decimal | None,
    *,
    is_tiered: bool,
) -> Size:
    """Size an entry.

    Parameters
    ----------
    instrument : what would be traded; None when the symbol is not known.
    is_tiered : whether a tier counts the contracts; otherwise the order is sized by its loss at the stop.
    tier : that tier; None when it should be known and is not.
    room : what may still be lost today, after what is already at risk; None when it cannot be told.
    """
    balance = known(view.balance)
    stop_loss = cost = reward = margin = margin_limit = margin_room = None
    value_room: Decimal | None = None
    value: Decimal | None = None
    is_share = instrument is not None and instrument.asset_class is not AssetClass.FUTURE
    used = _used_margin(view)
    if instrument is not None:
        cost = 2 * instrument.fee_per_side + config.slippage_ticks * instrument.tick_value
        bracket = intent.bracket
        if bracket is not None and is_known(bracket.stop_ticks) and bracket.stop_ticks > 0:
            # a trailing stop may start wider than the fixed one
            distance = max(bracket.stop_ticks, bracket.trail_ticks or 0)
            stop_loss = instrument.value(distance) + cost
        if bracket is not None and is_known(bracket.target_ticks):
            reward = instrument.value(bracket.target_ticks or 0)
        price = intent.limit_ticks if is_known(intent.limit_ticks) else view.last_ticks.get(intent.symbol)
        price = price if is_known(price) else None
        margin = known(view.margin_per_unit.get(instrument.symbol))
        margin = margin if margin is None or margin >= 0 else None
        margin_limit = _limit_per_unit(config, instrument, price)
        value = instrument.notional(price, 1) if price is not None else None
    if balance is not None and used is not None:
        margin_room = balance * config.max_margin_balance_frac - used
    shares = _share_value(view) if is_share else None
    if is_share and balance is not None and shares is not None:
        value_room = balance * config.max_notional_frac - shares
    risk_limit = balance * config.max_risk_frac if balance is not None else None
    by_risk = _units(balance * config.risk_frac if balance is not None else None, stop_loss)
    wanted, rule = _wanted(config, intent, streaks, by_risk, is_tiered=is_tiered)
    caps: dict[str, int | None] = {"room": _units(room, stop_loss), "risk": _units(risk_limit, stop_loss)}
    if is_tiered:
        caps["tier"] = None if tier is None else tier.max_units
    if config.max_quantity is not None:
        caps["quantity"] = config.max_quantity
    if is_share:
        caps["value"] = _units(value_room, value)
    caps["margin"] = _units(margin_room, margin)
    return Size(
        wanted=wanted,
        rule=rule,
        stop_loss=stop_loss,
        cost=cost,
        reward=reward,
        room=room,
        risk_limit=risk_limit,
        margin=margin,
        margin_limit=margin_limit,
        margin_used=used,
        margin_room=margin_room,
        caps=caps,
    )


def describe(size: Size) -> str:
    """Return the arithmetic of a size in one line."""
    caps = ", ".join(f"{name} {'unknown' if cap is None else cap}" for name, cap in size.caps.items())
    wanted = "unknown" if size.wanted is None else size.wanted
    return f"{size.rule} = {wanted}; at most: {caps}; loss at the stop {money(size.stop_loss)} a unit"
