"""A closed round trip without incidents, of which a test changes what it is about."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sovereign.core.instrument import Instrument
from sovereign.core.order import OrderRole, Side
from sovereign.core.position import Trade


def closed_trade(instrument: Instrument, entry_ns: int, exit_ns: int, net: Decimal | int | str, **changes: Any) -> Trade:
    """Return a trade of one unit, long, out at its target, that made so much before fees of nothing."""
    fields: dict[str, Any] = {
        "trade_id": "t",
        "side": Side.BUY,
        "quantity": 1,
        "entry_ticks": 0.0,
        "exit_ticks": 0.0,
        "fees": Decimal(0),
        "mae_ticks": 0.0,
        "mfe_ticks": 0.0,
        "slippage_ticks": 0,
        "exit_role": OrderRole.TARGET,
        "decision_id": None,
        "labels": {},
    }
    return Trade(instrument=instrument, entry_ns=entry_ns, exit_ns=exit_ns, gross=Decimal(net), **(fields | changes))
