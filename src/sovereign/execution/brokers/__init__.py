"""Brokers behind the engine's order port; the simulated one first."""
