"""Commands for wait lists: queue, move, pause, resume."""

import sys
import time

from prunner_trio.cli.flags import Parsed
from prunner_trio.cli.paper import Paper
from prunner_trio.cli.remote import at_daemon
from prunner_trio.cli.rows import SHORT_ID, queue_table, queued_fields, tab_line
from prunner_trio.cli.text import plain
from prunner_trio.cli.which import find_job, no_such_pipeline, pipeline_names
from prunner_trio.client import ClientError, Daemon, Job, Kind, call
from prunner_trio.client.requests import get_queue, set_pause
from prunner_trio.client.requests import move as move_request
from prunner_trio.client.shapes import PipelinePause, WaitLists

__all__ = ["move", "pause", "queue", "resume"]


@at_daemon
def queue(daemon: Daemon, parsed: Parsed, paper: Paper) -> int:
    """Show who waits, where and why."""
    lists: WaitLists = call(daemon, get_queue())
    if parsed.operands:
        name = parsed.operands[0]
        jobs = [job for job in lists["jobs"] if job["pipeline"] == name]
        paused = [each for each in lists["paused"] if each["pipeline"] == name]
        if not jobs and not paused and name not in (names := pipeline_names(daemon)):
            raise no_such_pipeline(name, names)
        lists = {"jobs": jobs, "paused": paused}
    if parsed.values.switch("json"):
        paper.json(lists)
    elif not paper.terminal:
        paper.lines(tab_line(queued_fields(job)) for job in lists["jobs"])
    else:
        if lists["jobs"]:
            paper.lines(queue_table(lists["jobs"], paper.width, time.time()))
        else:
            paper.lines(["nobody waits"])
        paper.lines(f"paused: {_paused(each)}" for each in lists["paused"])
    return 0


@at_daemon
def move(daemon: Daemon, parsed: Parsed, paper: Paper) -> int:
    """Give a job another place in its wait list."""
    values = parsed.values
    given = {name: values.text(name) for name in ("before", "after", "to") if values.text(name)}
    if len(given) != 1:
        print("one of --to, --before and --after says where the job goes", file=sys.stderr)
        return 1
    job = find_job(daemon, parsed.operands[0])
    (name, value), *_ = given.items()
    place: dict[str, object] = {name: int(value) if name == "to" else find_job(daemon, value)["id"]}
    moved: Job = call(daemon, move_request(job["id"], place))
    if values.switch("json"):
        paper.json(moved)
    else:
        where = plain(moved["waiting"]["text"]) if moved["waiting"] else moved["state"]
        print(f"{plain(moved['pipeline'])} {moved['id'][:SHORT_ID]} {where}", file=sys.stderr)
    return 0


@at_daemon
def pause(daemon: Daemon, parsed: Parsed, paper: Paper) -> int:
    """Let a pipeline accept jobs and start none."""
    return _set_pause(daemon, parsed, paper, "pause")


@at_daemon
def resume(daemon: Daemon, parsed: Parsed, paper: Paper) -> int:
    """Let a paused pipeline start jobs again."""
    return _set_pause(daemon, parsed, paper, "resume")


def _set_pause(daemon: Daemon, parsed: Parsed, paper: Paper, verb: str) -> int:
    name = parsed.operands[0]
    try:
        now: PipelinePause = call(daemon, set_pause(name, verb))
    except ClientError as exc:
        if exc.kind is Kind.NOT_FOUND:
            raise no_such_pipeline(name, pipeline_names(daemon)) from exc
        raise
    if parsed.values.switch("json"):
        paper.json(now)
    else:
        print(_paused(now), file=sys.stderr)
    return 0


def _paused(one: PipelinePause) -> str:
    name, pause = plain(one["pipeline"]), one["paused"]
    if pause is None:
        return f"{name} starts jobs"
    return f"{name} is paused since {pause['at']}" + (f" by {plain(pause['by'])}" if pause["by"] else "")
