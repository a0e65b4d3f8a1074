"""What has run on Kubeflow, and how it ended."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.text import Text

from edgepress.contracts.kubeflow import KubeflowSettings
from edgepress.errors import EdgePressError, InputError, IntegrityError
from edgepress_pipelines.kubeflow.api.connection import Connection
from edgepress_pipelines.kubeflow.api.experiments import find_experiment
from edgepress_pipelines.kubeflow.api.listing import every
from edgepress_pipelines.kubeflow.runs.folder import RunFolder
from edgepress_pipelines.kubeflow.runs.record import RunRecord, record_of
from edgepress_pipelines.terminal.duration import format_duration
from edgepress_pipelines.terminal.foreign_text import harmless
from edgepress_pipelines.terminal.tables import make_table, needed_width, print_table

DEFAULT_EXPERIMENT: Final[str] = KubeflowSettings.model_fields["experiment"].default
_ABSENT = "-"
_UNREADABLE = "unreadable"


@dataclass(frozen=True)
class ListedRun:
    """A run, and its verdict's outcome: None where none is known, ``unreadable`` where another release wrote it."""

    run: RunRecord
    outcome: str | None


def list_runs(connection: Connection, experiment: str | None, limit: int, tell: Callable[[str], None]) -> list[ListedRun]:
    """The newest runs of an experiment.

    Args:
        experiment: its name; None for the one that runs are started in unless a configuration names another. That may not be there yet.
        limit: how many at most.
        tell: is given one line when outcomes cannot be read.

    Raises:
        InputError: there is no experiment of the given name.
        KubeflowError: KFP cannot be asked, or refuses.
    """
    experiment_id = find_experiment(connection, DEFAULT_EXPERIMENT if experiment is None else experiment)
    if experiment_id is None and experiment is None:
        return []
    if experiment_id is None:
        raise InputError(f"{connection.host}: there is no experiment {experiment!r}; no run was started in it yet, or its name is another")
    found = every(connection.runs.run_service_list_runs, "runs", experiment_id=experiment_id, sort_by="created_at desc")
    runs = [record_of(run) for run in itertools.islice(found, limit)]
    return _with_outcomes(runs, tell)


def show_runs(console: Console, listed: Sequence[ListedRun], now: datetime | None = None) -> None:
    """Print runs as a table, in two lines each on a terminal that is too narrow for it; or that there are none."""
    if not listed:
        console.print("no runs yet")
        return
    table = make_table()
    for heading in ("run", "name", "state", "started (UTC)", "duration", "outcome"):
        table.add_column(heading, no_wrap=True)
    rows = [_cells(item, now or datetime.now(UTC)) for item in listed]
    for row in rows:
        table.add_row(*map(Text, row))
    if not console.is_terminal or needed_width(console, table) <= console.width:
        print_table(console, table)
        return
    for run_id, name, *others in rows:
        console.print(Text(f"{run_id}  {name}"), soft_wrap=True)
        console.print(Text(f"  {'  '.join(others)}", "dim"), soft_wrap=True)


def _cells(item: ListedRun, now: datetime) -> tuple[str, ...]:
    run = item.run
    started = run.created_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if run.created_at else _ABSENT
    shown = (run.run_id, run.name, run.state.lower(), started, _duration(run, now), item.outcome or _ABSENT)
    return tuple(map(harmless, shown))


def _with_outcomes(runs: Sequence[RunRecord], tell: Callable[[str], None]) -> list[ListedRun]:
    listed = []
    unreadable_stores: set[str] = set()
    has_told_of_verdict = False
    for run in runs:
        outcome: str | None = None
        if run.has_ended and run.storage_uri is not None and run.storage_uri not in unreadable_stores:
            try:
                verdict = RunFolder(run.storage_uri, run.run_id).verdict()
                outcome = verdict.outcome if verdict is not None else None
            except IntegrityError as error:  # of this run alone
                outcome = _UNREADABLE
                if not has_told_of_verdict:  # the column says which others
                    tell(str(error))
                has_told_of_verdict = True
            except EdgePressError as error:  # a run of others may be anywhere, also where EdgePress cannot read
                unreadable_stores.add(run.storage_uri)  # one time-out is enough
                tell(f"outcomes cannot be read: {error}")
        listed.append(ListedRun(run=run, outcome=outcome))
    return listed


def _duration(run: RunRecord, now: datetime) -> str:
    if run.created_at is None:
        return _ABSENT
    return format_duration(max(0.0, ((run.finished_at or now) - run.created_at).total_seconds()))
