"""The synthetic market: simulated trades for tests, demos and the honesty checks, never passed off as real data."""

from sovereign.feeds.synthetic.feed import SyntheticFeed
from sovereign.feeds.synthetic.market import Hours, SyntheticConfig, SyntheticMarket

__all__ = ["Hours", "SyntheticConfig", "SyntheticFeed", "SyntheticMarket"]
