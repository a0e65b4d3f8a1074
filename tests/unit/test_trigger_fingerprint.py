"""The fingerprint of a run: it changes with whatever can change a verdict, and with nothing else."""

import shutil
from pathlib import Path

import pytest

from edgepress.contracts.last_verdict import Fingerprint
from edgepress.errors import DataError, StorageError
from edgepress.storage import open_store
from edgepress.storage.embedded import EmbeddedStore
from edgepress.storage.source_digest import digest_in_place
from edgepress_pipelines.config.file import load_config
from edgepress_pipelines.trigger.fingerprint import digest_dataset, take_fingerprint

CODE = f"sha256:{'1' * 64}"
CONFIG = """
name: pets
dataset: {source: pets.npz}
baseline: {module: model.py}
recipes: [{recipe: int8}, {recipe: pruned, prune: {final_sparsity: 0.5}}]
gate: {accuracy: {max_drop: 0.02}}
schedule: {cron: "0 3 * * *"}
resources: {kubeflow: {storage_uri: s3://edgepress/runs}}
release: {uri: s3://edgepress/releases}
"""
MODULE = "def build_model(**params):\n    return None\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "model.py").write_text(MODULE)
    (folder / "pets.npz").write_bytes(b"one")
    return folder


def taken(project: Path, *overrides: str) -> Fingerprint:
    config = load_config(project / "config.yaml", overrides)
    return take_fingerprint(config, CODE, dataset=digest_dataset(config))


@pytest.mark.parametrize(
    "override",
    [
        "schedule.cron=0 4 * * *",
        "schedule=null",
        "resources.parallelism=2",
        "resources.kubeflow.storage_uri=s3://elsewhere",
        "dataset.seed=0",
        "recipes.int8.convert={}",
    ],
)
def test_what_changes_no_verdict_leaves_it_alone(project: Path, override: str) -> None:
    assert taken(project, override) == taken(project)


@pytest.mark.parametrize(
    "override",
    [
        "name=cats",
        "dataset.seed=1",
        "dataset.test_fraction=0.3",
        "baseline.params={units: 3}",
        "baseline.train.epochs=3",
        "recipes.int8.convert.quantization=float16",
        "recipes.pruned.prune.final_sparsity=0.6",
        "gate.accuracy.max_drop=0.03",
        "benchmark.rounds=60",
        "release.uri=s3://elsewhere/releases",
    ],
)
def test_a_setting_that_can_change_a_verdict_changes_the_configuration_alone(project: Path, override: str) -> None:
    assert taken(project, override).differences(taken(project)) == ("the configuration",)


def test_files_count_by_content_and_not_by_place(project: Path, tmp_path: Path) -> None:
    before = taken(project)
    moved = tmp_path / "elsewhere"
    shutil.copytree(project, moved)
    assert taken(moved) == before
    (moved / "model.py").write_text(MODULE + "# comment\n")
    assert taken(moved).differences(before) == ("the configuration",)
    (moved / "pets.npz").write_bytes(b"two")
    assert taken(moved).differences(before) == ("the dataset", "the configuration")


def test_an_adopted_model_counts_by_content(project: Path) -> None:
    (project / "model.h5").write_bytes(b"weights")
    adopt = ("baseline={from: model.h5}",)
    before = taken(project, *adopt)
    (project / "model.h5").write_bytes(b"Weights")
    assert taken(project, *adopt).differences(before) == ("the configuration",)


def test_the_parameter_is_read_back_as_it_was(project: Path) -> None:
    complete, open_end = taken(project), take_fingerprint(load_config(project / "config.yaml"), CODE)
    assert Fingerprint.from_parameter(complete.as_parameter()) == complete
    assert Fingerprint.from_parameter(open_end.as_parameter()) == open_end
    assert complete.dataset is not None
    assert open_end.of_dataset(complete.dataset) == complete
    assert len(complete.as_parameter()) < 300
    for other in ("", "sha256:1", "{}", complete.as_parameter().replace("sha256", "md5")):
        assert Fingerprint.from_parameter(other) is None


def test_objects_count_by_listing(server: EmbeddedStore) -> None:
    store, _ = open_store("s3://data/pets")
    for key in ("pets/cat/1.png", "pets/dog/1.png"):
        store.put_bytes(key, key.encode())
    before = digest_in_place("s3://data/pets", "dataset.source")
    assert digest_in_place("s3://data/pets/", "dataset.source") == before
    # A neighbour, the mark of a folder and the same content written again change nothing.
    store.put_bytes("pets-old/cat/1.png", b"other")
    store.put_bytes("pets/bird/", b"")
    store.put_bytes("pets/cat/1.png", b"pets/cat/1.png")
    assert digest_in_place("s3://data/pets", "dataset.source") == before
    digests = {before}
    for key, content in (("pets/cat/1.png", b"pets/cat/2.png"), ("pets/cat/2.png", b""), ("pets/dog/2.png", b"")):
        store.put_bytes(key, content)
        digests.add(digest_in_place("s3://data/pets", "dataset.source"))
    store.delete("pets/cat/1.png")
    digests.add(digest_in_place("s3://data/pets", "dataset.source"))
    assert len(digests) == 5


def test_one_object_is_itself_and_not_what_begins_like_it(server: EmbeddedStore) -> None:
    store, _ = open_store("s3://data/sets")
    store.put_bytes("sets/a.npz", b"one")
    before = digest_in_place("s3://data/sets/a.npz", "dataset.source")
    store.put_bytes("sets/a.npz.part", b"two")
    assert digest_in_place("s3://data/sets/a.npz", "dataset.source") == before
    store.put_bytes("sets/a.npz", b"two")
    assert digest_in_place("s3://data/sets/a.npz", "dataset.source") != before


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("s3://data/absent", "dataset.source: s3://data/absent: the store holds nothing there"),
        ("s3://data/absent.npz", "dataset.source: s3://data/absent.npz: there is no such object in the store"),
        ("/absent/pets", "dataset.source: /absent/pets cannot be read here (No such file or directory)"),
    ],
)
def test_what_is_not_there_is_said(server: EmbeddedStore, source: str, expected: str) -> None:
    with pytest.raises(DataError) as raised:
        digest_in_place(source, "dataset.source")
    assert str(raised.value) == expected


def test_a_refusing_store_is_said_in_one_line(server: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StorageError, match=r"^dataset\.source: http.*credentials were not accepted") as raised:
        digest_in_place("s3://data/pets", "dataset.source")
    assert "\n" not in str(raised.value)


def test_built_in_sets_are_their_names() -> None:
    assert digest_in_place("digits", "dataset.source") != digest_in_place("fashion-mnist", "dataset.source")
