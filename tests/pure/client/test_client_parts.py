"""The client's pure parts: addresses, events from bytes, problems, requests as bytes, and the shapes it counts on."""

import errno
import json
import socket
from collections.abc import Iterable
from typing import Any, get_type_hints

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.client import Address, ClientError, Daemon, Kind, parse_address, shapes
from prunner_trio.client.exchange import Exchange, unreachable
from prunner_trio.client.problems import problem_of
from prunner_trio.client.requests import cancel, events, get_log, list_jobs, schedule, since_event
from prunner_trio.client.sse import Event, EventParser
from prunner_trio.http.v1 import models


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:9009", Address(False, "localhost", 9009)),
        (":9009", Address(False, "localhost", 9009)),
        ("0.0.0.0:80", Address(False, "127.0.0.1", 80)),
        ("[::]:80", Address(False, "::1", 80)),
        ("[fe80::1]:80", Address(False, "fe80::1", 80)),
        ("http://ci", Address(False, "ci", 80)),
        ("https://ci.example.org", Address(True, "ci.example.org", 443)),
        ("https://ci:8443/runner/", Address(True, "ci", 8443, "/runner")),
    ],
)
def test_an_address_is_what_the_daemon_is_told_or_a_url(text: str, address: Address) -> None:
    assert parse_address(text) == address


def test_an_address_can_be_read_again_as_it_is_shown() -> None:
    for text in ("localhost:9009", "[::1]:80", "https://ci:8443/runner"):
        assert parse_address(str(parse_address(text))) == parse_address(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("localhost", "needs a port"),
        ("localhost:0", "needs a port"),
        ("localhost:port", "is not of the form"),
        ("ftp://ci", "'ftp' is none of http, https"),
        ("https://jane:hunter2@ci", "does not belong there"),
        ("https://ci/?a=b", "nothing may follow"),
        ("https://c i", "blanks"),
        ("http://[::1", "is not of the form"),
    ],
)
def test_a_wrong_address_is_refused_and_says_what_is_allowed(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        parse_address(text)
    assert "hunter2" not in str(caught.value)


STREAM = (
    b": a comment\n\n"
    b"id: 1\nevent: job\ndata: {}\n\n"
    b"id: 2\ndata:first\ndata: second \xe2\x9c\x93\n\n"
    b"event: ready\n\n"
    b"data: z\r\n\r\n"
    b"id: 3\ndata: cut"
)
EVENTS = [Event("job", "{}", "1"), Event("message", "first\nsecond ✓", "2"), Event("message", "z", "2")]


@given(st.lists(st.integers(0, len(STREAM))))
def test_events_are_the_same_however_their_bytes_are_cut(cuts: list[int]) -> None:
    parser, found, last = EventParser(), [], 0
    for cut in sorted({*cuts, len(STREAM)}):
        found += parser.feed(STREAM[last:cut])
        last = cut
    assert found == EVENTS


def test_an_event_without_an_end_is_refused() -> None:
    parser = EventParser()
    assert parser.feed(b"x" * 16 * 1024 * 1024) == []
    with pytest.raises(ValueError, match="no end"):
        parser.feed(b"x")


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (401, "unauthorized", Kind.UNAUTHORIZED),
        (404, "job-not-found", Kind.NOT_FOUND),
        (409, "queue-full", Kind.FULL),
        (409, "queue-disabled", Kind.FULL),
        (409, "job-finished", Kind.REFUSED),
        (422, "invalid-content", Kind.REFUSED),
        (429, "too-many-streams", Kind.UNAVAILABLE),
        (503, "shutting-down", Kind.UNAVAILABLE),
    ],
)
def test_a_problem_of_the_daemon_is_of_a_kind(status: int, name: str, kind: Kind) -> None:
    body = {
        "type": f"urn:prunner-trio:problem:{name}",
        "title": "t",
        "status": status,
        "detail": "because",
        "errors": [],
    }
    problem = problem_of(status, json.dumps(body).encode())
    assert (problem.kind, problem.name, str(problem)) == (kind, name, "because")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, Kind.STRANGE),
        (500, Kind.STRANGE),
        (502, Kind.UNREACHABLE),
        (503, Kind.UNAVAILABLE),
        (401, Kind.UNAUTHORIZED),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"type": "about:blank"}'])
