"""Tiers of definitions 5.4: thresholds, hysteresis, symbol switching, and the mended loss limits."""

from __future__ import annotations

from decimal import Decimal

import pytest
from risk_cases import FRIDAY, TAPE, THURSDAY, door, entry, judge, position, proposal, trade, view

from sovereign.core.decision import Approved, Refused
from sovereign.core.event import TierChanged, TradingStateChanged
from sovereign.risk.configuration import RiskConfig, TiersConfig
from sovereign.risk.tier import tier_for, traded_symbol

D = Decimal
TIERS = TiersConfig()


@pytest.mark.parametrize(
    ("balance", "name"),
    [
        ("-50", "MES building"),
        ("2500", "MES building"),
        ("3499.99", "MES building"),
        ("3500", "ES entry"),
        ("4999.99", "ES entry"),
        ("5000", "ES growth"),
        ("7500", "ES scaling"),
        ("9999.99", "ES scaling"),
        ("10000", "ES full"),
        ("193760", "ES full"),
    ],
)
def test_tier_when_a_balance_is_given_then_the_table_decides(balance: str, name: str) -> None:
    assert tier_for(TIERS, D(balance)).name == name


@pytest.mark.parametrize(
    ("tape", "micro", "full"),
    [
        ("ESH4", "MESH4", "ESH4"),
        ("MESH4", "MESH4", "ESH4"),
        ("ES", "MES", "ES"),
        ("MES", "MES", "ES"),
        ("NQM25", "MNQM25", "NQM25"),
        ("MNQZ5", "MNQZ5", "NQZ5"),
        ("CLZ5", "CLZ5", "CLZ5"),
        ("SPY", "SPY", "SPY"),
    ],
)
def test_traded_symbol_when_the_tier_says_a_size_then_the_month_is_kept(tape: str, micro: str, full: str) -> None:
    assert traded_symbol(TIERS, TIERS.table[0], tape) == micro
    assert traded_symbol(TIERS, TIERS.table[1], tape) == full
    assert traded_symbol(TIERS, None, tape) == tape


def test_judge_when_in_es_entry_then_one_es_is_traded() -> None:
    # 4,000 x 8% = 320 of room holds one ES of 229.50, 7% = 280 too
    assert judge(intent=entry(size_steps=2), balance=D(4000))[1] == Approved(1, was_resized=True, symbol="ESZ5")


def test_judge_when_on_the_nasdaq_tape_then_the_micro_is_traded() -> None:
    account = view(last_ticks={"NQZ5": 100_000})
    assert door().judge(proposal(entry(symbol="NQZ5")), account)[1] == Approved(1, was_resized=False, symbol="MNQZ5")


def test_start_session_when_the_balance_reaches_a_tier_then_promoted_and_said() -> None:
    opened = door(balance=D(3400))
    assert opened.tier is not None
    assert opened.tier.name == "MES building"
    assert opened.start_session(FRIDAY, D(3500)) == [
        TierChanged(
            ts=FRIDAY.open_ns,
            previous="MES building",
            current="ES entry",
            balance=D(3500),
            reason="the balance of 3,500.00 reached 3,500.00",
        )
    ]


def test_on_trade_when_a_trade_reaches_a_tier_then_it_waits_for_the_next_session() -> None:
    opened = door(balance=D(3400))
    assert opened.on_trade(trade("150"), view(balance=D(3550))) == []
    assert opened.traded_symbol(TAPE) == "MESZ5"


@pytest.mark.parametrize(("balance", "name"), [("3499", "ES entry"), ("3325", "ES entry"), ("3324.99", "MES building")])
def test_start_session_when_the_balance_falls_then_the_buffer_decides(balance: str, name: str) -> None:
    # 3,500 less 5% is 3,325
    opened = door(balance=D(3600))
    opened.start_session(FRIDAY, D(balance))
    assert opened.tier is not None
    assert opened.tier.name == name


