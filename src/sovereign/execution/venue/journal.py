"""The venue's own memory: an append-only file of what reached a market, in order.

Append-only lines rather than a database: the one thing ever done with it is to add a record before acting on it and to read all
of them at start. Each record is one `write` to a file opened for appending, so a `kill -9` loses at most the record being
written, and that one was not acted on yet; a half line at the end is cut off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sovereign.core.errors import CorruptFileError


class Journal:
    """Records of one market, kept in `file`; without a file they are forgotten with the process."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._descriptor = -1

    def read(self) -> Iterator[Any]:
        """Yield what is there, and cut off a record that was never completed.

        Raises
        ------
        CorruptFileError : a complete line is not JSON.
        """
        if self._file is None or not self._file.is_file():
            return
        content = self._file.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with self._file.open("rb+") as handle:
                handle.truncate(whole)
        for number, line in enumerate(content[:whole].splitlines(), 1):
            try:
                yield json.loads(line)
            except ValueError as cause:
                raise CorruptFileError(
                    f"line {number} of '{self._file}' was not a record; move the file away to start with empty books"
                ) from cause

    def add(self, record: Any) -> None:
        """Keep a record; it is with the operating system when this returns."""
        if self._file is None:
            return
        if self._descriptor < 0:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(self._descriptor, json.dumps(record, separators=(",", ":"), default=str).encode() + b"\n")

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def forget(self) -> None:
        """Remove the file."""
        self.close()
        if self._file is not None:
            self._file.unlink(missing_ok=True)
