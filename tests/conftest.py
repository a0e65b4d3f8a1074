"""The object store that tests talk to when it is not itself their subject: one real server in each process of pytest."""

from collections.abc import Iterator

import pytest

from edgepress.storage.embedded import EmbeddedStore
from edgepress.storage.s3_client import connect
from tests.unit.store_environment import only


@pytest.fixture(scope="session")
def _server_of_this_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def server(_server_of_this_process: EmbeddedStore) -> Iterator[EmbeddedStore]:
    """SeaweedFS, empty when a file's first test asks for it. ``open_store`` finds it from then on until the file's last test."""
    with only(_server_of_this_process.environment):
        client = connect(None)
        for bucket in client.list_buckets()["Buckets"]:
            client.delete_bucket(Bucket=bucket["Name"])  # SeaweedFS deletes what is in it, too
        yield _server_of_this_process
