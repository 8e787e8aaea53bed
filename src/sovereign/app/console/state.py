"""What the console remembers of the audit stream: a little, bounded, whatever the length of the run."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from sovereign.core.decision import Decision
from sovereign.core.event import (
    DecisionMade,
    Event,
    OrderChanged,
    OrderFilled,
    SessionStarted,
    TierChanged,
    TradeClosed,
    TradingState,
    TradingStateChanged,
)
from sovereign.core.order import OrderRole
from sovereign.core.position import Fill, Trade
from sovereign.core.session import Session

KEPT = 40
"""Lines remembered of each kind; no terminal shows more."""


@dataclass(slots=True)
class ConsoleState:
    """A sink that keeps the last of everything. It copies nothing back: the run does not know that it is watched."""

    session: Session | None = None
    is_simulated: bool = False
    sessions: int = 0
    decisions: deque[Decision] = field(default_factory=lambda: deque(maxlen=KEPT))
    trades: deque[Trade] = field(default_factory=lambda: deque(maxlen=KEPT))
    fills: deque[Fill] = field(default_factory=lambda: deque(maxlen=KEPT))
    notices: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=KEPT))
    decided: int = 0
    closed: int = 0
    trading_state: TradingState = TradingState.ACTIVE
    state_reason: str = ""
    working: dict[str, OrderChanged] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        """Take one event."""
        match event:
            case OrderChanged():
                self._on_order(event)
            case DecisionMade():
                self.decided += 1
                self.decisions.append(event.decision)
            case OrderFilled():
                self.fills.append(event.fill)
            case TradeClosed():
                self.closed += 1
                self.trades.append(event.trade)
            case TradingStateChanged():
                self.trading_state = event.state
                self.state_reason = event.reason
                self.notices.append((event.ts, f"{event.state} ({event.cause}): {event.reason}"))
            case TierChanged():
                self.notices.append((event.ts, f"tier {event.previous} -> {event.current}: {event.reason}"))
            case SessionStarted():
                self.sessions += 1
                self.session = event.session
                self.is_simulated = event.is_simulated_data
                self.working.clear()
            case _:
                pass

    def resting(self, symbol: str, role: OrderRole) -> OrderChanged | None:
        """Return the working order of that role on a traded symbol, the latest if there are several."""
        return next((o for o in reversed(self.working.values()) if o.role is role and o.instrument.symbol == symbol), None)

    def _on_order(self, event: OrderChanged) -> None:
        if event.status.is_closed:
            self.working.pop(event.client_order_id, None)
        else:
            self.working[event.client_order_id] = event
