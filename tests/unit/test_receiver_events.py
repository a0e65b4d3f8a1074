"""What senders post, against the shapes that they document; SeaweedFS's were posted by SeaweedFS 4.48 itself."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepress_pipelines.trigger.receiver.events import (
    MalformedError,
    ObjectChange,
    is_relevant,
    parse_alertmanager,
    parse_s3,
    watched_sources,
)

PAYLOADS = Path(__file__).parent / "receiver_payloads"


def payload(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def body(data: object) -> bytes:
    return json.dumps(data).encode()


@pytest.mark.parametrize(
    "name",
    [
        "aws_object_created",
        "aws_object_removed",
        "minio_object_created",
        "eventbridge_object_created",
        "seaweedfs_object_created",
        "seaweedfs_object_overwritten",
    ],
)
def test_every_shape_names_the_same_object(name: str) -> None:
    changes = parse_s3(body(payload(name)))
    assert [(change.bucket, change.key) for change in changes] == [("data", "x/a b+ü.txt")]


def test_an_object_deleted_in_seaweedfs_is_a_change() -> None:
    assert [(change.bucket, change.key) for change in parse_s3(body(payload("seaweedfs_object_deleted")))] == [("data", "x/big.bin")]


def test_a_rename_in_seaweedfs_changes_both_places() -> None:
    renamed = payload("seaweedfs_object_overwritten")
    renamed["message"]["new_parent_path"] = "/buckets/archive"
    renamed["event_type"] = "rename"
    places = [(change.bucket, change.key) for change in parse_s3(body(renamed))]
    assert places == [("data", "x/a b+ü.txt"), ("archive", "a b+ü.txt")]


@pytest.mark.parametrize(
    "name",
    [
        "aws_object_tagging",
        "aws_test_event",
        "minio_object_accessed",
        "eventbridge_object_tags_added",
        "seaweedfs_bucket_created",
        "seaweedfs_folder_created",
    ],
)
def test_what_changes_no_object_is_no_change(name: str) -> None:
    assert parse_s3(body(payload(name))) == ()


@pytest.mark.parametrize("records", [[], None])
def test_no_records_are_no_change(records: object) -> None:
    assert parse_s3(body({"Records": records})) == ()


@pytest.mark.parametrize("path", sorted(path.stem for path in PAYLOADS.glob("*_object_*.json")))
def test_the_same_event_is_recognised_and_a_later_one_is_not(path: str) -> None:
    first = parse_s3(body(payload(path)))
    assert first == parse_s3(body(payload(path)))
    later = payload(path)
    if "Records" in later:
        later["Records"][0]["s3"]["object"]["sequencer"] = "FFFFFFFFFFFFFFFF"
    elif "id" in later:
        later["id"] = "another"
    else:
        later["message"][next(entry for entry in ("new_entry", "old_entry") if entry in later["message"])]["attributes"]["mtime"] += 1
    assert not {change.identity for change in first} & {change.identity for change in parse_s3(body(later))}


def test_without_a_sequencer_tag_and_time_tell_events_apart() -> None:
    event = payload("aws_object_created")
    del event["Records"][0]["s3"]["object"]["sequencer"]
    (first,) = parse_s3(body(event))
    event["Records"][0]["eventTime"] = "1970-01-01T00:00:01.000Z"
    (later,) = parse_s3(body(event))
    event["Records"][0]["s3"]["object"]["eTag"] = "0" * 32
    (other,) = parse_s3(body(event))
    assert len({first.identity, later.identity, other.identity}) == 3


def test_firing_alerts_count_and_resolved_ones_do_not() -> None:
    assert len(parse_alertmanager(body(payload("alertmanager_firing")))) == 1
    assert parse_alertmanager(body(payload("alertmanager_resolved"))) == ()


def test_an_alert_that_fires_anew_is_another() -> None:
    again = payload("alertmanager_firing")
    (first,) = parse_alertmanager(body(again))
    again["commonAnnotations"] = {"summary": "worded differently"}
    assert parse_alertmanager(body(again)) == (first,)
    again["alerts"][0]["startsAt"] = "2023-02-07T13:08:45.828Z"
    assert parse_alertmanager(body(again)) != (first,)


def spoiled() -> list[tuple[str, object]]:
    firing = payload("alertmanager_firing")
    return [
        ("parse_s3", []),
        ("parse_s3", "text"),
        ("parse_s3", {}),
        ("parse_s3", {"Records": {}}),
        ("parse_s3", {"Records": ["text"]}),
        ("parse_s3", {"Records": [{"eventName": 1}]}),
        ("parse_s3", {"Records": [{"eventName": "ObjectCreated:Put"}]}),
        ("parse_s3", {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {}}}]}),
        ("parse_s3", {"Records": [{}] * 10_001}),
        ("parse_s3", {"source": "aws.s3", "detail-type": "Object Created"}),
        ("parse_s3", {"event_type": "create", "key": "/buckets/a/b"}),
        ("parse_alertmanager", {}),
        ("parse_alertmanager", firing | {"version": "3"}),
        ("parse_alertmanager", firing | {"groupKey": None}),
        ("parse_alertmanager", firing | {"alerts": [{"status": "firing"}]}),
    ]


@pytest.mark.parametrize(("parse", "data"), spoiled())
def test_what_is_no_event_is_refused_without_repeating_it(parse: str, data: object) -> None:
    with pytest.raises(MalformedError) as raised:
        {"parse_s3": parse_s3, "parse_alertmanager": parse_alertmanager}[parse](body(data))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    for parse in (parse_s3, parse_alertmanager):
        with pytest.raises(MalformedError, match="is not JSON"):
            parse(content)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Records", "s3", "bucket", "object", "key", "name", "eventName", "event_type", "message", "new_entry", "alerts"]
            )
            | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(json_values)
def test_nothing_but_malformed_is_ever_raised(data: object) -> None:
    for parse in (parse_s3, parse_alertmanager):
        with suppress(MalformedError):
            parse(body(data))


@pytest.mark.parametrize(
    ("bucket", "key", "relevant"),
    [
        ("data", "pets/cat/1.png", True),
        ("data", "pets", False),
        ("data", "pets-old/cat/1.png", False),
        ("other", "pets/cat/1.png", False),
        ("data", "sets/digits.npz", True),
        ("data", "sets/digits.npz.part", False),
        ("whole", "anything", True),
    ],
)
def test_only_changes_of_watched_sources_are_relevant(bucket: str, key: str, relevant: bool) -> None:
    watched = watched_sources("s3://data/pets/", "s3://data/sets/digits.npz", "s3://whole", "/local", "digits", None)
    assert len(watched) == 3
    assert is_relevant(ObjectChange(bucket, key, "1"), watched) is relevant
    assert is_relevant(ObjectChange(bucket, key, "1"), ())
