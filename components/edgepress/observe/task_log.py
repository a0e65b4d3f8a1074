"""EdgePress's own log lines about a task: text on a machine of one's own, one JSON object a line on a cluster.

Lines that steps and libraries print stay as they are, between these.
"""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from edgepress.observe.identity import TaskIdentity

LOGGER_NAME = "edgepress"
TEXT_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class JsonFormatter(logging.Formatter):
    """``{"time", "level", "run", "pipeline", "task", "recipe", "message", "fields"}``, for collectors of logs to index.

    ``time`` is RFC 3339 in UTC with milliseconds. ``fields`` holds what a record has as ``extra={"fields": {...}}``, and the traceback
    of an error, which would otherwise be as many lines as frames.
    """

    def __init__(self, identity: TaskIdentity) -> None:
        super().__init__()
        self._identity = identity

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = dict(getattr(record, "fields", {}))
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "run": self._identity.run_id,
            "pipeline": self._identity.pipeline,
            "task": self._identity.task,
            "recipe": self._identity.recipe,
            "message": record.getMessage(),
            "fields": fields,
        }
        return json.dumps(line, default=str)


@contextmanager
def logging_of(identity: TaskIdentity, *, as_json: bool) -> Iterator[logging.Logger]:
    """Send what EdgePress's modules log to standard error. Handlers of libraries (absl's, say) do not see it, nor are they changed."""
    logger = logging.getLogger(LOGGER_NAME)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(identity) if as_json else logging.Formatter(TEXT_FORMAT))
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
