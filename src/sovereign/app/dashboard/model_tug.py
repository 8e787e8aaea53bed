"""Answers about the tug of war; see `model`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sovereign.app.dashboard.model import Answer, Ns
from sovereign.app.dashboard.model_run import Rows

TableName = Literal["tug_signals", "tug_results", "tug_trades", "regime_states", "ofi_snapshots", "news_readings"]


class Camp(Answer):
    """What institutions or the crowd say of a share."""

    vote: Literal["long", "short", "none", "abstain"] = Field(description="`abstain`: nothing is known.")
    confidence: float | None = Field(description="0..1; null for an abstention.")
    reason: str = Field(examples=["momentum +1.20, breakout +0.40"])


class TugShare(Answer):
    """Both camps on one share, as of its last closed bar; all null before its first one."""

    symbol: str
    ts: Ns | None
    institutions: Camp | None
    crowd: Camp | None
    verdict: str | None = Field(description="What the rule makes of it.", examples=["crowded skip"])
    tug_score: float | None = Field(description="The distance of both confidences, 0..1.")
    inputs: dict[str, float | str] = Field(description="What is known of the bar: prices in ticks, scores, fractions.")


class TugMarket(Answer):
    """The market as it was known at the last bar."""

    ts: Ns
    name: str = Field(examples=["TREND"])
    confidence: float | None
    is_tradable: bool
    why_not: str
    volatility: float | None = Field(description="Of the first benchmark (SPY), as the regime reads it: fraction a year.")
    momentum: float | None = Field(description="Of the first benchmark (SPY): its last change in deviations of such changes.")
    benchmark: str = Field(examples=["SPY"])
    mode: str = Field(description="How it is traded in such a market.", examples=["stop 2%, target 4%"])


class Verdicts(Answer):
    """How often the rule said what, of all shares and rounds of the session so far."""

    strong_conflict: int
    weak_conflict: int
    crowded_skip: int
    no_signal: int


class Tug(Rows):
    """Both camps on every share, the market, and the verdicts of the session."""

    zone: str
    source: str
    market: TugMarket | None
    verdicts: Verdicts | None = Field(description="Null where the bars of a run cannot be shown.")
    shares: list[TugShare]


class TableRows(Rows):
    """The newest rows of one of the strategy's tables, newest first; columns as the store has them."""

    table: TableName
    columns: list[str]
    rows: list[dict[str, Any]]
