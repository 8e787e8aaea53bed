"""The council's positions: who enters when, how large, with which stop and target, until when; longs and shorts alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from council_cases import SESSIONS, SPY, UNKNOWN, moment_of, random_rows, row
from council_effects import taken
from episode_books import ListBook
from example_trades import closed_trade
from sovereign.core.episode import EpisodeBook, EpisodeKeeper
from sovereign.core.order import OrderRole, Side, TimeInForce
from sovereign.core.port import TradeListener
from sovereign.kernels.market_row import MarketRegime, Phase
from sovereign.strategies import assumed_settings, load_strategy, strategy_names
from sovereign.strategies.council import CouncilConfig, CouncilStrategy
from sovereign.strategies.council.configuration import PositionConfig
from sovereign.strategies.council.memory import Memory
from sovereign.strategies.council.strategy import multiplier, sized

POSITION = PositionConfig()
UP = {
    "regime": MarketRegime.TRENDING_UP,
    "efficiency": 0.6,
    "regime_confidence": 0.8,
    "phase": Phase.MARKUP,
    "momentum": 2.0,
    "momentum_ratio": 0.9,
    "p_markup": 0.8,
    "p_range": 0.2,
}
DOWN = {
    "regime": MarketRegime.TRENDING_DOWN,
    "efficiency": -0.6,
    "regime_confidence": 0.8,
    "phase": Phase.MARKDOWN,
    "momentum": -2.0,
    "momentum_ratio": -0.9,
    "p_markup": 0.0,
    "p_markdown": 0.8,
    "p_range": 0.2,
}


def strategy_of(**sections):
    return CouncilStrategy(CouncilConfig.model_validate(sections))


def only(proposals):
    (proposal,) = proposals
    return proposal


@pytest.mark.parametrize(("values", "side"), [(UP, Side.BUY), (DOWN, Side.SELL)], ids=["long", "short"])
def test_decide_when_agents_agree_then_enters_with_a_stop_and_twice_as_far_a_target(values, side):
    proposal = only(strategy_of().decide(moment_of(row(**values))))
    intent = proposal.intent
    assert intent is not None
    assert (proposal.side, intent.side, intent.role) == (side, side, OrderRole.ENTRY)
    # 2% of 40,000 ticks; distances are to be positive for both sides, the broker puts them where they belong.
    assert (intent.bracket.stop_ticks, intent.bracket.target_ticks) == (800, 1_600)
    assert intent.time_in_force is TimeInForce.DAY
    assert proposal.inputs["vote_hedge"] == "abstain"
    assert proposal.inputs["vote_wyckoff"] == ("long" if side is Side.BUY else "short")


def test_decide_when_bars_are_daily_then_the_order_waits_for_the_next_open():
    proposal = only(strategy_of(bar_seconds=86_400).decide(moment_of(row(**UP))))
    assert proposal.intent.time_in_force is TimeInForce.GTC


@pytest.mark.parametrize(
    ("confidence", "volatility", "others", "size", "stop"),
    [
        (0.8, 0.15, 0, 0.8 * 0.15, 0.02),
        (0.8, 0.30, 0, 0.8 * 0.15 * 0.5, 0.04),  # twice as restless: half the size, twice the stop
        (0.8, 0.60, 0, 0.8 * 0.15 * 0.5, 0.05),  # size factor and stop at their limits
        (0.8, 0.05, 0, 0.15, 0.02),  # never above 15%
        (0.8, 0.01, 0, 0.15, 0.02),
        (0.55, 0.15, 0, 0.55 * 0.15, 0.03),  # unsure: wider
        (0.55, 0.30, 0, 0.55 * 0.15 * 0.5, 0.05),  # 3% x 2, at most 5%
        (0.8, 0.15, 2, 0.8 * 0.15 * 0.7, 0.02),
        (0.8, 0.15, 5, 0.8 * 0.15 * 0.5, 0.02),
        (0.02, 0.15, 0, 0.01, 0.03),
        (0.8, 0.20, 0, 0.8 * 0.15 * 0.75, 0.02),  # from above .20 only
    ],
)
def test_size_when_worked_by_hand_then_that_of_the_definition(confidence, volatility, others, size, stop):
    found = sized(confidence, volatility, others, 1.0, POSITION)
    assert (found.size_frac, found.stop_frac) == (pytest.approx(size), pytest.approx(stop))


@given(st.floats(0, 1), st.floats(0, 3), st.integers(0, 9), st.floats(0.1, 1))
def test_size_when_anything_is_given_then_within_caps(confidence, volatility, others, factor):
    found = sized(confidence, volatility, others, factor, POSITION)
    assert 0 < found.size_frac <= 0.15
    assert 0.02 <= found.stop_frac <= 0.05
    # What the door makes of it: value_frac x multiplier is the size.
    value = float(str(assumed_settings("council")["risk.value_frac"])) * multiplier(found)
    assert value == pytest.approx(found.size_frac, rel=1e-3)


def test_largest_size_when_halved_then_the_order_asks_for_half():
    """The door multiplies by its own fraction, which does not follow the setting: the multiplier has to."""
    whole, half = (
        only(strategy_of(position={"max_size_frac": largest}).decide(moment_of(row(**UP)))).intent.size_multiplier
        for largest in (0.15, 0.075)
    )
    assert half == pytest.approx(whole / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("config", "sessions"),
    [
        ({}, 8),  # 70 bars of the windows and 500 of the hidden model, 78 a session
        ({"bar_seconds": 86_400}, 570),
        ({"bar_seconds": 3_600}, 82),  # 7 a session
        ({"regime": {"hidden": {"min_fit_bars": 100}}, "turn": {"range_bars": 200}}, 4),  # 250 bars of the turns
    ],
)
def test_warm_up_sessions_when_asked_then_the_hidden_model_can_be_fitted_after_them(config, sessions):
    assert strategy_of(**config).warm_up_sessions == sessions


def test_size_when_positions_are_open_then_less_for_each_whoever_decided_on_them():
    """The account's own count at that moment: neither the order of feeds nor a restart changes it."""
    moment = moment_of(row(**UP))
    sizes = [
        only(strategy_of().decide(replace(moment, open_positions=number))).inputs["size_frac"] for number in (0, 1, 2, 3, 4)
    ]
    assert [size / sizes[0] for size in sizes] == pytest.approx([1.0, 0.85, 0.7, 0.55, 0.5])
    # What it was asked about other symbols before says nothing of what is open now.
    strategy = strategy_of()
    for symbol in ("QQQ", "NVDA"):
        strategy.decide(replace(moment, symbol=symbol, position_quantity=5))
    assert only(strategy.decide(moment)).inputs["size_frac"] == sizes[0]


