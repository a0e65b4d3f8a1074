"""The baseline's model: built and trained, or adopted."""

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from edgepress.contracts.builtin_models import ModelChoice
from edgepress.contracts.config import BaselineSettings
from edgepress.contracts.dataset import DatasetDirectory
from edgepress.device.digest import digest_file
from edgepress.errors import StageError
from edgepress.models.adopt import adopt_model
from edgepress.models.keras import keras, set_seed
from edgepress.models.registry import build_model
from edgepress.models.user_model import build_user_model
from edgepress.models.user_module import load_user_module
from edgepress.storage import is_local, local_path
from edgepress.train.checkpoint import training_key
from edgepress.train.fit import fit
from edgepress.train.objective import Objective
from edgepress.train.validation import Validation

LOGS_NAME = "tensorboard"


@dataclass(frozen=True)
class Baseline:
    """A model with what its record tells about it."""

    model: keras.Model
    facts: dict[str, JsonValue]
    curves: dict[str, tuple[float, ...]] = field(default_factory=dict)


def train_baseline(settings: BaselineSettings, dataset: DatasetDirectory, module_path: Path, state: str) -> Baseline:
    """Build the model that the settings name and train it.

    Args:
        settings: with ``model`` or ``module``.
        dataset: to train on.
        module_path: the copy of the user's module, when there is one.
        state: folder or ``s3://bucket/prefix`` for checkpoints; empty keeps none. A folder gets logs for TensorBoard as well; beside
            checkpoints in an object store there are none, since the candidate's record has the same curves.

    Raises:
        ModelError: the model cannot be built for this dataset.
        ConfigError: a setting does not suit the dataset.
        StageError: the training diverges.
        IntegrityError: the state of an earlier attempt is damaged.
        StorageError: it cannot be read.
    """
    manifest = dataset.manifest
    set_seed(settings.train.seed)
    user_module = load_user_module(module_path, shown_as=settings.module)
    if user_module is not None:
        model = build_user_model(user_module, settings.params, manifest)
    else:
        choice = ModelChoice.model_validate({"model": settings.model, "params": settings.params})
        model = build_model(choice, manifest.inputs, manifest)
    result = fit(
        model,
        dataset,
        settings.train,
        user_module=user_module,
        state=state,
        started_from=training_key(settings.model_dump_json(), digest_file(module_path) if user_module is not None else ""),
        log_dir=local_path(state) / LOGS_NAME if state and is_local(state) else None,
    )
    return Baseline(
        model=model,
        facts={
            "adopted": False,
            "parameters": int(model.count_params()),
            "steps": result.steps,
            **result.facts,
        },
        curves=result.curves,
    )


def adopt_baseline(source: str, source_digest: str, dataset: DatasetDirectory) -> Baseline:
    """Adopt a trained model without training it; what it gives on validation data shows whether it was fed what it expects.

    Raises:
        ModelError: it is not a Keras 2 model for this dataset, or would run code when loaded.
        DataError: the validation split cannot tell the metric that selects.
        StageError: the model gives NaN or infinity for validation data.
        IntegrityError: it does not have the digest.
        StorageError: the object store cannot be read.
    """
    model = adopt_model(source, source_digest, dataset.manifest)
    objective = Objective.of(model, dataset.manifest)
    values = Validation(model, objective, dataset, objective.loss())()
    selecting = objective.task.selecting
    name = f"val_{selecting.name}"
    if name not in values:
        raise StageError(f"{source}: gives NaN or infinity for validation examples; train it anew, or feed it what it was trained on")
    print(f"adopted {source}: {model.count_params()} parameters, validation {selecting.title} {values[name]:.4f}", flush=True)
    facts: dict[str, JsonValue] = {"adopted": True, "source": source, "parameters": int(model.count_params()), name: values[name]}
    return Baseline(model=model, facts=facts)
