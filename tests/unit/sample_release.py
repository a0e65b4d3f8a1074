"""The record of a published release."""

from edgepress.contracts.release import BundleFile, GoldenExamples, PublishedRelease, ReleaseManifest, Versions
from tests.unit.sample_verdict import DIGEST, verdict_of


def published_as(uri: str) -> PublishedRelease:
    """What a release task leaves in its run's folder."""
    verdict = verdict_of("passed")
    manifest = ReleaseManifest(
        name="digits",
        run_id="run-1",
        recipe="student-int8",
        created="2026-11-24T05:02:33Z",
        versions=Versions(edgepress="0.1.0", runtime="litert 2.3.0", python="3.11.7"),
        dataset_digest=DIGEST,
        task="classification",
        labels=("0", "1"),
        artifacts={"tflite": DIGEST, "saved_model": DIGEST},
        verdict_digest=DIGEST,
        hardware=verdict.hardware,
        golden=GoldenExamples(examples=3, tolerance={"tflite": 0.001}),
        trace=(),
        files=(BundleFile(path="model.tflite", digest=DIGEST, size_bytes=4),),
    )
    return PublishedRelease(uri=uri, digest=DIGEST, manifest=manifest)
