"""Recurring runs in KFP, one for each pipeline, named by its configuration and told apart by their content."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import kfp_server_api

from edgepress.contracts.config import PipelineConfig
from edgepress.errors import ConfigError
from edgepress_pipelines.kubeflow.api.connection import Connection
from edgepress_pipelines.kubeflow.api.create_once import create_once
from edgepress_pipelines.kubeflow.api.errors import KubeflowError
from edgepress_pipelines.kubeflow.api.experiments import ensure_experiment
from edgepress_pipelines.kubeflow.api.listing import every, named
from edgepress_pipelines.kubeflow.package import Package
from edgepress_pipelines.kubeflow.upload import upload_version

_MARK = "EdgePress schedule, content sha256:"
"""Begins the description of every recurring run that EdgePress made; those without it are somebody else's and left alone."""


@dataclass(frozen=True)
class Schedule:
    """A recurring run.

    Attributes:
        recurring_run_id: KFP's identifier.
        name: the configuration's.
        is_enabled: False while it is paused.
        cron: five fields.
        max_concurrency: runs at the same time.
        catch_up: whether missed runs are started later.
        content: hexadecimal digest of everything that the schedule consists of.
    """

    recurring_run_id: str
    name: str
    is_enabled: bool
    cron: str
    max_concurrency: int
    catch_up: bool
    content: str


@dataclass(frozen=True)
class Creation:
    """What ``create_schedule`` did: ``replaced`` when one of other content was there."""

    schedule: Schedule
    did: Literal["created", "replaced", "nothing"]


def create_schedule(config: PipelineConfig, connection: Connection, package: Package) -> Creation:
    """Have the configuration's schedule in KFP, once and with this content. ``preflight.check_run`` comes first.

    One of other content is deleted after the new one is there, so at no moment is there none. A paused one stays paused. Of equal ones,
    which KFP takes when two commands create at the same moment, the one with the smallest identifier is kept, whoever made it.

    Raises:
        ConfigError: the configuration has no schedule.
        KubeflowError: KFP cannot be reached, or refuses.
    """
    if config.schedule is None:
        raise ConfigError(f"configuration {config.name}: has no schedule; add one, e.g. schedule: {{cron: '0 3 * * *'}}")
    version = upload_version(connection, package.pipeline)
    experiment_id = ensure_experiment(connection, config.resources.kubeflow.experiment)
    wanted = kfp_server_api.V2beta1RecurringRun(
        display_name=config.name,
        experiment_id=experiment_id,
        namespace=connection.namespace,
        pipeline_version_reference=kfp_server_api.V2beta1PipelineVersionReference(
            pipeline_id=version.pipeline_id, pipeline_version_id=version.version_id
        ),
        runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=package.parameters),
        service_account=config.resources.kubeflow.service_account,
        max_concurrency=str(config.schedule.max_concurrency),
        no_catchup=not config.schedule.catch_up,
        trigger=kfp_server_api.V2beta1Trigger(cron_schedule=kfp_server_api.V2beta1CronSchedule(cron=six_fields(config.schedule.cron))),
    )
    content = _digest(connection, wanted)
    wanted.description = f"{_MARK}{content}"
    there = find_schedules(connection, config.name)
    same = _with_content(there, content)
    paused = bool(there) and not any(schedule.is_enabled for schedule in there)
    wanted.mode = kfp_server_api.RecurringRunMode.DISABLE if paused else kfp_server_api.RecurringRunMode.ENABLE

    def find() -> Schedule | None:
        return _with_content(find_schedules(connection, config.name), content)

    def create() -> Schedule:
        return _read(connection.recurring_runs.recurring_run_service_create_recurring_run(wanted))

    made = same or create_once(create, find, connection.patience, connection.tell)
    now = there if same else find_schedules(connection, config.name)
    kept = _with_content(now, content) or made
    # One of other content that has come since is what another command wants at this moment: nobody can say which of the two holds.
    before = {each.recurring_run_id for each in there}
    others = [each for each in now if each != kept and (each.content == content or each.recurring_run_id in before)]
    for other in others:
        _delete(connection, other)
    return Creation(schedule=kept, did="nothing" if same and not others else "replaced" if there else "created")


