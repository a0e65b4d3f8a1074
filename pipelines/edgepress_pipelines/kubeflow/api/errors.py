"""What can go wrong between here and Kubeflow Pipelines, each in one line that says what to do."""

from edgepress.errors import EXIT_FAILED, EXIT_WRONG_INPUT, EdgePressError


class KubeflowError(EdgePressError):
    """Kubeflow Pipelines cannot be reached, or refuses.

    Attributes:
        status: of the HTTP answer; None when there was none.
        is_transient: the same request may succeed a moment later.
        may_have_acted: the request may have been carried out although no answer came back.
        is_unreachable: no connection came about, because nobody listens there or the name is unknown.
        retry_after_s: how long the server asks to wait; None when it does not say.
        exit_code: 2 when the user can put it right (address, credentials, rights, names), else 1.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        is_transient: bool = False,
        may_have_acted: bool = False,
        is_unreachable: bool = False,
        retry_after_s: float | None = None,
        exit_code: int = EXIT_FAILED,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.is_transient = is_transient
        self.may_have_acted = may_have_acted
        self.is_unreachable = is_unreachable
        self.retry_after_s = retry_after_s
        self.exit_code = exit_code


def refused(host: str, status: int, reason: str, *, retry_after_s: float | None = None, with_credential: bool = False) -> KubeflowError:
    """The error for an HTTP answer that is not a success.

    Args:
        host: address of the API, for the message.
        status: of the answer, 300 or above.
        reason: what the server says, in one line; may be empty.
        retry_after_s: its header Retry-After.
        with_credential: whether the request said who asks.
    """
    said = f": {reason}" if reason else ""
    if 300 <= status < 400:
        return not_the_api(host, f"answers with a redirect ({status})", with_credential=with_credential)
    match status:
        case 401:
            text = f"the credentials were not accepted (401{said}); give a valid one with --token-file or --cookie-file"
        case 403:
            text = f"access denied (403{said}); ask for rights in this namespace, or name another with --namespace"
        case 404:
            text = f"not found (404{said}); check the name, --host and --namespace"
        case 409:
            text = f"there is one of this name already (409{said}); try again"
        case 429:
            text = f"too many requests (429{said}); try again later"
        case _ if status >= 500:
            text = f"the server failed ({status}{said}); try again later, and see the logs of ml-pipeline if it goes on"
        case _:
            text = f"the request was refused ({status}{said})"
    return KubeflowError(
        f"{host}: {text}",
        status=status,
        is_transient=status == 429 or status >= 500,
        may_have_acted=status >= 500,
        retry_after_s=retry_after_s,
        exit_code=EXIT_WRONG_INPUT if 400 <= status < 500 and status not in (409, 429) else EXIT_FAILED,
    )


def not_the_api(host: str, what: str, *, with_credential: bool) -> KubeflowError:
    """The error for an answer that does not come from Kubeflow Pipelines, such as the login page before it."""
    if with_credential:
        advice = "the credentials were not accepted, a cookie or token may have expired; get a new one, or give"
    else:
        advice = "give credentials with --token-file or --cookie-file, or"
    return KubeflowError(
        f"{host}: {what} instead of the API's JSON, as a login page does; {advice} the address of the API itself",
        exit_code=EXIT_WRONG_INPUT,
    )
