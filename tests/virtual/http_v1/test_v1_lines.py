"""Lines of a log in API v1: where they are, and which hold a text."""

from itertools import accumulate
from urllib.parse import urlencode

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.execution.seams import Stream
from prunner_trio.http.v1.lines import BLOCK, LineCounts, find_lines
from prunner_trio.http.v1.logs import Log
from prunner_trio.model import JobId, State, TaskView
from prunner_trio.output import MemoryOutputStore
from prunner_trio.testing import Act

TALK = PipelineDef("talk", (TaskDef("t", ("talk",)),), concurrency=9)
JOB = JobId("00000000-0000-4000-8000-000000000001")


class CountedStore(MemoryOutputStore):
    """Counts what is read."""

    read_bytes = 0

    async def read(self, job_id, task, stream, offset, length):
        data = await super().read(job_id, task, stream, offset, length)
        self.read_bytes += len(data)
        return data


class OneLog:
    """A runner of nothing, that has one log."""

    def __init__(self, data: bytes) -> None:
        self.output = CountedStore()
        self.write(data)

    def write(self, data: bytes) -> None:
        self.output.open(JOB, "t").write(Stream.STDOUT, data)

    def job(self, job_id: JobId) -> None:
        return None

    @property
    def log(self) -> Log:
        return Log(self, JOB, TaskView("t", State.DONE), 1, Stream.STDOUT)


def counted(data: bytes):
    return trio.run(LineCounts().answer, OneLog(data).log, 0)


PIECES = st.lists(
    st.sampled_from([b"\n", b"a\n", b"x" * (BLOCK - 1), b"x" * BLOCK, b"y" * 40_000 + b"\n", b"\n" * 70_000, b"end"])
)


@settings(max_examples=40, deadline=None)
@given(PIECES.map(b"".join))
def test_the_counts_are_those_of_each_block(data) -> None:
    got = counted(data)
    assert list(got.feeds) == [data[at : at + BLOCK].count(b"\n") for at in range(0, len(data), BLOCK)]
    assert (got.offset, got.next, got.size, got.block) == (0, len(data), len(data), BLOCK)
    assert got.open is bool(data and not data.endswith(b"\n"))


@settings(max_examples=40, deadline=None)
@given(PIECES.map(b"".join), st.data())
def test_a_line_begins_where_the_counts_say(data, choose) -> None:
    line = choose.draw(st.integers(0, data.count(b"\n")))

    async def scenario():
        log, counts = OneLog(data).log, LineCounts()
        return await counts.start_of_line(log, line, await counts.feeds(log, len(data)))

    starts = [0, *accumulate(map(len, data.splitlines(keepends=True) if data else []))]
    assert trio.run(scenario) == starts[line]


def test_what_was_counted_is_not_read_again_and_what_comes_is_added() -> None:
    async def scenario():
        kept, counts = OneLog(b"line\n" * 100_000), LineCounts()
        first = await counts.answer(kept.log, 0)
        kept.output.read_bytes = 0
        kept.write(b"more\n" * 50_000)
        second = await counts.answer(kept.log, 0)
        assert sum(first.feeds) == 100_000
        assert sum(second.feeds) == 150_000
        assert kept.output.read_bytes < 250_000 + 3 * BLOCK
        assert second.feeds[: 500_000 // BLOCK] == first.feeds[: 500_000 // BLOCK]

    trio.run(scenario)


def test_two_who_ask_at_the_same_time_count_once() -> None:
    async def scenario():
        kept, counts = OneLog(b"line\n" * 100_000), LineCounts()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(counts.answer, kept.log, 0)
        assert kept.output.read_bytes < 500_000 + 5 * (BLOCK + 1)

    trio.run(scenario)


def test_a_log_that_was_cut_meanwhile_is_counted_as_far_as_it_is_there() -> None:
    async def scenario():
        counts, kept = LineCounts(), OneLog(b"line\n" * 20_000)
        assert len(await counts.feeds(kept.log, 10 * BLOCK)) == 1

    trio.run(scenario)


def all_matches(data: bytes, text: str):
    async def scenario():
        log = OneLog(data).log
        found, offset, line = [], 0, 0
        while True:
            got = await find_lines(log, text, offset, line)
            found += [number for number in got.lines if not found or number > found[-1]]
            offset, line = got.next, got.line
            if offset >= got.size:
                return found

    return trio.run(scenario)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["needle", "Needle NEEDLE", "need", "", "x" * 70_000, "né needlé"])), st.booleans())
