"""Real senders against a real receiver: Debian's Alertmanager, and SeaweedFS's own notifications."""

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edgepress.storage import open_store
from edgepress.storage.embedded import EmbeddedStore
from edgepress_pipelines.trigger.receiver.core import ReceiverState
from edgepress_pipelines.trigger.receiver.pending import Delays
from edgepress_pipelines.trigger.receiver.rate_limit import TokenBucket
from tests.unit.running_receiver import TOKEN, RunningReceiver, request, running_receiver
from tests.unit.store_environment import only

WAIT_S = 60.0


def samples(receiver: RunningReceiver, source: str) -> dict[str, float]:
    """Requests from a source by their outcome."""
    lines = request(receiver.status_port, "GET", "/metrics", token=None).body.decode().splitlines()
    prefix, end = 'edgepress_receiver_requests_total{outcome="', f'",source="{source}"}} '
    return {
        line.removeprefix(prefix).partition('"')[0]: float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith(prefix) and end in line
    }


def wait_until(holds: Callable[[], bool], what: Callable[[], object] = lambda: None) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline_s, what()
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


ALERTMANAGER_CONFIG = """
route:
  receiver: edgepress
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1s
receivers:
  - name: edgepress
    webhook_configs:
      - url: http://127.0.0.1:{port}/events/alertmanager
        send_resolved: true
        http_config:
          authorization: {{type: Bearer, credentials_file: {token_file}}}
"""


@contextmanager
def running_alertmanager(folder: Path, receiver: RunningReceiver) -> Iterator[str]:
    """Alertmanager, sending to the receiver; gives its address."""
    binary = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    assert binary is not None, "needs Alertmanager: apt-get install prometheus-alertmanager"
    config = folder / "alertmanager.yml"
    config.write_text(ALERTMANAGER_CONFIG.format(port=receiver.port, token_file=receiver.token_file))
    address = f"127.0.0.1:{free_port()}"
    options = [
        f"--config.file={config}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with (folder / "alertmanager.log").open("wb") as log:
        process = subprocess.Popen([binary, *options], stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: is_ready(address), (folder / "alertmanager.log").read_text)
            yield address
        finally:
            process.terminate()
            process.wait(WAIT_S)


def is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def failures_of(address: str) -> float:
    """Requests to the receiver that Alertmanager counts as failed."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    name = 'alertmanager_notification_requests_failed_total{integration="webhook"} '
    return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0.0)


def alert(address: str, ends: timedelta) -> None:
    """Tell Alertmanager of a drift that began a minute ago."""
    now = datetime.now(UTC)
    alerts = [{"labels": {"alertname": "InputDrift"}, "startsAt": began.isoformat(), "endsAt": (now + ends).isoformat()}]
    post = urllib.request.Request(
        f"http://{address}/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(post, timeout=10) as answer:
        assert answer.status == 200


began = datetime.now(UTC) - timedelta(minutes=1)


def test_an_alert_of_alertmanager_is_one_check_until_it_is_resolved(tmp_path: Path) -> None:
    with running_receiver(tmp_path) as receiver, running_alertmanager(tmp_path, receiver) as address:
        receiver.checks.wait_for(done=1)
        alert(address, timedelta(hours=1))
        receiver.checks.wait_for(done=2)
        # It repeats every second.
        wait_until(lambda: samples(receiver, "alertmanager").get("duplicate", 0) >= 2, lambda: samples(receiver, "alertmanager"))
        alert(address, timedelta(seconds=-1))
        wait_until(lambda: samples(receiver, "alertmanager").get("ignored", 0) >= 1, lambda: samples(receiver, "alertmanager"))
        assert samples(receiver, "alertmanager")["accepted"] == 1
        assert receiver.checks.begun == 2


def test_alertmanager_comes_again_after_it_was_turned_away(tmp_path: Path) -> None:
    with running_receiver(tmp_path) as receiver, running_alertmanager(tmp_path, receiver) as address:
        receiver.checks.wait_for(done=1)
        good = receiver.token_file.read_text()
        # Alertmanager reads the same file and sends what stands in it, which is no token to the receiver: 503, which it tries again.
        receiver.token_file.write_text("short")
        alert(address, timedelta(hours=1))
        wait_until(lambda: failures_of(address) >= 2)
        assert receiver.checks.begun == 1
        receiver.token_file.write_text(good)
        receiver.checks.wait_for(done=2)


class NotifyingStore(EmbeddedStore):
    """The embedded store, which tells a receiver of changes below one folder of buckets."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(folder)
        self._port = port

    def _flags(self) -> list[str]:
        (self._runtime / "notification.toml").write_text(
            f'[notification.webhook]\nenabled = true\nendpoint = "http://127.0.0.1:{self._port}/events/s3"\nbearer_token = "{TOKEN}"\n'
        )
        return super()._flags()


def test_changes_in_seaweedfs_are_a_check_when_they_are_in_the_source(tmp_path: Path) -> None:
    delays = Delays(debounce_s=0.5)
    state = ReceiverState(bucket=TokenBucket(capacity=1000))
    with (
        running_receiver(tmp_path, watched=("s3://data/pets",), delays=delays, state=state) as receiver,
        NotifyingStore(tmp_path / "store", receiver.port) as server,
        only(server.environment),
    ):
        receiver.checks.wait_for(done=1)
        store, _ = open_store("s3://data/pets")
        other, _ = open_store("s3://edgepress/runs")
        store.put_bytes("pets-old/cat/1.png", b"cat")
        other.put_bytes("pets/state", b"state")
        wait_until(lambda: samples(receiver, "s3").get("ignored", 0) >= 4, lambda: samples(receiver, "s3"))
        assert receiver.checks.begun == 1
        for number in range(20):
            store.put_bytes(f"pets/cat/{number}.png", b"cat")
        wait_until(lambda: samples(receiver, "s3").get("accepted", 0) == 20, lambda: samples(receiver, "s3"))
        receiver.checks.wait_for(done=2)
        store.delete("pets/cat/0.png")
        wait_until(lambda: samples(receiver, "s3").get("accepted", 0) == 21, lambda: samples(receiver, "s3"))
        receiver.checks.wait_for(done=3)
