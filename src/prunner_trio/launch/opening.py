"""What this process needs to start tasks: the best means of containment that the machine allows, tried out."""

import contextlib
import ctypes
import logging
import os
import resource
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trio

from prunner_trio.errors import LaunchError
from prunner_trio.execution.seams import Command, Stream
from prunner_trio.launch.cgroup import Leaves
from prunner_trio.launch.ends import Ends
from prunner_trio.launch.pidns import Namespaces
from prunner_trio.launch.posix import MOST_DESCRIPTORS, Containment, PosixLauncher
from prunner_trio.launch.procfs import Stat, open_process
from prunner_trio.launch.standing import find_parent
from prunner_trio.launch.tree import Trees

__all__ = ["open_launcher"]

log = logging.getLogger(__name__)

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37
_FAREWELL, _PAUSE = 2.0, 0.01
_TRIAL = 5.0


@asynccontextmanager
async def open_launcher(
    containment: Containment = Containment.AUTO,
    *,
    cgroup_parent: Path | None = None,
    may_move: bool = True,
    place: str = "",
    ends: Path | None = None,
    alone: bool = False,
) -> AsyncIterator[PosixLauncher]:
    """Make a launcher, and this process fit for it.

    Raises the soft limit of open descriptors (started programs keep the old one), and lets no blocked signal and no
    ignored SIGCHLD be inherited. Unless the containment is `group`, this process becomes a child subreaper: processes
    that lose their parents become its children and are reaped here, so no other part of it should start programs in
    process groups of their own. What is still alive of them at the end is killed; that takes at most 2 s.

    Args:
        containment: `cgroup`, `pidns` and `subreaper` need the main thread.
        cgroup_parent: a cgroup v2 directory in which we may make others; None: our own one.
        may_move: whether `auto` may choose `cgroup`, for which this process moves between cgroups.
        place: see `PosixLauncher`.
        ends: a directory for the ends of tasks that may outlive this process, made if missing, and used by nobody
            else; None: no task may outlive it. In a PID namespace none can.
        alone: nobody else in this process starts programs, so whenever a task is started all descriptors but the first
            three may be marked as not to be inherited. Starts cost half then.

    Raises:
        OSError: the directory for ends cannot be made.
        RuntimeError: the means that was asked for is not there; the message says why.
    """
    kept = Ends.open(ends) if ends is not None else None
    limits, why, leaves = _raise_descriptor_limit(), "", None
    on_main = threading.current_thread() is threading.main_thread()
    if not on_main and containment in (Containment.CGROUP, Containment.PIDNS, Containment.SUBREAPER):
        raise RuntimeError(f"containment {containment.value!r} needs the main thread")
    if containment is Containment.CGROUP or (containment is Containment.AUTO and on_main and may_move):
        try:
            leaves = await _open_leaves(cgroup_parent, place)
        except RuntimeError as exc:
            if containment is Containment.CGROUP:
                raise
            why = str(exc)
    if containment is Containment.AUTO:
        containment = Containment.SUBREAPER if on_main else Containment.GROUP
        containment = Containment.CGROUP if leaves is not None else containment
        why = why if on_main else "this is not the main thread"
    if containment is Containment.GROUP:
        plain = PosixLauncher(
            limits=limits, cgroup_parent=cgroup_parent, why_not_better=why, place=place, ends=kept, alone=alone
        )
        with contextlib.closing(plain) as launcher:
            yield launcher
        return
    trees = Trees(subreaper=True)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    with contextlib.ExitStack() as stack:
        if leaves is not None:
            stack.callback(leaves.close)
        stack.callback(trees.close)
        stack.enter_context(_subreaper())
        stack.enter_context(_reaping(trees))
        spaces = _open_spaces(stack) if containment is Containment.PIDNS else None
        launcher = PosixLauncher(
            trees=trees,
            leaves=leaves,
            spaces=spaces,
            limits=limits,
            containment=containment,
            why_not_better=why,
            cgroup_parent=cgroup_parent,
            place=place,
            ends=kept,
            alone=alone,
        )
        stack.callback(launcher.close)
        try:
            if spaces is not None:
                await _try_namespace(launcher)
            yield launcher
        finally:
            await _end_strays(trees)


