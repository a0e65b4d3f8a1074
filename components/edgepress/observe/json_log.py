"""Log lines for machines: one JSON object a line, the same from tasks and from services."""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """``{"time", "level", "logger", "message", …}``, for collectors of logs to index.

    ``time`` is RFC 3339 in UTC with milliseconds, ``level`` is ``debug``, ``info``, ``warning``, ``error`` or ``critical``. Then comes what
    stands in every line, what the record was given as ``extra``, and of an error its ``traceback``, which would otherwise be as many
    lines as frames.

    Args:
        always: stands in every line.
    """

    def __init__(self, always: Mapping[str, object]) -> None:
        super().__init__()
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._always,
            **{key: value for key, value in vars(record).items() if key not in _PLAIN},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_json(**always: str) -> None:
    """Send all logging of this process to standard output as JSON, with these fields in each line."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(always))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
