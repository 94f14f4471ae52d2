"""A page of figures about the process, for finding leaks; there is nothing in it that a stranger must not see."""

import gc
import os
import resource
import threading
from collections import Counter

import trio

__all__ = ["profile_text"]


def profile_text(uptime: float) -> str:
    """Return figures of this process as lines of ``name value``; `uptime` is in seconds.

    Tasks are only counted by the function they run, since their names could tell what the jobs are called.
    """
    tasks = _task_functions()
    statistics = trio.lowlevel.current_statistics()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    lines = [
        f"uptime_seconds {uptime:.1f}",
        f"cpu_seconds {usage.ru_utime + usage.ru_stime:.2f}",
        f"resident_bytes {_resident_bytes()}",
        f"resident_peak_bytes {usage.ru_maxrss * 1024}",
        f"open_files {len(os.listdir('/proc/self/fd'))}",
        f"threads {threading.active_count()}",
        f"trio_tasks {sum(tasks.values())}",
        f"trio_tasks_runnable {statistics.tasks_runnable}",
        f"trio_seconds_to_next_deadline {statistics.seconds_to_next_deadline:.3f}",
        f"gc_tracked_objects {len(gc.get_objects())}",
        *(f"gc_generation_{index}_pending {count}" for index, count in enumerate(gc.get_count())),
        *(f"gc_generation_{index}_collections {stat['collections']}" for index, stat in enumerate(gc.get_stats())),
        "",
        "trio tasks by function:",
        *(f"{count:8} {name}" for name, count in tasks.most_common()),
    ]
    return "\n".join(lines) + "\n"


def _task_functions() -> Counter[str]:
    functions: Counter[str] = Counter()
    root = trio.lowlevel.current_root_task()
    waiting = [root] if root is not None else []
    while waiting:
        task = waiting.pop()
        functions[getattr(task.coro, "__qualname__", type(task.coro).__qualname__)] += 1
        for nursery in task.child_nurseries:
            waiting.extend(nursery.child_tasks)
    return functions


def _resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()
