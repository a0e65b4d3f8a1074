"""The bundled regression and detection of anomalies, run whole: from data that a package carries to a bundle that verifies.

Classification is what every other test of whole runs is about.
"""

from pathlib import Path

import pytest
import yaml

from edgepress.release.verify import verify_bundle
from edgepress.tasks.registry import TASKS
from edgepress.tasks.task import TaskName
from tests.pipelines.cluster_configs import CONFIGS
from tests.pipelines.small_project import SmallProject

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize(("name", "task"), [("diabetes", "regression"), ("breast-cancer", "anomaly_detection")])
def test_a_bundled_configuration_is_released(tmp_path: Path, name: str, task: TaskName) -> None:
    project = SmallProject(tmp_path)
    project.config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    project.config["recipes"] = [recipe for recipe in project.config["recipes"] if recipe["recipe"] in ("int8", "student-int8")]
    run = project.run()
    assert run.exit_code == 0, run.output
    verdict = run.verdict
    assert verdict["task"] == task
    own = {metric.name for metric in (*TASKS[task].metrics, *TASKS[task].comparisons)}
    (target,) = verdict["targets"]
    measured = {metric for metric, value in target["metrics"].items() if value is not None}
    assert own - measured <= {metric.name for metric in TASKS[task].metrics if "slice" in metric.name}, "the data has no slices"
    assert [check["outcome"] for check in target["checks"]] == ["passed"] * 3
    manifest, _ = verify_bundle(run.run_dir / "release")
    assert (manifest.task, manifest.recipe) == (task, verdict["nominee"])
    assert TASKS[task].score_title in (run.run_dir / "report.html").read_text()
