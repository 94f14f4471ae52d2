"""prunner's file is read as prunner would read it, and written so that prunner can."""

import json
import uuid
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.errors import StoreError
from prunner_trio.execution.seams import SavedJob
from prunner_trio.model import JobId, JobView, State, StopReason, StopRequest, TaskView
from prunner_trio.storage.prunner_json import format_time, parse_time, read_prunner, write_prunner

STAMP = "2026-01-02T03:04:05Z"
AT = 1767323045.0
NOW = 2e9
ID = "52a5cb79-7556-4c52-8e6f-dd6aaf1bc4c8"

Members = dict[str, Any]


def job(**members: object) -> Members:
    return {"ID": ID, "Pipeline": "p", "Created": STAMP, "Tasks": [], **members}


def task(name: str = "a", status: str = "done", **members: object) -> Members:
    return {"Name": name, "Script": ["true"], "Status": status, **members}


def read(*jobs: Members) -> list[SavedJob]:
    return read_prunner(json.dumps({"Jobs": jobs}).encode(), now=NOW)


def read_one(**members: object) -> JobView:
    (saved,) = read(job(**members))
    return saved.job


def write(*jobs: SavedJob) -> Members:
    content = json.loads("".join(write_prunner(jobs)))
    assert isinstance(content, dict)
    return content


# --------------------------------------------------------------------------------------------------------------- times

TIMES = {
    "1970-01-01T00:00:00Z": (0, 0),
    STAMP: (1767323045, 0),
    "2026-01-02T05:04:05+02:00": (1767323045, 0),
    "2026-01-01T21:34:05-05:30": (1767323045, 0),
    "2026-01-02T03:04:05.5Z": (1767323045, 500_000_000),
    "2026-01-02T03:04:05.123456789Z": (1767323045, 123_456_789),
    "2026-01-02T03:04:05.1234567899Z": (1767323045, 123_456_789),
    "0001-01-01T00:00:00Z": (-62135596800, 0),
    "0001-01-01T00:00:00+02:00": (-62135604000, 0),
}


@pytest.mark.parametrize("text", TIMES)
def test_times_have_zones_and_nanoseconds(text: str) -> None:
    assert parse_time(text) == TIMES[text]


NO_TIMES = [
    "",
    "now",
    "2026-01-02",
    "2026-01-02T03:04:05",
    "2026-13-02T03:04:05Z",
    "2026-01-02 03:04:05Z",
    "2026-01-02T03:04:05z",
    "2026-01-02T03:04:60Z",
    "2026-01-02T03:04:05.Z",
    "2026-01-02T03:04:05Z ",
    "٢026-01-02T03:04:05Z",
]


