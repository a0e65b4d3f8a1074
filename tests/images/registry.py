"""The registry of the Distribution project, which Debian packages, on loopback."""

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
START_TIMEOUT_S = 30.0

CONFIGURATION = """\
version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {data}}}
  maintenance: {{readonly: {{enabled: {is_read_only}}}}}
http: {{addr: {address}}}
"""


def write_configuration(folder: Path, data: Path, address: str, *, is_read_only: bool = False) -> Path:
    """The file for ``docker-registry serve``, written in ``folder``.

    Args:
        data: what the registry holds and keeps.
        address: where it listens, by plain HTTP.
        is_read_only: it takes nothing more.
    """
    path = folder / "registry.yml"
    path.write_text(CONFIGURATION.format(data=data, address=address, is_read_only=str(is_read_only).lower()))
    return path


@contextmanager
def running_registry(folder: Path, data: Path | None = None, port: int = 0) -> Iterator[str]:
    """Run a registry; gives its address, e.g. ``127.0.0.1:40123``. It speaks HTTP and asks for no password.

    Args:
        folder: for its configuration and its log.
        data: what it holds and keeps; None begins with nothing, in ``folder``.
        port: 0 is any free one.
    """
    address = f"127.0.0.1:{port or free_port()}"
    configuration = write_configuration(folder, data or folder / "data", address)
    with (folder / "registry.log").open("wb") as log:
        server = subprocess.Popen(["docker-registry", "serve", str(configuration)], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(address):
            assert server.poll() is None, (folder / "registry.log").read_text()
            assert time.monotonic() < deadline, "the registry does not answer"
            time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait()


def free_port() -> int:
    """One of loopback that nobody listens at."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])


def stored_digest(address: str, repository: str, reference: str) -> str:
    """The digest that the registry itself states for a tag or a digest of ``repository``."""
    request = urllib.request.Request(
        f"http://{address}/v2/{repository}/manifests/{reference}", method="HEAD", headers={"Accept": ", ".join(MANIFEST_TYPES)}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return str(response.headers["Docker-Content-Digest"])


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/v2/", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False
