"""``python -m edgepress.report …``."""

from edgepress.command import run_step
from edgepress.report.step import report

run_step(report)
