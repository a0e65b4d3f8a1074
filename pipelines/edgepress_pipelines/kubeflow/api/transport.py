"""The HTTP client below KFP's generated API: bounded in time, patient with a busy server, and never taken in by a login page.

KFP's own ``kfp.Client`` is built on the same generated package, ``kfp_server_api``. EdgePress leaves that layer out: it sends a cookie and
headers from ``~/.config/kfp/context.json`` to whatever host it is given, falls back to the current kubeconfig, prints links, sets no time
limit, does not see the end of a cancelled run, and reads an HTML page as an empty answer.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import kfp_server_api
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from edgepress.errors import EXIT_FAILED, EXIT_WRONG_INPUT, InputError, one_line
from edgepress_pipelines.kubeflow.api.errors import KubeflowError, not_the_api, refused

_REPEATABLE = frozenset({"GET", "DELETE"})
"""Methods that may be repeated when the answer was lost; a second DELETE answers 404, which its caller takes for done."""
_REPEATABLE_ENDINGS = (":enable", ":disable")
"""Requests that change nothing when they are said twice, whatever their method."""
_MAX_REASON_LENGTH = 300

Tell = Callable[[str], None]
"""Takes one line for the user."""


@dataclass(frozen=True)
class Patience:
    """How long to wait, and how often to try.

    Attributes:
        connect_timeout_s, read_timeout_s: of one request. Creating a run compiles a workflow on the server, which takes seconds.
        late_effect_s: after a request whose answer was lost, how long what it makes is looked for before it is sent again: a server that
            is slow to answer may still be carrying it out.
        settle_s: after a request that the server says has failed, how long to wait before that look, which is then the only one.
        attempts: of a request that may be repeated.
        first_delay_s: before the second attempt; doubled for each one after it.
        longest_delay_s: also limits what a server asks for with Retry-After.
    """

    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    late_effect_s: float = 60.0
    settle_s: float = 2.0
    attempts: int = 5
    first_delay_s: float = 0.5
    longest_delay_s: float = 30.0

    def delay_s(self, attempt: int, error: KubeflowError) -> float:
        """How long to wait after a failed attempt, counted from 1."""
        asked = error.retry_after_s if error.retry_after_s is not None else self.first_delay_s * 2.0 ** (attempt - 1)
        return min(asked, self.longest_delay_s)


@dataclass(frozen=True)
class Credential:
    """A header that says who asks.

    Attributes:
        header: its name.
        read: gives its value, anew for each attempt, so that a renewed one is used. Raises InputError when there is none.
    """

    header: str
    read: Callable[[], str]


class ApiClient(kfp_server_api.ApiClient):
    """KFP's generated client, whose requests raise nothing but ``KubeflowError``.

    Args:
        configuration: host and TLS.
        credential: says who asks; None says nothing.
        patience: time limits and attempts.
        before_request: is called before each attempt of each request; what it raises keeps that from being sent.
        tell: is given one line when a request has to be repeated.
    """

    def __init__(
        self,
        configuration: kfp_server_api.Configuration,
        credential: Credential | None,
        patience: Patience,
        before_request: Callable[[], None] = lambda: None,
        tell: Tell = lambda _: None,
    ) -> None:
        configuration.retries = False  # neither repeats nor redirects: what follows decides
        super().__init__(configuration)
        self._credential = credential
        self.patience = patience
        self._before_request = before_request
        self._tell = tell
        self._has_answered = False

    def request(
        self,
        method: str,
        url: str,
        query_params: Any = None,
        headers: dict[str, str] | None = None,
        post_params: Any = None,
        body: Any = None,
        _preload_content: bool = True,
        _request_timeout: Any = None,
    ) -> Any:
        """Send a request, again when that is safe and may help. Overrides the generated client's."""
        timeout = _request_timeout or (self.patience.connect_timeout_s, self.patience.read_timeout_s)
        attempt = 0
        while True:
            attempt += 1
            sent = dict(headers or {})  # the generated client takes its Content-Type out when it sends a file
            try:
                sent |= self._say_who_asks()
                self._before_request()
                return self._once(method, url, query_params, sent, post_params, body, timeout)
            except KubeflowError as error:
                repeatable = method in _REPEATABLE or url.endswith(_REPEATABLE_ENDINGS) or not error.may_have_acted
                # Whom nothing was ever heard of is more likely a wrong address than away for a moment.
                attempts = min(2, self.patience.attempts) if error.is_unreachable and not self._has_answered else self.patience.attempts
                if not (error.is_transient and repeatable) or attempt >= attempts:
                    raise
                if attempt == 1 and attempts > 2:
                    self._tell(f"{str(error).partition('; ')[0]}; trying again (2 of {attempts})")
                time.sleep(self.patience.delay_s(attempt, error))

    def _say_who_asks(self) -> dict[str, str]:
        if self._credential is None:
            return {}
        try:
            return {self._credential.header: self._credential.read()}
        except InputError as error:  # it could be read when the connection was opened: its file is being renewed
            raise KubeflowError(str(error), is_transient=True, exit_code=error.exit_code) from error

    def _once(self, method: str, url: str, query_params: Any, headers: Any, post_params: Any, body: Any, timeout: Any) -> Any:
        host, with_credential = self.configuration.host, self._credential is not None
        try:
            answer = super().request(method, url, query_params, headers, post_params, body, True, timeout)
        except kfp_server_api.ApiException as error:
            if not error.status:  # the generated client's word for a failed TLS handshake
                raise _not_trusted(host, error.reason) from error
            said = {name.lower(): value for name, value in (error.headers or {}).items()}
            if "html" in said.get("content-type", "") and error.status < 500:
                raise not_the_api(host, f"answers with an HTML page ({error.status})", with_credential=with_credential) from error
            raise refused(
                host,
                error.status,
                _reason(error.body),
                retry_after_s=_seconds(said.get("retry-after")),
                with_credential=with_credential,
            ) from error
        except HTTPError as error:
            raise _lost(host, error, has_answered=self._has_answered) from error
        if not answer.data.lstrip().startswith((b"{", b"[")):
            raise not_the_api(host, "answers with a page", with_credential=with_credential)
        self._has_answered = True
        return answer


