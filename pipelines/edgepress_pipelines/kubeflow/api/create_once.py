"""Creating something on the server once although answers get lost."""

import time
from collections.abc import Callable
from typing import TypeVar

from edgepress_pipelines.kubeflow.api.errors import KubeflowError
from edgepress_pipelines.kubeflow.api.transport import Patience, Tell

T = TypeVar("T")


def create_once(create: Callable[[], T], find: Callable[[], T | None], patience: Patience, tell: Tell) -> T:
    """Create something on the server although answers get lost.

    A request whose answer was lost is sent again only when nothing has come of it within ``late_effect_s``. One that the server answers
    with a failure is over, so a single look tells whether something had been made by then. Where the server refuses a second one of the
    same name that makes it once. Where it does not (runs, recurring runs), a server that carries out a request later still, more than
    ``late_effect_s`` after its answer was given up, makes a second one.

    Args:
        create: sends the request.
        find: looks for what an earlier request has made; None when there is nothing.
        patience: attempts, and the delays between them.
        tell: is given one line when an answer is lost for the first time, because that takes long.

    Raises:
        KubeflowError: the server cannot be reached, or refuses. With ``may_have_acted`` it is not known whether something was made.
    """
    attempt, told = 0, False
    while True:
        attempt += 1
        try:
            return create()
        except KubeflowError as error:
            exists = error.status == 409  # somebody else made it at the same moment
            if not (error.may_have_acted or exists):
                raise
            if _is_lost(error) and not told:
                told = True
                tell(f"no answer yet; looking whether the request was carried out, for up to {patience.late_effect_s:.0f} s")
            found = find() if exists else _find_late(find, error, patience)
            if found is not None:
                return found
            if exists or attempt >= patience.attempts:
                raise


def _find_late(find: Callable[[], T | None], lost: KubeflowError, patience: Patience) -> T | None:
    """Look for what a request has made whose answer was lost or was a failure, until nothing more is to be expected of it."""
    until_s = time.monotonic() + (patience.late_effect_s if _is_lost(lost) else 0.0)
    look = 0
    while True:
        look += 1
        time.sleep(patience.delay_s(look, lost) if _is_lost(lost) else max(patience.settle_s, patience.delay_s(look, lost)))
        try:
            found = find()
        except KubeflowError as error:
            raise KubeflowError(f"{error}; an earlier request may have been carried out all the same", may_have_acted=True) from error
        if found is not None or time.monotonic() >= until_s:
            return found


def _is_lost(error: KubeflowError) -> bool:
    """Whether the server itself has said nothing: 504 is the word of a gateway that did not wait any longer."""
    return error.status in (None, 504)
