"""Where the command line finds the daemon and its token, and what it says if there is none."""

import time
from pathlib import Path

import jwt
import pytest

from prunner_trio.cli.access import Access, NoAccess, find_access, short_lived_token, user_name
from prunner_trio.cli.flags import parse
from prunner_trio.cli.table import PROGRAM

FLAG, VARIABLE, FILE = (f"secret-of-the-{place}-0123456789-0123456789" for place in ("flag", "variable", "file"))


def found(*words: str, **environ: str) -> Access:
    return find_access(parse(PROGRAM, ("jobs", *words), environ).values, environ)


def signed_with(access: Access) -> str:
    token = access.daemon.token()
    for secret in (FLAG, VARIABLE, FILE):
        try:
            jwt.decode(token, secret, algorithms=["HS256"])
        except jwt.InvalidTokenError:
            continue
        return secret
    return token


def config(folder: Path, text: str) -> str:
    path = folder / "c.yml"
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def test_a_flag_wins_over_variables_and_those_over_the_file(tmp_path: Path) -> None:
    path = config(tmp_path, f"jwt_secret: {FILE}\naddress: file:3\n")
    assert found("--config", path).daemon.address.host == "file"
    assert found("--config", path, PRUNNER_ADDRESS="variable:2").daemon.address.host == "variable"
    address = found("--config", path, "--address", "flag:1", PRUNNER_ADDRESS="variable:2").daemon.address
    assert address.host == "flag"
    assert signed_with(found("--config", path)) == FILE
    assert signed_with(found("--config", path, PRUNNER_JWT_SECRET=VARIABLE)) == VARIABLE
    assert signed_with(found("--config", path, PRUNNER_JWT_SECRET=VARIABLE, PRUNNER_TOKEN="t.o.k")) == "t.o.k"
    words = ("--config", path, "--jwt-secret", FLAG)
    assert signed_with(found(*words, PRUNNER_JWT_SECRET=VARIABLE, PRUNNER_TOKEN="t.o.k")) == FLAG


def test_a_file_may_hold_a_token(tmp_path: Path) -> None:
    path = config(tmp_path, f"token: t.o.k\naddress: https://ci/x\njwt_secret: {FILE}\n")
    access = found("--config", path)
    assert (signed_with(access), str(access.daemon.address)) == ("t.o.k", "https://ci:443/x")


def test_a_file_as_the_daemon_makes_it_is_read_like_any_other(tmp_path: Path) -> None:
    secret = "0123456789abcdefABCDEF0123456789"
    for text in (f"jwt_secret: {secret}\n", f"# mine\njwt_secret: '{secret}'\n"):
        token = found("--config", config(tmp_path, text)).daemon.token()
        assert jwt.decode(token, secret, algorithms=["HS256"])["sub"] == user_name()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is not there"),
        ("", "has neither `token` nor `jwt_secret`"),
        ("a: [", "reading config"),
        ("just words", "expected keys with values"),
    ],
)
def test_without_a_token_it_says_what_was_looked_for(tmp_path: Path, text: str | None, said: str) -> None:
    path = str(tmp_path / "none.yml") if text is None else config(tmp_path, text)
    with pytest.raises(NoAccess, match=said) as caught:
        found("--config", path)
    assert caught.value.token
    if text in (None, ""):
        assert "PRUNNER_TOKEN nor PRUNNER_JWT_SECRET" in str(caught.value)


def test_looking_for_a_secret_makes_none(tmp_path: Path) -> None:
    with pytest.raises(NoAccess):
        found("--config", str(tmp_path / "c.yml"))
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_address_names_its_place_and_not_itself() -> None:
    for words, environ, place in (
        (("--address", "http://a:pass@b"), {}, "--address"),
        ((), {"PRUNNER_ADDRESS": "http://a:pass@b"}, "PRUNNER_ADDRESS"),
    ):
        with pytest.raises(NoAccess, match=place) as caught:
            found(*words, **environ)
        assert "pass@" not in str(caught.value)
        assert not caught.value.token


def test_a_token_is_good_for_minutes_and_names_the_user() -> None:
    now = time.time()
    claims = jwt.decode(short_lived_token(FLAG, "jané", now), FLAG, algorithms=["HS256"])
    assert claims == {"sub": "jané", "exp": int(now) + 300}


def test_a_secret_is_in_no_repr(tmp_path: Path) -> None:
    access = found("--config", config(tmp_path, f"jwt_secret: {FILE}\n"))
    assert FILE not in repr(access)
