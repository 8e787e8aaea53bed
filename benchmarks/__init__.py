"""Measured against peers: `make bench`, explained in docs/reference/benchmarks.md."""
