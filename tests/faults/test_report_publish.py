"""Publishing a run's summary: what is where, and that a reader never sees half of it."""

from pathlib import Path

import pytest

from edgepress.contracts.last_verdict import Fingerprint, LastVerdict, last_verdict_key
from edgepress.errors import StorageError
from edgepress.report.publish import publish_summary
from edgepress.storage import ObjectStore, open_store
from edgepress.storage.embedded import EmbeddedStore
from tests.faults.s3_proxy import Plan, running_proxy

FINGERPRINT = Fingerprint(code=f"sha256:{'b' * 64}", configuration=f"sha256:{'c' * 64}", dataset=f"sha256:{'a' * 64}")
FILES = ("evaluations/int8.json", "evaluations/test/baseline.json", "leaderboard.csv", "models/int8.tflite", "report.html", "verdict.json")


@pytest.fixture
def summary(tmp_path: Path) -> Path:
    folder = tmp_path / "summary"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"content of {name}")
    return folder


def verdict(run_id: str, started_unix_s: float = 1.0) -> LastVerdict:
    return LastVerdict(run_id=run_id, started_unix_s=started_unix_s, fingerprint=FINGERPRINT, outcome="rejected")


def publish(summary: Path, storage: str, run_id: str, started_unix_s: float = 1.0) -> str:
    return publish_summary(summary, storage, "digits", verdict(run_id, started_unix_s))


def last_verdict(store: ObjectStore, prefix: str) -> LastVerdict:
    return LastVerdict.model_validate_json(store.get_bytes(f"{prefix}/{last_verdict_key('digits')}"))


@pytest.mark.usefixtures("server")
def test_everything_is_published_and_the_newest_verdict_is_this_one(summary: Path) -> None:
    store, _ = open_store("s3://published")
    for run_id in ("r1", "r2"):
        assert publish(summary, "s3://published/a/b/", run_id) == f"s3://published/a/b/runs/{run_id}"
        assert last_verdict(store, "a/b") == verdict(run_id)
    assert store.list_keys("a/b/runs/r2/") == [f"a/b/runs/r2/{name}" for name in FILES]
    assert store.get_bytes("a/b/runs/r1/models/int8.tflite") == b"content of models/int8.tflite"


@pytest.mark.usefixtures("server")
def test_a_run_that_started_earlier_and_ends_later_does_not_take_the_newest_verdict_s_place(
    summary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, _ = open_store("s3://ordered")
    publish(summary, "s3://ordered/p", "second", 20.0)
    publish(summary, "s3://ordered/p", "first", 10.0)
    assert last_verdict(store, "p").run_id == "second"
    assert "run second started later" in capsys.readouterr().out
    assert store.exists("p/runs/first/verdict.json")
    publish(summary, "s3://ordered/p", "second", 20.0)  # the task again
    publish(summary, "s3://ordered/p", "third", 30.0)
    assert last_verdict(store, "p") == verdict("third", 30.0)


@pytest.mark.usefixtures("server")
def test_a_record_of_another_release_is_replaced(summary: Path) -> None:
    store, _ = open_store("s3://released")
    store.put_bytes(f"p/{last_verdict_key('digits')}", b'{"schema_version": 1, "run_id": "old"}')
    publish(summary, "s3://released/p", "new")
    assert last_verdict(store, "p").run_id == "new"


@pytest.mark.parametrize("broken_put", range(1, len(FILES) + 2))
def test_a_reader_never_sees_half(broken_put: int, server: EmbeddedStore, summary: Path) -> None:
    prefix = f"{broken_put}"
    with running_proxy(server.endpoint_url) as proxy:
        store, _ = open_store("s3://halves")
        publish(summary, f"s3://halves/{prefix}", "before")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint_url)
            patch.setattr("edgepress.storage.opening.TASK_PATIENCE_S", 0.0)
            proxy.plan = Plan(fault="not sent", at_put=broken_put, dead_afterwards=True)
            with pytest.raises(StorageError):
                publish(summary, f"s3://halves/{prefix}", "after")
        there = set(store.list_keys(f"{prefix}/runs/after/"))
        assert last_verdict(store, prefix).run_id == "before"
        if f"{prefix}/runs/after/verdict.json" in there:
            assert there == {f"{prefix}/runs/after/{name}" for name in FILES}
        publish(summary, f"s3://halves/{prefix}", "after")
        assert last_verdict(store, prefix).run_id == "after"


def test_a_lost_answer_is_mended_by_trying_again(server: EmbeddedStore, summary: Path) -> None:
    with running_proxy(server.endpoint_url) as proxy:
        store, _ = open_store("s3://mended")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint_url)
            proxy.plan = Plan(fault="answer lost", at_put=3)
            publish(summary, "s3://mended/p", "r1")
        assert last_verdict(store, "p").run_id == "r1"
