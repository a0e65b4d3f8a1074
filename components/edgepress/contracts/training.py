"""Settings of the fine-tuning loop, shared by the baseline's training and by every stage that trains."""

from typing import Annotated, Literal

from pydantic import Field

from edgepress.contracts.strict import StrictModel

PositiveInt = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class TrainSettings(StrictModel):
    """How a model is fitted.

    Attributes:
        epochs: passes over the training split, at most.
        batch_size: examples a step.
        learning_rate: the schedule's peak.
        learning_rate_schedule: ``cosine`` decays to zero over all steps; ``constant`` stays.
        augment: ``shift`` moves images by up to 2 pixels, ``flip_shift`` also mirrors them; ``none`` for anything else.
        early_stopping_patience: epochs without a better value of the metric that selects, on validation data, before stopping; None never
            stops early.
        class_weights: ``balanced`` weighs each class by its inverse frequency in the training split; for classification alone.
        weight_decay: decoupled (AdamW) factor; 0 turns it off.
        seed: of initialisation, shuffling and augmentation.
    """

    epochs: PositiveInt = 10
    batch_size: PositiveInt = 64
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] = 1e-3
    learning_rate_schedule: Literal["cosine", "constant"] = "cosine"
    augment: Literal["none", "shift", "flip_shift"] = "none"
    early_stopping_patience: PositiveInt | None = None
    class_weights: Literal["none", "balanced"] = "none"
    weight_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    seed: int = 0
