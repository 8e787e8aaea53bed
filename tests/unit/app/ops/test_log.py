"""Log lines: their shape, their fields, and what never stands in them."""

import io
import json
import logging

import pytest

from sovereign.app.ops.configuration import LogConfig
from sovereign.app.ops.log import bound, configure_logging, log_notice
from sovereign.app.ops.redaction import Redactor
from sovereign.core.event import Notice, NoticeCode, Severity

SECRET = 'p"la\\nted-é-secret'


@pytest.fixture
def logged():
    """Return a function that runs something with the log open and returns the text that was written."""

    def run(act, **settings):
        stream = io.StringIO()
        sink = configure_logging(LogConfig(**{"format": "json", **settings}), Redactor([SECRET]), stream)
        try:
            act(logging.getLogger("sovereign.test"))
        finally:
            sink.close()
        return stream.getvalue()

    level = logging.getLogger().level
    yield run
    logging.getLogger().setLevel(level)


def test_line_when_json_then_one_object_with_the_promised_fields(logged):
    def act(logger):
        with bound(run_id="r1", strategy="order_flow"):
            logger.info("order %s", "sent", extra={"symbol": "ES", "client_order_id": "c-1", "quantity": 2})

    (line,) = logged(act).splitlines()
    found = json.loads(line)
    assert found.pop("ts").endswith("+00:00")
    assert found == {
        "level": "info",
        "logger": "sovereign.test",
        "event": "order sent",
        "run_id": "r1",
        "strategy": "order_flow",
        "symbol": "ES",
        "client_order_id": "c-1",
        "quantity": 2,
    }


def test_line_when_bound_inside_then_inner_field_wins_and_is_undone(logged):
    def act(logger):
        with bound(strategy="a"):
            with bound(strategy="b"):
                logger.info("inside")
            logger.info("outside")
        logger.info("without")

    found = [json.loads(line).get("strategy") for line in logged(act).splitlines()]
    assert found == ["b", "a", None]


def test_line_when_below_the_level_then_not_written(logged):
    assert logged(lambda logger: logger.info("quiet"), level="WARNING") == ""
    assert "heard" in logged(lambda logger: logger.warning("heard"), level="WARNING")


def test_line_when_console_then_text_with_fields(logged):
    text = logged(lambda logger: logger.warning("stale", extra={"symbol": "ES"}), format="console")
    assert "WARNING stale  symbol=ES" in text
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


def test_format_when_auto_and_no_terminal_then_json(logged):
    assert json.loads(logged(lambda logger: logger.info("x"), format="auto"))["event"] == "x"


def fail():
    try:
        int(f"refused {SECRET}")
    except ValueError as cause:
        raise RuntimeError("outer") from cause


@pytest.mark.parametrize("form", ["json", "console"])
def test_secret_when_in_message_arguments_fields_exception_or_traceback_then_masked(logged, form):
    def act(logger):
        logger.info(f"message {SECRET}")
        logger.info("argument %s", SECRET)
        logger.info("argument %(value)s", {"value": SECRET})
        logger.info("field", extra={"detail": {"inner": [SECRET]}, "api_key": "short"})
        logger.info("url https://me:%s@host/", "other-password")
        try:
            fail()
        except RuntimeError:
            logger.exception("failed with %r", SECRET)

    text = logged(act, format=form)
    for shape in (SECRET, json.dumps(SECRET)[1:-1], repr(SECRET)[1:-1], "other-password", "short"):
        assert shape not in text
    assert "Traceback" in text
    assert "ValueError" in text
    assert text.count("********") >= 7


def test_log_when_the_writer_is_slow_then_lines_are_dropped_and_counted_and_nobody_waits():
    import threading

    gate = threading.Event()

    class Slow(io.StringIO):
        def write(self, text):
            gate.wait(10)
            return super().write(text)

    sink = configure_logging(LogConfig(format="json", queue_lines=3), Redactor(), Slow())
    for number in range(20):
        logging.getLogger("sovereign.test").warning("line %d", number)
    assert sink.dropped >= 16
    gate.set()
    sink.close()


def test_notice_when_logged_then_level_follows_severity(logged):
    notice = Notice(ts=1, code=NoticeCode.GUARD, severity=Severity.CRITICAL, subject="ES", text="flattened", values={"n": 1})
    found = json.loads(logged(lambda logger: log_notice(logger, notice)))
    assert (found["level"], found["code"], found["subject"], found["values"]) == ("critical", "GUARD", "ES", {"n": 1})
