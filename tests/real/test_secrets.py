"""Secrets in the output of real processes."""

import base64
import os
import shlex
from pathlib import Path

import pytest
import trio

from prunner_trio import Definitions, Job, Orphans, PipelineDef, Runner, State, Stream, TaskDef, open_runner

pytestmark = pytest.mark.real

TOKEN = "s3cr3t/t0ken with 'quotes' & more"
KEY = "-----BEGIN KEY-----\n" + base64.encodebytes(bytes(range(200))).decode() + "-----END KEY-----\n"


def run(*script, during=None, env=None, **keys):
    """Run a job with one task; return what became of it and both logs."""
    found = []

    async def main():
        pipeline = PipelineDef("p", (TaskDef("t", script),), secrets=("TOKEN", "KEY"), **keys)
        base = {"PATH": os.environ["PATH"], "TOKEN": TOKEN, "KEY": KEY, **(env or {})}
        with trio.fail_after(60):
            async with open_runner(Definitions.of(pipeline), env=base) as runner:
                job = await runner.schedule("p")
                if during is not None:
                    await during(runner, job)
                view = await job.wait()
                found.extend([view, *[await text(runner, job, stream) for stream in Stream]])

    trio.run(main)
    return found


async def text(runner: Runner, job: Job, stream: Stream = Stream.STDOUT) -> bytes:
    return await runner.output.read(job.id, "t", stream, 0, 64 << 20)


async def until_said(runner: Runner, job: Job, wanted: bytes) -> None:
    while await text(runner, job) != wanted:
        await trio.sleep(0.01)


def test_what_a_shell_shows_is_masked_in_both_logs():
    view, out, err = run('set -x; echo "<$TOKEN>"; printf %s "$TOKEN" | base64 -w0; printf %s "$KEY" >&2')
    assert view.state is State.DONE
    assert out.startswith(b"<***>\n***")
    for line in KEY.splitlines():
        assert line.encode() not in err
    assert TOKEN[:12].encode() not in out + err


def test_a_secret_that_is_written_in_two_halves_is_masked(tmp_path: Path):
    async def during(runner, job):
        await until_said(runner, job, b"begin ")  # the first half may become a secret
        (tmp_path / "go").touch()

    half = shlex.quote(TOKEN[:15])
    script = (
        f"printf 'begin %s' {half}; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; printf %s \"${{TOKEN#{half}}}\""
    )
    view, out, _ = run(script, during=during)
    assert (view.state, out) == (State.DONE, b"begin ***")


def test_what_cannot_become_a_secret_is_in_the_log_at_once():
    async def during(runner, job):
        await until_said(runner, job, b"Password: ")
        job.cancel()

    view, out, _ = run("printf 'Password: '; sleep 60", during=during)
    assert (view.state, out) == (State.CANCELED, b"Password: ")


@pytest.mark.parametrize("limit", [None, 64 << 20])
def test_a_long_output_has_each_secret_masked_and_all_else_as_it_is(tmp_path: Path, limit: int | None):
    line = b"some line of a log, %d\n"
    whole = b"".join(line % number + (TOKEN.encode() + b"\n" if number % 7 == 0 else b"") for number in range(100_000))
    (tmp_path / "whole").write_bytes(whole)
    view, out, err = run(f"cat {tmp_path}/whole & cat {tmp_path}/whole >&2; wait", log_limit=limit)
    assert view.state is State.DONE
    assert out == err == whole.replace(TOKEN.encode(), b"***")


def test_the_log_of_one_that_is_stopped_shows_no_secret():
    async def during(runner, job):
        while not await runner.output.size(job.id, "t", Stream.STDOUT):
            await trio.sleep(0.01)
        job.cancel()

    view, out, _ = run('while :; do echo "$TOKEN"; done', during=during)
    assert view.state is State.CANCELED
    assert set(out.splitlines()) == {b"***"}


def test_background_processes_are_masked_to_their_end():
    view, out, _ = run('(sleep 0.2; echo "late $TOKEN") &', orphans=Orphans.WAIT)
    assert (view.state, out) == (State.DONE, b"late ***\n")


def test_other_tasks_do_not_find_a_secret_in_their_environment():
    async def main():
        tasks = (TaskDef("t", ("env",)), TaskDef("u", ('test -n "$TOKEN"',), secrets=("TOKEN",)))
        env = {"PATH": os.environ["PATH"], "TOKEN": TOKEN}
        with trio.fail_after(60):
            async with open_runner(Definitions.of(PipelineDef("p", tasks)), env=env) as runner:
                job = await runner.schedule("p")
                assert (await job.wait()).state is State.DONE
                assert b"TOKEN" not in await text(runner, job)

    trio.run(main)