def test_size_when_volatility_is_unknown_then_unknown_and_nothing_is_entered():
    assert np.isnan(sized(0.8, UNKNOWN, 0, 1.0, POSITION).size_frac)
    proposal = only(strategy_of(without=("regime_gating",)).decide(moment_of(row(**{**UP, "volatility": UNKNOWN}))))
    assert proposal.intent is None
    assert [check.name for check in proposal.checks if not check.passed] == ["measured", "stop"]


def test_decide_when_confidence_is_too_low_then_proposes_without_an_order():
    proposal = only(strategy_of(position={"min_confidence": 0.95}).decide(moment_of(row(**UP))))
    assert proposal.intent is None
    assert [check.name for check in proposal.checks if not check.passed] == ["confidence"]


def test_decide_when_the_bar_is_old_then_not_fresh():
    moment = moment_of(row(**UP))
    late = replace(moment, ts=moment.ts + 600 * 10**9)
    proposal = only(strategy_of().decide(late))
    assert [check.name for check in proposal.checks if not check.passed] == ["fresh"]


@pytest.mark.parametrize(("missing", "failed"), [(0, []), (1, []), (2, ["fresh"]), (9, ["fresh"])])
@pytest.mark.parametrize("is_first", [False, True], ids=["in mid-session", "at the open"])
def test_decide_when_bars_before_are_missing_then_not_fresh(missing, failed, is_first):
    """Two five-minute bars are the limit (`regime.stale_bars`); the night before the first bar is not missing."""
    width, opens = 300 * 10**9, SESSIONS[0].regular_open_ns
    rows = np.concatenate([row(**UP), row(**UP)])
    rows["open_ns"][0], rows["known_at"][0] = opens, opens + width
    rows["open_ns"][1] = opens + (missing if is_first else 1 + missing) * width
    rows["known_at"][1] = rows["open_ns"][1] + width
    moment = moment_of(rows[1:]) if is_first else moment_of(rows, 1)
    proposal = only(strategy_of().decide(moment))
    assert [check.name for check in proposal.checks if not check.passed] == failed
    assert next(check for check in proposal.checks if check.name == "fresh").value == missing
    assert (proposal.intent is None) == bool(failed)


