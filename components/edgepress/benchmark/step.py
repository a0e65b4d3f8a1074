"""The step ``benchmark``: the latency and peak memory of all candidates and the baseline, on this machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.benchmark.affinity import pinned_to_fastest_core
from edgepress.benchmark.exclusive import MACHINE_LOCK, exclusive
from edgepress.benchmark.hardware import describe_hardware
from edgepress.benchmark.peak_memory import measure_peak_memory
from edgepress.benchmark.protocol import Subject, measure
from edgepress.benchmark.summary import percentile_ms, ratio_to_baseline
from edgepress.contracts.candidate import ARTIFACT_PATHS, BASELINE, ArtifactKind, CandidateRecord, read_candidate
from edgepress.contracts.config import BenchmarkSettings
from edgepress.contracts.dataset import DatasetAddress, DatasetDirectory
from edgepress.contracts.json_file import write_json
from edgepress.contracts.latency import BENCHMARK_NAME, Benchmark, Hardware, Latency
from edgepress.device.files import new_directory
from edgepress.errors import InputError, IntegrityError, ModelError
from edgepress.runtimes.artifact import Artifact, artifact_kind, read_recorded
from edgepress.runtimes.registry import open_artifact, runtime_version
from edgepress.storage.dataset import fetch_dataset
from edgepress.task import task

_EXAMPLES = 64
"""Real inputs that invocations cycle through: enough to vary data-dependent work, few enough to hold for every model."""

Inputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class _Model:
    """A model under measurement, and how it is run."""

    artifact: Artifact
    subject: Subject


@task("benchmark")
def benchmark(
    *,
    settings: BenchmarkSettings,
    artifact: str = "tflite",
    baseline: Path,
    candidates: list[Path],
    dataset: DatasetAddress,
    output: Path,
) -> None:
    """Measure one artifact of all candidates and of the baseline: latency, interleaved in one process and one thread, and peak memory.

    p50, p95 and p99 are percentiles over all counted invocations of a model, rounds x invocations_per_round of them (1,500 by default);
    p99 is left out below 1,000. Peak memory is that of a process of its own. Inputs are examples of the validation split. A candidate that
    failed, or that its runtime cannot run, is absent from the result. Only one benchmark runs on a machine at a time; another one waits.

    Args:
        settings: the latency protocol.
        artifact: tflite or saved_model.
        baseline: the baseline's candidate directory, after convert.
        candidates: a candidate directory, after convert.
        dataset: dataset directory, or its address in an object store.
        output: directory to write benchmark.json into.
    """
    kind = artifact_kind(artifact)
    opened = fetch_dataset(dataset)
    records = [_read(path, opened) for path in (baseline, *candidates)]
    _check_names(records, candidates)
    inputs = {name: array[:_EXAMPLES] for name, array in opened.split("validation").inputs.items()}
    models = [
        model
        for record, path in zip(records, (baseline, *candidates), strict=True)
        if (model := _open(record, path, kind, inputs, settings.threads)) is not None
    ]
    with exclusive(MACHINE_LOCK), pinned_to_fastest_core(settings.pin_to_core) as core:
        hardware = _describe(settings, kind, core)
        invocations = settings.rounds * settings.invocations_per_round
        print(f"benchmark: {len(models)} models, {invocations} invocations each, on {hardware.cpu}", flush=True)
        durations_ns = measure([model.subject for model in models], settings, report=lambda line: print(line, flush=True))
        peaks_bytes = measure_peak_memory([model.artifact for model in models], inputs, settings.threads)
    latencies = _summarise(models, durations_ns, peaks_bytes)
    for latency in latencies:
        print(
            f"benchmark: {latency.recipe}: p50 {latency.latency_p50_ms:.3f} ms, {latency.ratio_to_baseline:.2f} of the baseline's, "
            f"peak memory {latency.peak_memory_bytes / 1e6:.2f} MB"
        )
    with new_directory(output) as directory:
        write_json(directory / BENCHMARK_NAME, Benchmark(hardware=hardware, rounds=settings.rounds, models=latencies))


def _read(path: Path, dataset: DatasetDirectory) -> CandidateRecord:
    record = read_candidate(path)
    if record.dataset_digest != dataset.manifest.digest:
        raise IntegrityError(
            f"{path}: was made from dataset {record.dataset_digest}, but {dataset.path} is {dataset.manifest.digest}; "
            "benchmark it on the dataset that it was made from"
        )
    return record


def _check_names(records: Sequence[CandidateRecord], candidates: Sequence[Path]) -> None:
    first, *others = (record.recipe for record in records)
    if first != BASELINE:
        raise InputError(f"baseline: is a candidate of recipe {first}; give the baseline's candidate directory")
    for name, path in zip(others, candidates, strict=True):
        if name == BASELINE or others.count(name) > 1:
            raise InputError(f"{path}: recipe {name} is there more than once; each model must have a name of its own")


def _open(record: CandidateRecord, path: Path, kind: ArtifactKind, inputs: Inputs, threads: int) -> _Model | None:
    """A model ready to be timed, run once; None for a candidate that cannot be, with a line that says why."""
    if record.failure is not None:
        print(f"benchmark: {record.recipe}: left out, it failed at {record.failure.stage}: {record.failure.reason}")
        return None
    artifact = read_recorded(path, record, kind)
    try:
        model = open_artifact(artifact, ARTIFACT_PATHS[kind], threads)
        examples = model.prepare(inputs)
        model.set_example(examples[0])
        model.invoke()
    except ModelError as error:
        if record.recipe == BASELINE:
            raise
        print(f"benchmark: {record.recipe}: left out, {error}")
        return None
    subject = Subject(record.recipe, set_example=lambda index: model.set_example(examples[index % len(examples)]), invoke=model.invoke)
    return _Model(artifact, subject)


def _describe(settings: BenchmarkSettings, kind: ArtifactKind, core: int | None) -> Hardware:
    hardware = describe_hardware(runtime_version(kind), settings.threads, settings.hardware_class, core)
    if hardware.load_average_1m > hardware.cores / 2:
        print(
            f"benchmark: the load average is {hardware.load_average_1m:.1f} on {hardware.cores} cores, so other work runs; "
            "ratios hold, absolute latencies may be too high",
            flush=True,
        )
    return hardware


def _summarise(models: Sequence[_Model], durations_ns: NDArray[np.int64], peaks_bytes: Sequence[int]) -> tuple[Latency, ...]:
    latencies = []
    for model, model_ns, peak_bytes in zip(models, durations_ns, peaks_bytes, strict=True):
        ratio = ratio_to_baseline(model_ns, durations_ns[0])
        p50, p95 = percentile_ms(model_ns, 50), percentile_ms(model_ns, 95)
        assert p50 is not None
        assert p95 is not None  # BenchmarkSettings asks for enough invocations
        latencies.append(
            Latency(
                recipe=model.subject.name,
                artifact=model.artifact.kind,
                model_digest=model.artifact.digest,
                invocations=model_ns.size,
                latency_p50_ms=p50,
                latency_p95_ms=p95,
                latency_p99_ms=percentile_ms(model_ns, 99),
                ratio_to_baseline=ratio.value,
                ratio_interval=ratio.interval,
                peak_memory_bytes=peak_bytes,
            )
        )
    return tuple(latencies)
