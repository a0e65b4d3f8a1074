"""KFP declaration of the benchmark."""

from kfp import dsl

from edgepress import images


@dsl.component(base_image=images.EVALUATOR, install_kfp_package=False)
def benchmark(
    context: str,
    settings: str,
    artifact: str,
    baseline: dsl.Input[dsl.Model],
    candidates: dsl.Input[list[dsl.Model]],
    dataset: dsl.Input[dsl.Dataset],
    measurements: dsl.Output[dsl.Artifact],
) -> None:
    """Measure the latency and peak memory of one artifact of all candidates and the baseline."""
    from pathlib import Path

    from edgepress.benchmark.step import benchmark
    from edgepress.contracts.config import BenchmarkSettings
    from edgepress.task import enter_run

    enter_run(context)
    benchmark(
        settings=BenchmarkSettings.model_validate_json(settings),
        artifact=artifact,
        baseline=Path(baseline.path),
        candidates=[Path(candidate.path) for candidate in candidates],
        dataset=dataset.metadata["address"],
        output=Path(measurements.path),
    )
