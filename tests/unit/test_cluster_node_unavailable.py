"""Where no node can be started, the reason is said and nothing is begun."""

import os
import sys
from pathlib import Path

import pytest

from tests.cluster.binaries import UnavailableError
from tests.cluster.node import real_node
from tests.cluster.node.real_node import running_node, unavailable_because


def test_without_root_that_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert unavailable_because() == "this is not root on Linux"
    with pytest.raises(UnavailableError, match="not root"), running_node(Path("/nowhere"), "image", ()):
        pytest.fail("it started all the same")


@pytest.mark.skipif(sys.platform != "linux", reason="there is no node elsewhere")
def test_a_program_that_is_missing_is_told_by_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(real_node, "_TOOLS", {"sh": "dash", "/usr/lib/cni/nothing": "containernetworking-plugins"})
    assert unavailable_because() == "these are missing: apt-get install containernetworking-plugins"
