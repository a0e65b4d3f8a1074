from edgepress.command import run_step
from edgepress.convert.step import convert

run_step(convert)
