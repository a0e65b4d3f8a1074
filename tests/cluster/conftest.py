"""Says in one line of pytest's summary whether the cluster tests ran: a suite that is skipped must not look like one that passed.

The one conftest.py of this project: pytest takes a hook of a folder from nowhere else.
"""

import pytest

from tests.cluster.cluster import NOT_RUN, cluster
from tests.cluster.installation import installation

__all__ = ["cluster", "installation"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every reason for which the cluster was not there."""
    reasons = set()
    for report in terminalreporter.getreports("skipped"):
        words = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if NOT_RUN in words:
            reasons.add(words[words.index(NOT_RUN) :])
    for reason in sorted(reasons):
        terminalreporter.write_line(reason, yellow=True, bold=True)