def test_what_others_answer_is_told_by_its_status(status: int, kind: Kind, body: bytes) -> None:
    assert problem_of(status, body).kind is kind


DAEMON = Daemon(Address(True, "ci", 8443, "/runner"), lambda: "a.b.c")


def test_a_request_goes_below_the_prefix_with_its_token_and_its_key() -> None:
    text = Exchange(DAEMON, schedule("ü", {"a": 1}, "", "key")).opening.decode()
    head, _, body = text.partition("\r\n\r\n")
    lines = head.lower().splitlines()
    assert lines[0] == "post /runner/v1/jobs http/1.1"
    assert {"host: ci:8443", "authorization: bearer a.b.c", "idempotency-key: key", "connection: close"} <= set(lines)
    assert json.loads(body) == {"pipeline": "ü", "variables": {"a": 1}, "partition": ""}


def test_names_are_quoted_and_empty_filters_left_out() -> None:
    assert get_log("id", "a/b ü", "stdout", tail=3).target == "/v1/jobs/id/tasks/a%2Fb%20%C3%BC/logs/stdout?tail=3"
    assert list_jobs(5, pipeline="a&b", user="").target == "/v1/jobs?pipeline=a%26b&limit=5"
    assert cancel("id", 60.0).target == "/v1/jobs/id/cancel?wait=60"


def test_a_stream_goes_on_after_an_event_if_there_was_one() -> None:
    request = events()
    assert since_event(request, "") == request
    assert ("last-event-id", "e-7") in since_event(request, "e-7").headers


@pytest.mark.parametrize("token", ["a\r\nb", "ü\u20ac", "a\0b"])
def test_a_token_that_http_cannot_carry_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ClientError, match="cannot send") as caught:
        Exchange(Daemon(DAEMON.address, lambda: token), events())
    assert token not in str(caught.value)
    assert caught.value.__suppress_context__


def fed(parts: Iterable[bytes]) -> tuple[Exchange, bytes]:
    exchange, body = Exchange(DAEMON, events()), b""
    for part in parts:
        body += exchange.feed(part)
    return exchange, body


@given(st.data())
def test_an_answer_is_the_same_however_it_is_cut(data: st.DataObject) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    cut = data.draw(st.integers(1, len(answer) - 1))
    exchange, body = fed([answer[:cut], answer[cut:]])
    assert (body, exchange.over) == (b"abcde", True)
    assert exchange.head is not None
    assert (exchange.head.status, exchange.head.headers["x"]) == (200, "y")


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ([b"SSH-2.0-OpenSSH\r\n\r\n"], Kind.STRANGE),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", b""], Kind.UNREACHABLE),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b""], Kind.UNREACHABLE),
        ([b""], Kind.UNREACHABLE),
    ],
)
def test_an_answer_that_is_none_and_one_that_ends_early_are_told_apart(parts: list[bytes], kind: Kind) -> None:
    with pytest.raises(ClientError) as caught:
        fed(parts)
    assert caught.value.kind is kind


SHAPES: list[tuple[Any, type]] = [
    (shapes.Job, models.Job),
    (shapes.JobPage, models.JobPage),
    (shapes.Task, models.Task),
    (shapes.Waiting, models.Waiting),
    (shapes.End, models.End),
    (shapes.Pipeline, models.Pipeline),
    (shapes.PipelineList, models.PipelineList),
    (shapes.Occurrence, models.Occurrence),
    (shapes.LogPiece, models.LogPiece),
    (shapes.LogEnd, models.LogEnd),
]


@pytest.mark.parametrize(("shape", "model"), SHAPES, ids=lambda each: each.__name__)
def test_what_the_client_counts_on_is_what_the_daemon_answers(shape: Any, model: type) -> None:
    assert set(get_type_hints(shape)) <= {field.name for field in attrs.fields(model)}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "connection refused"),
        (OSError(errno.ECONNREFUSED, "Error connecting to ('127.0.0.1', 1): Connection refused"), "connection refused"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "name or service not known"),
        (OSError(1, "certificate verify failed"), "certificate verify failed"),
        (TimeoutError(), "timeouterror"),
    ],
)
def test_why_there_is_no_connection_is_said_alike_however_it_was_made(error: OSError, text: str) -> None:
    assert str(unreachable(error)) == text
    assert str(unreachable(ExceptionGroup("each address", [error]))) == text
