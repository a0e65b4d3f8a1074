"""When masks are updated, in whole training steps."""

from dataclasses import dataclass

from edgepress.contracts.stages import PruneSettings
from edgepress.errors import StageError


@dataclass(frozen=True)
class PruningSteps:
    """Masks are updated at ``begin_step``, then every ``frequency`` steps up to and including ``end_step``.

    TensorFlow Model Optimization skips an update that does not fall on this grid, and with it the last part of the sparsity. So
    ``end_step`` lies on the grid: the final sparsity is reached at the last update and not almost.
    """

    begin_step: int
    end_step: int
    frequency: int

    def final_from_epoch(self, steps_per_epoch: int) -> int:
        """The first epoch (from 0) at whose end the last update is done."""
        return max(1, -(-self.end_step // steps_per_epoch)) - 1


def plan_pruning(settings: PruneSettings, steps_per_epoch: int) -> PruningSteps:
    """Fit the schedule into the training's steps. Steps are counted from 1, as TensorFlow Model Optimization does.

    Raises:
        StageError: the schedule does not fit: it begins or ends after the training, or holds no update that counts.
    """
    steps = settings.train.epochs * steps_per_epoch
    counted = f"{settings.train.epochs} epochs of {steps_per_epoch} steps make {steps}"
    if settings.begin_step >= steps:
        raise StageError(f"prune.begin_step {settings.begin_step} is not within the training: {counted}; begin earlier or train longer")
    if settings.end_step is not None and settings.end_step > steps:
        raise StageError(f"prune.end_step {settings.end_step} is after the training: {counted}; end earlier or train longer")
    end = settings.end_step if settings.end_step is not None else 2 * steps // 3
    if end <= settings.begin_step:
        raise StageError(
            f"prune.end_step defaults to two thirds of all steps, {end}, which is not after begin_step {settings.begin_step}: {counted}; "
            "begin earlier, train longer or give end_step"
        )
    updates = (end - settings.begin_step) // settings.frequency
    needed = 1 if settings.schedule == "polynomial" or settings.begin_step == 0 else 0
    if updates < needed:
        raise StageError(
            f"prune.frequency {settings.frequency} is above the {end - settings.begin_step} steps from begin_step {settings.begin_step} to "
            f"end_step {end}, so the final sparsity is never reached: {counted}; lower frequency or train longer"
        )
    return PruningSteps(
        begin_step=settings.begin_step, end_step=settings.begin_step + updates * settings.frequency, frequency=settings.frequency
    )
