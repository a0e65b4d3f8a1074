"""``resources.kubeflow`` in the compiled pipeline: what each pod gets, and that any valid settings compile soundly."""

from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgepress.contracts.config import PipelineConfig
from edgepress.contracts.kubeflow import (
    CPU_PATTERN,
    DNS_LABEL_PATTERN,
    LABEL_VALUE_PATTERN,
    MEMORY_PATTERN,
    OBJECT_NAME_PATTERN,
    AcceleratorType,
    KubeflowSettings,
)
from edgepress_pipelines.kubeflow.run_parameters import check_cluster_config
from tests.pipelines.cluster_configs import Documents, cluster_config, compiled
from tests.pipelines.compiled_pipeline import findings

TRAINER_TASKS = {"ingest", "pin-dataset", "train", "convert", "convert-2", "distill", "prune", "cluster", "quantize"}
RELEASER_TASKS = {"release"}
PODS = (
    "resources.kubeflow.trainer={cpu: 4, memory: 8Gi, timeout_s: 7200, accelerator: {type: nvidia.com/gpu, count: 2}}",
    "resources.kubeflow.releaser={cpu: 250m, memory: 512Mi}",
    "resources.kubeflow.labels={team: vision}",
    "resources.kubeflow.node_selector={pool: gpu}",
    "resources.kubeflow.tolerations=[{key: gpu, operator: Exists, effect: NoSchedule}, {key: team, value: vision}]",
    "resources.kubeflow.data_volume={claim_name: images, mount_path: /mnt/data}",
)
"""Overrides of a configuration: other pods than those without."""


def pods(documents: Documents) -> dict[str, dict[str, Any]]:
    """Task -> what the platform spec says of its pod."""
    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): pod for name, pod in executors.items()}


def containers(documents: Documents) -> dict[str, dict[str, Any]]:
    """Task -> its container."""
    return {name.removeprefix("exec-"): it["container"] for name, it in documents[0]["deploymentSpec"]["executors"].items()}


@pytest.fixture(scope="module")
def documents() -> Documents:
    return compiled(cluster_config(overrides=[*PODS, "resources.kubeflow.exit_handler=true"]))


def test_request_and_limit_are_what_the_image_s_tasks_ask_for(documents: Documents) -> None:
    for task, container in containers(documents).items():
        trains, releases = task in TRAINER_TASKS, task in RELEASER_TASKS | {"finish"}
        cpu, memory = ("4", "8Gi") if trains else ("250m", "512Mi") if releases else ("1", "2Gi")
        asked = container["resources"]
        assert (asked["resourceCpuRequest"], asked["resourceCpuLimit"]) == (cpu, cpu), task
        assert (asked["resourceMemoryRequest"], asked["resourceMemoryLimit"]) == (memory, memory), task
        accelerator = {"type": "nvidia.com/gpu", "count": "2", "resourceType": "nvidia.com/gpu", "resourceCount": "2"}
        assert asked.get("accelerator") == (accelerator if trains else None), task


def test_every_pod_may_go_where_the_configuration_says(documents: Documents) -> None:
    for task, pod in pods(documents).items():
        assert pod["nodeSelector"] == {"labels": {"pool": "gpu"}}, task
        assert pod["tolerations"] == [
            {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "team", "operator": "Equal", "value": "vision"},
        ], task


def what_the_backend_compares(documents: Documents) -> dict[str, Any]:
    """Cached task -> all that enters its cache key, by ``backend/src/v2/driver/cache.go`` of KFP 2.17.0: its inputs (here, where they come
    from), what it gives, image, command, arguments, and the claims that its pod mounts."""
    components, containers_of, pods_of = documents[0]["components"], containers(documents), pods(documents)
    compared = {}
    for name, task in tasks(documents).items():
        if task["cachingOptions"].get("enableCache"):
            component = components[task["componentRef"]["name"]]
            executor = component["executorLabel"].removeprefix("exec-")
            container = {key: containers_of[executor].get(key) for key in ("image", "command", "args")}
            compared[name] = (task["inputs"], component["outputDefinitions"], container, pods_of[executor].get("pvcMount"))
    return compared


def test_what_pods_ask_for_makes_another_pipeline_but_trains_nothing_anew() -> None:
    small, large = compiled(cluster_config()), compiled(cluster_config(overrides=PODS))
    assert small[0]["deploymentSpec"] != large[0]["deploymentSpec"]
    assert what_the_backend_compares(small) == what_the_backend_compares(large)
    assert {"train", "distill", "convert", "evaluate"} <= what_the_backend_compares(small).keys()


def test_every_pod_is_unprivileged_labelled_and_knows_its_run(documents: Documents) -> None:
    for task, pod in pods(documents).items():
        assert pod["securityContext"] == {"runAsUser": "65532", "runAsGroup": "65532", "runAsNonRoot": True}, task
        assert pod["podMetadata"]["labels"] == {"team": "vision", "app.kubernetes.io/part-of": "edgepress"}
        assert pod["fieldPathAsEnv"] == [{"name": "EDGEPRESS_RUN_ID", "fieldPath": "metadata.labels['pipeline/runid']"}]
        assert pod["imagePullPolicy"] == "IfNotPresent"
        assert pod["activeDeadlineSeconds"] == ("7200" if task in TRAINER_TASKS else "14400")


