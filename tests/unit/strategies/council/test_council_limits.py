"""What the council assumes of the risk door: three positions, 30% in all, and breakers that see floating losses."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from council_cases import SESSIONS, SPY
from sovereign.app.cli.common import settings_from
from sovereign.core.event import TradingState, TradingStateChanged
from sovereign.core.port import AccountView
from sovereign.core.position import Position
from sovereign.risk.door import OneDoor

RISK = settings_from(None, (), "council").settings.risk
SESSION = SESSIONS[0]
D = Decimal
START = D(30_000)


def view(quantity, last_ticks, high=START):
    """An account of 30,000 that holds shares bought at 400.00, seen at a later price."""
    floating = quantity * (last_ticks - 40_000) * SPY.tick_value
    return AccountView(
        ts=SESSION.regular_open_ns + 3_600 * 10**9,
        session=SESSION,
        state=TradingState.ACTIVE,
        is_killed=False,
        balance=D(30_000),
        day_start_balance=D(30_000),
        equity=D(30_000) + floating,
        high_water_mark=high,
        positions={"SPY": Position(instrument=SPY, tape="SPY", quantity=quantity, cost_ticks=quantity * 40_000)},
        working_entries=0,
        last_ticks={"SPY": last_ticks},
        data_ns=SESSION.regular_open_ns + 3_599 * 10**9,
        margin_per_unit={"SPY": D(200)},
        orders_last_minute=0,
    )


def halts(account):
    door = OneDoor(RISK)
    door.start_session(SESSION, D(30_000))
    return [event.cause for event in door.inspect(account) if isinstance(event, TradingStateChanged)]


@pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])
def test_day_when_five_hundredths_are_lost_floating_then_halts(sign):
    # 100 shares: 1,500 of 30,000 are lost at 15.00 against the position, nothing of it realized.
    assert halts(view(100 * sign, 40_000 - sign * 1_499)) == []
    assert halts(view(100 * sign, 40_000 - sign * 1_500)) == ["daily_loss_limit"]


@pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])
def test_account_when_a_tenth_below_its_high_floating_then_halts(sign):
    high = D(32_000)  # a tenth below is 28,800: 1,200 floating
    assert "drawdown" not in halts(view(100 * sign, 40_000 - sign * 1_199, high))
    assert "drawdown" in halts(view(100 * sign, 40_000 - sign * 1_200, high))


def test_assumed_settings_when_read_then_are_those_of_the_requirement():
    assert (RISK.max_positions, RISK.max_working_entries) == (3, 3)
    assert (RISK.max_notional_frac, RISK.max_position_frac, RISK.value_frac) == (D("0.30"), D("0.15"), D("0.15"))
    assert (RISK.max_daily_loss_frac, RISK.max_drawdown_frac) == (D("0.05"), D("0.10"))
    assert settings_from(None, (), "council").settings.account.starting_balance == 30_000
    assert replace(view(1, 40_000)).equity == 30_000
