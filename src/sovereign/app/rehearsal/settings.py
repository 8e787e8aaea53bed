"""Settings of rehearsals: a quick client, a quick live loop, and for the drill a door that stands open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sovereign.app.configuration import Settings
from sovereign.core.event import Severity

DRILL = "drill"

_QUICK: dict[str, Any] = {
    "venue": {
        "client": {
            "connect_s": 2.0,
            "first_message_s": 0.5,
            "silence_s": 0.4,
            "request_s": 0.25,
            "gap_s": 0.03,
            "backoff_first_s": 0.01,
            "backoff_most_s": 0.05,
        },
        "heartbeat_s": 0.05,
    },
    "live": {
        "poll_ms": 10,
        "backlog_ms": 60_000,
        "in_flight_s": 0.2,
        "in_flight_grace_s": 10.0,
        "reconcile_s": 0.5,
        "retry_s": 0.05,
        "answer_s": 5.0,
        "stale_data_s": 1.0,
        "stop_s": 5.0,
    },
    "session": {"warm_up_sessions": 1},
    "health": {"port": 0},
    "alerts": {"routes": {severity.value: [] for severity in Severity}},  # nobody is told of a rehearsal
}

_OPEN_DOOR: dict[str, Any] = {
    "account": {"starting_balance": 1_000_000},
    "risk": {
        "hours": "all",
        "last_entry_before_close_minutes": 1,
        "flatten_before_close_minutes": 1,
        "excluded_windows": [],
        "can_inputs_be_unknown": True,
        "daily_profit_target": None,
        "daily_loss_limit": -500_000,
        "max_daily_loss_frac": 1,
        "max_drawdown_frac": 1,
        "max_quantity": 3,
        "min_reward_to_cost": 0,
        "max_orders_per_minute": 100_000,
        "tiers": {"enabled": False},
        "breakers": {
            "max_losses_in_a_row": None,
            "max_proposals_per_minute": None,
            "max_rejects_in_a_row": None,
            "stale_position_s": None,
        },
    },
}

_BUSY_ORDER_FLOW: dict[str, Any] = {
    "footprint": {"kind": "tick", "bar_trades": 100},
    "pattern": {"absorption_warmup_bars": 5, "minimums": {"ES": {"imbalance": 5, "absorption": 20, "exhaustion": 10}}},
    "regime": {"min_score": 1.0},
    "router": {"min_confidence": 0.0, "min_strength": 0.0},
    "bracket": {"profiles": {"ES": {"stop_ticks": 4, "target_ticks": 6}}},
}


def add_drill() -> None:
    """Make the strategies of rehearsals known by name, in this process."""
    from sovereign import strategies

    folder = str(Path(__file__).parent / "strategies")
    if folder not in strategies.__path__:
        strategies.__path__.append(folder)


def merged(base: dict[str, Any], *more: dict[str, Any]) -> dict[str, Any]:
    """Return nested settings, the later ones winning."""
    out = dict(base)
    for tree in more:
        for name, value in tree.items():
            known = out.get(name)
            out[name] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return out


def in_folder(folder: Path) -> dict[str, Any]:
    """Return where everything that a trading process leaves behind goes."""
    return {
        "store": {"url": f"sqlite:///{folder}/trading.sqlite"},
        "session": {"folder": str(folder / "sessions")},
        "alerts": {"folder": str(folder / "alerts")},
        "heartbeat": {"file": str(folder / "heartbeat")},
        "report": {"folder": str(folder / "runs")},
        "venue": {"state": str(folder / "venue")},
    }


def drill_settings(folder: Path, **more: Any) -> Settings:
    """Return the settings of the platform's own rehearsals: the drill, and order flow with thresholds that let it trade."""
    tree = merged(_QUICK, _OPEN_DOOR, {"strategies": {"order_flow": _BUSY_ORDER_FLOW}}, in_folder(folder), more)
    return Settings.model_validate(tree)


def user_settings(given: Settings, folder: Path, **more: Any) -> Settings:
    """Return a user's settings for a rehearsal: strategy and door as they are, lines that wait no longer than they must."""
    tree = given.model_dump(mode="python")
    tree["alerts"] = {}
    return Settings.model_validate(merged(tree, _QUICK, in_folder(folder), more))
