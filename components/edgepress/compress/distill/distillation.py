"""Distilling a candidate's model, the teacher, into a student."""

from typing import Any

from edgepress.compress.distill.loss import Distiller, TeachersPart, log_outputs, soft_target_loss
from edgepress.contracts.candidate import MODULE_NAME
from edgepress.contracts.stages import DistillSettings
from edgepress.errors import ModelError, StageError
from edgepress.models.keras import keras, set_seed
from edgepress.models.outputs import output_meaning
from edgepress.models.registry import build_model
from edgepress.models.storage import load_model, save_model
from edgepress.models.user_model import preprocessed_inputs
from edgepress.models.user_module import UserModule, load_user_module
from edgepress.models.wrapping import require_graph
from edgepress.stages.stage import StageInput, StageResult
from edgepress.train.fit import fit
from edgepress.train.objective import squared_error


def distill_candidate(given: StageInput, settings: DistillSettings) -> StageResult:
    """Train a student against the labels and the candidate's model; write the student.

    Facts: ``teacher_parameters``, ``student_parameters``, and what the training tells of itself.

    Raises:
        StageError: the student cannot be built for this dataset, or the training diverges.
    """
    user_module = load_user_module(given.candidate / MODULE_NAME)
    teacher = load_model(given.candidate)
    set_seed(settings.train.seed)
    student = _student(teacher, given, settings, user_module)
    fitted = fit(
        student,
        given.dataset,
        settings.train,
        user_module=user_module,
        train_step_model=Distiller(student, teacher, _difference(teacher, student, given, settings), settings.alpha),
        state=given.state,
        started_from=given.started_from,
    )
    save_model(student, given.work)
    return StageResult(
        facts={
            "teacher_parameters": int(teacher.count_params()),
            "student_parameters": int(student.count_params()),
            **fitted.facts,
        },
        curves=fitted.curves,
    )


def _difference(teacher: Any, student: Any, given: StageInput, settings: DistillSettings) -> TeachersPart:
    """What the student is to make small, by the dataset's task."""
    task = given.dataset.manifest.learning_task
    if task.loss != "cross_entropy":
        return squared_error
    as_logits = [log_outputs(output_meaning(model, task), model.output_shape[-1]) for model in (teacher, student)]
    return lambda of_teacher, of_student: soft_target_loss(as_logits[0](of_teacher), as_logits[1](of_student), settings.temperature)


def _student(teacher: Any, given: StageInput, settings: DistillSettings, user_module: UserModule | None) -> Any:
    """A model to train, whose outputs mean what the teacher's do: the module's loss and metrics are written for those, and whoever runs the
    release can take either model."""
    if settings.student is None:
        return fresh_copy(teacher, user_module.call_custom_objects() if user_module else {})
    manifest = given.dataset.manifest
    inputs = preprocessed_inputs(user_module, manifest.inputs)
    try:
        student = build_model(settings.student, inputs, manifest, teacher.output_shape[1:])
    except ModelError as error:
        raise StageError(f"distill.student: {error}") from error
    if output_meaning(teacher, manifest.learning_task) != "probabilities":
        return student
    last = keras.layers.Activation("sigmoid" if teacher.output_shape[-1] == 1 else "softmax", name="probabilities")
    return keras.Model(student.input, last(student.output), name=student.name)


def fresh_copy(model: Any, custom_objects: dict[str, Any]) -> Any:
    """The same architecture with new initial weights. What the model does not learn (adapted or frozen layers) is taken over.

    Raises:
        StageError: the model is subclassed.
    """
    require_graph(model)
    with keras.utils.custom_object_scope(custom_objects):
        copy = keras.models.clone_model(model)
    _take_over_unlearned(model, copy)
    return copy


def _take_over_unlearned(source: Any, copy: Any) -> None:
    for own, fresh in zip(source.layers, copy.layers, strict=True):
        if isinstance(own, keras.Model):
            _take_over_unlearned(own, fresh)
        elif own.weights and not own.trainable_weights:
            fresh.set_weights(own.get_weights())
