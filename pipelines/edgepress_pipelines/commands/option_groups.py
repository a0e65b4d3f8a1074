"""Groups of options that commands share, each a dataclass that a command takes as one argument."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

R = TypeVar("R")


def takes_groups(command: Callable[..., R]) -> Callable[..., R]:
    """A command whose arguments that are annotated with a dataclass stand for that dataclass's fields, one option each; keywords only.

    Typer reads the signature, which has the fields in the argument's place; the command is given the dataclass, made of them. So an option
    is declared once, as a field ``name: Annotated[type, typer.Option(...)] = default``.
    """
    groups: dict[str, type[Any]] = {}
    expanded: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        group = parameter.annotation
        if isinstance(group, type) and is_dataclass(group):
            groups[parameter.name] = group
            hints = get_type_hints(group, include_extras=True)
            expanded += [
                inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=_default(field), annotation=hints[field.name])
                for field in fields(group)
            ]
        else:
            expanded.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def called(**given: Any) -> R:
        made = {name: group(**{field.name: given.pop(field.name) for field in fields(group)}) for name, group in groups.items()}
        return command(**given, **made)

    called.__signature__ = inspect.Signature(expanded)  # type: ignore[attr-defined]  # how inspect says to do it
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in expanded}
    return called


def _default(field: "Field[Any]") -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return inspect.Parameter.empty if field.default is MISSING else field.default
