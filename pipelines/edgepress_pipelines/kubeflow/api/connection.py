"""Where Kubeflow Pipelines is, and who asks."""

import contextlib
import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import kfp_server_api

from edgepress.contracts.endpoint import holds_credentials
from edgepress.contracts.kubeflow import DNS_LABEL_PATTERN
from edgepress.errors import InputError
from edgepress_pipelines.kubeflow.api.transport import ApiClient, Credential, Patience, Tell
from edgepress_pipelines.kubeflow.api.variables import COOKIE_VARIABLE, HOST_VARIABLE, POD_TOKEN_VARIABLE, TOKEN_VARIABLE

IN_CLUSTER_HOST = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
POD_TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")
"""A ServiceAccount token of audience ``pipelines.kubeflow.org``, where KFP's documentation mounts it; the kubelet renews it."""
_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


@dataclass(frozen=True)
class ConnectionSettings:
    """What the user says about the connection; everything may be left out within a cluster.

    Attributes:
        host: URL of KFP's API, or of the gateway before it with its path, e.g. ``https://kubeflow.example.org/pipeline``.
        namespace: of the user's profile, where KFP serves many users.
        token_file: a bearer token, read anew for each request, so that a renewed one is used.
        cookie_file: a session cookie as ``name=value``, for gateways that log users in.
        ca_file: PEM certificates to trust instead of the public authorities.
        patience: time limits and attempts of each request.
        tell: is given one line when something keeps the user waiting.
    """

    host: str | None = None
    namespace: str | None = None
    token_file: Path | None = None
    cookie_file: Path | None = None
    ca_file: Path | None = None
    patience: Patience = field(default_factory=Patience)
    tell: Tell = lambda _: None


class Connection:
    """KFP's API, one attribute for each of its services. Opening it contacts nobody.

    Args:
        settings: what the user says.
        before_request: as in ``ApiClient``.

    Raises:
        InputError: no host is known, the namespace is none, a file cannot be read or does not hold what it should, or more than one
            credential is given.
    """

    def __init__(self, settings: ConnectionSettings, before_request: Callable[[], None] = lambda: None) -> None:
        self.host = _host(settings.host)
        self.patience = settings.patience
        self.tell: Tell = settings.tell
        self.given_namespace = _namespace(settings.namespace)
        self.namespace = self.given_namespace  # what requests carry, see ``preflight.check_backend``
        configuration = kfp_server_api.Configuration(host=self.host)
        if settings.ca_file is not None:
            _check_ca_file(settings.ca_file)
            configuration.ssl_ca_cert = str(settings.ca_file)
        self.client = ApiClient(configuration, _credential(settings), settings.patience, before_request, lambda line: self.tell(line))
        self.experiments = kfp_server_api.ExperimentServiceApi(self.client)
        self.pipelines = kfp_server_api.PipelineServiceApi(self.client)
        self.uploads = kfp_server_api.PipelineUploadServiceApi(self.client)
        self.runs = kfp_server_api.RunServiceApi(self.client)
        self.recurring_runs = kfp_server_api.RecurringRunServiceApi(self.client)

    def run_url(self, run_id: str) -> str:
        """The page of a run in KFP's user interface, which the gateway serves beside the API."""
        return f"{self.host}/#/runs/details/{run_id}"


def in_cluster() -> bool:
    """Whether this process runs in a pod."""
    return "KUBERNETES_SERVICE_HOST" in os.environ


def is_pod_with_account() -> bool:
    """Whether this process runs in a pod whose ServiceAccount may be used to ask the Kubernetes API."""
    return in_cluster() and _ACCOUNT_TOKEN.is_file()


def _host(given: str | None) -> str:
    host, origin = (given, "--host") if given else (os.environ.get(HOST_VARIABLE), HOST_VARIABLE)
    if not host:
        if in_cluster():
            return IN_CLUSTER_HOST
        raise InputError(f"no address of Kubeflow Pipelines; give --host URL or set {HOST_VARIABLE}")
    if holds_credentials(host):
        raise InputError(f"{origin}: holds a password, which other users of this machine could read; use --token-file or --cookie-file")
    try:
        parts = urlsplit(host)
        port_is_known = parts.port is None or parts.port > 0
    except ValueError:  # brackets that hold no IPv6 address, or a port that is none
        parts, port_is_known = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_known or not host.isprintable() or " " in host:
        raise InputError(f"{origin} {host!r}: is not a URL such as https://kubeflow.example.org/pipeline")
    return host.split("#")[0].rstrip("/")


def _namespace(given: str | None) -> str | None:
    if given is not None and not re.fullmatch(DNS_LABEL_PATTERN, given):
        raise InputError(f"--namespace {given!r}: must be 1 to 63 lower-case letters, digits and '-', such as edgepress-runs")
    return given


def _check_ca_file(path: Path) -> None:
    """Refuse a file of trusted certificates that holds none."""
    try:
        path.read_bytes()
    except OSError as error:
        raise InputError(f"--ca-file {path}: cannot be read ({error.strerror})") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with contextlib.suppress(ssl.SSLError, ValueError):
        context.load_verify_locations(cafile=path)
    if not context.cert_store_stats()["x509"]:
        raise InputError(f"--ca-file {path}: holds no certificate; give the authority's in PEM")


def _credential(settings: ConnectionSettings) -> Credential | None:
    """The one credential that is there; it is read once, so that a mistake shows before anything is sent."""
    token_file, cookie_file = settings.token_file, settings.cookie_file
    if token_file is not None and cookie_file is not None:
        raise InputError("--token-file and --cookie-file: give one of them")
    if token_file is not None:
        return _bearer(_reader(token_file, "--token-file"))
    if cookie_file is not None:
        return _cookie(_reader(cookie_file, "--cookie-file"), f"--cookie-file {cookie_file}")
    token, cookie = os.environ.get(TOKEN_VARIABLE), os.environ.get(COOKIE_VARIABLE)
    if token and cookie:
        raise InputError(f"{TOKEN_VARIABLE} and {COOKIE_VARIABLE}: set one of them")
    if token:
        return _bearer(lambda: _header_value(token, TOKEN_VARIABLE))
    if cookie:
        return _cookie(lambda: _header_value(cookie, COOKIE_VARIABLE), COOKIE_VARIABLE)
    pod_token = Path(os.environ.get(POD_TOKEN_VARIABLE) or POD_TOKEN)
    return _bearer(_reader(pod_token, str(pod_token))) if pod_token.is_file() else None


def _bearer(read: Callable[[], str]) -> Credential:
    read()
    return Credential("Authorization", lambda: f"Bearer {read()}")


def _cookie(read: Callable[[], str], origin: str) -> Credential:
    if "=" not in read():
        raise InputError(f"{origin}: is no cookie; write name=value, e.g. authservice_session=...")
    return Credential("Cookie", read)


def _reader(path: Path, origin: str) -> Callable[[], str]:
    def read() -> str:
        return _header_value(_read_secret(path, origin), f"{origin} {path}")

    return read


def _read_secret(path: Path, origin: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InputError(f"{origin} {path}: cannot be read ({reason})") from error


def _header_value(secret: str, origin: str) -> str:
    """The secret, unless it is none: an odd character would end up in a header."""
    text = secret.strip()
    if not text:
        raise InputError(f"{origin}: is empty")
    if not text.isascii() or not text.isprintable():
        raise InputError(f"{origin}: must hold one line of printable ASCII")
    return text
