"""The daily digest: a session in figures, from the store, as text, fields and a chart.

Everything is computed from what the store holds of a run between the session's opening and its close, so that the digest of a
session that goes on is that of the session so far.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

from sovereign.app.notify.alert import Alert, Topic, amount, clock_text, outside
from sovereign.core.event import Severity
from sovereign.core.position import Trade
from sovereign.core.session import Session
from sovereign.risk.configuration import RiskConfig
from sovereign.store.store import Store

_LONGEST_NAME = 60
_MOST_GROUPS, _MOST_NOTICES = 6, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupResult:
    """Trades with one label."""

    name: str
    trades: int
    wins: int
    net: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """A session in figures; money in `currency`, times in UTC ns.

    Parameters
    ----------
    start_balance, balance, equity : at the opening, and now. drawdown : largest fall of equity inside the session, at least 0.
    slippage : money lost against the prices expected, negative when it was lost. slippage_ticks : per unit and trade, mean.
    refused : candidates not taken, by the check that refused them.
    loss_room, profit_room : money left to the day's loss limit and to its profit target; None when there is none.
    curve : equity as (ts, money), in time order. notices : what else was told, as (ts, words).
    """

    trade_date: date
    zone: str
    open_ns: int
    close_ns: int
    strategy: str
    mode: str
    is_simulated: bool
    currency: str
    start_balance: Decimal
    balance: Decimal
    equity: Decimal
    drawdown: Decimal
    trades: int
    wins: int
    gross: Decimal
    fees: Decimal
    net: Decimal
    best: Decimal | None
    worst: Decimal | None
    slippage: Decimal
    slippage_ticks: float | None
    patterns: tuple[GroupResult, ...]
    regimes: tuple[GroupResult, ...]
    refused: Mapping[str, int]
    loss_room: Decimal | None
    profit_room: Decimal | None
    notices: tuple[tuple[int, str], ...]
    curve: tuple[tuple[int, Decimal], ...]
    exits: tuple[tuple[int, Decimal], ...]

    @property
    def win_rate(self) -> float | None:
        """Winning trades as a fraction of all; None without trades."""
        return self.wins / self.trades if self.trades else None

    @property
    def title(self) -> str:
        """The session and its result."""
        result = amount(self.equity - self.start_balance, self.currency)
        return f"Daily digest {self.trade_date.isoformat()}: {result}"

    def fields(self) -> tuple[tuple[str, str], ...]:
        """Return the figures as (name, value)."""
        money = partial(amount, currency=self.currency)
        rate = "no trades" if self.win_rate is None else f"{100 * self.win_rate:.0f}% ({self.wins} of {self.trades})"
        found = [
            ("Net of closed trades", money(self.net)),
            ("Trades", str(self.trades)),
            ("Win rate", rate),
            ("Equity", amount(self.equity, self.currency, is_signed=False)),
            ("Worst drawdown", amount(-self.drawdown, self.currency) if self.drawdown else money(Decimal(0))),
            ("Fees", amount(self.fees, self.currency, is_signed=False)),
        ]
        if self.best is not None and self.worst is not None:
            found.append(("Best, worst", f"{money(self.best)}, {money(self.worst)}"))
        if self.slippage_ticks is not None:
            found.append(("Slippage", f"{money(self.slippage)}, {self.slippage_ticks:.2f} ticks a unit"))
        if self.loss_room is not None:
            found.append(("Room to the loss limit", amount(self.loss_room, self.currency, is_signed=False)))
        if self.profit_room is not None:
            found.append(("Room to the profit target", amount(self.profit_room, self.currency, is_signed=False)))
        found.append(("By pattern", _groups(self.patterns, self.currency)))
        found.append(("By regime", _groups(self.regimes, self.currency)))
        if self.refused:
            total = sum(self.refused.values())
            most = ", ".join(f"{name} {count}" for name, count in list(self.refused.items())[:_MOST_GROUPS])
            found.append((f"Refused candidates: {total}", most))
        return tuple((name, value) for name, value in found if value)

    def lead(self) -> str:
        """Return the sentence above the figures, and what else was told that day."""
        data = ", simulated data" if self.is_simulated else ""
        lines = [f"{self.strategy}, {self.mode}{data}."]
        lines += [f"{clock_text(ts, self.zone)} {words}" for ts, words in self.notices[-_MOST_NOTICES:]]
        if len(self.notices) > _MOST_NOTICES:
            lines.append(f"and {len(self.notices) - _MOST_NOTICES} earlier notices")
        return "\n".join(lines)

    def text(self) -> str:
        """Return the digest as plain text."""
        return "\n".join([self.title, self.lead(), *(f"{name}: {value}" for name, value in self.fields())])

    def chart(self) -> bytes | None:
        """Return the equity of the session as a PNG; None when there is no curve, or nothing installed to draw with."""
        from sovereign.app.notify.picture import equity_picture

        curve = [(ts, float(value)) for ts, value in self.curve]
        exits = [(ts, float(net)) for ts, net in self.exits]
        return equity_picture(self.title, curve, exits, self.zone, self.currency)

    def alert(self, ts: int) -> Alert:
        """Return the digest as an alert."""
        return Alert(
            key=f"digest:{self.mode}:{self.strategy}:{self.trade_date.isoformat()}",
            ts=ts,
            severity=Severity.INFO,
            topic=Topic.DIGEST,
            title=self.title,
            text=self.lead(),
            zone=self.zone,
            fields=self.fields(),
            chart=self.chart(),
        )


def daily_digest(
    store: Store,
    run_id: str,
    session: Session,
    *,
    loss_limit: Decimal | None = None,
    profit_target: Decimal | None = None,
    notices: Iterable[tuple[int, str]] = (),
) -> Digest:
    """Compute the digest of a session of a run.

    Parameters
    ----------
    loss_limit, profit_target : what may be lost and is to be won in the day, both positive, account currency; None for none.
    notices : what else was told, as (UTC ns, words); those outside the session are left out.

    Raises
    ------
    NotFoundError : no such run.
    """
    run = store.run(run_id)
    record = run.record
    trades = [trade for trade in store.trades(run.id) if _inside(session, trade.exit_ns)]
    snapshots = [row for row in store.table(run.id, "account_snapshots") if _inside(session, row["ts"])]
    start = _start_balance(store, run.id, session, snapshots, record.starting_balance)
    curve = [(session.open_ns, start), *((int(row["ts"]), Decimal(row["equity"])) for row in snapshots)]
    net = sum((trade.net for trade in trades), Decimal(0))
    balance = Decimal(snapshots[-1]["balance"]) if snapshots else start + net
    equity = curve[-1][1] if snapshots else balance
    units = sum(trade.quantity for trade in trades)
    day_pnl = equity - start
    refused = Counter(
        outside(row["failed_check"] or "unknown", _LONGEST_NAME)
        for row in store.decisions(run.id, verdict="REFUSED")
        if _inside(session, row["ts"])
    )
    return Digest(
        trade_date=session.trade_date,
        zone=session.zone,
        open_ns=session.open_ns,
        close_ns=session.close_ns,
        strategy=outside(record.strategy, _LONGEST_NAME),
        mode=record.kind,
        is_simulated=record.is_simulated,
        currency=next((trade.instrument.currency for trade in trades), "USD"),
        start_balance=start,
        balance=balance,
        equity=equity,
        drawdown=_drawdown([value for _, value in curve]),
        trades=len(trades),
        wins=sum(trade.net > 0 for trade in trades),
        gross=sum((trade.gross for trade in trades), Decimal(0)),
        fees=sum((trade.fees for trade in trades), Decimal(0)),
        net=net,
        best=max((trade.net for trade in trades), default=None),
        worst=min((trade.net for trade in trades), default=None),
        slippage=-sum((trade.instrument.tick_value * trade.slippage_ticks for trade in trades), Decimal(0)),
        slippage_ticks=sum(trade.slippage_ticks for trade in trades) / units if units else None,
        patterns=_by(trades, "pattern", "signal"),
        regimes=_by(trades, "regime"),
        refused=dict(refused.most_common()),
        loss_room=None if loss_limit is None else max(Decimal(0), loss_limit + day_pnl),
        profit_room=None if profit_target is None else max(Decimal(0), profit_target - day_pnl),
        notices=tuple(sorted((ts, outside(words, 120)) for ts, words in notices if _inside(session, ts))),
        curve=tuple(curve),
        exits=tuple((trade.exit_ns, trade.net) for trade in trades),
    )


def limits_of(risk: RiskConfig, day_start: Decimal, tier: str | None) -> tuple[Decimal, Decimal | None]:
    """Return the day's loss limit (positive) and profit target, as the risk door has them: the strictest limit counts.

    Parameters
    ----------
    tier : name of the tier that the day began in; None where tiers do not rule.
    """
    limits = [max(day_start, Decimal(0)) * risk.max_daily_loss_frac]
    row = next((one for one in risk.tiers.table if risk.tiers.enabled and one.name == tier), None)
    fixed = row.daily_loss_limit if row is not None else risk.daily_loss_limit
    if fixed is not None:
        limits.append(-fixed)
    return min(limits), risk.daily_profit_target


def _inside(session: Session, ts: int) -> bool:
    return session.open_ns <= ts <= session.close_ns


def _start_balance(
    store: Store, run_id: str, session: Session, snapshots: Sequence[Mapping[str, Any]], first: Decimal
) -> Decimal:
    day = session.trade_date.isoformat()
    for row in store.table(run_id, "sessions"):
        if row["trade_date"] == day:
            return Decimal(row["start_balance"])
    if snapshots:  # day_pnl is equity since the opening
        return Decimal(snapshots[0]["equity"]) - Decimal(snapshots[0]["day_pnl"])
    earlier = [trade.net for trade in store.trades(run_id) if trade.exit_ns < session.open_ns]
    return first + sum(earlier, Decimal(0))


def _drawdown(equity: Sequence[Decimal]) -> Decimal:
    highest, deepest = equity[0], Decimal(0)
    for value in equity:
        highest = max(highest, value)
        deepest = max(deepest, highest - value)
    return deepest


def _by(trades: Sequence[Trade], *labels: str) -> tuple[GroupResult, ...]:
    groups: dict[str, list[Trade]] = {}
    for trade in trades:
        name = next((trade.labels[label] for label in labels if trade.labels.get(label)), "none")
        groups.setdefault(outside(name, _LONGEST_NAME), []).append(trade)
    found = [
        GroupResult(
            name=name,
            trades=len(group),
            wins=sum(trade.net > 0 for trade in group),
            net=sum((trade.net for trade in group), Decimal(0)),
        )
        for name, group in groups.items()
    ]
    return tuple(sorted(found, key=lambda group: group.net, reverse=True))


def _groups(groups: Sequence[GroupResult], currency: str) -> str:
    words = [f"{group.name} {amount(group.net, currency)} ({group.wins} of {group.trades})" for group in groups[:_MOST_GROUPS]]
    if len(groups) > _MOST_GROUPS:
        words.append(f"and {len(groups) - _MOST_GROUPS} more")
    return "; ".join(words)
