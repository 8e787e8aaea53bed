"""The ledger, with figures worked by hand: one ES tick is 12.50 dollars, one MES tick 1.25."""

from decimal import Decimal

from sovereign.core.event import NoticeCode, Severity
from sovereign.core.instrument import find_instrument
from sovereign.core.order import OrderRole, Side
from sovereign.core.position import Fill, Liquidity
from sovereign.execution.account import Account

ES, MES = find_instrument("ES"), find_instrument("MES")


def fill(side, quantity, price, ts=1, instrument=ES, fee="2.25", role=OrderRole.ENTRY):
    return Fill(
        trade_id=f"{side}{ts}",
        client_order_id="A",
        instrument=instrument,
        side=side,
        quantity=quantity,
        price_ticks=price,
        ts=ts,
        fee=Decimal(fee) * quantity,
        liquidity=Liquidity.TAKER,
        role=role,
    )


def test_apply_when_long_closes_four_ticks_higher_then_books_fifty_dollars_less_fees():
    account = Account(Decimal(10_000))
    assert account.apply(fill(Side.BUY, 1, 100), "ES", "D1", {"signal": "X"}) == []
    (trade,) = account.apply(fill(Side.SELL, 1, 104, ts=2, role=OrderRole.TARGET), "ES", None, {})
    assert trade.gross == Decimal("50.00")
    assert trade.fees == Decimal("4.50")
    assert account.balance == Decimal("10045.50")
    assert (trade.decision_id, trade.labels, trade.exit_role) == ("D1", {"signal": "X"}, OrderRole.TARGET)
    assert account.positions == {}


def test_apply_when_short_closes_higher_then_books_the_loss():
    account = Account(Decimal(1_000))
    account.apply(fill(Side.SELL, 2, 200, instrument=MES, fee="0"), "ES", None, {})
    (trade,) = account.apply(fill(Side.BUY, 2, 208, instrument=MES, fee="0"), "ES", None, {})
    assert trade.gross == Decimal("-20.00")


def test_apply_when_closed_in_parts_then_one_trade_with_the_sum_is_returned_at_flat():
    account = Account(Decimal(0))
    account.apply(fill(Side.BUY, 1, 100, fee="0"), "ES", None, {})
    account.apply(fill(Side.BUY, 2, 101, ts=2, fee="0"), "ES", None, {})
    assert account.apply(fill(Side.SELL, 1, 103, ts=3, fee="0"), "ES", None, {}) == []
    (trade,) = account.apply(fill(Side.SELL, 2, 99, ts=4, fee="0"), "ES", None, {})
    # Bought for 100 + 202 ticks, sold for 103 + 198: one tick lost.
    assert trade.gross == Decimal("-12.50")
    assert account.balance == Decimal("-12.50")
    assert trade.quantity == 3


def test_apply_when_a_fill_turns_the_position_then_one_trade_closes_and_another_opens():
    account = Account(Decimal(0))
    account.apply(fill(Side.BUY, 1, 100), "ES", None, {})
    (trade,) = account.apply(fill(Side.SELL, 3, 102, ts=2), "ES", "D2", {})
    assert trade.gross == Decimal("25.00")
    assert account.positions["ES"].quantity == -2
    assert account.positions["ES"].average_ticks == 102


def test_observe_when_price_moves_then_excursions_are_kept_per_unit():
    account = Account(Decimal(0))
    account.apply(fill(Side.BUY, 1, 100), "ES", None, {})
    account.observe("ES", 93, 111)
    (trade,) = account.apply(fill(Side.SELL, 1, 105, ts=2), "ES", None, {})
    assert (trade.mae_ticks, trade.mfe_ticks) == (7, 11)


def test_equity_when_a_micro_is_held_on_the_big_tape_then_its_own_tick_value_counts():
    account = Account(Decimal(100))
    account.apply(fill(Side.BUY, 2, 100, instrument=MES, fee="0"), "ES", None, {})
    assert account.equity({"ES": 108}) == Decimal("120.00")


def test_adopt_when_nothing_was_held_then_the_position_is_the_venues_and_the_next_close_makes_its_trade():
    account = Account(Decimal(1_000))
    notice = account.adopt(ES, "ES", 2, 201, 5, "unknown here")
    assert (notice.code, notice.severity, notice.subject) == (NoticeCode.POSITION_ADOPTED, Severity.ALARM, "ES")
    assert notice.values == {"quantity_before": 0, "quantity": 2, "cost_ticks_before": 0, "cost_ticks": 201}
    assert (account.positions["ES"].average_ticks, account.balance) == (100.5, 1_000)
    (trade,) = account.apply(fill(Side.SELL, 2, 102, ts=6, fee="0"), "ES", None, {})
    assert (trade.entry_ticks, trade.gross, trade.labels) == (100.5, Decimal("37.50"), {"signal": "adopted"})
    assert account.corrected == 0


def test_adopt_when_the_same_side_shrinks_then_the_round_trip_goes_on():
    account = Account(Decimal(0))
    account.apply(fill(Side.BUY, 3, 100, fee="0"), "ES", "D1", {})
    account.adopt(ES, "ES", 1, 100, 5, "two were sold elsewhere")
    (trade,) = account.apply(fill(Side.SELL, 1, 104, ts=6, fee="0"), "ES", None, {})
    assert (trade.quantity, trade.entry_ticks, trade.gross, trade.decision_id) == (1, 100, Decimal("50.00"), "D1")


def test_adopt_when_the_venue_is_flat_then_no_trade_is_invented_and_what_was_booked_counts_as_corrected():
    account = Account(Decimal(0))
    account.apply(fill(Side.BUY, 2, 100, fee="0"), "ES", None, {})
    account.apply(fill(Side.SELL, 1, 104, ts=2, fee="0"), "ES", None, {})
    account.adopt(ES, "ES", 0, 0, 5, "flat there")
    assert account.positions == {}
    assert (account.balance, account.corrected) == (Decimal("50.00"), Decimal("50.00"))


def test_adopt_when_prices_are_below_zero_then_the_average_holds():
    # Crude oil, 20 April 2020: the May contract traded below zero.
    account = Account(Decimal(0))
    account.adopt(ES, "ES", -2, 7_526, 5, "short at -3763")
    position = account.positions["ES"]
    assert (position.average_ticks, position.low_ticks) == (-3_763, -3_763)
    (trade,) = account.apply(fill(Side.BUY, 2, -3_765, ts=6, fee="0"), "ES", None, {})
    assert (trade.entry_ticks, trade.gross) == (-3_763, Decimal("50.00"))


def test_correct_cash_when_it_differs_then_balance_moves_and_the_difference_is_kept():
    account = Account(Decimal(100))
    notice = account.correct_cash(Decimal("97.50"), 5, "the venue charged more")
    assert (account.balance, account.corrected) == (Decimal("97.50"), Decimal("-2.50"))
    assert notice.values == {"balance_before": "100", "balance": "97.50", "difference": "-2.50"}


def test_copy_when_tried_on_then_the_original_stays():
    account = Account(Decimal(0))
    account.apply(fill(Side.BUY, 2, 100), "ES", None, {})
    before = account.balance
    account.copy().apply(fill(Side.SELL, 2, 104, ts=2), "ES", None, {})
    assert (account.balance, account.positions["ES"].quantity) == (before, 2)
