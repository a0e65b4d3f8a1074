"""The user's Python file: ``build_model`` and optional hooks.

    def build_model(input_shape, num_classes, **params)   -> a Functional or Sequential Keras 2 model
    def loss(y_true, y_pred)                              labels and outputs of a batch -> float [batch] or scalar
    def metrics()                                         -> list of Keras metrics of the same, reported beside the one that selects
    def augment(x, y)                                     on batches of inputs and labels, training only
    def preprocess(x)                                     on batches, in TensorFlow operations; becomes part of the shipped graph
    def custom_objects()                                  -> {name: class} that a stored model needs to be loaded

With one dataset input ``x`` is a tensor [batch, *shape] and ``input_shape`` a tuple; with several both are dicts by input name.
``input_shape`` is the shape after ``preprocess``. The second argument of ``build_model``, which may have any name, says what the model is
to give, and follows from the task, as do labels and outputs:

    classification      the number of classes; labels int64 [batch], outputs [batch, classes], or [batch, 1] where there are two classes
    regression          the number of targets; labels float32 [batch, targets], outputs likewise
    anomaly_detection   the shape of the output, a tuple, which is that of the dataset's input; ``loss`` and ``metrics`` see the input, as
                        it is before ``preprocess``, in place of labels: float32 [batch, *shape], outputs likewise

Nothing here imports TensorFlow; the user's file may.
"""

import linecache
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from edgepress.device.digest import digest_bytes
from edgepress.errors import IntegrityError, ModelError
from edgepress.storage import is_local, open_object_for_task

OPTIONAL_HOOKS = ("loss", "metrics", "augment", "preprocess", "custom_objects")


@dataclass(frozen=True)
class UserModule:
    """The hooks of a user's module; an optional hook that the file does not define is None.

    ``shown_as`` is the path that messages name.
    """

    shown_as: str
    build_model: Callable[..., Any]
    loss: Callable[[Any, Any], Any] | None = None
    metrics: Callable[[], list[Any]] | None = None
    augment: Callable[[Any, Any], tuple[Any, Any]] | None = None
    preprocess: Callable[[Any], Any] | None = None
    custom_objects: Callable[[], Mapping[str, Any]] | None = None

    def call_custom_objects(self) -> dict[str, Any]:
        """What ``custom_objects`` returns, or nothing.

        Raises:
            ModelError: the hook fails or does not return a dict by name.
        """
        if self.custom_objects is None:
            return {}
        objects = self.call("custom_objects")
        if not isinstance(objects, Mapping) or not all(isinstance(name, str) for name in objects):
            raise ModelError(f"{self.shown_as}: custom_objects must return a dict from name to class, not {type(objects).__name__}")
        return dict(objects)

    def call_metrics(self) -> list[Any]:
        """What ``metrics`` returns, or nothing.

        Raises:
            ModelError: the hook fails or does not return a list.
        """
        if self.metrics is None:
            return []
        metrics = self.call("metrics")
        if not isinstance(metrics, (list, tuple)):
            raise ModelError(f"{self.shown_as}: metrics must return a list of Keras metrics, not {type(metrics).__name__}")
        return list(metrics)

    def call(self, hook: str, *args: Any, **kwargs: Any) -> Any:
        """Call a hook.

        Raises:
            ModelError: the hook raised; the message names the line of the user's file.
        """
        with self.explaining(hook):
            return getattr(self, hook)(*args, **kwargs)

    @contextmanager
    def explaining(self, hook: str) -> Iterator[None]:
        """Turn what goes wrong inside a hook into a ``ModelError`` that names the line of the user's file."""
        try:
            yield
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(f"{faulty_line(error, self.shown_as, getattr(self, hook))}: {hook} failed: {_first_words(error)}") from error


def fetch_module(uri: str, digest: str) -> bytes:
    """The content of a user's module.

    Args:
        uri: path of a file, or ``s3://bucket/key``.
        digest: that it must have; empty asks for none.

    Raises:
        ModelError: a local file cannot be read.
        IntegrityError: it has another digest.
        StorageError: the object store cannot be reached, refuses, or does not hold it.
    """
    if is_local(uri):
        try:
            content = Path(uri).read_bytes()
        except OSError as error:
            raise ModelError(f"{uri}: cannot be read ({error.strerror})") from error
    else:
        store, key = open_object_for_task(uri)
        content = store.get_bytes(key)
    if digest and digest_bytes(content) != digest:
        raise IntegrityError(f"{uri}: is not the module that the run began with (now {digest_bytes(content)}, then {digest}); run again")
    return content


def load_user_module(path: Path, shown_as: str | None = None) -> UserModule | None:
    """Load a user's module; None when the file is absent.

    Args:
        path: the file.
        shown_as: the path that messages name, when the file is a copy of the user's own.

    Raises:
        ModelError: the file cannot be read, parsed or executed, or lacks ``build_model``; the message names the line.
    """
    if not path.exists():
        return None
    shown_as = shown_as or str(path)
    try:
        source = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ModelError(f"{shown_as}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{shown_as}: is not UTF-8 text ({error.reason} at byte {error.start})") from error
    module = ModuleType(f"edgepress_user_{path.stem}")
    module.__file__ = shown_as
    # Tracebacks, and TensorFlow when it turns Python's control flow into graphs, look the source up under the name it was compiled with.
    linecache.cache[shown_as] = (len(source), None, source.splitlines(keepends=True), shown_as)
    try:
        exec(compile(source, shown_as, "exec"), module.__dict__)  # noqa: S102 (running the user's own file is the purpose)
    except SyntaxError as error:
        raise ModelError(f"{shown_as}:{error.lineno or 1}: is not valid Python: {error.msg}") from error
    except Exception as error:
        raise ModelError(f"{faulty_line(error, shown_as)}: the module cannot be imported: {_first_words(error)}") from error
    build_model = getattr(module, "build_model", None)
    if not callable(build_model):
        raise ModelError(f"{shown_as}:1: defines no build_model(input_shape, num_classes, **params); a module needs one")
    hooks = {name: getattr(module, name) for name in OPTIONAL_HOOKS if name in module.__dict__}
    for name, hook in hooks.items():
        if not callable(hook):
            raise ModelError(f"{shown_as}:1: {name} must be a function, not {type(hook).__name__}")
    return UserModule(shown_as=shown_as, build_model=build_model, **hooks)


def faulty_line(error: BaseException, shown_as: str, hook: Any = None) -> str:
    """``file:line`` of the innermost frame of an error that lies in the user's file; where the hook begins when none does."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == shown_as]
    # Code that TensorFlow converted runs from a generated file; the message then tells the original line.
    lines += [int(line) for line in re.findall(rf'File "{re.escape(shown_as)}", line (\d+)', str(error))]
    return f"{shown_as}:{(lines[-1] if lines else None) or first_line(hook)}"


def first_line(hook: Any) -> int:
    """The line that a function begins in; 1 for anything else."""
    return getattr(getattr(hook, "__code__", None), "co_firstlineno", 1)


def _first_words(error: BaseException) -> str:
    message = str(error).strip()
    if message.startswith("in user code:"):
        return message.rsplit("\n", 1)[-1].strip()
    return f"{type(error).__name__}: {' '.join(message.split())}"[:400]
