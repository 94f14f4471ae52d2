"""Secrets of incoming webhooks: from variables and files, read again with each reload."""

import os
from pathlib import Path

import pytest
import trio

from prunner_trio.daemon.hook_secrets import HookSecrets
from prunner_trio.daemon.reload import Reloader
from prunner_trio.daemon.world import look_around
from prunner_trio.definition import Definitions, HookKind, IncomingHook, PipelineDef

pytestmark = pytest.mark.real

SECRET = "a secret of at least 16 bytes"


def hooks(*more: IncomingHook) -> Definitions:
    return Definitions.of(PipelineDef("p", hooks=more))


def from_file(name: str) -> IncomingHook:
    return IncomingHook("h", HookKind.GITHUB, secret_file=name)


def read(hook: IncomingHook, folder: Path, **variables: str) -> bytes | None:
    secrets = HookSecrets(variables, folder)
    secrets.read(hooks(hook))
    return secrets.of(hook)


def test_a_secret_is_in_the_variable_of_the_hook(tmp_path: Path) -> None:
    hook = IncomingHook("my-site", HookKind.GITHUB)
    assert read(hook, tmp_path, PRUNNER_HOOK_SECRET_MY_SITE=SECRET) == SECRET.encode()
    other = IncomingHook("h", HookKind.GITHUB, secret_env="PRUNNER_HOOK_SECRET")
    assert read(other, tmp_path, PRUNNER_HOOK_SECRET=SECRET, PRUNNER_HOOK_SECRET_H="no") == SECRET.encode()


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_is_in_a_file_without_its_last_line_end(tmp_path: Path, end: str) -> None:
    (tmp_path / "secret").write_bytes(f"{SECRET}{end}".encode())
    assert read(from_file("secret"), tmp_path) == SECRET.encode()
    assert read(from_file(str(tmp_path / "secret")), Path("/nowhere")) == SECRET.encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"short\n", "must hold 16 to 4096 bytes"),
        (b"x" * 5000, "must hold 16 to 4096 bytes"),
        (b"", "must hold 16 to 4096 bytes"),
    ],
)
def test_a_secret_that_cannot_be_used_lets_nobody_in_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    secrets, hook = HookSecrets({}, tmp_path), from_file("secret")
    for _ in range(3):
        secrets.read(hooks(hook))
    assert secrets.of(hook) is None
    (record,) = caplog.records
    assert vars(record)["hook"] == "h"
    assert reason in vars(record)["reason"]
    (tmp_path / "secret").write_text(SECRET)
    secrets.read(hooks(hook))
    assert secrets.of(hook) == SECRET.encode()


def test_what_is_no_file_is_not_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read(from_file("pipe"), tmp_path) is None
    assert read(from_file("."), tmp_path) is None
    assert [vars(record)["reason"] for record in caplog.records] == [
        "the file pipe cannot be read: it is not a regular file",
        "the file . cannot be read: Is a directory",
    ]


def test_a_variable_that_is_not_set_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read(IncomingHook("h", HookKind.GITHUB), tmp_path) is None
    assert vars(caplog.records[0])["reason"] == "the variable PRUNNER_HOOK_SECRET_H is not set"


def test_a_reload_reads_the_files_again_also_if_the_definitions_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "p.yml").write_text("pipelines: {p: {hooks: {h: {kind: github, secret_file: secret}}}}")
    hook = IncomingHook("h", HookKind.GITHUB, secret_file="secret", events=("push",))
    current, secrets = hooks(hook), HookSecrets({}, tmp_path)
    looked: list[bytes | None] = []

    async def main() -> None:
        seen = trio.Event()

        def after(asked: bool) -> None:
            looked.append(secrets.of(hook))
            seen.set()

        reloader = Reloader("*.yml", tmp_path, lambda: current, lambda _: None, after=after, read_more=secrets.read)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reloader.run)
            for secret in (SECRET, SECRET[::-1]):
                (tmp_path / "secret").write_text(secret)
                seen = trio.Event()
                reloader.request()
                with trio.fail_after(10):
                    await seen.wait()
            nursery.cancel_scope.cancel()

    trio.run(main, strict_exception_groups=True)
    assert looked == [SECRET.encode(), SECRET[::-1].encode()]


def test_no_secret_of_a_hook_reaches_a_task(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PRUNNER_HOOK_SECRET_B=b\nPRUNNER_HOOK_SECRETS=kept\n")
    world = look_around({"PRUNNER_HOOK_SECRET": "a", "PRUNNER_NOTIFY_SECRET": "c"}, [str(tmp_path / ".env")])
    assert dict(world.secrets) == {
        "PRUNNER_HOOK_SECRET": "a",
        "PRUNNER_HOOK_SECRET_B": "b",
        "PRUNNER_NOTIFY_SECRET": "c",
    }
    assert dict(world.env) == {"PRUNNER_HOOK_SECRETS": "kept"}
