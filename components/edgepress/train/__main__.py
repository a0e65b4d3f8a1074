from edgepress.command import run_step
from edgepress.train.step import train

run_step(train)
