"""The real node as a fixture: started once for all tests, each of which is in its network for as long as it lasts."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.cluster.binaries import UnavailableError
from tests.cluster.cluster import NOT_RUN
from tests.cluster.node.addresses import REGISTRY
from tests.cluster.node.real_node import RealNode, check_available, running_node
from tests.cluster.node.stand_ins import SANDBOX, SERVERS, build_stand_ins
from tests.images.kept_images import KeptImages, kept_images


@dataclass(frozen=True)
class NodeUnderTest:
    """A node, and what it can run.

    Attributes:
        images: the project's own.
        servers: the image of DNS, Pushgateway, SeaweedFS and a relay.
        sandbox: an image that does nothing.
    """

    real: RealNode
    images: KeptImages
    servers: str
    sandbox: str


@pytest.fixture(scope="session")
def started_node(request: pytest.FixtureRequest) -> Iterator[NodeUnderTest]:
    """One node for all tests of a process. Use ``node``, or be in its ``network``."""
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")

    def report(line: str) -> None:
        if reporter is not None:
            reporter.write_line(line)

    with ExitStack() as opened:
        try:
            check_available(report)
            images = opened.enter_context(kept_images(report))
            stand_ins = build_stand_ins(images, report)
            real = opened.enter_context(running_node(images.registry_data, stand_ins[SANDBOX], (images.pushed_to, REGISTRY), report))
        except UnavailableError as error:
            pytest.skip(f"{NOT_RUN} on a real node ({error})")
        yield NodeUnderTest(real, images, stand_ins[SERVERS], stand_ins[SANDBOX])


@pytest.fixture
def node(started_node: NodeUnderTest) -> Iterator[NodeUnderTest]:
    """The node, with this test in its network."""
    with started_node.real.network():
        yield started_node
