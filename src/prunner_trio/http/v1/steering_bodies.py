"""The bodies of requests that steer jobs, read strictly: all that is wrong with one is told at once."""

from collections.abc import Mapping
from typing import TypeVar

import attrs

from prunner_trio.http.v1.models import MoveRequest, ProblemItem, RetryRequest
from prunner_trio.http.v1.problems import Refused
from prunner_trio.http.v1.schedule_body import check_variables, pointer, read_object
from prunner_trio.http.wire import parse_job_id

__all__ = ["parse_move", "parse_retry"]

T = TypeVar("T")


def parse_retry(body: bytes) -> RetryRequest:
    """Read the body of a request for a retry; an empty one asks for nothing in particular.

    Raises:
        Refused: it is not JSON, or has members that are unknown, of a wrong type, or unfit for a task.
    """
    fields = read_object(body) if body else {}
    problems = _unknown(fields, RetryRequest)
    only_failed = fields.get("only_failed", False)
    if not isinstance(only_failed, bool):
        problems.append(ProblemItem("must be true or false", pointer("only_failed")))
    variables, wrong = check_variables(fields.get("variables", {}))
    _refuse([*problems, *wrong])
    return RetryRequest(only_failed is True, variables)


def parse_move(body: bytes) -> MoveRequest:
    """Read the body of a request to move a job.

    Raises:
        Refused: it is not JSON, has members that are unknown or of a wrong type, or names no place, or several.
    """
    fields = {name: value for name, value in read_object(body).items() if value is not None}
    problems = _unknown(fields, MoveRequest)
    others: dict[str, str | None] = {}
    for name in ("before", "after"):
        value = fields.get(name)
        others[name] = parse_job_id(value) if isinstance(value, str) else None
        if name in fields and others[name] is None:
            problems.append(ProblemItem("must be the id of a job", pointer(name)))
    to = fields.get("to")
    if to is not None and (type(to) is not int or to < 1):
        problems.append(ProblemItem("must be a whole number from 1", pointer("to")))
    if not problems and len(fields) != 1:
        problems.append(ProblemItem("must have exactly one of before, after, to", ""))
    _refuse(problems)
    return MoveRequest(others["before"], others["after"], to if type(to) is int else None)


def _unknown(fields: Mapping[str, object], kind: type[attrs.AttrsInstance]) -> list[ProblemItem]:
    known = tuple(field.name for field in attrs.fields(kind))
    text = f"is unknown; known are {', '.join(known)}"
    return [ProblemItem(text, pointer(name)) for name in fields if name not in known]


def _refuse(problems: list[ProblemItem]) -> None:
    if problems:
        text = "; ".join(
            f"{problem.pointer}: {problem.detail}" if problem.pointer else problem.detail for problem in problems
        )
        raise Refused("invalid-content", text[:1000], errors=problems)
