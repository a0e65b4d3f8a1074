"""``python -m edgepress.ingest``: the step by hand."""

from edgepress.command import run_step
from edgepress.ingest.step import ingest

run_step(ingest)
