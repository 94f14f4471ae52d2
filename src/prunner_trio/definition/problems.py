"""Problems of definition files, as programs and people are told of them."""

from collections.abc import Iterable

import attrs

from prunner_trio.errors import InvalidDefinition, Problem

__all__ = ["problems_json", "startup_text"]

_SHOWN_PROBLEMS = 100


def problems_json(problems: Iterable[Problem]) -> list[dict[str, object]]:
    """Return problems as values for JSON, sorted as in the text: file, line, column, key, message, hint."""
    return [attrs.asdict(problem) for problem in sorted(problems)]


def startup_text(invalid: InvalidDefinition) -> str:
    """Return what a daemon says that cannot start: prunner's words for one problem, a line each for several.

    At most 100 problems are shown.
    """
    shown = [_startup_line(problem) for problem in invalid.problems[:_SHOWN_PROBLEMS]]
    if len(invalid.problems) == 1:
        return f"loading definitions: {shown[0]}"
    if len(invalid.problems) > len(shown):
        shown.append(f"and {len(invalid.problems) - len(shown)} more")
    return "\n".join([f"loading definitions: {len(invalid.problems)} problems", *shown])


def _startup_line(problem: Problem) -> str:
    notes = [f"at {problem.line}:{problem.column}"] if problem.line else []
    notes += [problem.hint] if problem.hint else []
    tail = f" ({'; '.join(notes)})" if notes else ""
    return f"loading {problem.file}: {problem.message}{tail}"
