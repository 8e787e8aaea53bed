"""The digest of a session, worked out by hand, from a store that a session was written to; and its picture."""

import io
import sys
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from alert_cases import NOON, THURSDAY, ZONE, closed_trade
from sovereign.app.notify import picture
from sovereign.app.notify.digest import daily_digest, limits_of
from sovereign.app.notify.picture import equity_picture
from sovereign.core.event import AccountSnapshot, SessionEnded, SessionStarted, TradeClosed
from sovereign.core.session import NS_PER_DAY, NS_PER_SECOND
from sovereign.risk.configuration import RiskConfig
from sovereign.store.runs import RunRecord
from sovereign.store.store import Store

D = Decimal
MINUTE = 60 * NS_PER_SECOND
YESTERDAY = replace(
    THURSDAY,
    trade_date=date(2025, 11, 19),
    open_ns=THURSDAY.open_ns - NS_PER_DAY,
    close_ns=THURSDAY.close_ns - NS_PER_DAY,
)


def record(**changes):
    values = {
        "id": "paper-1",
        "kind": "paper",
        "strategy": "order_flow",
        "symbols": ("ESZ5",),
        "start": date(2025, 11, 19),
        "end": None,
        "zone": ZONE,
        "config": {},
        "config_hash": "c",
        "code_hash": "k",
        "data_hash": "d",
        "seed": None,
        "fill_model": "realistic",
        "is_simulated": True,
        "starting_balance": D(2400),
        "started_ns": YESTERDAY.open_ns,
    }
    return RunRecord(**(values | changes))


def snapshot(minute, equity, balance=None):
    equity = D(equity)
    return AccountSnapshot(
        ts=NOON + minute * MINUTE, balance=D(balance or equity), equity=equity, day_pnl=equity - 2500, high_water_mark=equity
    )


def trade(minute, net, pattern, regime, **changes):
    labels = {"pattern": pattern, "regime": regime}
    made = closed_trade(net, NOON + minute * MINUTE, labels=labels, **changes)
    return TradeClosed(ts=made.exit_ns, trade=made)


@pytest.fixture
def store(tmp_path):
    with Store(f"sqlite:///{tmp_path}/store.sqlite") as opened:
        run = opened.begin_run(record())
        sink = opened.sink(run)
        sink(
            SessionStarted(ts=YESTERDAY.open_ns, session=YESTERDAY, symbols=("ESZ5",), balance=D(2400), is_simulated_data=True)
        )
        sink(TradeClosed(ts=NOON - NS_PER_DAY, trade=closed_trade("100", NOON - NS_PER_DAY)))
        sink(SessionEnded(ts=YESTERDAY.close_ns, trade_date=YESTERDAY.trade_date, balance=D(2500), ticks=10))
        sink(SessionStarted(ts=THURSDAY.open_ns, session=THURSDAY, symbols=("ESZ5",), balance=D(2500), is_simulated_data=True))
        for event in (
            snapshot(0, "2540"),
            trade(5, "50.00", "absorption", "trend"),
            snapshot(5, "2550"),
            trade(15, "-40.00", "absorption", "range"),
            snapshot(15, "2510"),
            trade(25, "20.00", "exhaustion", "trend"),
            snapshot(25, "2530"),
        ):
            sink(event)
        sink.flush()
        yield opened


def test_digest_when_three_trades_then_the_figures_worked_out_by_hand(store):
    digest = daily_digest(store, "paper-1", THURSDAY, loss_limit=D(200), profit_target=D(500))
    assert (digest.trades, digest.wins, digest.net) == (3, 2, D("30.00"))
    assert digest.win_rate == pytest.approx(2 / 3)
    assert (digest.start_balance, digest.equity) == (D(2500), D(2530))
    assert digest.drawdown == D(40)  # from 2,550 to 2,510
    assert (digest.best, digest.worst) == (D("50.00"), D("-40.00"))
    assert digest.fees == D("7.44")  # three times 2.48
    assert digest.slippage == D("-7.50")  # three times 2 ticks of 1.25
    assert digest.slippage_ticks == 1.0  # 6 ticks over 6 contracts
    assert (digest.loss_room, digest.profit_room) == (D(230), D(470))
    assert [(group.name, group.trades, group.net) for group in digest.patterns] == [
        ("exhaustion", 1, D("20.00")),
        ("absorption", 2, D("10.00")),
    ]
    assert [(group.name, group.wins) for group in digest.regimes] == [("trend", 2), ("range", 0)]


