"""Structured logs: one JSON line an event, on standard output, where the process manager keeps them.

Everybody writes ``log = structlog.get_logger("servers.reconcile")`` and ``log.info("server.running", server_id=…)``. What
is bound with ``structlog.contextvars`` (``request_id``, ``job_id``) is on every line below. Lines under the level cost one
comparison.
"""

import logging
import sys
import threading
from typing import Any, BinaryIO, Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from appliance.observability.redaction import redact_items

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "console"]

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
#: Libraries whose routine would drown ours; their warnings still come through.
_CHATTY = ("apscheduler", "asyncio", "aiohttp.access", "docker", "urllib3", "peewee")


class _Target:
    """Where lines go, under the name of who writes them."""

    def __init__(self, stream: BinaryIO, lock: threading.Lock, name: str) -> None:
        self._stream = stream
        self._lock = lock
        self.name = name

    def msg(self, line: str | bytes) -> None:
        raw = line if isinstance(line, bytes) else line.encode()
        # One write a line, so that threads and forked workers do not mix theirs.
        with self._lock:
            self._stream.write(raw + b"\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = msg


class _Targets:
    """Makes a ``_Target`` for every logger."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def __call__(self, *names: Any) -> _Target:
        return _Target(self._stream, self._lock, str(names[0]) if names else "mcp-host")


def configure(
    level: Level = "info",
    format: Format = "json",  # noqa: A002 - the setting is called so
    *,
    stream: BinaryIO | None = None,
) -> None:
    """Set up the process's logging once, the standard library's included.

    Args:
        stream: Where lines go; standard output unless told otherwise.
    """
    chosen = stream or sys.stdout.buffer
    targets = _Targets(chosen)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _add_target,
            *_finish(format, chosen),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=targets,
        cache_logger_on_first_use=True,
    )
    _route_standard_library(_LEVELS[level])


def _finish(format_: Format, stream: BinaryIO) -> list[Processor]:
    shared: list[Processor] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        # As text and not as frames: frames carry local variables, and these carry secrets.
        structlog.processors.format_exc_info,
        _redact,
    ]
    if format_ == "console":
        return [*shared, structlog.dev.ConsoleRenderer(colors=stream.isatty())]
    return [*shared, structlog.processors.JSONRenderer(serializer=_dumps)]


def _add_target(logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event.setdefault("target", getattr(logger, "name", "mcp-host"))
    return event


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return redact_items(event)


def _dumps(event: EventDict, **_options: Any) -> str:
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
    return orjson.dumps(event, default=str, option=options).decode()


class _ToStructlog(logging.Handler):
    """Hands the standard library's records to the same processors."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write ``record`` as one of our lines."""
        try:
            logger = structlog.get_logger(record.name)
            fields = {"exc_info": record.exc_info} if record.exc_info else {}
            logger.log(record.levelno, record.getMessage(), **fields)
        except Exception:  # noqa: BLE001 - a log line that breaks must not break the program
            self.handleError(record)


def _route_standard_library(level: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [_ToStructlog()]
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)


def current(name: str) -> str:
    """Return what is bound to ``name`` for this request or job, or an empty text."""
    return str(structlog.contextvars.get_contextvars().get(name, ""))
