"""A warmed-up process that makes others: each begins with everything imported and compiled, milliseconds after it is asked.

A kill campaign starts hundreds of trading processes; what it measures begins behind the imports. The forge runs in a process of
its own with one thread (a fork of a process with threads is not safe), is spoken to in lines of JSON, and ends with its caller.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sovereign.core.errors import OperationTimeoutError, SovereignError

_POLL_S = 0.002
_START_S = 300.0


class Forge:
    """Asks a forge process for processes; use it in a `with` block, at whose end all of them are gone.

    Parameters
    ----------
    log : where the forge complains. strategies : whose signals are compiled before the first process is asked for.
    """

    def __init__(self, log: Path, strategies: Sequence[str] = ("drill",)) -> None:
        self._log = log
        self._strategies = strategies
        self._process: subprocess.Popen[str] | None = None
        self._living: set[int] = set()

    def __enter__(self) -> Self:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and names of strategies
                [sys.executable, "-m", "sovereign.app.rehearsal.forge", *self._strategies],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        try:
            self._hear(_START_S)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        process = self._process
        if process is None:
            return
        for pid in list(self._living):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if process.stdin is not None:
            with contextlib.suppress(OSError):  # it may be gone already
                process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def start(self, what: str, log: Path, **arguments: Any) -> int:
        """Start a process that does `what` (a name in `WORK`); return its pid."""
        pid = int(self._ask({"do": "start", "what": what, "log": str(log), "arguments": arguments}, 30.0)["pid"])
        self._living.add(pid)
        return pid

    def kill(self, pid: int) -> None:
        """End a process as `kill -9` does; one that has ended already is left alone."""
        os.kill(pid, signal.SIGKILL)  # not reaped yet, so the number is still its own

    def wait(self, pid: int, seconds: float) -> int | None:
        """Return how a process ended (its exit code, or minus the signal), None when it has not within `seconds`."""
        status = self._ask({"do": "wait", "pid": pid, "seconds": seconds}, seconds + 30.0)["status"]
        if status is not None:
            self._living.discard(pid)
        return None if status is None else int(status)

    def _ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None:
            raise RuntimeError("the forge was used outside its with block")
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        return self._hear(seconds)

    def _hear(self, seconds: float) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdout is None:
            raise RuntimeError("the forge was used outside its with block")
        if not select.select([process.stdout], [], [], seconds)[0]:
            raise OperationTimeoutError(f"the forge did not answer within {seconds} s; see '{self._log}'")
        line = process.stdout.readline()
        if not line:
            raise SovereignError(f"the forge has ended; see '{self._log}'")
        answer: dict[str, Any] = json.loads(line)
        return answer


def work() -> dict[str, Callable[..., int]]:
    """Return what a process can be started for, by name."""
    from sovereign.app.rehearsal.processes import schedules, trade, venue

    return {"trade": trade, "venue": venue, "schedules": schedules}


def serve(strategies: Sequence[str]) -> None:
    """Be the forge: warm up, say so, and make processes until the caller is gone."""
    from sovereign.app.rehearsal.processes import warm_up

    known = work()
    warm_up(strategies)
    children: dict[int, int | None] = {}
    try:
        _say({"ready": os.getpid()})
        for line in sys.stdin:
            request = json.loads(line)
            if request["do"] == "start":
                pid = os.fork()
                if pid == 0:
                    _become(known[request["what"]], Path(request["log"]), request["arguments"])
                children[pid] = None
                _say({"pid": pid})
            else:
                _say({"status": _wait(children, request["pid"], time.monotonic() + request["seconds"])})
    finally:  # the caller has gone, perhaps without a word
        for pid, status in children.items():
            if status is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _wait(children: dict[int, int | None], pid: int, deadline: float) -> int | None:
    while children[pid] is None:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            children[pid] = os.waitstatus_to_exitcode(status)
        elif time.monotonic() >= deadline or select.select([sys.stdin], [], [], 0)[0]:
            return None  # the caller has gone: it says nothing while it waits
        else:
            time.sleep(_POLL_S)
    return children[pid]


def _become(act: Callable[..., int], log: Path, arguments: dict[str, Any]) -> None:
    """Do what the process was made for, and end without the cleaning up that belongs to the forge."""
    code = 1
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for wanted, source in ((0, nothing), (1, target), (2, target)):
            os.dup2(source, wanted)
        code = act(**arguments)
    except BaseException:  # noqa: BLE001 - the last place where anything can be caught; the log has it
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1:])
