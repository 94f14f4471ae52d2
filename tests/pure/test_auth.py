"""Tokens: where they are looked for, what they must hold, and that remembering them weakens nothing."""

import base64
import hashlib
import hmac
import json

import jwt
import pytest

from prunner_trio.errors import Unauthorized
from prunner_trio.http.auth import Gate
from prunner_trio.http.facts import Request
from prunner_trio.http.rights import EVERYTHING, Rights, Role, Visitor

SECRET = "sixteen-bytes-ok"
NOW = 1_800_000_000.25


async def no_body() -> bytes:
    return b""


def request(*headers: tuple[str, str]) -> Request:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return Request("GET", "/pipelines/", b"", raw, no_body)


def bearer(token: str) -> Request:
    return request(("authorization", f"Bearer {token}"))


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(
    claims: object = None, *, secret: str = SECRET, header: object = None, digest: str = "sha256", payload: bytes = b""
) -> str:
    head = b64(json.dumps({"alg": "HS256", "typ": "JWT"} if header is None else header).encode())
    body = b64(payload or json.dumps({} if claims is None else claims).encode())
    mac = hmac.new(secret.encode(), f"{head}.{body}".encode(), digest).digest()
    return f"{head}.{body}.{b64(mac)}"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def gate(secret: str | bytes = SECRET) -> Gate:
    return Gate(secret, now=Clock())


def refusal(of: Gate, asked: Request) -> str:
    with pytest.raises(Unauthorized) as caught:
        of.visitor(asked)
    return str(caught.value)


@pytest.mark.parametrize(
    ("claims", "user"),
    [
        ({}, ""),
        ({"sub": "jane.doe"}, "jane.doe"),
        ({"sub": "Jörg Müller ✓"}, "Jörg Müller ✓"),
        ({"sub": 5}, ""),
        ({"sub": ["a"]}, ""),
        ({"sub": None}, ""),
        ({"sub": "a\ud800b"}, "a\ufffdb"),
        ({"iat": NOW}, ""),
        ({"exp": NOW + 1}, ""),
        ({"exp": NOW + 1.5, "nbf": NOW, "iat": NOW + 0.5}, ""),
        ({"sub": "x", "aud": "somebody", "iss": ["odd"], "jti": 7, "role": {}}, "x"),
    ],
)
def test_accepted_claims_and_their_user(claims: dict[str, object], user: str) -> None:
    assert gate().visitor(bearer(token(claims))).user == user


def test_tokens_of_pyjwt_are_accepted() -> None:
    long_secret = SECRET * 2
    made = jwt.encode({"sub": "jane", "exp": int(NOW) + 60}, long_secret, algorithm="HS256")
    assert gate(long_secret).visitor(bearer(made)).user == "jane"


@pytest.mark.parametrize(
    "secret",
    [
        "  spaced = and ünïcode  ",
        "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAB",
        '{"kty": "oct", "k": "c2l4dGVlbi1ieXRlcy1vaw"}',
        "[" * 30_000,
    ],
)
def test_the_bytes_of_the_secret_are_the_key_whatever_they_look_like(secret: str) -> None:
    assert gate(secret).visitor(bearer(token({"sub": "x"}, secret=secret))).user == "x"
    assert gate(secret.encode()).visitor(bearer(token({"sub": "x"}, secret=secret))).user == "x"


HALVES = token({"sub": "alice"}).split(".")
UNAUTHORIZED = {
    "word": "garbage",
    "dots": "..",
    "two dots": "a.b.c",
    "blank in front": " " + token(),
    "four parts": token() + ".x",
    "no signature": token().rsplit(".", 1)[0] + ".",
    "other secret": token(secret="another-secret-0123456789"),
    "changed payload": ".".join([HALVES[0], b64(b'{"sub":"root"}'), HALVES[2]]),
    "changed header": ".".join([b64(b'{"alg":"HS256"}'), *HALVES[1:]]),
    "payload is no JSON": token(payload=b"nope"),
    "payload is a list": token(payload=b"[]"),
    "payload is a bomb": token(payload=b"[" * 200_000),
    "payload is no text": token(payload=b'{"sub":"\xff"}'),
    "header is a list": token(header=["HS256"]),
    "no algorithm": token(header={}),
    "algorithm is a list": token(header={"alg": ["HS256"]}),
    "unknown critical": token(header={"alg": "HS256", "crit": ["x"]}),
    "detached": token(header={"alg": "HS256", "b64": False, "crit": ["b64"]}),
    "text as time": token({"exp": "tomorrow"}),
    "digits as time": token({"exp": str(int(NOW) + 60)}),
    "boolean as time": token({"nbf": True}),
    "null as time": token({"iat": None}),
    "endless": token(payload=b'{"exp":1e999}'),
    "no number": token(payload=b'{"exp":NaN}'),
    "too large for a float": token({"exp": 10**400}),
    "not ascii": "ünïcode.ünïcode.ünïcode",
    **{
        f"algorithm {alg!r}": token({"sub": "x"}, header={"alg": alg}, digest=digest)
        for digest, names in {
            "sha256": ["none", "None", "", "hs256", "RS256", "HS257"],
            "sha384": ["HS384"],
            "sha512": ["HS512"],
        }.items()
        for alg in names
    },
    "algorithm none without signature": b64(b'{"alg":"none"}') + "." + b64(b"{}") + ".",
}


