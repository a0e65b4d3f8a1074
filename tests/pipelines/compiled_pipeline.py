"""A strict reader of compiled pipelines: whatever KFP's compiler lets through and a cluster then stumbles over is a finding."""

import re
from collections.abc import Iterator
from typing import Any

MAX_PARAMETER_BYTES = 60_000
_PLACEHOLDER = "{{$"
_IMAGE_BY_DIGEST = re.compile(r"[^@\s]+/(trainer|evaluator|releaser)@sha256:[0-9a-f]{64}")


def findings(spec: dict[str, Any], platforms: dict[str, Any]) -> list[str]:
    """What is wrong with a compiled pipeline, a sentence each; empty when it is sound.

    Args:
        spec: the compiled file's first document, the graph.
        platforms: its second, what pods get.
    """
    found = graph_findings(spec)
    return found + list(_platform_findings(spec, platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]))


def graph_findings(spec: dict[str, Any]) -> list[str]:
    """What is wrong with the graph."""
    components = spec["components"]
    dags = {"root": spec["root"]} | {name: component for name, component in components.items() if "dag" in component}
    found = [finding for name, component in dags.items() for finding in _dag_findings(name, component, components)]
    found += _executor_findings(spec)
    used = {task["componentRef"]["name"] for dag in dags.values() for task in dag["dag"]["tasks"].values()}
    found += [f"component {name} is used by no task" for name in components.keys() - used]
    return found + list(_resource_findings(spec)) + list(_size_findings(spec["root"]))


def _dag_findings(name: str, dag_component: dict[str, Any], components: dict[str, Any]) -> Iterator[str]:
    tasks = dag_component["dag"]["tasks"]
    for task_name, task in tasks.items():
        where = f"{name}.{task_name}"
        definition = components[task["componentRef"]["name"]]
        yield from (f"{where} depends on {other}, which is no task here" for other in task.get("dependentTasks", ()) if other not in tasks)
        given = task.get("inputs", {})
        for kind in ("parameters", "artifacts"):
            defined = definition.get("inputDefinitions", {}).get(kind, {})
            loop_inputs = _loop_inputs(task)
            for key, declaration in defined.items():
                if key not in given.get(kind, {}) and key not in loop_inputs and not declaration.get("isOptional", False):
                    yield f"{where} is not given its {kind[:-1]} {key}"
            for key, source in given.get(kind, {}).items():
                if key not in defined and key not in loop_inputs:
                    yield f"{where} is given {kind[:-1]} {key}, which its component does not take"
                yield from _source_findings(f"{where}.{key}", source, kind, dag_component, components)
    for kind in ("parameters", "artifacts"):
        for key, output in dag_component["dag"].get("outputs", {}).get(kind, {}).items():
            for selector in output.get("artifactSelectors", ()):
                yield from _producer_findings(
                    f"{name}.{key}", selector["producerSubtask"], selector["outputArtifactKey"], "artifacts", tasks, components
                )


def _source_findings(
    where: str, source: dict[str, Any], kind: str, dag_component: dict[str, Any], components: dict[str, Any]
) -> Iterator[str]:
    tasks = dag_component["dag"]["tasks"]
    outer = dag_component.get("inputDefinitions", {}).get(kind, {})
    match source:
        case {"taskOutputArtifact": reference}:
            yield from _producer_findings(where, reference["producerTask"], reference["outputArtifactKey"], "artifacts", tasks, components)
        case {"taskOutputParameter": reference}:
            yield from _producer_findings(
                where, reference["producerTask"], reference["outputParameterKey"], "parameters", tasks, components
            )
        case {"componentInputParameter": key} | {"componentInputArtifact": key}:
            loop_items = {item for task in tasks.values() for item in _loop_inputs(task)}
            if key not in outer and key not in loop_items:
                yield f"{where} refers to {key}, which its group does not take"
        case {"taskFinalStatus": {"producerTask": producer}}:
            if producer not in tasks:
                yield f"{where} tells how {producer} ended, which is no task here"
        case {"runtimeValue": _}:
            pass
        case _:
            yield f"{where} comes from something this reader does not know: {sorted(source)}"


def _producer_findings(where: str, producer: str, key: str, kind: str, tasks: dict[str, Any], components: dict[str, Any]) -> Iterator[str]:
    if producer not in tasks:
        yield f"{where} comes from {producer}, which is no task here"
    elif key not in components[tasks[producer]["componentRef"]["name"]].get("outputDefinitions", {}).get(kind, {}):
        yield f"{where} comes from {producer}.{key}, which it does not give"


def _loop_inputs(task: dict[str, Any]) -> set[str]:
    return {iterator["itemInput"] for name in ("parameterIterator", "artifactIterator") if (iterator := task.get(name))}


def _executor_findings(spec: dict[str, Any]) -> Iterator[str]:
    executors = spec["deploymentSpec"]["executors"]
    for name, component in spec["components"].items():
        if "dag" not in component and component.get("executorLabel") not in executors:
            yield f"component {name} has no executor"
    for name, executor in executors.items():
        container = executor["container"]
        if not _IMAGE_BY_DIGEST.fullmatch(container["image"]):
            yield f"{name} runs in {container['image']}, which is not an image of EdgePress by digest"
        if any("pip install" in part or "pip\n" in part for part in [*container["command"], *container.get("args", ())]):
            yield f"{name} installs packages when it starts"


def _size_findings(root: dict[str, Any]) -> Iterator[str]:
    parameters = root["inputDefinitions"]["parameters"]
    size_bytes = sum(len(str(parameter.get("defaultValue", "")).encode()) for parameter in parameters.values())
    if size_bytes > MAX_PARAMETER_BYTES:
        yield f"the parameters' defaults take {size_bytes} bytes, more than {MAX_PARAMETER_BYTES}"


def _resource_findings(spec: dict[str, Any]) -> Iterator[str]:
    """KFP makes a parameter that a pod asks by an input of the task, and so a part of its cache key."""
    for name, executor in spec["deploymentSpec"]["executors"].items():
        resources = executor["container"].get("resources", {})
        for key, value in {**resources, **resources.get("accelerator", {})}.items():
            if isinstance(value, str) and _PLACEHOLDER in value:
                yield f"{name}: {key} is a parameter"


def _platform_findings(spec: dict[str, Any], pods: dict[str, Any]) -> Iterator[str]:
    executors = spec["deploymentSpec"]["executors"]
    yield from (f"{name} has settings of a pod but no container" for name in pods.keys() - executors.keys())
    yield from (f"{name} has no settings of its pod" for name in executors.keys() - pods.keys())
    for name, pod in pods.items():
        yield from (f"{name}: {'.'.join(path)} is a parameter" for path in _parameters(pod, ()))


def _parameters(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, inner in _entries(value):
        if key in ("componentInputParameter", "taskOutputParameter"):
            yield path
        else:
            yield from _parameters(inner, (*path, key))


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from ((str(index), inner) for index, inner in enumerate(value))
