"""Commands of hooks as real processes, and webhooks over the loopback."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import h11
import pytest
import trio

from prunner_trio.execution import Hurry
from prunner_trio.hooks import HookFailed, run_command
from prunner_trio.hooks.command import OUTPUT_LIMIT
from prunner_trio.hooks.webhook import post
from prunner_trio.launch import PosixLauncher
from prunner_trio.launch.descriptors import look

pytestmark = pytest.mark.real

PATIENCE = 20.0


def run(folder: Path, text: str, *, seconds: float = PATIENCE, env: dict[str, str] | None = None) -> str:
    async def main() -> str:
        with trio.fail_after(PATIENCE * 2):
            return await run_command(
                PosixLauncher(),
                text,
                {"PATH": os.environ["PATH"], **(env or {})},
                seconds=seconds,
                cwd=str(folder),
                shell="sh",
                hurry=Hurry(),
            )

    look(lambda: None)  # takes the one descriptor that it keeps
    before = os.listdir("/proc/self/fd")
    try:
        return trio.run(main)
    finally:
        assert len(os.listdir("/proc/self/fd")) == len(before), "a descriptor was left open"


def gone(pid: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def test_a_command_gets_its_environment_and_its_output_comes_back(tmp_path: Path) -> None:
    said = run(tmp_path, 'echo "$PRUNNER_EVENT in $PWD"; echo problem >&2', env={"PRUNNER_EVENT": "failure"})
    assert said == f"failure in {tmp_path}\nproblem"


def test_a_command_that_fails_says_so_with_the_end_of_its_output(tmp_path: Path) -> None:
    with pytest.raises(HookFailed, match=r"^exit status 3, its output ends: no such list$"):
        run(tmp_path, "echo no such list; exit 3")


def test_a_command_that_cannot_be_started_fails(tmp_path: Path) -> None:
    with pytest.raises(HookFailed, match="cannot start"):
        run(tmp_path / "gone", "true")


def test_an_endless_output_is_read_and_only_its_end_is_kept(tmp_path: Path) -> None:
    said = run(tmp_path, "head -c 3000000 /dev/zero | tr '\\0' x; echo end")
    assert said.endswith("xend")
    assert len(said) < OUTPUT_LIMIT


def test_when_its_time_is_over_all_its_processes_are_stopped(tmp_path: Path) -> None:
    with pytest.raises(HookFailed, match=r"^timed out after 1s"):
        run(tmp_path, "sleep 3600 & echo $! > background; echo $$ > leader; sleep 3600", seconds=1.0)
    assert gone(int((tmp_path / "background").read_text()))
    assert gone(int((tmp_path / "leader").read_text()))


def test_what_it_leaves_in_the_background_is_stopped_and_does_not_hold_up_its_end(tmp_path: Path) -> None:
    assert run(tmp_path, "sleep 3600 & echo $! > background; echo done") == "done"
    assert gone(int((tmp_path / "background").read_text()))


# -------------------------------------------------------------------------------------------------------- webhooks


@asynccontextmanager
async def server(answer: bytes | None, requests: list[tuple[h11.Request, bytes]]) -> AsyncIterator[str]:
    """Serve one raw answer to everybody; None: never any."""

    async def serve(stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        body, request = b"", None
        async with stream:
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await stream.receive_some())
                elif isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    break
                else:
                    return
            assert request is not None
            requests.append((request, body))
            if answer is None:
                await trio.sleep_forever()
            await stream.send_all(answer or b"")

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


def send(answer: bytes | None, seconds: float = PATIENCE) -> tuple[int, list[tuple[h11.Request, bytes]]]:
    requests: list[tuple[h11.Request, bytes]] = []

    async def main() -> int:
        with trio.fail_after(PATIENCE * 2):
            async with server(answer, requests) as address:
                return await post(f"{address}/ci?x=y", {"Prunner-Event": "failure"}, b'{"a": 1}', seconds)
        raise AssertionError

    try:
        return trio.run(main, strict_exception_groups=True), requests
    except* HookFailed as group:
        raise group.exceptions[0] from None


def test_a_webhook_is_a_post_of_exactly_the_body() -> None:
    status, ((request, body),) = send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert status == 204
    assert (request.method, request.target, body) == (b"POST", b"/ci?x=y", b'{"a": 1}')
    headers = dict(request.headers)
    assert headers[b"prunner-event"] == b"failure"
    assert headers[b"content-length"] == b"8"


def test_a_redirect_is_not_followed() -> None:
    status, requests = send(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
    assert status == 302
    assert len(requests) == 1


def test_an_answer_without_end_is_not_read() -> None:
    status, _ = send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n" + b"x" * 100_000)
    assert status == 200


@pytest.mark.parametrize(
    ("answer", "message"),
    [(None, r"no answer within 0\.5s"), (b"", "no answer: "), (b"nonsense\r\n\r\n", "no answer: ")],
)
def test_without_an_answer_it_fails_in_time(answer: bytes | None, message: str) -> None:
    with pytest.raises(HookFailed, match=message):
        send(answer, 0.5)


def test_where_nobody_listens_it_fails() -> None:
    async def main() -> None:
        with trio.fail_after(PATIENCE):
            with trio.socket.socket() as sock:
                await sock.bind(("127.0.0.1", 0))
                address = f"http://127.0.0.1:{sock.getsockname()[1]}/"
                with pytest.raises(HookFailed, match="no answer: "):
                    await post(address, {}, b"", PATIENCE)

    trio.run(main)
