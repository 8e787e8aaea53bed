"""Order flow: footprint patterns on index futures, gated by regime."""
