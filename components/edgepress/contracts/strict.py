"""The base of every contract: frozen, and strict about unknown keys and types."""

from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class OneOf:
    """Annotates text that must be one of some names, as a ``Literal`` would, where the names follow from a registry."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.literal_schema(list(self.names))


class StrictModel(BaseModel):
    """A contract between rooms. Unknown keys, coerced types, NaN and infinity are errors; instances do not change.

    Optional metrics are ``None`` when they were not measured, never NaN.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @classmethod
    def parse_optional(cls, text: str) -> Self | None:
        """Read a JSON parameter of a pipeline task: ``null`` means that the recipe leaves the stage out.

        Raises:
            pydantic.ValidationError: the text is not this contract.
        """
        return None if text == "null" else cls.model_validate_json(text)
