"""The report step publishes what it wrote before its directory appears, or it fails."""

from pathlib import Path

import pytest

from edgepress.contracts.last_verdict import Fingerprint, LastVerdict, SeenSource, last_verdict_key
from edgepress.contracts.verdict import read_verdict
from edgepress.errors import InputError, StorageError
from tests.unit.sample_report import report_run
from tests.unit.sample_run import MODELS, build_run

STARTED = Fingerprint(code=f"sha256:{'b' * 64}", configuration=f"sha256:{'c' * 64}")
SEEN = SeenSource(digest=f"sha256:{'a' * 64}", unix_time_s=1_700_000_000.25)
COMPLETE = STARTED.of_dataset(SEEN.digest)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("parameter", "recorded"),
    [
        (STARTED.as_parameter(), COMPLETE),
        # The source changed after the run had been started: what ingest saw counts.
        (STARTED.of_dataset(f"sha256:{'d' * 64}").as_parameter(), COMPLETE),
        ("", None),
    ],
)
def test_the_whole_summary_and_the_newest_verdict_are_published(parameter: str, recorded: Fingerprint | None, tmp_path: Path) -> None:
    store = tmp_path / "store"
    run = build_run(tmp_path, MODELS)
    source = SEEN.model_dump_json()
    output = report_run(run, tmp_path, name="digits", run_id="r1", publish_to=str(store), fingerprint=parameter, source=source)
    assert contents(store / "runs" / "r1") == contents(output)
    last = LastVerdict.model_validate_json((store / last_verdict_key("digits")).read_bytes())
    outcome = read_verdict(output).outcome
    assert last == LastVerdict(run_id="r1", started_unix_s=SEEN.unix_time_s, fingerprint=recorded, outcome=outcome)


def test_nothing_is_published_without_what_ingest_saw(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^source: is not what ingest writes"):
        report_run(build_run(tmp_path, MODELS), tmp_path, publish_to=str(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_what_cannot_be_published_fails_the_task(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a folder")
    with pytest.raises(StorageError):
        report_run(build_run(tmp_path, MODELS), tmp_path, publish_to=str(tmp_path / "store"), source=SEEN.model_dump_json())
    assert not (tmp_path / "report").exists()


def test_nothing_is_published_unless_asked_for(tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    report_run(build_run(tmp_path, MODELS), tmp_path)
    assert not {"runs", "verdicts"} & ({path.name for path in tmp_path.iterdir()} - before)
