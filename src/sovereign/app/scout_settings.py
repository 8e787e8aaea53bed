"""Settings of the news scout: its sources, its filter, its pace."""

from __future__ import annotations

from pydantic import Field

from sovereign.core.configuration import Configuration
from sovereign.feeds.news.configuration import NewsSourceConfig
from sovereign.signals.news import NewsConfig


class NewsSettings(Configuration):
    """News: where they come from, and how they are judged."""

    sources: NewsSourceConfig = Field(NewsSourceConfig(), description="Where news come from, as whom we ask, and how often.")
    filter: NewsConfig = Field(NewsConfig(), description="The filter of social posts and the tone of news.")
    every_min: float = Field(
        30.0,
        gt=0,
        description="The scout reads the news of each symbol this often, in minutes. Source: the system's description.",
    )