@pytest.mark.parametrize("text", NO_TIMES)
def test_other_texts_are_no_times(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_time(text)


def test_times_are_written_as_go_does() -> None:
    assert format_time(0.0) == "1970-01-01T00:00:00Z"
    assert format_time(AT) == STAMP
    assert format_time(AT + 0.5) == "2026-01-02T03:04:05.5Z"
    assert format_time(-0.25) == "1969-12-31T23:59:59.75Z"
    assert format_time(-62135596800.0) == "0001-01-01T00:00:00Z"


@given(st.floats(-6.2e10, 2.5e11))
def test_a_time_survives_the_way_there_and_back(seconds: float) -> None:
    whole, nanoseconds = parse_time(format_time(seconds))
    assert whole + nanoseconds / 1e9 == pytest.approx(seconds, abs=1e-9)
    if abs(seconds) > 1e8:  # here floats are coarser than nanoseconds
        assert whole + nanoseconds / 1e9 == seconds


# -------------------------------------------------------------------------------------------------------------- reading


def test_a_finished_job_is_read_with_all_its_fields() -> None:
    (saved,) = read(
        job(
            Completed=True,
            Start="2026-01-02T03:04:06.25Z",
            End="2026-01-02T03:04:07.5+00:00",
            User="old",
            Variables={"a": [1], "n": 12345678901234567890},
            Tasks=[
                task("a", Start=STAMP, End=STAMP, ExitCode=-1),
                task("b", DependsOn=["a"], AllowFailure=True, ExitCode=3),
                task("c", "error", DependsOn=["a"], Start=STAMP, ExitCode=4, Errored=True, Error="exit status 4"),
                task("on_error", Script=["echo", "oh"]),
            ],
            Future={"x": 1},
        )
    )
    assert saved.definition == PipelineDef(
        "p",
        (
            TaskDef("a", ("true",)),
            TaskDef("b", ("true",), ("a",), allow_failure=True),
            TaskDef("c", ("true",), ("a",)),
        ),
        on_error=TaskDef("on_error", ("echo", "oh")),
    )
    assert saved.job == JobView(
        JobId(ID),
        1,
        "p",
        State.ERROR,
        (
            TaskView("a", State.DONE, started=AT, ended=AT),
            TaskView("b", State.DONE, ("a",), exit_code=3, allow_failure=True),
            TaskView("c", State.ERROR, ("a",), AT, None, 4, "exit status 4"),
            TaskView("on_error", State.DONE),
        ),
        AT,
        AT + 1.25,
        AT + 2.5,
        variables={"a": [1], "n": 12345678901234567890},
        user="old",
        error="exit status 4",
    )


FLAGS = {
    "succeeded": ({"Completed": True, "Start": STAMP}, [task()], State.DONE),
    "failed": ({"Completed": True, "Start": STAMP}, [task("a", "error", Errored=True)], State.ERROR),
    "canceled": ({"Completed": True, "Canceled": True, "Start": STAMP}, [task("a", "canceled")], State.CANCELED),
    "failed fast": (
        {"Completed": True, "Canceled": True, "Start": STAMP},
        [task("a", "error", Errored=True), task("b", "canceled", Errored=True)],
        State.ERROR,
    ),
    "cut short": ({"Completed": True, "Canceled": True}, [task("a", "canceled", Errored=True)], State.CANCELED),
    "canceled while waiting": ({"Canceled": True}, [task("a", "waiting")], State.CANCELED),
    "being canceled": ({"Canceled": True, "Start": STAMP}, [task("a", "running")], State.CANCELED),
    "running": ({"Start": STAMP}, [task("a", "running")], State.CANCELED),
    "waiting": ({}, [task("a", "waiting")], State.CANCELED),
    "without tasks": ({"Completed": True, "Start": STAMP, "Tasks": None}, None, State.DONE),
}


@pytest.mark.parametrize("case", FLAGS)
def test_flags_become_a_state_and_nothing_is_left_unfinished(case: str) -> None:
    members, tasks, state = FLAGS[case]
    found = read_one(**{"Tasks": tasks, **members})
    assert found.state is state
    assert all(one.state.final for one in found.tasks)


def test_a_job_that_was_running_is_interrupted_now() -> None:
    tasks = [
        task("a", "running", Start=STAMP),
        task("b", "waiting", DependsOn=["a"]),
        task("c", Start=STAMP, End=STAMP),
    ]
    found = read_one(Start=STAMP, Tasks=tasks)
    assert found.stop == StopRequest(StopReason.INTERRUPTED, NOW)
    assert (found.started, found.ended) == (AT, NOW)
    assert [one.state for one in found.tasks] == [State.CANCELED, State.CANCELED, State.DONE]
    assert found.tasks[0].reason == "stopped: interrupted"


def test_a_job_that_was_waiting_is_canceled_and_never_started() -> None:
    found = read_one(Tasks=[task("a", "waiting")])
    assert (found.state, found.started) == (State.CANCELED, None)
    assert found.stop == StopRequest(StopReason.INTERRUPTED, NOW)


def test_tasks_that_a_failure_kept_waiting_are_canceled() -> None:
    tasks = [task("a", "error", Errored=True), task("b", "waiting", DependsOn=["a"])]
    assert read_one(Completed=True, Start=STAMP, Tasks=tasks).tasks[1].state is State.CANCELED


def test_a_completed_job_without_a_start_has_started_at_its_creation() -> None:
    assert read_one(Completed=True).started == AT


def test_a_skipped_task_is_skipped() -> None:
    assert read_one(Completed=True, Tasks=[task(Skipped=True)]).tasks[0].state is State.SKIPPED


def test_jobs_are_numbered_by_their_creation_to_the_nanosecond() -> None:
    stamps = [f"2026-01-02T03:04:05.00000000{digit}Z" for digit in (3, 1, 2)]
    found = read(*(job(ID=str(uuid.UUID(int=n)), Created=stamp) for n, stamp in enumerate(stamps)))
    assert [(saved.job.number, saved.job.id[-1]) for saved in found] == [(1, "1"), (2, "2"), (3, "0")]


def test_the_later_of_two_jobs_with_one_id_counts() -> None:
    found = read(job(User="first"), job(ID=ID.upper(), User="second"))
    assert [(saved.job.number, saved.job.user) for saved in found] == [(1, "second")]


def test_equal_definitions_are_one_object() -> None:
    first, second, other = read(
        job(ID=str(uuid.UUID(int=1)), Tasks=[task()]),
        job(ID=str(uuid.UUID(int=2)), Tasks=[task()]),
        job(ID=str(uuid.UUID(int=3)), Tasks=[task(Script=["false"])]),
    )
    assert first.definition is second.definition
    assert first.definition != other.definition


@pytest.mark.parametrize("text", ['{"Jobs": []}', '{"Jobs": null}', "{}", "null", ' {"Future": 1}\n'])
def test_a_file_without_jobs_is_empty(text: str) -> None:
    assert read_prunner(text.encode(), now=NOW) == []


def test_null_is_the_same_as_nothing() -> None:
    keys = ("Completed", "Canceled", "Start", "End", "Variables", "User", "Tasks")
    assert read_one(**dict.fromkeys(keys)) == read_one()
    keys = ("Script", "DependsOn", "AllowFailure", "Start", "End", "Skipped", "ExitCode", "Errored", "Error")
    assert read_one(Tasks=[{"Name": "a", "Status": "done", **dict.fromkeys(keys)}]) == read_one(
        Tasks=[{"Name": "a", "Status": "done"}]
    )


def test_bytes_that_are_no_utf8_become_replacement_characters() -> None:
    (saved,) = read_prunner(json.dumps({"Jobs": [job(User="x")]}).encode().replace(b'"x"', b'"\xff"'), now=NOW)
    assert saved.job.user == "\ufffd"


BROKEN = {
    "nonsense": "Expecting value",
    '{"Jobs": [': "Expecting value",
    '{"Jobs": {}}': "the file: Jobs: .* is not a list",
    "[]": "the file is not an object",
    "": "Expecting value",
    "{} {}": "Extra data",
    '{"Jobs": [1]}': r"Jobs\[0\] is not an object",
    '{"Jobs": [{}]}': r"Jobs\[0\]: there is no ID",
    '{"Jobs": [{"ID": "x"}]}': r"Jobs\[0\]: ID: \"x\" is not a UUID",
    '{"Jobs": [{"ID": 5}]}': r"Jobs\[0\]: ID: 5 is not a UUID",
    '{"Jobs": [{"Completed": 1}]}': r"Jobs\[0\]: Completed: 1 is not true or false",
    '{"Jobs": [{"Created": "yesterday"}]}': r"Jobs\[0\]: Created: 'yesterday' is not an RFC 3339 time",
    '{"Jobs": [{"Created": "2026-02-30T00:00:00Z"}]}': r"Jobs\[0\]: Created: day is out of range",
    '{"Jobs": [{"Tasks": [{}, {"Status": "asleep"}]}]}': r"Jobs\[0\]\.Tasks\[1\]: Status 'asleep' is unknown",
    '{"Jobs": [{"Tasks": [{"ExitCode": 1.5}]}]}': r"Tasks\[0\]: ExitCode: 1\.5 is not a whole number",
    '{"Jobs": [{"Tasks": [{"ExitCode": 99999999999999999999}]}]}': "is out of range",
    '{"Jobs": [{"Tasks": [{"Script": "true"}]}]}': r"Tasks\[0\]: Script: \"true\" is not a list",
    '{"Jobs": [{"Tasks": [{"DependsOn": [1]}]}]}': r"Tasks\[0\]: DependsOn: 1 is not a text",
    '{"Jobs": [{"Variables": []}]}': r"Jobs\[0\]: Variables: \[\] is not an object",
    '{"Jobs": [{"Variables": {"x": NaN}}]}': "NaN is not JSON",
    "[" * 100_000: "nested too deeply",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_is_an_error_that_says_what_is_wrong_where(text: str) -> None:
    with pytest.raises(StoreError, match=f"^cannot load some/data.json: .*{BROKEN[text]}"):
        read_prunner(text.encode(), now=NOW, source="some/data.json")


MEMBERS = ["Jobs", "ID", "Pipeline", "Created", "Start", "Tasks", "Name", "Status", "Variables", "ExitCode"]
SCALARS = st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([ID, STAMP, "done"])


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(MEMBERS), inner)))
def test_any_json_is_read_or_refused(content: object) -> None:
    try:
        found = read_prunner(json.dumps({"Jobs": [content]}).encode(), now=NOW)
    except StoreError:
        return
    assert all(saved.job.state.final for saved in found)


