"""A compiled pipeline as it is uploaded: which it is follows from its content, and no configuration's values are in it."""

import copy
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from edgepress.contracts.digest import Digest
from edgepress.device.digest import digest_bytes

_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NAME_DIGITS = 32
"""Hexadecimal digits of the digest in a version's name. A name must do as a Kubernetes object's: no colon, not too long."""


@dataclass(frozen=True)
class CompiledPipeline:
    """The pipeline for one set of images and pods. Any configuration that asks for the same pods runs on it, by parameters alone.

    Attributes:
        text: YAML of two documents: the graph, and what pods get.
        description: what tells it from others, in a line for people.
    """

    text: str
    description: str

    @cached_property
    def version_name(self) -> str:
        """The name of its version in KFP: ``sha256-…``, from what its YAML says. Not from its bytes: comments are nothing that runs."""
        return f"sha256-{hashlib.sha256(_canonical(self._documents)).hexdigest()[:_NAME_DIGITS]}"

    @cached_property
    def digest(self) -> Digest:
        """Digest of all that was compiled but the registries, so that images pulled from a mirror are the same pipeline."""
        graph, *others = copy.deepcopy(self._documents)
        for executor in graph["deploymentSpec"]["executors"].values():
            executor["container"]["image"] = executor["container"]["image"].partition("@")[2]
        return digest_bytes(_canonical([graph, *others]))

    @cached_property
    def _documents(self) -> list[Any]:
        return list(yaml.load_all(self.text, _YAML_LOADER))


def _canonical(documents: list[Any]) -> bytes:
    return json.dumps(documents, sort_keys=True, separators=(",", ":")).encode()
