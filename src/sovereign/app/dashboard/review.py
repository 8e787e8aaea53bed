"""Notes and tags on trades: an append-only file of JSON lines; the newest line about a trade counts."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any


class Reviews:
    """Notes and tags by run and trade. Safe to use from several threads of one process."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "reviews.jsonl"
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], dict[str, Any]] | None = None

    def _all(self) -> dict[tuple[str, str], dict[str, Any]]:
        if self._found is None:
            found: dict[tuple[str, str], dict[str, Any]] = {}
            try:
                lines = self._file.read_text(encoding="utf-8").splitlines()
            except FileNotFoundError:
                lines = []
            for line in lines:
                try:
                    one = json.loads(line)
                    found[(one["run"], one["trade_id"])] = {name: one[name] for name in ("note", "tags", "by", "ts")}
                except (ValueError, KeyError, TypeError):
                    continue  # the broken end of a process that was killed
            self._found = found
        return self._found

    def of(self, run: str, trade_id: str) -> dict[str, Any] | None:
        """Return what was written about a trade, or None."""
        with self._lock:
            return self._all().get((run, trade_id))

    def keep(self, run: str, trade_id: str, *, note: str, tags: list[str], by: str, ts: int) -> dict[str, Any]:
        """Write a note and tags about a trade in place of those before."""
        kept = {"note": note, "tags": tags, "by": by, "ts": str(ts)}
        with self._lock:
            found = self._all()
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"run": run, "trade_id": trade_id, **kept}) + "\n")
            found[(run, trade_id)] = kept
        return kept
