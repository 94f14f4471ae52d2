"""The body of ``POST /v1/jobs``, read strictly: all that is wrong with it is told at once."""

import json
from collections.abc import Mapping

import attrs

from prunner_trio.definition.variables import checked_variables
from prunner_trio.errors import InvalidVariable
from prunner_trio.http.bodies import BadBody, check_depth, refuse_constant
from prunner_trio.http.v1.models import ProblemItem, ScheduleRequest
from prunner_trio.http.v1.problems import Refused

__all__ = ["check_variables", "parse_schedule", "pointer", "read_object"]

_MEMBERS = tuple(field.name for field in attrs.fields(ScheduleRequest))


def parse_schedule(body: bytes) -> ScheduleRequest:
    """Read the body of a request for a new job.

    Raises:
        Refused: it is not JSON, or has members that are unknown, missing, of a wrong type, or unfit for a task.
    """
    fields = read_object(body)
    problems = [
        ProblemItem(f"is unknown; known are {', '.join(_MEMBERS)}", pointer(name))
        for name in fields
        if name not in _MEMBERS
    ]
    pipeline = fields.get("pipeline")
    if not isinstance(pipeline, str):
        problems.append(ProblemItem("must be a text: the name of a pipeline", pointer("pipeline")))
    partition = fields.get("partition", "")
    if not isinstance(partition, str):
        problems.append(ProblemItem("must be a text", pointer("partition")))
    checked, wrong = check_variables(fields.get("variables", {}))
    problems += wrong
    if problems:
        text = "; ".join(f"{problem.pointer}: {problem.detail}" for problem in problems)
        raise Refused("invalid-content", text[:1000], errors=problems)
    assert isinstance(pipeline, str)
    assert isinstance(partition, str)
    return ScheduleRequest(pipeline, checked, partition)


def check_variables(variables: object) -> tuple[dict[str, object], list[ProblemItem]]:
    """Return the variables of a request as far as they can be given to tasks, and what is wrong with the others."""
    if not isinstance(variables, Mapping):
        return {}, [ProblemItem("must be an object", pointer("variables"))]
    checked: dict[str, object] = {}
    problems: list[ProblemItem] = []
    for name, value in variables.items():
        try:
            checked.update(checked_variables({name: value}))
        except InvalidVariable as exc:
            problems.append(ProblemItem(exc.problem, pointer("variables", name)))
    return checked, problems


def pointer(*path: str) -> str:
    """Return a path in the body as a JSON pointer."""
    return "".join("/" + _clean(name).replace("~", "~0").replace("/", "~1") for name in path)


def _clean(name: str) -> str:
    return name.encode(errors="replace").decode()


def read_object(body: bytes) -> dict[str, object]:
    """Return the JSON object that a body is.

    Raises:
        Refused: it is none, or nested too deeply to be written again.
    """
    try:
        text = body.decode()
        value = json.loads(text, parse_constant=refuse_constant)
        check_depth(value, text)
    except UnicodeDecodeError as exc:
        raise Refused("invalid-body", f"the body is not UTF-8 (byte {exc.start + 1})") from exc
    except json.JSONDecodeError as exc:
        raise Refused("invalid-body", f"{exc.msg} (line {exc.lineno}, column {exc.colno})") from exc
    except BadBody as exc:
        raise Refused("invalid-body", str(exc)) from exc
    except RecursionError as exc:
        raise Refused("invalid-body", "nested too deeply") from exc
    except ValueError as exc:  # Python's limit for reading integers: 4300 digits
        raise Refused("invalid-body", "a number has too many digits") from exc
    if not isinstance(value, dict):
        raise Refused("invalid-content", "the body must be an object", errors=[ProblemItem("must be an object", "")])
    return value
