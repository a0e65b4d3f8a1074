"""The trigger's receiver under attack, on loopback: how many valid senders it serves meanwhile, how fast, and within how much memory.

A real ``edgepress trigger --listen`` with an object store and the stand-in for KFP. One sender tells it of an alert ten times a second, and
never twice of the same; others attack it from processes of their own, one way after the other:

* ``slow_headers``: 200 connections that send a byte of a header every 250 ms, and come again when they are closed.
* ``slow_bodies``: 40 that do so with a body, and know the token.
* ``flood``: 11,000 connections as fast as they can be opened, 256 at a time, the newest 1,000 of them held.
* ``large_bodies``, ``dense_bodies``: 40 events of 1 MB at the same moment, by senders that know the token: records as S3 writes them,
  and as short as they can be.
"""

import http.client
import json
import multiprocessing
import os
import re
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from edgepress.storage import open_store
from edgepress.storage.embedded import EmbeddedStore
from tests.benchmarks.machine import save, statement
from tests.kfp_api.server import running_kfp
from tests.unit.running_receiver import PAYLOADS, TOKEN
from tests.unit.store_environment import only

LOOPBACK = "127.0.0.1"
WAIT_S = 120.0
PAUSE_S = 0.1
SLOW_S = 15.0
DRIP_S = 0.25
FLOOD = 11_000
OPENING = 256
HELD = 1_000
LARGE_BODIES = 40
LARGE_BYTES = 1_000_000
HEADER = f"Host: receiver\r\nAuthorization: Bearer {TOKEN}\r\n"
CONFIG = """
name: attacked
dataset: {source: s3://data/x}
baseline: {model: mlp}
recipes: [{recipe: int8}]
gate: {accuracy: {max_drop: 0.02}}
resources: {kubeflow: {storage_uri: s3://edgepress/runs}}
release: {uri: s3://edgepress/releases}
"""


def drip(port: int, connections: int, start: str) -> None:
    """Hold so many connections, each of which sends ``start`` and then a byte at a time, for ``SLOW_S``."""
    opened: list[socket.socket] = []
    until_s = time.monotonic() + SLOW_S
    while time.monotonic() < until_s:
        for held in list(opened):
            try:
                held.setblocking(False)
                held.send(b"x")
                with suppress(BlockingIOError):
                    if not held.recv(4096):
                        raise ConnectionResetError
            except OSError:
                opened.remove(held)
                held.close()
        while len(opened) < connections:
            opened.append(socket.create_connection((LOOPBACK, port), timeout=WAIT_S))
            opened[-1].sendall(start.encode())
        time.sleep(DRIP_S)


def slow_headers(port: int) -> None:
    drip(port, 200, "POST /events/s3 HTTP/1.1\r\nX-Slow: ")


def slow_bodies(port: int) -> None:
    drip(port, 40, f"POST /events/s3 HTTP/1.1\r\n{HEADER}Content-Length: 100000\r\n\r\n")


def flood(port: int) -> None:
    """Open connections without a word, many at a time, and let the oldest go when too many are held."""
    held: deque[socket.socket] = deque()
    with selectors.EpollSelector() as opening:
        for _ in range(FLOOD):
            connection = socket.socket()
            connection.setblocking(False)
            connection.connect_ex((LOOPBACK, port))
            opening.register(connection, selectors.EVENT_WRITE)
            while len(opening.get_map()) >= OPENING:
                for key, _ in opening.select(WAIT_S):
                    opening.unregister(key.fileobj)
                    held.append(cast(socket.socket, key.fileobj))
            while len(held) > HELD:
                held.popleft().close()
        held.extend(cast(socket.socket, key.fileobj) for key in opening.get_map().values())
    for connection in held:
        connection.close()


def large_bodies(port: int) -> None:
    """Post events as S3 writes them, all at once."""
    (record,) = json.loads((PAYLOADS / "aws_object_created.json").read_text())["Records"]
    record["s3"]["bucket"]["name"] = "other"
    post_at_once(port, record)


def dense_bodies(port: int) -> None:
    """Post events of nothing but what is asked for: of as many bytes they become the most objects."""
    post_at_once(port, {"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": "other"}, "object": {"key": "k", "sequencer": "1"}}})