def test_decide_when_more_missing_bars_are_allowed_then_enters():
    late = row(**UP, open_ns=SESSIONS[0].regular_open_ns + 3 * 300 * 10**9)
    refused, allowed = (only(strategy_of(regime={"stale_bars": bars}).decide(moment_of(late))) for bars in (2, 4))
    assert refused.intent is None
    assert allowed.intent is not None


@pytest.mark.parametrize("held", [7, -7], ids=["long", "short"])
def test_decide_when_held_for_as_many_bars_as_allowed_then_closes(held):
    strategy, rows = strategy_of(position={"max_bars": 5}), random_rows()
    for number in range(4):
        assert strategy.decide(moment_of(rows, number, held=held)) == ()
    proposal = only(strategy.decide(moment_of(rows, 4, held=held)))
    assert proposal.intent.side is (Side.SELL if held > 0 else Side.BUY)
    assert (proposal.intent.role, proposal.intent.reduce_only) == (OrderRole.EXIT, True)
    assert [(check.name, check.value, check.limit) for check in proposal.checks] == [("time_stop", 5.0, 5.0)]
    # It is asked for again until it is done, and counts anew for the next position.
    assert strategy.decide(moment_of(rows, 5, held=held))
    strategy.decide(moment_of(rows, 6))
    assert strategy.decide(moment_of(rows, 7, held=held)) == ()


def mirrored(rows):
    """The same market upside down, every price reflected at the close; unrest, which is bearish, becomes rest."""
    found = rows.copy()
    for name in ("efficiency", "momentum", "momentum_ratio", "volume_balance", "prior_trend", "volatility_z"):
        found[name] = -rows[name]
    for name in ("vwap", "magnet"):
        found[name] = 2.0 * rows["close"] - rows[name]
    for one, other in (
        ("bars_since_spring", "bars_since_upthrust"),
        ("p_markup", "p_markdown"),
        ("p_accumulation", "p_distribution"),
    ):
        found[one], found[other] = rows[other], rows[one]
    regimes, phases = np.arange(len(MarketRegime)), np.arange(len(Phase))
    for one, other in ((1, 2), (6, 7)):
        regimes[[one, other]] = regimes[[other, one]]
    for one, other in ((Phase.MARKUP, Phase.MARKDOWN), (Phase.ACCUMULATION, Phase.DISTRIBUTION)):
        phases[[one, other]] = phases[[other, one]]
    found["regime"], found["phase"] = regimes[rows["regime"]], phases[rows["phase"]]
    return found


