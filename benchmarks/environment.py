"""Environments of the peers: one virtual environment each, made with the running Python, kept until its requirements change."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


class PeerUnavailableError(Exception):
    """A peer cannot be installed here; the message says why."""


def folder() -> Path:
    """Return where the environments live: `.venvs` of the checkout, or `SOVEREIGN_PEERS`."""
    return Path(os.environ.get("SOVEREIGN_PEERS") or ROOT / ".venvs")


def find(peer: str) -> Path | None:
    """Return the peer's Python when its environment is there and complete."""
    home = folder() / peer
    stamp = home / "requirements.txt"
    wanted = (HERE / "peers" / f"{peer}.txt").read_text()
    python = home / "bin" / "python"
    return python if python.exists() and stamp.exists() and stamp.read_text() == wanted else None


def ensure(peer: str) -> Path:
    """Return the peer's Python, creating its environment when it is not there.

    Raises
    ------
    PeerUnavailableError : pip could not install it (no network, no wheel for this Python).
    """
    python = find(peer)
    if python is not None:
        return python
    home = folder() / peer
    requirements = HERE / "peers" / f"{peer}.txt"
    print(f"creating the environment of {peer} in {home} (once) ...", flush=True)
    venv.EnvBuilder(clear=True, with_pip=True).create(home)
    python = home / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
        raise PeerUnavailableError(f"{reasons[-1]} (Python {sys.version_info.major}.{sys.version_info.minor})")
    (home / "requirements.txt").write_text(requirements.read_text())
    return python
