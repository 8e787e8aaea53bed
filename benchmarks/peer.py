"""Run a peer's program in its environment, on the same core as ours."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).resolve().parent / "peers"


def run(python: Path, program: str, *args: str | Path) -> dict[str, Any]:
    """Return the JSON line that the program prints last."""
    command = [str(python), str(PROGRAMS / program), *(str(arg) for arg in args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program} failed: {done.stderr.strip().splitlines()[-1] if done.stderr else 'no message'}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result
