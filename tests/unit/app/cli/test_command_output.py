"""Results as JSON: every word of the house has one form, and the document is always valid JSON."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from pathlib import Path

import numpy as np
import pytest

from sovereign.app.cli.common import emit, to_plain


class Side(StrEnum):
    BUY = "BUY"


class Code(IntEnum):
    ONE = 1


@dataclass(frozen=True, slots=True)
class Row:
    side: Side
    money: Decimal


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (float("nan"), None),
        (float("inf"), None),
        (np.float64(0.5), 0.5),
        (np.int64(7), 7),
        (np.array([1.0, np.nan]), [1.0, None]),
        (Decimal("1.10"), "1.10"),
        (Side.BUY, "BUY"),
        (Code.ONE, 1),
        (Path("a/b"), "a/b"),
        (date(2025, 1, 2), "2025-01-02"),
        (datetime(2025, 1, 2, tzinfo=UTC), "2025-01-02T00:00:00+00:00"),
        (Row(Side.BUY, Decimal(3)), {"side": "BUY", "money": "3"}),
        ({Side.BUY: (1, True)}, {"BUY": [1, True]}),
    ],
)
def test_to_plain_when_value_is_a_word_of_the_house_then_json_type(value, plain):
    assert to_plain(value) == plain
    json.dumps(to_plain(value), allow_nan=False)


def test_emit_when_json_is_off_then_prints_what_the_renderer_makes(capsys):
    emit({"rows": 2}, False, lambda result: f"{result['rows']} rows")
    assert capsys.readouterr().out == "2 rows\n"
