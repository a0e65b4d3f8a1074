"""Publishing under faults: afterwards there is no release, or it is complete; and the next attempt always completes it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edgepress.contracts.release import read_manifest
from edgepress.errors import StorageError
from edgepress.release.bundle import build_bundle
from edgepress.release.fetch import fetch_bundle, list_releases
from edgepress.release.publish import publish_bundle
from edgepress.release.verify import verify_bundle
from edgepress.storage import ObjectStore, open_store
from edgepress.storage.embedded import EmbeddedStore
from tests.faults.s3_proxy import Fault, Plan, S3Proxy, running_proxy
from tests.unit.release_files import write_judged
from tests.unit.store_environment import only

URI = "s3://edgepress/releases"
NAME = "digits"
OBJECTS = 8
"""The bundle's seven files and its manifest: what the uploads are counted against."""

PUBLISH = """
import sys
from pathlib import Path
from edgepress.release.publish import publish_bundle
from edgepress.storage import open_store
publish_bundle(Path(sys.argv[1]), *open_store(sys.argv[2], sys.argv[3]))
"""


@pytest.fixture(scope="module")
def proxy(server: EmbeddedStore) -> Iterator[S3Proxy]:
    with running_proxy(server.endpoint_url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    judged = write_judged(folder, padding_bytes=200_000)
    (folder / "release").mkdir()
    build_bundle(
        folder / "release",
        name=NAME,
        run_id="run-1",
        verdict=judged.verdict,
        nominee=judged.nominee,
        dataset=judged.dataset,
        golden_examples=4,
    )
    assert len(read_manifest(folder / "release")[0].files) + 1 == OBJECTS
    return folder / "release"


@pytest.fixture
def store(server: EmbeddedStore) -> ObjectStore:
    store, _ = open_store(URI)
    empty(store)
    return store


def empty(store: ObjectStore) -> None:
    for key in store.list_keys():
        store.delete(key)


def is_published(store: ObjectStore, bundle: Path, scratch: Path) -> bool:
    """Whether readers see a release; one that they see is complete and works, or this fails."""
    releases = list_releases(store, "releases", NAME)
    if releases:
        assert releases == [read_manifest(bundle)[1]]
        output = scratch / f"fetched-{time.monotonic_ns()}"
        fetch_bundle(store, "releases", NAME, releases[0], output)
        verify_bundle(output)
    return bool(releases)


@pytest.mark.parametrize("dead_afterwards", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("fault", ["not sent", "cut", "answer lost"])
def test_a_fault_at_any_upload_leaves_a_whole_release_or_none(
    store: ObjectStore,
    proxy: S3Proxy,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    dead_afterwards: bool,
) -> None:
    monkeypatch.setattr("edgepress.storage.s3_client.ATTEMPTS", 1)  # retries would hide the fault; another test has them
    monkeypatch.setattr("edgepress.storage.s3.ATTEMPTS", 1)
    for at_put in range(1, OBJECTS + 1):
        empty(store)
        proxy.plan = Plan(fault, at_put, dead_afterwards)
        committing = at_put == OBJECTS
        arrived = committing and fault == "answer lost"
        if arrived and not dead_afterwards:
            publish_bundle(bundle, *open_store(URI, proxy.endpoint_url))  # it looks, and finds its own manifest there
        else:
            with pytest.raises(StorageError, match="is not known" if committing else "was not published") as raised:
                publish_bundle(bundle, *open_store(URI, proxy.endpoint_url))
            assert "\n" not in str(raised.value)
        assert is_published(store, bundle, tmp_path) is arrived, f"upload {at_put}"
        if not dead_afterwards and not committing:
            assert store.list_keys() == [], f"upload {at_put} left objects although the store answered"
        publish_bundle(bundle, store, "releases")
        assert is_published(store, bundle, tmp_path)


@pytest.mark.parametrize("fault", ["not sent", "cut", "answer lost"])
def test_a_single_fault_is_overcome_by_retrying(store: ObjectStore, proxy: S3Proxy, bundle: Path, tmp_path: Path, fault: Fault) -> None:
    for at_put in (2, OBJECTS):
        empty(store)
        proxy.plan = Plan(fault, at_put)
        publish_bundle(bundle, *open_store(URI, proxy.endpoint_url))
        assert proxy.plan.puts == OBJECTS + 1
        assert is_published(store, bundle, tmp_path)


@pytest.mark.parametrize("at_put", [1, 4, OBJECTS - 1, OBJECTS])
@pytest.mark.parametrize("fault", ["not sent", "answer lost"])
def test_a_killed_uploader_is_completed_by_the_next_run(
    store: ObjectStore, proxy: S3Proxy, bundle: Path, tmp_path: Path, fault: Fault, at_put: int
) -> None:
    uploader: list[subprocess.Popen[bytes]] = []
    proxy.plan = Plan(fault, at_put, before=lambda: uploader[0].kill())
    uploader.append(subprocess.Popen([sys.executable, "-c", PUBLISH, str(bundle), URI, proxy.endpoint_url]))
    assert uploader[0].wait(60) == -9
    if fault == "not sent":
        assert not is_published(store, bundle, tmp_path)
        assert len(store.list_keys()) == at_put - 1
    publish_bundle(bundle, store, "releases")
    assert is_published(store, bundle, tmp_path)


@pytest.mark.parametrize("at_put", [3, OBJECTS])
def test_a_killed_server_comes_back_with_a_whole_release_or_none(bundle: Path, tmp_path: Path, at_put: int) -> None:
    with ExitStack() as running:
        server = running.enter_context(EmbeddedStore(tmp_path / "store"))
        proxy = running.enter_context(running_proxy(server.endpoint_url))
        running.enter_context(only(server.environment))
        open_store(URI)
        proxy.plan = Plan("none", at_put, before=lambda: os.killpg(server.pid, 9))
        with pytest.raises(StorageError, match="cannot be reached") as raised:
            publish_bundle(bundle, *open_store(URI, proxy.endpoint_url))
        assert "\n" not in str(raised.value)
    with EmbeddedStore(tmp_path / "store") as restarted, only(restarted.environment):
        store, prefix = open_store(URI)
        assert not is_published(store, bundle, tmp_path)
        publish_bundle(bundle, store, prefix)
        assert is_published(store, bundle, tmp_path)


def test_a_publication_that_is_repeated_under_faults_stays_whole(
    store: ObjectStore, proxy: S3Proxy, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What readers already rely on is not removed when publishing it again fails."""
    monkeypatch.setattr("edgepress.storage.s3_client.ATTEMPTS", 1)
    monkeypatch.setattr("edgepress.storage.s3.ATTEMPTS", 1)
    target = publish_bundle(bundle, store, "releases")
    store.delete(f"{target}/verdict.json")
    store.delete(f"{target}/model.tflite")
    proxy.plan = Plan("not sent", at_put=2)  # the first repaired object arrives, the second does not
    with pytest.raises(StorageError, match="was not published"):
        publish_bundle(bundle, *open_store(URI, proxy.endpoint_url))
    assert store.exists(f"{target}/model.tflite")
    publish_bundle(bundle, store, "releases")
    assert is_published(store, bundle, tmp_path)


def test_an_endpoint_that_swallows_packets_is_given_up_in_one_line(server: EmbeddedStore, bundle: Path) -> None:
    """A listener whose queue is full drops every further connection, as a firewall does."""
    with ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        began = time.monotonic()
        with pytest.raises(StorageError, match="cannot be reached after 3 attempts") as raised:
            publish_bundle(bundle, *open_store(URI, f"http://127.0.0.1:{address[1]}"))
        assert 2 < time.monotonic() - began < 16
        assert "\n" not in str(raised.value)
