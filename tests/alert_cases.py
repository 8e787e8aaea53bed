"""Alerts, events and settings that the tests of alerts share."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from sovereign.app.notify.alert import Alert, Topic
from sovereign.app.notify.configuration import AlertsConfig
from sovereign.core.event import Notice, NoticeCode, Severity
from sovereign.core.instrument import find_instrument
from sovereign.core.position import Trade
from sovereign.core.session import NS_PER_SECOND, Session

ZONE = "America/New_York"
NOON = 1_763_658_000 * NS_PER_SECOND
"""2025-11-20 12:00:00 in New York, which is 17:00 UTC."""

THURSDAY = Session(
    calendar="CME_EQUITY",
    trade_date=date(2025, 11, 20),
    open_ns=NOON - 18 * 3_600 * NS_PER_SECOND,
    close_ns=NOON + 5 * 3_600 * NS_PER_SECOND,
    regular_open_ns=NOON - int(2.5 * 3_600) * NS_PER_SECOND,
    regular_close_ns=NOON + 4 * 3_600 * NS_PER_SECOND,
    zone=ZONE,
)
MES = find_instrument("MESZ5")
QUICK: dict[str, Any] = {
    "timeout_s": 5.0,
    "backoff_s": 0.02,
    "backoff_max_s": 0.1,
    "retry_after_min_s": 0.02,
    "retry_after_max_s": 0.2,
    "flush_s": 10.0,
}
"""Waits that a test can bear."""


def alerts_config(folder: Path, **changes: Any) -> AlertsConfig:
    return AlertsConfig.model_validate({"folder": folder, **QUICK, **changes})


def alert(key: str = "k", ts: int = NOON, severity: Severity = Severity.INFO, **changes: Any) -> Alert:
    values: dict[str, Any] = {"topic": Topic.SYSTEM, "title": f"About {key}", "text": "Something.", "zone": ZONE}
    return Alert(key=key, ts=ts, severity=severity, **(values | changes))


def notice(code: NoticeCode, severity: Severity = Severity.ALARM, subject: str = "feed", ts: int = NOON, **more: Any) -> Notice:
    return Notice(ts=ts, code=code, severity=severity, subject=subject, text=more.pop("text", "No word for 30 s."), values=more)


def closed_trade(net: str, exit_ns: int = NOON, **changes: Any) -> Trade:
    values: dict[str, Any] = {
        "trade_id": f"t{exit_ns}",
        "instrument": MES,
        "side": "BUY",
        "quantity": 2,
        "entry_ns": exit_ns - 90 * NS_PER_SECOND,
        "exit_ns": exit_ns,
        "entry_ticks": 26_400.0,
        "exit_ticks": 26_420.0,
        "gross": Decimal(net) + Decimal("2.48"),
        "fees": Decimal("2.48"),
        "mae_ticks": 3.0,
        "mfe_ticks": 20.0,
        "slippage_ticks": 2,
        "exit_role": "TARGET",
        "decision_id": None,
        "labels": {"pattern": "absorption", "regime": "trend"},
    }
    from sovereign.core.order import OrderRole, Side

    values |= changes
    values["side"], values["exit_role"] = Side(values["side"]), OrderRole(values["exit_role"])
    return Trade(**values)


def until(what: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """Wait until something is true, which is all a test may ask of the clock."""
    end = time.monotonic() + timeout_s
    while not (found := what()):
        if time.monotonic() > end:
            raise AssertionError("it did not come about in time")
        time.sleep(0.01)
    return found
