"""The JSON of jobs, as prunner's clients read it, and what requests may hold."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.http.bodies import MAX_DEPTH, BadBody, read_schedule
from prunner_trio.http.facts import to_json
from prunner_trio.http.wire import encode_job, encode_pipelines, parse_job_id, quote
from prunner_trio.model import JobId, JobView, PipelineView, State, TaskView

ID = JobId("52a5cb79-7556-4c52-8e6f-dd6aaf1bc4c8")
T0 = 1_767_323_045.75


def job(state: State = State.DONE, **fields: object) -> JobView:
    started = None if state is State.WAITING else T0 + 1
    ended = T0 + 2 if state.final else None
    given = {"id": ID, "number": 1, "pipeline": "p", "tasks": (), "created": T0, "started": started, "ended": ended}
    return JobView(state=state, **(given | fields))  # type: ignore[arg-type]


def decoded(view: JobView) -> dict[str, object]:
    return json.loads(encode_job(view))


def test_members_of_a_failed_job_come_in_prunners_order() -> None:
    view = job(
        State.ERROR,
        tasks=(
            TaskView("a", State.ERROR, started=T0, ended=T0 + 1, exit_code=3, reason="exit status 3"),
            TaskView("b", State.CANCELED, depends_on=("a",), reason="needs 'a', which is error"),
        ),
        error="exit status 3",
        variables={"x": 1},
        user="jane",
    )
    assert encode_job(view).decode() == (
        '{"id":"52a5cb79-7556-4c52-8e6f-dd6aaf1bc4c8","pipeline":"p","tasks":['
        '{"name":"a","status":"error","start":"2026-01-02T03:04:05Z","end":"2026-01-02T03:04:06Z","skipped":false,'
        '"exitCode":3,"errored":true,"error":"exit status 3"},'
        '{"name":"b","dependsOn":["a"],"status":"canceled","start":null,"end":null,"skipped":false,"exitCode":0,'
        '"errored":false}],'
        '"completed":true,"canceled":false,"errored":true,"created":"2026-01-02T03:04:05Z",'
        '"start":"2026-01-02T03:04:06Z","end":"2026-01-02T03:04:07Z","lastError":"exit status 3",'
        '"variables":{"x":1},"user":"jane"}'
    )


texts = st.text(st.characters(exclude_categories=()), max_size=5)


@given(texts, texts, texts)
def test_any_text_is_told_as_it_is(name: str, reason: str, user: str) -> None:
    """But for half a surrogate pair, which has no encoding."""
    task = TaskView(name, State.ERROR, depends_on=(reason, name), reason=reason)
    told = decoded(job(State.ERROR, pipeline=name, tasks=(task,), error=reason, user=user))

    def whole(text: str) -> str:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    tasks = told["tasks"]
    assert isinstance(tasks, list)
    assert (told["pipeline"], told.get("lastError", ""), told["user"]) == (whole(name), whole(reason), whole(user))
    assert (tasks[0]["name"], tasks[0].get("error", "")) == (whole(name), whole(reason))
    assert tasks[0]["dependsOn"] == [whole(reason), whole(name)]


def test_what_is_empty_is_left_out_but_times_and_tasks_never_are() -> None:
    fields = decoded(job(State.WAITING))
    assert list(fields) == [
        *("id", "pipeline", "tasks", "completed", "canceled", "errored", "created", "start", "end", "user"),
    ]
    assert (fields["tasks"], fields["start"], fields["end"]) == ([], None, None)


FLAGS = {
    "waiting": (job(State.WAITING), (False, False, False)),
    "running": (job(State.RUNNING), (False, False, False)),
    "running after a failure": (job(State.RUNNING, tasks=(TaskView("a", State.ERROR),)), (False, False, True)),
    "running after an allowed failure": (
        job(State.RUNNING, tasks=(TaskView("a", State.ERROR, allow_failure=True),)),
        (False, False, False),
    ),
    "succeeded": (job(State.DONE), (True, False, False)),
    "failed": (job(State.ERROR), (True, False, True)),
    "failed before its start": (job(State.ERROR, started=None), (True, False, True)),
    "canceled while running": (job(State.CANCELED), (True, True, False)),
    "canceled while waiting": (job(State.CANCELED, started=None), (False, True, False)),
}


@pytest.mark.parametrize("name", FLAGS)
def test_flags_say_what_became_of_a_job(name: str) -> None:
    view, flags = FLAGS[name]
    fields = decoded(view)
    assert (fields["completed"], fields["canceled"], fields["errored"]) == flags


def test_a_job_canceled_while_waiting_has_neither_start_nor_end() -> None:
    fields = decoded(job(State.CANCELED, started=None))
    assert (fields["start"], fields["end"]) == (None, None)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (job(State.CANCELED), "context canceled"),
        (job(State.CANCELED, error="exit status 1"), "exit status 1"),
        (job(State.CANCELED, started=None), None),
        (job(State.CANCELED, started=None, error="reserved"), "reserved"),
        (job(State.DONE), None),
    ],
)
def test_last_error_is_the_first_failure_or_the_cancel(view: JobView, expected: str | None) -> None:
    assert decoded(view).get("lastError") == expected


@given(st.sampled_from(State), st.text(max_size=20), st.booleans())
def test_a_job_never_has_a_member_error_since_clients_take_it_for_not_found(
    state: State, error: str, started: bool
) -> None:
    fields = decoded(job(state, error=error, started=T0 if started else None))
    assert "error" not in fields


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (TaskView("t"), ("waiting", 0, False, False)),
        (TaskView("t", State.DONE), ("done", 0, False, False)),
        (TaskView("t", State.SKIPPED), ("skipped", 0, False, True)),
        (TaskView("t", State.ERROR, exit_code=4, reason="exit status 4"), ("error", 4, True, False)),
        (TaskView("t", State.ERROR, exit_code=4, reason="no", allow_failure=True), ("done", 4, False, False)),
        (TaskView("t", State.CANCELED, exit_code=130, reason="stopped: user"), ("canceled", 130, False, False)),
    ],
)
def test_status_of_a_task(task: TaskView, expected: tuple[str, int, bool, bool]) -> None:
    (fields,) = decoded(job(tasks=(task,)))["tasks"]  # type: ignore[misc]
    assert (fields["status"], fields["exitCode"], fields["errored"], fields["skipped"]) == expected
    assert ("error" in fields) == expected[2]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (0.999_999, "1970-01-01T00:00:00Z"),
        (-0.5, "1969-12-31T23:59:59Z"),
        (1_767_323_045.999_999, "2026-01-02T03:04:05Z"),
    ],
)
def test_times_are_cut_to_seconds_and_end_in_z(seconds: float, text: str) -> None:
    assert decoded(job(created=seconds))["created"] == text


def test_pipelines() -> None:
    assert encode_pipelines([PipelineView("hello", schedulable=True, running=False, waiting=3)]) == (
        b'[{"pipeline":"hello","schedulable":true,"running":false}]'
    )
    assert encode_pipelines([]) == b"[]"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_variables_come_back_as_they_were_sent(variables: dict[str, object]) -> None:
    asked = read_schedule(json.dumps({"pipeline": "p", "variables": variables}).encode())
    assert asked.variables == variables
    assert decoded(job(variables=asked.variables)).get("variables", {}) == variables


def test_long_integers_keep_their_digits() -> None:
    number = 10**60 + 1
    asked = read_schedule(b'{"variables":{"n":%d}}' % number)
    assert b'"n":%d}' % number in encode_job(job(variables=asked.variables))


def test_half_a_surrogate_pair_in_our_own_data_becomes_a_replacement() -> None:
    assert to_json("a\ud800b\U0001f600") == '"a\ufffdb\U0001f600"'.encode()


@pytest.mark.parametrize(
    "text",
    [
        ID,
        ID.upper(),
        ID.replace("-", ""),
        "{" + ID + "}",
        "urn:uuid:" + ID,
        "URN:UUID:" + ID.upper(),
        "{" + ID.replace("-", "") + "}",
    ],
)
def test_spellings_of_a_job_id(text: str) -> None:
    assert parse_job_id(text) == ID


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "123", "../../etc/passwd", ID[:-1], ID + "1", ID + "\n", " " + ID, "{" + ID, ID + "}"),
        *(ID[:-1] + "g", ID[:-1] + "１", ID.replace("-", "", 1), "urn:uuid:{" + ID + "}", "-" * 36),
    ],
)
def test_what_is_no_job_id(text: str) -> None:
    assert parse_job_id(text) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nope", '"nope"'),
        ("", '""'),
        ('a"b\\c', r'"a\"b\\c"'),
        ("a\nb\tc\x07", r'"a\nb\tc\a"'),
        ("ünï ✓ 😀", '"ünï ✓ 😀"'),
        ("\x00\x1b\x7f", r'"\x00\x1b\x7f"'),
        ("\u00a0\u200b\u2028", r'"\u00a0\u200b\u2028"'),
        ("\U000e0001", r'"\U000e0001"'),
    ],
)
def test_names_are_quoted_as_in_go(text: str, shown: str) -> None:
    assert quote(text) == shown


@pytest.mark.parametrize(
    "body",
    [
        b'{"pipeline":"p"}',
        b' \r\n\t{"pipeline":"p"}\n',
        b'{"pipeline":"p"} and more',
        b'{"pipeline":"p"}{}',
        b'{"PIPELINE":"p"}',
        b'{"Pipeline":"x","pipeline":"p"}',
        b'{"pipeline":"x","pipeline":"p"}',
        b'{"pipeline":"p","variables":null,"queuePartition":null,"extra":[{}]}',
        b'{"pipel\\u0069ne":"\\u0070"}',
    ],
)
def test_bodies_that_are_understood(body: bytes) -> None:
    asked = read_schedule(body)
    assert (asked.pipeline, asked.variables, asked.partition) == ("p", {}, "")


@pytest.mark.parametrize("body", [b"{}", b"null", b'{"pipeline":null}'])
def test_a_pipeline_that_is_not_named_is_the_one_without_a_name(body: bytes) -> None:
    assert read_schedule(body).pipeline == ""


DEEP = b'{"variables":{"x":' + b"[" * 200 + b"]" * 200 + b"}}"
BAD = {
    "empty": (b"", "EOF"),
    "blank": (b" \n", "EOF"),
    "list": (b"[]", "expected an object, got a list"),
    "number": (b"5", "expected an object, got a number"),
    "text": (b'"x"', "expected an object, got a string"),
    "boolean": (b"true", "expected an object, got a boolean"),
    "form": (b"pipeline=plain", "Expecting value (line 1, column 1)"),
    "cut": (b'{"pipeline":"x', "Unterminated string starting at (line 1, column 13)"),
    "number as a name": (b'{"pipeline":5}', "pipeline: expected a string, got a number"),
    "object as a name": (b'{"pipeline":{}}', "pipeline: expected a string, got an object"),
    "boolean as a partition": (b'{"queuePartition":true}', "queuePartition: expected a string, got a boolean"),
    "list of variables": (b'{"variables":[]}', "variables: expected an object, got a list"),
    "text as variables": (b'{"variables":"x"}', "variables: expected an object, got a string"),
    "not a number": (b'{"variables":{"a":NaN}}', "NaN is not JSON"),
    "infinity": (b'{"variables":{"a":-Infinity}}', "-Infinity is not JSON"),
    "too large": (b'{"variables":{"a":1e999}}', "the number 1e999 is too large"),
    "too many digits": (b'{"variables":{"a":' + b"1" * 5000 + b"}}", "a number has too many digits"),
    "half a pair": (b'{"variables":{"a":"\\ud800"}}', "half of a surrogate pair is not a character"),
    "half a pair as a key": (b'{"variables":{"\\uDFFF":1}}', "half of a surrogate pair is not a character"),
    "latin-1": (b'{"pipeline":"\xe4"}', "the body is not UTF-8 (byte 14)"),
    "deep": (DEEP, "nested too deeply (more than 100 levels)"),
    "bomb": (b'{"variables":{"x":' + b"[" * 400_000, "nested too deeply (more than 100 levels)"),
    "byte order mark": (b'\xef\xbb\xbf{"pipeline":"x"}', "Expecting value (line 1, column 1)"),
}


@pytest.mark.parametrize("name", BAD)
def test_bodies_that_are_refused_say_why(name: str) -> None:
    body, reason = BAD[name]
    with pytest.raises(BadBody) as caught:
        read_schedule(body)
    assert str(caught.value) == reason


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert read_schedule(b'{"variables":{"a":"\\ud83d\\ude00"}}').variables == {"a": "\U0001f600"}


def test_nesting_is_allowed_up_to_the_limit() -> None:
    levels = MAX_DEPTH - 2  # the body and `variables` are two
    fine = b'{"variables":{"x":' + b"[" * levels + b"]" * levels + b"}}"
    assert encode_job(job(variables=read_schedule(fine).variables))
    wide = b'{"variables":{"x":[' + b",".join([b"[]"] * 500) + b"]}}"
    assert len(read_schedule(wide).variables["x"]) == 500  # type: ignore[arg-type]
    with pytest.raises(BadBody):
        read_schedule(b'{"variables":{"x":' + b"[" * (levels + 1) + b"]" * (levels + 1) + b"}}")


@given(st.binary(max_size=200))
def test_no_body_whatsoever_is_more_than_refused(body: bytes) -> None:
    with suppress(BadBody):
        read_schedule(body)
