"""Requests and answers as bytes: what is done by hand must be what h11 does."""

from __future__ import annotations

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prunner_trio.http.server import HttpLimits
from prunner_trio.http.server._answers import Encoder
from prunner_trio.http.server._refusal import Refusal
from prunner_trio.http.server._requests import OddHead, Request, read_plain

LIMITS = HttpLimits(body_bytes=1000)
GET = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n"

pieces = st.one_of(
    st.sampled_from(
        [
            b"GET",
            b"POST ",
            b"/",
            b"/a%20b?c",
            b"http://x/",
            b" HTTP/1.1\r\n",
            b" HTTP/1.0\r\n",
            b"Host: x\r\n",
            b"host:y\r\n",
            b"Accept:\t a b \r\n",
            b"Content-Length: 3\r\n",
            b"content-length:4\r\n",
            b"Content-Length: 3, 3\r\n",
            b"Content-Length: -3\r\n",
            b"Content-Length: \xb2\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Connection: close\r\n",
            b"Connection: keep-alive\r\n",
            b"Expect: 100-continue\r\n",
            b"Upgrade: h2c\r\n",
            b" folded\r\n",
            b"X : y\r\n",
            b": y\r\n",
            b"X: \x00\r\n",
            b"X: a\rb\r\n",
            b"X: a\x0bb\r\n",
            b"X: \xff\x7f\r\n",
            b"\xff: y\r\n",
            b"X: y\n",
            b"\n\n",
            b"\r\n",
            b"\r\n\r\n",
            b"abcdef",
        ]
    ),
    st.binary(max_size=3),
)
heads = st.lists(pieces, max_size=10).map(b"".join)


def read_by_h11(data: bytes) -> tuple[Request, bytes]:
    head = OddHead(LIMITS)
    head.feed(data)
    request = head.request()
    assert request is not None
    return request, read_body(request)


def read_body(request: Request) -> bytes:
    parts = []
    while piece := request.piece():
        parts.append(piece)
    return b"".join(parts)


def facts(request: Request) -> tuple[object, ...]:
    return request.method, request.target, request.version, request.headers, request.keep_alive, request.waits