@pytest.mark.parametrize("name", UNAUTHORIZED)
def test_tokens_that_are_refused(name: str) -> None:
    assert refusal(gate(), bearer(UNAUTHORIZED[name])) == "token is unauthorized"


@pytest.mark.parametrize(
    ("claims", "text"),
    [
        ({"exp": NOW - 3600}, "token is expired"),
        ({"exp": int(NOW)}, "token is expired"),
        ({"exp": 1}, "token is expired"),
        ({"exp": -(10**30)}, "token is expired"),
        ({"nbf": NOW + 1}, "token nbf validation failed"),
        ({"iat": NOW + 1}, "token iat validation failed"),
        ({"iat": NOW + 1, "exp": 1, "nbf": NOW + 1}, "token iat validation failed"),
        ({"exp": 1, "nbf": NOW + 1}, "token is expired"),
    ],
)
def test_times_are_checked_without_leeway(claims: dict[str, object], text: str) -> None:
    assert refusal(gate(), bearer(token(claims))) == text


@pytest.mark.parametrize("word", ["Bearer", "bearer", "BEARER", "BeArEr"])
def test_the_word_bearer_in_any_case(word: str) -> None:
    assert gate().visitor(request(("authorization", f"{word} {token({'sub': 'x'})}"))).user == "x"


@pytest.mark.parametrize("value", ["{t}", "Token {t}", "Basic {t}", "Bearer", "Bearer ", "Bearer:{t}", "JWT {t}", ""])
def test_other_authorization_headers_count_as_no_token(value: str) -> None:
    assert refusal(gate(), request(("authorization", value.format(t=token())))) == "no token found"
    both = request(("authorization", value.format(t=token())), ("cookie", "jwt=" + token({"sub": "c"})))
    assert gate().visitor(both).user == "c"


@pytest.mark.parametrize(
    "cookie", ["jwt={t}", "a=1; jwt={t}; b=2", "jwt={t};x", 'jwt="{t}"', "jwt=; jwt={t}", "x;jwt={t}"]
)
def test_cookie_named_jwt(cookie: str) -> None:
    assert gate().visitor(request(("cookie", cookie.format(t=token({"sub": "c"}))))).user == "c"


def test_cookies_may_come_in_several_headers() -> None:
    assert gate().visitor(request(("cookie", "a=1"), ("cookie", "jwt=" + token({"sub": "c"})))).user == "c"


@pytest.mark.parametrize("cookie", ["token={t}", "JWT={t}", "jwt=", "jwt", "xjwt={t}", "", 'jwt=""'])
def test_other_cookies_are_no_token(cookie: str) -> None:
    assert refusal(gate(), request(("cookie", cookie.format(t=token())))) == "no token found"


def test_nothing_is_no_token() -> None:
    assert refusal(gate(), request()) == "no token found"


def test_the_header_wins_over_the_cookie() -> None:
    good, bad = token({"sub": "x"}), token(secret="wrong-secret-wrong-secret")
    assert gate().visitor(request(("authorization", f"Bearer {good}"), ("cookie", f"jwt={bad}"))).user == "x"
    both = request(("cookie", f"jwt={good}"), ("authorization", f"Bearer {bad}"))
    assert refusal(gate(), both) == "token is unauthorized"


def test_a_token_that_was_let_in_once_still_expires() -> None:
    clock = Clock()
    door = Gate(SECRET, now=clock)
    asked = bearer(token({"sub": "x", "exp": int(NOW) + 10}))
    assert [door.visitor(asked).user, door.visitor(asked).user] == ["x", "x"]
    clock.now += 10
    assert refusal(door, asked) == "token is expired"


def test_a_token_that_came_too_early_is_let_in_later() -> None:
    clock = Clock()
    door = Gate(SECRET, now=clock)
    asked = bearer(token({"nbf": int(NOW) + 10}))
    assert refusal(door, asked) == "token nbf validation failed"
    clock.now += 10
    assert door.visitor(asked).user == ""


def test_a_known_token_costs_no_second_signature_check(monkeypatch: pytest.MonkeyPatch) -> None:
    door, asked = gate(), bearer(token({"sub": "x"}))
    door.visitor(asked)

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("the signature was checked again")

    monkeypatch.setattr(hashlib, "sha256", never)
    monkeypatch.setattr(hmac, "new", never)
    assert door.visitor(asked).user == "x"


def test_rights_are_those_of_the_token_also_when_it_is_remembered() -> None:
    door = gate()
    some = bearer(token({"sub": "x", "scope": "read", "pipelines": ["a*"]}))
    every = bearer(token({"sub": "x"}))
    for _ in range(2):
        assert door.visitor(some) == Visitor("x", Rights(Role.READ, ("a*",)))
        assert door.visitor(every) == Visitor("x", EVERYTHING)


def test_remembered_tokens_are_bounded_and_the_latest_stay() -> None:
    door = gate()
    for number in range(1100):
        door.visitor(bearer(token({"sub": str(number)})))
    assert len(door._known) == 1024
    assert door.visitor(bearer(token({"sub": "0"}))).user == "0"
    huge = bearer(token({"sub": "x" * 5000}))
    assert door.visitor(huge).user == "x" * 5000
    assert len(door._known) == 1024
    assert all(len(known) <= 4096 for known in door._known)
