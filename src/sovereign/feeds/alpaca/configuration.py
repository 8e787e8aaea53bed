"""Settings of Alpaca: market data and broker."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from sovereign.core.configuration import Configuration


class AlpacaDataFeed(StrEnum):
    """Whose trades and quotes: IEX alone (free), or the consolidated tape (a subscription)."""

    IEX = "iex"
    SIP = "sip"


class AlpacaAdjustment(StrEnum):
    """What becomes of bars before a split: left as traded, or brought to the shares of today."""

    RAW = "raw"
    SPLIT = "split"


class AlpacaBracketLife(StrEnum):
    """How long stop and target rest at Alpaca: until the day's close, or until canceled."""

    DAY = "day"
    GTC = "gtc"


class AlpacaConfig(Configuration):
    """Where Alpaca is, how patiently it is asked, and when a stream counts as mute. Keys come from the environment."""

    feed: AlpacaDataFeed = Field(
        AlpacaDataFeed.IEX, description="Market data feed: iex (one venue, free) or sip (consolidated, a subscription)."
    )
    adjustment: AlpacaAdjustment = Field(
        AlpacaAdjustment.RAW,
        description="Downloaded bars as traded (raw), or with prices and volumes before a split brought to the shares of today "
        "(split): as traded, a split of ten to one is a fall by 90%. Download all of a symbol's bars anew after a split.",
    )
    data_url: str = Field("https://data.alpaca.markets", description="Address of the market data service.")
    stream_url: str = Field("wss://stream.data.alpaca.markets", description="Address of the market data streams.")
    paper_url: str = Field("https://paper-api.alpaca.markets", description="Address of the paper trading service.")
    live_url: str = Field("https://api.alpaca.markets", description="Address of the live trading service.")
    request_s: float = Field(10.0, gt=0, description="A request that is not answered for this long is given up, in seconds.")
    attempts: int = Field(
        5, ge=1, description="How often a request is made when Alpaca is busy (429), or fails (5xx) at a query."
    )
    first_message_s: float = Field(
        10.0, gt=0, description="Connecting, logging in and subscribing to a stream must be done within this, in seconds."
    )
    stale_s: float = Field(
        30.0,
        gt=0,
        description="A data stream without any trade or quote for this long, in an open session, is made anew, in s.",
    )
    symbol_stale_s: float = Field(
        600.0,
        gt=0,
        description="Time is not promised any more for a symbol without a trade or quote for this long, so that the session "
        "sees it as mute, in seconds. On one venue a quiet name may not trade for minutes.",
    )
    backoff_first_s: float = Field(
        1.0, gt=0, description="Seconds before the second attempt; each further one waits twice as long."
    )
    backoff_most_s: float = Field(30.0, gt=0, description="The longest wait between two attempts, in seconds.")
    settle_s: float = Field(
        1.0,
        ge=0,
        description="How long after a subscription the gap before it is fetched, so that history holds it. In seconds.",
    )
    waiting_ticks: int = Field(
        100_000,
        ge=1,
        description="While a gap cannot be fetched, at most this many later trades of a symbol wait in memory (about 0.4 kB "
        "each); the oldest beyond are let go and fetched with the gap.",
    )
    flush_ms: int = Field(100, ge=1, description="Trades are handed on at most this often, in ms.")
    promise_delay_ms: int = Field(
        1_000, ge=0, description="While the stream is alive, time is promised this long behind the clock, in ms of market time."
    )
    skipped_conditions: tuple[str, ...] = Field(
        ("4", "7", "9", "B", "C", "G", "H", "M", "N", "P", "Q", "R", "U", "V", "W", "Z"),
        description="Trades with one of these sale conditions are not taken: prices that are not of that moment's market. "
        "Source: CTS and UTP specifications, conditions that do not update the last price; odd lots (I) are kept.",
    )
    release_s: float = Field(
        5.0,
        gt=0,
        description="How long a closing order waits for the shares that a canceled bracket still holds, and for the answer "
        "whether anything is open at all, in seconds; without that answer it is sent.",
    )
    entry_fresh_s: float = Field(
        5.0,
        gt=0,
        description="An entry that could not be sent within this (Alpaca busy, a queue) is refused and never sent late, in "
        "seconds since it was decided; below live.in_flight_grace_s, after which our books close it. Closing orders have no "
        "limit. Own choice.",
    )
    protect_s: float = Field(
        10.0,
        gt=0,
        description="Stop and target of a fill are sent, and asked for, this long before the symbol's other orders go on and "
        "it is an alarm, in seconds; whether they arrived is found out like that of any order in flight. Own choice.",
    )
    ahead_s: float = Field(
        60.0,
        gt=0,
        description="A time of Alpaca's that lies further than this ahead of the machine's clock is not believed: an execution "
        "counts as of now, a trade is left out, in seconds. Clocks that are kept differ by less. Own choice.",
    )
    lookback_days: int = Field(5, ge=1, description="Orders and executions are read back this far at a start, in days.")
    bracket_life: AlpacaBracketLife = Field(
        AlpacaBracketLife.GTC, description="How long stop and target rest at Alpaca when they follow a fill."
    )