def _lost(host: str, error: HTTPError, *, has_answered: bool) -> KubeflowError:
    """No whole answer came back."""
    cause = error.reason if isinstance(error, MaxRetryError) and error.reason is not None else error
    if isinstance(cause, SSLError):
        return _not_trusted(host, str(cause))
    if isinstance(cause, NameResolutionError):
        text, never_arrived = "its name cannot be resolved; check --host", True
    elif isinstance(cause, NewConnectionError):  # which older releases of urllib3 derive from ConnectTimeoutError
        text, never_arrived = f"cannot be reached ({_network_reason(cause)}); check --host and the network", True
    elif isinstance(cause, ConnectTimeoutError):
        text, never_arrived = "does not answer in time; check --host and the network", True
    elif isinstance(cause, ReadTimeoutError):
        text, never_arrived = "took the request but did not answer in time; try again later", False
    else:
        # So ends plain HTTP to a server that speaks TLS, too.
        advice = "try again" if has_answered or host.startswith("https://") else "try again, or with https:// in --host"
        text, never_arrived = f"the connection broke before the answer was complete; {advice}", False
    return KubeflowError(
        f"{host}: {text}",
        is_transient=True,
        may_have_acted=not never_arrived,
        is_unreachable=isinstance(cause, NewConnectionError | NameResolutionError),
        exit_code=EXIT_WRONG_INPUT if never_arrived else EXIT_FAILED,
    )


def _not_trusted(host: str, reason: object) -> KubeflowError:
    said = one_line(reason)
    if "WRONG_VERSION_NUMBER" in said or "wrong version number" in said:
        return KubeflowError(f"{host}: does not speak TLS; write http:// in --host", exit_code=EXIT_WRONG_INPUT)
    return KubeflowError(
        f"{host}: its certificate is not trusted ({said[:_MAX_REASON_LENGTH]}); give the authority's with --ca-file",
        exit_code=EXIT_WRONG_INPUT,
    )


def _network_reason(error: Exception) -> str:
    """The operating system's words at the end of urllib3's message, e.g. ``Connection refused``."""
    found = re.search(r"\[Errno -?\d+\] (.+?)'?\)?$", str(error))
    return found[1] if found else type(error).__name__


def _reason(body: bytes | str | None) -> str:
    """What the server says in one line. grpc-gateway answers ``message``, the upload endpoint ``error_message``, a proxy plain text."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else body or ""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if isinstance(answer, dict):
        text = str(answer.get("message") or answer.get("error_message") or answer.get("error") or "")
    return one_line(text)[:_MAX_REASON_LENGTH]


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds (RFC 9110, 10.2.3); its form with a date is left to our own delays."""
    return float(retry_after) if retry_after is not None and retry_after.strip().isdecimal() else None
