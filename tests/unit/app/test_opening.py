"""What a session begins with, against a venue of few words: money that came or went since the last session is no profit."""

from datetime import date
from decimal import Decimal

import pytest

from fakes.hand_fed import HandFeed, HandLink
from sovereign.app.opening import new_opening
from sovereign.app.task import Task
from sovereign.core.errors import BrokerError
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Side
from sovereign.engine.assembly import new_lines
from sovereign.engine.live_configuration import LiveConfig
from sovereign.execution.broker import VenueExecution
from sovereign.feeds.calendar import calendar_for
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor
from sovereign.store.session_state import HeldPosition, SessionState

SESSION = calendar_for("CME_EQUITY").session(date(2025, 3, 4))
BALANCE = Decimal(100_000)
MARK = Decimal(110_000)


def state(*positions, door=None):
    return SessionState(
        account="x",
        strategy="order_flow",
        trade_date=date(2025, 3, 3),
        updated_ns=1,
        balance=BALANCE,
        day_start_balance=BALANCE,
        high_water_mark=MARK,
        positions=positions,
        door=door or {},
        execution_cursor=2,
    )


def opening(link, kept, is_stopping=False):
    """Return what the session begins with when the venue is `link`."""
    config = LiveConfig(answer_s=0.2, retry_s=0.01)  # how long a venue that is silent is asked; one that answers has a minute
    feed = HandFeed(SESSION, (find_instrument("ES"),), SESSION.open_ns)
    link.clock = feed.clock
    lines = new_lines(LiveConfig(answer_s=60.0), feed, link)
    lines.start()
    try:
        return new_opening(config, lines, kept, Decimal(25_000), lambda _: is_stopping)
    finally:
        lines.stop(5)


def execution(cursor, side, price, fee="0"):
    return VenueExecution(
        cursor=cursor,
        trade_id=f"E{cursor}",
        client_order_id="by hand",
        symbol="ES",
        side=side,
        quantity=1,
        price_ticks=price,
        ts=SESSION.open_ns,
        fee=Decimal(fee),
    )


class Told(HandLink):
    """A venue whose executions before the session are those of the test."""

    async def snapshot(self, since_cursor):
        self.asked.append(since_cursor)
        return await super().snapshot(since_cursor)


def test_opening_when_the_venue_agrees_then_it_is_what_the_last_session_left():
    found = opening(Told(cash=BALANCE), state())
    assert (found.balance, found.high_water_mark, found.moved, found.cursor) == (BALANCE, MARK, 0, 2)


@pytest.mark.parametrize(
    ("cash", "mark"),
    [
        ("150000", "165000.00"),  # a deposit of half as much again: still 10% above the balance
        ("50000", "55000.00"),  # half is withdrawn: no drawdown of 55%
        ("99990.50", "109989.55"),  # fees of the night
    ],
)
def test_opening_when_money_came_or_went_overnight_then_the_day_begins_with_it_and_the_drawdown_is_what_it_was(cash, mark):
    found = opening(Told(cash=Decimal(cash)), state())
    assert (found.balance, found.high_water_mark) == (Decimal(cash), Decimal(mark))
    assert found.moved == Decimal(cash) - BALANCE


def test_opening_when_all_is_withdrawn_then_the_mark_begins_anew():
    found = opening(Told(cash=Decimal(0)), state())
    assert (found.balance, found.high_water_mark) == (0, 0)


def test_opening_when_a_drawdown_was_cleared_then_its_mark_moves_as_well():
    door = OneDoor(RiskConfig())
    kept = {**door.state(), "mark": "90000", "cleared_mark": "110000"}
    found = opening(Told(cash=Decimal(200_000)), state(door=kept))
    assert (found.door["mark"], found.door["cleared_mark"]) == ("180000.00", "220000.00")
    door.restore(found.door)  # it is a door's state still


def test_opening_when_the_venue_has_executions_that_we_have_not_then_only_the_rest_has_come():
    link = Told(cash=Decimal(150_150 - 5))
    # bought at 20000 and sold at 20012 ticks after our books were closed: 12 ticks of 12.50, and a fee of 5
    link.executions = [execution(n, Side.BUY, 1) for n in (1, 2)]  # known already
    link.executions += [execution(3, Side.BUY, 20_000), execution(4, Side.SELL, 20_012, "5")]
    found = opening(link, state())
    assert (found.moved, found.balance, found.cursor) == (Decimal(50_000), Decimal(150_000), 2)


def test_opening_when_a_position_was_held_overnight_and_money_came_then_it_is_known_as_well():
    link = Told(cash=Decimal(101_000))
    link.positions["ES"] = (2, 40_000)
    held = HeldPosition(symbol="ES", tape="ES", quantity=2, cost_ticks=40_000)
    assert opening(link, state(held)).moved == Decimal(1_000)


def test_opening_when_positions_differ_then_nobody_knows_what_came_and_the_comparison_decides():
    link = Told(cash=Decimal(101_000))
    link.positions["ES"] = (2, 40_000)
    found = opening(link, state())
    assert (found.moved, found.balance) == (0, BALANCE)


def test_opening_when_the_venue_is_silent_then_begins_with_what_was_left():
    found = opening(Told(is_deaf=True), state())
    assert (found.moved, found.balance) == (0, BALANCE)


def test_opening_when_the_account_was_never_traded_then_the_venue_is_waited_for():
    assert opening(Told(cash=Decimal(7)), None).balance == 7
    with pytest.raises(BrokerError):
        opening(Told(is_deaf=True), None, is_stopping=True)


def test_task_when_accounts_of_one_name_are_elsewhere_then_they_share_neither_state_nor_session():
    tasks = [
        Task(strategy="lossless", mode=mode, account="x", broker=broker)
        for broker, mode in (("venue", "paper"), ("alpaca", "paper"), ("alpaca", "live"))
    ]
    assert len({task.place for task in tasks}) == 3
    assert len({task.session_id(date(2025, 3, 4)) for task in tasks}) == 3
