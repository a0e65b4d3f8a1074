"""The release step against a real S3 server: published and readable, or nothing at all."""

import subprocess
import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from edgepress.contracts.config import ReleaseSettings
from edgepress.contracts.release import MANIFEST_NAME, PUBLISHED_NAME, read_published
from edgepress.contracts.run import RunContext
from edgepress.errors import InputError, IntegrityError, StorageError
from edgepress.release.fetch import fetch_bundle, list_releases
from edgepress.release.publish import publish_bundle
from edgepress.release.step import release
from edgepress.release.verify import verify_bundle
from edgepress.storage import ObjectStore, join_key, open_store
from edgepress.storage.embedded import EmbeddedStore
from tests.unit.release_files import Judged, write_judged
from tests.unit.store_environment import only

NOT_THERE = "sha256:" + "0" * 64


@pytest.fixture
def judged(tmp_path: Path) -> Judged:
    return write_judged(tmp_path)


def run_release(judged: Judged, output: Path, settings: ReleaseSettings, run_folder: str = "", run_id: str = "run-1") -> str:
    return release(
        name="digits",
        run_id=run_id,
        settings=settings,
        verdict=judged.verdict,
        nominee=judged.nominee,
        dataset=judged.dataset,
        output=output,
        run_folder=run_folder,
    )


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_the_run_s_folder_tells_what_was_published(kind: str, server: EmbeddedStore, judged: Judged, tmp_path: Path) -> None:
    storage = str(tmp_path / "workdir") if kind == "folder" else "s3://recorded/edgepress"
    run_folder = RunContext(name="digits", storage=storage).folder("run-1")
    uri = run_release(judged, tmp_path / "release", ReleaseSettings(endpoint_url=server.endpoint_url), run_folder)
    store, key = open_store(run_folder)
    store.download_file(join_key(key, PUBLISHED_NAME), tmp_path / PUBLISHED_NAME)
    published = read_published(tmp_path)
    assert published is not None
    assert (published.uri, (published.manifest, published.digest)) == (uri, verify_bundle(tmp_path / "release"))


def test_a_run_s_folder_that_cannot_be_written_fails_no_release(
    server: EmbeddedStore, judged: Judged, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("where the folder should be")
    uri = run_release(judged, tmp_path / "release", ReleaseSettings(endpoint_url=server.endpoint_url), str(tmp_path / "file" / "run-1"))
    assert f"published as {uri}, but the run's folder does not tell" in caplog.text


def test_a_passed_nominee_is_published_and_can_be_fetched(server: EmbeddedStore, judged: Judged, tmp_path: Path) -> None:
    settings = ReleaseSettings(uri="s3://fetched/some/releases/", endpoint_url=server.endpoint_url, golden_examples=3)
    uri = run_release(judged, tmp_path / "release", settings)
    manifest, digest = verify_bundle(tmp_path / "release")
    assert manifest.golden.examples == 3
    assert uri == f"s3://fetched/some/releases/digits/{digest.removeprefix('sha256:')}"
    store, prefix = open_store(settings.uri)
    assert list_releases(store, prefix, "digits") == [digest]
    assert list_releases(store, prefix, "digit") == []
    fetch_bundle(store, prefix, "digits", digest, tmp_path / "fetched")
    assert verify_bundle(tmp_path / "fetched") == (manifest, digest)
    with pytest.raises(InputError, match="exists already"):
        fetch_bundle(store, prefix, "digits", digest, tmp_path / "fetched")
    with pytest.raises(StorageError, match="there is no"):
        fetch_bundle(store, prefix, "digits", NOT_THERE, tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


class Later(datetime):
    """A clock that is a day ahead."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Later":
        return super().now(tz) + timedelta(days=1)


def test_a_run_that_releases_again_leaves_its_first_release_and_gives_that(
    server: EmbeddedStore, judged: Judged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a pod was lost after it had published."""
    settings = ReleaseSettings(uri="s3://again", endpoint_url=server.endpoint_url)
    first = run_release(judged, tmp_path / "first", settings)
    store, prefix = open_store(settings.uri)
    store.put_bytes("digits/" + "0" * 64 + "/manifest.json", b"damaged")
    before = store.list_objects()
    monkeypatch.setattr("edgepress.release.bundle.datetime", Later)
    assert run_release(judged, tmp_path / "second", settings) == first
    assert store.list_objects() == before
    assert verify_bundle(tmp_path / "second") == verify_bundle(tmp_path / "first")
    assert run_release(judged, tmp_path / "other", settings, run_id="run-2") != first
    assert len(list_releases(store, prefix, "digits")) == 3


def test_a_rejected_nominee_is_not_published(server: EmbeddedStore, tmp_path: Path) -> None:
    judged = write_judged(tmp_path, kind="rejected")
    with pytest.raises(IntegrityError, match="the verdict is rejected"):
        run_release(judged, tmp_path / "release", ReleaseSettings(uri="s3://rejected/x", endpoint_url=server.endpoint_url))
    assert open_store("s3://rejected")[0].list_keys() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "nominee", "verdict"]


def test_a_store_that_refuses_leaves_no_bundle(server: EmbeddedStore, judged: Judged, tmp_path: Path) -> None:
    settings = ReleaseSettings(endpoint_url=server.endpoint_url)
    stranger = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "something"}
    with only(stranger), pytest.raises(StorageError, match="were not accepted"):
        run_release(judged, tmp_path / "release", settings)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "nominee", "verdict"]


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return open_store(str(tmp_path / "objects"))[0]
    request.getfixturevalue("server")
    store, _ = open_store("s3://publish")
    for key in store.list_keys():
        store.delete(key)
    return store


