"""Each stage that trains, ended after an epoch and begun again: it goes on, and gives what an uninterrupted one gives."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepress.compress.cluster.step import cluster
from edgepress.compress.distill.step import distill
from edgepress.compress.prune.step import prune
from edgepress.compress.quantize.step import quantize
from edgepress.contracts.candidate import StageName, StageRecord, read_candidate
from edgepress.contracts.dataset import open_dataset
from edgepress.contracts.stages import ClusterSettings, DistillSettings, PruneSettings, QuantizeSettings
from edgepress.contracts.training import TrainSettings
from edgepress.models.keras import keras
from edgepress.models.kernels import distinct_values_by_layer, kernels
from edgepress.models.storage import load_model
from edgepress.train.checkpoint import Checkpoint, TrainingState
from tests.ml.tiny_candidates import convolutional, write_baseline, write_digits

pytestmark = pytest.mark.filterwarnings("default")  # TensorFlow's own warnings are not ours to fix

EPOCHS = 4


def training(learning_rate: float = 1e-3) -> TrainSettings:
    return TrainSettings(epochs=EPOCHS, batch_size=32, learning_rate=learning_rate)


STAGES: dict[StageName, Callable[..., None]] = {
    "distill": lambda **paths: distill(settings=DistillSettings(train=training(5e-3)), **paths),
    # The last update is at step 72 of 80, within the last epoch: masks still change after the interruption.
    "prune": lambda **paths: prune(settings=PruneSettings(final_sparsity=0.6, frequency=6, end_step=74, train=training()), **paths),
    "cluster": lambda **paths: cluster(settings=ClusterSettings(number_of_clusters=8, train=training()), **paths),
    "quantize": lambda **paths: quantize(settings=QuantizeSettings(granularity="per_tensor", train=training()), **paths),
}

EARLIER: dict[StageName, StageName] = {"cluster": "prune", "quantize": "cluster"}
"""The stage whose candidate another begins with; the others begin with the baseline."""


class Chain:
    """A baseline, and the candidates that its stages start from: pruned weights for cluster, pruned and clustered ones for quantize."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.dataset = place / "dataset"
        write_digits(self.dataset)

    @cached_property
    def baseline(self) -> Path:
        return write_baseline(self._place / "baseline", open_dataset(self.dataset), convolutional, epochs=5)

    def before(self, stage: StageName) -> Path:
        return self.whole(EARLIER[stage]) if stage in EARLIER else self.baseline

    def whole(self, stage: StageName) -> Path:
        """What the stage leaves when nothing interrupts it."""
        output = self._place / stage
        return output if output.exists() else self.made(stage, self.before(stage), output)

    def made(self, stage: StageName, candidate: Path, output: Path, state: str = "") -> Path:
        keras.backend.clear_session()  # layers are named as in a process of their own
        STAGES[stage](recipe="all", candidate=candidate, dataset=self.dataset, output=output, state=state)
        return output


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return Chain(tmp_path_factory.mktemp("chain"))


class Ended(BaseException):
    """Ends a training as a signal would: no handler of errors stops it."""


@contextmanager
def ended_after(epochs: int) -> Iterator[None]:
    """Any training within ends when the state after so many epochs has been kept."""
    save = Checkpoint.save

    def save_and_end(checkpoint: Checkpoint, state: TrainingState) -> None:
        save(checkpoint, state)
        if len(state.curves["loss"]) == epochs:
            raise Ended

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "save", save_and_end)
        with pytest.raises(Ended):
            yield


def record(candidate: Path, stage: StageName) -> StageRecord:
    found = read_candidate(candidate)
    assert found.failure is None, found.failure
    done = found.stage(stage)
    assert done is not None
    return done


def differences(one: Path, other: Path) -> list[float]:
    """Largest difference of each weight."""
    weights: Any = zip(load_model(one).get_weights(), load_model(other).get_weights(), strict=True)
    return [float(np.max(np.abs(own - its))) for own, its in weights if own.size]


@pytest.mark.parametrize("stage", list(STAGES))
def test_a_stage_that_was_ended_goes_on(chain: Chain, stage: StageName, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, state = chain.before(stage), tmp_path / "state"
    whole = chain.whole(stage)
    with ended_after(2):
        chain.made(stage, before, tmp_path / "out", str(state))
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    capsys.readouterr()

    resumed = chain.made(stage, before, tmp_path / "out", str(state))
    printed = capsys.readouterr().out
    assert "going on after epoch 2" in printed
    assert "epoch 2/4" not in printed
    assert list(state.iterdir()) == []

    found, expected = record(resumed, stage), record(whole, stage)
    assert found.facts.keys() == expected.facts.keys()
    for name in ("sparsity", "sparsity_by_layer", "distinct_values_by_layer", "begin_step", "end_step", "steps", "epochs_run", "scheme"):
        assert found.facts.get(name) == expected.facts.get(name), name
    assert set(found.curves) == set(expected.curves)
    for name, curve in expected.curves.items():
        np.testing.assert_allclose(found.curves[name], curve, rtol=2e-2, atol=2e-3, err_msg=name)
    if found.facts["best_epoch"] == expected.facts["best_epoch"]:  # two epochs may be equally good but for the order of additions
        assert max(differences(resumed, whole)) < 2e-2
    if stage == "cluster":
        kept, after = kernels(load_model(before)), kernels(load_model(resumed))
        clustered = {name: after[name] for name in ("stem", "pointwise", "head")}
        assert all(count <= 8 for count in distinct_values_by_layer(clustered).values())
        assert all((after[name][kept[name] == 0] == 0).all() for name in clustered)


def test_the_state_of_another_candidate_is_not_taken(chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ended_after(1):
        chain.made("prune", chain.baseline, tmp_path / "out", str(tmp_path / "state"))
    other = write_baseline(tmp_path / "other", open_dataset(chain.dataset), convolutional, epochs=0)
    capsys.readouterr()
    chain.made("prune", other, tmp_path / "out", str(tmp_path / "state"))
    printed = capsys.readouterr().out
    assert "going on" not in printed
    assert "epoch 1/4" in printed


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("stage", list(STAGES))
def test_an_attempt_after_a_whole_training_in_a_pod_ends_at_once_with_the_same_model(
    chain: Chain, stage: StageName, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As when the first one's output could not be uploaded after its step had ended."""
    before = chain.before(stage)
    first = chain.made(stage, before, tmp_path / "first", f"s3://bucket/state/all/{stage}")
    capsys.readouterr()
    second = chain.made(stage, before, tmp_path / "second", f"s3://bucket/state/all/{stage}")
    assert capsys.readouterr().out == f"going on after epoch {EPOCHS}\n"
    assert record(second, stage).facts == record(first, stage).facts
    assert record(second, stage).curves == record(first, stage).curves
    assert max(differences(first, second)) == 0.0


def test_a_stage_that_fails_for_its_recipe_leaves_no_state(chain: Chain, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with ended_after(1):
        chain.made("prune", chain.baseline, tmp_path / "out", str(state))
    settings = PruneSettings(end_step=500, train=training())
    prune(recipe="all", settings=settings, candidate=chain.baseline, dataset=chain.dataset, output=tmp_path / "out", state=str(state))
    assert read_candidate(tmp_path / "out").failure is not None
    assert list(state.iterdir()) == []
