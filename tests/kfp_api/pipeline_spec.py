"""What KFP's API server checks of an uploaded pipeline and of a run's parameters (backend/src/apiserver/template/v2_template.go)."""

import json
import re
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from tests.kfp_api.messages import ApiError

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader in C takes a tenth of the time."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "NUMBER_DOUBLE": ((int, float), "double or integer"),
    "NUMBER_INTEGER": ((int, float), "double or integer"),
    "STRING": ((str,), "string"),
    "BOOLEAN": ((bool,), "bool"),
    "LIST": ((list,), "list"),
    "STRUCT": ((dict,), "struct"),
}
"""Parameter type -> what JSON gives, and the word for it in a refusal."""


def parse_pipeline(content: bytes) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The pipeline spec in a YAML file of one or two documents, and the platform's, if there is one.

    Raises:
        ApiError: it is none that a cluster could run.
    """
    try:
        documents = [document for document in yaml.load_all(content, _Loader) if document is not None]
    except yaml.YAMLError as error:
        raise ApiError(400, f"unable to decode yaml document: {error}") from error
    specs = [document for document in documents if isinstance(document, dict) and "pipelineInfo" in document]
    platforms = [document for document in documents if isinstance(document, dict) and "platforms" in document]
    if len(specs) != 1 or len(platforms) > 1:
        raise ApiError(400, "no pipeline spec is provided" if not specs else "multiple pipeline specs provided")
    spec: dict[str, Any] = specs[0]
    try:
        json_format.ParseDict(json.loads(json.dumps(spec)), pipeline_spec_pb2.PipelineSpec())
        for platform in platforms:
            json_format.ParseDict(json.loads(json.dumps(platform)), pipeline_spec_pb2.PlatformSpec())
    except json_format.ParseError as error:
        raise ApiError(400, f"invalid v2 pipeline spec: {error}") from error
    if spec.get("schemaVersion") != "2.1.0":
        raise ApiError(400, f"KFP only supports schema version 2.1.0, but the pipeline spec has version {spec.get('schemaVersion')}")
    if not _NAME.fullmatch(spec["pipelineInfo"].get("name", "")):
        raise ApiError(400, "invalid v2 pipeline spec: name should consist of lower case alphanumeric characters, '-' or '.'")
    if not spec.get("root"):
        raise ApiError(400, "invalid v2 pipeline spec: root component is empty")
    return spec, platforms[0] if platforms else None


def check_parameters(spec: dict[str, Any], parameters: dict[str, Any]) -> None:
    """Compare a run's parameters with the inputs of the pipeline's root.

    Raises:
        ApiError: one is missing, of another type, or not an input.
    """
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for name, parameter in declared.items():
        if name not in parameters:
            if not parameter.get("isOptional") and "defaultValue" not in parameter:
                raise ApiError(400, f"parameter {name} is not optional, yet has neither default value nor user provided value")
            continue
        value, kind = parameters[name], parameter["parameterType"]
        if kind not in _TYPES:
            raise ApiError(400, f"input parameter {name} requires type unknown")
        types, required = _TYPES[kind]
        if not isinstance(value, types) or (isinstance(value, bool) and kind != "BOOLEAN"):
            raise ApiError(400, f"input parameter {name} requires type {required}, but the input parameter is not of {required} value type")
    extra = sorted(parameters.keys() - declared.keys())
    if extra:
        raise ApiError(400, f"parameter(s) provided are not required by pipeline: {', '.join(extra)}")


def check_cron(expression: str) -> None:
    """As ``github.com/robfig/cron`` of its first version parses: seconds, minute, hour, day, month and, if given, day of week from 0 to 6.

    Raises:
        ApiError: it does not parse.
    """
    fields = expression.split()
    bounds = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
    if not 5 <= len(fields) <= 6:
        raise ApiError(400, f"Schedule cron is not a supported format. Error: Expected 5 to 6 fields, found {len(fields)}: {expression}")
    for field, (lowest, highest) in zip(fields, bounds, strict=False):
        for item in field.split(","):
            found = re.fullmatch(r"(\*|\?|(\d+)(?:-(\d+))?)(?:/(\d+))?", item)
            numbers = [int(number) for number in (found[2], found[3]) if number is not None] if found else []
            if found is None or any(not lowest <= number <= highest for number in numbers) or numbers != sorted(numbers):
                raise ApiError(400, f"Schedule cron is not a supported format. Error: {item} is out of bounds: {expression}")
