"""What each ServiceAccount may do: exactly what its component does."""

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.installation import Installation
from tests.cluster.kubernetes_api import ApiStatusError, KubernetesApi, Manifest

Right = tuple[str, str, str, str]
"""Verb, API group, resource, and the one object's name that it is limited to, or ``*``."""


def rights(group: str, resource: str, *verbs: str, name: str = "*") -> set[Right]:
    return {(verb, group, resource, name) for verb in verbs}


PIPELINES_CLIENT = {
    right
    for resource in ("pipelines", "experiments", "runs")
    for right in rights("pipelines.kubeflow.org", resource, "get", "list", "create")
}
"""`edgepress trigger` uploads what it compiled, finds or makes its experiment, looks whether a run is under way, and starts one. Kubeflow
Pipelines asks for these by SubjectAccessReview; the Kubernetes API has no such resources. Credentials come from the pod's environment."""

LAUNCHER_AND_EXECUTOR = (
    rights("", "pods", "get")
    | rights("", "configmaps", "get", name="kfp-launcher")
    | rights("", "secrets", "get", name="mlpipeline-minio-artifact")
    | rights("argoproj.io", "workflowtaskresults", "create", "patch")
)
"""What Kubeflow Pipelines' launcher and Argo's executor do, which share a task's pod with EdgePress. EdgePress itself asks for nothing."""

GRANTED: dict[str, dict[tuple[str, str], dict[str, set[Right]]]] = {
    "local": {
        ("edgepress", "edgepress-trigger"): {},
        ("edgepress", "edgepress-receiver"): {},
        ("edgepress", "edgepress-pushgateway"): {},
        ("edgepress", "edgepress-seaweedfs"): {},
    },
    "production": {
        ("edgepress", "edgepress-trigger"): {"edgepress-runs": PIPELINES_CLIENT},
        ("edgepress", "edgepress-receiver"): {"edgepress-runs": PIPELINES_CLIENT},
        ("edgepress", "edgepress-pushgateway"): {},
        ("edgepress-runs", "edgepress-runner"): {"edgepress-runs": LAUNCHER_AND_EXECUTOR},
    },
}
"""Overlay: namespace and name of each ServiceAccount: what it may do, by namespace. What is not here it may not do."""

FORBIDDEN: dict[str, list[tuple[str, str, str]]] = {
    "take over pods": [("create", "", "pods"), ("create", "", "pods/exec"), ("create", "", "pods/attach"), ("patch", "", "pods")],
    "run something else": [("create", "batch", "jobs"), ("patch", "batch", "cronjobs"), ("patch", "apps", "deployments")],
    "read what is secret": [("list", "", "secrets"), ("watch", "", "secrets"), ("get", "", "secrets")],
    "change what others read": [("patch", "", "secrets"), ("patch", "", "configmaps"), ("create", "", "configmaps")],
    "become somebody else": [("create", "", "serviceaccounts/token"), ("impersonate", "", "users"), ("impersonate", "", "serviceaccounts")],
    "grant itself rights": [
        ("bind", "rbac.authorization.k8s.io", "clusterroles"),
        ("escalate", "rbac.authorization.k8s.io", "roles"),
        ("create", "rbac.authorization.k8s.io", "rolebindings"),
    ],
    "open the network": [("patch", "networking.k8s.io", "networkpolicies"), ("delete", "networking.k8s.io", "networkpolicies")],
    "weaken the namespace": [("patch", "", "namespaces"), ("delete", "", "namespaces")],
    "reach the nodes": [("get", "", "nodes"), ("get", "", "nodes/proxy")],
}
"""What nobody of ours ever needs, by what it would be good for: verb, group, resource."""


@pytest.fixture(scope="session")
def of_everybody(cluster: Cluster) -> set[Right]:
    """What a ServiceAccount without any Role may do: ask who it is and what it may do."""
    with cluster.namespace("nobody") as namespace:
        cluster.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody", "namespace": namespace}})
        nobody = cluster.api.as_bearer(cluster.token_of(namespace, "nobody"))
        return rights_of(nobody, namespace)


def rights_of(api: KubernetesApi, namespace: str) -> set[Right]:
    """What the user of ``api`` may do in a namespace, as the API server tells the user itself (SelfSubjectRulesReview)."""
    review: Manifest = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}
    status = api.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review).body["status"]
    assert not status["incomplete"], status
    return {
        (verb, group, resource, name)
        for rule in status["resourceRules"]
        for verb in rule["verbs"]
        for group in rule.get("apiGroups", [""])
        for resource in rule.get("resources", [])
        for name in rule.get("resourceNames") or ["*"]
    }


def accounts(installation: Installation) -> Iterator[tuple[str, str]]:
    """Namespace (as the manifests call it) and name of each ServiceAccount."""
    own_names = {here: name for name, here in installation.namespaces.items()}
    for manifest in installation.of_kind("ServiceAccount"):
        yield own_names[manifest["metadata"]["namespace"]], manifest["metadata"]["name"]


def test_every_account_is_in_the_table(installation: Installation) -> None:
    assert set(accounts(installation)) == set(GRANTED[installation.overlay])


def test_every_pod_runs_as_an_account_of_the_table(installation: Installation) -> None:
    """Not as `default`, whose rights whoever shares the namespace may widen."""
    names = {name for _, name in GRANTED[installation.overlay]}
    assert {pod["spec"].get("serviceAccountName", "default") for pod in installation.pods()} <= names


