"""Alpaca's market data by its own client (extra `alpaca`): history into files, and live streams."""
