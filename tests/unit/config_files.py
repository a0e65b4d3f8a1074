"""A small configuration that is valid, and what is said of one that is not."""

from pathlib import Path

import pytest

from edgepress.errors import EXIT_WRONG_INPUT, ConfigError
from edgepress_pipelines.config.file import load_config

GOOD = """\
name: demo
dataset: {source: digits}
baseline:
  model: mlp
  params: {hidden: [32]}
  train: {epochs: 3, learning_rate: 1e-3}
recipes:
  - recipe: int8
    convert: {quantization: int8}
  - recipe: small
    distill:
      student:
        model: mlp
        params: {hidden: [8]}
    prune: {final_sparsity: 0.5}
gate:
  accuracy: {max_drop: 0.02}
"""


def write(folder: Path, text: str | bytes, name: str = "c.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    assert caught.value.exit_code == EXIT_WRONG_INPUT
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{path.parent}/", "")
