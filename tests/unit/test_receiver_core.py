"""The pure core of the receiver: what is remembered, how much is let in, and when it is time to look."""

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from edgepress_pipelines.trigger.receiver.core import ReceiverState, receive, throttle
from edgepress_pipelines.trigger.receiver.deduplication import Seen, remember
from edgepress_pipelines.trigger.receiver.events import FiringAlert, ObjectChange
from edgepress_pipelines.trigger.receiver.pending import Delays, Pending, begin, due_at, end, mark
from edgepress_pipelines.trigger.receiver.places import Places
from edgepress_pipelines.trigger.receiver.rate_limit import TokenBucket, take

steps = st.lists(st.tuples(st.floats(0, 5), st.lists(st.sampled_from("abcdef"), max_size=4)), max_size=40)


@given(steps, st.integers(1, 4), st.floats(0.5, 10))
def test_memory_forgets_by_age_and_by_number_and_nothing_else(told: list[tuple[float, list[str]]], limit: int, remember_s: float) -> None:
    seen, now_s = Seen(), 0.0
    model: list[tuple[str, float]] = []
    for waited_s, identities in told:
        now_s += waited_s
        model = [(identity, when) for identity, when in model if now_s - when < remember_s]
        expected = set(identities) - {identity for identity, _ in model}
        for identity in dict.fromkeys(identities):
            model = [(known, when) for known, when in model if known != identity] + [(identity, now_s)]
        model = model[-limit:]
        seen, fresh = remember(seen, identities, now_s, remember_s=remember_s, limit=limit)
        assert fresh == expected
        assert list(seen.last_told_s.items()) == model


@given(st.lists(st.floats(0, 3), min_size=1, max_size=200), st.integers(1, 20), st.floats(0.1, 10))
def test_no_window_lets_in_more_than_capacity_and_refill(waits: list[float], capacity: int, refill_per_s: float) -> None:
    bucket, now_s = TokenBucket(capacity=capacity, refill_per_s=refill_per_s), 1e6
    let_in: list[float] = []
    for waited_s in waits:
        now_s += waited_s
        bucket, retry_after_s = take(bucket, now_s)
        if retry_after_s == 0.0:
            let_in.append(now_s)
        else:
            # Whoever waits as long as it was told is let in, if nobody came in between.
            assert take(bucket, now_s + retry_after_s + 1e-6)[1] == 0.0
    for first, begun_s in enumerate(let_in):
        for last in range(first, len(let_in)):
            assert last - first + 1 <= capacity + refill_per_s * (let_in[last] - begun_s) + 1e-3


@given(st.lists(st.sampled_from(["come", "hold", "spare", "leave"]), max_size=60), st.integers(1, 4), st.randoms(use_true_random=False))
def test_places_are_taken_by_so_many_and_never_from_whom_is_known(history: list[str], limit: int, choice: Random) -> None:
    places, strangers, known = Places[int](limit), list[int](), list[int]()
    for number, happening in enumerate(history):
        if happening == "come":
            full = len(strangers) + len(known) == limit
            closed = places.take(number)
            assert closed == ((strangers[0] if strangers else number) if full else None)
            strangers = [stranger for stranger in [*strangers, number] if stranger != closed]
        elif happening == "hold" and strangers:
            known.append(strangers.pop(choice.randrange(len(strangers))))
            places.hold(known[-1])
        elif happening == "spare" and known:
            strangers.append(known.pop(choice.randrange(len(known))))
            places.spare(strangers[-1])
        elif happening == "leave" and strangers:
            places.leave(strangers.pop(0))
        elif happening == "leave" and known:
            places.leave(known.pop(0))


def test_a_bucket_survives_a_clock_that_goes_back() -> None:
    bucket, _ = take(TokenBucket(capacity=1), 100.0)
    assert take(bucket, 50.0)[1] > 0


@given(st.lists(st.tuples(st.floats(0, 30), st.sampled_from(["event", "tick", "fail", "succeed"])), max_size=60))
def test_no_event_is_left_without_a_check_that_begins_after_it(history: list[tuple[float, str]]) -> None:
    delays, state, now_s = Delays(), Pending(), 0.0
    unchecked: float | None = None  # the first event that no check has seen
    for waited_s, happening in history:
        now_s += waited_s
        if happening == "event":
            state = mark(state, now_s)
            unchecked = now_s if unchecked is None else unchecked
        elif happening == "tick" and not state.checking:
            due_s = due_at(state, delays)
            if due_s is not None and due_s <= now_s:
                state, unchecked = begin(state), None
        elif happening in ("fail", "succeed") and state.checking:
            state = end(state, now_s, delays, succeeded=happening == "succeed")
            if happening == "fail":
                unchecked = now_s if unchecked is None else unchecked  # what the failed check was for
        due_s = due_at(state, delays)
        assert (due_s is None) == (state.checking or unchecked is None)
        if due_s is not None and unchecked is not None:
            assert due_s <= max(unchecked, now_s) + max(delays.postpone_at_most_s, delays.longest_retry_s)


def test_a_burst_is_one_check_after_it_has_ended() -> None:
    delays, state = Delays(debounce_s=10, postpone_at_most_s=100), Pending()
    for second in range(50):
        state = mark(state, second)
        assert due_at(state, delays) == second + 10
    for second in range(50, 200):
        state = mark(state, second)
    assert due_at(state, delays) == 100


def test_events_during_a_check_need_another() -> None:
    delays = Delays(debounce_s=10)
    state = mark(begin(mark(Pending(), 0)), 5)
    assert due_at(state, delays) is None
    assert due_at(end(state, 8, delays, succeeded=True), delays) == 15
    assert due_at(end(begin(mark(Pending(), 0)), 8, delays, succeeded=True), delays) is None


def test_failures_are_tried_again_later_each_time_and_not_sooner_for_new_events() -> None:
    delays, state, now_s = Delays(first_retry_s=5, longest_retry_s=300), mark(Pending(), 0), 100.0
    waits = []
    for _ in range(10):
        state = mark(end(begin(state), now_s, delays, succeeded=False), now_s)
        due_s = due_at(state, delays)
        assert due_s is not None
        waits.append(due_s - now_s)
        now_s = due_s
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]
    assert end(begin(state), now_s, delays, succeeded=True).failures == 0


def test_one_request_is_accepted_once() -> None:
    alert, change = FiringAlert("1"), ObjectChange("data", "x/1", "2")
    elsewhere = ObjectChange("other", "x/1", "3")
    watched = ("s3://data/x",)
    state = ReceiverState()
    state, answer = receive(state, [alert, elsewhere], watched, 1.0)
    assert (answer, state.pending.last_mark_s) == ("accepted", 1.0)
    state, answer = receive(state, [alert], watched, 2.0)
    assert (answer, state.pending.last_mark_s) == ("duplicate", 1.0)
    state, answer = receive(state, [alert, change], watched, 3.0)
    assert (answer, state.pending.last_mark_s) == ("accepted", 3.0)
    for events in ([], [elsewhere]):
        state, answer = receive(state, events, watched, 4.0)
        assert (answer, state.pending.last_mark_s) == ("ignored", 3.0)


def test_a_request_that_is_turned_away_is_looked_into_all_the_same() -> None:
    state = replace(ReceiverState(), bucket=TokenBucket(capacity=1))
    state, retry_after_s = throttle(state, 1.0)
    assert (retry_after_s, state.pending.last_mark_s) == (0.0, None)
    state, retry_after_s = throttle(state, 1.0)
    assert (retry_after_s > 0, state.pending.last_mark_s) == (True, 1.0)
