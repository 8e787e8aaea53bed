"""A trading process whose account was paid into, or out of, while no session ran."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from fakes.paper_trading import session, settings_for, tape, venue
from sovereign.store.session_state import SessionState
from sovereign.store.store import Store

BALANCE = Decimal(100_000)


@pytest.mark.parametrize("kept", [BALANCE / 2, BALANCE * 2])
def test_session_when_the_account_holds_other_money_than_it_was_left_with_then_the_day_begins_with_the_venues(
    tmp_path: Path, kept: Decimal
) -> None:
    settings = settings_for(tmp_path)
    with Store(settings.store) as store:
        left = SessionState(
            account="paper",
            strategy="order_flow",
            trade_date=date(2025, 11, 14),
            updated_ns=1,
            balance=kept,
            day_start_balance=kept,
            high_water_mark=kept,
            session_id="paper-order_flow-20251114",
        )
        store.live.states.save(left)
        with venue(tape=tape(20)) as place, session(settings, place.url) as trading:
            trading.wait_notice("MONEY_MOVED")
            (traded,) = trading.end()
        assert traded.is_closed
        notices = [kept.notice for kept in store.live.notices()]
        codes = [notice.code.value for notice in notices]
        (moved,) = [notice for notice in notices if notice.code == "MONEY_MOVED"]
        assert Decimal(moved.values["difference"]) == BALANCE - kept
        assert "MISMATCH" not in codes  # the comparison had nothing to correct
        found = store.live.states.load("paper", "order_flow")
        assert found is not None
        assert (found.balance, found.day_start_balance, found.high_water_mark) == (BALANCE, BALANCE, BALANCE)
        assert store.run(traded.session_id).record.starting_balance == BALANCE
