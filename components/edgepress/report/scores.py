"""How the scores of single examples are spread, where a score is more than right or wrong."""

import numpy as np
from markupsafe import Markup

from edgepress.contracts.evaluation import OpenedEvaluation
from edgepress.report.svg import ACCENT, MUTED, new_figure, render_svg, style_axes
from edgepress.tasks.task import LearningTask

BINS = 40


def draw_scores(model: OpenedEvaluation, baseline: OpenedEvaluation, task: LearningTask) -> Markup | None:
    """Histograms of a model's scores and of the baseline's on the same examples; None for a classification, whose scores are 0 and 1."""
    if task.name == "classification" or model.scored is None or baseline.scored is None:
        return None
    scores = {"baseline": np.asarray(baseline.scored.scores), model.record.recipe: np.asarray(model.scored.scores)}
    edges = np.linspace(0.0, max(float(np.percentile(values, 99.0)) for values in scores.values()) or 1.0, BINS + 1)
    figure = new_figure(10.8, 3.0)
    axes = figure.add_subplot()
    style_axes(axes, x_title=task.score_title, y_title="examples")
    for (name, values), colour in zip(scores.items(), (MUTED, ACCENT), strict=True):
        axes.hist(np.clip(values, edges[0], edges[-1]), bins=list(edges), histtype="step", linewidth=1.6, color=colour, label=name)
    axes.legend(frameon=False, fontsize=9)
    medians = "; ".join(f"{name}: median {np.median(values):.4g}" for name, values in scores.items())
    return render_svg(
        figure, name="scores", title=f"Spread of the {task.score_title}", description=f"{medians}. Beyond the 99th percentile on the edge."
    )
