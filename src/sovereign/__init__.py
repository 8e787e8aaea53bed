"""Sovereign: one trading engine for backtest, replay, paper and live."""

__version__ = "0.1.0"
