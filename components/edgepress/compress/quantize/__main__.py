from edgepress.command import run_step
from edgepress.compress.quantize.step import quantize

run_step(quantize)
