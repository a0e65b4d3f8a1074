"""``python -m edgepress.release``: bundle and publish one nominee by hand."""

from edgepress.command import run_step
from edgepress.release.step import release

run_step(release)
