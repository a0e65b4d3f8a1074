"""The process environment for tests that talk to a store."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest


@contextmanager
def only(variables: Mapping[str, str]) -> Iterator[None]:
    """Have these store variables and no others: nothing of the machine's own configuration, and no metadata service."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "EDGEPRESS_EMBEDDED"))]:
            patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name, value in variables.items():
            patch.setenv(name, value)
        yield
