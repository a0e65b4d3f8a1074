"""Submitting and uploading: what KFP is given, that it is given once, and that a refused run leaves nothing behind."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgepress.errors import EXIT_FAILED, EXIT_WRONG_INPUT, StorageError
from edgepress_pipelines.flow.pipeline_name import PIPELINE_NAME
from edgepress_pipelines.kubeflow.api.connection import Connection, ConnectionSettings
from edgepress_pipelines.kubeflow.api.errors import KubeflowError
from edgepress_pipelines.kubeflow.preflight import check_run
from edgepress_pipelines.kubeflow.runs.submit import create_run, prepare_run, submit_run
from edgepress_pipelines.kubeflow.upload import upload_version
from tests.kfp_api.faults import Fault, Kind
from tests.kfp_api.server import Door, KfpServer, running_kfp
from tests.pipelines.cluster_project import QUICK, STORAGE, connect, package_of, read_config
from tests.unit import store_environment


@pytest.fixture
def kfp() -> Iterator[KfpServer]:
    with running_kfp() as running:
        yield running


@pytest.fixture(autouse=True)
def no_credentials_of_a_store() -> Iterator[None]:
    with store_environment.only({}):
        yield


def no_word(line: str) -> None:
    raise AssertionError(line)


def test_a_run_is_given_its_pipeline_its_parameters_and_its_place(kfp: KfpServer, tmp_path: Path) -> None:
    config = read_config(tmp_path, resources={"kubeflow": {"storage_uri": STORAGE, "service_account": "edgepress-runner"}})
    package = package_of(config)
    submitted = submit_run(config, connect(kfp), package)
    run = kfp.only_run()
    assert run["run_id"] == submitted.run_id
    assert run["display_name"] == submitted.name
    assert submitted.name.startswith("digits ")
    assert run["service_account"] == "edgepress-runner"
    assert run["runtime_config"]["parameters"] == package.parameters
    assert kfp.state.experiments[run["experiment_id"]]["display_name"] == "edgepress"
    version = kfp.state.versions[run["pipeline_version_reference"]["pipeline_version_id"]]
    assert version["name"] == package.pipeline.version_name
    assert version["description"] == "EdgePress, trainer: cpu 2, memory 4Gi; evaluator: cpu 1, memory 2Gi; releaser: cpu 500m, memory 1Gi"
    assert kfp.state.pipelines[version["pipeline_id"]]["display_name"] == PIPELINE_NAME
    assert submitted.url == f"{kfp.url}/#/runs/details/{submitted.run_id}"


def test_the_same_content_is_uploaded_once_and_other_content_is_another_version(kfp: KfpServer, tmp_path: Path) -> None:
    connection = connect(kfp)
    pipeline = package_of(read_config(tmp_path)).pipeline
    first, again = (upload_version(connection, pipeline) for _ in range(2))
    assert (first.is_new, again.is_new) == (True, False)
    assert again.version_id == first.version_id
    assert kfp.count("POST", "/pipelines/upload_version") == 1
    assert not upload_version(connection, replace(pipeline, text=f"# another comment\n{pipeline.text}")).is_new
    other = upload_version(connection, replace(pipeline, text=pipeline.text.replace("enableCache: true", "enableCache: false", 1)))
    assert other.is_new
    assert other.pipeline_id == first.pipeline_id
    assert len(kfp.state.versions) == 2
    assert len(kfp.state.pipelines) == 1


def test_configurations_share_one_version_unless_their_pods_differ(kfp: KfpServer, tmp_path: Path) -> None:
    def versions(*changes: dict[str, Any]) -> list[str]:
        configs = [read_config(tmp_path, **change) for change in changes]
        runs = [kfp.state.runs[submit_run(config, connect(kfp), package_of(config)).run_id] for config in configs]
        return [run["pipeline_version_reference"]["pipeline_version_id"] for run in runs]

    kubeflow = {"storage_uri": STORAGE, "trainer": {"cpu": "2", "memory": "8Gi"}}
    first, other_values, more_memory = versions({}, {"name": "others", "gate": {}}, {"resources": {"kubeflow": kubeflow}})
    assert first == other_values != more_memory
    assert len(kfp.state.versions) == 2
    assert len(kfp.state.runs) == 3
    assert len(kfp.state.experiments) == 1


def test_a_run_that_kubeflow_s_own_page_starts_is_asked_for_its_parameters(kfp: KfpServer, tmp_path: Path) -> None:
    config, connection = read_config(tmp_path), connect(kfp)
    request = prepare_run(config, connection, package_of(config)).request
    request.runtime_config.parameters = {}
    with pytest.raises(KubeflowError, match="is not optional, yet has neither default value nor user provided value"):
        connection.runs.run_service_create_run(request)
    assert kfp.state.runs == {}


@pytest.mark.parametrize("kind", ["drop", "lose answer", "cut answer", "refuse"])
@pytest.mark.parametrize("at", ["/runs", "/pipelines/upload_version", "/pipelines", "/experiments"])
def test_an_answer_that_is_lost_starts_no_second_run(kfp: KfpServer, tmp_path: Path, kind: Kind, at: str) -> None:
    config = read_config(tmp_path)
    kfp.faults.add(Fault(kind, at=f"POST .*{at}$", times=2))
    submitted = submit_run(config, connect(kfp), package_of(config))
    assert set(kfp.state.runs) == {submitted.run_id}
    assert len(kfp.state.pipelines) == len(kfp.state.versions) == len(kfp.state.experiments) == 1


def test_each_attempt_to_start_a_run_can_be_kept_back(kfp: KfpServer, tmp_path: Path) -> None:
    """Whoever holds a claim to start looks at it before each request, and sends none once it is lost."""
    config = read_config(tmp_path)
    connection = connect(kfp)
    prepared = prepare_run(config, connection, package_of(config))
    assert kfp.state.runs == {}
    kfp.faults.add(Fault("refuse", at="POST .*/runs$", times=100, status=503))
    allowed = iter([True, True, False])  # the request, and a look for what it made

    def before_request() -> None:
        if not next(allowed):
            raise StorageError("lost")

    with pytest.raises(StorageError, match="lost"):
        create_run(prepared, Connection(ConnectionSettings(host=kfp.url, patience=QUICK), before_request))
    assert kfp.count("POST", "/runs") == 1
    assert kfp.state.runs == {}


def test_a_server_that_stays_down_is_given_up_on(kfp: KfpServer, tmp_path: Path) -> None:
    config = read_config(tmp_path)
    kfp.faults.add(Fault("refuse", at="POST .*/runs$", times=100, status=503))
    with pytest.raises(KubeflowError) as failed:
        submit_run(config, connect(kfp), package_of(config))
    assert failed.value.exit_code == 1
    assert kfp.state.runs == {}


def test_whoever_interrupts_a_start_is_told_the_name_to_look_for(kfp: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    config = read_config(tmp_path)
    connection = connect(kfp)
    prepared = prepare_run(config, connection, package_of(config))
    kfp.faults.add(Fault("lose answer", at="POST .*/runs$"))
    monkeypatch.setattr("edgepress_pipelines.kubeflow.api.create_once.time.sleep", interrupt)
    with pytest.raises(KubeflowError) as interrupted:
        create_run(prepared, connection)
    name = kfp.only_run()["display_name"]
    assert str(interrupted.value) == f"interrupted; a run named '{name}' may have been started; `edgepress runs list` shows it"
    assert interrupted.value.may_have_acted


def test_a_run_in_a_namespace_of_its_own(tmp_path: Path) -> None:
    with running_kfp(is_multi_user=True) as kfp:
        kfp.door = Door(tokens={"secret": frozenset({"team"})})
        token = tmp_path / "token"
        token.write_text("secret")
        config = read_config(tmp_path, resources={"kubeflow": {"storage_uri": STORAGE, "namespace": "team"}})
        connection = connect(kfp, token_file=token)
        check_run(config, connection, None, lambda line: None)
        submit_run(config, connection, package_of(config))
        assert kfp.only_run()["namespace"] == "team"
        assert {item["namespace"] for item in (*kfp.state.pipelines.values(), *kfp.state.experiments.values())} == {"team"}


def test_a_namespace_that_is_not_ones_own_is_refused_before_anything_is_there(tmp_path: Path) -> None:
    with running_kfp(is_multi_user=True) as kfp:
        kfp.door = Door(tokens={"secret": frozenset({"team"})})
        token = tmp_path / "token"
        token.write_text("secret")
        with pytest.raises(KubeflowError, match="403"):
            check_run(read_config(tmp_path), connect(kfp, token_file=token, namespace="others"), None, no_word)
        assert kfp.state.is_empty()


def test_experiments_that_are_not_there_are_wrong_input(kfp: KfpServer, tmp_path: Path) -> None:
    kfp.faults.add(Fault("refuse", status=404, at="experiments"))
    with pytest.raises(KubeflowError) as refused:
        check_run(read_config(tmp_path), connect(kfp), None, no_word)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == EXIT_WRONG_INPUT
    assert kfp.state.is_empty()


@pytest.mark.parametrize("at", ["healthz", "experiments"])
def test_a_server_in_trouble_is_nobodys_wrong_input(kfp: KfpServer, tmp_path: Path, at: str) -> None:
    kfp.faults.add(Fault("refuse", at=at, times=100, status=503))
    with pytest.raises(KubeflowError, match="try again later") as failed:
        check_run(read_config(tmp_path), connect(kfp), None, no_word)
    assert failed.value.exit_code == EXIT_FAILED
    assert kfp.state.is_empty()


def test_what_cannot_be_checked_is_said_in_one_line(kfp: KfpServer, tmp_path: Path) -> None:
    said: list[str] = []
    check_run(read_config(tmp_path), connect(kfp), None, said.append)
    store, secret = said
    assert store.startswith("not checked from here: the object store (")
    assert "there are no credentials" in store
    assert "Secret edgepress-s3 in namespace kubeflow" in secret
    assert "--kube-context" in secret
    assert "accelerators" not in secret
    kubeflow = {"storage_uri": STORAGE, "trainer": {"accelerator": {"type": "nvidia.com/gpu"}}}
    check_run(read_config(tmp_path, resources={"kubeflow": kubeflow}), connect(kfp), None, said.append)
    assert "accelerators" in said[-1]
