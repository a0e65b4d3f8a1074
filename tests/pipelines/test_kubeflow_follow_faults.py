"""Following a run while Kubeflow, the object store or the credentials fail: what is survived, and what ends it how."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from edgepress.errors import StorageError
from edgepress.storage import open_store
from edgepress.storage.embedded import EmbeddedStore
from edgepress.storage.filesystem import FilesystemStore
from edgepress.storage.s3_client import ATTEMPTS
from edgepress_pipelines.kubeflow.api.errors import KubeflowError
from edgepress_pipelines.kubeflow.runs.folder import RunFolder
from edgepress_pipelines.kubeflow.runs.follow import follow_run
from edgepress_pipelines.kubeflow.runs.record import read_run
from tests.faults.s3_proxy import Fault as S3Fault
from tests.faults.s3_proxy import Plan, running_proxy
from tests.kfp_api.faults import Fault, Kind
from tests.kfp_api.server import running_kfp
from tests.pipelines.cluster_project import PUBLISHED_URI, connect
from tests.pipelines.followed_run import PACE, Listener, Submitted, submit
from tests.unit.store_environment import only

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def submitted(tmp_path: Path) -> Iterator[Submitted]:
    with running_kfp() as kfp:
        yield submit(kfp, tmp_path, str(tmp_path / "store"))


def test_an_event_is_not_lost_when_the_store_hiccups(submitted: Submitted, monkeypatch: pytest.MonkeyPatch) -> None:
    read = FilesystemStore.get_bytes
    hiccups = [StorageError("the store is away")] * 3

    def hiccup(self: FilesystemStore, key: str) -> bytes:
        if ".failed." in key and hiccups:
            raise hiccups.pop()
        return read(self, key)

    monkeypatch.setattr(FilesystemStore, "get_bytes", hiccup)

    def fail() -> None:
        submitted.tasks.event("evaluate", "int8", "started", 1.0)  # read before the hiccup
        submitted.tasks.event("ingest", None, "failed", 2.0, message="data.npz: there is no array y", exit_code=2)

    outcome, heard = submitted.follow(
        ("tasks planned", fail),
        ("evaluate.int8 started", lambda: None),
        ("ingest.None failed", submitted.goes("FAILED")),
    )
    assert hiccups == []
    assert outcome.exit_code == 2
    assert sum("only the run's state" in text for text in heard) == 1


def test_an_event_that_cannot_be_understood_costs_no_other(submitted: Submitted) -> None:
    def fail() -> None:
        submitted.tasks.write("events/a.1.started.json", b'{"other": 1}')
        submitted.tasks.event("ingest", None, "failed", 1.0, message="data.npz: there is no array y", exit_code=2)
        submitted.goes("FAILED")()

    outcome, heard = submitted.follow(("tasks planned", fail))
    assert outcome.exit_code == 2
    assert sum("a.1.started.json is not an event" in text for text in heard) == 1


@pytest.mark.parametrize("kind", ["drop", "lose answer", "cut answer", "refuse"])
def test_a_connection_that_drops_while_waiting(submitted: Submitted, kind: Kind) -> None:
    fault = Fault(kind, at="GET .*/runs/", times=10)  # more than one request's attempts
    outcome, heard = submitted.follow(
        ("tasks planned", submitted.goes("RUNNING")),
        ("pending -> running", lambda: submitted.kfp.faults.add(fault)),
        ("still following", submitted.ends("passed")),
    )
    assert outcome.exit_code == 0
    assert sum("still following" in text for text in heard) == 1
    assert any("answers again" in text for text in heard)


def test_kubeflow_that_stays_away_ends_the_following_not_the_run(submitted: Submitted) -> None:
    submitted.kfp.faults.add(Fault("drop", at="GET .*/runs/", times=10_000))
    with pytest.raises(KubeflowError, match="connection broke"):
        submitted.follow(pace=replace(PACE, lost_limit_s=0.2))
    assert submitted.kfp.only_run()["state"] == "PENDING"


def test_credentials_that_expire_while_waiting_end_the_following(submitted: Submitted) -> None:
    submitted.kfp.faults.add(Fault("refuse", at="GET .*/runs/", times=10_000, status=401))
    with pytest.raises(KubeflowError, match="401"):
        submitted.follow()


def test_a_store_that_cannot_be_read_leaves_the_runs_state(submitted: Submitted) -> None:
    blocked = submitted.workdir.parent / "blocked"
    blocked.write_text("a file where the store's folder should be")
    run = replace(submitted.run, storage_uri=str(blocked))
    outcome, heard = replace(submitted, run=run).follow(
        ("tasks planned", submitted.goes("RUNNING")), ("pending -> running", submitted.goes("SUCCEEDED"))
    )
    assert sum("only the run's state" in text for text in heard) <= 1
    assert outcome.exit_code == 1
    assert outcome.message is not None
    assert submitted.run.run_id in outcome.message


def test_a_key_that_leads_out_of_the_runs_folder_is_refused(submitted: Submitted, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = FilesystemStore.list_keys
    key = f"runs/{submitted.run.run_id}/../../escaped"
    monkeypatch.setattr(FilesystemStore, "list_keys", lambda self, prefix="": [*listed(self, prefix), key])
    outcome, _ = submitted.follow(("tasks planned", submitted.ends("passed")))
    assert outcome.exit_code == 1
    assert outcome.message is not None
    assert "is no plain relative path" in outcome.message
    assert not (submitted.workdir / "escaped").exists()


@dataclass
class Outage(Plan):
    """Drops so many requests, whatever they are."""

    drops: int = 0

    def fault_of(self, method: str) -> S3Fault:
        with self.lock:
            self.drops, dropped = max(0, self.drops - 1), self.drops > 0
        return "not sent" if dropped else "none"


def test_a_store_that_restarts_when_the_run_has_ended_is_waited_for(server: EmbeddedStore, tmp_path: Path) -> None:
    with running_kfp() as kfp, running_proxy(server.endpoint_url) as proxy:
        open_store("s3://runs-bucket")  # makes the bucket
        proxy.plan = outage = Outage()
        with only({**server.environment, "AWS_ENDPOINT_URL_S3": proxy.endpoint_url}):
            submitted = submit(kfp, tmp_path, "s3://runs-bucket/edgepress")

            def fall_silent() -> None:
                outage.drops = 2 * ATTEMPTS + 1  # more than two operations try without patience

            outcome, _ = submitted.follow(
                ("tasks planned", submitted.goes("RUNNING")),
                ("pending -> running", lambda: submitted.tasks.event("ingest", None, "started", 0.5)),
                ("ingest.None started", submitted.ends("passed")),
                ("running -> succeeded", fall_silent),
            )
    assert outage.drops == 0
    assert (outcome.exit_code, outcome.message, outcome.published_uri) == (0, None, PUBLISHED_URI)


def test_a_store_that_never_answered_is_not_waited_for_at_the_end(submitted: Submitted, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: FilesystemStore, prefix: str = "") -> list[str]:
        raise StorageError("the endpoint cannot be reached")

    waited: list[float] = []
    monkeypatch.setattr(FilesystemStore, "list_keys", refuse)
    monkeypatch.setattr(RunFolder, "wait_for_store", lambda self, patience_s: waited.append(patience_s))
    outcome, _ = submitted.follow(("only the run's state", submitted.goes("SUCCEEDED")))
    assert waited == []
    assert outcome.exit_code == 1
    assert outcome.message is not None
    assert f"fetch them later with: edgepress runs follow {submitted.run.run_id}" in outcome.message
    again, _ = replace(submitted, run=read_run(connect(submitted.kfp), submitted.run.run_id)).follow()
    assert waited == [PACE.store_patience_s]
    assert again.exit_code == 1


def test_a_token_file_that_is_being_replaced_is_waited_for(submitted: Submitted, tmp_path: Path) -> None:
    token = tmp_path / "token"

    def hold(content: str) -> None:
        token.write_text(content)

    hold("t0ken")
    listener = Listener(
        [
            ("tasks planned", submitted.goes("RUNNING")),
            ("pending -> running", lambda: hold("")),
            ("still following", lambda: hold("t0ken")),
            ("answers again", submitted.ends("passed")),
        ]
    )
    outcome = follow_run(connect(submitted.kfp, token_file=token), submitted.run, submitted.workdir, listener, PACE)
    assert listener.steps == []
    assert outcome.exit_code == 0


def test_a_token_file_that_stays_empty_ends_the_following(submitted: Submitted, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t0ken")
    connection = connect(submitted.kfp, token_file=token)
    token.write_text("")
    with pytest.raises(KubeflowError, match="token"):
        follow_run(connection, submitted.run, submitted.workdir, Listener(), replace(PACE, lost_limit_s=0.1))


def test_results_that_arrive_in_part_hold_no_verdict(submitted: Submitted, monkeypatch: pytest.MonkeyPatch) -> None:
    download = FilesystemStore.download_file

    def refuse_models(self: FilesystemStore, key: str, path: Path) -> None:
        if "/models/" in key:
            raise StorageError("the store is down")
        download(self, key, path)

    monkeypatch.setattr(FilesystemStore, "download_file", refuse_models)
    outcome, _ = submitted.follow(("tasks planned", submitted.ends("passed")))
    assert outcome.exit_code == 1
    assert not (outcome.run_dir / "verdict.json").exists()
    assert not (submitted.workdir / "runs" / "latest").exists()
