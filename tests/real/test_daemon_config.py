"""The config file with the secret, on a real disk."""

import logging
import os
import re
import stat
import threading
from pathlib import Path

import pytest

from prunner_trio.daemon.config import InvalidConfig, Settings, find_secret

GIVEN = "a-secret-of-23-letters!"


def test_a_missing_file_is_made_with_a_random_secret_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "c.yml"
    old = os.umask(0)
    try:
        secret = find_secret("", str(path))
    finally:
        os.umask(old)
    assert re.fullmatch(r"[0-9A-Za-z]{32}", secret)
    assert path.read_text() == f"jwt_secret: {secret}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    assert find_secret("", str(path)) == secret


def test_a_secret_that_is_given_touches_no_file(tmp_path: Path) -> None:
    assert find_secret(GIVEN, str(tmp_path / "c.yml")) == GIVEN
    assert list(tmp_path.iterdir()) == []


def test_of_several_that_start_together_all_use_one_secret(tmp_path: Path) -> None:
    path = str(tmp_path / "c.yml")
    start = threading.Barrier(4)
    found: list[str] = []

    def one(number: int) -> None:
        start.wait()
        found.append(find_secret("", path))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "text",
    [
        f"jwt_secret: {GIVEN}\n",
        f"jwt_secret: '{GIVEN}'\n",
        f'# c\n"jwt_secret": "{GIVEN}"',
        f"{{jwt_secret: {GIVEN}}}",
        f"other: 1\njwt_secret: {GIVEN}\n",
    ],
)
def test_the_file_is_yaml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.yml"
    path.write_text(text)
    assert find_secret("", str(path)) == GIVEN


def test_digits_are_a_secret_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "c.yml"
    path.write_text("jwt_secret: 0012345678901234\n")
    assert find_secret("", str(path)) == "0012345678901234"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"jwt_secret: short\n", "invalid config: jwt_secret must be at least 16 characters long"),
        (b"jwt_secret: ''\n", "missing jwt_secret"),
        (b"other: 1\n", "missing jwt_secret"),
        (b"", "missing jwt_secret"),
        (b"jwt_secret: [a]\n", "must be a text"),
        (b"jwt_secret: [\n", "reading config"),
        (b"- x\n", "reading config"),
        (b"jwt_secret: \xff\xfe0123456789abcdef\n", "characters that YAML does not allow"),
        (b"jwt_secret: \x010123456789abcdef\n", "characters that YAML does not allow"),
    ],
)
def test_a_bad_file_is_refused_and_left_alone(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "c.yml"
    path.write_bytes(content)
    with pytest.raises(InvalidConfig, match=words):
        find_secret("", str(path))
    assert path.read_bytes() == content


def test_a_short_secret_on_the_command_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="invalid CLI config: jwt_secret must be at least 16 characters long"):
        find_secret("fifteen-letters", str(tmp_path / "c.yml"))


@pytest.mark.parametrize("name", ["missing/c.yml", "."])
def test_a_file_that_cannot_be_made_or_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidConfig, match="reading or writing config"):
        find_secret("", str(tmp_path / name))


@pytest.mark.parametrize(
    "secret",
    [
        "hunter2hunter2hunter2: [",
        "*hunter2hunter2hunter2",
        "!hunter2hunter2!hunter2",
        "&hunter2 &hunter2hunter2",
        "[hunter2",
    ],
)
def test_no_message_quotes_the_file(tmp_path: Path, secret: str) -> None:
    path = tmp_path / "c.yml"
    path.write_text(f"jwt_secret: {secret}\n")
    with pytest.raises(InvalidConfig) as caught:
        find_secret("", str(path))
    assert "hunter2" not in str(caught.value)


def test_a_file_that_others_may_read_is_warned_about_without_its_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "c.yml"
    path.write_text(f"jwt_secret: {GIVEN}\n")
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        find_secret("", str(path))
    assert "other users may read the config file" in caplog.text
    assert GIVEN not in caplog.text


def test_settings_do_not_show_their_secret() -> None:
    assert GIVEN not in repr(Settings(jwt_secret=GIVEN))
