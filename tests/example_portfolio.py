"""What tests of portfolios share: the example strategy under its name, a recipe for it, and made-up bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import sovereign.strategies
from sovereign.research.backtest import Recipe

EXAMPLES = str(Path(__file__).parent / "example_strategies")


@contextmanager
def example_strategies() -> Iterator[None]:
    """Let the folder of the tests' strategies be looked through as well."""
    sovereign.strategies.__path__.append(EXAMPLES)
    try:
        yield
    finally:
        sovereign.strategies.__path__.remove(EXAMPLES)


def recipe(overrides: Sequence[str] = (), **strategy: Any) -> Recipe:
    """Return a recipe of average_cross with what its folder assumes."""
    from sovereign.app.configuration import load_settings
    from sovereign.app.plan import recipe_of
    from sovereign.strategies import configuration_class

    settings = load_settings(environment={}, strategy="average_cross", overrides=tuple(overrides)).settings
    config = configuration_class("average_cross").model_validate(strategy)
    return replace(recipe_of(settings, "average_cross"), strategy_config=config)


def write_daily(path: Path, symbol: str, days: Sequence[date], closes: Sequence[int]) -> Path:
    """Write daily bars (prices in cents) that open where the day before closed and reach 40 cents beyond both ends."""
    lines = ["symbol,date,open,high,low,close,volume"]
    before = closes[0]
    for day, close in zip(days, closes, strict=True):
        high, low = max(before, close) + 40, min(before, close) - 40
        prices = ",".join(f"{price / 100:.2f}" for price in (before, high, low, close))
        lines.append(f"{symbol},{day.isoformat()},{prices},4000000")
        before = close
    path.write_text("\n".join(lines) + "\n")
    return path
