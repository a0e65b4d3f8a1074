"""Debian's Pushgateway and Prometheus, started on loopback for one test module."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_TIMEOUT_S = 60.0

CONFIGURATION = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: pushgateway
    honor_labels: true
    static_configs: [{{targets: ["{gateway}"]}}]
"""
"""``honor_labels`` keeps the job that was pushed, as the ServiceMonitor of a Pushgateway has it."""


@dataclass(frozen=True)
class Monitoring:
    """Addresses of both servers."""

    gateway_url: str
    prometheus_url: str

    def exposition(self) -> str:
        """What the Pushgateway shows to whoever scrapes it."""
        return read(f"{self.gateway_url}/metrics").decode()

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The labels and the value of every series that an instant query gives."""
        answer = json.loads(read(f"{self.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"))
        assert answer["status"] == "success", answer
        return [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]

    def await_scrape(self) -> None:
        """Wait until a scrape that began after this call is stored."""
        called = time.time()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not any(value > called for _, value in self.query('timestamp(up{job="pushgateway"} == 1)')):
            assert time.monotonic() < deadline, "Prometheus has not scraped"
            time.sleep(0.1)


@contextmanager
def monitoring(folder: Path) -> Iterator[Monitoring]:
    """Both servers, ready, with their data below a folder."""
    gateway, prometheus = (f"127.0.0.1:{port}" for port in free_ports(2))
    configuration = folder / "prometheus.yml"
    configuration.write_text(CONFIGURATION.format(gateway=gateway))
    with ExitStack() as servers:
        # Debian's keeps what was pushed in /var/lib/prometheus unless told otherwise, so that one test would see another's.
        options = (f"--web.listen-address={gateway}", "--persistence.file=")
        servers.enter_context(running("prometheus-pushgateway", *options, log=folder / "pushgateway.log"))
        servers.enter_context(
            running(
                "prometheus",
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={prometheus}",
                log=folder / "prometheus.log",
            )
        )
        for address in (gateway, prometheus):
            await_answer(f"http://{address}/-/ready")
        yield Monitoring(gateway_url=f"http://{gateway}", prometheus_url=f"http://{prometheus}")


@contextmanager
def running(program: str, *arguments: str, log: Path) -> Iterator[None]:
    """A server process, ended with the context."""
    assert shutil.which(program) is not None, f"{program} is not installed: apt-get install prometheus prometheus-pushgateway"
    with log.open("wb") as output, subprocess.Popen([program, *arguments], stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            yield
        finally:
            process.terminate()


def await_answer(url: str) -> None:
    """Wait until a server says that it is ready."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not answers(url):
        assert time.monotonic() < deadline, f"{url} is not ready"
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        read(url)
    except (urllib.error.URLError, ConnectionError):
        return False
    return True


def read(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        content: bytes = answer.read()
    return content


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets: list[Any] = [held.enter_context(socket.socket()) for _ in range(count)]
        for opened in sockets:
            opened.bind(("127.0.0.1", 0))
        return [int(opened.getsockname()[1]) for opened in sockets]
