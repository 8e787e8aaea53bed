"""Effects of the settings of the store's live side."""

from __future__ import annotations

import tempfile
from typing import Any

from key_effects import effect


def _written(events: int, **settings: Any) -> tuple[int, str]:
    """Audit events in the store after so many were taken, and how it ended when the table is not there."""
    from example_live import example_session
    from sovereign.core.errors import RiskHaltError
    from sovereign.core.event import Notice, NoticeCode, Severity
    from sovereign.store.configuration import StoreConfig
    from sovereign.store.store import Store

    notice = Notice(ts=1, code=NoticeCode.DIGEST, severity=Severity.INFO, subject="x", text="t")
    with (
        tempfile.TemporaryDirectory() as folder,
        Store(StoreConfig(url=f"sqlite:///{folder}/store.sqlite", **settings)) as store,
    ):
        store.live.begin_session(example_session("s"))
        sink = store.live.audit("s")
        for _ in range(events):
            sink(notice)
        count = store.live.verify_audit("s").events
        with store.database.writing() as connection:
            connection.exec_driver_sql("DROP TABLE audit_events")
        try:
            for _ in range(events):
                sink(notice)
        except RiskHaltError:
            return count, "halted"
        return count, "went on"


@effect("store.audit_batch")
def _() -> tuple[object, object]:
    return _written(10, audit_batch=4), _written(10, audit_batch=5)


@effect("store.audit_pending")
def _() -> tuple[object, object]:
    return _written(10, audit_batch=2, audit_pending=4), _written(10, audit_batch=2, audit_pending=100)


@effect("store.prepared_statements")
def _() -> tuple[object, object]:
    from sovereign.store.configuration import StoreConfig
    from sovereign.store.database import connect_arguments

    def threshold(is_on: bool) -> object:
        config = StoreConfig(url="postgresql+psycopg://x/y", prepared_statements=is_on)
        return connect_arguments(config)["prepare_threshold"]

    return threshold(True), threshold(False)
