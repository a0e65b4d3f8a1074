"""An S3 bucket as an object store: Amazon's, or any server that speaks the same protocol and honours ``If-None-Match: *``."""

import hashlib
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own; Python's never leaves it
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ResponseStreamingError,
)

from edgepress.contracts.endpoint import holds_credentials
from edgepress.errors import ConfigError, StorageError, StorageRefusedError, one_line
from edgepress.storage.s3_client import ATTEMPTS, CREDENTIALS, EMBEDDED_ENDPOINT_VARIABLE, connect
from edgepress.storage.store import StoredObject

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 15.0
"""Between two tries of a patient store the pause doubles up to the longest, each varied by half so that tasks do not return in step."""

PART_BYTES = 256 << 20
"""Larger files are sent in parts of this size; S3 takes 10,000 of them."""

KEYS_PER_PAGE = 1000
"""The most that S3 lists in one answer."""

_CHUNK_BYTES = 1 << 20

_WRONG_CREDENTIALS = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidClientTokenId", "TokenRefreshRequired"}
)
_ACCESS_DENIED = frozenset({"AccessDenied", "403", "AllAccessDisabled"})
_NOT_LET_IN = _ACCESS_DENIED | _WRONG_CREDENTIALS | {"NoSuchBucket"}
_OVERLOADED = frozenset({"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "500", "502", "503", "504"})

_BROKEN_BODIES = (IncompleteReadError, ResponseStreamingError)

T = TypeVar("T")


class S3Store:
    """An ``ObjectStore`` on one bucket. Opening it contacts nobody, except to create the bucket of the embedded store.

    ``patience_s`` is how long an operation is tried again while the endpoint cannot be reached or says that it is overloaded, beyond
    the first try, which is itself of ``ATTEMPTS`` requests. A refusal is never tried again.
    """

    def __init__(self, bucket: str, endpoint_url: str | None = None, patience_s: float = 0.0) -> None:
        if endpoint_url is not None and holds_credentials(endpoint_url):
            raise ConfigError(f"endpoint_url: holds a name or a password; take it out and set {CREDENTIALS}")
        if endpoint_url is not None and (urlsplit(endpoint_url).scheme not in ("http", "https") or not urlsplit(endpoint_url).hostname):
            raise ConfigError(f"endpoint_url: '{endpoint_url}' is not a URL such as https://s3.example.org")
        self._bucket = bucket
        self._patience_s = patience_s
        self._client = connect(endpoint_url)
        self._endpoint: str = self._client.meta.endpoint_url
        if os.environ.get(EMBEDDED_ENDPOINT_VARIABLE) == self._endpoint:
            self._create_bucket()

    @property
    def address(self) -> str:
        return f"{self._endpoint}, bucket '{self._bucket}'"

    def put_file(self, key: str, path: Path) -> None:
        # In parts where it is large: one request takes 5 GiB at most. The object appears when the last part is there.
        parts = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False)

        def write() -> None:
            with path.open("rb") as file:
                self._client.upload_fileobj(file, self._bucket, key, Config=parts)

        self._try(key, write)

    def put_bytes(self, key: str, content: bytes) -> None:
        self._try(key, lambda: self._client.put_object(Bucket=self._bucket, Key=key, Body=content))

    def put_if_absent(self, key: str, content: bytes) -> bool:
        def write() -> bool:
            try:
                self._client.put_object(Bucket=self._bucket, Key=key, Body=content, IfNoneMatch="*")
            except ClientError as error:
                if _code(error) in ("PreconditionFailed", "412"):
                    return False
                if _code(error) in ("NotImplemented", "501"):
                    raise StorageError(
                        f"{self.address}: does not support conditional writes (If-None-Match), without which neither a release is "
                        f"published safely nor a use of a test split counted; use a store that does"
                    ) from error
                raise
            return True

        return self._try(key, write)

    def get_bytes(self, key: str) -> bytes:
        def read() -> bytes:
            content: bytes = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            return content

        return self._try(key, read)

    def digest(self, key: str) -> str:
        def read() -> str:
            sha256 = hashlib.sha256()
            for chunk in self._client.get_object(Bucket=self._bucket, Key=key)["Body"].iter_chunks(_CHUNK_BYTES):
                sha256.update(chunk)
            return f"sha256:{sha256.hexdigest()}"

        return self._try(key, read)

    def download_file(self, key: str, path: Path) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")

        def read() -> None:
            body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
            with temporary.open("wb") as file:
                _copy(body, file)

        try:
            self._try(key, read)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def list_keys(self, prefix: str = "") -> list[str]:
        return [entry.key for entry in self.list_objects(prefix)]

    def list_objects(self, prefix: str = "") -> list[StoredObject]:
        def read() -> list[StoredObject]:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix, PaginationConfig={"PageSize": KEYS_PER_PAGE}
            )
            return sorted(
                StoredObject(key=entry["Key"], size_bytes=entry["Size"], etag=entry["ETag"])
                for page in pages
                for entry in page.get("Contents", ())
            )

        return self._try(prefix, read)

    def exists(self, key: str) -> bool:
        # Not HEAD: its 404 cannot tell a missing object from a missing bucket, and carries no reason for a refusal.
        def read() -> bool:
            page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1)
            return any(entry["Key"] == key for entry in page.get("Contents", ()))

        return self._try(key, read)

    def delete(self, key: str) -> None:
        self._try(key, lambda: self._client.delete_object(Bucket=self._bucket, Key=key))

    def _create_bucket(self) -> None:
        def create() -> None:
            try:
                self._client.create_bucket(Bucket=self._bucket)
            except ClientError as error:
                if _code(error) not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    raise

        self._try("", create)

    def _try(self, key: str, operation: Callable[[], T]) -> T:
        """The operation's result, tried again while there is hope and patience left.

        A connection that breaks within a body, which the client itself does not retry, is tried ``ATTEMPTS`` times even without patience.
        """
        deadline = time.monotonic() + self._patience_s
        broken, pause_s, told = 0, FIRST_PAUSE_S, False
        while True:
            try:
                return operation()
            except (BotoCoreError, ClientError) as error:
                broken += isinstance(error, _BROKEN_BODIES)
                left_s = deadline - time.monotonic()
                if not _may_pass(error) or (left_s <= 0.0 and not 0 < broken < ATTEMPTS):
                    raise self._explained(error, key) from error
                if left_s > 0.0 and not told:
                    told = True
                    print(f"{self.address}: '{key}': {one_line(error)}; trying again for up to {left_s:.0f} s", flush=True)
            time.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2.0 * pause_s, LONGEST_PAUSE_S)

    def _explained(self, error: BotoCoreError | ClientError, key: str) -> StorageError:
        """One line that says where, why and what to do, for whatever botocore raises."""
        if isinstance(error, ClientError):
            kind = StorageRefusedError if _code(error) in _NOT_LET_IN else StorageError
            return kind(f"{self.address}: {self._refusal(error, key)}")
        if isinstance(error, NoCredentialsError | CredentialRetrievalError):
            return StorageError(f"{self.address}: there are no credentials; set {CREDENTIALS}")
        if isinstance(error, ConnectionError | HTTPClientError):
            return StorageError(
                f"{self.address}: the endpoint cannot be reached after {self._tried} ({type(error).__name__}); "
                f"check endpoint_url or AWS_ENDPOINT_URL_S3, and the network"
            )
        return StorageError(f"{self.address}: '{key}' failed ({one_line(error)})")

    @property
    def _tried(self) -> str:
        return f"{self._patience_s:.0f} s of attempts" if self._patience_s else f"{ATTEMPTS} attempts"

    def _refusal(self, error: ClientError, key: str) -> str:
        code = _code(error)
        if code in _ACCESS_DENIED:
            return f"access denied to '{key}' for this access key; grant it reading, writing, listing and deleting on this bucket"
        if code in _WRONG_CREDENTIALS:
            return f"the credentials were not accepted ({code}); check {CREDENTIALS}"
        if code == "NoSuchBucket":
            return "there is no such bucket; create it, or correct the s3:// address"
        if code in ("NoSuchKey", "404"):
            return f"there is no '{key}'"
        if code in _OVERLOADED:
            return f"the server failed or is overloaded ({code}) after {self._tried}; try again later"
        return f"refused '{key}' ({code}: {one_line(error.response.get('Error', {}).get('Message', ''))})"


def _may_pass(error: BotoCoreError | ClientError) -> bool:
    """Whether the same request may well succeed later: the server cannot be reached, breaks off or is overloaded."""
    if isinstance(error, ClientError):
        return _code(error) in _OVERLOADED
    return isinstance(error, (ConnectionError, HTTPClientError, *_BROKEN_BODIES))


def _copy(body: Any, file: BinaryIO) -> None:
    shutil.copyfileobj(body, file, _CHUNK_BYTES)
    file.flush()
    os.fsync(file.fileno())


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))
