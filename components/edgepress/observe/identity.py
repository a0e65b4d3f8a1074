"""Which task of which run is being observed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskIdentity:
    """A task of a run.

    Attributes:
        task: its name.
        recipe: that it works on; None for a task of the whole run.
        pipeline: the name of the run's configuration; empty when it is not known.
        run_id: of the run.
    """

    task: str
    recipe: str | None
    pipeline: str
    run_id: str
