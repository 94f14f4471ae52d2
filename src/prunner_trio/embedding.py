"""The runner as a library: everything put together for a program that embeds it."""

import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from prunner_trio.definition import Definitions
from prunner_trio.execution import Runner, run_engine
from prunner_trio.execution.plain_errors import plain_errors
from prunner_trio.execution.seams import Journal, Launcher, OutputStore
from prunner_trio.launch import Containment, open_launcher, place_of
from prunner_trio.output import FileOutputStore
from prunner_trio.storage import MemoryJournal, open_journal

__all__ = ["open_runner"]


@asynccontextmanager
async def open_runner(
    definitions: Definitions,
    *,
    data: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    shell: str | None = None,
    kill_timeout: float = 2.0,
    log_limit: int | None = None,
    containment: Containment = Containment.GROUP,
    launcher: Launcher | None = None,
    journal: Journal | None = None,
    output: OutputStore | None = None,
    now: Callable[[], float] = time.time,
) -> AsyncIterator[Runner]:
    """Run jobs as long as the block lasts; several runners may be open in one process.

    Leaving the block drains: running jobs finish. Leaving it by an exception or a cancellation cancels them, as a
    nursery would, and still returns only when none of their processes is alive. Jobs that are waiting stay in `data`
    for the next runner; without `data` they are gone.

    Args:
        definitions: see `load_definitions` and `Definitions.of`.
        data: a directory for jobs and logs, which one runner at a time can use. None: jobs live in memory, logs in a
            temporary directory, and both go with the block.
        env: what tasks start from; None: the environment of this process.
        cwd: where scripts run; None: the working directory of this process.
        shell: runs scripts for which the definitions name no other; None: bash where there is one, else sh.
        kill_timeout: seconds from the first signal of a stop to SIGKILL, where the definitions say nothing.
        log_limit: the most bytes of output that each of a task's two logs may have, where the definitions say nothing;
            at least 4096. None: no limit.
        containment: how the processes of a task are found. `group`, the default, changes nothing in this process but
            searches all of /proc; `subreaper` is faster and makes this process adopt orphans; `auto` is `subreaper`
            where that is possible. `cgroup` moves this process into the cgroup of each task that it starts, and back,
            which is never done unasked.
        launcher: starts processes in another way, for example `prunner_trio.testing.FakeLauncher`.
        journal: keeps jobs in another way.
        output: keeps logs in another way.
        now: wall time in seconds since the epoch.

    Raises:
        StoreLocked: another runner uses `data`.
        StoreError: `data` cannot be used.
        RuntimeError: this machine does not offer the containment.
    """
    environment = dict(os.environ if env is None else env)
    directory = str(_lasting(cwd or Path.cwd()))
    data = None if data is None else _lasting(data)
    most_tasks = None
    async with AsyncExitStack() as stack:
        block = stack.enter_context(plain_errors())  # the launcher may have a nursery too
        if journal is None:
            journal = MemoryJournal() if data is None else await stack.enter_async_context(open_journal(data, now=now))
        if output is None:
            root = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="prunner-trio-")))
            output = FileOutputStore(root)
        if launcher is None:
            place = place_of(data) if data is not None and data.is_dir() else ""
            launcher = posix = await stack.enter_async_context(open_launcher(containment, may_move=False, place=place))
            most_tasks = posix.most_tasks
        if shell is None:
            shell = "bash" if shutil.which("bash", path=environment.get("PATH", os.defpath)) else "sh"
        runner = await stack.enter_async_context(
            run_engine(
                definitions,
                launcher=launcher,
                journal=journal,
                output=output,
                env=environment,
                cwd=directory,
                shell=shell,
                kill_timeout=kill_timeout,
                log_limit=log_limit,
                most_tasks=most_tasks,
                now=now,
            )
        )
        with block:
            yield runner


def _lasting(path: Path) -> Path:
    """Return a path that stays right when the program changes its working directory."""
    return path.absolute()
