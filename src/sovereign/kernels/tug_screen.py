"""What the tug of war says of many rows at once; the tests are those of `strategies.tug_of_war`, candidate by candidate."""

from __future__ import annotations

import math
from typing import Any

from sovereign.kernels.compile import kernel
from sovereign.kernels.tug_of_war import PROBABILITY, RAW, REGIME_CHOP

CROWDED, CONVICTION, CROWD_KNOWN, HALT, REGIME, OPENING_RANGE, FADE, ABSORPTION, EARNINGS, STOP = range(1, 11)
"""What a candidate is refused for, in order."""


@kernel
def screen_rows(  # noqa: C901, PLR0912 - the tests in their order, each with its own code
    rows: Any,
    measure: int,
    min_opposed: float,
    min_alone: float,
    fade_rsi: float,
    fade_ofi: float,
    has_chop_rule: bool,
    has_veto: bool,
    codes: Any,
) -> None:
    """Write what comes of each row while nothing is held.

    Parameters
    ----------
    rows : shape (n,), fields of `kernels.tug_of_war`. measure : which field the thresholds are held against, by its code.
    min_opposed, min_alone : least confidence against a crowd, and with a crowd that has no direction.
    fade_rsi, fade_ofi : a buy above the first and below the second is a fade.
    codes : int8, shape (n,), written: -1 no candidate, 0 one, else the first of the codes above that refuses it; never
        `EARNINGS`, of which a row knows nothing.
    """
    for n in range(len(rows)):
        row = rows[n]
        codes[n] = -1
        direction, conviction = row.direction, row.conviction
        confidence = row.rank
        if measure == RAW:
            confidence = row.raw_confidence
        elif measure == PROBABILITY:
            confidence = row.probability
        if not row.cycle or direction == 0 or not confidence >= min(min_opposed, min_alone) or math.isnan(conviction):
            continue
        crowd = row.crowd if row.crowd_known else 0
        is_vetoed = has_veto and direction == 1
        if crowd * direction == 1:
            codes[n] = CROWDED
        elif not confidence >= (min_alone if crowd == 0 else min_opposed):
            codes[n] = CONVICTION
        elif not row.crowd_known:
            codes[n] = CROWD_KNOWN
        elif row.is_halted:
            codes[n] = HALT
        elif not row.can_enter:
            codes[n] = REGIME
        elif has_chop_rule and row.regime == REGIME_CHOP and not direction * row.breakout > 0.0:
            codes[n] = OPENING_RANGE
        elif is_vetoed and row.rsi >= fade_rsi and row.ofi_z < fade_ofi:
            codes[n] = FADE
        elif is_vetoed and row.is_absorption == 1:
            codes[n] = ABSORPTION
        elif row.close < 1:  # a stop is a fraction above 0 of the price, rounded up
            codes[n] = STOP
        else:
            codes[n] = 0


@kernel
def due_rows(rows: Any, flip_bars: int, has_flip: bool, has_joined: bool, due: Any) -> None:
    """Write where something closes a position: int8, shape (n,), 1 a long one, 2 a short one, 3 either, 0 none.

    Parameters
    ----------
    flip_bars : so many bars of the other direction close; has_flip, has_joined : whether a turn, and a crowd that joins, do.
    """
    for n in range(len(rows)):
        row = rows[n]
        has_turned = has_flip and row.streak >= flip_bars
        long = row.is_halted or (has_turned and row.direction == -1) or (has_joined and row.crowd == 1)
        short = row.is_halted or (has_turned and row.direction == 1) or (has_joined and row.crowd == -1)
        due[n] = (1 if long else 0) + (2 if short else 0)
