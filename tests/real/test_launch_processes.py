"""Starting a process and learning of its end, with real processes."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from prunner_trio.errors import LaunchError
from prunner_trio.execution.seams import Command, Stream
from prunner_trio.launch import Containment, PosixLauncher, PosixProc, open_launcher

pytestmark = pytest.mark.real

ALONE = False
PATH = {"PATH": os.environ["PATH"]}


class Files:
    """Two files that a task writes to."""

    def __init__(self, folder: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self.fds = {stream: os.open(folder / stream.value, flags) for stream in Stream}

    def fileno(self, stream: Stream) -> int:
        return self.fds[stream]

    def write(self, stream: Stream, data: bytes) -> None:
        os.write(self.fds[stream], data)

    def text(self, stream: Stream = Stream.STDOUT) -> str:
        return os.pread(self.fds[stream], 1 << 20, 0).decode()

    def close(self) -> None:
        for fd in self.fds.values():
            os.close(fd)
        self.fds.clear()


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    files = Files(tmp_path)
    yield files
    files.close()


@contextmanager
def owned(proc: PosixProc) -> Iterator[PosixProc]:
    try:
        yield proc
    finally:
        proc.signal_tree(signal.SIGKILL)
        proc.close()


def descriptors() -> dict[str, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
    return found


@pytest.fixture(params=["alone", "among others"], autouse=True)
def alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let every test of this file be made with both ways to start a process; one needs us to be where it runs."""
    monkeypatch.setattr("tests.real.test_launch_processes.ALONE", request.param == "alone")
    monkeypatch.chdir("/")
    return bool(request.param == "alone")


def run(scenario: Callable[[PosixLauncher], Awaitable[None]], containment: Containment = Containment.SUBREAPER) -> None:
    async def main() -> None:
        with trio.fail_after(20):
            async with open_launcher(containment, alone=ALONE) as launcher:
                await scenario(launcher)

    trio.run(main)


def outcome(command: Command, files: Files, env: dict[str, str] = PATH) -> int:
    results: list[int | LaunchError] = []

    async def scenario(launcher: PosixLauncher) -> None:
        try:
            proc = await launcher.launch(command, env, files)
        except LaunchError as exc:
            results.append(exc)
            return
        with owned(proc):
            results.append(await proc.wait())
            await proc.wait_gone()

    run(scenario)
    (result,) = results
    if isinstance(result, LaunchError):
        raise result
    return result


@pytest.mark.parametrize("status", [0, 1, 3, 127, 255])
def test_the_exit_status_is_that_of_the_leader(files: Files, status: int) -> None:
    assert outcome(Command(("sh", "-c", f"exit {status}"), "/"), files) == status


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_leader_ended_by_a_signal_has_a_negative_status(files: Files, sig: int) -> None:
    assert outcome(Command(("sh", "-c", f"ulimit -c 0; kill -{int(sig)} $$"), "/"), files) == -sig


def test_the_two_outputs_go_to_the_two_files_and_stdin_is_empty(files: Files) -> None:
    assert outcome(Command(("sh", "-c", "cat; echo out; echo err >&2"), "/"), files) == 0
    assert (files.text(), files.text(Stream.STDERR)) == ("out\n", "err\n")


def test_a_task_starts_in_its_directory(files: Files, tmp_path: Path) -> None:
    outcome(Command(("/bin/pwd",), str(tmp_path)), files)
    assert files.text() == f"{tmp_path.resolve()}\n"


def test_the_environment_is_what_was_given_and_a_mark(files: Files) -> None:
    outcome(Command(("/usr/bin/env",), "/"), files, {"A": "1", "B": "grüße\nzwei"})
    lines = files.text().splitlines()
    assert [line for line in lines if not line.startswith("PRUNNER_TREE=")] == ["A=1", "B=grüße", "zwei"]
    assert sum(line.startswith("PRUNNER_TREE=") for line in lines) == 1


def test_a_task_inside_a_task_bears_both_marks(files: Files) -> None:
    outcome(Command(("/usr/bin/env",), "/"), files, {"PRUNNER_TREE": "outer.1"})
    (line,) = files.text().splitlines()
    assert line.startswith("PRUNNER_TREE=outer.1:")


def test_the_program_is_looked_up_on_the_path_of_the_task(files: Files, tmp_path: Path) -> None:
    program = tmp_path / "only-here"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    assert outcome(Command(("only-here",), "/"), files, {"PATH": f"/nowhere:{tmp_path}"}) == 0
    assert files.text() == "found\n"


