"""EdgePress's own log lines about a task: text on a machine of one's own, one JSON object a line on a cluster.

Lines that steps and libraries print stay as they are, between these.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from edgepress.observe.identity import TaskIdentity
from edgepress.observe.json_log import JsonFormatter

LOGGER_NAME = "edgepress"
TEXT_FORMAT = "%(asctime)s %(levelname)s %(message)s"


@contextmanager
def logging_of(identity: TaskIdentity, *, as_json: bool) -> Iterator[logging.Logger]:
    """Send what EdgePress's modules log to standard error. Handlers of libraries (absl's, say) do not see it, nor are they changed."""
    logger = logging.getLogger(LOGGER_NAME)
    always = {"run": identity.run_id, "pipeline": identity.pipeline, "task": identity.task, "recipe": identity.recipe}
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(always) if as_json else logging.Formatter(TEXT_FORMAT))
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
