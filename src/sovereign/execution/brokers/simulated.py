"""The simulated broker: our side of a venue that lives in the same process, used by backtest, replay and paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from sovereign.core.columns import Trades
from sovereign.core.instrument import FUTURES, Instrument
from sovereign.core.order import Order
from sovereign.execution.fill_model import FillModel
from sovereign.execution.matching import MatchingEngine
from sovereign.execution.report import ExecutionReport


class PricedMargins(Mapping[str, Decimal]):
    """Margins by symbol, each worked out when it is asked for: few are."""

    __slots__ = ("_fixed", "_fractional", "_last")

    def __init__(
        self, fixed: Mapping[str, Decimal], fractional: Mapping[str, Instrument], last_ticks: Mapping[str, int]
    ) -> None:
        self._fixed, self._fractional, self._last = fixed, fractional, last_ticks

    def at(self, last_ticks: Mapping[str, int]) -> PricedMargins:
        """Return them at other prices."""
        return PricedMargins(self._fixed, self._fractional, last_ticks)

    @property
    def are_known(self) -> bool:
        """Whether every one of them is a finite number, which a known fraction of a known price is."""
        return all(margin.is_finite() for margin in self._fixed.values())

    def __getitem__(self, symbol: str) -> Decimal:
        instrument, last = self._fractional.get(symbol), self._last.get(symbol)
        if instrument is None or last is None:
            return self._fixed[symbol]
        margin = instrument.margin(last, 1)
        if margin is None:
            raise KeyError(symbol)
        return margin

    def __iter__(self) -> Iterator[str]:
        yield from self._fixed
        yield from (symbol for symbol in self._fractional if symbol in self._last)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class SimulatedBroker:
    """Orders go in, execution reports come out; time and the tape are handed in by the engine.

    Parameters
    ----------
    model, latency_ns : assumptions of the matching engine.
    margins : intraday margin per unit by root, as this broker charges it today; a root not named charges the instrument's own.
    holds_brackets, can_replace : what the venue is capable of; without, brackets are kept on our side.
    """

    def __init__(
        self,
        model: FillModel,
        latency_ns: int = 0,
        margins: Mapping[str, Decimal] | None = None,
        *,
        holds_brackets: bool = True,
        can_replace: bool = True,
    ) -> None:
        self.skips_ticks = True
        """Ticks at which nothing happens need not be shown: of a tape without orders none, of others many at once."""
        self._venue = MatchingEngine(model, latency_ns, holds_brackets=holds_brackets, can_replace=can_replace)
        self._margins = dict(margins or {})
        self._fixed: dict[str, Decimal] = {}
        self._fractional: dict[str, Instrument] = {}

    def start_session(self, instruments: Sequence[Instrument]) -> None:
        """Learn what trades today: every instrument, and the other contracts of its exchange month."""
        self._fixed = {}
        self._fractional = {}
        for instrument in instruments:
            suffix = instrument.symbol.removeprefix(instrument.root)
            siblings = FUTURES.values() if instrument.root in FUTURES else (instrument,)
            for sibling in siblings:
                symbol = sibling.root + suffix
                margin = self._margins.get(sibling.root, sibling.day_margin)
                if margin is not None:
                    self._fixed[symbol] = margin
                elif sibling.margin_frac is not None:
                    self._fractional[symbol] = sibling

    def margins(self, last_ticks: Mapping[str, int]) -> Mapping[str, Decimal]:
        """Return what one unit ties up now, by symbol; a symbol the broker says nothing about is missing."""
        return PricedMargins(self._fixed, self._fractional, last_ticks) if self._fractional else dict(self._fixed)

    @property
    def holds_brackets(self) -> bool:
        """Whether stop and target of an entry rest at the venue."""
        return self._venue.holds_brackets

    @property
    def can_replace(self) -> bool:
        """Whether the venue changes a working order in place."""
        return self._venue.can_replace

    @property
    def next_time_ns(self) -> int:
        """When the venue acts next without a tick (UTC ns)."""
        return self._venue.next_time_ns

    def submit(self, order: Order, ts: int) -> None:
        """Send an order."""
        self._venue.submit(order, ts)

    def cancel(self, client_order_id: str, ts: int) -> None:
        """Ask for a cancel."""
        self._venue.cancel(client_order_id, ts)

    def replace(self, client_order_id: str, ts: int, *, quantity: int, limit_ticks: int | None, stop_ticks: int | None) -> None:
        """Ask for new terms; `quantity` is the new total, filled part included, and a price of None stays as it is."""
        self._venue.replace(client_order_id, ts, quantity=quantity, limit_ticks=limit_ticks, stop_ticks=stop_ticks)

    @property
    def is_idle(self) -> bool:
        """Whether no order is live at the venue."""
        return self._venue.is_idle

    def due_tapes(self, ts: int) -> set[str]:
        """Return the tapes whose orders `on_time` may change at a time."""
        return self._venue.due_tapes(ts)

    def has_orders(self, tape: str) -> bool:
        """Say whether orders of a tape are live at the venue."""
        return self._venue.has_orders(tape)

    def next_event(self, tape: str, trades: Trades, start: int, stop: int) -> int:
        """Return the first row at which something happens, else `stop`."""
        return self._venue.next_event(tape, trades, start, stop)

    def advance(self, tape: str, trades: Trades, start: int, stop: int) -> None:
        """Pass rows at which nothing happens."""
        self._venue.advance(tape, trades, start, stop)

    def take(self, tape: str, trades: Trades, index: int) -> list[ExecutionReport]:
        """Let the row at `index` happen."""
        return self._venue.take(tape, trades, index)

    def on_time(self, ts: int) -> list[ExecutionReport]:
        """Let due moments happen."""
        return self._venue.on_time(ts)

    def end_tape(self, tape: str, price_ticks: int, ts: int) -> list[ExecutionReport]:
        """Settle what is left on a tape that will not come again."""
        return self._venue.end_tape(tape, price_ticks, ts)

    def end_session(self, tape: str, ts: int) -> list[ExecutionReport]:
        """Expire what does not outlive the session."""
        return self._venue.expire_day(tape, ts)