@pytest.fixture(scope="module")
def bundle(server: EmbeddedStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    run_release(write_judged(folder), folder / "release", ReleaseSettings(uri="s3://bundles", endpoint_url=server.endpoint_url))
    return folder / "release"


def test_publishing_again_changes_nothing(store: ObjectStore, bundle: Path) -> None:
    target = publish_bundle(bundle, store, "p")
    before = {key: store.get_bytes(key) for key in store.list_keys()}
    assert publish_bundle(bundle, store, "p") == target
    assert {key: store.get_bytes(key) for key in store.list_keys()} == before
    assert set(before) == {f"{target}/{path.relative_to(bundle).as_posix()}" for path in bundle.rglob("*") if path.is_file()}


def test_what_a_killed_attempt_left_is_completed_and_torn_objects_are_written_again(
    store: ObjectStore, bundle: Path, tmp_path: Path
) -> None:
    digest = verify_bundle(bundle)[1]
    target = f"p/digits/{digest.removeprefix('sha256:')}"
    store.put_file(f"{target}/verdict.json", bundle / "verdict.json")
    store.put_bytes(f"{target}/model.tflite", b"torn")
    assert list_releases(store, "p", "digits") == []
    publish_bundle(bundle, store, "p")
    assert list_releases(store, "p", "digits") == [digest]
    fetch_bundle(store, "p", "digits", digest, tmp_path / "fetched")


def test_a_damaged_bundle_is_not_uploaded(store: ObjectStore, bundle: Path, tmp_path: Path) -> None:
    target = publish_bundle(bundle, store, "p")
    fetch_bundle(store, "p", "digits", f"sha256:{target.rsplit('/', 1)[1]}", tmp_path / "damaged")
    (tmp_path / "damaged" / "model.tflite").write_bytes(b"x")
    with pytest.raises(IntegrityError, match=r"model\.tflite"):
        publish_bundle(tmp_path / "damaged", store, "q")
    assert store.list_keys("q") == []


@pytest.mark.parametrize("name", ["model.tflite", MANIFEST_NAME])
def test_a_reader_notices_what_was_changed_in_the_store(store: ObjectStore, bundle: Path, tmp_path: Path, name: str) -> None:
    target = publish_bundle(bundle, store, "p")
    content = store.get_bytes(f"{target}/{name}")
    store.put_bytes(f"{target}/{name}", content.replace(b"run-1", b"run-2") if name == MANIFEST_NAME else content[:-1] + b"?")
    with pytest.raises(IntegrityError, match=r"model\.tflite|holds bundle"):
        fetch_bundle(store, "p", "digits", f"sha256:{target.rsplit('/', 1)[1]}", tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()
    if name == MANIFEST_NAME:
        with pytest.raises(StorageError, match="holds another manifest"):
            publish_bundle(bundle, store, "p")


def test_by_hand_it_prints_where_the_bundle_is_published(server: EmbeddedStore, judged: Judged, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgepress.release", "--name", "digits", "--run-id", "r", "--settings", "{uri: s3://by-hand/x}"]
    paths = ["--verdict", judged.verdict, "--nominee", judged.nominee, "--dataset", judged.dataset, "--output", tmp_path / "release"]
    done = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, f"s3://by-hand/{open_store('s3://by-hand')[0].list_keys()[0].rsplit('/', 2)[0]}")
    again = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, timeout=60, check=False)
    assert (again.returncode, again.stderr.strip().splitlines()[-1]) == (
        2,
        f"edgepress: error: {tmp_path / 'release'}: exists already; name a directory that does not",
    )
