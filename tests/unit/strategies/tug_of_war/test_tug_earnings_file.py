"""A calendar of earnings that cannot be read: it blocks, as an unknown report does, and never stops a session that is on."""

from __future__ import annotations

import pytest

from sovereign.feeds.earnings import EarningsConfig
from sovereign.strategies.tug_of_war.configuration import TugOfWarConfig
from sovereign.strategies.tug_of_war.strategy import TugOfWarStrategy


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"symbol,date,when,as_of\nNVDA,tomorrow,after,2026-01-01\n"])
def test_entry_when_the_calendar_cannot_be_read_then_is_refused_and_the_session_goes_on(tmp_path, content):
    file = tmp_path / "earnings.csv"
    if content is not None:
        file.write_bytes(content)
    strategy = TugOfWarStrategy(TugOfWarConfig(earnings=EarningsConfig(file=file)))
    check = strategy._checks.earnings("NVDA", 1_770_000_000_000_000_000)
    assert not check.passed
    assert "earnings.csv" in check.note
