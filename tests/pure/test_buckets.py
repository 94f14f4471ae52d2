"""Token buckets let through what they should, say when there will be more, and stay small."""

from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.http.buckets import Buckets

RATES = st.floats(0.01, 1000)
BURSTS = st.integers(1, 50)
PAUSES = st.lists(st.floats(0, 5), max_size=200)


@given(RATES, BURSTS, PAUSES)
def test_no_span_of_time_has_more_than_a_burst_and_what_came_in_since(
    rate: float, burst: int, pauses: list[float]
) -> None:
    buckets, now, taken = Buckets(rate, burst), 1000.0, []
    for pause in pauses:
        now += pause
        if not buckets.take("k", now):
            taken.append(now)
    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + rate * (taken[last] - start) + 1e-3


@given(RATES, BURSTS, PAUSES)
def test_the_wait_is_as_long_as_is_told_and_no_shorter(rate: float, burst: int, pauses: list[float]) -> None:
    buckets, now = Buckets(rate, burst), 1000.0
    for pause in pauses:
        now += pause
        if wait := buckets.take("k", now):
            assert 0 < wait <= 1 / rate * (1 + 1e-6)
            assert buckets.take("k", now + 0.9 * wait) > 0
            now += wait
            assert buckets.take("k", now) == 0


@given(RATES, BURSTS)
def test_who_keeps_to_the_rate_is_never_refused(rate: float, burst: int) -> None:
    buckets = Buckets(rate, burst)
    assert not any(buckets.take("k", number / rate * (1 + 1e-9)) for number in range(200))


def test_a_burst_goes_through_at_once_and_the_next_one_waits() -> None:
    buckets = Buckets(20 / 60, 20)
    assert [buckets.take("k", 5.0) for _ in range(20)] == [0.0] * 20
    assert 2.9 < buckets.take("k", 5.0) < 3.1
    assert buckets.take("k", 9.0) == 0.0
    assert buckets.take("k", 9.0) > 0
    assert [buckets.take("k", 100.0) for _ in range(21)][19:] != [0.0, 0.0]


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 2)), max_size=100))
def test_keys_know_nothing_of_one_another(asked: list[tuple[int, float]]) -> None:
    together, alone, now = Buckets(1, 2), {key: Buckets(1, 2) for key in range(6)}, 0.0
    for key, pause in asked:
        now += pause
        assert together.take(key, now) == alone[key].take(key, now)


@given(st.lists(st.tuples(st.integers(0, 300), st.floats(0, 0.1)), max_size=300))
def test_there_are_never_more_than_allowed(asked: list[tuple[int, float]]) -> None:
    buckets, now = Buckets(0.1, 3, most_keys=10), 0.0
    for key, pause in asked:
        now += pause
        buckets.take(key, now)
        assert len(buckets) <= 10


def test_full_buckets_are_forgotten_long_before_there_are_too_many() -> None:
    buckets = Buckets(1, 1, most_keys=1000)
    for number in range(10_000):
        buckets.take(number, number * 0.5)
    assert len(buckets) < 10


def test_who_is_refused_again_and_again_is_not_forgotten_for_others() -> None:
    buckets = Buckets(0.001, 1, most_keys=4)
    assert buckets.take("bad", 0.0) == 0
    for number in range(100):
        assert buckets.take("bad", 1.0) > 0
        buckets.take(number, 1.0)
