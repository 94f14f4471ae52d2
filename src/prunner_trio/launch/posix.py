"""Starting processes on Linux.

A process is started on the loop thread, in one step without a checkpoint: no cancellation can come between its
beginning and its owner. One start per turn of the loop, so that a wide fan of tasks does not stall timers and requests.
"""

import contextlib
import errno
import fcntl
import logging
import os
import resource
import shutil
import signal
import socket
from collections.abc import Collection, Mapping
from enum import StrEnum
from pathlib import Path

import attrs
import trio

from prunner_trio.errors import LaunchError
from prunner_trio.execution.seams import Command, Stream, TaskOutput, Usage
from prunner_trio.execution.threads import in_thread
from prunner_trio.launch.cgroup import Leaf, Leaves, claim, end_abandoned
from prunner_trio.launch.ends import Ends
from prunner_trio.launch.limits import Enclosure, Enclosures
from prunner_trio.launch.pidns import Namespaces, NamespaceTree
from prunner_trio.launch.procfs import stat
from prunner_trio.launch.remains import Remains, find_remains
from prunner_trio.launch.spawn import spawn
from prunner_trio.launch.standing import find_parent
from prunner_trio.launch.tags import tag_for, tagged
from prunner_trio.launch.tree import MARK, Tree, Trees, mark_for
from prunner_trio.launch.wrap import in_namespace, join_line, joining, keeper

__all__ = ["MOST_DESCRIPTORS", "Containment", "PosixLauncher", "PosixProc"]

log = logging.getLogger(__name__)

_TRY_FALLBACK = frozenset({errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.EISDIR})
MOST_DESCRIPTORS = 65536
_DESCRIPTORS_PER_TASK = 6
"""Two log files, the process, its script, and two more while it starts or while its output is copied."""
_MOST_LOOKS, _PAUSE = 200, 0.01
"""How often, and after how many seconds each, to look whether keepers that have just been started say who they are."""
_FIRST_OF_NO_SCRIPT = 10
"""Scripts use descriptors below this one for their own ends; a shell can name no others."""


class Containment(StrEnum):
    """By what means the processes of a task are found."""

    AUTO = "auto"
    """The first that works here of `cgroup`, `subreaper` and `group`."""
    CGROUP = "cgroup"
    """A cgroup per task, besides `subreaper`: finds all, even those that take off every sign on purpose. To start a
    task this process goes into the cgroup for a moment, so that the task is born there."""
    PIDNS = "pidns"
    """A PID namespace per task, besides `subreaper`: nobody can leave it, and all in it end at once."""
    SUBREAPER = "subreaper"
    """Parentage, process group, and signs that all inherit; orphans become children of this process."""
    GROUP = "group"
    """The same without becoming the parent of orphans: changes nothing in this process, but searches all of /proc."""


@attrs.define(eq=False)
class PosixProc:
    """The processes of one task; see `Proc`."""

    _tree: Tree
    _script: int | None
    _enclosure: Enclosure | None = None
    _outlives: bool = False
    _handed_over: bool = attrs.field(default=False, init=False)

    @property
    def pid(self) -> int:
        """The leader's process id."""
        return self._tree.leader

    @property
    def outlives(self) -> bool:
        """Whether it has a keeper, which tells the next daemon how it ends."""
        return self._outlives

    async def wait(self) -> int:
        """Return the leader's exit status, or -n for signal n. The process stays a zombie until `close`."""
        return await self._tree.leader_ended()

    def signal_tree(self, sig: int) -> None:
        """Send a signal to everybody in the tree; SIGINT becomes SIGTERM for those who ignore it.

        SIGCONT follows SIGINT and SIGTERM, since a stopped process does not act on them.
        """
        self._tree.signal(sig)

    @property
    def gone(self) -> bool:
        """Whether no process of the tree is alive."""
        return self._tree.is_gone()

    async def wait_gone(self) -> None:
        """Return when no process of the tree is alive. After SIGKILL, processes that come to light late get it too."""
        await self._tree.gone()

    def signaled(self) -> tuple[str, ...]:
        """Return the names and pids of those to whom signals were sent, as far as they lived long enough to be seen."""
        return self._tree.signaled()

    def let_go(self) -> None:
        """Leave who is still alive alone from now on, also when the launcher is closed and kills all strays."""
        self._tree.let_go()
        if self._enclosure is not None:
            self._enclosure.release()

    def hand_over(self) -> None:
        """Leave all to the next daemon, with cgroups and limits; closing the launcher does not end it either."""
        self._tree.hand_over()
        self._handed_over = True

    def close(self) -> Usage:
        """Reap the leader, give back all descriptors and remove the control groups; return what was used.

        Processor time and memory come from the control group if there is one. Without one, the time is that of the
        leader and all that it, or this process in its place, has waited for; the memory is that of the largest single
        process, and known only if it is larger than this process itself, of which a child begins as an image.
        """
        memory = reached = None
        if self._enclosure is not None:
            memory, reached = self._enclosure.peak_memory(), self._enclosure.reached()
        cpu, largest = self._tree.close()
        if self._enclosure is not None and not self._handed_over:
            self._enclosure.remove()
        if self._script is not None:
            os.close(self._script)
            self._script = None
        return Usage(cpu, largest if memory is None else memory, reached or frozenset())


