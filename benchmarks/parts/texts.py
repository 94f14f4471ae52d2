"""What is done with the text of a script before it is run."""

from functools import partial

from benchmarks.measure import Outcome
from benchmarks.parts.timing import repeat
from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.definition.script import compile_script
from prunner_trio.definition.template import parse
from prunner_trio.execution.prepare import prepare
from prunner_trio.model import JobId

__all__ = ["scripts", "templates"]

_TEMPLATE = (
    "{{ if .release }}./deploy --version {{ quote .version }} {{ range .hosts }}--host {{ . }} {{ end }}"
    '{{ else }}echo "nothing to do for {{ .version }}"{{ end }}'
)
_SHELL = "bash"
_DATA: dict[str, object] = {"release": True, "version": "1.2.3", "hosts": ["a.example", "b.example", "c.example"]}
_ENTRIES = ("cd build", "export TARGET=release", "make -j2 all", "for t in *.test; do ./$t; done", "echo done")


def templates(quick: bool) -> Outcome:
    """Return figures of one line with a condition, a loop and a quoted value."""
    outcome = Outcome()
    repeat(partial(parse, _TEMPLATE), quick=quick).into(outcome, "parse", 1e6)
    repeat(partial(parse(_TEMPLATE).render, _DATA), quick=quick).into(outcome, "render", 1e6)
    return outcome


def scripts(quick: bool) -> Outcome:
    """Return figures of five entries, of one plain command, and of all that is prepared for a task."""
    outcome = Outcome()
    five = partial(compile_script, _ENTRIES, shell=_SHELL, keep_going=False, cwd="/srv/site")
    plain = partial(compile_script, ("/bin/true",), shell=_SHELL, keep_going=False, cwd="/srv/site")
    repeat(five, quick=quick).into(outcome, "five", 1e6)
    repeat(plain, quick=quick).into(outcome, "plain", 1e6)
    task = TaskDef("deploy", (*_ENTRIES[:4], _TEMPLATE))
    whole = partial(
        prepare,
        task,
        PipelineDef("site", (task,)),
        job_id=JobId("00000000-0000-4000-8000-000000000000"),
        variables=_DATA,
        base_env={f"NAME_{number}": "value" for number in range(40)},
        cwd="/srv/site",
        default_shell=_SHELL,
    )
    repeat(whole, quick=quick).into(outcome, "task", 1e6)
    return outcome
