"""Reading the pipeline's configuration: one YAML file, and ``--set`` on top of it. Every mistake ends here, before anything starts."""

import ast
import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue, ValidationError

from edgepress.contracts.builtin_models import ModelChoice
from edgepress.contracts.config import BUILTIN_SOURCES, BaselineSettings, DatasetSettings, PipelineConfig
from edgepress.contracts.kubeflow import DataVolume
from edgepress.errors import ConfigError, ModelError
from edgepress.models.parameters import check_params
from edgepress_pipelines.config.errors import dotted, explain, kind_of, nearest
from edgepress_pipelines.config.yaml_reader import KeyPath, read_yaml

SCHEMA_VERSION = 1
MAX_CONFIG_BYTES = 1_000_000

_MODEL_SUFFIXES = (".h5", ".keras")
_NOT_SIMPLY_QUOTED = set("[{\"'`$\\\n")
"""Characters of a value that is meant to be more than text, or that the quotes of YAML within those of a shell do not hold together."""


def load_config(path: Path, overrides: Sequence[str] = ()) -> PipelineConfig:
    """Read, override, validate and resolve a configuration.

    Args:
        path: the YAML file. Relative paths in it (dataset.source, baseline.module, baseline.from) are taken from its folder.
        overrides: ``a.b.c=value`` each, as given to ``--set``; the value is YAML. An item of ``recipes`` is addressed by its name or index.

    Returns:
        the configuration, its local paths absolute and existing.

    Raises:
        ConfigError: one line that names the file, the line, the key, what is wrong and what is allowed.
    """
    document = read_yaml(_read_text(path), str(path))
    if document.data is None:
        raise ConfigError(f"{path}: is empty; `edgepress init DIR` writes a configuration to start from")
    if not isinstance(document.data, dict):
        raise ConfigError(f"{path}: must be a mapping of keys such as name, dataset and recipes, is {kind_of(document.data)}")
    draft = _Draft(path, document.data, dict(document.lines))
    for override in overrides:
        draft.override(override)
    return draft.validated()


