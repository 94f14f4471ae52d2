"""From the launch of a task's processes to the moment when none of them is left, or none that is ours to care for."""

from prunner_trio.definition.pipeline import Orphans
from prunner_trio.execution.seams import Proc, Stream, TaskOutput
from prunner_trio.execution.stop import Hurry, StopPolicy, stop_tree

__all__ = ["see_off"]

_NAMED = 5


async def see_off(proc: Proc, output: TaskOutput | None, *, orphans: Orphans, policy: StopPolicy, hurry: Hurry) -> int:
    """Wait for the end of a task's processes and return the leader's exit status, as `Proc.wait` does.

    When the leader has ended by itself, `orphans` says what becomes of the others. When the wait is canceled, all are
    stopped, whatever it says. The tree is closed in any case.

    Args:
        output: where it is said who was stopped; None: nowhere.

    Raises:
        ProcessesSurvived: somebody was still there after SIGKILL.
    """
    kept = stopped = False
    try:
        status = await proc.wait()
        if orphans is Orphans.WAIT:
            await proc.wait_gone()
        kept, stopped = orphans is Orphans.KEEP, orphans is Orphans.KILL
    finally:
        try:
            if kept:
                proc.let_go()
            else:
                await stop_tree(proc, policy, hurry)
                if stopped and output is not None and (names := proc.signaled()):
                    output.write(Stream.STDERR, _message(names).encode(errors="replace"))
        finally:
            proc.close()
    return status


def _message(names: tuple[str, ...]) -> str:
    what = "1 process" if len(names) == 1 else f"{len(names)} processes"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"prunner-trio: stopped {what} left in the background: {', '.join(names[:_NAMED])}{more}\n"
