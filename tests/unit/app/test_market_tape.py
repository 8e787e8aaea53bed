"""The tape scout fed by the simulated exchange: market time alone, any pieces, nothing lost that the store would not take."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.app.configuration import Settings
from sovereign.app.market_tape import MarketTapes
from sovereign.core.columns import Quotes
from sovereign.core.session import NS_PER_MINUTE, NS_PER_SECOND
from sovereign.core.tape import TapeSnapshot
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import PortfolioMarket
from sovereign.signals.tape import snapshots, tape_rows

DAY = date(2025, 11, 17)
MARKET = PortfolioMarket(["NVDA", "JPM"], calendar_for("XNYS"), DAY, 2, 7)
SESSION, NEXT = MARKET.sessions()
OPEN, CLOSE = SESSION.regular_open_ns, SESSION.regular_close_ns
QUOTES = {block.symbol: MARKET.quotes(SESSION, block.symbol, block.trades) for block in MARKET.blocks(SESSION)}
SETTINGS = Settings()


def quotes_of(symbol: str, begin_ns: int, end_ns: int) -> Quotes:
    quotes = QUOTES[symbol]
    assert quotes is not None
    first, last = np.searchsorted(quotes.ts, [begin_ns, end_ns]).tolist()
    return quotes.slice(first, last)


def expected(symbol: str, until_ns: int = CLOSE) -> list[str]:
    """What the scout's own arithmetic makes of the quotes as the market made them."""
    rows = tape_rows(quotes_of(symbol, OPEN, CLOSE), OPEN, CLOSE, SETTINGS.tape)
    return [str(one) for one in snapshots(symbol, rows, OPEN, 0.01, SETTINGS.tape) if one.ts <= until_ns]


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(1, 390 * 60), max_size=25), seed=st.integers(0, 9))
def test_snapshots_when_quotes_come_in_any_pieces_then_are_those_of_the_market_itself(cuts: list[int], seed: int) -> None:
    kept: list[TapeSnapshot] = []
    tapes = MarketTapes(SETTINGS, kept.extend)
    tapes.begin(SESSION, ["NVDA", "JPM"])
    random = np.random.default_rng(seed)
    before = OPEN
    for until in sorted({OPEN + cut * NS_PER_SECOND + 7 for cut in cuts} | {CLOSE}):
        for symbol in QUOTES:
            tapes.take(symbol, quotes_of(symbol, before, until), until)
        tapes.take("SPY", quotes_of("NVDA", before, until), until)  # nobody watches it
        before = until
        if random.integers(2):
            tapes.look()
            assert all(one.ts <= until for one in kept)
    tapes.look()
    for symbol in QUOTES:
        assert [str(one) for one in kept if one.symbol == symbol] == expected(symbol)
    assert len(kept) == 2 * 390


def test_snapshots_when_quotes_are_told_again_then_those_that_are_known_do_not_count_twice() -> None:
    kept: list[TapeSnapshot] = []
    tapes = MarketTapes(SETTINGS, kept.extend)
    tapes.begin(SESSION, ["NVDA"])
    for begin, until in ((OPEN, OPEN + 90 * NS_PER_MINUTE), (OPEN, OPEN + 90 * NS_PER_MINUTE), (OPEN, CLOSE)):
        tapes.take("NVDA", quotes_of("NVDA", begin, until), until)
        tapes.look()
    assert [str(one) for one in kept] == expected("NVDA")


def test_snapshots_when_a_minute_is_whole_then_said_once_and_not_before() -> None:
    calls: list[int] = []
    tapes = MarketTapes(SETTINGS, lambda found: calls.append(len(found)))
    due: list[None] = []
    tapes.on_due = lambda: due.append(None)
    tapes.take("NVDA", quotes_of("NVDA", OPEN, OPEN + 1), OPEN + 1)  # before a session has begun
    tapes.begin(SESSION, ["NVDA"])
    for until in (OPEN + NS_PER_SECOND, OPEN + NS_PER_MINUTE - 1):
        tapes.take("NVDA", quotes_of("NVDA", OPEN, OPEN), until)
    assert (tapes.look(), due, calls) == (0, [], [])
    tapes.take("NVDA", quotes_of("NVDA", OPEN, OPEN + NS_PER_MINUTE), OPEN + NS_PER_MINUTE)
    assert (len(due), tapes.look(), tapes.look(), calls) == (1, 1, 0, [1])


def test_snapshots_when_the_store_is_away_then_given_again_and_a_new_session_loses_none() -> None:
    kept: list[TapeSnapshot] = []
    is_away = True

    def keep(found: list[TapeSnapshot]) -> None:
        if is_away:
            raise OSError("no store")
        kept.extend(found)

    tapes = MarketTapes(SETTINGS, keep)
    tapes.begin(SESSION, ["NVDA"])
    tapes.take("NVDA", quotes_of("NVDA", OPEN, CLOSE), CLOSE)
    for _ in range(2):
        with pytest.raises(OSError, match="no store"):
            tapes.look()
    tapes.begin(NEXT, ["NVDA"])
    is_away = False
    assert tapes.look() == 390
    assert [str(one) for one in kept] == expected("NVDA")
    assert tapes.look() == 0


def test_snapshots_when_no_quotes_come_then_what_is_not_known_is_not_zero() -> None:
    kept: list[TapeSnapshot] = []
    tapes = MarketTapes(SETTINGS, kept.extend)
    tapes.begin(SESSION, ["NVDA"])
    tapes.take("NVDA", quotes_of("NVDA", OPEN, OPEN), OPEN + NS_PER_MINUTE)
    tapes.look()
    (one,) = kept
    assert [str(value) for value in (one.ofi, one.ofi_z, one.queue_imbalance, one.mid)] == ["nan"] * 4