@contextmanager
def _reaping(trees: Trees) -> Iterator[None]:
    """Reap orphans when they end. Deaths that come together cost one look.

    Most deaths are those of leaders, which have somebody who waits for them: to see that at once, within the signal's
    handler, costs 10 µs, and another turn of the loop 50.
    """
    token = trio.lowlevel.current_trio_token()

    def look(*_: object) -> None:
        if not trees.only_leaders():
            token.run_sync_soon(trees.orphans, idempotent=True)

    before = signal.signal(signal.SIGCHLD, look)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)


async def _end_strays(trees: Trees) -> None:
    """Kill orphans that no tree owned. Takes at most `_FAREWELL` seconds, shielded; who survives that is reported."""
    with trio.move_on_after(_FAREWELL, shield=True) as farewell:
        while strays := trees.strays():
            for stray in strays:
                await _end_stray(stray)
    if farewell.cancelled_caught:
        log.error("processes survived SIGKILL pids=%s", [stray.pid for stray in trees.strays()])


async def _end_stray(stray: Stat) -> None:
    try:
        pinned = open_process(stray)
    except OSError:  # no descriptors left: it is tried again
        await trio.sleep(_PAUSE)
        return
    if pinned is None:
        await trio.lowlevel.checkpoint()
        return
    try:
        pinned.send(signal.SIGKILL)
        await trio.lowlevel.wait_readable(pinned.fd)
    finally:
        pinned.close()


def _raise_descriptor_limit() -> tuple[int, int] | None:
    """Allow as many descriptors as we may have; return the limits there were, if that changed them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return soft, hard


async def _open_leaves(parent: Path | None, place: str) -> Leaves:
    """Make the place for the leaves, and try one. Raises ``RuntimeError``."""
    parent = parent or find_parent()
    if parent is None:
        raise RuntimeError("containment 'cgroup': no cgroup v2 is mounted")
    try:
        leaves = Leaves.below(parent, place)
        try:
            await leaves.try_out()
        except BaseException:
            leaves.close()
            raise
    except OSError as exc:
        raise RuntimeError(f"containment 'cgroup': {parent}: {exc.strerror or exc}") from exc
    return leaves


def _open_spaces(stack: contextlib.ExitStack) -> Namespaces:
    try:
        spaces = Namespaces.open()
    except OSError as exc:
        raise RuntimeError(f"containment 'pidns': {exc.strerror or exc}") from exc
    stack.callback(spaces.close)
    return spaces


class _Nowhere:
    """Output that is kept in memory."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("output", os.MFD_CLOEXEC)

    def fileno(self, stream: Stream) -> int:
        return self.fd

    def write(self, stream: Stream, data: bytes) -> None:
        os.write(self.fd, data)

    async def copy(self) -> None:
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        os.close(self.fd)

    def said(self) -> str:
        return os.pread(self.fd, 1000, 0).decode(errors="replace").strip()


async def _try_namespace(launcher: PosixLauncher) -> None:
    """Start a shell in a namespace that looks for itself in /proc. Raises ``RuntimeError``."""
    command = Command(("/bin/sh", "-c", 'read -r pid rest </proc/self/stat && test "$pid" = "$$"'), "/")
    with contextlib.closing(_Nowhere()) as output:
        try:
            proc = await launcher.launch(command, dict(os.environ), output)
        except LaunchError as exc:
            raise RuntimeError(f"containment 'pidns': {exc}") from exc
        status = -1
        try:
            with trio.move_on_after(_TRIAL):
                status = await proc.wait()
        finally:
            with trio.CancelScope(shield=True):  # SIGKILL to the first process ends all
                with trio.move_on_after(_FAREWELL):
                    proc.signal_tree(signal.SIGKILL)
                    await proc.wait_gone()
            proc.close()
    if status != 0:
        raise RuntimeError(f"containment 'pidns': no /proc of its own for a namespace: {output.said()}")


@contextmanager
def _subreaper() -> Iterator[None]:
    libc = ctypes.CDLL(None, use_errno=True)
    before = ctypes.c_int()
    if libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0) != 0:
        raise RuntimeError(f"this kernel has no child subreapers: {os.strerror(ctypes.get_errno())}")
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, before.value, 0, 0, 0)
