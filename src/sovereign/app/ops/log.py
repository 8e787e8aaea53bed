"""Logs: the standard library's loggers, one line per event on stderr, as JSON or for the eye, redacted at the sink.

    configure_logging(settings.log, redactor_for(settings))
    with bound(run_id="...", strategy="order_flow"):
        logging.getLogger("sovereign.engine").info("order sent", extra={"symbol": "ES", "client_order_id": "..."})

A JSON line has `ts` (UTC, ISO 8601), `level`, `logger`, `event` (the message), the bound and the given fields, and `exception`
with its traceback. Whatever is logged passes the redactor as finished text, so message, arguments, fields and tracebacks alike.
"""

from __future__ import annotations

import json
import logging
import queue
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from typing import Any, TextIO

from sovereign.app.ops.configuration import LogConfig
from sovereign.app.ops.redaction import Redactor
from sovereign.core.event import Notice, Severity

FIELDS = ("run_id", "strategy", "symbol", "client_order_id")
"""Fields that every line may carry, in this order."""

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PATIENCE_S = 5.0
"""How long the end of a process waits for its last lines to be written."""

_bound: ContextVar[dict[str, str] | None] = ContextVar("sovereign_log_fields", default=None)


@contextmanager
def bound(**fields: str) -> Iterator[None]:
    """Give every line of this context (thread or task) the fields; inner ones win."""
    token = _bound.set({**(_bound.get() or {}), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def _fields_of(record: logging.LogRecord) -> dict[str, Any]:
    given = {name: value for name, value in vars(record).items() if name not in _USUAL and not name.startswith("_")}
    fields = {**getattr(record, "_bound", None or {}), **given}
    first = {name: fields.pop(name) for name in FIELDS if name in fields}
    return {**first, **fields}


def _exception_text(record: logging.LogRecord) -> str:
    if record.exc_text:
        return record.exc_text
    return logging.Formatter().formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_fields_of(record),
        }
        if trace := _exception_text(record):
            line["exception"] = trace
        # Values before they are quoted, for a quote inside a secret; the line after, for one that spans a key and its value.
        return self._redactor(json.dumps(self._redactor.plain(line), ensure_ascii=False, allow_nan=True))


class ConsoleFormatter(logging.Formatter):
    """Text for the eye: time, level, event, fields."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the traceback below it if there is one."""
        moment = datetime.fromtimestamp(record.created, tz=UTC)
        fields = " ".join(f"{name}={value}" for name, value in self._redactor.plain(_fields_of(record)).items())
        text = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d} {record.levelname:<7} {record.getMessage()}"
        parts = [f"{text}  {fields}" if fields else text, _exception_text(record)]
        return self._redactor("\n".join(filter(None, parts)))


class _Bounded(QueueHandler):
    """Hands lines to the writing thread and never waits; what does not fit is dropped and counted."""

    def __init__(self, waiting: queue.Queue[logging.LogRecord]) -> None:
        super().__init__(waiting)
        self.dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Settle what may change before the line is written: the message of mutable arguments, the context, the traceback."""
        record.msg, record.args = record.getMessage(), None
        record.exc_text = _exception_text(record) or None
        record.exc_info = None
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue a line, or count it as dropped."""
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1


class _Writer(QueueListener):
    """The writing thread; a stuck terminal or disk does not keep the process from ending."""

    def __init__(self, waiting: queue.Queue[logging.LogRecord], handler: logging.Handler) -> None:
        super().__init__(waiting, handler)
        self._waiting: queue.Queue[Any] = waiting

    def stop(self) -> None:
        """Write what is waiting, for a few seconds at most."""
        thread = self._thread
        try:
            self._waiting.put(None, timeout=_PATIENCE_S)  # the sentinel of QueueListener
        except queue.Full:
            return
        if thread is not None:
            thread.join(_PATIENCE_S)
            self._thread = None


class LogSink:
    """The open log; `close` writes what is waiting."""

    def __init__(self, handler: _Bounded, listener: _Writer, logger: logging.Logger) -> None:
        self._handler, self._listener, self._logger = handler, listener, logger

    @property
    def dropped(self) -> int:
        """Lines that found no room."""
        return self._handler.dropped

    def close(self) -> None:
        """Stop logging; what is waiting is written first."""
        self._logger.removeHandler(self._handler)
        self._listener.stop()


def _bind(record: logging.LogRecord) -> bool:
    if (fields := _bound.get()) is not None:
        record._bound = fields
    return True


def configure_logging(config: LogConfig, redactor: Redactor, stream: TextIO | None = None) -> LogSink:
    """Send the log lines of platform and libraries to `stream` (stderr); a thread writes them, so that nobody waits."""
    target = sys.stderr if stream is None else stream
    is_json = config.format == "json" or (config.format == "auto" and not target.isatty())
    writer = logging.StreamHandler(target)
    writer.setFormatter(JsonFormatter(redactor) if is_json else ConsoleFormatter(redactor))
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(maxsize=config.queue_lines)
    handler = _Bounded(waiting)
    handler.addFilter(_bind)
    listener = _Writer(waiting, writer)
    logger = logging.getLogger()
    for old in [found for found in logger.handlers if isinstance(found, _Bounded)]:
        logger.removeHandler(old)
    logger.addHandler(handler)
    logger.setLevel(config.level)
    listener.start()
    return LogSink(handler, listener, logger)


_LEVELS = {
    Severity.INFO: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.ALARM: logging.ERROR,
    Severity.CRITICAL: logging.CRITICAL,
}


def log_notice(logger: logging.Logger, notice: Notice) -> None:
    """Write a notice to the log, at the level of its severity."""
    fields = {"code": notice.code.value, "severity": notice.severity.value, "subject": notice.subject}
    logger.log(_LEVELS[notice.severity], notice.text, extra={**fields, "values": dict(notice.values)})
