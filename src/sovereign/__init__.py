"""Sovereign: one trading engine for every mode, which tells the truth about a strategy."""

__version__ = "0.1.0"
