"""What ties a verdict to the files it was given on."""

from collections.abc import Mapping
from pathlib import Path

from edgepress.contracts.candidate import ARTIFACT_PATHS, ArtifactKind
from edgepress.contracts.verdict import Verdict
from edgepress.errors import IntegrityError
from edgepress.release.recomputation import find_contradictions
from edgepress.tasks.task import TaskName


def check_binding(
    verdict: Verdict, source: str, *, recipe: str, task: TaskName, dataset_digest: str, models: Path, digests: Mapping[ArtifactKind, str]
) -> tuple[ArtifactKind, ...]:
    """Check that a verdict passed, that this follows from its own policy and metrics, and that it is about these very files.

    Args:
        verdict: the judgement.
        source: what to call it in errors.
        recipe: that made the files.
        task: that they are for.
        dataset_digest: of the dataset they were made and judged with.
        models: directory of the files, for errors.
        digests: kind -> digest of every artifact there, computed from its content.

    Returns:
        The kinds that were judged. Others may lie beside them; nobody said that they are good.

    Raises:
        IntegrityError: it did not pass, contradicts itself, or is about another recipe, task, dataset or file, or nobody judged what
            devices run.
    """
    if verdict.outcome != "passed" or not verdict.targets:
        raise IntegrityError(f"{source}: the verdict is {verdict.outcome}, and only a passed one can be released")
    if verdict.nominee != recipe:
        raise IntegrityError(f"{source}: the verdict is about recipe {verdict.nominee}, but {models} was made by {recipe}")
    if verdict.task != task:
        raise IntegrityError(f"{source}: the verdict is about {verdict.task}, but {models} is for {task}")
    if verdict.dataset_digest != dataset_digest:
        raise IntegrityError(f"{source}: the verdict was given on dataset {verdict.dataset_digest}, not on {dataset_digest}")
    for target in verdict.targets:
        if target.outcome != "passed":
            raise IntegrityError(f"{source}: the verdict for {target.channel} is {target.outcome}, and only a passed one can be released")
        found = digests.get(target.artifact, "none")
        if target.digest != found:
            raise IntegrityError(
                f"{models / ARTIFACT_PATHS[target.artifact]}: has digest {found}, but {target.digest} was judged; run again"
            )
    if contradiction := next(find_contradictions(verdict), None):
        raise IntegrityError(f"{source}: contradicts itself: {contradiction}; judge again")
    judged = tuple(kind for kind in ARTIFACT_PATHS if any(target.artifact == kind for target in verdict.targets))
    if "tflite" in digests and "tflite" not in judged:
        raise IntegrityError(f"{source}: no target judged {ARTIFACT_PATHS['tflite']}, which the bundle ships")
    return judged
