"""The steps of a run called one after another in one Python process: what orchestration is measured against.

python -m tests.benchmarks.one_process CONFIG FOLDER
"""

import sys
from pathlib import Path

from edgepress.benchmark.step import benchmark
from edgepress.compress.cluster.step import cluster
from edgepress.compress.distill.step import distill
from edgepress.compress.prune.step import prune
from edgepress.compress.quantize.step import quantize
from edgepress.contracts.stages import ConvertSettings
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
    evaluate(recipe="baseline", candidate=reference, dataset=dataset, split="validation", output=validation)

    candidates, evaluations = [], []
    for recipe in config.recipes:
        name = recipe.recipe
        at = folder / name
        at.mkdir()
        distill(
            recipe=name,
            settings=recipe.distill,
            candidate=trained,
            dataset=dataset,
            output=at / "distilled",
            state=str(state / name / "distill"),
        )
        prune(
            recipe=name,
            settings=recipe.prune,
            candidate=at / "distilled",
            dataset=dataset,
            output=at / "pruned",
            state=str(state / name / "prune"),
        )
        cluster(
            recipe=name,
            settings=recipe.cluster,
            candidate=at / "pruned",
            dataset=dataset,
            output=at / "clustered",
            state=str(state / name / "cluster"),
        )
        quantize(
            recipe=name,
            settings=recipe.quantize,
            candidate=at / "clustered",
            dataset=dataset,
            output=at / "quantized",
            state=str(state / name / "quantize"),
        )
        convert(recipe=name, settings=recipe.convert, candidate=at / "quantized", dataset=dataset, output=at / "converted")
        evaluate(recipe=name, candidate=at / "converted", dataset=dataset, split="validation", output=at / "evaluated")
        candidates.append(at / "converted")
        evaluations.append(at / "evaluated")

    measured, nomination, nominee = folder / "measured", folder / "nomination", folder / "nominee"
    benchmark(settings=config.benchmark, baseline=reference, candidates=candidates, dataset=dataset, output=measured)
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
    evaluate_test(recipe="baseline", candidate=reference, dataset=dataset, output=baseline_test)
    evaluate_test(recipe="nominee", candidate=nominee, dataset=dataset, output=nominee_test)
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
