"""From a payload to the variables of a job. Pure."""

from collections.abc import Mapping

from prunner_trio.definition.incoming import HookVariable, IncomingHook, VariableType, convert
from prunner_trio.definition.payload_path import FACTS, Absent, Steps, find, parse_path
from prunner_trio.definition.variables import checked_variables
from prunner_trio.errors import InvalidVariable
from prunner_trio.http.v1.incoming.delivery import Delivery
from prunner_trio.http.v1.models import ProblemItem
from prunner_trio.http.v1.problems import Refused
from prunner_trio.http.v1.schedule_body import pointer

__all__ = ["mapped"]


def mapped(hook: IncomingHook, delivery: Delivery, payload: Mapping[str, object]) -> tuple[dict[str, object], str]:
    """Return the variables and the partition of the job that a delivery means.

    Raises:
        Refused: fields are missing or of a wrong type; all of them are named.
    """
    facts = {"@branch": delivery.branch, "@delivery": delivery.id, "@event": delivery.name, "@hook": hook.name}
    known = {fact: text or None for fact, text in facts.items()}
    variables: dict[str, object] = {}
    problems: list[ProblemItem] = []
    for variable in hook.variables:
        try:
            variables[variable.name] = _value(variable, known, payload)
        except _Unfit as exc:
            problems.append(ProblemItem(f"{exc}; variable {variable.name!r} is made of it", exc.pointer))
    partition = ""
    if hook.partition:
        try:
            partition = str(_value(HookVariable("", hook.partition, type=VariableType.STRING), known, payload))
        except _Unfit as exc:
            problems.append(ProblemItem(f"{exc}; the partition is made of it", exc.pointer))
    if problems:
        text = "; ".join(f"{problem.pointer}: {problem.detail}" for problem in problems)
        raise Refused("invalid-content", text[:1000], errors=problems)
    return variables, partition


class _Unfit(Exception):
    """A field that cannot be used; `pointer` says where, or which fact."""

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.pointer = place


def _value(variable: HookVariable, facts: Mapping[str, object], payload: Mapping[str, object]) -> object:
    steps = parse_path(variable.path)
    source = facts if variable.path in FACTS else payload
    try:
        value = find(steps, source)
    except Absent as absent:
        if variable.default is None:
            reason = "is not known of this event" if source is facts else absent.reason
            raise _Unfit(reason, _place(absent.steps, source is facts)) from absent
        value = variable.default
    try:
        value = convert(value, variable.type)
        checked_variables({variable.name: value})
    except ValueError as exc:
        raise _Unfit(str(exc), _place(steps, source is facts)) from exc
    except InvalidVariable as exc:
        raise _Unfit(exc.problem, _place(steps, source is facts)) from exc
    return value


def _place(steps: Steps, fact: bool) -> str:
    return str(steps[0]) if fact else pointer(*map(str, steps))
