from edgepress.command import run_step
from edgepress.compress.cluster.step import cluster

run_step(cluster)
