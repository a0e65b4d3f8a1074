"""Checking the ``params`` of a built-in architecture without TensorFlow, so that a typo is found before a run begins."""

import json

from pydantic import ValidationError

from edgepress.contracts.builtin_models import BUILTIN_MODELS, ModelChoice
from edgepress.contracts.strict import StrictModel
from edgepress.errors import ModelError


def check_params(choice: ModelChoice) -> StrictModel:
    """The parameters of a built-in architecture, defaults filled in.

    Raises:
        ModelError: a parameter is unknown, of the wrong type or out of range; the message names what is allowed.
    """
    params = BUILTIN_MODELS[choice.model].params
    allowed = ", ".join(f"{name} (default {_shown(field.default)})" for name, field in params.model_fields.items())
    try:
        return params.model_validate_json(json.dumps(choice.params))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        unknown = first["type"] == "extra_forbidden"
        reason = "is not a parameter" if unknown else f"{first['msg']}, not {json.dumps(first['input'])}"
        raise ModelError(f"params.{key}: {reason}; {choice.model} takes {allowed}") from error


def _shown(value: object) -> str:
    return json.dumps(value)
