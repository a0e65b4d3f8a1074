"""A Kubernetes API server as one user sees it: plain requests, server-side apply, and waiting on watches.

The typed methods of the Python client leave out what these tests are about (strict field validation, apply patches, warnings), so only its
reading of kubeconfigs and its connections are used.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import urllib3
from kubernetes import client, config

Manifest = dict[str, Any]
Seen = TypeVar("Seen")

FIELD_MANAGER = "edgepress-tests"
REQUEST_TIMEOUT_S = 30.0
WATCH_TIMEOUT_S = 120.0
_LAST_SEEN_LENGTH = 4000


class ApiStatusError(Exception):
    """The API server refused a request.

    Attributes:
        code: HTTP status.
        reason: Kubernetes' own, e.g. ``Forbidden``, ``Invalid``, ``NotFound``.
    """

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class Answer:
    """What the API server answered, with the warnings that it gave along (RFC 7234, section 5.5)."""

    body: Manifest
    warnings: tuple[str, ...]


class KubernetesApi:
    """Requests of one user.

    Args:
        kubeconfig: file.
        context: None takes the file's current one.
        token: a bearer token to use in place of the file's own credentials.
    """

    def __init__(self, kubeconfig: Path, context: str | None = None, token: str | None = None) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        settings = client.Configuration()
        config.load_kube_config(str(kubeconfig), context, client_configuration=settings, persist_config=False)
        if token is not None:
            settings.cert_file = settings.key_file = settings.username = settings.password = settings.refresh_api_key_hook = None
            settings.api_key = {"authorization": f"Bearer {token}"}
        self._client = client.ApiClient(settings)
        self._resources: dict[str, dict[str, Manifest]] = {}

    def as_bearer(self, token: str) -> "KubernetesApi":
        """The same server, as the user of a token."""
        return KubernetesApi(self._kubeconfig, self._context, token)

    def close(self) -> None:
        """Close the connections."""
        self._client.rest_client.pool_manager.clear()
        self._client.close()

    def request(
        self,
        method: str,
        path: str,
        body: Manifest | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """Send one request.

        Raises:
            ApiStatusError: the answer is not a success.
        """
        response = self._send(method, path, body, query or {}, content_type, REQUEST_TIMEOUT_S)
        text = response.data.decode()
        answered = json.loads(text) if text.startswith("{") else {"text": text}
        return Answer(answered, tuple(response.headers.getlist("Warning")))

    def text(self, path: str) -> str:
        """What a path gives that is no object, such as a container's log.

        Raises:
            ApiStatusError: the answer is not a success.
        """
        return self._send("GET", path, None, {}, "application/json", REQUEST_TIMEOUT_S).data.decode(errors="replace")

    def is_served(self, api_version: str, kind: str) -> bool:
        """Whether this server knows a kind."""
        return self._resource(api_version, kind) is not None

    def path(self, api_version: str, kind: str, namespace: str | None = None, name: str | None = None) -> str:
        """The path of a kind, of its objects in a namespace, or of one object."""
        resource = self._resource(api_version, kind)
        if resource is None:
            raise ApiStatusError(404, "NotFound", f"the server does not know {api_version} {kind}")
        place = f"/namespaces/{namespace}" if resource["namespaced"] and namespace is not None else ""
        return f"{_root(api_version)}{place}/{resource['name']}" + (f"/{name}" if name is not None else "")

    def apply(self, manifest: Manifest, *, dry_run: bool = False) -> Answer:
        """Server-side apply with strict field validation: an unknown or duplicate field is an error."""
        metadata = manifest["metadata"]
        path = self.path(manifest["apiVersion"], manifest["kind"], metadata.get("namespace"), metadata["name"])
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        return self.request("PATCH", path, manifest, query, "application/apply-patch+yaml")

    def create(self, manifest: Manifest, *, dry_run: bool = False) -> Answer:
        """Create an object, with strict field validation."""
        path = self.path(manifest["apiVersion"], manifest["kind"], manifest["metadata"].get("namespace"))
        return self.request("POST", path, manifest, {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {}))

    def merge(self, path: str, patch: Manifest) -> Answer:
        """Change some fields of one object (RFC 7396)."""
        return self.request("PATCH", path, patch, content_type="application/merge-patch+json")

    def watch(
        self,
        path: str,
        until: Callable[[list[Manifest]], Seen | None],
        timeout_s: float = WATCH_TIMEOUT_S,
        query: Mapping[str, str] | None = None,
    ) -> Seen:
        """Follow the objects of a path until a condition gives something.

        Args:
            path: of a kind, everywhere or in a namespace.
            until: given all objects there, after every change of one of them; None goes on.
            query: e.g. a ``labelSelector``.

        Raises:
            TimeoutError: it never did; the message holds the last state.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            listed = self.request("GET", path, query=query).body
            objects = {item["metadata"]["uid"]: item for item in listed["items"]}
            seen = until(list(objects.values()))
            if seen is not None:
                return seen
            for kind, changed in self._events(path, listed["metadata"]["resourceVersion"], deadline, query or {}):
                if kind == "BOOKMARK":
                    continue
                if kind == "ERROR":
                    break  # the version is too old by now: list again
                objects[changed["metadata"]["uid"]] = changed
                if kind == "DELETED":
                    del objects[changed["metadata"]["uid"]]
                seen = until(list(objects.values()))
                if seen is not None:
                    return seen
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{path}: not within {timeout_s:.0f} s; last seen:\n{_described(objects.values())}")

    def _events(self, path: str, version: str, deadline: float, query: Mapping[str, str]) -> Iterator[tuple[str, Manifest]]:
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0:
            return
        watched = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(max(1, round(remaining_s)))}
        response = self._send("GET", path, None, watched | dict(query), "application/json", remaining_s + REQUEST_TIMEOUT_S)
        try:
            rest = b""
            for chunk in response.stream(None):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(None, lines):
                    event = json.loads(line)
                    yield event["type"], event["object"]
        finally:
            response.close()  # the server may go on sending, so the connection cannot serve another request

    def _send(
        self, method: str, path: str, body: Manifest | None, query: Mapping[str, str], content_type: str, timeout_s: float
    ) -> urllib3.BaseHTTPResponse:
        """Give an answer whose body is not read yet."""
        settings: client.Configuration = self._client.configuration
        headers = {"Accept": "application/json", "Content-Type": content_type}
        if authorization := settings.get_api_key_with_prefix("authorization"):
            headers["Authorization"] = authorization
        response: urllib3.BaseHTTPResponse = self._client.rest_client.pool_manager.request(
            method,
            f"{settings.host}{path}?{urlencode(query)}",
            body=None if body is None else json.dumps(body).encode(),
            headers=headers,
            timeout=timeout_s,
            retries=False,
            preload_content=False,
        )
        if response.status >= 400:
            text = response.read().decode(errors="replace")
            status = json.loads(text) if text.startswith("{") else {}
            raise ApiStatusError(response.status, status.get("reason", ""), status.get("message", text))
        return response

    def _resource(self, api_version: str, kind: str) -> Manifest | None:
        """What discovery says of a kind; asked again while it is not known, because a CRD may have come since."""
        if kind not in self._resources.get(api_version, {}):
            try:
                found = self.request("GET", _root(api_version)).body["resources"]
            except ApiStatusError as error:
                if error.code != 404:
                    raise
                found = []
            self._resources[api_version] = {resource["kind"]: resource for resource in found if "/" not in resource["name"]}
        return self._resources[api_version].get(kind)


def _described(objects: Iterable[Manifest]) -> str:
    """A line for each object: its name and what became of it, which for an Event is what it tells."""
    told = [(item["metadata"]["name"], item.get("status") or item.get("message") or "no status") for item in objects]
    return "\n".join(f"{name}: {json.dumps(what)}" for name, what in told)[:_LAST_SEEN_LENGTH] or "nothing"


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
