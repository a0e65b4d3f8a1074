"""The connection to KFP: who asks, what is repeated, and that each thing that goes wrong is one line that says what to do."""

import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgepress.errors import EXIT_WRONG_INPUT, InputError
from edgepress_pipelines.kubeflow.api.connection import Connection, ConnectionSettings
from edgepress_pipelines.kubeflow.api.errors import KubeflowError
from edgepress_pipelines.kubeflow.api.experiments import ensure_experiment, find_experiment
from edgepress_pipelines.kubeflow.api.listing import every
from edgepress_pipelines.kubeflow.api.transport import Patience
from edgepress_pipelines.kubeflow.api.variables import COOKIE_VARIABLE, HOST_VARIABLE, POD_TOKEN_VARIABLE, TOKEN_VARIABLE
from edgepress_pipelines.kubeflow.preflight import MINIMUM_BACKEND, check_backend, check_reading
from tests.kfp_api.faults import Fault, Kind
from tests.kfp_api.server import KfpServer, running_kfp
from tests.pipelines.cluster_project import QUICK, connect, refusal


@pytest.fixture
def kfp() -> Iterator[KfpServer]:
    with running_kfp() as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (TOKEN_VARIABLE, COOKIE_VARIABLE, HOST_VARIABLE, POD_TOKEN_VARIABLE, "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)


def test_an_html_page_is_not_taken_for_an_empty_answer(kfp: KfpServer) -> None:
    kfp.faults.add(Fault("login page", times=2))
    assert "login page" in str(refusal(connect(kfp)))
    with pytest.raises(KubeflowError, match="login page") as refused:
        check_backend(connect(kfp), None)
    assert refused.value.exit_code == EXIT_WRONG_INPUT


@pytest.mark.parametrize(
    ("status", "said", "exit_code", "attempts"),
    [
        (400, "refused", 2, 1),
        (401, "--token-file", 2, 1),
        (403, "--namespace", 2, 1),
        (404, "--host", 2, 1),
        (409, "already", 1, 1),
        (429, "too many requests", 1, QUICK.attempts),
        (500, "try again later", 1, QUICK.attempts),
        (502, "try again later", 1, QUICK.attempts),
        (503, "try again later", 1, QUICK.attempts),
    ],
)
def test_each_refusal_is_one_line_that_says_what_to_do(kfp: KfpServer, status: int, said: str, exit_code: int, attempts: int) -> None:
    kfp.faults.add(Fault("refuse", times=100, status=status))
    error = refusal(connect(kfp))
    assert (error.status, error.exit_code) == (status, exit_code)
    assert str(error).startswith(kfp.url)
    assert said in str(error)
    assert "as the test wants it" in str(error)
    assert len(kfp.requests) == attempts


def test_a_request_that_is_repeated_is_said_once(kfp: KfpServer) -> None:
    said: list[str] = []
    kfp.faults.add(Fault("refuse", times=QUICK.attempts - 1, status=503))
    find_experiment(connect(kfp, tell=said.append), "any")
    assert said == [f"{kfp.url}: the server failed (503: as the test wants it); trying again (2 of {QUICK.attempts})"]


@pytest.mark.parametrize("kind", ["refuse", "drop", "lose answer", "cut answer"])
def test_reading_goes_on_after_a_moment_of_trouble(kfp: KfpServer, kind: Kind) -> None:
    kfp.faults.add(Fault(kind, times=QUICK.attempts - 1))
    assert find_experiment(connect(kfp), "any") is None
    assert len(kfp.requests) == QUICK.attempts


def test_the_server_says_how_long_to_wait(kfp: KfpServer) -> None:
    kfp.faults.add(Fault("refuse", status=429, retry_after="0"))
    slow = Patience(first_delay_s=60.0, longest_delay_s=60.0)
    began_s = time.monotonic()
    find_experiment(connect(kfp, patience=slow), "any")
    assert time.monotonic() - began_s < 30


def test_what_is_asked_for_is_waited_for_within_limits() -> None:
    error = KubeflowError("busy", retry_after_s=3600.0)
    assert Patience().delay_s(1, error) == Patience().longest_delay_s
    delays = [Patience().delay_s(attempt, KubeflowError("busy")) for attempt in range(1, 10)]
    assert delays == sorted(delays)
    assert delays[-1] <= Patience().longest_delay_s


def test_a_server_that_does_not_answer_in_time_is_said(kfp: KfpServer) -> None:
    kfp.faults.add(Fault("slow", delay_s=2.0, times=2))
    error = refusal(connect(kfp, patience=Patience(read_timeout_s=0.1, attempts=2, first_delay_s=0.01)))
    assert "did not answer in time" in str(error)
    assert error.may_have_acted


def test_making_something_is_not_repeated_blindly(kfp: KfpServer) -> None:
    connection = connect(kfp)
    kinds: tuple[Kind, ...] = ("lose answer", "cut answer")
    for kind in kinds:
        kfp.faults.add(Fault(kind, at=r"POST .*/experiments$"))
        identifier = ensure_experiment(connection, kind)
        assert [item["experiment_id"] for item in kfp.state.experiments.values() if item["display_name"] == kind] == [identifier]
    assert kfp.count("POST", "/experiments") == 2


def test_two_that_make_the_same_at_once_get_the_same(kfp: KfpServer) -> None:
    made: list[str] = []
    kfp.before_next("POST", "/experiments", lambda: made.append(kfp.state.create_experiment({"display_name": "shared"})["experiment_id"]))
    assert [ensure_experiment(connect(kfp), "shared")] == made


def test_nobody_listens(kfp: KfpServer) -> None:
    with running_kfp() as gone:
        pass
    error = refusal(Connection(ConnectionSettings(host=gone.url, patience=QUICK)))
    assert "Connection refused" in str(error)
    assert error.exit_code == 2
    assert not error.may_have_acted


def test_an_address_where_nobody_was_ever_heard_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    slept_s: list[float] = []
    monkeypatch.setattr("edgepress_pipelines.kubeflow.api.transport.time.sleep", slept_s.append)
    with running_kfp() as kfp:
        known = connect(kfp)
        find_experiment(known, "any")
    known.client.rest_client.pool_manager.clear()
    refusal(connect(kfp))
    assert len(slept_s) == 1
    refusal(known)  # has answered, so it may be starting again
    assert len(slept_s) == 1 + QUICK.attempts - 1


def test_a_host_that_no_name_server_knows() -> None:
    error = refusal(Connection(ConnectionSettings(host="http://kfp.invalid", patience=Patience(attempts=1))))
    assert "cannot be resolved" in str(error)


def test_a_certificate_that_nobody_trusts_is_refused_until_its_authority_is_named(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with running_kfp(tls=context) as kfp:
        untrusted = refusal(connect(kfp))
        assert "--ca-file" in str(untrusted)
        assert untrusted.exit_code == 2
        assert find_experiment(connect(kfp, ca_file=certificate), "any") is None
        with pytest.raises(InputError, match="holds no certificate"):
            connect(kfp, ca_file=key)
        plain = refusal(Connection(ConnectionSettings(host=kfp.url.replace("https:", "http:"), patience=QUICK)))
        assert "the connection broke before the answer was complete; try again, or with https:// in --host" in str(plain)


def test_tls_to_a_server_without_is_said(kfp: KfpServer) -> None:
    connection = Connection(ConnectionSettings(host=kfp.url.replace("http:", "https:"), patience=QUICK))
    assert "does not speak TLS" in str(refusal(connection))


def test_every_page_of_a_list_is_read(kfp: KfpServer) -> None:
    connection = connect(kfp)
    for number in range(205):
        kfp.state.create_experiment({"display_name": f"experiment {number}"})
    assert len(list(every(connection.experiments.experiment_service_list_experiments, "experiments"))) == 205
    assert kfp.count("GET", "/experiments") == 3


@pytest.mark.parametrize("tag", ["2.16.0", "2.16.1", "2.17.0", "2.20.0-rc.1", "v2.18.0"])
def test_a_backend_that_is_new_enough(kfp: KfpServer, tag: str) -> None:
    kfp.tag_name = tag
    backend = check_backend(connect(kfp), None)
    assert backend.version >= MINIMUM_BACKEND
    assert not backend.is_multi_user


@pytest.mark.parametrize("tag", ["2.15.0", "2.5.0", "1.8.22", "unknown", "master", None])
def test_a_backend_that_is_too_old_or_unknown(kfp: KfpServer, tag: str | None) -> None:
    kfp.tag_name = tag
    with pytest.raises(InputError, match=str(MINIMUM_BACKEND).replace(".", r"\.")) as refused:
        check_backend(connect(kfp), None)
    assert "\n" not in str(refused.value)


def test_where_there_are_many_users_one_must_say_who(kfp: KfpServer) -> None:
    with running_kfp(is_multi_user=True) as shared:
        with pytest.raises(InputError, match="--namespace"):
            check_backend(connect(shared), None)
        connection = connect(shared)
        check_backend(connection, "from-config")
        assert connection.namespace == "from-config"
        connection = connect(shared, namespace="from-option")
        assert check_backend(connection, "from-config").pods_namespace == "from-option"
        assert find_experiment(connection, "any") is None
    single = connect(kfp, namespace="named-all-the-same")
    assert check_backend(single, None).pods_namespace == "named-all-the-same"
    assert single.namespace is None
    assert check_backend(single, None).pods_namespace == "named-all-the-same", "a second look forgets nothing"
    assert single.namespace is None


def test_a_namespace_that_changes_nothing_is_said_where_something_is_only_looked_at(kfp: KfpServer) -> None:
    said: list[str] = []
    check_reading(connect(kfp, namespace="team", tell=said.append))
    assert said == [f"{kfp.url}: serves one user, so --namespace team changes nothing here"]
    check_reading(connect(kfp, tell=said.append))
    with running_kfp(is_multi_user=True) as shared:
        check_reading(connect(shared, namespace="team", tell=said.append))
    assert len(said) == 1


def test_mistakes_in_the_connections_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "token"
    here.write_text("x")
    binary = tmp_path / "binary"
    binary.write_text("a\nb")
    empty = tmp_path / "empty"
    empty.touch()
    for settings, said in [
        (ConnectionSettings(), "no address of Kubeflow Pipelines; give --host URL or set EDGEPRESS_KFP_HOST"),
        (ConnectionSettings(host="kubeflow.example.org"), "is not a URL"),
        (ConnectionSettings(host="https://me:pass@kubeflow.example.org"), "--token-file"),
        (ConnectionSettings(host="https://me:my/pass@kubeflow.example.org"), "--token-file"),
        (ConnectionSettings(host="me:pass@kubeflow.example.org"), "--token-file"),
        (ConnectionSettings(host="https://me:pass@[kubeflow"), "--token-file"),
        (ConnectionSettings(host="http://[bad"), "--host 'http://[bad': is not a URL"),
        (ConnectionSettings(host="http://h:abc"), "is not a URL"),
        (ConnectionSettings(host="http://h:99999"), "is not a URL"),
        (ConnectionSettings(host="http://h:0"), "is not a URL"),
        (ConnectionSettings(host="http://h example"), "is not a URL"),
        (ConnectionSettings(host="http://h\nexample"), "is not a URL"),
        (ConnectionSettings(host="http://x", token_file=tmp_path / "none"), "cannot be read"),
        (ConnectionSettings(host="http://x", token_file=binary), "one line"),
        (ConnectionSettings(host="http://x", token_file=empty), f"--token-file {empty}: is empty"),
        (ConnectionSettings(host="http://x", cookie_file=here), f"--cookie-file {here}: is no cookie; write name=value"),
        (ConnectionSettings(host="http://x", ca_file=here), f"--ca-file {here}: holds no certificate"),
        (ConnectionSettings(host="http://x", ca_file=empty), f"--ca-file {empty}: holds no certificate"),
        (ConnectionSettings(host="http://x", namespace="Team A/b"), "--namespace 'Team A/b': must be 1 to 63 lower-case letters"),
        (ConnectionSettings(host="http://x", namespace=""), "--namespace '': must be"),
        (ConnectionSettings(host="http://x", token_file=here, cookie_file=here), "one of them"),
        (ConnectionSettings(host="http://x", ca_file=tmp_path / "none"), "--ca-file"),
    ]:
        with pytest.raises(InputError) as refused:
            Connection(settings)
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)
        assert "pass" not in str(refused.value).replace("password", "")
    monkeypatch.setenv(HOST_VARIABLE, "kubeflow.example.org")
    with pytest.raises(InputError, match=f"^{HOST_VARIABLE} 'kubeflow.example.org': is not a URL"):
        Connection(ConnectionSettings())
    monkeypatch.delenv(HOST_VARIABLE)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert Connection(ConnectionSettings()).host == "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
