"""The cache of compiled kernels follows the source of everything compiled into them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import sovereign

CALLER = """
from sovereign.kernels.compile import kernel
from sovereign.kernels.inner import inner

@kernel
def outer(x):
    return 10 * inner(x)
"""
INNER = """
from sovereign.kernels.compile import kernel

@kernel
def inner(x):
    return x + {number}
"""


def test_call_kernel_when_a_kernel_it_calls_was_edited_then_the_new_one_runs(tmp_path: Path) -> None:
    package = tmp_path / "sovereign"
    (package / "kernels").mkdir(parents=True)
    source = Path(sovereign.__file__).parent / "kernels" / "compile.py"
    shutil.copy(source, package / "kernels" / "compile.py")
    for name in ("__init__.py", "kernels/__init__.py"):
        (package / name).write_text("")
    (package / "kernels" / "outer.py").write_text(CALLER)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-c", "from sovereign.kernels.outer import outer; print(outer(1))"]
    for number, expected in ((1, "20"), (2, "30")):
        (package / "kernels" / "inner.py").write_text(INNER.format(number=number))
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected
