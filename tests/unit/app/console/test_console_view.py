"""What the console shows: its marks against the signals' own, and pictures that fill any terminal exactly."""

from datetime import date
from decimal import Decimal
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from sovereign.app.console.ladder import imbalances, last_bars
from sovereign.app.console.picture import Head, take
from sovereign.app.console.state import KEPT, ConsoleState
from sovereign.app.console.view import ASCII, Painter, progress_line
from sovereign.core.event import DecisionMade
from sovereign.core.instrument import find_instrument
from sovereign.execution.fill_model import ExecutionConfig
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import SyntheticConfig, SyntheticFeed, SyntheticMarket
from sovereign.kernels.order_flow_setting import PatternConfig
from sovereign.kernels.row import Pattern
from sovereign.research.backtest import Recipe, all_lanes, run_backtest
from sovereign.risk.configuration import RiskConfig
from sovereign.signals.order_flow import OrderFlowStream
from sovereign.strategies.order_flow.configuration import OrderFlowConfig

HEAD = Head(strategy="order_flow", label="SIMULATED data", run_id="order_flow-1")
SIZES = [(80, 24), (140, 45), (200, 60), (100, 30), (60, 12), (59, 24), (40, 8), (10, 3)]


@pytest.fixture(scope="module")
def pictures():
    """Pictures of every fifth minute of a lively simulated session, and all decisions taken in it."""
    es, calendar = find_instrument("ES"), calendar_for("CME_EQUITY")
    market = SyntheticMarket(SyntheticConfig(ticks_per_session=60_000), 1)
    feed = SyntheticFeed(market, es, calendar, date(2025, 1, 2), 1, block_ns=210_000_000_000)
    earlier = SyntheticFeed(market, es, calendar, date(2024, 12, 31), 1)
    recipe = Recipe(
        strategy="order_flow",
        strategy_config=OrderFlowConfig.model_validate({"router": {"min_confidence": 0.0, "min_strength": 0.0}}),
        risk=RiskConfig(excluded_windows=()),
        execution=ExecutionConfig(),
        starting_balance=Decimal(2_500),
    )
    state, events, taken = ConsoleState(), [], []

    def see(passage):
        taken.append(take(HEAD, state, passage, passage.block.until_ns, 1_170.0, 0.5))

    run_backtest(
        recipe, feed, lanes=all_lanes(recipe.execution)[:1], sinks=(state, events.append), on_block=see, warm_up=earlier
    )
    return taken, events


def test_imbalances_when_worked_by_hand_then_diagonals_of_three_to_one_with_the_minimum():
    # ask 60 over bid 20 below: 3 to 1. bid 90 over ask 30 above: 3 to 1. ask 19 is below the minimum of 20.
    bid, ask = np.array([20, 90, 0, 5]), np.array([10, 60, 30, 19])
    buy, sell = imbalances(bid, ask, PatternConfig(), 20)
    assert buy.tolist() == [False, True, False, False]
    assert sell.tolist() == [False, True, False, False]


def test_imbalances_when_the_neighbor_did_not_trade_then_it_counts_as_one_or_never():
    bid, ask = np.array([0, 0]), np.array([0, 25])
    assert imbalances(bid, ask, PatternConfig(), 20)[0].tolist() == [False, True]
    assert imbalances(bid, ask, PatternConfig(zero_opposite_as_one=False), 20)[0].tolist() == [False, False]


def test_ladder_when_the_signals_saw_an_imbalance_then_the_ladder_marks_it():
    es = find_instrument("ES")
    session = calendar_for("CME_EQUITY").session(date(2025, 1, 2))
    stream = OrderFlowStream(es)
    stream.start_session(session)
    stream.advance(SyntheticMarket(SyntheticConfig(ticks_per_session=60_000), 4).session_trades(es, session), session.close_ns)
    bars = last_bars(stream, 40)
    first = len(stream.rows) - len(bars)
    found = {Pattern.BUY_IMBALANCE: 0, Pattern.SELL_IMBALANCE: 0}
    for index, bar in enumerate(bars, start=first):
        row, mine = stream.rows[index], stream.candidates[stream.candidates["row"] == index]
        assert (bar.delta, bar.volume) == (row["delta"], row["volume"])
        assert [price for price, cell in bar.cells.items() if cell.is_poc] == [row["poc"]]
        for pattern, side in ((Pattern.BUY_IMBALANCE, "buy"), (Pattern.SELL_IMBALANCE, "sell")):
            seen = mine[mine["pattern"] == pattern]
            found[pattern] += len(seen)
            marked = {price for price, cell in bar.cells.items() if getattr(cell, side)}
            assert set(seen["price"].tolist()) <= marked
            assert bool(marked) == bool(len(seen))
    assert min(found.values()) > 3


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_draw_when_the_terminal_has_any_size_then_it_is_filled_exactly(pictures, width, height):
    painter = Painter()
    for picture in pictures[0]:
        drawn = painter.draw(picture, width, height)
        lines = drawn.plain.split("\n")
        assert (len(lines), {len(line) for line in lines}) == (height, {width})
    screen = Console(file=StringIO(), width=width, height=height, force_terminal=True, color_system="truecolor")
    screen.print(drawn)
    assert screen.file.getvalue().count("\n") == height


def test_draw_when_the_terminal_is_80_by_24_then_everything_that_matters_is_there(pictures):
    held = [picture for picture in pictures[0] if picture.holdings]
    assert held
    plain = Painter().draw(held[-1], 80, 24).plain
    words = (
        "SIMULATED data",
        "order_flow",
        "EST",
        "last",
        "x1,170",
        "delta",
        "volume",
        "VWAP",
        "value",
        "cum. delta",
        "regime",
    )
    more = ("ADX / ATR", "position", "entry", "stop|target", "open P&L", "balance", "day P&L", "room today", "APPROVED")
    assert [word for word in (*words, *more) if word not in plain] == []


def test_draw_when_colors_are_taken_away_then_signs_and_marks_remain(pictures):
    everything = "\n".join(Painter(ASCII).draw(picture, 140, 45).plain for picture in pictures[0])
    assert everything.isascii()
    for mark in (">", "<", "*", "+", "now", "LONG", "REFUSED", "APPROVED", "BUY", "SELL"):
        assert mark in everything


def test_picture_when_a_position_is_open_then_its_bracket_and_profit_are_those_of_the_account(pictures):
    holding = next(picture for picture in pictures[0] if picture.holdings)
    position = holding.holdings[0]
    sign = 1 if position.quantity > 0 else -1
    profile = OrderFlowConfig().bracket.profiles["ES"]
    assert (position.entry_ticks - position.stop_ticks) * sign == pytest.approx(profile.stop_ticks, abs=1)
    assert (position.target_ticks - position.entry_ticks) * sign == pytest.approx(profile.target_ticks, abs=1)
    tick_value = find_instrument(position.symbol).tick_value
    ticks = (holding.last_ticks - position.entry_ticks) * position.quantity
    assert float(position.pnl) == pytest.approx(ticks * float(tick_value))


def test_progress_line_when_data_is_simulated_then_says_so(pictures):
    assert all(progress_line(picture).startswith("SIMULATED ") for picture in pictures[0])


def test_state_when_the_run_is_long_then_what_is_kept_is_bounded(pictures):
    state = ConsoleState()
    decision = next(event for event in pictures[1] if isinstance(event, DecisionMade))
    for _ in range(10 * KEPT):
        state(decision)
    assert (len(state.decisions), state.decided) == (KEPT, 10 * KEPT)
