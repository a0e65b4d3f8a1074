"""The stand-in for KFP's API server, held against KFP's own client: what ``kfp.Client`` does with a real server, it does with this one."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kfp
import kfp_server_api
import pytest
from kfp import compiler, dsl

from tests.kfp_api.server import Door, KfpServer, running_kfp


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def shout(text: str, times: int) -> str:
    return text * times


@dsl.pipeline(name="shouting")
def shouting(text: str, times: int = 2) -> None:
    shout(text=text, times=times)


@pytest.fixture
def server() -> Iterator[KfpServer]:
    with running_kfp(is_multi_user=True) as running:
        yield running


@pytest.fixture
def client(server: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return kfp.Client(host=server.url, namespace="team")


@pytest.fixture
def package(tmp_path: Path) -> str:
    path = str(tmp_path / "shouting.yaml")
    compiler.Compiler().compile(shouting, path)
    return path


def test_a_run_from_upload_to_end(server: KfpServer, client: Any, package: str) -> None:
    experiment = client.create_experiment("shouts")
    assert client.get_experiment(experiment_name="shouts").experiment_id == experiment.experiment_id
    pipeline = client.upload_pipeline(package, "shouting", namespace="team")
    version = client.upload_pipeline_version(package, "second", pipeline_id=pipeline.pipeline_id)
    assert {item.display_name for item in client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions} == {"shouting", "second"}

    run = client.run_pipeline(
        experiment.experiment_id, "loud", params={"text": "hey"}, pipeline_id=pipeline.pipeline_id, version_id=version.pipeline_version_id
    )
    assert client.get_run(run.run_id).state == "PENDING"
    assert client.get_run(run.run_id).finished_at.year == 1970
    server.state.set_state(run.run_id, "SUCCEEDED")
    ended = client.wait_for_run_completion(run.run_id, timeout=10, sleep_duration=0)
    assert ended.state == "SUCCEEDED"
    assert ended.runtime_config.parameters == {"text": "hey"}
    assert [item.run_id for item in client.list_runs(experiment_id=experiment.experiment_id).runs] == [run.run_id]


def test_a_recurring_run_from_creation_to_deletion(server: KfpServer, client: Any, package: str) -> None:
    experiment = client.create_experiment("shouts")
    pipeline = client.upload_pipeline(package, "shouting", namespace="team")
    version = client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions[0]
    made = client.create_recurring_run(
        experiment.experiment_id,
        "nightly",
        cron_expression="0 0 3 * * *",
        params={"text": "hey"},
        pipeline_id=pipeline.pipeline_id,
        version_id=version.pipeline_version_id,
    )
    assert made.status == "ENABLED"
    client.disable_recurring_run(made.recurring_run_id)
    assert client.get_recurring_run(made.recurring_run_id).status == "DISABLED"
    client.enable_recurring_run(made.recurring_run_id)
    assert client.list_recurring_runs(namespace="team").recurring_runs[0].max_concurrency == "1"
    assert client.get_run(server.state.fire(made.recurring_run_id)).recurring_run_id == made.recurring_run_id
    client.delete_recurring_run(made.recurring_run_id)
    assert client.list_recurring_runs(namespace="team").recurring_runs is None


def test_lists_come_in_pages(client: Any) -> None:
    made = [client.create_experiment(f"experiment {number:02d}").display_name for number in range(25)]
    first = client.list_experiments(page_size=10, sort_by="display_name desc")
    second = client.list_experiments(page_size=10, sort_by="display_name desc", page_token=first.next_page_token)
    third = client.list_experiments(page_size=10, sort_by="display_name desc", page_token=second.next_page_token)
    assert [item.display_name for answer in (first, second, third) for item in answer.experiments] == made[::-1]
    assert third.next_page_token is None
    assert first.total_size == 25


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({}, "text is not optional"),
        ({"text": 3}, "text requires type string"),
        ({"text": "a", "times": "2"}, "times requires type double or integer"),
        ({"text": "a", "loudness": 1}, "not required by pipeline: loudness"),
    ],
)
def test_wrong_parameters_are_refused(server: KfpServer, client: Any, package: str, params: dict[str, Any], reason: str) -> None:
    experiment = client.create_experiment("shouts")
    pipeline = client.upload_pipeline(package, "shouting", namespace="team")
    version = client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions[0]
    with pytest.raises(kfp_server_api.ApiException) as refused:
        client.run_pipeline(
            experiment.experiment_id, "x", params=params, pipeline_id=pipeline.pipeline_id, version_id=version.pipeline_version_id
        )
    assert refused.value.status == 400
    assert reason in refused.value.body
    assert server.state.runs == {}


def test_what_is_no_pipeline_is_refused(server: KfpServer, client: Any, tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    for content in ("kind: Deployment\n", "a: [", "pipelineInfo: {name: x}\nschemaVersion: 2.1.0\nroot: {dag: {tasks: 3}}\n"):
        path.write_text(content)
        with pytest.raises(kfp_server_api.ApiException) as refused:
            client.upload_pipeline(str(path), "other", namespace="team")
        assert refused.value.status == 400
    assert server.state.pipelines == {}


def test_names_that_must_differ_do(client: Any, package: str) -> None:
    pipeline = client.upload_pipeline(package, "shouting", namespace="team")
    for again in (
        lambda: client.upload_pipeline(package, "shouting", namespace="team"),
        lambda: client.upload_pipeline_version(package, "shouting", pipeline_id=pipeline.pipeline_id),
    ):
        with pytest.raises(kfp_server_api.ApiException) as refused:
            again()
        assert refused.value.status == 409


def test_a_message_with_an_unknown_field_is_refused(server: KfpServer, client: Any) -> None:
    with pytest.raises(kfp_server_api.ApiException) as refused:
        client.experiments.experiment_service_create_experiment({"display_name": "x", "namespace": "team", "colour": "red"})
    assert "unknown field" in refused.value.body
    assert server.state.is_empty()


def test_who_may_not_is_told(server: KfpServer, client: Any) -> None:
    server.door = Door(tokens={"secret": frozenset({"other"})})
    with pytest.raises(kfp_server_api.ApiException) as refused:
        client.list_runs()
    assert refused.value.status == 401
    client.runs.run_service_list_runs.__self__.api_client.default_headers["Authorization"] = "Bearer secret"
    with pytest.raises(kfp_server_api.ApiException) as refused:
        client.list_runs()
    assert refused.value.status == 403
    with pytest.raises(kfp_server_api.ApiException) as refused:
        client.list_runs(namespace="other", filter='{"predicates": [{"operation": "EQUALS", "key": "colour", "string_value": "red"}]}')
    assert refused.value.status == 400