# -------------------------------------------------------------------------------------------------------------- writing

DEFINITION = PipelineDef(
    "p",
    (TaskDef("a", ("echo 1", "echo 2")), TaskDef("b", ("false",), ("a",), allow_failure=True)),
    on_error=TaskDef("on_error", ("echo oh",)),
)
A, B = TaskView("a"), TaskView("b", depends_on=("a",), allow_failure=True)


def saved_job(state: State, *tasks: TaskView, **members: Any) -> SavedJob:
    return SavedJob(JobView(JobId(ID), 1, "p", state, tasks, AT, **members), DEFINITION)


def test_keys_are_left_out_where_prunner_does_so() -> None:
    assert write(saved_job(State.WAITING, A)) == {
        "Jobs": [
            {
                "ID": ID,
                "Pipeline": "p",
                "Created": STAMP,
                "Tasks": [{"Name": "a", "Script": ["echo 1", "echo 2"], "Status": "waiting"}],
            }
        ]
    }


def test_a_failed_job_is_written_with_all_its_keys() -> None:
    saved = saved_job(
        State.ERROR,
        attrs.evolve(A, state=State.ERROR, started=AT, ended=AT + 0.5, exit_code=3, reason="exit status 3"),
        attrs.evolve(B, state=State.SKIPPED),
        TaskView("on_error", State.DONE),
        started=AT,
        ended=AT + 1,
        variables={"x": 1},
        user="jane",
    )
    assert write(saved)["Jobs"] == [
        {
            "ID": ID,
            "Pipeline": "p",
            "Completed": True,
            "Created": STAMP,
            "Start": STAMP,
            "End": "2026-01-02T03:04:06Z",
            "Tasks": [
                {
                    "Name": "a",
                    "Script": ["echo 1", "echo 2"],
                    "Status": "error",
                    "Start": STAMP,
                    "End": "2026-01-02T03:04:05.5Z",
                    "ExitCode": 3,
                    "Errored": True,
                    "Error": "exit status 3",
                },
                {
                    "Name": "b",
                    "Script": ["false"],
                    "DependsOn": ["a"],
                    "AllowFailure": True,
                    "Status": "skipped",
                    "Skipped": True,
                },
                {"Name": "on_error", "Script": ["echo oh"], "Status": "done", "ExitCode": -1},
            ],
            "Variables": {"x": 1},
            "User": "jane",
        }
    ]


