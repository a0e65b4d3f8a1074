"""Contracts as JSON files."""

import json
from pathlib import Path
from typing import Any

from edgepress.contracts.strict import StrictModel
from edgepress.device.files import write_atomically


def write_json(path: Path, value: StrictModel | dict[str, Any] | list[Any]) -> None:
    """Write a contract or plain JSON data, indented, atomically. NaN and infinity raise ``ValueError``."""
    plain = value.model_dump(mode="json") if isinstance(value, StrictModel) else value
    write_atomically(path, json.dumps(plain, indent=2, allow_nan=False) + "\n")