def test_all_lines_with_a_text_are_found(lines, ended) -> None:
    text = "\n".join(lines) + ("\n" if ended else "")
    wanted = [number for number, line in enumerate(text.split("\n")) if "needle" in line.lower()]
    assert all_matches(text.encode(), "nEEdle") == wanted


def test_a_long_log_is_searched_a_part_at_a_time() -> None:
    async def scenario():
        log = OneLog(b"." * 99 + b"\n" + (b"-" * 1023 + b"\n") * 20_000 + b"the end").log
        first = await find_lines(log, "the end", 0, 0)
        assert first.lines == ()
        assert first.offset < first.next < first.size
        second = await find_lines(log, "the end", first.next, first.line)
        assert second.lines == (20_001,)
        assert second.next == second.size

    trio.run(scenario)


def test_a_log_full_of_matches_comes_a_part_at_a_time() -> None:
    async def scenario():
        log = OneLog(b"match\n" * 200_000).log
        got = await find_lines(log, "match", 0, 0)
        assert 10_000 <= len(got.lines) < 100_000
        assert got.line == len(got.lines) == got.next // 6

    trio.run(scenario)


def test_a_very_long_line_is_searched_in_pieces() -> None:
    assert all_matches(b"x" * 3_000_000 + b"needle" + b"x" * 3_000_000 + b"needle\nneedle", "needle") == [0, 1]


@pytest.fixture
def told(play):
    def told(scenario, stdout):
        async def outer(api):
            job_id = await api.schedule("talk")
            await api.rig.at(1)
            await scenario(api, f"/v1/jobs/{job_id}/tasks/t/logs/stdout")

        play(outer, TALK, acts={"t": Act(stdout=stdout)})

    return told


def test_lines_are_told_as_json(told) -> None:
    async def scenario(api, log):
        got = (await api("GET", f"{log}/lines")).json
        assert got == {
            "offset": 0,
            "next": 11,
            "size": 11,
            "block": BLOCK,
            "feeds": [2],
            "open": True,
            "complete": True,
        }
        assert (await api("GET", f"{log}/lines?offset=99999999")).json["feeds"] == [2]
        assert (await api("GET", f"{log}/lines?offset=-1")).problem == (400, "invalid-query")
        empty = (await api("GET", f"{log[:-6]}stderr/lines")).json
        assert (empty["feeds"], empty["size"], empty["open"]) == ([], 0, False)

    told(scenario, "one\ntwo\nend")


def test_matches_are_told_as_json(told) -> None:
    async def scenario(api, log):
        got = (await api("GET", f"{log}/matches?text=TWO")).json
        assert got == {"offset": 0, "next": 11, "size": 11, "line": 2, "lines": [1]}
        later = (await api("GET", f"{log}/matches?text=o&offset=4&line=1")).json
        assert later == {"offset": 4, "next": 11, "size": 11, "line": 2, "lines": [1]}
        for query in ("", "?text=", f"?text={'x' * 201}", "?text=a&line=x", "?text=%0A", "?text=e%0At", "?text=%0At"):
            assert (await api("GET", f"{log}/matches{query}")).problem == (400, "invalid-query"), query
        assert (await api("GET", f"{log[:-6]}stdin/matches?{urlencode({'text': 'x'})}")).problem == (404, "not-found")
        assert (await api("GET", f"{log}/matches?text=a", auth="")).status == 401

    told(scenario, "one\ntwo\nend")
