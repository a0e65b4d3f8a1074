"""What a task's pod on Kubernetes gets: its image by digest, resources, credentials, labels and where it may be scheduled.

kfp-kubernetes writes most of this into the compiled file's second document, the platform spec, which does not enter KFP's cache keys.
Processors, memory and accelerators stand in the first, as placeholders for parameters that become inputs of each task.

What it cannot say stays the installation's: a read-only root file system, the pod's own security context and its ServiceAccount. KFP itself
mounts writable volumes where it puts artifacts (``/s3``, ``/minio``, ``/gcs``); beyond these a task writes to ``/tmp`` alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kfp import kubernetes
from kfp.dsl import PipelineTask

from edgepress import images
from edgepress.contracts.kubeflow import PART_OF_LABEL, REQUIRED_CREDENTIALS, KubeflowSettings
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


@dataclass(frozen=True)
class ResourceParameters:
    """What the pods of one image's tasks ask for, as ``TaskResources`` says it; no accelerator is an empty name."""

    cpu: Any
    memory: Any
    accelerator: Any
    accelerator_count: Any


@dataclass(frozen=True)
class PodParameters:
    """What may differ from run to run: parameters of the pipeline, as KFP's placeholders for them.

    Attributes:
        resources: image -> what its pods ask for. KFP makes these inputs of each task, so its cache knows results by them.
        node_selector: labels that a node must have.
        tolerations: taints that a pod may be scheduled onto.
        credentials_secret: name of the Secret with the object store's credentials.
        settings_config_map: name of the ConfigMap with the installation's settings.
    """

    resources: Mapping[str, ResourceParameters]
    node_selector: Any
    tolerations: Any
    credentials_secret: Any
    settings_config_map: Any


@dataclass(frozen=True)
class PodSettings:
    """What is fixed when the pipeline is compiled.

    Attributes:
        settings: ``resources.kubeflow`` of the configuration.
        lock: where each image comes from.
    """

    settings: KubeflowSettings
    lock: ImageLock

    def dress(self, task: PipelineTask, parameters: PodParameters) -> PipelineTask:
        """Give a task's pod what its image's tasks get.

        Raises:
            InputError: the image is not in the lock.
        """
        image = task.component_spec.implementation.container.image
        reference = self.lock.reference(image)
        task.set_container_image(reference)
        task.set_env_variable(CODE_DIGEST_VARIABLE, reference.partition("@")[2])
        _ask_for(task, parameters.resources[image])
        kubernetes.set_timeout(task, self._timeouts_s[image])
        kubernetes.set_image_pull_policy(task, "IfNotPresent")  # an image by digest never changes
        kubernetes.set_security_context(task, run_as_user=USER_ID, run_as_group=USER_ID, run_as_non_root=True)
        for key, value in {**self.settings.labels, PART_OF_LABEL: "edgepress"}.items():
            kubernetes.add_pod_label(task, key, value)
        kubernetes.use_field_path_as_env(task, RUN_ID_VARIABLE, RUN_ID_FIELD)
        kubernetes.use_secret_as_env(task, parameters.credentials_secret, {name: name for name in REQUIRED_CREDENTIALS})
        kubernetes.use_secret_as_env(task, parameters.credentials_secret, {name: name for name in OPTIONAL_CREDENTIALS}, optional=True)
        kubernetes.use_config_map_as_env(task, parameters.settings_config_map, {PUSHGATEWAY_VARIABLE: PUSHGATEWAY_VARIABLE}, optional=True)
        kubernetes.add_node_selector_json(task, parameters.node_selector)
        kubernetes.add_toleration_json(task, parameters.tolerations)
        return task

    def retry(self, task: PipelineTask) -> PipelineTask:
        """Let KFP start a task again that failed: its pod was evicted, or its output could not be uploaded.

        KFP is said to ignore this in loops (kubeflow/pipelines#12389), and which ends count as failures is the installation's: Argo's
        default takes a container that failed and leaves out a node that was lost, KFP 2.17's own manifests say the reverse. So a
        step also waits out a store that is away, and a training goes on from its checkpoint in whatever pod comes next.

        What KFP calls the longest pause is to Argo the end of all attempts, reckoned from the first one's start: with KFP's own value, an
        hour, a longer training would have no second attempt, and a second attempt would be ended early.
        """
        timeout_s = self._timeouts_s[task.component_spec.implementation.container.image]
        pauses_s = sum(FIRST_PAUSE_S * PAUSE_FACTOR**number for number in range(RETRIES))
        return task.set_retry(
            num_retries=RETRIES,
            backoff_duration=f"{FIRST_PAUSE_S}s",
            backoff_factor=PAUSE_FACTOR,
            backoff_max_duration=f"{(RETRIES + 1) * timeout_s + pauses_s + UNSCHEDULED_S}s",
        )

    def mount_data(self, task: PipelineTask) -> PipelineTask:
        """Mount the volume with the data, if there is one."""
        volume = self.settings.data_volume
        if volume is not None:
            kubernetes.mount_pvc(task, volume.claim_name, volume.mount_path)
        return task

    @property
    def _timeouts_s(self) -> Mapping[str, int]:
        return {
            images.TRAINER: self.settings.trainer.timeout_s,
            images.EVALUATOR: self.settings.evaluator.timeout_s,
            images.RELEASER: self.settings.releaser.timeout_s,
        }


def _ask_for(task: PipelineTask, resources: ResourceParameters) -> None:
    task.set_cpu_request(resources.cpu).set_cpu_limit(resources.cpu)
    task.set_memory_request(resources.memory).set_memory_limit(resources.memory)
    task.set_accelerator_type(resources.accelerator).set_accelerator_limit(resources.accelerator_count)
    # The setters alone refer to what a loop around the task is not given (kfp 2.17.0).
    task.register_pipeline_channels([resources.cpu, resources.memory, resources.accelerator, resources.accelerator_count])
