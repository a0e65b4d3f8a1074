"""The pruning schedule in whole steps."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepress.compress.prune.schedule import PruningSteps, plan_pruning
from edgepress.contracts.stages import PruneSettings
from edgepress.contracts.training import TrainSettings
from edgepress.errors import StageError


def settings(*, epochs: int = 4, **given: object) -> PruneSettings:
    return PruneSettings.model_validate({"train": TrainSettings(epochs=epochs), **given})


def updates(steps: PruningSteps) -> list[int]:
    """Steps at which TensorFlow Model Optimization updates masks, counted from 1 as it does (PruningSchedule._should_prune_in_step)."""
    return [
        step
        for step in range(1, steps.end_step + 1)
        if steps.begin_step <= step <= steps.end_step and (step - steps.begin_step) % steps.frequency == 0
    ]


def test_sparsity_rises_over_the_first_two_thirds_by_default() -> None:
    assert plan_pruning(settings(frequency=20), steps_per_epoch=30) == PruningSteps(begin_step=0, end_step=80, frequency=20)


def test_the_end_is_moved_to_the_last_update() -> None:
    assert plan_pruning(settings(frequency=30, begin_step=5, end_step=100), steps_per_epoch=30).end_step == 95


@given(
    epochs=st.integers(1, 20),
    steps_per_epoch=st.integers(1, 60),
    begin=st.integers(0, 300),
    length=st.none() | st.integers(1, 300),
    frequency=st.integers(1, 50),
    schedule=st.sampled_from(["polynomial", "constant"]),
)
def test_a_plan_reaches_its_final_sparsity_within_the_training_or_is_refused(
    epochs: int, steps_per_epoch: int, begin: int, length: int | None, frequency: int, schedule: str
) -> None:
    end = None if length is None else begin + length
    chosen = settings(epochs=epochs, begin_step=begin, end_step=end, frequency=frequency, schedule=schedule)
    try:
        steps = plan_pruning(chosen, steps_per_epoch)
    except StageError as error:
        message = str(error)
    else:
        message = ""
    if message:
        assert f"{epochs} epochs of {steps_per_epoch} steps make {epochs * steps_per_epoch}" in message
        return
    assert updates(steps)[-1] == steps.end_step, "the last update is at the end, where the polynomial is at its final value"
    assert schedule == "constant" or steps.end_step > steps.begin_step
    assert steps.end_step <= (end if end is not None else 2 * epochs * steps_per_epoch // 3)
    assert steps.final_from_epoch(steps_per_epoch) < epochs


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"begin_step": 40}, "begin_step 40 is not within the training: 4 epochs of 10 steps make 40"),
        ({"end_step": 41}, "end_step 41 is after the training: 4 epochs of 10 steps make 40"),
        ({"begin_step": 30}, "defaults to two thirds of all steps, 26, which is not after begin_step 30"),
        ({"frequency": 27}, "frequency 27 is above the 26 steps from begin_step 0 to end_step 26"),
        ({"frequency": 27, "schedule": "constant"}, "frequency 27 is above the 26 steps"),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused_with_the_numbers(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(StageError, match=named):
        plan_pruning(settings(**wrong), steps_per_epoch=10)


def test_only_epochs_after_the_last_update_count() -> None:
    assert [PruningSteps(begin_step=0, end_step=end, frequency=1).final_from_epoch(10) for end in (0, 1, 10, 11, 20)] == [0, 0, 0, 1, 1]
