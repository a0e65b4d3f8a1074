"""Who may do what, and who may speak to whom."""

from typing import Any

import pytest

from tests.manifests.rendered import OVERLAYS, Manifest, of_kind, pod_templates, render

ALLOWED_RULES: dict[str, list[dict[str, Any]]] = {
    "edgepress-runner": [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["kfp-launcher"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mlpipeline-minio-artifact"], "verbs": ["get"]},
        {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]},
    ],
    "edgepress-pipelines-client": [
        {"apiGroups": ["pipelines.kubeflow.org"], "resources": ["pipelines"], "verbs": ["create", "get", "list"]},
        {"apiGroups": ["pipelines.kubeflow.org"], "resources": ["experiments"], "verbs": ["create", "get", "list"]},
        {"apiGroups": ["pipelines.kubeflow.org"], "resources": ["runs"], "verbs": ["create", "get", "list"]},
    ],
}
"""Every rule of every Role: one that is added is added here too, on purpose."""

USED_ELSEWHERE = {"edgepress-runner"}
"""ServiceAccounts of pods that Kubeflow Pipelines makes."""

ANYWHERE = {"0.0.0.0/0", "::/0"}
"""Every address, of IPv4 and of IPv6."""


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_secret_is_in_the_tree(overlay: str) -> None:
    assert of_kind(render(overlay), "Secret") == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_is_granted_beyond_a_namespace(overlay: str) -> None:
    kinds = {manifest["kind"] for manifest in render(overlay)}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_rule_is_one_that_was_decided_on(overlay: str) -> None:
    for role in of_kind(render(overlay), "Role"):
        rules = [rule | {"verbs": sorted(rule["verbs"])} for rule in role["rules"]]
        assert rules == ALLOWED_RULES[role["metadata"]["name"]]
        assert "*" not in str(rules)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_role_is_bound_and_every_binding_is_of_our_own(overlay: str) -> None:
    manifests = render(overlay)
    accounts = {key(account) for account in of_kind(manifests, "ServiceAccount")}
    bound = set()
    for binding in of_kind(manifests, "RoleBinding"):
        assert binding["roleRef"]["kind"] == "Role"
        bound.add((binding["metadata"]["namespace"], binding["roleRef"]["name"]))
        for subject in binding["subjects"]:
            assert subject["kind"] == "ServiceAccount"
            assert (subject["namespace"], subject["name"]) in accounts
    assert bound == {key(role) for role in of_kind(manifests, "Role")}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_service_account_is_used_and_no_pod_uses_the_default_one(overlay: str) -> None:
    manifests = render(overlay)
    used = {(template["namespace"], template["spec"]["serviceAccountName"]) for _, template in pod_templates(manifests)}
    accounts = {key(account) for account in of_kind(manifests, "ServiceAccount")}
    assert used <= accounts
    assert {name for _, name in accounts - used} <= USED_ELSEWHERE


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_pod_is_given_a_token_for_the_kubernetes_api(overlay: str) -> None:
    for name, template in pod_templates(render(overlay)):
        assert template["spec"]["automountServiceAccountToken"] is False, name
        sources = [source for volume in template["spec"]["volumes"] for source in volume.get("projected", {}).get("sources", [])]
        audiences = {source["serviceAccountToken"]["audience"] for source in sources}
        assert audiences <= {"pipelines.kubeflow.org"}, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_namespace_denies_by_default(overlay: str) -> None:
    manifests = render(overlay)
    namespaces = {namespace["metadata"]["name"] for namespace in of_kind(manifests, "Namespace")}
    denied = {
        policy["metadata"]["namespace"]
        for policy in of_kind(manifests, "NetworkPolicy")
        if policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    }
    assert denied == namespaces


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_policy_names_peers_and_ports(overlay: str) -> None:
    for policy in of_kind(render(overlay), "NetworkPolicy"):
        spec, name = policy["spec"], policy["metadata"]["name"]
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            assert (direction in spec) == (direction.title() in spec["policyTypes"]) or name == "default-deny"
            for rule in spec.get(direction, []):
                assert rule[peers], f"{name}: without peers anyone is meant"
                assert rule["ports"], f"{name}: without ports every port is meant"
                assert all(peer and peer != {"namespaceSelector": {}} for peer in rule[peers]), name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_tls_ports_are_open_to_any_address(overlay: str) -> None:
    for policy in of_kind(render(overlay), "NetworkPolicy"):
        assert "ipBlock" not in str(policy["spec"].get("ingress", []))
        for rule in policy["spec"].get("egress", []):
            blocks = {peer["ipBlock"]["cidr"] for peer in rule["to"] if "ipBlock" in peer}
            assert blocks in (set(), ANYWHERE), f"{policy['metadata']['name']}: a cluster may have addresses of either kind"
            assert not blocks or {port["port"] for port in rule["ports"]} <= {443, 6443}, policy["metadata"]["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_whatever_a_policy_lets_out_to_a_pod_of_ours_is_let_in_there(overlay: str) -> None:
    """A connection needs both ends: the sender's egress and the receiver's ingress."""
    manifests = render(overlay)
    policies = of_kind(manifests, "NetworkPolicy")
    pods = [(template["namespace"], template["metadata"]["labels"]) for _, template in pod_templates(manifests)]
    for sender_namespace, sender in pods:
        for port, receiver_namespace, receiver in reachable_from(sender_namespace, sender, pods, policies):
            admitted = [
                rule
                for policy in policies
                if policy["metadata"]["namespace"] == receiver_namespace and selects(policy["spec"]["podSelector"], receiver)
                for rule in policy["spec"].get("ingress", [])
                if port in {entry["port"] for entry in rule["ports"]}
                and any(meets(peer, receiver_namespace, sender_namespace, sender) for peer in rule["from"])
            ]
            assert admitted, f"{sender} may send to {receiver} on {port}, which does not let it in"


def test_each_client_reaches_exactly_its_servers() -> None:
    manifests = render("local")
    pods = [(template["namespace"], template["metadata"]["labels"]) for _, template in pod_templates(manifests)]
    name = "app.kubernetes.io/name"
    reached = {
        (sender[name], receiver[name], port)
        for namespace, sender in pods
        for port, _, receiver in reachable_from(namespace, sender, pods, of_kind(manifests, "NetworkPolicy"))
    }
    assert reached == {
        ("edgepress-trigger", "edgepress-seaweedfs", 8333),
        ("edgepress-receiver", "edgepress-seaweedfs", 8333),
        ("edgepress-trigger", "edgepress-pushgateway", 9091),
    }


@pytest.mark.parametrize(("overlay", "expected"), [("local", set()), ("production", {"edgepress-trigger", "edgepress-receiver"})])
def test_kubeflow_lets_in_who_asks_pipelines_where_it_has_policies(overlay: str, expected: set[str]) -> None:
    """And where it has none, none is added: a pod that one policy selects is shut to everybody whom none names."""
    manifests = render(overlay)
    in_kubeflow = [policy for policy in of_kind(manifests, "NetworkPolicy") if policy["metadata"]["namespace"] == "kubeflow"]
    admitted = {
        template["metadata"]["labels"]["app.kubernetes.io/name"]
        for _, template in pod_templates(manifests)
        for policy in in_kubeflow
        for rule in policy["spec"]["ingress"]
        for peer in rule["from"]
        if selects(policy["spec"]["podSelector"], {"app": "ml-pipeline"})
        and meets(peer, "kubeflow", template["namespace"], template["metadata"]["labels"])
        and {"protocol": "TCP", "port": 8888} in rule["ports"]
    }
    assert admitted == expected
    assert (in_kubeflow == []) == (expected == set())


def key(manifest: Manifest) -> tuple[str, str]:
    return manifest["metadata"]["namespace"], manifest["metadata"]["name"]


def reachable_from(
    namespace: str, labels: dict[str, str], pods: list[tuple[str, dict[str, str]]], policies: list[Manifest]
) -> list[tuple[int, str, dict[str, str]]]:
    """Port, namespace and labels of each pod of ours that a pod's egress policies name."""
    return [
        (entry["port"], other_namespace, other)
        for policy in policies
        if policy["metadata"]["namespace"] == namespace and selects(policy["spec"]["podSelector"], labels)
        for rule in policy["spec"].get("egress", [])
        for peer in rule["to"]
        for other_namespace, other in pods
        if meets(peer, namespace, other_namespace, other)
        for entry in rule["ports"]
    ]


def meets(peer: Manifest, policy_namespace: str, namespace: str, labels: dict[str, str]) -> bool:
    """Whether a peer of a policy means a pod. An address block means none of ours."""
    if "ipBlock" in peer:
        return False
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": namespace}):
            return False
    elif namespace != policy_namespace:
        return False
    return selects(peer.get("podSelector", {}), labels)


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector matches. Of the operators only ``In`` occurs here."""
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())