def test_every_container_is_told_the_digest_of_its_code(documents: Documents) -> None:
    """Checkpoints are keyed by it."""
    for task, container in containers(documents).items():
        assert container["env"] == [{"name": "EDGEPRESS_CODE_DIGEST", "value": container["image"].partition("@")[2]}], task


def tasks(documents: Documents) -> dict[str, dict[str, Any]]:
    """Every task that has a container, in whichever group."""
    components = documents[0]["components"]
    groups = [documents[0]["root"], *(component for component in components.values() if "dag" in component)]
    found = {name: task for group in groups for name, task in group["dag"]["tasks"].items()}
    return {name: task for name, task in found.items() if "executorLabel" in components[task["componentRef"]["name"]]}


def test_every_task_but_the_exit_handler_is_tried_again_within_a_time_that_its_attempts_can_take(documents: Documents) -> None:
    found = tasks(documents)
    assert {name for name, task in found.items() if "retryPolicy" not in task} == {"finish"}
    for name in found.keys() - {"finish"}:
        timeout_s = 7200 if name in TRAINER_TASKS else 14400
        assert found[name]["retryPolicy"] == {
            "maxRetryCount": 2,
            "backoffDuration": "30s",
            "backoffFactor": 2.0,
            "backoffMaxDuration": f"{3 * timeout_s + 90 + 86400}s",
        }, name


def test_credentials_are_required_but_endpoint_region_and_settings_are_not(documents: Documents) -> None:
    for task, pod in pods(documents).items():
        assert {secret["secretName"] for secret in pod["secretAsEnv"]} == {"edgepress-s3"}
        variables = {entry["envVar"]: secret["optional"] for secret in pod["secretAsEnv"] for entry in secret["keyToEnv"]}
        required = {"AWS_ACCESS_KEY_ID": False, "AWS_SECRET_ACCESS_KEY": False}
        assert variables == required | {"AWS_ENDPOINT_URL_S3": True, "AWS_DEFAULT_REGION": True}, task
        (config_map,) = pod["configMapAsEnv"]
        assert config_map["optional"]
        assert config_map["configMapName"] == "edgepress-settings"
        assert config_map["keyToEnv"] == [{"configMapKey": "EDGEPRESS_PUSHGATEWAY_URL", "envVar": "EDGEPRESS_PUSHGATEWAY_URL"}]


def test_only_ingest_sees_the_data_volume(documents: Documents) -> None:
    mounted = {task: pod["pvcMount"] for task, pod in pods(documents).items() if "pvcMount" in pod}
    assert set(mounted) == {"ingest"}
    assert [(mount["mountPath"], mount["constant"]) for mount in mounted["ingest"]] == [("/mnt/data", "images")]


def test_the_exit_handler_waits_for_everything_and_runs_whatever_happened(documents: Documents) -> None:
    tasks = documents[0]["root"]["dag"]["tasks"]
    assert set(tasks) == {"exit-handler-1", "finish"}
    assert tasks["finish"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert tasks["finish"]["dependentTasks"] == ["exit-handler-1"]
    assert tasks["finish"]["cachingOptions"] == {}


def matching(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(pattern, fullmatch=True).filter(lambda text: text.isascii() and len(text) <= 63 and not text.endswith("\n"))


TASK_RESOURCES = st.fixed_dictionaries(
    {"cpu": matching(CPU_PATTERN), "memory": matching(MEMORY_PATTERN), "timeout_s": st.integers(1, 10**6)},
    optional={"accelerator": st.fixed_dictionaries({"type": st.sampled_from(get_args(AcceleratorType)), "count": st.integers(1, 16)})},
)
LABELS = st.dictionaries(matching(r"[a-z]{1,10}\.io/[A-Za-z0-9]{1,20}"), matching(LABEL_VALUE_PATTERN), max_size=3)
TOLERATION = st.one_of(
    st.fixed_dictionaries({"operator": st.just("Exists")}, optional={"key": matching("[a-z]{1,9}")}),
    st.fixed_dictionaries(
        {"key": matching("[a-z]{1,9}"), "value": matching("[a-z]{1,9}")}, optional={"effect": st.sampled_from(["NoSchedule", "NoExecute"])}
    ),
)
KUBEFLOW = st.fixed_dictionaries(
    {
        "storage_uri": st.just("s3://pipelines/edgepress"),
        "trainer": TASK_RESOURCES,
        "evaluator": TASK_RESOURCES,
        "releaser": TASK_RESOURCES,
        "exit_handler": st.booleans(),
        "parallelism": st.integers(1, 16),
        "labels": LABELS,
        "node_selector": LABELS,
        "tolerations": st.lists(TOLERATION, max_size=3).map(tuple),
        "credentials_secret": matching(OBJECT_NAME_PATTERN),
    },
    optional={"data_volume": st.fixed_dictionaries({"claim_name": matching(DNS_LABEL_PATTERN), "mount_path": st.just("/mnt/a_b.c/d")})},
)


@given(chosen=KUBEFLOW)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], derandomize=True)
def test_any_valid_settings_compile_soundly(chosen: dict[str, Any]) -> None:
    base = cluster_config()
    kubeflow = KubeflowSettings.model_validate(chosen)
    config: PipelineConfig = base.model_copy(update={"resources": base.resources.model_copy(update={"kubeflow": kubeflow})})
    check_cluster_config(config)
    assert findings(*compiled(config)) == []
