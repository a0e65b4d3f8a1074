"""``python -m edgepress.benchmark …``"""

from edgepress.benchmark.step import benchmark
from edgepress.command import run_step

run_step(benchmark)