def test_digest_when_told_then_in_words_with_currency_and_zone(store):
    text = daily_digest(
        store, "paper-1", THURSDAY, loss_limit=D(200), notices=[(NOON, "Connection lost: feed"), (0, "old")]
    ).text()
    assert text.splitlines()[:3] == [
        "Daily digest 2025-11-20: +30.00 USD",
        "order_flow, paper, simulated data.",
        "12:00 EST Connection lost: feed",
    ]
    assert "Win rate: 67% (2 of 3)" in text
    assert "Worst drawdown: -40.00 USD" in text
    assert "Room to the loss limit: 230.00 USD" in text
    assert "By pattern: exhaustion +20.00 USD (1 of 1); absorption +10.00 USD (1 of 2)" in text
    assert "old" not in text


def test_digest_when_nothing_was_traded_then_said(tmp_path):
    with Store(f"sqlite:///{tmp_path}/store.sqlite") as opened:
        opened.begin_run(record())
        digest = daily_digest(opened, "paper-1", THURSDAY)
    assert "Win rate: no trades" in digest.text()
    assert digest.chart() is None
    assert digest.alert(NOON).title == "Daily digest 2025-11-20: +0.00 USD"


def test_refused_candidates_when_counted_then_by_the_check_that_refused(store):
    from sovereign.core.decision import Check, Decision, Proposal, Refused, Verdict
    from sovereign.core.event import DecisionMade
    from sovereign.core.order import Side

    sink = store.sink("paper-1")
    for number, check in enumerate(["spread", "tradable", "spread"]):
        proposal = Proposal(
            name="absorption", symbol="ESZ5", side=Side.BUY, strength=0.5, confidence=0.5, inputs={}, checks=(), intent=None
        )
        decision = Decision(
            decision_id=f"d{number}",
            ts=NOON,
            strategy="order_flow",
            proposal=proposal,
            checks=(Check(check, 2.0, 1.0, "ticks", False, "too wide"),),
            verdict=Verdict.REFUSED,
            outcome=Refused(check, 1.0, 2.0, "ticks", "too wide"),
        )
        sink(DecisionMade(ts=NOON, decision=decision))
    sink.flush()
    digest = daily_digest(store, "paper-1", THURSDAY)
    assert dict(digest.refused) == {"spread": 2, "tradable": 1}
    assert "Refused candidates: 3: spread 2, tradable 1" in digest.text()


def test_limits_when_in_a_tier_then_the_strictest_counts():
    risk = RiskConfig()
    general, target = limits_of(risk, D(10_000), None)
    assert (general, target) == (D(300), D(500))
    assert limits_of(risk, D(2_000), None)[0] == D(160)  # 8% of 2,000
    tier = risk.tiers.table[0]
    assert limits_of(risk, D(1_000_000), tier.name)[0] == -tier.daily_loss_limit


def test_picture_when_drawn_then_a_png_with_the_line_in_its_color(store):
    from PIL import Image

    data = daily_digest(store, "paper-1", THURSDAY).alert(NOON).chart
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.size) == ("PNG", (880, 420))
    colors = {color for _, color in image.getcolors(1 << 20)}
    assert (22, 163, 74) in colors  # the day has won
    assert (220, 38, 38) in colors  # one trade has not


@pytest.mark.parametrize(
    "curve",
    [
        [(NOON, 100.0)],
        [(NOON, 100.0), (NOON, 101.0)],
        [(NOON, float("nan")), (NOON + 1, float("nan"))],
        [],
    ],
)
def test_picture_when_there_is_no_line_then_none(curve):
    assert equity_picture("t", curve, [], ZONE, "USD") is None


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 1e6, 1e12])
def test_picture_when_money_is_of_any_size_then_drawn(scale):
    curve = [(NOON + at * MINUTE, 2_500 + scale * (at % 3)) for at in range(5_000)]
    assert equity_picture("\u202eodd \U0001f600", curve, [(NOON + MINUTE, -1.0)], ZONE, "USD").startswith(b"\x89PNG")


def test_picture_when_pillow_is_missing_then_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    picture._pillow.cache_clear()
    assert equity_picture("t", [(NOON, 1.0), (NOON + 1, 2.0)], [], ZONE, "USD") is None
    picture._pillow.cache_clear()
