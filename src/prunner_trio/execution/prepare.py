"""From the definition of a task to what is executed: templates rendered, script compiled, environment put together."""

from collections.abc import Mapping
from functools import lru_cache
from shlex import quote

import attrs

from prunner_trio.definition.pipeline import OnDaemonCrash, Orphans, PipelineDef, TaskDef
from prunner_trio.definition.script import ShellText, compile_script, shell_shows
from prunner_trio.definition.template import Limits, TemplateError, is_plain, render
from prunner_trio.definition.variables import RESERVED, variable_env
from prunner_trio.execution.seams import Command, task_key
from prunner_trio.execution.task_secrets import TaskSecrets, take_secrets
from prunner_trio.model import JobId

__all__ = ["Plan", "log_limit", "prepare"]

_LIMITS = Limits(steps=300_000)  # about a tenth of a second: templates are rendered on the loop's thread


@attrs.frozen
class Plan:
    """What a task will do.

    Attributes:
        command: None if there is nothing to execute.
        env: the whole environment of the processes.
        broken: why the script ends early although its commands succeed (a template error); empty if it does not.
        notes: what the task's stderr is to say first: variables that its environment cannot hold, secrets that cannot
            be masked.
        secrets: of the task.
    """

    command: Command | None
    env: Mapping[str, str] = attrs.field(repr=False)
    broken: str = ""
    notes: tuple[str, ...] = ()
    secrets: TaskSecrets = attrs.field(factory=TaskSecrets)


def prepare(
    task: TaskDef,
    pipeline: PipelineDef,
    *,
    job_id: JobId,
    variables: Mapping[str, object],
    base_env: Mapping[str, str],
    cwd: str,
    default_shell: str,
    outlive: bool = False,
) -> Plan:
    """Make the plan of a task.

    Each entry is a template of its own: those before a broken one still run, and then the task fails with the
    template's message. Under `allow_failure` the broken entry fails in its place and the next ones run, as after any
    other failing entry.

    The environment is layered: process and dotenv files (`base_env`), pipeline `env`, `TASK_NAME`, `ARGS` and the
    variables as `PRUNNER_VAR_<NAME>`, task `env`; later layers win (prunner's order). Secrets of other tasks are not in
    it.

    Args:
        outlive: the processes of all tasks may outlive the daemon, not only those of pipelines that ask for it.
    """
    shell, broken = task.shell or pipeline.shell or default_shell, ""
    if all(map(is_plain, task.script)):
        entries, text = task.script, _compiled(task.script, shell, task.allow_failure, cwd)
    else:
        entries, broken = _rendered(task, {**variables, RESERVED: job_id})
        text = compile_script(entries, shell=shell, keep_going=task.allow_failure, cwd=cwd)
    given = variable_env(variables)
    env = {
        **base_env,
        **pipeline.env,
        "PWD": cwd,
        "TASK_NAME": task.name,
        "ARGS": "",
        "PRUNNER_JOB_ID": job_id,
        "PRUNNER_PIPELINE": pipeline.name,
        **given.env,
        **task.env,
    }
    secrets = take_secrets(task, pipeline, env)
    optional = pipeline.limits_optional if task.limits_optional is None else task.limits_optional
    limits = task.limits.over(pipeline.limits)
    # Output with a limit or secrets goes through this process, so who writes it cannot outlive us.
    copied = secrets.listed or log_limit(task, pipeline, None) is not None
    outlives = (outlive or pipeline.on_daemon_crash is OnDaemonCrash.ADOPT) and not copied

    key = task_key(job_id, task.name)

    def make(argv: tuple[str, ...], script: str | None, fallback: Command | None) -> Command:
        return Command(argv, cwd, script, fallback, entries, limits, bool(optional), key, outlives)

    command = make(text.argv, text.script, None) if text.argv else None
    if command is not None and text.simple is not None and not shell_shows(env):
        command = make(text.simple, None, command)
    return Plan(command, env, secrets.hide(broken), (*given.left_out, *secrets.notes), secrets)


@lru_cache(maxsize=256)  # most tasks run again and again: finding the text takes a tenth of making it
def _compiled(entries: tuple[str, ...], shell: str, keep_going: bool, cwd: str) -> ShellText:
    return compile_script(entries, shell=shell, keep_going=keep_going, cwd=cwd)


def _rendered(task: TaskDef, data: Mapping[str, object]) -> tuple[tuple[str, ...], str]:
    """Return the entries up to the first that breaks the script, and why it does; empty if none does."""
    entries: list[str] = []
    for entry in task.script:
        try:
            entries.append(render(entry, data, limits=_LIMITS))
        except TemplateError as exc:
            if not task.allow_failure:
                return tuple(entries), str(exc)
            entries.append(f"printf '%s\\n' {quote(str(exc))} >&2; (exit 1)")
    return tuple(entries), ""


def log_limit(task: TaskDef, pipeline: PipelineDef, default: int | None) -> int | None:
    """Return the most bytes of output that each log of a task may have; None: no limit.

    Args:
        default: for those that say nothing, unless their processes may outlive them: nobody would read their pipes.
    """
    for choice in (task.log_limit, pipeline.log_limit):
        if choice is not None:
            return choice or None
    outlives = (task.orphans or pipeline.orphans) is Orphans.KEEP or pipeline.on_daemon_crash is OnDaemonCrash.ADOPT
    return None if outlives else default
