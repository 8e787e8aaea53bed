"""The ledger: balance, positions and closed trades, from fills alone.

Money is Decimal; a position remembers the instrument it was opened with, so its tick value cannot change under it. A round
trip runs from flat to flat; a fill that turns a position closes one trade and opens the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from decimal import Decimal

from sovereign.core.event import Notice, NoticeCode, Severity
from sovereign.core.instrument import Instrument
from sovereign.core.order import Side
from sovereign.core.position import Fill, Position, Trade


@dataclass(slots=True, eq=False)
class _RoundTrip:
    """What a trade in the making has added up."""

    side: Side
    entry_ns: int
    decision_id: str | None
    labels: dict[str, str]
    entered: int = 0
    entry_ticks: int = 0
    exited: int = 0
    exit_ticks: int = 0
    gross: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    slippage: int = 0
    is_ambiguous: bool = False


class Account:
    """One account in one currency.

    Parameters
    ----------
    balance : cash at the start; profit is booked when a position closes, fees when they are charged.

    At any time the balance is the cash at the start, plus the net of closed trades, plus what open round trips have booked so
    far, plus `corrected` (tests/property/test_ledger_laws.py).
    """

    def __init__(self, balance: Decimal) -> None:
        self.balance = balance
        self.day_start_balance = balance
        self.high_water_mark = balance
        self.positions: dict[str, Position] = {}
        self._trips: dict[str, _RoundTrip] = {}
        self._closed = 0
        self.changes = 0
        """How often anything of it has changed: nothing of it has while this is the same."""
        self.corrected = Decimal(0)
        """Money that came or went by corrections, no fill: differences in cash, and what abandoned round trips had booked."""

    def copy(self) -> Account:
        """Return an account of its own with the same books, to try something on."""
        other = copy(self)
        other.positions = {symbol: copy(position) for symbol, position in self.positions.items()}
        other._trips = {symbol: copy(trip) for symbol, trip in self._trips.items()}
        return other

    def adopt(self, instrument: Instrument, tape: str, quantity: int, cost_ticks: int, ts: int, reason: str) -> Notice:
        """Take over the venue's word on a position: signed quantity, and cost in ticks (quantity times average price).

        The balance stays as it is (`correct_cash` moves it). A round trip on the same side goes on with the new quantity; one
        that is gone or turned was closed by no fill we know: it leaves no trade, and what it had booked counts as corrected.
        """
        self.changes += 1
        symbol = instrument.symbol
        before = self.positions.get(symbol)
        was, cost_was = (0, 0) if before is None else (before.quantity, before.cost_ticks)
        if before is not None and was * quantity <= 0:
            trip = self._trips.pop(symbol)
            del self.positions[symbol]
            self.corrected += trip.gross - trip.fees
        if quantity:
            self._adopt_open(instrument, tape, quantity, cost_ticks, ts)
        return Notice(
            ts=ts,
            code=NoticeCode.POSITION_ADOPTED,
            severity=Severity.ALARM if was != quantity else Severity.WARNING,
            subject=symbol,
            text=f"position was {was}, the venue says {quantity}: adopted ({reason})",
            values={"quantity_before": was, "quantity": quantity, "cost_ticks_before": cost_was, "cost_ticks": cost_ticks},
        )

    def _adopt_open(self, instrument: Instrument, tape: str, quantity: int, cost_ticks: int, ts: int) -> None:
        symbol = instrument.symbol
        average = _share(cost_ticks, 1, quantity) if quantity > 0 else _share(-cost_ticks, 1, -quantity)
        position = self.positions.get(symbol)
        if position is None:
            position = Position(instrument=instrument, tape=tape, opened_ns=ts, high_ticks=average, low_ticks=average)
            self.positions[symbol] = position
            side = Side.BUY if quantity > 0 else Side.SELL
            self._trips[symbol] = _RoundTrip(side, ts, None, {"signal": "adopted"})
        trip = self._trips[symbol]
        trip.entered = trip.exited + abs(quantity)
        trip.entry_ticks += trip.side.sign * (cost_ticks - position.cost_ticks)
        position.quantity = quantity
        position.cost_ticks = cost_ticks

    def correct_cash(self, balance: Decimal, ts: int, reason: str) -> Notice:
        """Take over the venue's word on cash."""
        self.changes += 1
        was, self.balance = self.balance, balance
        self.corrected += balance - was
        return Notice(
            ts=ts,
            code=NoticeCode.MISMATCH,
            severity=Severity.WARNING,
            subject="cash",
            text=f"cash was {was}, the venue says {balance}: corrected ({reason})",
            values={"balance_before": str(was), "balance": str(balance), "difference": str(balance - was)},
        )

    def start_session(self, last_ticks: Mapping[str, int] | None = None) -> None:
        """Take the day-start balance: with what is held overnight at its last price, so that a day is measured by itself."""
        self.changes += 1
        self.day_start_balance = self.equity(last_ticks or {})

    def equity(self, last_ticks: Mapping[str, int]) -> Decimal:
        """Return balance plus floating profit at the last price of each tape."""
        return equity_of(self.balance, self.positions.values(), last_ticks)

    def mark(self, equity: Decimal) -> None:
        """Raise the high-water mark when equity is above it."""
        if equity > self.high_water_mark:
            self.changes += 1
            self.high_water_mark = equity

    def observe(self, tape: str, low: int, high: int) -> None:
        """Widen the excursion of the positions on a tape by the prices just seen (ticks)."""
        for position in self.positions.values():
            if position.tape == tape:
                position.low_ticks = min(position.low_ticks, low)
                position.high_ticks = max(position.high_ticks, high)

    def apply(self, fill: Fill, tape: str, decision_id: str | None, labels: dict[str, str]) -> list[Trade]:
        """Book a fill; return the trade it closed, if any.

        Parameters
        ----------
        tape : symbol of the market data that values the position.
        decision_id, labels : recorded with the trade when this fill opens a position.
        """
        self.changes += 1
        symbol = fill.instrument.symbol
        self.balance -= fill.fee
        position = self.positions.get(symbol)
        signed = fill.side.sign * fill.quantity
        closing = 0
        if position is not None and position.quantity * signed < 0:
            closing = min(abs(position.quantity), fill.quantity)
        trades: list[Trade] = []
        if position is not None and closing:
            trades = self._close(position, fill, closing)
        opening = fill.quantity - closing
        if opening:
            self._open(fill, tape, opening, fill.fee * opening / fill.quantity, decision_id, labels)
        return trades

    def _open(
        self, fill: Fill, tape: str, quantity: int, fee: Decimal, decision_id: str | None, labels: dict[str, str]
    ) -> None:
        symbol = fill.instrument.symbol
        position = self.positions.get(symbol)
        if position is None:
            position = Position(
                instrument=fill.instrument,
                tape=tape,
                opened_ns=fill.ts,
                high_ticks=fill.price_ticks,
                low_ticks=fill.price_ticks,
            )
            self.positions[symbol] = position
            self._trips[symbol] = _RoundTrip(fill.side, fill.ts, decision_id, labels)
        signed = fill.side.sign * quantity
        position.quantity += signed
        position.cost_ticks += signed * fill.price_ticks
        position.fees += fee
        position.low_ticks = min(position.low_ticks, fill.price_ticks)
        position.high_ticks = max(position.high_ticks, fill.price_ticks)
        trip = self._trips[symbol]
        trip.entered += quantity
        trip.entry_ticks += quantity * fill.price_ticks
        trip.fees += fee
        trip.slippage += fill.slippage_ticks * quantity
        trip.is_ambiguous |= fill.is_ambiguous

    def _close(self, position: Position, fill: Fill, quantity: int) -> list[Trade]:
        symbol = fill.instrument.symbol
        trip = self._trips[symbol]
        held = abs(position.quantity)
        sign = 1 if position.quantity > 0 else -1
        # Average cost of the closed part in whole ticks; what is left keeps the remainder, so the sum stays exact.
        cost = _share(position.cost_ticks, quantity, held)
        gross = position.instrument.tick_value * (sign * quantity * fill.price_ticks - cost)
        self.balance += gross
        fee = fill.fee * quantity / fill.quantity
        trip.gross += gross
        trip.fees += fee
        trip.exited += quantity
        trip.exit_ticks += quantity * fill.price_ticks
        trip.slippage += fill.slippage_ticks * quantity
        trip.is_ambiguous |= fill.is_ambiguous
        position.low_ticks = min(position.low_ticks, fill.price_ticks)
        position.high_ticks = max(position.high_ticks, fill.price_ticks)
        if quantity < held:
            position.cost_ticks -= cost
            position.quantity -= sign * quantity
            return []
        del self.positions[symbol]
        del self._trips[symbol]
        self._closed += 1
        entry = trip.entry_ticks / trip.entered
        worst = entry - position.low_ticks if sign > 0 else position.high_ticks - entry
        best = position.high_ticks - entry if sign > 0 else entry - position.low_ticks
        return [
            Trade(
                trade_id=f"T{self._closed:06d}",
                instrument=position.instrument,
                side=trip.side,
                quantity=trip.entered,
                entry_ns=trip.entry_ns,
                exit_ns=fill.ts,
                entry_ticks=entry,
                exit_ticks=trip.exit_ticks / trip.exited,
                gross=trip.gross,
                fees=trip.fees,
                mae_ticks=max(0.0, worst),
                mfe_ticks=max(0.0, best),
                slippage_ticks=trip.slippage,
                exit_role=fill.role,
                decision_id=trip.decision_id,
                labels=trip.labels,
                is_ambiguous=trip.is_ambiguous,
            )
        ]


def _share(total: int, part: int, whole: int) -> int:
    return (2 * total * part + whole) // (2 * whole)


def equity_of(balance: Decimal, positions: Iterable[Position], last_ticks: Mapping[str, int]) -> Decimal:
    """Return a balance plus the floating profit of positions at the last price of each tape."""
    for position in positions:
        last = last_ticks.get(position.tape)
        if last is not None:
            balance += position.unrealized(last)
    return balance