def test_a_failure_that_was_allowed_is_done_in_prunners_words() -> None:
    failed = attrs.evolve(B, state=State.ERROR, exit_code=7, reason="exit status 7")
    (found,) = write(saved_job(State.DONE, failed, started=AT))["Jobs"]
    assert found["Tasks"] == [
        {"Name": "b", "Script": ["false"], "DependsOn": ["a"], "AllowFailure": True, "Status": "done", "ExitCode": 7}
    ]


COMPLETED = {
    "done": (State.DONE, AT, {"Completed": True}),
    "failed": (State.ERROR, AT, {"Completed": True}),
    "failed before it began": (State.ERROR, None, {"Completed": True}),
    "canceled": (State.CANCELED, AT, {"Completed": True, "Canceled": True}),
    "canceled while waiting": (State.CANCELED, None, {"Canceled": True}),
    "running": (State.RUNNING, AT, {}),
    "waiting": (State.WAITING, None, {}),
}


@pytest.mark.parametrize("case", COMPLETED)
def test_the_state_becomes_flags(case: str) -> None:
    state, started, flags = COMPLETED[case]
    ended = AT if state.final else None
    (found,) = write(saved_job(state, started=started, ended=ended))["Jobs"]
    assert {key: found[key] for key in ("Completed", "Canceled") if key in found} == flags
    assert ("End" in found) == (state.final and started is not None)


def test_no_jobs_are_an_empty_list() -> None:
    assert "".join(write_prunner([])) == '{"Jobs":[]}\n'


texts = st.text(max_size=8)
times = st.floats(1e9, 2e9)
numbers = st.integers(1, 255)


@st.composite
def tasks_of(draw: st.DrawFn, name: str) -> TaskView:
    state = draw(st.sampled_from([State.DONE, State.ERROR, State.CANCELED, State.SKIPPED]))
    return TaskView(
        name,
        state,
        tuple(draw(st.lists(texts, max_size=2))),
        draw(st.none() | times),
        draw(st.none() | times),
        draw(numbers) if state is State.ERROR else 0,
        draw(texts) if state in (State.ERROR, State.CANCELED) else "",
    )


@st.composite
def histories(draw: st.DrawFn) -> SavedJob:
    names = draw(st.lists(texts.filter(lambda name: name != "on_error"), max_size=3, unique=True))
    tasks = tuple(draw(tasks_of(name)) for name in names)
    failed = next((one for one in tasks if one.failed), None)
    state = State.ERROR if failed else draw(st.sampled_from([State.DONE, State.CANCELED]))
    view = JobView(
        JobId(str(draw(st.uuids()))),
        1,
        draw(texts),
        state,
        tasks,
        draw(times),
        draw(times),
        draw(times),
        variables=draw(st.dictionaries(texts, st.integers() | texts | st.none() | st.booleans())),
        user=draw(texts),
        error=failed.reason if failed else "",
    )
    specs = tuple(TaskDef(one.name, tuple(draw(st.lists(texts, max_size=2))), one.depends_on) for one in tasks)
    return SavedJob(view, PipelineDef(view.pipeline, specs))


@given(histories())
def test_a_finished_job_survives_the_way_there_and_back(saved: SavedJob) -> None:
    text = "".join(write_prunner([saved]))
    assert read_prunner(text.encode(), now=NOW) == [saved]