@pytest.mark.parametrize("rule", ["consensus", "conflict"])
def test_decide_when_the_market_is_upside_down_then_the_same_trades_on_the_other_side(rule):
    """Shorts are longs of the mirrored market, bracket, size and checks alike; the hedge, which is short alone, is left out."""
    conflict = {"min_opposed": 0.4, "min_alone": 0.4}
    sections = {"without": ("hedge",), "combiner": {"rule": rule, "conflict": conflict}, "position": {"min_confidence": 0.3}}
    one, other = strategy_of(**sections), strategy_of(**sections)
    rows = random_rows(600)
    # A row may know one of two probabilities only: the mirror has to know the same.
    rows = rows[~np.isnan(rows["p_markup"])]
    turned, entries = mirrored(rows), {Side.BUY: 0, Side.SELL: 0}
    for number in range(len(rows)):
        left = one.decide(moment_of(rows, number, symbol=f"S{number}"))
        right = other.decide(moment_of(turned, number, symbol=f"S{number}"))
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            assert a.side is not b.side
            assert (a.confidence, a.strength) == (pytest.approx(b.confidence), b.strength)
            assert [c.passed for c in a.checks] == [c.passed for c in b.checks]
            assert (a.intent is None) == (b.intent is None)
            if a.intent is not None and b.intent is not None:
                entries[a.side] += 1
                assert a.intent.bracket == b.intent.bracket
                assert a.intent.size_multiplier == pytest.approx(b.intent.size_multiplier)
    assert min(entries.values()) > 10


def trade_of(side, entry_ns, exit_ns, entry=40_000.0, exit_=40_400.0, net=50):
    return closed_trade(SPY, entry_ns, exit_ns, net, side=side, quantity=10, entry_ticks=entry, exit_ticks=exit_)


def test_strategy_when_looked_at_then_listens_to_trades_and_keeps_episodes():
    strategy = strategy_of()
    assert isinstance(strategy, TradeListener)
    assert isinstance(strategy, EpisodeKeeper)
    assert "council" in strategy_names()
    assert isinstance(load_strategy("council"), CouncilStrategy)


def test_on_trade_when_an_entry_closes_then_its_episode_is_written_and_remembered():
    book: EpisodeBook = ListBook()
    strategy = strategy_of()
    strategy.use_book(book)
    strategy.start_session(SESSIONS[0], SPY)
    number, proposal = taken(strategy)
    moment = moment_of(random_rows(), number)
    strategy.decide(replace(moment, position_quantity=10 * proposal.side.sign))
    (opened,) = book.open_at("council", moment.ts + 1)
    assert (opened.outcome, opened.held_bars) == (None, ((SESSIONS[0].trade_date.isoformat(), 1),))
    exit_ticks = 40_000.0 + 400.0 * proposal.side.sign
    strategy.on_trade(trade_of(proposal.side, moment.ts + 1, moment.ts + 10**12, exit_=exit_ticks))
    (closed,) = book.closed_before("council", moment.ts + 10**13, 10)
    assert (closed.outcome, closed.side, closed.return_frac) == (1.0, proposal.side.sign, pytest.approx(0.01))
    assert closed.held_ns == 10**12 - 1
    assert "won" in closed.lesson
    assert len(strategy.memory) == 1
    assert book.open_at("council", moment.ts + 10**13) == []


def test_on_trade_when_it_was_not_its_own_then_nothing_is_remembered():
    strategy = strategy_of()
    strategy.on_trade(trade_of(Side.BUY, 1, 2))
    assert len(strategy.memory) == 0


def test_start_session_when_a_position_was_held_over_night_then_its_bars_count_on():
    book, rows = ListBook(), random_rows()
    first = strategy_of(position={"max_bars": 6})
    first.use_book(book)
    first.start_session(SESSIONS[0], SPY)
    number, proposal = taken(first)
    held = 5 * proposal.side.sign
    for n in range(4):
        assert first.decide(moment_of(rows, number + n, held=held)) == ()
    # Another process, the next day; and the same one more time, as after a crash: it begins where the day before ended.
    for _ in range(2):
        second = strategy_of(position={"max_bars": 6})
        second.use_book(book)
        second.start_session(SESSIONS[1], SPY)
        next_day = rows[number:].copy()
        next_day["known_at"] += SESSIONS[1].open_ns - SESSIONS[0].open_ns
        assert second.decide(moment_of(next_day, 0, held=held, session=SESSIONS[1])) == ()
        closing = only(second.decide(moment_of(next_day, 1, held=held, session=SESSIONS[1])))
        assert closing.inputs["held_bars"] == 6
    second.on_trade(trade_of(proposal.side, int(rows["known_at"][number]), int(next_day["known_at"][1])))
    (closed,) = book.closed_before("council", 2**62, 10)
    assert sum(bars for _, bars in closed.held_bars) == 6


