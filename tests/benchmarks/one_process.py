"""The steps of a run called one after another in one Python process: what orchestration is measured against.

python -m tests.benchmarks.one_process CONFIG FOLDER
"""

import sys
from importlib import import_module
from pathlib import Path

from edgepress.benchmark.step import benchmark
from edgepress.contracts.candidate import JUDGED
from edgepress.contracts.stages import STAGES, ConvertSettings
from edgepress.convert.step import convert
from edgepress.evaluate.step import evaluate, evaluate_test
from edgepress.gate.step import judge, nominate
from edgepress.ingest.step import ingest
from edgepress.release.step import release
from edgepress.report.step import report
from edgepress.storage.embedded import EmbeddedStore
from edgepress.train.step import train
from edgepress_pipelines.config.file import load_config


def main(config_path: Path, folder: Path) -> None:
    """Run every step of the configuration below ``folder``."""
    config = load_config(config_path)
    folder.mkdir(parents=True)
    state = folder / "state"
    dataset = ingest(settings=config.dataset, root=folder / "datasets").path
    trained, reference, validation = folder / "trained", folder / "reference", folder / "validation"
    train(recipe="baseline", settings=config.baseline, dataset=dataset, output=trained, state=str(state / "baseline" / "train"))
    convert(recipe="baseline", settings=ConvertSettings(), candidate=trained, dataset=dataset, output=reference)
    evaluate(recipe="baseline", artifact=JUDGED, candidate=reference, dataset=dataset, split="validation", output=validation)

    candidates, evaluations = [], []
    for recipe in config.recipes:
        name = recipe.recipe
        at = folder / name
        at.mkdir()
        candidate = trained
        for stage in STAGES.values():
            step = getattr(import_module(f"{stage.room}.step"), stage.name)
            checkpoints = {"state": str(state / name / stage.name)} if stage.trains else {}
            given = getattr(recipe, stage.name)
            step(recipe=name, settings=given, candidate=candidate, dataset=dataset, output=at / stage.name, **checkpoints)
            candidate = at / stage.name
        evaluate(recipe=name, artifact=JUDGED, candidate=candidate, dataset=dataset, split="validation", output=at / "evaluated")
        candidates.append(candidate)
        evaluations.append(at / "evaluated")

    measured, nomination, nominee = folder / "measured", folder / "nomination", folder / "nominee"
    benchmark(settings=config.benchmark, artifact=JUDGED, baseline=reference, candidates=candidates, dataset=dataset, output=measured)
    nominate(
        policy=config.gate,
        baseline=reference,
        candidates=candidates,
        baseline_evaluation=validation,
        evaluations=evaluations,
        benchmark=measured,
        output=nomination,
        nominee=nominee,
    )
    baseline_test, nominee_test, verdict = folder / "baseline_test", folder / "nominee_test", folder / "verdict"
    evaluate_test(recipe="baseline", artifact=JUDGED, candidate=reference, dataset=dataset, output=baseline_test)
    evaluate_test(recipe="nominee", artifact=JUDGED, candidate=nominee, dataset=dataset, output=nominee_test)
    outcome = judge(
        policy=config.gate,
        nomination=nomination,
        nominee=nominee,
        nominee_evaluation=nominee_test,
        baseline_evaluation=baseline_test,
        benchmark=measured,
        ledger=str(folder / "ledger"),
        run_id="one-process",
        output=verdict,
    )
    report(
        name=config.name,
        run_id="one-process",
        policy=config.gate,
        verdict=verdict,
        baseline=reference,
        candidates=candidates,
        baseline_evaluation=validation,
        evaluations=evaluations,
        baseline_test_evaluation=baseline_test,
        nominee_evaluation=nominee_test,
        benchmark=measured,
        output=folder / "report",
    )
    if outcome == "passed":
        release(
            name=config.name,
            run_id="one-process",
            settings=config.release,
            verdict=verdict,
            nominee=nominee,
            dataset=dataset,
            output=folder / "release",
        )
    print(f"outcome {outcome}")


if __name__ == "__main__":
    import os

    with EmbeddedStore(Path(sys.argv[2]).with_suffix(".store")) as store:
        os.environ |= store.environment
        main(Path(sys.argv[1]), Path(sys.argv[2]))
