"""Commands about definition files: validate, graph, schema."""

import json
import sys
from pathlib import Path

from prunner_trio.cli.flags import Parsed
from prunner_trio.cli.wording import count, not_defined
from prunner_trio.definition import (
    Definitions,
    find_warnings,
    json_schema,
    load_definitions,
    problems_json,
    to_dot,
    to_svg,
    to_text,
)
from prunner_trio.errors import InvalidDefinition, Problem

__all__ = ["graph", "no_such_pipeline", "schema", "show_problems", "validate"]


def validate(parsed: Parsed) -> int:
    """Show every problem of every definition file, and what is hardly meant; 1 if there are problems or no files."""
    values = parsed.values
    definitions = Definitions()
    problems: tuple[Problem, ...] = ()
    try:
        definitions = load_definitions(values.text("pattern"), Path(values.text("path")))
        if not definitions.files:
            problems = (_no_file(values.text("pattern"), values.text("path")),)
    except InvalidDefinition as exc:
        problems = exc.problems
    warnings = find_warnings(definitions)
    if values.switch("json"):
        result = {
            "valid": not problems,
            "files": list(definitions.files),
            "pipelines": list(definitions.pipelines),
            "problems": problems_json(problems),
            "warnings": problems_json(warnings),
        }
        print(json.dumps(result, ensure_ascii=False, indent=2))
    elif problems:
        for problem in problems:
            print(problem)
        print(count(len(problems), "problem"), file=sys.stderr)
    else:
        for warning in warnings:
            print(f"warning: {warning}")
        more = f", {count(len(warnings), 'warning')}" if warnings else ""
        print(f"{count(len(definitions), 'pipeline')} in {count(len(definitions.files), 'file')}, no problems{more}")
    return 1 if problems else 0


def _no_file(pattern: str, path: str) -> Problem:
    return Problem(path, 0, 0, "", f"no file matches {pattern} below {Path(path).absolute()}", "see --path, --pattern")


def graph(parsed: Parsed) -> int:
    """Show one pipeline as a graph; 1 if it is not there or the files have problems."""
    values = parsed.values
    try:
        definitions = load_definitions(values.text("pattern"), Path(values.text("path")))
    except InvalidDefinition as exc:
        return show_problems(exc)
    pipeline = definitions.get(parsed.operands[0])
    if pipeline is None:
        return no_such_pipeline(definitions, parsed.operands[0])
    draw = {"text": to_text, "dot": to_dot, "svg": to_svg}[values.text("format")]
    sys.stdout.write(draw(pipeline))
    return 0


def schema(parsed: Parsed) -> int:
    """Show the JSON Schema of definition files."""
    print(json.dumps(json_schema(), ensure_ascii=False, indent=2))
    return 0


def show_problems(invalid: InvalidDefinition) -> int:
    """Show on stderr why there are no definitions to work with; returns the exit status for that."""
    for problem in invalid.problems:
        print(problem, file=sys.stderr)
    return 1


def no_such_pipeline(definitions: Definitions, name: str) -> int:
    """Say on stderr that a pipeline is not there, and which one may be meant; returns the exit status for that."""
    print(not_defined(name, list(definitions.pipelines)), file=sys.stderr)
    return 1
