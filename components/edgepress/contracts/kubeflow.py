"""Settings of runs on Kubeflow: what a task's pod asks for, where a run keeps what outlives its pods, and when runs start."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from edgepress.contracts.strict import StrictModel
from edgepress.contracts.training import PositiveInt

ACCELERATORS = ("nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915", "google.com/tpu", "habana.ai/gaudi")
"""Resource names of the device plugins that clusters usually run."""

S3_URI_PATTERN = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$"
LABEL_VALUE_PATTERN = r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$"
_LABEL_KEY = re.compile(r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$")
_CRON_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_CRON_ITEM = re.compile(r"^(\*|(\d{1,2})(-(\d{1,2}))?)(/(\d{1,2}))?$")

Cpu = Annotated[str, StringConstraints(pattern=r"^(\d{1,3}(\.\d{1,3})?|\d{1,6}m)$")]
Memory = Annotated[str, StringConstraints(pattern=r"^\d{1,6}(Mi|Gi)$")]
LabelValue = Annotated[str, StringConstraints(pattern=LABEL_VALUE_PATTERN)]
ObjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
MountPath = Annotated[str, StringConstraints(pattern=r"^/[^:\s]+$")]


def _label_keys(labels: dict[str, str]) -> dict[str, str]:
    wrong = next((key for key in labels if not _LABEL_KEY.match(key)), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} is not a label key; write name or prefix.example.org/name")
    return labels


Labels = Annotated[dict[str, LabelValue], AfterValidator(_label_keys)]


class Accelerator(StrictModel):
    """Accelerators of one kind for a task's pod, by the resource name of their device plugin."""

    type: Literal["nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915", "google.com/tpu", "habana.ai/gaudi"]
    count: Annotated[int, Field(ge=1, le=16)] = 1


class TaskResources(StrictModel):
    """What the pods of one image's tasks ask for and are limited to.

    Attributes:
        cpu, memory: Kubernetes quantities, e.g. ``2`` or ``500m``, ``4Gi``. Request and limit are the same, so that a latency is not
            measured on a processor that is promised twice.
        accelerator: None asks for none.
        timeout_s: a pod that takes longer is ended, and its task fails.
    """

    cpu: Cpu = "1"
    memory: Memory = "2Gi"
    accelerator: Accelerator | None = None
    timeout_s: PositiveInt = 4 * 3600


class Toleration(StrictModel):
    """A taint that a task's pod may be scheduled onto (Kubernetes, core/v1 Toleration)."""

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None

    @model_validator(mode="after")
    def _as_kubernetes_wants_it(self) -> "Toleration":
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("operator Exists matches every value; drop value")
        if self.key is None and self.operator != "Exists":
            raise ValueError("without a key every taint is meant, which needs operator Exists")
        return self


class DataVolume(StrictModel):
    """A PersistentVolumeClaim with data too large to copy, mounted read-only into the task that ingests."""

    claim_name: ObjectName
    mount_path: MountPath = "/mnt/data"


class KubeflowSettings(StrictModel):
    """How this pipeline runs on Kubeflow. Unused by ``edgepress run``.

    Attributes:
        namespace: of the user's profile; None takes the installation's default.
        experiment: that runs are listed under.
        service_account: that the run's pods get in that namespace; None takes the installation's default.
        storage_uri: ``s3://bucket/prefix`` for what outlives a task's pod: checkpoints, uses of test splits, uploaded inputs and each run's
            folder. The release goes to ``release.uri``.
        credentials_secret: Secret in that namespace with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and, for a store other than Amazon's,
            AWS_ENDPOINT_URL_S3 as a pod reaches it.
        settings_config_map: optional ConfigMap of the installation with EDGEPRESS_PUSHGATEWAY_URL.
        parallelism: recipes at the same time.
        trainer, evaluator, releaser: what pods of each image ask for.
        node_selector, tolerations: where pods may be scheduled; given anew for each run.
        labels: of every pod.
        data_volume: mounted into ingest.
        exit_handler: a last task that tells how the run ended, whatever happened. Off by default: on KFP 2.14 a loop inside an exit
            handler is reported to fail (kubeflow/pipelines#12390).
    """

    namespace: ObjectName | None = None
    experiment: Annotated[str, StringConstraints(min_length=1, max_length=128)] = "edgepress"
    service_account: ObjectName | None = None
    storage_uri: Annotated[str, StringConstraints(pattern=S3_URI_PATTERN)] | None = None
    credentials_secret: ObjectName = "edgepress-s3"  # noqa: S105 - a name
    settings_config_map: ObjectName = "edgepress-settings"
    parallelism: Annotated[int, Field(ge=1, le=16)] = 4
    trainer: TaskResources = TaskResources(cpu="2", memory="4Gi")
    evaluator: TaskResources = TaskResources()
    releaser: TaskResources = TaskResources(cpu="500m", memory="1Gi")
    node_selector: Labels = {}
    tolerations: tuple[Toleration, ...] = ()
    labels: Labels = {}
    data_volume: DataVolume | None = None
    exit_handler: bool = False


def _is_cron(expression: str) -> str:
    fields = expression.split()
    if len(fields) != len(_CRON_FIELDS):
        raise ValueError(f"has {len(fields)} fields; write five: minute, hour, day of month, month, day of week, e.g. '0 3 * * *'")
    for text, (name, lowest, highest) in zip(fields, _CRON_FIELDS, strict=True):
        for item in text.split(","):
            match = _CRON_ITEM.match(item)
            numbers = [int(group) for group in (match[2], match[4]) if group is not None] if match else []
            if match is None or any(not lowest <= number <= highest for number in numbers) or numbers != sorted(numbers):
                raise ValueError(f"{item!r} is not a {name}; use *, */n, or numbers and ranges from {lowest} to {highest}")
    return expression


class ScheduleSettings(StrictModel):
    """When runs start by themselves.

    Attributes:
        cron: five fields in UTC: minute, hour, day of month, month, day of week.
        max_concurrency: runs of this schedule at the same time; a start that would exceed it waits.
        catch_up: start every run that was missed while the schedule was paused or the service down; otherwise only the next.
    """

    cron: Annotated[str, AfterValidator(_is_cron)]
    max_concurrency: Annotated[int, Field(ge=1, le=10)] = 1
    catch_up: bool = False
