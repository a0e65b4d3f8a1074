"""Steps by hand: ``python -m edgepress.<room>`` with a command line derived from the step's own signature.

A ``Path``, ``str``, ``int`` or ``float`` parameter becomes an option of that type, ``list[Path]`` an option that may be repeated, and a
settings contract an option that takes a YAML or JSON file, or the same text inline. A parameter that may be None, or has a default, may
be left out.
"""

import argparse
import inspect
import json
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgepress.contracts.strict import StrictModel
from edgepress.errors import EXIT_DONE, ConfigError, EdgePressError, one_line
from edgepress.task import describe_error

Step = Callable[..., Any]


def run_step(step: Step, arguments: Sequence[str] | None = None) -> typing.NoReturn:
    """Run one step from the command line and exit with EdgePress's exit codes."""
    sys.exit(_run(_parser(step, argparse.ArgumentParser()), lambda _: step, arguments))


def run_steps(steps: Mapping[str, Step], arguments: Sequence[str] | None = None) -> typing.NoReturn:
    """Run one of a room's several steps, chosen by the first argument, and exit with EdgePress's exit codes."""
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers(dest="_step", required=True, metavar="STEP")
    for name, step in steps.items():
        _parser(step, subparsers.add_parser(name, help=_summary(step)))
    sys.exit(_run(parser, lambda values: steps[values.pop("_step")], arguments))


def _run(parser: argparse.ArgumentParser, choose: Callable[[dict[str, Any]], Step], arguments: Sequence[str] | None) -> int:
    values = vars(parser.parse_args(arguments))
    try:
        step = choose(values)
        result = step(**{name: _convert(name, value, parameter) for name, value, parameter in _bound(step, values)})
    except (EdgePressError, OSError, KeyboardInterrupt) as error:
        message, exit_code = describe_error(error)
        print(f"edgepress: error: {message}", file=sys.stderr)
        return exit_code
    if result is not None:
        print(result)
    return EXIT_DONE


def _parser(step: Step, parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.description = inspect.getdoc(step)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    for name, parameter in inspect.signature(step).parameters.items():
        kind, optional = _kind(parameter.annotation)
        has_default = parameter.default is not inspect.Parameter.empty
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            required=not (optional or has_default),
            default=parameter.default if has_default else None,
            action="append" if kind is list else "store",
            type=kind if kind in (int, float, str, Path) else (Path if kind is list else str),
            metavar=_metavar(kind),
            help=_describe(kind),
        )
    return parser


def _bound(step: Step, values: Mapping[str, Any]) -> list[tuple[str, Any, inspect.Parameter]]:
    return [(name, values[name], parameter) for name, parameter in inspect.signature(step).parameters.items()]


def _convert(name: str, value: Any, parameter: inspect.Parameter) -> Any:
    kind, _ = _kind(parameter.annotation)
    if not (isinstance(value, str) and isinstance(kind, type) and issubclass(kind, StrictModel)):
        return value
    import yaml

    origin = f"--{name.replace('_', '-')}"
    path = Path(value)
    inline = value.lstrip().startswith(("{", "[")) or ":" in value or value == "null"
    if not inline and not path.is_file():
        raise ConfigError(f"{origin}: {value} is neither a file nor inline YAML or JSON such as '{{key: value}}'")
    try:
        settings = yaml.safe_load(value if inline else path.read_text())
        return kind.parse_optional(json.dumps(settings))
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin}: is not YAML ({one_line(error)})") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{origin}: {key or kind.__name__}: {first['msg']}") from error


def _kind(annotation: Any) -> tuple[Any, bool]:
    """The annotation's plain type and whether None is allowed; ``list[Path]`` gives ``list``."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        members = typing.get_args(annotation)
        return _kind(next(member for member in members if member is not types.NoneType))[0], types.NoneType in members
    if typing.get_origin(annotation) is list:
        return list, False
    return annotation, False


def _metavar(kind: Any) -> str:
    if kind is list or kind is Path:
        return "PATH"
    return {int: "N", float: "X"}.get(kind, "SETTINGS" if isinstance(kind, type) and issubclass(kind, StrictModel) else "TEXT")


def _describe(kind: Any) -> str | None:
    if kind is list:
        return "may be repeated"
    if isinstance(kind, type) and issubclass(kind, StrictModel):
        return f"YAML or JSON, a file or inline; keys: {', '.join(kind.model_fields)}"
    return None


def _summary(step: Step) -> str:
    return (inspect.getdoc(step) or "").split("\n", 1)[0]