def test_on_trade_when_flat_and_far_below_then_demoted_at_once_with_the_limits_of_the_day() -> None:
    opened = door(balance=D(3500))
    events = opened.on_trade(trade("-229.50", "ESZ5"), view(balance=D("3270.50"), high_water_mark=D(3500)))
    assert [(e.previous, e.current) for e in events if isinstance(e, TierChanged)] == [("ES entry", "MES building")]
    # 8% of 3,500 = 280 may be lost today, not the 100 of the lower tier
    assert opened.inspect(view(balance=D("3270.50"), high_water_mark=D(3500))) == []
    assert [e.cause for e in opened.inspect(view(balance=D(3220))) if isinstance(e, TradingStateChanged)] == [
        "daily_loss_limit"
    ]


def test_on_trade_when_another_position_is_open_then_the_tier_stays() -> None:
    opened = door(balance=D(3500))
    account = view(balance=D(3000), positions={"CLZ5": position("CLZ5", 1, 6000, "CLZ5")})
    assert list(opened.on_trade(trade("-500", "ESZ5"), account)) == []
    assert opened.traded_symbol(TAPE) == "ESZ5"


def test_start_session_when_a_position_is_carried_then_the_tier_waits_until_flat() -> None:
    opened = door(balance=D(3400))
    assert isinstance(opened.judge(proposal(), view(balance=D(3400)))[1], Approved)
    assert opened.start_session(FRIDAY, D(3600)) == []
    carried = view(ts=FRIDAY.open_ns, session=FRIDAY, balance=D(3600), positions={"MESZ5": position()})
    assert opened.inspect(carried) == []
    flat = view(ts=FRIDAY.open_ns, session=FRIDAY, balance=D(3600))
    assert [e.current for e in opened.inspect(flat) if isinstance(e, TierChanged)] == ["ES entry"]
    assert opened.inspect(flat) == []


@pytest.mark.parametrize(
    ("balance", "limit"),
    [
        ("2500", "-100"),
        ("1000", "-80"),  # 8% of 1,000
        ("3500", "-280"),  # the tier says 400, which is 11%
        ("5000", "-400"),
        ("7500", "-500"),
        ("20000", "-500"),
    ],
)
def test_daily_loss_when_a_tier_is_in_force_then_its_limit_is_capped_by_the_balance(balance: str, limit: str) -> None:
    checks, _ = judge(balance=D(balance))
    assert next(item for item in checks if item.name == "daily_loss").limit == float(limit)


def test_daily_loss_when_the_instrument_is_not_covered_then_the_general_limit() -> None:
    account = view(balance=D(10_000), last_ticks={"SPY": 66_000})
    checks, _ = door(balance=D(10_000)).judge(proposal(entry(symbol="SPY")), account)
    assert next(item for item in checks if item.name == "daily_loss").limit == -300


def test_tiers_when_the_balance_is_unknown_then_entries_are_refused() -> None:
    opened = door(balance=D("NaN"))
    assert opened.tier is None
    assert isinstance(opened.judge(proposal(), view())[1], Refused)


@pytest.mark.parametrize(
    "tiers",
    [
        {"table": [{"name": "a", "min_balance": 1, "contract": "micro", "max_units": 1, "daily_loss_limit": -1}]},
        {"families": [{"full": "ES", "micro": "XYZ"}]},
        {"families": [{"full": "ES", "micro": "YM"}]},
        {"families": [{"full": "ES", "micro": "MES"}, {"full": "ES", "micro": "MES"}]},
        {"table": []},
    ],
)
def test_configuration_when_tiers_make_no_sense_then_refused(tiers: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"was|were|ticks in|at least 1"):
        RiskConfig.model_validate({"tiers": tiers})


def test_start_session_when_the_trade_date_has_begun_already_then_nothing_changes() -> None:
    opened = door(balance=D(2500))
    assert opened.start_session(THURSDAY, D(9000)) == []
    assert opened.room(view()) == D(100)
