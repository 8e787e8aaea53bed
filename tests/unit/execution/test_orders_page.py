"""The page about orders shows the table that the program obeys."""

import re
from pathlib import Path

from sovereign.core.order import TRANSITIONS, OrderEvent, OrderStatus

PAGE = Path(__file__).resolve().parents[3] / "docs" / "concepts" / "orders.md"


def test_page_when_read_then_its_life_cycle_is_the_table():
    found = {}
    for state, cells in re.findall(r"^\| ([A-Z_]+) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE):
        for cell in cells.split("; "):
            events, target = cell.split(" → ")
            for event in events.split(", "):
                end = state if target == "stays" else target
                found[OrderStatus(state), OrderEvent(event)] = OrderStatus(end)
    assert found == TRANSITIONS
