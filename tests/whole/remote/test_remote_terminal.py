"""The commands on a terminal: tables, colors, the picture of `watch`, and nothing that a terminal would obey."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

pytestmark = pytest.mark.whole

COLUMNS, LINES = 70, 16
PATIENCE = 60.0
NOT_COLOR = re.compile(rb"\x1b(?!\[[0-9;:]*m)")


@attrs.define(eq=False)
class Terminal:
    """A program on a terminal of its own."""

    pid: int
    fd: int
    shown: bytes = b""
    status: int | None = None

    def wait_for(self, check: Callable[[bytes], Any], what: str) -> None:
        """Read until what was shown by then is as wanted."""
        deadline = time.monotonic() + PATIENCE
        while not check(self.shown):
            left = deadline - time.monotonic()
            assert left > 0, f"waited in vain for {what}: {self.shown!r}"
            if not self._read(left):
                assert check(self.shown), f"ended without {what}: {self.shown!r}"

    def _read(self, seconds: float) -> bool:
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # EIO: nobody has the terminal open any more
            data = b""
        self.shown += data
        return bool(data)

    def to_its_end(self) -> int:
        """Read to the end; return the exit status."""
        deadline = time.monotonic() + PATIENCE
        while self._read(max(0.0, deadline - time.monotonic())):
            assert time.monotonic() < deadline, self.shown
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def picture(self) -> str:
        """The last picture, without colors and without what erases lines."""
        text = self.shown.rpartition(b"\x1b[H")[2].decode(errors="replace")
        return re.sub(r"\x1b\[[0-9;:]*[mKJ]", "", text).replace("\r", "")

    def press(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def close(self) -> None:
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def on_terminal(remote: Any) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*words: str, **variables: str) -> Terminal:
        environment = remote.environment(**remote.access, **variables)
        environment.pop("COLUMNS", None)
        environment.pop("LINES", None)
        pid, fd = pty.fork()
        if pid == 0:
            try:
                # The size must be there before the program looks at it.
                fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
                os.execvpe(PROGRAM, [PROGRAM, *words], environment)
            finally:
                os._exit(127)
        opened.append(Terminal(pid, fd))
        return opened[-1]

    from pathlib import Path
    from sys import executable

    PROGRAM = str(Path(executable).with_name("prunner-trio"))
    yield start
    for terminal in opened:
        terminal.close()


def test_tables_have_heads_and_colors_and_fit(remote: Any, on_terminal: Callable[..., Terminal]) -> None:
    job = remote.ok("trigger", "bad", "--wait", status=10).strip()
    for words, head in ((("jobs",), b"JOB "), (("show", job), b"TASK "), (("pipelines",), b"PIPELINE ")):
        terminal = on_terminal(*words)
        assert terminal.to_its_end() == 0
        assert head in terminal.shown
        assert b"\x1b[31m" in terminal.shown
        assert not NOT_COLOR.search(terminal.shown)
        lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.shown.decode()).splitlines()
        assert max(map(len, lines)) <= COLUMNS


def test_a_link_comes_with_how_long_it_works(remote: Any, on_terminal: Callable[..., Terminal]) -> None:
    terminal = on_terminal("open")
    assert terminal.to_its_end() == 0
    assert b"the link works once, within a minute" in terminal.shown
    assert remote.call("open").stderr == ""


@pytest.mark.parametrize("way", ["NO_COLOR", "flag"])
def test_without_colors_there_are_none(remote: Any, on_terminal: Callable[..., Terminal], way: str) -> None:
    job = remote.ok("trigger", "rude", "--wait").strip()
    flag, variables = (["--disable-ansi"], {}) if way == "flag" else ([], {"NO_COLOR": "1"})
    for words in (("jobs",), ("logs", job), ("logs", job, "-f"), ("show", job), ("pipelines",)):
        terminal = on_terminal(*words, *flag, **variables)
        assert terminal.to_its_end() == 0
        assert b"\x1b" not in terminal.shown


@pytest.mark.parametrize("follow", [[], ["-f"]])
def test_a_log_on_a_terminal_has_its_colors_and_can_do_nothing_else(
    remote: Any, on_terminal: Callable[..., Terminal], follow: list[str]
) -> None:
    job = remote.ok("trigger", "rude", "--wait").strip()
    terminal = on_terminal("logs", job, *follow)
    assert terminal.to_its_end() == 0
    assert terminal.shown.decode() == "\x1b[31mred\x1b[0m␛[2J␛]0;title␇\x1b[0m\r\n100%\r\n"


def test_watch_shows_the_job_live_and_ends_with_its_summary_and_status(
    remote: Any, on_terminal: Callable[..., Terminal]
) -> None:
    job = remote.hold("watch-live")
    terminal = on_terminal("watch", job)
    terminal.wait_for(lambda _: "begun" in terminal.picture(), "the log")
    picture = terminal.picture().splitlines()
    assert picture[0].startswith(f"hold {job[:8]}  ▶ running")
    assert picture[1].endswith("0/1  1 running")
    assert picture[3].startswith("› ▶ t ")
    assert len(picture) == LINES
    assert max(map(len, picture)) <= COLUMNS
    remote.let_go("watch-live")
    assert terminal.to_its_end() == 0
    before, _, after = terminal.shown.rpartition(b"\x1b[?25h\x1b[?1049l")
    assert before.startswith(b"\x1b[?1049h\x1b[?25l")
    assert f"hold {job[:8]} succeeded" in after.decode()


def test_watch_selects_tasks_by_keys_and_follows_the_size(remote: Any, on_terminal: Callable[..., Terminal]) -> None:
    path = remote.folder / "two" / "pipelines.yml"
    path.parent.mkdir()
    wait = f"while [ ! -e {remote.folder}/two-may-go ]; do sleep 0.02; done"
    path.write_text(
        "pipelines:\n  two:\n    tasks:\n"
        f"      a: {{script: ['echo from-a; {wait}']}}\n      b: {{script: ['echo from-b; {wait}']}}\n"
    )
    remote.process.send_signal(signal.SIGHUP)
    while (done := remote.call("trigger", "two")).returncode == 22:
        pass
    terminal = on_terminal("watch", "two")
    terminal.wait_for(lambda _: "from-a" in terminal.picture(), "the log of a")
    terminal.press(b"\x1b[B")
    terminal.wait_for(lambda _: "from-b" in terminal.picture(), "the log of b")
    assert "from-a" not in terminal.picture()
    terminal.press(b"k")
    terminal.wait_for(lambda _: "from-a" in terminal.picture(), "the log of a again")
    terminal.resize(40, 10)
    terminal.wait_for(
        lambda _: terminal.shown.endswith(b"\x1b[J") and len(terminal.picture().splitlines()) == 10, "a smaller picture"
    )
    assert max(map(len, terminal.picture().splitlines())) <= 40
    terminal.press(b"q")
    assert terminal.to_its_end() == 130
    assert "goes on; to cancel it: prunner-trio cancel" in terminal.shown.decode()
    assert b"\x1b[?25h\x1b[?1049l" in terminal.shown
    (remote.folder / "two-may-go").touch()
    assert done.returncode == 0


def test_the_terminal_is_as_before_after_ctrl_c(remote: Any, on_terminal: Callable[..., Terminal]) -> None:
    remote.hold("watch-ctrl-c")
    terminal = on_terminal("watch", "hold")
    before = termios.tcgetattr(terminal.fd)[3]
    terminal.wait_for(lambda _: "begun" in terminal.picture(), "the log")
    assert not termios.tcgetattr(terminal.fd)[3] & termios.ECHO
    terminal.press(b"\x03")
    terminal.wait_for(lambda shown: b"to cancel it" in shown, "the end")
    assert termios.tcgetattr(terminal.fd)[3] == before
    assert terminal.to_its_end() == 130
    remote.let_go("watch-ctrl-c")


def test_watch_in_a_pipe_is_lines_and_as_json_a_job_at_each_change(remote: Any) -> None:
    import json

    done = remote.call("watch", remote.ok("trigger", "bad").strip())
    assert done.returncode == 10
    assert "\x1b" not in done.stdout + done.stderr
    assert "second failed" in done.stderr
    jobs = [json.loads(line) for line in remote.ok("watch", "bad", "--json", status=10).splitlines()]
    assert jobs[-1]["outcome"] == "failed"