@attrs.define(eq=False)
class PosixLauncher:
    """Starts processes of this machine; see `Launcher`.

    Made directly, it changes nothing in this process and contains tasks by their process groups (`Containment.GROUP`);
    `open_launcher` does better.

    Attributes:
        containment: by what means it finds the processes of a task.
        why_not_better: why none of those means that come first was chosen; empty if nobody had to choose.
        place: whose tasks these are; those of another place are strangers, whatever their keys. See `place_of`.

    Raises:
        RuntimeError: /proc is not mounted.
    """

    containment: Containment = attrs.field(default=Containment.GROUP, kw_only=True)
    why_not_better: str = attrs.field(default="", kw_only=True)
    place: str = attrs.field(default="", kw_only=True)
    _trees: Trees = attrs.field(factory=Trees, kw_only=True)
    _leaves: Leaves | None = attrs.field(default=None, kw_only=True)
    _spaces: Namespaces | None = attrs.field(default=None, kw_only=True)
    _limits: tuple[int, int] | None = attrs.field(default=None, kw_only=True)
    _alone: bool = attrs.field(default=False, kw_only=True)
    _cgroup_parent: Path | None = attrs.field(default=None, kw_only=True)
    _ends: Ends | None = attrs.field(default=None, kw_only=True)
    _enclosures: Enclosures | None = attrs.field(default=None, init=False)
    _gate: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _thread: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1), init=False)

    def __attrs_post_init__(self) -> None:
        if stat(os.getpid()) is None:
            raise RuntimeError("/proc is not mounted: the processes of a task could not be found")

    @property
    def most_tasks(self) -> int:
        """How many tasks may run at once so that descriptors are left for all else that this process does."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        soft = MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
        each = _DESCRIPTORS_PER_TASK + (self._spaces is not None)
        return max(1, (soft - max(64, soft // 4)) // each)

    def close(self) -> None:
        """Remove what the limits of tasks needed. Call it when no task is left."""
        if self._enclosures is not None:
            self._enclosures.close()
            self._enclosures = None

    async def launch(self, command: Command, env: Mapping[str, str], output: TaskOutput) -> PosixProc:
        """Start a command in a process group of its own.

        The environment gets one variable more, by which the processes of a task are known (see `tree.MARK`).

        Raises:
            LaunchError: it could not be started, or its limits cannot be enforced; the message names the reason.
        """
        async with self._gate:  # getting the gate takes a turn of the loop
            if self._leaves is not None and self._leaves.slow:  # the loop does not wait for the kernel, a thread does
                await in_thread(self._leaves.get_ready, limiter=self._thread)
                await trio.lowlevel.checkpoint_if_cancelled()  # a thread's end is no such place, and may come late
            return self._launch(command, env, output)

    async def remains(self, keys: Collection[str]) -> Mapping[str, Remains]:
        """Return what is left of commands that an earlier launcher of this place launched; see `Launcher.remains`."""
        await trio.lowlevel.checkpoint()
        placed = {self._placed(key): key for key in keys}
        parent = self._leaves.parent if self._leaves is not None else self._cgroup_parent or find_parent()
        found = self._find(placed, parent)
        for _ in range(_MOST_LOOKS):
            if all(left.settled() for left in found.values()):
                break
            await trio.sleep(_PAUSE)
        if parent is not None:
            end_abandoned(parent, self.place)
        return {placed[key]: left for key, left in found.items()}

    def _find(self, keys: Collection[str], parent: Path | None) -> Mapping[str, Remains]:
        if self._ends is None:
            return find_remains(keys)
        tags = {key: tag_for(mark_for(key)) for key in keys}
        self._ends.keep_only(tags.values())
        names = {self._leaf_name(tag): key for key, tag in tags.items()}
        leaves = claim(parent, self._ends.owner, names) if parent is not None else {}
        return find_remains(keys, self._ends, {names[name]: leaf for name, leaf in leaves.items()})

    def forget(self, keys: Collection[str]) -> None:
        """Remove the records of the ends of these commands; see `Launcher.forget`."""
        if self._ends is not None:
            self._ends.forget(tag_for(mark_for(self._placed(key))) for key in keys)

    def _leaf_name(self, tag: int) -> str:
        return f"{self._ends.owner}-{tag:x}" if self._ends is not None else ""

    def _may_outlive(self, command: Command) -> bool:
        # What is in a namespace ends with us, since its first process listens to us.
        return command.outlives and bool(command.key) and self._ends is not None and self._spaces is None

    def _new_record(self, command: Command, tag: int) -> Path | None:
        """Make the record for the end of a command that may outlive us; without one it runs all the same."""
        if self._ends is None or not self._may_outlive(command):
            return None
        try:
            return self._ends.new(tag)
        except OSError as exc:
            facts = {"path": exc.filename, "error": exc.strerror}
            log.warning("a task cannot outlive the daemon", extra=facts)
            return None

    def _placed(self, key: str) -> str:
        return f"{self.place}/{key}" if self.place and key else key

    @trio.lowlevel.enable_ki_protection
    def _launch(self, command: Command, env: Mapping[str, str], output: TaskOutput) -> PosixProc:
        bound = command.limits.names or self._may_outlive(command)
        if bound and command.fallback is not None:  # a shell binds itself before it begins, and says what is not found
            command = command.fallback
        try:
            return self._spawn(command, env, output)
        except OSError as exc:
            in_cwd = exc.filename == command.cwd
            if command.fallback is not None and exc.errno in _TRY_FALLBACK and not in_cwd:
                return self._launch(command.fallback, env, output)
            place = f"in {command.cwd}" if in_cwd else command.argv[0]
            raise LaunchError(f"cannot start {place}: {_explain(exc)}") from exc
        except ValueError as exc:  # a NUL character, a "=" in a name, text that no encoding has
            raise LaunchError(f"cannot start {command.argv[0]}: {exc}") from exc

    def _spawn(self, command: Command, env: Mapping[str, str], output: TaskOutput) -> PosixProc:
        mark = self._trees.new_mark(env.get(MARK, ""), self._placed(command.key))
        own = mark.rpartition(":")[2]
        tag = tag_for(own)
        with contextlib.ExitStack() as undo:
            enclosures = self._means_for(command)
            if (record := self._new_record(command, tag)) is not None:
                undo.callback(self.forget, [command.key])
            leaves = enclosures.leaves if enclosures is not None and enclosures.needs_leaf(command.limits) else None
            leaf = None
            if (leaves := self._leaves or leaves) is not None:
                name = self._leaf_name(tag) if record is not None else ""
                leaf = leaves.new(once=enclosures is not None, outlives=name)
            if leaf is not None:
                undo.callback(_undo_leaf, leaf)
            enclosure = enclosures.new(command.limits, leaf) if enclosures is not None else None
            if enclosure is not None:
                undo.callback(enclosure.remove)
            # A leaf that has limits is joined by a shell: they would bind this process too if it went there.
            by_shell = enclosures is not None and enclosures.needs_leaf(command.limits)
            groups = [leaf.join_file] if leaf is not None and by_shell else []
            groups += enclosure.join_files if enclosure is not None else ()
            argv, path, script = command.argv, None, None
            if command.script is not None:
                script = _new_script()
                undo.callback(os.close, script)
                _write_script(script, command.script, join_line(groups))
                path = f"/proc/{os.getpid() if record is None else 'self'}/fd/{script}"
            elif groups:
                argv = joining(argv, groups)
            stdin, control = None, None
            if self._spaces is not None:
                if argv is command.argv:
                    argv = (_located(command, env), *argv[1:])
                argv = in_namespace(self._spaces.unshare, argv, path)
                control, other_end = socket.socketpair()
                undo.callback(control.close)
                stdin = other_end.fileno()
            elif path is not None:
                argv = (*argv, path)
            if record is not None:
                argv = keeper(str(record), argv, self._limits[0] if self._limits is not None else None)
            with contextlib.ExitStack() as start:
                if control is not None:
                    start.callback(other_end.close)
                if leaf is not None and not by_shell:
                    start.enter_context(leaf.joined())
                if self._spaces is not None:
                    start.enter_context(self._spaces.fresh())
                start.enter_context(tagged(tag))
                pid = spawn(
                    argv,
                    {**env, MARK: mark},
                    command.cwd,
                    stdin=stdin,
                    stdout=output.fileno(Stream.STDOUT),
                    stderr=output.fileno(Stream.STDERR),
                    # The path of a script leads through us, unless the task has it itself.
                    passed=(script,) if script is not None and record is not None else (),
                    ours=self._alone,
                )
                undo.callback(_undo_child, pid)
            pidfd = os.pidfd_open(pid)
            undo.callback(os.close, pidfd)
            if self._limits is not None:
                # Some programs cannot use descriptors beyond 1023, or try to close all that there may be.
                with contextlib.suppress(OSError):
                    resource.prlimit(pid, resource.RLIMIT_NOFILE, self._limits)
            undo.pop_all()
        if control is not None:
            tree: Tree = NamespaceTree(pid, pidfd, own, self._trees, leaf, control)
        else:
            tree = Tree(pid, pidfd, own, self._trees, leaf)
        self._trees.add(tree)
        return PosixProc(tree, script, enclosure, record is not None)

    def _means_for(self, command: Command) -> Enclosures | None:
        """Return the means to enforce the limits of a command; None if it has none.

        Raises:
            LaunchError: a limit that is not optional cannot be enforced.
        """
        if not command.limits.names:
            return None
        if self._enclosures is None:
            self._enclosures = Enclosures.open(self._leaves, self._cgroup_parent, self.place)
        if not command.limits_optional:
            for name in command.limits.names:
                if (why := self._enclosures.lacking.get(name)) is not None:
                    raise LaunchError(f"this machine cannot enforce the limit {name!r}: {why}")
        return self._enclosures


def _explain(exc: OSError) -> str:
    if exc.errno == errno.E2BIG:
        return "the arguments and variables are too large (a single one may have 128 KiB)"
    return exc.strerror or str(exc)


def _located(command: Command, env: Mapping[str, str]) -> str:
    """Return the path of a command's program, looked up as `Popen` does. Raises ``OSError``."""
    program = command.argv[0]
    if not os.path.isdir(command.cwd):
        return program  # the start itself says so
    if not os.path.dirname(program):
        found = shutil.which(program, path=env.get("PATH", os.defpath))
    else:
        found = os.path.join(command.cwd, program)
        if os.path.exists(found) and (os.path.isdir(found) or not os.access(found, os.X_OK)):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), program)
        found = found if os.path.exists(found) else None
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
    return found


def _new_script() -> int:
    with os.fdopen(os.memfd_create("script", os.MFD_CLOEXEC), "wb", buffering=0) as file:
        return fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, _FIRST_OF_NO_SCRIPT)


def _write_script(fd: int, text: str, join: str) -> None:
    if "\0" in text:
        raise ValueError("the script contains a NUL character")
    data = memoryview(os.fsencode(join + text))
    while data:
        data = data[os.write(fd, data) :]


def _undo_leaf(leaf: Leaf) -> None:
    leaf.kill()
    leaf.remove()


def _undo_child(pid: int) -> None:
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
