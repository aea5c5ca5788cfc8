"""One structured log chain for our own and the libraries' lines.

Every line carries what `bind` put into the context of the call or event: request, actor, customer, workflow, event ids.
Personal data and secrets are never logged.
"""

import json
import logging
import sys
from typing import Literal

import structlog

bind = structlog.contextvars.bound_contextvars
"""Context manager: the given key=value pairs stand on every line logged inside it."""


def configure(process: str, form: Literal["json", "console"]) -> None:
    """Sets the process's logging up; `process` is its name, on every line."""

    def add_process(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["process"] = process
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        add_process,
    ]
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)  # without local variables
    render: structlog.typing.Processor = _as_json if form == "json" else plain
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    foreign = logging.StreamHandler(sys.stdout)
    foreign.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[foreign], force=True)


_ENCODER = json.JSONEncoder(ensure_ascii=False, default=repr)


def _as_json(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    return _ENCODER.encode(event)


def get_logger() -> structlog.typing.FilteringBoundLogger:
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger
