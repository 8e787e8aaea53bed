"""What fills when a bracket's stop and its target both lie inside one recorded bar.

The prints of a bar (`feeds.bars`) hold its two extremes at one and the same time. The tape has one of them first, which is an
assumption; a fill that depends on it is in doubt, and the fill model's `bar_order` says which way the doubt goes.
"""

from __future__ import annotations

from sovereign.core.columns import Trades
from sovereign.core.order import OrderRole
from sovereign.execution.fill_model import BarOrder
from sovereign.execution.resting import Resting


def is_first_extreme(trades: Trades, index: int) -> bool:
    """Say whether row `index` is a bar's extreme that the tape has before the other one."""
    ts = trades.ts
    return trades.is_path and index + 1 < len(ts) and ts.item(index + 1) == ts.item(index)


def stop_price(trades: Trades, index: int, trigger: int, sign: int) -> int:
    """Return what a stop trades at, before slippage: what traded, or inside a bar its own price, passed on the way there.

    `sign` is that of the order. A bar that opens beyond the stop has jumped over it. A path is cut between bars only.
    """
    traded = int(trades.price[index])
    if not trades.is_path or not _is_inside(trades, index):
        return traded
    before = int(trades.price[index - 1])
    return min(traded, max(trigger, before)) if sign > 0 else max(traded, min(trigger, before))


def passing_price(trades: Trades, index: int, price: int, limit: int, sign: int) -> int:
    """Return what a limit order pays that is marketable when it arrives: `price`, which is what a taker would pay.

    Inside a bar it is no better than the order's limit, which the market passed on its way, unless it was beyond already.
    """
    if not trades.is_path or not _is_inside(trades, index):
        return price
    before = int(trades.price[index - 1])
    return max(price, min(limit, before)) if sign > 0 else min(price, max(limit, before))


def _is_inside(trades: Trades, index: int) -> bool:
    # The extremes of a bar and its close, all but its open.
    ts = trades.ts
    if index == 0:
        return False
    before = ts.item(index - 1)
    return is_first_extreme(trades, index) or before == ts.item(index) or (index > 1 and ts.item(index - 2) == before)


def rival_of(resting: Resting) -> Resting | None:
    """Return the other child of the bracket that an order is a child of; None where there is none at work."""
    group = resting.group
    if group is None or resting is group.entry:
        return None
    return next((child for child in group.children if child is not resting and not child.is_done), None)


def is_favored(resting: Resting, order: BarOrder) -> bool:
    """Say whether `order` lets a bracket's child fill before its sibling, whichever the tape has first."""
    return (order is BarOrder.STOP) is (resting.order.role is OrderRole.STOP) if order is not BarOrder.PATH else False


def follows_its_entry(resting: Resting, trades: Trades, index: int) -> bool:
    """Say whether a child meets the later extreme of a bar whose earlier one its entry filled at.

    Were their order the other, it would meet nothing.
    """
    if not trades.is_path or index == 0 or trades.ts.item(index - 1) != trades.ts.item(index):
        return False
    group = resting.group
    return group is not None and resting is not group.entry and group.entered_ns == trades.ts.item(index)


def is_spared(resting: Resting, order: BarOrder) -> bool:
    """Say whether a child that `follows_its_entry` is left alone: the target when stops come first, and the other way round."""
    return order is not BarOrder.PATH and not is_favored(resting, order)
