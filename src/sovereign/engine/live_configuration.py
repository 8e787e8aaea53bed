"""Settings of the live loop. Times are of the machine unless they say market time."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field

from sovereign.core.configuration import Configuration


class LiveConfig(Configuration):
    """How a paper or live session watches its lines, its broker and itself."""

    promise_delay_ms: int = Field(
        250,
        ge=0,
        description="While the feed is silent, time is promised to the engine this long behind the clock, so that timers fire; "
        "a tick that comes later still is taken at the promised time. In ms of market time; an exchange feed's usual delay "
        "is below 100 ms.",
    )
    promise_every_ms: int = Field(
        500, ge=1, description="While the feed is silent, time is promised at most this often, in ms of market time."
    )
    stale_data_s: float = Field(
        15.0,
        gt=0,
        description="A symbol without any message for this long while its session is open: the line counts as mute, is made "
        "anew, and entries are refused until data flow again. In seconds.",
    )
    backlog_ms: int = Field(
        2_000,
        ge=1,
        description="Entries are refused while the oldest waiting market data is older than this, in ms of market time, until "
        "it is younger than half of it.",
    )
    inbox_ticks: int = Field(
        1_000_000,
        ge=1,
        description="Ticks that may wait for the decision thread (21 to 29 bytes each); beyond, the feed is made to wait.",
    )
    in_flight_s: float = Field(
        5.0, gt=0, description="A request that the broker has not answered for this long is asked for, and again each time."
    )
    reconcile_s: float = Field(60.0, gt=0, description="Our books are compared with the broker's this often, in seconds.")
    retry_s: float = Field(
        2.0, gt=0, description="A comparison that found something, or was not answered, is repeated after this, in seconds."
    )
    answer_s: float = Field(10.0, gt=0, description="How long an answer of the broker is waited for, in seconds.")
    poll_ms: int = Field(100, ge=1, description="Commands and due times are looked at least this often, in ms.")
    switch_ms: float = Field(
        0.5,
        gt=0,
        description="How long one thread of the process may go on while another waits for the interpreter, in ms. Python's own "
        "5 ms let an order wait behind whatever is written beside it; much less costs more switching than it saves.",
    )
    heartbeat_s: float = Field(1.0, gt=0, description="A sign of life is given this often, in seconds.")
    late_notice_s: float = Field(
        60.0,
        ge=0,
        description="Ticks that came too late are always counted, and reported at most this often, in s of market time.",
    )
    stop_s: float = Field(10.0, gt=0, description="How long requests may take to leave when a session is stopped, in seconds.")
    is_synced: bool = Field(
        False,
        description="Wait for the disk before a request leaves, so that the recording survives the loss of power as well as of "
        "the process. Costs some milliseconds a request.",
    )
    adopts_unknown_orders: bool = Field(
        True, description="Orders at the broker that nobody here has sent are taken into our books; if not, they are canceled."
    )
    in_flight_grace_s: float = Field(
        10.0,
        ge=0,
        description="A request younger than this (market time) that the broker does not know of may still be on its way; "
        "an older one is closed. In seconds.",
    )
    average_tolerance_frac: float = Field(
        0.0001, ge=0, description="Average entry prices may differ by this fraction before the broker's is taken over."
    )
    cash_tolerance: Decimal = Field(
        Decimal("0.01"), ge=0, description="Cash may differ by this before the broker's is taken over, in USD."
    )
