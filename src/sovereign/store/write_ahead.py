"""Putting a SQLite file into write-ahead mode, also while other processes open it for the first time."""

from __future__ import annotations

import sqlite3
import time

_PAUSE_SECONDS = 0.01


def begin_write_ahead(connection: sqlite3.Connection, patience_ms: int) -> None:
    """Put the file of a connection into write-ahead mode, which lets readers go on while somebody writes.

    SQLite does not wait for a file that another connection is about to change: two who both wait could wait for each other.
    So it is asked again here; nothing is held in between.

    Parameters
    ----------
    connection : outside a transaction; a database in memory is left as it is.
    patience_ms : how long a busy file is waited for, in milliseconds.

    Raises
    ------
    sqlite3.OperationalError : the file was busy all the time, or cannot be written.
    """
    until = time.monotonic() + patience_ms / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as fault:
            is_busy = fault.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() >= until:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return
