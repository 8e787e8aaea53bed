"""Which process wrote something, and whether that process still lives."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """A process of a machine. `token` names the machine's boot and the moment the process began (empty: not told there).

    A process id is given out again after a while, and after every boot; the token is what tells the two holders apart.
    """

    pid: int
    host: str
    token: str


@cache
def boot_id() -> str:
    """Return what names this boot of the machine; empty where that is not told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _token(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the name in brackets may hold blanks
    state, started = fields[0], fields[19]
    return "" if state in ("Z", "X") else f"{boot_id()}/{started}"


def this_process() -> ProcessIdentity:
    """Return the identity of the running process."""
    pid = os.getpid()
    return ProcessIdentity(pid=pid, host=socket.gethostname(), token=_token(pid))


def is_gone(identity: ProcessIdentity) -> bool:
    """Say whether a process is surely no more; False when it lives, or when this machine cannot know (another host)."""
    if identity.host != socket.gethostname():
        return False
    if identity.token:
        # Under another boot or another start time, the number belongs to somebody else.
        return _token(identity.pid) != identity.token
    if sys.platform == "win32":
        return False  # os.kill would end the process there
    try:
        os.kill(identity.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