DAILY = {"bar_seconds": 86_400}


def each_day(book, config, is_anew, days=SESSIONS[1:41]):
    """Enter at the close of the first day, hold from the next open on; yield (day, strategy, what it says at the close)."""

    def new():
        strategy = strategy_of(**config)
        strategy.use_book(book)
        return strategy

    strategy = new()
    strategy.start_session(SESSIONS[0], SPY)
    assert only(strategy.decide(moment_of(row(**UP)))).intent is not None
    for number, session in enumerate(days, 1):
        if is_anew:
            strategy = new()
        strategy.start_session(session, SPY)
        later = row(**UP, known_at=session.regular_close_ns)
        yield number, strategy, strategy.decide(moment_of(later, held=7, session=session))


@pytest.mark.parametrize("is_anew", [False, True], ids=["one instance", "an instance a session"])
def test_time_stop_when_bars_are_daily_then_counts_over_sessions_and_the_trade_is_remembered(is_anew):
    book = ListBook()
    number, strategy, said = next(day for day in each_day(book, DAILY, is_anew) if day[2])
    assert (number, only(said).checks[0].name, only(said).inputs["held_bars"]) == (24, "time_stop", 24)
    exit_ns = SESSIONS[25].regular_open_ns
    strategy.on_trade(trade_of(Side.BUY, SESSIONS[1].regular_open_ns, exit_ns))
    (closed,) = book.closed_before("council", 2**62, 10)
    assert (closed.outcome, closed.closed_ns, len(strategy.memory)) == (1.0, exit_ns, 1)
    assert sum(bars for _, bars in closed.held_bars) == 24
    assert book.open_at("council", exit_ns + 1) == []


def test_entry_when_it_fills_and_ends_before_another_bar_then_is_remembered_by_the_next_process():
    book = ListBook()
    one, two = strategy_of(**DAILY), strategy_of(**DAILY)
    one.use_book(book)
    one.start_session(SESSIONS[0], SPY)
    only(one.decide(moment_of(row(**UP))))
    two.use_book(book)
    two.start_session(SESSIONS[1], SPY)
    two.on_trade(trade_of(Side.BUY, SESSIONS[1].regular_open_ns, SESSIONS[1].regular_open_ns + 10**9, net=-5))
    assert [episode.outcome for episode in book.closed_before("council", 2**62, 10)] == [0.0]
    assert len(two.memory) == 1


def test_entry_when_its_order_ends_unfilled_then_its_episode_is_dropped():
    book, strategy = ListBook(), strategy_of()
    strategy.use_book(book)
    strategy.start_session(SESSIONS[0], SPY)
    moment = moment_of(row(**UP))
    only(strategy.decide(moment))
    assert len(book.kept) == 1
    # A bar later its order still works: it may fill yet. After that it is gone.
    quiet = moment_of(row(known_at=moment.ts + 300 * 10**9))
    assert strategy.decide(replace(quiet, is_entering=True)) == ()
    assert len(book.kept) == 1
    assert strategy.decide(quiet) == ()
    assert book.kept == {}
    # What others open then is not its own.
    strategy.decide(replace(quiet, position_quantity=3))
    strategy.on_trade(trade_of(Side.BUY, moment.ts + 1, quiet.ts + 1))
    assert len(strategy.memory) == 0


