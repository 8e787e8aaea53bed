"""Alerts and remote control: readers of the audit stream that tell people, never in the way of the trading loop."""
