"""Checks of the Secret and the accelerators, through the real Kubernetes client against canned answers of an API server on loopback."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgepress.contracts.kubeflow import KubeflowSettings
from edgepress.errors import InputError
from edgepress_pipelines.kubeflow.api.cluster import Cluster
from edgepress_pipelines.kubeflow.preflight import check_run
from tests.kfp_api.server import running_kfp
from tests.pipelines.cluster_project import STORAGE, connect, read_config
from tests.unit import store_environment
from tests.unit.broken_servers import closed_port

KEY = base64.b64encode(b"value").decode()
SECRET_PATH = "/api/v1/namespaces/kubeflow/secrets/edgepress-s3"
NODES_PATH = "/api/v1/nodes"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": KEY}


def secret(data: dict[str, str]) -> tuple[int, dict[str, Any]]:
    return 200, {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "edgepress-s3"}, "data": data}


def nodes(*allocatable: dict[str, str]) -> tuple[int, dict[str, Any]]:
    items = [{"metadata": {"name": f"node-{number}"}, "status": {"allocatable": item}} for number, item in enumerate(allocatable)]
    return 200, {"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": items}


def refusal(code: int) -> tuple[int, dict[str, Any]]:
    return code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}


class Answers(ThreadingHTTPServer):
    """Path -> status and body; whatever else is asked for is not found."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.by_path = {SECRET_PATH: secret(CREDENTIALS), NODES_PATH: nodes({"cpu": "8"})}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Answers)
        status, body = self.server.by_path.get(self.path, refusal(404))
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is http.server's
        """Say nothing."""


