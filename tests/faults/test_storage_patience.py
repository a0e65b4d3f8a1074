"""A store that goes away and comes back: whoever is patient does not notice, whoever is not is told at once."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgepress.device.digest import digest_bytes
from edgepress.errors import StorageError
from edgepress.storage import ObjectStore, open_store
from edgepress.storage.embedded import EmbeddedStore
from tests.faults.s3_proxy import Plan, S3Proxy, running_proxy
from tests.unit.store_environment import only

CONTENT = b"content"


@pytest.fixture(scope="module")
def proxy(server: EmbeddedStore) -> Iterator[S3Proxy]:
    with running_proxy(server.endpoint_url) as proxy:
        open_store("s3://bucket", server.endpoint_url)[0].put_bytes("there", CONTENT)
        yield proxy


class Outage:
    """Every request to the proxy is dropped until ``end``."""

    def __init__(self, proxy: S3Proxy) -> None:
        self._proxy = proxy
        self.dropped = 0
        outer = self

        class Dropping(Plan):
            def fault_of(self, method: str) -> str:  # type: ignore[override]
                with self.lock:
                    if not self.dead:
                        return "none"
                    outer.dropped += 1
                return "not sent"

        proxy.plan = Dropping(dead=True)

    def end(self) -> None:
        self._proxy.plan.dead = False


OPERATIONS: dict[str, Callable[[ObjectStore, Path], object]] = {
    "put_bytes": lambda store, _: store.put_bytes("new", CONTENT),
    "put_file": lambda store, folder: store.put_file("new", written(folder / "file")),
    "put_if_absent": lambda store, _: store.put_if_absent("there", CONTENT) is False or 1 / 0,
    "get_bytes": lambda store, _: store.get_bytes("there") == CONTENT or 1 / 0,
    "digest": lambda store, _: store.digest("there") == digest_bytes(CONTENT) or 1 / 0,
    "download_file": lambda store, folder: store.download_file("there", folder / "copy"),
    "list_keys": lambda store, _: "there" in store.list_keys() or 1 / 0,
    "exists": lambda store, _: store.exists("there") or 1 / 0,
    "delete": lambda store, _: store.delete("absent"),
}


def written(path: Path) -> Path:
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_a_patient_operation_outlasts_an_outage(proxy: S3Proxy, tmp_path: Path, operation: str) -> None:
    outage = Outage(proxy)
    store, _ = open_store("s3://bucket", proxy.endpoint_url, patience_s=100.0)
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(OPERATIONS[operation], store, tmp_path)
        while outage.dropped < 4 and not work.done():  # one more than the client's own attempts
            time.sleep(0.02)
        outage.end()
        work.result(60)
    assert outage.dropped >= 4


def test_without_patience_an_outage_is_told_after_a_few_attempts(proxy: S3Proxy) -> None:
    outage = Outage(proxy)
    store, _ = open_store("s3://bucket", proxy.endpoint_url)
    with pytest.raises(StorageError, match="cannot be reached after 3 attempts"):
        store.get_bytes("there")
    assert outage.dropped == 3
    outage.end()


def test_patience_ends(proxy: S3Proxy, capsys: pytest.CaptureFixture[str]) -> None:
    outage = Outage(proxy)
    store, _ = open_store("s3://bucket", proxy.endpoint_url, patience_s=2.0)
    began = time.monotonic()
    with pytest.raises(StorageError, match="cannot be reached after 2 s of attempts") as raised:
        store.put_bytes("new", CONTENT)
    assert time.monotonic() - began > 2.0
    assert "\n" not in str(raised.value)
    assert capsys.readouterr().out.count("trying again for up to") == 1
    outage.end()


def test_a_refusal_is_told_at_once_however_patient(proxy: S3Proxy) -> None:
    proxy.plan = Plan()
    store, _ = open_store("s3://bucket", proxy.endpoint_url, patience_s=1000.0)
    with pytest.raises(StorageError, match="there is no 'absent'"):
        store.get_bytes("absent")
    with only({"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "x"}), pytest.raises(StorageError, match="were not accepted"):
        open_store("s3://bucket", proxy.endpoint_url, patience_s=1000.0)[0].list_keys()
