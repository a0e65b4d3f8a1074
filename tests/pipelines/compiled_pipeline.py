"""A strict reader of compiled pipelines: whatever KFP's compiler lets through and a cluster then stumbles over is a finding."""

import re
from collections.abc import Iterator
from typing import Any

MAX_PARAMETER_BYTES = 60_000
_RESOURCES = {"cpu_limit", "cpu_request", "memory_limit", "memory_request", "accelerator_type", "accelerator_count"}
_PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")
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
                if key not in defined and key not in loop_inputs and not (kind == "parameters" and _is_for_resources(key, source, given)):
                    yield f"{where} is given {kind[:-1]} {key}, which its component does not take"
                yield from _source_findings(f"{where}.{key}", source, kind, dag_component, components)
    for kind in ("parameters", "artifacts"):
        for key, output in dag_component["dag"].get("outputs", {}).get(kind, {}).items():
            for selector in output.get("artifactSelectors", ()):
                yield from _producer_findings(
                    f"{name}.{key}", selector["producerSubtask"], selector["outputArtifactKey"], "artifacts", tasks, components
                )


def _is_for_resources(key: str, source: dict[str, Any], given: dict[str, Any]) -> bool:
    """KFP hands what a pod asks for to the task as inputs that its component does not take: the values, and placeholders for them."""
    asked = {
        name: it["runtimeValue"]["constant"] for name, it in given["parameters"].items() if name in _RESOURCES and "runtimeValue" in it
    }
    if key in _RESOURCES:
        return _placeholder_key(asked.get(key)) in given["parameters"]
    return "componentInputParameter" in source and key in {_placeholder_key(value) for value in asked.values()}


def _placeholder_key(value: object) -> str | None:
    """The name in ``{{$.inputs.parameters['name']}}``."""
    match = _PLACEHOLDER.fullmatch(value) if isinstance(value, str) else None
    return match[1] if match else None


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
    """The driver looks up what a pod asks for among the inputs of its own task."""
    dags = {"root": spec["root"]} | {name: component for name, component in spec["components"].items() if "dag" in component}
    for dag_name, dag in dags.items():
        for task_name, task in dag["dag"]["tasks"].items():
            executor = spec["deploymentSpec"]["executors"].get(spec["components"][task["componentRef"]["name"]].get("executorLabel"), {})
            resources = executor.get("container", {}).get("resources", {})
            for name, value in {**resources, **resources.get("accelerator", {})}.items():
                key = _placeholder_key(value)
                if key is not None and key not in task.get("inputs", {}).get("parameters", {}):
                    yield f"{dag_name}.{task_name}: {name} refers to {key}, which the task is not given"


def _platform_findings(spec: dict[str, Any], pods: dict[str, Any]) -> Iterator[str]:
    executors = spec["deploymentSpec"]["executors"]
    yield from (f"{name} has settings of a pod but no container" for name in pods.keys() - executors.keys())
    yield from (f"{name} has no settings of its pod" for name in executors.keys() - pods.keys())
    dags = {"root": spec["root"]} | {name: component for name, component in spec["components"].items() if "dag" in component}
    for dag_name, dag in dags.items():
        for task_name, task in dag["dag"]["tasks"].items():
            executor = spec["components"][task["componentRef"]["name"]].get("executorLabel")
            for path, key in _component_inputs(pods.get(executor, {}), ()):
                # The driver looks in the inputs that the group around the task was given.
                if key not in dag.get("inputDefinitions", {}).get("parameters", {}):
                    yield f"{dag_name}.{task_name}: {'.'.join(path)} refers to {key}, which its group does not take"
                elif any(key not in given.get("inputs", {}).get("parameters", {}) for given in _uses(dag_name, dags)):
                    yield f"{dag_name}.{task_name}: {'.'.join(path)} refers to {key}, which its group is not given"
            for path in _task_outputs(pods.get(executor, {}), ()):
                yield f"{dag_name}.{task_name}: {'.'.join(path)} waits for another task"


def _uses(component: str, dags: dict[str, Any]) -> list[dict[str, Any]]:
    tasks = [task for dag in dags.values() for task in dag["dag"]["tasks"].values()]
    return [task for task in tasks if task["componentRef"]["name"] == component]


def _component_inputs(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    for key, inner in _entries(value):
        if key == "componentInputParameter":
            yield path, inner
        else:
            yield from _component_inputs(inner, (*path, key))


def _task_outputs(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, inner in _entries(value):
        if key == "taskOutputParameter":
            yield path
        else:
            yield from _task_outputs(inner, (*path, key))


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from ((str(index), inner) for index, inner in enumerate(value))
