"""The ledger, with figures worked by hand: one ES tick is 12.50 dollars, one MES tick 1.25."""

from decimal import Decimal

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
