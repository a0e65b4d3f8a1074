"""Who asks KFP: tokens, cookies, where they come from, and what happens while they are renewed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgepress_pipelines.kubeflow.api.experiments import find_experiment
from edgepress_pipelines.kubeflow.api.variables import COOKIE_VARIABLE, HOST_VARIABLE, POD_TOKEN_VARIABLE, TOKEN_VARIABLE
from tests.kfp_api.server import Door, KfpServer, running_kfp
from tests.pipelines.cluster_project import connect, refusal


@pytest.fixture
def kfp() -> Iterator[KfpServer]:
    with running_kfp() as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (TOKEN_VARIABLE, COOKIE_VARIABLE, HOST_VARIABLE, POD_TOKEN_VARIABLE, "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("origin", ["file", "variable", "pod"])
def test_a_token_opens_the_door(kfp: KfpServer, origin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kfp.door = Door(tokens={"s3cret": frozenset()})
    assert refusal(connect(kfp)).status == 401
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    if origin == "variable":
        monkeypatch.setenv(TOKEN_VARIABLE, "s3cret")
    if origin == "pod":
        monkeypatch.setenv(POD_TOKEN_VARIABLE, str(token))
    connection = connect(kfp, token_file=token if origin == "file" else None)
    assert find_experiment(connection, "any") is None


def test_a_renewed_token_is_used_without_connecting_again(kfp: KfpServer, tmp_path: Path) -> None:
    kfp.door = Door(tokens={"first": frozenset()})
    token = tmp_path / "token"
    token.write_text("first")
    connection = connect(kfp, token_file=token)
    find_experiment(connection, "any")
    kfp.door = Door(tokens={"second": frozenset()})
    assert refusal(connection).status == 401
    token.write_text("second")
    find_experiment(connection, "any")


@pytest.mark.parametrize("kind", ["token", "cookie"])
def test_a_credential_that_is_just_being_renewed_is_waited_for(
    kfp: KfpServer, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kfp.door = Door(tokens={"s=x": frozenset()}) if kind == "token" else Door(cookie="s=x")
    file = tmp_path / kind
    file.write_text("s=x")
    connection = connect(kfp, token_file=file) if kind == "token" else connect(kfp, cookie_file=file)
    file.write_text("")

    def renew(seconds: float) -> None:
        file.write_text("s=x")

    monkeypatch.setattr("edgepress_pipelines.kubeflow.api.transport.time.sleep", renew)
    assert find_experiment(connection, "any") is None
    assert len(kfp.requests) == 1


@pytest.mark.parametrize("left", ["empty", "gone"])
def test_a_credential_that_stays_away_is_kubeflows_trouble_and_passes(kfp: KfpServer, left: str, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("x")
    connection = connect(kfp, token_file=token)
    token.unlink()
    if left == "empty":
        token.touch()
    error = refusal(connection)
    assert str(error).startswith(f"--token-file {token}: ")
    assert error.is_transient
    assert not error.may_have_acted
    assert kfp.requests == []


def test_a_cookie_passes_the_gateway_and_no_cookie_meets_its_login_page(kfp: KfpServer, tmp_path: Path) -> None:
    kfp.door = Door(cookie="authservice_session=abc")
    error = refusal(connect(kfp))
    assert "(302)" in str(error)
    assert "login page" in str(error)
    assert "--cookie-file" in str(error)
    assert "GET /dex/auth" not in kfp.requests  # nothing is sent where a redirect points
    assert error.exit_code == 2
    cookie = tmp_path / "cookie"
    cookie.write_text("authservice_session=abc\n")
    assert find_experiment(connect(kfp, cookie_file=cookie), "any") is None
    kfp.door = Door(cookie="authservice_session=def")
    expired = str(refusal(connect(kfp, cookie_file=cookie)))
    assert "the credentials were not accepted, a cookie or token may have expired" in expired
    assert "--cookie-file" not in expired


def test_a_context_that_kfp_saved_for_another_host_is_not_sent(kfp: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    saved = tmp_path / ".config" / "kfp" / "context.json"
    saved.parent.mkdir(parents=True)
    saved.write_text('{"namespace": "else", "client_authentication_cookie": "authservice_session=abc"}')
    kfp.door = Door(cookie="authservice_session=abc")
    assert "login page" in str(refusal(connect(kfp)))
