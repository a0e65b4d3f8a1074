"""``python -m edgepress.gate nominate …`` and ``python -m edgepress.gate judge …``."""

from edgepress.command import run_steps
from edgepress.gate.step import judge, nominate

run_steps({"nominate": nominate, "judge": judge})