def test_each_account_has_the_rights_of_the_table_and_no_other(
    cluster: Cluster, installation: Installation, of_everybody: set[Right]
) -> None:
    for namespace, name in accounts(installation):
        account = cluster.api.as_bearer(cluster.token_of(installation.namespaces[namespace], name))
        granted = GRANTED[installation.overlay][namespace, name]
        for other, here in installation.namespaces.items():
            assert rights_of(account, here) - of_everybody == granted.get(other, set()), f"{name} in {other}"
        for elsewhere in ("default", "kube-system"):
            assert rights_of(account, elsewhere) - of_everybody == set(), f"{name} in {elsewhere}"


@pytest.mark.parametrize("purpose", FORBIDDEN)
def test_no_account_can(purpose: str, cluster: Cluster, installation: Installation) -> None:
    """Asked of the authorizer as Kubernetes' own components ask it (SubjectAccessReview), in each namespace and in the whole cluster."""
    for namespace, name in accounts(installation):
        user = f"system:serviceaccount:{installation.namespaces[namespace]}:{name}"
        for where in (*installation.namespaces.values(), "kube-system", ""):
            for verb, group, resource in FORBIDDEN[purpose]:
                allowed = is_allowed(cluster, user, where, verb, group, resource)
                assert not allowed, f"{name} may {verb} {resource} in {where or 'the cluster'}"


def is_allowed(cluster: Cluster, user: str, namespace: str, verb: str, group: str, resource: str) -> bool:
    main, _, subresource = resource.partition("/")
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": main, "subresource": subresource}
    groups = ["system:serviceaccounts", "system:authenticated", f"system:serviceaccounts:{user.split(':')[2]}"]
    spec = {"user": user, "groups": groups, "resourceAttributes": attributes}
    review: Manifest = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    status = cluster.api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review).body["status"]
    return bool(status["allowed"])


def code_of(api: KubernetesApi, method: str, path: str, body: Manifest | None = None) -> int:
    """The HTTP status that a request is answered with."""
    try:
        api.request(method, path, body)
    except ApiStatusError as error:
        return error.code
    return 200


def test_the_runner_s_token_opens_what_it_needs(cluster: Cluster, installation: Installation) -> None:
    """With real requests: its own pod, the launcher's settings and the artifact store's credentials; nothing beside them."""
    if installation.overlay != "production":
        assert "edgepress-runs" not in installation.namespaces  # Kubeflow Pipelines brings its own runner
        return
    namespace = installation.namespaces["edgepress-runs"]
    core = f"/api/v1/namespaces/{namespace}"
    metadata = {"namespace": namespace}
    for name in ("mlpipeline-minio-artifact", "edgepress-s3"):
        cluster.api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata | {"name": name}, "stringData": {"key": "value"}})
    cluster.api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata | {"name": "kfp-launcher"}, "data": {"key": "value"}})
    runner = cluster.api.as_bearer(cluster.token_of(namespace, "edgepress-runner"))
    opened = ["secrets/mlpipeline-minio-artifact", "configmaps/kfp-launcher"]
    assert {path: code_of(runner, "GET", f"{core}/{path}") for path in opened} == dict.fromkeys(opened, 200)
    assert code_of(runner, "GET", f"{core}/pods/of-this-task") == 404, "a pod may be read by its name; this one does not exist"
    shut = ["secrets", "secrets/edgepress-s3", "configmaps", "pods", "serviceaccounts", "events"]
    assert {path: code_of(runner, "GET", f"{core}/{path}") for path in shut} == dict.fromkeys(shut, 403)
    assert code_of(runner, "PATCH", f"{core}/secrets/mlpipeline-minio-artifact", {}) == 403


@pytest.mark.parametrize("name", ["edgepress-trigger", "edgepress-receiver"])
def test_a_client_of_kubeflow_pipelines_gets_nothing_from_kubernetes(cluster: Cluster, installation: Installation, name: str) -> None:
    home = installation.namespaces["edgepress"]
    client = cluster.api.as_bearer(cluster.token_of(home, name))
    for namespace in installation.namespaces.values():
        for resource in ("secrets", "configmaps", "pods", "serviceaccounts"):
            assert code_of(client, "GET", f"/api/v1/namespaces/{namespace}/{resource}") == 403, resource


@pytest.mark.parametrize("name", ["edgepress-trigger", "edgepress-receiver"])
def test_the_mounted_token_is_for_kubeflow_pipelines_alone(cluster: Cluster, installation: Installation, name: str) -> None:
    """The pod's one token carries another audience, with which the Kubernetes API does not even take it for a user (401)."""
    pod = next(pod for pod in installation.pods() if pod["metadata"]["name"] == name)
    assert pod["spec"]["automountServiceAccountToken"] is False
    projected = [source for volume in pod["spec"]["volumes"] for source in volume.get("projected", {}).get("sources", [])]
    audiences = [source["serviceAccountToken"]["audience"] for source in projected if "serviceAccountToken" in source]
    assert audiences == ["pipelines.kubeflow.org"]
    namespace = installation.namespaces["edgepress"]
    token = cluster.token_of(namespace, name, audience=audiences[0])
    assert code_of(cluster.api.as_bearer(token), "GET", f"/api/v1/namespaces/{namespace}/pods") == 401
    review: Manifest = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token, "audiences": audiences}}
    status = cluster.api.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review).body["status"]
    assert status["authenticated"]
    assert status["user"]["username"] == f"system:serviceaccount:{namespace}:{name}"
