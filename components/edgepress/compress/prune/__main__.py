from edgepress.command import run_step
from edgepress.compress.prune.step import prune

run_step(prune)