def find_schedules(connection: Connection, name: str | None = None) -> list[Schedule]:
    """EdgePress's schedules, of one configuration or of all. More than one of a name are there only between two steps of replacing it.

    Raises:
        KubeflowError: KFP cannot be asked, or refuses.
    """
    return sorted(_schedules(connection, name), key=lambda schedule: schedule.name)


def pause_schedule(connection: Connection, name: str) -> list[Schedule]:
    """Keep a schedule from starting runs.

    Returns:
        those that were not paused already.

    Raises:
        KubeflowError: KFP cannot be reached, or refuses.
    """
    running = [schedule for schedule in find_schedules(connection, name) if schedule.is_enabled]
    for schedule in running:
        connection.recurring_runs.recurring_run_service_disable_recurring_run(schedule.recurring_run_id)
    return running


def resume_schedule(connection: Connection, name: str) -> list[Schedule]:
    """Let a paused schedule start runs again.

    Returns:
        those that were paused.

    Raises:
        KubeflowError: KFP cannot be reached, or refuses.
    """
    paused = [schedule for schedule in find_schedules(connection, name) if not schedule.is_enabled]
    for schedule in paused:
        connection.recurring_runs.recurring_run_service_enable_recurring_run(schedule.recurring_run_id)
    return paused


def delete_schedule(connection: Connection, name: str) -> list[Schedule]:
    """Remove a schedule; runs that it has started go on.

    Returns:
        those that were there.

    Raises:
        KubeflowError: KFP cannot be reached, or refuses.
    """
    there = find_schedules(connection, name)
    for schedule in there:
        _delete(connection, schedule)
    return there


def six_fields(cron: str) -> str:
    """A five-field expression as KFP wants it: seconds in front, and Sunday as 0 only.

    KFP reads it with ``github.com/robfig/cron``, which does not know 7, and in the time zone of its controller: UTC unless
    ``CRON_SCHEDULE_TIMEZONE`` was set.
    """
    *others, day_of_week = cron.split()
    return " ".join(["0", *others, ",".join(_sunday_as_zero(item) for item in day_of_week.split(","))])


def _sunday_as_zero(item: str) -> str:
    span, slash, step = item.partition("/")
    first, dash, last = span.partition("-")
    if "7" not in (first, last):
        return item
    if not dash:
        return "0"  # a step after a single 7 reaches nothing further
    days = range(int(first), 8, int(step) if slash else 1)
    return ",".join(str(day % 7) for day in days)


def _schedules(connection: Connection, name: str | None) -> Iterator[Schedule]:
    ask = connection.recurring_runs.recurring_run_service_list_recurring_runs
    # By namespace and not by experiment: a configuration that moved to another experiment still owns what it had in the old one.
    for found in every(ask, "recurring_runs", namespace=connection.namespace, filter=named(name) if name is not None else None):
        if (found.description or "").startswith(_MARK):
            yield _read(found)


def _with_content(schedules: list[Schedule], content: str) -> Schedule | None:
    """The one with this content; of several, the one that every command chooses."""
    return min((schedule for schedule in schedules if schedule.content == content), key=lambda each: each.recurring_run_id, default=None)


def _read(found: Any) -> Schedule:
    cron = found.trigger.cron_schedule.cron if found.trigger and found.trigger.cron_schedule else ""
    return Schedule(
        recurring_run_id=found.recurring_run_id,
        name=found.display_name,
        is_enabled=found.status == "ENABLED",
        cron=cron.partition(" ")[2],
        max_concurrency=int(found.max_concurrency or 1),
        catch_up=not found.no_catchup,
        content=(found.description or "").removeprefix(_MARK),
    )


def _digest(connection: Connection, wanted: Any) -> str:
    content = json.dumps(connection.client.sanitize_for_serialization(wanted), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _delete(connection: Connection, schedule: Schedule) -> None:
    # KFP makes a schedule the owner of the Workflows that it started: unless orphaned, those in progress are removed with it, pods and all.
    orphan = kfp_server_api.V2beta1DeletePropagationPolicy.ORPHAN
    try:
        connection.recurring_runs.recurring_run_service_delete_recurring_run(schedule.recurring_run_id, propagation_policy=orphan)
    except KubeflowError as error:
        if error.status != 404:  # gone already is what was wanted
            raise
