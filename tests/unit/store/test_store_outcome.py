"""What a refused candidate would have made, on bars worked out by hand."""

import numpy as np
import pytest

from sovereign.store.outcome import BAR, bracket_outcome, pack_bars


def bars(*rows):
    return np.array([(10 * (i + 1), *row) for i, row in enumerate(rows)], BAR)


FLAT = (100, 102, 98, 100)


@pytest.mark.parametrize(
    ("sign", "path", "kind", "ticks", "exit_ns"),
    [
        (1, [FLAT, FLAT, (100, 110, 99, 109)], "TARGET", 8, 30),
        (1, [FLAT, FLAT, (100, 101, 94, 95)], "STOP", -5, 30),
        (1, [FLAT, FLAT, (92, 101, 90, 100)], "STOP", -8, 30),
        (1, [FLAT, FLAT, (100, 120, 80, 100)], "STOP", -5, 30),
        (1, [FLAT, FLAT, (100, 103, 98, 103)], "SESSION_END", 3, 30),
        (-1, [FLAT, FLAT, (100, 101, 92, 93)], "TARGET", 8, 30),
        (-1, [FLAT, FLAT, (107, 109, 106, 108)], "STOP", -7, 30),
        (-1, [FLAT, (100, 105, 99, 100)], "STOP", -5, 20),
    ],
)
def test_bracket_when_followed_on_bars_then_ends_as_worked_out(sign, path, kind, ticks, exit_ns):
    found = bracket_outcome(bars(*path), 10, sign, 5, 8)
    assert found is not None
    assert (found.exit_kind, found.ticks, found.exit_ns, found.entry_ticks) == (kind, ticks, exit_ns, 100)
    assert found.exit_ticks == 100 + sign * ticks


def test_bracket_when_it_has_no_target_then_runs_to_the_end():
    found = bracket_outcome(bars(FLAT, FLAT, (100, 150, 99, 140)), 10, 1, 5, None)
    assert found is not None
    assert (found.exit_kind, found.ticks) == ("SESSION_END", 40)


def test_bracket_when_time_is_limited_then_later_bars_are_not_looked_at():
    found = bracket_outcome(bars(FLAT, FLAT, (100, 150, 99, 140)), 10, 1, 5, 8, exit_by_ns=20)
    assert found is not None
    assert (found.exit_kind, found.ticks, found.exit_ns) == ("SESSION_END", 0, 20)


def test_bracket_when_no_bar_follows_then_is_unknown():
    assert bracket_outcome(bars(FLAT), 10, 1, 5, 8) is None


def test_pack_when_rows_are_not_bars_then_is_none():
    assert pack_bars(np.zeros(2, [("known_at", "<i8")])) is None
    assert pack_bars(np.zeros(2, [("known_at", "<i8"), *[(n, "<f8") for n in ("open", "high", "low", "close")]])) == bytes(48)
