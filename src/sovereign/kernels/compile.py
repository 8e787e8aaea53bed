"""The one decorator of every kernel.

Flags are set here once: cached on disk (the first use of a kernel compiles for about a second, later processes load it),
the interpreter lock released, NumPy's rules for division. Under `NUMBA_DISABLE_JIT=1` the same functions run as plain Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` on first call."""
    compiled: Callable[P, R] = njit(cache=True, nogil=True, error_model="numpy")(function)
    return compiled
