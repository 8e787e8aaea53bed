"""Run a peer's program in its environment, on the same core as ours: at once, or turn by turn with ours."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
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


def turns(python: Path, program: str, *args: str | Path, count: int) -> Iterator[dict[str, Any]]:
    """Yield JSON lines that the program prints, one for each line that it reads; it does nothing while nobody asks."""
    command = [str(python), str(PROGRAMS / program), *(str(arg) for arg in args)]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=said, text=True) as running,
    ):
        for _ in range(count):
            with suppress(BrokenPipeError):  # it has ended: what it said tells why
                print(file=running.stdin, flush=True)
            line = running.stdout.readline()
            if not line:
                said.seek(0)
                raise RuntimeError(f"{program} failed: {(said.read().strip().splitlines() or ['no message'])[-1]}")
            yield json.loads(line)
