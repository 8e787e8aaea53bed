"""Settings of the news sources."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from sovereign.core.configuration import Configuration


class NewsSourceConfig(Configuration):
    """Where news come from, as whom we ask, and how often."""

    edgar_identity: str = Field(
        "",
        description="Name and mail address that every request to EDGAR carries, for example 'Jane Doe jane@example.com'; the "
        "SEC blocks who has none. Empty: filings are no data.",
    )
    edgar_files_url: str = Field("https://www.sec.gov", description="Address of EDGAR's archive.")
    edgar_data_url: str = Field("https://data.sec.gov", description="Address of EDGAR's lists of submissions.")
    edgar_per_s: float = Field(
        5.0, gt=0, le=10.0, description="Requests to EDGAR a second at most. The SEC allows 10; source: sec.gov, fair access."
    )
    forms: tuple[str, ...] = Field(
        ("8-K", "8-K/A", "6-K", "6-K/A"),
        description="Forms that count as current reports; foreign issuers (TSM, SONY) file 6-K, which has no items.",
    )
    folder: Path = Field(
        Path("data/filings"),
        description="Folder of the filings that were read; one is asked for once. Relative to the working directory.",
    )
    yahoo_url: str = Field("https://feeds.finance.yahoo.com", description="Address of Yahoo's headlines (RSS).")
    stocktwits_url: str = Field("https://api.stocktwits.com", description="Address of StockTwits.")
    stocktwits_per_hour: float = Field(
        180.0, gt=0, description="Requests to StockTwits an hour at most, those of ten minutes at once; it answers about 200."
    )
    request_s: float = Field(
        10.0, gt=0, description="A request that is not answered, or not to its end, within this is given up, in seconds."
    )
    attempts: int = Field(3, ge=1, description="How often a request is made when a source is busy (429) or fails (5xx).")
    backoff_s: float = Field(1.0, ge=0, description="Seconds before the second attempt; each further one waits twice as long.")
    most_wait_s: float = Field(
        60.0, gt=0, description="A source that asks for a longer wait (Retry-After) is no data until the next reading, in s."
    )
    max_answer_mb: float = Field(50.0, gt=0, description="A longer answer is not read to its end, and counts as none. In MB.")
