"""Signs of life: a small file that is replaced in one step, a row in the store, and the service supervisor's watchdog.

All three are made by `Heartbeat.beat`, which the trading thread itself calls: a process whose trading thread hangs must look
dead, however lively its other threads are.
"""

from __future__ import annotations

import glob
import json
import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import quote

from sovereign.app.ops.configuration import HeartbeatConfig
from sovereign.app.ops.files import replace_file
from sovereign.core.errors import CorruptFileError
from sovereign.core.session import NS_PER_SECOND
from sovereign.store.process import ProcessIdentity, is_gone

NOTIFY_VARIABLE = "NOTIFY_SOCKET"
WATCHDOG_VARIABLE = "WATCHDOG_USEC"
_logger = logging.getLogger("sovereign.heartbeat")


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What a process says of itself. `ts` is the system clock's UTC ns, `market_ns` the clock of the market that is traded.

    `positions` are signed quantities by symbol; `feed_age_s` is how old the newest market data is (None: none yet);
    `balance` and `equity` are money as decimal text (empty: not told); `troubles` is what keeps it from opening, by part.
    `pid`, `host` and `process_token` are those of `store.process.this_process`; `broker` is where it trades (empty: not told).
    """

    ts: int
    market_ns: int
    pid: int
    host: str
    process_token: str
    session_id: str
    strategy: str
    mode: str
    account: str
    state: str
    feed_age_s: float | None = None
    last_event: str = ""
    last_event_ns: int = 0
    memory_mb: float = 0.0
    positions: Mapping[str, int] = field(default_factory=dict)
    balance: str = ""
    equity: str = ""
    troubles: Mapping[str, str] = field(default_factory=dict)
    broker: str = ""


def memory_mb() -> float:
    """Return the resident memory of this process, MiB; its highest value where the system tells only that."""
    try:
        with Path("/proc/self/statm").open(encoding="ascii") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, ValueError, IndexError, AttributeError):
        try:
            import resource
        except ImportError:  # Windows
            return 0.0
        highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return highest / (2**20 if sys.platform == "darwin" else 2**10)


def is_alive(beat: Beat) -> bool | None:
    """Say whether the process of a beat still runs on this machine; None when it is another machine's."""
    if beat.host != socket.gethostname():
        return None
    return not is_gone(ProcessIdentity(pid=beat.pid, host=beat.host, token=beat.process_token))


def read_beat(file: Path) -> Beat | None:
    """Return the last beat in a file, or None when there is no file.

    Raises
    ------
    CorruptFileError : the file is not a heartbeat.
    """
    try:
        return Beat(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as cause:
        raise CorruptFileError(f"heartbeat file '{file}' cannot be read ({cause}); delete it") from cause


def beat_file(file: Path, *, broker: str, mode: str, account: str, strategy: str) -> Path:
    """Return the file of one trading process: that of the settings with who it is added to its name."""
    who = "-".join(quote(part, safe="") for part in (broker, mode, account, strategy))
    return file.with_name(f"{file.stem}-{who}{file.suffix}")


def beat_files(file: Path) -> list[Path]:
    """Return the files of every process there is: `file` of the settings itself, and each `beat_file` of it."""
    own = {file} if file.is_file() else set()
    return sorted(own.union(file.parent.glob(f"{glob.escape(file.stem)}-*{glob.escape(file.suffix)}")))


def read_beats(file: Path) -> list[tuple[Path, Beat]]:
    """Return the last beat of every process, by file; one that cannot be read is said in the log, and hides no other."""
    found = []
    for one in beat_files(file):
        try:
            beat = read_beat(one)
        except (CorruptFileError, OSError) as fault:
            _logger.warning("%s", fault)
            continue
        if beat is not None:
            found.append((one, beat))
    return found


class Supervisor:
    """The service supervisor's side of a process (systemd's notification protocol); silent when nobody supervises.

    Source: sd_notify(3): datagrams of `KEY=value` lines to the socket that NOTIFY_SOCKET names; `@` starts an abstract one.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        values = os.environ if environment is None else environment
        self._address = values.get(NOTIFY_VARIABLE, "")
        micro = values.get(WATCHDOG_VARIABLE, "")
        self.watchdog_s = int(micro) / 1e6 if micro.isdecimal() else None

    @property
    def is_present(self) -> bool:
        """Say whether somebody supervises."""
        return bool(self._address)

    def send(self, *lines: str) -> bool:
        """Send lines; False when nobody listens. A supervisor that cannot be reached never stops trading."""
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return False
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0)) as channel:
                channel.connect(address)
                channel.sendall("\n".join(lines).encode())
        except OSError:
            return False
        return True

    def ready(self, status: str = "") -> bool:
        """Say that the process is up."""
        return self.send("READY=1", *([f"STATUS={status}"] if status else []))

    def watchdog(self, status: str = "") -> bool:
        """Say that the process is alive."""
        return self.send("WATCHDOG=1", *([f"STATUS={status}"] if status else []))

    def stopping(self) -> bool:
        """Say that the process is ending."""
        return self.send("STOPPING=1")


class Heartbeat:
    """Beats at most every so many seconds: file, store, supervisor.

    Parameters
    ----------
    store : takes each beat, for instance into the SQL store; None without one.
    file : of this process, see `beat_file`; None takes that of the settings as it is.
    """

    def __init__(
        self,
        config: HeartbeatConfig,
        *,
        store: Callable[[Beat], None] | None = None,
        supervisor: Supervisor | None = None,
        file: Path | None = None,
    ) -> None:
        self._files = config.file
        self._file = config.file if file is None else file
        self.supervisor = Supervisor() if supervisor is None else supervisor
        watchdog = self.supervisor.watchdog_s
        every_s = config.every_s if watchdog is None else min(config.every_s, watchdog / 2)
        self._every_ns = round(every_s * NS_PER_SECOND)
        self._store = store
        self._next_ns = 0

    def is_due(self, ts: int) -> bool:
        """Say whether it is time to beat, at `ts` of the system clock (UTC ns)."""
        return ts >= self._next_ns or ts < self._next_ns - 2 * self._every_ns  # a clock that was set back must not silence us

    def beat(self, beat: Beat) -> None:
        """Say that the process is alive. The supervisor is told last: it must not hear of a beat that got stuck."""
        self._next_ns = beat.ts + self._every_ns
        replace_file(self._file, json.dumps(asdict(beat)))
        if self._store is not None:
            self._store(beat)
        self.supervisor.watchdog(f"{beat.strategy} {beat.mode} {beat.state}")

    def drop_left_behind(self, beat: Beat) -> None:
        """Take away the files of processes that are gone and traded the account of `beat`: this one has taken it over."""
        for path, left in read_beats(self._files):
            is_same = left.account == beat.account and left.broker in ("", beat.broker)
            if path != self._file and is_same and is_alive(left) is False:
                path.unlink(missing_ok=True)

    def close(self, *, is_orderly: bool = True) -> None:
        """Say that the process ends. In good order the file goes: nothing is stale then; else it ages, for the guard."""
        self.supervisor.stopping()
        if is_orderly:
            self._file.unlink(missing_ok=True)
