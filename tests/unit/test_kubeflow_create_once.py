"""Creating something once although answers get lost: how long is looked for it, and what is told when nobody knows."""

import pytest

from edgepress_pipelines.kubeflow.api.create_once import create_once
from edgepress_pipelines.kubeflow.api.errors import KubeflowError
from edgepress_pipelines.kubeflow.api.transport import Patience

LOST = KubeflowError("http://kfp: took the request but did not answer in time", is_transient=True, may_have_acted=True)


class SlowServer:
    """Loses every answer, and carries a request out only when it has been looked at a number of times.

    Args:
        late_by_looks: how many; None never carries it out.
    """

    def __init__(self, late_by_looks: int | None) -> None:
        self.late_by_looks = late_by_looks
        self.requests = self.looks = 0

    def create(self) -> str:
        self.requests += 1
        raise LOST

    def find(self) -> str | None:
        self.looks += 1
        return "made" if self.late_by_looks is not None and self.looks > self.late_by_looks else None


def patience(late_effect_s: float) -> Patience:
    return Patience(first_delay_s=0.001, longest_delay_s=0.001, attempts=3, late_effect_s=late_effect_s, settle_s=0.002)


def no_word(line: str) -> None:
    raise AssertionError(line)


@pytest.mark.parametrize("late_by_looks", [0, 1, 5])
def test_a_request_that_acts_late_is_not_sent_a_second_time(late_by_looks: int) -> None:
    server = SlowServer(late_by_looks)
    said: list[str] = []
    assert create_once(server.create, server.find, patience(late_effect_s=60.0), said.append) == "made"
    assert server.requests == 1
    assert said == ["no answer yet; looking whether the request was carried out, for up to 60 s"]


def test_a_request_that_nothing_comes_of_is_sent_again_and_then_given_up() -> None:
    server = SlowServer(None)
    said: list[str] = []
    with pytest.raises(KubeflowError) as given_up:
        create_once(server.create, server.find, patience(late_effect_s=0.01), said.append)
    assert given_up.value is LOST
    assert len(said) == 1
    assert server.requests == 3
    assert server.looks > server.requests


def test_after_a_lost_answer_a_server_that_is_gone_leaves_it_open_what_was_made() -> None:
    def gone() -> None:
        raise KubeflowError("http://kfp: cannot be reached", is_transient=True, exit_code=2)

    with pytest.raises(KubeflowError, match="cannot be reached; an earlier request may have been carried out") as open_question:
        create_once(SlowServer(None).create, gone, patience(late_effect_s=60.0), lambda _: None)
    assert open_question.value.may_have_acted
    assert open_question.value.exit_code == 1  # 2 would say that nothing was started


@pytest.mark.parametrize("refusal", [KubeflowError("403", status=403), KubeflowError("429", status=429, is_transient=True)])
def test_what_was_refused_is_told_at_once(refusal: KubeflowError) -> None:
    def refuse() -> str:
        raise refusal

    server = SlowServer(0)
    with pytest.raises(KubeflowError) as told:
        create_once(refuse, server.find, patience(late_effect_s=60.0), no_word)
    assert told.value is refusal
    assert server.looks == 0


@pytest.mark.parametrize("status", [500, 502, 503])
def test_what_the_server_says_has_failed_is_looked_for_once_before_it_is_sent_again(status: int) -> None:
    """KFP answers 500 also to what fails every time, which should not take minutes to be told."""
    server = SlowServer(None)
    failure = KubeflowError(str(status), status=status, is_transient=True, may_have_acted=True)

    def fail() -> str:
        server.requests += 1
        raise failure

    with pytest.raises(KubeflowError) as told:
        create_once(fail, server.find, patience(late_effect_s=60.0), no_word)
    assert told.value is failure
    assert (server.requests, server.looks) == (3, 3)


def test_what_had_been_made_before_the_server_failed_is_found() -> None:
    server = SlowServer(0)
    failure = KubeflowError("500", status=500, is_transient=True, may_have_acted=True)
    failing = iter([failure])

    def fail() -> str:
        server.requests += 1
        raise next(failing)

    assert create_once(fail, server.find, patience(late_effect_s=60.0), no_word) == "made"
    assert server.requests == 1


def test_a_gateway_that_did_not_wait_leaves_the_server_at_work() -> None:
    server = SlowServer(5)

    def time_out() -> str:
        server.requests += 1
        raise KubeflowError("504", status=504, is_transient=True, may_have_acted=True)

    assert create_once(time_out, server.find, patience(late_effect_s=60.0), lambda _: None) == "made"
    assert server.requests == 1


def test_a_permanent_failure_of_the_server_is_told_within_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    slept_s: list[float] = []
    monkeypatch.setattr("edgepress_pipelines.kubeflow.api.create_once.time.sleep", slept_s.append)

    def fail() -> str:
        raise KubeflowError("500", status=500, is_transient=True, may_have_acted=True)

    with pytest.raises(KubeflowError):
        create_once(fail, lambda: None, Patience(), no_word)
    assert sum(slept_s) <= 30.0
