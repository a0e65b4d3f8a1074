from edgepress.command import run_step
from edgepress.compress.distill.step import distill

run_step(distill)
