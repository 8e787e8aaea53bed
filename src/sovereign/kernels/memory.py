"""The memory of an order-flow stream: seven records in one array of bytes, so that a call hands over one argument for all.

The kernels view the bytes as records again. Settings are copied in once, when a stream is made; there are no other thresholds.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sovereign.core.session import NS_PER_SECOND
from sovereign.kernels.bar import BarKind
from sovereign.kernels.order_flow_setting import FootprintConfig, PatternConfig, VolumeMinimums
from sovereign.kernels.pattern import PATTERN_CONFIG, PATTERN_STATE
from sovereign.kernels.regime import REGIME_CONFIG, REGIME_STATE
from sovereign.kernels.router import ROUTER_CONFIG

FOOTPRINT_CONFIG = np.dtype(
    [
        ("kind", np.int64),
        ("length", np.int64),
        ("value_area_frac", np.float64),
        ("value_area_step", np.int64),
        ("kept_bars", np.int64),
    ],
    align=True,
)
"""`length` is nanoseconds for time bars, else trades, units or ticks."""

FOOTPRINT_STATE = np.dtype(
    [
        ("consumed", np.int64),
        ("wanted", np.int64),
        ("seq", np.int64),
        ("promised_ns", np.int64),
        ("session_close_ns", np.int64),
        ("anchor_ns", np.int64),
        ("rows", np.int64),
        ("candidates", np.int64),
        ("trades", np.int64),
        ("open_ns", np.int64),
        ("end_ns", np.int64),
        ("is_due", np.int64),
        ("due_ns", np.int64),
        ("open", np.int64),
        ("high", np.int64),
        ("low", np.int64),
        ("close", np.int64),
        ("volume", np.int64),
        ("delta", np.int64),
        ("min_delta", np.int64),
        ("max_delta", np.int64),
        ("base", np.int64),
        ("cumulative_delta", np.int64),
        ("session_low", np.int64),
        ("session_high", np.int64),
        ("session_base", np.int64),
        ("session_volume", np.int64),
        ("session_value", np.int64),
        ("log_end", np.int64),
    ],
    align=True,
)
"""The open bar (`trades` 0: none), the session so far, and how far the call came. `volume` is counted for volume bars only."""


def _offsets(*dtypes: np.dtype[Any]) -> list[int]:
    at = [0]
    for dtype in dtypes:
        at.append(at[-1] + -(-dtype.itemsize // 64) * 64)
    return at


MEMORY = _offsets(FOOTPRINT_STATE, FOOTPRINT_CONFIG, PATTERN_STATE, PATTERN_CONFIG, REGIME_STATE, REGIME_CONFIG, ROUTER_CONFIG)
"""Byte offsets of the seven records in `memory`; the last one is its length."""

M0, M1, M2, M3, M4, M5, M6, MEMORY_SIZE = MEMORY
Z0 = M0 + FOOTPRINT_STATE.itemsize
Z1 = M1 + FOOTPRINT_CONFIG.itemsize
Z2 = M2 + PATTERN_STATE.itemsize
Z3 = M3 + PATTERN_CONFIG.itemsize
Z4 = M4 + REGIME_STATE.itemsize
Z5 = M5 + REGIME_CONFIG.itemsize
Z6 = M6 + ROUTER_CONFIG.itemsize


class Records(NamedTuple):
    """The records in `memory`, each a one-element structured array that shares its bytes."""

    footprint: NDArray[Any]
    footprint_config: NDArray[Any]
    pattern: NDArray[Any]
    pattern_config: NDArray[Any]
    regime: NDArray[Any]
    regime_config: NDArray[Any]
    router_config: NDArray[Any]


def records(memory: NDArray[np.uint8]) -> Records:
    """Return views of the records in `memory`."""
    return Records(
        memory[M0:Z0].view(FOOTPRINT_STATE),
        memory[M1:Z1].view(FOOTPRINT_CONFIG),
        memory[M2:Z2].view(PATTERN_STATE),
        memory[M3:Z3].view(PATTERN_CONFIG),
        memory[M4:Z4].view(REGIME_STATE),
        memory[M5:Z5].view(REGIME_CONFIG),
        memory[M6:Z6].view(ROUTER_CONFIG),
    )


def write_footprint_config(record: NDArray[Any], config: FootprintConfig) -> None:
    """Copy the settings of bars into a one-element array of `FOOTPRINT_CONFIG`."""
    lengths = {
        "time": config.bar_s * NS_PER_SECOND,
        "tick": config.bar_trades,
        "volume": config.bar_volume,
        "range": config.bar_range_ticks,
    }
    record["kind"] = BarKind[config.kind.upper()]
    record["length"] = lengths[config.kind]
    record["value_area_frac"] = config.value_area_frac
    record["value_area_step"] = config.value_area_step_levels
    record["kept_bars"] = config.kept_bars


def write_pattern_config(record: NDArray[Any], config: PatternConfig, minimums: VolumeMinimums) -> None:
    """Copy the thresholds of patterns and the volume minimums of one market into a one-element array of `PATTERN_CONFIG`."""
    of_market = {
        "imbalance_min_volume": minimums.imbalance,
        "absorption_min_volume": minimums.absorption,
        "exhaustion_min_volume": minimums.exhaustion,
    }
    for name in PATTERN_CONFIG.names or ():
        record[name] = of_market[name] if name in of_market else getattr(config, name)
