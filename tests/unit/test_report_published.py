"""The report step publishes what it wrote before its directory appears, or it fails."""

from pathlib import Path

import pytest

from edgepress.contracts.last_verdict import Fingerprint, LastVerdict, last_verdict_key
from edgepress.contracts.verdict import read_verdict
from edgepress.errors import StorageError
from tests.unit.sample_report import report_run
from tests.unit.sample_run import MODELS, build_run

FINGERPRINT = Fingerprint(dataset=f"sha256:{'a' * 64}", code=f"sha256:{'b' * 64}", config=f"sha256:{'c' * 64}")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("fingerprint", [FINGERPRINT, None])
def test_the_whole_summary_and_the_newest_verdict_are_published(fingerprint: Fingerprint | None, tmp_path: Path) -> None:
    store = tmp_path / "store"
    parameter = fingerprint.as_parameter() if fingerprint is not None else ""
    run = build_run(tmp_path, MODELS)
    output = report_run(run, tmp_path, name="digits", run_id="r1", publish_to=str(store), fingerprint=parameter)
    assert contents(store / "runs" / "r1") == contents(output)
    last = LastVerdict.model_validate_json((store / last_verdict_key("digits")).read_bytes())
    assert last == LastVerdict(run_id="r1", fingerprint=fingerprint, outcome=read_verdict(output).outcome)


def test_what_cannot_be_published_fails_the_task(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a folder")
    with pytest.raises(StorageError):
        report_run(build_run(tmp_path, MODELS), tmp_path, publish_to=str(tmp_path / "store"))
    assert not (tmp_path / "report").exists()


def test_nothing_is_published_unless_asked_for(tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    report_run(build_run(tmp_path, MODELS), tmp_path)
    assert not {"runs", "verdicts"} & ({path.name for path in tmp_path.iterdir()} - before)
