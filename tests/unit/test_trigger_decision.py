"""Whether a run is due."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepress.contracts.last_verdict import Fingerprint, LastVerdict
from edgepress.contracts.verdict import Outcome
from edgepress_pipelines.trigger.decision import (
    MAX_FAILURES,
    AlreadyRunning,
    GivenUp,
    KnownRun,
    RunState,
    Start,
    Unchanged,
    decide,
)
from tests.unit.sample_fingerprints import digest, fingerprint, verdict

fingerprints = st.builds(fingerprint, st.integers(0, 1), st.integers(0, 1), st.integers(0, 1))
states: st.SearchStrategy[RunState] = st.sampled_from(["active", "silent", "succeeded", "failed", "stopped"])
verdicts = st.none() | st.builds(verdict, st.none() | fingerprints, st.sampled_from(["passed", "rejected", "inconclusive"]))
datasets = st.none() | st.integers(0, 1).map(digest)


@given(fingerprints, verdicts, st.lists(st.tuples(states, datasets), max_size=6), st.booleans())
def test_every_decision_has_its_ground(
    now: Fingerprint, last: LastVerdict | None, found: list[tuple[RunState, str | None]], force: bool
) -> None:
    runs = [KnownRun(f"run-{number}", state, dataset) for number, (state, dataset) in enumerate(found)]
    decision = decide(now, last, runs, force=force)
    stands = ["active"] if force else ["active", "silent"]
    in_the_way = [run for run in runs if run.state in stands and run.dataset in (None, now.dataset)]
    ended = [state for state, dataset in found if dataset == now.dataset]
    hopeless = ended[:1] == ["stopped"] or (len(ended) >= MAX_FAILURES and set(ended[:MAX_FAILURES]) == {"failed"})
    if in_the_way:
        first = in_the_way[0]
        assert decision == AlreadyRunning(first.run_id, surely=first.dataset is not None, is_silent=first.state == "silent")
    elif force:
        assert isinstance(decision, Start)
    elif last is not None and last.fingerprint == now:
        assert isinstance(decision, Unchanged)
    elif hopeless:
        assert isinstance(decision, GivenUp)
    else:
        assert isinstance(decision, Start)
    if not isinstance(decision, AlreadyRunning):
        assert decision.reason
        assert "\n" not in decision.reason


def test_what_a_run_saw_counts_once_its_verdict_says_it() -> None:
    """A schedule's run says nothing about the dataset before; another one's source may have changed before its ingest looked."""
    now = fingerprint(dataset=1)
    for known in (None, digest(1)):
        run = KnownRun("scheduled", "active", known)
        assert decide(now, verdict(fingerprint(), run_id="scheduled"), [run]) == Start(
            "the dataset changed since the verdict of run scheduled (rejected)"
        )
        releasing = decide(now, verdict(fingerprint(dataset=1), "passed", run_id="scheduled"), [run])
        assert releasing == AlreadyRunning("scheduled", surely=True)


def test_a_release_that_failed_is_tried_again_and_not_for_ever() -> None:
    now, runs = fingerprint(), list[KnownRun]()
    for number in range(1, MAX_FAILURES + 1):
        runs.insert(0, KnownRun(f"run-{number}", "failed", now.dataset))
        decision = decide(now, verdict(now, "passed", run_id=f"run-{number}"), runs)
        if number < MAX_FAILURES:
            assert decision == Start(f"run run-{number} failed after its verdict (passed) and may not have released")
    assert isinstance(decision, GivenUp)
    assert decision.reason.startswith(f"the last {MAX_FAILURES} runs on the same data, code and configuration failed, the newest is run-3;")


def test_a_release_that_failed_is_tried_again_after_a_run_that_did_not_get_so_far() -> None:
    now = fingerprint()
    runs = [KnownRun("run-2", "failed", now.dataset), KnownRun("run-1", "failed", None)]  # run-1 is a schedule's; its verdict says more
    assert isinstance(decide(now, verdict(now, "passed", run_id="run-1"), runs), Start)
    runs.insert(0, KnownRun("run-3", "stopped", now.dataset))
    assert isinstance(decide(now, verdict(now, "passed", run_id="run-1"), runs), GivenUp)


@pytest.mark.parametrize(
    ("outcome", "run_state", "newer"),
    [
        ("rejected", "failed", None),  # nothing was left to do
        ("passed", "succeeded", "failed"),  # a forced run that failed before its verdict takes nothing back
        ("passed", "failed", "succeeded"),
    ],
)
def test_a_verdict_whose_run_had_nothing_left_to_do_stands(outcome: Outcome, run_state: RunState, newer: RunState | None) -> None:
    now = fingerprint()
    runs = [KnownRun("run-1", run_state, now.dataset)]
    if newer is not None:
        runs.insert(0, KnownRun("run-2", newer, now.dataset))
    assert isinstance(decide(now, verdict(now, outcome, run_id="run-1"), runs), Unchanged)


def test_failures_on_data_that_nobody_knows_are_not_held_against_this_one() -> None:
    unknown = [KnownRun(f"run-{number}", "failed", None) for number in range(MAX_FAILURES)]
    assert decide(fingerprint(), None, unknown) == Start("there is no verdict yet")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (fingerprint(dataset=1), "the dataset changed since the verdict of run before (rejected)"),
        (fingerprint(code=1, config=1), "the compiled pipeline and the configuration changed since the verdict of run before (rejected)"),
        (
            fingerprint(1, 1, 1),
            "the dataset, the compiled pipeline and the configuration changed since the verdict of run before (rejected)",
        ),
    ],
)
def test_what_changed_is_said(now: Fingerprint, expected: str) -> None:
    assert decide(now, verdict(fingerprint()), []) == Start(expected)
