"""Says in one line of pytest's summary whether the cluster tests ran: a suite that is skipped must not look like one that passed.

A conftest.py, because pytest takes a hook of a folder from nowhere else.
"""

from pathlib import Path

import pytest

from tests.cluster.cluster import NOT_RUN, cluster
from tests.cluster.installation import installation
from tests.cluster.node.installed_locally import installed_locally
from tests.cluster.node.node_under_test import node, started_node

__all__ = ["cluster", "installation", "installed_locally", "node", "started_node"]

TEST_TIMEOUT_S = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the time limit to the test itself: starting a cluster has its own, and building one is said beforehand."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(TEST_TIMEOUT_S, func_only=True))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every reason for which the cluster was not there."""
    reasons = set()
    for report in terminalreporter.getreports("skipped"):
        words = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if NOT_RUN in words:
            reasons.add(words[words.index(NOT_RUN) :])
    for reason in sorted(reasons):
        terminalreporter.write_line(reason, yellow=True, bold=True)
