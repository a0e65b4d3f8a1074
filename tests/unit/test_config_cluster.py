"""Configurations: settings of clusters and schedules that are refused, and in which words."""

from pathlib import Path

import pytest

from edgepress_pipelines.config.file import load_config
from tests.unit.config_files import GOOD, refusal, write


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer={cpu: 2 cores}", "trainer.cpu: must be processors such as 2, 0.5 or 500m, is the text '2 cores'"),
        ("trainer={cpu: 0}", "trainer.cpu: must be processors such as 2, 0.5 or 500m, is the text '0'"),
        ("trainer={memory: 4G}", "trainer.memory: must be memory in Mi or Gi, such as 512Mi or 4Gi, is the text '4G'"),
        ("trainer={memory: 0Gi}", "trainer.memory: must be memory in Mi or Gi, such as 512Mi or 4Gi, is the text '0Gi'"),
        ("trainer={timeout_s: 1h}", "trainer.timeout_s: must be a whole number, is the text '1h'"),
        (
            "trainer={accelerator: {type: gpu}}",
            "trainer.accelerator.type: must be one of nvidia.com/gpu, amd.com/gpu, gpu.intel.com/i915, google.com/tpu, habana.ai/gaudi, is",
        ),
        ("trainer={accelerator: {type: nvidia.com/gpu, count: 0}}", "trainer.accelerator.count: must be at least 1, is 0"),
        ("storage_uri=gs://bucket", "storage_uri: must be of the form s3://bucket/prefix, a bucket being 3 to 63 lower-case letters"),
        ("trainer={memory: 4}", "trainer.memory: must be text, e.g. 4Gi, is 4"),
        (
            "namespace=My_Space",
            "namespace: must be 1 to 63 lower-case letters, digits and '-', such as edgepress-runs, is the text 'My_Space'",
        ),
        ("credentials_secret=a..b", "credentials_secret: must be the name of a Kubernetes object: lower-case letters, digits, '-' and '.'"),
        ("parallelism=0", "parallelism: must be at least 1, is 0"),
        ("labels={a b: c}", "labels: 'a b' is not a label key; write name or prefix.example.org/name"),
        (
            "labels={a: 'b c'}",
            "labels.a: must be a label's value: at most 63 letters, digits, '-', '_' and '.', such as gpu-a100, is the text",
        ),
        ("labels={pipeline/runid: x}", "labels: 'pipeline/runid' is set by EdgePress or Kubeflow Pipelines itself; choose another label"),
        ("node_selector={pool: 1}", "node_selector.pool: must be text, is 1"),
        ("tolerations=[{value: a}]", "tolerations.0: without a key every taint is meant, which needs operator Exists"),
        ("tolerations=[{key: a, operator: exists}]", "tolerations.0.operator: must be Equal or Exists, is the text 'exists'; did you mean"),
        ("data_volume={claim_name: a.b}", "data_volume.claim_name: must be 1 to 63 lower-case letters, digits and '-'"),
        (
            "data_volume={claim_name: a, mount_path: data}",
            "data_volume.mount_path: must be an absolute path such as /mnt/data, is the text",
        ),
        ("data_volume={claim_name: a, mount_path: /tmp/d}", "data_volume.mount_path: /tmp/d would hide what a task needs; mount the data"),
        ("gpu=1", "gpu: unknown key; known here: namespace, experiment,"),
    ],
)
def test_settings_of_kubeflow_refused_in_one_line(override: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert refusal(path, f"resources.kubeflow.{override}").startswith(f"--set resources.kubeflow.{override}: resources.kubeflow.{message}")


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("{cron: daily}", "schedule.cron: has 1 field; write five: minute, hour, day of month, month, day of week, e.g. '0 3 * * *'"),
        ("{cron: 0 25 * * *}", "schedule.cron: '25' is no hour; use *, */n, or numbers and ranges from 0 to 23"),
        ("{cron: 0 3 * * MON}", "schedule.cron: 'MON' is no day of week; use *, */n, or numbers and ranges from 0 to 7"),
        ("{cron: 0 */0 * * *}", "schedule.cron: '*/0' is no hour; a step is a number from 1 to 23"),
        ("{cron: 0 */99 * * *}", "schedule.cron: '*/99' is no hour; a step is a number from 1 to 23"),
        ("{cron: 0 3 * * 1-7/0}", "schedule.cron: '1-7/0' is no day of week; a step is a number from 1 to 7"),
        ("{cron: 0 3 31 2 *}", "schedule.cron: day of month '31' in month '2' is a date that never comes"),
        ("{cron: 0 3 31 4-6/2 *}", "schedule.cron: day of month '31' in month '4-6/2' is a date that never comes"),
        ("{cron: 0 3 * * *, max_concurrency: 11}", "schedule.max_concurrency: must be at most 10, is 11"),
        ("{cron: 0 3 * * *, catch_up: often}", "schedule.catch_up: must be true or false, is the text 'often'"),
        ("{}", "schedule.cron: is missing"),
    ],
)
def test_schedules_refused_in_one_line(schedule: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + f"schedule: {schedule}\n")
    assert refusal(path).startswith(f"c.yaml:18: {message}")


def test_processors_may_be_written_as_a_number(tmp_path: Path) -> None:
    for written, read in (("2", "2"), ("0.5", "0.5"), ("500m", "500m"), ("'4'", "4")):
        config = load_config(write(tmp_path, GOOD), [f"resources.kubeflow.trainer={{cpu: {written}}}"])
        assert config.resources.kubeflow.trainer.cpu == read
