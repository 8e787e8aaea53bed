"""Demonstrations: simulated sessions that trade before your eyes, on the dashboard or on a terminal."""
