"""Whether a run's tasks will get into the object store, as far as this machine can tell before the run is started."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgepress.errors import InputError
from edgepress_pipelines.kubeflow.preflight import check_run
from tests.kfp_api.server import running_kfp
from tests.pipelines.cluster_project import connect, read_config
from tests.unit import store_environment
from tests.unit.broken_servers import closed_port

EMPTY = '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated></ListBucketResult>'


@contextmanager
def store_that_answers(status: int, body: str) -> Iterator[tuple[str, list[str]]]:
    """An S3 endpoint with one answer to everything, and the requests it has got."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", requests
        finally:
            server.shutdown()
            thread.join()


def check(folder: Path, endpoint: str, *, with_credentials: bool = True) -> list[str]:
    """What is told besides the line about the Secret; nothing may be left behind."""
    said: list[str] = []
    account = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "something"} if with_credentials else {}
    with running_kfp() as kfp, store_environment.only({"AWS_ENDPOINT_URL_S3": endpoint} | account):
        try:
            check_run(read_config(folder), connect(kfp), None, said.append)
        finally:
            assert kfp.state.is_empty()
    return [line for line in said if "Secret edgepress-s3" not in line]


def test_a_store_that_lets_this_machine_in_is_fine(tmp_path: Path) -> None:
    with store_that_answers(200, EMPTY) as (endpoint, requests):
        assert check(tmp_path, endpoint) == []
    assert len(requests) == 1
    assert requests[0].startswith("/runs-bucket?")
    assert "prefix=edgepress%2F" in requests[0]


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AccessDenied", "access denied"),
        (403, "InvalidAccessKeyId", "the credentials were not accepted"),
        (403, "SignatureDoesNotMatch", "the credentials were not accepted"),
        (404, "NoSuchBucket", "there is no such bucket"),
    ],
)
def test_a_store_that_refuses_is_told_before_a_run_is_started(tmp_path: Path, status: int, code: str, said: str) -> None:
    answer = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
    with store_that_answers(status, answer) as (endpoint, _), pytest.raises(InputError, match=said) as refused:
        check(tmp_path, endpoint)
    assert str(refused.value).startswith(f"resources.kubeflow.storage_uri: {endpoint}, bucket 'runs-bucket': ")
    assert "\n" not in str(refused.value)


def test_a_store_that_this_machine_does_not_reach_may_be_reached_by_pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgepress.storage.s3.ATTEMPTS", 1)
    with closed_port() as endpoint:
        (line,) = check(tmp_path, endpoint)
    assert line.startswith(f"not checked from here: the object store ({endpoint}, bucket 'runs-bucket': the endpoint cannot be reached")


def test_a_store_that_this_machine_has_no_credentials_for_is_not_asked(tmp_path: Path) -> None:
    with store_that_answers(200, EMPTY) as (endpoint, requests):
        (line,) = check(tmp_path, endpoint, with_credentials=False)
    assert "there are no credentials" in line
    assert requests == []
