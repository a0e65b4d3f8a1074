"""What senders post, reduced to what matters here: which object changed, or which alert fires, and how to recognise it when it comes again.

S3 events come in three shapes, which all say the same:
* ``Records``, as Amazon S3 notifies (AmazonS3/latest/userguide/notification-content-structure.html) and MinIO posts
  (its ``notify_webhook`` target adds ``EventName`` and ``Key`` beside it). Keys are URL-encoded, a blank as ``+``.
* EventBridge's envelope (AmazonS3/latest/userguide/ev-events.html), which an API destination posts. Keys are plain.
* SeaweedFS's ``[notification.webhook]``: changes of its filer, in which a bucket is a folder below ``/buckets``. Keys are plain.

Alerts come as Alertmanager's webhook of version 4 (prometheus.io/docs/alerting/latest/configuration/#webhook_config).
"""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from edgepress.device.digest import digest_bytes
from edgepress.storage.source_digest import S3_SCHEME, is_single_object, object_location

BUCKETS_FOLDER = "/buckets/"
"""SeaweedFS's default; its ``filer.toml`` could name another."""

MAX_RECORDS = 10_000
_CHANGES = ("ObjectCreated", "ObjectRemoved", "LifecycleExpiration")
"""First parts of S3 event names that change a listing. Reads, tags, ACLs and restores do not."""
_EVENTBRIDGE_CHANGES = ("Object Created", "Object Deleted")
_TEST_EVENT = "s3:TestEvent"


class MalformedError(ValueError):
    """A body is not what its path is for. The text says what is missing and repeats nothing of the body."""


@dataclass(frozen=True)
class ObjectChange:
    """An object was written or removed. ``identity`` is the same whenever this very change is told again."""

    bucket: str
    key: str
    identity: str


@dataclass(frozen=True)
class FiringAlert:
    """An alert fires. ``identity`` is the same for as long as it fires without a break."""

    identity: str


Event = ObjectChange | FiringAlert


def parse_s3(body: bytes) -> tuple[ObjectChange, ...]:
    """The changes of objects in an S3 event of any of the three shapes; empty for test events and for what changes no object.

    Raises:
        MalformedError: the body is none of them.
    """
    data = _json_object(body)
    if "Records" in data:
        return tuple(change for record in _list(data, "Records") if (change := _change_of_record(record)) is not None)
    if data.get("Event") == _TEST_EVENT:
        return ()
    if data.get("source") == "aws.s3":
        return _change_of_eventbridge(data)
    if "event_type" in data:
        return _changes_of_seaweedfs(data)
    raise MalformedError("the body is no S3 event: it has neither Records nor the source aws.s3 nor event_type")


def parse_alertmanager(body: bytes) -> tuple[FiringAlert, ...]:
    """The firing alerts of a notification; those that are resolved are left out.

    Raises:
        MalformedError: the body is no notification of version 4.
    """
    data = _json_object(body)
    if data.get("version") != "4":
        raise MalformedError("the body is no Alertmanager notification of version 4: its version is another or absent")
    group = _text(data, "groupKey")
    firing = [alert for alert in map(_as_object, _list(data, "alerts")) if _text(alert, "status") == "firing"]
    return tuple(FiringAlert(_identity(group, _text(alert, "fingerprint"), _text(alert, "startsAt"))) for alert in firing)


def is_relevant(change: ObjectChange, watched: tuple[str, ...]) -> bool:
    """Whether a change concerns one of the watched sources (``s3://…``, as the configuration names them). Without any, each one does."""
    if not watched:
        return True
    for uri in watched:
        bucket, location = object_location(uri)
        if change.bucket == bucket and (change.key == location if is_single_object(uri) else change.key.startswith(location)):
            return True
    return False


def watched_sources(*sources: str | None) -> tuple[str, ...]:
    """Those sources of a configuration that lie in an object store."""
    return tuple(source for source in sources if source is not None and source.startswith(S3_SCHEME))


def _change_of_record(record: Any) -> ObjectChange | None:
    record = _as_object(record)
    name = _text(record, "eventName").removeprefix("s3:")
    if name.partition(":")[0] not in _CHANGES:
        return None
    s3 = _member(record, "s3")
    bucket, stored = _text(_member(s3, "bucket"), "name"), _member(s3, "object")
    key = unquote_plus(_text(stored, "key"))
    sequencer = stored.get("sequencer")
    if isinstance(sequencer, str) and sequencer:
        return ObjectChange(bucket, key, _identity(bucket, key, name, sequencer))
    tag, time = stored.get("eTag", stored.get("etag", "")), record.get("eventTime", "")
    return ObjectChange(bucket, key, _identity(bucket, key, name, str(tag), str(time)))


def _change_of_eventbridge(data: dict[str, Any]) -> tuple[ObjectChange, ...]:
    if data.get("detail-type") not in _EVENTBRIDGE_CHANGES:
        return ()
    detail = _member(data, "detail")
    bucket, key = _text(_member(detail, "bucket"), "name"), _text(_member(detail, "object"), "key")
    # EventBridge delivers at least once, each time with the same id.
    return (ObjectChange(bucket, key, _identity(bucket, key, _text(data, "id"))),)


def _changes_of_seaweedfs(data: dict[str, Any]) -> tuple[ObjectChange, ...]:
    """A rename is two changes: what was there is gone, and something is there now."""
    path, message = _text(data, "key"), _member(data, "message")
    new = message.get("new_entry")
    paths = [path]
    if isinstance(new, dict):
        if new.get("is_directory") is True and _text(data, "event_type") in ("create", "update"):
            return ()  # folders are no objects; a bucket is one too
        paths.append(f"{message.get('new_parent_path', '')}/{new.get('name', '')}")
    identity = _identity(path, json.dumps(data, sort_keys=True))
    changes = []
    for changed in dict.fromkeys(paths):
        bucket, slash, key = changed.removeprefix(BUCKETS_FOLDER).partition("/")
        if changed.startswith(BUCKETS_FOLDER) and slash and key:
            changes.append(ObjectChange(bucket, key, identity))
    return tuple(changes)


def _identity(*parts: str) -> str:
    """Of fixed length, so that what is remembered stays small whatever is sent."""
    return digest_bytes(json.dumps(parts).encode())


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedError("the body is not JSON") from error
    return _as_object(data)


def _as_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedError("the body has something else where a JSON object belongs")
    return value


def _member(data: dict[str, Any], key: str) -> dict[str, Any]:
    if not isinstance(data.get(key), dict):
        raise MalformedError(f"the body lacks the object {key}")
    return _as_object(data[key])


def _list(data: dict[str, Any], key: str) -> list[Any]:
    value = data.get(key)
    if value is None:
        return []  # Go writes an empty slice as null
    if not isinstance(value, list):
        raise MalformedError(f"the body has something else where the list {key} belongs")
    if len(value) > MAX_RECORDS:
        raise MalformedError(f"the list {key} has more than {MAX_RECORDS} items")
    return value


def _text(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str):
        raise MalformedError(f"the body lacks the text {key}")
    return value
