"""Which variables a pipeline asks for, as far as its definition tells: what a form to start it must offer."""

import re
from collections.abc import Iterator

import attrs

from prunner_trio.definition.pipeline import ON_ERROR, PipelineDef, TaskDef
from prunner_trio.definition.template import TemplateError, parse
from prunner_trio.definition.variables import ENV_PREFIX, RESERVED, env_name

__all__ = ["Parameter", "parameters"]

_IN_SHELL = re.compile(rf"{ENV_PREFIX}([A-Z0-9_]+)")
_OF_THE_HANDLER = frozenset(
    {"failedTaskName", "failedTaskExitCode", "failedTaskError", "failedTaskStdout", "failedTaskStderr"}
)


@attrs.frozen
class Parameter:
    """A variable that scripts of a pipeline use.

    Attributes:
        name: as templates know it; if only the environment variable is used, that in lower case, without its prefix.
        env: the name of the environment variable that holds it.
        tasks: that use it, in their order.
        template: a template looks it up, and fails without it unless that stands in a condition.
    """

    name: str
    env: str
    tasks: tuple[str, ...]
    template: bool


def parameters(pipeline: PipelineDef) -> tuple[Parameter, ...]:
    """Return the variables that scripts of a pipeline name, sorted by name.

    What a script that is called reads from its environment cannot be seen here.
    """
    templates: dict[str, list[str]] = {}
    shells: dict[str, list[str]] = {}
    for task in (*pipeline.tasks, *filter(None, (pipeline.on_error,))):
        for entry in task.script:
            for name in _in_template(task, entry):
                templates.setdefault(name, []).append(task.name)
            for env in _IN_SHELL.findall(entry):
                shells.setdefault(ENV_PREFIX + env, []).append(task.name)
    found = []
    for name, tasks in templates.items():
        env = env_name(name)
        found.append(Parameter(name, env, _each_once(pipeline, [*tasks, *shells.pop(env, ())]), template=True))
    for env, tasks in shells.items():
        name = env.removeprefix(ENV_PREFIX).lower()
        if name not in (variable.lower() for variable in _OF_THE_HANDLER):
            found.append(Parameter(name, env, _each_once(pipeline, tasks), template=False))
    return tuple(sorted(found, key=lambda parameter: parameter.name))


def _in_template(task: TaskDef, entry: str) -> Iterator[str]:
    if "{{" not in entry:
        return
    try:
        names = parse(entry).uses
    except TemplateError:  # definitions from files have none; the task will say what is wrong
        return
    given = _OF_THE_HANDLER if task.name == ON_ERROR else frozenset()
    yield from names - given - {RESERVED}


def _each_once(pipeline: PipelineDef, names: list[str]) -> tuple[str, ...]:
    order = [task.name for task in (*pipeline.tasks, *filter(None, (pipeline.on_error,)))]
    return tuple(name for name in order if name in names)
