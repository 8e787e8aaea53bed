"""What the door remembers of the account, as JSON-ready values and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sovereign.risk.sizing import Streaks


@dataclass(slots=True)
class Memory:
    """The account's day and marks.

    `mark` replaces the high-water mark (then `cleared_mark`) since a drawdown was cleared; `is_mark_due` says that one was
    cleared and that the equity of that moment is still to be taken.
    """

    trade_date: str | None = None
    day_start: Decimal | None = None
    tier: str | None = None
    day_tier: str | None = None
    is_tier_due: bool = False
    streaks: Streaks = field(default_factory=Streaks)
    realized: Decimal = Decimal(0)
    mark: Decimal | None = None
    cleared_mark: Decimal | None = None
    is_mark_due: bool = False

    def plain(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        return {
            "trade_date": self.trade_date,
            "day_start_balance": text(self.day_start),
            "tier": self.tier,
            "day_tier": self.day_tier,
            "is_tier_due": self.is_tier_due,
            "win_streak": self.streaks.wins,
            "loss_streak": self.streaks.losses,
            "realized": text(self.realized),
            "mark": text(self.mark),
            "cleared_mark": text(self.cleared_mark),
            "is_mark_due": self.is_mark_due,
        }

    @staticmethod
    def of_plain(state: Mapping[str, Any]) -> Memory:
        """Make what `plain` described; damage raises KeyError, TypeError, ValueError or InvalidOperation."""
        return Memory(
            trade_date=state["trade_date"],
            day_start=_decimal(state["day_start_balance"]),
            tier=state["tier"],
            day_tier=state["day_tier"],
            is_tier_due=bool(state["is_tier_due"]),
            streaks=Streaks(int(state["win_streak"]), int(state["loss_streak"])),
            realized=Decimal(state["realized"]),
            mark=_decimal(state["mark"]),
            cleared_mark=_decimal(state["cleared_mark"]),
            is_mark_due=bool(state["is_mark_due"]),
        )


def moved_marks(state: Mapping[str, Any], move: Callable[[Decimal], Decimal]) -> dict[str, Any]:
    """Return the state of a door (`OneDoor.state`) with its marks moved by a function, as when money came or went."""
    marks = {name: text(move(mark)) for name in ("mark", "cleared_mark") if (mark := _decimal(state.get(name))) is not None}
    return {**state, **marks}


def text(value: Decimal | None) -> str | None:
    """Return money as plain digits."""
    return None if value is None else format(value, "f")


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)
