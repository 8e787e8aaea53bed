"""What the tug of war remembers of its trades from one session to the next, whoever trades it, and however often anew."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest

from episode_books import ListBook
from example_trades import closed_trade
from sovereign.core.command import Command, CommandKind
from sovereign.core.event import OrderFilled, TradeClosed, encode
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Side
from sovereign.core.position import Trade
from sovereign.engine.inputs import CommandReceived, Input
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.research.backtest import main_lane
from sovereign.store.episodes import SqlEpisodeBook
from sovereign.store.store import Store
from sovereign.strategies.tug_of_war import TugOfWarConfig, TugOfWarStrategy
from tug_cases import MINUTE, SESSIONS, config_of, market, moment_of, row
from tug_sessions import Live, inputs_of, recipe, record

NVDA = find_instrument("NVDA")
PATIENT = config_of(
    conflict={"min_opposed": 0.1, "min_alone": 0.1},
    entry={"order": "market"},
    position={"trend_stop_frac": 0.2, "trend_target_frac": 0.4, "max_risk_frac": 0.2},
    without=["earnings", "chop_rule", "flip_exit", "crowded_exit", "regime"],
)
"""Enters early, and nothing but a command closes what it holds."""
OVER_NIGHT = ("risk.flatten_before_close_minutes=none", "risk.can_short=true")


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[list[SqlEpisodeBook]]:
    """Two books, each in a store of its own."""
    opened = [Store(f"sqlite:///{tmp_path}/{name}.sqlite") for name in ("a", "b")]
    yield [SqlEpisodeBook(store.database, "paper") for store in opened]
    for store in opened:
        store.close()


def strategy_of(book: ListBook, number: int, config: TugOfWarConfig | None = None) -> TugOfWarStrategy:
    """A strategy object as a process makes it for the session of this number."""
    strategy = TugOfWarStrategy(config or config_of())
    strategy.use_book(book)
    strategy.start_session(SESSIONS[number], NVDA)
    return strategy


def flat(number: int, minutes: int):
    """A moment at which nothing is to be decided, so many minutes after the regular open."""
    session = SESSIONS[number]
    return moment_of(row(known_at=session.regular_open_ns + minutes * MINUTE, cycle=False), session=session)


def trade_of(side: Side, entry_ns: int, exit_ns: int, net: int = 50) -> Trade:
    return closed_trade(NVDA, entry_ns, exit_ns, net, side=side, quantity=10, entry_ticks=10_000.0, exit_ticks=10_200.0)


def with_close(inputs: list[Input], share: float) -> list[Input]:
    """The same inputs, with somebody who closes everything after a share of them."""
    at = int(len(inputs) * share)
    command = Command(command_id="close", kind=CommandKind.FLATTEN, by="somebody")
    return [*inputs[:at], CommandReceived(ts=inputs[at - 1].ts, command=command), *inputs[at:]]


def test_position_when_held_over_night_and_closed_by_another_process_then_its_episode_and_kelly_know_it(stores, tmp_path):
    days = market(1, 50)
    paths = record(tmp_path, days[:49])
    made = recipe(PATIENT, *OVER_NIGHT)
    book, other = stores
    lane = main_lane(made.execution)
    for kept in (other, book):
        venue = SimulatedBroker(lane.model, made.execution.latency_ns)
        first = Live(made, paths[:48], book=kept, broker=venue)
        first.play(inputs_of(days[48]))
    evening = first.conductor.closing()
    held = {position.symbol: position.quantity for position in evening.positions}
    assert held, "nothing was held over night"
    assert not [event for event in first.events if isinstance(event, TradeClosed)]
    assert {episode.symbol for episode in book.open_at("tug_of_war", days[49][0].open_ns)} == set(held)

    inputs = with_close(inputs_of(days[49]), 0.5)
    inputs[0] = replace(inputs[0], opening=evening)
    whole = Live(made, paths, book=book, broker=deepcopy(venue))
    whole.play(inputs)
    for share in (0.3, 0.6, 0.9):  # the process of the other account dies on the way, and another begins anew
        broken = Live(made, paths, book=other, broker=deepcopy(venue))
        broken.play(inputs[: int(len(inputs) * share)])
    again = Live(made, paths, book=other, broker=deepcopy(venue))
    again.play(inputs)
    assert b"".join(map(encode, again.events)) == b"".join(map(encode, whole.events))

    trades = [event.trade for event in whole.events if isinstance(event, TradeClosed)]
    carried = {trade.instrument.symbol: trade for trade in trades if trade.entry_ns == days[49][0].open_ns}
    assert set(carried) == set(held)
    closed = book.closed_before("tug_of_war", 2**62, 99)
    assert closed == other.closed_before("tug_of_war", 2**62, 99)
    of_before = {episode.symbol: episode for episode in closed if episode.opened_ns < days[49][0].open_ns}
    assert set(of_before) == set(held)
    for symbol, episode in of_before.items():
        entry = next(e for e in first.events if isinstance(e, OrderFilled) and e.fill.instrument.symbol == symbol)
        trade = carried[symbol]
        assert (episode.side > 0) == (held[symbol] > 0) == (entry.fill.side is Side.BUY)
        assert (episode.closed_ns, episode.exit_reason) == (trade.exit_ns, "FLATTEN")
        assert episode.outcome == (1.0 if trade.net > 0 else 0.0)
        assert episode.held_ns == trade.exit_ns - episode.opened_ns
        assert episode.lesson.count(" made ") == 1
    # The session after it begins with these trades in Kelly's record.
    third = TugOfWarStrategy(PATIENT)
    third.use_book(book)
    third.start_session(SESSIONS[50], NVDA)
    assert third.kelly.edge.trades == len(trades) == len(closed)
    assert book.open_at("tug_of_war", 2**62) == other.open_at("tug_of_war", 2**62)


def test_on_trade_when_the_session_is_traded_anew_then_says_the_same_of_it():
    """The first life has closed the episode; the second finds it closed, and closes it once more."""
    book = ListBook()
    (proposal,) = strategy_of(book, 0).decide(moment_of(row()))
    exit_ns = SESSIONS[1].regular_open_ns + MINUTE
    said = []
    for _ in range(2):
        strategy = strategy_of(book, 1)
        strategy.decide(replace(flat(1, 0), position_quantity=10))
        strategy.on_trade(trade_of(proposal.side, SESSIONS[1].open_ns, exit_ns))
        said.append(dict(book.kept))
        assert strategy.kelly.edge.trades == 1
    assert said[0] == said[1]
    (closed,) = book.kept.values()
    assert (closed.outcome, closed.lesson) == (1.0, "strong conflict made +2.00% by TARGET")
    assert closed.held_ns == exit_ns - closed.opened_ns


def test_entry_when_its_order_ends_unfilled_then_it_is_forgotten_and_while_it_works_it_is_not():
    book = ListBook()
    strategy = strategy_of(book, 0)
    strategy.decide(moment_of(row()))
    assert strategy.decide(replace(flat(0, 95), is_entering=True)) == ()
    assert len(book.kept) == 1
    assert strategy.decide(flat(0, 96)) == ()
    assert book.kept == {}
    # What somebody else opens then is not its own.
    strategy.on_trade(trade_of(Side.BUY, flat(0, 97).ts, flat(0, 98).ts))
    assert book.kept == {}


def test_entry_when_its_order_ended_over_night_then_the_next_session_forgets_it():
    book = ListBook()
    strategy_of(book, 0).decide(moment_of(row()))
    strategy_of(book, 1).decide(flat(1, 30))
    assert book.kept == {}


def test_entry_when_another_of_its_symbol_is_decided_then_one_episode_is_open():
    book = ListBook()
    strategy = strategy_of(book, 0)
    strategy.decide(moment_of(row()))
    later = moment_of(row(known_at=SESSIONS[0].regular_open_ns + 105 * MINUTE))
    strategy.decide(replace(later, is_entering=True))
    assert [episode.opened_ns for episode in book.kept.values()] == [later.ts]


def test_start_session_when_two_episodes_of_a_symbol_are_open_then_the_newest_is_the_positions():
    book = ListBook()
    strategy_of(book, 0).decide(moment_of(row()))
    (newest,) = book.kept.values()
    book = ListBook([replace(newest, episode_id="orphan", opened_ns=newest.opened_ns - 10**12), newest])
    strategy = strategy_of(book, 1)
    strategy.on_trade(trade_of(Side.BUY, SESSIONS[1].open_ns, SESSIONS[1].regular_open_ns))
    assert [(episode.episode_id, episode.outcome) for episode in book.kept.values()] == [(newest.episode_id, 1.0)]


def test_on_trade_when_the_position_was_turned_then_nothing_is_learned_of_the_entry():
    book = ListBook()
    strategy_of(book, 0).decide(moment_of(row()))
    strategy = strategy_of(book, 1)
    strategy.on_trade(trade_of(Side.SELL, SESSIONS[1].open_ns, SESSIONS[1].regular_open_ns))
    assert book.kept == {}


def test_kelly_when_it_would_keep_no_more_than_it_looks_at_then_is_refused():
    """A session that is traded anew must find the trades from before it, though its first life has added its own."""
    with pytest.raises(ValueError, match=r"max_kept_episodes was 50; it must be above max_trades, 50"):
        config_of(position={"kelly": {"max_trades": 50, "max_kept_episodes": 50}})