@pytest.fixture
def answers() -> Iterator[Answers]:
    with Answers() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def cluster(answers: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    write_kubeconfig(tmp_path / "kubeconfig", answers.server_port, monkeypatch)
    return Cluster("chosen")


def write_kubeconfig(path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The context ``chosen`` is the server on loopback; the current one leads nowhere and must not be used."""
    contexts = [{"name": name, "context": {"cluster": name, "user": "me"}} for name in ("chosen", "current")]
    clusters = [
        {"name": "chosen", "cluster": {"server": f"http://127.0.0.1:{port}"}},
        {"name": "current", "cluster": {"server": "http://current.invalid"}},
    ]
    users = [{"name": "me", "user": {"token": "x"}}]
    document = {"apiVersion": "v1", "kind": "Config", "current-context": "current"}
    path.write_text(yaml.safe_dump(document | {"contexts": contexts, "clusters": clusters, "users": users}))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))


def no_word(line: str) -> None:
    raise AssertionError(line)


def settings(**accelerator: Any) -> KubeflowSettings:
    trainer = {"trainer": {"accelerator": accelerator}} if accelerator else {}
    return KubeflowSettings.model_validate({"storage_uri": STORAGE} | trainer)


def test_a_secret_that_is_there_is_fine(cluster: Cluster) -> None:
    cluster.check_secret("kubeflow", "edgepress-s3", no_word)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (refusal(404), "there is no Secret edgepress-s3 in namespace kubeflow"),
        (secret({}), "AWS_ACCESS_KEY_ID and no AWS_SECRET_ACCESS_KEY"),
        (secret({"AWS_ACCESS_KEY_ID": KEY}), "has no AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_a_secret_that_is_missing_or_incomplete_is_refused(
    answers: Answers, cluster: Cluster, answer: tuple[int, dict[str, Any]], said: str
) -> None:
    answers.by_path[SECRET_PATH] = answer
    with pytest.raises(InputError) as refused:
        cluster.check_secret("kubeflow", "edgepress-s3", no_word)
    assert said in str(refused.value)
    assert "value" not in str(refused.value)


def test_an_accelerator_that_a_node_offers_is_fine(answers: Answers, cluster: Cluster) -> None:
    answers.by_path[NODES_PATH] = nodes({"cpu": "8"}, {"cpu": "8", "nvidia.com/gpu": "4"})
    cluster.check_accelerators(settings(type="nvidia.com/gpu", count=4), no_word)


@pytest.mark.parametrize("accelerator", [{"type": "nvidia.com/gpu", "count": 8}, {"type": "amd.com/gpu", "count": 1}])
def test_an_accelerator_that_no_node_offers_is_refused(answers: Answers, cluster: Cluster, accelerator: dict[str, Any]) -> None:
    answers.by_path[NODES_PATH] = nodes({"cpu": "8", "nvidia.com/gpu": "4", "amd.com/gpu": "0"})
    with pytest.raises(InputError) as refused:
        cluster.check_accelerators(settings(**accelerator), no_word)
    assert f"no node offers {accelerator['count']} {accelerator['type']}" in str(refused.value)
    assert "nodes offer nvidia.com/gpu" in str(refused.value)


def test_nodes_are_not_asked_for_when_no_task_wants_an_accelerator(answers: Answers, cluster: Cluster) -> None:
    answers.by_path[NODES_PATH] = refusal(500)
    cluster.check_accelerators(settings(), no_word)


def test_what_this_identity_may_not_read_is_said_and_no_reason_to_stop(answers: Answers, cluster: Cluster) -> None:
    answers.by_path = {SECRET_PATH: refusal(403), NODES_PATH: refusal(403)}
    said: list[str] = []
    cluster.check_secret("kubeflow", "edgepress-s3", said.append)
    cluster.check_accelerators(settings(type="nvidia.com/gpu"), said.append)
    assert len(said) == 2
    assert all("may not read it" in line for line in said)


def test_a_context_that_is_not_there_is_refused(cluster: Cluster) -> None:
    with pytest.raises(InputError, match="--kube-context other"):
        Cluster("other")


def test_a_context_that_is_not_there_is_told_beside_those_that_are(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        Cluster("other")
    assert str(refused.value) == f"--kube-context other: {tmp_path / 'kubeconfig'} has no such context; there are: chosen, current"


@pytest.mark.parametrize("content", [b"a: [b", b"\xff\xfe\x00", b"- 1", b"text", b"", None])
def test_a_kubeconfig_that_is_none_is_one_line(content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kubeconfig"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    with pytest.raises(InputError, match=f"^--kube-context any: {path}: is no usable kubeconfig ") as refused:
        Cluster("any")
    assert "\n" not in str(refused.value)


def test_a_plugin_for_credentials_that_is_missing_is_one_line_and_logs_nothing(
    cluster: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "kubeconfig"
    document = yaml.safe_load(path.read_text())
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin", "interactiveMode": "Never"}
    document["users"] = [{"name": "me", "user": {"exec": plugin}}]
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(InputError, match=r"--kube-context chosen: .*gives no credentials .*no-such-plugin"):
        Cluster("chosen")
    assert capfd.readouterr().err == ""


def test_a_cluster_that_the_user_named_must_answer(answers: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_port() as nobody:
        write_kubeconfig(tmp_path / "kubeconfig", int(nobody.rpartition(":")[2]), monkeypatch)
        with pytest.raises(InputError, match=r"--kube-context chosen: Secret .* cannot be reached; .*--no-cluster-check"):
            Cluster("chosen").check_secret("kubeflow", "edgepress-s3", no_word)
    write_kubeconfig(tmp_path / "kubeconfig", answers.server_port, monkeypatch)
    answers.by_path[SECRET_PATH] = refusal(401)
    with pytest.raises(InputError, match="the Kubernetes API answered 401"):
        Cluster("chosen").check_secret("kubeflow", "edgepress-s3", no_word)


def test_a_pod_that_cannot_ask_says_so_without_naming_a_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(InputError, match=r"^this pod's ServiceAccount: "):
        Cluster(None)


def test_a_missing_secret_stops_a_run_before_anything_is_there(answers: Answers, cluster: Cluster, tmp_path: Path) -> None:
    answers.by_path[SECRET_PATH] = refusal(404)
    with running_kfp() as kfp:
        with store_environment.only({}), pytest.raises(InputError, match="credentials_secret"):
            check_run(read_config(tmp_path), connect(kfp), cluster, lambda line: None)
        assert kfp.state.is_empty()
