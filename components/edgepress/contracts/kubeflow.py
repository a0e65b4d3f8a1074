"""Settings of runs on Kubeflow: what a task's pod asks for, where a run keeps what outlives its pods, and when runs start."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from edgepress.contracts.strict import StrictModel
from edgepress.contracts.training import PositiveInt

AcceleratorType = Literal["nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915", "google.com/tpu", "habana.ai/gaudi"]
"""Resource names of the device plugins that clusters usually run."""

S3_URI_PATTERN = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$"
LABEL_VALUE_PATTERN = r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$"
_LABEL_KEY = re.compile(r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$")
REQUIRED_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""Keys of the Secret that ``credentials_secret`` names, and the variables that a task's pod finds them in."""
PART_OF_LABEL = "app.kubernetes.io/part-of"
"""``edgepress`` on every pod of a run."""

_ENGINE_PREFIXES = ("pipeline", "pipelines.kubeflow.org", "workflows.argoproj.io")
_SYSTEM_FOLDERS = (
    *("bin", "dev", "etc", "lib", "lib64", "proc", "root", "run", "sbin", "sys", "tmp", "usr", "var"),
    *("gcs", "kfp-launcher", "kfp-workspace", "minio", "oci", "s3"),  # where KFP puts artifacts and its launcher
)
_CRON_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_CRON_ITEM = re.compile(r"^(\*|(\d{1,2})(-(\d{1,2}))?)(/(\d{1,2}))?$")
_DAYS_OF_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

CPU_PATTERN = r"^([1-9]\d{0,2}(\.\d{1,3})?|0\.\d{0,2}[1-9]|[1-9]\d{0,5}m)$"
MEMORY_PATTERN = r"^[1-9]\d{0,5}(Mi|Gi)$"
OBJECT_NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"
DNS_LABEL_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
MOUNT_PATH_PATTERN = r"^(/[A-Za-z0-9._-]+)+$"


def _number_as_text(value: object) -> object:
    """A processor count written without quotes is a number in YAML."""
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else value


Cpu = Annotated[str, BeforeValidator(_number_as_text), StringConstraints(pattern=CPU_PATTERN)]
Memory = Annotated[str, StringConstraints(pattern=MEMORY_PATTERN)]
LabelValue = Annotated[str, StringConstraints(pattern=LABEL_VALUE_PATTERN)]
ObjectName = Annotated[str, StringConstraints(pattern=OBJECT_NAME_PATTERN, max_length=253)]
DnsLabel = Annotated[str, StringConstraints(pattern=DNS_LABEL_PATTERN)]


def _label_keys(labels: dict[str, str]) -> dict[str, str]:
    wrong = next((key for key in labels if not _LABEL_KEY.match(key)), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} is not a label key; write name or prefix.example.org/name")
    return labels


def _free_label_keys(labels: dict[str, str]) -> dict[str, str]:
    taken = next((key for key in labels if key == PART_OF_LABEL or key.partition("/")[0] in _ENGINE_PREFIXES), None)
    if taken is not None:
        raise ValueError(f"{taken!r} is set by EdgePress or Kubeflow Pipelines itself; choose another label")
    return labels


Labels = Annotated[dict[str, LabelValue], AfterValidator(_label_keys)]
PodLabels = Annotated[Labels, AfterValidator(_free_label_keys)]


def _clear_of_the_system(path: str) -> str:
    if path.split("/")[1] in _SYSTEM_FOLDERS or any(part in (".", "..") for part in path.split("/")):
        raise ValueError(f"{path} would hide what a task needs; mount the data elsewhere, e.g. at /mnt/data")
    return path


MountPath = Annotated[str, StringConstraints(pattern=MOUNT_PATH_PATTERN), AfterValidator(_clear_of_the_system)]


class Accelerator(StrictModel):
    """Accelerators of one kind for a task's pod, by the resource name of their device plugin."""

    type: AcceleratorType
    count: Annotated[int, Field(ge=1, le=16)] = 1


class TaskResources(StrictModel):
    """What the pods of one image's tasks ask for and are limited to.

    Attributes:
        cpu, memory: Kubernetes quantities, e.g. ``2`` or ``500m``, ``4Gi``. Request and limit are the same, so that a latency is not
            measured on a processor that is promised twice.
        accelerator: None asks for none.
        timeout_s: a pod that takes longer is ended, and its task fails, or is started again where KFP does that.
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
    """A PersistentVolumeClaim with data too large to copy, mounted into the task that ingests.

    Nothing is written to it, but KFP has no read-only mount: only a claim whose access mode is ReadOnlyMany is read-only for certain.
    """

    claim_name: DnsLabel  # KFP also names the pod's volume after it
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
            AWS_ENDPOINT_URL_S3 as a pod reaches it; AWS_DEFAULT_REGION where the store asks for one.
        settings_config_map: optional ConfigMap of the installation with EDGEPRESS_PUSHGATEWAY_URL.
        parallelism: recipes at the same time.
        trainer, evaluator, releaser: what pods of each image ask for.
        node_selector, tolerations: where pods may be scheduled.
        labels: of every pod.
        data_volume: mounted into ingest.
        exit_handler: a last task that tells how the run ended, whatever happened. Off by default: a loop inside an exit handler
            was reported to fail on KFP 2.14 (kubeflow/pipelines#12390), and no later backend was tried.
    """

    namespace: DnsLabel | None = None
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
    labels: PodLabels = {}
    data_volume: DataVolume | None = None
    exit_handler: bool = False


def _is_cron(expression: str) -> str:
    fields = expression.split()
    if len(fields) != len(_CRON_FIELDS):
        counted = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
        raise ValueError(f"has {counted}; write five: minute, hour, day of month, month, day of week, e.g. '0 3 * * *'")
    values = [
        set().union(*(_cron_values(item, name, lowest, highest) for item in text.split(",")))
        for text, (name, lowest, highest) in zip(fields, _CRON_FIELDS, strict=True)
    ]
    days, months = values[2], values[3]
    if fields[4] == "*" and all(min(days) > _DAYS_OF_MONTH[month - 1] for month in months):
        raise ValueError(f"day of month {fields[2]!r} in month {fields[3]!r} is a date that never comes")
    return expression


def _cron_values(item: str, name: str, lowest: int, highest: int) -> set[int]:
    """What one item of a field stands for, as KFP's parser reads it: ``n/step`` goes on to the highest value."""
    match = _CRON_ITEM.match(item)
    numbers = [int(group) for group in (match[2], match[4]) if group is not None] if match else []
    if match is None or any(not lowest <= number <= highest for number in numbers) or numbers != sorted(numbers):
        raise ValueError(f"{item!r} is no {name}; use *, */n, or numbers and ranges from {lowest} to {highest}")
    step = int(match[6]) if match[6] is not None else 1
    if not 1 <= step <= highest:
        raise ValueError(f"{item!r} is no {name}; a step is a number from 1 to {highest}")
    first = numbers[0] if numbers else lowest
    last = first if len(numbers) == 1 and match[5] is None else numbers[-1] if len(numbers) == 2 else highest
    return set(range(first, last + 1, step))


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
