"""Profit and loss by what a trade was: pattern, regime, tier, exit, and when it was entered (exchange time)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sovereign.core.event import TierChanged
from sovereign.core.order import OrderRole
from sovereign.core.position import Trade
from sovereign.core.session import NS_PER_SECOND

if TYPE_CHECKING:
    from sovereign.research.result import RunTables

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
UNKNOWN = "not labeled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Trades of one kind; `profit_factor` is None without a losing trade."""

    key: str
    trades: int
    wins: int
    gross: Decimal
    fees: Decimal
    net: Decimal
    profit_factor: float | None

    @property
    def win_rate(self) -> float:
        """Share of trades with a positive net result."""
        return self.wins / self.trades

    @property
    def mean(self) -> float:
        """Mean net result of a trade."""
        return float(self.net) / self.trades

    def to_plain(self) -> dict[str, object]:
        """Return JSON-ready values."""
        return {
            "key": self.key,
            "trades": self.trades,
            "wins": self.wins,
            "win_rate": self.win_rate,
            "gross": str(self.gross),
            "fees": str(self.fees),
            "net": str(self.net),
            "mean": self.mean,
            "profit_factor": self.profit_factor,
        }


def _group(key: str, trades: Sequence[Trade]) -> Group:
    nets = [trade.net for trade in trades]
    won = sum((net for net in nets if net > 0), Decimal(0))
    lost = -sum((net for net in nets if net < 0), Decimal(0))
    return Group(
        key=key,
        trades=len(trades),
        wins=sum(net > 0 for net in nets),
        gross=sum((trade.gross for trade in trades), Decimal(0)),
        fees=sum((trade.fees for trade in trades), Decimal(0)),
        net=sum(nets, Decimal(0)),
        profit_factor=float(won / lost) if lost else None,
    )


def group_by(trades: Iterable[Trade], key: Callable[[Trade], str]) -> tuple[Group, ...]:
    """Return one group per key, in the order of the keys."""
    found: dict[str, list[Trade]] = {}
    for trade in trades:
        found.setdefault(key(trade), []).append(trade)
    return tuple(_group(name, found[name]) for name in sorted(found))


_AT_THE_VENUE = (OrderRole.STOP, OrderRole.TARGET)


def exit_reasons(tables: RunTables) -> dict[str, str]:
    """Return why each trade was closed, by trade id: the name of the decision that closed it, or its stop or target."""
    names = {decision.decision_id: decision.proposal.name for decision in tables.decisions}
    by_order = {order.client_order_id: names.get(order.decision_id or "") for order in tables.orders}
    closing = {(fill.instrument.symbol, fill.ts, fill.role): by_order.get(fill.client_order_id) for fill in tables.fills}
    found = {}
    for trade in tables.trades:
        role = trade.exit_role
        name = None if role in _AT_THE_VENUE else closing.get((trade.instrument.symbol, trade.exit_ns, role))
        found[trade.trade_id] = name or role.value
    return found


def breakdowns(
    trades: Sequence[Trade],
    zone: str,
    tier_changes: Sequence[TierChanged] = (),
    exits: Mapping[str, str] | None = None,
) -> dict[str, tuple[Group, ...]]:
    """Return all breakdowns by name: pattern, regime, hour, weekday, month, tier, exit, side and symbol.

    Times are of entry, in `zone`. `exits` says why each trade was closed (see `exit_reasons`); without, it is the order's role.
    """
    info = ZoneInfo(zone)
    local = {trade.entry_ns: datetime.fromtimestamp(trade.entry_ns // NS_PER_SECOND, tz=info) for trade in trades}

    def tier(trade: Trade) -> str:
        if "tier" in trade.labels:
            return trade.labels["tier"]
        name = tier_changes[0].previous if tier_changes else UNKNOWN
        for change in tier_changes:
            if change.ts > trade.entry_ns:
                break
            name = change.current
        return name or UNKNOWN

    def pattern(trade: Trade) -> str:
        return trade.labels.get("pattern") or trade.labels.get("signal") or UNKNOWN

    weekday = group_by(trades, lambda trade: str(local[trade.entry_ns].weekday()))
    return {
        "pattern": group_by(trades, pattern),
        "regime": group_by(trades, lambda trade: trade.labels.get("regime") or UNKNOWN),
        "hour": group_by(trades, lambda trade: f"{local[trade.entry_ns]:%H}"),
        "weekday": tuple(_renamed(group, WEEKDAYS[int(group.key)]) for group in weekday),
        "month": group_by(trades, lambda trade: f"{local[trade.entry_ns]:%Y-%m}"),
        "tier": group_by(trades, tier),
        "exit": group_by(trades, lambda trade: (exits or {}).get(trade.trade_id, trade.exit_role.value)),
        "side": group_by(trades, lambda trade: trade.side.value),
        "symbol": group_by(trades, lambda trade: trade.instrument.root),
    }


def _renamed(group: Group, key: str) -> Group:
    return Group(
        key=key,
        trades=group.trades,
        wins=group.wins,
        gross=group.gross,
        fees=group.fees,
        net=group.net,
        profit_factor=group.profit_factor,
    )
