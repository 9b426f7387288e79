"""Log lines: one line an event, as text for people or as JSON for machines, on standard error.

Promises: the lines of libraries (``logging``) come out in the same form, warnings and worse only; no secret
passes (:func:`redact` runs over every value); a fault that repeats is shown seldom (:class:`Seldom`, and
:class:`SeldomFilter` for what libraries say).
Until :func:`configure` is called structlog's own defaults hold.
"""

import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Literal, TextIO, cast

import orjson
import structlog

from depthcast.redaction import redact

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose lines say which part of the program speaks."""
    return cast(structlog.typing.FilteringBoundLogger, structlog.get_logger(part=name))


def configure(
    format: LogFormat = "text",
    level: LogLevel = "info",
    *,
    stream: TextIO | None = None,
    always: Mapping[str, str] | None = None,
) -> None:
    """Set the form of this process's log lines, and of those that libraries write.

    ``always`` are members of every JSON line, so that lines of many processes can be told apart; people see
    whose lines they read.

    Without a ``stream`` lines go to whatever ``sys.stderr`` is when they are written, so that a progress bar
    that takes its place for a while can keep them off its own line.
    """
    stream = stream or cast(TextIO, _StandardError())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    closing: list[structlog.typing.Processor] = [structlog.processors.format_exc_info, _redacted]
    if format == "json":
        shared.append(_with(dict(always or {})))
        closing.append(structlog.processors.JSONRenderer(_json))
    else:
        render = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
        closing.append(render)
    numeric = logging.getLevelName(level.upper())
    structlog.configure(
        processors=[*shared, *closing],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *closing],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(numeric, logging.WARNING), force=True)


class _StandardError:
    """``sys.stderr`` as it is at each write."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()


def _json(event: dict[str, Any], **_: object) -> str:
    return orjson.dumps(event, default=str).decode()


def _with(always: Mapping[str, str]) -> structlog.typing.Processor:
    def add(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for name, value in always.items():
            event.setdefault(name, value)
        return event

    return add


def _redacted(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = redact(value)
        elif isinstance(value, Exception):
            event[name] = redact(str(value))
    return event


class SeldomFilter(logging.Filter):
    """For a library's logger: lets a warning that repeats through once in a while, by :class:`Seldom`, and
    says how many like it were held back. Errors always pass.

    A line for each bad request lets whoever sends them fill the disk.
    """

    def __init__(self, seldom: "Seldom | None" = None) -> None:
        super().__init__()
        self._seldom = seldom or Seldom()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            return True
        held_back = self._seldom.held_back((record.name, record.msg))
        if held_back:
            record.msg, record.args = f"{record.getMessage()} (and {held_back} times more before)", ()
        return held_back is not None


class Seldom:
    """Lets a repeated event through once in a while, and counts what it held back.

    Keys are anything hashable (say, a symbol and a kind of fault). At most ``capacity`` of them are
    remembered, the least recently shown forgotten first: a flood of different keys costs lines, not memory.

    >>> seldom = Seldom(every_s=10, clock=iter([0.0, 1.0, 10.0]).__next__)
    >>> [seldom.held_back("gap") for _ in range(3)]
    [0, None, 1]
    """

    def __init__(
        self, *, every_s: float = 10.0, capacity: int = 1024, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._every_s = every_s
        self._capacity = capacity
        self._clock = clock
        self._seen: OrderedDict[object, tuple[float, int]] = OrderedDict()

    def held_back(self, key: object) -> int | None:
        """``None``: say nothing now. A number: say it, and that so many were held back since."""
        now = self._clock()
        last = self._seen.get(key)
        if last is not None and now - last[0] < self._every_s:
            self._seen[key] = (last[0], last[1] + 1)
            return None
        self._seen[key] = (now, 0)
        self._seen.move_to_end(key)
        if len(self._seen) > self._capacity:
            self._seen.popitem(last=False)
        return last[1] if last is not None else 0
