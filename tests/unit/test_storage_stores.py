"""One contract for every store, the one in memory that other tests use among them; and each refusal in one line."""

import http.client
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgepress.device.digest import digest_file
from edgepress.errors import ConfigError, StorageError
from edgepress.storage import ObjectStore, join_key, open_store
from edgepress.storage.embedded import EmbeddedStore
from edgepress.storage.filesystem import FilesystemStore
from tests.unit.memory_store import MemoryStore
from tests.unit.store_environment import only

READER_KEY, READER_SECRET = "reader-key", "reader-secret"


class StoreWithReader(EmbeddedStore):
    """The embedded store, with a second access key that may only read."""

    def _identities(self) -> list[dict[str, object]]:
        credentials = [{"accessKey": READER_KEY, "secretKey": READER_SECRET}]
        return [*super()._identities(), {"name": "reader", "credentials": credentials, "actions": ["Read", "List"]}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    with StoreWithReader(tmp_path_factory.mktemp("store")) as server, only(server.environment):
        yield server


@pytest.fixture(params=["folder", "s3", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return open_store(str(tmp_path / "objects"))[0]
    if request.param == "memory":
        return MemoryStore()
    request.getfixturevalue("server")
    store, _ = open_store("s3://contract/ignored")
    for key in store.list_keys():
        store.delete(key)
    return store


def test_what_is_put_is_there_and_what_is_deleted_is_not(store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 40_000)  # 10 MB: several chunks in SeaweedFS
    store.put_file("a/big.bin", source)
    store.put_bytes("a/small", b"one")
    store.put_bytes("a/small", b"two")
    store.put_bytes("ab", b"")
    assert store.list_keys() == ["a/big.bin", "a/small", "ab"]
    assert store.list_keys("a/") == ["a/big.bin", "a/small"]
    assert store.list_keys("b") == []
    assert (store.get_bytes("a/small"), store.get_bytes("ab")) == (b"two", b"")
    store.download_file("a/big.bin", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert [store.exists(key) for key in ("a/small", "a", "a/", "a/smal", "missing")] == [True, False, False, False, False]
    store.delete("a/small")
    store.delete("a/small")
    assert store.list_keys() == ["a/big.bin", "ab"]


def test_a_listing_tells_contents_apart_without_reading_them(store: ObjectStore) -> None:
    for key, content in (("data/b", b"12345"), ("data/a", b"12345"), ("data/c", b"54321"), ("other", b"")):
        store.put_bytes(key, content)
    first, second, third = store.list_objects("data/")
    assert [(entry.key, entry.size_bytes) for entry in (first, second, third)] == [("data/a", 5), ("data/b", 5), ("data/c", 5)]
    assert first.etag == second.etag != third.etag
    store.put_bytes("data/a", b"12346")
    assert store.list_objects("data/a")[0].etag not in (first.etag, third.etag)
    store.put_bytes("data/a", b"12345")
    assert store.list_objects("data/a") == [first]


def test_only_one_of_many_writers_finds_a_key_absent(store: ObjectStore) -> None:
    contents = [f"writer {number}".encode() for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda content: store.put_if_absent("manifest", content), contents))
    assert won.count(True) == 1
    assert store.get_bytes("manifest") == contents[won.index(True)]
    assert not store.put_if_absent("manifest", b"later")
    assert store.list_keys() == ["manifest"]


def test_a_missing_key_is_named_and_leaves_no_file(store: ObjectStore, tmp_path: Path) -> None:
    store.put_bytes("other", b"x")
    for read in (lambda: store.get_bytes("missing/key"), lambda: store.download_file("missing/key", tmp_path / "here")):
        with pytest.raises(StorageError, match="there is no 'missing/key'") as raised:
            read()
        assert store.address in str(raised.value)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_more_keys_than_a_page_are_listed(server: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgepress.storage.s3.KEYS_PER_PAGE", 3)
    store, _ = open_store("s3://pages")
    keys = [f"k/{number}" for number in range(10)]
    for key in keys:
        store.put_bytes(key, b"")
    assert store.list_keys("k/") == keys


def test_a_large_file_is_sent_in_parts_and_arrives_whole(server: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgepress.storage.s3.PART_BYTES", 5 << 20)  # the smallest that S3 takes
    (tmp_path / "large").write_bytes(bytes(range(256)) * (11 << 12))
    store, _ = open_store("s3://parts")
    store.put_file("large", tmp_path / "large")
    (entry,) = store.list_objects("large")
    assert entry.size_bytes == 11 << 20
    assert entry.etag.strip('"').endswith("-3")  # S3's mark of an object of three parts
    assert store.digest("large") == digest_file(tmp_path / "large")


KEYS = st.lists(st.sampled_from(["a", "b", "cc", "d.e"]), min_size=1, max_size=3).map("/".join)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=st.lists(st.tuples(st.sampled_from(["put", "absent", "delete"]), KEYS, st.binary(max_size=3)), max_size=12))
def test_a_folder_behaves_as_a_map(tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, str, bytes]]) -> None:
    """A key that is another key's folder cannot be had on a file system; everything else is as in a dictionary."""
    store = FilesystemStore(tmp_path_factory.mktemp("map"))
    model: dict[str, bytes] = {}
    for operation, key, content in operations:
        if any(other != key and (other.startswith(f"{key}/") or key.startswith(f"{other}/")) for other in [*model, *used(operations, key)]):
            continue
        if operation == "put":
            store.put_bytes(key, content)
            model[key] = content
        elif operation == "absent":
            assert store.put_if_absent(key, content) is (key not in model)
            model.setdefault(key, content)
        else:
            store.delete(key)
            model.pop(key, None)
    assert store.list_keys() == sorted(model)
    assert {key: store.get_bytes(key) for key in model} == model


def used(operations: list[tuple[str, str, bytes]], key: str) -> list[str]:
    return [other for _, other, _ in operations if other != key]


@pytest.mark.parametrize("key", ["", "/a", "../a", "a/../../b"])
def test_a_folder_keeps_its_keys_inside(tmp_path: Path, key: str) -> None:
    store = FilesystemStore(tmp_path / "objects")
    with pytest.raises(StorageError, match="is not a key"):
        store.put_bytes(key, b"x")
    assert not (tmp_path / "b").exists()


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


AN_ACCOUNT = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "something"}


def assert_refused(message: str, uri: str = "s3://contract/x", endpoint_url: str | None = None) -> None:
    with pytest.raises(StorageError, match=message) as raised:
        open_store(uri, endpoint_url)[0].put_bytes("k", b"x")
    assert "\n" not in str(raised.value)
    assert str(endpoint_url) in str(raised.value)


def test_an_endpoint_that_refuses_connections() -> None:
    with only(AN_ACCOUNT):
        assert_refused(
            r"cannot be reached after 3 attempts .*check endpoint_url or AWS_ENDPOINT_URL_S3, and the network",
            endpoint_url=f"http://127.0.0.1:{closed_port()}",
        )


def test_a_proxy_of_the_environment_is_not_asked_for_loopback(server: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    open_store("s3://contract")[0].put_bytes("k", b"x")


@pytest.mark.parametrize(
    ("credentials", "message"),
    [
        ({}, r"there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "somebody"}, r"the credentials are incomplete; set both"),
        (AN_ACCOUNT, r"were not accepted \(InvalidAccessKeyId\); check AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": READER_KEY, "AWS_SECRET_ACCESS_KEY": "no"}, r"were not accepted \(SignatureDoesNotMatch\)"),
        ({"AWS_ACCESS_KEY_ID": READER_KEY, "AWS_SECRET_ACCESS_KEY": READER_SECRET}, r"access denied to 'k' for this access key; grant it"),
    ],
    ids=["none", "half", "unknown", "wrong secret", "may only read"],
)
def test_credentials_that_are_not_enough(server: EmbeddedStore, credentials: dict[str, str], message: str) -> None:
    open_store("s3://contract")
    with only(credentials):
        assert_refused(message, endpoint_url=server.endpoint_url)


def test_a_profile_that_is_not_there_is_named(server: EmbeddedStore) -> None:
    with only({"AWS_PROFILE": "nope"}), pytest.raises(ConfigError, match=r"^AWS_PROFILE: .*nope.* correct it, or unset it"):
        open_store("s3://contract", server.endpoint_url)


def test_a_missing_bucket_is_made_in_the_embedded_store_only(server: EmbeddedStore) -> None:
    own = {name: value for name, value in server.environment.items() if name != "EDGEPRESS_EMBEDDED_STORE"}
    with only(own):
        assert_refused(r"there is no such bucket; create it, or correct the s3:// address", "s3://absent/x", server.endpoint_url)
        with pytest.raises(StorageError, match="no such bucket"):
            open_store("s3://absent/x", server.endpoint_url)[0].exists("k")
    open_store("s3://absent/x")[0].put_bytes("k", b"x")
    with only(own):
        assert open_store("s3://absent/x", server.endpoint_url)[0].exists("k")


def test_no_request_goes_through_without_credentials(server: EmbeddedStore) -> None:
    open_store("s3://contract")[0].put_bytes("k", b"x")
    host, port = server.endpoint_url.removeprefix("http://").split(":")
    for path in ("/", "/contract", "/contract/k"):
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.request("GET", path)
        assert connection.getresponse().status == 403
        connection.close()


@pytest.mark.parametrize(
    ("uri", "endpoint_url", "message"),
    [
        ("s3://", None, r"names no bucket"),
        ("gs://bucket/x", None, r"neither s3://bucket/prefix nor a local path"),
        ("s3://contract/x", "localhost:9000", r"'localhost:9000' is not a URL such as"),
        ("s3://contract/x", "http://", r"is not a URL such as"),
    ],
)
def test_addresses_that_make_no_sense_are_wrong_input(uri: str, endpoint_url: str | None, message: str) -> None:
    with only({}), pytest.raises(ConfigError, match=message):
        open_store(uri, endpoint_url)


@pytest.mark.parametrize("origin", ["endpoint_url", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "endpoint_url in the AWS configuration"])
@pytest.mark.parametrize("address", ["http://me:hunter2@127.0.0.1:9", "http://me:hun/ter2@127.0.0.1", "https://hunter2@s3.example.org"])
def test_an_endpoint_with_a_password_is_refused_without_repeating_it(tmp_path: Path, origin: str, address: str) -> None:
    (tmp_path / "config").write_text(f"[default]\nendpoint_url = {address}\n")
    variables = {"AWS_CONFIG_FILE": str(tmp_path / "config")} if "configuration" in origin else {origin: address}
    given = address if origin == "endpoint_url" else None
    with (
        only({} if given else variables),
        pytest.raises(ConfigError, match=f"^{origin}: holds a name or a password; ") as raised,
    ):
        open_store("s3://contract/x", given)
    assert "hun" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("uri", "prefix"), [("s3://contract", ""), ("s3://contract/", ""), ("s3://contract/a/b", "a/b"), ("s3://contract/a/b//", "a/b")]
)
def test_a_uri_names_a_prefix_without_slashes_around_it(uri: str, prefix: str) -> None:
    with only(AN_ACCOUNT):
        store, found = open_store(uri, "http://127.0.0.1:1")
    assert found == prefix
    assert store.address == "http://127.0.0.1:1, bucket 'contract'"


def test_keys_join_with_single_slashes() -> None:
    assert join_key("", "a/", "/b", "c/d", "") == "a/b/c/d"
