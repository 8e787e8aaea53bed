"""The synthetic market: simulated trades for tests, demos and the honesty checks, never passed off as real data."""

from sovereign.feeds.synthetic.feed import SyntheticFeed
from sovereign.feeds.synthetic.market import Hours, SyntheticConfig, SyntheticMarket
from sovereign.feeds.synthetic.planting import (
    PLANT_SIDE,
    Planted,
    PlantingConfig,
    footprint_of,
    plant,
    plant_all,
)
from sovereign.feeds.synthetic.portfolio import PortfolioMarket, PortfolioMarketConfig
from sovereign.feeds.synthetic.queue import QueueConfig, queue_quotes

__all__ = [
    "PLANT_SIDE",
    "Hours",
    "Planted",
    "PlantingConfig",
    "PortfolioMarket",
    "PortfolioMarketConfig",
    "QueueConfig",
    "SyntheticConfig",
    "SyntheticFeed",
    "SyntheticMarket",
    "footprint_of",
    "plant",
    "plant_all",
    "queue_quotes",
]
