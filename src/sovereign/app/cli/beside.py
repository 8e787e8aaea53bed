"""What `guard` and `control` share: programs that run beside the session until they are told to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sovereign.app.cli.common import settings_from

if TYPE_CHECKING:
    from threading import Event

    from sovereign.app.configuration import Settings


@contextmanager
def beside(config: Path | None, overrides: Sequence[str] | None) -> Iterator[tuple[Settings, Callable[[str], str], Event]]:
    """Load the settings and keep a log; yields the settings, what masks their secrets, and what SIGTERM or Ctrl-C sets."""
    import signal
    import threading

    from sovereign.app.ops.log import configure_logging
    from sovereign.app.ops.redaction import redactor_for

    settings = settings_from(config, overrides).settings
    redactor = redactor_for(settings)
    log = configure_logging(settings.log, redactor)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        yield settings, redactor, stop
    finally:
        log.close()
