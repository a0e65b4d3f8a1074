"""Configurations: what is accepted, and what is refused and in which words."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from edgepress.contracts.config import PipelineConfig, ReleaseSettings
from edgepress_pipelines.config.file import load_config
from tests.unit.config_files import GOOD, refusal, write

CONFIGS = Path(__file__).resolve().parents[2] / "pipelines" / "edgepress_pipelines" / "configs"


@pytest.mark.parametrize("name", ["digits.yaml", "fashion-mnist.yaml"])
def test_bundled_configurations_are_valid_and_have_four_recipes(name: str) -> None:
    config = load_config(CONFIGS / name)
    assert len(config.recipes) >= 4
    assert config.gate.has_threshold()
    assert config.name == name.removesuffix(".yaml")


@pytest.mark.parametrize("name", ["digits.yaml", "fashion-mnist.yaml"])
def test_overrides_named_in_the_comments_of_a_bundled_configuration_work(name: str) -> None:
    overrides = re.findall(r"--set (\S+=\S+)", (CONFIGS / name).read_text())
    load_config(CONFIGS / name, overrides)


def test_a_configuration_survives_json() -> None:
    """Settings travel to the tasks as JSON, with the key ``from`` by its alias."""
    config = load_config(CONFIGS / "digits.yaml")
    assert PipelineConfig.model_validate_json(config.model_dump_json()) == config


def test_the_key_from_survives_json(tmp_path: Path) -> None:
    write(tmp_path, b"HDF", "trained.h5")
    text = GOOD.replace("  model: mlp\n  params: {hidden: [32]}\n  train: {epochs: 3, learning_rate: 1e-3}\n", "  from: trained.h5\n")
    config = load_config(write(tmp_path, text))
    assert config.baseline.from_ == str(tmp_path / "trained.h5")
    assert PipelineConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # unknown keys
        ("gate:", "slim: {}\ngate:", "c.yaml:16: slim: unknown key; known here: schema_version, name, dataset, baseline, recipes, gate,"),
        (
            "final_sparsity",
            "final_sparsty",
            "c.yaml:15: recipes.small.prune.final_sparsty: unknown key; did you mean 'final_sparsity'? known",
        ),
        (
            "    prune: {final_sparsity: 0.5}",
            "    final_sparsity: 0.5",
            "c.yaml:15: recipes.small.final_sparsity: unknown key; it belongs under prune; known here: recipe, distill, prune,",
        ),
        ("train: {epochs", "train: {epoch", "c.yaml:6: baseline.train.epoch: unknown key; did you mean 'epochs'?"),
        (
            "  model: mlp\n  params",
            "  from_: a.h5\n  params",
            "c.yaml:4: baseline.from_: unknown key; did you mean 'from'? known here: model, m",
        ),
        # types
        ("epochs: 3", "epochs: three", "c.yaml:6: baseline.train.epochs: must be a whole number, is the text 'three'"),
        ("epochs: 3", "epochs: 3.5", "c.yaml:6: baseline.train.epochs: must be a whole number, is 3.5"),
        ("epochs: 3", "epochs: '3'", "c.yaml:6: baseline.train.epochs: must be a whole number, is the text '3'; drop the quotes"),
        ("epochs: 3", "epochs: true", "c.yaml:6: baseline.train.epochs: must be a whole number, is true"),
        ("1e-3", "fast", "c.yaml:6: baseline.train.learning_rate: must be a number, is the text 'fast'"),
        ("name: demo", "name: 7", "c.yaml:1: name: must be text, is 7"),
        ("name: demo", "name:", "c.yaml:1: name: must be text, is empty"),
        ("{source: digits}", "digits", "c.yaml:2: dataset: must be a mapping of keys, is the text 'digits'"),
        ("accuracy: {max_drop: 0.02}", "accuracy: 0.02", "c.yaml:17: gate.accuracy: must be a mapping of keys, is 0.02"),
        ("{hidden: [32]}", "[32]", "c.yaml:5: baseline.params: must be a mapping of keys, is a list"),
        ("{source: digits}", "{source: digits, image_size: [8]}", "c.yaml:2: dataset.image_size.1: needs one more value"),
        # ranges
        ("0.5}", "1.5}", "c.yaml:15: recipes.small.prune.final_sparsity: must be below 1, is 1.5"),
        ("0.5}", "0}", "c.yaml:15: recipes.small.prune.final_sparsity: must be above 0, is 0"),
        ("max_drop: 0.02", "max_drop: 2", "c.yaml:17: gate.accuracy.max_drop: must be at most 1, is 2"),
        ("max_drop: 0.02", "max_drop: -0.1", "c.yaml:17: gate.accuracy.max_drop: must be at least 0, is -0.1"),
        ("max_drop: 0.02", "max_drop: .nan", "c.yaml:17: gate.accuracy.max_drop: must be a finite number"),
        ("max_drop: 0.02", "max_drop: .inf", "c.yaml:17: gate.accuracy.max_drop: must be a finite number"),
        ("accuracy: {max_drop: 0.02}", "latency_p95_ms: {max: 0}", "c.yaml:17: gate.latency_p95_ms.max: must be above 0, is 0"),
        ("1e-3", "0", "c.yaml:6: baseline.train.learning_rate: must be above 0, is 0"),
        # allowed values
        (
            "model: mlp\n  p",
            "model: resnet\n  p",
            "c.yaml:4: baseline.model: must be one of mlp, resnet8, ds_cnn, mobilenet_v1_025, autoencoder, is the text 'resne",
        ),
        (
            "quantization: int8",
            "quantization: int4",
            "c.yaml:9: recipes.int8.convert.quantization: must be one of float32, float16, dynamic_",
        ),
        ("gate:", "gate:\n  objective: size", "c.yaml:17: gate.objective: must be one of accuracy, macro_f1, "),
        ("gate:", "benchmark: {threads: 4}\ngate:", "c.yaml:16: benchmark.threads: must be 1, is 4"),
        ("name: demo", "name: Demo Net", "c.yaml:1: name: must be 1 to 48 lower-case letters, digits, '-' and '_'"),
        ("gate:", "release: {uri: 'http://x'}\ngate:", "c.yaml:16: release.uri: must be of the form s3://bucket/prefix, a bucket being"),
        (
            "gate:",
            "release: {endpoint_url: 'http://me:hunter2@host'}\ngate:",
            "c.yaml:16: release.endpoint_url: holds a name or a password; take it out and set AWS_ACCESS_KEY_ID",
        ),
        ("gate:", "release: {endpoint_url: 'host:9000'}\ngate:", "c.yaml:16: release.endpoint_url: must be of the form http://host:port"),
        # thresholds that demand nothing
        (
            "max_drop: 0.02",
            "max_drop: 1",
            "c.yaml: gate.accuracy.max_drop: 1 can never fail, so it demands nothing; tighten it or leave it",
        ),
        ("max_drop: 0.02}", "min: 0}", "c.yaml: gate.accuracy.min: 0 can never fail"),
        ("gate:", "gate:\n  size_bytes: {max_ratio: 1e+300}", "c.yaml: gate.size_bytes.max_ratio: 1e+300 can never fail"),
        ("gate:", "gate:\n  size_gzip_bytes: {max_ratio: 64}", "c.yaml: gate.size_gzip_bytes.max_ratio: 64 can never fail"),
        # missing
        ("name: demo\n", "", "c.yaml: name: is missing"),
        ("{source: digits}", "{}", "c.yaml:2: dataset.source: is missing"),
        ("  - recipe: int8\n  ", "  -", "c.yaml:8: recipes.0.recipe: is missing"),
        # recipes
        ("recipe: small", "recipe: int8", "c.yaml:7: recipes: each needs a name of its own, but int8 stands twice"),
        ("recipe: small", "recipe: baseline", "c.yaml:10: recipes.baseline: baseline already names the uncompressed model; choose another"),
        ("recipe: small", "recipe: nominee", "c.yaml:10: recipes.nominee: nominee already names the candidate that the gate chooses"),
        # keys that do not fit together
        ("  model: mlp\n  params", "  params", "c.yaml:3: baseline: needs exactly one of model, module, from; has none"),
        (
            "model: mlp\n  p",
            "model: mlp\n  module: m.py\n  p",
            "c.yaml:3: baseline: needs exactly one of model, module, from; has model, module",
        ),
        (
            "model: mlp\n  p",
            "from: a.h5\n  p",
            "c.yaml:3: baseline: from adopts a model that is already trained, so params and train cannot",
        ),
        (
            "    prune:",
            "    quantize: {}\n    prune:",
            "c.yaml:10: recipes.small: quantize trains for int8, but convert.quantization is float32; set it to int8",
        ),
        ("quantization: int8", "io: int8", "c.yaml:9: recipes.int8.convert: io int8 needs quantization int8, not float32"),
        ("{final", "{initial_sparsity: 0.8, final", "c.yaml:15: recipes.small.prune: initial_sparsity 0.8 is above final_sparsity 0.5"),
        ("{final", "{begin_step: 9, end_step: 9, final", "c.yaml:15: recipes.small.prune: end_step 9 is not after begin_step 9"),
        (
            "{final",
            "{schedule: constant, initial_sparsity: 0.1, final",
            "c.yaml:15: recipes.small.prune: initial_sparsity belongs to schedule",
        ),
        (
            "digits}",
            "digits, test_fraction: 0.9}",
            "c.yaml:2: dataset: validation_fraction 0.1 and test_fraction 0.9 leave nothing to train on",
        ),
        ("digits}", "digits, image_size: [8, 8]}", "c.yaml:2: dataset: image_size is for a folder of images, but source is digits"),
        ("digits}", "digits, slice_columns: [a]}", "c.yaml:2: dataset: slice_columns names arrays of a .npz file, but source is digits"),
        # parameters of built-in models
        ("hidden: [8]", "hiden: [8]", "c.yaml:14: recipes.small.distill.student.params: hiden: is not a parameter; mlp takes hidden"),
        (
            "hidden: [32]",
            "hidden: [0]",
            "c.yaml:5: baseline.params: hidden.0: Input should be greater than or equal to 1, not 0; mlp takes",
        ),
        # versions
        (
            "name: demo",
            "schema_version: 2\nname: demo",
            "c.yaml:1: schema_version: is 2, but this release of EdgePress reads version 1 only",
        ),
        ("name: demo", "schema_version: '1'\nname: demo", "c.yaml:1: schema_version: is the text '1', but this release of EdgePress reads"),
        # files that are not there
        (
            "digits}",
            "digit}",
            "c.yaml:2: dataset.source: there is no digit; did you mean 'digits'? give digits, fashion-mnist, breast-cancer, diabetes, a ",
        ),
        (
            "digits}",
            "data/x.npz}",
            "c.yaml:2: dataset.source: there is no data/x.npz; give digits, fashion-mnist, breast-cancer, diabetes, a .npz file",
        ),
        ("digits}", "c.yaml}", "c.yaml:2: dataset.source: c.yaml is neither a .npz file nor a folder"),
        (
            "model: mlp\n  p",
            "module: m.py\n  p",
            "c.yaml:4: baseline.module: there is no file m.py; give a Python file that defines build_model",
        ),
        # not YAML
        ("gate:", "gate: [", "c.yaml:18:1: broken YAML, "),
        ("gate:", "name: again\ngate:", "c.yaml:16: the key 'name' stands here a second time; the first is in line 1"),
    ],
)
def test_refused_in_one_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert GOOD.count(old) >= 1
    assert refusal(write(tmp_path, GOOD.replace(old, new, 1))).startswith(message)


def test_a_password_in_an_endpoint_stays_out_of_the_log_of_a_task_that_is_given_one() -> None:
    with pytest.raises(ValidationError) as raised:
        ReleaseSettings.model_validate_json('{"endpoint_url": "http://me:hunter2@host"}')
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "c.yaml: is empty; `edgepress init DIR` writes"),
        (b"# nothing but a comment\n", "c.yaml: is empty; `edgepress init DIR` writes"),
        (b"- a\n- b\n", "c.yaml: must be a mapping of keys such as name, dataset and recipes, is a list"),
        (b"hello", "c.yaml: must be a mapping of keys such as name, dataset and recipes, is the text 'hello'"),
        (b"name: \xff\n", "c.yaml: is not UTF-8 text (byte 6)"),
        (b"#" * 1_000_001, "c.yaml: has more than 1000000 bytes; that is no configuration"),
        (b"PK\x03\x04", "c.yaml: broken YAML, unacceptable character #x0003"),
    ],
)
def test_files_that_are_no_configuration(content: bytes, message: str, tmp_path: Path) -> None:
    assert refusal(write(tmp_path, content)).startswith(message)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.yaml").startswith("none.yaml: there is no such file")
    assert refusal(tmp_path / "none" / "c.yaml").endswith(
        "c.yaml: there is no such file; `edgepress init DIR` writes a configuration to start from"
    )
    assert "is a folder; give the YAML file in it" in refusal(tmp_path)
    write(tmp_path, GOOD)
    assert "cannot be read (Not a directory)" in refusal(tmp_path / "c.yaml" / "x.yaml")


@pytest.mark.parametrize(
    ("recipes", "message"),
    [
        ("recipes: []\n", "c.yaml:7: recipes: needs at least 1, has none"),
        ("", "c.yaml: recipes: is missing"),
        ("recipes:\n", "c.yaml:7: recipes: must be a list, is empty"),
        ("recipes: {int8: {}}\n", "c.yaml:7: recipes: must be a list, is a mapping of keys"),
        ("recipes:\n" + "".join(f"  - recipe: r{i}\n" for i in range(21)), "c.yaml:7: recipes: takes at most 20, has "),
    ],
)
def test_no_recipes_or_too_many(recipes: str, message: str, tmp_path: Path) -> None:
    start, end = GOOD.index("recipes:"), GOOD.index("gate:")
    assert refusal(write(tmp_path, GOOD[:start] + recipes + GOOD[end:])).startswith(message)


def test_an_error_in_the_only_recipe_is_not_hidden_by_a_list_too_short(tmp_path: Path) -> None:
    start, end = GOOD.index("  - recipe: int8"), GOOD.index("gate:")
    text = GOOD[:start] + "  - recipe: int8\n    convert: {quantization: int4}\n" + GOOD[end:]
    message = refusal(write(tmp_path, text))
    assert message.startswith("c.yaml:9: recipes.int8.convert.quantization: must be one of")
    assert "more)" not in message


def test_the_first_of_several_errors_is_shown_and_the_rest_counted(tmp_path: Path) -> None:
    text = GOOD.replace("epochs: 3", "epochs: 0").replace("0.5}", "7}").replace("max_drop: 0.02", "drop: 1")
    assert refusal(write(tmp_path, text)) == "c.yaml:6: baseline.train.epochs: must be at least 1, is 0 (and 2 more)"


def test_paths_are_taken_from_the_folder_of_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    write(project, b"", "x.npz")
    write(project, "from somewhere import build_model\n", "m.py")
    text = GOOD.replace("digits", "x.npz").replace("model: mlp\n  p", "module: m.py\n  p")
    write(project, text)
    monkeypatch.chdir(elsewhere)
    config = load_config(Path("../project/c.yaml"))
    assert config.dataset.source == str(project / "x.npz")
    assert config.baseline.module == str(project / "m.py")


def test_s3_sources_and_builtin_names_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    assert load_config(write(tmp_path, GOOD)).dataset.source == "digits"
    assert load_config(write(tmp_path, GOOD.replace("digits", "s3://b/x.npz"))).dataset.source == "s3://b/x.npz"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"x = 1\n", "m.py does not define build_model"),
        (b"def build_model(:\n", "m.py:1 is not valid Python: "),
        (b"a = 1\n\xff\n", "m.py is not UTF-8 text (byte 6)"),
        (b"a = '\0'\n", "m.py is not valid Python: source code string cannot contain null bytes"),
    ],
)
def test_modules_that_cannot_be_used(source: bytes, message: str, tmp_path: Path) -> None:
    write(tmp_path, source, "m.py")
    path = write(tmp_path, GOOD.replace("model: mlp\n  p", "module: m.py\n  p"))
    assert refusal(path).startswith(f"c.yaml:4: baseline.module: {message}")


@pytest.mark.parametrize(
    "source",
    ["def build_model(): ...", "build_model = make(3)", "from nets import cnn as build_model", "if True:\n  def build_model(): ..."],
)
def test_modules_that_bind_build_model_in_any_way(source: str, tmp_path: Path) -> None:
    write(tmp_path, source, "m.py")
    load_config(write(tmp_path, GOOD.replace("model: mlp\n  p", "module: m.py\n  p")))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.h5", "there is no none.h5; give a .h5 or .keras file, a SavedModel folder, or s3://..."),
        ("empty", "the folder empty holds no saved_model.pb, so it is not a SavedModel"),
        ("model.pkl", "model.pkl is not a .h5 or .keras file, nor a SavedModel folder"),
    ],
)
def test_models_that_cannot_be_adopted(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path, b"", "model.pkl")
    start, end = GOOD.index("  model: mlp"), GOOD.index("recipes:")
    assert refusal(write(tmp_path, GOOD[:start] + f"  from: {name}\n" + GOOD[end:])) == f"c.yaml:4: baseline.from: {message}"


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, b"\xef\xbb\xbf" + GOOD.encode())).name == "demo"