def test_entry_when_another_is_decided_while_its_order_works_then_one_episode_is_open():
    book, strategy = ListBook(), strategy_of()
    strategy.use_book(book)
    moment = moment_of(row(**UP))
    only(strategy.decide(moment))
    later = replace(moment_of(row(**UP, known_at=moment.ts + 300 * 10**9)), is_entering=True)
    only(strategy.decide(later))
    assert [episode.opened_ns for episode in book.open_at("council", 2**62)] == [later.ts]


@pytest.mark.parametrize("is_anew", [False, True], ids=["same process", "another"])
def test_episode_when_its_position_went_without_a_trade_then_ends_neither_won_nor_lost(is_anew):
    book, strategy = ListBook(), strategy_of()
    strategy.use_book(book)
    strategy.start_session(SESSIONS[0], SPY)
    moment = moment_of(row(**UP))
    only(strategy.decide(moment))
    strategy.decide(replace(moment, position_quantity=5))
    session = SESSIONS[0]
    if is_anew:
        strategy, session = strategy_of(), SESSIONS[1]
        strategy.use_book(book)
        strategy.start_session(session, SPY)
    flat = moment_of(row(known_at=session.regular_open_ns + 900 * 10**9), session=session)
    assert strategy.decide(flat) == ()
    (episode,) = book.kept.values()
    assert (episode.outcome, episode.closed_ns, sum(bars for _, bars in episode.held_bars)) == (None, flat.ts, 1)
    assert len(strategy.memory) == 0
    assert book.closed_before("council", 2**62, 10) == []
    # The next position is another one: it counts from its own begin.
    strategy = strategy_of(position={"max_bars": 2})
    strategy.use_book(book)
    strategy.start_session(SESSIONS[2], SPY)
    held = moment_of(row(known_at=SESSIONS[2].regular_open_ns + 300 * 10**9), held=5, session=SESSIONS[2])
    assert strategy.decide(held) == ()
    assert only(strategy.decide(held)).inputs["held_bars"] == 2


def test_start_session_when_two_episodes_of_a_symbol_are_open_then_the_newest_is_the_positions():
    book = ListBook()
    strategy = strategy_of()
    only(strategy.decide(moment_of(row(**UP))))
    entry = strategy._holdings["SPY"].entry
    opens = SESSIONS[1].open_ns
    orphan = replace(entry, episode_id="orphan", opened_ns=opens - 10**15, held_bars=(("2023-12-01", 20),))
    newest = replace(entry, episode_id="newest", opened_ns=opens - 10**13, held_bars=(("2023-12-29", 3),))
    for episode in (newest, orphan):
        book.keep(episode, 10)
    for _ in range(2):  # and the same when the session is run again
        again = strategy_of()
        again.use_book(book)
        again.start_session(SESSIONS[1], SPY)
        held = moment_of(row(known_at=SESSIONS[1].regular_open_ns + 300 * 10**9), held=7, session=SESSIONS[1])
        count = 0
        while not again.decide(held):
            count += 1
        assert count == 20  # with the three of the day before, the next is the 24th
    again.on_trade(trade_of(Side.BUY, newest.opened_ns + 1, held.ts + 1, net=-5))
    assert book.kept["newest"].outcome == 0.0
    assert (book.kept["orphan"].outcome, book.kept["orphan"].closed_ns) == (None, opens)


@pytest.mark.parametrize("is_anew", [False, True], ids=["one instance", "an instance a session"])
def test_time_stop_when_the_position_was_turned_then_counts_anew_and_nothing_is_learned(is_anew):
    """The episode is a long; the account holds a short, by a fill that was nobody's: bars count from there, over sessions."""
    book = ListBook()
    config = {**DAILY, "position": {"max_bars": 4}}
    days = each_day(book, config, is_anew=False, days=SESSIONS[1:3])
    list(days)
    strategy = None
    said = []
    for session in SESSIONS[3:7]:
        if is_anew or strategy is None:
            strategy = strategy_of(**config)
            strategy.use_book(book)
        strategy.start_session(session, SPY)
        said.append(strategy.decide(moment_of(row(**UP, known_at=session.regular_close_ns), held=-7, session=session)))
    assert said[:3] == [(), (), ()]
    assert only(said[3]).intent.side is Side.BUY
    strategy.on_trade(trade_of(Side.SELL, SESSIONS[3].regular_open_ns, SESSIONS[7].regular_open_ns))
    assert len(strategy.memory) == 0
    assert {episode.outcome for episode in book.kept.values()} == {None}
    assert book.open_at("council", 2**62) == []


