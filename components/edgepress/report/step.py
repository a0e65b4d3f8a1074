"""The report step: everything that a run's folder shows, in one directory."""

import shutil
from pathlib import Path

from pydantic import ValidationError

from edgepress.contracts.candidate import BASELINE
from edgepress.contracts.json_file import write_json
from edgepress.contracts.last_verdict import Fingerprint, LastVerdict, SeenSource
from edgepress.contracts.policy import GateSettings
from edgepress.contracts.verdict import VERDICT_NAME
from edgepress.device.digest import digest_file
from edgepress.device.files import new_directory, write_atomically
from edgepress.errors import InputError, IntegrityError
from edgepress.report.leaderboard import write_leaderboard
from edgepress.report.page import render_page
from edgepress.report.publish import publish_summary
from edgepress.report.records import RunRecords, find_verdict, read_run
from edgepress.task import task

REPORT_NAME = "report.html"
LEADERBOARD_NAME = "leaderboard.csv"


@task("report")
def report(
    *,
    name: str,
    run_id: str,
    policy: GateSettings,
    verdict: Path,
    baseline: Path,
    candidates: list[Path],
    baseline_evaluation: Path,
    evaluations: list[Path],
    baseline_test_evaluation: Path,
    nominee_evaluation: Path,
    benchmark: Path,
    output: Path,
    publish_to: str = "",
    fingerprint: str = "",
    source: str = "",
) -> None:
    """Write the verdict, the HTML report, the leaderboard, every evaluation and every model into one directory.

    On a cluster, publish it too; the directory appears only after that.

    Args:
        name: the pipeline's name, shown as the title.
        run_id: this run's name.
        policy: the thresholds and the objective, drawn into the charts.
        verdict: the verdict's directory.
        baseline: the baseline's candidate directory, converted.
        candidates: a candidate directory of every recipe, in any order.
        baseline_evaluation: the baseline's evaluation directory on validation data.
        evaluations: an evaluation directory of every recipe on validation data, in any order.
        baseline_test_evaluation: the baseline's evaluation directory on test data.
        nominee_evaluation: the nominee's evaluation directory on test data, or the failed one that stands in when nothing was nominated.
        benchmark: the benchmark's directory.
        output: directory to write; must not exist.
        publish_to: object store that all runs share, e.g. s3://bucket/prefix; empty publishes nothing.
        fingerprint: what the run was computed from, as its pipeline parameter; empty when nobody took it.
        source: what ingest saw, as it wrote it; needed to publish.

    Raises:
        InputError: it is to be published, but ``source`` is not what ingest writes.
        IntegrityError: a record cannot be read, a recipe is there twice, or a model is not the one that the verdict names.
        StorageError: the object store cannot be reached or refuses.
    """
    seen = _read_source(source) if publish_to else None
    records = read_run(
        name=name,
        run_id=run_id,
        policy=policy,
        verdict=verdict,
        baseline=baseline,
        candidates=candidates,
        baseline_evaluation=baseline_evaluation,
        evaluations=evaluations,
        baseline_test_evaluation=baseline_test_evaluation,
        nominee_evaluation=nominee_evaluation,
        benchmark=benchmark,
    )
    with new_directory(output) as building:
        write_json(building / VERDICT_NAME, records.verdict)
        write_atomically(building / LEADERBOARD_NAME, write_leaderboard(records))
        _write_evaluations(records, building / "evaluations")
        _copy_models(records, building / "models")
        write_atomically(building / REPORT_NAME, render_page(records))
        if seen is not None:
            given = Fingerprint.from_parameter(fingerprint)
            last = LastVerdict(
                run_id=run_id,
                started_unix_s=seen.unix_time_s,
                fingerprint=given.of_dataset(seen.digest) if given is not None else None,
                outcome=records.verdict.outcome,
            )
            print(f"published to {publish_summary(building, publish_to, name, last)}")


def _read_source(source: str) -> SeenSource:
    try:
        return SeenSource.model_validate_json(source)
    except ValidationError as error:
        raise InputError("source: is not what ingest writes when it uploads a dataset; without it nothing is published") from error


def _write_evaluations(records: RunRecords, folder: Path) -> None:
    """Validation data beside each other as ``<recipe>.json``; what was seen of test data below ``test/``."""
    test = folder / "test"
    test.mkdir(parents=True)
    for recipe, evaluation in {BASELINE: records.baseline_validation, **records.evaluations}.items():
        write_json(folder / f"{recipe}.json", evaluation.record)
    write_json(test / f"{BASELINE}.json", records.baseline_test.record)
    if records.nominee_test is not None:
        write_json(test / f"{records.verdict.nominee}.json", records.nominee_test.record)


def _copy_models(records: RunRecords, folder: Path) -> None:
    folder.mkdir()
    for recipe, path in records.models.items():
        judged, found = find_verdict(records, recipe), digest_file(path)
        seen = judged.model_digest if judged is not None else None
        if recipe != BASELINE and seen != found:
            raise IntegrityError(f"{path}: has digest {found}, but the gate saw {seen} of {recipe}; run again")
        shutil.copyfile(path, folder / f"{recipe}.tflite")
