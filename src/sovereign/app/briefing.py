"""What a person wants to know before the market opens: the regime, and what stands against each share of the watchlist."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sovereign.app.tug_record import REGIME_WORDS
from sovereign.core.errors import SovereignError
from sovereign.core.session import from_ns

if TYPE_CHECKING:
    from sovereign.core.news import NewsReading
    from sovereign.store.scouts import ScoutStore
    from sovereign.strategies.tug_of_war import TugOfWarConfig, TugOfWarStrategy


def briefing(
    strategy: TugOfWarStrategy, scouts: ScoutStore, symbols: Sequence[str], sectors: dict[str, tuple[str, ...]], ts: int
) -> list[str]:
    """Return lines on the regime and on each traded symbol, as known at `ts` (UTC ns)."""
    config = strategy.config
    traded = [symbol for symbol in symbols if symbol not in config.benchmarks]
    missing = [symbol for symbol in config.benchmarks if symbol not in symbols]
    lines = [_regime(strategy)]
    if missing:
        lines.append(f"{', '.join(missing)} is not among the symbols: regime and alpha stay unknown, and nothing is opened")
    readings = {one.symbol: one for one in scouts.latest_readings(traded, ts)} if traded else {}
    for symbol in traded:
        groups = ", ".join(sectors.get(symbol, ())) or "no sector: refused"
        lines.append(f"{symbol} ({groups}): {_earnings(strategy, symbol, ts)}; {_news(readings.get(symbol), ts, config)}")
    return lines


def _regime(strategy: TugOfWarStrategy) -> str:
    readings = strategy.board.regimes.values
    if not len(readings):
        return "regime unknown: no history; nothing is opened until it is"
    last = readings[-1]
    halted = "; HALTED by a crisis" if last["is_halted"] else ""
    return (
        f"regime {REGIME_WORDS[int(last['state'])]} of {from_ns(int(last['known_at'])):%Y-%m-%d %H:%M} UTC, "
        f"crisis {_share(last['p_crisis'])}, volatility {_share(last['volatility'])}{halted}"
    )


def _earnings(strategy: TugOfWarStrategy, symbol: str, ts: int) -> str:
    if "earnings" in strategy.config.without:
        return "earnings left out"
    try:
        answer = strategy.earnings(symbol, ts)
    except SovereignError as fault:
        return f"earnings unknown ({fault})"
    return f"earnings {answer.state.value.lower()} ({answer.reason})"


def _news(reading: NewsReading | None, ts: int, config: TugOfWarConfig) -> str:
    if reading is None or (ts - reading.ts) / 60e9 > config.institution.news_age_minutes:
        return "news no data"
    down = f", {', '.join(reading.missing)} down" if reading.missing else ""
    tone = "unknown" if math.isnan(reading.tone) else f"{reading.tone:+.2f}"
    return f"news tone {tone}{down}"


def _share(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.0%}"