def test_an_empty_entry_of_the_path_is_the_current_directory(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, tmp_path / "later"):
        folder.mkdir(exist_ok=True)
        program = folder / "in-both"
        program.write_text(f"#!/bin/sh\necho {folder.name}\n")
        program.chmod(0o755)
    assert outcome(Command(("in-both",), str(tmp_path)), files, {"PATH": f":{tmp_path / 'later'}"}) == 0
    assert files.text() == f"{tmp_path.name}\n"


@pytest.mark.parametrize("cwd", ["/", "/tmp"])
def test_the_cheap_start_is_for_who_is_alone_and_stays_where_we_are(
    files: Files, monkeypatch: pytest.MonkeyPatch, alone: bool, cwd: str
) -> None:
    cheap, spawn = [], os.posix_spawn
    monkeypatch.setattr(os, "posix_spawn", lambda *words, **more: cheap.append(words) or spawn(*words, **more))
    assert outcome(Command(("true",), cwd), files) == 0
    assert bool(cheap) is (alone and cwd == "/")


def test_who_is_not_alone_keeps_what_is_to_be_inherited(files: Files, alone: bool) -> None:
    inheritable = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inheritable, True)
    try:
        outcome(Command(("true",), "/"), files)
        assert os.get_inheritable(inheritable) is not alone
    finally:
        os.close(inheritable)


def test_a_process_leads_its_own_group(files: Files) -> None:
    outcome(Command(("sh", "-c", "echo $$; ps -o pgid= -p $$"), "/"), files)
    pid, group = files.text().split()
    assert pid == group != str(os.getpgrp())


def test_no_descriptor_but_the_three_is_inherited(files: Files) -> None:
    inheritable = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inheritable, True)
    try:
        outcome(Command((sys.executable, "-c", "import os; print(sorted(os.listdir('/proc/self/fd')))"), "/"), files)
    finally:
        os.close(inheritable)
    assert files.text() == "['0', '1', '2', '3']\n"  # 3 is the listing itself


def test_a_script_is_read_from_a_path_and_shown_in_no_process_list(files: Files) -> None:
    script = "tr '\\0' ' ' </proc/$$/cmdline; echo; echo secret-word"
    assert outcome(Command(("sh",), "/", script), files) == 0
    command_line, secret = files.text().splitlines()
    assert secret == "secret-word"
    assert command_line.startswith(f"sh /proc/{os.getpid()}/fd/")


def test_a_script_may_be_larger_than_any_argument(files: Files) -> None:
    assert outcome(Command(("sh",), "/", f": '{'x' * 1_000_000}'\necho end"), files) == 0
    assert files.text() == "end\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("nosuch",), "cannot start nosuch: No such file or directory"),
        (("/etc/passwd",), "cannot start /etc/passwd: Permission denied"),
        (("/etc",), "cannot start /etc: Permission denied"),
        (("sh", "-c", "x" * 200_000), "cannot start sh: the arguments and variables are too large"),
        (("sh", "a\0b"), "cannot start sh: embedded null byte"),
        (("sh", "\ud800"), "cannot start sh: "),
    ],
)
def test_what_cannot_be_started_is_named_with_the_reason(files: Files, argv: tuple[str, ...], message: str) -> None:
    with pytest.raises(LaunchError) as caught:
        outcome(Command(argv, "/"), files)
    assert str(caught.value).startswith(message)


def test_too_large_a_variable_is_a_launch_error(files: Files) -> None:
    with pytest.raises(LaunchError, match="too large"):
        outcome(Command(("true",), "/"), files, {**PATH, "BIG": "x" * 200_000})


def test_a_script_with_a_nul_character_is_refused_rather_than_cut_short(files: Files) -> None:
    with pytest.raises(LaunchError, match="NUL"):
        outcome(Command(("sh",), "/", "echo a\0; echo b"), files)


def test_a_missing_directory_is_named_and_no_fallback_is_tried(files: Files) -> None:
    fallback = Command(("sh", "-c", "echo wrong"), "/")
    with pytest.raises(LaunchError, match="cannot start in /nowhere: No such file"):
        outcome(Command(("true",), "/nowhere", fallback=fallback), files)
    assert files.text() == ""


def test_the_fallback_runs_when_the_program_is_not_found(files: Files) -> None:
    fallback = Command(("sh", "-c", "nosuch"), "/")
    assert outcome(Command(("nosuch",), "/", fallback=fallback), files) == 127
    assert "nosuch" in files.text(Stream.STDERR)


@pytest.mark.parametrize("content", ["echo plain text\n", "#!/no/such/interpreter\n"])
def test_the_fallback_runs_when_the_kernel_cannot_execute_the_program(
    files: Files, tmp_path: Path, content: str
) -> None:
    program = tmp_path / "odd"
    program.write_text(content)
    program.chmod(0o755)
    fallback = Command(("sh", "-c", "echo fallback"), "/")
    assert outcome(Command((str(program),), "/", fallback=fallback), files) == 0
    assert files.text() == "fallback\n"


