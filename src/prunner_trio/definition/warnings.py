"""What is allowed in definitions, as in prunner, and yet is hardly meant."""

from prunner_trio.definition.pipeline import Definitions
from prunner_trio.errors import Problem

__all__ = ["find_warnings"]


def find_warnings(definitions: Definitions) -> tuple[Problem, ...]:
    """Return the tasks that do nothing: without a script, and without tasks that they gather under one name."""
    return tuple(
        sorted(
            Problem(
                pipeline.file,
                0,
                0,
                f"pipelines.{pipeline.name}.tasks.{task.name}.script",
                f'pipeline "{pipeline.name}": task "{task.name}" has no script and needs no other task, '
                "so it does nothing",
            )
            for pipeline in definitions
            for task in pipeline.tasks
            if not task.script and not task.depends_on
        )
    )
