"""Metrics of a model beside a reference model on the same examples or the same machine."""

import math

from edgepress.tasks.metric import Metric

AGREEMENT = Metric("agreement", "agreement with the baseline", "ratio", "higher", "comparison")
REGRESSIONS = Metric("regressions", "examples that only the baseline gets right", "count", "lower", "comparison", whole=True)
CORRECTIONS = Metric("corrections", "examples that only this model gets right", "count", "higher", "comparison", whole=True)
OUTPUT_DIFFERENCE = Metric(
    "output_difference", "root mean square difference from the baseline's outputs", "label units", "lower", "comparison"
)
ACCURACY_DROP = Metric("accuracy_drop", "accuracy lost", "ratio", "lower", "comparison", range=(-1.0, 1.0))
MEAN_ABSOLUTE_ERROR_RISE = Metric(
    "mean_absolute_error_rise", "rise of the mean absolute error", "label units", "lower", "comparison", range=(-math.inf, math.inf)
)
AUC_DROP = Metric("auc_drop", "AUC lost", "ratio", "lower", "comparison", range=(-1.0, 1.0))
LATENCY_RATIO = Metric("latency_ratio", "p50 latency beside the baseline's", "multiple", "lower", "comparison")

LOSS_OF = {"accuracy": ACCURACY_DROP, "mean_absolute_error": MEAN_ABSOLUTE_ERROR_RISE, "auc": AUC_DROP}
"""A task's selecting metric -> the metric that says how much of it was lost."""
