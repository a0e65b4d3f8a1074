"""What ties a verdict to the files it was given on."""

from pathlib import Path

from edgepress.contracts.candidate import SAVED_MODEL_NAME, TFLITE_NAME
from edgepress.contracts.verdict import Verdict
from edgepress.device.digest import digest_file, digest_tree
from edgepress.errors import IntegrityError


def check_binding(verdict: Verdict, source: str, *, recipe: str, dataset_digest: str, models: Path) -> None:
    """Check that a verdict passed, and that it is about these very files.

    Args:
        verdict: the judgement.
        source: what to call it in errors.
        recipe: that made the files.
        dataset_digest: of the dataset they were made and judged with.
        models: directory with ``model.tflite`` and ``saved_model/``; their content is read, no record of it is believed.

    Raises:
        IntegrityError: it did not pass, or is about another recipe, dataset or file.
    """
    if verdict.outcome != "passed" or not verdict.targets:
        raise IntegrityError(f"{source}: the verdict is {verdict.outcome}, and only a passed one can be released")
    if verdict.nominee != recipe:
        raise IntegrityError(f"{source}: the verdict is about recipe {verdict.nominee}, but {models} was made by {recipe}")
    if verdict.dataset_digest != dataset_digest:
        raise IntegrityError(f"{source}: the verdict was given on dataset {verdict.dataset_digest}, not on {dataset_digest}")
    digests = {"tflite": digest_file(models / TFLITE_NAME), "saved_model": digest_tree(models / SAVED_MODEL_NAME)}
    names = {"tflite": TFLITE_NAME, "saved_model": SAVED_MODEL_NAME}
    for target in verdict.targets:
        if target.outcome != "passed":
            raise IntegrityError(f"{source}: the verdict for {target.channel} is {target.outcome}, and only a passed one can be released")
        if target.digest != digests[target.artifact]:
            raise IntegrityError(
                f"{models / names[target.artifact]}: has digest {digests[target.artifact]}, but {target.digest} was judged; run again"
            )
    if not any(target.artifact == "tflite" for target in verdict.targets):
        raise IntegrityError(f"{source}: no target judged {TFLITE_NAME}, which the bundle ships")
