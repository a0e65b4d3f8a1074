"""What a task's pod on Kubernetes gets: its image by digest, resources, credentials, labels and where it may be scheduled.

kfp-kubernetes writes most of this into the compiled file's second document, the platform spec; processors, memory and accelerators stand in
the first, beside the image. All are constants there, none is a parameter of the pipeline: KFP makes what a pod's parameter says an input of
its task, and its cache compares inputs, so a training that needed more memory would begin anew.

What it cannot say stays the installation's: a read-only root file system, the pod's own security context and its ServiceAccount. KFP itself
mounts writable volumes where it puts artifacts (``/s3``, ``/minio``, ``/gcs``); beyond these a task writes to ``/tmp`` alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kfp import kubernetes
from kfp.dsl import PipelineTask

from edgepress import images
from edgepress.contracts.kubeflow import PART_OF_LABEL, REQUIRED_CREDENTIALS, KubeflowSettings, TaskResources
from edgepress.contracts.run import CODE_DIGEST_VARIABLE
from edgepress.observe.metrics_push import PUSHGATEWAY_VARIABLE
from edgepress.observe.observer import RUN_ID_VARIABLE
from edgepress_pipelines.kubeflow.image_lock import ImageLock

USER_ID = 65532
"""Of the images' unprivileged user, and of its group."""

RUN_ID_FIELD = "metadata.labels['pipeline/runid']"
"""KFP labels every pod of a run with the run's identifier."""

OPTIONAL_CREDENTIALS = ("AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION")
"""Keys that the Secret may lack: the endpoint where the store is Amazon's own, the region where it is us-east-1 or the store has none."""

RETRIES = 2
FIRST_PAUSE_S, PAUSE_FACTOR = 30, 2
UNSCHEDULED_S = 24 * 3600
"""How long the attempts of a task may wait for a node, all together."""


READS_VOLUME = "ingest"
"""The component whose pod sees ``data_volume``."""
NOT_TRIED_AGAIN = "finish"
"""The exit handler: it runs when all else has ended."""


@dataclass(frozen=True)
class PodSettings:
    """What pods get, fixed when the pipeline is compiled.

    Attributes:
        settings: ``resources.kubeflow`` of the configuration.
        lock: where each image comes from.
    """

    settings: KubeflowSettings
    lock: ImageLock

    def dress(self, task: PipelineTask) -> None:
        """Give a task's pod what its image's tasks get.

        Raises:
            InputError: the image is not in the lock.
        """
        image, component = task.component_spec.implementation.container.image, task.component_spec.name
        resources = self._resources[image]
        reference = self.lock.reference(image)
        task.set_container_image(reference)
        task.set_env_variable(CODE_DIGEST_VARIABLE, reference.partition("@")[2])
        _ask_for(task, resources)
        kubernetes.set_timeout(task, resources.timeout_s)
        kubernetes.set_image_pull_policy(task, "IfNotPresent")  # an image by digest never changes
        kubernetes.set_security_context(task, run_as_user=USER_ID, run_as_group=USER_ID, run_as_non_root=True)
        for key, value in {**self.settings.labels, PART_OF_LABEL: "edgepress"}.items():
            kubernetes.add_pod_label(task, key, value)
        kubernetes.use_field_path_as_env(task, RUN_ID_VARIABLE, RUN_ID_FIELD)
        self._hand_over_settings(task)
        self._schedule(task)
        volume = self.settings.data_volume
        if component == READS_VOLUME and volume is not None:
            kubernetes.mount_pvc(task, volume.claim_name, volume.mount_path)
        if component != NOT_TRIED_AGAIN:
            _retry(task, resources.timeout_s)

    @property
    def _resources(self) -> Mapping[str, TaskResources]:
        return {
            images.TRAINER: self.settings.trainer,
            images.EVALUATOR: self.settings.evaluator,
            images.RELEASER: self.settings.releaser,
        }

    def _hand_over_settings(self, task: PipelineTask) -> None:
        secret, config_map = self.settings.credentials_secret, self.settings.settings_config_map
        kubernetes.use_secret_as_env(task, secret, {name: name for name in REQUIRED_CREDENTIALS})
        kubernetes.use_secret_as_env(task, secret, {name: name for name in OPTIONAL_CREDENTIALS}, optional=True)
        kubernetes.use_config_map_as_env(task, config_map, {PUSHGATEWAY_VARIABLE: PUSHGATEWAY_VARIABLE}, optional=True)

    def _schedule(self, task: PipelineTask) -> None:
        for key, value in self.settings.node_selector.items():
            kubernetes.add_node_selector(task, key, value)
        for toleration in self.settings.tolerations:
            kubernetes.add_toleration(task, toleration.key, toleration.operator, toleration.value, toleration.effect)


def describe_pods(settings: KubeflowSettings) -> str:
    """What tells one compiled pipeline from another, in a line for people."""
    asked = (("trainer", settings.trainer), ("evaluator", settings.evaluator), ("releaser", settings.releaser))
    return "; ".join(f"{image}: {_quantities(resources)}" for image, resources in asked)


def _quantities(resources: TaskResources) -> str:
    accelerator = resources.accelerator
    asked = [f"cpu {resources.cpu}", f"memory {resources.memory}"]
    return ", ".join(asked if accelerator is None else [*asked, f"{accelerator.count} {accelerator.type}"])


def _ask_for(task: PipelineTask, resources: TaskResources) -> None:
    task.set_cpu_request(resources.cpu).set_cpu_limit(resources.cpu)
    task.set_memory_request(resources.memory).set_memory_limit(resources.memory)
    if resources.accelerator is not None:
        task.set_accelerator_type(resources.accelerator.type).set_accelerator_limit(resources.accelerator.count)


def _retry(task: PipelineTask, timeout_s: int) -> None:
    """Let KFP start a task again that failed: its pod was evicted, or its output could not be uploaded.

    KFP is said to ignore this in loops (kubeflow/pipelines#12389), and which ends count as failures is the installation's: Argo's
    default takes a container that failed and leaves out a node that was lost, KFP 2.17's own manifests say the reverse. So a
    step also waits out a store that is away, and a training goes on from its checkpoint in whatever pod comes next.

    What KFP calls the longest pause is to Argo the end of all attempts, reckoned from the first one's start: with KFP's own value, an
    hour, a longer training would have no second attempt, and a second attempt would be ended early.
    """
    pauses_s = sum(FIRST_PAUSE_S * PAUSE_FACTOR**number for number in range(RETRIES))
    task.set_retry(
        num_retries=RETRIES,
        backoff_duration=f"{FIRST_PAUSE_S}s",
        backoff_factor=PAUSE_FACTOR,
        backoff_max_duration=f"{(RETRIES + 1) * timeout_s + pauses_s + UNSCHEDULED_S}s",
    )
