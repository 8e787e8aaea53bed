"""The one decorator of every kernel.

Flags are set here once: cached on disk (the first use of a kernel compiles for about a second, later processes load it),
the interpreter lock released, NumPy's rules for division. Under `NUMBA_DISABLE_JIT=1` the same functions run as plain Python.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")

_STAMP = tuple((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(Path(__file__).parent.glob("*.py")))


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` on first call."""
    compiled: Callable[P, R] = njit(cache=True, nogil=True, error_model="numpy")(function)
    # A kernel is compiled together with the kernels it calls, but Numba looks only at the function's own file to see whether
    # its cache is stale. With the stamp of all of them an edited or upgraded kernel can never live on inside another one.
    cache_file = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if cache_file is not None:
        cache_file._source_stamp = (cache_file._source_stamp, _STAMP)
    return compiled


def is_cached(function: Callable[..., object]) -> bool:
    """Say whether machine code of a kernel lies in the cache; True also where nothing is ever compiled."""
    cache_file = getattr(getattr(function, "_cache", None), "_cache_file", None)
    return cache_file is None or bool(cache_file._load_index())
