"""From the launch of a task's processes to the moment when none of them is left, or none that is ours to care for."""

from collections.abc import Callable

import trio

from prunner_trio.definition.pipeline import Limits, Orphans
from prunner_trio.definition.size import format_size
from prunner_trio.execution.seams import Proc, Stream, TaskOutput, Usage
from prunner_trio.execution.stop import Hurry, StopPolicy, stop_tree

__all__ = ["see_off", "why_failed"]

_NAMED = 5
_KILLED = 128 + 9


async def see_off(
    proc: Proc,
    output: TaskOutput | None,
    *,
    orphans: Orphans,
    policy: StopPolicy,
    hurry: Hurry,
    used: Callable[[Usage], None],
    certain: bool = False,
    handed_over: Callable[[], bool] = lambda: False,
) -> int:
    """Wait for the end of a task's processes and return the leader's exit status, as `Proc.wait` does.

    When the leader has ended by itself, `orphans` says what becomes of the others. When the wait is canceled, all are
    stopped, whatever it says. The tree is closed in any case, and `used` told what it has used.

    Args:
        output: where it is said who was stopped; None: nowhere.
        certain: the leader has ended, and that counts even if the caller is being canceled.
        handed_over: whether a cancellation means that the next daemon takes all of it as it is.

    Raises:
        ProcessesSurvived: somebody was still there after SIGKILL.
    """
    kept = stopped = False
    try:
        if certain:
            with trio.CancelScope(shield=True):  # over at once
                status = await proc.wait()
        else:
            status = await proc.wait()
        if orphans is Orphans.WAIT:
            await proc.wait_gone()
        kept, stopped = orphans is Orphans.KEEP, orphans is Orphans.KILL
    finally:
        try:
            if kept:
                proc.let_go()
            elif not stopped and handed_over():
                proc.hand_over()
            elif not proc.gone:  # as most are by now: two scopes and a turn of the loop less per task
                await stop_tree(proc, policy, hurry)
                if stopped and output is not None and (names := proc.signaled()):
                    output.write(Stream.STDERR, _message(names).encode(errors="replace"))
        finally:
            used(proc.close())
    return status


def _message(names: tuple[str, ...]) -> str:
    what = "1 process" if len(names) == 1 else f"{len(names)} processes"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"prunner-trio: stopped {what} left in the background: {', '.join(names[:_NAMED])}{more}\n"


def why_failed(exit_code: int, usage: Usage, limits: Limits) -> str:
    """Return the reason of a failure in words: an exit status, and a limit that was in the way."""
    if "memory" in usage.reached and limits.memory is not None:
        if exit_code == _KILLED:
            return f"killed: out of memory (limit {format_size(limits.memory)})"
        return f"exit status {exit_code}, a process was killed: out of memory (limit {format_size(limits.memory)})"
    if "processes" in usage.reached:
        return f"exit status {exit_code}, no more than {limits.processes} processes were allowed"
    return f"exit status {exit_code}"
