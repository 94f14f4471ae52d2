"""The decisions over wait lists, as tables and against a simple model."""

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from prunner_trio.definition.pipeline import PipelineDef, QueueStrategy
from prunner_trio.errors import QueueDisabled, QueueFull
from prunner_trio.policy import Admission, Waiting, admit, schedulable, startable

APPEND, REPLACE, PARTITIONED = QueueStrategy


def waiting(*jobs):
    """`"a"`, `("a", 5)` (due at 5), `("a", 0, "x")` (partition x)."""
    made = [Waiting(*([job] if isinstance(job, str) else job)) for job in jobs]
    return OrderedDict((job.job_id, job) for job in made).values()


START = Admission(start=True)
WAIT = Admission(start=False)


def evict(job):
    return Admission(start=False, evict=job)


TABLE = {
    "a free slot is taken": ({}, (), 0, Waiting("n"), START),
    "no free slot: wait": ({}, (), 1, Waiting("n"), WAIT),
    "a second slot": ({"concurrency": 2}, (), 1, Waiting("n"), START),
    "a delayed job waits although a slot is free": ({}, (), 0, Waiting("n", due=11), WAIT),
    "a delay that has passed is none": ({}, (), 0, Waiting("n", due=10), START),
    "append under the limit": ({"queue_limit": 2}, ("a",), 1, Waiting("n"), WAIT),
    "append at the limit": ({"queue_limit": 2}, ("a", "b"), 1, Waiting("n"), QueueFull),
    "a free slot needs no place": ({"queue_limit": 1}, (("d", 99),), 0, Waiting("n"), START),
    "delayed jobs fill the list": ({"queue_limit": 1}, (("d", 99),), 0, Waiting("n", due=11), QueueFull),
    "no list, free slot": ({"queue_limit": 0}, (), 0, Waiting("n"), START),
    "no list, no slot": ({"queue_limit": 0}, (), 1, Waiting("n"), QueueDisabled),
    "replace under the limit": ({"queue_strategy": REPLACE, "queue_limit": 2}, ("a",), 1, Waiting("n"), WAIT),
    "replace takes the last": ({"queue_strategy": REPLACE, "queue_limit": 2}, ("a", "b"), 1, Waiting("n"), evict("b")),
    "replace without a limit keeps one": ({"queue_strategy": REPLACE}, ("a",), 1, Waiting("n"), evict("a")),
    "replace evicts nobody for a free slot": (
        {"queue_strategy": REPLACE, "queue_limit": 1},
        (("d", 99),),
        0,
        Waiting("n"),
        START,
    ),
    "replace over a lowered limit evicts one": (
        {"queue_strategy": REPLACE, "queue_limit": 1},
        ("a", "b", "c"),
        1,
        Waiting("n"),
        evict("c"),
    ),
    "replace without a list": ({"queue_strategy": REPLACE, "queue_limit": 0}, (), 1, Waiting("n"), QueueDisabled),
    "partition with a place": (
        {"queue_strategy": PARTITIONED, "queue_partition_limit": 1},
        (("a", 0, "x"),),
        1,
        Waiting("n", 0, "y"),
        WAIT,
    ),
    "partition without a place": (
        {"queue_strategy": PARTITIONED, "queue_partition_limit": 1},
        (("a", 0, "x"), ("b", 0, "y")),
        1,
        Waiting("n", 0, "x"),
        evict("a"),
    ),
    "no partition is one too": (
        {"queue_strategy": PARTITIONED, "queue_partition_limit": 1},
        (("a", 0, "x"), ("b", 0, "")),
        1,
        Waiting("n"),
        evict("b"),
    ),
    "the last of a partition goes": (
        {"queue_strategy": PARTITIONED, "queue_partition_limit": 2},
        (("a", 0, "x"), ("b", 0, "x"), ("c", 0, "y")),
        1,
        Waiting("n", 0, "x"),
        evict("b"),
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_admission(name):
    keys, jobs, running, new, expected = TABLE[name]
    pipeline = PipelineDef("p", **keys)
    if isinstance(expected, Admission):
        assert admit(pipeline, waiting(*jobs), running, new, now=10) == expected
    else:
        with pytest.raises(expected):
            admit(pipeline, waiting(*jobs), running, new, now=10)


pipelines = st.one_of(
    st.builds(
        PipelineDef,
        name=st.just("p"),
        concurrency=st.integers(1, 3),
        queue_limit=st.one_of(st.none(), st.integers(0, 3)),
        queue_strategy=st.sampled_from([APPEND, REPLACE]),
        start_delay=st.just(0.0),
    ),
    st.builds(
        PipelineDef,
        name=st.just("p"),
        concurrency=st.integers(1, 3),
        queue_strategy=st.just(PARTITIONED),
        queue_partition_limit=st.integers(1, 3),
        start_delay=st.just(0.0),
    ),
    st.builds(
        PipelineDef,
        name=st.just("p"),
        concurrency=st.integers(1, 2),
        queue_limit=st.one_of(st.none(), st.integers(1, 2)),
        queue_strategy=st.sampled_from([APPEND, REPLACE]),
        start_delay=st.just(5.0),
    ),
)
lists = st.lists(st.tuples(st.floats(0, 20), st.sampled_from("xyz")), max_size=6).map(
    lambda jobs: waiting(*[(f"j{n}", due, partition) for n, (due, partition) in enumerate(jobs)])
)


@given(pipelines, lists, st.integers(0, 4), st.sampled_from("xyz"))
def test_schedulable_says_what_admit_would_do(pipeline, jobs, running, partition):
    new = Waiting("n", 10 + pipeline.start_delay, partition)
    try:
        admit(pipeline, jobs, running, new, now=10)
    except (QueueFull, QueueDisabled):
        assert not schedulable(pipeline, jobs, running)
    else:
        assert schedulable(pipeline, jobs, running)


@given(st.integers(1, 5), lists, st.integers(0, 6), st.floats(0, 25))
def test_startable_takes_the_oldest_that_are_due_and_never_more_than_there_are_slots(concurrency, jobs, running, now):
    chosen = startable(concurrency, jobs, running, now)
    due = [job.job_id for job in jobs if job.due <= now]
    assert list(chosen) == due[: max(0, concurrency - running)]


class WaitListMachine(RuleBasedStateMachine):
    """Random lives of one pipeline against what its users may rely on."""

    @initialize(pipeline=pipelines)
    def begin(self, pipeline):
        self.pipeline = pipeline
        self.now = 0.0
        self.count = 0
        self.list = OrderedDict()
        self.running = set()
        self.accepted, self.evicted, self.started, self.canceled = set(), set(), [], set()

    def pump(self):
        for job in startable(self.pipeline.concurrency, self.list.values(), len(self.running), self.now):
            del self.list[job]
            self.running.add(job)
            self.started.append(job)

    @rule(partition=st.sampled_from("xyz"))
    def schedule(self, partition):
        self.count += 1
        new = Waiting(f"{self.count:05}", self.now + self.pipeline.start_delay, partition)
        could = schedulable(self.pipeline, self.list.values(), len(self.running))
        try:
            answer = admit(self.pipeline, self.list.values(), len(self.running), new, self.now)
        except (QueueFull, QueueDisabled):
            assert not could
            return
        assert could
        self.accepted.add(new.job_id)
        if answer.evict is not None:
            assert self.list.pop(answer.evict).partition == partition or (
                self.pipeline.queue_strategy is not PARTITIONED
            )
            self.evicted.add(answer.evict)
        if answer.start:
            self.running.add(new.job_id)
            self.started.append(new.job_id)
        else:
            self.list[new.job_id] = new
        self.pump()

    @rule(data=st.data())
    def finish(self, data):
        if self.running:
            self.running.discard(data.draw(st.sampled_from(sorted(self.running))))
            self.pump()

    @rule(data=st.data())
    def cancel(self, data):
        if self.list:
            job = data.draw(st.sampled_from(sorted(self.list)))
            del self.list[job]
            self.canceled.add(job)
            self.pump()

    @rule(seconds=st.sampled_from([1.0, 4.0, 5.0]))
    def pass_time(self, seconds):
        self.now += seconds
        self.pump()

    @invariant()
    def promises(self):
        if not hasattr(self, "pipeline"):
            return
        assert len(self.running) <= self.pipeline.concurrency
        assert not self.evicted & set(self.started), "a replaced job never runs"
        assert not self.canceled & set(self.started)
        assert self.accepted == set(self.started) | set(self.list) | self.evicted | self.canceled, "nothing is lost"
        assert len(self.started) == len(set(self.started))
        assert list(self.list) == sorted(self.list), "the list is in the order of arrival"
        if self.pipeline.start_delay == 0:
            assert not self.list or len(self.running) == self.pipeline.concurrency, "nobody waits beside a free slot"
        if self.pipeline.queue_strategy is PARTITIONED:
            partitions = [job.partition for job in self.list.values()]
            assert all(partitions.count(name) <= self.pipeline.queue_partition_limit for name in "xyz")
        elif self.pipeline.queue_limit is not None:
            assert len(self.list) <= self.pipeline.queue_limit
        elif self.pipeline.queue_strategy is REPLACE:
            assert len(self.list) <= 1


TestWaitListMachine = WaitListMachine.TestCase
