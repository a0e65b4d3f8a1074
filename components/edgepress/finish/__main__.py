"""``python -m edgepress.finish``: the step by hand."""

from edgepress.command import run_step
from edgepress.finish.step import finish

run_step(finish)
