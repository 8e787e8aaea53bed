"""Order flow: footprint patterns on index futures, gated by regime."""

from __future__ import annotations

from sovereign.strategies.order_flow.configuration import OrderFlowConfig
from sovereign.strategies.order_flow.strategy import OrderFlowStrategy

__all__ = ["CONFIGURATION", "STRATEGY", "OrderFlowConfig", "OrderFlowStrategy"]

STRATEGY = OrderFlowStrategy
CONFIGURATION = OrderFlowConfig