def post_at_once(port: int, record: dict[str, Any]) -> None:
    body = json.dumps({"Records": [record] * (LARGE_BYTES // (len(json.dumps(record)) + 2))}).encode().ljust(LARGE_BYTES)
    with ThreadPoolExecutor(LARGE_BODIES) as pool:
        answered = list(pool.map(lambda _: post(port, "/events/s3", body), range(LARGE_BODIES)))
    assert answered == [200] * LARGE_BODIES, answered


def post(port: int, path: str, body: bytes) -> int:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=WAIT_S)
    try:
        connection.request("POST", path, body, {"Authorization": f"Bearer {TOKEN}"})
        return connection.getresponse().status
    finally:
        connection.close()


def tell_alert(port: int, number: int) -> int | str:
    alert = {"status": "firing", "fingerprint": f"{number:016x}", "startsAt": "2026-01-01T00:00:00Z"}
    try:
        return post(port, "/events/alertmanager", json.dumps({"version": "4", "groupKey": "g", "alerts": [alert]}).encode())
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__


def serve_meanwhile(port: int, first: int, attack: "Future[None]") -> dict[str, Any]:
    """Tell of alerts while the attack lasts; gives how that went."""
    begun_s = time.monotonic()
    answers: list[int | str] = []
    waits_ms: list[float] = []
    while not attack.done() or len(answers) < 10:
        asked_s = time.monotonic()
        answers.append(tell_alert(port, first + len(answers)))
        waits_ms.append((time.monotonic() - asked_s) * 1000)
        time.sleep(PAUSE_S)
    attack.result()
    return {
        "attack_s": round(time.monotonic() - begun_s, 1),
        "valid_events": len(answers),
        "accepted": answers.count(202),
        "otherwise": sorted({str(answer) for answer in answers if answer != 202}),
        "wait_p50_ms": round(statistics.median(waits_ms), 1),
        "wait_max_ms": round(max(waits_ms), 1),
    }


def probe(status_port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, status_port, timeout=WAIT_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    finally:
        connection.close()


def peak_memory_mb(pid: int) -> float:
    """The most resident memory that a process ever had, in units of 1,000,000 bytes."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return round(int(found[1]) * 1024 / 1e6, 1)


def wait_for_line(log: Path, process: "subprocess.Popen[bytes]", message: str) -> dict[str, Any]:
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s and process.poll() is None:
        for text in log.read_text().splitlines():
            line: dict[str, Any] = json.loads(text) if text.startswith("{") else {}
            if str(line.get("message", "")).startswith(message):
                return line
        time.sleep(0.1)
    raise AssertionError(f"the receiver's log has no line {message!r}: {log.read_text()[-2000:]}")


@contextmanager
def receiver(folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", dict[str, Any]]]:
    """A receiver whose first check has started a run; with it the line in which it said where it listens."""
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "token").write_text(TOKEN)
    digest = f"sha256:{'1' * 64}"
    images = [{"name": f"edgepress/{name}", "newName": f"r/{name}", "digest": digest} for name in ("trainer", "evaluator", "releaser")]
    (folder / "lock.yaml").write_text(json.dumps({"kind": "Component", "images": images}))
    with EmbeddedStore(folder / "store") as store, only(store.environment), running_kfp() as kfp:
        open_store("s3://data/x")[0].put_bytes("x/cat/1.png", b"cat")
        command = [sys.executable, "-m", "edgepress_pipelines", "trigger", str(folder / "config.yaml"), "--host", kfp.url]
        options = ["--image-lock", str(folder / "lock.yaml"), "--receiver-token-file", str(folder / "token"), "--no-cluster-check"]
        addresses = ["--listen", f"{LOOPBACK}:0", "--listen-status", f"{LOOPBACK}:0"]
        log = folder / "log.jsonl"
        with log.open("wb") as written:
            process = subprocess.Popen([*command, *options, *addresses], stdout=written, stderr=subprocess.STDOUT, env=os.environ.copy())
        try:
            listening = wait_for_line(log, process, "listening")
            wait_for_line(log, process, "started run")
            yield process, listening
        finally:
            process.terminate()
            process.wait(WAIT_S)


def measure(folder: Path) -> dict[str, Any]:
    attacks: list[Callable[[int], None]] = [slow_headers, slow_bodies, flood, large_bodies, dense_bodies]
    figures: dict[str, Any] = {}
    fresh_process = multiprocessing.get_context("spawn")
    with receiver(folder) as (process, listening), ProcessPoolExecutor(1, fresh_process) as pool:
        port, first = listening["port"], 0
        wait([pool.submit(os.getpid)])  # the attackers' process has started
        figures["memory_before_mb"] = peak_memory_mb(process.pid)
        for attack in attacks:
            told = serve_meanwhile(port, first, pool.submit(attack, port))
            first += told["valid_events"]
            figures[attack.__name__] = told | {"healthy": probe(listening["status_port"]), "memory_peak_mb": peak_memory_mb(process.pid)}
        asked_s = time.monotonic()
        process.terminate()
        figures["exit_code"] = process.wait(WAIT_S)
        figures["end_s"] = round(time.monotonic() - asked_s, 1)
    return figures


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        save("receiver_under_attack", measure(Path(folder)), statement())


if __name__ == "__main__":
    main()
