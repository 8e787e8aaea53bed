"""Files that a reader always finds whole: written beside, made durable, then put in place."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, text: str, *, is_durable: bool = False, mode: int = 0o644) -> None:
    """Replace a file by `text` in one step; `is_durable` waits until the disk has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        if is_durable:
            os.fsync(stream.fileno())
    beside.replace(path)
