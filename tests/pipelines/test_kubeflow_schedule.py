"""Schedules: what KFP is given, that the same again changes nothing, and that there is no moment without one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepress.errors import ConfigError
from edgepress_pipelines.kubeflow.runs.record import read_run
from edgepress_pipelines.kubeflow.schedule import (
    Creation,
    create_schedule,
    delete_schedule,
    find_schedules,
    pause_schedule,
    resume_schedule,
    six_fields,
)
from tests.kfp_api.faults import Fault, Kind
from tests.kfp_api.pipeline_spec import check_cron
from tests.kfp_api.server import KfpServer, running_kfp
from tests.pipelines.cluster_project import STORAGE, connect, package_of, read_config


@pytest.fixture
def kfp() -> Iterator[KfpServer]:
    with running_kfp() as running:
        yield running


def create(kfp: KfpServer, folder: Path, **changes: Any) -> Creation:
    config = read_config(folder, **changes)
    return create_schedule(config, connect(kfp), package_of(config))


def only(kfp: KfpServer) -> dict[str, Any]:
    (recurring_run,) = kfp.state.recurring_runs.values()
    return recurring_run


def test_kfp_is_given_the_schedule_of_the_configuration(kfp: KfpServer, tmp_path: Path) -> None:
    creation = create(kfp, tmp_path, schedule={"cron": "30 3 * * 7", "max_concurrency": 2, "catch_up": True})
    assert creation.did == "created"
    made = only(kfp)
    assert made["display_name"] == "digits"
    assert made["trigger"]["cron_schedule"]["cron"] == "0 30 3 * * 0"
    assert made["max_concurrency"] == 2
    assert made["no_catchup"] is False
    assert made["status"] == "ENABLED"


def test_a_run_that_a_schedule_starts_knows_its_storage(kfp: KfpServer, tmp_path: Path) -> None:
    create(kfp, tmp_path)
    run = read_run(connect(kfp), kfp.state.fire(only(kfp)["recurring_run_id"]))
    assert (run.storage_uri, run.pipeline) == (STORAGE, "digits")
    assert [recipe["recipe"] for recipe in run.parameters["recipes"]] == ["int8", "float16"]


def test_the_same_again_changes_nothing(kfp: KfpServer, tmp_path: Path) -> None:
    first = create(kfp, tmp_path)
    again = create(kfp, tmp_path)
    assert again.did == "nothing"
    assert again.schedule == first.schedule
    assert kfp.count("POST", "/recurringruns") == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": {"cron": "0 4 * * *"}},
        {"schedule": {"cron": "0 3 * * 7", "catch_up": False}},
        {"schedule": {"cron": "0 3 * * 7", "catch_up": True, "max_concurrency": 3}},
        {"gate": {"accuracy": {"max_drop": 0.01}}},
        {"resources": {"kubeflow": {"storage_uri": STORAGE, "service_account": "other"}}},
        {"resources": {"kubeflow": {"storage_uri": STORAGE, "experiment": "other"}}},
    ],
)
def test_other_content_replaces_it(kfp: KfpServer, tmp_path: Path, changes: dict[str, Any]) -> None:
    first = create(kfp, tmp_path)
    second = create(kfp, tmp_path, **changes)
    assert second.did == "replaced"
    assert only(kfp)["recurring_run_id"] == second.schedule.recurring_run_id != first.schedule.recurring_run_id


def test_at_no_moment_is_there_none(kfp: KfpServer, tmp_path: Path) -> None:
    create(kfp, tmp_path)
    there: list[int] = []
    path = f"/recurringruns/{only(kfp)['recurring_run_id']}"
    kfp.before_next("POST", "/recurringruns", lambda: there.append(len(kfp.state.recurring_runs)))
    kfp.before_next("DELETE", path, lambda: there.append(len(kfp.state.recurring_runs)))
    create(kfp, tmp_path, schedule={"cron": "0 4 * * *"})
    assert there == [1, 2]
    assert len(kfp.state.recurring_runs) == 1


def test_a_replacement_that_was_interrupted_is_finished_by_the_next(kfp: KfpServer, tmp_path: Path) -> None:
    create(kfp, tmp_path)
    kfp.faults.add(Fault("refuse", at="DELETE", status=403))
    with pytest.raises(Exception, match="403"):
        create(kfp, tmp_path, schedule={"cron": "0 4 * * *"})
    assert len(kfp.state.recurring_runs) == 2
    assert create(kfp, tmp_path, schedule={"cron": "0 4 * * *"}).did == "replaced"
    assert only(kfp)["trigger"]["cron_schedule"]["cron"] == "0 0 4 * * *"


def test_two_that_create_the_same_at_once_leave_one_and_keep_the_same(kfp: KfpServer, tmp_path: Path) -> None:
    others: list[Creation] = []
    kfp.before_next("POST", "/recurringruns", lambda: others.append(create(kfp, tmp_path)))
    ours = create(kfp, tmp_path)
    (other,) = others
    assert (ours.did, other.did) == ("created", "created")
    assert only(kfp)["recurring_run_id"] == ours.schedule.recurring_run_id
    assert create(kfp, tmp_path).schedule == ours.schedule


@pytest.mark.parametrize("kind", ["drop", "lose answer", "cut answer"])
@pytest.mark.parametrize("at", ["POST .*/recurringruns$", "DELETE .*/recurringruns/"])
def test_an_answer_that_is_lost_leaves_one(kfp: KfpServer, tmp_path: Path, kind: Kind, at: str) -> None:
    create(kfp, tmp_path)
    kfp.faults.add(Fault(kind, at=at, times=2))
    assert create(kfp, tmp_path, schedule={"cron": "0 4 * * *"}).did == "replaced"
    assert only(kfp)["trigger"]["cron_schedule"]["cron"] == "0 0 4 * * *"


def test_pausing_resuming_and_deleting(kfp: KfpServer, tmp_path: Path) -> None:
    create(kfp, tmp_path)
    connection = connect(kfp)
    assert len(pause_schedule(connection, "digits")) == 1
    assert pause_schedule(connection, "digits") == []
    assert only(kfp)["status"] == "DISABLED"
    assert len(resume_schedule(connection, "digits")) == 1
    assert resume_schedule(connection, "digits") == []
    assert only(kfp)["status"] == "ENABLED"
    assert len(delete_schedule(connection, "digits")) == 1
    assert delete_schedule(connection, "digits") == []
    assert kfp.state.recurring_runs == {}


@pytest.mark.parametrize("removal", ["delete", "replace"])
def test_a_run_that_goes_on_outlives_its_schedule(kfp: KfpServer, tmp_path: Path, removal: str) -> None:
    create(kfp, tmp_path)
    kfp.state.set_state(kfp.state.fire(only(kfp)["recurring_run_id"]), "RUNNING")
    if removal == "delete":
        assert len(delete_schedule(connect(kfp), "digits")) == 1
    else:
        assert create(kfp, tmp_path, schedule={"cron": "0 4 * * *"}).did == "replaced"
    assert kfp.state.lost_workflows == set()


def test_pausing_twice_because_an_answer_was_lost_is_fine(kfp: KfpServer, tmp_path: Path) -> None:
    create(kfp, tmp_path)
    kfp.faults.add(Fault("lose answer", at=":disable"))
    pause_schedule(connect(kfp), "digits")
    assert only(kfp)["status"] == "DISABLED"


def test_a_paused_schedule_is_replaced_by_a_paused_one(kfp: KfpServer, tmp_path: Path) -> None:
    create(kfp, tmp_path)
    pause_schedule(connect(kfp), "digits")
    assert not create(kfp, tmp_path, schedule={"cron": "0 4 * * *"}).schedule.is_enabled
    assert only(kfp)["status"] == "DISABLED"


def test_what_somebody_else_scheduled_under_the_same_name_is_left_alone(kfp: KfpServer, tmp_path: Path) -> None:
    create(kfp, tmp_path)
    ours = only(kfp)
    foreign = {
        key: ours[key] for key in ("display_name", "experiment_id", "pipeline_version_reference", "runtime_config", "trigger", "mode")
    }
    theirs = kfp.state.create_recurring_run(foreign | {"max_concurrency": "1", "description": "by hand"})["recurring_run_id"]
    create(kfp, tmp_path, schedule={"cron": "0 4 * * *"})
    delete_schedule(connect(kfp), "digits")
    assert set(kfp.state.recurring_runs) == {theirs}


def test_schedules_of_all_pipelines_are_listed(kfp: KfpServer, tmp_path: Path) -> None:
    create(kfp, tmp_path)
    create(kfp, tmp_path, name="another")
    found = find_schedules(connect(kfp))
    assert [(schedule.name, schedule.cron, schedule.catch_up, schedule.max_concurrency) for schedule in found] == [
        ("another", "0 3 * * 0", True, 1),
        ("digits", "0 3 * * 0", True, 1),
    ]


def test_a_configuration_without_a_schedule_is_refused(kfp: KfpServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no schedule"):
        create(kfp, tmp_path, schedule=None)
    assert kfp.state.is_empty()


DAYS = st.integers(0, 7)
ITEMS = st.one_of(
    st.just("*"),
    st.builds("*/{}".format, st.integers(1, 7)),
    DAYS.map(str),
    st.tuples(DAYS, DAYS).map(sorted).map(lambda pair: f"{pair[0]}-{pair[1]}"),
    st.tuples(DAYS, DAYS, st.integers(1, 7)).map(lambda three: f"{min(three[:2])}-{max(three[:2])}/{three[2]}"),
)


def days_of(field: str, highest: int) -> set[int]:
    """The days that a field of cron means, Sunday as 0: an independent reading of crontab(5)."""
    days: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = ("0", "-", str(highest)) if span == "*" else span.partition("-")
        days |= {day % 7 for day in range(int(first), int(last or first) + 1, int(step or 1))}
    return days


@given(st.lists(ITEMS, min_size=1, max_size=3).map(",".join))
def test_seconds_come_first_and_sunday_is_zero(day_of_week: str) -> None:
    fields = six_fields(f"5 4 1 2 {day_of_week}").split()
    assert fields[:5] == ["0", "5", "4", "1", "2"]
    check_cron(" ".join(fields))
    assert days_of(fields[5], highest=6) == days_of(day_of_week, highest=6)
