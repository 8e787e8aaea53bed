"""What an error becomes on the command line: one line on stderr, and the exit code of its class."""

from __future__ import annotations

import json
import sys
from typing import Any

import typer

from sovereign.app.cli.common import without_secrets
from sovereign.core.errors import SovereignError

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 plus the signal's number, as shells have it."""

_COMMAND_LINE_ERROR: type = typer.BadParameter.__mro__[1]
"""The base of typer's own usage errors, wherever this version of typer keeps it."""


def _usage(error: Any) -> str:
    message = " ".join(str(error.format_message()).split())
    context = getattr(error, "ctx", None)
    return f"{message} (see '{context.command_path} --help')" if context is not None else message


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split("\n", 1)[0].split())


def classify(error: BaseException) -> tuple[str, str, int]:
    """Return the error's type name, its one-line message and its exit code."""
    if isinstance(error, SovereignError):
        return type(error).__name__, " ".join(str(error).split()), error.exit_code
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return "Interrupted", "interrupted", INTERRUPTED
    if isinstance(error, _COMMAND_LINE_ERROR):
        return "UsageError", _usage(error), 2
    if isinstance(error, FileNotFoundError):
        return "NotFoundError", f"file '{error.filename}' was not found; check the path", 3
    if isinstance(error, MemoryError):
        return "MemoryError", "the memory was not enough for this; use smaller files, fewer sessions or fewer jobs", 1
    if isinstance(error, OSError) and error.strerror:
        place = f" ('{error.filename}')" if error.filename else ""
        return "IOError", f"the system refused: {error.strerror}{place}; check permissions and free space, then repeat", 1
    if type(error).__module__.startswith("sqlalchemy."):
        return "StoreError", f"the store could not be used ({_first_line(error)}); check store.url, or restore a backup", 1
    if isinstance(error, ImportError) and error.name:
        return "ImportError", f"package '{error.name}' is not installed; see the README for the optional extras", 1
    message = " ".join(str(error).split()) or "no message"
    return type(error).__name__, f"unexpected {type(error).__name__}: {message} (run again with --traceback for details)", 1


def report(error: BaseException, *, as_json: bool, wants_traceback: bool) -> int:
    """Print an error to stderr, as one line or one JSON object, and return its exit code."""
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.ctx.get_help(), err=True)  # type: ignore[attr-defined]
        return 2
    if wants_traceback:
        import traceback

        sys.stderr.write(without_secrets("".join(traceback.format_exception(error))))
    kind, message, code = classify(error)
    message = without_secrets(message)
    if as_json:
        typer.echo(json.dumps({"error": {"type": kind, "message": message, "exit_code": code}}), err=True)
    else:
        typer.echo(f"error: {message}", err=True)
    return code