@given(st.one_of(heads, heads.map(lambda more: GET[:-2] + more + b"\r\nabcdef"), heads.map(lambda more: more + GET)))
@example(GET)
@example(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nAccept:  */*\t\r\nX:\r\n\r\nabcdef")
@example(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab")
def test_a_request_that_is_read_by_hand_is_the_one_that_h11_would_read(data: bytes) -> None:
    """So nothing is accepted that h11 refuses, and nothing understood in another way: there is nothing to smuggle."""
    plain = read_plain(data, ended=False, limits=LIMITS)
    if plain is not None:
        body = read_body(plain)
        odd, odd_body = read_by_h11(data)
        assert facts(plain) == facts(odd)
        assert (body, plain.ahead) == (odd_body, odd.ahead)


def test_what_clients_send_is_read_by_hand() -> None:
    fields = b"Host: x:1\r\nAccept-Encoding: identity\r\nContent-Length: 2\r\nAuthorization: Bearer a.b-c\r\n"
    head = b"POST /a HTTP/1.1\r\n" + fields + b"\r\n"
    request = read_plain(head + b"{}GET", ended=False, limits=LIMITS)
    assert request is not None
    assert request.headers[3] == (b"authorization", b"Bearer a.b-c")
    assert (request.piece(), request.piece(), request.ahead) == (b"{}", b"", b"GET")


@pytest.mark.parametrize(
    "field",
    [
        b"Transfer-Encoding: chunked",
        b"Content-Length: 3\r\nContent-Length: 3",
        b"Content-Length: +3",
        b"Content-Length: 3,3",
        b"Content-Length:",
        b"Content-Length: 9999999999999999999",
        b"Connection: close",
        b"Expect: 100-continue",
        b"Upgrade: h2c",
        b"Host: y",
        b"X : y",
        b"X: a\nY: b",
        b"X: a\rb",
        b"X: a\x00",
        b"X\xff: a",
        b" folded",
        b"no colon",
    ],
)
def test_what_is_not_plain_is_left_to_h11(field: bytes) -> None:
    assert read_plain(b"POST / HTTP/1.1\r\nHost: x\r\n" + field + b"\r\n\r\nabc", ended=False, limits=LIMITS) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GET[:-1],
        b"\r\n" + GET,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: x\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\x7f HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        GET[:-4] + bytes(70_000) + b"\r\n\r\n",
    ],
)
def test_a_head_that_is_not_plain_is_left_to_h11(data: bytes) -> None:
    assert read_plain(data, ended=False, limits=LIMITS) is None


def test_a_body_that_ends_early_is_refused() -> None:
    request = read_plain(GET[:-2] + b"Content-Length: 3\r\n\r\na", ended=False, limits=LIMITS)
    assert request is not None
    assert (request.piece(), request.piece()) == (b"a", None)
    request.feed(b"")
    with pytest.raises(Refusal, match="2 bytes before"):
        request.piece()


def asked(method: bytes, *, old: bool = False) -> Request:
    return Request(method, b"/", b"1.0" if old else b"1.1", [], keep_alive=not old, waits=False, ended=False)


def understood(method: bytes, answer: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return what a strict client takes an answer for, in which each request is followed by another one."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(answer)
    head = client.next_event()
    assert isinstance(head, h11.Response)
    body = b""
    while not isinstance(event := client.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            client.receive_data(b"")
            continue
        assert isinstance(event, h11.Data)
        body += bytes(event.data)
    assert client.trailing_data[0] == b""
    return head.status_code, list(head.headers), body


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("status", [200, 204, 304, 404, 599])
@pytest.mark.parametrize("parts", [(b"",), (b"ab", b"", b"c"), (b"abc",), (b"ab", b"c", b"")])
def test_an_answer_is_what_a_client_understands(
    announced: bool, old: bool, method: bytes, status: int, parts: tuple[bytes, ...]
) -> None:
    whole = b"".join(parts)
    headers = [(b"content-length", b"%d" % len(whole))] if announced else []
    encoder = Encoder(asked(method, old=old))
    answer = encoder.head(status, [(b"etag", b'"a"'), *headers], close=False)
    last = len(parts) - 1
    answer += b"".join(encoder.body(part, more=index < last) for index, part in enumerate(parts))
    silent = method == b"HEAD" or status in (204, 304)
    found_status, found, body = understood(method, answer)
    assert (found_status, body) == (status, b"" if silent else whole)
    names = [name for name, _ in found]
    assert names[:2] == [b"etag", b"content-length" if announced else b"date"]
    assert (b"connection", b"close") in found or not old
    assert encoder.closes == old
    assert (b"transfer-encoding" in names) == (not announced and not old and status not in (204, 304))


def test_who_asks_for_a_close_gets_one() -> None:
    for headers, close in [([(b"Connection", b"Close")], False), ([], True), ([(b"connection", b"keep-alive")], True)]:
        encoder = Encoder(asked(b"GET"))
        answer = encoder.head(200, headers, close=close)
        assert encoder.closes
        assert answer.count(b"onnection") == 1
        assert answer.endswith(b"connection: close\r\n\r\n")


def test_the_framing_is_not_the_apps() -> None:
    headers = [(b"transfer-encoding", b"chunked"), (b"content-length", b"1"), (b"content-length", b"1")]
    head = Encoder(asked(b"GET")).head(200, headers, close=False)
    assert b"transfer-encoding" not in head
    assert head.count(b"content-length: 1\r\n") == 1


@pytest.mark.parametrize(
    ("status", "header"),
    [
        (99, (b"a", b"b")),
        (101, (b"a", b"b")),
        (1000, (b"a", b"b")),
        (200, (b"a b", b"c")),
        (200, (b"", b"c")),
        (200, (b"a\r\nb", b"c")),
        (200, (b"a", b"b\r\nc: d")),
        (200, (b"a", b"b\r\n\r\nd")),
        (200, (b"a", b"b\nc")),
        (200, (b"a", b"b\rc")),
        (200, (b"a", b"b\x00c")),
        (200, (b"a", b" b")),
        (200, (b"a", b"b ")),
        (200, (b"content-length", b"-1")),
        (200, (b"content-length", b"")),
        (200, (b"content-length", b"1, 1")),
        (200, (b"transfer-encoding", b"gzip")),
    ],
)
def test_a_false_head_is_not_sent(status: int, header: tuple[bytes, bytes]) -> None:
    with pytest.raises(RuntimeError):
        Encoder(asked(b"GET")).head(status, [(b"x", b"y"), header, (b"y", b"")], close=False)


def test_two_lengths_are_not_sent() -> None:
    with pytest.raises(RuntimeError):
        Encoder(asked(b"GET")).head(200, [(b"content-length", b"1"), (b"content-length", b"2")], close=False)


@pytest.mark.parametrize(("body", "more"), [(b"abcd", True), (b"abcd", False), (b"ab", False)])
def test_a_body_of_another_length_than_announced_is_not_sent(body: bytes, more: bool) -> None:
    encoder = Encoder(asked(b"GET"))
    encoder.head(200, [(b"content-length", b"3")], close=False)
    with pytest.raises(RuntimeError):
        encoder.body(body, more=more)