class _Draft:
    """Plain data on its way to a configuration, and where each value comes from."""

    def __init__(self, path: Path, data: dict[str, JsonValue], lines: dict[KeyPath, int]) -> None:
        self.path = path
        self.data = data
        self.lines = lines
        self.overrides: dict[KeyPath, str] = {}

    def override(self, assignment: str) -> None:
        """Apply one ``a.b.c=value``. Mappings on the way to the key are made when they are absent."""
        flag = f"--set {assignment}"
        key, equals, text = assignment.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise ConfigError(f"{flag}: must be KEY=VALUE with a dotted key, e.g. --set gate.accuracy.max_drop=0.02")
        value = _yaml_value(text, flag, key)
        target: JsonValue = self.data
        path: KeyPath = ()
        for depth, part in enumerate(parts):
            last = depth == len(parts) - 1
            if isinstance(target, list):
                index = self._index_in(target, part, dotted(path, self.data), flag)
                path = (*path, index)
                if last:
                    target[index] = value
                else:
                    target = target[index]
            elif isinstance(target, dict):
                path = (*path, part)
                if last:
                    target[part] = value
                else:
                    if target.get(part) is None:
                        target[part] = {}
                    target = target[part]
            else:
                raise ConfigError(f"{flag}: {dotted(path, self.data)} is {kind_of(target)}, so it has no key {part!r}")
        for known in [known for known in self.lines if known[: len(path)] == path]:
            del self.lines[known]
        self.overrides[path] = flag

    def validated(self) -> PipelineConfig:
        """The configuration, resolved.

        Raises:
            ConfigError: something is wrong with it.
        """
        version = self.data.get("schema_version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION or isinstance(version, bool):
            raise self.error(
                ("schema_version",), f"is {kind_of(version)}, but this release of EdgePress reads version {SCHEMA_VERSION} only"
            )
        try:
            config = PipelineConfig.model_validate_json(json.dumps(self.data))
        except ValidationError as error:
            raise ConfigError(explain(error, self.data, self.place_of)) from error
        self._check_architectures(config)
        return config.model_copy(
            update={
                "dataset": self._with_source(config.dataset, config.resources.kubeflow.data_volume),
                "baseline": self._with_origin(config.baseline),
            }
        )

    def place_of(self, path: KeyPath) -> tuple[int, str]:
        """Line (0 for an override) and place of a key, or of the nearest key above it that is there."""
        for depth in range(len(path), -1, -1):
            above = path[:depth]
            if above in self.overrides:
                return 0, self.overrides[above]
            if above in self.lines and above:
                return self.lines[above], f"{self.path}:{self.lines[above]}"
        return 0, str(self.path)

    def error(self, path: KeyPath, problem: str) -> ConfigError:
        """An error about one key."""
        return ConfigError(f"{self.place_of(path)[1]}: {dotted(path, self.data)}: {problem}")

    def _index_in(self, items: list[JsonValue], part: str, above: str, flag: str) -> int:
        names = [item.get("recipe") if isinstance(item, dict) else None for item in items]
        if part in names:
            return names.index(part)
        if part.isdecimal() and int(part) < len(items):
            return int(part)
        known = [name for name in names if isinstance(name, str)]
        if known:
            raise ConfigError(f"{flag}: {above} has no {part!r}{nearest(part, known) or ';'} there are: {', '.join(known)}")
        raise ConfigError(f"{flag}: {above} has {len(items)} items, so give an index below {len(items)} instead of {part!r}")

    def _resolve(self, text: str) -> Path:
        return (self.path.absolute().parent / Path(text).expanduser()).resolve()

    def _with_source(self, dataset: DatasetSettings, volume: DataVolume | None) -> DatasetSettings:
        key = ("dataset", "source")
        if dataset.source in BUILTIN_SOURCES or dataset.source.startswith("s3://"):
            return dataset
        source = self._resolve(dataset.source)
        if not source.exists():
            if volume is not None and source.is_relative_to(volume.mount_path):
                return dataset.model_copy(update={"source": str(source)})  # on the volume, which this machine need not have
            known = ", ".join(BUILTIN_SOURCES)
            hint = nearest(dataset.source, list(BUILTIN_SOURCES)) or ";"
            raise self.error(key, f"there is no {source}{hint} give {known}, a .npz file, a folder of images per class, or s3://...")
        if source.is_file() and source.suffix != ".npz":
            raise self.error(key, f"{source} is neither a .npz file nor a folder with one folder of images per class")
        return dataset.model_copy(update={"source": str(source)})

    def _with_origin(self, baseline: BaselineSettings) -> BaselineSettings:
        if baseline.module is not None:
            module = self._resolve(baseline.module)
            self._check_module(module)
            return baseline.model_copy(update={"module": str(module)})
        if baseline.from_ is None or baseline.from_.startswith("s3://"):
            return baseline
        key = ("baseline", "from")
        model = self._resolve(baseline.from_)
        if not model.exists():
            raise self.error(key, f"there is no {model}; give a .h5 or .keras file, a SavedModel folder, or s3://...")
        if model.is_dir() and not (model / "saved_model.pb").is_file():
            raise self.error(key, f"the folder {model} holds no saved_model.pb, so it is not a SavedModel")
        if model.is_file() and model.suffix not in _MODEL_SUFFIXES:
            raise self.error(key, f"{model} is not a {' or '.join(_MODEL_SUFFIXES)} file, nor a SavedModel folder")
        return baseline.model_copy(update={"from_": str(model)})

    def _check_architectures(self, config: PipelineConfig) -> None:
        """Parameters of built-in architectures, before a run spends an hour on the way to a typo."""
        choices: list[tuple[KeyPath, ModelChoice]] = []
        if config.baseline.model is not None:
            choices.append((("baseline",), ModelChoice(model=config.baseline.model, params=config.baseline.params)))
        for index, recipe in enumerate(config.recipes):
            for stage, settings in recipe.stages().items():
                for key, value in settings or ():
                    if isinstance(value, ModelChoice):
                        choices.append((("recipes", index, stage, key), value))
        for path, choice in choices:
            try:
                check_params(choice)
            except ModelError as error:
                raise self.error((*path, "params"), str(error).removeprefix("params.")) from error

    def _check_module(self, module: Path) -> None:
        key = ("baseline", "module")
        if not module.is_file():
            raise self.error(key, f"there is no file {module}; give a Python file that defines build_model")
        try:
            tree = ast.parse(module.read_bytes().decode("utf-8"))
        except UnicodeDecodeError as error:
            raise self.error(key, f"{module} is not UTF-8 text (byte {error.start})") from error
        except (SyntaxError, ValueError) as error:
            line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            problem = error.msg if isinstance(error, SyntaxError) else str(error)
            raise self.error(key, f"{module}{line} is not valid Python: {problem}") from error
        if not any(_binds(node, "build_model") for node in ast.walk(tree)):
            raise self.error(key, f"{module} does not define build_model")


def _binds(node: ast.AST, name: str) -> bool:
    """Whether a syntax node gives something this name: a definition, an assignment or an import."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name == name
    if isinstance(node, ast.Name):
        return node.id == name and isinstance(node.ctx, ast.Store)
    return isinstance(node, ast.alias) and name in (node.asname, node.name)


def _yaml_value(text: str, flag: str, key: str) -> JsonValue:
    """The value of an override. Text that begins with a character of YAML's own, as most cron expressions do, needs quotes that the shell
    leaves alone."""
    try:
        return read_yaml(text, flag).data
    except ConfigError as error:
        if _NOT_SIMPLY_QUOTED & set(text):
            raise
        raise ConfigError(f"{error}; if it is text, write --set \"{key}='{text}'\"") from error


def _read_text(path: Path) -> str:
    try:
        if path.is_dir():
            raise ConfigError(f"{path}: is a folder; give the YAML file in it")
        with path.open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file; `edgepress init DIR` writes a configuration to start from") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path}: has more than {MAX_CONFIG_BYTES} bytes; that is no configuration")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start})") from error