def lost_before(strategy, values, outcome, count=40):
    """Fill the memory with trades like the one that is coming, all of one outcome."""
    rows = row(**values)
    moment = moment_of(rows)
    proposal = only(strategy.decide(moment))
    held = strategy._holdings["SPY"].entry
    assert proposal.intent is not None
    for number in range(count):
        opened = moment.ts - (number + 2) * 3_600 * 10**9
        episode = replace(held, episode_id=f"p{number}", opened_ns=opened, closed_ns=opened + 10**9, outcome=outcome)
        strategy.memory.add(episode)
    return only(strategy.decide(moment))


@pytest.mark.parametrize("values", [UP, DOWN], ids=["long", "short"])
def test_memory_when_its_like_was_lost_then_vetoes_and_logs_what_would_have_been(values):
    proposal = lost_before(strategy_of(), values, 0.0)
    assert proposal.intent is None
    assert [check.name for check in proposal.checks if not check.passed][-1] == "memory"
    assert proposal.inputs["without_memory_taken"] == 1
    assert proposal.inputs["memory_cases"] == 40
    assert proposal.side is (Side.BUY if values is UP else Side.SELL)


def test_memory_when_its_like_was_won_then_surer_and_never_larger_than_the_cap():
    plain = only(strategy_of().decide(moment_of(row(**UP))))
    recalled = lost_before(strategy_of(), UP, 1.0)
    assert recalled.confidence > plain.confidence
    assert recalled.inputs["without_memory_confidence"] == plain.confidence
    assert recalled.inputs["without_memory_size_frac"] < recalled.inputs["size_frac"] <= 0.15


def test_memory_when_the_book_has_episodes_of_another_release_then_decides_without_them_and_says_how_many():
    strategy = strategy_of()
    only(strategy.decide(moment_of(row(**UP))))
    entry = strategy._holdings["SPY"].entry
    before = replace(entry, opened_ns=1, closed_ns=2, outcome=1.0)
    older = [replace(before, episode_id=f"o{n}", features=entry.features[:10]) for n in range(30)]
    again = strategy_of()
    again.use_book(ListBook([*older, replace(before, episode_id="own")]))
    again.start_session(SESSIONS[0], SPY)
    proposal = only(again.decide(moment_of(row(**UP))))
    assert (proposal.inputs["memory_ignored"], len(again.memory)) == (30, 1)
    assert proposal.intent is not None


def test_memory_when_left_out_then_neither_asks_nor_adjusts():
    strategy = strategy_of(without=("memory",))
    proposal = lost_before(strategy, UP, 0.0)
    assert proposal.intent is not None
    assert proposal.inputs["memory_cases"] == 0


def test_start_session_when_the_book_knows_episodes_then_those_closed_before_are_remembered():
    rows = row(**UP)
    strategy = strategy_of()
    only(strategy.decide(moment_of(rows)))
    entry = strategy._holdings["SPY"].entry
    before = replace(entry, episode_id="a", opened_ns=1, closed_ns=SESSIONS[1].open_ns - 1, outcome=1.0)
    later = replace(entry, episode_id="b", opened_ns=1, closed_ns=SESSIONS[1].open_ns + 1, outcome=1.0)
    again = strategy_of()
    again.use_book(ListBook([before, later]))
    again.start_session(SESSIONS[1], SPY)
    assert [episode.episode_id for episode in again.memory.episodes] == ["a"]
    assert isinstance(again.memory, Memory)
