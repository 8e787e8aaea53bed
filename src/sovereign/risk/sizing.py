"""How many units: what the rule wants, and what each limit leaves of it (definitions 0, 1.4 and 5.4, mended).

Inside the tiers the rule counts contracts: 1 + the strategy's steps + a winning streak - a losing streak, times the regime's
multiplier. Outside them the order is sized by what it loses at its stop. Either way the loss at the stop, fees and slippage
included, bounds it. The size is worked out once; the checks read it and never change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from sovereign.core.decision import Check, Words, money, say
from sovereign.core.instrument import AssetClass, Instrument, find_instrument
from sovereign.core.order import Bracket, OrderIntent
from sovereign.core.port import AccountView
from sovereign.core.position import Position
from sovereign.core.record import maker, quick
from sovereign.risk.configuration import RiskConfig, TierConfig
from sovereign.risk.limit import ZERO
from sovereign.risk.number import is_known, known


@quick
@dataclass(frozen=True, slots=True)
class Streaks:
    """Wins and losses in a row; a scratch trade leaves both as they are."""

    wins: int = 0
    losses: int = 0


class Size(NamedTuple):
    """The size of an order and everything that bounded it; None is unknown.

    `wanted` is what the `rule` wants, `caps` the largest quantity each limit leaves, `quantity` the least of all (0 when one is
    unknown). `stop_loss`, `cost`, `reward` and `value` (what a unit is worth) are per unit, in account currency; `side_value`
    and `symbol_value` those of everything on the order's side, and of its symbol, already. As text it is its own arithmetic.
    """

    quantity: int
    wanted: int | None
    rule: Words
    stop_loss: Decimal | None
    cost: Decimal | None
    reward: Decimal | None
    room: Decimal | None
    risk_limit: Decimal | None
    margin: Decimal | None
    margin_limit: Decimal | None
    margin_room: Decimal | None
    value: Decimal | None
    side_value: Decimal | None
    symbol_value: Decimal | None
    caps: Mapping[str, int | None]
    checks: dict[str, Check]  # what has been said about this size; see `risk.check`

    def __str__(self) -> str:
        caps = ", ".join(f"{name} {'unknown' if cap is None else cap}" for name, cap in self.caps.items())
        wanted = "unknown" if self.wanted is None else self.wanted
        return f"{say(self.rule)} = {wanted}; at most: {caps}; loss at the stop {money(self.stop_loss)} a unit"


make_size = maker(Size)


class Wish(NamedTuple):
    """What sizes an order, of all that was asked for; `symbol` is what would be traded."""

    symbol: str
    quantity: int | None
    steps: int
    multiplier: float
    bracket: Bracket | None


make_wish = maker(Wish)


class Means(NamedTuple):
    """What the account has for it; None is unknown. What is ordered counts as held.

    `room` is what may still be lost today, after what is already at risk; `margin` that of one unit; `used_margin` and
    `share_value`, `side_value` and `symbol_value` what is held already. `price` (ticks) is asked for where values count.
    """

    balance: Decimal | None
    room: Decimal | None
    margin: Decimal | None
    used_margin: Decimal | None
    share_value: Decimal | None
    price: int | None
    side_value: Decimal | None = None
    symbol_value: Decimal | None = None
    equity: Decimal | None = None


make_means = maker(Means)


def _units(amount: Decimal | None, per_unit: Decimal | None) -> int | None:
    if amount is None or per_unit is None:
        return None
    if per_unit <= 0:  # costs nothing, bounds nothing
        return 2**31 - 1 if amount >= 0 else 0
    return int(amount / per_unit) if amount > 0 else 0


def _of_bracket(bracket: Bracket, instrument: Instrument, cost: Decimal) -> tuple[Decimal | None, Decimal | None]:
    # loss at the stop and value of the target, per unit
    stop, target = bracket.stop_ticks, bracket.target_ticks
    # a trailing stop may start wider than the fixed one
    loss = instrument.value(max(stop, bracket.trail_ticks or 0)) + cost if is_known(stop) and stop > 0 else None
    return loss, instrument.value(target) if is_known(target) else None


def _floor(amount: Decimal) -> int:
    return int(amount.to_integral_value(ROUND_FLOOR))


@lru_cache(maxsize=64, typed=True)
def _exact(multiplier: float) -> Decimal:
    return Decimal(str(multiplier))


def _wanted(
    config: RiskConfig, wish: Wish, streaks: Streaks, by_risk: int | None, by_value: int | None, *, is_tiered: bool
) -> tuple[int | None, Words]:
    value, steps, quantity = wish.multiplier, wish.steps, wish.quantity
    if not is_known(value) or not 0 < value <= 1 or not is_known(steps):
        return None, "unknown multiplier or steps"
    multiplier = _exact(value)
    if quantity is not None:
        if not is_known(quantity) or quantity < 1:
            return None, f"asked for {quantity}"
        return max(1, _floor(quantity * multiplier)), f"asked for {quantity} x {multiplier}"
    if not is_tiered and config.value_frac is not None:
        if by_value is None:
            return None, "unknown price or equity"
        return _floor(by_value * multiplier), f"{config.value_frac} of equity = {by_value}, x {multiplier}"
    if not is_tiered:
        if by_risk is None:
            return None, "unknown loss at the stop"
        rule = f"{config.risk_frac} of the balance at the stop = {by_risk}, x {multiplier}"
        return _floor(by_risk * multiplier), rule
    winning = 1 if streaks.wins >= config.win_streak else 0
    losing = 1 if streaks.losses >= config.loss_streak else 0
    units = 1 + steps + winning - losing
    template = "(1 + {} steps + {} winning - {} losing) x {}"
    return max(1, _floor(units * multiplier)), (template, steps, winning, losing, str(multiplier))


def _used_margin(view: AccountView, positions: Mapping[str, Position]) -> Decimal | None:
    total = ZERO
    for symbol, position in positions.items():
        margin = known(view.margin_per_unit.get(symbol))
        if margin is None:
            return None
        total += margin * abs(position.quantity)
    for symbol, quantity in view.working_units.items():
        margin = known(view.margin_per_unit.get(symbol))
        if margin is None:
            return None
        total += margin * abs(quantity)
    return total


def _holdings(
    view: AccountView, positions: Mapping[str, Position], find: Callable[[str], Instrument]
) -> Iterator[tuple[Instrument, str, int]]:
    # everything held, and every entry that still works: what it is, on which tape, signed units
    for position in positions.values():
        yield position.instrument, position.tape, position.quantity
    for symbol, quantity in view.working_units.items():
        yield find(symbol), symbol, quantity


def _valued(
    holdings: Iterable[tuple[Instrument, str, int]], last_ticks: Mapping[str, int]
) -> list[tuple[Instrument, int, Decimal | None]]:
    # what each is worth: (instrument, signed units, value), None where no last price is known
    found = []
    for instrument, tape, quantity in holdings:
        last = last_ticks.get(tape)
        found.append((instrument, quantity, instrument.notional(last, quantity) if is_known(last) else None))
    return found


def _sum(values: Iterable[Decimal | None]) -> Decimal | None:
    total = ZERO
    for value in values:
        if value is None:
            return None
        total += value
    return total


def means_of(
    intent: OrderIntent,
    instrument: Instrument | None,
    view: AccountView,
    positions: Mapping[str, Position],
    room: Decimal | None,
    config: RiskConfig,
    *,
    find: Callable[[str], Instrument] = find_instrument,
) -> Means:
    """Collect what an account has for an order; `positions` are those that are not flat.

    Values of sides and symbols are worked out where `config` limits them.
    """
    margin: Decimal | None = None
    shares: Decimal | None = None
    price: int | None = None
    side: Decimal | None = None
    own: Decimal | None = None
    is_by_equity = has_equity_rules(config)
    if instrument is not None:
        margin = known(view.margin_per_unit.get(instrument.symbol))
        margin = margin if margin is None or margin >= 0 else None
        is_share = instrument.asset_class is not AssetClass.FUTURE
        if is_share or is_by_equity:
            price = intent.limit_ticks if is_known(intent.limit_ticks) else view.last_ticks.get(intent.symbol)
            price = price if is_known(price) else None
        held = _valued(_holdings(view, positions, find), view.last_ticks)
        if is_share:
            # futures carry no value of their own; margin bounds them
            shares = _sum([value for of, _, value in held if of.asset_class is not AssetClass.FUTURE])
        if config.max_side_exposure_frac is not None:
            sign = intent.side.sign
            side = _sum([value for _, quantity, value in held if quantity * sign > 0])
        if config.max_position_frac is not None:
            symbol = instrument.symbol
            own = _sum([value for of, _, value in held if of.symbol == symbol])
    equity = known(view.equity) if is_by_equity else None
    used = _used_margin(view, positions)
    return make_means(known(view.balance), room, margin, used, shares, price, side, own, equity)


def has_equity_rules(config: RiskConfig) -> bool:
    """Say whether any rule measures an order's value by the account's equity."""
    return config.max_side_exposure_frac is not None or config.max_position_frac is not None or config.value_frac is not None


class Sizer:
    """Sizes entries by a configuration.

    The last size is kept: one candidate after the other asks an unchanged account for the same order.
    """

    def __init__(self, config: RiskConfig) -> None:
        self._config = config
        self._asked: tuple[Any, ...] = ()
        self._size: Size | None = None

    def size(
        self,
        wish: Wish,
        means: Means,
        instrument: Instrument | None,
        tier: TierConfig | None,
        streaks: Streaks,
        is_tiered: bool,
    ) -> Size:
        """Return what `size_order` says."""
        asked = (wish, means, instrument, tier, streaks, is_tiered)
        if self._size is None or asked != self._asked:
            self._size = size_order(self._config, wish, means, instrument, tier, streaks, is_tiered=is_tiered)
            self._asked = asked
        return self._size


def _share_of(amount: Decimal | None, fraction: Decimal | None) -> Decimal | None:
    return None if amount is None or fraction is None else amount * fraction


def _less(amount: Decimal | None, used: Decimal | None) -> Decimal | None:
    return None if amount is None or used is None else amount - used


def _value_caps(config: RiskConfig, means: Means, value: Decimal | None, *, is_share: bool) -> dict[str, int | None]:
    # what the limits on values leave: of all shares, of the order's side, of its symbol
    caps: dict[str, int | None] = {}
    if is_share:
        caps["value"] = _units(_less(_share_of(means.balance, config.max_notional_frac), means.share_value), value)
    if config.max_side_exposure_frac is not None:
        caps["side"] = _units(_less(_share_of(means.equity, config.max_side_exposure_frac), means.side_value), value)
    if config.max_position_frac is not None:
        caps["position"] = _units(_less(_share_of(means.equity, config.max_position_frac), means.symbol_value), value)
    return caps


def size_order(
    config: RiskConfig,
    wish: Wish,
    means: Means,
    instrument: Instrument | None,
    tier: TierConfig | None,
    streaks: Streaks,
    *,
    is_tiered: bool,
) -> Size:
    """Size an entry.

    Parameters
    ----------
    instrument : what would be traded; None when the symbol is not known.
    is_tiered : whether a tier counts the contracts; otherwise the order is sized by its loss at the stop.
    tier : that tier; None when it should be known and is not.
    """
    balance, margin, bracket, price = means.balance, means.margin, wish.bracket, means.price
    stop_loss = cost = reward = margin_limit = value = None
    is_share = instrument is not None and instrument.asset_class is not AssetClass.FUTURE
    if instrument is not None:
        cost = 2 * instrument.fee_per_side + config.slippage_ticks * instrument.tick_value
        if bracket is not None:
            stop_loss, reward = _of_bracket(bracket, instrument, cost)
        value = None if price is None else instrument.notional(price, 1)
        margin_limit = config.margin_limits.get(instrument.root)
        if margin_limit is None and value is not None:
            margin_limit = value * config.max_margin_frac
    risk_limit = _share_of(balance, config.max_risk_frac)
    margin_room = _less(_share_of(balance, config.max_margin_balance_frac), means.used_margin)
    by_risk = _units(_share_of(balance, config.risk_frac), stop_loss)
    by_value = _units(_share_of(means.equity, config.value_frac), value)
    wanted, rule = _wanted(config, wish, streaks, by_risk, by_value, is_tiered=is_tiered)
    caps: dict[str, int | None] = {"room": _units(means.room, stop_loss), "risk": _units(risk_limit, stop_loss)}
    if is_tiered:
        caps["tier"] = None if tier is None else tier.max_units
    if config.max_quantity is not None:
        caps["quantity"] = config.max_quantity
    caps |= _value_caps(config, means, value, is_share=is_share)
    caps["margin"] = _units(margin_room, margin)
    least = min([0 if bound is None else bound for bound in (wanted, *caps.values())])
    return make_size(
        quantity=max(0, least),
        wanted=wanted,
        rule=rule,
        stop_loss=stop_loss,
        cost=cost,
        reward=reward,
        room=means.room,
        risk_limit=risk_limit,
        margin=margin,
        margin_limit=margin_limit,
        margin_room=margin_room,
        value=value,
        side_value=means.side_value,
        symbol_value=means.symbol_value,
        caps=caps,
        checks={},
    )