@pytest.mark.parametrize("failing", ["start", "pidfd_open", "memfd_create"])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.EAGAIN, errno.ENOMEM])
def test_a_failed_start_leaves_nothing_behind(
    files: Files, monkeypatch: pytest.MonkeyPatch, failing: str, number: int
) -> None:
    started: list[int] = []

    def fail(*args: object, **kwargs: object) -> int:
        if failing == "pidfd_open":
            started.append(int(str(args[0])))
        raise OSError(number, os.strerror(number))

    async def scenario(launcher: PosixLauncher) -> None:
        before = descriptors()
        with monkeypatch.context() as patch:
            if failing == "start":
                patch.setattr(subprocess, "Popen", fail)
                patch.setattr(os, "posix_spawn", fail)
            else:
                patch.setattr(os, failing, fail)
            with pytest.raises(LaunchError, match=os.strerror(number)):
                await launcher.launch(Command(("sh",), "/", "sleep 77.1"), PATH, files)
        assert descriptors() == before
        for pid in started:
            assert not Path(f"/proc/{pid}").exists()
        with owned(await launcher.launch(Command(("true",), "/"), PATH, files)) as proc:
            assert await proc.wait() == 0

    run(scenario)


def test_the_leader_stays_a_zombie_until_it_is_closed(files: Files) -> None:
    async def scenario(launcher: PosixLauncher) -> None:
        proc = await launcher.launch(Command(("true",), "/"), PATH, files)
        await proc.wait()
        await proc.wait_gone()
        assert ") Z " in Path(f"/proc/{proc.pid}/stat").read_text()
        proc.close()
        assert not Path(f"/proc/{proc.pid}").exists()

    run(scenario)


def test_a_cancel_before_the_start_starts_nothing(files: Files, tmp_path: Path) -> None:
    async def scenario(launcher: PosixLauncher) -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await launcher.launch(Command(("touch", "ran"), str(tmp_path)), PATH, files)
        assert scope.cancelled_caught

    run(scenario)
    assert not (tmp_path / "ran").exists()


class Turns(trio.abc.Instrument):
    """Counts the turns of the loop."""

    def __init__(self) -> None:
        self.count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


def test_no_two_processes_are_started_in_one_turn_of_the_loop(files: Files) -> None:
    started: list[int] = []

    async def scenario(launcher: PosixLauncher) -> None:
        turns = Turns()
        trio.lowlevel.add_instrument(turns)

        async def start() -> None:
            proc = await launcher.launch(Command(("true",), "/"), PATH, files)
            started.append(turns.count)
            await proc.wait()
            proc.close()

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(start)

    run(scenario)
    assert len(set(started)) == 8


def test_starting_does_not_copy_the_memory_of_the_daemon() -> None:
    """CPython takes vfork only for certain arguments; a copy of page tables would show as minor faults of the child."""
    code = """
import os, sys, trio
from prunner_trio.execution.seams import Command
from prunner_trio.launch import open_launcher
class Null:
    def fileno(self, stream): return 2
async def main():
    async with open_launcher() as launcher:
        proc = await launcher.launch(Command(("true",), "/"), dict(os.environ), Null())
        await proc.wait(); await proc.wait_gone(); proc.close()
trio.run(main)
"""
    strace = subprocess.run(["which", "strace"], capture_output=True, check=False)
    if strace.returncode != 0:
        pytest.skip("needs strace")
    trace = subprocess.run(
        ["strace", "-f", "-e", "trace=vfork,fork,clone,clone3", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stderr
    assert "vfork(" in trace or "CLONE_VFORK" in trace


def test_an_ignored_interrupt_is_not_inherited(files: Files) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        outcome(Command(("grep", "^SigIgn", "/proc/self/status"), "/"), files)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert int(files.text().split()[1], 16) & (1 << (signal.SIGINT - 1) | 1 << (signal.SIGPIPE - 1)) == 0


def test_a_blocked_signal_is_not_inherited(files: Files) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        outcome(Command(("grep", "^SigBlk", "/proc/self/status"), "/"), files)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    assert int(files.text().split()[1], 16) == 0


def test_the_descriptor_limit_of_a_task_is_that_of_before(files: Files) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, hard), hard))
    try:
        # The limit is set from outside, just after the start: the program waits until it has come.
        outcome(Command(("sh", "-c", "while [ $(ulimit -n) != 512 ]; do :; done; ulimit -n"), "/"), files)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 512
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert files.text() == "512\n"
