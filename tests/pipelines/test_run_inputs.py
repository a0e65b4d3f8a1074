"""What a run takes along: placed by its digest, once, the same in a folder and in an object store."""

from pathlib import Path

import pytest

from edgepress.contracts.config import BaselineSettings, PipelineConfig
from edgepress.device.digest import digest_bytes, digest_file, digest_tree
from edgepress.errors import ConfigError, StorageError
from edgepress.models.source import copy_source, digest_source
from edgepress.models.user_module import fetch_module
from edgepress.storage import is_local, open_object, open_store
from edgepress_pipelines.config.file import load_config
from edgepress_pipelines.flow.inputs import locate_inputs, place_inputs
from tests.unit.store_environment import only

CONFIGS = Path(__file__).parents[2] / "pipelines" / "edgepress_pipelines" / "configs"
MODULE = b"def build_model(input_shape, num_classes): ...\n"


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "storage")
    request.getfixturevalue("server")
    return f"s3://team/{tmp_path.name}"


def config(**baseline: str) -> PipelineConfig:
    return load_config(CONFIGS / "digits.yaml").model_copy(update={"baseline": BaselineSettings.model_validate(baseline)})


def module(folder: Path, content: bytes = MODULE) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.py").write_bytes(content)
    return folder / "model.py"


def saved_model(folder: Path) -> Path:
    for path in ("mine/saved_model.pb", "mine/variables/variables.index", "mine/variables-notes.txt", "mine/assets/a"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    return folder / "mine"


def test_a_module_is_placed_where_the_training_step_finds_it(storage: str, tmp_path: Path) -> None:
    path = module(tmp_path / "project")
    placed = place_inputs(config(module=str(path)), storage)
    assert placed.module_digest == digest_file(path)
    assert placed.module_uri == f"{storage}/inputs/{digest_bytes(MODULE).removeprefix('sha256:')}/model.py"
    assert fetch_module(placed.module_uri, placed.module_digest) == MODULE
    assert placed.baseline.module == (str(path) if is_local(storage) else "model.py")
    assert placed.source_digest == ""


def test_equal_modules_are_at_one_place_and_edited_ones_at_another(storage: str, tmp_path: Path) -> None:
    one = place_inputs(config(module=str(module(tmp_path / "one"))), storage)
    same = place_inputs(config(module=str(module(tmp_path / "two"))), storage)
    edited = place_inputs(config(module=str(module(tmp_path / "two", MODULE + b"# edited\n"))), storage)
    assert (one.module_uri, one.module_digest) == (same.module_uri, same.module_digest)
    assert edited.module_uri != one.module_uri
    assert edited.module_digest != one.module_digest
    if not is_local(storage):
        assert one == same


def test_what_is_there_is_not_written_again_and_what_is_damaged_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = str(tmp_path / "storage")
    chosen = config(module=str(module(tmp_path / "project")))
    placed = Path(place_inputs(chosen, storage).module_uri)
    before = placed.stat().st_ino
    place_inputs(chosen, storage)
    assert placed.stat().st_ino == before
    placed.write_bytes(b"half")
    place_inputs(chosen, storage)
    assert placed.read_bytes() == MODULE


def test_locating_says_the_same_and_writes_nothing(storage: str, tmp_path: Path) -> None:
    chosen = config(**{"from": str(saved_model(tmp_path))})
    located = locate_inputs(chosen, storage)
    store, prefix = open_store(storage)
    assert store.list_keys(prefix) == []
    assert place_inputs(chosen, storage) == located


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_local_model_goes_along_to_pods_and_stays_where_it_is_for_local_tasks(storage: str, tmp_path: Path, kind: str) -> None:
    path = saved_model(tmp_path) if kind == "directory" else saved_model(tmp_path) / "saved_model.pb"
    placed = place_inputs(config(**{"from": str(path)}), storage)
    digest = digest_tree(path) if path.is_dir() else digest_file(path)
    assert placed.source_digest == digest
    if is_local(storage):
        assert placed.baseline.from_ == str(path)
        return
    assert placed.baseline.from_ == f"{storage}/inputs/{digest.removeprefix('sha256:')}/{path.name}"
    copy_source(placed.baseline.from_, tmp_path / "copy")
    assert (digest_tree(tmp_path / "copy") if path.is_dir() else digest_file(tmp_path / "copy")) == digest


@pytest.mark.usefixtures("server")
def test_a_model_in_a_store_has_the_digest_of_the_same_model_here(tmp_path: Path) -> None:
    path = saved_model(tmp_path)
    store, prefix = open_store("s3://models/released")
    for file in path.rglob("*"):
        if file.is_file():
            store.put_file(f"{prefix}/mine/{file.relative_to(path).as_posix()}", file)
    store.put_bytes(f"{prefix}/mine-older/saved_model.pb", b"a neighbour whose name begins the same")
    placed = place_inputs(config(**{"from": "s3://models/released/mine/"}), "s3://team")
    assert placed.source_digest == digest_tree(path) == digest_source(str(path))
    assert placed.baseline.from_ == "s3://models/released/mine/"
    assert digest_source("s3://models/released/mine/saved_model.pb") == digest_file(path / "saved_model.pb")


@pytest.mark.usefixtures("server")
def test_models_that_cannot_be_had_are_told_before_a_run(tmp_path: Path) -> None:
    store, _ = open_object("s3://models/no-model/notes.txt")
    store.put_bytes("no-model/notes.txt", b"x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("x")
    for source, message in (
        ("s3://models/absent.h5", r"^baseline\.from: s3://models/absent\.h5: there is no such object in .*, and nothing below it"),
        ("s3://models/no-model", r"^baseline\.from: s3://models/no-model: holds no saved_model\.pb, so it is not a SavedModel"),
        (str(tmp_path / "absent.h5"), r"absent\.h5: there is no such model file or SavedModel directory"),
        (str(tmp_path / "empty"), r"holds no saved_model\.pb"),
    ):
        with pytest.raises(ConfigError, match=message):
            locate_inputs(config(**{"from": source}), "s3://team")
    with only({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}), pytest.raises(StorageError, match="there are no credentials; set"):
        locate_inputs(config(**{"from": "s3://models/mine"}), str(tmp_path))


def test_a_module_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^baseline\.module: .*gone\.py cannot be read"):
        place_inputs(config(module=str(tmp_path / "gone.py")), str(tmp_path))
